"""Market sells since the shock by what made them, in the run's numeraire."""

from __future__ import annotations

import polars as pl

from lobsim.events import Purpose, Side
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
