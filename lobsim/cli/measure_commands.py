"""The command about measures of market quality, declared with typer."""

from __future__ import annotations

from typing import Annotated

import typer

from lobsim.cli.options import CsvOption, InstrumentOption, JsonOption, RunArg


def measures(
    run: RunArg,
    instrument: InstrumentOption = None,
    every: Annotated[
        str,
        typer.Option(
            "--every", metavar="STEP", help="Length of the intervals of Amihud, order flow, volatility and imbalance."
        ),
    ] = "10s",
    horizon: Annotated[
        str,
        typer.Option("--horizon", metavar="STEP", help="After how long realised spread and impact look at the mid."),
    ] = "10s",
    as_json: JsonOption = False,
    csv: CsvOption = None,
) -> None:
    """Measures of market quality: spreads, impact, imbalance, order flow, resiliency, volatility and more.

    \b
    lobsim measures runs/liquidity-vacuum-seed1
    lobsim measures runs/oct-2025-seed1 --instrument ATOM-USDT --every 1m
    lobsim measures runs/liquidity-vacuum-seed1 --csv measures.csv

    One figure per measure and instrument, over the whole run. A dash means that there was nothing to measure.
    Formulas, sources and series over time are in Python: help(lobsim.measure.spreads), and so on.
    """
    from lobsim.cli.measuring import show_measures  # noqa: PLC0415 - each command loads what it needs
    from lobsim.cli.output import Form  # noqa: PLC0415

    show_measures(run, instrument, every, horizon, Form(as_json, csv))


COMMANDS = (measures,)
