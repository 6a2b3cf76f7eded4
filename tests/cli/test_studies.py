"""`lobsim sweep`, `ablate`, `compare` and `loop`: what they print, what survives a kill, how they refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lobsim.cli import main
from lobsim.sweep import read_study
from tests.cli.conftest import SCENARIO

MECHANISMS = """
[mechanisms.withdrawal]
title = "Makers pull their quotes"
off = { "market_makers.withdrawal" = false }

[mechanisms.bots]
title = "Bots sell what they seize"
off = { "liquidation_bots.enabled" = false }
"""
HERE = ["--workers", "0", "--until", "3s"]
linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds worker processes in /proc")


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(SCENARIO.read_text() + MECHANISMS)
    return path


# --- sweep ----------------------------------------------------------------------------------------------------------


def test_sweep_prints_a_row_per_setting(scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["sweep", str(scenario), "--seeds", "0:3", "--set", "patient_bids.pool=1e5,5e4", *HERE]
    assert main([*command, "--out", str(tmp_path / "s"), "--outcome", "fall", "--outcome", "crashed"]) == 0
    said = capsys.readouterr()
    for words in (
        "every-kind: 2 settings x 3 seeds",
        "patient_bids.pool=5e4",
        "Mean difference to patient_bids.pool=1e5 over the same seeds (95 % interval)",
        "crashed",
        " pp (",
        str(tmp_path / "s"),
    ):
        assert words in said.out
    assert "0 of 6 runs" in said.err
    assert "6 of 6 runs" in said.err
    assert "\x1b" not in said.out + said.err


def test_sweep_json_is_one_object_and_nothing_else(
    scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sweep", str(scenario), "--seeds", "2", "--variant", "base,no-bots", *HERE, "--out", str(tmp_path / "s")]
    assert main([*command, "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    told = json.loads(said.out)
    assert told["complete"] is True
    assert list(told["cells"]) == ["base", "no-bots"]
    fall = told["cells"]["no-bots"]["outcomes"]["fall"]
    assert fall["known"] == 2
    assert fall["difference"]["n"] == 2
    assert main([*command, "--json", "--outcome", "fall"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert list(again["cells"]["base"]["outcomes"]) == ["fall"]
    assert again["cells"]["base"]["outcomes"]["fall"] == told["cells"]["base"]["outcomes"]["fall"]


def test_a_sweep_has_a_folder_of_its_own_name(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", str(scenario), "--seeds", "1", *HERE, "--no-report"]) == 0
    assert [folder.name.endswith("-sweep") for folder in (tmp_path / "studies").iterdir()] == [True]
    assert "results in studies/" in capsys.readouterr().out


def test_failed_runs_are_named_and_leave_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tape.toml"
    path.write_text(SCENARIO.read_text() + '[[tapes]]\nkind = "lobster"\ninstrument = "ALT-USDT"\npath = "no.csv"\n')
    command = ["sweep", str(path), "--seeds", "2", *HERE, "--out", str(tmp_path / "s")]
    assert main(command) == 1
    said = capsys.readouterr()
    assert "UNFINISHED STUDY: 2 runs failed" in said.err
    assert "base, seed 2: " in said.err
    assert "no.csv" in said.err
    assert main([*command, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["complete"], len(told["failures"])) == (False, 2)
    assert main(["ablate", str(path), "--seeds", "1", *HERE, "--out", str(tmp_path / "s")]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "x"], "--seeds 'x': write 0:1000"),
        (["--set", "market_makers.levels"], "write key=value,value"),
        (["--set", "market_makers.levels=3,no"], "market_makers.levels=no: "),
        (["--set", "nowhere.x=1"], "no single table"),
        (["--variant", "nothing"], "no variant 'nothing'"),
        (["--until", "0s"], "nothing to run"),
        (["--workers", "-3"], "--workers -3"),
        (["--outcome", "x", "--seeds", "1"], "--outcome 'x': no such outcome; there are fall"),
    ],
)
def test_bad_arguments(
    arguments: list[str], words: str, scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", str(scenario), "--out", str(tmp_path / "s"), *HERE, *arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_a_changed_scenario_is_refused(scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["sweep", str(scenario), "--seeds", "1", *HERE, "--out", str(tmp_path / "s")]
    assert main(command) == 0
    scenario.write_text(scenario.read_text().replace("count = 3", "count = 2"))
    assert main(command) == 2
    assert "agents.market_makers.count: 3 is now 2" in capsys.readouterr().err


# --- ablate ---------------------------------------------------------------------------------------------------------


def test_ablate_says_what_each_mechanism_does(
    scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["ablate", str(scenario), "--seeds", "2", *HERE, "--out", str(tmp_path / "a")]
    assert main([*command, "--factor", "withdrawal"]) == 0
    said = capsys.readouterr()
    for words in (
        "every-kind: what makes up 'fall', 2 seeds",
        "everything on",
        "Makers pull their quotes",
        "withdrawal + bots",
        "Shapley shares, exact, from all 4 combinations",
        "the shock alone",
        "100.0 %",
        "withdrawal against bots",
        "more than the sum",
    ):
        assert words in said.out
    assert "2 mechanisms: 4 combinations x 2 seeds = 8 runs (exact shares)" in said.err
    assert main([*command, "--json", "--mechanisms", "bots"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["mechanisms"] == {"bots": "Bots sell what they seize"}
    shares = sum(one["share"]["value"] for one in told["shares"])
    assert shares + told["shock"]["mean"]["value"] == pytest.approx(told["everything"]["mean"]["value"])
    assert told["cross"] is None


def test_ablate_resumes_in_its_own_folder(
    scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["ablate", str(scenario), *HERE, "--variant", "no-bots", "--mechanisms", "withdrawal"]
    assert main([*command, "--seeds", "1"]) == 0
    capsys.readouterr()
    assert main([*command, "--seeds", "2"]) == 0
    said = capsys.readouterr()
    assert "2 of 4 runs, 2 of them before" in said.err
    assert "results in studies/every-kind-no-bots-ablation" in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget", "3"], "--budget 3: all on, none on and each off alone takes 4 combinations x 1 seeds = 4 runs"),
        (["--mechanisms", "withdrawl"], "no mechanism is called 'withdrawl'; there are withdrawal, bots"),
        (["--against", "bots"], "--against: say what is set against these"),
        (["--outcome", "rise"], "--outcome 'rise': no such outcome"),
        (["--variant", "x"], "no variant 'x'"),
    ],
)
def test_ablations_that_make_no_sense(
    arguments: list[str], words: str, scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ablate", str(scenario), "--seeds", "1", "--out", str(tmp_path / "a"), *HERE, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_help_names_the_tables_that_ablate_reads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablate", "--help"]) == 0
    assert "[mechanisms.NAME]" in capsys.readouterr().out


def test_runs_that_are_cut_get_no_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "luna-2022", "--seeds", "1", "--out", str(tmp_path), *HERE]
    assert main([*words, "--no-report"]) == 0
    said = capsys.readouterr().out
    assert " min: no verdict" in said
    assert "not measured" not in said
    assert main([*words, "--no-report", "--json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"].values()
    assert {row["inside"] for row in cell["scorecard"]} == {None}


# --- compare --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("changed") / "run"
    off = ["--set", "market_makers.withdrawal=false", "--set", "patient_bids.pool=90_000"]
    assert main(["replay", str(SCENARIO), "--out", str(folder), "--quiet", "--seed", "3", *off]) == 0
    return folder


def test_compare_calls_differences_out(recorded: Path, changed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(recorded), str(changed)]) == 0
    said = capsys.readouterr().out
    lines = {line.split()[0]: line for line in said.splitlines() if line.strip()}
    assert " pp" in lines["fall"]
    assert lines["agents.market_makers.withdrawal"].split()[1:] == ["-", "false"]
    assert lines["agents.patient_bids.pool"].split()[1:] == ["100000", "90000"]
    assert lines["seed"].split()[1:] == ["42", "3"]
    assert "outcomes are the same (--all: all)" in said


def test_compare_json(recorded: Path, changed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(recorded), str(changed), str(recorded), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["same_run"] is False
    first, second, third = told["outcomes"]["fall"]
    assert first == third != second
    assert "fall" in told["differ"]
    assert told["settings"]["seed"] == ["42", "3", "42"]


def test_a_run_is_the_same_as_itself(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(recorded), str(recorded)]) == 0
    said = capsys.readouterr().out
    assert "the same run, event for event" in said
    assert "none: the scenarios and the seeds are the same" in said


def test_what_cannot_be_compared(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(recorded)]) == 2
    assert "give from 2 to 20 run folders" in capsys.readouterr().err
    assert main(["compare", str(recorded), str(tmp_path)]) == 2
    assert "no such file; a run folder holds one" in capsys.readouterr().err


# --- loop -----------------------------------------------------------------------------------------------------------


def test_loop_shows_the_published_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loop", "--capital", "100,000", "--ltv", "80%", "--rounds", "5"]) == 0
    said = capsys.readouterr().out
    for words in ("368,928.00", "3.689x the capital", "value counted twice", "268,928.00", "27.1 %", "32,768.00"):
        assert words in said


def test_loop_json(capsys: pytest.CaptureFixture[str]) -> None:
    rates = ["--apy", "0.12", "--borrow-rate", "0.1", "--liquidation-ltv", "0.93"]
    assert main(["loop", *rates, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["position"], told["counted_twice"], told["leverage"]) == (368_928.0, 268_928.0, 3.68928)
    assert told["yield"] == pytest.approx(0.1737856)
    assert told["liquidating_fall"] == pytest.approx(0.2162, abs=1e-4)
    assert told["wipe_out_fall"] == pytest.approx(0.27106, abs=1e-5)
    assert len(told["rounds"]) == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ltv", "1.2"], "ltv 1.2"),
        (["--ltv", "much"], "--ltv"),
        (["--capital", "0"], "capital 0"),
        (["--borrow-rate", "0.1"], "--apy"),
        (["--liquidation-ltv", "0.5"], "starts at an LTV of 0.7289"),
        (["--rounds", "5000"], "rounds 5000"),
    ],
)
def test_loops_that_are_none(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loop", *arguments]) == 2
    assert words in capsys.readouterr().err


# --- kill and interrupt ---------------------------------------------------------------------------------------------


@linux
def test_a_killed_worker_is_noticed_and_its_run_done_again(scenario: Path, tmp_path: Path) -> None:
    process = _start(scenario, tmp_path / "s")
    _wait_for(lambda: list((tmp_path / "s").glob("work/*/orders")) and _workers(process.pid), process)
    os.kill(_workers(process.pid)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "was killed by SIGKILL (attempt 1)" in said
    study = read_study(tmp_path / "s")
    assert study.complete
    assert sorted(one.attempts for one in study.records.values()) == [1, 2]
    assert not list((tmp_path / "s").glob("work/*"))


@linux
def test_ctrl_c_leaves_a_study_that_looks_unfinished_and_goes_on(
    scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = _start(scenario, tmp_path / "s", seeds=30)  # many: on a busy machine the interrupt comes late
    _wait_for(lambda: list((tmp_path / "s").glob("work/*/orders")) and _workers(process.pid), process)
    workers = _workers(process.pid)
    os.kill(workers[0], signal.SIGINT)  # a worker leaves Ctrl-C to its parent
    _wait_for(lambda: list((tmp_path / "s").glob("results/*.json")), process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: parent and workers hear it
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "UNFINISHED STUDY" in said
    assert "of 30 runs are done; the same command goes on from there" in said
    assert "Traceback" not in said
    assert "worker process" not in said
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert not list((tmp_path / "s").glob("work/*"))
    assert not read_study(tmp_path / "s").complete
    assert json.loads((tmp_path / "s" / "study.json").read_text())["complete"] is False


def _start(scenario: Path, out: Path, seeds: int = 2) -> subprocess.Popen[str]:
    """Runs of about a second each on one worker, in a process group of their own."""
    command = [sys.executable, "-m", "lobsim", "sweep", str(scenario), "--seeds", str(seeds), "--workers", "1"]
    busier = ["--set", "background.limit_rate=100", "--until", "20s", "--out", str(out)]
    # as a shell's background job these tests ignore interrupts, and the child would inherit that
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen([*command, *busier], stderr=subprocess.PIPE, text=True, start_new_session=True)
    finally:
        signal.signal(signal.SIGINT, before)


def _workers(pid: int) -> list[int]:
    """Worker processes of a sweep; its resource tracker is none."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    lines = {int(child): Path(f"/proc/{child}/cmdline") for child in children}
    return [child for child, line in lines.items() if line.exists() and b"spawn_main" in line.read_bytes()]


def _wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
