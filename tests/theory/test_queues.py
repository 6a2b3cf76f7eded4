"""Cont, Stoikov and Talreja (2010): the engine's queues empty in the order that their Laplace transforms say.

The long version: ``LOBSIM_SLOW=1 pytest -m slow tests/theory``; the table: ``python tools/theory.py cst``.
"""

from __future__ import annotations

import os
from math import sqrt

import numpy as np
import pytest

from tests.theory.queues import (
    PAPER,
    Rates,
    euler_inversion,
    first_passage,
    simulate,
    up_probability,
    up_probability_by_states,
)

PAIRS = [(bid, ask) for bid in (1, 2, 3) for ask in (1, 2, 3)]


@pytest.mark.parametrize(("bid", "ask"), PAIRS)
def test_the_engine_agrees_with_the_theory(bid: int, ask: int) -> None:
    """Within four standard deviations of 2,500 paths: of a million correct engines some 600 would fail one of nine."""
    theory = up_probability(bid, ask)
    found = simulate(bid, ask, 2_500)
    assert abs(found.probability - theory) < 4 * sqrt(theory * (1 - theory) / found.paths)
    assert found.fills > found.paths * 0.3  # market orders met the queues, not only cancels


@pytest.mark.slow
@pytest.mark.skipif("LOBSIM_SLOW" not in os.environ, reason="two minutes; set LOBSIM_SLOW=1")
@pytest.mark.parametrize(("bid", "ask"), PAIRS)
def test_the_engine_agrees_with_the_theory_over_100_000_paths(bid: int, ask: int) -> None:
    assert abs(simulate(bid, ask, 100_000).probability - up_probability(bid, ask)) <= 0.01


# --- the theory itself ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rates", [PAPER, Rates(1.0, 0.5, 1.0), Rates(0.3, 2.0, 0.1)])
@pytest.mark.parametrize(("bid", "ask"), [(1, 2), (4, 1), (3, 5)])
def test_inverted_transforms_solve_the_equations_of_the_chain(bid: int, ask: int, rates: Rates) -> None:
    assert up_probability(bid, ask, rates) == pytest.approx(up_probability_by_states(bid, ask, rates), abs=1e-6)


def test_equal_queues_are_a_fair_coin_and_longer_asks_hold_longer() -> None:
    table = np.array([[up_probability(bid, ask) for ask in range(1, 6)] for bid in range(1, 6)])
    assert table + table.T == pytest.approx(np.ones((5, 5)), abs=1e-6)
    assert (np.diff(table, axis=1) < 0).all()
    assert (np.diff(table, axis=0) > 0).all()


def test_without_limit_orders_the_transform_is_a_product_of_exponentials() -> None:
    s = np.array([0.1 + 0j, 1 + 2j, 30j])
    expected = (1.5 / (1.5 + s)) * (2.5 / (2.5 + s)) * (3.5 / (3.5 + s))
    assert first_passage(3, Rates(0.0, 0.5, 1.0), s) == pytest.approx(expected)


def test_without_cancellations_the_transform_is_that_of_a_busy_period() -> None:
    birth, death = 0.8, 1.1
    s = np.array([0.05 + 0j, 1 + 2j, 30j])
    total = birth + death + s
    busy = (total - np.sqrt(total**2 - 4 * birth * death)) / (2 * birth)
    assert first_passage(2, Rates(birth, death, 0.0), s) == pytest.approx(busy**2, rel=1e-6)


def test_the_inversion_finds_a_known_density() -> None:
    times = np.array([0.01, 0.5, 3.0])
    s = (18.4 + 2j * np.pi * np.arange(53)[:, None]) / (2 * times)
    density = euler_inversion((2 / (2 + s)) ** 3, 18.4, 40, 12) / times  # of a gamma distribution
    assert density == pytest.approx(8 * times**2 / 2 * np.exp(-2 * times), abs=1e-7)
