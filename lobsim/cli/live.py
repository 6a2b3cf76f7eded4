"""Watching a run on the terminal: a view that is drawn a few times a second, or plain lines now and then.

The wall clock is used here and for the display alone: to look seldom, to say how fast it goes and how long it may take.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, thread_time
from typing import TYPE_CHECKING

from rich.text import Text

from lobsim.cli.console import console, plain
from lobsim.cli.frame import LEAST_HEIGHT, LEAST_WIDTH, Head, budget, frame
from lobsim.report.live import Sight, Watch
from lobsim.report.wording import span
from lobsim.scenario.build import Simulation
from lobsim.units import format_clock

if TYPE_CHECKING:
    from rich.live import Live

_LOOK_EVERY_S = 0.25
_REST, _REST_BLOCKED = 65, 10
"""Between two frames the run gets 65 times the processor time of the last one, and ten times what it took on the wall,
should the terminal be slow: frames take at most 1.5 % of the run's time."""

_PACE_S = 8.0
_LINES = 10


class Watcher:
    """Somebody who watches a run. `begin` comes before anything happens, then `advance` as the clock goes on.

    title: any text. This one shows nothing and wants no calls of `advance`.
    """

    shows = False

    def __init__(self, title: str = "", end_ns: int = 1, start_ns_of_day: int = 0) -> None:
        self.title = title
        self.end_ns = end_ns
        self.start_ns_of_day = start_ns_of_day

    def begin(self, simulation: Simulation) -> None:
        """Take the simulation to watch."""

    def advance(self, now_ns: int) -> None:
        """The simulated clock has come to `now_ns`."""


class View(Watcher):
    """Draws a view of the run, once a second or so. Cost: at most 1.5 % of the run's processor time."""

    shows = True

    def __init__(self, live: Live, title: str, end_ns: int, start_ns_of_day: int) -> None:
        super().__init__(title, end_ns, start_ns_of_day)
        self._live = live
        self._watch: Watch | None = None
        self._pace: deque[tuple[float, int, int]] = deque()
        self._next_s = 0.0
        self._next_worked_s = 0.0
        self._drawn = False
        self._size = live.console.size
        live.update(Text(f"{plain(title)}: putting it together", no_wrap=True, overflow="crop"), refresh=True)

    def begin(self, simulation: Simulation) -> None:
        """Take the simulation to watch."""
        self._watch = Watch(simulation)

    def advance(self, now_ns: int) -> None:
        """Draw when it is time to."""
        begun = perf_counter()
        if begun < self._next_s or self._watch is None:
            return
        worked = thread_time()
        if worked < self._next_worked_s:
            return
        self._draw(self._watch)
        now, ended = thread_time(), perf_counter()
        if self._drawn:
            self._next_worked_s = now + _REST * (now - worked)
            self._next_s = ended + max(_LOOK_EVERY_S, _REST_BLOCKED * (ended - begun))
        self._drawn = True  # the first frame, which loads what it draws with, is not counted

    def _draw(self, watch: Watch) -> None:
        screen = self._live.console
        size = screen.size
        if size != self._size:  # lines of another width wrap: where the last frame began is anybody's guess
            self._size = size
            screen.clear()
        sight = watch.look(**budget(size, watch.markets_count, watch.makers_count))
        self._live.update(frame(sight, self._head(sight), screen.options), refresh=True)

    def _head(self, sight: Sight) -> Head:
        now, pace = perf_counter(), self._pace
        pace.append((now, sight.time_ns, sight.events))
        while len(pace) > 2 and now - pace[0][0] > _PACE_S:
            pace.popleft()
        then, then_ns, then_events = pace[0]
        seconds, moved_ns = now - then, sight.time_ns - then_ns
        return Head(
            self.title,
            sight.time_ns,
            self.end_ns,
            self.start_ns_of_day,
            (sight.events - then_events) / seconds if seconds > 0 else None,
            (self.end_ns - sight.time_ns) / moved_ns * seconds if moved_ns > 0 else None,
        )


class Lines(Watcher):
    """A line for every tenth of the run. width: columns that a line may take, 0: any."""

    shows = True

    def __init__(self, title: str, end_ns: int, start_ns_of_day: int, *, width: int = 0) -> None:
        super().__init__(title, end_ns, start_ns_of_day)
        self._width = width
        self._watch: Watch | None = None
        self._shown = 0

    def begin(self, simulation: Simulation) -> None:
        """Take the simulation to watch."""
        self._watch = Watch(simulation)

    def advance(self, now_ns: int) -> None:
        """Print a line when another tenth is done."""
        tenth = now_ns * _LINES // self.end_ns
        if tenth > self._shown and self._watch is not None:
            self._shown = tenth
            line = plain(self._line(self._watch.look(markets=50, makers=0, rungs=0, happenings=1), tenth / _LINES))
            print(line[: self._width - 1] if self._width else line, file=sys.stderr, flush=True)  # noqa: T201

    def _line(self, sight: Sight, share: float) -> str:
        """Time, how far, the deepest fall among the instruments in focus, the last thing that happened."""
        clock = format_clock(sight.time_ns, self.start_ns_of_day)[:8]
        parts = [f"{clock}Z", f"{share:4.0%}", f"{span(sight.time_ns)} of {span(self.end_ns)}"]
        for one in sight.markets:
            if one.name == sight.deepest and one.price:
                parts.append(f"{one.name} {one.price} ({(one.change or 0) * 100:+.1f} %)")
                parts += ["no bids"] if not one.best_bid else []
        parts += [one.text for one in sight.happenings]
        return "  ".join(parts)


@contextmanager
def watching(title: str, end_ns: int, start_ns_of_day: int, *, quiet: bool) -> Iterator[Watcher]:
    """A view of the run on a terminal, which goes when the run ends; else plain lines; on stderr. Nothing when quiet.

    A terminal that cannot move its cursor, or is tiny, gets lines too.
    """
    if quiet:
        yield Watcher()
        return
    screen = console(stderr=True)
    on_terminal = sys.stderr.isatty()
    able = on_terminal and screen.is_terminal and not screen.is_dumb_terminal
    if not able or screen.width < LEAST_WIDTH or screen.height < LEAST_HEIGHT:
        yield Lines(title, end_ns, start_ns_of_day, width=screen.width if on_terminal else 0)
        return
    from rich.live import Live  # noqa: PLC0415 - not loaded for lines

    # what others print during a run is rare and must not be held back: no redirection
    with Live(
        console=screen,
        auto_refresh=False,
        transient=True,
        vertical_overflow="crop",
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        yield View(live, title, end_ns, start_ns_of_day)
