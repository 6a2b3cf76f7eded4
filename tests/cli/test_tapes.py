"""Recorded markets through `lobsim replay`: the shipped samples, files of one's own, and damaged ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lobsim.cli import main
from lobsim.measure import read_run
from lobsim.scenario.shipped import locate

KINDS = {
    "tape-lobster": "sample-message.csv",
    "tape-binance-l2": "sample-depth.jsonl",
    "tape-tardis-trades": "sample-trades.csv",
}


@pytest.mark.parametrize("name", KINDS)
def test_samples_replay_and_can_be_measured(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    assert main(["replay", name, "--out", out, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["complete"] is True
    assert not any(told["ledger"].values())
    assert told["instruments"]["STOCK-USD"]["open"].startswith(("0.99", "1.00"))
    for command in ("depth", "slippage"):
        assert main([command, out, "--every", "5s"]) == 0
    run = read_run(out)
    assert set(run.trades["purpose_name"]) == {"TAPE"}
    assert not any(run.summary["tape_records_skipped"].values())


@pytest.mark.parametrize("name", KINDS)
def test_a_line_damaged_in_the_middle_ends_the_run(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = locate(name).parent / "tapes" / KINDS[name]
    lines = sample.read_bytes().splitlines(keepends=True)
    middle = len(lines) // 2
    tape = tmp_path / KINDS[name]
    tape.write_bytes(b"".join([*lines[:middle], b"\x00\xffjunk\x1b[31m\n", *lines[middle:]]))
    scenario = tmp_path / "mine.toml"
    scenario.write_text(locate(name).read_text().replace("tapes/", ""))
    out = tmp_path / "run"
    assert main(["replay", str(scenario), "--out", str(out), "-q"]) == 2
    said = capsys.readouterr().err
    assert KINDS[name] in said
    assert str(middle + 1) in said
    assert "UNFINISHED RUN" in said
    assert "\x1b" not in said
    run = read_run(out)
    assert not run.complete
    assert main(["depth", str(out)]) == 0
    assert "UNFINISHED RUN" in capsys.readouterr().err


def test_tapes_stay_in_the_scenarios_folder_unless_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = locate("tape-lobster").parent / "tapes" / "sample-message.csv"
    home = tmp_path / "home"
    home.mkdir()
    scenario = home / "mine.toml"
    scenario.write_text(locate("tape-lobster").read_text())
    outside = ["--set", f"tapes[0].path={sample}", "--out", str(tmp_path / "run"), "-q"]
    assert main(["replay", str(scenario), *outside]) == 2
    assert "say --allow-path" in capsys.readouterr().err
    (home / "link.csv").symlink_to(sample)
    assert main(["replay", str(scenario), *outside, "--set", "tapes[0].path=link.csv"]) == 2
    assert main(["replay", str(scenario), *outside, "--allow-path"]) == 0


def test_the_start_of_the_tape_must_be_the_start_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(
        ["replay", "tape-binance-l2", "--set", "scenario.start_utc=2025-10-09T12:00:00Z", "--out", str(tmp_path / "x")]
    )
    assert code == 2
    said = capsys.readouterr().err
    assert "begins at 2025-10-09T12:00:40Z" in said
    assert "--set scenario.start_utc=2025-10-09T12:00:40Z" in said
    assert not (tmp_path / "x").exists()


def test_a_book_is_for_lobster_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "tape-binance-l2", "--set", "tapes[0].book=x.csv"]) == 2
    assert "tapes[0].book: only a tape of kind 'lobster' takes it" in capsys.readouterr().err
