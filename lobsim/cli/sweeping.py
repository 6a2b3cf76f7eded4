"""`lobsim sweep`: run a study, show how far it is, print how its outcomes are spread."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lobsim.cli import INTERRUPTED
from lobsim.cli.console import console, plain, say, show_table
from lobsim.cli.study_reporting import leave_study_page, write_study
from lobsim.errors import InputError
from lobsim.report.explain import medians_section, score_rows
from lobsim.report.wording import NOTHING, amount, percent
from lobsim.scenario.shipped import locate
from lobsim.sweep import Progress, Study, cores, grid, make_cell, parse_axis, parse_seeds, parse_variants, run_study
from lobsim.sweep.cells import CellSummary, cell_summaries, headlines, is_flag, require, unit_of
from lobsim.sweep.scores import score_summaries
from lobsim.sweep.statistics import Interval, Quartiles

if TYPE_CHECKING:
    from lobsim.sweep import Cell
    from lobsim.sweep.files import AblationEntry

_UNFINISHED = 1
_MOST_FAILURES = 10
_PLAIN_STEPS = 10
_FRACTIONS = ("fraction", "0 or 1")


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What every study is asked on the command line."""

    scenario: str
    seeds: str
    out: Path | None
    workers: int | None
    until: str | None
    keep_runs: bool
    quiet: bool
    as_json: bool
    allow_path: bool
    html: Path | None = None
    report: bool = True


def sweep_and_show(request: SweepRequest, *, axes: Sequence[str], variants: str | None, wanted: Sequence[str]) -> None:
    """Run what is missing and print tables. Raises `LobsimError`; exit code 1 when runs failed, 130 on Ctrl-C."""
    path = locate(request.scenario)
    base = make_cell(path, "base", None, {})
    chosen = parse_variants(variants, base.scenario.file.variants)
    cells = grid(path, chosen, [parse_axis(text) for text in axes])
    out = request.out or Path("studies") / f"{base.scenario.file.scenario.name}-sweep"
    study = study_of(request, base, cells, parse_seeds(request.seeds), out)
    page = page_of(request, study, wanted)
    if request.as_json:
        print(json.dumps({**as_object(study, wanted), "html": None if page is None else str(page)}, allow_nan=False))  # noqa: T201
    else:
        _show(study, wanted)
        say_where(study, page)
    leave_unfinished(study, as_json=request.as_json)


def study_of(
    request: SweepRequest,
    base: Cell,
    cells: Sequence[Cell],
    seeds: Sequence[int],
    out: Path,
    ablation: AblationEntry | None = None,
) -> Study:
    """Run the study with progress on stderr; an interrupt says what is there and leaves."""
    until_ns = None if request.until is None else base.scenario.time_ns(request.until)
    if until_ns is not None and until_ns <= 0:
        raise InputError(f"--until {request.until}: leaves nothing to run")
    seen = Progress(0, 0, len(cells) * len(seeds), 0)

    def note(step: Progress) -> None:
        nonlocal seen
        seen = step
        if show is not None:
            show(step)

    try:
        with progress(quiet=request.quiet or request.as_json) as show:
            return run_study(
                base,
                cells,
                seeds,
                out,
                workers=cores() if request.workers is None else request.workers,
                keep_runs=request.keep_runs,
                until_ns=until_ns,
                allow_path=request.allow_path,
                ablation=ablation,
                on_progress=note,
            )
    except KeyboardInterrupt:
        say(
            f"interrupted: UNFINISHED STUDY in {out}, {seen.done} of {seen.total} runs are done; "
            "the same command goes on from there",
            style="yellow",
            stderr=True,
        )
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A callback that shows how many runs are done: a bar on a terminal, else a line every tenth; on stderr."""
    if quiet:
        yield None
        return
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield _plain_progress()
        return
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    columns = (TextColumn("runs"), BarColumn(None), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bar(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(step: Progress) -> None:
            if step.note:
                bar.console.print(Text(plain(step.note), style="yellow"))
            bar.update(task, completed=step.done, total=step.total)

        yield show


def _plain_progress() -> Callable[[Progress], None]:
    shown = -1

    def show(step: Progress) -> None:
        nonlocal shown
        if step.note:
            print(plain(step.note), file=sys.stderr, flush=True)  # noqa: T201
        tenth = step.done * _PLAIN_STEPS // max(1, step.total)
        if tenth > shown:
            before = f", {step.found} of them before" if shown < 0 and step.found else ""
            failed = f", {step.failed} failed" if step.failed else ""
            shown = tenth
            print(f"{step.done} of {step.total} runs{before}{failed}", file=sys.stderr, flush=True)  # noqa: T201

    return show


def as_object(study: Study, wanted: Sequence[str]) -> dict[str, Any]:
    """The JSON object of `sweep --json`: cells with medians, quartiles, means and differences of every outcome."""
    for outcome in wanted:
        require(study, outcome)
    cells: dict[str, dict[str, Any]] = {
        label: {"variant": study.variants[label], "settings": study.settings[label], "outcomes": {}}
        for label in study.labels
    }
    for outcome in wanted or study.outcomes:
        for row in cell_summaries(study, outcome):
            cells[row.label]["outcomes"][outcome] = {
                "known": row.known,
                "quartiles": row.quartiles and row.quartiles._asdict(),
                "mean": row.mean and row.mean._asdict(),
                "difference": row.difference and row.difference._asdict(),
            }
    for label, cell in cells.items():
        cell["scorecard"] = [
            {**score_rows([one.score])[0], "inside_seeds": one.inside, "runs": one.runs}
            for one in score_summaries(study, label)
        ]
    return {
        "study": str(study.folder),
        "scenario": study.scenario,
        "complete": study.complete,
        "seeds": list(study.seeds),
        "runs": len(study.records),
        "failures": [{"cell": label, "seed": seed, "reason": why} for (label, seed), why in study.failures.items()],
        "cells": cells,
    }


def _show(study: Study, wanted: Sequence[str]) -> None:
    chosen = list(wanted) or headlines(study)
    rows = [cell_summaries(study, outcome) for outcome in chosen]
    say(f"{study.scenario}: {len(study.labels)} settings x {len(study.seeds)} seeds", style="bold")
    if study.shared_settings:
        say("in all of them: " + ", ".join(f"{key} = {value}" for key, value in study.shared_settings.items()))
    console().print()
    say("Median (lower to upper quartile); share of runs for what is 0 or 1", style="bold cyan")
    names = list(study.names.values())
    table = [(name, *(_spread(column[place]) for column in rows)) for place, name in enumerate(names)]
    show_table(("", *chosen), table)
    if len(study.labels) > 1:
        console().print()
        say(f"Mean difference to {names[0]} over the same seeds (95 % interval)", style="bold cyan")
        table = [
            (name, *(difference(column[place].difference, column[place].outcome) for column in rows))
            for place, name in enumerate(names)
        ]
        show_table(("", *chosen), table[1:])
        say("  * the interval does not contain zero")
    for label, name in study.names.items():
        scores = score_summaries(study, label)
        if scores:
            console().print()
            section = medians_section(name, scores)
            say(section.title, style="bold cyan")
            show_table(section.header, section.rows)
    console().print()


def page_of(request: SweepRequest, study: Study, wanted: Sequence[str]) -> Path | None:
    """Write the study's page to where it was asked for, else into its folder; None where none was wanted or made."""
    if request.html is not None:
        write_study(study.folder, request.html, wanted)
        return request.html
    return leave_study_page(study.folder, wanted) if request.report else None


