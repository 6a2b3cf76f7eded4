"""All measures of market quality of a run in one table, one figure per measure and instrument.

Each figure is that of the module which explains it, over the whole run and with that module's conventions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from lobsim.measure.drawdown import amplification, drawdown
from lobsim.measure.flows import forced_flow
from lobsim.measure.imbalance import best_imbalance, imbalance
from lobsim.measure.intervals import STEP, Names, Step
from lobsim.measure.order_flow import order_flow_fit
from lobsim.measure.resiliency import resiliency
from lobsim.measure.run import Run
from lobsim.measure.spreads import quoted_spread, spreads
from lobsim.measure.volatility import amihud, realised_volatility


class Figure(NamedTuple):
    """What a row of the table says: its meaning for people and its unit."""

    title: str
    unit: str


QUALITY: Mapping[str, Figure] = {
    "quoted_spread": Figure("quoted spread, by time", "bp of mid"),
    "two_sided_share": Figure("time with both bids and asks", "fraction"),
    "effective_spread": Figure("effective spread, by notional", "bp of mid"),
    "realised_spread": Figure("realised spread after the horizon", "bp of mid"),
    "price_impact": Figure("price impact after the horizon", "bp of mid"),
    "imbalance_best": Figure("imbalance (-1 to 1) of best quotes, by time", "fraction"),
    "imbalance_5_levels": Figure("imbalance (-1 to 1) of the best 5 levels", "fraction"),
    "imbalance_1_pct": Figure("imbalance (-1 to 1) within 1 % of mid", "fraction"),
    "order_flow_slope": Figure("move of mid per order-flow imbalance", "ticks per lot"),
    "order_flow_r_squared": Figure("share of moves that it explains (R^2)", "fraction"),
    "amihud": Figure("Amihud's illiquidity", "% per million"),
    "spread_half_life": Figure("half-life of the spread's return", "s"),
    "spread_r_squared": Figure("R^2 of that fit", "fraction"),
    "depth_half_life": Figure("half-life of depth's return (1 % of mid)", "s"),
    "depth_r_squared": Figure("R^2 of that fit", "fraction"),
    "replenished_share": Figure("large trades whose depth was back in 60 s", "fraction"),
    "reverted_share": Figure("large trades, spread back by the next one", "fraction"),
    "forced_share": Figure("turnover whose aggressor was forced", "fraction"),
    "amplification": Figure("fall over the shock", "x"),
    "selling_multiple": Figure("forced sales over exogenous ones", "x"),
    "drawdown": Figure("largest drawdown (by single trades)", "fraction"),
    "recovered_share": Figure("share of it made up by the end", "fraction"),
    "half_recovery": Figure("trough to half made up (by single trades)", "s"),
    "volatility": Figure("realised volatility of mid, this run", "1 = 100 %"),
    "volatility_annualised": Figure("the same, to 365 days", "1 = 100 %"),
}
"""Every figure of the table, in its order."""


def market_quality(run: Run, instrument: Names = None, *, every: Step = STEP, horizon: Step = STEP) -> pl.DataFrame:
    """One row per instrument and figure of `QUALITY`: ``instrument measure title unit value``.

    every: length of the intervals of Amihud's measure, of the order-flow regression and of the samples of volatility
    and imbalance. horizon: when realised spread and impact look at the mid again. Values are null where there is
    nothing to measure. Raises `InputError` for names and lengths that make no sense. Complexity: the books are gone
    through twice, trades and quotes a few times.
    """
    sampled = imbalance(run, instrument, (5,), ("1",), every=every).group_by("instrument")
    parts = [
        spreads(run, instrument, [horizon]).select(
            "instrument",
            effective_spread="effective_bps",
            realised_spread="realised_bps",
            price_impact="impact_bps",
        ),
        quoted_spread(run, instrument).select("instrument", "two_sided_share", quoted_spread="quoted_bps"),
        best_imbalance(run, instrument).select("instrument", imbalance_best="imbalance"),
        sampled.agg(
            imbalance_5_levels=pl.col("imbalance").filter(pl.col("levels") == 5).mean(),
            imbalance_1_pct=pl.col("imbalance").filter(pl.col("band_pct") == 1).mean(),
        ),
        order_flow_fit(run, instrument, every=every).select(
            "instrument", order_flow_slope="slope_ticks_per_lot", order_flow_r_squared="r_squared"
        ),
        amihud(run, instrument, every=every).select("instrument", amihud="percent_per_million"),
        resiliency(run, instrument).select(
            "instrument",
            "replenished_share",
            "reverted_share",
            "spread_r_squared",
            "depth_r_squared",
            spread_half_life="spread_half_life_s",
            depth_half_life="depth_half_life_s",
        ),
        forced_flow(run, instrument).select("instrument", "forced_share"),
        drawdown(run, instrument).select("instrument", "drawdown", "recovered_share", half_recovery="half_recovery_s"),
        realised_volatility(run, instrument, every=every).select("instrument", "volatility", "volatility_annualised"),
    ]
    table = amplification(run, instrument).select("instrument", "amplification", "selling_multiple")
    for part in parts:
        table = table.join(part, on="instrument", how="left", maintain_order="left")
    meanings = pl.DataFrame(
        [(name, figure.title, figure.unit) for name, figure in QUALITY.items()],
        schema=["measure", "title", "unit"],
        orient="row",
    )
    values = table.unpivot(list(QUALITY), index="instrument", variable_name="measure", value_name="value")
    return (
        table.select("instrument")
        .join(meanings, how="cross", maintain_order="left_right")
        .join(values, on=["instrument", "measure"], how="left", maintain_order="left")
    )
