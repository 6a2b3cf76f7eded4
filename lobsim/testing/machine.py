"""The rule machine that drives an engine and the reference side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, rule

from lobsim.events import CancelOrder, Command, EventKind, ReplaceOrder, SubmitOrder
from lobsim.testing.comparison import Comparison, MakeEngine, Terms, checked_factory
from lobsim.testing.engine import ALL_FEATURES, Feature, parse_features
from lobsim.testing.strategies import Range, command_families, placed


class EngineMachine(RuleBasedStateMachine):
    """Base of what `machine_for` returns: one rule per family of commands, every step compared."""

    make_engine: MakeEngine
    features: frozenset[Feature]
    terms: Terms

    def __init__(self) -> None:
        super().__init__()
        cls = type(self)
        self._comparison = Comparison(cls.make_engine, cls.terms)
        self._last_id = 0

    def _send(self, step: Command) -> None:
        reference = self._comparison.reference
        command = placed(step, reference.time_ns)
        if isinstance(command, SubmitOrder):
            command = command._replace(order_id=self._new_id(command.order_id))
        elif isinstance(command, CancelOrder | ReplaceOrder):
            command = command._replace(order_id=self._known_id(command.order_id))
        self._comparison.step(command)

    def _new_id(self, drawn: int) -> int:
        """The id under which a drawn order is sent, as far as the features allow it."""
        live = self._comparison.reference.order
        if Feature.REUSED_IDS in self.features:
            while Feature.BAD_INPUT not in self.features and live(drawn) is not None:
                drawn += 1
            return drawn
        known = self._known_id(drawn)
        if Feature.BAD_INPUT in self.features and live(known) is not None and drawn % 3 == 0:
            return known
        self._last_id += 1
        return self._last_id

    def _known_id(self, drawn: int) -> int:
        """Where ids are never used again, small drawn ids mean the latest orders."""
        if Feature.REUSED_IDS in self.features:
            return drawn
        return max(1, self._last_id + 1 - drawn)


def machine_for(
    make_engine: MakeEngine,
    *,
    features: Iterable[Feature | str] = ALL_FEATURES,
    kinds: Iterable[EventKind] | None = None,
    ignore: Iterable[str] = (),
    questions: Iterable[str] | None = None,
    replace_keeps_priority: bool = True,
    span: Range | None = None,
) -> type[EngineMachine]:
    """A Hypothesis rule machine that compares an engine with the reference after every command.

    make_engine: function without arguments (a class will do) that returns a new, empty `Engine`. features: what the
    engine can do; nothing else is asked of it. kinds: event kinds that it reports (None: all). ignore: event fields
    that it does not know, such as "purpose". questions: which optional members to compare (None: all that it has).
    replace_keeps_priority: whether a smaller quantity at the same price keeps its place in the queue. span: how far
    prices, quantities, ids and owners spread.

    Raises TypeError or ValueError for arguments that cannot work, before Hypothesis starts. Use the result's
    ``TestCase`` with pytest or unittest; ``TestCase.settings = hypothesis.settings(max_examples=...,
    stateful_step_count=...)`` sets how long it looks.
    """
    chosen = parse_features(features)
    terms = Terms.parse(kinds, ignore, questions, replace_keeps_priority)
    if span is not None and not isinstance(span, Range):
        raise TypeError(f"span must be a Range, not {span!r}")
    namespace: dict[str, Any] = {
        "__doc__": f"Compares {getattr(make_engine, '__qualname__', make_engine)} with the reference.",
        "make_engine": staticmethod(checked_factory(make_engine)),
        "features": chosen,
        "terms": terms,
    }
    for name, strategy in command_families(chosen, span or Range()).items():
        namespace[name] = rule(command=strategy)(_rule_body(name))
    return type("EngineMachine", (EngineMachine,), namespace)


def _rule_body(name: str) -> Callable[[EngineMachine, Command], None]:
    def send(self: EngineMachine, command: Command) -> None:
        self._send(command)

    send.__name__ = send.__qualname__ = name
    return send
