"""`lobsim replay`: run a scenario, show how far it is, print what happened."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from lobsim.cli import INTERRUPTED
from lobsim.cli.console import console, say, show_table
from lobsim.cli.explaining import show_sections
from lobsim.cli.reporting import leave_page, remove_page
from lobsim.cli.running import argument, run_watched
from lobsim.errors import RunError
from lobsim.measure import Run, scorecard, summary
from lobsim.measure.measures import Figures
from lobsim.report.explain import milestone_rows, score_rows, score_section
from lobsim.report.outcome import FEW, headline, outcome
from lobsim.report.wording import span
from lobsim.scenario import Scenario, load_scenario
from lobsim.scenario.shipped import locate
from lobsim.units import NS_PER_S, parse_duration

_MAX_SUFFIX = 100_000
_STEPS = ("1s", "10s", "30s", "1m", "5m", "15m", "1h", "1d")
_FEW_ROWS = 30


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What was asked for on the command line."""

    scenario: str
    seed: int | None
    out: Path | None
    settings: tuple[str, ...]
    variant: str | None
    until: str | None
    quiet: bool
    as_json: bool
    overwrite: bool
    allow_path: bool
    report: bool = True


def replay_and_show(request: ReplayRequest) -> None:
    """Run and print. Raises `LobsimError` for bad input; an interrupt leaves an unfinished run and exit code 130."""
    scenario = load_scenario(locate(request.scenario), variant=request.variant, settings=request.settings)
    header = scenario.file.scenario
    until_ns = header.duration if request.until is None else min(header.duration, scenario.time_ns(request.until))
    seed = header.seed if request.seed is None else request.seed
    out = request.out if request.out is not None else _free_folder(scenario, request, seed)

    if request.overwrite:
        remove_page(out)
    started = time.perf_counter()
    run = run_watched(
        scenario,
        seed=seed,
        out=out,
        until_ns=until_ns,
        overwrite=request.overwrite,
        allow_path=request.allow_path,
        quiet=request.quiet or request.as_json,
    )
    seconds = max(time.perf_counter() - started, 1e-6)
    try:
        _tell(request, run, out, seconds)
    except KeyboardInterrupt:
        say(f"interrupted, but the run is complete: {out}", style="yellow", stderr=True)
        raise typer.Exit(INTERRUPTED) from None


def _tell(request: ReplayRequest, run: Run, out: Path, seconds: float) -> None:
    """Make the page and print what was asked for."""
    page = leave_page(run, out, quiet=request.quiet or request.as_json) if request.report else None
    if request.as_json:
        print(json.dumps({**as_object(run, out, seconds), "report": None if page is None else str(page)}))  # noqa: T201
    elif request.quiet:
        say(str(out))
    else:
        show_outcome(run, out, seconds, page)


def as_object(run: Run, out: Path, seconds: float) -> dict[str, Any]:
    """The JSON object of `replay --json`. Prices are decimal texts, null where nothing was traded."""
    summaries = summary(run, _shock_ns(run), liquidity=False)
    study = Figures.of(run)
    return {
        "run": str(out),
        "scenario": run.scenario,
        "seed": run.seed,
        "complete": run.complete,
        "digest": run.digest,
        "ledger": run.summary.get("ledger", {}),
        "instruments": {
            name: {
                "open": one.open,
                "low": one.low,
                "low_time_ns": one.low_time_ns,
                "close": one.close,
                "fall": one.fall,
            }
            for name, one in summaries.items()
        },
        "milestones": milestone_rows(study.milestones),
        "scorecard": score_rows(scorecard(study)),
        "end_ns": run.end_ns,
        "messages": run.summary.get("messages"),
        "seconds": round(seconds, 3),
    }


def show_outcome(run: Run, out: Path, seconds: float, page: Path | None = None) -> None:
    """Print what a person wants to know about a run that has just ended."""
    summaries = summary(run, _shock_ns(run), liquidity=len(run.instruments) <= FEW)
    study = Figures.of(run)
    scores = scorecard(study)
    screen = console()
    say(f"{run.scenario}, seed {run.seed}: {headline(run, summaries)}", style="bold")
    show_sections(outcome(run, summaries, study))
    if scores:
        show_sections([score_section(scores)])
    screen.print()
    say("The run", style="bold cyan")
    show_table(("", ""), _facts(run, out, seconds), left=2)
    screen.print()
    name = argument(out)
    say("Look closer", style="bold cyan")
    step = next((step for step in _STEPS if parse_duration(step) * _FEW_ROWS >= run.end_ns), _STEPS[-1])
    if page is not None:
        say(f"  {page}  (open it in a browser)")
    say(f"  lobsim explain {name}")
    say(f"  lobsim depth {name} --every {step}")
    say(f"  lobsim slippage {name} --every {step}")


def _facts(run: Run, out: Path, seconds: float) -> list[tuple[str, str]]:
    ledger = run.summary.get("ledger", {})
    wrong = {asset: off for asset, off in ledger.items() if off}
    books = f"conserved to the last quantum ({', '.join(ledger)})" if not wrong else f"NOT CONSERVED: {wrong}"
    messages = run.summary.get("messages", 0)
    facts = [
        ("ledger", books if ledger else "no money moved"),
        ("digest", run.digest or ""),
        ("simulated", f"{span(run.end_ns)} in {seconds:.1f} s, {run.end_ns / NS_PER_S / seconds:,.0f} x real time"),
        ("order messages", f"{messages:,}, {messages / seconds:,.0f} a second"),
        ("folder", str(out)),
    ]
    for tape, reasons in run.summary.get("tape_records_skipped", {}).items():
        for reason, number in reasons.items():
            facts.append((f"refused lines of {Path(tape).name}", f"{number:,} x {reason}"))
    return facts


def _shock_ns(run: Run) -> int | None:
    when = run.summary.get("shock_ns")
    return when if isinstance(when, int) and when <= run.end_ns else None


def _free_folder(scenario: Scenario, request: ReplayRequest, seed: int) -> Path:
    """runs/NAME-seedN, with -2, -3, ... when that is taken, and a line that says so."""
    name = scenario.file.scenario.name + (f"-{request.variant}" if request.variant else "")
    first = Path("runs") / f"{name}-seed{seed}"
    if not first.exists():
        return first
    for number in range(2, _MAX_SUFFIX + 1):
        folder = first.with_name(f"{first.name}-{number}")
        if not folder.exists():
            if not request.quiet and not request.as_json:
                say(f"{first} is taken: this run is in {folder}", stderr=True)
            return folder
    raise RunError(f"{first}: {_MAX_SUFFIX} runs of this name are there already; say --out DIR")
