"""Whales: large unified accounts that borrowed against what they hold, opened before the run.

Two layers of leverage: stablecoins borrowed on coins, and what was bought with them pledged again in the same account.
They do nothing by themselves; when their margin runs out, the exchange sells what they have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from lobsim.agents.base import Model, Name, NonNegative, Positive
from lobsim.agents.members import shares
from lobsim.errors import InputError
from lobsim.sim.streams import Stream

_Leverage = Annotated[float, Field(ge=1, le=100)]


class WhaleParams(Model):
    """A population of unified accounts on one exchange."""

    count: int = Field(ge=1, le=100_000, description="how many accounts")
    value: NonNegative = Field(description="worth of everything they hold together, numeraire units; 0 for none")
    size_sigma: Annotated[NonNegative, Field(le=5)] = Field(1.0, description="log-standard-deviation of their sizes")
    mix: dict[Name, Positive] = Field(min_length=1, description="what they hold: weight of each asset, by value")
    borrowed_into: dict[Name, Positive] = Field(
        default_factory=dict, description="weights of what the borrowed money bought; left out: the same mix"
    )
    diversity: Positive = Field(
        10.0,
        description="Dirichlet concentration: large, and all hold the mix; small, and each holds few of its assets",
    )
    leverage_low: _Leverage = Field(1.5, description="least worth of the holdings over equity, before haircuts")
    leverage_high: _Leverage = Field(2.5, description="most of it")
    leverage_shape: tuple[Positive, Positive] = Field((2.0, 2.0), description="Beta distribution between low and high")
    debts: dict[Name, Positive] = Field(min_length=1, description="what they owe: weight of each asset, by value")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.leverage_low > self.leverage_high:
            raise ValueError(
                f"leverage_low ({self.leverage_low:g}) must not be larger than leverage_high ({self.leverage_high:g})"
            )
        both = sorted({*self.mix, *self.borrowed_into} & set(self.debts))
        if both:
            raise ValueError(f"{', '.join(both)}: held and owed at once; what one owes is paid back first")
        return self


class Whale(NamedTuple):
    """One account: amounts of what it holds and of what it owes, in units of each asset."""

    holdings: dict[str, float]
    debts: dict[str, float]


def draw_accounts(params: WhaleParams, prices: Mapping[str, float], stream: Stream) -> list[Whale]:
    """The accounts of a population; their holdings are worth `value` in all (but for floating point).

    `prices`: numeraire units per unit of every asset named. With worth V and leverage L an account's equity is V / L
    and its debt V - V / L; equity is held in a mix of its own around `mix`, and so is what the debt bought, unless
    `borrowed_into` says otherwise. Bias: size, leverage and mix are independent of each other. O(count * assets).

    Raises InputError for an asset without a positive price.
    """
    for asset in (*params.mix, *params.borrowed_into, *params.debts):
        if not prices.get(asset, 0.0) > 0:
            raise InputError(f"{asset}: no price, so nothing can be held or owed in it")
    low, high = params.leverage_low, params.leverage_high
    betas = stream.generator("leverage").beta(*params.leverage_shape, size=params.count).tolist()
    mixes = _mixes(params.mix, params.diversity, params.count, stream)
    bought = _weights(params.borrowed_into)
    owed = _weights(params.debts)
    whales = []
    for share, beta, mix in zip(shares(stream, params.count, params.size_sigma), betas, mixes, strict=True):
        worth = params.value * share
        debt = worth - worth / (low + (high - low) * beta)
        own = worth - debt if bought else worth
        holdings = {asset: own * weight / prices[asset] for asset, weight in mix.items()}
        for asset, weight in bought.items():
            holdings[asset] = holdings.get(asset, 0.0) + debt * weight / prices[asset]
        whales.append(Whale(holdings, {asset: debt * weight / prices[asset] for asset, weight in owed.items()}))
    return whales


def _mixes(mix: Mapping[str, float], diversity: float, count: int, stream: Stream) -> list[dict[str, float]]:
    """A mix for each, whose mean is `mix` (Dirichlet distribution), in the order of its keys."""
    weights = _weights(mix)
    draws = stream.generator("mix").dirichlet([diversity * weight for weight in weights.values()], size=count).tolist()
    return [dict(zip(weights, draw, strict=True)) for draw in draws]


def _weights(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {asset: weight / total for asset, weight in weights.items()}
