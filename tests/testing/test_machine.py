from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from lobsim.events import (
    Advance,
    CancelAll,
    CancelOrder,
    Command,
    Event,
    EventKind,
    ReplaceOrder,
    SelfTrade,
    Side,
    SubmitOrder,
    TimeInForce,
)
from lobsim.testing import ALL_FEATURES, Feature, MismatchError, Range, ReferenceBook, machine_for, replay
from tests.testing.adapters import LobsimEngine
from tests.testing.toy_engine import ToyAdapter, ToyEngine

ONE_ENGINE = LobsimEngine()
QUICK = settings(max_examples=30, stateful_step_count=40, deadline=None, derandomize=True, database=None)


def test_our_engine_agrees_with_the_reference() -> None:
    long_enough = settings(QUICK, max_examples=100, stateful_step_count=60)
    run_state_machine_as_test(machine_for(LobsimEngine), settings=long_enough)


def test_our_engine_agrees_where_venues_take_priority_away_on_replace() -> None:
    machine = machine_for(NoPriorityEngine, replace_keeps_priority=False)
    run_state_machine_as_test(machine, settings=QUICK)


def test_a_foreign_engine_needs_no_more_than_an_adapter() -> None:
    machine = machine_for(ToyAdapter, features={"reused_ids"}, kinds=[EventKind.TRADE])
    run_state_machine_as_test(machine, settings=QUICK)


def test_the_machine_is_an_ordinary_test_case() -> None:
    case = machine_for(ToyAdapter, features=["reused_ids"], kinds=[EventKind.TRADE]).TestCase
    case.settings = settings(QUICK, max_examples=5)
    result = case("runTest").run()
    assert result is not None
    assert result.wasSuccessful()


class NoPriorityEngine(LobsimEngine):
    def __init__(self) -> None:
        super().__init__()
        self.book = type(self.book)(replace_keeps_priority=False)


class LastInFirstOut(ToyEngine):
    """Serves the highest id of a level first."""

    def place(self, oid: int, buy: bool, price: int, amount: int) -> list[tuple[int, int, int]]:
        self.buying.sort(key=lambda order: (-order[0], -order[1]))
        self.selling.sort(key=lambda order: (order[0], -order[1]))
        return super().place(oid, buy, price, amount)


class LastInFirstOutAdapter(ToyAdapter):
    def __init__(self) -> None:
        super().__init__()
        self.toy = LastInFirstOut()


def failure_of(machine: Any) -> str:
    """The message of the first failure found, without Hypothesis's own shrinking."""
    with pytest.raises(MismatchError) as failure:
        run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=300, phases=[Phase.generate]))
    return str(failure.value)


def test_a_failure_shrinks_to_a_script_that_fails_the_same_way() -> None:
    message = failure_of(machine_for(LastInFirstOutAdapter, features=["reused_ids"], kinds=[EventKind.TRADE]))
    assert "Its events differ" in message
    assert "maker_id is" in message
    script = message.split("To see it again, run:\n\n")[1]
    assert script.count("SubmitOrder(order_id=") == 3, "two resting orders and a third that meets them"
    assert "from tests.testing.test_machine import LastInFirstOutAdapter" in script
    assert "kinds=[EventKind.TRADE]" in script
    with pytest.raises(MismatchError) as again:
        exec(script, {})
    assert str(again.value) == message


class Babbling(ToyAdapter):
    def apply(self, command: Command) -> list[Any]:
        return [*super().apply(command), (99, "what?")]


def test_events_of_no_known_kind_are_not_overlooked() -> None:
    message = failure_of(machine_for(Babbling, features=(), kinds=[EventKind.TRADE]))
    assert "engine     (99, 'what?')\n    reference  nothing" in message


class Crashing(ToyAdapter):
    def apply(self, command: Command) -> list[Event]:
        if isinstance(command, CancelOrder):
            raise KeyError(command.order_id)
        return super().apply(command)


def test_an_engine_that_raises_is_told_with_the_command() -> None:
    message = failure_of(machine_for(Crashing, features=["reused_ids"], kinds=[EventKind.TRADE]))
    told = re.search(r"command \d+:\n\n    (CancelOrder\(order_id=(\d+), time_ns=\d+\))\n", message)
    assert told is not None
    assert f"the engine raised KeyError: {told[2]}\n" in message
    assert f"        {told[1]},\n    ],\n" in message, "the script ends with it"


