"""A short recorded run, shared by the tests of commands that read one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lobsim.cli import main

SCENARIO = Path(__file__).resolve().parents[1] / "golden" / "every-kind.toml"


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "run"
    assert main(["replay", str(SCENARIO), "--out", str(folder), "--quiet"]) == 0
    return folder
