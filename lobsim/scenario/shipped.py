"""Scenarios that come with lobsim: found by bare name, wherever it was installed."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from lobsim.errors import ScenarioError

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped() -> dict[str, Path]:
    """Scenario files by name: those inside the installed package, or the checkout's `scenarios` folder."""
    for folder in (_PACKAGE / "scenarios", _PACKAGE.parent / "scenarios"):
        files = sorted(folder.glob("*.toml")) if folder.is_dir() else []
        if files:
            return {file.stem: file for file in files}
    return {}


def locate(text: str) -> Path:
    """The file that `text` means: a path, or the bare name of a shipped scenario. A file of that name comes first.

    Raises `ScenarioError` when a bare name is neither.
    """
    path = Path(text)
    try:
        if path.name != text or path.suffix == ".toml" or path.is_file():
            return path
    except OSError:  # a name that no file can have: let the reader say so
        return path
    known = shipped()
    if text not in known:
        near = get_close_matches(text, known, 1)
        raise ScenarioError(
            f"{text}: no such file, and no scenario of that name ships with lobsim (there are: {', '.join(known)})"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    return known[text]
