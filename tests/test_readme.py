"""What the README tells people to type works as it stands."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lobsim import load_scenario
from lobsim.cli import main
from lobsim.scenario.shipped import locate, shipped
from lobsim.scenario.targets import load_targets
from tools import variants

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SCENARIOS = (ROOT / "scenarios" / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.replace("\\\n", " ").strip()
    for line in re.findall(r"^    (lobsim (?:[^\n]*\\\n)*[^\n]*)$", README + SCENARIOS, re.MULTILINE)
]


def test_there_is_something_to_try() -> None:
    assert len(BLOCKS) == 4
    assert len(COMMANDS) >= 9


def run_blocks(numbers: list[int], folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What stands in the README, as one session; returns its names."""
    monkeypatch.chdir(folder)
    (folder / "scenarios").symlink_to(ROOT / "scenarios")
    names: dict[str, Any] = {}
    for number in numbers:
        exec(compile(BLOCKS[number], f"README block {number}", "exec"), names)
    return names


def test_the_book_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_blocks([0], tmp_path, monkeypatch)


def test_the_run_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_blocks([1], tmp_path, monkeypatch)
    assert names["trades"].height > 100
    assert names["trades"].columns[-6:] == ["time", "aggressor_side_name", "purpose_name", "instrument", "price", "qty"]


def test_the_notebook_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("duckdb", "pyarrow", "matplotlib"):
        pytest.importorskip(module, reason=f"{module} is not installed: pip install -e '.[notebook]'")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names = run_blocks([1, 2], tmp_path, monkeypatch)
    assert (tmp_path / "run.png").stat().st_size > 10_000
    asked = re.findall(r'duckdb\.sql\((sql|"[^"]+"|""".*?""")\)', BLOCKS[2], re.DOTALL)
    by_purpose, joined, count = (eval(f"duckdb.sql({query}).pl()", names) for query in asked)
    told = names["trades"].sql(names["sql"].replace("FROM trades", "FROM self"))
    assert by_purpose.rows() == [
        pytest.approx(row) for row in told.with_columns(pl.col(pl.Enum).cast(pl.String)).rows()
    ]
    assert joined.height > 100
    assert joined.columns == ["time", "price", "qty", "bid", "ask"]
    assert count.item() == names["run"].rows("orders")


def test_the_adapter_example_is_python() -> None:
    compile(BLOCKS[3], "README block 3", "exec")


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_and_their_options_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands themselves are tested elsewhere; here, that nothing in the README has been renamed."""
    words = shlex.split(re.split(r" {3,}", line)[0])[1:]
    assert main([words[0], "--help"]) == 0
    help_text = capsys.readouterr().out
    for option in (word for word in words if word.startswith("--")):
        assert option in help_text
    if words[0] == "replay" and words[1].islower():
        settings = [word for flag, word in pairwise(words) if flag == "--set"]
        changes = [part for setting in settings if "tapes" not in setting for part in ("--set", setting)]
        assert locate(words[1]).is_file()
        variant = [part for flag, name in pairwise(words) if flag == "--variant" for part in (flag, name)]
        if not any("start_utc" in change for change in changes):  # that one needs the real tape
            assert main(["check", words[1], *changes, *variant]) == 0
    if words[0] in ("sweep", "ablate"):
        _study_makes_sense(words)


@pytest.mark.parametrize("command", ["sweep", "ablate"])
def test_examples_of_help_make_sense(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    examples = re.findall(rf"^ *(lobsim {command} [a-z].*)$", capsys.readouterr().out, re.MULTILINE)
    assert len(examples) == 3
    for line in examples:
        _study_makes_sense(shlex.split(line)[1:])


def _study_makes_sense(words: list[str]) -> None:
    """Its keys, variants and mechanisms are those of the scenario."""
    options = [*pairwise(words)]
    first = [re.sub(",.*", "", setting) for flag, setting in options if flag == "--set"]
    for variant in next((names.split(",") for flag, names in options if flag == "--variant"), ["base"]):
        file = load_scenario(locate(words[1]), variant=None if variant == "base" else variant, settings=first).file
        for flag, names in options:
            if flag in ("--mechanisms", "--factor", "--against"):
                assert set(names.split(",")) <= set(file.mechanisms)


def test_paths_in_the_readmes_exist() -> None:
    for path in re.findall(r"`((?:tools|scenarios|tests|lobsim)/[a-z0-9_/-]+\.(?:py|toml))", README + SCENARIOS):
        assert (ROOT / path).is_file(), path
    for page in (README, SCENARIOS, *(file.read_text(encoding="utf-8") for file in (ROOT / ".github").glob("*.md"))):
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", page):
            folder = ROOT / "scenarios" if page == SCENARIOS else ROOT
            assert (folder / link).exists() or (ROOT / ".github" / link).exists(), link


def test_the_whole_scenario_runs_and_the_readme_shows_parts_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, _ = re.findall(r"```toml\n(.*?)```", SCENARIOS, re.DOTALL)
    (part,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert set(part.splitlines()) <= set(whole.splitlines())
    file = tmp_path / "two.toml"
    file.write_text(whole)
    assert main(["replay", str(file), "--until", "11m", "--out", str(tmp_path / "run"), "--quiet"]) == 0
    assert main(["explain", str(tmp_path / "run")]) == 0
    assert "risk-off selling" in capsys.readouterr().out


def test_the_example_of_a_target_is_one(tmp_path: Path) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(re.findall(r"```toml\n(.*?)```", SCENARIOS, re.DOTALL)[1])
    (row,) = load_targets(file)
    assert row.target.measure == "low"


def test_shipped_scenarios_have_their_line() -> None:
    assert all(f"`{name}`" in SCENARIOS.partition("## ")[0] for name in shipped())


def test_the_variants_of_oct_2025_are_listed_as_they_are_and_hold_no_schedule() -> None:
    """`python tools/variants.py` writes the table; a key that is new wants a word about what it is."""
    assert variants.updated(SCENARIOS) == SCENARIOS
    assert " |  |" not in variants.table(SCENARIOS)
    assert not [key for key in variants.differing() if key.startswith(("exogenous", "scenario.start", "scenario.dur"))]
