"""How long a message travels. A gateway never lets a message overtake an earlier one of the same session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import exp, log
from typing import Protocol

from lobsim.sim.streams import Stream


class LatencyModel(Protocol):
    """Nanoseconds that a message sent at `time_ns` is under way."""

    def sample(self, time_ns: int) -> int:
        """A new draw for each message; at least 0."""
        ...


class ConstantLatency:
    """Always the same. Bias: no queueing and no bursts, so a race is always won by the nearer party."""

    __slots__ = ("ns",)

    def __init__(self, ns: int) -> None:
        self.ns = ns

    def sample(self, time_ns: int) -> int:
        """The constant."""
        return self.ns


class LognormalLatency:
    """Median and log-standard-deviation. Bias: draws are independent, real delays come in bursts."""

    __slots__ = ("draw",)

    draw: Callable[[], int]

    def __init__(self, median_ns: int, sigma: float, stream: Stream) -> None:
        self.draw = _lognormal(log(median_ns), sigma, stream.normal).__next__

    def sample(self, time_ns: int) -> int:
        """A new lognormal draw, whole nanoseconds: `draw` whatever the time."""
        return self.draw()


class DegradedLatency:
    """Another model, `factor` times as slow for messages sent in [start_ns, end_ns). Bias: sets in and ends at once."""

    __slots__ = ("_end_ns", "_factor", "_inner", "_start_ns")

    def __init__(self, inner: LatencyModel, start_ns: int, end_ns: int, factor: float) -> None:
        self._inner = inner
        self._start_ns = start_ns
        self._end_ns = end_ns
        self._factor = factor

    def sample(self, time_ns: int) -> int:
        """The inner model's draw, stretched inside the window."""
        ns = self._inner.sample(time_ns)
        return int(ns * self._factor) if self._start_ns <= time_ns < self._end_ns else ns


def _lognormal(mu: float, sigma: float, normal: Callable[[], float]) -> Iterator[int]:
    while True:
        yield int(exp(mu + sigma * normal()))
