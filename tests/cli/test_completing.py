"""Shell completion: what is offered, what never is, and that it is quick and silent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from lobsim.cli.completing import complete_instrument, complete_run, complete_scenario, complete_variant
from lobsim.scenario.shipped import shipped

ROOT = str(Path(__file__).resolve().parents[2])


def completed(line: str, cwd: Path, shell: str = "bash") -> list[str]:
    """What `shell` would offer for the last word of a command line."""
    environment = {**os.environ, "PYTHONPATH": ROOT, "_LOBSIM_COMPLETE": f"complete_{shell}"}
    environment |= {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "_TYPER_COMPLETE_ARGS": line}
    command = [sys.executable, "-m", "lobsim"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=cwd)
    assert done.stderr == ""
    return done.stdout.split()


def context(**params: object) -> typer.Context:
    made = typer.Context(typer.main.get_command(typer.Typer(callback=lambda: None, name="x")))  # type: ignore[arg-type]
    made.params = params
    return made


def folder_of_run(folder: Path, names: list[object]) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"instruments": [{"name": name} for name in names]}))
    return folder


def test_a_whole_line(tmp_path: Path) -> None:
    folder_of_run(tmp_path / "runs" / "one", ["ALT-USDT", "BTC-USDT"])
    assert completed("lobsim replay liq", tmp_path) == ["liquidity-vacuum"]
    assert completed("lobsim replay oct-2025 --variant depeg-l", tmp_path) == ["depeg-leads", "depeg-lags"]
    assert completed("lobsim sweep oct-2025 --variant base,depeg-la", tmp_path) == ["base,depeg-lags"]
    assert completed("lobsim explain ", tmp_path) == ["runs/one", "runs/"]
    assert completed("lobsim depth runs/one --instrument A", tmp_path) == ["ALT-USDT"]
    assert "liquidity-vacuum" in " ".join(completed("lobsim check liq", tmp_path, "zsh"))


def test_scenarios_are_the_shipped_ones_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert complete_scenario(context(), "") == sorted(shipped())
    (tmp_path / "mine.toml").write_text("")
    (tmp_path / "other.txt").write_text("")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "below.toml").write_text("")
    assert complete_scenario(context(), "m") == ["mine.toml"]
    assert complete_scenario(context(), "deep/") == ["deep/below.toml"]
    assert complete_scenario(context(), "no/such/folder") == []


def test_runs_are_folders_with_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder_of_run(tmp_path / "runs" / "one", [])
    (tmp_path / "runs" / "none").mkdir()
    folder_of_run(tmp_path / "elsewhere" / "two", [])
    assert complete_run(context(), "runs/") == ["runs/one", "runs/none/"]  # a run may lie below
    assert complete_run(context(), f"{tmp_path}/elsewhere/t") == [f"{tmp_path}/elsewhere/two"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"instruments": 3}', '{"instruments": [{}]}', "\x00", "[" * 100_000])
def test_broken_manifests_complete_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert complete_instrument(context(run=tmp_path), "") == []
    assert complete_instrument(context(run=tmp_path / "nowhere"), "") == []
    assert complete_variant(context(scenario="nowhere.toml"), "") == []


def test_names_that_a_shell_would_run_are_never_offered(tmp_path: Path) -> None:
    evil: list[object] = [
        "$(touch x)",
        "`id`",
        "a;b",
        "a b",
        "a'b",
        'a"b',
        "a\nb",
        "\x1b[2J",
        "a|b",
        "a&b",
        "$HOME",
        "é",
        "",
        7,
        "FINE-1",
    ]
    assert complete_instrument(context(run=folder_of_run(tmp_path / "run", evil)), "") == ["FINE-1"]
    scenario = tmp_path / "evil.toml"
    scenario.write_text('[variants."$(touch x)"]\n[variants.fine]\n')
    assert complete_variant(context(scenario=str(scenario)), "") == ["fine"]


def test_variants_of_bases_count_and_circles_end(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = "b.toml"\n[variants.one]\n')
    (tmp_path / "b.toml").write_text('extends = "a.toml"\n[variants.two]\n')
    assert complete_variant(context(scenario=str(tmp_path / "a.toml")), "") == ["one", "two"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_can_be_shown(shell: str) -> None:
    environment = {**os.environ, "PYTHONPATH": ROOT, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    command = [sys.executable, "-m", "lobsim", "--show-completion", shell]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert "_LOBSIM_COMPLETE" in said


def test_completion_loads_no_simulation_and_no_tables(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv[0] = 'lobsim'\n"
        "import atexit; atexit.register(lambda: print(sorted(sys.modules), file=sys.stderr))\n"
        "from lobsim.cli import main; main([])"
    )
    environment = {**os.environ, "PYTHONPATH": ROOT, "_LOBSIM_COMPLETE": "complete_bash"}
    environment |= {"COMP_WORDS": "lobsim replay ", "COMP_CWORD": "2"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert "calm" in done.stdout
    assert not {"'polars'", "'simpy'", "'numpy'"} & set(done.stderr.strip("[]\n").split(", "))
