"""Read a scenario file: bytes to TOML to frozen models, with every fault named by its key path."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli_w
from pydantic import ValidationError

from lobsim.errors import GridError, ScenarioError
from lobsim.scenario.expand import TemplateError, expand
from lobsim.scenario.extend import extend
from lobsim.scenario.faults import conversions, faults
from lobsim.scenario.lines import line_of, lines_of
from lobsim.scenario.schema import ScenarioFile, wording
from lobsim.scenario.suggest import did_you_mean
from lobsim.units import parse_decimal, parse_time

if TYPE_CHECKING:
    from lobsim.measure import Run
    from lobsim.scenario.build import Simulation

MAX_BYTES = 2_000_000
MAX_DEPTH = 20
_MAX_FAULTS = 50
_STEP = re.compile(r"([^.\[\]]+)|\[(\d{1,6})\]")
_STEP_TEXT = re.compile(r"[^.\[\]]+|\[\d{1,6}\]")
_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"""(?<![A-Za-z0-9_"'.-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MAX_DEPTH}}}""")

Document = dict[str, Any]


class Scenario(NamedTuple):
    """A checked scenario, ready to run. `document` is what the file says after variant and settings are applied."""

    file: ScenarioFile
    document: Document
    path: Path

    @property
    def folder(self) -> Path:
        """Where the file lies: tapes are looked for below it."""
        return self.path.parent

    @property
    def text(self) -> str:
        """The resolved scenario as TOML."""
        return tomli_w.dumps(_plain(self.document))

    @property
    def start_ns_of_day(self) -> int:
        """Wall clock of the run's start, in nanoseconds since midnight UTC."""
        return parse_time(self.file.scenario.start_utc[11:], 0)

    def targets(self) -> list[dict[str, Any]]:
        """Rows of the target file that it names; raises `ScenarioError` for one that is not there or not right."""
        from lobsim.scenario.targets import targets_beside, unknown_names  # noqa: PLC0415  # which read by this module

        name = self.file.scenario.targets
        if name is None:
            return []
        rows = targets_beside(self.folder, name)
        faults = list(unknown_names(rows, self.file.instruments, self.file.groups))
        if faults:
            raise ScenarioError("\n  ".join([f"{self.path}: {len(faults)} faults of its targets", *faults]))
        return [row.model_dump(exclude_none=True) for row in rows]

    def time_ns(self, text: str) -> int:
        """Nanoseconds since the run's start of "21:15:00Z" or "45m"; raises `InputError`."""
        return parse_time(text, self.start_ns_of_day)

    def replay(
        self,
        *,
        seed: int | None = None,
        out: str | Path | None = None,
        until_ns: int | None = None,
        overwrite: bool = False,
        allow_path: bool = False,
        on_progress: Callable[[int], None] | None = None,
        on_start: Callable[[Simulation], None] | None = None,
    ) -> Run:
        """Run it and return the recorded run (in a temporary folder when `out` is None; it goes when the Run does).

        on_progress: called with the simulated time, up to some 20,000 times. on_start: called with the simulation
        before anything happens, to watch it (`lobsim.report.live.Watch`).
        """
        from lobsim.scenario.run import replay  # noqa: PLC0415  # building a simulation needs SimPy; checking does not

        return replay(
            self,
            seed=seed,
            out=out,
            until_ns=until_ns,
            overwrite=overwrite,
            allow_path=allow_path,
            on_progress=on_progress,
            on_start=on_start,
        )


def load_scenario(
    path: str | Path, *, variant: str | None = None, settings: Mapping[str, object] | Sequence[str] = ()
) -> Scenario:
    """Read and check a scenario file.

    settings: {"market_makers.withdrawal": False} or ["market_makers.withdrawal=false"]; a key may leave out leading
    parts of its path where what is left names one place only. Raises `ScenarioError` listing all faults.
    """
    path = Path(path)
    text = read_text(path)
    document = extend(path, parse(path, text), lambda base: parse(base, read_text(base)))
    lines = lines_of(text)
    changed = set(_apply_variant(path, document, variant))
    document, origins = _settled(path, document, settings, changed, lines)
    try:
        file = ScenarioFile.model_validate(document)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=True)
        told = [_fault(item) for item in errors[:_MAX_FAULTS]]
        raise _report(path, told, len(errors), lines, changed, origins) from None
    except RecursionError:
        raise ScenarioError(f"{path}: values are nested too deeply") from None
    found = list(conversions(file, document)) or faults(file)
    if found:
        raise _report(path, found[:_MAX_FAULTS], len(found), lines, changed, origins)
    return Scenario(file, document, path.resolve())


