"""Slippage measured from records is what the market order then costs in the engine: 1,000 random books, to the tick."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

import pytest

from lobsim.book import OrderBook
from lobsim.events import CancelOrder, Command, OrderCanceled, Reason, Side, SubmitOrder, Trade
from lobsim.measure import Run, slippage
from lobsim.records import InstrumentInfo, RunHeader
from lobsim.sim.streams import Stream
from tests.measure.recording import MemoryRecorder, apply, drive

RUNS, BOOKS = 40, 25
TAKER = 10**6
TICK, LOT = Fraction(1, 100), Fraction(1, 10)
UNIT = TICK * LOT


class Cost(NamedTuple):
    """What the engine did with a market order: lots, ticks * lots, last price, whether nothing was left over."""

    lots: int
    notional: int
    last_price: int | None
    complete: bool


def random_commands(stream: Stream) -> list[Command]:
    """Displayed, iceberg and wholly filled orders, cancels, market orders; now and then one side only, or nothing."""
    sides = [(Side.BUY, Side.SELL), (Side.BUY,), (Side.SELL,), ()][max(0, stream.below(12) - 8)]
    commands: list[Command] = []
    for number in range(1, 1 + stream.below(60) if sides else 1):
        now = number * 10
        side = sides[stream.below(len(sides))]
        kind = stream.below(10)
        qty = 1 + stream.below(40)
        price = 200 + (1 - 2 * int(side == Side.BUY)) * (stream.below(60) - 8)
        if kind == 0:
            commands.append(CancelOrder(1 + stream.below(number), now))
        elif kind == 1:
            commands.append(SubmitOrder(number, side, qty, None, now))
        else:
            shown = 1 + stream.below(qty) if kind < 5 else 0
            commands.append(SubmitOrder(number, side, qty, price, now, display_qty=shown))
    return commands


def built(commands: list[Command]) -> OrderBook:
    book = OrderBook()
    for command in commands:
        apply(book, command)
    return book


def market_order(commands: list[Command], side: Side, lots: int) -> Cost:
    """Build the book anew and send the order to it."""
    book = built(commands)
    events = book.submit(TAKER, side, lots, None, book.time_ns)
    trades = [event for event in events if isinstance(event, Trade)]
    assert all(trade.taker_id == TAKER for trade in trades)
    rest = [event for event in events if isinstance(event, OrderCanceled)]
    filled = sum(trade.qty for trade in trades)
    assert [(event.qty, event.reason) for event in rest] == (
        [(lots - filled, Reason.NO_LIQUIDITY)] if filled < lots else []
    )
    book.check()
    return Cost(
        filled, sum(trade.qty * trade.price for trade in trades), trades[-1].price if trades else None, filled == lots
    )


def notionals_of(commands: list[Command], side: Side, stream: Stream) -> list[int]:
    """Too little for one lot, something inside, just short of a lot and just enough, all that there is, and more."""
    whole = market_order(commands, side, 10**6)
    part = market_order(commands, side, 1 + stream.below(max(whole.lots, 1)))
    inside = 1 + stream.below(max(whole.notional, 1))
    return [
        max(1, units) for units in (1, inside, part.notional - 1, part.notional, whole.notional, whole.notional + 1)
    ]


def recorded(run: int) -> tuple[Run, list[list[Command]], Stream]:
    stream = Stream(run, "books")
    header = RunHeader(
        "books",
        "",
        run,
        "2025-10-10T20:30:00Z",
        [InstrumentInfo(number, f"B{number}", "B", "Q", "0.01", "0.1", "0.001") for number in range(BOOKS)],
    )
    recorder = MemoryRecorder(header)
    books = [random_commands(stream) for _ in range(BOOKS)]
    for number, commands in enumerate(books):
        keyframes = [stream.below(60)] if stream.below(2) else []
        drive(commands, recorder, instrument_id=number, keyframes=keyframes)
    return recorder.run(), books, stream


def reference_of(book: OrderBook, side: Side, ref: str) -> Fraction | None:
    bid, ask = book.best_bid, book.best_ask
    if ref == "best":
        met = ask if side is Side.BUY else bid
        return None if met is None else Fraction(met)
    return None if bid is None or ask is None else Fraction(bid + ask, 2)


def cases(run: int) -> Iterator[tuple[dict[str, Any], list[Command], Side, int, str]]:
    """(measured row, commands, side, notional, reference) of every book of a run."""
    measured, books, stream = recorded(run)
    side, ref = [*product(Side, ("mid", "best"))][run % 4]
    wanted = [notionals_of(commands, side, stream) for commands in books]
    every = sorted({units for mine in wanted for units in mine})
    texts = [f"{units // 1000}.{units % 1000:03}" for units in every]
    rows = slippage(measured, None, side, texts, at=10_000, ref=ref).rows(named=True)  # type: ignore[arg-type]
    for number, commands in enumerate(books):
        for units in wanted[number]:
            row = rows[number * len(every) + every.index(units)]
            assert row["instrument"] == f"B{number}"
            yield row, commands, side, units, ref


@pytest.mark.parametrize("run", range(RUNS))
def test_the_order_then_costs_what_was_measured(run: int) -> None:
    seen = set()
    for row, commands, side, units, ref in cases(run):
        lots = row["filled_lots"]
        got = market_order(commands, side, lots) if lots else Cost(0, 0, None, True)
        assert got.complete
        assert got.lots == lots
        assert row["filled_quote"] == pytest.approx(float(got.notional * UNIT), rel=1e-15)
        assert got.notional <= units
        more = market_order(commands, side, lots + 1)  # no order for that money would have got more
        filled = row["filled_share"] >= 1
        assert filled == (more.complete or got.notional == units)
        assert not more.complete or more.notional > units
        assert row["worst_price"] == (None if got.last_price is None else float(got.last_price * TICK))
        vwap = Fraction(got.notional, lots) if lots else None
        assert row["vwap"] == (None if vwap is None else pytest.approx(float(vwap * TICK), rel=1e-15))
        reference = reference_of(built(commands), side, ref)
        assert row["ref_price"] == (None if reference is None else float(reference * TICK))
        if filled and vwap is not None and reference is not None:
            assert row["slippage"] == pytest.approx(float(abs(vwap / reference - 1)), abs=1e-15)
        else:
            assert row["slippage"] is None
        seen.add((filled, lots > 0, reference is not None))
    assert {(True, True, True), (False, True, True), (True, False, True)} <= seen
    assert any(not known for *_, known in seen)


def test_the_books_hold_what_the_claim_needs() -> None:
    """Of the 1,000 books, so many have an empty side, hidden quantity, or nothing at all."""
    empty_side = hidden = empty = 0
    for run in range(RUNS):
        for commands in recorded(run)[1]:
            book = built(commands)
            empty_side += (book.best_bid is None) != (book.best_ask is None)
            empty += len(book) == 0
            hidden += any(more for side in Side for _, _, more in book.levels(side))
    assert min(empty_side, empty) >= 50
    assert hidden >= 500
