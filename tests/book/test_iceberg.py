from __future__ import annotations

import pytest

from lobsim.book import OrderBook
from lobsim.events import Purpose, Reason, TimeInForce
from tests.book.expect import BUY, SELL, accepted, canceled, make_book, refreshed, rejected, replaced, same, trade


@pytest.mark.parametrize("side", [BUY, SELL])
def test_only_a_slice_is_shown(side) -> None:
    book = OrderBook()
    same(book.submit(1, side, 10, 100, display_qty=3), [accepted(1, side, 10, 100, display=3)])
    assert (book.bids() or book.asks()) == [(100, 3)]
    assert book.levels(side) == [(100, 3, 7)]
    view = book.order(1)
    assert (view.qty, view.visible_qty, view.hidden_qty, view.display_qty) == (10, 3, 7, 3)
    book.check()


def test_the_next_slice_goes_to_the_back_of_its_level() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, display_qty=2, owner=4, purpose=Purpose.PATIENT)
    book.submit(2, BUY, 1, 100)
    same(
        book.submit(9, SELL, 2, 100, time_ns=5, purpose=Purpose.SHOCK),
        [
            accepted(9, SELL, 2, 100, t=5, purpose=Purpose.SHOCK),
            trade(1, 9, SELL, 2, 100, t=5, maker_owner=4, purpose=Purpose.SHOCK),
            refreshed(1, BUY, 2, 100, t=5, display=2, hidden=1, owner=4, purpose=Purpose.PATIENT),
        ],
    )
    assert book.snapshot().bids == ((100, ((2, 1, 0), (1, 2, 1))),)
    assert book.queue_position(1) == 1
    book.check()


def test_a_slice_that_is_hit_in_part_keeps_its_place() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, display_qty=2)
    book.submit(2, BUY, 1, 100)
    same(book.submit(9, SELL, 1, 100), [accepted(9, SELL, 1, 100), trade(1, 9, SELL, 1, 100)])
    assert book.snapshot().bids == ((100, ((1, 1, 3), (2, 1, 0))),)


def test_new_slices_may_trade_in_the_same_walk() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, display_qty=2)
    book.submit(2, BUY, 1, 100)
    same(
        book.submit(9, SELL, 7, 99),
        [
            accepted(9, SELL, 7, 99),
            trade(1, 9, SELL, 2, 100),
            refreshed(1, BUY, 2, 100, display=2, hidden=1),
            trade(2, 9, SELL, 1, 100),
            trade(1, 9, SELL, 2, 100),
            refreshed(1, BUY, 1, 100, display=2, hidden=0),
            trade(1, 9, SELL, 1, 100),
        ],
    )
    assert book.bids() == []
    assert book.asks() == [(99, 1)]
    book.check()


def test_what_is_left_of_an_incoming_iceberg_rests_as_one() -> None:
    book = make_book(asks=[(100, [4])])
    book.submit(9, BUY, 10, 100, display_qty=5)
    assert book.levels(BUY) == [(100, 5, 1)]
    assert book.order(9).hidden_qty == 1


def test_a_rest_below_the_display_quantity_shows_all() -> None:
    book = make_book(asks=[(100, [8])])
    book.submit(9, BUY, 10, 100, display_qty=5)
    assert book.levels(BUY) == [(100, 2, 0)]
    book.check()


def test_an_incoming_iceberg_trades_with_all_it_has() -> None:
    book = make_book(asks=[(100, [8])])
    same(book.submit(9, BUY, 8, 100, display_qty=1)[1:], [trade(1, 9, BUY, 8, 100)])


def test_cancelling_tells_what_was_hidden() -> None:
    book = OrderBook()
    book.submit(1, SELL, 10, 100, display_qty=3)
    same(book.cancel(1), [canceled(1, SELL, 10, 100, Reason.REQUESTED, hidden=7)])
    assert book.asks() == []
    book.check()


def test_showing_everything_makes_a_plain_order() -> None:
    book = OrderBook()
    same(book.submit(1, SELL, 10, 100, display_qty=10), [accepted(1, SELL, 10, 100, display=10)])
    assert book.order(1).display_qty == 0
    same(book.replace(1, 15, 100), [replaced(1, SELL, 15, 100, kept=0)])
    assert book.asks() == [(100, 15)]


@pytest.mark.parametrize(
    "terms",
    [
        {"qty": 5, "price": 100, "display_qty": 6},
        {"qty": 5, "price": 100, "display_qty": -1},
        {"qty": 5, "price": None, "display_qty": 1},
        {"qty": 5, "price": 100, "display_qty": 1, "tif": TimeInForce.IOC},
        {"qty": 5, "price": 100, "display_qty": 1, "tif": TimeInForce.FOK},
    ],
)
def test_slices_that_make_no_sense_are_rejected(terms) -> None:
    book = OrderBook()
    events = book.submit(1, SELL, **terms)
    reason = Reason.BAD_DISPLAY
    same(events, [rejected(1, SELL, 5, terms["price"], reason, display=terms["display_qty"])])
    assert len(book) == 0


def test_walk_and_depth_see_what_they_should() -> None:
    book = OrderBook()
    book.submit(1, SELL, 10, 100, display_qty=3)
    book.submit(2, SELL, 4, 101)
    assert book.walk(BUY, 12) == (12, 10 * 100 + 2 * 101, 101, ((100, 10), (101, 2)))
    assert book.depth(SELL, 101) == (7, 3 * 100 + 4 * 101)
