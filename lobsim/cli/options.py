"""Arguments and options that several commands have, declared with typer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lobsim.cli.completing import complete_instrument, complete_run, complete_scenario, complete_variant

ScenarioArg = Annotated[
    str,
    typer.Argument(
        metavar="SCENARIO",
        help="Scenario file (TOML), or the name of one that ships with lobsim.",
        autocompletion=complete_scenario,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value of the scenario, e.g. market_makers.withdrawal=false. May be repeated.",
    ),
]
VariantOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Apply one of the scenario's variants first.", autocompletion=complete_variant),
]
AllowPathOption = Annotated[
    bool, typer.Option("--allow-path", help="Let the scenario read tapes from outside its own folder.")
]
RunArg = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a recorded run.", autocompletion=complete_run)]
InstrumentOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Only this instrument. Default: all of the run.", autocompletion=complete_instrument
    ),
]
AtOption = Annotated[
    list[str] | None, typer.Option("--at", metavar="TIME", help="Moment to look at. May be repeated. Default: the end.")
]
EveryOption = Annotated[
    str | None, typer.Option("--every", metavar="STEP", help="Look again and again, e.g. every 30s.")
]
RefOption = Annotated[
    str, typer.Option("--ref", metavar="mid|best", help="Count from the mid price or from the side's best price.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
CsvOption = Annotated[
    str | None, typer.Option("--csv", metavar="FILE", help="Write every number as CSV, for a spreadsheet; - is stdout.")
]
