"""The reference against examples worked out by hand; tests/book does the same, at length, for the engine."""

from __future__ import annotations

import pytest

from lobsim.events import Advance, CancelAll, CancelOrder, Reason, ReplaceOrder, SelfTrade, SubmitOrder, TimeInForce
from lobsim.testing import ReferenceBook
from tests.book.expect import BUY, SELL, accepted, canceled, refreshed, replaced, same, trade, triggered


def run(*commands) -> list:
    book = ReferenceBook()
    for command in commands[:-1]:
        book.apply(command)
    return book.apply(commands[-1])


def test_price_then_time() -> None:
    events = run(
        SubmitOrder(1, SELL, 2, 101),
        SubmitOrder(2, SELL, 2, 100),
        SubmitOrder(3, SELL, 2, 100),
        SubmitOrder(9, BUY, 5, 101),
    )
    same(
        events,
        [accepted(9, BUY, 5, 101), trade(2, 9, BUY, 2, 100), trade(3, 9, BUY, 2, 100), trade(1, 9, BUY, 1, 101)],
    )


def test_an_iceberg_queues_again() -> None:
    events = run(SubmitOrder(1, BUY, 3, 100, display_qty=2), SubmitOrder(2, BUY, 1, 100), SubmitOrder(9, SELL, 4))
    same(
        events,
        [
            accepted(9, SELL, 4),
            trade(1, 9, SELL, 2, 100),
            refreshed(1, BUY, 1, 100, display=2, hidden=0),
            trade(2, 9, SELL, 1, 100),
            trade(1, 9, SELL, 1, 100),
        ],
    )


def test_a_replace_with_less_keeps_its_place_and_loses_hidden_lots_first() -> None:
    book = ReferenceBook()
    book.apply(SubmitOrder(1, BUY, 9, 100, display_qty=2))
    book.apply(SubmitOrder(2, BUY, 1, 100))
    same(book.apply(ReplaceOrder(1, 3, 100)), [replaced(1, BUY, 3, 100, kept=1, display=2)])
    assert book.snapshot()[2] == ((100, ((1, 2, 1), (2, 1, 0))),)
    same(book.apply(ReplaceOrder(1, 3, 100)), [replaced(1, BUY, 3, 100, kept=0, display=2)])
    assert book.snapshot()[2] == ((100, ((2, 1, 0), (1, 2, 1))),)


def test_a_fill_or_kill_order_looks_only_as_far_as_its_owners_first_order() -> None:
    book = ReferenceBook()
    book.apply(SubmitOrder(1, BUY, 5, 100, display_qty=2))
    book.apply(SubmitOrder(2, BUY, 5, 100, owner=3))
    killed = book.apply(SubmitOrder(9, SELL, 3, 100, tif=TimeInForce.FOK, owner=3))
    same(killed, [accepted(9, SELL, 3, 100, owner=3), canceled(9, SELL, 3, 100, Reason.FOK_KILLED, owner=3)])
    assert len(book.apply(SubmitOrder(9, SELL, 2, 100, tif=TimeInForce.FOK, owner=3))) == 3


def test_stops_wake_in_the_order_in_which_the_price_meets_them() -> None:
    events = run(
        SubmitOrder(1, BUY, 1, 95),
        SubmitOrder(2, SELL, 1, 200, trigger_price=96),
        SubmitOrder(3, SELL, 1, 200, trigger_price=97),
        SubmitOrder(4, BUY, 1, 1, trigger_price=90),
        SubmitOrder(9, SELL, 1),
    )
    same(
        events[2:],
        [
            triggered(3, SELL, 1, 200, trigger=97),
            triggered(2, SELL, 1, 200, trigger=96),
            triggered(4, BUY, 1, 1, trigger=90),
        ],
    )


def test_self_trade_prevention() -> None:
    resting = SubmitOrder(1, BUY, 5, 100, owner=3)
    kinds = {
        mode: [event.kind.name for event in run(resting, SubmitOrder(9, SELL, 7, 100, owner=3, self_trade=mode))[1:]]
        for mode in SelfTrade
    }
    assert kinds == {
        SelfTrade.CANCEL_NEWEST: ["CANCELED"],
        SelfTrade.CANCEL_OLDEST: ["CANCELED"],
        SelfTrade.CANCEL_BOTH: ["CANCELED", "CANCELED"],
        SelfTrade.DECREMENT: ["DECREMENTED"],
        SelfTrade.ALLOW: ["TRADE"],
    }


def test_expiry_comes_first_and_mass_cancel_by_age() -> None:
    events = run(
        SubmitOrder(3, BUY, 1, 100, owner=5, tif=TimeInForce.GTD, expire_ns=10),
        SubmitOrder(2, BUY, 1, 101, owner=5),
        SubmitOrder(1, SELL, 1, 200, owner=5, trigger_price=50),
        CancelAll(5, time_ns=12),
    )
    same(
        events,
        [
            canceled(3, BUY, 1, 100, Reason.EXPIRED, t=10, owner=5),
            canceled(2, BUY, 1, 101, Reason.MASS_CANCEL, t=12, owner=5),
            canceled(1, SELL, 1, 200, Reason.MASS_CANCEL, t=12, owner=5, trigger=50),
        ],
    )


def test_time_never_goes_back() -> None:
    with pytest.raises(ValueError, match="before the book's time 5"):
        run(Advance(5), CancelOrder(1, 4))
