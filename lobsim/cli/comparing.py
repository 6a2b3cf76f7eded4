"""`lobsim compare`: open runs, lay their outcomes and settings side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lobsim.cli.console import console, say, show_table
from lobsim.cli.study_reporting import write_comparison
from lobsim.cli.sweeping import figure, signed
from lobsim.measure import OUTCOMES, read_run
from lobsim.measure.measures import Figures
from lobsim.report.wording import NOTHING
from lobsim.sweep.comparison import Comparison, OutcomeRow, compare

_WIDTH = 40
_MOST_SETTINGS = 100


def compare_and_show(folders: Sequence[Path], *, everything: bool, as_json: bool, html: Path | None = None) -> None:
    """Print both tables and write the page where one is wanted; raises `RunError` for a folder without a run."""
    runs = [read_run(folder) for folder in folders]
    studies = [Figures.of(run) for run in runs]
    found = compare(studies)
    if html is not None:
        write_comparison(studies, html)
    if as_json:
        page = {} if html is None else {"html": str(html)}
        print(json.dumps({**_as_object(found), **page}, allow_nan=False))  # noqa: T201
        return
    for run in runs:
        if not run.complete:
            say(run.status, style="yellow", stderr=True)
    _show(found, everything=everything)
    if html is not None:
        console().print()
        say(f"page: {html}  ({html.stat().st_size / 1e6:.1f} MB)")


def _show(found: Comparison, *, everything: bool) -> None:
    letters = [f"[{number}]" for number in range(1, len(found.runs) + 1)]
    show_table(
        ("", ""),
        [
            (letter, f"{run.path}  {run.scenario}, seed {run.seed}")
            for letter, run in zip(letters, found.runs, strict=True)
        ],
        left=2,
        indent=0,
    )
    console().print()
    if found.same_run:
        say("the same run, event for event (equal digests)")
    pair = len(letters) == 2
    shown = [row for row in found.outcomes if (everything or row.differs) and not _empty(row)]
    if shown:
        say("Outcomes" + ("" if everything else " that differ"), style="bold cyan")
        header = ("", "", *letters, "difference" if pair else "")
        show_table(header, [_outcome(row, pair=pair) for row in shown], left=2)
    same = sum(not row.differs for row in found.outcomes)
    say(f"  {same} of {len(found.outcomes)} outcomes are the same{'' if everything or not same else ' (--all: all)'}")
    console().print()
    say("Settings that differ", style="bold cyan")
    settings = [
        (row.key, *(NOTHING if value is None else _cut(value) for value in row.values))
        for row in found.settings[:_MOST_SETTINGS]
    ]
    if settings:
        show_table(("", *letters), settings, left=1 + len(letters))
    else:
        say("  none: the scenarios and the seeds are the same")
    if len(found.settings) > _MOST_SETTINGS:
        say(f"  ... and {len(found.settings) - _MOST_SETTINGS} more; --json has them all")


def _outcome(row: OutcomeRow, *, pair: bool) -> tuple[str, ...]:
    first, second = row.values[0], row.values[1]
    known = first is not None and second is not None
    change = signed(second - first, row.outcome) if pair and row.differs and known else ""  # type: ignore[operator]
    mark = change if pair else ("differs" if row.differs else "")
    return (row.outcome, OUTCOMES.get(row.outcome, ""), *(figure(value, row.outcome) for value in row.values), mark)


def _empty(row: OutcomeRow) -> bool:
    return all(value is None for value in row.values)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


def _as_object(found: Comparison) -> dict[str, object]:
    return {
        "runs": [
            {
                "run": str(run.path),
                "scenario": run.scenario,
                "seed": run.seed,
                "complete": run.complete,
                "digest": run.digest,
            }
            for run in found.runs
        ],
        "same_run": found.same_run,
        "outcomes": {row.outcome: list(row.values) for row in found.outcomes},
        "differ": [row.outcome for row in found.outcomes if row.differs],
        "settings": {row.key: list(row.values) for row in found.settings},
    }
