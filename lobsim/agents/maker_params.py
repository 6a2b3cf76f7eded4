"""What a scenario file says of a market maker: its account, its pairs, its hedges, its rules."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from lobsim.agents.base import AccountParams, Duration, Model, Name, Positive, PositiveDuration, Share
from lobsim.agents.withdrawal import WithdrawalParams
from lobsim.units import NS_PER_MINUTE, NS_PER_S

Distance = Annotated[float, Field(gt=0, lt=1)]

_INHERITED = (
    "quote_distance",
    "ladder_distance",
    "levels",
    "requote",
    "reference_weight",
    "gamma",
    "k",
    "horizon",
    "inventory_unit",
    "max_inventory",
)
_SCALED = ("inventory_unit", "max_inventory")


class PairParams(Model):
    """One more pair of a maker: what is left out is as the maker's own keys say."""

    instrument: Name
    reference: Name = Field(description="outside value of the base asset in quote units; pairs of one share inventory")
    quote_notional: Positive = Field(description="quote units a side within `quote_distance`")
    quote_distance: Distance | None = None
    ladder_distance: Distance | None = None
    levels: Annotated[int, Field(ge=1, le=1000)] | None = None
    requote: PositiveDuration | None = None
    reference_weight: Share | None = None
    gamma: Positive | None = None
    k: Positive | None = None
    horizon: PositiveDuration | None = None
    inventory_unit: Positive | None = Field(
        None, description="left out: the maker's own in proportion to `quote_notional`"
    )
    max_inventory: Positive | None = Field(
        None, description="left out: the maker's own in proportion to `quote_notional`"
    )
    perp: Name | None = Field(None, description="perpetual on which the inventory of this reference is hedged")


class PairKeys(NamedTuple):
    """The keys of one pair with everything filled in; times in ns, amounts in quote units."""

    instrument: str
    reference: str
    quote_notional: float
    quote_distance: float
    ladder_distance: float
    levels: int
    requote: int
    reference_weight: float
    gamma: float
    k: float
    horizon: int
    inventory_unit: float
    max_inventory: float
    max_skew: float
    calm_halflife: int
    volatility_window: int
    calm_window: int
    perp: str | None
    post_only: bool = False


class HedgeParams(Model):
    """Keys of a maker's hedges."""

    enabled: bool = Field(True, description="false: inventory stays where it is")
    ratio: Annotated[Share, Field(gt=0)] = Field(1.0, description="share of the net inventory that each order is for")
    threshold: Positive | None = Field(
        None, description="quote units of net inventory of an underlying left alone; left out: half of `max_inventory`"
    )
    interval: PositiveDuration = Field(NS_PER_S, description="time between two looks at the inventory")
    slippage: Share = Field(0.01, description="how far beyond the best price (else the fair value) it will trade")


