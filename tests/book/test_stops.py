from __future__ import annotations

import pytest

from lobsim.book import OrderBook
from lobsim.events import EventKind, Purpose, Reason, SelfTrade, TimeInForce
from tests.book.expect import BUY, SELL, accepted, canceled, make_book, rejected, same, trade, triggered


def print_trade(book: OrderBook, price: int) -> None:
    """Make `price` the last price, leaving nothing behind."""
    book.submit(901, BUY, 1, price)
    book.submit(902, SELL, 1, price)
    assert book.last_price == price


def ids(events, kind) -> list[int]:
    return [event.order_id for event in events if event.kind == kind]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_stop_sleeps_until_a_trade_reaches_it(side) -> None:
    book = OrderBook()
    same(
        book.submit(1, side, 5, 100, trigger_price=100, owner=2),
        [accepted(1, side, 5, 100, trigger=100, owner=2)],
    )
    assert book.bids() == book.asks() == []
    assert len(book) == 1
    assert book.snapshot().stops == ((1, side, 100, 100, 5),)
    view = book.order(1)
    assert (view.trigger_price, view.qty, view.visible_qty, view.hidden_qty) == (100, 5, 0, 0)
    assert book.queue_position(1) is None
    book.check()


@pytest.mark.parametrize(
    ("side", "trigger", "last", "wakes"),
    [
        (BUY, 100, 99, False),
        (BUY, 100, 100, True),
        (BUY, 100, 101, True),
        (SELL, 100, 101, False),
        (SELL, 100, 100, True),
        (SELL, 100, 99, True),
    ],
)
def test_buys_wake_at_or_above_and_sells_at_or_below(side, trigger, last, wakes) -> None:
    book = OrderBook()
    book.submit(1, side, 5, trigger, trigger_price=trigger)
    book.submit(2, BUY, 1, last)
    events = book.submit(3, SELL, 1, last)
    assert ids(events, EventKind.TRIGGERED) == ([1] if wakes else [])
    assert bool(book.snapshot().stops) != wakes
    book.check()


@pytest.mark.parametrize(
    ("side", "trigger", "last", "wakes"),
    [
        (BUY, 100, 99, False),
        (BUY, 100, 100, True),
        (BUY, 100, 101, True),
        (SELL, 100, 101, False),
        (SELL, 100, 100, True),
        (SELL, 100, 99, True),
    ],
)
def test_a_stop_whose_price_is_already_there_acts_at_once(side, trigger, last, wakes) -> None:
    book = OrderBook()
    print_trade(book, last)
    events = book.submit(1, side, 5, 90, trigger_price=trigger, owner=3, purpose=Purpose.STOP_OUT)
    same(
        events,
        [accepted(1, side, 5, 90, trigger=trigger, owner=3, purpose=Purpose.STOP_OUT)]
        + [triggered(1, side, 5, 90, trigger=trigger, owner=3, purpose=Purpose.STOP_OUT)] * wakes,
    )
    assert bool(book.bids() or book.asks()) == wakes
    assert book.order(1).trigger_price == (None if wakes else trigger)
    book.check()


def test_a_stop_that_acts_at_once_and_shows_everything_is_no_iceberg() -> None:
    book = OrderBook()
    print_trade(book, 100)
    events = book.submit(1, BUY, 5, 90, trigger_price=100, display_qty=5)
    same(events, [accepted(1, BUY, 5, 90, trigger=100, display=5), triggered(1, BUY, 5, 90, trigger=100)])


def test_a_stop_market_order_sells_into_the_hole() -> None:
    book = make_book(bids=[(100, [1]), (90, [2]), (80, [9])])
    book.submit(7, SELL, 4, trigger_price=100, owner=5, purpose=Purpose.STOP_OUT)
    same(
        book.submit(8, SELL, 1, time_ns=6),
        [
            accepted(8, SELL, 1, t=6),
            trade(1, 8, SELL, 1, 100, t=6),
            triggered(7, SELL, 4, trigger=100, t=6, owner=5, purpose=Purpose.STOP_OUT),
            trade(2, 7, SELL, 2, 90, t=6, taker_owner=5, purpose=Purpose.STOP_OUT),
            trade(3, 7, SELL, 2, 80, t=6, taker_owner=5, purpose=Purpose.STOP_OUT),
        ],
    )
    assert book.order(7) is None
    assert book.cancel_all(5) == []
    book.check()