class WrongAnswers(LobsimEngine):
    def queue_position(self, order_id: int) -> int | None:
        position = self.book.queue_position(order_id)
        return position and position + 1


def test_wrong_answers_are_found_although_the_events_agree() -> None:
    message = failure_of(machine_for(WrongAnswers, features=()))
    assert "Its events agree" in message
    assert "queue_position(" in message
    assert "walk(" not in message.split("The book before")[0], "only what differs is shown"


def test_questions_can_be_left_out() -> None:
    machine = machine_for(WrongAnswers, questions=["snapshot", "walk"])
    run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=5))


class FailingCheck(LobsimEngine):
    def check(self) -> None:
        assert len(self.book) < 2, "too many orders"


def test_check_is_called_after_every_step() -> None:
    assert "check() raised AssertionError: too many orders" in failure_of(machine_for(FailingCheck))


class RaisingQuestion(LobsimEngine):
    def walk(self, *args: object) -> None:
        raise RuntimeError("no walk today")


def test_a_question_that_raises_is_told() -> None:
    assert "a question to the engine raised RuntimeError: no walk today" in failure_of(machine_for(RaisingQuestion))


class Purposeless(LobsimEngine):
    """Reports every event with its purpose struck out."""

    def apply(self, command: Command) -> list[Event]:
        return [
            event._replace(purpose=0) if "purpose" in event._fields else event  # type: ignore[call-arg]
            for event in super().apply(command)
        ]


def test_fields_that_an_engine_does_not_know_can_be_ignored() -> None:
    questions = ["snapshot", "walk"]  # `order` would show the purpose
    run_state_machine_as_test(machine_for(Purposeless, ignore=["purpose"], questions=questions), settings=QUICK)
    assert "purpose is 0, should be Purpose." in failure_of(machine_for(Purposeless, questions=questions))


class Recorder(ReferenceBook):
    """An engine that remembers what it was asked to do."""

    seen: list[Command]

    def apply(self, command: Command) -> list[Event]:
        type(self).seen.append(command)
        return super().apply(command)


def commands_sent(features: set[Feature]) -> list[Command]:
    Recorder.seen = []
    run_state_machine_as_test(machine_for(Recorder, features=features), settings=settings(QUICK, max_examples=8))
    return Recorder.seen


def uses(command: Command) -> set[Feature]:
    """Features that an engine must have for this command, as far as a single command can tell."""
    found: set[Feature] = set()
    if command.time_ns is None:
        found.add(Feature.IMPLICIT_TIME)
    if isinstance(command, SubmitOrder):
        rules = {
            Feature.MARKET: command.price is None,
            Feature.IOC: command.tif == TimeInForce.IOC,
            Feature.FOK: command.tif == TimeInForce.FOK,
            Feature.GTD: command.tif == TimeInForce.GTD or command.expire_ns is not None,
            Feature.POST_ONLY: command.post_only,
            Feature.ICEBERG: bool(command.display_qty),
            Feature.STOP: command.trigger_price is not None,
        }
        found |= {feature for feature, used in rules.items() if used}
        if command.owner:
            modes = {
                SelfTrade.CANCEL_NEWEST: Feature.STP_CANCEL_NEWEST,
                SelfTrade.CANCEL_OLDEST: Feature.STP_CANCEL_OLDEST,
                SelfTrade.CANCEL_BOTH: Feature.STP_CANCEL_BOTH,
                SelfTrade.DECREMENT: Feature.STP_DECREMENT,
            }
            found |= {modes[command.self_trade]} if command.self_trade in modes else set()
        if not (1 <= command.qty <= 9 and (command.price is None or 90 <= command.price <= 110)):
            found.add(Feature.BAD_INPUT)
    found |= {Feature.REPLACE} if isinstance(command, ReplaceOrder) else set()
    found |= {Feature.MASS_CANCEL} if isinstance(command, CancelAll) else set()
    found |= {Feature.GTD} if isinstance(command, Advance) else set()
    return found


@pytest.mark.parametrize("missing", sorted(ALL_FEATURES))
def test_what_an_engine_lacks_is_never_asked_of_it(missing: Feature) -> None:
    sent = commands_sent(set(ALL_FEATURES - {missing}))
    assert not [command for command in sent if missing in uses(command)]
    ids = [command.order_id for command in sent if isinstance(command, SubmitOrder)]
    assert len(ids) > 40


def test_every_feature_is_asked_of_an_engine_that_has_it() -> None:
    asked = set().union(*(uses(command) for command in commands_sent(set(ALL_FEATURES))))
    assert asked == ALL_FEATURES - {Feature.REUSED_IDS}


