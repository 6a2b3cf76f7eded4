"""`lobsim measures`: open a run, measure its market, print one table."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from lobsim.cli.console import say, show_table
from lobsim.cli.output import Form, open_run, sent
from lobsim.measure import Run, market_quality
from lobsim.report.wording import NOTHING, amount

_SIDE_BY_SIDE = 5
_PER_BP = "bp of mid"


def show_measures(folder: Path, instrument: str | None, every: str, horizon: str, form: Form) -> None:
    """Print every measure: one row each, one column per instrument."""
    run = open_run(folder, form)
    frame = market_quality(run, instrument, every=every, horizon=horizon)
    asked = {"every": every, "horizon": horizon}
    if not sent(run, form, asked, frame, lambda: _tidy(run, frame, every, horizon)):
        _show(run, frame, every, horizon)


def _show(run: Run, frame: pl.DataFrame, every: str, horizon: str) -> None:
    names = frame["instrument"].unique(maintain_order=True).to_list()
    for first in range(0, len(names), _SIDE_BY_SIDE):
        shown = names[first : first + _SIDE_BY_SIDE]
        rows = [
            (str(group["title"][0]), _unit(run, str(group["unit"][0]), shown), *map(_figure, group.rows(named=True)))
            for _, group in frame.filter(pl.col("instrument").is_in(shown)).group_by("measure", maintain_order=True)
        ]
        show_table(("measure", "unit", *shown), rows, left=2)
        say("")
    kind = "Run" if run.complete else "UNFINISHED run"
    said = [
        f"{kind} {run.scenario}, seed {run.seed} ({run.path}), the whole of it.",
        f"Intervals and samples of {every}; horizon {horizon}. Full spreads, not half.",
    ]
    if frame["value"].null_count():
        said.append(f"{NOTHING}: nothing to measure.")
    say(" ".join(said))


def _unit(run: Run, unit: str, names: list[str]) -> str:
    """Money is in the quote currency of the instruments that share a table."""
    if unit != "% per million":
        return unit
    quotes = {run.instruments[name].quote for name in names}
    return f"{unit} {quotes.pop() if len(quotes) == 1 else 'quote'}"


def _figure(row: dict[str, float | str | None]) -> str:
    value = row["value"]
    if value is None:
        return NOTHING
    return f"{value:,.2f}" if row["unit"] == _PER_BP else amount(float(value))


def _tidy(run: Run, frame: pl.DataFrame, every: str, horizon: str) -> pl.DataFrame:
    """One figure a row, with all that stands around the table in columns of its own."""
    quotes = {name: one.quote for name, one in run.instruments.items()}
    return frame.select(
        pl.lit(run.scenario).alias("scenario"),
        pl.lit(str(run.seed)).cast(pl.Int128).alias("seed"),
        pl.lit(run.complete).alias("run_complete"),
        "instrument",
        pl.col("instrument").cast(pl.String).replace_strict(quotes, return_dtype=pl.String).alias("quote"),
        pl.lit(every).alias("every"),
        pl.lit(horizon).alias("horizon"),
        "measure",
        "title",
        "unit",
        "value",
    )
