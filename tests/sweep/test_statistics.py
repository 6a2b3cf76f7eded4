"""Intervals: what they cover, what they are when there is little to go by, and that they are reproducible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.sim.streams import Stream
from lobsim.sweep.statistics import (
    Interval,
    mean_interval,
    paired_difference,
    paired_share_difference,
    quartiles,
    share_interval,
    student_t,
    two_way_interval,
)

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
samples = st.lists(numbers, min_size=2, max_size=30)


def _draws(name: str) -> np.random.Generator:  # noqa: TID251 - the type only
    return Stream(5, name).generator("test")


@settings(max_examples=40, deadline=None)
@given(values=samples)
def test_an_interval_holds_its_mean_and_stays_within_the_values(values: list[float]) -> None:
    found = mean_interval(values, "x", resamples=300)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    slack = 1e-6 * (1 + max(map(abs, values)))
    assert min(values) - slack <= found.low <= found.value <= found.high <= max(values) + slack
    assert found.value == pytest.approx(sum(values) / len(values), abs=1e-3)
    assert found.n == len(values)


@settings(max_examples=30, deadline=None)
@given(values=samples, shift=st.integers(-1000, 1000))
def test_shifting_all_values_shifts_the_interval(values: list[float], shift: int) -> None:
    plain = mean_interval(values, "x", resamples=200)
    shifted = mean_interval([value + shift for value in values], "x", resamples=200)
    assert plain is not None
    assert shifted is not None
    assert shifted[:3] == pytest.approx([None if one is None else one + shift for one in plain[:3]], abs=1e-3)


def test_an_interval_belongs_to_its_name_and_seed() -> None:
    values = _draws("values").normal(size=12)
    first, again, other, reseeded = (
        mean_interval(values, name, seed=seed, resamples=500) for name, seed in (("a", 0), ("a", 0), ("b", 0), ("a", 1))
    )
    assert first == again
    assert first not in (other, reseeded)


@pytest.mark.parametrize(("size", "least"), [(5, 0.90), (20, 0.92)])
def test_paired_differences_cover_the_truth(size: int, least: float) -> None:
    """95 % intervals of a paired difference hold its true mean in about 95 of 100 studies, also with few seeds."""
    draws = _draws(f"coverage {size}")
    covered, studies = 0, 400
    for study in range(studies):
        common = draws.normal(0, 10, size)  # what a seed does to both; pairing takes it out
        ours, theirs = common + draws.normal(1, 1, size), common + draws.normal(0, 1, size)
        found = paired_difference(ours.tolist(), theirs.tolist(), f"study {study}", resamples=800)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 1 <= found.high
        assert found.high - found.low < 8  # not the 20 of unpaired values
    assert least <= covered / studies <= 0.995


def test_plain_percentiles_would_be_too_narrow() -> None:
    values = _draws("narrow").normal(size=6)
    found = mean_interval(values, "x")
    rows = Stream(0, "sweep.x").generator("resampling").integers(0, 6, (4000, 6))
    low, high = np.quantile(values[rows].mean(axis=1), (0.025, 0.975))
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < low < high < found.high


def test_pairs_need_both_values() -> None:
    found = paired_difference([1.0, None, 5.0, 7.0], [0.0, 1.0, None, 4.0], "x")
    assert found is not None
    assert (found.value, found.n) == (2.0, 2)
    assert paired_difference([None], [1.0], "x") is None
    with pytest.raises(ValueError, match="longer"):
        paired_difference([1.0], [1.0, 2.0], "x")


def test_one_value_has_no_interval_and_none_has_nothing() -> None:
    assert mean_interval([3.0], "x") == Interval(3.0, None, None, 1)
    assert not Interval(3.0, None, None, 1).excludes_zero
    assert mean_interval([], "x") is None
    assert quartiles([]) is None
    assert share_interval([]) is None
    assert paired_share_difference([], []) is None


def test_equal_values_leave_no_doubt() -> None:
    found = mean_interval([2.0] * 7, "x")
    assert found == Interval(2.0, 2.0, 2.0, 7)
    assert found.excludes_zero


def test_quartiles_by_linear_interpolation() -> None:
    assert quartiles([4.0, 1.0, 3.0, 2.0]) == (1.75, 2.5, 3.25, 4)


def test_wilson_score() -> None:
    """10 of 20: Wilson's interval is 0.299 to 0.701 (Newcombe 1998, Statistics in Medicine 17)."""
    found = share_interval([True] * 10 + [False] * 10)
    assert found is not None
    assert found[:3] == pytest.approx((0.5, 0.2993, 0.7007), abs=5e-4)
    none = share_interval([0.0] * 20)
    assert none is not None
    assert none.low == 0.0
    assert none.high == pytest.approx(0.1611, abs=5e-4)


