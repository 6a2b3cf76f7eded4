"""Drive a real `OrderBook` with commands, record what happens, keep the book's own words for comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from lobsim.book import OrderBook
from lobsim.events import Advance, CancelAll, CancelOrder, Command, Event, ReplaceOrder, SubmitOrder
from lobsim.measure import Run
from lobsim.records import TABLES, AccountInfo, InstrumentInfo, RunHeader, polars_schema
from lobsim.sim.recorder import Recorder

HEADER = RunHeader(
    scenario="hand-made",
    scenario_toml="# nothing\n",
    seed=7,
    start_utc="2025-10-10T20:30:00Z",
    instruments=[
        InstrumentInfo(0, "ALT-USDT", "ALT", "USDT", "0.01", "0.1", "0.001"),
        InstrumentInfo(1, "BTC-USDT", "BTC", "USDT", "0.5", "0.001", "0.0001"),
    ],
    accounts=[AccountInfo(1, "maker-1", "maker"), AccountInfo(2, "bot", "agent")],
    assets={"USDT": "0.001", "ALT": "0.1", "BTC": "0.001"},
    numeraire="USDT",
)


class MemoryRecorder(Recorder):
    """A recorder that keeps its tables in memory instead of writing parts."""

    def __init__(self, header: RunHeader = HEADER, **options: Any) -> None:
        super().__init__(None, header, threaded=False, **options)
        self.header = header
        self.tables: dict[str, list[pl.DataFrame]] = {table: [] for table in TABLES}

    def _write_table(self, table: str, frame: pl.DataFrame) -> None:
        super()._write_table(table, frame)
        self.tables[table].append(frame)

    def run(self) -> Run:
        self.close()
        empty = {table: pl.DataFrame(schema=polars_schema(table)) for table in TABLES}
        return Run.from_frames(self.header, {table: pl.concat([empty[table], *self.tables[table]]) for table in TABLES})


def apply(book: OrderBook, command: Command) -> list[Event]:
    match command:
        case SubmitOrder():
            return book.submit(*command)
        case CancelOrder():
            return book.cancel(*command)
        case ReplaceOrder():
            return book.replace(*command)
        case CancelAll():
            return book.cancel_all(*command)
        case Advance():
            return book.advance(command.time_ns)


def drive(
    commands: Sequence[Command],
    recorder: Recorder,
    *,
    instrument_id: int = 0,
    keyframes: Sequence[int] = (),
    book: OrderBook | None = None,
    after: Callable[[OrderBook], None] = lambda book: None,
) -> OrderBook:
    """Send `commands` to a book, record its events, a keyframe after each command whose number is in `keyframes`."""
    book = book or OrderBook()
    quote = (None, 0, None, 0)
    for number, command in enumerate(commands):
        recorder.events(instrument_id, apply(book, command))
        now = (book.best_bid, book.best_bid_qty, book.best_ask, book.best_ask_qty)
        if now != quote:
            quote = now
            recorder.quote(instrument_id, book.time_ns, *now)
        if number in keyframes:
            recorder.depth(instrument_id, book.time_ns, book.bids(), book.asks())
        after(book)
    return book


def totals(book: OrderBook) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(price, displayed and hidden lots) of both sides, best first, from the book's snapshot."""
    snapshot = book.snapshot()
    return _totals(snapshot.bids), _totals(snapshot.asks)


def _totals(levels: Any) -> list[tuple[int, int]]:
    return [(price, sum(visible + hidden for _, visible, hidden in orders)) for price, orders in levels]
