"""Frames of books: the same as `book_at` at every time, whatever was recorded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.errors import InputError
from lobsim.events import Side, SubmitOrder
from lobsim.measure import book_at
from lobsim.measure.book_frames import NEAR_PCT, View, book_frames
from lobsim.testing.strategies import Range, command_lists
from tests.measure.recording import MemoryRecorder, drive

BUY, SELL = Side
WIDE = Range(spread=30, max_qty=40, order_ids=40, owners=3)


def frames_of(run, times, edges=(1, 2_000), levels=5, name="ALT-USDT"):
    (found,) = book_frames(run, [View(run.instrument(name), np.array(times), np.array(edges), levels)])
    return found


def two_books():
    recorder = MemoryRecorder()
    drive([SubmitOrder(1, BUY, 10, 1000), SubmitOrder(2, BUY, 5, 990), SubmitOrder(3, BUY, 7, 989)], recorder)
    drive([SubmitOrder(1, SELL, 4, 300, time_ns=50)], recorder, instrument_id=1)
    return recorder.run()


def test_frames_by_hand():
    frames = frames_of(two_books(), [0, 60], edges=[980, 990, 1000, 1010], levels=2)
    assert frames.best.tolist() == [[1000, 0], [1000, 0]]
    assert frames.near.tolist() == [[10_000 + 990 * 5, 0]] * 2
    assert frames.depth.tolist() == [[989 * 7, 990 * 5, 10_000]] * 2
    assert frames.ladder.rows() == [(frame, 0, *level) for frame in (0, 1) for level in ((1000, 10), (990, 5))]


def test_every_book_comes_with_its_own_view():
    run = two_books()
    views = [
        View(run.instrument("BTC-USDT"), np.array([49, 50]), np.array([300, 301]), 3),
        View(run.instrument("ALT-USDT"), np.array([0]), np.array([1, 5]), 1),
    ]
    btc, alt = book_frames(run, views)
    assert (btc.view, alt.view) == tuple(views)
    assert btc.ladder.rows() == [(1, 1, 300, 4)]
    assert btc.depth.tolist() == [[0], [1200]]
    assert alt.ladder.rows() == [(0, 0, 1000, 10)]
    assert list(book_frames(run, [])) == []


@settings(deadline=None, max_examples=80)
@given(
    commands=st.one_of(command_lists(), command_lists(span=WIDE, max_size=150)),
    times=st.sets(st.integers(0, 400), min_size=1, max_size=70).map(sorted),
    keyframes=st.lists(st.integers(0, 100), max_size=2),
    edges=st.sets(st.integers(1, 200), min_size=2, max_size=12).map(sorted),
    levels=st.integers(1, 6),
)
def test_frames_equal_the_rebuilt_books(commands, times, keyframes, edges, levels):
    recorder = MemoryRecorder()
    drive(commands, recorder, keyframes=keyframes)
    run = recorder.run()
    frames = frames_of(run, times, edges, levels)
    ladder = frames.ladder.rows()
    expected = []
    for number, time_ns in enumerate(times):
        book = book_at(run, "ALT-USDT", time_ns)
        depth = [0] * (len(edges) - 1)
        for side, rows in enumerate((book.bids, book.asks)):
            shown = [(price, lots) for price, lots in rows.pairs() if lots]
            expected += [(number, side, *level) for level in shown[:levels]]
            best = shown[0][0] if shown else 0
            inside = [price * lots for price, lots in shown if abs(price - best) * 100 <= best * NEAR_PCT]
            assert frames.best[number, side] == best
            assert frames.near[number, side] == sum(inside)
            for price, lots in shown:
                for row in range(len(depth)):
                    if edges[row] <= price < edges[row + 1]:
                        depth[row] += price * lots
        assert frames.depth[number].tolist() == depth
    assert ladder == expected


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"times": []}, "times of ALT-USDT"),
        ({"times": [5, 5]}, "times of ALT-USDT"),
        ({"edges": [5]}, "edges of ALT-USDT"),
        ({"edges": [5, 4]}, "edges of ALT-USDT"),
        ({"levels": 0}, "levels of ALT-USDT: 0"),
    ],
)
def test_views_that_make_no_sense_are_refused(changes, named):
    with pytest.raises(InputError, match=named):
        frames_of(two_books(), **{"times": [0], **changes})


def test_two_views_of_one_book_are_refused():
    run = two_books()
    view = View(run.instrument("ALT-USDT"), np.array([0]), np.array([1, 5]), 1)
    with pytest.raises(InputError, match="another instrument"):
        list(book_frames(run, [view, view]))
