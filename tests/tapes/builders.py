"""Small tapes made by hand, and the naive books that they must lead to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from lobsim import OrderBook
from lobsim.events import Event
from lobsim.sim.tapes import Tape, TapeBatch, replay_tape

LOBSTER_NAME = "TEST_2012-06-21_34200000_34260000_{}_5.csv"
START_NS = 1_700_000_000_000_000_000


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


def snapshot_line(ns: int, last_id: int, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> str:
    return f"{START_NS + ns} " + json.dumps({"lastUpdateId": last_id, "bids": bids, "asks": asks})


def diff_line(
    ns: int,
    first: int,
    last: int,
    bids: list[tuple[str, str]],
    asks: list[tuple[str, str]],
    event_ms: int = 0,
    previous: int | None = None,
    symbol: str = "TESTUSDT",
) -> str:
    data = {"e": "depthUpdate", "E": event_ms, "s": symbol, "U": first, "u": last, "b": bids, "a": asks}
    if previous is not None:
        data["pu"] = previous
    return f"{START_NS + ns} " + json.dumps({"stream": "testusdt@depth@100ms", "data": data})


def trade_line(ns: int, price: str, qty: str, *, seller: bool, trade_ms: int = 10**12, symbol: str = "TESTUSDT") -> str:
    data = {"e": "trade", "E": trade_ms, "s": symbol, "t": 1, "p": price, "q": qty, "T": trade_ms, "m": seller}
    return f"{START_NS + ns} " + json.dumps({"stream": "testusdt@trade", "data": data})


def quote_line(ns: int, update: int, bid: str, bid_qty: str, ask: str, ask_qty: str) -> str:
    data = {"u": update, "s": "TESTUSDT", "b": bid, "B": bid_qty, "a": ask, "A": ask_qty}
    return f"{START_NS + ns} " + json.dumps({"stream": "testusdt@bookTicker", "data": data})


def replay(tape: Tape, book: OrderBook | None = None) -> tuple[OrderBook, list[tuple[TapeBatch, list[Event]]]]:
    """The book at the end, checked after every batch, and what happened."""
    book = book or OrderBook(tape.tick, tape.lot)
    steps = []
    last_ns = 0
    for batch, events in replay_tape(tape, book):
        assert batch.time_ns >= last_ns
        last_ns = batch.time_ns
        book.check()
        steps.append((batch, events))
    return book, steps


def queues(book: OrderBook) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """(side, price) -> [(order id, quantity)] in time priority."""
    snapshot = book.snapshot()
    return {
        (side, price): [(order_id, shown + hidden) for order_id, shown, hidden in queue]
        for side, levels in ((0, snapshot.bids), (1, snapshot.asks))
        for price, queue in levels
    }
