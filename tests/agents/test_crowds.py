"""Panic sellers, value traders, patient and stray orders."""

import math

import pytest

from lobsim.errors import InputError
from lobsim.events import EventKind, Purpose, Reason, Side
from lobsim.units import NS_PER_S
from tests.agents.stage import Stage

BUY, SELL = Side.BUY, Side.SELL
NEAR = {"reference": "ALT", "order_latency": "0s", "feed_latency": "0s"}
PANIC = {**NEAR, "qty": 1_000.0, "order_qty": 20.0, "decay": "30s"}


def sent(stage, purpose):
    return [event for event in stage.log.of(EventKind.ACCEPTED) if event[7] == purpose]


def falls(stage, *steps):
    """(second, value) of the reference, told at those moments."""
    for second, value in steps:
        stage.seconds(second)
        stage.tell("ALT", value)


@pytest.mark.parametrize(("fall", "jumps"), [(0.10, 1.0), (0.17, 1.7), (0.30, 3.0)])
def test_panic_sells_the_stated_amount_in_proportion_to_the_fall(fall, jumps):
    stage = Stage()
    stage.tell("ALT", 1.0)
    stage.agent("panic-sellers", "crowd", **PANIC)
    falls(stage, (10, 1.0 - fall))
    stage.seconds(600)
    orders = sent(stage, Purpose.SHOCK)
    assert abs(sum(event[6] for event in orders) - 1_000 * jumps) <= 1
    assert all(event[1] > 10 * NS_PER_S for event in orders)
    assert all((event[4], event[5]) == (SELL, None) for event in orders)


def test_panic_fades_exponentially():
    sold = {30: 0, 60: 0}
    for seed in range(10):
        stage = Stage(seed=seed)
        stage.tell("ALT", 1.0)
        stage.agent("panic-sellers", "crowd", **PANIC)
        falls(stage, (10, 0.8))
        stage.seconds(70)
        for after in sold:
            sold[after] += sum(e[6] for e in sent(stage, Purpose.SHOCK) if e[1] <= (10 + after) * NS_PER_S)
    for after, lots in sold.items():
        assert abs(lots / 20_000 - (1 - math.exp(-after / 30))) < 0.05


@pytest.mark.parametrize("steps", [[(5, 1.0), (10, 1.5)], [(5, 0.96), (10, 0.93), (15, 0.90)], []])
def test_neither_a_rise_nor_a_slow_fall_frightens_anybody(steps):
    stage = Stage()
    stage.tell("ALT", 1.0)
    stage.agent("panic-sellers", "crowd", **PANIC)
    falls(stage, *steps)
    stage.seconds(100)
    assert stage.log.seen == []


def test_a_second_fall_adds_to_what_is_left():
    stage = Stage()
    stage.tell("ALT", 1.0)
    stage.agent("panic-sellers", "crowd", **PANIC)
    falls(stage, (10, 0.9), (20, 0.72))
    stage.seconds(900)
    assert abs(sum(event[6] for event in sent(stage, Purpose.SHOCK)) - 3_000) <= 1


def test_panic_hears_of_the_fall_after_both_latencies():
    stage = Stage()
    stage.tell("ALT", 1.0)
    stage.agent("panic-sellers", "crowd", **{**PANIC, "order_latency": "2s", "feed_latency": "3s"})
    stage.seconds(10)
    falls(stage, (10, 0.5))
    stage.seconds(14.99)
    assert stage.log.seen == []
    stage.seconds(60)
    assert stage.log.seen


def test_no_panic_without_a_quantity():
    stage = Stage()
    stage.agent("panic-sellers", "crowd", **{**PANIC, "qty": 0.0})
    assert stage.clock._queue == []


def test_value_traders_take_what_is_on_the_right_side_of_the_reference_and_never_wait():
    stage = Stage()
    stage.tell("ALT", 1.0)
    stage.order(stage.pool, SELL, 10**6, 97)
    stage.order(stage.pool, BUY, 10**6, 96)
    stage.agent("value-traders", "crowd", **NEAR, rate=2.0, notional=50.0, edge=0.02)
    stage.seconds(500)
    orders = sent(stage, Purpose.VALUE)
    prices = {side: {event[5] for event in orders if event[4] == side} for side in Side}
    assert prices == {BUY: {98}, SELL: {102}}
    for side in Side:
        assert abs(sum(event[4] == side for event in orders) - 1_000) < 160
    trades = stage.log.of(EventKind.TRADE)
    assert {(event[4], event[5]) for event in trades} == {(BUY, 97)}
    assert abs(sum(event[6] * event[5] / 100 for event in trades) / len(trades) - 50) < 8
    assert len(stage.book) == 2


