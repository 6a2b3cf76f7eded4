"""What a shell may complete: scenarios that ship, run folders, instruments of a run, variants of a scenario.

It runs at every press of the tab key, so it loads no simulation and no tables, and it says nothing when it fails: an
exception would land in the middle of a command line. Names come from files of strangers and go to shells, which
evaluate what they are handed; only plain names are offered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import typer

_PLAIN = re.compile(r"[A-Za-z0-9.,_@+/-]{1,200}")
_MOST = 200
_MOST_BYTES = 1 << 22
_MANIFEST = "manifest.json"
_PACKAGE = Path(__file__).resolve().parents[1]

Completion = Callable[[typer.Context, str], list[str]]


def _offered(find: Callable[[typer.Context, str], Iterable[str]]) -> Completion:
    """What `find` finds and begins like the word under the cursor; nothing rather than an exception."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            found = (name for name in find(ctx, incomplete) if name.startswith(incomplete) and _PLAIN.fullmatch(name))
            return list(dict.fromkeys(islice(found, _MOST)))
        except Exception:
            return []

    return complete


@_offered
def complete_scenario(_ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """Shipped scenarios by name; files and folders once the word looks like a path."""
    if "/" not in incomplete:
        yield from sorted(_shipped())
    yield from _paths(incomplete, lambda path: path.suffix == ".toml")


@_offered
def complete_run(_ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """Run folders in `runs` and below what is typed already, and folders on the way there."""
    if not incomplete or "runs/".startswith(incomplete):
        yield from _runs_in(Path("runs"))
    yield from _paths(incomplete, lambda path: (path / _MANIFEST).is_file())


@_offered
def complete_instrument(ctx: typer.Context, _incomplete: str) -> Iterable[str]:
    """Instruments that the manifest of the run on the command line names."""
    with (Path(_first_argument(ctx, "run")) / _MANIFEST).open("rb") as file:
        manifest = json.loads(file.read(_MOST_BYTES))
    return [name for name in (row["name"] for row in manifest["instruments"]) if isinstance(name, str)]


@_offered
def complete_variant(ctx: typer.Context, _incomplete: str) -> Iterable[str]:
    """Variants that the scenario on the command line, or a file that it extends, defines."""
    return _variants(_first_argument(ctx, "scenario"))


@_offered
def complete_variants(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """Variants with commas between: the last one is completed."""
    before, comma, _ = incomplete.rpartition(",")
    return [before + comma + name for name in ("base", *_variants(_first_argument(ctx, "scenario")))]


def _first_argument(ctx: typer.Context, name: str) -> str:
    """The command's argument, which is not parsed yet when it stands before an option that has no value yet."""
    value = ctx.params.get(name)
    return str(value) if value is not None else ctx.args[0]


def _shipped() -> dict[str, Path]:
    # as lobsim.scenario.shipped, whose room takes half a second to enter
    for folder in (_PACKAGE / "scenarios", _PACKAGE.parent / "scenarios"):
        files = sorted(folder.glob("*.toml")) if folder.is_dir() else []
        if files:
            return {file.stem: file for file in files}
    return {}


def _paths(incomplete: str, fits: Callable[[Path], bool]) -> Iterator[str]:
    """Entries of the folder that is typed already, which fit, or are folders to go on in."""
    typed = incomplete.rpartition("/")[0] + "/" if "/" in incomplete else ""
    folder = Path(typed or ".")
    for entry in sorted(islice(folder.iterdir(), 10 * _MOST)) if folder.is_dir() else ():
        if entry.name.startswith(".") or not (typed + entry.name).startswith(incomplete):
            continue
        if fits(entry):
            yield typed + entry.name
        elif entry.is_dir():
            yield f"{typed}{entry.name}/"


def _runs_in(folder: Path) -> Iterator[str]:
    entries = sorted(islice(folder.iterdir(), 10 * _MOST)) if folder.is_dir() else []
    yield from (str(entry) for entry in entries if (entry / _MANIFEST).is_file())


def _variants(name: str) -> list[str]:
    import tomllib  # noqa: PLC0415 - help wants none of it

    path: Path | None = _shipped().get(name, Path(name))
    found: list[str] = []
    for _ in range(10):  # as many bases as a scenario may have
        if path is None:
            break
        with path.open("rb") as file:
            document: dict[str, Any] = tomllib.loads(file.read(_MOST_BYTES).decode())
        found += document.get("variants", {})
        base = document.get("extends")
        path = path.parent / base if isinstance(base, str) else None
    return found
