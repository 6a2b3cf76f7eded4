"""`lobsim depth` and `lobsim slippage` print what `lobsim.measure` says."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lobsim.cli import main, output
from lobsim.errors import InputError
from lobsim.events import Side, SubmitOrder
from lobsim.measure import Run, book_at, depth, read_run, slippage
from lobsim.records import InstrumentInfo, RunHeader
from tests.measure.recording import MemoryRecorder, drive


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
    assert large is None
    row = next(line for line in said.splitlines() if line.startswith("  20:31:00Z"))
    assert row.split() == [
        "20:31:00Z",
        f"{frame['ref_price'][0]:.5f}",
        f"{small * 10_000:.1f}",
        "-",
        f"({frame['filled_share'][1] * 100:.1f}",
        "%)",
    ]
    assert "1,000 USDT  1,000,000,000 USDT" in said
    assert "-: 1 of 2 have none: the book could not fill the order (in brackets the share that it could)." in said


def test_rows_follow_the_step(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slippage", str(recorded), "--every", "30s", "--side", "buy", "--ref", "best"]) == 0
    times = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  20:")]
    assert times == [f"20:{30 + s // 60}:{s % 60:02}Z" for s in range(0, 181, 30)]


def test_long_tables_are_cut_and_say_so(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slippage", str(recorded), "--every", "100ms"]) == 0
    said = capsys.readouterr().out
    assert "... and 801 more rows" in said
    assert len([line for line in said.splitlines() if line.startswith("  20:")]) == 1000


def test_the_caption_says_what_when_and_of_which_run(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slippage", str(recorded), "--at", "1m", "--ref", "best", "--side", "buy"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Slippage of market buy orders in ALT-USDT against the best price"
    assert said[-1].startswith(f"Run every-kind, seed 42 ({recorded}), 2025-10-10 20:31:00Z. VWAP of whole lots")
    assert main(["depth", str(recorded), "--every", "1m", "--bands", "1,20e0"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].split() == ["time", "mid", "1", "%", "20", "%"]
    assert f"({recorded}), 2025-10-10 20:30:00Z to 20:33:00Z. " in said[-1]


def frames_run(
    bids: dict[int, int], asks: dict[int, int], start_utc: str = "2025-10-10T23:59:59Z", names: int = 1
) -> Run:
    """Books of so many instruments: lots by price in ticks; the first order 1 s 5 ns after the start."""
    header = RunHeader(
        "hand-made",
        "",
        3,
        start_utc,
        [InstrumentInfo(n, f"C{n}-Q{n}", f"C{n}", f"Q{n}", "0.01", "1", "0.01") for n in range(names)],
    )
    recorder = MemoryRecorder(header)
    orders = [SubmitOrder(100 + price, Side.BUY, qty, price, 1_000_000_005) for price, qty in bids.items()]
    orders += [SubmitOrder(100 + price, Side.SELL, qty, price, 1_000_000_005) for price, qty in asks.items()]
    drive(orders, recorder)
    return recorder.run()


def shown(run: Run, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *at: str) -> str:
    monkeypatch.setattr(output, "read_run", lambda folder: run)
    assert main([command, "anywhere", *(part for moment in at for part in ("--at", moment))]) == 0
    return capsys.readouterr().out


def test_large_amounts_are_in_thousands_or_millions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = frames_run({100: 1_234_567}, {101: 10})
    said = shown(run, "depth", monkeypatch, capsys, "2s")
    assert said.count("k Q0") == 7
    assert "k Q0: 1,000 Q0." in said
    assert " 1,234.6" in said
    asks = next(line for line in said.splitlines() if " asks " in line).split()
    assert asks[3:] == ["0", "0.0", "0.0", "0.0", "0.0", "0.0"]  # nothing, and 10.10
    assert "M Q0: 1,000,000 Q0." in shown(frames_run({100: 2 * 10**9}, {101: 1}), "depth", monkeypatch, capsys, "2s")
    small = shown(frames_run({100: 12}, {101: 1}), "depth", monkeypatch, capsys, "2s")
    assert " 12.00" in small
    assert " 1.01" in small
    assert " k " not in shown(frames_run({100: 10**7}, {101: 1}, names=2), "depth", monkeypatch, capsys, "2s")


def test_moments_have_all_their_digits_and_the_day_where_there_are_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = frames_run({100: 12}, {101: 1})
    said = shown(run, "depth", monkeypatch, capsys, "0s", "1s")
    assert "  2025-10-10 23:59:59Z  bids" in said
    assert "  2025-10-11 00:00:00Z  bids" in said
    assert "2025-10-10 23:59:59Z to 2025-10-11 00:00:00Z." in said
    assert "  23:59:59.000000005Z  bids" in shown(run, "depth", monkeypatch, capsys, "23:59:59.000000005Z")


def test_every_reason_for_a_dash_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reasons = {"could not fill": {100: 1}, "there was no mid price": {}, "did not pay for one lot": {2_000_000: 10**9}}
    for reason, bids in reasons.items():
        said = shown(frames_run(bids, {2_000_001: 5}), "slippage", monkeypatch, capsys, "2s")
        assert [part for part in reasons if part in said] == (
            [reason] if bids else ["could not fill", "there was no mid price"]
        )
    assert "have none" not in shown(frames_run({100: 10**9}, {101: 5}), "slippage", monkeypatch, capsys, "2s")


def test_instruments_with_several_quotes_stand_in_one_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = shown(frames_run({100: 12}, {101: 1}, names=2), "slippage", monkeypatch, capsys, "2s")
    assert "orders in 2 instruments" in said
    assert "10,000 quote" in said
    assert "  C0-Q0 " in said
    assert "  C1-Q1 " in said


@pytest.mark.parametrize("command", ["depth", "slippage"])
def test_json_is_one_object(command: str, recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(recorded), "--every", "1m", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["complete"] is True
    assert told["ref"] == "mid"
    assert {row["time_ns"] for row in told["rows"]} == {0, 60 * 10**9, 120 * 10**9, 180 * 10**9}


@pytest.mark.parametrize("command", ["depth", "slippage"])
def test_csv_has_every_number_and_its_unit(
    command: str, recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, str(recorded), "--every", "1m", "--csv", "-"]) == 0
    text = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    measured = {"depth": depth, "slippage": slippage}[command](read_run(recorded), every="1m")
    last, scale = {"depth": ("depth_quote", 1), "slippage": ("slippage_bps", 10_000)}[command]
    assert len(rows) == measured.height
    for row, value in zip(rows, measured[last.removesuffix("_bps")], strict=True):
        assert row[last] == "" if value is None else float(row[last]) == pytest.approx(value * scale, rel=1e-14)
    units = ("_utc", "_ns", "_quote", "_pct", "_lots", "_base", "_fraction", "_bps")
    words = {"scenario", "seed", "run_complete", "instrument", "quote", "ref", "side"}
    assert all(name in words or name.endswith(units) for name in rows[0])
    assert rows[0]["time_utc"] == "2025-10-10T20:30:00.000000000Z"
    target = tmp_path / "measured.csv"
    assert main([command, str(recorded), "--every", "1m", "--csv", str(target)]) == 0
    assert target.read_bytes().decode() == text
    assert capsys.readouterr().out == f"{target}: {measured.height} rows\n"
    assert main([command, str(recorded), "--every", "1m", "--json", "--csv", str(target)]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == measured.height


@pytest.mark.parametrize(
    "arguments",
    [
        ["depth", "--bands", "0"],
        ["depth", "--bands", "x"],
        ["depth", "--bands", ","],
        ["depth", "--at", "yesterday"],
        ["depth", "--at", "19:00:00Z"],
        ["depth", "--at", "1m", "--at", "5h"],
        ["slippage", "--at", "19:00:00Z"],
        ["depth", "--every", "0s"],
        ["depth", "--every", "1m", "--at", "1m"],
        ["depth", "--ref", "middle"],
        ["depth", "--instrument", "[red]NIX[/]"],
        ["slippage", "--side", "both"],
        ["slippage", "--notional", "-5"],
        ["slippage", "--notional", "nan"],
        ["slippage", "--json", "--csv", "-"],
        ["slippage", "--csv", "no/such/folder.csv"],
        ["slippage", "--notional", ",".join(["1"] * 60)],
    ],
)
def test_bad_arguments(arguments: list[str], recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command, *options = arguments
    assert main([command, str(recorded), *options]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("lobsim: ")
    assert said.out == ""


def test_a_moment_outside_the_run_is_refused(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = read_run(recorded)
    assert main(["slippage", str(recorded), "--at", "19:00:00Z"]) == 2
    said = capsys.readouterr().err.strip()
    end = run.start_utc + timedelta(microseconds=run.end_ns // 1000)
    assert said == f"lobsim: 19:00:00Z is outside the run ({run.start_utc:%Y-%m-%d %H:%M:%S}Z to {end:%H:%M:%S}Z)"
    assert run.moment_ns(run.end_ns) == run.end_ns
    for wrong in (-1, run.end_ns + 1, "5h"):
        with pytest.raises(InputError, match="outside the run"):
            book_at(run, None if len(run.instruments) == 1 else next(iter(run.instruments)), wrong)
        with pytest.raises(InputError, match="outside the run"):
            depth(run, None, ["1"], at=wrong)


def test_a_clock_time_after_midnight_is_of_the_next_day(recorded: Path) -> None:
    run = read_run(recorded)
    run.start_utc = datetime(2025, 10, 10, 23, 59, 30, tzinfo=UTC)
    assert run.moment_ns("00:00:10Z") == 40 * 10**9
    with pytest.raises(InputError, match=r"23:59:00Z is outside the run \(2025-10-10 23:59:30Z to 2025-10-11 00:"):
        run.moment_ns("23:59:00Z")


def test_a_folder_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["depth", str(tmp_path)]) == 2
    assert "manifest.json: no such file" in capsys.readouterr().err


def test_a_misspelt_folder_or_scenario_is_guessed(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "liquidity-vacuum-seed1").symlink_to(recorded, target_is_directory=True)
    wrong = tmp_path / "liquidity-vaccum-seed1"
    assert main(["explain", str(wrong)]) == 2
    said = capsys.readouterr().err.strip()
    assert said == f"lobsim: {wrong}: no such run; did you mean {tmp_path / 'liquidity-vacuum-seed1'}?"
    assert main(["explain", str(tmp_path / "no" / "where")]) == 2
    assert capsys.readouterr().err.strip().endswith("where: no such run")
    assert main(["check", "liquidity-vaccum"]) == 2
    assert "did you mean liquidity-vacuum?" in capsys.readouterr().err
