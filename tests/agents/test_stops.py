"""Stop-loss orders."""

import math

import pytest

from lobsim.events import EventKind, Purpose, Side
from tests.agents.stage import Stage

BUY, SELL = Side.BUY, Side.SELL
NEAR = {"reference": "ALT", "order_latency": "0s", "feed_latency": "0s"}


def placed(stage):
    return [event for event in stage.log.of(EventKind.ACCEPTED) if event[7] == Purpose.STOP_OUT]


@pytest.mark.parametrize("side", ["sell", "buy"])
@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_they_sleep_at_the_stated_distances_and_are_worth_what_is_stated(side, exponent):
    stage = Stage()
    stage.trade(10_000)
    stage.tell("ALT", 100.0)
    values = {"notional": 50_000_000.0, "orders": 2_000, "nearest": 0.05, "furthest": 0.25, "exponent": exponent}
    stage.agent("stop-losses", "crowd", **NEAR, **values, side=side)
    stage.seconds(1)
    orders = placed(stage)
    assert len(orders) == 2_000
    assert {(event[4], event[5]) for event in orders} == {(SELL if side == "sell" else BUY, None)}
    sign = -1 if side == "sell" else 1
    distances = [sign * (event[9] / 10_000 - 1) for event in orders]
    assert all(0.0499 < distance < 0.2501 for distance in distances)
    for part in (0.1, 0.5, 0.9):
        share = sum(distance - 0.05 <= 0.2 * part for distance in distances) / 2_000
        assert abs(share - part**exponent) < 5 * math.sqrt(0.25 / 2_000)
    worth = sum(event[9] * event[6] / 100 for event in orders)
    assert 0.95 * 50_000_000 < worth <= 50_000_000
    assert (stage.book.bids(), stage.book.asks()) == ([], [])  # stops are no depth


def test_they_set_each_other_off():
    stage = Stage()
    stage.trade(100)
    stage.tell("ALT", 1.0)
    values = {"notional": 1_000.0, "orders": 50, "nearest": 0.01, "furthest": 0.5, "size_sigma": 0.0}
    stage.agent("stop-losses", "crowd", **NEAR, **values)
    stage.seconds(1)
    for price in range(99, 39, -1):
        stage.order(stage.pool, BUY, 10, price)
    stage.order(stage.crowd, SELL, 60, 40)  # walks down a few ticks; stops do the rest
    woken = stage.log.of(EventKind.TRIGGERED)
    assert len(woken) > 40
    trades = stage.log.of(EventKind.TRADE)
    assert {event[7] for event in trades[-10:]} == {Purpose.STOP_OUT}
    stage.check()


def test_they_need_a_reference_and_a_notional():
    stage = Stage()
    stage.feeds.references["ALT"] = type(stage.feeds.markets[0])()
    stage.agent("stop-losses", "crowd", **NEAR, notional=1_000.0)
    stage.seconds(10)
    assert stage.log.seen == []
    stage = Stage()
    stage.agent("stop-losses", "crowd", **NEAR, notional=0.0)
    assert stage.clock._queue == []


def test_near_must_be_nearer_than_far():
    with pytest.raises(ValueError, match=r"nearest \(0.5\) must be smaller than furthest \(0.5\)"):
        Stage().params("stop-losses", reference="ALT", notional=1.0, nearest=0.5, furthest=0.5)
