"""Many runs of a scenario: cells times seeds on this machine's cores, resumed where they stopped, as one frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from lobsim.errors import InputError
from lobsim.sweep.files import AblationEntry, CellEntry, Header, Result
from lobsim.sweep.job import Job, run_job
from lobsim.sweep.plan import MOST_RUNS, Cell, split_list
from lobsim.sweep.pool import run_jobs
from lobsim.sweep.store import Store, read_results, read_study_file

MOST_WORKERS = 1024


class Progress(NamedTuple):
    """How far a study is: runs done (some perhaps before this start), failed ones among them, of how many."""

    done: int
    failed: int
    total: int
    found: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """Results of a study. `records` hold what is known by (cell label, seed); a run that failed says its reason."""

    folder: Path
    scenario: str
    labels: tuple[str, ...]
    settings: Mapping[str, Mapping[str, str]]
    variants: Mapping[str, str | None]
    seeds: tuple[int, ...]
    records: Mapping[tuple[str, int], Result]

    @property
    def failures(self) -> dict[tuple[str, int], str]:
        """Reason by (label, seed) of each run that failed."""
        return {place: str(one.reason) for place, one in self.records.items() if one.status != "done"}

    @property
    def complete(self) -> bool:
        """Every run asked for is there, and none failed."""
        return len(self.records) == len(self.labels) * len(self.seeds) and not self.failures

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of all outcomes, in the order in which they are measured."""
        return tuple(dict.fromkeys(key for one in self.records.values() for key in one.outcomes))

    @property
    def shared_settings(self) -> dict[str, str]:
        """Settings that all of several cells have in common."""
        first, *others = (self.settings[label] for label in self.labels)
        return {
            key: value
            for key, value in first.items()
            if others and all(settings.get(key) == value for settings in others)
        }

    @property
    def names(self) -> dict[str, str]:
        """What to call each cell beside the others, by label: without the settings that all of them share."""
        shared = self.shared_settings
        names = {
            label: ", ".join(part.strip() for part in split_list(label) if part.strip().partition("=")[0] not in shared)
            for label in self.labels
        }
        whole = not shared or len(set(names.values())) < len(names)
        return {label: label for label in self.labels} if whole else names

    def values(self, label: str, outcome: str) -> list[float | None]:
        """One outcome of a cell, one value per seed; None where the run is not there or has no such value."""
        known = (self.records.get((label, seed)) for seed in self.seeds)
        return [None if one is None else one.outcomes.get(outcome) for one in known]

    def frame(self) -> pl.DataFrame:
        """One row per run: label, variant, settings (text), seed, status, reason, digest, seconds, all outcomes."""
        keys = dict.fromkeys(key for label in self.labels for key in self.settings[label])
        rows: list[dict[str, Any]] = []
        for label in self.labels:
            for seed in self.seeds:
                record = self.records.get((label, seed))
                if record is None:
                    continue
                about = {name: getattr(record, name) for name in _ABOUT}
                settings = {f"set {key}": self.settings[label].get(key) for key in keys}
                rows.append(
                    {
                        "cell": label,
                        "variant": self.variants[label],
                        **settings,
                        "seed": seed,
                        **about,
                        **record.outcomes,
                    }
                )
        schema = {
            "cell": pl.String,
            "variant": pl.String,
            **{f"set {key}": pl.String for key in keys},
            "seed": pl.Int64,
            **_ABOUT,
            **dict.fromkeys(self.outcomes, pl.Float64),
        }
        return pl.DataFrame(rows, schema=schema)


_ABOUT: dict[str, Any] = {
    "status": pl.String,
    "reason": pl.String,
    "digest": pl.String,
    "seconds": pl.Float64,
}


def run_study(
    base: Cell,
    cells: Sequence[Cell],
    seeds: Sequence[int],
    folder: Path,
    *,
    workers: int | None = None,
    keep_runs: bool = False,
    until_ns: int | None = None,
    allow_path: bool = False,
    ablation: AblationEntry | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Study:
    """Run every cell with every seed that `folder` has no result of yet.

    base: the scenario as its file says, without variant and settings; a folder whose results are of another one is
    refused. Cells that come to the same scenario are run once. workers: processes, all cores by default, 0 for this
    one. ablation: the plan of the cells, kept beside them. A run that failed before is tried again. Seeds come first:
    after any interruption the cells that were begun together can be compared. Raises `RunError`, and KeyboardInterrupt
    as it comes; the folder then says that it is unfinished and holds every finished run.
    """
    workers = cores() if workers is None else workers
    if not 0 <= workers <= MOST_WORKERS:
        raise InputError(f"--workers {workers}: must lie between 0 and {MOST_WORKERS}")
    if len(cells) * len(seeds) > MOST_RUNS:
        raise InputError(f"{len(cells):,} cells x {len(seeds):,} seeds: a study has at most {MOST_RUNS:,} runs")
    store = Store(folder, base, cells, seeds, until_ns, ablation)
    with store.opened():
        different = {cell.key: cell for cell in cells}.values()
        jobs = [
            Job(cell, seed, folder, keep_runs, until_ns, allow_path)
            for seed in seeds
            for cell in different
            if (cell.key, seed) not in store.results or store.results[cell.key, seed].status != "done"
        ]
        try:
            _work(store, jobs, min(workers, len(jobs)) if workers else 0, len(different) * len(seeds), on_progress)
        finally:
            store.clean()
        study = _study(folder, store.header, store.cells, store.results)
        if study.complete:
            store.finish(study.frame())
    return study


def _work(
    store: Store, jobs: Sequence[Job], workers: int, total: int, on_progress: Callable[[Progress], None] | None
) -> None:
    done = found = total - len(jobs)
    failed = 0

    def tell(note: str = "") -> None:
        if on_progress is not None:
            on_progress(Progress(done, failed, total, found, note))

    def on_death(job: Job, how: str, attempt: int) -> None:
        tell(f"{job.cell.label}, seed {job.seed}: {how} (attempt {attempt})")

    tell()
    with closing(run_jobs(run_job, jobs, workers, on_death=on_death)) as answers:  # an interrupt stops workers at once
        for job, value, failure, attempts in answers:
            figures = {"status": "failed", "reason": failure} if value is None else {"status": "done", **value}
            store.add(job.cell.key, Result(cell=job.cell.label, seed=job.seed, attempts=attempts, **figures))
            done += 1
            failed += value is None
            tell("" if value is not None else f"{job.cell.label}, seed {job.seed}: {failure}")


def read_study(folder: str | Path) -> Study:
    """Open a study's folder, finished or not; raises `RunError`."""
    folder = Path(folder)
    study = read_study_file(folder)
    return _study(folder, study.header, study.cells, read_results(folder))


def _study(
    folder: Path, header: Header, cells: Mapping[str, CellEntry], results: Mapping[tuple[str, int], Result]
) -> Study:
    return Study(
        folder=folder,
        scenario=header.scenario,
        labels=header.labels,
        settings={label: cells[label].settings for label in header.labels},
        variants={label: cells[label].variant for label in header.labels},
        seeds=header.seeds,
        records={
            (label, seed): results[cells[label].key, seed]
            for label in header.labels
            for seed in header.seeds
            if (cells[label].key, seed) in results
        },
    )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
