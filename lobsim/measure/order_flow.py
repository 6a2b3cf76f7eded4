"""Order-flow imbalance at the best quotes, and how far the price moves per lot of it.

For each change of the quotes (P price, q displayed lots, b bid, a ask, n the new state and n - 1 the one before)::

    e_n = 1{Pb_n >= Pb_n-1} qb_n - 1{Pb_n <= Pb_n-1} qb_n-1 - 1{Pa_n <= Pa_n-1} qa_n + 1{Pa_n >= Pa_n-1} qa_n-1

`OFI` of an interval is the sum of e over its changes: what was added to the bid and taken from the ask, less the
opposite. The mid price's move over the interval, in ticks, is then explained by ordinary least squares::

    move_k = intercept + slope * OFI_k + error_k

An empty side counts as a price worse than every other with no lots, so that losing a bid of q lots is -q and getting
one +q. Null: the move of an interval at whose beginning or end there is no mid; slope, intercept and R^2 where fewer
than three intervals have a move or all have the same OFI; R^2 also where the mid never moved. The quotes before the
first one known are none: the first change counts for nothing.

Source: Cont, Kukanov and Stoikov, "The price impact of order book events" (Journal of Financial Econometrics 12, 2014),
who use intervals of 10 s within half hours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from lobsim.measure.intervals import (
    STEP,
    Floats,
    Ints,
    Names,
    Quotes,
    Step,
    constant,
    edges,
    interval_columns,
    interval_of,
    put_together,
    quotes_of,
)
from lobsim.measure.manifest import Instrument
from lobsim.measure.run import Run
from lobsim.measure.sampling import checked_instruments

_FEWEST = 3


def order_flow(run: Run, instrument: Names = None, *, every: Step = STEP) -> pl.DataFrame:
    """Order-flow imbalance and the move of the mid per interval.

    Columns: ``from_ns time_ns time instrument ofi_lots ofi_qty mid_move_ticks``; the move is a multiple of half a tick.
    Complexity: O(quotes + intervals).
    """
    ends = edges(run, every)
    frames = []
    for one in checked_instruments(run, instrument):
        flow, move = _flow_and_move(run, one, ends)
        columns: dict[str, Any] = {"ofi_lots": flow, "ofi_qty": flow * float(one.lot.step), "mid_move_ticks": move}
        frames.append(pl.DataFrame(interval_columns(run, one, ends) | columns))
    return put_together(run, frames)


def order_flow_fit(run: Run, instrument: Names = None, *, every: Step = STEP) -> pl.DataFrame:
    """The regression of the mid's moves on the order-flow imbalance over all intervals of the run.

    Columns: ``instrument intervals slope_ticks_per_lot slope_price_per_qty intercept_ticks r_squared``; the second
    slope is in quote currency (per base) per base. Complexity: O(quotes + intervals).
    """
    ends = edges(run, every)
    frames = []
    for one in checked_instruments(run, instrument):
        flow, move = _flow_and_move(run, one, ends)
        known = ~np.isnan(move)
        slope, intercept, r_squared = least_squares(flow[known].astype(np.float64), move[known])
        frames.append(
            pl.DataFrame(
                {
                    "instrument": constant(run, one, 1),
                    "intervals": [int(known.sum())],
                    "slope_ticks_per_lot": [slope],
                    "slope_price_per_qty": [slope * float(one.tick.step) / float(one.lot.step)],
                    "intercept_ticks": [intercept],
                    "r_squared": [r_squared],
                }
            )
        )
    return put_together(run, frames)


def flow_of(quotes: Quotes) -> Ints:
    """e_n of every quote, in lots; the first is 0."""
    bid, ask = quotes.bid, np.where(quotes.ask > 0, quotes.ask, np.iinfo(np.int64).max)
    flow = np.zeros(len(bid), dtype=np.int64)
    flow[1:] = (
        np.where(bid[1:] >= bid[:-1], quotes.bid_lots[1:], 0)
        - np.where(bid[1:] <= bid[:-1], quotes.bid_lots[:-1], 0)
        - np.where(ask[1:] <= ask[:-1], quotes.ask_lots[1:], 0)
        + np.where(ask[1:] >= ask[:-1], quotes.ask_lots[:-1], 0)
    )
    return flow


def least_squares(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Slope, intercept and R^2 of y on x; NaN where they are not defined (see the module)."""
    if len(x) < _FEWEST or float(np.ptp(x)) == 0:
        return float("nan"), float("nan"), float("nan")
    dx, dy = x - x.mean(), y - y.mean()
    across = float(dx @ dy)
    slope = across / float(dx @ dx)
    total = float(dy @ dy) if float(np.ptp(y)) > 0 else 0.0
    r_squared = slope * across / total if total > 0 else float("nan")
    return slope, float(y.mean()) - slope * float(x.mean()), r_squared


def _flow_and_move(run: Run, one: Instrument, ends: Ints) -> tuple[Ints, Floats]:
    quotes = quotes_of(run, one)
    intervals = interval_of(quotes.time_ns, ends)
    count = len(ends) - 1
    flow = np.zeros(count, dtype=np.int64)
    inside = (intervals >= 0) & (intervals < count)
    np.add.at(flow, intervals[inside], flow_of(quotes)[inside])
    twice = quotes.at(quotes.twice_mid, ends).astype(np.float64)
    twice[twice == 0] = np.nan
    return flow, np.diff(twice) / 2
