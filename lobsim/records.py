"""What a run leaves on disk: the tables' columns, the manifest's header, and the digest over decoded values.

A run folder holds ``manifest.json``, ``scenario.toml`` and one folder per table with ``part-00000.parquet`` and so on.
Times are nanoseconds since the run's start, prices ticks, quantities lots, money quanta of the asset; the manifest says
what a tick, a lot and a quantum are. Enums are stored as their numbers (`lobsim.events`).

``orders`` is every event of every book in the order in which it happened. Its columns:

* ``seq`` counts from 0 over all instruments; ``event`` is an `EventKind`.
* A trade (and a decrement) stands once: ``order_id`` and ``account_id`` are the resting order's, ``counter_order_id``
  and ``counter_account_id`` the aggressor's, ``side`` and ``purpose`` the aggressor's.
* ``display_lots``, ``hidden_lots``, ``trigger_ticks``, ``kept_priority``, ``reason``, ``purpose`` are null where the
  event has no such thing. ``price_ticks`` null means "at any price".

``depth`` holds keyframes: all displayed levels of one book between two commands, after the first ``seq`` events of the
run. ``trades`` repeats the trades among the events, ``quotes`` the best prices whenever they changed.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import polars as pl

FORMAT = 1
"""Version of the folder's layout; a reader refuses a later one."""

MANIFEST = "manifest.json"
SCENARIO = "scenario.toml"
PART_NAME = re.compile(r"part-(\d{5})\.parquet")
MONEY_DIGITS = 38


class InstrumentInfo(NamedTuple):
    """One book of the run. `tick` (quote per base), `lot` (base) and `quote_quantum` are decimal text.

    kind: "spot" or "perpetual". venue: name of the venue whose book it is, "" where there is only one.
    """

    instrument_id: int
    name: str
    base: str
    quote: str
    tick: str
    lot: str
    quote_quantum: str
    kind: str = "spot"
    venue: str = ""


class AccountInfo(NamedTuple):
    """One account of the run; account 0 is anonymous and need not be listed."""

    account_id: int
    name: str
    kind: str


class RunHeader(NamedTuple):
    """What is known before the first event: where the run came from and what its numbers mean.

    scenario_toml: the resolved scenario, kept beside the tables. start_utc: ISO 8601 with a Z.
    assets: decimal text of each asset's quantum. numeraire: the asset whose quanta valuations are written in.
    groups: names of instruments that are looked at together; focus: the group whose median fall is the headline.
    targets: real figures that the run is held to, one mapping per row (`lobsim.measure.scorecard` says which keys).
    mechanisms: title and off switches of each part that an ablation may leave out.
    volumes: quote currency that each instrument trades on an ordinary day, where the scenario knows it.
    """

    scenario: str
    scenario_toml: str
    seed: int
    start_utc: str
    instruments: Sequence[InstrumentInfo]
    accounts: Sequence[AccountInfo] = ()
    assets: Mapping[str, str] = {}
    numeraire: str = ""
    groups: Mapping[str, Sequence[str]] = {}
    targets: Sequence[Mapping[str, object]] = ()
    mechanisms: Mapping[str, Mapping[str, object]] = {}
    focus: str = ""
    volumes: Mapping[str, float] = {}


def manifest_of(header: RunHeader) -> dict[str, object]:
    """The manifest of a run that has only begun; it says ``"complete": false``."""
    return {
        "lobsim_format": FORMAT,
        "complete": False,
        "scenario": header.scenario,
        "scenario_hash": hashlib.sha256(header.scenario_toml.encode()).hexdigest(),
        "seed": header.seed,
        "start_utc": header.start_utc,
        "numeraire": header.numeraire,
        "assets": dict(header.assets),
        "instruments": [instrument._asdict() for instrument in header.instruments],
        "accounts": [account._asdict() for account in header.accounts],
        "groups": {name: list(members) for name, members in header.groups.items()},
        "focus": header.focus,
        "volumes": dict(header.volumes),
        "targets": [dict(row) for row in header.targets],
        "mechanisms": {name: dict(mechanism) for name, mechanism in header.mechanisms.items()},
    }


class Column(NamedTuple):
    """One column: `dtype` is the name of a polars type, "Money" a Decimal(38, 0)."""

    name: str
    dtype: str


def _columns(text: str) -> tuple[Column, ...]:
    return tuple(Column(*word.split(":")) for word in text.split())


