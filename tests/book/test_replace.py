from __future__ import annotations

import pytest

from lobsim.book import OrderBook
from lobsim.events import Purpose, Reason, SelfTrade, TimeInForce
from tests.book.expect import (
    BUY,
    SELL,
    canceled,
    make_book,
    refreshed,
    replace_rejected,
    replaced,
    same,
    trade,
)


def queue(book: OrderBook) -> list[int]:
    return [order_id for _, orders in book.snapshot().bids for order_id, _, _ in orders]


def test_a_smaller_quantity_at_the_same_price_keeps_the_place() -> None:
    book = make_book(bids=[(100, [5, 5])])
    same(book.replace(1, 3, 100, time_ns=8), [replaced(1, BUY, 3, 100, kept=1, t=8)])
    assert queue(book) == [1, 2]
    assert book.bids() == [(100, 8)]
    assert book.queue_position(2) == 3
    book.check()


@pytest.mark.parametrize(("qty", "price"), [(5, 100), (6, 100), (3, 99), (3, 101)])
def test_anything_else_goes_to_the_back(qty, price) -> None:
    book = make_book(bids=[(101, [1]), (100, [5, 5]), (99, [1])])
    same(book.replace(2, qty, price), [replaced(2, BUY, qty, price, kept=0)])
    assert queue(book) == {100: [1, 3, 2, 4], 99: [1, 3, 4, 2], 101: [1, 2, 3, 4]}[price]
    assert dict(book.bids())[price] == qty + {100: 5, 99: 1, 101: 1}[price]
    book.check()


def test_a_venue_may_take_the_place_away_on_every_replace() -> None:
    book = OrderBook(replace_keeps_priority=False)
    book.submit(1, BUY, 5, 100)
    book.submit(2, BUY, 5, 100)
    same(book.replace(1, 3, 100), [replaced(1, BUY, 3, 100, kept=0)])
    assert queue(book) == [2, 1]
    assert book.bids() == [(100, 8)]


def test_hidden_lots_go_first() -> None:
    book = OrderBook()
    book.submit(1, BUY, 10, 100, display_qty=4)
    book.submit(2, BUY, 1, 100)
    same(book.replace(1, 6, 100), [replaced(1, BUY, 6, 100, kept=1, display=4)])
    assert book.snapshot().bids == ((100, ((1, 4, 2), (2, 1, 0))),)
    book.replace(1, 3, 100)
    assert book.snapshot().bids == ((100, ((1, 3, 0), (2, 1, 0))),)
    assert book.levels(BUY) == [(100, 4, 0)]
    book.check()
    same(book.replace(1, 9, 100), [replaced(1, BUY, 9, 100, kept=0, display=4)])
    assert book.snapshot().bids == ((100, ((2, 1, 0), (1, 4, 5))),)


@pytest.mark.parametrize("qty", range(1, 20))
@pytest.mark.parametrize("display", [3, 5, 12])
def test_lots_are_taken_off_exactly(qty, display) -> None:
    book = OrderBook()
    book.submit(1, BUY, 20, 100, display_qty=display)
    book.replace(1, qty, 100)
    assert book.levels(BUY) == [(100, min(display, qty), qty - min(display, qty))]
    assert book.snapshot().bids == ((100, ((1, min(display, qty), qty - min(display, qty)),)),)
    book.check()


def test_the_open_quantity_decides_what_is_smaller() -> None:
    book = make_book(bids=[(100, [5, 5])])
    book.submit(9, SELL, 2, 100)
    same(book.replace(1, 3, 100), [replaced(1, BUY, 3, 100, kept=0)])
    assert queue(book) == [2, 1]


def test_a_replaced_order_may_trade_and_the_rest_rests() -> None:
    book = make_book(bids=[(100, [5])], asks=[(103, [2])])
    book.submit(7, BUY, 9, 99, owner=4, purpose=Purpose.MOMENTUM)
    same(
        book.replace(7, 6, 104, time_ns=3),
        [
            replaced(7, BUY, 6, 104, kept=0, t=3, owner=4, purpose=Purpose.MOMENTUM),
            trade(2, 7, BUY, 2, 103, t=3, taker_owner=4, purpose=Purpose.MOMENTUM),
        ],
    )
    assert book.bids() == [(104, 4), (100, 5)]
    view = book.order(7)
    assert (view.owner, view.purpose, view.qty, view.price) == (4, Purpose.MOMENTUM, 4, 104)
    book.check()


def test_a_replaced_order_that_trades_away_is_gone() -> None:
    book = make_book(bids=[(100, [5])], asks=[(103, [9])])
    book.submit(7, BUY, 9, 99, owner=4)
    assert len(book.replace(7, 9, 103)) == 2
    assert book.order(7) is None
    assert book.cancel_all(4) == []
    assert len(book) == 1
    book.check()


