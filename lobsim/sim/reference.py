"""Outside reference values: what an asset is worth on other venues and to long-horizon holders."""

from __future__ import annotations

from math import exp, sqrt

from lobsim.sim.clock import Clock, every
from lobsim.sim.feed import Feed
from lobsim.sim.streams import Stream
from lobsim.units import NS_PER_S
from lobsim.venue.ports import EventClass

_SECONDS_PER_YEAR = 365 * 86_400


class ReferenceValue:
    """Geometric Brownian motion without drift, moved at once by exogenous jumps.

    volatility: per square root of a year. Published to `feed` at every step. Bias: no jumps of its own, no mean
    reversion; after a shock it has no tendency to recover or to fall on.
    """

    def __init__(
        self,
        clock: Clock,
        name: str,
        start: float,
        volatility: float,
        interval_ns: int,
        stream: Stream,
        feed: Feed[float],
    ) -> None:
        self.name = name
        self.price = start
        self._clock = clock
        self._feed = feed
        self._normal = stream.normal
        self._sigma = volatility * sqrt(interval_ns / NS_PER_S / _SECONDS_PER_YEAR)
        feed.publish(clock.now, start)
        if volatility > 0:
            every(clock, EventClass.EXOGENOUS, f"reference/{name}", interval_ns, self._step)

    def in_ticks(self, tick: float) -> ReferenceInTicks:
        """This value as a price on the grid of one market."""
        return ReferenceInTicks(self, tick)

    def jump(self, change: float) -> None:
        """An exogenous relative change, e.g. -0.17."""
        self.price *= 1 + change
        self._feed.publish(self._clock.now, self.price)

    def _step(self) -> None:
        self.price *= exp(self._sigma * self._normal() - self._sigma**2 / 2)
        self._feed.publish(self._clock.now, self.price)


class ReferenceInTicks:
    """A reference value as one market counts prices."""

    __slots__ = ("_reference", "_tick")

    def __init__(self, reference: ReferenceValue, tick: float) -> None:
        self._reference = reference
        self._tick = tick

    @property
    def value(self) -> int:
        """Present value in ticks, at least 1."""
        return max(1, round(self._reference.price / self._tick))
