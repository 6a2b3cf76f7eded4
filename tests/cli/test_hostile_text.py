"""Text of a stranger's scenario, target file, run or folder reaches people as text: one test for each place it reaches.

What a terminal could obey (escapes, control characters, characters that reverse a line) is spelled out; what markup
languages could obey (rich, HTML) stands there as it is, because nothing reads it; what a spreadsheet could run has an
apostrophe in front. `lobsim.report.page` has its own tests.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
import tomli_w

from lobsim.cli import checking, main
from lobsim.cli.console import plain
from tests.cli.conftest import SCENARIO

TEXT = (
    "=cmd() <script>alert(1)</script><b>\"double\" 'single'</b> [red]rich[/red] :smile: "
    "\x1b[31mANSI\x1b[0m \x1b]0;title\x07 C1\x9b31m \u202edesrever\u2066 \u2028line\rback\btab\tnul\x00end"
)
NAME = "<b>=cmd() [red]\x1b[31m\u202e\"x'[/red]"
FOLDER = "run\x1b[31m [red]\u202e=x"
PRINTABLE = "=cmd() <script>[red]\"x'[/red]"
Out = pytest.CaptureFixture[str]


def only_text(said: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in said)


def spelled(said: str, text: str) -> bool:
    """The text stands there, with what a terminal could obey spelled out."""
    return only_text(said) and plain(text) in said


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenario of every kind with hostile text wherever it takes text."""
    home = tmp_path_factory.mktemp("hostile")
    document = tomllib.loads(SCENARIO.read_text())
    document["scenario"] |= {"title": TEXT[:200], "notes": TEXT, "targets": "rows.toml"}
    document["mechanisms"] = {"bots": {"title": TEXT[:200], "off": {"agents.liquidation_bots.enabled": False}}}
    row = {"name": NAME, "measure": "low", "instrument": "ALT-USDT", "low": 0.1, "real": 0.2}
    row |= dict.fromkeys(("unit", "source", "note"), TEXT)
    (home / "rows.toml").write_text(tomli_w.dumps({"target": [row]}))
    path = home / "hostile.toml"
    path.write_text(tomli_w.dumps(document))
    return path


@pytest.fixture(scope="module")
def run(scenario: Path) -> Path:
    """A run of that scenario, in a folder with a hostile name."""
    out = scenario.parent / FOLDER
    assert main(["replay", str(scenario), "--out", str(out), "--until", "20s", "--quiet"]) == 0
    return out


@pytest.fixture
def forged(run: Path, tmp_path: Path) -> Path:
    """A stranger's run folder: no scenario that lobsim accepts has such a name, but a manifest may say so."""
    folder = shutil.copytree(run, tmp_path / "forged")
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"scenario": PRINTABLE}))
    return folder


def test_check(scenario: Path, capsys: Out) -> None:
    assert main(["check", str(scenario)]) == 0
    assert spelled(capsys.readouterr().out, TEXT[:200])


def test_a_title_cannot_pass_for_lines_of_its_own(scenario: Path, tmp_path: Path, capsys: Out) -> None:
    document = tomllib.loads(scenario.read_text())
    document["scenario"] |= {"title": "harmless\nloans  none"}
    del document["scenario"]["targets"]
    path = tmp_path / "lines.toml"
    path.write_text(tomli_w.dumps(document))
    assert main(["check", str(path)]) == 0
    assert "harmless\\nloans  none" in capsys.readouterr().out


def test_scenarios(scenario: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "shipped", lambda: {NAME: scenario})
    assert main(["scenarios"]) == 0
    said = capsys.readouterr().out
    assert spelled(said, TEXT[:200])
    assert spelled(said, NAME)


def test_faults(scenario: Path, tmp_path: Path, capsys: Out) -> None:
    broken = tmp_path / "broken\x1b[31m.toml"
    document = tomllib.loads(scenario.read_text())
    document["scenario"] |= {"seed": TEXT, NAME: 1, "targets": "\x1b[31m.toml"}
    broken.write_text(tomli_w.dumps(document))
    assert main(["check", str(broken)]) == 2
    said = capsys.readouterr().err
    assert only_text(said)
    assert "=cmd() <script>" in said
    assert "[red]" in said
    assert main(["check", str(scenario), "--set", f"scenario.title={'x' * 300}", "--set", f"{NAME}=1"]) == 2
    assert main(["check", str(scenario), "--variant", NAME]) == 2
    assert only_text(capsys.readouterr().err)


def test_replay(scenario: Path, tmp_path: Path, capsys: Out) -> None:
    out = tmp_path / FOLDER
    assert main(["replay", str(scenario), "--out", str(out), "--until", "20s"]) == 0
    said = capsys.readouterr()
    assert spelled(said.out, NAME)
    assert spelled(said.out, FOLDER)
    assert only_text(said.err)


