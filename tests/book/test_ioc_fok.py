from __future__ import annotations

import pytest

from lobsim.book import OrderBook
from lobsim.events import Reason, SelfTrade, TimeInForce
from tests.book.expect import BUY, SELL, accepted, canceled, make_book, refreshed, same, trade

IOC, FOK = TimeInForce.IOC, TimeInForce.FOK


def test_the_rest_of_an_ioc_order_is_cancelled() -> None:
    book = make_book(asks=[(100, [2]), (102, [9])])
    same(
        book.submit(9, BUY, 5, 101, tif=IOC, owner=4),
        [
            accepted(9, BUY, 5, 101, owner=4),
            trade(1, 9, BUY, 2, 100, taker_owner=4),
            canceled(9, BUY, 3, 101, Reason.IOC_REST, owner=4),
        ],
    )
    assert book.bids() == []
    assert book.order(9) is None
    book.check()


@pytest.mark.parametrize(("side", "price"), [(BUY, 99), (SELL, 101)])
def test_an_ioc_order_that_meets_nobody_is_cancelled_whole(side, price) -> None:
    book = make_book(bids=[(100, [2])] if side == SELL else (), asks=[(100, [2])] if side == BUY else ())
    same(
        book.submit(9, side, 5, price, tif=IOC),
        [accepted(9, side, 5, price), canceled(9, side, 5, price, Reason.IOC_REST)],
    )


def test_an_ioc_order_that_fills_needs_no_cancel() -> None:
    book = make_book(bids=[(100, [2])])
    same(book.submit(9, SELL, 2, 100, tif=IOC), [accepted(9, SELL, 2, 100), trade(1, 9, SELL, 2, 100)])


def test_a_fok_order_fills_wholly() -> None:
    book = make_book(asks=[(100, [2]), (101, [3])])
    same(
        book.submit(9, BUY, 5, 101, tif=FOK),
        [accepted(9, BUY, 5, 101), trade(1, 9, BUY, 2, 100), trade(2, 9, BUY, 3, 101)],
    )
    book.check()


@pytest.mark.parametrize("price", [None, 101])
def test_or_it_is_killed_and_nothing_moves(price) -> None:
    book = make_book(asks=[(100, [2]), (101, [3])])
    before = book.snapshot()
    same(
        book.submit(9, BUY, 6, price, tif=FOK, owner=1),
        [accepted(9, BUY, 6, price, owner=1), canceled(9, BUY, 6, price, Reason.FOK_KILLED, owner=1)],
    )
    assert book.snapshot() == before


def test_quantity_beyond_its_limit_does_not_help_a_fok_order() -> None:
    book = make_book(bids=[(100, [2]), (99, [3])])
    assert book.submit(9, SELL, 3, 100, tif=FOK)[1:] == [canceled(9, SELL, 3, 100, Reason.FOK_KILLED)]
    assert len(book.submit(9, SELL, 3, 99, tif=FOK)) == 3


def test_a_fok_order_into_an_empty_side_is_killed() -> None:
    killed = OrderBook().submit(9, SELL, 3, tif=FOK)
    same(killed, [accepted(9, SELL, 3), canceled(9, SELL, 3, None, Reason.FOK_KILLED)])


def test_a_market_fok_order_takes_any_price() -> None:
    book = make_book(bids=[(100, [2]), (1, [3])])
    events = book.submit(9, SELL, 5, tif=FOK)
    same(events, [accepted(9, SELL, 5), trade(1, 9, SELL, 2, 100), trade(2, 9, SELL, 3, 1)])


def test_hidden_quantity_counts_for_a_fok_order() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, display_qty=3)
    same(
        book.submit(9, SELL, 5, 100, tif=FOK),
        [
            accepted(9, SELL, 5, 100),
            trade(1, 9, SELL, 3, 100),
            refreshed(1, BUY, 2, 100, display=3, hidden=0),
            trade(1, 9, SELL, 2, 100),
        ],
    )
    book.submit(1, BUY, 5, 100, display_qty=3)
    assert book.submit(9, SELL, 6, 100, tif=FOK)[1].reason == Reason.FOK_KILLED


def test_a_fok_order_counts_only_what_it_reaches_before_its_owners_first_order() -> None:
    book = OrderBook()
    book.submit(1, BUY, 3, 101, display_qty=1)
    book.submit(2, BUY, 4, 100, display_qty=2)
    book.submit(3, BUY, 5, 100, owner=7)
    book.submit(4, BUY, 6, 100)
    # 3 at the better level with its hidden lots, and at the owner's level the visible 2 ahead: hidden ones queue behind
    assert book.submit(9, SELL, 6, 100, tif=FOK, owner=7)[1:] == [canceled(9, SELL, 6, 100, Reason.FOK_KILLED, owner=7)]
    book.check()
    filled = book.submit(9, SELL, 5, 100, tif=FOK, owner=7)
    assert sum(event.qty for event in filled if event[0] == 1) == 5
    assert book.order(3).qty == 5


@pytest.mark.parametrize(("owner", "mode"), [(7, SelfTrade.ALLOW), (8, SelfTrade.CANCEL_NEWEST)])
def test_orders_that_may_be_hit_count(owner, mode) -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, owner=7)
    events = book.submit(9, SELL, 5, 100, tif=FOK, owner=owner, self_trade=mode)
    same(events, [accepted(9, SELL, 5, 100, owner=owner), trade(1, 9, SELL, 5, 100, maker_owner=7, taker_owner=owner)])


def test_anonymous_orders_are_nobodys_own() -> None:
    book = make_book(bids=[(100, [5])])
    assert len(book.submit(9, SELL, 5, 100, tif=FOK, owner=0)) == 2
