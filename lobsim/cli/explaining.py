"""`lobsim explain`: what happened in a run, in order, with times and amounts, and what caused how much of the fall."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from lobsim.cli.console import console, say, show_table
from lobsim.measure import read_run
from lobsim.measure.measures import Figures
from lobsim.measure.scorecard import scorecard
from lobsim.report.explain import explained, explanation, score_rows, score_section
from lobsim.report.section import Section


def explain_and_show(folder: Path, *, as_json: bool) -> None:
    """Print the explanation of a recorded run. Raises `RunError` for a folder without one."""
    run = read_run(folder)
    study = Figures.of(run)
    scores = scorecard(study)
    if as_json:
        said = {"run": str(folder), "scenario": run.scenario, "seed": run.seed, "complete": run.complete}
        print(json.dumps({**said, **explained(study), "scorecard": score_rows(scores)}))  # noqa: T201
        return
    if not run.complete:
        say(run.status, style="yellow", stderr=True)
    say(f"{run.scenario}, seed {run.seed}", style="bold")
    sections = explanation(study)
    if scores:
        sections.append(score_section(scores))
    if not sections:
        say("Nothing happened: no shock, no trade, nobody liquidated.")
    show_sections(sections)


def show_sections(sections: Iterable[Section]) -> None:
    """Print sections below each other, an empty line before each."""
    for section in sections:
        console().print()
        say(section.title, style="bold cyan")
        show_table(section.header, section.rows, left=section.left)
        if section.note:
            say(f"  {section.note}")
