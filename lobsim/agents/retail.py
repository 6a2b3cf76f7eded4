"""Retail traders of perpetuals: many small isolated positions, opened before the run.

They do nothing by themselves; what happens to them is up to the mark price, the exchange and the crowd that manages
them, if there is one (`lobsim.agents.perp_traders`). Leverage lies between a least and a most as a Beta variate of its
logarithm: few at the extremes, most at low multiples.
"""

from __future__ import annotations

from math import exp, log
from statistics import NormalDist
from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from lobsim.agents.base import Model, NonNegative, Positive, Share
from lobsim.agents.members import shares
from lobsim.errors import InputError
from lobsim.sim.streams import Stream


class LeverageKeys(Model):
    """Keys for the leverage that many traders choose."""

    leverage_low: Annotated[float, Field(ge=1, le=1000)] = Field(3.0, description="least notional over margin at entry")
    leverage_high: Annotated[float, Field(ge=1, le=1000)] = Field(75.0, description="most of it")
    leverage_shape: tuple[Positive, Positive] = Field(
        (1.5, 3.0), description="Beta distribution of the logarithm of leverage, between low and high"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.leverage_low > self.leverage_high:
            raise ValueError(
                f"leverage_low ({self.leverage_low:g}) must not be larger than leverage_high ({self.leverage_high:g})"
            )
        return self


class RetailParams(LeverageKeys):
    """A population of isolated positions in one perpetual."""

    count: int = Field(ge=1, le=1_000_000, description="how many positions")
    notional: Positive = Field(description="quote units of all positions, long and short, at the price of the start")
    long_share: Share = Field(0.5, description="share of that notional which is long")
    size_sigma: Annotated[NonNegative, Field(le=5)] = Field(1.0, description="log-standard-deviation of their sizes")
    entry_sigma: Annotated[NonNegative, Field(le=1)] = Field(
        0.02, description="standard deviation of the logarithm of entry price over price of the start"
    )
    worst: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5, description="largest share of its margin, above maintenance, that one may have lost when the run begins"
    )


class Position(NamedTuple):
    """One position: base units (below 0 for short), notional over margin at entry, entry price / start price - 1."""

    qty: float
    leverage: float
    entry_offset: float


def draw_population(params: RetailParams, price: float, stream: Stream, maintenance: float = 0.0) -> list[Position]:
    """The positions of a population: the longs, then the shorts.

    `price`: quote units per base unit at the start. `maintenance`: maintenance margin as a share of notional. The long
    and the short notional add up exactly (but for floating point) to what `params` says, at that price. Entry prices
    are lognormal, cut off where a position would have lost more than `worst` of its margin above maintenance: who stood
    worse is gone by now. Bias: sizes, leverages and entries are independent draws. The same stream gives the same
    positions. O(count).

    Raises InputError when one position has to be long and short at once, or when the most leverage cannot live.
    """
    refuse_stillborn(params, maintenance)
    longs = _number_of_longs(params)
    leverages = draw_leverages(params, params.count, stream)
    sizes: list[float] = []
    for number, part in ((longs, params.long_share), (params.count - longs, params.long_share - 1)):
        sizes += [part * params.notional / price * share for share in shares(stream, number, params.size_sigma)]
    positions = []
    for qty, leverage in zip(sizes, leverages, strict=True):
        worst = params.worst * (1 - maintenance * leverage)
        offset = _entry_offset(stream.uniform(), params.entry_sigma, worst, leverage, is_long=qty > 0)
        positions.append(Position(qty, leverage, offset))
    return positions


def draw_leverages(keys: LeverageKeys, count: int, stream: Stream) -> list[float]:
    """A leverage for each of `count` traders, drawn from a sequence of its own."""
    low, high = log(keys.leverage_low), log(keys.leverage_high)
    betas = stream.generator("leverage").beta(*keys.leverage_shape, size=count).tolist()
    drawn = (exp(low + (high - low) * beta) for beta in betas)
    return [min(max(leverage, keys.leverage_low), keys.leverage_high) for leverage in drawn]  # exactly within


def refuse_stillborn(keys: LeverageKeys, maintenance: float) -> None:
    """Raise InputError when the most leverage cannot live at a maintenance margin, given as a share of notional."""
    if keys.leverage_high * maintenance >= 1:
        raise InputError(
            f"leverage_high: {keys.leverage_high:g} at a maintenance margin of {maintenance:g} of the notional is"
            f" liquidated when it is opened; it must be below {1 / maintenance:g}"
        )


def _number_of_longs(params: RetailParams) -> int:
    """As many as their share of the notional, but at least one on each side that has any."""
    longs = round(params.count * params.long_share)
    longs = max(longs, 1) if params.long_share else 0
    shorts = max(params.count - longs, 1) if params.long_share < 1 else 0
    longs = params.count - shorts
    if params.long_share and not longs:
        raise InputError(f"long_share: {params.long_share} of 1 position is no position; count must be at least 2")
    return longs


def _entry_offset(uniform: float, sigma: float, worst: float, leverage: float, *, is_long: bool) -> float:
    """Entry over present price less 1, lognormal, cut off at a loss of `worst` of the margin.

    A long loses offset / (1 + offset) of its notional at entry, a short the negative of that; its margin is
    1 / leverage of it. So entry over present is at most 1 / (1 - worst / leverage) for longs, and at least
    1 / (1 + worst / leverage) for shorts.
    """
    if not sigma:
        return 0.0
    normal = NormalDist(0.0, sigma)
    cut = normal.cdf(-log(1 - worst / leverage) if is_long else -log(1 + worst / leverage))
    low, high = (0.0, cut) if is_long else (cut, 1.0)
    level = low + (high - low) * uniform
    return exp(normal.inv_cdf(min(max(level, 1e-12), 1 - 1e-12))) - 1
