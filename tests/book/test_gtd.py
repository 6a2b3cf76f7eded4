from __future__ import annotations

import pytest

from lobsim.book import OrderBook
from lobsim.events import EventKind, Reason, TimeInForce
from tests.book.expect import BUY, SELL, accepted, cancel_rejected, canceled, rejected, same

GTD = TimeInForce.GTD
EXPIRED = Reason.EXPIRED


def test_an_order_lives_until_just_before_its_expiry() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, tif=GTD, expire_ns=10, owner=2)
    assert book.next_expiry_ns == 10
    assert book.advance(9) == []
    assert book.bids() == [(100, 5)]
    same(book.advance(10), [canceled(1, BUY, 5, 100, EXPIRED, t=10, owner=2)])
    assert book.bids() == []
    assert book.time_ns == 10
    assert book.next_expiry_ns is None
    assert book.cancel_all(2) == []
    book.check()


def test_the_event_carries_the_moment_of_expiry_not_the_moment_of_notice() -> None:
    book = OrderBook()
    book.submit(1, SELL, 5, 100, tif=GTD, expire_ns=10, display_qty=2)
    same(book.advance(50), [canceled(1, SELL, 5, 100, EXPIRED, t=10, hidden=3)])
    assert book.time_ns == 50


def test_orders_expire_by_expiry_then_by_acceptance() -> None:
    book = OrderBook()
    for order_id, expire in ((5, 30), (4, 10), (3, 20), (2, 10), (1, 99)):
        book.submit(order_id, BUY, 1, 100, tif=GTD, expire_ns=expire)
    assert [(event.order_id, event.time_ns) for event in book.advance(30)] == [(4, 10), (2, 10), (3, 20), (5, 30)]
    assert len(book) == 1
    assert book.next_expiry_ns == 99
    book.check()


def test_stops_expire_in_their_sleep() -> None:
    book = OrderBook()
    book.submit(1, SELL, 5, tif=GTD, expire_ns=10, trigger_price=90)
    book.submit(2, SELL, 5, 80, tif=GTD, expire_ns=10, trigger_price=91)
    same(
        book.advance(11),
        [
            canceled(1, SELL, 5, None, EXPIRED, t=10, trigger=90),
            canceled(2, SELL, 5, 80, EXPIRED, t=10, trigger=91),
        ],
    )
    assert len(book) == 0
    book.check()


@pytest.mark.parametrize("command", ["submit", "submit_special", "cancel", "replace", "cancel_all"])
def test_expiries_come_before_the_command_that_brings_the_time(command) -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, tif=GTD, expire_ns=10)
    book.submit(2, BUY, 5, 90, owner=3)
    send = {
        "submit": lambda: book.submit(9, SELL, 5, 100, time_ns=10),
        "submit_special": lambda: book.submit(9, SELL, 5, 100, time_ns=10, tif=TimeInForce.IOC),
        "cancel": lambda: book.cancel(1, time_ns=10),
        "replace": lambda: book.replace(1, 4, 100, time_ns=10),
        "cancel_all": lambda: book.cancel_all(3, time_ns=10),
    }
    events = send[command]()
    assert events[0] == canceled(1, BUY, 5, 100, EXPIRED, t=10)
    assert events[1].time_ns == 10
    assert (
        events[1].kind.name
        == {
            "submit": "ACCEPTED",
            "submit_special": "ACCEPTED",
            "cancel": "CANCEL_REJECTED",
            "replace": "REPLACE_REJECTED",
            "cancel_all": "CANCELED",
        }[command]
    )
    assert book.time_ns == 10
    book.check()


@pytest.mark.parametrize("time_ns", [9, 10, 11])
def test_a_fast_clock_skips_nothing(time_ns) -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, tif=GTD, expire_ns=10)
    kinds = [event.kind for event in book.cancel(77, time_ns=time_ns)]
    assert kinds == [EventKind.CANCELED] * (time_ns >= 10) + [EventKind.CANCEL_REJECTED]
    assert book.time_ns == time_ns


@pytest.mark.parametrize("terms", [{"expire_ns": 5}, {"expire_ns": 4}, {}])
def test_an_expiry_must_lie_ahead(terms) -> None:
    book = OrderBook()
    events = book.submit(1, BUY, 5, 100, time_ns=5, tif=GTD, **terms)
    same(events, [rejected(1, BUY, 5, 100, Reason.BAD_EXPIRY, t=5)])
    assert book.submit(1, BUY, 5, None, tif=GTD, **terms)[0].reason == Reason.BAD_EXPIRY
    same(book.submit(1, BUY, 5, 100, tif=GTD, expire_ns=6), [accepted(1, BUY, 5, 100, t=5)])


@pytest.mark.parametrize("tif", [TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK])
@pytest.mark.parametrize("price", [100, None])
def test_an_expiry_needs_gtd(tif, price) -> None:
    same(OrderBook().submit(1, BUY, 5, price, tif=tif, expire_ns=10), [rejected(1, BUY, 5, price, Reason.BAD_EXPIRY)])


def test_an_order_that_was_done_before_does_not_expire() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, tif=GTD, expire_ns=10)
    book.cancel(1)
    book.submit(2, BUY, 5, 100, tif=GTD, expire_ns=10)
    book.submit(3, SELL, 5, 100)
    assert book.advance(20) == []


