"""The commands, declared with typer. Each one parses, calls a room below, and hands the result to `show`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from typer.main import get_command

from lobsim import __version__
from lobsim.cli import BAD_INPUT, BUG, INTERRUPTED
from lobsim.cli.console import say
from lobsim.cli.measure_commands import COMMANDS as MEASURE_COMMANDS
from lobsim.cli.options import (
    AllowPathOption,
    AtOption,
    CsvOption,
    EveryOption,
    InstrumentOption,
    JsonOption,
    RefOption,
    RunArg,
    ScenarioArg,
    SetOption,
    VariantOption,
)
from lobsim.cli.study_commands import COMMANDS
from lobsim.errors import CheckError, LobsimError

app = typer.Typer(
    name="lobsim",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

P = ParamSpec("P")


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code and lets no exception out (LOBSIM_DEBUG=1 shows where one came from)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        _command()(args=None if argv is None else list(argv), prog_name="lobsim")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0


@cache
def _command() -> Any:
    """All commands as one click command; making it takes longer than running most of them."""
    return get_command(app)


def _guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Turn what goes wrong into a message on stderr and an exit code."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except typer.Exit:
            raise
        except BrokenPipeError:  # the reader, e.g. `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt:
            say("interrupted", stderr=True)
            raise typer.Exit(INTERRUPTED) from None
        except CheckError as error:
            say(f"lobsim: an invariant does not hold. This is a bug, please report it.\n{error}", stderr=True)
            raise typer.Exit(BUG) from None
        except LobsimError as error:
            say(f"lobsim: {error}", style="red", stderr=True)
            raise typer.Exit(BAD_INPUT) from None
        except Exception as error:
            if os.environ.get("LOBSIM_DEBUG"):
                raise
            say(
                f"lobsim: {type(error).__name__}: {error}\n"
                "This should not happen; LOBSIM_DEBUG=1 shows where it did. Please report it.",
                stderr=True,
            )
            raise typer.Exit(1) from None

    return guarded


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lobsim {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def lobsim(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Simulate limit order books, and watch liquidity vanish.

    \b
    lobsim scenarios                    what there is to run
    lobsim replay liquidity-vacuum      run it: a flash crash in half a minute
    lobsim explain runs/liquidity-vacuum-seed1
    lobsim report runs/liquidity-vacuum-seed1 --open
    lobsim depth runs/liquidity-vacuum-seed1 --every 5m
    lobsim slippage runs/liquidity-vacuum-seed1 --notional 10e3 --at 20:55:00Z
    lobsim ablate oct-2025-small        what each mechanism had to do with it
    lobsim replay --help                each command has examples like these

    A SCENARIO is a file, or the name of one that ships; a RUN is the folder that replay made of it.
    A moment is a UTC clock time such as 21:15:00Z, or a time since the run's start such as 45m.
    lobsim --install-completion teaches your shell the names of scenarios, variants, runs and instruments.
    """


@app.command()
@_guarded
def replay(
    scenario: ScenarioArg,
    seed: Annotated[int | None, typer.Option(min=0, help="Random seed. Default: the scenario's.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for the run. Default: runs/NAME-seedN, or -2, -3, ... if it is taken."
        ),
    ] = None,
    settings: SetOption = None,
    variant: VariantOption = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Stop earlier, e.g. 20m or 21:15:00Z.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; say only where the run is.")] = False,
    as_json: JsonOption = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in DIR, if there is one.")] = False,
    allow_path: AllowPathOption = False,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Also write the run's page, report.html, into its folder.")
    ] = True,
) -> None:
    """Run a scenario and say what happened.

    \b
    lobsim replay scenarios/liquidity-vacuum.toml
    lobsim replay liquidity-vacuum --seed 7 --set market_makers.withdrawal=false
    lobsim replay liquidity-vacuum --until 20m --json
    lobsim replay oct-2025 --variant depeg-lags --out runs/lags

    On a terminal it shows prices, the book, makers' margin levels and events while it runs, else a line every tenth.
    Ctrl-C stops it; what was recorded until then can be read, and never looks finished.
    The same scenario and seed give the same run, to the last event: compare the digests.
    """
    from lobsim.cli.replaying import ReplayRequest, replay_and_show  # noqa: PLC0415 - each command loads what it needs

    replay_and_show(
        ReplayRequest(
            scenario=scenario,
            seed=seed,
            out=out,
            settings=tuple(settings or ()),
            variant=variant,
            until=until,
            quiet=quiet,
            as_json=as_json,
            overwrite=overwrite,
            allow_path=allow_path,
            report=report,
        )
    )


