from __future__ import annotations

import pytest

from lobsim.book import OrderBook
from lobsim.events import Reason, TimeInForce
from tests.book.expect import BUY, SELL, accepted, make_book, rejected, same


@pytest.mark.parametrize("terms", [{"price": 100}, {"price": None}, {"price": 100, "post_only": True}])
def test_the_id_of_a_live_order_is_refused(terms) -> None:
    book = make_book(bids=[(90, [5])])
    before = book.snapshot()
    events = book.submit(1, SELL, 3, owner=6, **terms)
    same(events, [rejected(1, SELL, 3, terms["price"], Reason.DUPLICATE_ID, owner=6)])
    assert book.snapshot() == before


def test_a_taken_id_is_told_before_any_other_fault() -> None:
    book = make_book(bids=[(100, [5])])
    everything = {"tif": TimeInForce.IOC, "display_qty": 9, "trigger_price": 0, "expire_ns": 0, "post_only": True}
    same(book.submit(1, BUY, 0, 0, **everything), [rejected(1, BUY, 0, 0, Reason.DUPLICATE_ID, display=9, trigger=0)])


def test_faults_are_told_in_order() -> None:
    book = make_book(bids=[(100, [5])])
    bad = {
        "qty": 0,
        "price": 0,
        "expire_ns": 0,
        "display_qty": 9,
        "trigger_price": 0,
        "post_only": True,
    }
    good = {"qty": 1, "price": 100, "expire_ns": None, "display_qty": 0, "trigger_price": None}
    reasons = []
    for name, value in good.items():
        reasons.append(book.submit(9, SELL, **bad)[0].reason)
        bad[name] = value
    reasons.append(book.submit(9, SELL, **bad)[0].reason)
    assert reasons == [
        Reason.BAD_QTY,
        Reason.BAD_PRICE,
        Reason.BAD_EXPIRY,
        Reason.BAD_DISPLAY,
        Reason.BAD_TRIGGER,
        Reason.POST_ONLY_CROSSES,
    ]
    reason = book.submit(9, SELL, 1, 100, post_only=True, trigger_price=5)[0].reason
    assert reason == Reason.POST_ONLY_CONFLICT, "which counts before crossing"


@pytest.mark.parametrize("ending", ["filled", "cancelled", "expired", "ioc", "killed", "rejected", "mass", "market"])
def test_an_id_may_come_again_once_its_order_is_done(ending) -> None:
    book = OrderBook()
    book.submit(1, SELL, 1, 200)
    if ending in ("filled", "cancelled", "mass"):
        book.submit(5, BUY, 3, 100, owner=2)
    if ending == "filled":
        book.submit(6, SELL, 3, 100)
    elif ending == "cancelled":
        book.cancel(5)
    elif ending == "mass":
        book.cancel_all(2)
    elif ending == "expired":
        book.submit(5, BUY, 3, 100, tif=TimeInForce.GTD, expire_ns=4)
        book.advance(4)
    elif ending == "ioc":
        book.submit(5, BUY, 3, 100, tif=TimeInForce.IOC)
    elif ending == "killed":
        book.submit(5, BUY, 3, 100, tif=TimeInForce.FOK)
    elif ending == "rejected":
        book.submit(5, BUY, 0, 100)
    else:
        book.submit(5, SELL, 3)
    same(book.submit(5, BUY, 2, 99), [accepted(5, BUY, 2, 99, t=book.time_ns)])
    assert book.bids() == [(99, 2)]
    assert book.order(5).owner == 0
    book.check()


def test_an_id_that_comes_again_at_its_old_level_queues_at_the_back() -> None:
    book = make_book(bids=[(100, [5, 5])])
    book.cancel(1)
    book.submit(1, BUY, 7, 100)
    assert book.snapshot().bids == ((100, ((2, 5, 0), (1, 7, 0))),)
    assert book.queue_position(1) == 5
    book.check()


def test_any_integer_is_an_id() -> None:
    book = OrderBook()
    for order_id in (0, -5, 2**80):
        same(book.submit(order_id, BUY, 1, 100), [accepted(order_id, BUY, 1, 100)])
    assert len(book) == 3
