"""The recorder: what happens in a run goes to columns, to a digest and, in parts, to disk.

The simulation thread only appends to lists. Every few thousand rows they become polars columns (events are flattened
first: transposing them with one ``zip`` makes an iterator per event, which wakes the garbage collector and costs twice
as much), and every `rows_per_part` rows a checkpoint hands the columns of all tables to one background thread that
derives the tables, hashes them in order and writes one part each. That thread works in polars, zstd and OpenSSL, which
let the simulation run on meanwhile; the recorder waits before it hands over the next part, so that memory never holds
more than two.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from lobsim import __version__
from lobsim.errors import InputError, RunError
from lobsim.events import Event, EventKind
from lobsim.records import TABLES, RunHeader, TableDigest, manifest_of, overall_digest, polars_schema
from lobsim.sim.run_folder import RunFolder

BATCH = 4096
"""Rows that are turned into columns at once."""

_SLOTS = ("event", "time_ns", "order_id", "account_id", "side", "price_ticks", "qty_lots", "slot7", "slot8", "slot9")
_ECHOED = tuple(_SLOTS.index(name) for name in ("price_ticks", "qty_lots", "slot8", "slot9"))
_INT64_MAX = 2**63 - 1
_SCHEMAS = {table: polars_schema(table) for table in TABLES}
_Batches: TypeAlias = list[tuple[pl.Series, npt.NDArray[np.uint32]]]
_Levels: TypeAlias = Sequence[tuple[int, int]]
_Book: TypeAlias = tuple[int, int, int, int, _Levels, _Levels]  # keyframe, seq, time_ns, instrument_id, bids, asks


class Recorder:
    """Records one run into `folder`, or (None) only counts and hashes it.

    Raises `RunError` when the folder is not free (see `RunFolder`) or the disk fails; a failure of the background
    thread surfaces at the next checkpoint. As a context manager it marks the run as stopped unless `close` was called.
    Memory: at most two parts of each table, whatever the length of the run.
    """

    def __init__(
        self,
        folder: str | Path | None,
        header: RunHeader,
        *,
        rows_per_part: int = 250_000,
        overwrite: bool = False,
        threaded: bool = True,
    ) -> None:
        if rows_per_part < 1:
            raise InputError(f"rows_per_part: {rows_per_part} must be at least 1")
        self.folder = None if folder is None else Path(folder)
        self.events_count = 0
        self.digest: str | None = None
        self.digests: dict[str, str] = {}
        self._manifest = manifest_of(header)
        self._manifest |= {"versions": _versions(), "platform": f"{platform.system()} {platform.machine()}"}
        self._files = None
        if self.folder is not None:
            self._files = RunFolder(self.folder, self._manifest, header.scenario_toml, overwrite=overwrite)
        self._rows_per_part = rows_per_part
        self._batch = min(BATCH, rows_per_part)
        self._events: list[Event] = []
        self._owners: list[tuple[int, int]] = []
        self._instrument_id = -1
        self._rows: dict[str, list[tuple[Any, ...]]] = {
            table: [] for table in TABLES if table not in ("orders", "trades")
        }
        self._quotes = self._rows["quotes"]
        self._books: list[_Book] = []  # keyframes that have not become rows of `depth` yet
        self._book_levels = 0
        self._batches: _Batches = []
        self._frames: dict[str, list[pl.DataFrame]] = {table: [] for table in TABLES}
        self._pending = dict.fromkeys(TABLES, 0)
        self._counts = dict.fromkeys(TABLES, 0)
        self._keyframes = 0
        self._hashes = {table: TableDigest(table) for table in TABLES}
        self._last_ns = 0
        self._worker = ThreadPoolExecutor(1, "lobsim-recorder") if threaded else None
        self._written: Future[None] | None = None
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            self.abort(kind.__name__ if kind else "not closed")

    # --- hot path ---------------------------------------------------------------------------------------------------

    def events(self, instrument_id: int, events: Sequence[Event]) -> None:
        """All events of one command (or several whole commands) of one book, in order."""
        buffer = self._events
        if instrument_id != self._instrument_id:
            self._instrument_id = instrument_id
            self._owners.append((len(buffer), instrument_id))
        buffer.extend(events)
        if len(buffer) >= self._batch:
            self._drain("orders")

    def quote(
        self, instrument_id: int, time_ns: int, bid: int | None, bid_qty: int, ask: int | None, ask_qty: int
    ) -> None:
        """Best prices (ticks, None when the side is empty) and displayed lots; call it only when they changed."""
        self._quotes.append((time_ns, instrument_id, bid, bid_qty, ask, ask_qty))
        if len(self._quotes) >= self._batch:
            self._drain("quotes")

    def depth(
        self,
        instrument_id: int,
        time_ns: int,
        bids: Sequence[tuple[int, int]],
        asks: Sequence[tuple[int, int]],
    ) -> None:
        """Keyframe of all displayed levels (ticks, lots), between two commands, after the events handed over so far.

        The lists are kept: do not change them afterwards.
        """
        seq = self.events_count + len(self._events)
        self._books.append((self._keyframes, seq, time_ns, instrument_id, bids, asks))
        self._book_levels += len(bids) + len(asks)
        self._keyframes += 1
        if self._book_levels >= self._batch:
            self._drain("depth")

    def account(
        self,
        time_ns: int,
        account_id: int,
        equity: int,
        maintenance: int,
        margin_level_ppm: int | None,
        leverage_ppm: int | None,
        debt: int,
        collateral_value: int,
    ) -> None:
        """A valuation of one account; amounts in quanta of the numeraire, ratios in millionths (None: undefined)."""
        rows = self._rows["accounts"]
        rows.append((time_ns, account_id, equity, maintenance, margin_level_ppm, leverage_ppm, debt, collateral_value))
        if len(rows) >= self._batch:
            self._drain("accounts")

    def credit(
        self,
        time_ns: int,
        kind: str,
        account_id: int,
        counterparty_id: int | None,
        asset: str,
        amount: int,
        value: int | None,
        ref_id: int | None,
    ) -> None:
        """Something happened to a debt: `amount` in quanta of `asset`, `value` in quanta of the numeraire."""
        rows = self._rows["credit"]
        rows.append((time_ns, kind, account_id, counterparty_id, asset, amount, value, ref_id))
        if len(rows) >= self._batch:
            self._drain("credit")

    def milestone(self, time_ns: int, name: str, amount: int | None = None, unit: str = "") -> None:
        """A link of the chain occurred, with its size."""
        self._rows["milestones"].append((time_ns, name, amount, unit))

    # --- the end ----------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> dict[str, int]:
        """Rows handed over per table; trades are counted when they reach their part."""
        counts = {table: self._counts[table] + len(rows) for table, rows in self._rows.items()}
        counts["depth"] += self._book_levels
        return {"orders": self.events_count + len(self._events), "trades": self._counts["trades"], **counts}

    def close(self, *, end_ns: int | None = None, summary: Mapping[str, object] | None = None) -> str:
        """Write the last parts and the complete manifest; returns the run's digest. A second call does nothing.

        end_ns: when the run ended (default: the last recorded time). summary: plain data for the manifest.
        """
        if self.digest is None:
            self._finish()
            self.digests = {table: hash_.hexdigest() for table, hash_ in self._hashes.items()}
            digest = overall_digest(self.digests)
            self._manifest |= {
                "summary": dict(summary or {}),
                "digests": self.digests,
                "digest": digest,
                "complete": True,
            }
            self._write_manifest(end_ns)
            self.digest = digest
        return self.digest

    def abort(self, reason: str = "", *, end_ns: int | None = None) -> None:
        """Write what is there and leave the run marked as unfinished, with the reason."""
        if not self._open:
            return
        try:
            self._finish()
        except RunError as error:  # the disk failed, perhaps that is why we are here: say so where it still can be read
            reason = f"{reason}; {error}"
        self._manifest["stopped"] = reason
        self._write_manifest(end_ns)

    def _finish(self) -> None:
        if not self._open:
            raise ValueError("the recorder was stopped: the run cannot be completed any more")
        self._open = False
        try:
            self._checkpoint()
            if self._written is not None:
                self._written.result()
        finally:
            if self._worker is not None:
                self._worker.shutdown()

    def _write_manifest(self, end_ns: int | None) -> None:
        if self._files is not None:
            self._manifest["end_ns"] = self._last_ns if end_ns is None else end_ns
            self._manifest["tables"] = {
                table: {"rows": hash_.rows, "parts": self._files.parts[table]} for table, hash_ in self._hashes.items()
            }
            self._files.write_manifest(self._manifest)

    # --- rows to columns --------------------------------------------------------------------------------------------

    def _drain(self, table: str) -> None:
        self._columnise(table)
        if self._pending[table] >= self._rows_per_part:
            self._checkpoint()

    def _columnise(self, table: str) -> None:
        if table == "orders":
            self._columnise_events()
            return
        if table == "depth":
            self._columnise_books()
            return
        rows = self._rows[table]
        if rows:
            self._frames[table].append(_frame_of(table, rows))
            self._pending[table] += len(rows)
            self._counts[table] += len(rows)
            rows.clear()

    def _columnise_events(self) -> None:
        events = self._events
        if events:
            ids = np.array([instrument_id for _, instrument_id in self._owners], dtype=np.uint32)
            lengths = np.diff([*(start for start, _ in self._owners), len(events)])
            self._batches.append((_flat(events), np.repeat(ids, lengths)))
            self._pending["orders"] += len(events)
            self.events_count += len(events)
            events.clear()
            self._owners = [(0, self._instrument_id)]

    def _columnise_books(self) -> None:
        if self._books:
            self._frames["depth"].append(_frame_of_books(self._books))
            self._pending["depth"] += self._book_levels
            self._counts["depth"] += self._book_levels
            self._books.clear()
            self._book_levels = 0

    # --- columns to parts -------------------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        """Hand everything so far to the background thread, so that all tables on disk end at the same moment."""
        self._columnise("orders")
        for table in self._rows:
            self._columnise(table)
        batches, self._batches = self._batches, []
        frames, self._frames = self._frames, {table: [] for table in TABLES}
        self._pending = dict.fromkeys(TABLES, 0)
        if self._worker is None:
            self._write(batches, frames)
            return
        if self._written is not None:
            self._written.result()
        self._written = self._worker.submit(self._write, batches, frames)

    def _write(self, batches: _Batches, frames: dict[str, list[pl.DataFrame]]) -> None:
        if batches:
            raw = _unflatten(batches).with_row_index("seq", self._hashes["orders"].rows)
            batches.clear()
            self._write_table("orders", _orders_of(raw))
            self._write_table("trades", _trades_of(raw))
        for table, parts in frames.items():
            if parts:
                self._write_table(table, pl.concat(parts))

    def _write_table(self, table: str, frame: pl.DataFrame) -> None:
        if frame.height == 0:
            return
        self._hashes[table].update(frame)
        if table == "trades":
            self._counts[table] += frame.height
        self._last_ns = max(self._last_ns, int(frame["time_ns"].max()))  # type: ignore[arg-type]
        if self._files is not None:
            self._files.write_part(table, frame)


def _flat(events: Sequence[Event]) -> pl.Series:
    """All slots of all events, one event after the other."""
    values = list(chain.from_iterable(events))
    try:
        return pl.Series("slots", values, dtype=pl.Int64)
    except (OverflowError, TypeError):
        # a rejected command echoes any number its sender liked; what does not fit a column is recorded as its limit
        for slot in _ECHOED:
            values[slot::10] = [v if v is None else max(-_INT64_MAX, min(_INT64_MAX, v)) for v in values[slot::10]]
        return pl.Series("slots", values, dtype=pl.Int64)


def _unflatten(batches: _Batches) -> pl.DataFrame:
    slots = pl.concat([flat for flat, _ in batches])
    columns = [slots.gather_every(10, offset).alias(name) for offset, name in enumerate(_SLOTS)]
    return pl.DataFrame([pl.Series("instrument_id", np.concatenate([ids for _, ids in batches])), *columns])


def _frame_of(table: str, rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            pl.Series(name, values, dtype=pl.Int128() if isinstance(dtype, pl.Decimal) else dtype).cast(dtype)
            for (name, dtype), values in zip(_SCHEMAS[table].items(), zip(*rows, strict=True), strict=True)
        ]
    )


def _frame_of_books(books: Sequence[_Book]) -> pl.DataFrame:
    sides = [(side, levels) for book in books for side, levels in ((0, book[4]), (1, book[5]))]
    sizes = np.array([len(levels) for _, levels in sides])
    slots = chain.from_iterable(chain.from_iterable(levels for _, levels in sides))
    price_qty = np.fromiter(slots, dtype=np.int64, count=2 * int(sizes.sum()))
    per_book = sizes.reshape(-1, 2).sum(axis=1)
    columns = [np.repeat(np.array(values), per_book) for values in list(zip(*books, strict=True))[:4]]
    columns += [np.repeat(np.array([side for side, _ in sides]), sizes), price_qty[::2], price_qty[1::2]]
    schema = _SCHEMAS["depth"].items()
    return pl.DataFrame([pl.Series(name, c).cast(dtype) for (name, dtype), c in zip(schema, columns, strict=True)])


def _orders_of(raw: pl.DataFrame) -> pl.DataFrame:
    """Give slots 7 to 9 of each kind of event columns of their own."""
    kind = pl.col("event")

    def where(slot: str, *kinds: EventKind) -> pl.Expr:
        return pl.when(kind.is_in([int(k) for k in kinds])).then(pl.col(slot))

    accepted, triggered, refreshed = EventKind.ACCEPTED, EventKind.TRIGGERED, EventKind.REFRESHED
    replaced, canceled = EventKind.REPLACED, EventKind.CANCELED
    met = (EventKind.TRADE, EventKind.DECREMENTED)
    rejected = (EventKind.REJECTED, EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED)
    columns = {
        "purpose": where("slot7", accepted, triggered, *met, refreshed, replaced),
        "reason": where("slot7", canceled, *rejected),
        "display_lots": where("slot8", accepted, triggered, refreshed, replaced, *rejected),
        "hidden_lots": pl.when(kind == int(canceled)).then(pl.col("slot8")).otherwise(where("slot9", refreshed)),
        "trigger_ticks": where("slot9", accepted, triggered, canceled, *rejected),
        "kept_priority": where("slot9", replaced),
        "counter_order_id": where("slot8", *met),
        "counter_account_id": where("slot9", *met),
    }
    schema = _SCHEMAS["orders"]
    return raw.with_columns(**columns).select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _trades_of(raw: pl.DataFrame) -> pl.DataFrame:
    names = {
        "aggressor_side": "side",
        "purpose": "slot7",
        "maker_order_id": "order_id",
        "maker_account_id": "account_id",
        "taker_order_id": "slot8",
        "taker_account_id": "slot9",
    }
    trades = raw.filter(pl.col("event") == int(EventKind.TRADE))
    return trades.select(
        pl.col(names.get(name, name)).cast(dtype).alias(name) for name, dtype in _SCHEMAS["trades"].items()
    )


def _versions() -> dict[str, str]:
    versions = {"lobsim": __version__, "python": platform.python_version()}
    for package in ("numpy", "polars", "simpy", "sortedcontainers"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # pragma: no cover - all four are dependencies
            continue
    return versions
