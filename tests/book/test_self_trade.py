from __future__ import annotations

import pytest

from lobsim.book import OrderBook
from lobsim.events import EventKind, Purpose, Reason, SelfTrade
from tests.book.expect import BUY, SELL, accepted, canceled, decremented, refreshed, same, trade

NEWEST, OLDEST, BOTH, DECREMENT, ALLOW = SelfTrade


@pytest.fixture
def book() -> OrderBook:
    """#1 of somebody else, then #2 of owner 7 (an iceberg), then #3 of somebody else, all at 100."""
    book = OrderBook()
    book.submit(1, BUY, 2, 100, owner=8)
    book.submit(2, BUY, 5, 100, owner=7, display_qty=3)
    book.submit(3, BUY, 4, 100, owner=8)
    return book


def test_cancel_newest_ends_the_incoming_order(book) -> None:
    same(
        book.submit(9, SELL, 9, 100, owner=7),
        [
            accepted(9, SELL, 9, 100, owner=7),
            trade(1, 9, SELL, 2, 100, maker_owner=8, taker_owner=7),
            canceled(9, SELL, 7, 100, Reason.SELF_TRADE, owner=7),
        ],
    )
    assert book.bids() == [(100, 7)]
    assert book.asks() == []
    book.check()


def test_cancel_oldest_takes_the_resting_order_away_whole(book) -> None:
    same(
        book.submit(9, SELL, 9, 100, owner=7, self_trade=OLDEST),
        [
            accepted(9, SELL, 9, 100, owner=7),
            trade(1, 9, SELL, 2, 100, maker_owner=8, taker_owner=7),
            canceled(2, BUY, 5, 100, Reason.SELF_TRADE, owner=7, hidden=2),
            trade(3, 9, SELL, 4, 100, maker_owner=8, taker_owner=7),
        ],
    )
    assert book.asks() == [(100, 3)]
    assert book.bids() == []
    book.check()


def test_cancel_both_ends_both_the_resting_one_first(book) -> None:
    same(
        book.submit(9, SELL, 9, 100, owner=7, self_trade=BOTH),
        [
            accepted(9, SELL, 9, 100, owner=7),
            trade(1, 9, SELL, 2, 100, maker_owner=8, taker_owner=7),
            canceled(2, BUY, 5, 100, Reason.SELF_TRADE, owner=7, hidden=2),
            canceled(9, SELL, 7, 100, Reason.SELF_TRADE, owner=7),
        ],
    )
    assert book.bids() == [(100, 4)]
    book.check()


def test_decrement_takes_the_smaller_quantity_off_both(book) -> None:
    same(
        book.submit(9, SELL, 12, 100, owner=7, self_trade=DECREMENT, purpose=Purpose.HEDGE),
        [
            accepted(9, SELL, 12, 100, owner=7, purpose=Purpose.HEDGE),
            trade(1, 9, SELL, 2, 100, maker_owner=8, taker_owner=7, purpose=Purpose.HEDGE),
            decremented(2, 9, SELL, 3, 100, owner=7, purpose=Purpose.HEDGE),
            refreshed(2, BUY, 2, 100, display=3, hidden=0, owner=7),
            trade(3, 9, SELL, 4, 100, maker_owner=8, taker_owner=7, purpose=Purpose.HEDGE),
            decremented(2, 9, SELL, 2, 100, owner=7, purpose=Purpose.HEDGE),
        ],
    )
    assert book.asks() == [(100, 1)]
    assert book.bids() == []
    book.check()


def test_a_decremented_maker_keeps_the_rest() -> None:
    book = OrderBook()
    book.submit(1, SELL, 5, 100, owner=7)
    same(
        book.submit(2, BUY, 2, 100, owner=7, self_trade=DECREMENT),
        [accepted(2, BUY, 2, 100, owner=7), decremented(1, 2, BUY, 2, 100, owner=7)],
    )
    assert book.order(1).qty == 3
    assert book.last_price is None
    book.check()


def test_allow_lets_them_trade(book) -> None:
    events = book.submit(9, SELL, 3, 100, owner=7, self_trade=ALLOW)
    same(events[2:], [trade(2, 9, SELL, 1, 100, maker_owner=7, taker_owner=7)])


def test_the_incoming_orders_choice_counts_not_the_resting_ones() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, owner=7, self_trade=ALLOW)
    assert book.submit(2, SELL, 5, 100, owner=7)[1].kind == EventKind.CANCELED
    book.submit(3, BUY, 5, 101, owner=7)
    assert book.submit(4, SELL, 5, 101, owner=7, self_trade=ALLOW)[1].kind == EventKind.TRADE


@pytest.mark.parametrize(("mode", "met"), [(ALLOW, "TRADE"), (NEWEST, "CANCELED")])
@pytest.mark.parametrize("filled", [0, 2])
def test_the_choice_is_kept_while_the_order_rests(mode, met, filled) -> None:
    book = OrderBook()
    if filled:
        book.submit(1, SELL, filled, 100, owner=8)
    book.submit(2, BUY, 5, 100, owner=7, self_trade=mode)
    book.submit(3, SELL, 5, 105, owner=7)
    events = book.replace(2, 5, 105)
    assert [event.kind.name for event in events] == ["REPLACED", met]


@pytest.mark.parametrize("mode", SelfTrade)
def test_anonymous_and_foreign_orders_always_trade(mode) -> None:
    book = OrderBook()
    book.submit(1, BUY, 1, 100)
    book.submit(2, BUY, 1, 100, owner=8)
    book.submit(3, BUY, 1, 100)
    assert [event.kind.name for event in book.submit(9, SELL, 1, 100, self_trade=mode)] == ["ACCEPTED", "TRADE"]
    events = book.submit(9, SELL, 2, 100, owner=7, self_trade=mode)
    assert [event.kind.name for event in events] == ["ACCEPTED", "TRADE", "TRADE"]


@pytest.mark.parametrize("mode", [OLDEST, BOTH])
def test_cancelling_the_only_order_of_a_level_moves_on(mode) -> None:
    book = OrderBook()
    book.submit(1, SELL, 5, 100, owner=7)
    book.submit(2, SELL, 5, 101, owner=8)
    events = book.submit(9, BUY, 6, owner=7, self_trade=mode)
    reasons = [event.reason.name for event in events if event.kind == EventKind.CANCELED]
    assert reasons == (["SELF_TRADE", "NO_LIQUIDITY"] if mode == OLDEST else ["SELF_TRADE"] * 2)
    assert book.asks() == ([] if mode == OLDEST else [(101, 5)])
    book.check()


def test_a_market_order_ended_by_self_trade_prevention_says_so() -> None:
    book = OrderBook()
    book.submit(1, SELL, 5, 100, owner=7)
    events = book.submit(9, BUY, 6, owner=7)
    same(events, [accepted(9, BUY, 6, owner=7), canceled(9, BUY, 6, None, Reason.SELF_TRADE, owner=7)])
    assert book.asks() == [(100, 5)]


def test_own_orders_that_are_not_reached_do_not_matter() -> None:
    book = OrderBook()
    book.submit(1, SELL, 5, 100, owner=8)
    book.submit(2, SELL, 5, 101, owner=7)
    assert [event.kind.name for event in book.submit(9, BUY, 9, 100, owner=7)] == ["ACCEPTED", "TRADE"]
    assert book.bids() == [(100, 4)]
