"""The book rebuilt from records is the book that was."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.errors import RunError
from lobsim.events import (
    CancelOrder,
    Command,
    EventKind,
    OrderCanceled,
    Purpose,
    Reason,
    ReplaceOrder,
    SelfTrade,
    Side,
    SubmitOrder,
    Trade,
)
from lobsim.measure import book_at, depth
from lobsim.measure.books import changes_kept
from lobsim.testing.strategies import Range, command_lists
from tests.measure.recording import MemoryRecorder, apply, drive, totals

WIDE = Range(spread=9, max_qty=30, order_ids=25, owners=3)


def _record(commands: list[Command], keyframes: list[int], rows_per_part: int = 250_000):
    """The run, and at each of the book's times what it showed after the last command of that time."""
    recorder = MemoryRecorder(rows_per_part=rows_per_part)
    seen = {}

    def look(book):
        seen[book.time_ns] = (book.bids(), book.asks(), *totals(book))

    drive(commands, recorder, keyframes=keyframes, after=look)
    return recorder.run(), seen


@settings(deadline=None, max_examples=50)
@given(
    commands=st.one_of(command_lists(), command_lists(span=WIDE, max_size=120)),
    keyframes=st.lists(st.integers(0, 100), max_size=3),
    rows_per_part=st.sampled_from([40, 250_000]),
)
def test_rebuilt_book_equals_the_engines_at_every_time(commands, keyframes, rows_per_part):
    run, seen = _record(commands, keyframes, rows_per_part)
    for time_ns, (bids, asks, all_bids, all_asks) in seen.items():
        book = book_at(run, "ALT-USDT", time_ns)
        assert book.bids.pairs() == bids
        assert book.asks.pairs() == asks
        assert book.bids.pairs(hidden=True) == all_bids
        assert book.asks.pairs(hidden=True) == all_asks


def test_two_instruments_do_not_mix():
    recorder = MemoryRecorder()
    first = drive([SubmitOrder(1, Side.BUY, 5, 100)], recorder, instrument_id=0)
    second = drive([SubmitOrder(1, Side.BUY, 7, 90), SubmitOrder(2, Side.SELL, 3, 95)], recorder, instrument_id=1)
    recorder.events(0, apply(first, SubmitOrder(2, Side.SELL, 2, 100)))
    run = recorder.run()
    assert book_at(run, "ALT-USDT", 0).bids.pairs() == [(100, 3)]
    assert book_at(run, "BTC-USDT", 0).bids.pairs() == second.bids()
    assert book_at(run, "BTC-USDT", 0).asks.pairs() == [(95, 3)]


def test_keyframe_alone_is_enough_and_later_events_come_on_top():
    """A keyframe may stand for a past that the records do not hold, as with a tape that begins with a snapshot."""
    recorder = MemoryRecorder()
    recorder.depth(0, 10, [(100, 5), (99, 6)], [(101, 7)])
    book = drive([SubmitOrder(9, Side.BUY, 4, 98, 20, purpose=Purpose.NOISE)], recorder)
    assert book.bids() == [(98, 4)]
    run = recorder.run()
    assert book_at(run, "ALT-USDT", 5).bids.pairs() == []
    assert book_at(run, "ALT-USDT", 10).asks.pairs() == [(101, 7)]
    assert book_at(run, "ALT-USDT", 20).bids.pairs() == [(100, 5), (99, 6), (98, 4)]


SLICES = st.builds(
    lambda order_id, qty, price, show: SubmitOrder(order_id, Side.BUY, qty, price, display_qty=min(show, qty)),
    st.integers(1, 4),
    st.integers(5, 40),
    st.integers(98, 100),
    st.integers(0, 6),
)
HITS = st.builds(lambda qty, price: SubmitOrder(99, Side.SELL, qty, price), st.integers(1, 12), st.integers(98, 101))
SHRINKS = st.builds(ReplaceOrder, st.integers(1, 4), st.integers(1, 30), st.integers(98, 100))
STOPS = st.builds(
    lambda order_id, qty, trigger, price: SubmitOrder(
        order_id, Side.BUY, qty, price, trigger_price=trigger, display_qty=3
    ),
    st.integers(1, 4),
    st.integers(4, 9),
    st.integers(98, 101),
    st.integers(98, 101),
)
GONE = st.builds(CancelOrder, st.sampled_from([1, 2, 3, 4, 99]))