@app.command()
@_guarded
def slippage(
    run: RunArg,
    instrument: InstrumentOption = None,
    side: Annotated[str, typer.Option(metavar="sell|buy", help="Side of the order.")] = "sell",
    notional: Annotated[str, typer.Option(metavar="LIST", help="Order sizes in quote currency.")] = "10e3,100e3,1e6",
    at: AtOption = None,
    every: EveryOption = None,
    ref: RefOption = "mid",
    as_json: JsonOption = False,
    csv: CsvOption = None,
) -> None:
    """What a market order would have cost, from the recorded book, hidden orders included.

    \b
    lobsim slippage runs/liquidity-vacuum-seed1 --at 20:50:00Z --at 20:55:00Z
    lobsim slippage runs/liquidity-vacuum-seed1 --notional 5e3,50e3 --side buy --every 5m
    lobsim slippage runs/liquidity-vacuum-seed1 --every 1s --csv slippage.csv

    In basis points. A dash means that the book could not fill the order; what it could fill stands beside it.
    """
    from lobsim.cli.output import Form  # noqa: PLC0415
    from lobsim.cli.reading import show_slippage  # noqa: PLC0415

    show_slippage(run, instrument, side, notional, at, every, ref, Form(as_json, csv))


@app.command()
@_guarded
def depth(
    run: RunArg,
    instrument: InstrumentOption = None,
    bands: Annotated[str, typer.Option(metavar="LIST", help="Distances from the reference, in percent.")] = (
        "0.1,0.5,1,2,5,10"
    ),
    at: AtOption = None,
    every: EveryOption = None,
    ref: RefOption = "mid",
    as_json: JsonOption = False,
    csv: CsvOption = None,
) -> None:
    """How much was bid and offered near the price, in quote currency.

    \b
    lobsim depth runs/liquidity-vacuum-seed1 --every 5m
    lobsim depth runs/liquidity-vacuum-seed1 --bands 1,5 --at 20:50:00Z --ref best
    lobsim depth runs/liquidity-vacuum-seed1 --every 1s --csv depth.csv
    """
    from lobsim.cli.output import Form  # noqa: PLC0415
    from lobsim.cli.reading import show_depth  # noqa: PLC0415

    show_depth(run, instrument, bands, at, every, ref, Form(as_json, csv))


@app.command()
@_guarded
def explain(run: RunArg, as_json: JsonOption = False) -> None:
    """What happened in a run, in order, with times and amounts, and what caused how much of the fall.

    \b
    lobsim explain runs/liquidity-vacuum-seed1
    lobsim explain runs/oct-2025-seed1 --json

    A link of the chain has a time when a tenth of all that it came to had happened.
    """
    from lobsim.cli.explaining import explain_and_show  # noqa: PLC0415

    explain_and_show(run, as_json=as_json)


@app.command()
@_guarded
def report(
    run: RunArg,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write it. Default: RUN/report.html (a study: study.html)."),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Make a run's page: one HTML file with everything in it, to look at offline and to send on.

    \b
    lobsim report runs/liquidity-vacuum-seed1 --open
    lobsim report runs/oct-2025-seed1 --out crash.html
    lobsim report studies/oct-2025-small-ablation

    A study of sweep or ablate gets its page too, also one that was stopped.

    The page asks nothing of the network; it works from a mail as well as from a disk.
    """
    from lobsim.cli.reporting import report_and_show  # noqa: PLC0415

    report_and_show(run, out, open_it=open_it)


@app.command()
@_guarded
def check(
    scenario: ScenarioArg,
    settings: SetOption = None,
    variant: VariantOption = None,
    allow_path: AllowPathOption = False,
) -> None:
    """Check a scenario file and all its variants without running them; every fault is named at once.

    \b
    lobsim check oct-2025
    lobsim check oct-2025 --variant depeg-lags --set let.shock=-0.2
    """
    from lobsim.cli.checking import check_and_show  # noqa: PLC0415

    check_and_show(scenario, tuple(settings or ()), variant, allow_path=allow_path)


@app.command()
@_guarded
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors and programs.

    \b
    lobsim schema > scenario.schema.json
    """
    from lobsim.cli.checking import show_schema  # noqa: PLC0415

    show_schema()


@app.command()
@_guarded
def scenarios() -> None:
    """List the scenarios that ship with lobsim.

    \b
    lobsim replay NAME      runs one of them
    """
    from lobsim.cli.checking import show_scenarios  # noqa: PLC0415

    show_scenarios()


for _command_function in (*MEASURE_COMMANDS, *COMMANDS):
    app.command()(_guarded(_command_function))

_PANELS = {
    "Run": ("scenarios", "replay"),
    "Look at a run": ("explain", "report", "depth", "slippage", "measures", "compare"),
    "Study many runs": ("sweep", "ablate"),
    "Check and calculate": ("check", "schema", "loop"),
}
_PLACES = {name: panel for panel, names in _PANELS.items() for name in names}
for _declared in app.registered_commands:
    assert _declared.callback is not None
    _declared.rich_help_panel = _PLACES[_declared.callback.__name__]
app.registered_commands.sort(key=lambda declared: list(_PLACES).index(getattr(declared.callback, "__name__", "")))
