from __future__ import annotations

import pytest

from lobsim.events import Reason, TimeInForce
from tests.book.expect import BUY, SELL, accepted, make_book, rejected, replace_rejected, replaced, same


@pytest.mark.parametrize(("side", "price"), [(BUY, 102), (BUY, 103), (SELL, 100), (SELL, 99)])
def test_a_post_only_order_that_would_trade_is_rejected(side, price) -> None:
    book = make_book(bids=[(100, [5])], asks=[(102, [5])])
    before = book.snapshot()
    events = book.submit(9, side, 1, price, post_only=True, owner=1)
    same(events, [rejected(9, side, 1, price, Reason.POST_ONLY_CROSSES, owner=1)])
    assert book.snapshot() == before


@pytest.mark.parametrize(("side", "price"), [(BUY, 101), (SELL, 101), (BUY, 100), (SELL, 102)])
def test_or_it_rests(side, price) -> None:
    book = make_book(bids=[(100, [5])], asks=[(102, [5])])
    same(book.submit(9, side, 1, price, post_only=True), [accepted(9, side, 1, price)])
    assert book.order(9).qty == 1
    book.check()


def test_post_only_rests_in_an_empty_book_and_may_be_hit() -> None:
    book = make_book()
    book.submit(1, BUY, 1, 100, post_only=True)
    assert book.submit(2, SELL, 1, 100)[1].maker_id == 1


@pytest.mark.parametrize(
    "terms",
    [
        {"price": None},
        {"price": 100, "tif": TimeInForce.IOC},
        {"price": 100, "tif": TimeInForce.FOK},
        {"price": 100, "trigger_price": 90},
    ],
)
def test_post_only_contradicts_everything_that_wants_to_trade(terms) -> None:
    book = make_book(bids=[(100, [5])])
    events = book.submit(9, SELL, 1, post_only=True, **terms)
    trigger = terms.get("trigger_price")
    same(events, [rejected(9, SELL, 1, terms["price"], Reason.POST_ONLY_CONFLICT, trigger=trigger)])


def test_post_only_goes_with_gtd_and_icebergs() -> None:
    book = make_book()
    book.submit(1, BUY, 9, 100, tif=TimeInForce.GTD, post_only=True, display_qty=2, expire_ns=5)
    assert book.order(1).hidden_qty == 7


@pytest.mark.parametrize(("side", "price"), [(BUY, 2**53), (SELL, 1)])
@pytest.mark.parametrize("qty", [1, 2**53])
def test_the_reason_is_the_crossing_however_large_the_numbers(side, price, qty) -> None:
    book = make_book(bids=[(100, [5])], asks=[(102, [5])])
    book.submit(9, side, 5, 101, post_only=True)
    same(book.replace(9, qty, price), [replace_rejected(9, qty, price, Reason.POST_ONLY_CROSSES, side=side)])


def test_a_post_only_order_stays_one_when_it_is_replaced() -> None:
    book = make_book(bids=[(100, [5])])
    book.submit(9, SELL, 5, 103, post_only=True, owner=3)
    refused = book.replace(9, 5, 100)
    same(refused, [replace_rejected(9, 5, 100, Reason.POST_ONLY_CROSSES, owner=3, side=SELL)])
    assert book.asks() == [(103, 5)]
    same(book.replace(9, 6, 101), [replaced(9, SELL, 6, 101, kept=0, owner=3)])
    assert book.replace(9, 6, 100)[0].reason == Reason.POST_ONLY_CROSSES, "also the second time"
    same(book.replace(9, 4, 101), [replaced(9, SELL, 4, 101, kept=1, owner=3)])
    book.check()
