"""Where a market maker puts its quotes: reservation price and spread of Avellaneda and Stoikov, and a ladder's shape.

Avellaneda and Stoikov (2008, doi:10.1080/14697680701381228, equations 29 and 30), with s the fair value, q the
inventory in units, sigma the standard deviation of the fair value per square root of a second, T the time to the end
in seconds, gamma the risk aversion (per unit of money) and k the decay of the fill rate with distance (per price unit):

    r = s - q * gamma * sigma^2 * T,   delta_a + delta_b = gamma * sigma^2 * T + (2 / gamma) * ln(1 + gamma / k)

All prices may as well be relative to the fair value (s = 1, sigma of returns): that is how `QuotingModel` uses them.
"""

from __future__ import annotations

from math import log1p
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DEPTH_EXPONENT = 0.67  # depth within d of the mid grows as d^0.67 (measured on BTC/FDUSD, see `ladder`)


@overload
def reservation_price(fair: float, inventory: float, gamma: float, sigma: float, horizon: float) -> float: ...  # type: ignore[overload-overlap]


@overload
def reservation_price(
    fair: float | Array, inventory: float | Array, gamma: float | Array, sigma: float | Array, horizon: float | Array
) -> Array: ...


def reservation_price(
    fair: float | Array, inventory: float | Array, gamma: float | Array, sigma: float | Array, horizon: float | Array
) -> float | Array:
    """The price at which one more unit is as good as none: below `fair` when long, above when short.

    `sigma` per square root of the unit in which `horizon` is given, in the unit of `fair`. Arrays broadcast.
    """
    return fair - inventory * (gamma * (sigma * sigma) * horizon)


@overload
def optimal_spread(gamma: float, sigma: float, k: float, horizon: float) -> float: ...  # type: ignore[overload-overlap]


@overload
def optimal_spread(gamma: float | Array, sigma: float | Array, k: float | Array, horizon: float | Array) -> Array: ...


def optimal_spread(
    gamma: float | Array, sigma: float | Array, k: float | Array, horizon: float | Array
) -> float | Array:
    """Distance from the best bid to the best ask, in the unit of sigma * sqrt(horizon); half of it on each side.

    Tends to 2 / k as gamma tends to 0. ValueError unless gamma and k are above 0.
    """
    return gamma * (sigma * sigma) * horizon + fill_term(gamma, k)


@overload
def fill_term(gamma: float, k: float) -> float: ...  # type: ignore[overload-overlap]


@overload
def fill_term(gamma: float | Array, k: float | Array) -> Array: ...


def fill_term(gamma: float | Array, k: float | Array) -> float | Array:
    """``(2 / gamma) * ln(1 + gamma / k)``: the part of the spread that pays for waiting, whatever the volatility."""
    if isinstance(gamma, int | float) and isinstance(k, int | float):
        if gamma <= 0 or k <= 0:
            raise ValueError(f"gamma and k must be above 0: {gamma}, {k}")
        return 2 / gamma * log1p(gamma / k)
    if np.any(np.asarray(gamma) <= 0) or np.any(np.asarray(k) <= 0):
        raise ValueError("gamma and k must be above 0 everywhere")
    return 2 / gamma * np.log1p(gamma / k)


class QuotingModel(NamedTuple):
    """Relative quotes of a maker with a rolling horizon: T stays the same, as in the stationary form of the paper.

    Bias: inventory moves the centre of the quotes, never their width; `max_skew` bounds what the paper does not.
    """

    gamma: float
    k: float
    horizon: float  # seconds
    max_skew: float
    half_fill_term: float

    @classmethod
    def of(cls, gamma: float, k: float, horizon: float, max_skew: float) -> QuotingModel:
        """A model with its constant term worked out once. ValueError unless gamma and k are above 0."""
        return cls(gamma, k, horizon, max_skew, fill_term(gamma, k) / 2)

    def quotes(self, fair: float, units: float, variance: float) -> tuple[float, float]:
        """(reservation price, half-spread as a share of it) at `units` of inventory and a variance per second."""
        risk = self.gamma * variance * self.horizon
        skew = units * risk
        if skew > self.max_skew:
            skew = self.max_skew
        elif skew < -self.max_skew:
            skew = -self.max_skew
        return fair * (1 - skew), risk / 2 + self.half_fill_term


class Rung(NamedTuple):
    """One level of a ladder: its distance beyond the half-spread (share of the price) and its notional."""

    distance: float
    notional: float


def ladder(
    furthest: float, levels: int, notional: float, within: float, exponent: float = DEPTH_EXPONENT
) -> tuple[Rung, ...]:
    """`levels` rungs out to `furthest`, spaced by squares; depth within d is ``notional * (d / within)^exponent``.

    Depth that grows as distance^0.67 is what was measured on BTC/FDUSD: $3.50M within 10 bp, $16.53M within 100 bp.
    """
    edges = [furthest * (level / levels) ** 2 for level in range(levels + 1)]
    depth = [notional * (edge / within) ** exponent for edge in edges]
    return tuple(Rung(edges[level], depth[level + 1] - depth[level]) for level in range(levels))
