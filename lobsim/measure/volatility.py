"""Realised volatility and Amihud's illiquidity: how far the price goes, by itself and per money traded.

*Realised volatility* is ``sqrt(sum of r_k^2)`` over the log returns of the mid price (or of the last trade) between
samples one step apart. It belongs to the time it was measured over: a fraction, NOT annualised. Beside it stands the
annualised figure, that times ``sqrt(365 days / measured time)``, for markets that never close; for one that trades 6.5
hours on 252 days a year multiply it by ``sqrt(252 * 6.5 / 8760)``. A sample without a mid takes the last one there
was, whose move then falls into a later return; there is no return before the first mid. Short steps measure the bounce
of a wide spread too, last trades more than mids. Source: Andersen, Bollerslev, Diebold and Labys, "Modeling and
forecasting realized volatility" (Econometrica 71, 2003).

*Illiquidity* is the mean over intervals of ``|r_k| / turnover_k``: r_k the log return from the last trade of the
intervals before to the last one of this interval, turnover_k the quote currency traded in it, given in percent per
million. Intervals without a trade say nothing and are left out, and so is the first one that has trades (it has no
price to begin with). Source: Amihud, "Illiquidity and stock returns: cross-section and time-series effects" (Journal of
Financial Markets 5, 2002), who takes simple returns of whole days; for small moves the two returns are the same.

Both are null, never 0, where no return is known.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from lobsim.errors import InputError
from lobsim.measure.intervals import (
    STEP,
    YEAR_NS,
    Floats,
    Ints,
    Names,
    Step,
    constant,
    edges,
    interval_columns,
    interval_of,
    notional_of,
    put_together,
    quotes_of,
    ratio,
    step_ns,
    sums,
    trades_of,
)
from lobsim.measure.manifest import Instrument
from lobsim.measure.run import Run
from lobsim.measure.sampling import checked_instruments
from lobsim.units import NS_PER_S

Price: TypeAlias = Literal["mid", "trade"]
PERCENT_PER_MILLION = 100 * 1_000_000


def realised_volatility(
    run: Run, instrument: Names = None, *, every: Step = STEP, window: Step | None = None, price: Price = "mid"
) -> pl.DataFrame:
    """Realised volatility from samples `every` so long, over the whole run or per `window` (a multiple of `every`).

    Columns: ``from_ns time_ns time instrument step_s returns volatility volatility_annualised`` (fractions, see the
    module). Complexity: O(quotes or trades + samples * log).
    """
    ends, step = edges(run, every), step_ns(every)
    length = max(1, len(ends) - 1) if window is None else _steps_of(window, step)
    bounds = ends[::length]
    frames = []
    for one in checked_instruments(run, instrument):
        moves = np.diff(np.log(_samples(run, one, ends, price)))
        moves = moves[: (len(bounds) - 1) * length].reshape(len(bounds) - 1, length)
        known = (~np.isnan(moves)).sum(axis=1)
        total = np.where(known > 0, np.sqrt(np.nansum(moves**2, axis=1)), np.nan)
        columns = {
            "step_s": np.full(len(known), step / NS_PER_S),
            "returns": known,
            "volatility": total,
            "volatility_annualised": total * np.sqrt(ratio(np.full(len(known), YEAR_NS), known * float(step))),
        }
        frames.append(pl.DataFrame(interval_columns(run, one, bounds) | columns))
    return put_together(run, frames)


def illiquidity(run: Run, instrument: Names = None, *, every: Step = STEP) -> pl.DataFrame:
    """Return per money traded in each interval.

    Columns: ``from_ns time_ns time instrument turnover_quote return_log percent_per_million``. The last two are null
    in intervals without a trade (see the module). Complexity: O(trades + intervals).
    """
    ends = edges(run, every)
    frames = []
    for one in checked_instruments(run, instrument):
        trades = trades_of(run, one)
        intervals = interval_of(trades["time_ns"].to_numpy(), ends)
        turnover = sums(notional_of(trades, one), intervals, len(ends) - 1)
        prices = _samples(run, one, ends, "trade")
        moves = np.where(turnover > 0, np.diff(np.log(prices)), np.nan)
        columns = {
            "turnover_quote": turnover,
            "return_log": moves,
            "percent_per_million": return_per_turnover(prices, turnover) * PERCENT_PER_MILLION,
        }
        frames.append(pl.DataFrame(interval_columns(run, one, ends) | columns))
    return put_together(run, frames)


def amihud(run: Run, instrument: Names = None, *, every: Step = STEP) -> pl.DataFrame:
    """Amihud's illiquidity over the run: ``instrument intervals percent_per_million``, the mean of `illiquidity`."""
    frames = []
    per_interval = illiquidity(run, instrument, every=every)
    for one in checked_instruments(run, instrument):
        known = per_interval.filter(pl.col("instrument") == one.name)["percent_per_million"].drop_nulls()
        columns = {
            "instrument": constant(run, one, 1),
            "intervals": [len(known)],
            "percent_per_million": [known.mean()],
        }
        frames.append(pl.DataFrame(columns, schema_overrides={"percent_per_million": pl.Float64}))
    return put_together(run, frames)


def return_per_turnover(prices: Floats, turnover: Floats) -> Floats:
    """|log return| of each interval over its turnover; NaN where nothing was traded or there was no price before.

    prices: one more than there are intervals, the last ones known by each edge (NaN: none yet).
    """
    moved: Floats = ratio(np.abs(np.diff(np.log(prices))), turnover)
    return moved


def _samples(run: Run, one: Instrument, times: Ints, price: Price) -> Floats:
    """Last known price (ticks) at each time, NaN before the first."""
    if price == "mid":
        quotes = quotes_of(run, one)
        known = quotes.two_sided
        when, values = quotes.time_ns[known], quotes.twice_mid[known] / 2
    elif price == "trade":
        trades = trades_of(run, one)
        when, values = trades["time_ns"].to_numpy(), trades["price_ticks"].to_numpy().astype(np.float64)
    else:
        raise InputError(f"price: {str(price)[:20]!r} is neither 'mid' nor 'trade'")
    sampled: Floats = np.concatenate([[np.nan], values])[np.searchsorted(when, times, side="right")]
    return sampled


def _steps_of(window: Step, step: int) -> int:
    length = step_ns(window, "window")
    if length % step:
        raise InputError(f"window: {window!r} must be a whole number of steps (every) of {step / NS_PER_S:g} s")
    return length // step
