"""`lobsim replay`: what it prints, what it writes, how it stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from lobsim.cli import main
from lobsim.measure import read_run, scorecard, verify_digest
from tests.cli.conftest import SCENARIO

SHORT = ["replay", str(SCENARIO), "--until", "5s"]


def test_says_what_a_person_wants_to_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(SCENARIO), "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr()
    for words in (
        "every-kind, seed 42: ALT-USDT fell",
        "after the shock",
        "shock: the outside value of ALT fell by 17.0 %",
        "market maker pulled its quotes",
        "bids within 1 % of the best bid",
        "Who was liquidated",
        "of 40",
        "What it cost",
        "conserved to the last quantum (USDT, ALT)",
        "order messages",
        "lobsim depth",
        str(read_run(tmp_path / "run").digest),
    ):
        assert words in said.out
    assert "20:33:00Z" in said.err  # progress goes to stderr
    assert "\x1b" not in said.out + said.err  # no terminal, no colours


def test_columns_are_aligned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["replay", str(SCENARIO), "--out", str(tmp_path / "run")])
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if "how many" in line)
    row = next(line for line in lines if line.startswith("  loans"))
    assert row.index("of 40") + len("of 40") == header.index("how many") + len("how many")


def test_json_is_one_object_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(SCENARIO), "--out", str(tmp_path / "run"), "--json", "--seed", "7"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    told = json.loads(said.out)
    assert said.out.count("\n") == 1
    run = read_run(told["run"])
    assert told["seed"] == run.seed == 7
    assert told["complete"] is True
    assert told["digest"] == run.digest == verify_digest(run)
    assert told["ledger"] == {"USDT": 0, "ALT": 0}
    prices = told["instruments"]["ALT-USDT"]
    trades = run.trades
    ticks = trades["price_ticks"]
    before = trades.filter(trades["time_ns"] < 90 * 10**9)["price_ticks"]
    after = trades.filter(trades["time_ns"] >= 90 * 10**9)
    assert Decimal(prices["open"]) == ticks[0] * Decimal("0.0001")
    assert Decimal(prices["low"]) == after["price_ticks"].min() * Decimal("0.0001")
    assert Decimal(prices["close"]) == ticks[-1] * Decimal("0.0001")
    assert prices["fall"] == pytest.approx(1 - after["price_ticks"].min() / before[-1])
    assert prices["low_time_ns"] == after["time_ns"][int(after["price_ticks"].arg_min() or 0)]


def test_json_where_nothing_was_traded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    switches = ["background", "value_traders", "panic_sellers", "market_makers", "liquidation_bots"]
    off = [word for name in switches for word in ("--set", f"agents.{name}.enabled=false")]
    assert main([*SHORT, *off, "--out", str(tmp_path / "run"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["instruments"]["ALT-USDT"] == {
        "open": None,
        "low": None,
        "low_time_ns": None,
        "close": None,
        "fall": None,
    }
    assert main([*SHORT, *off, "--out", str(tmp_path / "run"), "--overwrite"]) == 0
    assert "Nothing was traded." in capsys.readouterr().out


def test_quiet_says_only_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, "--out", str(tmp_path / "run"), "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'run'}\n"
    assert said.err == ""


def test_runs_get_a_folder_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(3):
        assert main([*SHORT, "-q"]) == 0
    assert main([*SHORT, "-q", "--variant", "no-bots", "--seed", "3"]) == 0
    folders = capsys.readouterr().out.split()
    assert folders == [
        "runs/every-kind-seed42",
        "runs/every-kind-seed42-2",
        "runs/every-kind-seed42-3",
        "runs/every-kind-no-bots-seed3",
    ]


def test_an_old_run_is_replaced_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [*SHORT, "-q", "--out", str(tmp_path / "run")]
    assert main(command) == 0
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "already holds a run" in said
    assert "--overwrite" in said
    assert main([*command, "--overwrite"]) == 0


def test_foreign_files_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    assert main([*SHORT, "--out", str(tmp_path), "--overwrite"]) == 2
    assert "holds no run" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["precious.txt"]


def test_settings_variants_and_a_clock_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["replay", str(SCENARIO), "-q", "--until", "20:30:10Z", "--variant", "no-bots"]
    assert main([*command, "--set", "market_makers.levels=3", "--out", str(tmp_path / "run")]) == 0
    run = read_run(tmp_path / "run")
    assert run.end_ns == 10 * 10**9
    stored = (tmp_path / "run" / "scenario.toml").read_text()
    assert "levels = 3" in stored
    assert not [info for info in run.accounts_info.values() if info.kind == "liquidation-bot"]


def test_the_stored_scenario_gives_the_same_run(recorded: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert main(["replay", str(recorded / "scenario.toml"), "-q", "--out", str(again)]) == 0
    assert read_run(again).digest == read_run(recorded).digest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--until", "noon"], "neither a UTC clock time"),
        (["--until", "0s"], "nothing to run"),
        (["--set", "nonsense"], "write key=value"),
        (["--set", "nowhere.at.all=1"], "no single table"),
        (["--set", "exogenous[7].change=0.1"], "there is no entry [7]"),
        (["--variant", "[red]x[/]"], "there is no variant '[red]x[/]'"),
        (["--set", "market_makers.withdrawal=maybe"], "agents.market_makers.withdrawal"),
    ],
)
def test_bad_arguments(arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(SCENARIO), "--out", str(tmp_path / "run"), *arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""
    assert not (tmp_path / "run").exists()


def test_an_interrupt_leaves_an_unfinished_run_and_says_so(tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = _start(out)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "UNFINISHED RUN" in said
    assert "Traceback" not in said
    run = read_run(out)
    assert not run.complete
    assert "UNFINISHED" in run.status


def test_kill_9_leaves_readable_parts_that_do_not_look_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    process = _start(out)
    _wait_for(lambda: list(out.glob("orders/part-*.parquet")), process)
    process.kill()
    process.communicate(timeout=60)
    assert json.loads((out / "manifest.json").read_text())["complete"] is False
    run = read_run(out)
    assert not run.complete
    assert run.digest is None
    assert run.rows("orders") > 0
    assert run.orders.height == run.rows("orders")
    for command in ("depth", "slippage"):
        assert main([command, str(out), "--at", "1s"]) == 0
        said = capsys.readouterr()
        assert "UNFINISHED RUN" in said.err
        assert "Traceback" not in said.err
        assert main([command, str(out), "--at", "1s", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["complete"] is False


def _start(out: Path) -> subprocess.Popen[str]:
    """A long run in a process of its own, already recording."""
    command = [sys.executable, "-m", "lobsim", "replay", str(SCENARIO), "--out", str(out), "-q"]
    longer = ["--set", "scenario.duration=5h", "--set", "background.limit_rate=100"]
    process = subprocess.Popen([*command, *longer], stderr=subprocess.PIPE, text=True, env={**os.environ})
    _wait_for((out / "scenario.toml").exists, process)
    return process


def _wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_folder_that_is_taken_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "liquidity-vacuum-seed1").mkdir(parents=True)
    assert main(["replay", "liquidity-vacuum", "--until", "1s", "--no-report"]) == 0
    taken = "runs/liquidity-vacuum-seed1 is taken: this run is in runs/liquidity-vacuum-seed1-2"
    assert taken in capsys.readouterr().err.splitlines()
    assert (tmp_path / "runs" / "liquidity-vacuum-seed1-2" / "manifest.json").is_file()


def test_a_run_that_was_cut_gets_no_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["replay", "luna-2022", "--until", "5s", "--no-report", "--out", str(out)]) == 0
    assert " min: no verdict" in capsys.readouterr().out
    run = read_run(out)
    assert run.cut.startswith("stopped at ")
    assert main(["explain", str(out), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scorecard"]
    assert scores
    assert {score["inside"] for score in scores} == {score["simulated"] for score in scores} == {None}
    run.manifest["summary"]["duration_ns"] = run.end_ns
    assert run.cut == ""
    assert not any(score.no_verdict for score in scorecard(run))
