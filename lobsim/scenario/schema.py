"""The scenario file format as pydantic models: frozen, unknown keys refused, every fault reported at once."""

from __future__ import annotations

import re
from datetime import datetime
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from lobsim.agents import AgentParams, agent_kinds
from lobsim.agents.base import Duration, Model, Name, NonNegative, Number, Positive, PositiveDuration, Share
from lobsim.agents.retail import RetailParams
from lobsim.agents.whales import WhaleParams
from lobsim.scenario.happenings import Exogenous
from lobsim.scenario.markets import Instrument, Mark, Venue
from lobsim.scenario.values import PositiveExact, PositiveShare
from lobsim.scenario.windows import Transfers, Window
from lobsim.units import NS_PER_S


def _start_time(value: str) -> str:
    try:
        year = datetime.fromisoformat(value).year
    except ValueError as fault:
        raise ValueError(f"no such moment: {fault}") from None
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise ValueError(f"the year must lie between {_FIRST_YEAR} and {_LAST_YEAR}")
    return value


_FIRST_YEAR, _LAST_YEAR = 1970, 2200
StartTime = Annotated[
    str, Field(pattern=r"^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\dZ$"), AfterValidator(_start_time)
]


class Header(Model):
    """[scenario]: what this is, and for how long it runs."""

    name: Name
    title: str = Field("", max_length=200)
    notes: str = Field("", max_length=20_000)
    start_utc: StartTime = "2025-10-10T20:30:00Z"
    duration: PositiveDuration
    seed: int = Field(1, ge=0, lt=2**63)
    numeraire: Name = Field(description="asset in which equity and margin levels are valued")
    depth_interval: PositiveDuration = Field(30 * NS_PER_S, description="time between full-depth keyframes")
    account_interval: PositiveDuration = Field(10 * NS_PER_S, description="time between records of account states")
    focus: Name | None = Field(None, description="group whose median fall is the headline; all spot books if left out")
    targets: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None, description="file of real figures, beside this one, that a run is held to"
    )


class Asset(Model):
    """[assets.NAME]: an asset and how margin accounts count it."""

    quantum: PositiveExact = Field(description="smallest amount the ledger knows, e.g. '0.000001'")
    collateral_ratio: Share = Field(0.0, description="fraction of its value that counts as collateral")
    maintenance_rate: Share = Field(0.0, description="maintenance margin per borrowed value")
    interest_rate: Annotated[NonNegative, Field(le=10)] = Field(0.0, description="per year on borrowed amounts")


class Factor(Model):
    """[factors.NAME]: a common source of returns that references follow with their betas."""

    volatility: Annotated[NonNegative, Field(le=100)] = Field(0.0, description="per square root of a year")
    interval: PositiveDuration = NS_PER_S
    until: Duration | None = Field(
        None, description="it moves no longer than this, shocks aside; to the end if left out"
    )


class Reference(Model):
    """[references.NAME]: an outside value, a driftless geometric Brownian motion moved by exogenous jumps.

    A reference called as an asset is what the asset is worth at the start, in the quote asset of its instruments.
    """

    start: PositiveExact
    volatility: Annotated[NonNegative, Field(le=100)] = Field(
        0.0, description="per square root of a year, on top of what its factors bring"
    )
    interval: PositiveDuration = NS_PER_S
    until: Duration | None = Field(
        None, description="it moves by itself no longer than this; its factors and shocks still move it"
    )
    betas: dict[Name, Annotated[Number, Field(ge=-20, le=20)]] = Field(
        default_factory=dict, description="how strongly it follows each factor"
    )


class LoanPopulation(Model):
    """Many loans, opened before the run."""

    count: int = Field(ge=1, le=1_000_000)
    collateral: Positive = Field(description="base units pledged in all")
    size_sigma: Annotated[NonNegative, Field(le=5)] = Field(1.0, description="log-standard-deviation of loan sizes")
    ltv_low: Share
    ltv_high: Share
    ltv_shape: tuple[Positive, Positive] = Field((2.0, 2.0), description="Beta distribution between low and high")

    @model_validator(mode="after")
    def _ordered(self) -> LoanPopulation:
        if not self.ltv_low < self.ltv_high:
            raise ValueError(f"ltv_low ({self.ltv_low}) must be smaller than ltv_high ({self.ltv_high})")
        return self