def test_replay_as_json(scenario: Path, tmp_path: Path, capsys: Out) -> None:
    assert main(["replay", str(scenario), "--out", str(tmp_path / "run"), "--until", "20s", "--json"]) == 0
    said = capsys.readouterr().out
    assert only_text(said)
    assert json.loads(said)["scorecard"][0]["name"] == NAME


def test_explain(run: Path, capsys: Out) -> None:
    assert main(["explain", str(run)]) == 0
    assert spelled(capsys.readouterr().out, NAME)


def test_explain_as_json(run: Path, capsys: Out) -> None:
    assert main(["explain", str(run), "--json"]) == 0
    said = capsys.readouterr().out
    assert only_text(said)
    assert json.loads(said)["scorecard"][0]["name"] == NAME


def test_compare(run: Path, forged: Path, capsys: Out) -> None:
    assert main(["compare", str(run), str(forged), "--all"]) == 0
    said = capsys.readouterr().out
    assert spelled(said, FOLDER)
    assert spelled(said, f"{PRINTABLE}, seed 42")


def test_compare_as_json(run: Path, forged: Path, capsys: Out) -> None:
    assert main(["compare", str(run), str(forged), "--json"]) == 0
    said = capsys.readouterr().out
    assert only_text(said)
    assert [one["scenario"] for one in json.loads(said)["runs"]] == ["every-kind", PRINTABLE]


@pytest.mark.parametrize("command", ["depth", "slippage"])
def test_tables(command: str, run: Path, forged: Path, capsys: Out) -> None:
    assert main([command, str(run)]) == 0
    assert spelled(capsys.readouterr().out, FOLDER)
    assert main([command, str(forged)]) == 0
    assert spelled(capsys.readouterr().out, f"Run {PRINTABLE}, seed 42")


@pytest.mark.parametrize("command", ["depth", "slippage"])
def test_tables_as_json(command: str, run: Path, capsys: Out) -> None:
    assert main([command, str(run), "--json"]) == 0
    said = capsys.readouterr().out
    assert only_text(said)
    assert json.loads(said)["run"] == str(run)


@pytest.mark.parametrize("command", ["depth", "slippage"])
def test_csv(command: str, forged: Path, capsys: Out) -> None:
    assert main([command, str(forged), "--csv", "-"]) == 0
    said = capsys.readouterr().out
    assert only_text(said.replace("\r\n", ""))
    rows = list(csv.DictReader(io.StringIO(said, newline=""), strict=True))
    assert {row["scenario"] for row in rows} == {"'" + PRINTABLE}


def test_a_manifest_with_control_characters_is_refused(forged: Path, capsys: Out) -> None:
    file = forged / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"scenario": TEXT[:100]}))
    assert main(["depth", str(forged)]) == 2
    said = capsys.readouterr().err
    assert only_text(said)
    assert "scenario: " in said


def test_an_unfinished_run_says_why_as_text(forged: Path, capsys: Out) -> None:
    file = forged / "manifest.json"
    manifest = json.loads(file.read_text()) | {"complete": False, "stopped": TEXT}
    file.write_text(json.dumps(manifest))
    assert main(["slippage", str(forged)]) == 0
    said = capsys.readouterr()
    assert only_text(said.err + said.out)
    assert "=cmd() <script>" in said.err


def test_ablate(scenario: Path, tmp_path: Path, capsys: Out) -> None:
    arguments = ["--seeds", "1", "--until", "5s", "--budget", "2", "--workers", "0", "--out", str(tmp_path / FOLDER)]
    assert main(["ablate", str(scenario), *arguments]) == 0
    said = capsys.readouterr()
    assert only_text(said.err)
    assert spelled(said.out, TEXT[:200])


def test_sweep(scenario: Path, tmp_path: Path, capsys: Out) -> None:
    arguments = ["--seeds", "1", "--until", "5s", "--workers", "0", "--out", str(tmp_path / FOLDER)]
    assert main(["sweep", str(scenario), *arguments, "--set", "scenario.notes=" + json.dumps(NAME)]) == 0
    said = capsys.readouterr()
    assert only_text(said.out + said.err)
    assert "[red]" in said.out


@pytest.mark.parametrize("command", ["replay", "explain", "depth", "check"])
def test_a_terminal_gets_no_escape_but_those_of_styles(
    command: str, run: Path, scenario: Path, tmp_path: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    arguments = {"replay": [str(scenario), "--until", "20s", "--out", str(tmp_path / "run")], "check": [str(scenario)]}
    assert main([command, *arguments.get(command, [str(run)])]) == 0
    said = capsys.readouterr()
    styled = "".join(said)
    assert "\x1b[1;36m" in styled or command == "check"
    rest = re.sub(r"\x1b\[(?:0|1|2|1;36|36|33|1;3[0-9]|3[0-9])m|\x1b\[\?25[hl]|\x1b\[[0-9]*[AGK]|\r", "", styled)
    assert only_text(rest)
    assert "\x1b[31mANSI" not in styled
