"""Paths on a trailing average: crossings, lows and recoveries, by hand and against naive sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.measure.measures import GROUP_MEASURES, INSTRUMENT_MEASURES, Figures, spearman, synchrony
from lobsim.measure.study import Study, carried, trailing_vwap
from tests.measure.worlds import SHOCK_S, S, World

TRADES = st.lists(st.tuples(st.integers(0, 39), st.integers(1, 1000), st.integers(1, 50)), max_size=60)


def figure(study, name, book):
    return INSTRUMENT_MEASURES[name].compute(study, study.paths[book])


@given(trades=TRADES, window=st.integers(1, 45))
def test_trailing_vwap_is_the_average_of_the_window_or_what_it_was(trades, window):
    value, lots = np.zeros(40), np.zeros(40)
    for second, price, qty in trades:
        value[second] += price * qty
        lots[second] += qty
    last = float("nan")
    for second, found in enumerate(trailing_vwap(value, lots, window)):
        inside = [(price, qty) for at, price, qty in trades if second - window < at <= second]
        if inside:
            last = sum(price * qty for price, qty in inside) / sum(qty for _, qty in inside)
        assert found == pytest.approx(last, nan_ok=True)


def test_a_price_that_fell_to_a_millionth_is_not_lost_in_the_sums():
    value = np.concatenate([np.full(100, 1e12), np.full(100, 3.0)])
    assert trailing_vwap(value, np.ones(200))[-1] == 3.0


def test_carried_keeps_the_beginning_unknown():
    nan = float("nan")
    assert np.array_equal(carried(np.array([nan, 1, nan, 2, nan])), [nan, 1, 1, 2, 2], equal_nan=True)
    assert carried(np.array([])).size == 0


def crash() -> World:
    """A falls from 100 to 50 in one step 300 s after the shock, prints 20 once, and is back at 80 from 1500 s on."""
    world = World()
    world.path("A-USDT", {0: 10_000, SHOCK_S + 300: 5_000, 1500: 8_000}, 2000)
    world.trade(SHOCK_S + 400.5, "A-USDT", 2_000)
    return world


def test_times_by_hand():
    study = Figures.of(crash().run())
    path = study.paths["A-USDT"]
    assert (path.reference, path.low, path.close) == (10_000, 2_000, 8_000)
    assert path.low_trade_ns == int((SHOCK_S + 400.5) * S)
    assert figure(study, "fall", "A-USDT") == 0.8
    assert figure(study, "low", "A-USDT") == 20.0
    assert figure(study, "end_over_start", "A-USDT") == 0.8
    # of 60 lots k are at 50: 100 - 50 k / 60 <= 90 from k = 12 on, the second 300 + 11, known at its end
    assert figure(study, "crossing", "A-USDT") == 312
    # from second 400 on the window of 61 lots has the print of 20 in it; it first is all at 50 long before
    assert figure(study, "low_after", "A-USDT") == 401
    assert figure(study, "to_low", "A-USDT") == 401 - 312
    lowest = (60 * 5_000 + 2_000) / 61
    middle = (10_000 + lowest) / 2
    need = next(k for k in range(61) if 5_000 + k * 3_000 / 60 >= middle)
    assert figure(study, "half_recovery", "A-USDT") == 1500 + need - (SHOCK_S + 401)
    assert figure(study, "half_recovery_after", "A-USDT") == 1500 + need - SHOCK_S


def test_a_price_that_never_fell_has_no_times():
    world = World()
    world.path("A-USDT", {0: 10_000, 700: 10_500}, 900)
    study = Figures.of(world.run())
    assert figure(study, "fall", "A-USDT") == 0  # the trade at the shock itself is at the reference
    for name in ("crossing", "to_low", "half_recovery", "half_recovery_after", "impact_ratio", "depth_lost"):
        assert figure(study, name, "A-USDT") is None
    assert study.paths["B-USDT"].fall is None
    assert study.paths_of(["B-USDT"]) == []


def test_no_shock_counts_from_the_first_trade():
    world = World()
    world.path("A-USDT", {50: 10_000, 100: 5_000}, 200)
    study = Study.of(world.run(shock_s=None))
    path = study.paths["A-USDT"]
    assert study.shock_ns is None
    assert (path.reference, path.from_ns, path.fall) == (10_000, 50 * S, 0.5)
    assert path.crossing_ns(0.1) == 112 * S


@settings(deadline=None, max_examples=25)
@given(crossings=st.lists(st.integers(10, 300), min_size=3, max_size=3))
def test_synchrony_is_the_shortest_span_of_eighty_percent(crossings):
    world = World()
    for book, second in zip(("A-USDT", "B-USDT", "C-USDT"), crossings, strict=True):
        world.path(book, {0: 10_000, SHOCK_S + second: 1}, SHOCK_S + 400)
    study = Figures.of(world.run())
    assert synchrony(study, study.focus) == max(crossings) - min(crossings)  # 80 % of 3, rounded up, are all 3


def test_synchrony_needs_enough_of_the_group():
    world = World()
    world.path("A-USDT", {0: 10_000, SHOCK_S + 10: 1}, SHOCK_S + 99)
    study = Figures.of(world.run())
    assert synchrony(study, study.focus) is None
    assert synchrony(study, ["A-USDT"]) == 0


def test_rank_correlation():
    assert spearman([1, 2, 3], [9, 5, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 3, 4], [1, 4, 9, 2]) == pytest.approx(0.4)  # 1 - 6 (0 + 1 + 1 + 4) / 60
    assert spearman([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(0.9**0.5)  # ties share the rank 1.5
    assert spearman([1, 1, 1], [1, 2, 3]) is None


@pytest.mark.parametrize(("volumes", "expected"), [({}, 0.5), ({"A-USDT": 3.0, "B-USDT": 2.0, "C-USDT": 1.0}, -1.0)])
def test_thin_coins_and_deep_falls(volumes, expected):
    world = World(volumes=volumes)
    for book, qty, low in (("A-USDT", 10, 9_000), ("B-USDT", 30, 5_000), ("C-USDT", 20, 2_000)):
        world.trade(10, book, 10_000, qty)
        world.trade(SHOCK_S + 10, book, low, 1)
    study = Figures.of(world.run())
    measure = GROUP_MEASURES["volume_fall_correlation"]
    assert measure.compute(study, study.focus) == pytest.approx(expected)
    assert measure.compute(study, study.focus[:2]) is None


def test_depth_lost_is_the_worst_minute_against_the_median_before():
    world = World()
    for second in range(0, SHOCK_S, 30):
        world.keyframe(second, "A-USDT", [(10_000, 10), (9_900, 5), (9_899, 99)], 10_100)
    for second, lots in ((SHOCK_S, 15), (SHOCK_S + 60, 4), (SHOCK_S + 90, 2), (SHOCK_S + 120, 0), (SHOCK_S + 150, 15)):
        world.keyframe(second, "A-USDT", [(10_000, lots)] if lots else [], 10_100)
    study = Figures.of(world.run())
    usual = 10 * 100 + 5 * 99  # 9,899 is more than 1 % below the best bid
    assert study.depth_lost["A-USDT"] == pytest.approx(1 - (4 + 2) / 2 * 100 / usual)
    assert study.depth_lost["B-USDT"] is None  # never a bid


def test_move_per_million_in_the_vacuum_over_calm():
    world = World()
    for minute in range(10):  # calm: +- 1 % on 1,000 lots a minute
        world.trade(60 * minute + 30, "A-USDT", 10_000 if minute % 2 else 10_100, 1_000)
    world.trade(SHOCK_S + 30, "A-USDT", 5_000, 10)
    world.trade(SHOCK_S + 90, "A-USDT", 2_000, 10)
    world.keyframe(SHOCK_S + 300, "A-USDT", [], 10_000)  # the run goes on, without trades
    study = Figures.of(world.run())
    calm = np.median([np.log(1.01) / (price * 10) for price in (10_000, 10_100) * 4 + (10_000,)])
    first, second = np.log(2) / 500, np.log(2.5) / 200
    ratio, worst = study.impact["A-USDT"]
    assert worst == pytest.approx(second / calm, rel=0.02)
    assert ratio == pytest.approx((first + second) / 2 / calm, rel=0.02)
