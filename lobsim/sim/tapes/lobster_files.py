"""LOBSTER's two kinds of files, line by line: messages and order book rows.

What they mean stands in `lobsim.sim.tapes.lobster`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeAlias

from lobsim.events import Side
from lobsim.sim.tapes.base import FIRST_LEVEL_ID
from lobsim.sim.tapes.lines import MAX_BYTES, fault, read_lines
from lobsim.units import NS_PER_DAY, NS_PER_S

ADD, REDUCE, DELETE, EXECUTE, HIDDEN, CROSS, HALT = range(1, 8)
_MAX_MESSAGE_LINE = 256
_MAX_BOOK_LINE = 1 << 17
_EMPTY = 9_999_999_999
_ROUND_UP = ord("5")
_MESSAGE = re.compile(
    rb"(\d{1,6})(?:\.(\d{1,18}))?,([1-7]),(\d{1,18}),(\d{1,16}),(-?\d{1,16}),(-?1)(?:,[^,]{0,32})?", re.ASCII
)
_BOOK_ROW = re.compile(rb"-?\d{1,16}(?:,-?\d{1,16})*", re.ASCII)
_FIELDS = (
    ("time", rb"\d{1,6}(\.\d{1,18})?", "seconds after midnight, such as 34200.004241176"),
    ("type", rb"[1-7]", "1 to 7"),
    ("order id", rb"\d{1,18}", "a whole number of at most 18 digits"),
    ("size", rb"\d{1,16}", "a whole number of at most 16 digits"),
    ("price", rb"-?\d{1,16}", "a whole number of at most 16 digits"),
    ("direction", rb"-?1", "1 or -1"),
)
HALT_NOTES = {-1: "halt", 0: "quoting_resumed", 1: "trading_resumed"}


class LobsterMessage(NamedTuple):
    """One line. `time_ns` counts from midnight, New York; `price` is in USD / 10,000; `side` the resting order's."""

    line: int
    time_ns: int
    type: int
    order_id: int
    qty: int
    price: int
    side: Side


def read_messages(path: Path, max_bytes: int = MAX_BYTES) -> Iterator[LobsterMessage]:
    """Messages of a file, lazily; raises `TapeError` at the first damaged line."""
    before = 0
    match = _MESSAGE.fullmatch
    for number, line in read_lines(path, max_line=_MAX_MESSAGE_LINE, max_bytes=max_bytes):
        found = match(line)
        if found is None:
            _explain(path, number, line)
        seconds, fraction, kind, order_id, qty, price, direction = found.groups()
        time_ns = int(seconds) * NS_PER_S
        if fraction is not None:
            time_ns += int(fraction[:9].ljust(9, b"0"))
            if len(fraction) > 9 and fraction[9] >= _ROUND_UP:
                time_ns += 1
        side = Side.BUY if direction == b"1" else Side.SELL
        message = LobsterMessage(number, time_ns, int(kind), int(order_id), int(qty), int(price), side)
        if time_ns < before:
            raise fault(path, number, "time goes back", line)
        if time_ns >= NS_PER_DAY:
            raise fault(path, number, "time must be below 86400 seconds after midnight", line)
        _check_values(path, message, line)
        before = time_ns
        yield message


def _check_values(path: Path, message: LobsterMessage, line: bytes) -> None:
    if message.type == HALT:
        if message.price not in HALT_NOTES:
            raise fault(path, message.line, "the price of a halt (type 7) must be -1, 0 or 1", line)
        return
    if message.price < 1:
        raise fault(path, message.line, "price must be at least 1", line)
    if message.type <= EXECUTE:
        if message.qty < 1:
            raise fault(path, message.line, "size must be at least 1", line)
        if not 1 <= message.order_id < FIRST_LEVEL_ID:
            raise fault(path, message.line, "order id must be at least 1 and below 2**60", line)


def _explain(path: Path, number: int, line: bytes) -> NoReturn:
    """Say which field of a line that does not match is wrong."""
    fields = line.split(b",")
    if len(fields) not in (6, 7):
        raise fault(
            path, number, f"a message has 6 fields (time,type,id,size,price,direction), this has {len(fields)}", line
        )
    for (name, pattern, rule), value in zip(_FIELDS, fields, strict=False):
        if not re.fullmatch(pattern, value, re.ASCII):
            raise fault(path, number, f"{name} must be {rule}", value)
    raise fault(path, number, "the seventh field may have at most 32 characters", line)


Levels: TypeAlias = Sequence[tuple[int, int]]


class BookRow(NamedTuple):
    """One row of an order book file: (price, size) per side, best first, in the file's units; empty levels left out."""

    asks: Levels
    bids: Levels


def read_book_rows(path: Path, max_bytes: int = MAX_BYTES) -> Iterator[tuple[int, BookRow]]:
    """(levels per side, row) for each row of an order book file; raises `TapeError` at the first damaged one."""
    columns = 0
    for number, line in read_lines(path, max_line=_MAX_BOOK_LINE, max_bytes=max_bytes):
        if not _BOOK_ROW.fullmatch(line):
            raise fault(path, number, "an order book row is whole numbers with commas between them", line)
        values = list(map(int, line.split(b",")))
        if columns and len(values) != columns:
            raise fault(
                path, number, f"a row must have as many fields as the first ({columns})", f"{len(values)} fields"
            )
        columns = len(values)
        if columns % 4:
            raise fault(path, number, "a row has four fields per level (ask, size, bid, size)", f"{columns} fields")
        asks = tuple((p, q) for p, q in zip(values[::4], values[1::4], strict=True) if q and p < _EMPTY)
        bids = tuple((p, q) for p, q in zip(values[2::4], values[3::4], strict=True) if q and p > -_EMPTY)
        ladder = [price for price, _ in (*reversed(bids), *asks)]
        if any(a >= b for a, b in pairwise(ladder)):
            raise fault(path, number, "bids must fall, asks rise, and the best bid lie below the best ask", line)
        if any(qty < 0 for _, qty in (*bids, *asks)) or (ladder and ladder[0] < 1):
            raise fault(path, number, "prices and sizes must be positive", line)
        yield columns // 4, BookRow(asks, bids)