def _settled(
    path: Path,
    document: Document,
    settings: Mapping[str, object] | Sequence[str],
    changed: set[str],
    lines: Mapping[str, int],
) -> tuple[Document, dict[str, str]]:
    """Apply settings and write templates out; a setting may name a table as written or as it is after that."""
    later = []
    for key, value in _settings(settings):
        try:
            changed.add(apply_setting(document, key, value))
        except ScenarioError:
            if "each" not in document:
                raise
            later.append((key, value))
    try:
        document, origins = expand(document)
    except TemplateError as error:
        line = line_of(str(error).partition(": ")[0], lines)
        raise ScenarioError(f"{path}: {f'line {line}: ' if line else ''}{error}") from None
    changed.update(apply_setting(document, key, value) for key, value in later)
    return document, origins


def read_text(path: Path) -> str:
    """The file's text; raises `ScenarioError` for what is no UTF-8 file of sane size."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ScenarioError(f"{path}: is not a file")
        if size > MAX_BYTES:
            raise ScenarioError(f"{path}: {size} bytes; a scenario file has at most {MAX_BYTES}")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:  # a null character in the name
        raise ScenarioError(f"{path}: {error}") from None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ScenarioError(f"{path}: line {line}: byte {error.start} is not UTF-8 text") from None


def parse(path: Path, text: str) -> Document:
    """Plain TOML, decimals exact; raises `ScenarioError` for what is none, or is nested beyond reason."""
    crowded = _LONG_KEY.search(text)
    if crowded:  # the time that tomllib takes grows with the cube of a key's parts
        line = text.count("\n", 0, crowded.start()) + 1
        raise ScenarioError(f"{path}: line {line}: a key of more than {MAX_DEPTH} parts")
    try:
        document = tomllib.loads(text, parse_float=_number)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: {_first_line(error)}") from None
    except RecursionError:
        raise ScenarioError(f"{path}: values are nested too deeply") from None
    except (ValueError, ArithmeticError) as error:
        raise ScenarioError(f"{path}: {_first_line(error)}{_line_of_number(text, error)}") from None
    if _depth(document) > MAX_DEPTH:
        raise ScenarioError(f"{path}: values are nested more than {MAX_DEPTH} deep")
    return document


def _number(text: str) -> Decimal:
    """A decimal of sane size: 1e999999999 would take a life to turn into an integer."""
    try:
        return parse_decimal(text.replace("_", ""), "number")
    except GridError as error:
        raise _BadNumberError(text, str(error)) from None


class _BadNumberError(ValueError):
    def __init__(self, text: str, message: str) -> None:
        super().__init__(message)
        self.text = text


def _line_of_number(text: str, error: Exception) -> str:
    if not isinstance(error, _BadNumberError):
        return ""
    return f" (at line {text.count(chr(10), 0, text.find(error.text)) + 1})"


def apply_setting(document: Document, key: str, value: object) -> str:
    """Set a dotted key, e.g. ``agents.makers.count`` or ``exogenous[0].change``; returns its whole path.

    Leading parts may be left out where exactly one table of the file fits the rest. Raises `ScenarioError`.
    """
    parts = [int(number) if number else name for name, number in _STEP.findall(key)]
    if not parts or len(parts) > MAX_DEPTH or "".join(_STEP_TEXT.findall(key)) != key.replace(".", ""):
        raise ScenarioError(f"--set {key[:60]!r}: write a key such as market_makers.withdrawal or exogenous[0].change")
    first = parts[0]
    path: tuple[str, ...] = ()
    homes = [(table, path) for table, path in _tables(document) if path[-1] == first] if len(parts) > 1 else []
    if first in document:
        target, rest = document, parts
    elif len(homes) == 1:
        target, rest, path = homes[0][0], parts[1:], homes[0][1]
    elif not homes:
        owners = [(table, path) for table, path in _tables(document) if first in table]
        if len(parts) != 1 or len(owners) != 1:
            raise ScenarioError(f"--set {key}: no single table of the scenario is called {first!r}")
        target, rest, path = owners[0][0], parts, owners[0][1]
    else:
        raise ScenarioError(f"--set {key}: {len(homes)} tables are called {first!r}; write the whole path")
    _put(target, rest, value, key)
    return _joined((*path, *rest))


def _put(target: Any, rest: Sequence[str | int], value: object, key: str) -> None:
    for place, part in enumerate(rest):
        inner: object = {} if place + 1 < len(rest) else value
        if isinstance(part, int):
            if not isinstance(target, list) or part >= len(target):
                raise ScenarioError(f"--set {key}: there is no entry [{part}]")
        elif not isinstance(target, dict):
            raise ScenarioError(f"--set {key}: {rest[place - 1]!r} is a value, not a table")
        elif place + 1 < len(rest):
            target.setdefault(part, inner)
        if place + 1 == len(rest):
            target[part] = inner
        else:
            target = target[part]


def parse_setting(text: str) -> tuple[str, object]:
    """Key and TOML value of "key=value"; a bare word is text."""
    key, separator, value = text.partition("=")
    key = key.strip()
    if not separator or not key:
        raise ScenarioError(f"--set {text!r}: write key=value, e.g. market_makers.withdrawal=false")
    if len(value) > 10_000:
        raise ScenarioError(f"--set {key}: the value has {len(value)} characters")
    try:
        read = tomllib.loads(f"value = {value}", parse_float=_number)["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError, ArithmeticError):
        return key, value.strip()
    return key, value.strip() if isinstance(read, date | time) else read  # no key holds a TOML date


def _settings(settings: Mapping[str, object] | Sequence[str]) -> Iterator[tuple[str, object]]:
    if isinstance(settings, Mapping):
        yield from settings.items()
    else:
        yield from (parse_setting(text) for text in settings)


def _apply_variant(path: Path, document: Document, variant: str | None) -> list[str]:
    if variant is None:
        return []
    variants = document.get("variants")
    changes = variants.get(variant) if isinstance(variants, dict) else None
    if not isinstance(changes, dict):
        known = ", ".join(sorted(variants)) if isinstance(variants, dict) and variants else "none"
        raise ScenarioError(f"{path}: there is no variant {variant!r} (known: {known})")
    return [apply_setting(document, key, value) for key, value in _leaves(deepcopy(changes))]


def _leaves(table: Document, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _tables(document: Document, path: tuple[str, ...] = ()) -> Iterator[tuple[Document, tuple[str, ...]]]:
    for key, value in document.items():
        if isinstance(value, dict) and (path or key not in ("variants", "mechanisms")):
            yield value, (*path, key)
            yield from _tables(value, (*path, key))


def _depth(document: object) -> int:
    deepest = 0
    waiting: list[tuple[object, int]] = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        deepest = max(deepest, depth)
        if depth > MAX_DEPTH:
            break
        if isinstance(value, dict):
            waiting.extend((item, depth + 1) for item in value.values())
        elif isinstance(value, list):
            waiting.extend((item, depth + 1) for item in value)
    return deepest


def _fault(item: Any) -> str:
    where = _joined(
        [part for place, part in enumerate(item["loc"]) if part != "[key]" and not _is_tag(item["loc"], place)]
    )
    message = wording(item["msg"])
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown key{did_you_mean(ScenarioFile, item['loc'])}"
    if item["type"] == "missing":
        return f"{where}: is missing"
    if item["type"] in ("union_tag_not_found", "union_tag_invalid"):
        known = item["ctx"].get("expected_tags", "")
        said = f"{item['ctx']['tag']!r:.60} is none of {known}" if "tag" in item["ctx"] else "is missing"
        return f"{where}.kind: {said}"
    if isinstance(item["input"], dict):
        return f"{where}: {message}"
    shown = repr(item["input"])
    if isinstance(item["input"], Decimal):
        shown = str(item["input"])
    return f"{where}: {shown if len(shown) <= 60 else shown[:57] + '...'}: {message}"


def _is_tag(loc: tuple[int | str, ...], place: int) -> bool:
    """pydantic puts the `kind` that chose a model into the path: agents.NAME.KIND.key, windows.NAME.KIND.key."""
    return place == 2 and loc[0] in ("agents", "exogenous", "windows")


def _joined(parts: Sequence[str | int]) -> str:
    """A path as messages write it: ``exogenous[0].at``."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part[:60]}" if text else part[:60]
    return text


def _report(
    path: Path, told: list[str], count: int, lines: Mapping[str, int], changed: set[str], origins: Mapping[str, str]
) -> ScenarioError:
    said = [f"{path}: {count} fault{'s' if count != 1 else ''}"]
    for fault in told:
        where = fault.partition(": ")[0]
        line = line_of(_written(where, origins), lines)
        if any(where == key or where.startswith((f"{key}.", f"{key}[")) for key in changed):
            said.append(f"  {fault} (changed by a variant or --set)")
        else:
            said.append(f"  line {line}: {fault}" if line else f"  {fault}")
    if count > len(told):
        said.append(f"  ... and {count - len(told)} more")
    return ScenarioError("\n".join(said))


def _written(path: str, origins: Mapping[str, str]) -> str:
    """Where a key of a table made from a template stands in the file."""
    for cut in range(len(path), 0, -1):
        if path[:cut] in origins and (cut == len(path) or path[cut] in ".["):
            return origins[path[:cut]] + path[cut:]
    return path


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300]


def _plain(value: Any) -> Any:
    """Values that a TOML writer takes: exact decimals as they are, tuples as lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
