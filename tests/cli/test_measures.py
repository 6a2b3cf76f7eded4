"""`lobsim measures` prints what `lobsim.measure.market_quality` says, as a table, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from lobsim.cli import main
from lobsim.measure import QUALITY, market_quality, read_run


@pytest.mark.parametrize("name", ["tape-lobster", "tape-binance-l2", "tape-tardis-trades"])
def test_tapes_are_measured_with_the_same_command(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", name, "--out", str(tmp_path / "run"), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["measures", str(tmp_path / "run"), "--every", "1s", "--horizon", "1s"]) == 0
    said = capsys.readouterr()
    assert not said.err
    lines = said.out.splitlines()
    assert lines[0].split() == ["measure", "unit", "STOCK-USD"]
    for line, figure in zip(lines[1:], QUALITY.values(), strict=False):
        assert line.strip().startswith(figure.title)
    assert "% per million USD" in said.out
    forced = next(line for line in lines if "aggressor was forced" in line)
    assert forced.split()[-1] == "-"
    assert "-: nothing to measure" in lines[-1]


def test_table_has_one_column_per_instrument(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = read_run(recorded)
    assert main(["measures", str(recorded)]) == 0
    said = capsys.readouterr().out
    header = next(line for line in said.splitlines() if "measure" in line).split()
    assert header[2:] == list(run.instruments)[:5]
    spread = next(line for line in said.splitlines() if "quoted spread" in line).split()
    frame = market_quality(run)
    wanted = frame.row(0, named=True)
    assert wanted["measure"] == "quoted_spread"
    assert spread[spread.index("mid") + 1] == f"{wanted['value']:,.2f}"


def test_rows_for_programs(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "measures.csv"
    options = ["--every", "5s", "--horizon", "2s"]
    assert main(["measures", str(recorded), "--json", "--csv", str(target), *options]) == 0
    told = json.loads(capsys.readouterr().out)
    frame = market_quality(read_run(recorded), every="5s", horizon="2s")
    assert told["rows"] == json.loads(json.dumps(frame.to_dicts(), allow_nan=False))
    assert (told["complete"], told["every"], told["horizon"]) == (True, "5s", "2s")
    rows = list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"))))
    assert [row["measure"] for row in rows] == frame["measure"].to_list()
    assert [float(row["value"]) if row["value"] else None for row in rows] == frame["value"].to_list()
    assert {row["horizon"] for row in rows} == {"2s"}
    assert not any(row["unit"].startswith("'") for row in rows)  # no unit looks like a formula
    assert main(["measures", str(recorded), "--csv", "-"]) == 0
    assert capsys.readouterr().out.startswith("scenario,seed,run_complete,instrument,quote,every,horizon,measure,")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--every", "0s"], "every: '0s' must be longer than 0"),
        (["--horizon", "soon"], "horizon: 'soon' is not a duration"),
        (["--instrument", "NO-NE"], "no instrument 'NO-NE'"),
        (["--json", "--csv", "-"], "both write to stdout"),
        (["--csv", "/nowhere/x.csv"], "--csv '/nowhere/x.csv'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], named: str, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measures", str(recorded), *arguments]) == 2
    said = capsys.readouterr()
    assert named in said.err
    assert not said.out
