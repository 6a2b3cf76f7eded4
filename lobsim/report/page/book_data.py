"""What the book picture is drawn from: the times of its frames, its rows of prices, and both in few bytes.

Times: one step near the milestones, another from the shock to the last of them, a third elsewhere. Rows: whole ticks,
evenly spaced on a log axis where the price moved a lot. Ladders: the first frame in full, then changes only.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lobsim.measure.book_frames import BookFrames
from lobsim.measure.ladder import Ints
from lobsim.report.page.pack import LIMIT, pack_ints
from lobsim.units import NS_PER_MINUTE, NS_PER_MS, NS_PER_S, NS_PER_US

NEAR_NS = 30 * NS_PER_S
AFTER_NS = 2 * NS_PER_MINUTE
MOST_NEAR, MOST_WINDOW, MOST_ELSEWHERE = 1000, 1000, 450
"""Frames near milestones, from the shock to the last milestone, and elsewhere."""

MOST_EVEN = 600
"""Frames of a run without milestones."""

ROWS = 220
COLOURS = 60
"""Steps of the logarithmic colour scale; 0 is an empty cell."""

_LOG_FROM = 1.5
_STEPS = tuple(
    digits * unit
    for unit, all_digits in (
        *((10**power, (1, 2, 5)) for power in range(9)),
        (NS_PER_S, (1, 2, 5, 10, 15, 30)),
        (NS_PER_MINUTE, (1, 2, 5, 10, 15, 30)),
        (60 * NS_PER_MINUTE, (1, 2, 6, 12, 24, 168)),
    )
    for digits in all_digits
)


class Moments(NamedTuple):
    """Times of the frames in nanoseconds, ascending, and how they were chosen.

    near_ns, window_ns: steps near milestones and from the first to the last of them (0: there are none); elsewhere_ns:
    the step of the rest. window: what to show first (beginning, end).
    """

    times: Ints
    near_ns: int
    window_ns: int
    elsewhere_ns: int
    window: tuple[int, int]


def nice_step(length_ns: int, most: int) -> int:
    """The shortest round step of time that divides a length into at most `most` parts."""
    return next((step for step in _STEPS if step * most >= length_ns), -(-length_ns // most))


def moments(end_ns: int, marks: Sequence[int], *, detail: bool = True) -> Moments:
    """Frames of a run that lasts until `end_ns` with milestones at `marks`; without `detail` a fifth as many.

    Both begin and end with the run; those without detail are among those with.
    """
    share = 1 if detail else 5
    if not marks:
        even = nice_step(end_ns, MOST_EVEN) if end_ns else NS_PER_S
        return Moments(time_grid(0, end_ns, even * share, end_ns), 0, 0, even * share, (0, end_ns))
    first, last = min(marks), max(marks)
    begin, end = max(0, first - NEAR_NS), min(end_ns, last + AFTER_NS)
    elsewhere = nice_step(end_ns, MOST_ELSEWHERE)
    window = min(max(NS_PER_S, nice_step(end - begin, MOST_WINDOW)), elsewhere)
    near = min(max(NS_PER_S, nice_step(2 * NEAR_NS * len(marks), MOST_NEAR)), window)
    grids = [time_grid(0, end_ns, elsewhere, end_ns), time_grid(begin, end, window * share, end_ns)]
    if detail:
        grids += [time_grid(max(0, mark - NEAR_NS), min(end_ns, mark + NEAR_NS), near, end_ns) for mark in marks]
    shown = (max(0, first - (end - begin) // 3), min(end_ns, end + (end - begin) // 3))
    return Moments(np.unique(np.concatenate(grids)), near if detail else 0, window * share, elsewhere, shown)


def time_grid(begin: int, end: int, step: int, end_ns: int) -> Ints:
    """Whole multiples of `step` from `begin` to `end`, and the end of the run where that is meant."""
    grid = np.arange(-(-begin // step) * step, end + 1, step, dtype=np.int64)
    return np.unique(np.append(grid, end_ns)) if end == end_ns else grid


def row_edges(low: int, high: int, rows: int = ROWS) -> tuple[Ints, bool]:
    """Edges (ticks) of at most `rows` rows that hold all prices from `low` to `high`, and whether they are spaced on a
    log axis. No row is narrower than a tick."""
    low = min(max(1, low), LIMIT // 2)
    top = min(max(low, high), LIMIT // 2) + 1
    log = top > _LOG_FROM * low
    if log:
        return np.unique(np.rint(np.geomspace(low, top, rows + 1)).astype(np.int64)), True
    step = -(-(top - low) // rows)
    return np.arange(low, top + step, step, dtype=np.int64), False


def colour_scale(depth: Ints, unit: float) -> tuple[float, float]:
    """Quote currency that the scale begins and ends with: nearly all cells that are not empty lie between."""
    there = depth[depth > 0].astype(np.float64) * unit
    if not len(there):
        return unit, 10 * unit
    low, high = (float(value) for value in np.quantile(there, [0.02, 0.995]))
    return low, max(high, 10 * low)


def colours(depth: Ints, unit: float, scale: tuple[float, float]) -> Ints:
    """Cells as whole numbers: 0 is empty, 1 to `COLOURS` even steps of the logarithm from one end to the other."""
    value = depth.astype(np.float64) * unit
    there = value > 0
    place = np.zeros(value.shape)
    place[there] = np.log(value[there] / scale[0]) / np.log(scale[1] / scale[0])
    steps = np.rint(np.clip(place, 0, 1) * (COLOURS - 1)).astype(np.int64) + 1
    return np.where(there, steps, 0)


def pack_times(times: Ints) -> dict[str, Any]:
    """Times as a packed column of milliseconds since the run's start."""
    unit = next(unit for unit in (NS_PER_S, NS_PER_MS, NS_PER_US, 1) if not (times % unit).any())
    return pack_ints(times // unit, step=Fraction(unit, NS_PER_MS))


def pack_ladder(frames: BookFrames) -> dict[str, Any]:
    """The ladders of all frames as changes from each one to the next.

    bids, asks: changes per frame; price_ticks and lots: those of all changes, frame by frame, bids first, each side in
    order of price. A level of 0 lots is gone. Levels that better ones push out of the best `View.levels` are not
    mentioned: after a frame's changes all but the best ones go.
    """
    changes = ladder_changes(frames)
    count = len(frames.view.times)
    frame, lots = changes["frame"].to_numpy(), changes["lots"].to_numpy()
    bids = changes["side"].to_numpy() == 0
    # beyond what a script holds exactly, lots are counted in powers of ten, rounded up: a level that is there stays
    step = next(10**power for power in range(20) if -(-int(lots.max(initial=0)) // 10**power) < LIMIT)
    return {
        "levels": frames.view.levels,
        "bids": pack_ints(np.bincount(frame[bids], minlength=count)),
        "asks": pack_ints(np.bincount(frame[~bids], minlength=count)),
        "price_ticks": pack_ints(changes["price_ticks"].to_numpy()),
        "lots": pack_ints(-(-lots // step), step=step),
    }


def ladder_changes(frames: BookFrames) -> pl.DataFrame:
    """``frame side price_ticks lots`` of every level that differs from the frame before; 0 lots: it is gone."""
    # prices beyond what a script's numbers hold exactly are nobody's who means to trade
    ladder, last = frames.ladder.filter(pl.col("price_ticks") < LIMIT), len(frames.view.times) - 1
    worst, full = _worst(ladder, last + 1, frames.view.levels)
    by_level = ladder.sort("side", "price_ticks", "frame")
    frame, side, price, lots = (by_level[name].to_numpy() for name in ladder.columns)
    follows = (np.diff(side) == 0) & (np.diff(price) == 0) & (np.diff(frame) == 1)
    differs = np.append(True, ~follows | (np.diff(lots) != 0))[: len(frame)]
    gone = np.append(~follows, True)[: len(frame)] & (frame < last)
    # not said: what better levels pushed out of a side that shows as many as it may
    slot = 2 * (frame[gone] + 1) + side[gone]
    pushed = full[slot] & np.where(side[gone] == 0, price[gone] < worst[slot], price[gone] > worst[slot])
    left = by_level.filter(gone).filter(~pushed)
    left = left.with_columns(frame=pl.col("frame") + 1, lots=pl.lit(0, dtype=pl.Int64))
    return pl.concat([by_level.filter(differs), left]).sort("frame", "side", "price_ticks")


def _worst(ladder: pl.DataFrame, count: int, levels: int) -> tuple[Ints, Ints]:
    """By 2 * frame + side: the last price that is shown, and whether the side shows as many levels as it may."""
    shown = np.bincount(2 * ladder["frame"].to_numpy() + ladder["side"].to_numpy(), minlength=2 * count)
    prices = np.append(ladder["price_ticks"].to_numpy(), 0)
    return prices[np.cumsum(shown) - 1], shown == levels
