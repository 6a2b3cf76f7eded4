"""The tables of windows where assets are minted, redeemed or converted, and of transfers between venues."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lobsim.agents import AgentParams
from lobsim.agents.base import Duration, Model, Name, NonNegative, Positive, PositiveDuration, Share
from lobsim.scenario.markets import Mark
from lobsim.units import NS_PER_MINUTE, NS_PER_S

_WINDOW_KEYS = ("issuer", "converter", "window")


def named_windows(agent: AgentParams) -> list[tuple[str, str]]:
    """(key, name) of the windows that an agent's params name; other agents may call a duration a window."""
    named = ((key, getattr(agent, key, None)) for key in _WINDOW_KEYS)
    return [(key, name) for key, name in named if isinstance(name, str)]


class Transfers(Model):
    """[transfers]: how long assets travel between venues, and to and from the chain."""

    delay: Duration = Field(2 * NS_PER_MINUTE, description="between any two places")


class IssuerWindow(Model):
    """[windows.NAME] of kind issuer: mints a stable asset against a reserve at par, and redeems it."""

    kind: Literal["issuer"]
    asset: Name
    reserve_asset: Name
    reserve: NonNegative = Field(
        description="at hand for redemptions; on the account of the issuer-hedge that names this window, if any"
    )
    supply: NonNegative | None = Field(
        None, description="issued before the run, wherever that is; left out: as much as there is in the run"
    )
    fee: Share = Field(0.001, description="of the amount minted or redeemed")
    cap: Positive = Field(description="most that is minted, and most that is redeemed, per interval")
    interval: PositiveDuration = Field(12 * NS_PER_S, description="of the cap: a block")
    delay: Duration = Field(12 * NS_PER_S, description="until it is settled")
    enabled: bool = True


class ConverterWindow(Model):
    """[windows.NAME] of kind converter: a wrapped asset for its underlying at the conversion rate, after a delay."""

    kind: Literal["converter"]
    wrapped: Name
    underlying: Name
    rate: Name = Field(description="reference of the conversion rate: underlying per wrapped")
    reserve: NonNegative = Field(description="underlying at hand")
    cap: Positive = Field(description="most wrapped units that are converted per interval")
    interval: PositiveDuration = NS_PER_MINUTE
    delay: Duration = Field(10 * NS_PER_MINUTE, description="until it is settled")
    enabled: bool = True


class MintBurnWindow(Model):
    """[windows.NAME] of kind mint-burn: a stable asset is burned for a dollar's worth of new coins, and back.

    The coin is valued by `oracle` of the named instrument.
    """

    kind: Literal["mint-burn"]
    stable: Name
    coin: Name
    instrument: Name = Field(description="where the coin is priced")
    oracle: Mark = Mark()
    stable_supply: NonNegative | None = Field(
        None, description="stable units issued before the run, wherever they are; left out: as many as are in the run"
    )
    coin_supply: NonNegative | None = Field(None, description="the same of the coin")
    spread: Share = Field(0.005, description="least part that is kept back")
    pool: Positive = Field(description="stable units that may be burned, or minted, before the spread has doubled")
    recovery: PositiveDuration = Field(description="time constant in which the pools recover")
    delay: Duration = Field(6 * NS_PER_S, description="until it is settled: a block")
    enabled: bool = True


Window = Annotated[IssuerWindow | ConverterWindow | MintBurnWindow, Field(discriminator="kind")]
