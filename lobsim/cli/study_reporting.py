"""Pages of studies and comparisons: written where they were asked for, or left beside the study's results."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from lobsim.cli.console import say
from lobsim.errors import RunError
from lobsim.measure.study import Study
from lobsim.report.page.write import write_page

PAGE = "study.html"
"""Name of the page in a study's folder."""


def write_study(folder: Path, target: Path, outcomes: Sequence[str] = ()) -> None:
    """Write the page of a study's folder, finished or not; raises `RunError`."""
    from lobsim.report.page.study_page import study_html  # noqa: PLC0415 - templates load only when needed

    refuse_folder(target, "--html")
    write_page(study_html(folder, outcomes), target)


def leave_study_page(folder: Path, outcomes: Sequence[str] = ()) -> Path | None:
    """Write the page of a study that has just ended into its folder; what goes wrong is said, the results stand."""
    target = folder / PAGE
    done = attempted(lambda: write_study(folder, target, outcomes), "the results are there, but their page")
    return target if done else None


def write_comparison(runs: Sequence[Study], target: Path) -> None:
    """Write the page that lays runs side by side; raises `RunError`."""
    from lobsim.report.page.compare_page import compare_html  # noqa: PLC0415

    refuse_folder(target, "--html")
    write_page(compare_html(runs), target)


def attempted(write: Callable[[], None], what: str) -> bool:
    """Write a page that nobody asked for by name: whatever goes wrong is said, and what it tells of stands."""
    try:
        write()
    except Exception as error:
        if os.environ.get("LOBSIM_DEBUG"):
            raise
        why = str(error) if isinstance(error, RunError) else f"{type(error).__name__}: {error}"
        say(f"{what} could not be made: {why}", style="yellow", stderr=True)
        return False
    return True


def refuse_folder(target: Path, option: str) -> None:
    """Raise `RunError` where a page cannot take the place of a folder."""
    if target.is_dir():
        raise RunError(f"{target}: is a folder; {option} takes the name of a file")
