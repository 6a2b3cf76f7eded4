"""One run of a study: replay into a folder of its own, prove it, measure it, take the folder away."""

from __future__ import annotations

import time
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

from lobsim.errors import CheckError
from lobsim.measure import outcomes
from lobsim.measure.measures import Figures
from lobsim.measure.scorecard import Score, scorecard
from lobsim.sweep.plan import Cell


class Job(NamedTuple):
    """A cell, already checked, and a seed; the run is recorded below `folder`, and stays there if `keep` is set."""

    cell: Cell
    seed: int
    folder: Path
    keep: bool = False
    until_ns: int | None = None
    allow_path: bool = False

    @property
    def name(self) -> str:
        """Names this job's files."""
        return f"{self.cell.key}-{self.seed}"

    @property
    def run_folder(self) -> Path:
        """Where the run is recorded, for good if it is kept."""
        return self.folder / ("runs" if self.keep else "work") / self.name


def run_job(job: Job) -> dict[str, Any]:
    """Replay, prove, measure; returns the digest, the outcomes, the ledger's (zero) imbalance and the seconds it took.

    Raises `CheckError` when an asset is not conserved or a book does not add up, `ScenarioError` for an economy that
    cannot be built. The run folder goes, whatever happens, unless `keep` is set; what an earlier attempt left there
    goes first.
    """
    folder = job.run_folder
    rmtree(folder, ignore_errors=True)
    started = time.perf_counter()
    try:
        run = job.cell.scenario.replay(seed=job.seed, out=folder, until_ns=job.until_ns, allow_path=job.allow_path)
        ledger = run.summary.get("ledger", {})
        wrong = {asset: off for asset, off in ledger.items() if off}
        if wrong:
            raise CheckError(f"seed {job.seed}: not conserved: {wrong} quanta")
        figures = Figures.of(run)
        return {
            "digest": run.digest,
            "ledger": ledger,
            "outcomes": outcomes(figures),
            "scores": {score.name: _about(score) for score in scorecard(figures)},
            "messages": run.summary.get("messages"),
            "seconds": round(time.perf_counter() - started, 3),
        }
    finally:
        if not job.keep:
            rmtree(folder, ignore_errors=True)


def _about(score: Score) -> dict[str, float | str | None]:
    target = score.target
    return {
        "simulated": score.simulated,
        "low": score.low,
        "high": score.high,
        "real": score.real,
        "real_low": target.real_low,
        "real_high": target.real_high,
        "unit": score.unit,
        "no_verdict": score.no_verdict,
    }