def test_a_reused_id_does_not_inherit_an_expiry() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, tif=GTD, expire_ns=10)
    book.cancel(1)
    book.submit(1, BUY, 5, 100)
    assert book.advance(10) == []
    book.cancel(1)
    book.submit(1, BUY, 5, 100, tif=GTD, expire_ns=30)
    assert book.advance(20) == []
    assert len(book.advance(30)) == 1


def test_a_replaced_order_keeps_its_expiry_and_its_turn() -> None:
    book = OrderBook()
    for order_id in (1, 2, 3):
        book.submit(order_id, BUY, 5, 100, tif=GTD, expire_ns=10)
    book.replace(1, 9, 101)
    book.replace(2, 4, 100)
    assert [event.order_id for event in book.advance(10)] == [1, 2, 3]
    book.check()


def test_many_expiries_of_orders_that_are_done_are_forgotten() -> None:
    book = OrderBook()
    for order_id in range(3):
        book.submit(order_id, BUY, 1, 100, tif=GTD, expire_ns=10_000 - order_id)
    kept = []
    for order_id in range(10, 500):
        book.submit(order_id, BUY, 1, 99, tif=GTD, expire_ns=10_000 + order_id)
        book.cancel(order_id)
        book.check()
        kept.append(len(book._expiries))
    assert max(kept) == 2 * 3 + 64, "the list must not grow with the flow, nor be tidied all the time"
    assert min(kept[100:]) == 4, "the three that live and the one that came"
    assert book.next_expiry_ns == 9_998
    assert book.cancel(77, time_ns=9_997) == [cancel_rejected(77, t=9_997)]
    assert [event.order_id for event in book.cancel(77, time_ns=10_000)] == [2, 1, 0, 77]
    book.check()


def test_tidying_up_does_not_lose_the_next_expiry() -> None:
    book = OrderBook()
    for order_id in range(100, 300):
        book.submit(order_id, BUY, 1, 99, tif=GTD, expire_ns=10_000)
        book.cancel(order_id)
    book.submit(1, BUY, 1, 100, tif=GTD, expire_ns=50)
    for order_id in range(300, 400):
        before = len(book._expiries)
        book.submit(order_id, BUY, 1, 99, tif=GTD, expire_ns=10_000)
        book.cancel(order_id)
        assert book.next_expiry_ns == 50
        if len(book._expiries) < before:
            break  # just tidied up
    assert len(book._expiries) == 2
    same(book.submit(2, BUY, 1, 98, time_ns=60)[:1], [canceled(1, BUY, 1, 100, EXPIRED, t=50)])
    book.check()


def test_expiries_are_tidied_up_when_they_outnumber_twice_the_live_orders() -> None:
    book = OrderBook()
    for order_id in range(50):
        book.submit(order_id, BUY, 1, 100)
    kept = []
    for order_id in range(100, 500):
        book.submit(order_id, BUY, 1, 99, tif=GTD, expire_ns=10_000)
        kept.append(len(book._expiries))
        book.cancel(order_id)
    assert max(kept) == 2 * 50 + 64


@pytest.mark.parametrize("step", [1, -1])
def test_stale_expiries_of_a_live_id_are_forgotten(step) -> None:
    book = OrderBook()
    kept = []
    for turn in range(300):
        book.submit(5, BUY, 1, 99, tif=GTD, expire_ns=10_000 + step * turn)
        book.submit(6, BUY, 1, 99, tif=GTD, expire_ns=20_000)
        kept.append(len(book._expiries))
        book.cancel(6)
        book.cancel(5)
    assert max(kept) <= 2 * 2 + 64


def test_expiries_of_one_id_used_again_and_again_are_forgotten_too() -> None:
    book = OrderBook()
    kept = []
    for turn in range(300):
        book.submit(5, BUY, 1, 99, tif=GTD, expire_ns=10_000 + turn)
        kept.append(len(book._expiries))
        book.cancel(5)
    book.submit(5, BUY, 1, 99, tif=GTD, expire_ns=20_000)
    assert max(kept) == 64
    assert book.advance(15_000) == []
    assert len(book.advance(20_000)) == 1


def test_time_stands_still_without_one() -> None:
    book = OrderBook()
    assert book.time_ns == 0
    book.submit(1, BUY, 5, 100, time_ns=7)
    same(book.cancel(9), [cancel_rejected(9, t=7)])
    same(book.cancel(9, time_ns=7), [cancel_rejected(9, t=7)])
    assert book.advance(7) == []


@pytest.mark.parametrize(
    "send",
    [
        lambda book: book.submit(2, BUY, 1, 100, time_ns=6),
        lambda book: book.submit(2, BUY, 1, time_ns=6),
        lambda book: book.cancel(1, time_ns=6),
        lambda book: book.replace(1, 1, 100, time_ns=6),
        lambda book: book.cancel_all(1, time_ns=6),
        lambda book: book.advance(6),
        lambda book: book.advance(-1),
    ],
)
def test_time_never_goes_back(send) -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, time_ns=7, owner=1)
    before = book.snapshot()
    with pytest.raises(ValueError, match="before the book's time 7"):
        send(book)
    assert book.snapshot() == before
    book.check()