@settings(deadline=None, max_examples=50)
@given(
    steps=st.lists(st.one_of(SLICES, HITS, SHRINKS, STOPS, GONE), max_size=60),
    keyframes=st.lists(st.integers(0, 60), max_size=2),
)
def test_hidden_lots_follow_icebergs_through_hits_replaces_and_triggers(steps, keyframes):
    timed = [step._replace(time_ns=number) for number, step in enumerate(steps)]
    run, seen = _record(timed, keyframes)
    for time_ns, (bids, asks, all_bids, all_asks) in seen.items():
        book = book_at(run, "ALT-USDT", time_ns)
        assert (book.bids.pairs(), book.asks.pairs()) == (bids, asks)
        assert (book.bids.pairs(hidden=True), book.asks.pairs(hidden=True)) == (all_bids, all_asks)


def test_records_that_are_no_book_are_refused():
    recorder = MemoryRecorder()
    recorder.events(0, [Trade(EventKind.TRADE, 5, 1, 0, Side.SELL, 100, 3, Purpose.NOISE, 2, 0)])
    with pytest.raises(RunError, match=r"seq 0.*order 2.*came in last"):
        book_at(recorder.run(), "ALT-USDT", 5)
    recorder = MemoryRecorder()
    recorder.events(0, [OrderCanceled(EventKind.CANCELED, 5, 1, 0, Side.BUY, 100, 3, Reason.REQUESTED, 0, None)])
    with pytest.raises(RunError, match="below zero"):
        book_at(recorder.run(), "ALT-USDT", 5)


def check_last(commands: list[Command], keyframes: list[int]) -> None:
    timed = [command._replace(time_ns=number) for number, command in enumerate(commands)]
    run, seen = _record(timed, keyframes)
    for time_ns, (bids, asks, all_bids, all_asks) in seen.items():
        book = book_at(run, "ALT-USDT", time_ns)
        assert (book.bids.pairs(), book.asks.pairs()) == (bids, asks)
        assert (book.bids.pairs(hidden=True), book.asks.pairs(hidden=True)) == (all_bids, all_asks)


@pytest.mark.parametrize("keyframes", [[], [1], [2]])
def test_self_trade_decrement_takes_lots_off_both_orders(keyframes):
    """Own orders that meet shrink without a trade: the resting iceberg shows its next slice."""
    check_last(
        [
            SubmitOrder(1, Side.BUY, 20, 100, owner=1, display_qty=6),
            SubmitOrder(2, Side.SELL, 9, 100, owner=1, self_trade=SelfTrade.DECREMENT),
            SubmitOrder(3, Side.SELL, 30, 99, owner=1, self_trade=SelfTrade.DECREMENT, display_qty=4),
            SubmitOrder(4, Side.BUY, 5, 99),
        ],
        keyframes,
    )


@pytest.mark.parametrize("keyframes", [[], [0], [1], [2], [3], [4]])
def test_iceberg_that_traded_on_its_way_in_hides_what_is_left(keyframes):
    check_last(
        [
            SubmitOrder(1, Side.SELL, 7, 100),
            SubmitOrder(2, Side.BUY, 20, 100, display_qty=5),
            SubmitOrder(3, Side.SELL, 3, 100),
            ReplaceOrder(2, 8, 100),
            ReplaceOrder(2, 9, 101),
        ],
        keyframes,
    )


@pytest.mark.parametrize("keyframes", [[], [0], [1], [2], [3]])
def test_replaced_order_leaves_what_was_open_where_it_stood(keyframes):
    check_last(
        [
            SubmitOrder(1, Side.SELL, 7, 100),
            SubmitOrder(2, Side.BUY, 3, 100),
            ReplaceOrder(1, 9, 103),
            SubmitOrder(3, Side.BUY, 2, 103),
            ReplaceOrder(1, 1, 103),
        ],
        keyframes,
    )


@settings(deadline=None, max_examples=30)
@given(commands=command_lists(), times=st.lists(st.integers(0, 400), min_size=1, max_size=5))
def test_kept_changes_give_the_same_books(commands, times):
    recorder = MemoryRecorder()
    drive(commands, recorder, keyframes=[3])
    run = recorder.run()
    plain = depth(run, None, ["5"], at=times)
    with changes_kept(run):
        for _ in range(2):
            assert depth(run, None, ["5"], at=times).equals(plain)
            assert depth(run, "ALT-USDT", ["5"], at=times).equals(plain.filter(pl.col("instrument") == "ALT-USDT"))
        assert set(run.kept_changes) == {0, 1}
    assert run.kept_changes is None
