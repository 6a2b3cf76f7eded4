"""The run's moments as every chart of its page shows them: numbered marks, and stretches of time worth a look."""

from __future__ import annotations

import numpy as np

from lobsim.measure.measures import Figures
from lobsim.measure.milestones import TITLES
from lobsim.measure.study import Floats
from lobsim.report.page.charts import Mark
from lobsim.report.page.pack import Ints
from lobsim.units import NS_PER_MINUTE, NS_PER_S

FINE_BEFORE_S = 120
FINE_AFTER_S = 300
MOST_COARSE = 1800
"""Points beyond the fine stretch of time; the step there is chosen so that there are no more."""

_ALL_FINE_S = 7200
_SMALL_PART = 0.4
_LEAST_MILESTONES = 2
_FIRST_LOOK_NS = 5 * NS_PER_MINUTE


def marks(study: Figures) -> list[Mark]:
    """The milestones in order, numbered from 1: the same numbers as in the table of milestones."""
    return [
        Mark(one.time_ns, TITLES[one.name], str(place), "shock" if one.name == "shock" else "mark")
        for place, one in enumerate(study.milestones, start=1)
    ]


def crash(study: Figures) -> tuple[int, int] | None:
    """From the first to the last milestone; a recovery that takes longer than the crash is left out.

    None where nothing happened.
    """
    times = [one.time_ns for one in study.milestones if one.name != "half_recovered"]
    if len(times) < _LEAST_MILESTONES:
        return None
    begin, last = min(times), max(times)
    halves = (one.time_ns for one in study.milestones if one.name == "half_recovered")
    return begin, max((half for half in halves if half - last <= last - begin), default=last)


def ranges(study: Figures) -> list[tuple[str, int, int]]:
    """Stretches of time for the buttons above a chart: (name, from_ns, to_ns)."""
    end_ns, found = study.run.end_ns, crash(study)
    if found is None:
        return []
    begin, last = found
    margin = max((last - begin) // 10, 10 * NS_PER_S)
    crashed, whole = ("The crash", max(0, begin - margin), min(end_ns, last + margin)), ("Whole run", 0, end_ns)
    first = ("First five minutes", max(0, begin - 15 * NS_PER_S), begin + _FIRST_LOOK_NS)
    several = last - begin > 2 * _FIRST_LOOK_NS and first[2] < end_ns
    return [crashed, first, whole] if several else [crashed, whole]


def first_range(study: Figures) -> int:
    """Which of `ranges` to begin with: the crash, where it is a small part of the run."""
    found = ranges(study)
    return 0 if found and (found[0][2] - found[0][1]) < study.run.end_ns * _SMALL_PART else max(0, len(found) - 1)


def moments(study: Figures) -> Ints:
    """Whole seconds at which charts look at the run: every one around the crash, fewer before and after.

    Element i stands for the seconds after element i - 1 up to itself; the last one is the end of the run.
    """
    seconds = study.seconds
    found = crash(study)
    if seconds <= _ALL_FINE_S:
        return np.arange(1, seconds + 1, dtype=np.int64)
    first, last = (0, 0) if found is None else (time_ns // NS_PER_S for time_ns in found)
    first, last = max(0, first - FINE_BEFORE_S), min(seconds, last + FINE_AFTER_S)
    if found is None or last - first > _ALL_FINE_S:
        first = last = 0
    step = coarse_step_s(seconds - (last - first))
    coarse = np.arange(step, seconds + 1, step, dtype=np.int64)
    fine = np.arange(first + 1, last + 1, dtype=np.int64)
    return np.unique(np.concatenate([coarse, fine, [seconds]]))


def coarse_step_s(seconds: int) -> int:
    """Seconds per point outside the fine stretch."""
    return next((step for step in (1, 2, 5, 10, 30, 60, 300, 3600) if seconds / step <= MOST_COARSE), 86_400)


def resolution(study: Figures) -> str:
    """One sentence for people about `moments`."""
    steps = np.unique(np.diff(moments(study), prepend=0))
    if len(steps) <= 1 or steps[-1] == 1:
        return "Price charts show every second."
    return (
        f"Price charts show every second from {FINE_BEFORE_S // 60} minutes before the first milestone until "
        f"{FINE_AFTER_S // 60} minutes after the last, and every {int(steps[-1])} seconds before and after."
        if steps[0] == 1
        else f"Price charts show every {int(steps[-1])} seconds."
    )


def at_moments(series: Floats, seconds: Ints) -> Floats:
    """A series of one number per second (as of `Path`) at these moments."""
    found: Floats = series[np.minimum(seconds, len(series)) - 1]
    return found
