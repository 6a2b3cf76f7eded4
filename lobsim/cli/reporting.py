"""`lobsim report`: the page of a run as one HTML file; and the page that `replay` leaves beside a finished run."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from lobsim.cli.console import console, say
from lobsim.cli.study_reporting import PAGE, attempted, refuse_folder, write_study
from lobsim.errors import RunError
from lobsim.measure import Run, read_run
from lobsim.report.page.write import REPORT, write_page
from lobsim.sweep.store import STUDY


def report_and_show(folder: Path, out: Path | None, *, open_it: bool) -> None:
    """Write the page of a run, or of a study, finished or not, and say where it is.

    Raises `RunError` for a folder without a run or study, or a disk that refuses.
    """
    if (folder / STUDY).is_file():
        target = folder / PAGE if out is None else out
        write_study(folder, target)
        _say_and_open(target, open_it=open_it)
        return
    run = read_run(folder)
    target = folder / REPORT if out is None else out
    refuse_folder(target, "--out")
    if not run.complete:
        say(run.status, style="yellow", stderr=True)
    _write(run, target)
    _say_and_open(target, open_it=open_it)


def _say_and_open(target: Path, *, open_it: bool) -> None:
    say(f"{target}  ({target.stat().st_size / 1e6:.1f} MB)")
    if open_it and not webbrowser.open(target.resolve().as_uri()):
        say("no browser could be opened; open the file yourself", style="yellow", stderr=True)


def leave_page(run: Run, folder: Path, *, quiet: bool) -> Path | None:
    """Write the page of a run that has just ended; whatever goes wrong there is said and does not touch the run."""
    target = folder / REPORT

    def write() -> None:
        if quiet or not console(stderr=True).is_terminal:
            _write(run, target)
        else:
            with console(stderr=True).status("writing the page ..."):
                _write(run, target)

    return target if attempted(write, "the run is complete, but its page") else None


def remove_page(folder: Path) -> None:
    """Take away the page of a run that is about to be replaced: it would tell of another run."""
    try:
        read_run(folder)
    except RunError:  # no run of lobsim: its files are not ours
        return
    try:
        (folder / REPORT).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{folder / REPORT}: cannot be replaced: {error.strerror or error}") from None


def _write(run: Run, target: Path) -> None:
    from lobsim.report.page.run_page import run_page  # noqa: PLC0415 - templates and scorecards load only when needed

    write_page(run_page(run), target)
