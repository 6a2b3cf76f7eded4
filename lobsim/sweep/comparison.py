"""Runs side by side: the same outcomes in columns, and in which settings their scenarios differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lobsim.errors import InputError, RunError
from lobsim.measure import Run, outcomes
from lobsim.measure.study import Study
from lobsim.records import SCENARIO
from lobsim.scenario.load import parse, read_text
from lobsim.sweep.differences import Leaves, essence, leaves

MOST_RUNS = 20


class OutcomeRow(NamedTuple):
    """One outcome, a value per run; `differs` when not all are the same."""

    outcome: str
    values: tuple[float | None, ...]
    differs: bool


class SettingRow(NamedTuple):
    """A key of the scenarios that is not the same everywhere; None where a scenario has no such key."""

    key: str
    values: tuple[str | None, ...]


class Comparison(NamedTuple):
    """All outcomes in the order in which they are measured, and the settings that differ."""

    runs: tuple[Run, ...]
    outcomes: tuple[OutcomeRow, ...]
    settings: tuple[SettingRow, ...]

    @property
    def same_run(self) -> bool:
        """All digests are there and are the same: the runs are, event for event."""
        digests = {run.digest for run in self.runs}
        return len(digests) == 1 and None not in digests


def compare(runs: Sequence[Run | Study]) -> Comparison:
    """Measure every run (of a study, what is not measured yet) and lay the figures side by side.

    Raises `InputError` for fewer than two runs or too many.
    """
    if not 2 <= len(runs) <= MOST_RUNS:
        raise InputError(f"{len(runs)} run(s): give from 2 to {MOST_RUNS} run folders to compare")
    measured = [outcomes(run) for run in runs]
    names = dict.fromkeys(name for one in measured for name in one)
    rows = []
    for name in names:
        values = tuple(one.get(name) for one in measured)
        rows.append(OutcomeRow(name, values, any(value != values[0] for value in values)))
    opened = [one.run if isinstance(one, Study) else one for one in runs]
    return Comparison(tuple(opened), tuple(rows), tuple(_settings(opened)))


def _settings(runs: Sequence[Run]) -> list[SettingRow]:
    written = [_leaves_of(run) for run in runs]
    keys = dict.fromkeys(key for one in written for key in one)
    rows = [SettingRow(key, tuple(one.get(key) for one in written)) for key in keys]
    return [row for row in rows if len(set(row.values)) > 1]


def _leaves_of(run: Run) -> Leaves:
    """The resolved scenario's values, with the seed that was used; raises `RunError` when the file is damaged."""
    try:
        path = run.path / SCENARIO
        document = essence(parse(path, read_text(path)))
    except InputError as error:
        raise RunError(f"{run.path}: its scenario cannot be read: {error}") from None
    return {"seed": str(run.seed), **leaves(document)}
