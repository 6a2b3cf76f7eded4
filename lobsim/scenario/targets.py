"""Target files: real figures and the bands that a run is held to, as TOML beside the scenarios.

A file is a list of ``[[target]]`` rows (`lobsim.measure.scorecard` says what their keys mean). It may begin with
``include = "other.toml"``, a file beside it whose rows come first: a row of the same name takes the place of the
included one, and ``without`` names included rows to leave out. A scenario names its file under ``[scenario] targets``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from lobsim.agents.base import Model, Name
from lobsim.errors import InputError, ScenarioError
from lobsim.measure.scorecard import MAX_ROWS, Target, target_of
from lobsim.scenario.lines import line_of, lines_of
from lobsim.scenario.load import parse, read_text
from lobsim.scenario.schema import wording

_MOST_INCLUDES = 10


def _figure(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("a number without quotes is wanted")
    return float(value)


Figure = Annotated[float, BeforeValidator(_figure), Field(ge=-1e30, le=1e30, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=500)]
RowName = Annotated[str, Field(min_length=1, max_length=64)]


class TargetRow(Model):
    """[[target]]: one real figure and its band; see `lobsim.measure.scorecard`."""

    name: RowName
    measure: Annotated[str, Field(min_length=1, max_length=64)]
    instrument: Name | None = None
    group: Name | None = None
    statistic: str = "median"
    low: Figure | None = None
    high: Figure | None = None
    real: Figure | None = None
    real_low: Figure | None = None
    real_high: Figure | None = None
    unit: Text = ""
    source: Text = ""
    note: Text = ""

    @model_validator(mode="after")
    def _means_something(self) -> TargetRow:
        try:
            target_of(self.model_dump(exclude_none=True))
        except InputError as fault:
            raise ValueError(str(fault).partition(": ")[2]) from None
        return self

    @property
    def target(self) -> Target:
        """The row as `lobsim.measure` takes it."""
        return target_of(self.model_dump(exclude_none=True))


class TargetFile(Model):
    """A whole target file."""

    include: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    without: Annotated[tuple[RowName, ...], Field(max_length=MAX_ROWS)] = ()
    target: Annotated[tuple[TargetRow, ...], Field(max_length=MAX_ROWS)] = ()


def load_targets(path: str | Path) -> tuple[TargetRow, ...]:
    """Rows of a target file, included ones first; raises `ScenarioError` naming file, line and row of every fault."""
    return tuple(_rows(Path(path), ()).values())


def targets_beside(folder: Path, name: str) -> tuple[TargetRow, ...]:
    """Rows of the target file that a scenario in `folder` names; it must lie in or below that folder."""
    return load_targets(_inside(folder, name, "scenario.targets"))


def unknown_names(
    rows: Sequence[TargetRow], instruments: Mapping[str, object], groups: Mapping[str, object]
) -> Iterator[str]:
    """Faults of rows that name an instrument or a group which the scenario does not have."""
    for row in rows:
        for what, name, known in (("instrument", row.instrument, instruments), ("group", row.group, groups)):
            if name is not None and name not in known:
                choices = ", ".join(sorted(known)[:10]) or "none is defined"
                yield f"scenario.targets: row {row.name!r}: {what} {name!r} is not defined (known: {choices})"


def _rows(path: Path, above: tuple[Path, ...]) -> dict[str, TargetRow]:
    text = read_text(path)
    try:
        file = TargetFile.model_validate(parse(path, text))
    except ValidationError as error:
        raise _report(path, text, error) from None
    rows: dict[str, TargetRow] = {}
    if file.include is not None:
        included = _inside(path.parent, file.include, f"{path}: include")
        if included in (path.resolve(), *above) or len(above) >= _MOST_INCLUDES:
            raise ScenarioError(f"{path}: include: {file.include!r} leads back to itself, or too deep")
        rows = _rows(included, (*above, path.resolve()))
    for name in file.without:
        if rows.pop(name, None) is None:
            raise ScenarioError(f"{path}: without: no included row is called {name!r}")
    own: set[str] = set()
    for row in file.target:
        if row.name in own:
            raise ScenarioError(f"{path}: target {row.name!r}: two rows have this name")
        own.add(row.name)
        rows[row.name] = row
    return rows


def _inside(folder: Path, name: str, where: str) -> Path:
    folder = folder.resolve()
    try:
        path = (folder / name).resolve()
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{where}: {name[:60]!r}: {error}") from None
    if not path.is_relative_to(folder):
        raise ScenarioError(f"{where}: {name[:60]!r} lies outside {folder}")
    return path


def _report(path: Path, text: str, error: ValidationError) -> ScenarioError:
    lines = lines_of(text)
    said = []
    for item in error.errors(include_url=False, include_input=True):
        where, called = _place(text, path, item["loc"])
        line = line_of(where, lines)
        what = "unknown key" if item["type"] == "extra_forbidden" else wording(item["msg"])
        shown = "" if isinstance(item["input"], dict | list) else f"{item['input']!r:.60}: "
        said.append(f"  {f'line {line}: ' if line else ''}{where}{called}: {shown}{what}")
    count = len(said)
    return ScenarioError("\n".join([f"{path}: {count} fault{'s' if count != 1 else ''}", *said[:50]]))


def _place(text: str, path: Path, loc: tuple[int | str, ...]) -> tuple[str, str]:
    """``target[3].low`` and the name of that row, for people."""
    where = ""
    for part in loc:
        where += f"[{part}]" if isinstance(part, int) else f"{'.' if where else ''}{part[:60]}"
    called = ""
    if len(loc) > 1 and loc[0] == "target" and isinstance(loc[1], int):
        row: Any = parse(path, text)["target"][loc[1]]
        name = row.get("name") if isinstance(row, dict) else None
        called = f" ({name!r:.66})" if isinstance(name, str) else ""
    return where, called
