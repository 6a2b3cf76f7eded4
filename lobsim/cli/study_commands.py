"""The commands about many runs, and the loop calculator, declared with typer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lobsim.cli.completing import complete_run, complete_variant, complete_variants
from lobsim.cli.options import AllowPathOption, JsonOption, ScenarioArg

WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", help="Processes. Default: one per core. 0: all in this process."),
]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Stop every run earlier, e.g. 20m.")]
KeepOption = Annotated[bool, typer.Option("--keep-runs", help="Keep the run folders, in DIR/runs.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write the study's page there instead of into its folder."),
]
ReportOption = Annotated[
    bool, typer.Option("--report/--no-report", help="Also write the study's page, study.html, into its folder.")
]


def sweep(
    scenario: ScenarioArg,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the study; one begun goes on. Default: studies/NAME-sweep."),
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="SEEDS", help="0:1000 (up to 999), 20 (1 to 20) or 1,5,8.")] = "20",
    axes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=A,B,C", help="Values that a key takes in turn. Repeated: every combination."
        ),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Variants, with commas between; base is none.", autocompletion=complete_variants
        ),
    ] = None,
    outcome: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Outcome to show. May be repeated. Default: the main ones.")
    ] = None,
    workers: WorkersOption = None,
    until: UntilOption = None,
    keep_runs: KeepOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    allow_path: AllowPathOption = False,
    html: HtmlOption = None,
    report: ReportOption = True,
) -> None:
    """Run a scenario many times, over seeds and settings, and say how the outcomes are spread.

    \b
    lobsim sweep liquidity-vacuum --seeds 20 --out vacuum
    lobsim sweep liquidity-vacuum --set patient_bids.pool=8e6,9e6 --out pool
    lobsim sweep oct-2025 --variant base,depeg-lags --seeds 10 --out lags

    The first settings are what the others are compared with, over the same seeds.
    Interrupt it and run the same command again: it goes on where it stopped.
    A run is a small file in DIR/results; results.parquet has all in the end,
    and study.html shows how the outcomes are spread, seed by seed.
    """
    from lobsim.cli.sweeping import SweepRequest, sweep_and_show  # noqa: PLC0415 - each command loads what it needs

    sweep_and_show(
        SweepRequest(
            scenario=scenario,
            seeds=seeds,
            out=out,
            workers=workers,
            until=until,
            keep_runs=keep_runs,
            quiet=quiet,
            as_json=as_json,
            allow_path=allow_path,
            html=html,
            report=report,
        ),
        axes=tuple(axes or ()),
        variants=variant,
        wanted=tuple(outcome or ()),
    )


def ablate(
    scenario: ScenarioArg,
    seeds: Annotated[str, typer.Option(metavar="SEEDS", help="20 (1 to 20), 0:100 (up to 99) or 1,5,8.")] = "20",
    budget: Annotated[
        int | None, typer.Option(metavar="RUNS", min=1, help="Runs at most. Default: 2000. See above.")
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Apply one of the scenario's variants.", autocompletion=complete_variant),
    ] = None,
    outcome: Annotated[str, typer.Option(metavar="KEY", help="The outcome to explain.")] = "fall",
    mechanisms: Annotated[
        str | None, typer.Option(metavar="A,B", help="Only these mechanisms. Default: all that the scenario lists.")
    ] = None,
    factor: Annotated[
        str | None, typer.Option(metavar="NAME", help="Also a two by two table: this mechanism ...")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="A,B", help="... against these together. Default: all others.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the study. Default: studies/NAME-ablation.")
    ] = None,
    workers: WorkersOption = None,
    until: UntilOption = None,
    keep_runs: KeepOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    allow_path: AllowPathOption = False,
    html: HtmlOption = None,
    report: ReportOption = True,
) -> None:
    """Switch every mechanism off in turn, over the same seeds, and say how much of the fall was its doing.

    \b
    lobsim ablate oct-2025-small --seeds 20
    lobsim ablate oct-2025 --variant depeg-lags --seeds 5 --budget 45
    lobsim ablate oct-2025-small --factor withdrawal --against loops

    Mechanisms are the tables \\[mechanisms.NAME] of the scenario. All on, all off
    and each off alone come first; then pairs, if the budget allows; then Shapley
    shares, exact when all 2^m combinations fit, else from sampled orders.
    It resumes: no run in DIR is made again, also when the budget grows.
    DIR/study.html shows effects, shares and spreads as pictures.
    """
    from lobsim.cli.ablating import AblateRequest, ablate_and_show  # noqa: PLC0415
    from lobsim.cli.sweeping import SweepRequest  # noqa: PLC0415

    study = SweepRequest(
        scenario=scenario,
        seeds=seeds,
        out=out,
        workers=workers,
        until=until,
        keep_runs=keep_runs,
        quiet=quiet,
        as_json=as_json,
        allow_path=allow_path,
        html=html,
        report=report,
    )
    ablate_and_show(
        AblateRequest(
            study=study,
            budget=budget,
            variant=variant,
            outcome=outcome,
            mechanisms=mechanisms,
            factor=factor,
            against=against,
        )
    )


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN...", help="Folders of recorded runs.", autocompletion=complete_run)
    ],
    everything: Annotated[bool, typer.Option("--all", help="Also outcomes that are the same everywhere.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page with the runs on the same axes.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Runs side by side: what came out differently, and which settings differ.

    \b
    lobsim compare runs/liquidity-vacuum-seed1 runs/liquidity-vacuum-no-bots-seed1
    lobsim compare runs/* --html compare.html
    lobsim compare runs/* --all
    """
    from lobsim.cli.comparing import compare_and_show  # noqa: PLC0415

    compare_and_show(runs, everything=everything, as_json=as_json, html=html)


def loop(
    capital: Annotated[str, typer.Option(metavar="AMOUNT", help="What is put in, e.g. 100000.")] = "100000",
    ltv: Annotated[str, typer.Option(metavar="SHARE", help="Loan to value of each round, e.g. 0.8.")] = "0.8",
    rounds: Annotated[int, typer.Option(min=0, metavar="N", help="How often it is borrowed and pledged again.")] = 5,
    apy: Annotated[str | None, typer.Option(metavar="RATE", help="What the asset yields a year, e.g. 0.12.")] = None,
    borrow_rate: Annotated[
        str | None, typer.Option("--borrow-rate", metavar="RATE", help="What the debt costs a year, e.g. 0.08.")
    ] = None,
    liquidation_ltv: Annotated[
        str | None, typer.Option("--liquidation-ltv", metavar="SHARE", help="Where the lender sells, e.g. 0.93.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What pledging, borrowing and pledging again comes to: position, leverage, yield, and the fall that ends it.

    \b
    lobsim loop --capital 100000 --ltv 0.8 --rounds 5
    lobsim loop --ltv 0.8 --rounds 5 --apy 0.12 --borrow-rate 0.10 --liquidation-ltv 0.93
    """
    from lobsim.cli.looping import loop_and_show  # noqa: PLC0415

    loop_and_show(capital, ltv, rounds, apy, borrow_rate, liquidation_ltv, as_json=as_json)


COMMANDS = (sweep, ablate, compare, loop)
