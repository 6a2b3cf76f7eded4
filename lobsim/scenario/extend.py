"""One scenario file built on another: ``extends = "base.toml"`` takes its tables, ``without`` leaves some of them out.

Tables are merged key by key, what the file says itself wins; lists and plain values replace those of the base.
``without = ["each.coin.SUI", "agents.panic"]`` names what of the base goes before the merge, by whole paths.
The base lies in the same folder or below, and may extend another file in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lobsim.errors import ScenarioError

MAX_BASES = 10

Document = dict[str, Any]


def extend(path: Path, document: Document, read: Callable[[Path], Document]) -> Document:
    """The document with everything it takes from its bases; `read` parses a file. Raises `ScenarioError`."""
    return _extend(path, document, read, (path.resolve(),))


def _extend(path: Path, document: Document, read: Callable[[Path], Document], seen: tuple[Path, ...]) -> Document:
    name = document.pop("extends", None)
    without = document.pop("without", None)
    if name is None:
        if without is not None:
            raise ScenarioError(f"{path}: without: leaves out parts of a base, but the file extends none")
        return document
    if not isinstance(name, str) or not name:
        raise ScenarioError(f"{path}: extends: {name!r:.60}: the name of a scenario file is wanted")
    if without is not None and not (isinstance(without, list) and all(isinstance(key, str) for key in without)):
        raise ScenarioError(f"{path}: without: a list of keys such as 'agents.panic' is wanted")
    try:
        base = (path.parent / name).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a null character, a name too long, links in a circle
        raise ScenarioError(f"{path}: extends: {name!r:.60}: no file has such a name ({error})") from None
    if not base.is_relative_to(path.parent.resolve()):
        raise ScenarioError(f"{path}: extends: {name!r} leads out of the folder of this file")
    if base in seen or len(seen) >= MAX_BASES:
        raise ScenarioError(f"{path}: extends: {name!r} leads back to itself, or through more than {MAX_BASES} files")
    try:
        inherited = read(base)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: extends: {error}") from None
    result = _extend(base, inherited, read, (*seen, base))
    for key in without or ():
        _drop(path, result, key)
    return _merged(result, document)


def _drop(path: Path, document: Document, key: str) -> None:
    *parents, last = key.split(".")
    table: Any = document
    for parent in parents:
        table = table.get(parent) if isinstance(table, dict) else None
    if not isinstance(table, dict) or last not in table:
        raise ScenarioError(f"{path}: without: {key!r} is not in the file that this one extends")
    del table[last]


def _merged(base: Document, own: Document) -> Document:
    result = dict(base)
    for key, value in own.items():
        inherited = result.get(key)
        both = isinstance(inherited, dict) and isinstance(value, dict)
        result[key] = _merged(inherited, value) if both and isinstance(inherited, dict) else value
    return result
