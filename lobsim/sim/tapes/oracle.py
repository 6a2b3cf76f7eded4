"""Workloads of the *Matching Engine Algorithm Performance Challenge*: published order flow with a published answer.

A workload is an ``.npz`` file of six columns, one row per message: ``kind`` u1 (0 new, 1 cancel, 2 modify), ``side``
u1 (0 buy, 1 sell), ``ioc`` u1, ``qty`` u1 (lots), ``oid`` u4, ``px`` i4 (ticks); a row's number is its message's
sequence number. The answer is the SHA-256 of a report with one line per outcome:

====================================  ===================================================================
``0,seq,side,order_id,price,qty``     accepted
``1,seq,price,qty,maker_id,taker_id`` trade
``2,seq,side,order_id,price``         cancelled: on request, or an immediate-or-cancel order's rest
``3,seq,side,order_id,price,qty``     modified (the new terms)
``4,seq,order_id``                    cancel rejected
``5,seq,order_id``                    modify rejected
====================================  ===================================================================

Lines are in the order of messages and, within a message, of their leading number; they are joined by newlines with
none at the end. A modify loses its priority whatever it changes, so the book must be an
``OrderBook(replace_keeps_priority=False)``. Outcomes that the format has no line for (a new order under a live order's
id, a price below one tick, a quantity of 0) are faults of the file.

Source: flash1-dev/matching-engine-benchmark (MIT), arXiv:2606.01183.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lobsim.events import Event, EventKind, Side, TimeInForce
from lobsim.sim.tapes.lines import fault

if TYPE_CHECKING:
    from lobsim.book import OrderBook

MAX_ROWS = 50_000_000

PUBLISHED_SHA256 = {
    "normal-seed23.npz": "e9b2e3926854410b01a035aeb25dd05f1e597c233be8263de9eb49b6713d367e",
    "flash-crash-seed23.npz": "cff8d3f94b709fc64a8b2058a6ca4fb6920364904796e46906895e362d2bb16b",
    "static-seed23.npz": "9803843ee404fc29c9a0aa5614f8f0d5a58b5c44fcac9ef89067886fcaaa30d1",
}

_COLUMNS = {"kind": "u1", "side": "u1", "ioc": "u1", "qty": "u1", "oid": "u4", "px": "i4"}
_LIMITS = {"kind": 2, "side": 1, "ioc": 1}
_NEW, _CANCEL, _MODIFY = 0, 1, 2


class Workload(NamedTuple):
    """A workload's columns as Python lists, ready to be handed to a book. `path` is for messages."""

    path: Path
    kind: list[int]
    side: list[Side]
    tif: list[TimeInForce]
    qty: list[int]
    order_id: list[int]
    price: list[int]

    @property
    def messages(self) -> int:
        """Number of messages."""
        return len(self.kind)