TABLES: dict[str, tuple[Column, ...]] = {
    "orders": _columns(
        "seq:Int64 time_ns:Int64 instrument_id:UInt32 event:UInt8 order_id:Int64 account_id:Int64 side:UInt8 "
        "price_ticks:Int64 qty_lots:Int64 purpose:UInt8 reason:UInt8 display_lots:Int64 hidden_lots:Int64 "
        "trigger_ticks:Int64 kept_priority:UInt8 counter_order_id:Int64 counter_account_id:Int64"
    ),
    "trades": _columns(
        "seq:Int64 time_ns:Int64 instrument_id:UInt32 price_ticks:Int64 qty_lots:Int64 aggressor_side:UInt8 "
        "purpose:UInt8 maker_order_id:Int64 maker_account_id:Int64 taker_order_id:Int64 taker_account_id:Int64"
    ),
    "quotes": _columns(
        "time_ns:Int64 instrument_id:UInt32 bid_ticks:Int64 bid_lots:Int64 ask_ticks:Int64 ask_lots:Int64"
    ),
    "depth": _columns(
        "keyframe:Int64 seq:Int64 time_ns:Int64 instrument_id:UInt32 side:UInt8 price_ticks:Int64 qty_lots:Int64"
    ),
    "accounts": _columns(
        "time_ns:Int64 account_id:Int64 equity_quanta:Money maintenance_quanta:Money margin_level_ppm:Int64 "
        "leverage_ppm:Int64 debt_quanta:Money collateral_value_quanta:Money"
    ),
    "credit": _columns(
        "time_ns:Int64 kind:String account_id:Int64 counterparty_id:Int64 asset:String amount_quanta:Money "
        "value_quanta:Money ref_id:Int64"
    ),
    "milestones": _columns("time_ns:Int64 name:String amount:Money unit:String"),
}


def polars_schema(table: str) -> dict[str, pl.DataType]:
    """The table's columns as polars types; any column may hold nulls."""
    import polars as pl  # noqa: PLC0415 - schemas are also read where nobody needs polars

    return {
        column.name: pl.Decimal(MONEY_DIGITS, 0) if column.dtype == "Money" else getattr(pl, column.dtype)()
        for column in TABLES[table]
    }


class TableDigest:
    """SHA-256 of a table's decoded values in row order, fed frame by frame.

    Per column two streams are hashed: which rows hold a value (one byte each; for texts four bytes with length + 1) and
    the values themselves (little-endian integers of the column's width, money as decimal text, strings as UTF-8). The
    result does not depend on how the rows were cut into frames, on Parquet's encodings or on the platform.
    Memory: constant.
    """

    def __init__(self, table: str) -> None:
        self.table = table
        self.rows = 0
        self._streams = {column.name: (hashlib.sha256(), hashlib.sha256()) for column in TABLES[table]}

    def update(self, frame: pl.DataFrame) -> None:
        """Take in the next rows. Complexity: O(rows)."""
        import polars as pl  # noqa: PLC0415 - see polars_schema

        self.rows += frame.height
        for column in TABLES[self.table]:
            series = frame.get_column(column.name)
            present, values = self._streams[column.name]
            if column.dtype in ("Money", "String"):
                texts = (series.cast(pl.Int128) if column.dtype == "Money" else series).cast(pl.String)
                present.update(_raw((texts.str.len_bytes() + 1).fill_null(0).cast(pl.UInt32)))
                values.update((texts.str.join("").item() if len(texts) else "").encode())
                continue
            if series.null_count():
                present.update(_raw(series.is_not_null().cast(pl.UInt8)))
                series = series.drop_nulls()
            else:
                present.update(b"\x01" * len(series))
            values.update(_raw(series))

    def hexdigest(self) -> str:
        """Digest of all rows so far."""
        total = hashlib.sha256(f"{self.table} {self.rows}".encode())
        for column in TABLES[self.table]:
            present, values = self._streams[column.name]
            total.update(f" {column.name}:{column.dtype} ".encode() + present.digest() + values.digest())
        return total.hexdigest()


def overall_digest(digests: Mapping[str, str]) -> str:
    """The run's digest from its tables' digests, in the order of `TABLES`."""
    return hashlib.sha256(" ".join(f"{table}={digests[table]}" for table in TABLES).encode()).hexdigest()


def _raw(series: pl.Series) -> bytes:
    array = series.to_numpy()
    return (array.byteswap() if sys.byteorder == "big" else array).tobytes()
