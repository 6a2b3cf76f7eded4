"""A run's manifest: data from anyone. Sizes are bounded, every value is checked before it is used.

The checks raise `ValueError` that says what was found where; whoever reads the manifest adds the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from lobsim.errors import RunError
from lobsim.records import FORMAT
from lobsim.units import Grid, parse_decimal

MAX_MANIFEST_BYTES = 1 << 25
_MOST_VOLUME = 1e30
_NAME = re.compile(r"(?!\.+$)[A-Za-z0-9._:@-]{1,64}")


class Instrument(NamedTuple):
    """One book of the run; `tick` and `lot` turn ticks and lots into decimals (quote per base, base).

    kind: "spot" or "perpetual"; venue: "" where the run has only one.
    """

    instrument_id: int
    name: str
    base: str
    quote: str
    tick: Grid
    lot: Grid
    quote_quantum: Decimal
    kind: str = "spot"
    venue: str = ""

    @property
    def unit_notional(self) -> Decimal:
        """Quote currency of one lot at a price of one tick."""
        return self.tick.step * self.lot.step


def read_manifest(path: Path) -> dict[str, Any]:
    """The file's object, of a format that this version reads; raises `RunError`."""
    try:
        if path.is_symlink() or not path.is_file():
            raise RunError(f"{path}: no such file; a run folder holds one")
        with path.open("rb") as file:
            raw = file.read(MAX_MANIFEST_BYTES + 1)
        if len(raw) > MAX_MANIFEST_BYTES:
            raise RunError(f"{path}: larger than {MAX_MANIFEST_BYTES} bytes")
        manifest = json.loads(raw.decode("utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: no valid JSON: {first_line(error)}") from None
    if not isinstance(manifest, dict) or "lobsim_format" not in manifest:
        raise RunError(f"{path}: was not written by lobsim (no lobsim_format)")
    if manifest["lobsim_format"] != FORMAT:
        found = str(manifest["lobsim_format"])[:20]
        raise RunError(f"{path}: lobsim_format is {found}, this version of lobsim reads {FORMAT}")
    return manifest


def whole(value: object, what: str, least: int = 0) -> int:
    """A whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**127:
        raise ValueError(f"{what}: {str(value)[:40]!r} is not a whole number of at least {least}")
    return value


def size(value: object, what: str) -> float:
    """A number of at least 0, in bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MOST_VOLUME:
        raise ValueError(f"{what}: {str(value)[:40]!r} is not a number of at least 0")
    return float(value)


def known(instruments: Mapping[str, Instrument], name: object, where: str) -> str:
    """The name of one of these instruments."""
    if not isinstance(name, str) or name not in instruments:
        raise ValueError(f"{where}: {str(name)[:64]!r} is no instrument of this run")
    return name


def text(value: object, what: str) -> str:
    """A printable text of at most 128 characters."""
    if not isinstance(value, str) or len(value) > 128 or not value.isprintable():
        raise ValueError(f"{what}: {str(value)[:40]!r} is not a printable text of at most 128 characters")
    return value


def utc(value: object) -> datetime:
    """A moment with a time zone, in UTC."""
    start = datetime.fromisoformat(text(value, "start_utc"))
    if start.tzinfo is None or not 1970 <= start.year <= 2200:
        raise ValueError(f"start_utc: {value!r} must have a time zone (Z) and a year between 1970 and 2200")
    return start.astimezone(UTC)


def instrument_of(row: dict[str, Any]) -> Instrument:
    """An instrument of the manifest; also raises KeyError for what is missing."""
    name = text(row["name"], "instrument name")
    if not _NAME.fullmatch(name):
        raise ValueError(f"instrument name: {name!r} must match {_NAME.pattern}")
    texts = {key: text(row[key], f"{name}.{key}") for key in ("base", "quote", "tick", "lot", "quote_quantum")}
    return Instrument(
        whole(row["instrument_id"], f"{name}.instrument_id"),
        name,
        texts["base"],
        texts["quote"],
        Grid(texts["tick"], f"{name}.price"),
        Grid(texts["lot"], f"{name}.qty"),
        parse_decimal(texts["quote_quantum"], f"{name}.quote_quantum"),
        text(row.get("kind", "spot"), f"{name}.kind"),
        text(row.get("venue", ""), f"{name}.venue"),
    )


def first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
