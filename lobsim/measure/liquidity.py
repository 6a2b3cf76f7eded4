"""Depth and slippage over time, from records alone.

Definitions. The reference is the mid price (a + b) / 2 ("mid", as CoinDesk counts) or the side's own best price
("best", as Kaiko does). *Depth* at x % is the sum of price * quantity of one side's displayed orders within x % of
the reference, the edge included. *Slippage* for a notional N is ``|VWAP(N) / reference - 1|``: a market order walks
the book, hidden quantity included, best price first, for as many whole lots as cost (or bring) at most N. It is null,
never 0 or infinite, when the book cannot fill N, when there is no reference, and when N does not pay for one lot;
report the share of nulls, never only a mean.

The state at a time is the one after all events with ``time_ns`` up to and including it. Sums are exact integers; only
the last step to quote currency, a price or a ratio is a float.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import polars as pl

from lobsim.errors import InputError
from lobsim.events import Side
from lobsim.measure.books import changes_by_instrument
from lobsim.measure.decode import time_column
from lobsim.measure.ladder import Curves, Ints, curves
from lobsim.measure.run import Instrument, Run
from lobsim.units import parse_decimal, parse_duration

Reference: TypeAlias = Literal["mid", "best"]
Number: TypeAlias = str | int | float | Decimal
When: TypeAlias = int | str | Sequence[int | str]

BANDS = ("0.1", "0.5", "1", "2", "5", "10")
NOTIONALS = ("10000", "100000", "1000000")
MAX_RESULT_ROWS = 50_000_000
_BEYOND = 2**62
_SIDES = (Side.BUY, Side.SELL)
_BOOK_SIDE = pl.Enum(["bid", "ask"])
_ORDER_SIDE = pl.Enum(["buy", "sell"])


class Fill(NamedTuple):
    """What an order got: lots, ticks * lots, last price touched (None: nothing), whether the notional was reached."""

    lots: int
    notional: int
    worst_price: int | None
    complete: bool


def slippage_of(levels: Sequence[tuple[int, int]], notional: int) -> Fill:
    """Spend `notional` (ticks * lots) on `levels` ((price, lots), best first): the most whole lots that cost no more.

    ``complete`` is False when all levels together hold less than `notional`. Complexity: O(levels).
    """
    lots = spent = 0
    worst = None
    for price, qty in levels:
        take = min(qty, (notional - spent) // price)
        if take:
            worst = price
        lots += take
        spent += take * price
        if take < qty:
            return Fill(lots, spent, worst, True)
    return Fill(lots, spent, worst, spent == notional)


def depth_at(
    levels: Sequence[tuple[int, int]], side: Side, reference: int | Fraction, band_pct: Number
) -> tuple[int, int]:
    """(lots, ticks * lots) of `levels` within `band_pct` percent of `reference` (ticks). Complexity: O(levels)."""
    width = reference * _fraction(band_pct, "band") / 100
    inside = [
        (price, qty) for price, qty in levels if (reference - price if side is Side.BUY else price - reference) <= width
    ]
    return sum(qty for _, qty in inside), sum(price * qty for price, qty in inside)


def depth(
    run: Run,
    instrument: str | Sequence[str] | None = None,
    bands: Sequence[Number] = BANDS,
    *,
    at: When | None = None,
    every: int | str | None = None,
    ref: Reference = "mid",
    hidden: bool = False,
) -> pl.DataFrame:
    """Depth of both sides within `bands` percent of the reference, at times `at` or `every` so long (or at the end).

    Columns: ``time_ns time instrument ref_price band_pct side depth_lots depth_qty depth_quote``. An empty side is 0; a
    side that has orders but no reference (`ref="mid"`, the other side empty) is null. Raises `InputError` for bands,
    times and names that make no sense.
    """
    percents = [_fraction(band, "band") for band in bands]
    if not percents or any(not 0 < percent < 1000 for percent in percents):
        raise InputError(f"bands: {[str(band) for band in bands]} must be percentages between 0 and 1000")
    chosen, times = _instruments(run, instrument), _times(run, at, every)
    _bound(len(times) * len(chosen) * len(percents) * 2)
    frames = []
    for one, blocks in _sampled(run, chosen, times, hidden=hidden):
        lots = np.zeros((len(times), 2, len(percents)), dtype=np.int64)
        notional = np.zeros(lots.shape)
        known = np.ones((len(times), 2), dtype=bool)
        twice = np.zeros((len(times), 2), dtype=np.int64)
        for sides in blocks:
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
        shape = (len(times), 2, len(percents))
        frames.append(
            pl.DataFrame(
                {
                    "time_ns": np.repeat(times, 2 * len(percents)),
                    "instrument": _constant(one, run, lots.size),
                    "ref_price": _price(_spread_over(twice, shape) / 2, one),
                    "band_pct": np.tile([float(percent) for percent in percents], 2 * len(times)),
                    "side": _labels(np.broadcast_to([[[0], [1]]], shape), _BOOK_SIDE),
                    "depth_lots": lots.ravel(),
                    "depth_qty": lots.ravel() * float(one.lot.step),
                    "depth_quote": notional.ravel() * float(one.unit_notional),
                    "known": _spread_over(known, shape),
                }
            ).with_columns(pl.when("known").then(pl.col("depth_lots", "depth_qty", "depth_quote")))
        )
    result = pl.concat(frames).with_columns(pl.when(pl.col("ref_price") > 0).then("ref_price"), time_column(run))
    columns = (
        "time_ns",
        "time",
        "instrument",
        "ref_price",
        "band_pct",
        "side",
        "depth_lots",
        "depth_qty",
        "depth_quote",
    )
    return result.select(columns)


def slippage(
    run: Run,
    instrument: str | Sequence[str] | None = None,
    side: Side | str = Side.SELL,
    notionals: Sequence[Number] = NOTIONALS,
    *,
    at: When | None = None,
    every: int | str | None = None,
    ref: Reference = "mid",
    hidden: bool = True,
) -> pl.DataFrame:
    """What a market order of `side` for each of `notionals` (quote currency) would have cost at the times.

    Columns: ``time_ns time instrument side notional_quote ref_price filled_lots filled_quote filled_share worst_price
    vwap slippage``. ``filled_share`` is 1 when the book could fill the notional, else what it could, as a share;
    ``vwap`` is that of the lots filled, also where the slippage is null. ref="best" is the best price that the order
    meets.
    """
    taker = _side(side)
    amounts = [_fraction(notional, "notional") for notional in notionals]
    if not amounts or any(amount <= 0 for amount in amounts):
        raise InputError(f"notionals: {[str(notional) for notional in notionals]} must all be greater than 0")
    chosen, times = _instruments(run, instrument), _times(run, at, every)
    _bound(len(times) * len(chosen) * len(amounts))
    resting = 1 - int(taker)
    shape = (len(times), len(amounts))
    frames = []
    for one, blocks in _sampled(run, chosen, times, hidden=hidden):
        units = [amount / Fraction(one.unit_notional) for amount in amounts]
        whole = [int(unit) for unit in units]
        wanted = np.array([whole], dtype=np.int64 if max(whole) < _BEYOND else object)
        lots, spent = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        worst, full, twice = (
            np.zeros(shape, dtype=np.int64),
            np.zeros(shape, dtype=bool),
            np.zeros(len(times), dtype=np.int64),
        )
        for sides in blocks:
            rows = slice(sides[0].start, sides[0].start + sides[0].times)
            twice[rows] = _twice_reference([curve.best() for curve in sides], resting, ref)
            lots[rows], spent[rows], worst[rows], full[rows] = _walk(sides[resting], wanted)
        share = np.where(full, 1.0, spent / np.array([float(unit) for unit in units]))
        frames.append(
            pl.DataFrame(
                {
                    "time_ns": np.repeat(times, len(amounts)),
                    "instrument": _constant(one, run, lots.size),
                    "side": _labels(np.full(lots.size, int(taker)), _ORDER_SIDE),
                    "notional_quote": np.tile([float(amount) for amount in amounts], len(times)),
                    "ref_price": _price(_spread_over(twice, shape) / 2, one),
                    "filled_lots": lots.ravel(),
                    "filled_quote": spent.ravel() * float(one.unit_notional),
                    "filled_share": share.ravel(),
                    "worst_price": _price(worst.ravel(), one),
                    "vwap": _price(np.divide(spent, lots, out=np.zeros(shape), where=lots > 0).ravel(), one),
                }
            )
        )
    result = pl.concat(frames).with_columns(
        time_column(run),
        *(pl.when(pl.col(name) > 0).then(pl.col(name)).alias(name) for name in ("ref_price", "worst_price", "vwap")),
    )
    cost = (pl.col("vwap") / pl.col("ref_price") - 1).abs()
    result = result.with_columns(slippage=pl.when(pl.col("filled_share") >= 1).then(cost))
    first = ("time_ns", "time", "instrument", "side", "notional_quote", "ref_price")
    return result.select(*first, "filled_lots", "filled_quote", "filled_share", "worst_price", "vwap", "slippage")


# --- sampling ---------------------------------------------------------------------------------------------------------


def _sampled(
    run: Run, instruments: Sequence[Instrument], times: Ints, *, hidden: bool
) -> Iterator[tuple[Instrument, Iterator[tuple[Curves, Curves]]]]:
    """Per instrument, block by block: the curves of bids and of asks at `times` (ascending)."""
    lots = pl.col("lots") if hidden else pl.col("lots") - pl.col("hidden_lots")
    for one, changes in changes_by_instrument(run, instruments, int(times[0]), int(times[-1])):
        bins = np.searchsorted(times, changes["time_ns"].to_numpy(), side="left")
        binned = changes.select("side", "price_ticks", bin=pl.Series(bins), lots=lots).sort("bin")
        parts = [binned.filter((pl.col("side") == int(side)) & (pl.col("lots") != 0)) for side in _SIDES]
        bids, asks = (
            curves(side, part["bin"].to_numpy(), part["price_ticks"].to_numpy(), part["lots"].to_numpy(), len(times))
            for side, part in zip(_SIDES, parts, strict=True)
        )
        yield one, zip(bids, asks, strict=True)


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
    """`slippage_of` for each time of the block and each notional: lots, notional, worst price, complete."""
    index = curve.reach(np.maximum(wanted, 1), notional=True)
    full = index <= len(curve.prices)
    lots = curve.cumulative(index - 1)
    spent = curve.cumulative(index - 1, notional=True)
    price = curve.price_at(np.where(full, index, 0))
    extra = np.where(full, (wanted - spent) // np.maximum(price, 1), 0)
    lots, spent = lots + extra, spent + extra * price
    worst = np.where(lots > 0, curve.price_at(curve.reach(np.maximum(lots, 1))), 0)
    return lots, spent, worst, full


# --- arguments and columns --------------------------------------------------------------------------------------------


def _fraction(value: Number, what: str) -> Fraction:
    return Fraction(parse_decimal(repr(value) if isinstance(value, float) else value, what))


def _side(side: Side | str) -> Side:
    if isinstance(side, str):
        try:
            return Side[side.upper()]
        except KeyError:
            raise InputError(f"side: {side[:20]!r} is neither 'buy' nor 'sell'") from None
    return Side(side)


def _instruments(run: Run, names: str | Sequence[str] | None) -> list[Instrument]:
    if isinstance(names, str):
        names = [names]
    chosen = [run.instrument(name) for name in (run.instruments if names is None else names)]
    if not chosen:
        raise InputError(f"{run.path}: there is no instrument to measure")
    return chosen


def _times(run: Run, at: When | None, every: int | str | None) -> Ints:
    if at is not None and every is not None:
        raise InputError("give either times (at) or a step (every), not both")
    if every is not None:
        step = every if isinstance(every, int) else parse_duration(every, "every")
        if step <= 0:
            raise InputError(f"every: {every!r} must be longer than 0")
        _bound(run.end_ns // step)
        return np.arange(0, run.end_ns + 1, step, dtype=np.int64)
    if at is None:
        at = run.end_ns
    moments = sorted({run.time_ns(moment) for moment in ([at] if isinstance(at, int | str) else at)})
    if not moments or moments[0] < 0 or moments[-1] >= _BEYOND:
        raise InputError(f"at: {str(at)[:60]!r} holds no time of this run")
    return np.array(moments, dtype=np.int64)


def _bound(rows: int) -> None:
    if rows > MAX_RESULT_ROWS:
        raise InputError(
            f"{rows} rows are more than the {MAX_RESULT_ROWS} of one result; take a longer step or fewer bands"
        )


def _constant(one: Instrument, run: Run, rows: int) -> pl.Series:
    return pl.repeat(one.name, rows, eager=True, dtype=pl.Enum(list(run.instruments)))


def _labels(codes: Ints, labels: pl.Enum) -> pl.Series:
    return pl.Series(labels.categories, dtype=labels).gather(np.ravel(codes))


def _spread_over(values: Ints, shape: tuple[int, ...]) -> Ints:
    """Repeat `values` over the trailing axes of `shape`, flat."""
    wide = values.reshape(values.shape + (1,) * (len(shape) - values.ndim))
    return np.broadcast_to(wide, shape).ravel()


def _price(ticks: Ints, one: Instrument) -> Ints:
    numerator, denominator = one.tick.step.as_integer_ratio()
    return ticks * float(numerator) / float(denominator)
