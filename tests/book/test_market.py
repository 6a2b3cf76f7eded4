from __future__ import annotations

import pytest

from lobsim.book import OrderBook
from lobsim.events import Reason, TimeInForce
from tests.book.expect import BUY, SELL, accepted, canceled, make_book, same, trade


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("tif", [TimeInForce.GTC, TimeInForce.GTD, TimeInForce.IOC])
def test_a_market_order_into_an_empty_side_is_cancelled(side, tif) -> None:
    book = OrderBook()
    expire = 9 if tif == TimeInForce.GTD else None
    events = book.submit(1, side, 5, tif=tif, owner=2, expire_ns=expire)
    same(events, [accepted(1, side, 5, owner=2), canceled(1, side, 5, None, Reason.NO_LIQUIDITY, owner=2)])
    assert len(book) == 0
    assert book.next_expiry_ns is None
    assert book.last_price is None
    book.check()


@pytest.mark.parametrize("tif", [TimeInForce.GTC, TimeInForce.IOC])
def test_what_a_market_order_cannot_trade_is_cancelled(tif) -> None:
    book = make_book(bids=[(100, [2]), (1, [3])])
    same(
        book.submit(9, SELL, 10, tif=tif),
        [
            accepted(9, SELL, 10),
            trade(1, 9, SELL, 2, 100),
            trade(2, 9, SELL, 3, 1),
            canceled(9, SELL, 5, None, Reason.NO_LIQUIDITY),
        ],
    )
    assert book.bids() == book.asks() == []
    assert book.order(9) is None


def test_a_market_order_takes_any_price() -> None:
    book = make_book(asks=[(1, [1]), (2**53, [1])])
    events = book.submit(9, BUY, 2)
    same(events, [accepted(9, BUY, 2), trade(1, 9, BUY, 1, 1), trade(2, 9, BUY, 1, 2**53)])


def test_a_market_order_leaves_what_it_does_not_need() -> None:
    book = make_book(asks=[(100, [3]), (101, [4])])
    same(book.submit(9, BUY, 1), [accepted(9, BUY, 1), trade(1, 9, BUY, 1, 100)])
    assert book.asks() == [(100, 2), (101, 4)]
