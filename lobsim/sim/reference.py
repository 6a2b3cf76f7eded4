"""Outside values: what an asset is worth on venues beyond the scenario and to long-horizon holders."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, sqrt

from lobsim.sim.clock import Clock, every
from lobsim.sim.feed import Feed
from lobsim.sim.streams import Stream
from lobsim.units import NS_PER_S
from lobsim.venue.ports import EventClass

_SECONDS_PER_YEAR = 365 * 86_400


class Factor:
    """A common source of returns: driftless, normal, of constant volatility per square root of a year.

    References that follow it with a beta move by ``exp(beta * r - beta^2 * sigma^2 / 2)`` for its return r, so that
    each stays without drift. It moves until `until_ns`, if that is given. Bias: no jumps of its own and no clusters of
    volatility.
    """

    def __init__(
        self,
        clock: Clock,
        name: str,
        volatility: float,
        interval_ns: int,
        stream: Stream,
        until_ns: int | None = None,
    ) -> None:
        self.name = name
        self._followers: list[tuple[ReferenceValue, float]] = []
        self._normal = stream.normal
        self._sigma = _per_step(volatility, interval_ns)
        if volatility > 0:
            every(clock, EventClass.EXOGENOUS, f"factor/{name}", interval_ns, self._step, until_ns)

    def follow(self, reference: ReferenceValue, beta: float) -> None:
        """Move `reference` along from now on."""
        self._followers.append((reference, beta))

    def jump(self, change: float) -> None:
        """An exogenous relative change: every follower changes by (1 + change) ** beta - 1."""
        for reference, beta in self._followers:
            reference.jump((1 + change) ** beta - 1)

    def _step(self) -> None:
        shock = self._sigma * self._normal()
        for reference, beta in self._followers:
            reference.jump(exp(beta * shock - (beta * self._sigma) ** 2 / 2) - 1)


class ReferenceValue:
    """Geometric Brownian motion without drift, moved at once by exogenous jumps, and by factors it follows.

    volatility: per square root of a year, on top of the factors', until `until_ns` if that is given. Published to
    `feed` at every step. Bias: no jumps of its own, no mean reversion; after a shock it has no tendency to recover or
    to fall on.
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
        factors: Sequence[tuple[Factor, float]] = (),
        until_ns: int | None = None,
    ) -> None:
        self.name = name
        self.price = start
        self._clock = clock
        self._feed = feed
        self._normal = stream.normal
        self._sigma = _per_step(volatility, interval_ns)
        feed.publish(clock.now, start)
        for factor, beta in factors:
            factor.follow(self, beta)
        if volatility > 0:
            every(clock, EventClass.EXOGENOUS, f"reference/{name}", interval_ns, self._step, until_ns)

    def in_ticks(self, tick: float) -> ReferenceInTicks:
        """This value as a price on the grid of one market."""
        return ReferenceInTicks(self, tick)

    def jump(self, change: float) -> None:
        """A relative change from outside, e.g. -0.17."""
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


def _per_step(volatility: float, interval_ns: int) -> float:
    return volatility * sqrt(interval_ns / NS_PER_S / _SECONDS_PER_YEAR)