class MarketMakerParams(AccountParams):
    """Keys of an agent of kind "market-maker"; those of quotes are for `instrument`, and the defaults for `pairs`."""

    kind: Literal["market-maker"]
    reference: Name = Field(description="outside value of the base asset of `instrument`")
    margin: bool = Field(True, description="its accounts are unified margin accounts: they borrow by themselves")
    withdrawal: bool = Field(True, description="false: the maker never walks away of its own accord")
    withdraw: Literal["both", "bids"] = Field("both", description="what it takes away on all its pairs when it leaves")
    obligation: Share = Field(0.0, description="share of its normal size that it must quote even while it is away")
    obligation_distance: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.02, description="how much further out than normal the quotes of an obligation begin"
    )
    holdings: tuple[Positive, ...] | None = Field(
        None, description="base units each maker holds as collateral, last value repeats; or (or and) `balances`"
    )
    leverage: tuple[Positive, ...] | None = Field(
        None,
        description="value of what each holds over its equity at the start; below 1 the rest is cash, above it owes",
    )
    quote_notional: Positive = Field(description="quote units a side within `quote_distance`")
    quote_distance: Distance = 0.01
    ladder_distance: Distance = Field(0.03, description="furthest quote from the fair value")
    levels: int = Field(12, ge=1, le=1000, description="quotes a side")
    requote: PositiveDuration = NS_PER_S
    requote_threshold: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="leave quotes as they are while the fair value moved by less than this share; 0: never"
    )
    refresh: Duration = Field(30 * NS_PER_S, description="quotes older than this are renewed in any case")
    post_only: bool = Field(False, description="quotes that would trade at once are refused instead")
    retry: Duration = Field(0, description="pause after the venue refused quotes: no margin, or a halt")
    reference_weight: Share = Field(0.5, description="share of the outside reference in the fair value; rest: own mid")
    gamma: Positive = Field(description="risk aversion")
    k: Positive = Field(description="decay of the fill rate with relative distance")
    horizon: PositiveDuration = Field(description="T of the reservation price")
    inventory_unit: Positive = Field(description="quote units that count as one unit of inventory")
    max_inventory: Positive = Field(description="quote units beyond which it quotes one side only")
    max_skew: Distance = Field(0.1, description="furthest reservation price from the fair value")
    calm_halflife: PositiveDuration = Field(15 * NS_PER_MINUTE, description="half-life of the calm volatility estimate")
    perp: Name | None = Field(None, description="perpetual on which the inventory of `reference` is hedged")
    pairs: tuple[PairParams, ...] | None = Field(None, description="further pairs quoted from the same account")
    hedge: HedgeParams | None = Field(None, description="hedges on the perpetuals that pairs name; left out: none")
    withdrawal_rules: WithdrawalParams = WithdrawalParams()

    def uses(self) -> tuple[str, ...]:
        """Names of all instruments it trades or watches, the primary one first."""
        pairs = self.quoted()
        names = [pair.instrument for pair in pairs] + [pair.perp for pair in pairs if pair.perp is not None]
        return tuple(dict.fromkeys(names))

    def references(self) -> tuple[str, ...]:
        """Names of the outside values it looks at."""
        return tuple(dict.fromkeys(pair.reference for pair in self.quoted()))

    def quoted(self) -> tuple[MarketMakerParams | PairParams, ...]:
        """The tables of all pairs it quotes: its own, and those of `pairs`."""
        return (self, *(self.pairs or ()))

    def pair_keys(self) -> tuple[PairKeys, ...]:
        """Every pair it quotes with all keys filled in, the primary one first."""
        rules = self.withdrawal_rules
        common: dict[str, Any] = {
            "max_skew": self.max_skew,
            "calm_halflife": self.calm_halflife,
            "volatility_window": rules.volatility_window,
            "calm_window": rules.calm_window,
            "post_only": self.post_only,
        }
        found: list[PairKeys] = []
        for pair in self.quoted():
            keys: dict[str, Any] = {name: getattr(pair, name) for name in _INHERITED}
            for name in _INHERITED:
                if keys[name] is None:
                    scale = pair.quote_notional / self.quote_notional if name in _SCALED else 1
                    keys[name] = getattr(self, name) * scale
            found.append(
                PairKeys(pair.instrument, pair.reference, pair.quote_notional, **keys, **common, perp=pair.perp)
            )
        return tuple(found)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.holdings is None and not self.balances:
            raise ValueError("holdings: is missing: a maker begins with holdings and leverage, or with balances")
        if self.leverage is None and not self.balances:
            raise ValueError("leverage: is missing: holdings and leverage go together")
        if self.leverage is not None and self.debts:
            raise ValueError("leverage: says already what it owes: leave out leverage, or debts")
        references: dict[str, str] = {}
        for number, pair in enumerate(self.quoted()):
            path = f"pairs[{number - 1}]." if number else ""
            if pair.instrument in references:
                raise ValueError(f"{path}instrument: {pair.instrument} is quoted already")
            references[pair.instrument] = pair.reference
        for number, pair in enumerate(self.quoted()):
            path = f"pairs[{number - 1}]." if number else ""
            if pair.perp is not None:
                if pair.perp == pair.instrument:
                    raise ValueError(f"{path}perp: {pair.perp} cannot hedge itself")
                if references.setdefault(pair.perp, pair.reference) != pair.reference:
                    other = references[pair.perp]
                    raise ValueError(f"{path}perp: {pair.perp} belongs to {other}, not to {pair.reference}")
        if self.hedge is not None and not any(pair.perp for pair in self.quoted()):
            raise ValueError("hedge: there is no perpetual to hedge on: name one as `perp`, here or in a pair")
        return self
