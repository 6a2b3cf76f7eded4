"""What a study's cells show: medians and quartiles of every outcome, and differences to the first cell over seeds."""

from __future__ import annotations

from typing import NamedTuple

from lobsim.errors import InputError
from lobsim.measure.measures import GROUP_MEASURES, INSTRUMENT_MEASURES, RUN_MEASURES
from lobsim.sweep.statistics import (
    Interval,
    Quartiles,
    mean_interval,
    paired_difference,
    paired_share_difference,
    quartiles,
    share_interval,
)
from lobsim.sweep.study import Study

HEADLINES = ("fall", "crashed", "to_low", "half_recovery", "end_over_start", "liquidated", "adl")
"""Outcomes that are shown unless others are asked for, where a study has them."""


class CellSummary(NamedTuple):
    """One outcome of one cell.

    name: the cell's label without what all cells share. known: runs that have a value. mean: with its interval; the
    share of runs for an outcome that is 0 or 1. difference: mean of cell - first cell over the seeds that both know,
    with its interval; None for the first cell.
    """

    label: str
    name: str
    outcome: str
    known: int
    runs: int
    quartiles: Quartiles | None
    mean: Interval | None
    difference: Interval | None


def is_flag(outcome: str) -> bool:
    """The outcome is 0 or 1: its mean is a probability."""
    return unit_of(outcome) == "0 or 1"


def unit_of(outcome: str) -> str:
    """Unit of an outcome as its measure says it, e.g. "fraction"; "" for one that no measure is called like."""
    name = outcome.partition(".")[0]
    for measures in (RUN_MEASURES, GROUP_MEASURES, INSTRUMENT_MEASURES):
        if name in measures:
            return measures[name].unit
    return "s" if name == "at" else ""


def cell_summaries(study: Study, outcome: str) -> list[CellSummary]:
    """One row per cell, in order; raises `InputError` for an outcome that no run has."""
    require(study, outcome)
    first = study.values(study.labels[0], outcome)
    return [_summary(study, label, name, outcome, first) for label, name in study.names.items()]


def _summary(study: Study, label: str, name: str, outcome: str, first: list[float | None]) -> CellSummary:
    values = study.values(label, outcome)
    known = [value for value in values if value is not None]
    stream = f"{outcome}.{label}"
    is_first = label == study.labels[0]
    if is_flag(outcome):
        mean = share_interval(known)
        difference = None if is_first else paired_share_difference(values, first)
    else:
        mean = mean_interval(known, stream)
        difference = None if is_first else paired_difference(values, first, stream)
    runs = sum((label, seed) in study.records for seed in study.seeds)
    return CellSummary(label, name, outcome, len(known), runs, quartiles(known), mean, difference)


def headlines(study: Study) -> list[str]:
    """Outcomes worth a column: those of `HEADLINES` that differ from zero somewhere in the study."""
    return [
        outcome
        for outcome in HEADLINES
        if any(value for label in study.labels for value in study.values(label, outcome))
    ] or [outcome for outcome in HEADLINES[:1] if outcome in study.outcomes]


def require(study: Study, outcome: str) -> None:
    """Raise `InputError` listing what there is when no run of the study has this outcome."""
    if outcome not in study.outcomes:
        there = ", ".join(study.outcomes[:60]) or "none: no run was finished"
        raise InputError(f"--outcome {outcome[:60]!r}: no such outcome; there are {there}")
