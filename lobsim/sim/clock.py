"""The event loop: SimPy with integer nanoseconds and one total order of events.

Order of events: (time, class, tie key, sequence).

1. `time_ns`, an integer.
2. `EventClass`: what the world does comes before messages that arrive at a venue, these before mark updates and margin
   checks, these before what agents are told, that before agents who wake up by themselves, these before records.
3. The tie key, a hash of (seed, name of the session, time): of two messages that arrive in the same nanosecond a coin
   decides, not a name, a number or who was created first; it falls anew at every moment. Messages of one session share
   the key, so they keep the order in which they were sent.
4. SimPy's own sequence number.

Class and tie key are packed into SimPy's priority.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from heapq import heappop, heappush
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import simpy
from simpy.events import NORMAL, Event, EventPriority

from lobsim.venue.ports import EventClass

__all__ = ["Alarm", "Clock", "EventClass", "every", "session_key", "tie_key"]

_MASK = (1 << 64) - 1
_TIE_BITS = 64


def session_key(seed: int, name: str) -> int:
    """64-bit key of a named session under a seed; the same in every process."""
    return int.from_bytes(sha256(f"{seed}/tie/{name}".encode()).digest()[:8], "little")


def tie_key(key: int, time_ns: int) -> int:
    """64-bit coin of a session at a moment (two rounds of multiply and fold, as in splitmix64)."""
    mixed = (key ^ time_ns) * 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9 & _MASK
    return mixed ^ mixed >> 32


class Clock(simpy.Environment):
    """SimPy environment whose time is an int of nanoseconds and whose ties follow the order above."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(initial_time=0)
        self.seed = seed
        self.events_run = 0

    if TYPE_CHECKING:

        @property
        def now(self) -> int:
            """Nanoseconds since the run's start."""
            ...
    else:
        now = property(attrgetter("_now"), doc="Nanoseconds since the run's start.")  # no Python call: it is hot

    def schedule(self, event: Event, priority: EventPriority | int = NORMAL, delay: int = 0) -> None:  # type: ignore[override]
        """SimPy's own events (timeouts of processes) wake agents; its urgent ones (starts, interrupts) come first."""
        if priority == NORMAL:
            priority = EventClass.WAKE << _TIE_BITS
        super().schedule(event, priority, delay)  # type: ignore[arg-type]

    def key(self, name: str) -> int:
        """Tie key of a named component under the run's seed; see `session_key`."""
        return session_key(self.seed, name)

    def call_at(
        self, time_ns: int, event_class: EventClass, key: int, callback: Callable[[Any], None], value: Any = None
    ) -> None:
        """Call ``callback(value)`` at `time_ns`, tied events of this class by `key` (see `session_key`).

        ValueError for a moment in the past: SimPy would turn its clock back.
        """
        if time_ns < self._now:
            raise ValueError(f"cannot call at {time_ns} ns: it is {self._now} ns already")
        event = Call(callback, value)
        priority = event_class << _TIE_BITS | tie_key(key, time_ns)
        # as SimPy does in `schedule`
        heappush(self._queue, (time_ns, priority, next(self._eid), event))  # type: ignore[misc]

    def run_until(self, end_ns: int, every_ns: int = 0, on_progress: Callable[[int], None] | None = None) -> None:
        """Run all events up to and including `end_ns`; calls `on_progress(now)` about every `every_ns`.

        ValueError when `end_ns` is in the past.
        """
        if end_ns < self._now:
            raise ValueError(f"cannot run until {end_ns} ns: it is {self._now} ns already")
        queue = self._queue
        next_report = every_ns if on_progress is not None else end_ns + 1
        count = 0
        while queue and queue[0][0] <= end_ns:
            now, _, _, event = heappop(queue)
            self._now = now
            kind: type[object] = event.__class__
            if kind is Alarm:
                event.callbacks = None  # type: ignore[assignment]
                event.ring()  # type: ignore[attr-defined]
            elif kind is Call:
                event.callback(event.value)  # type: ignore[attr-defined]
            else:  # as in SimPy's `step`
                callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
                for callback in callbacks:
                    callback(event)
                if not event._ok and not hasattr(event, "_defused"):
                    raise event._value  # a process failed
            count += 1
            if now >= next_report and on_progress is not None:
                on_progress(int(now))
                next_report = int(now) - int(now) % every_ns + every_ns
        self.events_run += count
        self._now = end_ns


class Call:
    """A queued call of ``callback(value)``: all that `Clock.call_at` needs of an event, at a third of the price.

    SimPy's own `step` and `run` take it for an event, too.
    """

    __slots__ = ("callback", "value")
    _ok = True

    def __init__(self, callback: Callable[[Any], None], value: Any) -> None:
        self.callback = callback
        self.value = value

    @property
    def callbacks(self) -> tuple[Callable[[Call], None]]:
        """What SimPy calls."""
        return (_carry_out,)

    @callbacks.setter
    def callbacks(self, _taken: None) -> None:
        """SimPy takes the callbacks off before it calls them."""


def _carry_out(call: Call) -> None:
    call.callback(call.value)


def _ring(alarm: Any) -> None:
    alarm.ring()


_RINGS: list[Callable[[Any], None]] = [_ring]  # what SimPy calls


class Alarm(Event):
    """A callback that is armed again and again without a new object each time; at most one moment at a time."""

    def __init__(self, clock: Clock, event_class: EventClass, name: str, callback: Callable[[], None]) -> None:
        super().__init__(clock)
        self.clock = clock
        self.callbacks = None  # type: ignore[assignment]  # not armed
        self._ok = True
        self._value = None
        self._key = session_key(clock.seed, name)
        self._class = event_class << _TIE_BITS
        self.ring = callback

    def arm(self, time_ns: int) -> None:
        """Ring at `time_ns`; ValueError for a moment in the past, or when the alarm is armed already."""
        clock = self.clock
        if time_ns < clock._now or self.callbacks is not None:
            raise ValueError(f"cannot arm for {time_ns} ns at {clock.now} ns: it is past, or the alarm is armed")
        self.callbacks = _RINGS  # taken off when it rings
        heappush(clock._queue, (time_ns, self._class | tie_key(self._key, time_ns), next(clock._eid), self))


def every(
    clock: Clock,
    event_class: EventClass,
    name: str,
    interval_ns: int,
    callback: Callable[[], None],
    until_ns: int | None = None,
) -> Alarm:
    """Call `callback` at every multiple of `interval_ns`, first one interval from now, none after `until_ns`."""

    def arm() -> None:
        time_ns = clock.now + interval_ns
        if until_ns is None or time_ns <= until_ns:
            alarm.arm(time_ns)

    def ring() -> None:
        callback()
        arm()

    alarm = Alarm(clock, event_class, name, ring)
    arm()
    return alarm
