"""Books rebuilt from records: all levels at one time, or the changes between many times.

A book at time t is the state after every event with ``time_ns <= t``. It starts from the last keyframe before t where
there is one (`orders` alone would do, only slower) and adds the events since.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from lobsim.errors import RunError
from lobsim.events import EventKind, Side
from lobsim.measure.changes import NEEDED, SHOWS_A_SLICE, level_changes
from lobsim.measure.manifest import Instrument
from lobsim.measure.run import Run

_ALL_TIMES = 2**62
_SLICE = 500_000
"""Rows that are taken apart by instrument in one go: few enough to stay near the processor, in few enough pieces."""


class Levels(NamedTuple):
    """Price levels of one side, best first: ticks, displayed lots, displayed and hidden lots. No level is empty."""

    price: npt.NDArray[np.int64]
    visible: npt.NDArray[np.int64]
    total: npt.NDArray[np.int64]

    def pairs(self, *, hidden: bool = False) -> list[tuple[int, int]]:
        """(price, lots) as `OrderBook.bids` gives them; with `hidden`, the lots that an incoming order would meet."""
        return list(zip(self.price.tolist(), (self.total if hidden else self.visible).tolist(), strict=True))


class Book(NamedTuple):
    """One instrument's levels after every event up to `time_ns`."""

    time_ns: int
    bids: Levels
    asks: Levels


def book_at(run: Run, instrument: str | None, at: int | str) -> Book:
    """Rebuild one book; `at` is nanoseconds since the run's start, "21:15:00Z" or "45m".

    Raises `InputError` for a moment outside the run, `RunError` when records contradict each other. Complexity:
    O(events since the last keyframe) plus one pass over `orders` for icebergs and orders that were replaced.
    """
    one, time_ns = run.instrument(instrument), run.moment_ns(at)
    changes = changes_of(run, one, time_ns, time_ns)
    sums = changes.group_by("side", "price_ticks").agg(pl.col("lots").sum(), pl.col("hidden_lots").sum())
    return Book(time_ns, _levels(sums, Side.BUY), _levels(sums, Side.SELL))


def changes_of(run: Run, instrument: Instrument, first_ns: int, last_ns: int) -> pl.DataFrame:
    """`level_changes` of one instrument that give its book at any time from `first_ns` to `last_ns`.

    What the keyframe holds stands first, as changes at its own time.
    """
    mine = pl.col("instrument_id") == instrument.instrument_id
    orders = run.scan("orders").filter(mine, pl.col("time_ns") <= last_ns).select(NEEDED)
    keyframes = run.scan("depth").filter(mine, pl.col("time_ns") <= first_ns)
    keyframe = run.collect(keyframes.filter(pl.col("keyframe") == pl.col("keyframe").max()))
    if keyframe.height == 0:
        return level_changes(run.collect(orders))
    start_seq = int(keyframe["seq"][0])
    window = run.collect(orders.filter(pl.col("seq") >= start_seq))
    replaced = window.filter(pl.col("event") == int(EventKind.REPLACED)).select("order_id")
    older = orders.filter(pl.col("seq") < start_seq)
    icebergs = run.collect(older.filter(SHOWS_A_SLICE).select("order_id"))
    special = pl.concat([replaced, icebergs, window.filter(SHOWS_A_SLICE).select("order_id")])["order_id"].unique()
    if len(special):
        ids = special.implode()
        past = run.collect(older.filter(pl.col("order_id").is_in(ids) | pl.col("counter_order_id").is_in(ids)))
        window = pl.concat([past, window])
    changes = level_changes(window, start_seq)
    # the keyframe shows displayed lots only: what icebergs hid by then comes on top of it
    hidden = pl.when(pl.col("seq") < start_seq).then(pl.col("hidden_lots")).otherwise(0)
    shown = keyframe.sort("side", "price_ticks").select(
        "seq",
        "time_ns",
        "side",
        "price_ticks",
        lots=pl.col("qty_lots"),
        hidden_lots=pl.lit(0, dtype=pl.Int64),
    )
    return pl.concat([shown, changes.with_columns(lots=pl.col("lots") + hidden)])


def changes_by_instrument(
    run: Run, instruments: Sequence[Instrument], first_ns: int, last_ns: int
) -> Iterator[tuple[Instrument, pl.DataFrame]]:
    """`changes_of` each instrument; many instruments are read in one pass when they fit into memory."""
    kept = run.kept_changes
    if kept is not None and run.rows("orders") <= run.max_rows:
        missing = [instrument for instrument in instruments if instrument.instrument_id not in kept]
        for instrument, changes in _read_changes(run, missing, 0, _ALL_TIMES):
            kept[instrument.instrument_id] = changes.drop("seq")
        for instrument in instruments:
            yield instrument, kept[instrument.instrument_id].filter(pl.col("time_ns") <= last_ns)
        return
    yield from _read_changes(run, instruments, first_ns, last_ns)


@contextmanager
def changes_kept(run: Run) -> Iterator[None]:
    """Within it, the changes of a book that somebody asked for are kept for the next who asks (without their ``seq``):
    for pages, which look at all books several times. Memory: 33 bytes per change."""
    run.kept_changes = {}
    try:
        yield
    finally:
        run.kept_changes = None


def _read_changes(
    run: Run, instruments: Sequence[Instrument], first_ns: int, last_ns: int
) -> Iterator[tuple[Instrument, pl.DataFrame]]:
    if not instruments:
        return
    if len(instruments) == 1 or run.rows("orders") > run.max_rows:
        for instrument in instruments:
            yield instrument, changes_of(run, instrument, first_ns, last_ns)
        return
    ids = [instrument.instrument_id for instrument in instruments]
    wanted = pl.col("instrument_id").is_in(ids) & (pl.col("time_ns") <= last_ns)
    orders = run.collect(run.scan("orders").filter(wanted).select("instrument_id", *NEEDED))
    pieces: dict[int, list[pl.DataFrame]] = {}
    for rows in orders.iter_slices(_SLICE):
        for (instrument_id,), mine in rows.partition_by("instrument_id", as_dict=True, maintain_order=True).items():
            pieces.setdefault(int(instrument_id), []).append(mine)
    nothing = orders.clear()
    del orders
    for instrument in instruments:
        yield instrument, level_changes(pl.concat(pieces.pop(instrument.instrument_id, [nothing])))


def _levels(sums: pl.DataFrame, side: Side) -> Levels:
    mine = sums.filter((pl.col("side") == int(side)) & (pl.col("lots") != 0))
    mine = mine.sort("price_ticks", descending=side is Side.BUY)
    levels = Levels(
        mine["price_ticks"].to_numpy(),
        (mine["lots"] - mine["hidden_lots"]).to_numpy(),
        mine["lots"].to_numpy(),
    )
    if mine.height and (levels.visible.min() < 0 or levels.total.min() < 0):
        raise RunError("orders: a price level falls below zero lots; the records are not those of a book")
    return levels
