"""One-way lines between sessions and venues: messages take a latency and never overtake each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lobsim.sim.clock import Clock
from lobsim.sim.latency import LatencyModel
from lobsim.venue.ports import EventClass


class Line:
    """A one-way line between a session and a venue: messages take a latency and never overtake each other."""

    __slots__ = ("_clock", "_event_class", "_key", "_last_ns", "_latency", "_receive")

    def __init__(
        self,
        clock: Clock,
        event_class: EventClass,
        key: int,
        latency: LatencyModel,
        receive: Callable[[Any], None],
    ) -> None:
        self._clock = clock
        self._event_class = event_class
        self._key = key
        self._latency = latency
        self._receive = receive
        self._last_ns = 0

    def send(self, message: object) -> None:
        """`receive(message)` is called when it arrives."""
        now = self._clock.now
        self._last_ns = arrival = max(now + self._latency.sample(now), self._last_ns)
        self._clock.call_at(arrival, self._event_class, self._key, self._receive, message)
