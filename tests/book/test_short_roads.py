"""The engine is fast because most messages take a short road. These tests hold it to that, by closing the long one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lobsim.book import OrderBook, side
from lobsim.book.side import BookSide, Order, PriceLevel
from lobsim.events import EventKind, Reason, SelfTrade, TimeInForce
from tests.book.expect import BUY, SELL, make_book
from tests.book.test_many_levels import flow
from tests.book.test_plain_integers import special_orders
from tests.testing.adapters import LobsimEngine


def closed(*_: object) -> None:
    raise AssertionError("this is the long road")


@pytest.mark.parametrize("tif", [TimeInForce.GTC, TimeInForce.IOC, int(TimeInForce.IOC)])
@pytest.mark.parametrize("mode", [SelfTrade.CANCEL_NEWEST, SelfTrade.ALLOW, int(SelfTrade.ALLOW)])
@pytest.mark.parametrize("price", [99, 101])
def test_plain_limit_orders_are_handled_in_one_piece(monkeypatch, tif, mode, price) -> None:
    book = make_book(asks=[(100, [5])])
    monkeypatch.setattr(OrderBook, "_submit_special", closed)
    book.submit(9, BUY, 3, price, tif=tif, owner=4, self_trade=mode)


@pytest.mark.parametrize("number", [1, 2**53])
def test_so_are_the_largest_and_the_smallest(monkeypatch, number) -> None:
    book = OrderBook()
    monkeypatch.setattr(OrderBook, "_submit_special", closed)
    book.submit(1, BUY, int(str(number)), 5)
    book.submit(2, BUY, 5, int(str(number)))
    assert len(book) == 2


@pytest.mark.parametrize(
    "terms",
    [
        {"price": None},
        {"tif": TimeInForce.FOK},
        {"self_trade": SelfTrade.DECREMENT},
        {"display_qty": 1},
        {"post_only": True, "price": 100},
        {"post_only": True, "tif": TimeInForce.IOC},
        {"trigger_price": 100},
        {"expire_ns": 5},
        {"qty": 0},
        {"price": 0},
        {"order_id": 1},
    ],
)
def test_everything_special_is_not(monkeypatch, terms) -> None:
    book = make_book(asks=[(100, [5])])
    monkeypatch.setattr(OrderBook, "_submit_special", closed)
    with pytest.raises(AssertionError, match="long road"):
        book.submit(**{"order_id": 9, "side": BUY, "qty": 3, "price": 99, **terms})


@pytest.mark.parametrize("mode", [SelfTrade.CANCEL_NEWEST, SelfTrade.ALLOW])
def test_post_only_orders_that_rest_are_handled_in_one_piece_and_stay_post_only(monkeypatch, mode) -> None:
    book = make_book(asks=[(100, [5])])
    monkeypatch.setattr(OrderBook, "_submit_special", closed)
    book.submit(9, BUY, 3, 99, owner=4, post_only=True, self_trade=mode)
    assert book.replace(9, 3, 100)[0].reason == Reason.POST_ONLY_CROSSES
    assert book.replace(9, 2, 98)[0].kind == EventKind.REPLACED


def test_prices_that_do_not_meet_start_no_walk(monkeypatch) -> None:
    book = make_book(bids=[(100, [5])], asks=[(102, [5])])
    monkeypatch.setattr(OrderBook, "_match", closed)
    book.submit(8, BUY, 1, 101)
    book.cancel(8)
    book.submit(9, SELL, 1, 101)
    book.replace(9, 2, 101)
    book.submit(10, BUY, 1, 100, tif=TimeInForce.IOC)


def test_a_clock_that_meets_no_expiry_just_moves(monkeypatch) -> None:
    book = make_book(bids=[(100, [5, 5])])
    book.submit(8, BUY, 1, 99, tif=TimeInForce.GTD, expire_ns=100)
    monkeypatch.setattr(OrderBook, "advance", closed)
    monkeypatch.setattr(OrderBook, "_advance", closed)
    book.submit(9, BUY, 1, 98, time_ns=1)
    book.submit(10, BUY, 1, 98, time_ns=int("500") - 499)  # the same moment, whichever object says so
    book.cancel(9, time_ns=99)
    book.cancel(10, time_ns=99)
    for send in (lambda: book.submit(9, BUY, 1, 98, time_ns=100), lambda: book.cancel(1, time_ns=100)):
        with pytest.raises(AssertionError, match="long road"):
            send()
    assert book.time_ns == 99


def test_the_same_moment_is_no_step_of_the_clock(monkeypatch) -> None:
    book = make_book(bids=[(100, [5, 5, 5])])
    book.advance(int("100000"))
    monkeypatch.setattr(OrderBook, "_advance", closed)
    book.submit(9, BUY, 1, 98, time_ns=int("100000"))
    book.cancel(9, time_ns=int("100000"))
    book.cancel(1, time_ns=int("100000"))
    book.replace(2, 1, 100, time_ns=int("100000"))
    book.cancel_all(3, time_ns=int("100000"))
    book.advance(int("100000"))
    monkeypatch.setattr(OrderBook, "advance", closed)
    book.submit(9, BUY, 1, 98, time_ns=int("100000"))
    book.cancel(9, time_ns=int("100000"))


def test_a_resting_order_is_cancelled_in_one_piece(monkeypatch) -> None:
    book = make_book(bids=[(100, [5])])
    monkeypatch.setattr(OrderBook, "_remove", closed)
    book.cancel(1)


def test_stops_are_not_looked_at_while_no_trigger_is_reached(monkeypatch) -> None:
    book = make_book(bids=[(100, [5])], asks=[(102, [5])])
    book.submit(8, SELL, 1, 90, trigger_price=99)
    book.submit(9, BUY, 1, 110, trigger_price=103)
    monkeypatch.setattr(type(book._stops), "wake", closed)
    book.submit(10, SELL, 1)
    book.submit(11, BUY, 1)
    book.submit(12, SELL, 1, 101)
    assert book.last_price == 102


def test_orders_and_levels_are_told_apart_by_identity(monkeypatch) -> None:
    monkeypatch.setattr(side, "_NEAR", 2)
    monkeypatch.setattr(side, "_KEEP_EMPTY", 3)
    monkeypatch.setattr(Order, "__eq__", closed)
    monkeypatch.setattr(PriceLevel, "__eq__", closed)
    engine = LobsimEngine()
    for command in [*flow(9, 200, 30), *special_orders(11, 300)]:
        engine.apply(command)
        engine.check()
        for order_id in range(1000, 1040):
            engine.queue_position(order_id)
    assert len(engine.snapshot().bids) > 3


@pytest.fixture
def visited(monkeypatch) -> list[int]:
    """Prices of the levels that a question looks at."""
    prices: list[int] = []
    descending = BookSide.descending

    def watched(book_side: BookSide) -> Iterator[PriceLevel]:
        for level in descending(book_side):
            prices.append(level.price)
            yield level

    monkeypatch.setattr(BookSide, "descending", watched)
    return prices


def test_questions_look_no_further_than_they_must(visited) -> None:
    book = make_book(bids=[(price, [5]) for price in range(100, 90, -1)])
    book.walk(SELL, 5)
    assert visited == [100, 99], "99 only to see that nothing is left"
    visited.clear()
    book.walk(SELL, 99, 98)
    assert visited == [100, 99, 98, 97]
    visited.clear()
    book.depth(BUY, 99)
    assert visited == [100, 99, 98]
    visited.clear()
    book.bids(2)
    assert visited == [100, 99]
    visited.clear()
    book.submit(50, SELL, 6, 90, tif=TimeInForce.FOK)
    assert visited[:2] == [100, 99]
    assert len(visited) == 2
    visited.clear()
    book.submit(50, SELL, 60, 97, tif=TimeInForce.FOK)
    assert visited == [99, 98, 97, 96]
