"""Value traders whose capital is finite."""

import pytest

from lobsim.events import EventKind, Purpose, Side
from tests.agents.stage import Stage

BUY, SELL = Side.BUY, Side.SELL
BUYERS = {"reference": "ALT", "rate": 2.0, "notional": 50.0, "order_latency": "0s", "feed_latency": "0s"}


def traded(stage):
    """Quote units bought less those sold by the value traders."""
    trades = [event for event in stage.log.of(EventKind.TRADE) if event[7] == Purpose.VALUE]
    return sum((-1 if event[4] else 1) * event[5] * event[6] / 100 for event in trades)


def stage_with(book_side, price, **values):
    stage = Stage()
    stage.tell("ALT", 1.0)
    stage.order(stage.pool, book_side, 10**6, price)
    stage.agent("value-traders", "crowd", **BUYERS, **values)
    return stage


@pytest.mark.parametrize(("book_side", "price", "sign"), [(SELL, 90, 1), (BUY, 110, -1)])
def test_they_put_in_what_they_have_and_no_more(book_side, price, sign):
    stage = stage_with(book_side, price, budget=1_000.0)
    stage.seconds(300)
    assert 0.97 * 1_000 < sign * traded(stage) <= 1_000 + 50  # the last sale may fetch more than its limit
    count = len(stage.log.of(EventKind.TRADE))
    stage.seconds(600)
    assert len(stage.log.of(EventKind.TRADE)) <= count + 5


def test_what_they_sell_again_they_can_spend_again():
    stage = stage_with(SELL, 90, budget=1_000.0)
    stage.seconds(200)
    stage.cancel_all(stage.pool)
    stage.order(stage.pool, BUY, 10**6, 110)
    stage.seconds(600)
    assert -1_100 < traded(stage) < -980  # from all in to all out
    stage.check()


def test_with_time_it_leaves_for_elsewhere():
    stage = stage_with(SELL, 90, budget=1_000.0, budget_recovery="100s")
    stage.seconds(1_000)
    assert 9_000 < traded(stage) < 11_500  # the budget at once, then a hundredth of it a second


def test_without_a_budget_nothing_has_changed():
    stages = []
    for values in ({}, {"budget": 1e12}):
        stage = stage_with(SELL, 90, **values)
        stage.seconds(300)
        stages.append(stage)
    assert stages[0].log.seen == stages[1].log.seen
    assert traded(stages[0]) > 20_000


def test_a_recovery_needs_a_budget():
    with pytest.raises(ValueError, match="budget_recovery: without a budget there is nothing to recover"):
        Stage().params("value-traders", reference="ALT", rate=1.0, notional=1.0, budget_recovery="1s")
