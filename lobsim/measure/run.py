"""A recorded run: its manifest checked, its tables as polars frames.

A run folder may come from anyone. The manifest is data: sizes are bounded, no path is ever taken from it, files are
found by their fixed names, links are refused. An unfinished run (killed, stopped, still going) can be read as far as it
got; `Run.status` then says so, and whoever shows it to a person prints that line.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from lobsim.errors import InputError, LobsimError, RunError
from lobsim.measure.decode import decoded
from lobsim.measure.manifest import Instrument, first_line, instrument_of, known, read_manifest, size, text, utc, whole
from lobsim.records import (
    MANIFEST,
    PART_NAME,
    TABLES,
    AccountInfo,
    RunHeader,
    TableDigest,
    manifest_of,
    overall_digest,
    polars_schema,
)
from lobsim.units import NS_PER_DAY, NS_PER_MINUTE, NS_PER_S, NS_PER_US, format_clock, parse_decimal, parse_time

MAX_ROWS = 25_000_000
"""Rows of one table that are decoded into memory unless asked for more (about 4 GB of `orders`)."""

MAX_PARTS = 99_999
_FAILURES = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, OverflowError)


def read_run(path: str | Path, *, max_rows: int = MAX_ROWS) -> Run:
    """Open a run folder; tables are read on first use.

    Raises `RunError`, naming the file, for a folder without a run, a manifest that breaks a rule, and parts that are
    missing, cut off or of another layout. max_rows bounds what one table may take into memory.
    """
    path = Path(path)
    if not path.exists():
        raise RunError(f"{path}: no such run{_near(path)}")
    run = Run(path, read_manifest(path / MANIFEST), max_rows=max_rows)
    run._open_parts()
    return run


class Run:
    """A recorded run: `orders trades quotes depth accounts credit milestones` are decoded frames, read on first use.

    `read_run` opens a folder; `from_frames` wraps tables that are in memory already. Raises `RunError` for a manifest
    that breaks a rule.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], *, max_rows: int = MAX_ROWS) -> None:
        self.path = path
        self.max_rows = max_rows
        self.manifest = manifest
        self._parts: dict[str, list[Path]] = {table: [] for table in TABLES}
        self._frames: dict[str, pl.DataFrame] = {}
        self._rows = dict.fromkeys(TABLES, 0)
        self.kept_changes: dict[int, pl.DataFrame] | None = None  # see `lobsim.measure.books.changes_kept`
        try:
            self._take_manifest()
        except (KeyError, TypeError, ValueError, AttributeError, LobsimError) as error:
            what = f"key {error} is missing" if isinstance(error, KeyError) else str(error)
            raise RunError(f"{path / MANIFEST}: {what}") from None

    @classmethod
    def from_frames(cls, header: RunHeader, frames: Mapping[str, pl.DataFrame]) -> Run:
        """A run out of raw tables (`lobsim.records.TABLES`; missing ones are empty), for data of your own.

        Raises `RunError` for a table with other columns.
        """
        run = cls(Path("(frames)"), {**manifest_of(header), "complete": True})
        for table, frame in frames.items():
            if table not in TABLES or dict(frame.schema) != polars_schema(table):
                raise RunError(f"{table}: its columns are not those of a table of lobsim.records.TABLES")
            run._frames[table] = frame
            run._rows[table] = frame.height
        return run

    def keep(self, resource: object) -> None:
        """Hold something alive as long as this run is, such as the temporary folder that its files are in."""
        self._kept = resource

    def _open_parts(self) -> None:
        self._parts = {table: self._find_parts(table) for table in TABLES}
        self._rows = {table: sum(_rows_of(part, table) for part in parts) for table, parts in self._parts.items()}
        if self.complete:
            self._compare_with_manifest()

    def _take_manifest(self) -> None:
        manifest = self.manifest
        self.complete: bool = manifest["complete"] is True
        self.seed = whole(manifest["seed"], "seed", -(2**127))
        self.scenario = text(manifest["scenario"], "scenario")
        self.digest: str | None = text(manifest.get("digest", ""), "digest") or None if self.complete else None
        self.start_utc = utc(manifest["start_utc"])
        self.numeraire = text(manifest.get("numeraire", ""), "numeraire")
        self.assets = {
            text(name, "assets"): parse_decimal(quantum, f"assets.{text(name, 'assets')}")
            for name, quantum in manifest.get("assets", {}).items()
        }
        self.instruments: dict[str, Instrument] = {}
        for row in manifest["instruments"]:
            instrument = instrument_of(row)
            if instrument.name in self.instruments or instrument.instrument_id in self._instrument_ids():
                raise ValueError(f"instrument {instrument.name} stands there twice")
            self.instruments[instrument.name] = instrument
        self.accounts_info = {
            whole(row["account_id"], "account_id"): AccountInfo(
                row["account_id"], text(row["name"], "account name"), text(row["kind"], "account kind")
            )
            for row in manifest.get("accounts", [])
        }
        self.groups: dict[str, tuple[str, ...]] = {
            text(group, "groups"): tuple(known(self.instruments, member, group) for member in members)
            for group, members in manifest.get("groups", {}).items()
        }
        self.focus = text(manifest.get("focus", ""), "focus")
        self.volumes = {
            known(self.instruments, name, "volumes"): size(volume, f"volumes.{name}")
            for name, volume in manifest.get("volumes", {}).items()
        }

    def _instrument_ids(self) -> set[int]:
        return {instrument.instrument_id for instrument in self.instruments.values()}

    def _find_parts(self, table: str) -> list[Path]:
        folder = self.path / table
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise RunError(f"{folder}: must be a plain folder")
        parts = sorted(file for file in folder.iterdir() if PART_NAME.fullmatch(file.name)) if folder.exists() else []
        for number, part in enumerate(parts):
            if part.is_symlink() or not part.is_file():
                raise RunError(f"{part}: must be a plain file")
            if part.name != f"part-{number:05}.parquet":
                raise RunError(f"{folder / f'part-{number:05}.parquet'}: this part is missing")
        return parts

    def _compare_with_manifest(self) -> None:
        if self.digest is None:
            raise RunError(f"{self.path / MANIFEST}: says complete but has no digest")
        for table, parts in self._parts.items():
            entry = (
                self.manifest.get("tables", {}).get(table, {}) if isinstance(self.manifest.get("tables"), dict) else {}
            )
            rows, count = (entry.get("rows"), entry.get("parts")) if isinstance(entry, dict) else (None, None)
            if count != len(parts) or rows != self._rows[table]:
                raise RunError(
                    f"{self.path / table}: {len(parts)} parts with {self._rows[table]} rows, "
                    f"but {MANIFEST} says {count} parts with {rows} rows"
                )

    @property
    def status(self) -> str:
        """ "complete", or one line for people that says why this run must not be taken for a finished one."""
        if self.complete:
            return "complete"
        stopped = self.manifest.get("stopped")
        why = f"it stopped: {str(stopped)[:200]!r}" if stopped else "killed, or still running"
        return f"{self.path}: UNFINISHED RUN ({why}); what follows covers only its first {self.end_ns / NS_PER_S:.3f} s"

    @property
    def cut(self) -> str:
        """Where a complete run was stopped before its scenario was over, in words; "" for a run that went all the way.

        Figures of such a run say nothing about the event that the scenario stands for.
        """
        duration_ns = self.summary.get("duration_ns")
        if not self.complete or not isinstance(duration_ns, int) or not self.end_ns < duration_ns < 2**62:
            return ""
        clock = format_clock(self.end_ns, self.start_ns_of_day)[:8]
        return f"stopped at {clock}Z by --until, of {duration_ns / NS_PER_MINUTE:g} min"

    @property
    def start_ns_of_day(self) -> int:
        """Wall clock of the run's start, in nanoseconds since midnight UTC."""
        return self._start_ns % NS_PER_DAY

    @property
    def _start_ns(self) -> int:
        return (self.start_utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * NS_PER_US

    @cached_property
    def end_ns(self) -> int:
        """When the run ended; of an unfinished one, the last time that its finished parts know."""
        end = self.manifest.get("end_ns")
        if isinstance(end, int) and not isinstance(end, bool) and 0 <= end < 2**62:
            return end
        tables = [self.scan(table).select(pl.col("time_ns").max()) for table in TABLES if self._rows[table]]
        return max((int(self.collect(table).item()) for table in tables), default=0)

    @property
    def summary(self) -> dict[str, Any]:
        """What `replay` wrote down about this run when it ended ({} for an unfinished one)."""
        summary = self.manifest.get("summary")
        return summary if isinstance(summary, dict) else {}

    def instrument(self, name: str | None = None) -> Instrument:
        """Instrument by name; None means the only one. Raises `RunError` listing the names there are."""
        if name is None and len(self.instruments) == 1:
            return next(iter(self.instruments.values()))
        if name is None or name not in self.instruments:
            asked = "say which instrument" if name is None else f"no instrument {name[:64]!r}"
            raise RunError(f"{self.path}: {asked}; there are {', '.join(sorted(self.instruments)[:50]) or 'none'}")
        return self.instruments[name]

    def time_ns(self, when: str | int) -> int:
        """Nanoseconds since the run's start of "21:15:00Z", "45m" or a number of nanoseconds."""
        return when if isinstance(when, int) else parse_time(when, self.start_ns_of_day, "time")

    def moment_ns(self, when: str | int) -> int:
        """`time_ns` of a moment that the run covers; raises `InputError` for one before its start or after its end.

        Frames in memory do not say when their run ended: of those any moment from the start on will do.
        """
        time_ns = self.time_ns(when)
        ends = "end_ns" in self.manifest or not self.complete
        if time_ns < 0 or (ends and time_ns > self.end_ns):
            asked = f"{when} ns" if isinstance(when, int) else when.strip()[:40]
            first, last = (self.start_utc + timedelta(microseconds=ns // NS_PER_US) for ns in (0, self.end_ns))
            until = f"{last:%H:%M:%S}Z" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M:%S}Z"
            raise InputError(f"{asked} is outside the run ({first:%Y-%m-%d %H:%M:%S}Z to {until})")
        return time_ns

    # --- tables -----------------------------------------------------------------------------------------------------

    def rows(self, table: str) -> int:
        """Rows of a table, from the parts' footers."""
        return self._rows[table]

    def scan(self, table: str) -> pl.LazyFrame:
        """The raw columns (`lobsim.records.TABLES`) of a table of any size, for queries of your own."""
        if table in self._frames:
            return self._frames[table].lazy()
        if not self._parts[table]:
            return pl.LazyFrame(schema=polars_schema(table))
        return pl.scan_parquet(self._parts[table], glob=False, hive_partitioning=False)

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """Run a query on scanned tables; raises `RunError` naming the part that cannot be read."""
        try:
            return query.collect()
        except _FAILURES as error:
            for table, parts in self._parts.items():
                for part in parts:
                    _check_part(part, table)
            raise RunError(f"{self.path}: {first_line(error)}") from error

    def table(self, name: str) -> pl.DataFrame:
        """A table with decoded columns beside the integers; raises `RunError` when it has more than `max_rows` rows."""
        if name not in TABLES:
            raise RunError(f"{self.path}: no table {name[:64]!r}; there are {', '.join(TABLES)}")
        if self._rows[name] > self.max_rows:
            raise RunError(
                f"{self.path / name}: {self._rows[name]} rows are more than max_rows = {self.max_rows}; "
                f"query run.scan({name!r}) instead, or read_run(path, max_rows=...)"
            )
        return self.collect(decoded(self, name, self.scan(name)))

    orders = cached_property[pl.DataFrame](lambda self: self.table("orders"))
    trades = cached_property[pl.DataFrame](lambda self: self.table("trades"))
    quotes = cached_property[pl.DataFrame](lambda self: self.table("quotes"))
    depth = cached_property[pl.DataFrame](lambda self: self.table("depth"))
    accounts = cached_property[pl.DataFrame](lambda self: self.table("accounts"))
    credit = cached_property[pl.DataFrame](lambda self: self.table("credit"))
    milestones = cached_property[pl.DataFrame](lambda self: self.table("milestones"))

    def __repr__(self) -> str:
        return (
            f"<Run {str(self.path)!r} {self.scenario} seed={self.seed} {'complete' if self.complete else 'UNFINISHED'}>"
        )


def verify_digest(run: Run) -> str:
    """Compute the run's digest again from its files; raises `RunError` where a table differs from the manifest.

    Memory: one part. Complexity: O(rows).
    """
    digests = {}
    for table in TABLES:
        digest = TableDigest(table)
        for part in run._parts[table]:
            digest.update(run.collect(pl.scan_parquet(part, glob=False)))
        digests[table] = digest.hexdigest()
    said = run.manifest.get("digests") if run.complete else digests
    for table, value in digests.items():
        if not isinstance(said, dict) or said.get(table) != value:
            raise RunError(f"{run.path / table}: the values are not those that were recorded (digest {value})")
    total = overall_digest(digests)
    if run.complete and total != run.digest:
        raise RunError(f"{run.path / MANIFEST}: digest is {run.digest}, the tables say {total}")
    return total


def _near(path: Path) -> str:
    """The run beside this path whose name is most like it, as a question."""
    try:
        names = sorted(one.name for one in path.parent.iterdir() if (one / MANIFEST).is_file())
    except OSError:
        return ""
    found = get_close_matches(path.name, names[:MAX_PARTS], 1)
    return f"; did you mean {path.parent / found[0]}?" if found else ""


def _check_part(part: Path, table: str) -> None:
    try:
        pl.scan_parquet(part, glob=False).collect()
    except _FAILURES as error:
        raise RunError(f"{part}: damaged part of table {table}: {first_line(error)}") from None


def _rows_of(part: Path, table: str) -> int:
    expected = polars_schema(table)
    try:
        lazy = pl.scan_parquet(part, glob=False)  # read_parquet_schema would take a folder [old] for a pattern
        schema = lazy.collect_schema()
        rows = int(lazy.select(pl.len()).collect().item())
    except _FAILURES as error:
        raise RunError(f"{part}: damaged part of table {table}: {first_line(error)}") from None
    if dict(schema) != expected:
        raise RunError(f"{part}: its columns are not those of table {table}")
    return rows
