"""Small parts that connect a simulation's rooms: who marks when, who takes notes, where records go."""

from __future__ import annotations

from collections.abc import Callable

from lobsim.agents.base import NoteTaker
from lobsim.sim.clock import Clock
from lobsim.sim.recorder import Recorder
from lobsim.venue.exchange import Exchange

PPM = 1_000_000
RATE_UNITS = 1_000_000_000
"""A reference as an exchange rate is told in billionths."""


def ppm(fraction: float) -> int:
    """A fraction in parts per million, rounded to the nearest."""
    return round(fraction * PPM)


class Marker:
    """Marks at every call, and records account states at their own slower pace."""

    def __init__(self, exchange: Exchange, record_every_ns: int) -> None:
        self._exchange = exchange
        self._record_every_ns = record_every_ns
        self._next_record = 0

    def mark(self) -> None:
        """Update marks and check accounts; record their states when it is time."""
        now = self._exchange.now
        record = now >= self._next_record
        if record:
            self._next_record = now - now % self._record_every_ns + self._record_every_ns
        self._exchange.mark(record=record)


class Notes(NoteTaker):
    """An agent's notes become rows of the `milestones` table."""

    def __init__(self, proxy: RecorderProxy, clock: Clock, name: str) -> None:
        self._proxy = proxy
        self._clock = clock
        self._name = name

    def __call__(self, name: str, amount: int | None = None, unit: str = "") -> None:
        """Write the note down, the agent's name behind its own."""
        self._proxy.milestone(self._clock.now, f"{name} {self._name}", amount, unit)


class RecorderProxy:
    """Stands in for the recorder while the simulation is built, since its header needs all accounts."""

    def attach(self, recorder: Recorder) -> None:
        """From now on every call goes straight to `recorder`."""
        self.recorder = recorder
        self.events = recorder.events
        self.quote = recorder.quote
        self.depth = recorder.depth
        self.account = recorder.account
        self.credit = recorder.credit
        self.milestone = recorder.milestone

    def overhear(self, milestone: Callable[..., None], credit: Callable[..., None]) -> None:
        """Tell someone else of milestones and credit rows too, once they are recorded; after `attach`.

        Both are rare. Orders, quotes and books stay direct.
        """
        self.milestone = _teed(self.milestone, milestone)
        self.credit = _teed(self.credit, credit)


def _teed(record: Callable[..., None], hear: Callable[..., None]) -> Callable[..., None]:
    def call(*row: object) -> None:
        record(*row)
        hear(*row)

    return call