def say_where(study: Study, page: Path | None) -> None:
    """Where the results are."""
    say(f"results in {study.folder}")
    if page is not None:
        say(f"page:      {page}  ({page.stat().st_size / 1e6:.1f} MB)")


def leave_unfinished(study: Study, *, as_json: bool) -> None:
    """Say which runs failed, and leave with exit code 1 if any did."""
    if study.complete:
        return
    failures = list(study.failures.items())
    if not as_json:
        say(f"UNFINISHED STUDY: {len(failures)} runs failed", style="red", stderr=True)
        for (label, seed), why in failures[:_MOST_FAILURES]:
            say(f"  {label}, seed {seed}: {why}", stderr=True)
        if len(failures) > _MOST_FAILURES:
            say(f"  ... and {len(failures) - _MOST_FAILURES} more", stderr=True)
    raise typer.Exit(_UNFINISHED)


def figure(value: float | None, outcome: str) -> str:
    """A value of an outcome as people read it: fractions in percent."""
    if value is None:
        return NOTHING
    return percent(value) if unit_of(outcome) in _FRACTIONS else amount(value)


def spread(found: Quartiles | None, outcome: str) -> str:
    """Median and quartiles."""
    if found is None:
        return NOTHING
    low, middle, high = (figure(value, outcome) for value in (found.low, found.median, found.high))
    return middle if low == high else f"{middle} ({low} to {high})"


def difference(found: Interval | None, outcome: str) -> str:
    """A difference with sign and interval; a star when the interval excludes zero."""
    if found is None:
        return NOTHING
    value = signed(found.value, outcome)
    if found.low is None or found.high is None:
        return value
    star = " *" if found.excludes_zero else "  "
    return f"{value} ({signed(found.low, outcome)} to {signed(found.high, outcome)}){star}"


def signed(value: float, outcome: str) -> str:
    """A difference with its sign; of fractions in percentage points."""
    if unit_of(outcome) in _FRACTIONS:
        return f"{value * 100:+.1f} pp"
    return amount(value) if value < 0 else f"+{amount(value)}"


def _spread(row: CellSummary) -> str:
    missing = f" [{row.known} of {row.runs}]" if row.known < row.runs else ""
    if is_flag(row.outcome):
        return (NOTHING if row.mean is None else percent(row.mean.value, 0)) + missing
    return spread(row.quartiles, row.outcome) + missing
