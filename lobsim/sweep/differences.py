"""What differs between two scenarios, key by key, and a fingerprint of what a run depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

Leaves = dict[str, str]

_NO_PART_OF_A_RUN = ("variants", "mechanisms")
_NO_PART_OF_A_HEADER = ("title", "notes", "seed", "targets")
_MOST_SHOWN = 8
_WIDTH = 60


class Difference(NamedTuple):
    """A key whose value differs; None where a side has no such key. Values are as a settings file writes them."""

    key: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.old is None:
            return f"{self.key} = {_short(self.new)} is new"
        if self.new is None:
            return f"{self.key} (was {_short(self.old)}) is gone"
        return f"{self.key}: {_short(self.old)} is now {_short(self.new)}"


def essence(document: Mapping[str, Any]) -> dict[str, Any]:
    """A scenario document without what no run depends on: variants, mechanisms, titles, notes, targets, the seed."""
    kept = {key: value for key, value in document.items() if key not in _NO_PART_OF_A_RUN}
    header = kept.get("scenario")
    if isinstance(header, Mapping):
        kept["scenario"] = {key: value for key, value in header.items() if key not in _NO_PART_OF_A_HEADER}
    return kept


def fingerprint(document: Mapping[str, Any]) -> str:
    """SHA-256 of the document's essence. The order of tables counts: it is the order in which agents are created."""
    text = json.dumps(list(leaves(essence(document)).items()), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def leaves(document: Mapping[str, Any]) -> Leaves:
    """Every value of a document by its key path: ``exogenous[0].at``. An empty table or list stands for itself."""
    return dict(_leaves(document, ""))


def differences(old: Mapping[str, str | None], new: Mapping[str, str | None]) -> list[Difference]:
    """Keys that differ, in the order of the old document, keys of the new one alone after those."""
    keys = dict.fromkeys((*old, *new))
    return [Difference(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def listed(found: Iterable[Difference]) -> str:
    """The first few differences, a line each, for an error message."""
    lines = [f"  {one}" for one in found]
    more = len(lines) - _MOST_SHOWN
    return "\n".join(lines[:_MOST_SHOWN] + ([f"  ... and {more} more"] if more > 0 else []))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and value and any(isinstance(item, Mapping) for item in value):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{number}]")
    else:
        yield path, written(value)


def written(value: Any) -> str:
    """A value as a settings line writes it; the same number always the same way."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | Decimal):
        return _text(Decimal(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(written(item) for item in value)}]"
    return json.dumps(value, default=_text)


def _text(value: object) -> str:
    """0.10 and 0.1 are one number."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def _short(text: str | None) -> str:
    text = text or "''"
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."
