"""Binance's raw depth stream: a snapshot, then diffs with absolute quantities per price level, and trades.

Only levels are known, so each level is ONE anonymous order whose quantity follows the feed: submitted when the level
appears, replaced when its quantity changes, cancelled when it goes. What rests inside a level is not known: queue
positions in such a book mean nothing.

**Diffs.** Those with ``u <= lastUpdateId`` are dropped; diffs that come before their snapshot wait for it. A gap in
the update ids (note ``gap``) makes the book unknown: diffs wait for the next snapshot, which sets every level anew
(note ``snapshot``). Within a diff everything that shrinks goes before everything that grows, so the book never trades
by accident; a level that the diff proves to be gone (it would cross) is cancelled first (`counts["stale_canceled"]`).

**Trades** (`trades=True`) enter as marketable orders: immediate-or-cancel at the recorded price, for the recorded
quantity. The stream tells levels every 100 ms and trades at once, so between two diffs the book is a little behind. A
print at a price proves three things, and the reader makes the book agree before it sends the order: nothing better is
left on the maker's side, nothing that would cross is left on the other, and the traded quantity was there. So every
print becomes exactly one trade at the recorded price and quantity.

**Staying exact.** A diff already accounts for the trades before it. It sets its own levels; levels that prints have
touched since the diff before, and that the diff does not name, did not change at the exchange and get their old
quantity back (`counts["restored"]`). A print whose trade time is not after the last diff's event time arrived late:
the diff accounts for it already. It enters in the same way and the levels are put back at once
(`counts["late_trades"]`). Hence the book after a diff is the same with and without trades.

Refused and counted in `skipped`: ``unknown_stream`` (kinds of messages that are not needed here), ``other_symbol``,
``old_diff``, ``old_snapshot``, ``out_of_sync`` (trades before the first snapshot or in a gap),
``diffs_without_snapshot``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from lobsim.errors import GridError
from lobsim.events import CancelOrder, Command, Side
from lobsim.sim.tapes.base import (
    MAX_PRICE_TICKS,
    MAX_QTY_LOTS,
    BookView,
    Tape,
    TapeBatch,
    TapeNote,
    grid_of,
    level_id,
    set_level,
    utc_text,
    whole_second,
)
from lobsim.sim.tapes.binance_files import (
    BestQuote,
    DepthDiff,
    DepthSnapshot,
    LevelTexts,
    Other,
    Print,
    Record,
    infer_grid,
    read_records,
)
from lobsim.sim.tapes.lines import MAX_BYTES, fault
from lobsim.units import NS_PER_S

MAX_WAITING_LEVELS = 1_000_000
"""Levels in diffs that wait for a snapshot; a recording that has more of them is refused."""

Changes = dict[tuple[Side, int], int]
"""Quantities in lots by (side, price in ticks); 0 = the level goes."""


class BinanceL2Tape(Tape):
    """Replays a recording of one symbol; see the module's text for the rules.

    tick, lot: decimal text; None takes the coarsest power of ten that fits the file (one pass over it). symbol: the
    one to replay, None takes the first that appears. trades: whether trades enter. Time 0 is the whole second at or
    before the first line.
    """

    kind: ClassVar[str] = "binance-l2"

    def __init__(
        self,
        path: str | Path,
        *,
        tick: str | None = None,
        lot: str | None = None,
        symbol: str | None = None,
        trades: bool = True,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        super().__init__(path, max_bytes)
        self.trades = trades
        first = next(read_records(self.path, max_bytes), None)
        if first is None:
            raise fault(self.path, 0, "the tape is empty")
        self._start_ns = whole_second(first.time_ns)
        self.start_utc = utc_text(self._start_ns // NS_PER_S)
        if tick is None or lot is None:
            found = infer_grid(self.path, max_bytes=max_bytes)
            tick, lot = tick or found[0], lot or found[1]
        self.tick, self.lot = tick, lot
        ticks, lots = grid_of(self.path, tick, "price"), grid_of(self.path, lot, "quantity")
        # texts repeat: most messages are about the same few prices
        self._count_ticks = lru_cache(1 << 16)(ticks.count)
        self._count_lots = lru_cache(1 << 16)(lots.count)
        self.symbol = symbol or next(
            (r.symbol for r in self._head() if isinstance(r, DepthDiff | Print | BestQuote)), ""
        )
        self._forget()

    def _head(self) -> Iterator[Record]:
        for record in read_records(self.path, self.max_bytes):
            yield record
            if record.line >= 1_000:
                return

    def _forget(self) -> None:
        self._restart()
        self._last_id: int | None = None  # None: out of sync, diffs wait for a snapshot
        self._first_diff = True
        self._event_ms = -1
        self._waiting: list[DepthDiff] = []
        self._waiting_levels = 0
        self._touched: Changes = {}

    def records(self) -> Iterator[Record]:
        """The file's records, as they were received."""
        return read_records(self.path, self.max_bytes)

    def batches(self, book: BookView) -> Iterator[TapeBatch]:
        """See `Tape.batches`."""
        self._forget()
        for record in self.records():
            yield from self.enter(record, book)
        self.finish()

    def finish(self) -> None:
        """Say so when the recording ended without a (new) snapshot; raises `TapeError` if it never had one."""
        if not self.counts["snapshots"]:
            raise fault(self.path, 0, "a recording needs a depth snapshot (a line with lastUpdateId, bids and asks)")
        if self._waiting:
            self.skipped["diffs_without_snapshot"] += len(self._waiting)

    def enter(self, record: Record, book: BookView) -> Iterator[TapeBatch]:
        """The batches of one record, given the book as it stands."""
        if isinstance(record, Other):
            self.skipped["unknown_stream"] += 1
        elif isinstance(record, DepthSnapshot):
            yield from self._snapshot(record, book)
        elif record.symbol != self.symbol:
            self.skipped["other_symbol"] += 1
        elif isinstance(record, DepthDiff):
            yield from self._diff(record, book, record.time_ns)
        elif isinstance(record, Print):
            self.counts["trades"] += 1
            if self.trades:
                yield from self._print(record, book)
        else:
            self.counts["best_quotes"] += 1

    def _snapshot(self, record: DepthSnapshot, book: BookView) -> Iterator[TapeBatch]:
        if self._last_id is not None and record.last_id <= self._last_id:
            self.skipped["old_snapshot"] += 1
            return
        self.counts["snapshots"] += 1
        changes: Changes = {}
        for side, levels in ((Side.BUY, book.bids()), (Side.SELL, book.asks())):
            changes.update(((side, price), 0) for price, _ in levels if book.order(level_id(side, price)) is not None)
        changes.update(self._levels(record.bids, record.asks, record.line))
        time_ns = record.time_ns - self._start_ns
        commands = self._commands(book, changes, time_ns, record.line)
        self._last_id, self._first_diff = record.last_id, True
        self._touched.clear()
        waiting, self._waiting, self._waiting_levels = self._waiting, [], 0
        yield TapeBatch(time_ns, commands, (TapeNote(time_ns, "snapshot"),), record.line)
        for diff in waiting:
            yield from self._diff(diff, book, record.time_ns)

    def _diff(self, record: DepthDiff, book: BookView, received_ns: int) -> Iterator[TapeBatch]:
        time_ns = received_ns - self._start_ns
        if self._last_id is None:
            self._wait(record)
            return
        if record.last_id <= self._last_id:
            self.skipped["old_diff"] += 1
            return
        chained = record.previous_id is not None and not self._first_diff
        if (record.previous_id or 0) > self._last_id if chained else record.first_id > self._last_id + 1:
            self.counts["gaps"] += 1
            self._last_id = None
            self._touched.clear()
            self._wait(record)
            yield TapeBatch(time_ns, (), (TapeNote(time_ns, "gap"),), record.line)
            return
        self.counts["diffs"] += 1
        changes = self._levels(record.bids, record.asks, record.line)
        for key, qty in self._touched.items():
            if key not in changes:
                order = book.order(level_id(*key))
                self.counts["restored"] += (order.qty if order else 0) != qty
                changes[key] = qty
        self._touched.clear()
        commands = self._commands(book, changes, time_ns, record.line)
        self._last_id, self._first_diff, self._event_ms = record.last_id, False, record.event_ms
        self._check_size(book, record.line)
        yield TapeBatch(time_ns, commands, (), record.line)

    def _wait(self, record: DepthDiff) -> None:
        self._waiting.append(record)
        self._waiting_levels += len(record.bids) + len(record.asks) + 1
        if self._waiting_levels > MAX_WAITING_LEVELS:
            raise fault(self.path, record.line, f"no snapshot for more than {MAX_WAITING_LEVELS} changed levels")

    def _commands(self, book: BookView, changes: Changes, time_ns: int, line: int) -> list[Command]:
        """Set every level: first what goes or shrinks, then what is proven stale, then what comes or grows."""
        best_bid = max((price for (side, price), qty in changes.items() if side is Side.BUY and qty), default=None)
        best_ask = min((price for (side, price), qty in changes.items() if side is Side.SELL and qty), default=None)
        if best_bid is not None and best_ask is not None and best_bid >= best_ask:
            raise fault(self.path, line, "a message's bids must lie below its asks", f"{best_bid} >= {best_ask} ticks")
        shrink: list[Command] = []
        grow: list[Command] = []
        for (side, price), qty in changes.items():
            command = set_level(book, side, price, qty, time_ns)
            if command is not None:
                order = book.order(level_id(side, price))
                (shrink if order is not None and qty < order.qty else grow).append(command)
        for side, bound in ((Side.SELL, best_bid), (Side.BUY, best_ask)):
            for price in [] if bound is None else _up_to(book, side, bound):
                if (side, price) not in changes and book.order(level_id(side, price)) is not None:
                    self.counts["stale_canceled"] += 1
                    shrink.append(CancelOrder(level_id(side, price), time_ns))
        return shrink + grow

    def _print(self, record: Print, book: BookView) -> Iterator[TapeBatch]:
        if self._last_id is None:
            self.skipped["out_of_sync"] += 1
            return
        time_ns = record.time_ns - self._start_ns
        price, qty = self._ticks(record.price, record.line), self._lots(record.qty, record.line)
        if qty == 0:
            raise fault(self.path, record.line, "a trade's quantity must be greater than 0", record.qty)
        taker_side = record.aggressor_side
        maker_side = Side(1 - taker_side)
        late = record.trade_ms <= self._event_ms
        before: Changes = {}
        commands: list[Command] = []
        better = [p for p in _up_to(book, maker_side, price) if p != price]
        for side, gone in ((maker_side, better), (taker_side, _up_to(book, taker_side, price))):
            for stale in gone:
                order = book.order(level_id(side, stale))
                if order is not None:
                    before[side, stale] = order.qty
                    commands.append(CancelOrder(order.order_id, time_ns))
        maker = book.order(level_id(maker_side, price))
        there = maker.qty if maker else 0
        before[maker_side, price] = there
        needed = there + qty if late else max(there, qty)
        command = set_level(book, maker_side, price, min(needed, MAX_QTY_LOTS), time_ns)
        if command is not None:
            self.counts["late_trades" if late else "raised"] += 1
            commands.append(command)
        commands.append(self._taker(taker_side, qty, price, time_ns))
        self._check_size(book, record.line)
        if not late:
            for key, known in before.items():
                self._touched.setdefault(key, known)
            if len(self._touched) > MAX_WAITING_LEVELS:
                raise fault(self.path, record.line, f"trades at more than {MAX_WAITING_LEVELS} levels without a diff")
        yield TapeBatch(time_ns, commands, (), record.line)
        if late:
            back = (set_level(book, side, level, known, time_ns) for (side, level), known in before.items())
            restore = [command for command in back if command is not None]
            if restore:
                yield TapeBatch(time_ns, restore, (), record.line)

    def _levels(self, bids: LevelTexts, asks: LevelTexts, line: int) -> Changes:
        return {
            (side, self._ticks(price, line)): self._lots(qty, line)
            for side, levels in ((Side.BUY, bids), (Side.SELL, asks))
            for price, qty in levels
        }

    def _ticks(self, text: str, line: int) -> int:
        try:
            ticks = self._count_ticks(text)
        except GridError as error:
            raise fault(self.path, line, f"off the tick grid ({error}); give the tape a finer tick") from None
        if not 1 <= ticks <= MAX_PRICE_TICKS:
            raise fault(self.path, line, f"a price must be 1 to {MAX_PRICE_TICKS} ticks", text)
        return ticks

    def _lots(self, text: str, line: int) -> int:
        try:
            lots = self._count_lots(text)
        except GridError as error:
            raise fault(self.path, line, f"off the lot grid ({error}); give the tape a finer lot") from None
        if lots > MAX_QTY_LOTS:
            raise fault(self.path, line, f"a quantity must be at most {MAX_QTY_LOTS} lots", text)
        return lots


def _up_to(book: BookView, side: Side, bound: int) -> Iterable[int]:
    """Prices of `side` from the best to `bound`, that price included. O(1) when there is none."""
    best = book.best_bid if side is Side.BUY else book.best_ask
    if best is None or (best < bound if side is Side.BUY else best > bound):
        return ()
    limit = 8
    while True:
        levels = book.bids(limit) if side is Side.BUY else book.asks(limit)
        prices = [price for price, _ in levels if (price >= bound if side is Side.BUY else price <= bound)]
        if len(prices) < len(levels) or len(levels) < limit:
            return prices
        limit *= 8