class Lender(Model):
    """[lenders.NAME]: loans of an instrument's quote asset on its base asset."""

    instrument: Name
    max_ltv: PositiveShare = 0.78
    margin_call_ltv: PositiveShare = 0.85
    liquidation_ltv: PositiveShare = 0.91
    close_factor: PositiveShare = 0.5
    bonus: Annotated[Share, Field(lt=1)] = 0.02
    interest_rate: Annotated[NonNegative, Field(le=10)] = 0.0
    insurance: NonNegative = Field(0.0, description="quote units against bad debt")
    update_interval: PositiveDuration = NS_PER_S
    oracle: Mark = Mark()
    loans: LoanPopulation

    @model_validator(mode="after")
    def _ordered(self) -> Lender:
        if not self.max_ltv <= self.margin_call_ltv <= self.liquidation_ltv:
            raise ValueError("max_ltv <= margin_call_ltv <= liquidation_ltv must hold")
        if self.loans.ltv_high > self.max_ltv:
            raise ValueError(f"loans.ltv_high ({self.loans.ltv_high}) is above max_ltv ({self.max_ltv})")
        return self


class Positions(RetailParams):
    """[positions.NAME]: many isolated positions in a perpetual, opened before the run."""

    instrument: Name


class Whales(WhaleParams):
    """[whales.NAME]: many large margin accounts on a venue, opened before the run."""

    venue: Name | None = None


class Mechanism(Model):
    """[mechanisms.NAME]: a part of the economy that `ablate` leaves out, as settings that switch it off."""

    title: str = Field("", max_length=200)
    off: dict[str, Any] = Field(min_length=1, max_length=1000)


class TapeSource(Model):
    """[[tapes]]: a recorded market replayed into an instrument's book."""

    kind: Literal["lobster", "binance-l2", "tardis-trades"]
    instrument: Name
    path: Annotated[str, Field(min_length=1, max_length=500)]
    book: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        None, description="LOBSTER order book file whose first row seeds the book"
    )


def _agents_type() -> Any:
    """Union of all agents' parameter models, told apart by `kind`; an agent module is all a new kind takes."""
    models: list[type[AgentParams]] = [agent.Params for agent in agent_kinds().values()]
    return Annotated[reduce(or_, models), Field(discriminator="kind")]


if TYPE_CHECKING:
    AnyAgent = AgentParams
else:
    AnyAgent = _agents_type()


class ScenarioFile(Model):
    """A whole scenario file."""

    scenario: Header
    assets: dict[Name, Asset] = Field(min_length=1, max_length=1000)
    factors: dict[Name, Factor] = Field(default_factory=dict, max_length=100)
    references: dict[Name, Reference] = Field(default_factory=dict, max_length=1000)
    venues: dict[Name, Venue] = Field(min_length=1, max_length=100)
    instruments: dict[Name, Instrument] = Field(min_length=1, max_length=10_000)
    lenders: dict[Name, Lender] = Field(default_factory=dict, max_length=1000)
    agents: dict[Name, AnyAgent] = Field(default_factory=dict, max_length=10_000)
    exogenous: tuple[Exogenous, ...] = Field((), max_length=1000)
    tapes: tuple[TapeSource, ...] = Field((), max_length=100)
    transfers: Transfers = Transfers()
    windows: dict[Name, Window] = Field(default_factory=dict, max_length=100)
    positions: dict[Name, Positions] = Field(default_factory=dict, max_length=10_000)
    whales: dict[Name, Whales] = Field(default_factory=dict, max_length=10_000)
    groups: dict[Name, tuple[Name, ...]] = Field(default_factory=dict, max_length=1000)
    mechanisms: dict[Name, Mechanism] = Field(default_factory=dict, max_length=100)
    variants: dict[Name, dict[str, Any]] = Field(default_factory=dict, max_length=100)


_TYPE_WORDS = re.compile(r"Input should be ")


def wording(message: str) -> str:
    """pydantic's message as one would say it."""
    return _TYPE_WORDS.sub("should be ", message).removeprefix("Value error, ")
