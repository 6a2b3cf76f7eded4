"""Target files: those that ship are sound, faults name their row, includes stay in the folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lobsim.errors import ScenarioError
from lobsim.scenario.load import load_scenario
from lobsim.scenario.targets import load_targets, targets_beside, unknown_names

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
SHIPPED = sorted((SCENARIOS / "targets").glob("*.toml"))
ROW = '[[target]]\nname = "row"\nmeasure = "adl"\nlow = 1\n'


def write(folder: Path, text: str, name: str = "t.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files(path: Path) -> None:
    rows = load_targets(path)
    assert rows
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        json.dumps(row.model_dump(exclude_none=True), allow_nan=False)
        assert row.target.name == row.name
        if row.real is not None:
            assert row.source, f"{row.name}: a real figure needs a source"
            assert row.low is None or row.real >= row.low
            assert row.high is None or row.real <= row.high


def test_bands_of_the_real_event() -> None:
    bands = {row.name: (row.low, row.high, row.real) for row in load_targets(SCENARIOS / "targets" / "oct-2025.toml")}
    assert bands["BTC fall"] == (0.10, 0.18, 0.118)
    assert bands["altcoins' fall on the exchange"] == (0.65, 0.85, 0.765)
    assert bands["altcoins' fall elsewhere"] == (0.20, 0.45, 0.30)
    assert bands["open interest"] == (-0.55, -0.30, -0.433)


def test_included_rows_come_first_and_can_be_replaced_or_left_out(tmp_path: Path) -> None:
    write(tmp_path, ROW + ROW.replace('"row"', '"other"') + ROW.replace('"row"', '"third"'), "base.toml")
    path = write(
        tmp_path,
        'include = "base.toml"\nwithout = ["third"]\n'
        + ROW.replace("low = 1", "low = 7")
        + ROW.replace('"row"', '"new"'),
    )
    rows = load_targets(path)
    assert [(row.name, row.low) for row in rows] == [("row", 7), ("other", 1), ("new", 1)]
    assert targets_beside(tmp_path, "t.toml") == rows


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ROW.replace("low = 1", 'low = "1"'), "line 4: target[0].low ('row'): '1': a number without quotes is wanted"),
        (ROW + "colour = 1\n", "line 5: target[0].colour ('row'): 1: unknown key"),
        (ROW + ROW.replace("adl", "fell").replace('"row"', '"b"'), "target[1] ('b'): measure 'fell' is none of"),
        (ROW.replace("low = 1\n", ""), "target[0] ('row'): a band needs low or high"),
        (ROW.replace("low = 1", "low = 1e400"), "at line 4"),
        (ROW.replace("low = 1", "low = nan"), "at line 4"),
        (ROW + ROW, "target 'row': two rows have this name"),
        ('include = "../other.toml"\n' + ROW, "lies outside"),
        ('include = "t.toml"\n' + ROW, "leads back to itself"),
        ('include = "gone.toml"\n' + ROW, "gone.toml"),
        ('without = ["x"]\n' + ROW, "no included row is called 'x'"),
        ("target = 3", "target"),
        ("target = [", "t.toml"),
    ],
)
def test_faults_name_file_and_row(text: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ScenarioError) as caught:
        load_targets(path)
    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_the_file_must_lie_beside_the_scenario(tmp_path: Path) -> None:
    write(tmp_path, ROW)
    with pytest.raises(ScenarioError, match="lies outside"):
        targets_beside(tmp_path / "scenarios", "../t.toml")
    with pytest.raises(ScenarioError, match="targets: "):
        targets_beside(tmp_path, "a\0b")


def test_names_that_the_scenario_does_not_have(tmp_path: Path) -> None:
    fall = '[[target]]\nname = "n{0}"\nmeasure = "fall"\nlow = 0\n{1} = "{0}"\n'
    path = write(
        tmp_path, "".join(fall.format(*pair) for pair in (("X", "instrument"), ("g", "group"), ("A", "group")))
    )
    found = list(unknown_names(load_targets(path), {"A": 1}, {"g": 1}))
    assert found == [
        "scenario.targets: row 'nX': instrument 'X' is not defined (known: A)",
        "scenario.targets: row 'nA': group 'A' is not defined (known: g)",
    ]


def test_a_scenario_refuses_targets_of_instruments_it_does_not_have(tmp_path: Path) -> None:
    price = ROW.replace('"adl"', '"fall"')
    write(tmp_path, price + 'instrument = "NONE-USDT"\n' + price.replace('"row"', '"more"') + 'group = "ghosts"\n')
    text = (SCENARIOS / "calm.toml").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("targets ="))
    path = write(tmp_path, text.replace("[scenario]", '[scenario]\ntargets = "t.toml"', 1), "calm.toml")
    with pytest.raises(ScenarioError, match="2 faults") as fault:
        load_scenario(path).targets()
    assert "NONE-USDT" in str(fault.value)
    assert "ghosts" in str(fault.value)
