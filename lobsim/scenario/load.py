"""Read a scenario file: bytes to TOML to frozen models, with every fault named by its key path."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli_w
from pydantic import ValidationError

from lobsim.errors import ScenarioError
from lobsim.scenario.schema import ScenarioFile, wording
from lobsim.units import parse_time

if TYPE_CHECKING:
    from lobsim.measure import Run

MAX_BYTES = 2_000_000
MAX_DEPTH = 20
_MAX_FAULTS = 50

Document = dict[str, Any]


class Scenario(NamedTuple):
    """A checked scenario, ready to run. `document` is what the file says after variant and settings are applied."""

    file: ScenarioFile
    document: Document
    folder: Path

    @property
    def text(self) -> str:
        """The resolved scenario as TOML."""
        return tomli_w.dumps(_plain(self.document))

    @property
    def start_ns_of_day(self) -> int:
        """Wall clock of the run's start, in nanoseconds since midnight UTC."""
        return parse_time(self.file.scenario.start_utc[11:], 0)

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
    ) -> Run:
        """Run it and return the recorded run (in a temporary folder when `out` is None; it goes when the Run does)."""
        from lobsim.scenario.run import replay  # noqa: PLC0415  # building a simulation needs SimPy; checking does not

        return replay(
            self,
            seed=seed,
            out=out,
            until_ns=until_ns,
            overwrite=overwrite,
            allow_path=allow_path,
            on_progress=on_progress,
        )


def load_scenario(
    path: str | Path, *, variant: str | None = None, settings: Mapping[str, object] | Sequence[str] = ()
) -> Scenario:
    """Read and check a scenario file.

    settings: {"market_makers.withdrawal": False} or ["market_makers.withdrawal=false"]; a key may leave out leading
    parts of its path where what is left names one place only. Raises `ScenarioError` listing all faults.
    """
    path = Path(path)
    document = read_document(path)
    _apply_variant(path, document, variant)
    for key, value in _settings(settings):
        apply_setting(document, key, value)
    try:
        file = ScenarioFile.model_validate(document)
    except ValidationError as error:
        raise _report(path, [_fault(item) for item in error.errors(include_url=False, include_input=True)]) from None
    except RecursionError:
        raise ScenarioError(f"{path}: values are nested too deeply") from None
    faults = file.faults()
    if faults:
        raise _report(path, faults)
    return Scenario(file, document, path.resolve().parent)


def read_document(path: Path) -> Document:
    """The file as plain TOML, decimals exact; raises `ScenarioError` for what is no TOML text of sane size."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ScenarioError(f"{path}: is not a file")
        if size > MAX_BYTES:
            raise ScenarioError(f"{path}: {size} bytes; a scenario file has at most {MAX_BYTES}")
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: byte {error.start} is not UTF-8 text") from None
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: {error}") from None
    except RecursionError:
        raise ScenarioError(f"{path}: values are nested too deeply") from None
    except (ValueError, ArithmeticError) as error:
        raise ScenarioError(f"{path}: a number cannot be read: {error}") from None
    if _depth(document) > MAX_DEPTH:
        raise ScenarioError(f"{path}: values are nested more than {MAX_DEPTH} deep")
    return document


def apply_setting(document: Document, key: str, value: object) -> None:
    """Set a dotted key. Leading parts may be left out where exactly one table of the file fits the rest."""
    parts = key.split(".")
    homes = [table for table, path in _tables(document) if path and path[-1] == parts[0]] if len(parts) > 1 else []
    if parts[0] in document:
        target, rest = document, parts
    elif len(homes) == 1:
        target, rest = homes[0], parts[1:]
    elif not homes:
        owners = [table for table, _ in _tables(document) if parts[0] in table]
        if len(parts) != 1 or len(owners) != 1:
            raise ScenarioError(f"--set {key}: no single table of the scenario is called {parts[0]!r}")
        target, rest = owners[0], parts
    else:
        raise ScenarioError(f"--set {key}: {len(homes)} tables are called {parts[0]!r}; write the whole path")
    for part in rest[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise ScenarioError(f"--set {key}: {part!r} is a value, not a table")
    target[rest[-1]] = value


def parse_setting(text: str) -> tuple[str, object]:
    """Key and TOML value of "key=value"; a bare word is text."""
    key, separator, value = text.partition("=")
    key = key.strip()
    if not separator or not key:
        raise ScenarioError(f"--set {text!r}: write key=value, e.g. market_makers.withdrawal=false")
    if len(value) > 10_000:
        raise ScenarioError(f"--set {key}: the value has {len(value)} characters")
    try:
        return key, tomllib.loads(f"value = {value}", parse_float=Decimal)["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError, ArithmeticError):
        return key, value.strip()


def _settings(settings: Mapping[str, object] | Sequence[str]) -> Iterator[tuple[str, object]]:
    if isinstance(settings, Mapping):
        yield from settings.items()
    else:
        yield from (parse_setting(text) for text in settings)


def _apply_variant(path: Path, document: Document, variant: str | None) -> None:
    if variant is None:
        return
    variants = document.get("variants")
    changes = variants.get(variant) if isinstance(variants, dict) else None
    if not isinstance(changes, dict):
        known = ", ".join(sorted(variants)) if isinstance(variants, dict) and variants else "none"
        raise ScenarioError(f"{path}: there is no variant {variant!r} (known: {known})")
    for key, value in _leaves(deepcopy(changes)):
        apply_setting(document, key, value)


def _leaves(table: Document, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _tables(document: Document, path: tuple[str, ...] = ()) -> Iterator[tuple[Document, tuple[str, ...]]]:
    for key, value in document.items():
        if isinstance(value, dict) and (path or key != "variants"):
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
    parts: list[str] = []
    loc = [part for place, part in enumerate(item["loc"]) if not _is_tag(item["loc"], place)]
    for part in loc:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        elif part != "[key]":
            parts.append(f".{part}" if parts else str(part))
    where = "".join(parts)
    message = wording(item["msg"])
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown key"
    if item["type"] == "missing":
        return f"{where}: is missing"
    shown = repr(item["input"])
    if len(shown) > 60:
        shown = shown[:57] + "..."
    return f"{where}: {shown}: {message}"


def _is_tag(loc: tuple[int | str, ...], place: int) -> bool:
    """pydantic puts the `kind` that chose a model into the path: agents.NAME.KIND.key, exogenous[0].KIND.key."""
    return place == 2 and loc[0] in ("agents", "exogenous") and len(loc) > 2


def _report(path: Path, faults: list[str]) -> ScenarioError:
    count = len(faults)
    lines = [f"{path}: {count} fault{'s' if count != 1 else ''}"]
    lines += [f"  {fault}" for fault in faults[:_MAX_FAULTS]]
    if count > _MAX_FAULTS:
        lines.append(f"  ... and {count - _MAX_FAULTS} more")
    return ScenarioError("\n".join(lines))


def _plain(value: Any) -> Any:
    """Values that a TOML writer takes: exact decimals as they are, tuples as lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
