"""Order-book imbalance: how much more is bid than offered, between -1 (asks only) and +1 (bids only).

``imbalance = (bid - ask) / (bid + ask)``, displayed lots of both sides: at the best prices (levels=1), on the n best
levels of each side that hold orders, or within a band around the mid price. Lots count alike, however far from the mid.
A book whose one side is empty has an imbalance of -1 or +1 on levels, which is what a vacuum looks like; within a band
it is null then, for want of a mid. It is null where neither side has a lot. Source: the queue imbalance of Gould and
Bonart, "Queue imbalance as a one-tick-ahead price predictor in a limit order book" (Market Microstructure and
Liquidity 2, 2016), and its plain extension to more levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from lobsim.errors import InputError
from lobsim.measure.intervals import (
    Ints,
    Names,
    Step,
    constant,
    edges,
    interval_columns,
    put_together,
    quotes_of,
    ratio,
    time_weighted,
)
from lobsim.measure.ladder import Curves
from lobsim.measure.run import Run
from lobsim.measure.sampling import BookSamples, Number, When, book_samples, checked_instruments

LEVELS = (1, 5, 10)
MAX_LEVELS = 100


def imbalance(
    run: Run,
    instrument: Names = None,
    levels: Sequence[int] = LEVELS,
    bands: Sequence[Number] = (),
    *,
    at: When | None = None,
    every: Step | None = None,
) -> pl.DataFrame:
    """Imbalance at times `at`, or `every` so long (or at the end), on so many `levels` and within `bands` percent.

    Columns: ``time_ns time instrument levels band_pct bid_qty ask_qty imbalance``; of ``levels`` and ``band_pct`` one
    is null. Raises `InputError` for levels, bands and times that make no sense. Complexity: that of `depth`, and
    O(times * deepest level * log prices).
    """
    wanted = sorted(set(levels))
    if (not wanted and not bands) or any(not 1 <= level <= MAX_LEVELS for level in wanted):
        raise InputError(f"levels: {list(levels)} must be whole numbers from 1 to {MAX_LEVELS}")
    frames = []
    for books in book_samples(run, instrument, at=at, every=every):
        mine = [_on_levels(books, wanted)] if wanted else []
        mine += [_within(books.depth(bands))] if bands else []
        frames.append(pl.concat(mine).sort("time_ns", maintain_order=True))
    return put_together(run, frames)


def best_imbalance(run: Run, instrument: Names = None, *, every: Step | None = None) -> pl.DataFrame:
    """Time-weighted mean of the imbalance at the best prices per interval of `every` (None: over the whole run).

    Columns: ``from_ns time_ns time instrument imbalance absolute_imbalance``, the latter the mean of its size, which
    does not cancel. From quotes alone, over the time in which a side had orders. Complexity: O((quotes + intervals)
    log).
    """
    ends = edges(run, every)
    frames = []
    for one in checked_instruments(run, instrument):
        quotes = quotes_of(run, one)
        value = ratio(quotes.bid_lots - quotes.ask_lots, quotes.bid_lots + quotes.ask_lots)
        mean, size = (time_weighted(quotes, values, ends)[0] for values in (value, np.abs(value)))
        columns = interval_columns(run, one, ends) | {"imbalance": mean, "absolute_imbalance": size}
        frames.append(pl.DataFrame(columns))
    return put_together(run, frames)


def _on_levels(books: BookSamples, levels: Sequence[int]) -> pl.DataFrame:
    lots = np.concatenate(
        [np.stack([_of_levels(side, levels) for side in sides], axis=2) for sides in books.blocks(hidden=False)]
    )
    rows = len(books.times) * len(levels)
    return pl.DataFrame(
        {
            "time_ns": np.repeat(books.times, len(levels)),
            "instrument": constant(books.run, books.instrument, rows),
            "levels": np.tile(np.array(levels, dtype=np.int64), len(books.times)),
            "band_pct": pl.repeat(None, rows, dtype=pl.Float64, eager=True),
            "bid_qty": lots[:, :, 0].ravel() * float(books.instrument.lot.step),
            "ask_qty": lots[:, :, 1].ravel() * float(books.instrument.lot.step),
            "imbalance": ratio(lots[:, :, 0] - lots[:, :, 1], lots.sum(axis=2)).ravel(),
        }
    )


def _of_levels(curve: Curves, levels: Sequence[int]) -> Ints:
    """Lots of the so many best levels at each time of a block; of a shorter side, all of them."""
    found, lots = [], np.zeros((curve.times, 1), dtype=np.int64)
    last = len(curve.prices)
    for level in range(1, levels[-1] + 1):
        # the next level that holds anything is where one lot more is reached
        lots = curve.cumulative(np.minimum(curve.reach(lots + 1), last))
        if level in levels:
            found.append(lots[:, 0])
    return np.stack(found, axis=1)


def _within(frame: pl.DataFrame) -> pl.DataFrame:
    keys = ["time_ns", "instrument", "band_pct"]
    bids, asks = (
        frame.filter(pl.col("side") == side).select(*keys, "depth_lots", "depth_qty") for side in ("bid", "ask")
    )
    both = bids.join(asks, on=keys, suffix="_ask", maintain_order="left")
    total = pl.col("depth_lots") + pl.col("depth_lots_ask")
    share = (pl.col("depth_lots") - pl.col("depth_lots_ask")) / pl.when(total > 0).then(total)
    has_mid = pl.col("depth_lots").is_not_null() & pl.col("depth_lots_ask").is_not_null()
    return both.select(
        "time_ns",
        "instrument",
        pl.lit(None, dtype=pl.Int64).alias("levels"),
        "band_pct",
        bid_qty="depth_qty",
        ask_qty="depth_qty_ask",
        imbalance=pl.when(has_mid).then(share),
    )
