"""Shapley shares: the axioms that define them, and sampling that agrees with the exact values."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lobsim.errors import InputError
from lobsim.sim.streams import Stream
from lobsim.sweep.shapley import coalitions, draw_orders, exact_shares, sampled_shares

Values = dict[int, NDArray[np.float64]]


def _random_values(mechanisms: int, seeds: int, name: str) -> Values:
    draws = Stream(3, name).generator("values")
    return {mask: draws.normal(size=seeds) for mask in range(1 << mechanisms)}


games = st.integers(1, 5).flatmap(
    lambda count: st.tuples(st.just(count), st.lists(st.integers(-100, 100), min_size=1 << count, max_size=1 << count))
)


@settings(max_examples=60, deadline=None)
@given(game=games)
def test_shares_are_the_mean_over_all_orders_and_sum_to_the_whole(game: tuple[int, list[int]]) -> None:
    count, table = game
    values = {mask: np.array([float(value)]) for mask, value in enumerate(table)}
    shares = exact_shares(values, count)[0]
    assert shares.sum() == pytest.approx(table[-1] - table[0], abs=1e-9)
    every_order = sampled_shares(values, list(permutations(range(count))))[0]
    assert shares == pytest.approx(every_order.mean(axis=0), abs=1e-9)


def test_a_null_player_gets_nothing_and_equals_get_the_same() -> None:
    """v depends on mechanisms 0 and 1 alike and not on 2."""
    draws = Stream(3, "alike").generator("values")
    by_size = draws.normal(size=(3, 6))
    values = {mask: by_size[(mask & 0b011).bit_count()] for mask in range(8)}
    shares = exact_shares(values, 3)
    assert shares[:, 2] == pytest.approx(np.zeros(6), abs=1e-12)
    assert shares[:, 0] == pytest.approx(shares[:, 1])
    assert shares[:, 0] == pytest.approx((by_size[2] - by_size[0]) / 2)


def test_shares_of_a_sum_are_the_sums_of_shares() -> None:
    one, other = _random_values(4, 3, "one"), _random_values(4, 3, "other")
    both = {mask: one[mask] + 2 * other[mask] for mask in one}
    assert exact_shares(both, 4) == pytest.approx(exact_shares(one, 4) + 2 * exact_shares(other, 4))


def test_two_that_only_work_together_share_their_work() -> None:
    values = {mask: np.array([10.0 if mask == 0b11 else 1.0]) for mask in range(4)}
    assert exact_shares(values, 2).tolist() == [[4.5, 4.5]]


@settings(max_examples=20, deadline=None)
@given(count=st.integers(2, 6), half=st.integers(1, 6))
def test_sampled_shares_sum_to_the_whole_in_every_order(count: int, half: int) -> None:
    values = _random_values(count, 4, f"sampled {count}")
    orders = draw_orders(count, 2 * half)
    gains = sampled_shares({mask: values[mask] for mask in coalitions(orders)}, orders)
    whole = values[(1 << count) - 1] - values[0]
    assert gains.sum(axis=2) == pytest.approx(np.repeat(whole[:, None], 2 * half, axis=1))


def test_sampling_comes_near_the_exact_shares() -> None:
    values = _random_values(6, 1, "near")
    sampled = sampled_shares(values, draw_orders(6, 4000))[0].mean(axis=0)
    assert sampled == pytest.approx(exact_shares(values, 6)[0], abs=0.1)


def test_orders_are_reproducible_grow_by_appending_and_come_with_their_reverse() -> None:
    orders = draw_orders(5, 8)
    assert orders == draw_orders(5, 20)[:8]
    assert orders != draw_orders(5, 8, seed=1)
    assert all(sorted(order) == list(range(5)) for order in orders)
    assert [order[::-1] for order in orders[0::2]] == orders[1::2]


def test_coalitions_are_the_ones_that_orders_pass_through() -> None:
    assert coalitions([(0, 1), (1, 0)]) == [0b00, 0b01, 0b11, 0b10]


def test_too_many_mechanisms_are_refused() -> None:
    with pytest.raises(InputError, match="sample instead"):
        exact_shares({0: np.zeros(1)}, 40)
