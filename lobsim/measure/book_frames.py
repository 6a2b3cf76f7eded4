"""Books as pictures: what stood at which price, and the best levels of both sides, at many times, from records alone.

A *frame* is the book after all events up to and including its time, displayed quantity only. All sums are exact
integers of ticks * lots; `Instrument.unit_notional` turns them into quote currency.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from lobsim.errors import InputError
from lobsim.events import Side
from lobsim.measure.books import changes_by_instrument
from lobsim.measure.ladder import Curves, Ints, curves
from lobsim.measure.manifest import Instrument
from lobsim.measure.run import Run

NEAR_PCT = 1
"""Distance from a side's own best price, in percent, that `BookFrames.near` looks at."""

_BLOCK = 64
_LIMIT = 2**62
_SIDES = (Side.BUY, Side.SELL)


class View(NamedTuple):
    """What is wanted of one book.

    times: nanoseconds since the run's start, ascending. edges: ticks, ascending; row r of the picture holds all prices
    ``edges[r] <= price < edges[r + 1]``. levels: how many of the best levels of each side.
    """

    instrument: Instrument
    times: Ints
    edges: Ints
    levels: int


class BookFrames(NamedTuple):
    """One book at F times; sides are 0 (bids) and 1 (asks).

    best: (F, 2) best prices in ticks, 0 where a side is empty. near: (F, 2) ticks * lots within `NEAR_PCT` percent of
    the side's own best price, that edge included. depth: (F, rows) ticks * lots of both sides by row of the picture.
    ladder: ``frame side price_ticks lots``, frame by frame, bids first, each side best first.
    """

    view: View
    best: Ints
    near: Ints
    depth: Ints
    ladder: pl.DataFrame


def book_frames(run: Run, views: Sequence[View]) -> Iterator[BookFrames]:
    """The frames of each view; all books are read in one pass when they fit into memory.

    Raises `InputError` for times or edges that do not ascend and for two views of one instrument. Complexity:
    O(events + frames * prices that stand or change between them). Memory: the events, and one book's frames.
    """
    for view in views:
        _check(view)
    if not views:
        return
    by_name = {view.instrument.name: view for view in views}
    if len(by_name) < len(views):
        raise InputError("views: each must be of another instrument")
    first, last = (int(pick(view.times[at] for view in views)) for pick, at in ((min, 0), (max, -1)))
    for instrument, changes in changes_by_instrument(run, [view.instrument for view in views], first, last):
        yield _frames(by_name[instrument.name], changes)


def _check(view: View) -> None:
    name = view.instrument.name
    if len(view.times) == 0 or (np.diff(view.times) <= 0).any():
        raise InputError(f"times of {name}: must be at least one, each later than the one before")
    if len(view.edges) < 2 or (np.diff(view.edges) <= 0).any():
        raise InputError(f"edges of {name}: must be at least two, each above the one before")
    if view.levels < 1:
        raise InputError(f"levels of {name}: {view.levels} must be at least 1")


def _frames(view: View, changes: pl.DataFrame) -> BookFrames:
    times = len(view.times)
    sides, frames, prices, lots = _binned(view.times, changes)
    best, near, depth, ladders = [], [], [], []
    for side in _SIDES:
        mine = sides == int(side)
        blocks = list(curves(side, frames[mine], prices[mine], lots[mine], times, _BLOCK))
        best.append(np.concatenate([curve.best() for curve in blocks]))
        near.append(np.concatenate([_near(curve, side) for curve in blocks]))
        depth.append(np.concatenate([_by_row(curve, side, view.edges) for curve in blocks]))
        ladders += [_best_levels(curve, side, view.levels) for curve in blocks]
    ladder = pl.concat(ladders).sort("frame", "side", maintain_order=True)
    return BookFrames(view, np.stack(best, axis=1), np.stack(near, axis=1), depth[0] + depth[1], ladder)


def _binned(times: Ints, changes: pl.DataFrame) -> tuple[Ints, Ints, Ints, Ints]:
    """(side, first frame that shows it, price, displayed lots) of all changes, those of a price in a frame summed up,
    frame by frame. Most of what happens between two frames is undone before the second one: this is much less."""
    frame = np.searchsorted(times, changes["time_ns"].to_numpy(), side="left")
    inside = frame < len(times)
    frame, side, price, lots, hidden = (
        column[inside]
        for column in (frame, *(changes[name].to_numpy() for name in ("side", "price_ticks", "lots", "hidden_lots")))
    )
    if not len(frame):
        return side, frame, price, lots
    low, span = int(price.min()), int(np.ptp(price)) + 1
    place = price - low if 2 * len(times) * span < _LIMIT else np.unique(price, return_inverse=True)[1]
    span = min(span, int(place.max()) + 1)
    key = (2 * frame + side) * span + place
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    sums = np.add.reduceat((lots - hidden)[order], first)
    kept = order[first][sums != 0]
    return side[kept], frame[kept], price[kept], sums[sums != 0]


def _near(curve: Curves, side: Side) -> Ints:
    best = curve.best()
    # the band's edge in ticks, rounded towards the best price
    edge = -(-best * (100 - NEAR_PCT) // 100) if side is Side.BUY else best * (100 + NEAR_PCT) // 100
    index = np.where(best > 0, curve.index_of(edge, side), 0)
    return curve.cumulative(index[:, None], notional=True)[:, 0]


def _by_row(curve: Curves, side: Side, edges: Ints) -> Ints:
    """(times, rows) ticks * lots between neighbouring edges."""
    if side is Side.BUY:
        index = curve.index_of(edges, side)
        return -np.diff(curve.cumulative(index[None, :], notional=True), axis=1)
    index = curve.index_of(edges - 1, side)
    return np.diff(curve.cumulative(index[None, :], notional=True), axis=1)


def _best_levels(curve: Curves, side: Side, levels: int) -> pl.DataFrame:
    # the best levels are nearly always among the first few prices of the axis
    width = 4 * levels
    while True:
        lots = curve.lots(width)
        count = (lots > 0).cumsum(axis=1, dtype=np.int32)
        if width >= len(curve.prices) or int(count[:, -1].min()) >= levels:
            break
        width *= 4
    frame, place = np.nonzero((lots > 0) & (count <= levels))
    return pl.DataFrame(
        {
            "frame": (frame + curve.start).astype(np.int64),
            "side": np.full(len(frame), int(side), dtype=np.uint8),
            "price_ticks": curve.prices[place].astype(np.int64),
            "lots": lots[frame, place].astype(np.int64),
        }
    )
