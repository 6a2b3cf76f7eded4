"""What made people trade at market: sells since the shock by purpose, and the share of trading that was forced."""

from __future__ import annotations

import numpy as np
import polars as pl

from lobsim.events import Purpose, Side
from lobsim.measure.intervals import (
    Names,
    Step,
    edges,
    interval_columns,
    interval_of,
    notional_of,
    put_together,
    ratio,
    sums,
    trades_of,
)
from lobsim.measure.run import Run
from lobsim.measure.sampling import checked_instruments
from lobsim.measure.study import Study

RISK_OFF = (Purpose.SHOCK, Purpose.MOMENTUM)
FORCED = (
    Purpose.LOAN_LIQUIDATION,
    Purpose.ACCOUNT_LIQUIDATION,
    Purpose.CONTRACT_LIQUIDATION,
    Purpose.LOOP_UNWIND,
    Purpose.STOP_OUT,
)
"""Sales that nobody chose to make at that moment."""

SILENT = (Purpose.UNSPECIFIED, Purpose.TAPE)
"""Purposes that do not tell why."""


def forced_flow(run: Run, instrument: Names = None, *, every: Step | None = None) -> pl.DataFrame:
    """Share of what was traded whose aggressor was forced, per interval of `every` (None: over the whole run).

    ``forced_share = notional of trades whose aggressor's purpose is one of FORCED / notional of all trades``, forced
    buying (of shorts) included. Columns: ``from_ns time_ns time instrument traded_quote forced_quote forced_share``.
    Null where nothing was traded, and where no trade tells why (a tape's trades do not). Complexity: O(trades).
    """
    ends = edges(run, every)
    frames = []
    for one in checked_instruments(run, instrument):
        trades = trades_of(run, one)
        intervals, value = interval_of(trades["time_ns"].to_numpy(), ends), notional_of(trades, one)
        is_forced, is_silent = (
            trades["purpose"].is_in([int(purpose) for purpose in purposes]).to_numpy() for purposes in (FORCED, SILENT)
        )
        traded, forced, told = (
            sums(part, intervals, len(ends) - 1) for part in (value, value * is_forced, value * ~is_silent)
        )
        share = np.where(told > 0, ratio(forced, traded), np.nan)
        columns = {"traded_quote": traded, "forced_quote": forced, "forced_share": share}
        frames.append(pl.DataFrame(interval_columns(run, one, ends) | columns))
    return put_together(run, frames)


def sales(study: Study) -> pl.DataFrame:
    """``time_ns purpose value`` of every trade from the shock on whose aggressor sold, in order."""
    units = study.numeraire_per_unit
    ids = pl.Series([one.instrument_id for one in study.run.instruments.values()], dtype=pl.UInt32)
    per_unit = pl.col("instrument_id").replace_strict(
        ids, pl.Series([units[name] for name in study.run.instruments]), return_dtype=pl.Float64
    )
    return study.trades.filter(
        (pl.col("aggressor_side") == int(Side.SELL)) & (pl.col("time_ns") >= study.from_ns)
    ).select("time_ns", "purpose", value=pl.col("price_ticks").cast(pl.Float64) * pl.col("qty_lots") * per_unit)


def sold_by_purpose(study: Study) -> dict[Purpose, float]:
    """Value of what was sold at market from the shock on, by purpose."""
    sums = sales(study).group_by("purpose").agg(pl.col("value").sum()).sort("purpose")
    return {Purpose(purpose): value for purpose, value in sums.iter_rows()}


def forced_share(study: Study) -> float | None:
    """Share of `FORCED` sales in everything that was sold at market from the shock on."""
    sold = sold_by_purpose(study)
    everything = sum(sold.values())
    return sum(sold.get(purpose, 0.0) for purpose in FORCED) / everything if everything > 0 else None
