"""What a study runs: cells (a scenario with settings) times seeds, as people write them on a command line."""

from __future__ import annotations

import pickle
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from lobsim.errors import InputError, ScenarioError
from lobsim.scenario import Scenario, ScenarioFile, load_scenario
from lobsim.scenario.load import Document, parse_setting
from lobsim.sweep.differences import fingerprint

MOST_RUNS = 1_000_000
MOST_CELLS = 5_000
BASE = "base"
_SEED_PART = re.compile(r"(\d{1,18})(?::(\d{1,18}))?")
_MOST_SEED = 2**63 - 1
_PAIRS = {"[": "]", "{": "}", '"': '"', "'": "'"}


class Cell(NamedTuple):
    """One scenario of a study: settings on top of a variant. `label` names it.

    key: half a fingerprint of the scenario after settings; names the results. packed: that scenario's document, pickled
    and compressed: a study may have thousands of cells, and its file may be edited while it runs.
    """

    label: str
    variant: str | None
    settings: Mapping[str, object]
    key: str
    path: Path
    packed: bytes

    @property
    def document(self) -> Document:
        """What the scenario comes to, as plain TOML data."""
        document: Document = pickle.loads(zlib.decompress(self.packed))  # noqa: S301 - packed below, by this process
        return document

    @property
    def scenario(self) -> Scenario:
        """The scenario, ready to run."""
        document = self.document
        return Scenario(ScenarioFile.model_validate(document), document, self.path)


class Axis(NamedTuple):
    """One key and the values that it takes in turn, each beside its text."""

    key: str
    values: tuple[tuple[str, object], ...]


def make_cell(path: Path, label: str, variant: str | None, settings: Mapping[str, object]) -> Cell:
    """Load and check one cell; raises `ScenarioError`."""
    try:
        loaded = load_scenario(path, variant=variant, settings=settings)
    except ScenarioError as error:
        if not settings:
            raise
        raise ScenarioError(f"{label}: {error}") from None
    packed = zlib.compress(pickle.dumps(loaded.document), 1)
    return Cell(label, variant, settings, fingerprint(loaded.document)[:32], loaded.path, packed)


def grid(path: Path, variants: Sequence[str | None] = (None,), axes: Sequence[Axis] = ()) -> list[Cell]:
    """Every combination of variants and values, the last axis fastest.

    Raises `InputError` for too many cells and for two that come to the same scenario, `ScenarioError` for a cell that
    breaks a rule.
    """
    count = len(variants)
    for axis in axes:
        count *= len(axis.values)
    if count > MOST_CELLS:
        raise InputError(f"--set: {count:,} combinations; a study has at most {MOST_CELLS:,}")
    keys = [axis.key for axis in axes]
    if len(set(keys)) < len(keys):
        raise InputError(f"--set: {next(key for key in keys if keys.count(key) > 1)} is given twice")
    cells: list[Cell] = []
    for variant in variants:
        for chosen in product(*(axis.values for axis in axes)):
            named = [f"{key}={text}" for key, (text, _) in zip(keys, chosen, strict=True)]
            shown = [variant or BASE] if len(variants) > 1 or variant or not named else []
            settings = {key: value for key, (_, value) in zip(keys, chosen, strict=True)}
            cells.append(make_cell(path, ", ".join(shown + named), variant, settings))
    _refuse_twins(cells)
    return cells


def _refuse_twins(cells: Iterable[Cell]) -> None:
    seen: dict[str, str] = {}
    for cell in cells:
        if cell.key in seen:
            raise InputError(f"{cell.label} and {seen[cell.key]} are the same scenario; leave one of them out")
        seen[cell.key] = cell.label


def parse_seeds(text: str) -> list[int]:
    """Seeds of "0:1000" (0 to 999), "20" (twenty of them: 1 to 20) or "1,5,8:10"; raises `InputError`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    found: dict[int, None] = {}
    for part in parts:
        match = _SEED_PART.fullmatch(part)
        if match is None:
            raise InputError(
                f"--seeds {text[:60]!r}: write 0:1000 (from, up to), 20 (how many) or a list such as 1,5,8"
            )
        first, end = int(match[1]), match[2]
        numbers = range(first, int(end)) if end is not None else range(first, first + 1)
        if len(parts) == 1 and end is None:
            numbers = range(1, first + 1)
        if not numbers or numbers[-1] > _MOST_SEED or len(numbers) + len(found) > MOST_RUNS:
            rule = f"must name between 1 and {MOST_RUNS:,} seeds below 2**63"
            raise InputError(f"--seeds {text[:60]!r}: {part!r} names {len(numbers):,}; it {rule}")
        found.update(dict.fromkeys(numbers))
    if not found:
        raise InputError("--seeds '': write 0:1000 (from, up to), 20 (how many) or a list such as 1,5,8")
    return list(found)


def parse_axis(text: str) -> Axis:
    """Key and values of "key=a,b,c"; commas inside brackets and quotes part nothing. Raises `InputError`."""
    key, separator, rest = text.partition("=")
    texts = [part.strip() for part in split_list(rest)]
    if not separator or not key.strip() or not all(texts):
        raise InputError(f"--set {text[:60]!r}: write key=value,value,..., e.g. patient_bids.pool=6e6,8e6,10e6")
    key = key.strip()
    values = [(value, parse_setting(f"{key}={value}")[1]) for value in texts]
    return Axis(key, tuple(values))


def parse_variants(text: str | None, known: Iterable[str]) -> list[str | None]:
    """Variants of "NAME,NAME"; "base" means none, unless a variant is called so."""
    if text is None:
        return [None]
    names = dict.fromkeys(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise InputError(f"--variant {text[:60]!r}: write names with commas between; base is the scenario without one")
    return [None if name == BASE and BASE not in known else name for name in names]


def split_list(text: str) -> list[str]:
    """Parts between commas that stand outside of brackets and quotes."""
    parts: list[str] = []
    closing: list[str] = []
    start = 0
    for place, character in enumerate(text):
        if closing and character == closing[-1]:
            closing.pop()
        elif closing and closing[-1] in "\"'":
            continue
        elif character in _PAIRS:
            closing.append(_PAIRS[character])
        elif character == "," and not closing:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]
