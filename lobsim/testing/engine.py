"""What an engine must offer to be tested, and which features it may lack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum, unique
from typing import Protocol

from lobsim.events import Command, Event


class Engine(Protocol):
    """Any matching engine behind three methods; an adapter is about 20 lines.

    Prices are ticks, quantities lots, times nanoseconds. An engine that also has any of the members in `QUESTIONS`
    (same names and shapes as in `lobsim.OrderBook`) has their answers compared too, and a `check()` is called after
    every step.
    """

    def apply(self, command: Command) -> Sequence[Event]:
        """Everything that happens because of one command, in order, as the ten-slot events of `lobsim.events`.

        A `time_ns` of None means that the clock stands still. Stops wake and GTD orders expire inside the command whose
        trade or time reaches them.
        """
        ...

    def bids(self) -> Sequence[tuple[int, int]]:
        """(price, displayed lots) of every bid level, highest price first."""
        ...

    def asks(self) -> Sequence[tuple[int, int]]:
        """(price, displayed lots) of every ask level, lowest price first."""
        ...


@unique
class Feature(StrEnum):
    """What an engine may or may not do; commands that need an absent feature are never sent.

    STP_... are the four ways to prevent self-trades. REUSED_IDS: an id comes again once its order is done. BAD_INPUT:
    commands that must be rejected (a live id, nonsense quantities, prices, expiries, contradictions) are sent.
    IMPLICIT_TIME: commands may leave `time_ns` out.
    """

    MARKET = "market"
    IOC = "ioc"
    FOK = "fok"
    POST_ONLY = "post_only"
    ICEBERG = "iceberg"
    GTD = "gtd"
    STOP = "stop"
    REPLACE = "replace"
    MASS_CANCEL = "mass_cancel"
    STP_CANCEL_NEWEST = "stp_cancel_newest"
    STP_CANCEL_OLDEST = "stp_cancel_oldest"
    STP_CANCEL_BOTH = "stp_cancel_both"
    STP_DECREMENT = "stp_decrement"
    REUSED_IDS = "reused_ids"
    BAD_INPUT = "bad_input"
    IMPLICIT_TIME = "implicit_time"


ALL_FEATURES = frozenset(Feature)

QUESTIONS = (
    "best_bid",
    "best_ask",
    "best_bid_qty",
    "best_ask_qty",
    "last_price",
    "time_ns",
    "snapshot",
    "order",
    "queue_position",
    "walk",
    "depth",
)
"""Optional members: the first six are values, the others methods."""


def parse_features(features: Iterable[Feature | str]) -> frozenset[Feature]:
    """Features by member or name; ValueError names what is unknown and what there is."""
    if isinstance(features, str) or not isinstance(features, Iterable):
        raise TypeError(f"features must be a collection of Feature members or names, not {features!r}")
    chosen = list(features)
    unknown = sorted(str(name) for name in chosen if name not in ALL_FEATURES)
    if unknown:
        raise ValueError(f"unknown features {unknown}; there are {sorted(ALL_FEATURES)}")
    return frozenset(Feature(name) for name in chosen)