def test_ids_come_again_only_where_an_engine_allows_it() -> None:
    run_state_machine_as_test(machine_for(FreshIds, features=ALL_FEATURES - {Feature.REUSED_IDS}), settings=QUICK)
    assert "came again" in failure_of(machine_for(FreshIds))


class FreshIds(LobsimEngine):
    """Refuses to see an id again once its order is done."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def apply(self, command: Command) -> list[Event]:
        if isinstance(command, SubmitOrder):
            order_id = command.order_id
            assert order_id not in self.seen or order_id in self.book, f"id {order_id} came again"
            self.seen.add(order_id)
        return super().apply(command)


def test_without_bad_input_nothing_is_rejected_but_what_came_too_late() -> None:
    NoRejections.count = 0
    features = ALL_FEATURES - {Feature.BAD_INPUT, Feature.POST_ONLY}
    run_state_machine_as_test(machine_for(NoRejections, features=features), settings=QUICK)
    assert NoRejections.count > 100


class NoRejections(LobsimEngine):
    count = 0

    def apply(self, command: Command) -> list[Event]:
        events = super().apply(command)
        NoRejections.count += 1
        assert not [event for event in events if event[0] == EventKind.REJECTED]
        return events


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"make_engine": 5}, TypeError, "make_engine must be a function"),
        ({"make_engine": dict}, TypeError, "dict has no method apply or bids or asks"),
        ({"make_engine": lambda: ONE_ENGINE}, ValueError, "same engine twice"),
        ({"features": "market"}, TypeError, "features must be a collection"),
        ({"features": ["markett", "stop"]}, ValueError, r"unknown features \['markett'\]"),
        ({"features": 3}, TypeError, "features must be a collection"),
        ({"kinds": [99]}, ValueError, "99"),
        ({"kinds": "TRADE"}, TypeError, "kinds must be a collection"),
        ({"kinds": 1}, TypeError, "kinds must be a collection"),
        ({"ignore": ["purpos"]}, ValueError, r"ignore: unknown names \['purpos'\]"),
        ({"ignore": ["kind"]}, ValueError, r"ignore: unknown names \['kind'\]"),
        ({"ignore": "purpose"}, TypeError, "ignore must be a collection"),
        ({"questions": ["walks"]}, ValueError, r"questions: unknown names \['walks'\]"),
        ({"span": 4}, TypeError, "span must be a Range"),
    ],
)
def test_arguments_that_cannot_work_are_refused_at_once(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        machine_for(**{"make_engine": LobsimEngine, **arguments})


def test_a_book_that_is_not_empty_at_first_is_refused() -> None:
    def make_engine() -> LobsimEngine:
        engine = LobsimEngine()
        engine.book.submit(1, Side.BUY, 1, 100)
        return engine

    with pytest.raises(ValueError, match="not empty"):
        machine_for(make_engine)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"centre": 0}, "centre must be"),
        ({"spread": 100}, "spread must be a whole number from 0 to below centre=100"),
        ({"spread": -1}, "spread must be"),
        ({"max_qty": 0}, "max_qty must be"),
        ({"order_ids": 1.5}, "order_ids must be"),
        ({"owners": 0}, "owners must be"),
    ],
)
def test_ranges_that_cannot_work_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Range(**arguments)


def test_the_range_bounds_what_is_sent() -> None:
    span = Range(centre=1000, spread=1, max_qty=2, order_ids=3, owners=1)
    features = ALL_FEATURES - {Feature.BAD_INPUT}
    Recorder.seen = []
    run_state_machine_as_test(
        machine_for(Recorder, features=features - {Feature.REUSED_IDS}, span=span), settings=QUICK
    )
    orders = [command for command in Recorder.seen if isinstance(command, SubmitOrder)]
    assert {order.price for order in orders} == {None, 999, 1000, 1001}
    assert {order.qty for order in orders} == {1, 2}
    assert {order.owner for order in orders} == {0, 1}


def test_replay_runs_a_fixed_list() -> None:
    commands = [SubmitOrder(1, Side.BUY, 5, 100), SubmitOrder(2, Side.SELL, 3, 99), CancelOrder(1)]
    replay(LobsimEngine, commands)
    with pytest.raises(ValueError, match="before the book's time 7"):
        replay(LobsimEngine, [Advance(7), CancelOrder(1, 6)])
