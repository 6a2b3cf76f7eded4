"""When a market maker walks away from all its pairs at once, and when it comes back.

Each rule is a switch of its own: a key of `WithdrawalParams` that is a number or a duration, or `false`. A rule sees a
`Situation`: what the maker's gateways have delivered, and nothing else.
"""

from __future__ import annotations

from math import ceil
from typing import Annotated, ClassVar, Literal, Protocol

from pydantic import BeforeValidator, Field

from lobsim.agents.base import Duration, Model, Positive, PositiveDuration, Share
from lobsim.units import NS_PER_MINUTE

PPM = 1_000_000
_ROUNDING = 1e-9  # a share of the pairs that is a whole number of them but for the last bit counts as that number


def _off(value: object) -> object:
    return None if value is False else value


def _switch(kind: object) -> BeforeValidator:
    return BeforeValidator(_off, json_schema_input_type=kind | Literal[False] | None)


SwitchedNumber = Annotated[Positive | None, _switch(Positive)]
SwitchedDuration = Annotated[PositiveDuration | None, _switch(PositiveDuration)]
SwitchedCount = Annotated[Annotated[int, Field(ge=1, le=1_000_000)] | None, _switch(int)]


class VolatilityRuleParams(Model):
    """Keys of the rule that looks at realised volatility."""

    volatility_ratio: SwitchedNumber = Field(
        8.0,
        description="withdraw when realised volatility is above this multiple of its calm level; false: never",
    )
    volatility_spread: Share = Field(0.3, description="each maker's own ratio lies within +- this share of it")
    volatility_window: PositiveDuration = Field(NS_PER_MINUTE, description="window of the realised volatility")
    volatility_pairs: Share = Field(
        0.5, description="share of the maker's pairs (one at least) whose volatility must be above the ratio"
    )


class MarginRuleParams(Model):
    """Keys of the rule that looks at the account."""

    margin_level: SwitchedNumber = Field(1.5, description="withdraw below this margin level (uniMMR); false: never")


class StaleFeedRuleParams(Model):
    """Keys of the rule that looks at how old market data is: a feed that stands still, and measured latency."""

    stale_feed: SwitchedDuration = Field(
        None, description="withdraw when the newest market data of a venue is older; false: never"
    )


class InventoryRuleParams(Model):
    """Keys of the rule that looks at what it has bought and sold."""

    inventory: SwitchedNumber = Field(
        None, description="withdraw when one underlying's inventory is above this multiple of its limit; false: never"
    )


class HedgeRuleParams(Model):
    """Keys of the rule that looks at its hedges."""

    failed_hedges: SwitchedCount = Field(
        None,
        description="withdraw when contracts were auto-deleveraged, or after so many hedge orders in a row of which "
        "less than half was filled; false: never",
    )


class WithdrawalParams(
    VolatilityRuleParams, MarginRuleParams, StaleFeedRuleParams, InventoryRuleParams, HedgeRuleParams
):
    """When a maker walks away, and when it comes back."""

    return_after: Duration = Field(5 * NS_PER_MINUTE, description="shortest absence")
    calm_window: PositiveDuration = Field(2 * NS_PER_MINUTE, description="calm means no such fall within this window")
    calm_fall: Share = Field(0.05, description="largest fall of the last price that still counts as calm")
    calm_pairs: Share = Field(0.5, description="share of its pairs (one at least) that must be calm")
    return_size: Share = Field(0.3, description="size after the return as a share of the size before")
    grace: Duration = Field(
        2 * NS_PER_MINUTE, description="time after the return in which volatility, inventory and hedges are forgiven"
    )


class Situation:
    """What a maker knows of itself when it asks its rules.

    feed_age_ns: age of the newest market data of the venue that is furthest behind. level_ppm: lowest margin level of
    its accounts; None: nothing owed. inventory: of the pair in hand, as a share of its limit, never negative.
    """

    __slots__ = (
        "alarmed_pairs",
        "deleveraged",
        "failed_hedges",
        "feed_age_ns",
        "forgiven",
        "in_liquidation",
        "inventory",
        "level_ppm",
        "pairs",
    )

    def __init__(self, pairs: int) -> None:
        self.pairs = pairs
        self.alarmed_pairs = 0
        self.feed_age_ns = 0
        self.level_ppm: int | None = None
        self.in_liquidation = False
        self.inventory = 0.0
        self.failed_hedges = 0
        self.deleveraged = False
        self.forgiven = False  # just returned: only lasting rules count


