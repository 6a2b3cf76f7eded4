"""Ctrl-C and SIGTERM while a run goes on: it stops between two events, and what it recorded is closed in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any

from lobsim.scenario.build import Simulation
from lobsim.venue.ports import EventClass

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM"))
_PATIENCE_S = 5.0


class Stopper:
    """What the first signal does. `asked`: there was one.

    Before the clock starts it raises KeyboardInterrupt at once. While it runs, the interrupt is raised as an event of
    the simulation, so that no event is recorded half. Later signals do nothing: the parts are being written. Only when
    no event ends for seconds, a further one interrupts wherever the program is.
    """

    def __init__(self) -> None:
        self.asked = False
        self._asked_at = 0.0
        self._taken = False
        self._simulation: Simulation | None = None

    def watch(self, simulation: Simulation) -> None:
        """From now on a signal stops this simulation at its next event."""
        self._simulation = simulation

    def hear(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Handle a signal."""
        if not self.asked:
            self.asked = True
            self._asked_at = monotonic()
            if self._simulation is None:
                self._taken = True
                raise KeyboardInterrupt
            clock = self._simulation.clock
            clock.call_at(clock.now, EventClass.EXOGENOUS, 0, self._raise)
        elif not self._taken and monotonic() - self._asked_at > _PATIENCE_S:
            self._taken = True
            raise KeyboardInterrupt

    def _raise(self, _: Any) -> None:
        self._taken = True
        raise KeyboardInterrupt


@contextmanager
def stoppable() -> Iterator[Stopper]:
    """Signals go to the yielded stopper inside the block, and where they went before after it.

    Outside the main thread, where Python delivers no signals, nothing changes.
    """
    stopper = Stopper()
    if threading.current_thread() is not threading.main_thread():
        yield stopper
        return
    before = [(number, signal.signal(number, stopper.hear)) for number in _SIGNALS]
    try:
        yield stopper
    finally:
        for number, handler in before:
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
