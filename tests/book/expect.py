"""Short names for the events that a test expects, and a book to start from."""

from __future__ import annotations

from collections.abc import Iterable

from lobsim.book import OrderBook
from lobsim.events import (
    CancelRejected,
    EventKind,
    OrderAccepted,
    OrderCanceled,
    OrderDecremented,
    OrderRefreshed,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
    Purpose,
    Reason,
    ReplaceRejected,
    Side,
    Trade,
)

BUY, SELL = Side
NONE = Purpose.UNSPECIFIED


def make_book(
    bids: Iterable[tuple[int, Iterable[int]]] = (), asks: Iterable[tuple[int, Iterable[int]]] = ()
) -> OrderBook:
    """A book of anonymous orders: ``make_book(bids=[(100, [5, 3])])`` rests #1 with 5 lots and #2 with 3 at 100."""
    book = OrderBook()
    order_id = 0
    for side, levels in ((BUY, bids), (SELL, asks)):
        for price, quantities in levels:
            for qty in quantities:
                order_id += 1
                book.submit(order_id, side, qty, price)
    return book


def accepted(order_id, side, qty, price=None, *, t=0, owner=0, purpose=NONE, display=0, trigger=None):
    kind = EventKind.ACCEPTED
    return OrderAccepted(kind, t, order_id, owner, side, price, qty, purpose, display, trigger)


def triggered(order_id, side, qty, price=None, *, trigger, t=0, owner=0, purpose=NONE, display=0):
    kind = EventKind.TRIGGERED
    return OrderTriggered(kind, t, order_id, owner, side, price, qty, purpose, display, trigger)


def trade(maker, taker, side, qty, price, *, t=0, maker_owner=0, taker_owner=0, purpose=NONE):
    return Trade(EventKind.TRADE, t, maker, maker_owner, side, price, qty, purpose, taker, taker_owner)


def decremented(maker, taker, side, qty, price, *, owner, t=0, purpose=NONE):
    return OrderDecremented(EventKind.DECREMENTED, t, maker, owner, side, price, qty, purpose, taker, owner)


def refreshed(order_id, side, qty, price, *, display, hidden, t=0, owner=0, purpose=NONE):
    return OrderRefreshed(EventKind.REFRESHED, t, order_id, owner, side, price, qty, purpose, display, hidden)


def replaced(order_id, side, qty, price, *, kept, t=0, owner=0, purpose=NONE, display=0):
    return OrderReplaced(EventKind.REPLACED, t, order_id, owner, side, price, qty, purpose, display, kept)


def canceled(order_id, side, qty, price, reason, *, t=0, owner=0, hidden=0, trigger=None):
    return OrderCanceled(EventKind.CANCELED, t, order_id, owner, side, price, qty, reason, hidden, trigger)


def rejected(order_id, side, qty, price, reason, *, t=0, owner=0, display=0, trigger=None):
    return OrderRejected(EventKind.REJECTED, t, order_id, owner, side, price, qty, reason, display, trigger)


def cancel_rejected(order_id, *, t=0):
    kind = EventKind.CANCEL_REJECTED
    return CancelRejected(kind, t, order_id, 0, None, None, 0, Reason.UNKNOWN_ORDER, 0, None)


def replace_rejected(order_id, qty, price, reason, *, t=0, owner=0, side=None):
    return ReplaceRejected(EventKind.REPLACE_REJECTED, t, order_id, owner, side, price, qty, reason, 0, None)


def same(events, expected) -> None:
    """The same events, of the same types, in the same order; and no slot where a plain bool or float crept in."""
    assert events == expected
    assert [type(event) for event in events] == [type(event) for event in expected]
    assert [len(event) for event in events] == [10] * len(events)
