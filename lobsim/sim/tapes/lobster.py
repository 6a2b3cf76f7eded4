"""LOBSTER message files (NASDAQ, lobsterdata.com): every order of one stock and day, within a band of price levels.

A message is ``time,type,order id,size,price,direction`` without a header: seconds after midnight in New York, shares,
USD x 10,000; the direction (1 buy, -1 sell) is the RESTING order's, also for executions. A seventh column is ignored.
Times are taken from the decimal text; digits beyond the nanosecond (35821.088778456004: noise of somebody's floats)
are rounded.

====  =========================================================================================================
type  what it does to the book
====  =========================================================================================================
1     a new limit order, under its recorded id 2     part of an order is cancelled: its quantity shrinks, its place
stays 3     an order is deleted 4     an execution: a marketable order (immediate-or-cancel at the recorded price) of
the other side, so that price-time
      priority decides whom it hits; where the feed names another order than the first in the queue, see below
5     execution of a hidden order: note ``hidden_execution``; the visible book does not change
6     auction: note ``cross``; the visible book does not change
7     halt: note ``halt`` (price -1), ``quoting_resumed`` (0) or ``trading_resumed`` (1)
====  =========================================================================================================

Orders that rested before the file begins are known only as quantity per level, and only when an order book file is
given: its row 0 (the state after message 0) becomes one anonymous order per level, ahead of all later ones, and
message 0 is not applied again. A message about an order that is not in the book takes from the anonymous quantity at
its price.

A file of L levels holds only messages inside the L-level band of that moment. What left the band may have gone
unnoticed: beyond the `KnownHorizon` the book may hold orders that no longer exist. A print proves that nothing better
than its price is left on its side, and a new order that nothing it would trade with is left on the other; the reader
cancels such orders first (`counts["stale_canceled"]`).

The engine hits the first order in the queue. Where the recorded maker stands behind others (0.6 % of AAPL's
executions), the trade is recorded as price-time priority makes it, and the level is then put right: every order gets
the quantity that the feed says and the old order of the queue, by replaces at the same nanosecond
(`counts["queue_repaired"]`). Quantities and places therefore stay those of the feed.

Refused and counted in `skipped` (real feeds do these, and no single row is to blame): ``duplicate_id`` (a new order
under a live order's id), ``unknown_order`` (cancel, delete or execution of an order that is neither known nor covered
by anonymous quantity), ``more_than_open`` (larger than what is left: what is left is taken). Everything else that is
wrong with a line is a `TapeError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lobsim.errors import GridError
from lobsim.events import CancelOrder, Command, Purpose, ReplaceOrder, Side, SubmitOrder
from lobsim.sim.tapes.base import (
    MAX_PRICE_TICKS,
    MAX_QTY_LOTS,
    BookView,
    Tape,
    TapeBatch,
    TapeNote,
    is_tape_id,
    level_id,
    stale_orders,
    utc_text,
    whole_second,
)
from lobsim.sim.tapes.lines import MAX_BYTES, fault, printable
from lobsim.sim.tapes.lobster_files import (
    ADD,
    DELETE,
    EXECUTE,
    HALT,
    HALT_NOTES,
    HIDDEN,
    REDUCE,
    BookRow,
    Levels,
    LobsterMessage,
    read_book_rows,
    read_messages,
)
from lobsim.units import NS_PER_S, Grid

PRICE_UNIT = "0.0001"
"""LOBSTER writes prices in this many dollars."""

_FILE_NAME = re.compile(
    r"([A-Za-z0-9.\-]{1,16})_(\d{4}-\d{2}-\d{2})_(\d{1,9})_(\d{1,9})_(?:message|orderbook)_(\d{1,4})"
)


class LobsterTape(Tape):
    """Replays a LOBSTER message file; see the module's text for what each message does.

    book: an order book file of the same recording, whose row 0 seeds the levels. date: ISO text, if the file's name
    does not say it. tick: instrument's tick in dollars; every price must lie on it. Time 0 is the whole second at or
    before the first message.
    """

    kind: ClassVar[str] = "lobster"

    def __init__(
        self,
        path: str | Path,
        *,
        book: str | Path | None = None,
        tick: str = PRICE_UNIT,
        lot: str = "1",
        date: str | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        super().__init__(path, max_bytes)
        self.tick, self.lot = tick, lot
        self._units_per_tick = self._steps(PRICE_UNIT, tick, "tick")
        self._shares_per_lot = self._steps("1", lot, "lot")
        self.book_path = None if book is None else Path(book)
        self.levels: int | None = None
        name = _FILE_NAME.match(self.path.name)
        if name:
            self.symbol, self.levels = name[1], int(name[5])
        first = next(read_messages(self.path, max_bytes), None)
        if first is None:
            raise fault(self.path, 0, "the tape is empty")
        self._start_ns = whole_second(first.time_ns)
        self.start_utc = self._start_utc(date or (name[2] if name else None))
        if self.book_path is not None and next(read_book_rows(self.book_path, max_bytes), None) is None:
            raise fault(self.book_path, 0, "the order book file is empty")

    def _steps(self, unit: str, step: str, name: str) -> int:
        try:
            steps = Grid(unit, name).count(step)
        except GridError as error:
            raise fault(self.path, 0, str(error)) from None
        if steps < 1:
            raise fault(self.path, 0, f"{name} must be greater than 0", step)
        return steps

    def _start_utc(self, day: str | None) -> str | None:
        if day is None:
            return None
        try:
            midnight = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=ZoneInfo("America/New_York"))
            # wall clock arithmetic: a session never spans the night in which clocks change
            return utc_text(int((midnight + timedelta(seconds=self._start_ns // NS_PER_S)).timestamp()))
        except ValueError:
            raise fault(self.path, 0, "the date must be a day such as 2012-06-21", day) from None
        except (ZoneInfoNotFoundError, OverflowError):
            return None  # a machine without time zones: clock times of this tape are unknown

    def messages(self) -> Iterator[LobsterMessage]:
        """The file's messages, as they are recorded."""
        return read_messages(self.path, self.max_bytes)

    def batches(self, book: BookView) -> Iterator[TapeBatch]:
        """See `Tape.batches`."""
        self._restart()
        messages = self.messages()
        if self.book_path is not None:
            first = next(messages, None)
            if first is not None:
                yield self.seed(first)
        for message in messages:
            yield from self.enter(message, book)

    def seed(self, first: LobsterMessage) -> TapeBatch:
        """Row 0 of the order book file as one anonymous order per level, at the time of message 0."""
        if self.book_path is None:
            raise fault(self.path, 0, "there is no order book file to seed from")
        _, row = next(read_book_rows(self.book_path, self.max_bytes))
        time_ns = first.time_ns - self._start_ns
        commands: list[Command] = []
        for side, levels in ((Side.BUY, row.bids), (Side.SELL, row.asks)):
            for price, qty in levels:
                ticks, lots = self._ticks(price, 1, self.book_path), self._lots(qty, 1, self.book_path)
                order_id = level_id(side, ticks)
                commands.append(SubmitOrder(order_id, side, lots, ticks, time_ns, purpose=Purpose.TAPE))
        self.counts["seeded_levels"] += len(commands)
        return TapeBatch(time_ns, commands, (), 1)

    def enter(self, message: LobsterMessage, book: BookView) -> Iterator[TapeBatch]:
        """One message's batches, given the book as it stands: none when it is refused, two when a queue is repaired."""
        time_ns = message.time_ns - self._start_ns
        line, side = message.line, message.side
        if message.type >= HIDDEN:
            yield TapeBatch(time_ns, (), (self._note(message, time_ns),), line)
            return
        price, qty = self._ticks(message.price, line), self._lots(message.qty, line)
        if message.type == ADD:
            self.counts["added"] += 1
            if book.order(message.order_id) is not None:
                self.skipped["duplicate_id"] += 1
                return
            commands = self._clear(book, Side(1 - side), price, time_ns, at_price=True)
            commands.append(SubmitOrder(message.order_id, side, qty, price, time_ns, purpose=Purpose.TAPE))
            self._check_size(book, line)
            yield TapeBatch(time_ns, commands, (), line)
            return
        maker = book.order(message.order_id)
        if maker is None or maker.side is not side or maker.price != price:
            maker = book.order(level_id(side, price))
        if maker is None:
            self.skipped["unknown_order"] += 1
            return
        if qty > maker.qty:
            self.skipped["more_than_open"] += 1
            qty = maker.qty
        if message.type == EXECUTE:
            yield from self._execute(message, book, maker.order_id, price, qty)
            return
        left = 0 if message.type == DELETE and maker.order_id == message.order_id else maker.qty - qty
        self.counts["reduced" if message.type == REDUCE else "deleted"] += 1
        if left:
            yield TapeBatch(time_ns, (ReplaceOrder(maker.order_id, left, price, time_ns),), (), line)
        else:
            yield TapeBatch(time_ns, (CancelOrder(maker.order_id, time_ns),), (), line)

    def _execute(
        self, message: LobsterMessage, book: BookView, maker_id: int, price: int, qty: int
    ) -> Iterator[TapeBatch]:
        time_ns, line, side = message.time_ns - self._start_ns, message.line, message.side
        self.counts["executed"] += 1
        jumped = book.queue_position(maker_id) != 0
        queue = _queue(book, side, price) if jumped else []
        commands = self._clear(book, side, price, time_ns, at_price=False)
        commands.append(self._taker(Side(1 - side), qty, price, time_ns))
        yield TapeBatch(time_ns, commands, (), line)
        if jumped:
            repair = self._repair(book, side, price, queue, maker_id, qty, time_ns)
            if repair:
                self.counts["queue_repaired"] += 1
                yield TapeBatch(time_ns, repair, (), line)

    @staticmethod
    def _repair(
        book: BookView, side: Side, price: int, queue: list[tuple[int, int]], maker_id: int, qty: int, time_ns: int
    ) -> list[Command]:
        """Give each order of a level the quantity and place that the feed says after `maker_id` alone lost `qty`."""
        commands: list[Command] = []
        if all(_open_qty(book, order_id) == before for order_id, before in queue if order_id != maker_id):
            return commands  # an agent stood ahead, and nobody else's order was hit
        for order_id, before in queue:
            left = before - qty if order_id == maker_id else before
            order = book.order(order_id)
            if order is None:
                if left:
                    commands.append(SubmitOrder(order_id, side, left, price, time_ns, purpose=Purpose.TAPE))
            elif left == 0:
                commands.append(CancelOrder(order_id, time_ns))
            else:
                if left < order.qty:
                    commands.append(ReplaceOrder(order_id, left, price, time_ns))
                commands.append(ReplaceOrder(order_id, left, price, time_ns))  # the same quantity: to the back
        return commands

    def _clear(self, book: BookView, side: Side, price: int, time_ns: int, *, at_price: bool) -> list[Command]:
        """Cancel what the message at `price` proves to be gone from `side`."""
        stale = stale_orders(book, side, price, bound_too=at_price)
        self.counts["stale_canceled"] += len(stale)
        return [CancelOrder(order_id, time_ns) for order_id, _, _ in stale]

    def _note(self, message: LobsterMessage, time_ns: int) -> TapeNote:
        if message.type == HALT:
            self.counts["halts"] += 1
            return TapeNote(time_ns, HALT_NOTES[message.price])
        kind = "hidden_execution" if message.type == HIDDEN else "cross"
        self.counts[kind] += 1
        ticks, rest = divmod(message.price, self._units_per_tick)
        return TapeNote(time_ns, kind, message.side, None if rest else ticks, message.qty // self._shares_per_lot)

    def _ticks(self, price: int, line: int, path: Path | None = None) -> int:
        ticks, rest = divmod(price, self._units_per_tick)
        if rest or not 1 <= ticks <= MAX_PRICE_TICKS:
            raise fault(
                path or self.path, line, f"price must lie on the tick grid of {printable(self.tick)} USD", price
            )
        return ticks

    def _lots(self, qty: int, line: int, path: Path | None = None) -> int:
        lots, rest = divmod(qty, self._shares_per_lot)
        if rest or not 1 <= lots <= MAX_QTY_LOTS:
            raise fault(path or self.path, line, f"size must be a whole number of lots of {printable(self.lot)}", qty)
        return lots


def _open_qty(book: BookView, order_id: int) -> int:
    order = book.order(order_id)
    return 0 if order is None else order.qty


def _queue(book: BookView, side: Side, price: int) -> list[tuple[int, int]]:
    """(id, quantity) of the tape's orders at one level, first in the queue first."""
    snapshot = book.snapshot()
    for level, queue in snapshot.bids if side is Side.BUY else snapshot.asks:
        if level == price:
            return [(order_id, shown + hidden) for order_id, shown, hidden in queue if is_tape_id(order_id)]
    return []


class KnownHorizon:
    """How far a band-limited recording tells the truth: per side, the best (tightest) L-th price it ever had.

    Prices up to it were inside the band all along; beyond it an order may have left without a message, or been there
    unseen. A side that has had fewer than L levels so far is known as a whole. A book seeded from fewer levels than L
    is known no further than those. Source: the replay recipe that was checked against NASDAQ data.
    """

    def __init__(self, levels: int, seed_levels: int, seed: BookRow) -> None:
        self.levels = levels
        first = min(levels, seed_levels)
        self.bid = seed.bids[first - 1][0] if len(seed.bids) >= first else None
        self.ask = seed.asks[first - 1][0] if len(seed.asks) >= first else None

    def observe(self, bids: Levels, asks: Levels) -> None:
        """Take in the L best levels of each side (prices in LOBSTER's unit), best first."""
        if len(bids) >= self.levels:
            price = bids[self.levels - 1][0]
            self.bid = price if self.bid is None else max(self.bid, price)
        if len(asks) >= self.levels:
            price = asks[self.levels - 1][0]
            self.ask = price if self.ask is None else min(self.ask, price)

    def covers(self, side: Side, price: int) -> bool:
        """Whether `price` on `side` is known."""
        if side is Side.BUY:
            return self.bid is None or price >= self.bid
        return self.ask is None or price <= self.ask

    def covers_all(self, side: Side) -> bool:
        """Whether the whole side is known, however far from the best price."""
        return (self.bid if side is Side.BUY else self.ask) is None
