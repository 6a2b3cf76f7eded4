"""Avellaneda and Stoikov (2008): their two strategies compared, on their own fill process, with lobsim's quotes."""

from __future__ import annotations

import pytest

from tests.theory.avellaneda import Outcome, experiment

# Their table for gamma = 0.1 (1,000 paths): average spread, mean profit, its deviation, deviation of the inventory.
PAPER = {"inventory": (1.49, 65.0, 6.6, 2.9), "symmetric": (1.49, 68.4, 12.7, 8.4)}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return experiment(0.1, 5_000)


@pytest.mark.parametrize("strategy", PAPER)
def test_the_table_of_the_paper(outcomes: dict[str, Outcome], strategy: str) -> None:
    found = outcomes[strategy]
    figures = (found.spread, found.profit, found.profit_sd, found.inventory_sd)
    assert figures == pytest.approx(PAPER[strategy], rel=0.10)
    assert abs(found.inventory) < 0.5  # theirs ended at 0.08 and 0.26


def test_leaning_against_inventory_costs_little_profit_and_halves_the_risk(outcomes: dict[str, Outcome]) -> None:
    inventory, symmetric = outcomes["inventory"], outcomes["symmetric"]
    assert 0.9 * symmetric.profit < inventory.profit < symmetric.profit
    assert inventory.profit_sd < 0.6 * symmetric.profit_sd
    assert inventory.inventory_sd < 0.45 * symmetric.inventory_sd


def test_without_risk_aversion_both_strategies_become_one() -> None:
    """Their closing remark: as gamma falls, the inventory strategy tends to the symmetric one."""
    gaps = []
    for gamma in (0.1, 0.01, 0.001):
        found = experiment(gamma, 2_000)
        gaps.append(1 - found["inventory"].inventory_sd / found["symmetric"].inventory_sd)
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.6
    assert gaps[-1] < 0.15
