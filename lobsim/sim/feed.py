"""Published values that reach each reader late: market data, reference values, account states.

A `Feed` keeps what was published; a `FeedReader` shows its owner the newest item whose travel time is over. Nothing is
scheduled per reader, so a thousand readers of a feed cost nothing until they look.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from lobsim.sim.latency import ConstantLatency, LatencyModel, LognormalLatency

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

    __slots__ = ("_arrival_ns", "_constant_ns", "_draw", "_extra_ns", "_feed", "_latency", "_latest", "_next")

    def __init__(self, feed: Feed[T], latency: LatencyModel, extra_ns: int = 0) -> None:
        self._feed = feed
        self._latency = latency
        self._constant_ns = latency.ns + extra_ns if isinstance(latency, ConstantLatency) else None
        self._draw = latency.draw if isinstance(latency, LognormalLatency) else None
        self._next = 0
        self._arrival_ns: int | None = None
        self._latest: T | None = None
        self._extra_ns = extra_ns

    def latest(self, now_ns: int) -> T | None:
        """Newest item that has arrived by `now_ns`; None before the first. Amortised O(1) per item.

        Each item's latency is drawn once, in order of publication. O(1) where the latency is always the same and
        nothing is under way.
        """
        feed = self._feed
        items = feed.items
        position = self._next - feed.first
        count = len(items)
        if position >= count:
            return self._latest
        if position < 0:
            position = 0
            self._arrival_ns = None
        if self._constant_ns is not None:
            sent_by = now_ns - self._constant_ns
            if items[-1][0] <= sent_by:
                position = count
            while position < count and items[position][0] <= sent_by:
                position += 1
            if position + feed.first > self._next:
                self._latest = items[position - 1][1] if position else self._latest
        else:
            arrival_ns = self._arrival_ns
            draw, extra_ns = self._draw, self._extra_ns
            while position < count:
                sent_ns, item = items[position]
                if arrival_ns is None:
                    arrival_ns = sent_ns + extra_ns + (draw() if draw is not None else self._latency.sample(sent_ns))
                if arrival_ns > now_ns:
                    break
                self._latest = item
                position += 1
                arrival_ns = None
            self._arrival_ns = arrival_ns
        self._next = feed.first + position
        return self._latest
