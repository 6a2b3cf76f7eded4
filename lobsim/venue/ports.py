"""What a venue needs from the outside: a clock to be woken by, somewhere to record, someone to report to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum, unique
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from lobsim.events import Event


@unique
class EventClass(IntEnum):
    """Second key of the total order of events (the first is time); see `lobsim.sim.clock`."""

    EXOGENOUS = 1
    MESSAGE = 2
    MARK = 3
    DELIVERY = 4
    WAKE = 5
    RECORD = 6


class Scheduler(Protocol):
    """The clock as a venue sees it."""

    @property
    def now(self) -> int:
        """Nanoseconds since the run's start."""
        ...

    def key(self, name: str) -> int:
        """Tie key of a named component under the run's seed."""
        ...

    def call_at(
        self, time_ns: int, event_class: EventClass, key: int, callback: Callable[[Any], None], value: Any = None
    ) -> None:
        """Call ``callback(value)`` at `time_ns`."""
        ...


class Recording(Protocol):
    """The recorder as a venue sees it; arguments as in `lobsim.sim.recorder.Recorder`."""

    def events(self, instrument_id: int, events: Sequence[Event]) -> None:
        """All events of one or more whole commands, in order."""
        ...

    def quote(
        self, instrument_id: int, time_ns: int, bid: int | None, bid_qty: int, ask: int | None, ask_qty: int
    ) -> None:
        """The best prices changed."""
        ...

    def depth(
        self, instrument_id: int, time_ns: int, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]]
    ) -> None:
        """A keyframe of the whole displayed book."""
        ...

    def account(
        self,
        time_ns: int,
        account_id: int,
        equity: int,
        maintenance: int,
        margin_level_ppm: int | None,
        leverage_ppm: int | None,
        debt: int,
        collateral_value: int,
    ) -> None:
        """An account's state at a mark update."""
        ...

    def credit(
        self,
        time_ns: int,
        kind: str,
        account_id: int,
        counterparty_id: int,
        asset: str,
        amount: int,
        value: int,
        ref_id: int,
    ) -> None:
        """Something happened to a loan or a margin account."""
        ...


class Session(Protocol):
    """One account's connection to an exchange, on the exchange's side."""

    account_id: int

    def report(self, instrument_id: int, events: list[Event]) -> None:
        """Send these events on their way to the agent."""
        ...


class MarketView(NamedTuple):
    """What an exchange publishes of a market, in ticks and lots; None where a side is empty or nothing traded yet."""

    time_ns: int
    best_bid: int | None
    best_bid_qty: int
    best_ask: int | None
    best_ask_qty: int
    last_price: int | None
    mark_price: int | None


class AccountView(NamedTuple):
    """What an exchange tells a margin account about itself after a mark update.

    `in_liquidation`: the exchange has taken it over, for as long as it sells, or for good when it is sold out.
    contracts: signed lots by instrument id. adl: lots of them that auto-deleveraging has closed since the start.
    equity: numeraire quanta, collateral counted with its ratio.
    """

    time_ns: int
    margin_level_ppm: int | None
    leverage_ppm: int | None
    in_liquidation: bool
    net: dict[str, int]
    contracts: Mapping[int, int] = MappingProxyType({})
    adl: int = 0
    equity: int = 0