def test_a_sell_order_is_replaced_alike() -> None:
    book = make_book(bids=[(100, [5])], asks=[(103, [9])])
    same(book.replace(2, 9, 100), [replaced(2, SELL, 9, 100, kept=0), trade(1, 2, SELL, 5, 100)])
    assert book.asks() == [(100, 4)]
    assert book.bids() == []


def test_terms_are_kept() -> None:
    book = OrderBook()
    mode = SelfTrade.CANCEL_OLDEST
    book.submit(1, BUY, 9, 100, tif=TimeInForce.GTD, owner=2, display_qty=2, expire_ns=50, self_trade=mode)
    book.submit(2, SELL, 3, 105, owner=2)
    same(
        book.replace(1, 8, 105),
        [replaced(1, BUY, 8, 105, kept=0, owner=2, display=2), canceled(2, SELL, 3, 105, Reason.SELF_TRADE, owner=2)],
    )
    view = book.order(1)
    assert (view.tif, view.expire_ns, view.display_qty, view.visible_qty, view.hidden_qty) == (1, 50, 2, 2, 6)
    same(book.advance(50), [canceled(1, BUY, 8, 105, Reason.EXPIRED, t=50, owner=2, hidden=6)])
    book.check()


def test_a_replaced_plain_order_meets_its_owners_order_as_the_newest() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, owner=2)
    book.submit(2, SELL, 3, 105, owner=2)
    same(
        book.replace(2, 4, 100),
        [replaced(2, SELL, 4, 100, kept=0, owner=2), canceled(2, SELL, 4, 100, Reason.SELF_TRADE, owner=2)],
    )
    assert len(book) == 1
    book.check()


def test_a_replace_wakes_stops() -> None:
    book = make_book(asks=[(103, [2])])
    book.submit(5, BUY, 1, 90)
    book.submit(6, BUY, 1, 95, trigger_price=103)
    events = book.replace(5, 1, 103)
    assert [event.kind.name for event in events] == ["REPLACED", "TRADE", "TRIGGERED"]
    assert book.bids() == [(95, 1)]
    book.check()


def test_an_iceberg_replaced_and_hit_refreshes() -> None:
    book = OrderBook()
    book.submit(1, BUY, 9, 100, display_qty=2)
    book.replace(1, 4, 101)
    assert book.submit(9, SELL, 2, 101)[1:] == [
        trade(1, 9, SELL, 2, 101),
        refreshed(1, BUY, 2, 101, display=2, hidden=0),
    ]


@pytest.mark.parametrize(
    ("qty", "price", "reason"),
    [
        (0, 100, Reason.BAD_QTY),
        (-1, 100, Reason.BAD_QTY),
        (2**53 + 1, 100, Reason.BAD_QTY),
        (1, 0, Reason.BAD_PRICE),
        (1, -1, Reason.BAD_PRICE),
        (1, None, Reason.BAD_PRICE),
        (0, 0, Reason.BAD_QTY),
        (1, 2**53 + 1, Reason.BAD_PRICE),
        (2**53, 0, Reason.BAD_PRICE),
        (0, None, Reason.BAD_QTY),
    ],
)
def test_impossible_replaces_are_rejected(qty, price, reason) -> None:
    book = OrderBook()
    book.submit(1, SELL, 5, 100, owner=3)
    before = book.snapshot()
    same(book.replace(1, qty, price), [replace_rejected(1, qty, price, reason, owner=3, side=SELL)])
    assert book.snapshot() == before


@pytest.mark.parametrize("number", [1, 2**53])
def test_the_largest_and_smallest_numbers_work(number) -> None:
    book = OrderBook()
    book.submit(1, SELL, 5, 100)
    same(book.replace(1, number, number), [replaced(1, SELL, number, number, kept=0)])
    assert book.asks() == [(number, number)]


def test_an_unknown_order_cannot_be_replaced() -> None:
    book = make_book(bids=[(100, [5])])
    same(book.replace(7, 0, 0, time_ns=4), [replace_rejected(7, 0, 0, Reason.UNKNOWN_ORDER, t=4)])
    book.cancel(1)
    same(book.replace(1, 2, 100), [replace_rejected(1, 2, 100, Reason.UNKNOWN_ORDER, t=4)])


def test_a_sleeping_stop_cannot_be_replaced() -> None:
    book = OrderBook()
    book.submit(1, SELL, 5, 100, owner=3, trigger_price=90)
    same(book.replace(1, 0, 0), [replace_rejected(1, 0, 0, Reason.DORMANT_STOP, owner=3, side=SELL)])
    assert len(book.snapshot().stops) == 1
