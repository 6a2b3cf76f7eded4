"""The book of one instrument at many times: read once from the records, then measured as often as one likes.

What the figures mean stands in `lobsim.measure.liquidity`, whose functions are made of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from lobsim.errors import InputError
from lobsim.events import Side
from lobsim.measure.books import changes_by_instrument
from lobsim.measure.decode import time_column
from lobsim.measure.intervals import constant, step_ns
from lobsim.measure.ladder import Curves, Ints, curves
from lobsim.measure.manifest import Instrument
from lobsim.measure.run import Run
from lobsim.units import parse_decimal

Reference: TypeAlias = Literal["mid", "best"]
Number: TypeAlias = str | int | float | Decimal
When: TypeAlias = int | str | Sequence[int | str]

MAX_RESULT_ROWS = 50_000_000
_BEYOND = 2**62
_SIDES = (Side.BUY, Side.SELL)
_BOOK_SIDE = pl.Enum(["bid", "ask"])
_ORDER_SIDE = pl.Enum(["buy", "sell"])
_LEAST_BLOCK, _MOST_BLOCK, _CHANGES_PER_BLOCK = 48, 128, 2000
_MOST_KEPT = 2048
"""Times up to which the curves of a book are kept for the next measurement (tens of MB, gone with the samples)."""


class BookSamples:
    """One instrument's book at `times` (ascending; nanoseconds since the run's start).

    Complexity of a measurement: O(changes + times * prices touched between neighbouring times).
    """

    def __init__(self, run: Run, instrument: Instrument, times: Ints, changes: pl.DataFrame) -> None:
        self.run = run
        self.instrument = instrument
        self.times = times
        bins = np.searchsorted(times, changes["time_ns"].to_numpy(), side="left")
        self._changes = changes.select("side", "price_ticks", "lots", "hidden_lots", bin=pl.Series(bins)).sort("bin")
        self._hides = bool((changes["hidden_lots"] != 0).any())
        self._kept: dict[bool, list[tuple[Curves, Curves]]] = {}

    def depth(self, bands: Sequence[Number], *, ref: Reference = "mid", hidden: bool = False) -> pl.DataFrame:
        """`liquidity.depth` of this book at these times."""
        percents = checked_bands(bands)
        bound(len(self.times) * len(percents) * 2)
        one, times = self.instrument, self.times
        shape = (len(times), 2, len(percents))
        lots = np.zeros(shape, dtype=np.int64)
        notional = np.zeros(shape)
        known = np.ones((len(times), 2), dtype=bool)
        twice = np.zeros((len(times), 2), dtype=np.int64)
        for sides in self.blocks(hidden=hidden):
            rows = slice(sides[0].start, sides[0].start + sides[0].times)
            bests = [curve.best() for curve in sides]
            for column, (side, curve) in enumerate(zip(_SIDES, sides, strict=True)):
                reference = _twice_reference(bests, column, ref)
                index = np.stack(
                    [curve.index_of(_edge(reference, percent, side), side) for percent in percents], axis=1
                )
                lots[rows, column] = curve.cumulative(index)
                notional[rows, column] = curve.cumulative(index, notional=True)
                known[rows, column] = (reference > 0) | (bests[column] == 0)
                twice[rows, column] = reference
        result = pl.DataFrame(
            {
                "time_ns": np.repeat(times, 2 * len(percents)),
                "instrument": constant(self.run, self.instrument, lots.size),
                "ref_price": _price(_spread_over(twice, shape) / 2, one),
                "band_pct": np.tile([float(percent) for percent in percents], 2 * len(times)),
                "side": _labels(np.broadcast_to([[[0], [1]]], shape), _BOOK_SIDE),
                "depth_lots": lots.ravel(),
                "depth_qty": lots.ravel() * float(one.lot.step),
                "depth_quote": notional.ravel() * float(one.unit_notional),
                "known": _spread_over(known, shape),
            }
        ).with_columns(
            pl.when("known").then(pl.col("depth_lots", "depth_qty", "depth_quote")),
        )
        result = result.with_columns(pl.when(pl.col("ref_price") > 0).then("ref_price"), time_column(self.run))
        first = ("time_ns", "time", "instrument", "ref_price", "band_pct", "side")
        return result.select(*first, "depth_lots", "depth_qty", "depth_quote")

    def slippage(
        self, side: Side | str, notionals: Sequence[Number], *, ref: Reference = "mid", hidden: bool = True
    ) -> pl.DataFrame:
        """`liquidity.slippage` of this book at these times."""
        taker, amounts = checked_side(side), checked_notionals(notionals)
        bound(len(self.times) * len(amounts))
        one, times = self.instrument, self.times
        resting = 1 - int(taker)
        shape = (len(times), len(amounts))
        units = [amount / Fraction(one.unit_notional) for amount in amounts]
        whole = [int(unit) for unit in units]
        wanted = np.array([whole], dtype=np.int64 if max(whole) < _BEYOND else object)
        lots, spent = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        worst, full = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
        twice = np.zeros(len(times), dtype=np.int64)
        for sides in self.blocks(hidden=hidden):
            rows = slice(sides[0].start, sides[0].start + sides[0].times)
            twice[rows] = _twice_reference([curve.best() for curve in sides], resting, ref)
            lots[rows], spent[rows], worst[rows], full[rows] = _walk(sides[resting], wanted)
        share = np.where(full, 1.0, spent / np.array([float(unit) for unit in units]))
        result = pl.DataFrame(
            {
                "time_ns": np.repeat(times, len(amounts)),
                "instrument": constant(self.run, self.instrument, lots.size),
                "side": _labels(np.full(lots.size, int(taker)), _ORDER_SIDE),
                "notional_quote": np.tile([float(amount) for amount in amounts], len(times)),
                "ref_price": _price(_spread_over(twice, shape) / 2, one),
                "filled_lots": lots.ravel(),
                "filled_quote": spent.ravel() * float(one.unit_notional),
                "filled_share": share.ravel(),
                "worst_price": _price(worst.ravel(), one),
                "vwap": _price(np.divide(spent, lots, out=np.zeros(shape), where=lots > 0).ravel(), one),
            }
        ).with_columns(
            time_column(self.run),
            *(
                pl.when(pl.col(name) > 0).then(pl.col(name)).alias(name)
                for name in ("ref_price", "worst_price", "vwap")
            ),
        )
        cost = (pl.col("vwap") / pl.col("ref_price") - 1).abs()
        result = result.with_columns(slippage=pl.when(pl.col("filled_share") >= 1).then(cost))
        first = ("time_ns", "time", "instrument", "side", "notional_quote", "ref_price")
        return result.select(*first, "filled_lots", "filled_quote", "filled_share", "worst_price", "vwap", "slippage")

    def blocks(self, *, hidden: bool) -> Iterable[tuple[Curves, Curves]]:
        """The curves of bids and of asks, block by block."""
        hidden = hidden and self._hides
        if hidden in self._kept:
            return self._kept[hidden]
        lots = pl.col("lots") if hidden else pl.col("lots") - pl.col("hidden_lots")
        changes = self._changes.select("side", "price_ticks", "bin", lots=lots).filter(pl.col("lots") != 0)
        # a block costs times * prices touched: where much happens between two times, fewer of them go together
        per_time = max(1, changes.height // max(1, 2 * len(self.times)))
        block = min(_MOST_BLOCK, max(_LEAST_BLOCK, _CHANGES_PER_BLOCK // per_time))
        parts = [changes.filter(pl.col("side") == int(side)) for side in _SIDES]
        bids, asks = (
            curves(
                side,
                part["bin"].to_numpy(),
                part["price_ticks"].to_numpy(),
                part["lots"].to_numpy(),
                len(self.times),
                block,
            )
            for side, part in zip(_SIDES, parts, strict=True)
        )
        blocks = zip(bids, asks, strict=True)
        if len(self.times) > _MOST_KEPT:
            return blocks
        return self._kept.setdefault(hidden, list(blocks))


def book_samples(
    run: Run,
    instrument: str | Sequence[str] | None = None,
    *,
    at: When | None = None,
    every: int | str | None = None,
) -> Iterator[BookSamples]:
    """The books of these instruments (default: all) at times `at`, `every` so long, or at the end; one after another.

    The records are read once for all of them where they fit into memory. Raises `InputError` for times and names that
    make no sense.
    """
    yield from samples_at(run, checked_instruments(run, instrument), checked_times(run, at, every))


def samples_at(run: Run, chosen: Sequence[Instrument], times: Ints) -> Iterator[BookSamples]:
    """The books of these instruments at `times`, which are checked already."""
    for one, changes in changes_by_instrument(run, chosen, int(times[0]), int(times[-1])):
        yield BookSamples(run, one, times, changes)


# --- arguments --------------------------------------------------------------------------------------------------------


def checked_bands(bands: Sequence[Number]) -> list[Fraction]:
    """Percentages as exact fractions; raises `InputError`."""
    percents = [fraction(band, "band") for band in bands]
    if not percents or any(not 0 < percent < 1000 for percent in percents):
        raise InputError(f"bands: {[str(band) for band in bands]} must be percentages between 0 and 1000")
    return percents


def checked_notionals(notionals: Sequence[Number]) -> list[Fraction]:
    """Amounts of quote currency as exact fractions; raises `InputError`."""
    amounts = [fraction(notional, "notional") for notional in notionals]
    if not amounts or any(amount <= 0 for amount in amounts):
        raise InputError(f"notionals: {[str(notional) for notional in notionals]} must all be greater than 0")
    return amounts


def checked_side(side: Side | str) -> Side:
    """A side by its number or its name; raises `InputError`."""
    if isinstance(side, str):
        try:
            return Side[side.upper()]
        except KeyError:
            raise InputError(f"side: {side[:20]!r} is neither 'buy' nor 'sell'") from None
    return Side(side)


def checked_instruments(run: Run, names: str | Sequence[str] | None) -> list[Instrument]:
    """Instruments by name (None: all); raises `InputError` when there is none."""
    if isinstance(names, str):
        names = [names]
    chosen = [run.instrument(name) for name in (run.instruments if names is None else names)]
    if not chosen:
        raise InputError(f"{run.path}: there is no instrument to measure")
    return chosen


def checked_times(run: Run, at: When | None, every: int | str | None) -> Ints:
    """Times in ascending order, nanoseconds since the run's start; raises `InputError`."""
    if at is not None and every is not None:
        raise InputError("give either times (at) or a step (every), not both")
    if every is not None:
        step = step_ns(every, "every")
        bound(run.end_ns // step)
        return np.arange(0, run.end_ns + 1, step, dtype=np.int64)
    if at is None:
        at = run.end_ns
    moments = sorted({run.moment_ns(moment) for moment in ([at] if isinstance(at, int | str) else at)})
    if not moments or moments[-1] >= _BEYOND:
        raise InputError(f"at: {str(at)[:60]!r} holds no time of this run")
    return np.array(moments, dtype=np.int64)


def bound(rows: int) -> None:
    """Raises `InputError` for a result that would not fit."""
    if rows > MAX_RESULT_ROWS:
        raise InputError(
            f"{rows} rows are more than the {MAX_RESULT_ROWS} of one result; take a longer step or fewer bands"
        )


def fraction(value: Number, what: str) -> Fraction:
    """A decimal number, exactly; raises `InputError`."""
    return Fraction(parse_decimal(repr(value) if isinstance(value, float) else value, what))


# --- one block --------------------------------------------------------------------------------------------------------


def _twice_reference(bests: Sequence[Ints], column: int, ref: Reference) -> Ints:
    """Twice the reference price in ticks (so that a mid between two ticks stays whole), 0 where there is none."""
    if ref == "best":
        return bests[column] * 2
    if ref != "mid":
        raise InputError(f"ref: {str(ref)[:20]!r} is neither 'mid' nor 'best'")
    return np.where((bests[0] > 0) & (bests[1] > 0), bests[0] + bests[1], 0)


def _edge(twice: Ints, percent: Fraction, side: Side) -> Ints:
    """Last price inside the band: its edge, rounded towards the reference."""
    up, down = (percent / 100).as_integer_ratio()
    wide = twice if len(twice) == 0 or int(twice.max()) * (up + down) < 2**62 else twice.astype(object)
    if side is Side.BUY:
        return -((wide * (up - down)) // (2 * down))
    return wide * (down + up) // (2 * down)


def _walk(curve: Curves, wanted: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """`liquidity.slippage_of` for each time of the block and each notional: lots, notional, worst price, complete."""
    index = curve.reach(np.maximum(wanted, 1), notional=True)
    full = index <= len(curve.prices)
    lots = curve.cumulative(index - 1)
    spent = curve.cumulative(index - 1, notional=True)
    price = curve.price_at(np.where(full, index, 0))
    extra = np.where(full, (wanted - spent) // np.maximum(price, 1), 0)
    lots, spent = lots + extra, spent + extra * price
    worst = np.where(lots > 0, curve.price_at(curve.reach(np.maximum(lots, 1))), 0)
    return lots, spent, worst, full


# --- columns ----------------------------------------------------------------------------------------------------------


def _labels(codes: Ints, labels: pl.Enum) -> pl.Series:
    return pl.Series(labels.categories, dtype=labels).gather(np.ravel(codes))


def _spread_over(values: Ints, shape: tuple[int, ...]) -> Ints:
    """Repeat `values` over the trailing axes of `shape`, flat."""
    wide = values.reshape(values.shape + (1,) * (len(shape) - values.ndim))
    return np.broadcast_to(wide, shape).ravel()


def _price(ticks: Ints, one: Instrument) -> Ints:
    numerator, denominator = one.tick.step.as_integer_ratio()
    return ticks * float(numerator) / float(denominator)
