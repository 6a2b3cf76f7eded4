"""Resiliency: how fast spread and depth come back after large trades, and how much of them does.

A *large trade* is an incoming order (all fills of one taker in one instant) whose notional is at or above a quantile
of all incoming orders' notionals (default: the largest twentieth), with both sides of the book there just before it and
a whole `window` of the run after it. For each one, at lags 0, 1, ... `steps` after it (window / steps apart; lag 0 is
the state after everything that happened in its instant):

* the *excess spread* is the spread then, less the spread just before, in ticks; a lag without both sides is left out;
* the *missing depth* is what was displayed just before on the side that it hit, within `band` percent of the mid price,
  less what is displayed there then, within as much of the mid of that moment; a lag without a mid is left out, unless
  the side is empty, which is 0.

The *profile* is the mean over all large trades, lag by lag. A return at an exponential rate, ``x(s) = level + (x(0) -
level) exp(-rate s)``, makes each point of a profile a straight line of the one before, so rate and level are fitted by
ordinary least squares::

    x_k+1 = a + b x_k + error_k        rate = -ln(b) / lag        half-life = ln 2 / rate        k = 0 .. steps - 1

The level a / (1 - b) is free because a large trade is no random moment: people trade when the spread is narrow, so
that it goes back to something wider. *Replenished share* is that of the large trades after which the depth was, at
one of the lags, at least what it had been, out of those that lessened it. *Reverted share* is that of the large trades
after which the spread was back at, or below, what it had been before the instrument's next trade (or within the
window, if there was none), out of those that widened it or emptied a side.

Null, never 0 or infinite: all without a large trade; a rate where b is 1 or more (nothing comes back), or no more than
2 / sqrt(steps), which is what noise alone would make of it (a return too fast for these lags: take a shorter window),
where the profile is flat, and where a lag has no value at all; the shares where no trade lessened the depth or widened
the spread. Bias: windows of large trades close to each other overlap, each then shows the other's dent too; noise in
the profile of few trades makes the fitted rate too high, which R^2 shows.

Sources: the exponential return is that of Obizhaeva and Wang, "Optimal trading strategy and supply/demand dynamics"
(Journal of Financial Markets 16, 2013); the replenished share follows Large, "Measuring the resiliency of an electronic
limit order book" (Journal of Financial Markets 10, 2007), who asks how likely a book is to replenish; the reverted
share is the resiliency of Foucault, Kadan and Kandel, "Limit order book as a market for liquidity" (Review of Financial
Studies 18, 2005): how probable it is that the spread reverts before the next transaction. Which trades are large, the
lags and the fit are this project's conventions.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log, sqrt
from typing import NamedTuple

import numpy as np
import polars as pl

from lobsim.errors import InputError
from lobsim.measure.books import changes_by_instrument
from lobsim.measure.intervals import (
    Floats,
    Ints,
    Names,
    Quotes,
    Step,
    constant,
    put_together,
    quotes_of,
    ratio,
    step_ns,
    trades_of,
)
from lobsim.measure.manifest import Instrument
from lobsim.measure.order_flow import least_squares
from lobsim.measure.run import Run
from lobsim.measure.sampling import BookSamples, Number, checked_bands, checked_instruments
from lobsim.units import NS_PER_S

WINDOW = "60s"
STEPS = 60
BAND_PCT = "1"
QUANTILE = 0.95
MIN_STEPS, MAX_STEPS = 5, 1000


class _Shape(NamedTuple):
    """What is asked for: nanoseconds between lags, lags after the first, quantile, band in percent."""

    lag: int
    steps: int
    quantile: float
    band: Number

    @property
    def window(self) -> int:
        """From the first lag to the last, in nanoseconds."""
        return self.lag * self.steps


class _Recovery(NamedTuple):
    """N large trades of one instrument: (N, lags) excess spread in ticks and missing depth in lots (NaN: unknown).

    threshold: notional in ticks * lots from which on an order counted as large, None without any order.
    """

    threshold: float | None
    times: Ints
    excess: Floats
    missing: Floats
    reverted: Ints


def recovery_profile(
    run: Run,
    instrument: Names = None,
    *,
    quantile: float = QUANTILE,
    window: Step = WINDOW,
    steps: int = STEPS,
    band: Number = BAND_PCT,
) -> pl.DataFrame:
    """Mean excess spread and missing depth after large trades, lag by lag; what `resiliency` is fitted to.

    Columns: ``instrument lag_s large_trades excess_spread_ticks missing_lots missing_qty``; no rows for an instrument
    without large trades. Complexity: that of `book_samples` at large trades * steps times.
    """
    shape = _shape(quantile, window, steps, band)
    frames = []
    for one, found in _recoveries(run, instrument, shape):
        lags = steps + 1 if len(found.times) else 0
        missing = _mean(found.missing)[:lags]
        frames.append(
            pl.DataFrame(
                {
                    "instrument": constant(run, one, lags),
                    "lag_s": np.arange(lags) * (shape.lag / NS_PER_S),
                    "large_trades": np.full(lags, len(found.times)),
                    "excess_spread_ticks": _mean(found.excess)[:lags],
                    "missing_lots": missing,
                    "missing_qty": missing * float(one.lot.step),
                }
            )
        )
    return put_together(run, frames)


def resiliency(
    run: Run,
    instrument: Names = None,
    *,
    quantile: float = QUANTILE,
    window: Step = WINDOW,
    steps: int = STEPS,
    band: Number = BAND_PCT,
) -> pl.DataFrame:
    """Rates at which spread and depth return after large trades, and which shares of them came back.

    Columns: ``instrument large_trades large_quote spread_rate_per_s spread_half_life_s spread_r_squared
    depth_rate_per_s depth_half_life_s depth_r_squared replenished_share reverted_share``; ``large_quote`` is the
    notional from which on an order counted as large.
    """
    shape = _shape(quantile, window, steps, band)
    frames = []
    for one, found in _recoveries(run, instrument, shape):
        spread, depth = (return_rate(_mean(profile), shape.lag / NS_PER_S) for profile in (found.excess, found.missing))
        taken = found.missing[:, 0] > 0
        replenished = (found.missing[taken] <= 0).any(axis=1)
        widened = ~(found.excess[:, 0] <= 0)  # a side that is gone is as wide as it gets
        threshold = None if found.threshold is None else found.threshold * float(one.unit_notional)
        columns: dict[str, float | None] = {
            "large_quote": threshold,
            "spread_rate_per_s": spread[0],
            "spread_half_life_s": None if spread[0] is None else log(2) / spread[0],
            "spread_r_squared": spread[1],
            "depth_rate_per_s": depth[0],
            "depth_half_life_s": None if depth[0] is None else log(2) / depth[0],
            "depth_r_squared": depth[1],
            "replenished_share": float(replenished.mean()) if taken.any() else None,
            "reverted_share": float(found.reverted[widened].mean()) if widened.any() else None,
        }
        frames.append(
            pl.DataFrame(
                {"instrument": constant(run, one, 1), "large_trades": [len(found.times)]}
                | {name: [value] for name, value in columns.items()},
                schema_overrides=dict.fromkeys(columns, pl.Float64),
            )
        )
    return put_together(run, frames)


def return_rate(profile: Floats, lag_s: float) -> tuple[float | None, float | None]:
    """Exponential rate (per second) at which a profile returns to its level, and R^2 of the fit; None without one."""
    kept, _, r_squared = least_squares(profile[:-1], profile[1:])
    noise = 2 / sqrt(max(1, len(profile) - 1))
    return (-log(kept) / lag_s, r_squared) if noise < kept < 1 else (None, None)


def large_trades(trades: pl.DataFrame, quantile: float) -> tuple[pl.DataFrame, float | None]:
    """Incoming orders of at least the quantile of notional, ``time_ns aggressor_side last_ticks value``; that notional.

    The quantile is one of the notionals: the smallest with at least that share of the orders at or below it.
    """
    orders = trades.group_by("time_ns", "taker_order_id", "aggressor_side", maintain_order=True).agg(
        value=(pl.col("price_ticks").cast(pl.Float64) * pl.col("qty_lots")).sum(),
    )
    if orders.height == 0:
        return orders, None
    values = orders["value"].to_numpy()
    threshold = float(np.quantile(values, quantile, method="inverted_cdf"))
    return orders.filter(pl.col("value") >= threshold), threshold


def _recoveries(run: Run, names: Names, shape: _Shape) -> Iterator[tuple[Instrument, _Recovery]]:
    instruments = checked_instruments(run, names)
    for one, changes in changes_by_instrument(run, instruments, 0, run.end_ns):
        trades, quotes = trades_of(run, one), quotes_of(run, one)
        large, threshold = large_trades(trades, shape.quantile)
        times = large["time_ns"].to_numpy()
        usable = (quotes.at(quotes.twice_mid, times, before=True) > 0) & (times + shape.window <= run.end_ns)
        large, times = large.filter(usable), times[usable]
        yield (
            one,
            _Recovery(
                threshold,
                times,
                _excess_spread(quotes, times, shape),
                _missing_depth(run, one, changes, large, shape),
                _reverted(quotes.settled, trades["time_ns"].to_numpy(), times, shape),
            ),
        )


def _lags(times: Ints, shape: _Shape) -> Ints:
    return times[:, None] + np.arange(shape.steps + 1) * shape.lag


def _excess_spread(quotes: Quotes, times: Ints, shape: _Shape) -> Floats:
    spread = quotes.spread
    excess: Floats = quotes.at(spread, _lags(times, shape)) - quotes.at(spread, times, before=True)[:, None]
    return excess


def _reverted(quotes: Quotes, trade_times: Ints, times: Ints, shape: _Shape) -> Ints:
    """1 where the spread returned to (or below) its former level before the next trade and within the window."""
    spread = np.where(quotes.two_sided, quotes.ask - quotes.bid, np.iinfo(np.int64).max)
    former = quotes.at(spread, times, before=True)
    following = np.append(trade_times, np.iinfo(np.int64).max)[np.searchsorted(trade_times, times, side="right")]
    last = np.minimum(following - 1, times + shape.window)
    begin = np.maximum(np.searchsorted(quotes.time_ns, times, side="right") - 1, 0)
    end = np.searchsorted(quotes.time_ns, last, side="right")
    padded = np.append(spread, np.iinfo(np.int64).max)  # so that an end may lie behind the last quote
    smallest = np.minimum.reduceat(padded, np.stack([begin, end], axis=1).ravel())[::2]
    return (smallest <= former).astype(np.int64)


def _missing_depth(run: Run, one: Instrument, changes: pl.DataFrame, large: pl.DataFrame, shape: _Shape) -> Floats:
    """Lots that stood near the mid before each large trade, on the side that it hit, less those at each lag."""
    times, taker = large["time_ns"].to_numpy(), large["aggressor_side"].to_numpy()
    moments = np.concatenate([times[:, None] - 1, _lags(times, shape)], axis=1)
    lots = np.full(moments.size, np.nan)
    if len(times):
        order = np.argsort(moments, axis=None, kind="stable")
        known = changes.filter(pl.col("time_ns") <= moments.max())
        depth = BookSamples(run, one, moments.ravel()[order], known).depth([shape.band])
        sides = depth["depth_lots"].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(-1, 2)  # bids, asks
        hit = 1 - np.repeat(taker, moments.shape[1])[order]
        lots[order] = sides[np.arange(len(order)), hit]
    standing = lots.reshape(moments.shape)
    missing: Floats = standing[:, :1] - standing[:, 1:]
    return missing


def _mean(profiles: Floats) -> Floats:
    """Mean per lag over what is known there; NaN where nothing is."""
    known = ~np.isnan(profiles)
    return ratio(np.where(known, profiles, 0.0).sum(axis=0), known.sum(axis=0))


def _shape(quantile: float, window: Step, steps: int, band: Number) -> _Shape:
    length = step_ns(window, "window")
    if not 0 <= quantile <= 1:
        raise InputError(f"quantile: {quantile} must be between 0 and 1")
    if not MIN_STEPS <= steps <= MAX_STEPS or length % steps:
        raise InputError(
            f"steps: {steps} must be a whole number from {MIN_STEPS} to {MAX_STEPS} that divides the window"
        )
    checked_bands([band])
    return _Shape(length // steps, steps, quantile, band)