class WithdrawalRule(Protocol):
    """One reason to walk away. `lasting`: it also keeps a maker from coming back, and counts right after a return."""

    name: ClassVar[str]
    lasting: ClassVar[bool]

    def fires(self, situation: Situation) -> bool:
        """Whether this is a reason to go now."""
        ...

    def seen(self, situation: Situation) -> tuple[int | None, str]:
        """(amount, unit) of what it looks at, for the records."""
        ...


class MarginLevelRule:
    """The account's margin level is below `limit`."""

    name: ClassVar[str] = "margin_level"
    lasting: ClassVar[bool] = True

    def __init__(self, limit: float) -> None:
        self._limit_ppm = limit * PPM

    def fires(self, situation: Situation) -> bool:
        """Whether this is a reason to go now."""
        level = situation.level_ppm
        return level is not None and level < self._limit_ppm

    def seen(self, situation: Situation) -> tuple[int | None, str]:
        """(amount, unit) of what it looks at, for the records."""
        return situation.level_ppm, "ppm"


class StaleFeedRule:
    """The newest market data is older than `limit_ns`: the feed stands still, or the line is slow."""

    name: ClassVar[str] = "stale_feed"
    lasting: ClassVar[bool] = True

    def __init__(self, limit_ns: int) -> None:
        self._limit_ns = limit_ns

    def fires(self, situation: Situation) -> bool:
        """Whether this is a reason to go now."""
        return situation.feed_age_ns > self._limit_ns

    def seen(self, situation: Situation) -> tuple[int | None, str]:
        """(amount, unit) of what it looks at, for the records."""
        return situation.feed_age_ns, "ns"


class VolatilityRule:
    """Volatility is in alarm on at least `share` of the pairs, and on one at least."""

    name: ClassVar[str] = "volatility"
    lasting: ClassVar[bool] = False

    def __init__(self, share: float, pairs: int) -> None:
        self._needed = max(1, ceil(share * pairs - _ROUNDING))

    def fires(self, situation: Situation) -> bool:
        """Whether this is a reason to go now."""
        return situation.alarmed_pairs >= self._needed

    def seen(self, situation: Situation) -> tuple[int | None, str]:
        """(amount, unit) of what it looks at, for the records."""
        return situation.alarmed_pairs, "pairs"


class InventoryRule:
    """Inventory is above `multiple` of its limit."""

    name: ClassVar[str] = "inventory"
    lasting: ClassVar[bool] = False

    def __init__(self, multiple: float) -> None:
        self._multiple = multiple

    def fires(self, situation: Situation) -> bool:
        """Whether this is a reason to go now."""
        return situation.inventory > self._multiple

    def seen(self, situation: Situation) -> tuple[int | None, str]:
        """(amount, unit) of what it looks at, for the records."""
        return int(situation.inventory * PPM), "ppm"


class FailedHedgeRule:
    """The exchange took its contracts away, or `limit` hedge orders in a row were not filled."""

    name: ClassVar[str] = "failed_hedge"
    lasting: ClassVar[bool] = False

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def fires(self, situation: Situation) -> bool:
        """Whether this is a reason to go now."""
        return situation.deleveraged or situation.failed_hedges >= self._limit

    def seen(self, situation: Situation) -> tuple[int | None, str]:
        """(amount, unit) of what it looks at, for the records."""
        return situation.failed_hedges, "orders"


def withdrawal_rules(params: WithdrawalParams, pairs: int) -> tuple[WithdrawalRule, ...]:
    """The rules that are switched on, in the order in which they are asked."""
    rules: list[WithdrawalRule] = []
    if params.margin_level is not None:
        rules.append(MarginLevelRule(params.margin_level))
    if params.stale_feed is not None:
        rules.append(StaleFeedRule(params.stale_feed))
    if params.volatility_ratio is not None:
        rules.append(VolatilityRule(params.volatility_pairs, pairs))
    if params.inventory is not None:
        rules.append(InventoryRule(params.inventory))
    if params.failed_hedges is not None:
        rules.append(FailedHedgeRule(params.failed_hedges))
    return tuple(rules)


def calm_enough(calm: int, pairs: int, share: float) -> bool:
    """Whether `calm` of `pairs` pairs are the `share` that a return asks for, one at least."""
    return calm >= max(1, ceil(share * pairs - _ROUNDING))
