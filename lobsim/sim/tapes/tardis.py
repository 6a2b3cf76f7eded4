"""Trades files of tardis.dev: every print of a symbol and day, without a book.

Columns: ``exchange,symbol,timestamp,local_timestamp,id,side,price,amount`` with a header; times in microseconds since
1970 (the exchange's and the receiver's), side = the aggressor's, "unknown" where the exchange does not say.

A *sweep* is what one market order did to the book: the prints of one timestamp and side, as long as their prices do
not get better for the aggressor. (Prints of the other side with the same timestamp may stand between them in the
feed.) Its fills imply the book that it met (`implied_book`): each fill is an order that rested at its price, in that
order. The tape lets these orders rest one nanosecond before the sweep and then sends one market order for the total,
so every print comes back as a trade, and `slippage` on the book just before tells what the order cost. Between sweeps
the book is empty: only traded quantity is known.

Refused and counted in `skipped`: ``unknown_side``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, takewhile
from operator import attrgetter
from pathlib import Path
from typing import ClassVar, NamedTuple

from lobsim.errors import GridError
from lobsim.events import Command, Purpose, Side, SubmitOrder
from lobsim.sim.tapes.base import (
    FIRST_TAKER_ID,
    MAX_PRICE_TICKS,
    MAX_QTY_LOTS,
    BookView,
    Tape,
    TapeBatch,
    grid_of,
    utc_text,
    whole_second,
)
from lobsim.sim.tapes.binance_files import coarsest_step
from lobsim.sim.tapes.lines import MAX_BYTES, fault, read_lines
from lobsim.units import NS_PER_S, NS_PER_US

HEADER = b"exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
MAX_SWEEP_FILLS = 100_000
"""More prints than this in one timestamp are no single order; the file is refused."""

_ROW = re.compile(
    rb"([^,]{1,40}),([^,]{1,40}),(\d{1,16}),(\d{1,16}),([^,]{0,64}),(buy|sell|unknown),"
    rb"(\d{1,20}(?:\.\d{1,20})?(?:e-?\d)?),(\d{1,20}(?:\.\d{1,20})?(?:e-?\d)?)",  # small amounts look like 1e-8
    re.ASCII,
)
_SIDES = {b"buy": Side.BUY, b"sell": Side.SELL}


class TardisPrint(NamedTuple):
    """One trade; times in microseconds since 1970, `side` the aggressor's (None: unknown), decimal texts."""

    line: int
    symbol: str
    timestamp_us: int
    local_us: int
    side: Side | None
    price: str
    qty: str


class Fill(NamedTuple):
    """A fill in ticks and lots."""

    price: int
    qty: int


def read_prints(path: Path, max_bytes: int = MAX_BYTES) -> Iterator[TardisPrint]:
    """Prints of a file, lazily; raises `TapeError` at the first damaged line."""
    lines = read_lines(path, max_line=512, max_bytes=max_bytes, must_end=True)
    head = next(lines, None)
    if head is None:
        raise fault(path, 0, "the tape is empty")
    if head[1] != HEADER:
        raise fault(path, 1, f"the header must be '{HEADER.decode()}'", head[1])
    before = 0
    for number, line in lines:
        found = _ROW.fullmatch(line)
        if found is None:
            raise fault(path, number, f"a row must be '{HEADER.decode()}', times in microseconds", line)
        _, symbol, timestamp, local, _, side, price, qty = found.groups()
        time_us = int(timestamp)
        if time_us < before:
            raise fault(path, number, f"time goes back from {before}", time_us)
        before = time_us
        name = symbol.decode("ascii", "backslashreplace")
        yield TardisPrint(number, name, time_us, int(local), _SIDES.get(side), price.decode(), qty.decode())


def infer_grid(prints: Iterator[TardisPrint] | Sequence[TardisPrint]) -> tuple[str, str]:
    """(tick, lot): the coarsest powers of ten that fit all these prints."""
    tick = lot = "1"
    for print_ in prints:
        if not print_.price.isdigit():
            tick = coarsest_step((tick, print_.price))
        if not print_.qty.isdigit():
            lot = coarsest_step((lot, print_.qty))
    return tick, lot


def implied_book(side: Side, fills: Sequence[Fill], time_ns: int, first_id: int = 1) -> list[Command]:
    """The orders that an aggressor of `side` met: each fill an order at its price, first filled first in line."""
    return [
        SubmitOrder(first_id + i, Side(1 - side), fill.qty, fill.price, time_ns, purpose=Purpose.TAPE)
        for i, fill in enumerate(fills)
    ]


