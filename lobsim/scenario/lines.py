"""Where in a TOML text a key stands, for messages about it. The TOML reader says what a file means, not where."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)[ \t]*({_KEY})[ \t]*\]")
_ENTRY = re.compile(rf"\s*({_KEY})[ \t]*=(.*)", re.DOTALL)
_PARTS = re.compile(_PART)
_BLOCK = re.compile(r'"""|' + "'''")


def lines_of(text: str) -> dict[str, int]:
    """Line number of every table and key that begins a line, by path as messages write it: ``exogenous[0].at``.

    A key inside an inline table is not listed; its table is. Complexity: O(length of the text).
    """
    found: dict[str, int] = {}
    arrays: dict[str, int] = {}
    prefix = ""
    closing = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if closing:
            if closing in line:
                closing = ""
            continue
        header = _HEADER.match(line)
        if header:
            prefix = _path("", header[2], arrays)
            if header[1] == "[[":
                arrays[prefix] = arrays.get(prefix, -1) + 1
                prefix = f"{prefix}[{arrays[prefix]}]"
            found.setdefault(prefix, number)
            continue
        entry = _ENTRY.match(line)
        if entry:
            found.setdefault(_path(prefix, entry[1], {}), number)
            opened = _BLOCK.search(entry[2])
            if opened and entry[2].count(opened[0]) == 1:
                closing = opened[0]
    return found


def line_of(path: str, lines: Mapping[str, int]) -> int | None:
    """Line of the key at `path`, or of the nearest table around it."""
    while path:
        if path in lines:
            return lines[path]
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
    return None


def _path(prefix: str, key: str, arrays: dict[str, int]) -> str:
    """Dotted path of a key; a part that names an array of tables means its newest element."""
    path = prefix
    for part in _PARTS.findall(key):
        path = f"{path}.{part.strip(chr(34) + chr(39))}" if path else part.strip(chr(34) + chr(39))
        if path in arrays and not key.endswith(part):
            path = f"{path}[{arrays[path]}]"
    return path
