from __future__ import annotations

import pytest

from lobsim.events import Advance, CancelOrder, Command, Purpose, Side, SubmitOrder, TimeInForce
from lobsim.testing import ALL_FEATURES, Feature, MismatchError, ReferenceBook
from lobsim.testing.comparison import Comparison, Terms
from lobsim.testing.minimise import minimised
from tests.testing.adapters import LobsimEngine

BUY, SELL = Side
RICH = SubmitOrder(7, BUY, 9, 100, 30, TimeInForce.GTD, 5, Purpose.QUOTE, post_only=True, display_qty=2, expire_ns=40)
NOISE: list[Command] = [SubmitOrder(n, SELL, n, 200 + n, n) for n in range(1, 20)]


def meets_itself(commands: list[Command]) -> bool:
    """Fails when a buy of at least 3 lots is followed by a cancel of it."""
    bought = None
    for command in commands:
        if isinstance(command, SubmitOrder) and command.side == BUY and command.qty >= 3:
            bought = command.order_id
        elif isinstance(command, CancelOrder) and command.order_id == bought:
            return True
    return False


def test_only_what_the_failure_needs_is_left() -> None:
    commands = [*NOISE, RICH, Advance(33), *[CancelOrder(n, 34) for n in range(1, 20)]]
    assert minimised(commands, meets_itself, ALL_FEATURES) == [SubmitOrder(7, BUY, 3, 100, 0), CancelOrder(7, 0)]


def test_a_list_that_cannot_be_simpler_stays() -> None:
    commands = [SubmitOrder(1, BUY, 1, 100), SubmitOrder(2, SELL, 1, 100)]
    assert minimised(commands, lambda candidate: candidate == commands, ALL_FEATURES) == commands


def test_the_work_is_bounded() -> None:
    trials = []

    def never_twice_the_same(commands: list[Command]) -> bool:
        trials.append(commands)
        return len(trials) % 7 == 0

    minimised([SubmitOrder(n, BUY, 10**9, 100) for n in range(50)], never_twice_the_same, ALL_FEATURES)
    assert len(trials) <= 1500


def test_nothing_is_tried_that_the_engine_was_promised_never_to_see() -> None:
    commands = [SubmitOrder(1, BUY, 1, 100, 0), CancelOrder(1, 0), SubmitOrder(1, BUY, 1, 100, 0)]

    def fails(candidate: list[Command]) -> bool:
        return len([command for command in candidate if isinstance(command, SubmitOrder)]) == 2

    assert minimised(commands, fails, ALL_FEATURES) == [commands[0], commands[2]], "the second id is refused"
    assert minimised(commands, fails, ALL_FEATURES - {Feature.BAD_INPUT}) == commands


class Moody(LobsimEngine):
    """Wrong only in its first life, so that no simpler list ever fails."""

    lives = 0

    def __init__(self) -> None:
        super().__init__()
        Moody.lives += 1
        self.wrong = Moody.lives == 1

    def apply(self, command: Command) -> list:
        return [] if self.wrong else super().apply(command)


def test_an_engine_that_fails_only_once_is_told_as_it_failed() -> None:
    Moody.lives = 0
    terms = Terms.parse(None, (), None, True)
    comparison = Comparison(Moody, terms, lambda commands, fails: minimised(commands, fails, ALL_FEATURES))
    with pytest.raises(MismatchError) as failure:
        comparison.step(SubmitOrder(1, BUY, 5, 100))
    assert "reference  OrderAccepted(" in str(failure.value)
    assert "SubmitOrder(order_id=1, side=Side.BUY, qty=5, price=100)" in str(failure.value)


def test_the_reference_agrees_with_itself() -> None:
    comparison = Comparison(ReferenceBook, Terms.parse(None, (), None, True))
    for command in [*NOISE, RICH]:
        comparison.step(command)
