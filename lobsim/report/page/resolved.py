"""What a run's resolved scenario says beside its records: levels at which something happens, values that stand still.

The file may come from anyone: it is read as data, bounded in size; what is missing or not what it should be is left
out.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from lobsim.agents.withdrawal import MarginRuleParams
from lobsim.measure import Run
from lobsim.measure.manifest import Instrument
from lobsim.records import SCENARIO

MAX_BYTES = 8_000_000


class Threshold(NamedTuple):
    """A margin level and what happens there. color: a name of the palette."""

    level: float
    what: str
    color: str


def scenario_text(run: Run) -> str:
    """The scenario that the run was made of; "" where it is missing, too large or no text."""
    path = run.path / SCENARIO
    try:
        if path.is_symlink() or not path.is_file():
            return ""
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        return "" if len(raw) > MAX_BYTES else raw.decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError):
        return ""


def resolved(run: Run) -> Mapping[str, Any]:
    """The same as plain data, not to be changed; {} where there is none to read."""
    return _parsed(scenario_text(run))


@lru_cache(maxsize=2)  # several chapters of a page ask; by text, so that a file that changes is not taken for another
def _parsed(text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):  # more than a TOMLDecodeError: a whole number may be too long to read
        return {}


def table(document: object, *keys: str) -> Mapping[str, Any]:
    """The table at a path of keys; {} where there is none."""
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document if isinstance(document, Mapping) else {}


def number(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def margin_thresholds(run: Run) -> list[Threshold]:
    """Levels at which something happens to market makers: the exchange takes over at 1, and below which level their own
    rule makes them withdraw (where the scenario says)."""
    levels = set()
    for agent in table(resolved(run), "agents").values():
        if table(agent).get("kind") == "market-maker" and table(agent).get("withdrawal", True) is not False:
            rule = table(agent, "withdrawal_rules").get("margin_level", MarginRuleParams().margin_level)
            level = number(rule)
            if level is not None and level > 0:
                levels.add(level)
    withdraw = [Threshold(level, "makers withdraw", "ink") for level in sorted(levels, reverse=True)]
    return [*withdraw, Threshold(1.0, "taken over by the exchange", "bad")]


class Peg(NamedTuple):
    """An asset with a fixed value: what it is quoted in, that value, and its spot books, the focus exchange's first."""

    base: str
    quote: str
    value: float
    books: tuple[Instrument, ...]


def pegs(run: Run, stablecoins: tuple[str, ...] = ()) -> list[Peg]:
    """Assets whose outside value stands still in the scenario: no volatility, no factor, no shock of their own.

    stablecoins: books of assets that are meant to be worth 1, whatever the scenario says.
    """
    document = resolved(run)
    fixed = dict(_fixed_values(document))
    for name in stablecoins:
        fixed.setdefault(run.instruments[name].base, 1.0)
    found: dict[tuple[str, str], list[Instrument]] = {}
    for one in run.instruments.values():
        if one.kind == "spot" and one.base in fixed:
            found.setdefault((one.base, one.quote), []).append(one)
    return [Peg(base, quote, fixed[base], tuple(books)) for (base, quote), books in found.items()]


def _fixed_values(document: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    happenings = document.get("exogenous")
    shocked = {
        str(event.get("reference"))
        for event in (happenings if isinstance(happenings, list) else [])
        if isinstance(event, Mapping) and event.get("kind") == "shock"
    }
    for name, reference in table(document, "references").items():
        start = number(table(reference).get("start"))
        moves = table(reference).get("volatility") or table(reference, "betas") or name in shocked
        if start is not None and start > 0 and not moves:
            yield name, start
