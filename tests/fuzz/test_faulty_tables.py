"""Spoiled files with every table: templates, windows, positions, whales, halts. None with a traceback or a run."""

from __future__ import annotations

import random  # noqa: TID251 - spoiled files are numbered, no run depends on them
import tomllib
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lobsim.agents import agent_kinds
from lobsim.cli import main
from lobsim.errors import ScenarioError
from lobsim.measure import read_run
from lobsim.scenario import load_scenario
from tests.fuzz import spoil, spoil_tables
from tests.fuzz.spoil import at, dump, is_duration, leaves, put
from tests.fuzz.spoil_tables import BAD_TEMPLATES, GOOD, PLAIN, RARE, REQUIRED, SENSELESS, SETTINGS, TEMPLATES, WAYS

FILES, CHUNKS = 480, 8
VARIATIONS = 20
STRETCHED_UNTIL = "3s"


def _refused(raw: bytes, folder: Path, capsys: pytest.CaptureFixture[str], told: str, *more: str) -> str:
    file, out = folder / "spoiled.toml", folder / "run"
    file.write_bytes(raw)
    code = main(["replay", str(file), "--out", str(out), "--until", "1s", "-q", *more])
    said = capsys.readouterr()
    told = f"{told}: exit code {code}\n{said.err[:500]}"
    assert code == 2, told
    assert said.out == "", told
    assert said.err.startswith("lobsim: " if more else f"lobsim: {file}: "), told
    assert "Traceback" not in said.err, told
    assert len(said.err) < 10_000, told
    assert not out.exists(), told
    return said.err


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_spoiled_tables_are_refused(chunk: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(chunk, FILES, CHUNKS):
        what, raw = spoil_tables.spoiled_table(number)
        _refused(raw, tmp_path, capsys, f"{what} (spoiled_table({number}))")


def test_economies_that_cannot_be_are_refused_with_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, value in SENSELESS:
        document = deepcopy(PLAIN)
        put(document, spoil_tables.keys(path), value)
        said = _refused(dump(document), tmp_path, capsys, f"{path} = {value!r:.60}")
        assert spoil_tables.keys(path)[1] in said if "exogenous" not in path else "exogenous" in said, said


def test_bad_templates_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, value in BAD_TEMPLATES:
        document = deepcopy(TEMPLATES)
        put(document, path, value)
        _refused(dump(document), tmp_path, capsys, f"{path} = {value!r:.60}")
    for spoiler in RARE:
        said = _refused(spoiler(random.Random(1), deepcopy(TEMPLATES)), tmp_path, capsys, spoiler.__name__)
        assert "grow into more than" in said


def test_keys_that_must_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in REQUIRED:
        document = deepcopy(PLAIN)
        parts = spoil_tables.keys(path)
        del at(document, parts[:-1])[parts[-1]]
        _refused(dump(document), tmp_path, capsys, f"without {path}")


@pytest.mark.parametrize("setting", SETTINGS)
def test_bad_settings_are_refused(setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _refused(GOOD.read_bytes(), tmp_path, capsys, setting, "--set", setting)


def test_variants_are_judged_when_they_are_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    file.write_bytes(dump({**deepcopy(TEMPLATES), "variants": {"bad": {"let": {"leverage": 0}}}}))
    load_scenario(file)
    with pytest.raises(ScenarioError, match=r"positions\.longs-XRP\.leverage_high"):
        load_scenario(file, variant="bad")


def test_the_files_before_they_were_spoiled_are_good_and_have_everything(tmp_path: Path) -> None:
    file = tmp_path / "plain.toml"
    file.write_bytes(dump(deepcopy(PLAIN)))
    assert main(["check", str(file)]) == 0
    assert main(["check", str(GOOD)]) == 0
    kinds = {agent["kind"] for document in (PLAIN, spoil.DOCUMENT) for agent in document["agents"].values()}
    assert kinds == set(agent_kinds())
    assert {spoil_tables.spoiled_table(number)[0] for number in range(len(WAYS))} == {
        spoiler.__name__ for spoiler, _ in WAYS
    }


def test_messages_name_keys_of_windows_without_their_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = deepcopy(PLAIN)
    document["windows"]["usde"]["cap"] = -1
    assert ": windows.usde.cap: -1: should be greater than 0" in _refused(dump(document), tmp_path, capsys, "cap")


def _stretched(number: int) -> bytes:
    """The good file with two numbers or times multiplied by anything from a thousandth to a thousand."""
    chance = random.Random(number)
    document = deepcopy(PLAIN)
    for event in document["exogenous"]:
        event["at"] = "1s"
        if "until" in event:
            event["until"] = "2s"
    paths = [path for path in leaves(document) if _is_size(at(document, path))]
    for path in chance.sample(paths, 2):
        value = at(document, path)
        factor = Decimal(10) ** Decimal(chance.uniform(-3, 3))
        if is_duration(value):
            unit = value.lstrip("0123456789")
            put(document, path, f"{max(1, round(int(value.removesuffix(unit)) * factor * 1000))}ms")
        else:
            put(document, path, round(value * factor) if isinstance(value, int) else round(value * factor, 9))
    return dump(document)


def _is_size(value: Any) -> bool:
    return is_duration(value) or (isinstance(value, int | Decimal) and not isinstance(value, bool))


def test_what_is_accepted_runs_and_adds_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "stretched.toml", tmp_path / "run"
    ran = 0
    for number in range(VARIATIONS):
        file.write_bytes(_stretched(number))
        code = main(["replay", str(file), "--out", str(out), "--overwrite", "-q", "--until", STRETCHED_UNTIL])
        said = capsys.readouterr().err
        assert code in (0, 2), f"_stretched({number}): exit code {code}\n{said[:800]}"
        if code == 0:
            ran += 1
            assert not any(read_run(out).summary["ledger"].values()), number
    assert ran >= VARIATIONS // 4
    assert tomllib.loads(file.read_text())
