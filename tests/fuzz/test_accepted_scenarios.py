"""Scenarios with odd numbers: what is accepted runs to its end and adds up, whatever its numbers do to a market."""

from __future__ import annotations

import random  # noqa: TID251 - variations are numbered, no run depends on them
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lobsim.cli import main
from lobsim.measure import read_run
from tests.fuzz.spoil import DOCUMENT, at, dump, is_duration, leaves, put

FIRST, VARIATIONS = 200, 80
CHUNKS = 8
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}


def stretched(number: int) -> bytes:
    """A good scenario in which a few numbers were multiplied by anything from a billionth to a billion."""
    chance = random.Random(number)
    document = deepcopy(DOCUMENT)
    document["exogenous"][0]["at"] = "1s"
    document["exogenous"][1] |= {"at": "0s", "until": "2s"}
    document["agents"]["market_makers"] |= {"requote": "50ms"}
    for _ in range(chance.randrange(1, 4)):
        path = chance.choice(leaves(document))
        reach = chance.choice([1, 3, 9])
        put(document, path, _stretch(at(document, path), Decimal(10) ** Decimal(chance.uniform(-reach, reach)), chance))
    return dump(document)


def _stretch(value: Any, factor: Decimal, chance: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return chance.choice([round(value * factor), 0, 1])
    if isinstance(value, Decimal):
        return round(value * factor, 12)
    if is_duration(value):
        unit = value.lstrip("0123456789")
        return f"{round(int(value.removesuffix(unit)) * _UNITS[unit] * factor)}ns"
    try:
        exact = Decimal(value)
    except ArithmeticError:
        return value
    return f"{Decimal(10) ** chance.randrange(-12, 3):f}" if chance.random() < 0.5 else f"{round(exact * factor, 12):f}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_what_is_accepted_runs_and_adds_up(chunk: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "stretched.toml", tmp_path / "run"
    ran = 0
    for number in range(FIRST + chunk, FIRST + VARIATIONS, CHUNKS):
        file.write_bytes(stretched(number))
        code = main(["replay", str(file), "--out", str(out), "--overwrite", "-q", "--until", "3s"])
        said = capsys.readouterr().err
        assert code in (0, 2), f"stretched({number}): exit code {code}\n{said[:800]}"
        if code == 0:
            ran += 1
            assert not any(read_run(out).summary["ledger"].values()), number
    assert ran >= 3
