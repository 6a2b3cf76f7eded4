"""CSV for spreadsheets: numbers stay numbers, text stays text, and any reader gets back what was written."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.cli.console import plain
from lobsim.cli.csv_output import csv_text, write_csv
from lobsim.errors import InputError

FORMULAS = ["=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"]


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def test_by_hand() -> None:
    frame = pl.DataFrame(
        {
            "name": ["a,b", 'say "x"', None],
            "cost_bps": [-1.5, 0.1, None],
            "lots": [-3, 2**60, None],
            "time": pl.Series([datetime(2025, 10, 10, 21, tzinfo=UTC), None, None]).cast(pl.Datetime("ns", "UTC")),
            "ok": [True, False, None],
        }
    )
    assert csv_text(frame) == (
        "name,cost_bps,lots,time,ok\r\n"
        '"a,b",-1.5,-3,2025-10-10T21:00:00.000000000Z,true\r\n'
        f'"say ""x""",0.1,{2**60},,false\r\n'
        ",,,,\r\n"
    )


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_text_in_cells_and_names(text: str) -> None:
    enum = pl.Series("side", [text], dtype=pl.Enum([text]))
    header, row = rows(csv_text(pl.DataFrame([pl.Series(text, [text]), enum, pl.Series("n", [-1])])))
    assert header == [f"'{plain(text)}", "side", "n"]
    assert row == [f"'{plain(text)}", f"'{plain(text)}", "-1"]


def test_no_number_where_there_is_none() -> None:
    frame = pl.DataFrame({"a": [float("nan"), float("inf"), 1.0], "b": [1, 2, 3]})
    assert rows(csv_text(frame))[1:] == [["", "1"], ["", "2"], ["1.0", "3"]]


@given(
    st.lists(st.tuples(st.text(max_size=20), st.floats(allow_nan=False, allow_infinity=False), st.integers(-99, 99)))
)
def test_what_is_read_back(cells: list[tuple[str, float, int]]) -> None:
    schema = {"text": pl.String, "x": pl.Float64, "n": pl.Int64}
    text = csv_text(pl.DataFrame(cells, schema=schema, orient="row"))
    header, *found = rows(text)
    assert header == ["text", "x", "n"]
    assert [(float(x), int(n)) for _, x, n in found] == [(x, n) for _, x, n in cells]
    for (shown, *_), (given_text, *_) in zip(found, cells, strict=True):
        assert shown.removeprefix("'" if not given_text.startswith("'") else "") == plain(given_text)
        assert not shown.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert all(character.isprintable() or character == "\n" for character in shown)


def test_files_are_replaced_and_faults_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pl.DataFrame({"a": [1]})
    target = tmp_path / "out.csv"
    target.write_text("old")
    write_csv(frame, str(target))
    assert target.read_bytes() == b"a\r\n1\r\n"
    assert list(tmp_path.iterdir()) == [target]
    write_csv(frame, "-")
    assert capsys.readouterr().out == "a\r\n1\r\n"
    write_csv(frame, "/dev/null")
    for wrong in (tmp_path, tmp_path / "no" / "x.csv", ""):
        with pytest.raises(InputError, match=r"--csv .*: cannot write there"):
            write_csv(frame, str(wrong))
