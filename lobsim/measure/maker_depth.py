"""How much of their usual bids the market makers still show, second by second.

A maker's bids count with price x open quantity wherever in the book they rest. Per market the sum over all accounts of
kind "market-maker" is compared with its median in the ten minutes before the shock; what is reported is the median
market. Nothing but the makers' own orders is looked at, so stray and patient bids cannot hide a withdrawal.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from lobsim.events import EventKind, Side
from lobsim.measure.changes import LEAVES, MEETS, OPENS
from lobsim.measure.study import Floats, Study
from lobsim.measure.summary import BEFORE_NS
from lobsim.units import NS_PER_S

_ORDER = ["instrument_id", "order_id"]
_VALUE = pl.col("price_ticks") * pl.col("qty_lots")


def maker_depth_left(study: Study) -> pl.DataFrame | None:
    """``time_ns left`` for every whole second from the shock on; None without a shock, makers or bids of theirs.

    left: share of the usual bids, median over the markets of the focus group that makers quoted before the shock.
    Complexity: O(events), and O(n log n) in those of orders that were ever replaced.
    """
    shares = usual_bids_left(study)
    if study.shock_ns is None or shares is None:
        return None
    shock_s = -(-study.shock_ns // NS_PER_S)
    left = np.median(shares[:, shock_s:], axis=0)
    if not len(left):
        return None
    return pl.DataFrame({"time_ns": (np.arange(len(left)) + shock_s) * NS_PER_S, "left": left})


def usual_bids_left(study: Study) -> Floats | None:
    """(markets, seconds) share of the makers' usual bids in the focus group's markets, after each whole second.

    A market's usual bids are their median in the ten minutes before the shock; markets without any are left out. None
    without a shock, makers or bids of theirs.
    """
    return study.once("usual_bids_left", lambda: _usual_bids_left(study))


def _usual_bids_left(study: Study) -> Floats | None:
    makers = study.accounts_of_kind("market-maker")
    ids = [study.run.instruments[name].instrument_id for name in study.focus]
    if study.shock_ns is None or not makers or not ids:
        return None
    shock_s = -(-study.shock_ns // NS_PER_S)
    before = slice(max(0, (study.shock_ns - BEFORE_NS) // NS_PER_S), shock_s)
    shares = []
    for series in maker_bids(study, makers, ids):
        usual = float(np.median(series[before])) if len(series[before]) else 0.0
        if usual > 0:
            shares.append(series / usual)
    return np.stack(shares) if shares else None


def maker_bids(study: Study, makers: list[int], instrument_ids: list[int]) -> list[Floats]:
    """Value (ticks * lots) of the makers' resting bids per instrument, after all events up to each whole second."""
    run = study.run
    own = pl.col("account_id").is_in(makers)
    taker = pl.col("counter_account_id").is_in(makers)
    buy, sell = pl.col("side") == int(Side.BUY), pl.col("side") == int(Side.SELL)
    orders = run.scan("orders").filter(pl.col("instrument_id").is_in(instrument_ids))
    opened = orders.filter(own & buy & OPENS & pl.col("price_ticks").is_not_null())
    left = orders.filter(own & buy & LEAVES & pl.col("price_ticks").is_not_null())
    hit = orders.filter(own & sell & MEETS)
    took = orders.filter(taker & buy & MEETS)
    replaced = run.collect(
        orders.filter(own & buy & (pl.col("event") == int(EventKind.REPLACED))).select(_ORDER).unique()
    )
    taken = run.collect(took.select("seq", "time_ns", "instrument_id", "qty_lots", order_id=pl.col("counter_order_id")))
    came_in = orders.filter(own & buy & OPENS)
    limits = came_in.join(taken.lazy().select(_ORDER).unique(), on=_ORDER, how="semi")
    own_limit = run.collect(limits.select("seq", *_ORDER, "price_ticks")).sort("seq")
    taken = taken.sort("seq").join_asof(own_limit, on="seq", by=_ORDER, check_sortedness=False)
    parts = [(opened, 1), (left, -1), (hit, -1), (taken.drop_nulls("price_ticks").lazy(), -1)]
    second = (pl.col("time_ns") + (NS_PER_S - 1)) // NS_PER_S
    changes = [
        rows.join(replaced.lazy(), on=_ORDER, how="anti")
        .group_by("instrument_id", second=second)
        .agg(change=(_VALUE * sign).sum())
        for rows, sign in parts
    ]
    if replaced.height:
        steps = [
            rows.join(replaced.lazy(), on=_ORDER, how="semi").select(
                "seq", "time_ns", *_ORDER, "price_ticks", lots=pl.col("qty_lots") * sign, opens=pl.lit(sign > 0)
            )
            for rows, sign in parts
        ]
        followed = _followed(run.collect(pl.concat(steps)))
        changes.append(followed.lazy().group_by("instrument_id", second=second).agg(pl.col("change").sum()))
    sums = run.collect(pl.concat(changes).group_by("instrument_id", "second").agg(pl.col("change").sum()))
    samples = run.end_ns // NS_PER_S + 1
    result = []
    for instrument_id in instrument_ids:
        mine = sums.filter((pl.col("instrument_id") == instrument_id) & (pl.col("second") < samples))
        series = np.zeros(samples)
        series[mine["second"].to_numpy()] = mine["change"].to_numpy()
        result.append(series.cumsum())
    return result


def _followed(steps: pl.DataFrame) -> pl.DataFrame:
    """Changes of the value of orders that were replaced: each opening (again) ends what stood before."""
    steps = steps.sort(*_ORDER, "seq").with_columns(stay=pl.col("opens").cast(pl.Int64).cum_sum().over(_ORDER))
    stay = [*_ORDER, "stay"]
    value = pl.col("lots").cum_sum().over(stay) * pl.col("price_ticks").first().over(stay)
    return steps.with_columns(value=value).with_columns(
        change=pl.col("value") - pl.col("value").shift(1, fill_value=0).over(_ORDER)
    )
