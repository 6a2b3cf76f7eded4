"""Bring the table of oct-2025's variants in scenarios/README.md up to date with the file.

    python tools/variants.py            rewrite the values; what a key means is kept as it stands there
    python tools/variants.py --check    only say whether that would change anything

A key that is new in the file gets an empty meaning, for somebody to write.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
PAGE = SCENARIOS / "README.md"
NAMES = ("depeg-leads", "depeg-lags", "no-depeg")
HEAD = f"| key | {' | '.join(NAMES)} | what it is |\n|---|---|---|---|---|\n"

_WHOLE = ("oracle", "mark")
_UNSAID = {"enabled": "true", "oracle": "own book", "mark": "own book"}


def differing() -> dict[str, dict[str, Any]]:
    """Values of each variant by every key that one of them sets: {key: {"base": ..., variant: ...}}."""
    document = tomllib.loads((SCENARIOS / "oct-2025.toml").read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = {}
    for name in NAMES:
        for key, value in _leaves(document["variants"][name]):
            found.setdefault(key, {"base": _look_up(document, key)})[name] = value
    return found


def table(page: str) -> str:
    """The table as it should stand, with the meanings of the one in `page`."""
    meanings = {key: cells[-1] for key, cells in _rows(page)}
    lines = [
        f"| `{key}` | {' | '.join(_shown(key, values.get(name, values['base'])) for name in NAMES)} "
        f"| {meanings.get(key, '')} |\n"
        for key, values in differing().items()
    ]
    return HEAD + "".join(lines)


def updated(page: str) -> str:
    """The page with the table as it should stand."""
    before, rest = page.split(HEAD)
    return before + table(page) + rest[rest.index("\n\n") + 1 :]


def _rows(page: str) -> Iterator[tuple[str, list[str]]]:
    for line in page.split(HEAD)[1].partition("\n\n")[0].splitlines():
        key, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        yield key.strip("`"), cells


def _leaves(document: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, dict) and key not in _WHOLE:
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _look_up(document: Any, key: str) -> Any:
    for part in key.split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def _shown(key: str, value: Any) -> str:
    if value is None:
        return _UNSAID.get(key.rpartition(".")[2], "not set")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return " ".join(str(part) for part in value.values())
    if isinstance(value, float):
        return f"{value:g}"
    return Path(value).stem.removeprefix("oct-2025-") if isinstance(value, str) else str(value)


if __name__ == "__main__":
    current = PAGE.read_text(encoding="utf-8")
    wanted = updated(current)
    if wanted == current:
        print("the table is as the file says")
    elif "--check" in sys.argv[1:]:
        sys.exit("the table is not as the file says: run python tools/variants.py")
    else:
        PAGE.write_text(wanted, encoding="utf-8")
        print("the table is rewritten")
