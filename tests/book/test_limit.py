from __future__ import annotations

import pytest

from lobsim.book import OrderBook
from lobsim.events import Purpose, Reason, SubmitOrder
from tests.book.expect import BUY, SELL, accepted, make_book, rejected, same, trade


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_limit_order_that_meets_nobody_rests(side) -> None:
    book = OrderBook()
    events = book.submit(7, side, 5, 100, owner=3, purpose=Purpose.QUOTE)
    same(events, [accepted(7, side, 5, 100, owner=3, purpose=Purpose.QUOTE)])
    assert (book.bids(), book.asks()) == (([(100, 5)], []) if side == BUY else ([], [(100, 5)]))
    assert book.order(7).qty == 5
    book.check()


def test_a_command_tuple_can_be_submitted_as_it_is() -> None:
    book = OrderBook()
    order = SubmitOrder(1, BUY, 5, 100, time_ns=9, owner=2)
    same(book.submit(*order), [accepted(1, BUY, 5, 100, t=9, owner=2)])


@pytest.mark.parametrize(("maker_side", "taker_side", "limit"), [(SELL, BUY, 103), (BUY, SELL, 97)])
def test_a_crossing_order_trades_at_the_resting_price(maker_side, taker_side, limit) -> None:
    book = OrderBook()
    book.submit(1, maker_side, 5, 100, owner=1)
    events = book.submit(2, taker_side, 5, limit, owner=2, purpose=Purpose.SHOCK)
    same(
        events,
        [
            accepted(2, taker_side, 5, limit, owner=2, purpose=Purpose.SHOCK),
            trade(1, 2, taker_side, 5, 100, maker_owner=1, taker_owner=2, purpose=Purpose.SHOCK),
        ],
    )
    assert book.last_price == 100
    assert len(book) == 0
    book.check()


@pytest.mark.parametrize(("maker_side", "taker_side", "limit"), [(SELL, BUY, 99), (BUY, SELL, 101)])
def test_prices_that_do_not_meet_do_not_trade(maker_side, taker_side, limit) -> None:
    book = OrderBook()
    book.submit(1, maker_side, 5, 100)
    same(book.submit(2, taker_side, 5, limit), [accepted(2, taker_side, 5, limit)])
    assert len(book) == 2
    assert book.last_price is None


def test_the_same_price_meets() -> None:
    book = make_book(bids=[(100, [5])])
    same(book.submit(2, SELL, 2, 100), [accepted(2, SELL, 2, 100), trade(1, 2, SELL, 2, 100)])
    assert book.bids() == [(100, 3)]
    assert book.asks() == []


def test_better_prices_trade_first_then_earlier_orders() -> None:
    book = make_book(asks=[(102, [1]), (101, [2, 3]), (103, [9])])
    same(
        book.submit(9, BUY, 7, 102),
        [
            accepted(9, BUY, 7, 102),
            trade(2, 9, BUY, 2, 101),
            trade(3, 9, BUY, 3, 101),
            trade(1, 9, BUY, 1, 102),
        ],
    )
    assert book.asks() == [(103, 9)]
    assert book.bids() == [(102, 1)], "the rest rests at its own limit"
    assert book.last_price == 102
    book.check()


def test_bids_are_served_from_the_highest_down() -> None:
    book = make_book(bids=[(98, [1]), (100, [2]), (99, [3])])
    events = book.submit(9, SELL, 6, 98)
    same(
        events,
        [
            accepted(9, SELL, 6, 98),
            trade(2, 9, SELL, 2, 100),
            trade(3, 9, SELL, 3, 99),
            trade(1, 9, SELL, 1, 98),
        ],
    )
    assert (book.best_bid, book.best_ask) == (None, None)


def test_a_partly_filled_order_stays_first_in_its_queue() -> None:
    book = make_book(bids=[(100, [5, 5])])
    book.submit(8, SELL, 2, 100)
    same(
        book.submit(9, SELL, 4, 100),
        [accepted(9, SELL, 4, 100), trade(1, 9, SELL, 3, 100), trade(2, 9, SELL, 1, 100)],
    )
    assert book.order(2).qty == 4


def test_a_filled_order_is_gone() -> None:
    book = make_book(bids=[(100, [5])])
    book.submit(9, SELL, 5, 100)
    assert book.order(1) is None
    assert book.order(9) is None
    assert 1 not in book
    assert book.bids() == book.asks() == []
    book.check()


def test_a_level_emptied_and_refilled_remembers_nothing() -> None:
    book = make_book(bids=[(100, [5, 5]), (99, [1])])
    book.submit(9, SELL, 10, 100)
    assert book.best_bid == 99
    book.submit(4, BUY, 2, 100)
    book.submit(5, BUY, 2, 100)
    assert book.bids() == [(100, 4), (99, 1)]
    assert book.queue_position(4) == 0
    assert book.queue_position(5) == 2
    same(book.submit(9, SELL, 1, 100), [accepted(9, SELL, 1, 100), trade(4, 9, SELL, 1, 100)])
    book.check()


def test_a_level_emptied_behind_the_best_and_refilled_remembers_nothing() -> None:
    book = make_book(bids=[(100, [5]), (99, [1])])
    book.cancel(2)
    assert book.bids() == [(100, 5)]
    book.submit(3, BUY, 7, 99)
    assert book.bids() == [(100, 5), (99, 7)]
    book.check()


@pytest.mark.parametrize("qty", [0, -1, 2**53 + 1])
def test_impossible_quantities_are_rejected(qty) -> None:
    book = OrderBook()
    same(book.submit(1, BUY, qty, 100, owner=4), [rejected(1, BUY, qty, 100, Reason.BAD_QTY, owner=4)])
    same(book.submit(1, SELL, qty), [rejected(1, SELL, qty, None, Reason.BAD_QTY)])
    assert len(book) == 0


@pytest.mark.parametrize("price", [0, -1, 2**53 + 1])
@pytest.mark.parametrize("side", [BUY, SELL])
def test_impossible_prices_are_rejected(price, side) -> None:
    book = make_book(bids=[(100, [1])], asks=[(101, [1])])
    same(book.submit(9, side, 5, price), [rejected(9, side, 5, price, Reason.BAD_PRICE)])
    assert len(book) == 2


@pytest.mark.parametrize("number", [1, 2**53])
def test_the_largest_and_smallest_numbers_work(number) -> None:
    book = OrderBook()
    same(book.submit(1, BUY, number, number), [accepted(1, BUY, number, number)])
    same(
        book.submit(2, SELL, number, number),
        [accepted(2, SELL, number, number), trade(1, 2, SELL, number, number)],
    )
    book.check()


@pytest.mark.parametrize("number", [1, 2**53])
def test_the_largest_and_smallest_numbers_work_for_special_orders_too(number) -> None:
    book = OrderBook()
    same(book.submit(1, SELL, number, number, post_only=True), [accepted(1, SELL, number, number)])
    same(book.submit(2, BUY, number, None), [accepted(2, BUY, number), trade(1, 2, BUY, number, number)])


def test_a_fault_in_quantity_is_told_before_one_in_price() -> None:
    same(OrderBook().submit(1, BUY, 0, 0), [rejected(1, BUY, 0, 0, Reason.BAD_QTY)])


def test_owners_and_sides_do_not_matter_between_anonymous_orders() -> None:
    book = make_book(bids=[(100, [5])])
    same(book.submit(9, SELL, 1, 100, owner=0)[1:], [trade(1, 9, SELL, 1, 100)])
