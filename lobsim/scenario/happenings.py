"""What comes from outside at a set time: the macro shock, and operational stalls and halts. Agents cannot read it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lobsim.agents.base import Duration, Model, Name, Positive, PositiveDuration


class Shock(Model):
    """The macro shock: an outside value jumps, or a factor and with it all that follow it by their betas."""

    kind: Literal["shock"]
    at: PositiveDuration
    reference: Name | None = None
    factor: Name | None = None
    change: Annotated[float, Field(gt=-1, le=10)]

    @model_validator(mode="after")
    def _one(self) -> Shock:
        if (self.reference is None) == (self.factor is None):
            raise ValueError("give either reference or factor")
        return self


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


class FeedStall(Model):
    """A venue publishes no market data during a window."""

    kind: Literal["feed-stall"]
    at: Duration
    until: PositiveDuration
    venue: Name

    @model_validator(mode="after")
    def _ordered(self) -> FeedStall:
        if self.at >= self.until:
            raise ValueError("at must be before until")
        return self


class WithdrawalHalt(Model):
    """Nothing, or none of some assets, leaves a venue during a window."""

    kind: Literal["withdrawal-halt"]
    at: Duration
    until: PositiveDuration | None = Field(None, description="to the end of the run if left out")
    venue: Name
    assets: tuple[Name, ...] | None = Field(None, description="all if left out")
    enabled: bool = True

    @model_validator(mode="after")
    def _ordered(self) -> WithdrawalHalt:
        if self.until is not None and self.at >= self.until:
            raise ValueError("at must be before until")
        return self


Exogenous = Annotated[Shock | SlowNetwork | FeedStall | WithdrawalHalt, Field(discriminator="kind")]
