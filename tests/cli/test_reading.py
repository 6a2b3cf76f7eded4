"""`lobsim depth` and `lobsim slippage` print what `lobsim.measure` says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lobsim.cli import main
from lobsim.measure import depth, read_run, slippage


def test_depth_prints_the_measured_numbers(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["depth", str(recorded), "--at", "1m", "--bands", "0.5,2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    frame = depth(read_run(recorded), bands=["0.5", "2"], at="1m")
    wanted = [f"{value:,.0f}" for value in frame["depth_quote"]]
    bids = next(line for line in lines if " bids " in line).split()
    asks = next(line for line in lines if " asks " in line).split()
    assert bids[0] == asks[0] == "20:31:00Z"
    assert bids[-2:] + asks[-2:] == wanted


def test_slippage_prints_the_measured_numbers(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slippage", str(recorded), "--at", "20:31:00Z", "--notional", "1e3,1e9"]) == 0
    said = capsys.readouterr().out
    frame = slippage(read_run(recorded), notionals=["1e3", "1e9"], at="1m")
    small, large = frame["slippage"]
    assert f"{small * 10_000:.1f} bp" in said
    assert large is None
    assert "- (filled" in said
    assert "1 of 2 orders could not be filled" in said


def test_rows_follow_the_step(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slippage", str(recorded), "--every", "30s", "--side", "buy", "--ref", "best"]) == 0
    times = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  20:")]
    assert times == [f"20:{30 + s // 60}:{s % 60:02}Z" for s in range(0, 181, 30)]


def test_long_tables_are_cut_and_say_so(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slippage", str(recorded), "--every", "100ms"]) == 0
    said = capsys.readouterr().out
    assert "... and 801 more rows" in said
    assert said.count("Z ") == 1000


@pytest.mark.parametrize("command", ["depth", "slippage"])
def test_json_is_one_object(command: str, recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(recorded), "--every", "1m", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["complete"] is True
    assert {row["time_ns"] for row in told["rows"]} == {0, 60 * 10**9, 120 * 10**9, 180 * 10**9}


@pytest.mark.parametrize(
    "arguments",
    [
        ["depth", "--bands", "0"],
        ["depth", "--bands", "x"],
        ["depth", "--bands", ","],
        ["depth", "--at", "yesterday"],
        ["depth", "--every", "0s"],
        ["depth", "--every", "1m", "--at", "1m"],
        ["depth", "--ref", "middle"],
        ["depth", "--instrument", "[red]NIX[/]"],
        ["slippage", "--side", "both"],
        ["slippage", "--notional", "-5"],
        ["slippage", "--notional", "nan"],
        ["slippage", "--notional", ",".join(["1"] * 60)],
    ],
)
def test_bad_arguments(arguments: list[str], recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command, *options = arguments
    assert main([command, str(recorded), *options]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("lobsim: ")
    assert said.out == ""


def test_a_folder_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["depth", str(tmp_path)]) == 2
    assert "manifest.json: no such file" in capsys.readouterr().err
