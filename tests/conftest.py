"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _root() -> Path:
    return Path(os.environ.get("LOBSIM_DATA") or ROOT / ".." / "shared" / "data")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real recordings: environment variable LOBSIM_DATA, or ../shared/data beside the repository."""
    root = _root()
    if not root.is_dir():
        pytest.skip(f"no real data: {root} is missing (set LOBSIM_DATA)")
    return root


@pytest.fixture(scope="session")
def data_folder(data_dir: Path) -> Callable[[str], Path]:
    """`data_folder("binance-l2-2024-08-08")`: one folder of the real data, or the test is skipped."""

    def find(name: str) -> Path:
        folder = data_dir / name
        if not folder.is_dir():
            pytest.skip(f"no real data: {folder} is missing")
        return folder

    return find
