"""Timings of the hot paths: ``python -m pytest tests/benchmarks --benchmark-enable``.

In the ordinary suite each runs once, as a check that it still does what it times.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from lobsim.book import OrderBook
from lobsim.credit import Flow, Ledger
from lobsim.events import EventKind, Purpose, Side, TimeInForce
from lobsim.sim.clock import Clock, EventClass, session_key

ORDERS = 1000


def filled_book() -> OrderBook:
    book = OrderBook()
    for number in range(ORDERS):
        book.submit(number, Side.BUY, 10, 10_000 - number % 100)
        book.submit(ORDERS + number, Side.SELL, 10, 10_001 + number % 100)
    return book


def test_improve_the_touch_and_cancel(benchmark: Any) -> None:
    book = filled_book()

    def flicker() -> None:
        for number in range(5000, 5000 + ORDERS):
            book.submit(number, Side.SELL, 10, 10_000 + 1)
            book.cancel(number)

    benchmark(flicker)
    assert len(book) == 2 * ORDERS
    book.check()


def test_join_levels_and_mass_cancel(benchmark: Any) -> None:
    book = filled_book()

    def requote() -> None:
        for number in range(5000, 5000 + ORDERS):
            book.submit(number, Side.BUY, 10, 9_990 - number % 50, None, TimeInForce.GTC, 7, Purpose.QUOTE)
        book.cancel_all(7)

    benchmark(requote)
    assert len(book) == 2 * ORDERS


def test_sweep_the_book(benchmark: Any) -> None:
    def sweep() -> int:
        events = filled_book().submit(9999, Side.SELL, 10 * ORDERS)
        return sum(event[0] == EventKind.TRADE for event in events)

    assert benchmark(sweep) == ORDERS


def test_settle_trades(benchmark: Any) -> None:
    ledger = Ledger()
    coin, cash = ledger.add_asset("ALT", Decimal("0.01")), ledger.add_asset("USDT", Decimal("0.01"))
    buyer, seller = ledger.open_account("buyer", overdraft=True), ledger.open_account("seller", overdraft=True)
    ledger.issue(buyer, cash, 10**12, Flow.DEPOSIT)

    def settle() -> None:
        for _ in range(ORDERS):
            ledger.settle_trade(buyer, seller, coin, 5, cash, 7)

    benchmark(settle)
    ledger.check()


def test_schedule_and_run_callbacks(benchmark: Any) -> None:
    def run() -> int:
        clock = Clock(seed=1)
        seen: list[int] = []
        key = session_key(1, "bench")
        for number in range(ORDERS):
            clock.call_at(number // 10, EventClass.MESSAGE, key, seen.append, number)
        clock.run_until(ORDERS)
        return len(seen)

    assert benchmark(run) == ORDERS
