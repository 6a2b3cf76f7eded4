"""The experiment of Avellaneda and Stoikov (2008, section 3.3), run on lobsim's own quoting formula.

The mid follows an arithmetic Brownian motion in steps of +- sigma * sqrt(dt) with equal chance. A quote at distance
delta from it is filled within a step with probability A * exp(-k * delta) * dt, one unit at a time, both sides
independently. The inventory strategy quotes around the reservation price; the symmetric one around the mid, with the
spread the other would quote on average; both end by valuing their inventory at the mid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lobsim.agents.quoting import optimal_spread, reservation_price
from lobsim.sim.streams import Stream

START, HORIZON, STEP, SIGMA, K, A = 100.0, 1.0, 0.005, 2.0, 1.5, 140.0


class Outcome(NamedTuple):
    """One row of the paper's tables: means and standard deviations over paths, at the end of the day."""

    spread: float
    profit: float
    profit_sd: float
    inventory: float
    inventory_sd: float


def experiment(gamma: float, paths: int, seed: int = 1) -> dict[str, Outcome]:
    """Both strategies over `paths` paths of 200 steps, each strategy with its own fills on the same mids."""
    steps = round(HORIZON / STEP)
    left = HORIZON - STEP * np.arange(steps, dtype=np.float64)
    spreads = optimal_spread(gamma, SIGMA, K, left)
    average = float(spreads.mean())
    stream = Stream(seed, "avellaneda-stoikov")
    up = stream.generator("mid").random((steps, paths)) < 0.5
    mids = START + np.vstack([np.zeros(paths), np.where(up, 1, -1).cumsum(axis=0)]) * SIGMA * np.sqrt(STEP)
    outcomes = {}
    for strategy in ("inventory", "symmetric"):
        chance = stream.generator(strategy).random((steps, 2, paths))
        cash, inventory = np.zeros(paths), np.zeros(paths)
        for step in range(steps):
            mid = mids[step]
            if strategy == "inventory":
                centre = reservation_price(mid, inventory, gamma, SIGMA, float(left[step]))
                half = float(spreads[step]) / 2
            else:
                centre, half = mid, average / 2
            bid, ask = centre - half, centre + half
            bought = chance[step, 0] < A * np.exp(-K * (mid - bid)) * STEP
            sold = chance[step, 1] < A * np.exp(-K * (ask - mid)) * STEP
            cash += ask * sold - bid * bought
            inventory += bought.astype(float) - sold
        profit = cash + inventory * mids[-1]
        outcomes[strategy] = Outcome(
            average, float(profit.mean()), float(profit.std()), float(inventory.mean()), float(inventory.std())
        )
    return outcomes
