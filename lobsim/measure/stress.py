"""How thin a market became: depth lost near the best bid, and how far the price went per million traded.

Depth is read off the keyframes: displayed bids within 1 % of the best bid, one look per keyframe, averaged by minute.
The price move per million traded is |log return| of a minute over its turnover (Amihud's measure, per minute); *calm*
is the median minute from twenty minutes before the shock until the price crosses -10 % (or until its low), *vacuum*
the three minutes on either side of the low. Minutes without a trade say nothing and are left out.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from lobsim.events import Side
from lobsim.measure.study import Floats, Path, Study
from lobsim.measure.summary import BEFORE_NS
from lobsim.measure.volatility import return_per_turnover
from lobsim.units import NS_PER_MINUTE, NS_PER_S

BAND_PCT = 1
CALM_MINUTES = 20
VACUUM_MINUTES = 3
_MINUTE_S = NS_PER_MINUTE // NS_PER_S


def bid_depth(study: Study) -> pl.DataFrame:
    """Displayed bids within 1 % of the best bid at every keyframe: ``time_ns instrument_id depth_quote``.

    A book without bids is 0. Complexity: O(rows of the depth table).
    """
    run = study.run
    bids = run.scan("depth").filter(pl.col("side") == int(Side.BUY))
    best = pl.col("price_ticks").max().over("keyframe")
    worth = pl.col("price_ticks").cast(pl.Float64) * pl.col("qty_lots")
    near = bids.filter(pl.col("price_ticks") * 100 >= best * (100 - BAND_PCT))
    sums = near.group_by("time_ns", "instrument_id").agg(depth=worth.sum())
    times = run.scan("depth").select(pl.col("time_ns").unique())
    units = pl.LazyFrame(
        {
            "instrument_id": [one.instrument_id for one in run.instruments.values()],
            "unit": [float(one.unit_notional) for one in run.instruments.values()],
        },
        schema={"instrument_id": pl.UInt32, "unit": pl.Float64},
    )
    every = times.join(units, how="cross").join(sums, on=["time_ns", "instrument_id"], how="left")
    depth = (pl.col("depth").fill_null(0.0) * pl.col("unit")).alias("depth_quote")
    return run.collect(every.select("time_ns", "instrument_id", depth)).sort("instrument_id", "time_ns")


def depth_lost(study: Study) -> dict[str, float | None]:
    """Per instrument: 1 - depth in the worst minute from the shock on over its median in the ten minutes before."""
    frame = bid_depth(study)
    before = frame.filter(pl.col("time_ns").is_between(study.from_ns - BEFORE_NS, study.from_ns, closed="left"))
    usual = dict(before.group_by("instrument_id").agg(pl.col("depth_quote").median()).rows())
    minutes = (
        frame.filter(pl.col("time_ns") >= study.from_ns)
        .group_by("instrument_id", minute=pl.col("time_ns") // NS_PER_MINUTE)
        .agg(pl.col("depth_quote").mean())
    )
    worst = dict(minutes.group_by("instrument_id").agg(pl.col("depth_quote").min()).rows())
    result: dict[str, float | None] = {}
    for name, one in study.run.instruments.items():
        depth, low = usual.get(one.instrument_id), worst.get(one.instrument_id)
        result[name] = 1 - low / depth if depth and low is not None else None
    return result


def moves_per_million(path: Path, unit: float) -> Floats:
    """|log return| in percent per million of turnover for every minute of the run; NaN where nothing was traded.

    unit: numeraire of one lot at one tick.
    """
    minutes = len(path.value) // _MINUTE_S
    turnover = path.value[: minutes * _MINUTE_S].reshape(minutes, _MINUTE_S).sum(axis=1) * unit / 1e6
    last = path.last[_MINUTE_S - 1 : minutes * _MINUTE_S : _MINUTE_S]
    return return_per_turnover(np.append(np.nan, last), turnover) * 100


def impact_ratios(study: Study, path: Path) -> tuple[float | None, float | None]:
    """Move per million in the vacuum (median minute, worst minute) over that of a calm minute."""
    low_ns, start = path.low_ns, path.from_ns // NS_PER_MINUTE
    if low_ns is None:
        return None, None
    moves = moves_per_million(path, study.numeraire_per_unit[path.instrument.name])
    crossing = path.crossing_ns(0.10)
    until = (low_ns if crossing is None else crossing) // NS_PER_MINUTE
    low = low_ns // NS_PER_MINUTE
    calm = _known(moves[max(0, start - CALM_MINUTES) : until])
    vacuum = _known(moves[max(until, low - VACUUM_MINUTES) : low + VACUUM_MINUTES])
    usual = float(np.median(calm)) if len(calm) else 0.0
    if usual <= 0 or not len(vacuum):
        return None, None
    return float(np.median(vacuum)) / usual, float(vacuum.max()) / usual


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]
