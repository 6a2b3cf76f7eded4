"""What a command that measures a run prints: a table for people, or rows for programs as JSON or CSV."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl

from lobsim.cli.console import say
from lobsim.cli.csv_output import STDOUT, write_csv
from lobsim.errors import InputError
from lobsim.measure import Run, read_run


class Form(NamedTuple):
    """How the answer is wanted: a table for people, or rows for programs. csv: a file, "-" for stdout."""

    as_json: bool = False
    csv: str | None = None


def open_run(folder: Path, form: Form) -> Run:
    """The run, with a word on stderr when it is unfinished (JSON says so itself); raises `LobsimError`."""
    if form.as_json and form.csv == STDOUT:
        raise InputError("--json and --csv - would both write to stdout; give --csv a file")
    run = read_run(folder)
    if not run.complete and not form.as_json:
        say(run.status, style="yellow", stderr=True)
    return run


def sent(run: Run, form: Form, asked: dict[str, str], rows: pl.DataFrame, tidy: Callable[[], pl.DataFrame]) -> bool:
    """Write what programs asked for; False when it is a person who waits.

    asked: what JSON says of the question. rows: those of JSON. tidy: makes those of CSV, as many.
    """
    if form.csv is not None:
        write_csv(tidy(), form.csv)
    if form.as_json:
        about = {"run": str(run.path), "scenario": run.scenario, "seed": run.seed, "complete": run.complete}
        print(json.dumps({**about, **asked, "rows": rows.to_dicts()}))  # noqa: T201
    elif form.csv not in (None, STDOUT):
        say(f"{form.csv}: {rows.height:,} rows")
    return form.as_json or form.csv is not None