def test_differences_of_shares_are_never_certain() -> None:
    """Bonett and Price's adjusted Wald interval; ten pairs that agree do not prove that all would."""
    same = paired_share_difference([1.0] * 10, [1.0] * 10)
    assert same is not None
    assert same.value == 0
    assert same.low == pytest.approx(-0.2310, abs=5e-4)
    assert same.high == pytest.approx(0.2310, abs=5e-4)
    apart = paired_share_difference([1.0] * 20, [0.0] * 20)
    assert apart is not None
    assert apart.value == 1
    assert apart.low == pytest.approx(0.7351, abs=5e-4)
    assert apart.excludes_zero


@settings(max_examples=50, deadline=None)
@given(flags=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_exchanging_two_shares_turns_the_difference_round(flags: list[tuple[bool, bool]]) -> None:
    ours, theirs = [float(one) for one, _ in flags], [float(other) for _, other in flags]
    there, back = paired_share_difference(ours, theirs), paired_share_difference(theirs, ours)
    assert there is not None
    assert back is not None
    assert there.value == -back.value
    assert (there.low, there.high) == pytest.approx((-(back.high or 0), -(back.low or 0)))
    assert -1 <= (there.low or 0) <= there.value <= (there.high or 0) <= 1


def test_differences_of_shares_cover_the_truth() -> None:
    draws = _draws("shares")
    covered, studies = 0, 2000
    for _ in range(studies):
        both = draws.random(20)
        ours, theirs = both < 0.6, both * 0.7 + draws.random(20) * 0.3 < 0.4
        found = paired_share_difference(ours.astype(float).tolist(), theirs.astype(float).tolist())
        assert found is not None
        covered += (found.low or 0) <= 0.6 - _SECOND <= (found.high or 0)
    assert 0.93 <= covered / studies <= 0.995


_SECOND = (0.4 - 0.15) / 0.7  # P(0.7 u + 0.3 v < 0.4) = mean over v of (0.4 - 0.3 v) / 0.7


def test_chance_in_seeds_and_in_draws_both_widen() -> None:
    draws = _draws("two ways")
    seeds = np.repeat(draws.normal(size=(12, 1)), 9, axis=1)
    orders = np.repeat(draws.normal(size=(1, 9)), 12, axis=0)
    widths = []
    for table in (seeds, orders, seeds + orders):
        found = two_way_interval(table, "x", resamples=3000)
        assert found.value == pytest.approx(table.mean())
        assert found.low is not None
        assert found.high is not None
        widths.append(found.high - found.low)
    assert 0 < max(widths[:2]) < widths[2] < sum(widths[:2])
    assert two_way_interval(seeds[:, :1], "x").n == 12
    assert two_way_interval(np.ones((1, 6)), "x")[:3] == pytest.approx((1.0, 1.0, 1.0))


@pytest.mark.parametrize(("freedom", "quantile"), [(4, 2.7764), (9, 2.2622), (19, 2.0930), (99, 1.9842)])
def test_students_t(freedom: int, quantile: float) -> None:
    assert student_t(0.975, freedom) == pytest.approx(quantile, rel=1e-3)
