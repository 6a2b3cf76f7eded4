from __future__ import annotations

import pytest

from lobsim.book import OrderBook
from lobsim.events import Reason
from tests.book.expect import BUY, SELL, accepted, cancel_rejected, canceled, make_book, same, trade


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_resting_order_can_be_cancelled(side) -> None:
    book = OrderBook()
    book.submit(1, side, 5, 100, owner=3)
    same(book.cancel(1, time_ns=7), [canceled(1, side, 5, 100, Reason.REQUESTED, t=7, owner=3)])
    assert book.bids() == book.asks() == []
    assert book.best_bid is book.best_ask is None
    assert len(book) == 0
    assert book.cancel_all(3) == []
    book.check()


def test_only_the_open_quantity_is_cancelled() -> None:
    book = make_book(bids=[(100, [5])])
    book.submit(9, SELL, 2, 100)
    same(book.cancel(1), [canceled(1, BUY, 3, 100, Reason.REQUESTED)])


def test_there_may_be_nothing_to_cancel() -> None:
    book = make_book(bids=[(100, [5])])
    same(book.cancel(7, time_ns=2), [cancel_rejected(7, t=2)])
    book.cancel(1)
    same(book.cancel(1), [cancel_rejected(1, t=2)])


def test_cancelling_the_best_uncovers_the_next() -> None:
    book = make_book(bids=[(100, [5]), (98, [1]), (99, [2])], asks=[(105, [5]), (107, [3])])
    book.cancel(1)
    assert (book.best_bid, book.best_bid_qty) == (99, 2)
    book.cancel(4)
    assert (book.best_ask, book.best_ask_qty) == (107, 3)
    same(book.submit(9, SELL, 1, 99), [accepted(9, SELL, 1, 99), trade(3, 9, SELL, 1, 99)])
    book.check()


def test_a_cancelled_order_in_the_middle_is_skipped() -> None:
    book = make_book(asks=[(100, [1, 2, 3])])
    book.cancel(2)
    assert book.asks() == [(100, 4)]
    same(book.submit(9, BUY, 4, 100)[1:], [trade(1, 9, BUY, 1, 100), trade(3, 9, BUY, 3, 100)])


def test_mass_cancel_takes_everything_of_one_owner_oldest_first() -> None:
    book = OrderBook()
    book.submit(5, BUY, 1, 100, owner=1)
    book.submit(4, SELL, 2, 110, owner=1, display_qty=1)
    book.submit(3, BUY, 3, 99, owner=2)
    book.submit(2, SELL, 4, 120, owner=1, trigger_price=90)
    book.submit(1, BUY, 5, 98)
    same(
        book.cancel_all(1, time_ns=6),
        [
            canceled(5, BUY, 1, 100, Reason.MASS_CANCEL, t=6, owner=1),
            canceled(4, SELL, 2, 110, Reason.MASS_CANCEL, t=6, owner=1, hidden=1),
            canceled(2, SELL, 4, 120, Reason.MASS_CANCEL, t=6, owner=1, trigger=90),
        ],
    )
    assert book.bids() == [(99, 3), (98, 5)]
    assert book.asks() == []
    assert book.cancel_all(1) == []
    assert len(book) == 2
    book.check()


@pytest.mark.parametrize(("side", "gone"), [(BUY, [1, 4]), (SELL, [2, 3]), (None, [1, 2, 3, 4])])
def test_mass_cancel_may_mean_one_side(side, gone) -> None:
    book = OrderBook()
    for order_id, order_side, price in ((1, BUY, 100), (2, SELL, 105), (3, SELL, 106), (4, BUY, 99)):
        book.submit(order_id, order_side, 1, price, owner=1)
    assert [event.order_id for event in book.cancel_all(1, side)] == gone
    assert len(book) == 4 - len(gone)
    book.check()


def test_a_replaced_order_keeps_its_age_in_a_mass_cancel() -> None:
    book = OrderBook()
    for order_id in (1, 2, 3):
        book.submit(order_id, BUY, 1, 100, owner=1)
    book.replace(1, 1, 101)
    book.replace(2, 5, 100)
    assert [event.order_id for event in book.cancel_all(1)] == [1, 2, 3]


def test_nobody_can_mass_cancel_anonymous_orders() -> None:
    book = make_book(bids=[(100, [5])])
    assert book.cancel_all(0) == []
    assert book.cancel_all(9) == []
    assert len(book) == 1


def test_orders_that_are_done_are_no_longer_their_owners() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, owner=1)
    book.submit(2, SELL, 5, 100, owner=2)
    book.submit(3, SELL, 5, owner=1)
    assert book.cancel_all(1) == book.cancel_all(2) == []
    book.check()
