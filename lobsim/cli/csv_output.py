"""Tables as CSV (RFC 4180: commas, quotes where needed, CRLF, UTF-8), safe to open in a spreadsheet.

Numbers stay numbers, missing values are empty, times are UTC (2025-10-10T20:50:00.000000000Z). Text that a spreadsheet
would take for a formula gets an apostrophe in front (OWASP, "CSV Injection"); control and invisible characters are
spelled out, because a CSV on stdout is on a terminal, too.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from lobsim.cli.console import plain
from lobsim.errors import InputError
from lobsim.sim.run_folder import publish_file

STDOUT = "-"
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\n", "\r", "\t")
_TIME = "%Y-%m-%dT%H:%M:%S%.9fZ"
_SHOWN = 100


def write_csv(frame: pl.DataFrame, target: str) -> None:
    """Write `frame` to the file `target` (in one step, replacing it), or to stdout for "-".

    Column names are written as they are and should carry units. Raises `InputError` naming a file that cannot be
    written.
    """
    text = csv_text(frame)
    if target == STDOUT:
        sys.stdout.write(text)
        return
    path = Path(target)
    try:
        if path.exists() and not path.is_file():  # a pipe, /dev/stderr; a folder is refused by the system
            path.write_text(text, encoding="utf-8", newline="")
            return
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text(text, encoding="utf-8", newline="")
        publish_file(temporary, path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"--csv {target[:_SHOWN]!r}: cannot write there: {why}") from None


def csv_text(frame: pl.DataFrame) -> str:
    """The CSV of a frame of numbers, texts, enums, truth values and UTC times."""
    columns = []
    for name, dtype in frame.schema.items():
        column = pl.col(name)
        if dtype in (pl.String, pl.Categorical, pl.Enum):
            texts = frame[name].cast(pl.String).unique().drop_nulls()
            column = column.cast(pl.String).replace_strict(
                texts, pl.Series([cell(text) for text in texts], dtype=pl.String), default=None
            )
        elif dtype.is_float():
            column = pl.when(column.is_finite()).then(column)
        columns.append(column.alias(name))
    safe = frame.select(columns).rename({name: cell(name) for name in frame.columns})
    return safe.write_csv(line_terminator="\r\n", datetime_format=_TIME)


def cell(text: str) -> str:
    """Text as a cell that shows it: never run as a formula, never sent to a terminal as a control sequence."""
    shown = plain(text)
    return "'" + shown if text.startswith(_FORMULA) else shown