def test_value_traders_wait_for_a_value():
    stage = Stage()
    stage.tell("ALT", 1.0)
    stage.agent("value-traders", "crowd", **{**NEAR, "feed_latency": "50s"}, rate=2.0, notional=50.0)
    stage.seconds(49)
    assert stage.log.seen == []
    stage.seconds(60)
    assert stage.log.seen


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_patient_orders_lie_at_power_law_distances_and_cost_the_pool(side):
    stage = Stage()
    stage.tell("ALT", 100.0)
    pool = {"pool": 10_000_000.0, "orders": 2_000, "max_distance": 0.8, "exponent": 0.67}
    stage.agent("patient-orders", "crowd", **NEAR, **pool, side=side)
    stage.seconds(1)
    orders = sent(stage, Purpose.PATIENT)
    assert len(orders) == 2_000
    distances = [abs(event[5] / 10_000 - 1) for event in orders]
    assert {event[4] for event in orders} == {BUY if side == "buy" else SELL}
    assert all((event[5] <= 10_000) == (side == "buy") or event[5] == 10_000 for event in orders)
    assert max(distances) <= 0.8 + 1e-4
    for part in (0.05, 0.2, 0.5, 0.8):
        share = sum(distance <= part * 0.8 for distance in distances) / 2_000
        assert abs(share - part**0.67) < 5 * math.sqrt(0.25 / 2_000)
    spent = sum(event[5] * event[6] / 100 for event in orders)
    assert 0.95 * 10_000_000 < spent <= 10_000_000
    assert {event[1] for event in orders} == {1}


def test_patient_money_comes_anew_beside_the_reference_of_the_moment():
    stage = Stage()
    stage.tell("ALT", 100.0)
    pool = {"pool": 100_000.0, "orders": 100, "max_distance": 0.1, "refill_per_minute": 0.5}
    stage.agent("patient-orders", "crowd", **NEAR, **pool)
    stage.seconds(1)
    stage.tell("ALT", 50.0)
    stage.seconds(1_201)
    orders = sent(stage, Purpose.PATIENT)
    assert abs(len(orders) - 100 - 20 * 50) < 160
    assert all(9_000 <= event[5] <= 10_000 for event in orders[:100])
    assert all(4_500 <= event[5] <= 5_000 for event in orders[102:])


def test_an_empty_pool_places_nothing():
    stage = Stage()
    stage.agent("patient-orders", "crowd", **NEAR, pool=0.0, refill_per_minute=1.0)
    assert stage.clock._queue == []


def test_stray_bids_are_log_uniform_in_their_distance():
    stage = Stage()
    stage.tell("ALT", 100.0)
    stage.agent("stray-bids", "crowd", **NEAR, notional=1_000_000.0, orders=2_000, nearest=0.1, furthest=0.9)
    stage.seconds(60)
    orders = sent(stage, Purpose.STRAY)
    assert len(orders) == 2_000
    assert {event[4] for event in orders} == {BUY}
    positions = [math.log((1 - event[5] / 10_000) / 0.1) / math.log(9) for event in orders]
    assert all(-0.001 < position < 1.001 for position in positions)
    for part in (0.1, 0.3, 0.5, 0.9):
        share = sum(position <= part for position in positions) / 2_000
        assert abs(share - part) < 5 * math.sqrt(0.25 / 2_000)
    assert {event[1] for event in orders} == {1}


def test_stray_bids_know_which_end_is_near():
    with pytest.raises(ValueError, match=r"nearest \(0.5\) must be smaller than furthest \(0.5\)"):
        Stage().params("stray-bids", reference="ALT", notional=1.0, nearest=0.5, furthest=0.5)


@pytest.mark.parametrize("text", ["5", "5 minutes", "", "-1s", 5])
def test_durations_are_text_with_a_unit(text):
    with pytest.raises((ValueError, InputError), match="duration"):
        Stage().params("stray-bids", reference="ALT", notional=1.0, order_latency=text)


def test_panic_in_an_empty_book_leaves_nothing_behind():
    stage = Stage()
    stage.tell("ALT", 1.0)
    stage.agent("panic-sellers", "crowd", **PANIC)
    falls(stage, (1, 0.5))
    stage.seconds(60)
    assert {event[7] for event in stage.log.of(EventKind.CANCELED)} == {Reason.NO_LIQUIDITY}
    assert len(stage.book) == 0
