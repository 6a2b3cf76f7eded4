"""A run as one flat row of numbers, for sweeps, ablations and comparisons.

Keys are stable. Without a suffix: every name of `RUN_MEASURES` and `GROUP_MEASURES`, and every name of
`INSTRUMENT_MEASURES` as the median over the focus group. ``NAME.GROUP``: the same over another group of the run.
``fall.INSTRUMENT`` and ``low.INSTRUMENT``: of one instrument. ``at.MILESTONE``: seconds from the shock (from the run's
start where there is none) to that milestone.
"""

from __future__ import annotations

from collections.abc import Mapping

from lobsim.measure.measures import (
    GROUP_MEASURES,
    INSTRUMENT_MEASURES,
    RUN_MEASURES,
    Figures,
    median,
)
from lobsim.measure.milestones import TITLES
from lobsim.measure.run import Run
from lobsim.measure.study import Study
from lobsim.units import NS_PER_S

OUTCOMES: Mapping[str, str] = {
    **{name: f"{one.title}, median of the focus group ({one.unit})" for name, one in INSTRUMENT_MEASURES.items()},
    **{name: f"{one.title} ({one.unit})" for name, one in GROUP_MEASURES.items()},
    **{name: f"{one.title} ({one.unit})" for name, one in RUN_MEASURES.items()},
    **{f"at.{name}": f"{title}: seconds after the shock" for name, title in TITLES.items()},
}
"""Meaning of every key without a suffix, and of ``at.MILESTONE``."""


def outcomes(run: Run | Study) -> dict[str, float | None]:
    """All figures of a run; None where there is nothing to measure. Keys: see the module and `OUTCOMES`."""
    study = Figures.of(run)
    found: dict[str, float | None] = _of_group(study, study.focus)
    found |= {name: one.compute(study) for name, one in RUN_MEASURES.items()}
    reached = {milestone.name: milestone.time_ns for milestone in study.milestones}
    for name in TITLES:
        when = reached.get(name)
        found[f"at.{name}"] = None if when is None else (when - study.from_ns) / NS_PER_S
    for group, members in study.run.groups.items():
        if members != study.focus:
            found |= {f"{name}.{group}": value for name, value in _of_group(study, members).items()}
    for name, path in study.paths.items():
        found[f"fall.{name}"] = path.fall
        found[f"low.{name}"] = path.price(path.low)
    return found


def _of_group(study: Figures, names: tuple[str, ...]) -> dict[str, float | None]:
    paths = study.paths_of(names)
    found = {
        name: median([measure.compute(study, path) for path in paths]) for name, measure in INSTRUMENT_MEASURES.items()
    }
    return found | {name: measure.compute(study, names) for name, measure in GROUP_MEASURES.items()}
