"""The makers' resting bids second by second are what the book holds of theirs, whatever they did to get there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.book import OrderBook
from lobsim.events import CancelAll, CancelOrder, Command, ReplaceOrder, Side, SubmitOrder
from lobsim.measure.maker_depth import maker_bids, maker_depth_left
from lobsim.measure.study import Study
from lobsim.testing.strategies import Range, command_lists
from tests.measure.recording import MemoryRecorder, apply
from tests.measure.worlds import SHOCK_S, S, header

BUY, SELL = Side
MAKERS = [1, 2]
WIDE = Range(spread=9, max_qty=30, order_ids=25, owners=3)


def _slowed(command: Command) -> Command:
    """The same command on a clock that is half a second a tick, so that seconds matter."""
    changes = {
        key: getattr(command, key) * S // 2
        for key in ("time_ns", "expire_ns")
        if getattr(command, key, None) is not None
    }
    return command._replace(**changes)


def _bids_of(book: OrderBook) -> int:
    return sum(
        price * (visible + hidden)
        for price, orders in book.snapshot().bids
        for order_id, visible, hidden in orders
        if book.order(order_id).owner in MAKERS
    )


@settings(deadline=None, max_examples=80)
@given(commands=st.one_of(command_lists(max_size=80), command_lists(span=WIDE, max_size=120)))
def test_bids_of_makers_equal_the_books(commands):
    recorder, book, seen = MemoryRecorder(header()), OrderBook(), {}
    for command in map(_slowed, commands):
        for moment in range(book.time_ns, command.time_ns or 0, S // 2):  # an order may expire between two commands
            recorder.events(0, book.advance(moment))
            seen[moment] = _bids_of(book)
        recorder.events(0, apply(book, command))
        seen[book.time_ns] = _bids_of(book)
    study = Study(recorder.run())
    (found,) = maker_bids(study, MAKERS, [0])
    state = 0
    assert len(found) == study.run.end_ns // S + 1
    for second in range(len(found)):
        times = [time_ns for time_ns in seen if time_ns <= second * S]
        state = seen[max(times)] if times else 0
        assert found[second] == state


def _quoting(withdrawn_s: int | None) -> Study:
    """Two books with one maker each bidding 10 x 100 next to another's bid; maker 1 leaves for half a minute."""
    recorder = MemoryRecorder(header())
    recorder.milestone(SHOCK_S * S, "shock A", -170_000, "ppm")
    for number, maker in ((0, 1), (1, 2)):
        book = OrderBook()
        orders = [SubmitOrder(1, BUY, 10, 100, 0, owner=maker), SubmitOrder(2, BUY, 50, 99, 0, owner=4)]
        if withdrawn_s is not None:
            orders.append(CancelAll(maker, None, withdrawn_s * S))
            orders.append(SubmitOrder(3, BUY, 6, 50, (withdrawn_s + 30) * S, owner=maker))
        orders.append(SubmitOrder(9, SELL, 1, 500, (SHOCK_S + 100) * S, owner=4))
        for order in orders:
            recorder.events(number, apply(book, order))
    return Study(recorder.run())


def test_what_is_left_by_hand():
    left = maker_depth_left(_quoting(SHOCK_S + 10))
    assert left is not None
    expected = [1.0] * 10 + [0.0] * 30 + [0.3] * 61
    assert left["left"].to_list() == pytest.approx(expected)
    assert left["time_ns"].to_list() == [(SHOCK_S + second) * S for second in range(101)]


def test_the_median_market_counts():
    study = _quoting(None)
    left = maker_depth_left(study)
    assert left is not None
    assert (left["left"] == 1).all()


def test_nothing_without_makers_or_shock():
    recorder = MemoryRecorder(header(accounts=()))
    recorder.milestone(SHOCK_S * S, "shock A", -1, "ppm")
    assert maker_depth_left(Study(recorder.run())) is None
    assert maker_depth_left(Study(MemoryRecorder(header()).run())) is None


def test_replaced_cancelled_and_traded():
    recorder, book = MemoryRecorder(header()), OrderBook()
    for command in (
        SubmitOrder(1, BUY, 10, 100, 0, owner=1),
        ReplaceOrder(1, 8, 90, 1 * S),
        SubmitOrder(2, SELL, 3, 90, 2 * S, owner=4),
        CancelOrder(1, 3 * S),
        SubmitOrder(5, SELL, 2, 80, 4 * S, owner=4),
        SubmitOrder(6, BUY, 5, 95, 5 * S, owner=2),  # takes 2 at 80, 3 rest at 95
    ):
        recorder.events(0, apply(book, command))
    (found,) = maker_bids(Study(recorder.run()), MAKERS, [0])
    assert np.array_equal(found, [1000, 720, 450, 0, 0, 285])
