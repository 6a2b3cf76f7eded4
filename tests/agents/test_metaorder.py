"""Metaorders: parents of the sizes asked for, cut into equal children over their time, in notes that say so."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.events import EventKind, Purpose, Reason, Side
from lobsim.units import NS_PER_S
from tests.agents.stage import Stage

BUY, SELL = Side.BUY, Side.SELL
FIXED = {
    "smallest_qty": 100.0,
    "largest_qty": 100.0,
    "duration": "60s",
    "slice": "5s",
    "rest": "20s",
    "order_latency": "0s",
    "feed_latency": "0s",
}


def played(seconds, seed=1, **values):
    """(parents as (began, ended, signed lots, children), stage) of a market that takes everything."""
    stage = Stage(seed=seed)
    for side, price in ((BUY, 9_900), (SELL, 10_100)):
        stage.order(stage.pool, side, 10**12, price)
    given_keys = {**FIXED, **values}
    stage.agent("metaorders", "crowd", **{key: value for key, value in given_keys.items() if value is not None})
    stage.seconds(seconds)
    children = [event for event in stage.log.of(EventKind.ACCEPTED) if event[7] == Purpose.METAORDER]
    parents = []
    for (began, name, lots, unit), (ended, last, again, _) in zip(stage.notes[::2], stage.notes[1::2], strict=False):
        assert (name, last, unit, again) == ("metaorder_began", "metaorder_ended", "lots", lots)
        parents.append((began, ended, lots, [event for event in children if began < event[1] <= ended]))
    return parents, stage


@given(
    qty=st.integers(1, 5_000),
    seconds=st.integers(1, 300),
    slice_ms=st.integers(50, 20_000),
    seed=st.integers(0, 1_000),
)
@settings(max_examples=60, deadline=None)
def test_children_add_up_to_their_parent_and_differ_by_a_lot_at_most(qty, seconds, slice_ms, seed):
    size = {"smallest_qty": float(qty), "largest_qty": float(qty), "duration": f"{seconds}s", "slice": f"{slice_ms}ms"}
    parents, _ = played(900, seed=seed, **size)
    slices = max(1, round(seconds * 1_000 / slice_ms))
    for began, ended, lots, children in parents:
        assert abs(lots) == qty
        assert sum(event[6] for event in children) == qty
        assert {event[4] for event in children} == {BUY if lots > 0 else SELL}
        assert len(children) == min(slices, qty)
        assert {event[6] for event in children} <= {qty // slices, qty // slices + 1}
        assert ended == children[-1][1]
        assert 0 <= ended - began - (slices - 1) * slice_ms * 1_000_000 <= slice_ms * 1_000_000 + slices
        places = [(event[1] - began) // (slice_ms * 1_000_000 + 1) for event in children]
        assert places == sorted(set(places))  # one to a slice


def test_children_are_market_orders_at_random_moments_of_their_slices():
    parents, stage = played(4_000)
    moments = [
        (event[1] - began) % (5 * NS_PER_S) / NS_PER_S for began, _, _, children in parents for event in children
    ]
    assert len(moments) > 300
    assert abs(sum(moments) / len(moments) - 2.5) < 0.3
    assert min(moments) < 0.2
    assert max(moments) > 4.8
    assert {event[5] for event in stage.log.of(EventKind.ACCEPTED) if event[7] == Purpose.METAORDER} == {None}
    assert {event[7] for event in stage.log.of(EventKind.TRADE)} == {Purpose.METAORDER}


def test_both_sides_come_and_the_pauses_are_exponential():
    parents, _ = played(40_000, duration="10s")
    assert 0.4 < sum(lots > 0 for _, _, lots, _ in parents) / len(parents) < 0.6
    pauses = [(after[0] - before[1]) / NS_PER_S for before, after in pairwise(parents)]
    assert abs(sum(pauses) / len(pauses) - 20) < 2.5
    assert abs(sum(pause > 20 for pause in pauses) / len(pauses) - math.exp(-1)) < 0.05


@pytest.mark.parametrize("tail", [0.0, 1.5, 3.0])
def test_sizes_are_those_of_a_truncated_pareto_law(tail):
    low, high = 100.0, 10_000.0
    values = {"smallest_qty": low, "largest_qty": high, "tail": tail, "duration": "1s", "slice": "1s", "rest": "1s"}
    parents, _ = played(5_000, **values)
    sizes = [abs(lots) for _, _, lots, _ in parents]
    assert len(sizes) > 2_000
    assert low <= min(sizes) <= max(sizes) <= high
    for size in (150, 300, 1_000, 3_000):
        if tail:
            above = (size**-tail - high**-tail) / (low**-tail - high**-tail)
        else:
            above = math.log(high / size) / math.log(high / low)
        share = sum(found > size for found in sizes) / len(sizes)
        assert abs(share - above) < 5 * math.sqrt(above * (1 - above) / len(sizes)) + 0.002


def test_at_a_pace_larger_ones_take_longer():
    parents, _ = played(20_000, smallest_qty=50.0, largest_qty=5_000.0, tail=0.0, duration=None, pace=10.0)
    assert len({abs(lots) for _, _, lots, _ in parents}) > 20
    for began, ended, lots, _ in parents:
        assert -7.6 <= (ended - began) / NS_PER_S - abs(lots) / 10.0 <= 2.6


def test_what_finds_nobody_is_not_tried_again():
    stage = Stage()
    stage.agent("metaorders", "crowd", **FIXED)
    stage.seconds(300)
    children = [event for event in stage.log.of(EventKind.ACCEPTED) if event[7] == Purpose.METAORDER]
    assert children
    cancels = stage.log.of(EventKind.CANCELED)
    assert {event[7] for event in cancels} == {Reason.NO_LIQUIDITY}
    assert [event[6] for event in cancels] == [event[6] for event in children]
    assert len(stage.book) == 0


def test_draws_do_not_depend_on_the_market():
    full = [event[1:7] for _, _, _, children in played(500)[0] for event in children]
    stage = Stage()
    stage.agent("metaorders", "crowd", **FIXED)
    stage.seconds(500)
    empty = [event for event in stage.log.of(EventKind.ACCEPTED) if event[7] == Purpose.METAORDER]
    assert full
    assert [(e[0], *e[3:]) for e in full] == [(e[1], *e[4:7]) for e in empty][: len(full)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"smallest_qty": 2.0, "largest_qty": 1.0}, r"smallest_qty \(2\) must not be larger than largest_qty \(1\)"),
        ({"pace": 5.0}, "one of duration and pace is wanted, and only one"),
        ({"duration": None}, "one of duration and pace is wanted, and only one"),
        ({"slice": "0s"}, "slice"),
        ({"rest": "0s"}, "rest"),
        ({"tail": -1.0}, "tail"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(values, message):
    keys = {key: value for key, value in {**FIXED, **values}.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        Stage().params("metaorders", **keys)
