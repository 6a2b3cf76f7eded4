"""Drawdown and recovery by trades, and how much larger a fall is than what came from outside.

*Drawdown* is the largest fall from the highest price before: ``max over t of 1 - p_t / max(p_s, s <= t)``. Its trough
is the first trade at which it is reached, its peak the first trade at that highest price. Recovery is read off the
trades after the trough: the share of peak - trough that the last trade has made up (more than 1 above the peak), and
the time until a trade stands at or above half the way back, or at or above the peak. One odd print counts like any
other; `outcomes` has the same by trailing VWAP. Null: all of it without a trade; peak, trough and recovery where no
trade was lower than one before (a drawdown of 0).

*Amplification* is ``fall / shock``: `Path.fall`, by the lowest trade since the shock against the last one before it,
over the largest fall of a reference value or factor that the run's own notes tell (``shock NAME``, in millionths). It
says how many times as far as its cause the price went. Bias: a factor's fall is not multiplied by an instrument's own
exposure to it, which no record tells. Beside it stands the *selling multiple*: forced sales (`flows.FORCED`) over
exogenous ones (purpose SHOCK), both at market from the shock on, in quote currency: how much selling one unit of
selling set off. Null without a shock, without a fall in it, and (the multiple) where nobody sold for the shock. Both
are this project's own; Brunnermeier and Pedersen, "Market liquidity and funding liquidity" (Review of Financial Studies
22, 2009) describe the spiral that makes them larger than 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from lobsim.events import Purpose, Side
from lobsim.measure.flows import FORCED
from lobsim.measure.intervals import Ints, Names, constant, notional_of, put_together, trades_of
from lobsim.measure.run import Run
from lobsim.measure.sampling import checked_instruments
from lobsim.measure.study import Study
from lobsim.units import NS_PER_S

_PPM = 1_000_000


def drawdown(run: Run, instrument: Names = None) -> pl.DataFrame:
    """The largest drawdown of each instrument and what came after it.

    Columns: ``instrument drawdown peak_price peak_time_ns trough_price trough_time_ns fall_s recovered_share
    half_recovery_s full_recovery_s`` (fractions and seconds; ``fall_s`` from peak to trough, the recoveries from the
    trough on, null when they did not come). Complexity: O(trades).
    """
    names = "drawdown peak_price peak_time_ns trough_price trough_time_ns fall_s recovered_share"
    names += " half_recovery_s full_recovery_s"
    dtypes = {name: pl.Int64() if name.endswith("_ns") else pl.Float64() for name in names.split()}
    frames = []
    for one in checked_instruments(run, instrument):
        trades = trades_of(run, one)
        found = _largest(trades["time_ns"].to_numpy(), trades["price_ticks"].to_numpy(), float(one.tick.step))
        columns = {"instrument": constant(run, one, 1)} | {name: [found.get(name)] for name in dtypes}
        frames.append(pl.DataFrame(columns, schema_overrides=dtypes))
    return put_together(run, frames)


def amplification(run: Run | Study, instrument: Names = None) -> pl.DataFrame:
    """How much larger than the shock each instrument's fall was, and how much selling the shock's sales set off.

    Columns: ``instrument shock_fall fall amplification exogenous_quote forced_quote selling_multiple``; falls as
    fractions, sales in quote currency. Complexity: that of `Study.paths`.
    """
    study = Study.of(run)
    shock = _shock(study)
    frames = []
    for one in checked_instruments(study.run, instrument):
        fall = study.paths[one.name].fall if study.shock_ns is not None else None
        sold = study.trades_of[one.name].filter(
            (pl.col("aggressor_side") == int(Side.SELL)) & (pl.col("time_ns") >= study.from_ns)
        )
        exogenous, forced = (
            float(notional_of(sold.filter(pl.col("purpose").is_in([int(kind) for kind in kinds])), one).sum())
            for kinds in ((Purpose.SHOCK,), FORCED)
        )
        shocked = study.shock_ns is not None
        columns: dict[str, Any] = {
            "shock_fall": shock,
            "fall": fall,
            "amplification": None if fall is None or shock is None else fall / shock,
            "exogenous_quote": exogenous if shocked else None,
            "forced_quote": forced if shocked else None,
            "selling_multiple": forced / exogenous if shocked and exogenous > 0 else None,
        }
        frames.append(
            pl.DataFrame(
                {"instrument": constant(study.run, one, 1)} | {name: [value] for name, value in columns.items()},
                schema_overrides=dict.fromkeys(columns, pl.Float64),
            )
        )
    return put_together(study.run, frames)


def _largest(times: Ints, ticks: Ints, tick: float) -> dict[str, Any]:
    if len(ticks) == 0:
        return {}
    falls = 1 - ticks / np.maximum.accumulate(ticks)
    trough = int(falls.argmax())
    if falls[trough] <= 0:
        return {"drawdown": 0.0}
    peak = int(ticks[:trough].argmax())
    high, low = int(ticks[peak]), int(ticks[trough])
    later, since = ticks[trough:], times[trough:] - times[trough]

    def until(hits: Any) -> float | None:
        return float(since[int(hits.argmax())]) / NS_PER_S if hits.any() else None

    return {
        "drawdown": float(falls[trough]),
        "peak_price": high * tick,
        "peak_time_ns": int(times[peak]),
        "trough_price": low * tick,
        "trough_time_ns": int(times[trough]),
        "fall_s": (int(times[trough]) - int(times[peak])) / NS_PER_S,
        "recovered_share": (int(ticks[-1]) - low) / (high - low),
        "half_recovery_s": until(2 * later >= high + low),
        "full_recovery_s": until(later >= high),
    }


def _shock(study: Study) -> float | None:
    """Largest fall that the run's notes tell of, as a fraction."""
    if study.shock_ns is None:
        return None
    notes = study.run.scan("milestones").filter(pl.col("name").str.starts_with("shock ") & (pl.col("unit") == "ppm"))
    changes = [int(amount) for amount in study.run.collect(notes)["amount"].drop_nulls()]
    return -min(changes) / _PPM if changes and min(changes) < 0 else None
