"""The tables of venues and instruments: books, marks, margin terms of perpetuals, and what a venue does in a crisis."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lobsim.agents.base import Duration, Model, Name, NonNegative, Number, Positive, PositiveDuration, Share
from lobsim.scenario.values import PositiveExact, PositiveShare
from lobsim.units import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_MS, NS_PER_S


class Mark(Model):
    """How a price becomes a mark price.

    Own book: last, mid, last-average. From outside: reference, constant (`price`), index (`sources`: instruments of the
    same base on other venues, and `reference` for venues beyond the scenario), conversion (`reference` is the rate,
    `underlying` the instrument that values the underlying), redemption-floor (last-average, never below the conversion
    value), perpetual (median of index with basis, index with mean premium, and last).
    """

    model: Literal[
        "last",
        "mid",
        "last-average",
        "reference",
        "constant",
        "index",
        "conversion",
        "redemption-floor",
        "perpetual",
    ] = "last-average"
    window: PositiveDuration = Field(3 * NS_PER_S, description="of last-average; of perpetual: of its mean premium")
    reference: Name | None = Field(None, description="outside value, or conversion rate")
    price: PositiveExact | None = Field(None, description="of constant")
    sources: tuple[Name, ...] | None = Field(None, description="instruments of an index, also that of a perpetual")
    outlier: Share = Field(0.05, description="an index source further than this from the median weighs nothing")
    stale: PositiveDuration = Field(10 * NS_PER_S, description="an index source silent for so long weighs nothing")
    underlying: Name | None = Field(None, description="instrument whose mark values the underlying of a conversion")

    @model_validator(mode="after")
    def _complete(self) -> Mark:
        needs, may = _MARK_KEYS[self.model]
        for key in ("reference", "price", "sources", "underlying"):
            given = getattr(self, key) is not None
            if key in needs and not given:
                raise ValueError(f"model {self.model!r} needs the key {key}")
            if given and key not in needs + may:
                raise ValueError(f"model {self.model!r} takes no key {key}")
        return self


_MARK_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "last": ((), ()),
    "mid": ((), ()),
    "last-average": ((), ()),
    "reference": (("reference",), ()),
    "constant": (("price",), ()),
    "index": (("sources",), ("reference",)),
    "conversion": (("reference",), ("underlying",)),
    "redemption-floor": (("reference",), ("underlying",)),
    "perpetual": (("sources",), ("reference",)),
}


class SaleAuction(Model):
    """Slices are offered at a price that falls in a straight line from the mark, instead of being sold at market."""

    floor: Share = Field(0.5, description="share of the mark price at which it stops falling")
    duration: PositiveDuration = Field(5 * NS_PER_MINUTE, description="time until then")


class AccountLiquidation(Model):
    """What the exchange does with a margin account at its liquidation level."""

    enabled: bool = True
    fraction: PositiveShare = Field(0.1, description="share of the starting position sold per slice")
    pause: Duration = Field(5 * NS_PER_S, description="time between slices")
    target_level: Annotated[Positive, Field(ge=1)] = Field(1.5, description="margin level at which selling stops")
    parallel: bool = Field(False, description="all its assets give up that share at once, not one after the other")
    auction: SaleAuction | None = Field(None, description="offer the slices in an auction; sold at market if left out")


class Halt(Model):
    """A circuit breaker: trading of a market pauses after a fall, cancels excepted."""

    fall: Annotated[float, Field(gt=0, lt=1)] = Field(description="fall of the last price within the window")
    window: PositiveDuration
    pause: PositiveDuration


class ContractLiquidation(Model):
    """What the exchange does with a perpetual position at its maintenance margin."""

    enabled: bool = True
    limit: Literal["fund", "none"] = Field(
        "fund", description="sell down to where the insurance fund would be used up, or at any price"
    )


class Venue(Model):
    """[venues.NAME]: an exchange."""

    feed_interval: PositiveDuration = Field(100 * NS_PER_MS, description="pace of market data")
    mark_interval: PositiveDuration = Field(NS_PER_S, description="pace of mark updates and margin checks")
    maker_fee_bps: Annotated[NonNegative, Field(le=1000)] = 0.0
    taker_fee_bps: Annotated[NonNegative, Field(le=1000)] = 0.0
    insurance: dict[Name, NonNegative] = Field(default_factory=dict, description="fund at the start, by asset")
    account_liquidation: AccountLiquidation = AccountLiquidation()
    contract_liquidation: ContractLiquidation = ContractLiquidation()
    price_band: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="orders further than this from the mark price are refused, market orders stop there"
    )
    halt: Halt | None = Field(None, description="circuit breaker; none if left out")
    liquidation_order: tuple[Name, ...] | None = Field(
        None, description="assets in the order in which a liquidated account is sold; as listed if left out"
    )


class Tier(Model):
    """A bracket of maintenance margin, as tax brackets are."""

    above: NonNegative = Field(0.0, description="notional, in the quote asset, from which on the rate holds")
    rate: PositiveShare = Field(description="maintenance margin per notional")


class Contract(Model):
    """Terms of a perpetual."""

    tiers: tuple[Tier, ...] = Field((Tier(rate=0.01),), max_length=50)
    liquidation_fee: Share = Field(0.0, description="per notional liquidated, to the insurance fund")
    insurance: NonNegative = Field(0.0, description="insurance fund of the contract at the start, quote units")
    funding_interval: PositiveDuration = Field(8 * NS_PER_HOUR, description="funding is paid at its multiples, UTC")
    interest: Annotated[Number, Field(ge=-0.01, le=0.01)] = Field(0.0001, description="r of the funding formula")
    impact_notional: Positive = Field(10_000.0, description="order whose average price makes the premium")


class Instrument(Model):
    """[instruments.NAME]: a book on a venue. A perpetual's base is what it follows; only its quote asset is settled."""

    venue: Name | None = None
    kind: Literal["spot", "perpetual"] = "spot"
    base: Name
    quote: Name
    tick: PositiveExact
    lot: PositiveExact
    mark: Mark = Mark()
    contract: Contract | None = Field(None, description="of a perpetual; its defaults if left out")
    daily_volume: Positive | None = Field(None, description="quote units traded on an ordinary day, for reports")

    @model_validator(mode="after")
    def _complete(self) -> Instrument:
        if self.kind == "spot" and self.contract is not None:
            raise ValueError("only an instrument of kind 'perpetual' has a contract")
        if self.kind == "spot" and self.mark.model == "perpetual":
            raise ValueError("mark.model 'perpetual' is for instruments of kind 'perpetual'")
        return self