def test_a_stop_limit_order_rests_when_it_wakes() -> None:
    book = make_book(bids=[(100, [1])])
    book.submit(7, SELL, 4, 95, trigger_price=100, owner=5, display_qty=3)
    events = book.submit(8, SELL, 1)
    same(events[2:], [triggered(7, SELL, 4, 95, trigger=100, owner=5, display=3)])
    assert book.levels(SELL) == [(95, 3, 1)]
    assert book.order(7).trigger_price is None
    same(book.cancel_all(5), [canceled(7, SELL, 4, 95, Reason.MASS_CANCEL, owner=5, hidden=1)])
    book.check()


def test_several_stops_wake_sells_falling_then_buys_rising_then_by_acceptance() -> None:
    book = OrderBook()
    print_trade(book, 100)
    for order_id, trigger in ((1, 97), (2, 99), (3, 98), (4, 99), (5, 90)):
        book.submit(order_id, SELL, 1, 200, trigger_price=trigger)
    for order_id, trigger in ((6, 103), (7, 101), (8, 102), (9, 101), (10, 110)):
        book.submit(order_id, BUY, 1, 1, trigger_price=trigger)
    book.submit(20, BUY, 1, 97)
    assert ids(book.submit(21, SELL, 1, 97), EventKind.TRIGGERED) == [2, 4, 3, 1]
    book.submit(22, SELL, 1, 103)
    assert ids(book.submit(23, BUY, 1, 103), EventKind.TRIGGERED) == [7, 9, 8, 6]
    assert [stop[0] for stop in book.snapshot().stops] == [5, 10]
    book.check()


def test_sells_come_before_buys_when_both_are_reached_at_once() -> None:
    book = make_book(bids=[(100, [1]), (50, [1])], asks=[(150, [1])])
    book.submit(10, BUY, 1, 40, trigger_price=151)
    book.submit(11, SELL, 1, 160, trigger_price=49)
    # the first stop's own trade reaches none; a sell at 50 and a buy at 150 then wake a chain
    book.submit(12, SELL, 1, None, trigger_price=100)
    book.submit(13, BUY, 1, None, trigger_price=101)
    events = book.submit(20, SELL, 1)
    assert ids(events, EventKind.TRIGGERED) == [12]
    assert book.last_price == 50
    events = book.submit(21, BUY, 1)
    assert ids(events, EventKind.TRIGGERED) == [13]
    assert [stop[0] for stop in book.snapshot().stops] == [10, 11]
    book.check()


def test_stops_wake_stops_each_acting_alone_in_turn() -> None:
    book = make_book(bids=[(100, [1]), (99, [1]), (98, [1]), (97, [1])])
    book.submit(7, SELL, 1, trigger_price=99)
    book.submit(8, SELL, 1, trigger_price=100)
    book.submit(9, SELL, 1, 300, trigger_price=100)
    same(
        book.submit(20, SELL, 1),
        [
            accepted(20, SELL, 1),
            trade(1, 20, SELL, 1, 100),
            triggered(8, SELL, 1, trigger=100),
            trade(2, 8, SELL, 1, 99),
            triggered(9, SELL, 1, 300, trigger=100),
            triggered(7, SELL, 1, trigger=99),
            trade(3, 7, SELL, 1, 98),
        ],
    )
    book.check()


def test_a_woken_stop_acts_even_if_the_price_has_turned() -> None:
    book = make_book(bids=[(100, [1])], asks=[(110, [5])])
    book.submit(7, SELL, 1, 300, trigger_price=100)
    book.submit(8, BUY, 1, None, trigger_price=109)
    book.submit(9, SELL, 1, 301, trigger_price=100)
    events = book.submit(20, SELL, 1)
    assert ids(events, EventKind.TRIGGERED) == [7, 9]
    events = book.submit(21, BUY, 1)
    assert ids(events, EventKind.TRIGGERED) == [8]
    assert book.last_price == 110


def test_an_order_completes_before_stops_act() -> None:
    book = make_book(bids=[(100, [1]), (99, [1])])
    book.submit(7, SELL, 1, trigger_price=100)
    kinds = [event.kind.name for event in book.submit(20, SELL, 3, 99)]
    assert kinds == ["ACCEPTED", "TRADE", "TRADE", "TRIGGERED", "CANCELED"]
    assert book.asks() == [(99, 1)]
    book.check()


def test_the_id_of_a_woken_stop_is_taken_until_it_has_acted() -> None:
    book = make_book(bids=[(100, [1])])
    book.submit(7, SELL, 1, trigger_price=100)
    same(book.submit(7, SELL, 1, 100), [rejected(7, SELL, 1, 100, Reason.DUPLICATE_ID)])
    book.submit(20, SELL, 1)
    assert book.order(7) is None
    assert book.submit(7, SELL, 1, 100)[0].kind == EventKind.ACCEPTED


