"""A run held against real figures: for each target row what was simulated, the real figure, the band, inside or not.

A row is a mapping with these keys:

* ``name``: what the line is called; ``measure``: a name of `lobsim.measure.measures`;
* ``instrument``, or ``group`` with ``statistic`` (median, min, max, sum, or share: how many of the group's members have
  such a figure at all), for a measure of instruments; ``group`` for a measure of groups (default: the focus group);
* ``low`` and ``high``: the band, ends included, either may be missing; ``real``: the real figure, where there is one
  number, else ``real_low`` and ``real_high``;
* ``unit``, ``source``, ``note``: texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lobsim.errors import InputError
from lobsim.measure.measures import GROUP_MEASURES, INSTRUMENT_MEASURES, RUN_MEASURES, Figures
from lobsim.measure.run import Run
from lobsim.measure.study import Study

STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "median": lambda values: float(np.median(values)),
    "min": min,
    "max": max,
    "sum": sum,
}
"""How one number is made of a group's; "share" is the only one that also counts members without a figure."""

SHARE = "share"
MEASURES = (*INSTRUMENT_MEASURES, *GROUP_MEASURES, *RUN_MEASURES)
"""Names that a row's ``measure`` may be."""

MAX_ROWS = 1000


class Target(NamedTuple):
    """One row as data; see the module."""

    name: str
    measure: str
    instrument: str | None = None
    group: str | None = None
    statistic: str = "median"
    low: float | None = None
    high: float | None = None
    real: float | None = None
    real_low: float | None = None
    real_high: float | None = None
    unit: str = ""
    source: str = ""
    note: str = ""


class Score(NamedTuple):
    """One line of the scorecard. inside: False also where there was nothing to measure.

    no_verdict: why nothing is judged, "" where it is (then `simulated` is None).
    """

    name: str
    simulated: float | None
    real: float | None
    low: float | None
    high: float | None
    inside: bool
    unit: str
    target: Target
    no_verdict: str = ""


def scorecard(run: Run | Study, targets: Iterable[Mapping[str, Any]] | None = None) -> list[Score]:
    """Score a run against `targets` (default: those that its manifest names), in their order.

    A run that was stopped before its scenario was over is not measured against its own targets: see `Run.cut`.
    Raises `InputError` naming the row for one that no figure can be computed for.
    """
    study = Figures.of(run)
    cut = study.run.cut if targets is None else ""
    rows = study.run.manifest.get("targets", []) if targets is None else list(targets)
    if not isinstance(rows, list) or len(rows) > MAX_ROWS:
        raise InputError(f"targets: a list of at most {MAX_ROWS} rows is wanted")
    return [_score(study, target_of(row, number), cut) for number, row in enumerate(rows)]


def target_of(row: Mapping[str, Any], number: int = 0) -> Target:
    """A checked row; raises `InputError` naming it."""
    where = f"targets[{number}]"
    if not isinstance(row, Mapping):
        raise InputError(f"{where}: {row!r:.60} is no table of keys")
    where = f"{where} {str(row.get('name', ''))[:64]!r}"
    unknown = sorted(str(key)[:40] for key in set(row) - set(Target._fields))
    if unknown:
        raise InputError(f"{where}: unknown key {unknown[0]!r} (there are {', '.join(Target._fields)})")
    known = {key: value for key, value in row.items() if value is not None}
    for key, value in known.items():
        if key in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(f"{where}: {key}: {value!r:.60} is no number")
        if key not in _NUMBERS and not isinstance(value, str):
            raise InputError(f"{where}: {key}: {value!r:.60} is no text")
    for key in ("name", "measure"):
        if not known.get(key):
            raise InputError(f"{where}: {key} is missing")
    target = Target(**known)
    if target.measure not in MEASURES:
        raise InputError(f"{where}: measure {target.measure[:64]!r} is none of {', '.join(MEASURES)}")
    if target.statistic not in (*STATISTICS, SHARE):
        raise InputError(f"{where}: statistic {target.statistic[:64]!r} is none of {', '.join((*STATISTICS, SHARE))}")
    if target.measure in INSTRUMENT_MEASURES and (target.instrument is None) == (target.group is None):
        raise InputError(f"{where}: {target.measure} needs either an instrument or a group")
    if target.measure in GROUP_MEASURES and target.instrument is not None:
        raise InputError(f"{where}: {target.measure} is a figure of a group, not of one instrument")
    if target.measure in RUN_MEASURES and (target.instrument or target.group):
        raise InputError(f"{where}: {target.measure} is a figure of the whole run: leave instrument and group out")
    if target.low is None and target.high is None:
        raise InputError(f"{where}: a band needs low or high")
    if target.low is not None and target.high is not None and target.low > target.high:
        raise InputError(f"{where}: low {target.low:g} is above high {target.high:g}")
    return target


_NUMBERS = ("low", "high", "real", "real_low", "real_high")


def _score(study: Figures, target: Target, no_verdict: str) -> Score:
    simulated = None if no_verdict else _figure(study, target)
    inside = (
        simulated is not None
        and (target.low is None or simulated >= target.low)
        and (target.high is None or simulated <= target.high)
    )
    return Score(target.name, simulated, target.real, target.low, target.high, inside, target.unit, target, no_verdict)


def _figure(study: Figures, target: Target) -> float | None:
    if target.measure in RUN_MEASURES:
        return RUN_MEASURES[target.measure].compute(study)
    names = _members(study, target)
    if target.measure in GROUP_MEASURES:
        return GROUP_MEASURES[target.measure].compute(study, names)
    measure = INSTRUMENT_MEASURES[target.measure]
    values = [value for path in study.paths_of(names) if (value := measure.compute(study, path)) is not None]
    if target.statistic == SHARE:
        return len(values) / len(names) if names else None
    return STATISTICS[target.statistic](values) if values else None


def _members(study: Figures, target: Target) -> tuple[str, ...]:
    """Instruments of a row; none where this run has no such group or instrument (a smaller sister of a scenario)."""
    if target.instrument is not None:
        return (target.instrument,) if target.instrument in study.run.instruments else ()
    return study.focus if target.group is None else study.group(target.group)
