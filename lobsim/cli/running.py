"""Run a scenario while a person watches, or a log file does, and may stop it."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import typer

from lobsim.cli import INTERRUPTED
from lobsim.cli.console import plain, say
from lobsim.cli.live import watching
from lobsim.cli.stopping import stoppable
from lobsim.errors import RunError, TapeError
from lobsim.measure import Run, read_run
from lobsim.records import MANIFEST
from lobsim.report.wording import span
from lobsim.scenario import Scenario
from lobsim.scenario.build import Simulation
from lobsim.units import format_clock


def run_watched(
    scenario: Scenario, *, seed: int, out: Path, until_ns: int, overwrite: bool, allow_path: bool, quiet: bool
) -> Run:
    """Run and show progress on stderr. Ctrl-C and SIGTERM leave an unfinished run, a message and exit code 130.

    Raises `LobsimError` for bad input; of a tape that is damaged in the middle the message says what there is.
    """
    header = scenario.file.scenario
    title = f"{header.name}, seed {seed}" + (f": {header.title}" if header.title else "")
    with stoppable() as stopper:
        try:
            with watching(title, until_ns, scenario.start_ns_of_day, quiet=quiet) as watcher:

                def begin(simulation: Simulation) -> None:
                    stopper.watch(simulation)
                    watcher.begin(simulation)

                run = scenario.replay(
                    seed=seed,
                    out=out,
                    until_ns=until_ns,
                    overwrite=overwrite,
                    allow_path=allow_path,
                    on_progress=watcher.advance if watcher.shows else None,
                    on_start=begin,
                )
        except KeyboardInterrupt:
            raise _interrupted(out, scenario.start_ns_of_day, until_ns) from None
        except TapeError as error:  # damaged in the middle: there is something to look at
            raise TapeError(f"{error}\nUNFINISHED RUN in {out}: it holds what came before") from None
    if stopper.asked:  # too late: all that was left was to close it
        say(f"interrupted, but the run was over: it is complete, in {out}", style="yellow", stderr=True)
        raise typer.Exit(INTERRUPTED)
    return run


def argument(path: Path) -> str:
    """A path as one would type it in a shell."""
    return quote(plain(path))


def _interrupted(out: Path, start_ns_of_day: int, until_ns: int) -> typer.Exit:
    try:
        run = read_run(out) if (out / MANIFEST).is_file() else None
    except RunError as error:
        run, covers = None, str(error)
    else:
        covers = "interrupted before anything was recorded"
    if run is None or run.complete:  # an older run that was to be replaced is still there
        say(covers, style="yellow", stderr=True)
        return typer.Exit(INTERRUPTED)
    clock = format_clock(run.end_ns, start_ns_of_day)[:8]
    name = argument(out)
    say(f"interrupted: UNFINISHED RUN in {out}", style="yellow", stderr=True)
    say(
        f"It ends at {clock}Z, after {span(run.end_ns)} of {span(until_ns)}, and says so wherever it is shown.\n"
        "What it recorded can be read:\n"
        f"  lobsim explain {name}\n  lobsim depth {name}\n  lobsim slippage {name}",
        stderr=True,
    )
    return typer.Exit(INTERRUPTED)
