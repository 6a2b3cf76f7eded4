"""An engine and the reference side by side: every event and every answer compared after every command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lobsim.events import Command, Event, EventKind, Side
from lobsim.testing.engine import QUESTIONS, Engine
from lobsim.testing.reference import LARGEST, ReferenceBook
from lobsim.testing.wording import (
    EVENT_TYPES,
    describe_command,
    describe_events,
    describe_views,
    ladder,
    named_fields,
    script,
)

MakeEngine = Callable[[], Engine]
Views = dict[str, object]
Simplify = Callable[[list[Command], Callable[[list[Command]], bool]], list[Command]]


class MismatchError(AssertionError):
    """Engine and reference disagree. The message shows where, and a script that shows it again.

    It is made when somebody reads it: Hypothesis raises hundreds of these before it shows one.
    """

    def __init__(self, tell: Callable[[], str]) -> None:
        super().__init__()
        self._tell = tell
        self._text: str | None = None

    def __str__(self) -> str:
        if self._text is None:
            self._text = self._tell()
        return self._text


@dataclass(frozen=True)
class Terms:
    """What is compared.

    kinds: event kinds that the engine reports (others are left out on both sides). ignore: names of event fields that
    it does not know. questions: which of `QUESTIONS` to ask (None: those that it answers). replace_keeps_priority:
    whether a smaller quantity at the same price keeps its place.
    """

    kinds: frozenset[EventKind] = frozenset(EventKind)
    ignore: frozenset[str] = frozenset()
    questions: frozenset[str] | None = None
    replace_keeps_priority: bool = True
    given: dict[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def parse(
        cls,
        kinds: Iterable[EventKind] | None,
        ignore: Iterable[str],
        questions: Iterable[str] | None,
        replace_keeps_priority: bool,
    ) -> Terms:
        """Checked terms; TypeError or ValueError says what is wrong and what there is."""
        for name, value in (("kinds", kinds), ("ignore", ignore), ("questions", questions)):
            if isinstance(value, str) or (value is not None and not isinstance(value, Iterable)):
                raise TypeError(f"{name} must be a collection, not {value!r}")
        chosen_kinds = frozenset(EventKind) if kinds is None else frozenset(EventKind(kind) for kind in kinds)
        fields = {name for event_type in EVENT_TYPES.values() for name in event_type._fields} - {"kind"}
        chosen_questions = None if questions is None else frozenset(questions)
        _refuse_unknown("ignore", ignored := frozenset(ignore), fields)
        _refuse_unknown("questions", chosen_questions or (), QUESTIONS)
        given: dict[str, Any] = {}
        if kinds is not None:
            given["kinds"] = sorted(chosen_kinds)
        if ignored:
            given["ignore"] = sorted(ignored)
        if chosen_questions is not None:
            given["questions"] = sorted(chosen_questions)
        if not replace_keeps_priority:
            given["replace_keeps_priority"] = False
        return cls(chosen_kinds, ignored, chosen_questions, bool(replace_keeps_priority), given)


def _refuse_unknown(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f"{what}: unknown names {unknown}; there are {sorted(known)}")


def checked_factory(make_engine: MakeEngine) -> MakeEngine:
    """`make_engine` itself, if it makes engines; TypeError or ValueError says what is missing."""
    if not callable(make_engine):
        raise TypeError(
            f"make_engine must be a function without arguments that returns a new engine, not {make_engine!r}"
        )
    engine = make_engine()
    missing = [name for name in ("apply", "bids", "asks") if not callable(getattr(engine, name, None))]
    if missing:
        raise TypeError(f"{type(engine).__name__} has no method {' or '.join(missing)}; see lobsim.testing.Engine")
    if make_engine() is engine:
        raise ValueError("make_engine returned the same engine twice; every run needs a new one")
    if list(engine.bids()) or list(engine.asks()):
        raise ValueError("make_engine returned an engine whose book is not empty")
    return make_engine


class Comparison:
    """One engine next to one reference. `step` sends a command to both and raises `MismatchError` if they disagree.

    `simplify(commands, fails)` may return a shorter list that fails as well; the message then tells that one.
    """

    def __init__(self, make_engine: MakeEngine, terms: Terms, simplify: Simplify | None = None) -> None:
        self.reference = ReferenceBook(replace_keeps_priority=terms.replace_keeps_priority)
        self.commands: list[Command] = []
        self._make_engine = make_engine
        self._engine = make_engine()
        self._terms = terms
        self._simplify = simplify
        wanted = QUESTIONS if terms.questions is None else tuple(name for name in QUESTIONS if name in terms.questions)
        self._questions = [name for name in wanted if terms.questions is not None or hasattr(self._engine, name)]
        self._check = getattr(self._engine, "check", None)
        self._order_ids: set[int] = set()

    def step(self, command: Command) -> None:
        """Apply one command to both. ValueError if its time lies in the past."""
        expected = self.reference.apply(command)
        self.commands.append(command)
        order_id = getattr(command, "order_id", None)
        if order_id is not None:
            self._order_ids.add(order_id)
        try:
            actual = list(self._engine.apply(command))
        except Exception as error:
            raise self._mismatch(f"the engine raised {type(error).__name__}: {error}") from error
        actual, expected = self._reported(actual), self._reported(expected)
        if self._comparable(actual) != self._comparable(expected):
            raise self._mismatch(describe_events(actual, expected, self._terms.ignore))
        try:
            answers = self._views(self._engine)
        except Exception as error:
            raise self._mismatch(f"a question to the engine raised {type(error).__name__}: {error}") from error
        right = self._views(self.reference)
        if answers != right:
            raise self._mismatch(describe_views(answers, right))
        if self._check is not None:
            try:
                self._check()
            except Exception as error:
                raise self._mismatch(f"check() raised {type(error).__name__}: {error}") from error

    def _reported(self, events: Sequence[Event]) -> list[Event]:
        """The events without the kinds that are not compared; what is no known kind of event stays in."""
        left_out = frozenset(EventKind) - self._terms.kinds
        return [event for event in events if event[0] not in left_out]

    def _comparable(self, events: Sequence[Event]) -> list[Sequence[object]]:
        """The events as tuples without the fields that are ignored."""
        ignore = self._terms.ignore
        if not ignore:
            return [tuple(event) for event in events]
        return [[value for name, value in named_fields(event) if name not in ignore] for event in events]

    def _views(self, book: Any) -> Views:
        """Every answer that is compared, by question."""
        views: Views = {"bids()": _levels(book.bids()), "asks()": _levels(book.asks())}
        for name in self._questions:
            member = getattr(book, name)
            if name in ("order", "queue_position"):
                for order_id in self._order_ids:
                    views[f"{name}({order_id})"] = member(order_id)
            elif name == "walk":
                for side, qty, limit in self._walks():
                    filled, notional, worst_price, fills = member(side, qty, limit)
                    views[f"walk({side!r}, {qty}, {limit})"] = (filled, notional, worst_price, _levels(fills))
            elif name == "depth":
                for side, to_price in self._depths():
                    views[f"depth({side!r}, {to_price})"] = tuple(member(side, to_price))
            elif name == "snapshot":
                views["snapshot()"] = member()
            else:
                views[name] = member() if callable(member) else member
        return views

    def _walks(self) -> list[tuple[Side, int, int | None]]:
        """Walks worth asking for: nothing, a part of the book, all of it, and down to the second level."""
        bids, asks = self.reference.bids()[:2], self.reference.asks()[:2]
        sell_limit, buy_limit = (bids or [(1, 0)])[-1][0], (asks or [(1, 0)])[-1][0]
        return [
            (Side.SELL, 4, None),
            (Side.BUY, 4, None),
            (Side.SELL, LARGEST, sell_limit),
            (Side.BUY, LARGEST, buy_limit),
        ]

    def _depths(self) -> list[tuple[Side, int]]:
        bids, asks = self.reference.bids(), self.reference.asks()
        questions = [(Side.BUY, price) for price, _ in bids[1:2] + bids[-1:]]
        return questions + [(Side.SELL, price) for price, _ in asks[1:2] + asks[-1:]]

    def _mismatch(self, what: str) -> MismatchError:
        commands = list(self.commands)
        return MismatchError(lambda: self._simplest(commands) or self._tell(commands, what))

    def _simplest(self, commands: list[Command]) -> str | None:
        """The message of a simpler list that fails too, if there is one."""
        simplest = self._simplify(commands, self._fails) if self._simplify else commands
        return self._failure(simplest) if simplest != commands else None

    def _fails(self, commands: list[Command]) -> bool:
        return self._run(commands) is not None

    def _failure(self, commands: list[Command]) -> str | None:
        error = self._run(commands)
        return None if error is None else str(error)

    def _run(self, commands: list[Command]) -> MismatchError | None:
        comparison = Comparison(self._make_engine, self._terms)
        try:
            for command in commands:
                comparison.step(command)
        except MismatchError as error:
            return error
        return None

    def _tell(self, commands: list[Command], what: str) -> str:
        book = ReferenceBook(replace_keeps_priority=self._terms.replace_keeps_priority)
        for command in commands[:-1]:
            book.apply(command)
        return (
            f"engine and reference disagree at command {len(commands)}:\n\n    {describe_command(commands[-1])}\n\n"
            f"{what}\n\nThe book before that command, according to the reference:\n\n{ladder(book)}\n\n"
            f"To see it again, run:\n\n{script(self._make_engine, commands, self._terms.given)}"
        )


def _levels(levels: Iterable[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(level) for level in levels)


def replay(
    make_engine: MakeEngine,
    commands: Iterable[Command],
    *,
    kinds: Iterable[EventKind] | None = None,
    ignore: Iterable[str] = (),
    questions: Iterable[str] | None = None,
    replace_keeps_priority: bool = True,
) -> None:
    """Run a fixed list of commands through an engine and the reference; `MismatchError` says where they part.

    The arguments after the star are those of `machine_for`.
    """
    terms = Terms.parse(kinds, ignore, questions, replace_keeps_priority)
    comparison = Comparison(checked_factory(make_engine), terms)
    for command in commands:
        comparison.step(command)