@pytest.mark.parametrize(("tif", "reason"), [(TimeInForce.IOC, Reason.IOC_REST), (TimeInForce.FOK, Reason.FOK_KILLED)])
def test_time_in_force_counts_from_the_moment_a_stop_wakes(tif, reason) -> None:
    book = make_book(bids=[(100, [1]), (99, [2])])
    book.submit(7, SELL, 5, 99, trigger_price=100, tif=tif)
    assert len(book) == 3
    events = book.submit(20, SELL, 1)
    left = 3 if tif == TimeInForce.IOC else 5
    assert events[-1] == canceled(7, SELL, left, 99, reason)
    assert book.order(7) is None
    book.check()


def test_a_woken_stop_meets_its_owners_orders_by_its_own_rule() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 99, owner=3)
    book.submit(2, BUY, 1, 100)
    book.submit(7, SELL, 5, 99, trigger_price=100, owner=3, self_trade=SelfTrade.CANCEL_OLDEST)
    events = book.submit(20, SELL, 1)
    assert events[-1] == canceled(1, BUY, 5, 99, Reason.SELF_TRADE, owner=3)
    assert book.asks() == [(99, 5)]
    book.check()


def test_a_decrement_is_no_trade_and_wakes_nobody() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, owner=3)
    book.submit(7, SELL, 5, 99, trigger_price=100)
    book.submit(8, SELL, 2, 100, owner=3, self_trade=SelfTrade.DECREMENT)
    assert book.last_price is None
    assert len(book.snapshot().stops) == 1
    book.check()


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("price", [None, 95])
def test_a_sleeping_stop_can_be_cancelled(side, price) -> None:
    book = OrderBook()
    book.submit(1, side, 5, price, trigger_price=100, owner=2, display_qty=2 if price else 0)
    same(book.cancel(1, time_ns=3), [canceled(1, side, 5, price, Reason.REQUESTED, t=3, owner=2, trigger=100)])
    assert book.snapshot().stops == ()
    assert book.cancel_all(2) == []
    print_trade(book, 100)
    book.check()


def test_cancelled_stops_do_not_wake_and_the_others_do() -> None:
    book = OrderBook()
    print_trade(book, 100)
    for order_id, side, trigger in ((1, SELL, 99), (2, SELL, 98), (3, BUY, 101), (4, BUY, 102)):
        book.submit(order_id, side, 1, 500 if side else 1, trigger_price=trigger)
    book.cancel(1)
    book.cancel(3)
    book.check()
    book.submit(20, BUY, 1, 99)
    assert ids(book.submit(21, SELL, 1, 99), EventKind.TRIGGERED) == []
    book.submit(20, BUY, 1, 98)
    assert ids(book.submit(21, SELL, 1, 98), EventKind.TRIGGERED) == [2]
    book.submit(20, SELL, 1, 101)
    assert ids(book.submit(21, BUY, 1, 101), EventKind.TRIGGERED) == []
    book.submit(20, SELL, 1, 102)
    assert ids(book.submit(21, BUY, 1, 102), EventKind.TRIGGERED) == [4]


@pytest.mark.parametrize("trigger", [0, -1, 2**53 + 1])
def test_impossible_triggers_are_rejected(trigger) -> None:
    book = OrderBook()
    events = book.submit(1, SELL, 5, 100, trigger_price=trigger)
    same(events, [rejected(1, SELL, 5, 100, Reason.BAD_TRIGGER, trigger=trigger)])


@pytest.mark.parametrize("trigger", [1, 2**53])
def test_the_largest_and_smallest_triggers_work(trigger) -> None:
    book = OrderBook()
    same(book.submit(1, SELL, 5, 101, trigger_price=trigger), [accepted(1, SELL, 5, 101, trigger=trigger)])
    book.submit(2, BUY, 5, 100, trigger_price=trigger)
    print_trade(book, trigger)
    assert book.snapshot().stops == ()
    assert (book.bids(), book.asks()) == ([(100, 5)], [(101, 5)])
    book.check()


def test_stops_stand_in_the_snapshot_by_acceptance() -> None:
    book = OrderBook()
    book.submit(3, SELL, 1, 5, trigger_price=10)
    book.submit(1, BUY, 2, None, trigger_price=20)
    book.submit(2, SELL, 3, None, trigger_price=15)
    assert book.snapshot().stops == ((3, SELL, 10, 5, 1), (1, BUY, 20, None, 2), (2, SELL, 15, None, 3))
