"""The rule machine that drives an engine and the reference side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from lobsim.events import CancelOrder, Command, EventKind, ReplaceOrder, Side, SubmitOrder
from lobsim.testing.comparison import Comparison, MakeEngine, Terms, checked_factory
from lobsim.testing.engine import ALL_FEATURES, Feature, parse_features
from lobsim.testing.minimise import minimised
from lobsim.testing.strategies import Range, command_families, placed


class EngineMachine(RuleBasedStateMachine):
    """Base of what `machine_for` returns: one rule per family of commands, every step compared."""

    make_engine: MakeEngine
    features: frozenset[Feature]
    terms: Terms
    span: Range

    def __init__(self) -> None:
        super().__init__()
        cls = type(self)
        simplify = partial(minimised, features=cls.features)
        self._comparison = Comparison(cls.make_engine, cls.terms, simplify)
        self._last_id = 0

    def _send(self, step: Command, family: str) -> None:
        reference = self._comparison.reference
        command = placed(step, reference.time_ns)
        if isinstance(command, SubmitOrder):
            live = reference.live_ids()
            again = live and family == "faulty" and command.order_id % 3 == 0
            order_id = live[command.order_id % len(live)] if again else self._free_id(command.order_id)
            command = command._replace(order_id=order_id)
        elif isinstance(command, CancelOrder | ReplaceOrder):
            command = command._replace(order_id=self._known_id(command.order_id))
        if isinstance(command, ReplaceOrder) and family == "amend":
            command = self._amended(command)
        elif isinstance(command, ReplaceOrder) and family == "replace":
            command = self._repriced(command)
        self._comparison.step(command)

    def _amended(self, command: ReplaceOrder) -> ReplaceOrder:
        """The order's own price, and a quantity around its own: whether it keeps its place hangs on these."""
        open_qty, price = self._comparison.reference.open_terms(command.order_id)
        if price is None:
            return command
        return command._replace(qty=max(1, open_qty + 3 - command.qty), price=price)

    def _repriced(self, command: ReplaceOrder) -> ReplaceOrder:
        """A price around the best of the other side: whether the order may trade, and how far, hangs on it."""
        reference = self._comparison.reference
        side = reference.side_of(command.order_id)
        touch = reference.best_bid if side == Side.SELL else reference.best_ask
        if side is None or touch is None:
            return command
        across = command.price - self.span.centre
        return command._replace(price=max(1, touch - across if side == Side.SELL else touch + across))

    def _free_id(self, drawn: int) -> int:
        """An id that no live order has: the drawn one or the next that is free."""
        self._last_id += 1
        if Feature.REUSED_IDS not in self.features:
            return self._last_id
        while self._comparison.reference.order(drawn) is not None:
            drawn += 1
        return drawn

    def _known_id(self, drawn: int) -> int:
        """Mostly the id of a live order, for what is drawn at random seldom is one; every fourth is taken as it is."""
        live = self._comparison.reference.live_ids()
        return live[drawn % len(live)] if live and drawn % 4 else drawn


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
        "span": span or Range(),
    }
    families = command_families(chosen, span or Range())
    namespace["open_with"] = initialize(orders=st.lists(families["limit"], max_size=8))(_open_with)
    for name, strategy in families.items():
        namespace[name] = rule(command=strategy)(_rule_body(name))
    return type("EngineMachine", (EngineMachine,), namespace)


def _open_with(self: EngineMachine, orders: list[SubmitOrder]) -> None:
    for order in orders:
        self._send(order, "limit")


def _rule_body(name: str) -> Callable[[EngineMachine, Command], None]:
    def send(self: EngineMachine, command: Command) -> None:
        self._send(command, name)

    send.__name__ = send.__qualname__ = name
    return send
