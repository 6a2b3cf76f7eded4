"""The scenario file format as pydantic models: frozen, unknown keys refused, every fault reported at once."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from lobsim.agents import AgentParams, agent_kinds
from lobsim.agents.base import Duration, Model, Name, NonNegative, Positive, PositiveDuration, Share
from lobsim.errors import GridError
from lobsim.units import NS_PER_MINUTE, NS_PER_MS, NS_PER_S, parse_decimal


def _decimal(value: object) -> Decimal:
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        raise ValueError("a decimal number is wanted, e.g. '0.01'")
    try:
        return parse_decimal(value)
    except GridError as fault:
        raise ValueError(str(fault)) from None


Exact = Annotated[Decimal, BeforeValidator(_decimal, json_schema_input_type=str | float), PlainSerializer(str)]
PositiveExact = Annotated[Exact, Field(gt=0, le=10**15)]
StartTime = Annotated[str, Field(pattern=r"^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\dZ$")]


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


class Asset(Model):
    """[assets.NAME]: an asset and how margin accounts count it."""

    quantum: PositiveExact = Field(description="smallest amount the ledger knows, e.g. '0.000001'")
    collateral_ratio: Share = Field(0.0, description="fraction of its value that counts as collateral")
    maintenance_rate: Share = Field(0.0, description="maintenance margin per borrowed value")
    interest_rate: Annotated[NonNegative, Field(le=10)] = Field(0.0, description="per year on borrowed amounts")


class Reference(Model):
    """[references.NAME]: an outside value, a driftless geometric Brownian motion moved by exogenous jumps."""

    start: PositiveExact
    volatility: Annotated[NonNegative, Field(le=100)] = Field(0.0, description="per square root of a year")
    interval: PositiveDuration = NS_PER_S


class Mark(Model):
    """How a price becomes a mark price."""

    model: Literal["last", "mid", "last-average", "reference"] = "last-average"
    window: PositiveDuration = Field(3 * NS_PER_S, description="of last-average")
    reference: Name | None = Field(None, description="of model reference")

    @model_validator(mode="after")
    def _complete(self) -> Mark:
        if (self.model == "reference") != (self.reference is not None):
            raise ValueError("model 'reference' needs the key reference, and no other model takes it")
        return self


class AccountLiquidation(Model):
    """What the exchange does with a margin account at its liquidation level."""

    enabled: bool = True
    fraction: Annotated[Share, Field(gt=0)] = Field(0.1, description="share of the starting position sold per slice")
    pause: Duration = Field(5 * NS_PER_S, description="time between slices")
    target_level: Annotated[Positive, Field(ge=1)] = Field(1.5, description="margin level at which selling stops")


class Venue(Model):
    """[venues.NAME]: an exchange."""

    feed_interval: PositiveDuration = Field(100 * NS_PER_MS, description="pace of market data")
    mark_interval: PositiveDuration = Field(NS_PER_S, description="pace of mark updates and margin checks")
    maker_fee_bps: Annotated[NonNegative, Field(le=1000)] = 0.0
    taker_fee_bps: Annotated[NonNegative, Field(le=1000)] = 0.0
    insurance: dict[Name, NonNegative] = Field(default_factory=dict, description="fund at the start, by asset")
    account_liquidation: AccountLiquidation = AccountLiquidation()


class Instrument(Model):
    """[instruments.NAME]: a book on a venue."""

    venue: Name | None = None
    base: Name
    quote: Name
    tick: PositiveExact
    lot: PositiveExact
    mark: Mark = Mark()


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
    max_ltv: Annotated[Share, Field(gt=0)] = 0.78
    margin_call_ltv: Annotated[Share, Field(gt=0)] = 0.85
    liquidation_ltv: Annotated[Share, Field(gt=0)] = 0.91
    close_factor: Annotated[Share, Field(gt=0)] = 0.5
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


class Shock(Model):
    """The macro shock: an outside value jumps."""

    kind: Literal["shock"]
    at: PositiveDuration
    reference: Name
    change: Annotated[float, Field(gt=-1, le=10)]


class SlowNetwork(Model):
    """Messages of some agents travel more slowly during a window."""

    kind: Literal["slow-network"]
    at: Duration
    until: PositiveDuration
    agents: tuple[Name, ...] = Field(description="agent tables it concerns")
    factor: Annotated[Positive, Field(ge=1, le=1e6)]

    @model_validator(mode="after")
    def _ordered(self) -> SlowNetwork:
        if self.at >= self.until:
            raise ValueError("at must be before until")
        return self


Exogenous = Annotated[Shock | SlowNetwork, Field(discriminator="kind")]


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
    references: dict[Name, Reference] = Field(default_factory=dict, max_length=1000)
    venues: dict[Name, Venue] = Field(min_length=1, max_length=100)
    instruments: dict[Name, Instrument] = Field(min_length=1, max_length=10_000)
    lenders: dict[Name, Lender] = Field(default_factory=dict, max_length=1000)
    agents: dict[Name, AnyAgent] = Field(default_factory=dict, max_length=10_000)
    exogenous: tuple[Exogenous, ...] = Field((), max_length=1000)
    tapes: tuple[TapeSource, ...] = Field((), max_length=100)
    variants: dict[Name, dict[str, Any]] = Field(default_factory=dict, max_length=100)

    def faults(self) -> list[str]:
        """References that lead nowhere and economies that make no sense, each with its key path."""
        found: list[str] = []

        def known(where: str, name: str | None, table: dict[str, Any], what: str) -> None:
            if name is not None and name not in table:
                choices = ", ".join(sorted(table)[:10]) or "none is defined"
                found.append(f"{where}: {what} {name!r} is not defined (known: {choices})")

        known("scenario.numeraire", self.scenario.numeraire, self.assets, "asset")
        for name, venue in self.venues.items():
            for asset in venue.insurance:
                known(f"venues.{name}.insurance.{asset}", asset, self.assets, "asset")
        for name, instrument in self.instruments.items():
            where = f"instruments.{name}"
            known(f"{where}.venue", instrument.venue, self.venues, "venue")
            if instrument.venue is None and len(self.venues) > 1:
                found.append(f"{where}.venue: must be given, there are {len(self.venues)} venues")
            known(f"{where}.base", instrument.base, self.assets, "asset")
            known(f"{where}.quote", instrument.quote, self.assets, "asset")
            known(f"{where}.mark.reference", instrument.mark.reference, self.references, "reference")
            if instrument.base == instrument.quote:
                found.append(f"{where}: base and quote are the same asset {instrument.base!r}")
            elif instrument.base in self.assets and instrument.quote in self.assets:
                found.extend(self._grid_faults(where, instrument))
        for name, lender in self.lenders.items():
            known(f"lenders.{name}.instrument", lender.instrument, self.instruments, "instrument")
            known(f"lenders.{name}.oracle.reference", lender.oracle.reference, self.references, "reference")
        for name, agent in self.agents.items():
            known(f"agents.{name}.venue", agent.venue, self.venues, "venue")
            known(f"agents.{name}.instrument", agent.instrument, self.instruments, "instrument")
            known(f"agents.{name}.reference", getattr(agent, "reference", None), self.references, "reference")
            traded = self.instruments.get(agent.instrument)
            home = None if traded is None else traded.venue
            if agent.venue is not None and home is not None and agent.venue != home:
                found.append(f"agents.{name}.venue: {agent.instrument!r} is traded on {home!r}, not {agent.venue!r}")
        found.extend(self._market_faults())
        end = self.scenario.duration
        for number, event in enumerate(self.exogenous):
            where = f"exogenous[{number}]"
            if isinstance(event, Shock):
                known(f"{where}.reference", event.reference, self.references, "reference")
            else:
                for agent_name in event.agents:
                    known(f"{where}.agents", agent_name, self.agents, "agent")
            if event.at > end:
                found.append(f"{where}.at: is after the end of the run ({end / NS_PER_MINUTE:g}m)")
        for number, tape in enumerate(self.tapes):
            known(f"tapes[{number}].instrument", tape.instrument, self.instruments, "instrument")
            if tape.book is not None and tape.kind != "lobster":
                found.append(f"tapes[{number}].book: only a tape of kind 'lobster' takes it")
        return found

    def _grid_faults(self, where: str, instrument: Instrument) -> list[str]:
        found = []
        base, quote = self.assets[instrument.base].quantum, self.assets[instrument.quote].quantum
        if instrument.lot % base:
            found.append(f"{where}.lot: {instrument.lot} is not a whole number of {instrument.base} quanta ({base})")
        if (instrument.tick * instrument.lot) % quote:
            found.append(
                f"{where}.tick: tick x lot = {instrument.tick * instrument.lot} is not a whole number of "
                f"{instrument.quote} quanta ({quote})"
            )
        return found

    def _market_faults(self) -> list[str]:
        """Margin accounts are valued in the numeraire along each instrument's own mark."""
        found = []
        for name, agent in self.agents.items():
            instrument = self.instruments.get(agent.instrument)
            if agent.kind == "market-maker" and instrument and instrument.quote != self.scenario.numeraire:
                found.append(
                    f"agents.{name}.instrument: margin accounts need an instrument quoted in the numeraire "
                    f"{self.scenario.numeraire!r}; {agent.instrument!r} is quoted in {instrument.quote!r}"
                )
            if agent.kind == "liquidation-bot" and not any(
                lender.instrument == agent.instrument for lender in self.lenders.values()
            ):
                found.append(f"agents.{name}.instrument: no lender lends on {agent.instrument!r}, so there is no work")
        return found


_TYPE_WORDS = re.compile(r"Input should be ")


def wording(message: str) -> str:
    """pydantic's message as one would say it."""
    return _TYPE_WORDS.sub("should be ", message).removeprefix("Value error, ")
