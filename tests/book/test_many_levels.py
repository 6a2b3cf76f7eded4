"""Long runs over many levels, where the index is rebuilt, levels are forgotten and their objects used again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lobsim.book import OrderBook, side
from lobsim.events import CancelAll, CancelOrder, Command, ReplaceOrder, SelfTrade, Side, SubmitOrder, TimeInForce
from lobsim.testing import ReferenceBook
from tests.book.expect import BUY, SELL
from tests.testing.adapters import LobsimEngine


def numbers(seed: int) -> Iterator[int]:
    """Enough chance for a test: the middle bits of a linear congruential sequence."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 33


def flow(seed: int, count: int, width: int) -> Iterator[Command]:
    """A drifting market: makers far and near, many cancels, takers now and then, a withdrawal once in a while."""
    draw = numbers(seed)
    centre = 10 * width
    for order_id in range(1, count + 1):
        kind = next(draw) % 20
        side_ = Side(next(draw) % 2)
        owner = next(draw) % 4
        distance = next(draw) % width - 1
        price = centre - distance if side_ == BUY else centre + distance
        qty = 1 + next(draw) % 9
        some_id = 1 + next(draw) % order_id
        if kind < 9:
            yield SubmitOrder(order_id, side_, qty, price, owner=owner, display_qty=next(draw) % 3 if kind == 0 else 0)
        elif kind < 14:
            yield CancelOrder(some_id)
        elif kind < 16:
            yield ReplaceOrder(some_id, qty, price)
        elif kind < 18:
            yield SubmitOrder(order_id, side_, 3 * qty, owner=owner, self_trade=SelfTrade.CANCEL_OLDEST)
        elif kind == 18:
            yield SubmitOrder(order_id, side_, 5 * qty, price, tif=TimeInForce.IOC, owner=owner)
        elif next(draw) % 8 == 0:
            yield CancelAll(owner)
        else:
            centre += next(draw) % width - width // 2


@pytest.mark.parametrize(("near", "keep_empty"), [(1, 0), (2, 3), (5, 8), (64, 1024)])
def test_the_engine_agrees_with_the_reference_over_many_levels(monkeypatch, near, keep_empty) -> None:
    monkeypatch.setattr(side, "_NEAR", near)
    monkeypatch.setattr(side, "_KEEP_EMPTY", keep_empty)
    engine, reference = LobsimEngine(), ReferenceBook()
    for number, command in enumerate(flow(seed=near, count=700, width=60)):
        assert engine.apply(command) == reference.apply(command)
        engine.check()
        if number % 10 == 0:
            assert engine.snapshot() == reference.snapshot()
            assert engine.bids() == reference.bids()
            assert engine.asks() == reference.asks()


def test_forgotten_levels_come_back_and_are_not_mistaken_for_others(monkeypatch) -> None:
    monkeypatch.setattr(side, "_KEEP_EMPTY", 8)
    book = OrderBook()
    for order_id, price in ((1, 1000), (3, 5000), (4, 5001)):
        book.submit(order_id, SELL, 1, price)
    filed = []
    for price in range(1001, 1100):
        book.submit(2, SELL, 1, price)
        book.cancel(2)
        book.check()
        filed.append(len(book._asks.levels))
    assert max(filed) == 2 * 4 + 8, "more than twice those needed the last time, and 8"
    assert book.asks() == [(1000, 1), (5000, 1), (5001, 1)]
    book.cancel(3)
    book.cancel(4)
    book.submit(2, SELL, 5, 1050)
    book.submit(3, SELL, 6, 1001)
    assert book.asks() == [(1000, 1), (1001, 6), (1050, 5)]
    book.check()


def test_a_thousand_levels_are_sold_through() -> None:
    book = OrderBook()
    for order_id in range(1000):
        book.submit(order_id, BUY, 1, 10_000 + 7 * order_id % 1000)
    book.check()
    assert book.bids() == sorted(book.bids(), reverse=True)
    for order_id in range(1000):
        book.submit(2000 + order_id, SELL, 1)
        if order_id % 50 == 0:
            book.check()
    assert len(book) == 0


def test_orders_leave_a_level_from_everywhere() -> None:
    book = OrderBook()
    for order_id in range(400):
        book.submit(order_id, BUY, 1, 100)
    left = list(range(400))
    for turn in range(398):
        gone = left.pop((0, -1, len(left) // 2, 1)[turn % 4])
        assert [event.order_id for event in book.cancel(gone)] == [gone]
        book.check()
    assert [order_id for order_id, _, _ in book.snapshot().bids[0][1]] == left
    assert [event[2] for event in book.submit(400, SELL, 2)[1:]] == left
    book.check()
    assert book.bids() == []


def test_the_near_end_of_the_index_is_halved_when_its_middle_grows() -> None:
    book = OrderBook()
    near, far = book._bids.near, book._bids.far
    book.submit(1, BUY, 1, 1000)
    book.submit(2, BUY, 1, 9000)
    lengths = []
    for order_id in range(3, 600):
        book.submit(order_id, BUY, 1, 1000 + (order_id * 1237) % 7919)
        lengths.append(len(near))
        assert near == sorted(near)
        assert not far or far[-1] < near[0]
    book.check()
    assert max(lengths) == 128
    assert lengths[lengths.index(128) + 1] == 64
    assert len(near) + len(far) == 599


def test_the_near_end_is_filled_up_from_the_far_one() -> None:
    book = OrderBook()
    book.submit(1, BUY, 1, 5000)
    for order_id in range(2, 400):
        book.submit(order_id, BUY, 1, 5000 - order_id)
    assert (len(book._bids.near), len(book._bids.far)) == (1, 398)
    book.cancel(1)
    assert (len(book._bids.near), len(book._bids.far)) == (64, 398 - 64)
    assert book.best_bid == 4998
    book.check()


def test_empty_levels_are_kept_for_a_while() -> None:
    book = OrderBook()
    book.submit(1, SELL, 1, 1000)
    filed = []
    for price in range(1001, 5000):
        book.submit(2, SELL, 1, price)
        book.cancel(2)
        filed.append(len(book._asks.levels))
    assert filed[:1023] == list(range(2, 1025))
    assert filed[1023] == 2
    assert max(filed) == 2 * 2 + 1024
    book.check()


def test_a_replaced_order_goes_to_the_back_again_and_again() -> None:
    book = OrderBook()
    for order_id in range(1, 22):
        book.submit(order_id, BUY, 1, 100)
    for turn in range(200):
        book.replace(1 + turn % 3, 1, 100)
        book.check()
    assert [order_id for order_id, _, _ in book.snapshot().bids[0][1]] == [*range(4, 22), 3, 1, 2]