class TardisTradesTape(Tape):
    """Replays prints as sweeps over the books they imply; see the module's text.

    tick, lot: decimal text; None takes the coarsest power of ten that fits the file (one pass over it). Time 0 is the
    whole second at or before the first print.
    """

    kind: ClassVar[str] = "tardis-trades"

    def __init__(
        self, path: str | Path, *, tick: str | None = None, lot: str | None = None, max_bytes: int = MAX_BYTES
    ) -> None:
        super().__init__(path, max_bytes)
        first = next(self.prints(), None)
        if first is None:
            raise fault(self.path, 0, "the tape has no trades")
        self.symbol = first.symbol
        self._start_ns = whole_second(first.timestamp_us * NS_PER_US)
        self.start_utc = utc_text(self._start_ns // NS_PER_S)
        if tick is None or lot is None:
            found = infer_grid(self.prints())
            tick, lot = tick or found[0], lot or found[1]
        self.tick, self.lot = tick, lot
        self._count_ticks = lru_cache(1 << 16)(grid_of(self.path, tick, "price").count)
        self._count_lots = lru_cache(1 << 16)(grid_of(self.path, lot, "quantity").count)

    def prints(self) -> Iterator[TardisPrint]:
        """The file's prints, as they are recorded."""
        return read_prints(self.path, self.max_bytes)

    def batches(self, book: BookView) -> Iterator[TapeBatch]:
        """See `Tape.batches`. Two batches per sweep: the implied book, then the order."""
        self._restart()
        first_id = 1
        now_ns = -1
        for line, time_ns, side, fills in self._sweeps():
            before_ns = max(now_ns, time_ns - 1, 0)  # a second sweep of the same moment cannot rest before the first
            yield TapeBatch(before_ns, implied_book(side, fills, before_ns, first_id), (), line)
            first_id += len(fills)
            self.counts["sweeps"] += 1
            order = SubmitOrder(
                FIRST_TAKER_ID + self.counts["sweeps"],
                side,
                sum(fill.qty for fill in fills),
                None,
                time_ns,
                purpose=Purpose.TAPE,
            )
            yield TapeBatch(time_ns, (order,), (), line)
            now_ns = time_ns
            self._check_size(book, line)

    def _sweeps(self) -> Iterator[tuple[int, int, Side, list[Fill]]]:
        """(first line, time, aggressor's side, fills) of each sweep, in order of their first prints."""
        for timestamp_us, prints in groupby(self.prints(), key=attrgetter("timestamp_us")):
            runs: list[tuple[int, int, Side, list[Fill]]] = []
            present: dict[Side, list[Fill]] = {}
            for number, print_ in enumerate(prints):
                if number == MAX_SWEEP_FILLS:
                    raise fault(self.path, print_.line, f"more than {MAX_SWEEP_FILLS} prints in one timestamp")
                if print_.side is None:
                    self.skipped["unknown_side"] += 1
                    continue
                self.counts["trades"] += 1
                fill, side = self._fill(print_), print_.side
                run = present.get(side)
                if run is None or (fill.price < run[-1].price if side is Side.BUY else fill.price > run[-1].price):
                    run = present[side] = []
                    runs.append((print_.line, timestamp_us * NS_PER_US - self._start_ns, side, run))
                run.append(fill)
            yield from runs

    def _fill(self, print_: TardisPrint) -> Fill:
        try:
            fill = Fill(self._count_ticks(print_.price), self._count_lots(print_.qty))
        except GridError as error:
            raise fault(self.path, print_.line, f"off the grid ({error}); give a finer tick or lot") from None
        if not (1 <= fill.price <= MAX_PRICE_TICKS and 1 <= fill.qty <= MAX_QTY_LOTS):
            raise fault(
                self.path, print_.line, "price and amount must be greater than 0 and below 2**53 ticks and lots", fill
            )
        return fill

    def sweep_at(self, timestamp_us: int) -> tuple[Side, list[Fill]]:
        """The fills, in order, of the largest sweep at that exchange time; raises `TapeError` when there is none."""
        time_ns = timestamp_us * NS_PER_US - self._start_ns
        sweeps = takewhile(lambda sweep: sweep[1] <= time_ns, self._sweeps())
        found = [(side, fills) for _, at_ns, side, fills in sweeps if at_ns == time_ns]
        if not found:
            raise fault(self.path, 0, f"no trades at timestamp {timestamp_us}")
        return max(found, key=lambda sweep: len(sweep[1]))