def load_workload(path: str | Path) -> Workload:
    """Read a workload; raises `TapeError` for anything that is not one. Nothing in the file is unpickled."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            columns = {name: _column(path, archive, name, np.dtype(dtype)) for name, dtype in _COLUMNS.items()}
    except OSError as error:
        raise fault(path, 0, f"cannot be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise fault(path, 0, "is no .npz file of a workload", str(error)) from None
    if len({len(column) for column in columns.values()}) != 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise fault(path, 0, "columns must be equally long", lengths)
    for name, most in _LIMITS.items():
        bad = np.flatnonzero(columns[name] > most)
        if len(bad):
            raise fault(path, 0, f"row {bad[0]}: column '{name}' must be at most {most}", int(columns[name][bad[0]]))
    sides = (Side.BUY, Side.SELL)
    tifs = (TimeInForce.GTC, TimeInForce.IOC)
    return Workload(
        path,
        columns["kind"].tolist(),
        [sides[side] for side in columns["side"].tolist()],
        [tifs[ioc] for ioc in columns["ioc"].tolist()],
        columns["qty"].tolist(),
        columns["oid"].tolist(),
        columns["px"].tolist(),
    )


def _column(path: Path, archive: zipfile.ZipFile, name: str, dtype: np.dtype[Any]) -> np.ndarray:
    """One array, read by hand: a header may promise more than there is, and ``np.load`` would reserve memory for it."""
    if f"{name}.npy" not in archive.namelist():
        raise fault(path, 0, f"column '{name}' is missing", ", ".join(archive.namelist()))
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, found = read_header(file)
        if found != dtype or len(shape) != 1:
            raise fault(path, 0, f"column '{name}' must be one-dimensional {dtype.str[1:]}", f"{found.str}, {shape}")
        if shape[0] > MAX_ROWS:
            raise fault(path, 0, f"a workload may have at most {MAX_ROWS} rows", shape[0])
        data = file.read(shape[0] * dtype.itemsize)
    if len(data) != shape[0] * dtype.itemsize:
        raise fault(path, 0, f"column '{name}' is cut: {shape[0]} rows are promised", f"{len(data)} bytes")
    return np.frombuffer(data, dtype)


def run_workload(book: OrderBook, workload: Workload) -> Iterator[list[Event]]:
    """The events of each message, in turn."""
    submit, cancel, replace = book.submit, book.cancel, book.replace
    for kind, side, tif, qty, order_id, price in zip(*workload[1:], strict=True):
        if kind == _NEW:
            yield submit(order_id, side, qty, price, None, tif)
        elif kind == _CANCEL:
            yield cancel(order_id)
        else:
            yield replace(order_id, qty, price)


def drive(book: OrderBook, workload: Workload) -> int:
    """Hand every message to the book and drop the events; returns how many messages. For timing."""
    submit, cancel, replace = book.submit, book.cancel, book.replace
    for kind, side, tif, qty, order_id, price in zip(*workload[1:], strict=True):
        if kind == _NEW:
            submit(order_id, side, qty, price, None, tif)
        elif kind == _CANCEL:
            cancel(order_id)
        else:
            replace(order_id, qty, price)
    return workload.messages


def report_lines(seq: int, events: list[Event]) -> list[str]:
    """One message's report lines; raises `KeyError` (the event's kind) for an outcome that the format cannot tell."""
    if len(events) > 1 and events[0][0] == EventKind.REPLACED:
        events = [*events[1:], events[0]]  # trades (1) come before the modify (3) that caused them
    lines = []
    for event in events:
        kind, _, order_id, _, side, price, qty, _, taker_id, _ = event
        if kind == EventKind.TRADE:
            lines.append(f"1,{seq},{price},{qty},{order_id},{taker_id}")
        elif kind == EventKind.ACCEPTED:
            lines.append(f"0,{seq},{side:d},{order_id},{price},{qty}")
        elif kind == EventKind.CANCELED:
            lines.append(f"2,{seq},{side:d},{order_id},{price}")
        elif kind == EventKind.REPLACED:
            lines.append(f"3,{seq},{side:d},{order_id},{price},{qty}")
        elif kind == EventKind.CANCEL_REJECTED:
            lines.append(f"4,{seq},{order_id}")
        elif kind == EventKind.REPLACE_REJECTED:
            lines.append(f"5,{seq},{order_id}")
        else:
            raise KeyError(kind)
    return lines


def report_sha256(book: OrderBook, workload: Workload, block: int = 50_000) -> str:
    """SHA-256 (hex) of the whole report, made in blocks of about `block` lines so that memory stays bounded."""
    digest = hashlib.sha256()
    lines: list[str] = []
    first = True
    for seq, events in enumerate(run_workload(book, workload)):
        try:
            lines += report_lines(seq, events)
        except KeyError:
            raise fault(workload.path, 0, f"row {seq}: an order that the format has no answer for", events[0]) from None
        if len(lines) >= block:
            digest.update(("" if first else "\n").encode() + "\n".join(lines).encode())
            lines.clear()
            first = False
    if lines:
        digest.update(("" if first else "\n").encode() + "\n".join(lines).encode())
    return digest.hexdigest()
