"""Published values that reach each reader late: market data, reference values, account states.

A `Feed` keeps what was published; a `FeedReader` shows its owner the newest item whose travel time is over. Nothing is
scheduled per reader, so a thousand readers of a feed cost nothing until they look.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from lobsim.sim.latency import LatencyModel

T = TypeVar("T")

_KEPT = 8192  # items a reader can be late by before it misses some


class Feed(Generic[T]):
    """Items in order of publication. A reader that is more than 8,192 items late misses the oldest."""

    __slots__ = ("first", "items")

    def __init__(self) -> None:
        self.items: deque[tuple[int, T]] = deque(maxlen=_KEPT)
        self.first = 0  # number of the oldest item kept

    def publish(self, time_ns: int, item: T) -> None:
        """Append an item; `time_ns` must not go back."""
        if len(self.items) == _KEPT:
            self.first += 1
        self.items.append((time_ns, item))


class FeedReader(Generic[T]):
    """One party's delayed view of a feed. Items never overtake each other."""

    __slots__ = ("_arrival_ns", "_feed", "_latency", "_latest", "_next", "extra_ns")

    def __init__(self, feed: Feed[T], latency: LatencyModel, extra_ns: int = 0) -> None:
        self._feed = feed
        self._latency = latency
        self._next = 0
        self._arrival_ns: int | None = None
        self._latest: T | None = None
        self.extra_ns = extra_ns

    def latest(self, now_ns: int) -> T | None:
        """Newest item that has arrived by `now_ns`; None before the first. Amortised O(1) per item."""
        feed = self._feed
        items = feed.items
        while True:
            position = self._next - feed.first
            if position < 0:
                self._next = feed.first
                self._arrival_ns = None
                continue
            if position >= len(items):
                return self._latest
            sent_ns, item = items[position]
            if self._arrival_ns is None:
                self._arrival_ns = sent_ns + self._latency.sample(sent_ns) + self.extra_ns
            if self._arrival_ns > now_ns:
                return self._latest
            self._latest = item
            self._next += 1
            self._arrival_ns = None
