"""Quoted, effective and realised spread, and price impact.

With p the price of a trade, q = +1 for a buying and -1 for a selling aggressor, m the mid price just before the trade
and m' the mid price `horizon` later::

    quoted    = (ask - bid) / mid                 what stands in the book, weighted by the time that it stands
    effective = 2 q (p - m)  / m                  what the aggressor paid, round trip
    realised  = 2 q (p - m') / m                  what is left of it for whoever provided the liquidity
    impact    = 2 q (m' - m) / m                  what the price moved on, in the aggressor's direction

so that effective = realised + impact, trade by trade; in ticks all three are whole numbers and the identity is exact.
These are full spreads, comparable with the quoted one; papers that give half-spreads give half of each. "Just before"
is the last quote with a time before the trade's own: the fills of one order, which share a time, share their mid; so do
two orders of one nanosecond. Means over trades are weighted by notional (price * quantity). Negative values are
meant: a trade inside the spread of a moving market, a market that turned.

Null, never 0: quoted while a side is empty, effective when a side was empty (or no quote was known) before the trade,
realised and impact also when a side is empty at the horizon or the run ends before it.

Sources: Huang and Stoll, "Dealer versus auction markets" (Journal of Financial Economics 41, 1996) for the
decomposition; Hendershott, Jones and Menkveld, "Does algorithmic trading improve liquidity?" (Journal of Finance 66,
2011) for the form used here, which they give as half-spreads and in shares of the mid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from lobsim.errors import InputError
from lobsim.events import Side
from lobsim.measure.intervals import (
    BPS,
    Floats,
    Ints,
    Names,
    Quotes,
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
    time_weighted,
    trades_of,
)
from lobsim.measure.run import Run
from lobsim.measure.sampling import checked_instruments
from lobsim.units import NS_PER_S

HORIZONS = ("1s", "10s", "60s")
"""After how long the mid price is looked at again."""

_ORDER_SIDE = pl.Enum(["buy", "sell"])
_MAX_HORIZONS = 50


def quoted_spread(run: Run, instrument: Names = None, *, every: Step | None = None) -> pl.DataFrame:
    """Time-weighted mean quoted spread per interval of `every` (None: over the whole run).

    Columns: ``from_ns time_ns time instrument quoted_price quoted_bps two_sided_share``: the spread in quote currency
    per base, in basis points of the mid of the moment, and the share of the time in which there were both bids and
    asks (the means are over that time). Complexity: O((quotes + intervals) log).
    """
    ends = edges(run, every)
    frames = []
    for one in checked_instruments(run, instrument):
        quotes = quotes_of(run, one)
        wide = quotes.spread
        mean, share = time_weighted(quotes, wide * float(one.tick.step), ends)
        bps, _ = time_weighted(quotes, ratio(wide * 2 * BPS, quotes.twice_mid), ends)
        frames.append(
            pl.DataFrame(
                interval_columns(run, one, ends) | {"quoted_price": mean, "quoted_bps": bps, "two_sided_share": share}
            )
        )
    return put_together(run, frames)


def trade_costs(run: Run, instrument: Names = None, horizons: Sequence[Step] = HORIZONS) -> pl.DataFrame:
    """Effective and realised spread and impact of every trade, one row per trade and horizon.

    Columns: ``time_ns time instrument seq side price qty notional_quote mid_price horizon_s effective_ticks
    realised_ticks impact_ticks effective_bps realised_bps impact_bps``. ``side`` is the aggressor's, ``mid_price`` the
    one before. Complexity: O((quotes + trades * horizons) log quotes).
    """
    lengths = _lengths(horizons)
    frames = []
    for one in checked_instruments(run, instrument):
        trades, quotes = trades_of(run, one), quotes_of(run, one)
        for length in lengths:
            twice, effective, realised = _ticks(trades, quotes, length, run.end_ns)
            price = trades["price_ticks"].to_numpy() * float(one.tick.step)
            columns = {
                "seq": trades["seq"],
                "time_ns": trades["time_ns"],
                "instrument": constant(run, one, trades.height),
                "side": trades["aggressor_side"].replace_strict(
                    [int(side) for side in Side], _ORDER_SIDE.categories, return_dtype=_ORDER_SIDE
                ),
                "price": price,
                "qty": trades["qty_lots"].to_numpy() * float(one.lot.step),
                "notional_quote": notional_of(trades, one),
                "mid_price": np.where(twice > 0, twice / 2 * float(one.tick.step), np.nan),
                "horizon_s": np.full(trades.height, length / NS_PER_S),
                "effective_ticks": effective,
                "realised_ticks": realised,
            }
            frames.append(_with_bps(pl.DataFrame(columns), twice))
    return put_together(run, frames)


def spreads(
    run: Run, instrument: Names = None, horizons: Sequence[Step] = HORIZONS, *, every: Step | None = None
) -> pl.DataFrame:
    """Mean spreads per instrument, interval of `every` (None: the whole run) and horizon, weighted by notional.

    Columns: ``from_ns time_ns time instrument horizon_s quoted_bps trades measured_trades effective_bps realised_bps
    impact_bps``. The means are over ``measured_trades``, those that have all three, so that effective = realised +
    impact holds for them too (to the last digits of a float); null when there are none.
    """
    lengths = _lengths(horizons)
    ends = edges(run, every)
    count = len(ends) - 1
    quoted = quoted_spread(run, instrument, every=every)
    frames = []
    for one in checked_instruments(run, instrument):
        trades, quotes = trades_of(run, one), quotes_of(run, one)
        intervals = interval_of(trades["time_ns"].to_numpy(), ends)
        weight = notional_of(trades, one)
        mine = quoted.filter(pl.col("instrument") == one.name)["quoted_bps"]
        for length in lengths:
            twice, effective, realised = _ticks(trades, quotes, length, run.end_ns)
            costs = _with_bps(pl.DataFrame({"effective_ticks": effective, "realised_ticks": realised}), twice)
            known = costs["realised_bps"].is_not_null().to_numpy()
            total = sums(weight * known, intervals, count)
            means: dict[str, Floats] = {
                name: ratio(sums(costs[name].fill_null(0.0).to_numpy() * weight * known, intervals, count), total)
                for name in ("effective_bps", "realised_bps", "impact_bps")
            }
            frames.append(
                pl.DataFrame(
                    interval_columns(run, one, ends)
                    | {
                        "horizon_s": np.full(count, length / NS_PER_S),
                        "quoted_bps": mine,
                        "trades": sums(np.ones(trades.height), intervals, count).astype(np.int64),
                        "measured_trades": sums(known, intervals, count).astype(np.int64),
                    }
                    | means
                )
            )
    return put_together(run, frames)


def _ticks(trades: pl.DataFrame, quotes: Quotes, horizon: int, end_ns: int) -> tuple[Ints, pl.Series, pl.Series]:
    """Twice the mid before each trade (0: none), and in ticks the effective and the realised spread, null: unknown.

    2 q (p - m) ticks = q (2 p - (bid + ask)): whole numbers.
    """
    times = trades["time_ns"].to_numpy()
    before = quotes.at(quotes.twice_mid, times, before=True)
    after = np.where(times + horizon <= end_ns, quotes.at(quotes.twice_mid, times + horizon), 0)
    sign = 1 - 2 * trades["aggressor_side"].to_numpy().astype(np.int64)
    price = 2 * trades["price_ticks"].to_numpy()

    def where(known: Ints, values: Ints) -> pl.Series:
        return pl.select(pl.when(pl.Series(known > 0)).then(pl.Series(values))).to_series()

    return (
        before,
        where(before, sign * (price - before)),
        where(np.minimum(before, after), sign * (price - after)),
    )


def _with_bps(frame: pl.DataFrame, twice: Ints) -> pl.DataFrame:
    to_bps = pl.Series(ratio(np.full(len(twice), 2.0 * BPS), twice)).fill_nan(None)
    impact = pl.col("effective_ticks") - pl.col("realised_ticks")
    return frame.with_columns(impact_ticks=impact).with_columns(
        (pl.col(f"{name}_ticks") * to_bps).alias(f"{name}_bps") for name in ("effective", "realised", "impact")
    )


def _lengths(horizons: Sequence[Step]) -> list[int]:
    if isinstance(horizons, str):
        horizons = [horizons]
    if not 1 <= len(horizons) <= _MAX_HORIZONS:
        raise InputError(f"horizons: give 1 to {_MAX_HORIZONS} lengths of time, e.g. ['1s', '10s']; found none or more")
    return [step_ns(horizon, "horizon") for horizon in horizons]
