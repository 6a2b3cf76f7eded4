"""The quotes of Avellaneda and Stoikov, against numbers worked by hand and properties of their formulas."""

from itertools import pairwise
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.agents.quoting import QuotingModel, fill_term, ladder, optimal_spread, reservation_price

positive = st.floats(1e-3, 1e3)


def test_the_papers_own_parameters():
    """Section 3.3 there: s = 100, T = 1, sigma = 2, gamma = 0.1, k = 1.5."""
    assert reservation_price(100.0, 3, 0.1, 2.0, 1.0) == pytest.approx(98.8)
    assert reservation_price(100.0, -3, 0.1, 2.0, 0.5) == pytest.approx(100.6)
    assert optimal_spread(0.1, 2.0, 1.5, 1.0) == pytest.approx(0.4 + 20 * log(1 + 0.1 / 1.5))
    assert optimal_spread(0.1, 2.0, 1.5, 0.0) == pytest.approx(1.2908, abs=1e-4)


def test_arrays_give_what_numbers_give_one_by_one():
    fair, held, left = np.array([100.0, 101.0, 99.0]), np.array([-2.0, 0.0, 5.0]), np.array([1.0, 0.5, 0.0])
    prices = reservation_price(fair, held, 0.1, 2.0, left)
    spreads = optimal_spread(0.1, 2.0, np.array([1.5, 1.0, 0.5]), left)
    for at in range(3):
        assert prices[at] == reservation_price(float(fair[at]), float(held[at]), 0.1, 2.0, float(left[at]))
        assert spreads[at] == pytest.approx(optimal_spread(0.1, 2.0, (1.5, 1.0, 0.5)[at], float(left[at])), rel=1e-15)


@given(positive, positive, positive, positive)
def test_the_spread_falls_with_k_grows_with_volatility_and_tends_to_two_over_k(gamma, sigma, k, horizon):
    spread = optimal_spread(gamma, sigma, k, horizon)
    assert spread > optimal_spread(gamma, sigma, k * 1.01, horizon) - 1e-12 * spread
    assert optimal_spread(gamma, sigma * 1.01, k, horizon) >= spread
    assert fill_term(1e-9 * k, k) == pytest.approx(2 / k, rel=1e-6)


@pytest.mark.parametrize("gamma", [0, -1.0, np.array([1.0, 0.0])])
def test_a_maker_without_risk_aversion_has_no_spread(gamma):
    with pytest.raises(ValueError, match="must be above 0"):
        optimal_spread(gamma, 1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="must be above 0"):
        optimal_spread(1.0, 1.0, gamma, 1.0)


@given(positive, st.floats(-1e6, 1e6), st.floats(0, 1), positive, positive)
def test_the_model_is_the_formula_relative_to_the_fair_value_with_a_bounded_skew(fair, units, variance, gamma, horizon):
    model = QuotingModel.of(gamma, 10.0, horizon, 0.1)
    centre, half = model.quotes(fair, units, variance)
    sigma = variance**0.5
    relative = reservation_price(1.0, units, gamma, sigma, horizon)
    assert centre == pytest.approx(fair * min(1.1, max(0.9, relative)), rel=1e-9)
    assert half == pytest.approx(optimal_spread(gamma, sigma, 10.0, horizon) / 2, rel=1e-9)


@given(st.floats(0.001, 0.99), st.integers(1, 60), st.floats(1, 1e7), st.floats(0.001, 0.99))
def test_a_ladders_depth_is_the_power_law_at_every_edge(furthest, levels, notional, within):
    rungs = ladder(furthest, levels, notional, within)
    assert len(rungs) == levels
    assert rungs[0].distance == 0
    distances = [rung.distance for rung in rungs]
    assert all(near < far < furthest for near, far in pairwise(distances))
    assert all(rung.notional > 0 for rung in rungs)
    depth = 0.0
    for rung, edge in zip(rungs, [*distances[1:], furthest], strict=True):
        depth += rung.notional
        assert depth == pytest.approx(notional * (edge / within) ** 0.67, rel=1e-9)
