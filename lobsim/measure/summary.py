"""What a run did to each instrument: the fall, when, how deep the book was, and whose orders moved the price.

Definitions. The *reference* is the last trade before the shock, or the first trade where there is no shock or no
trade before it. The *low* is the first trade at the lowest price from the shock on. ``fall = 1 - low / reference``;
negative when no later trade was lower. Every trade between the two moves the last price by so many ticks; summed by
the aggressor's purpose these moves are the fall, exactly, tick for tick. Bounces make such sums large on both sides,
so the new lows alone are given by purpose too; those sum to the fall as well. The lowest 1 s VWAP looks at whole
seconds of the run and says what a price was at which more than a single lot changed hands.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from lobsim.events import Purpose
from lobsim.measure.liquidity import depth
from lobsim.measure.manifest import Instrument
from lobsim.measure.run import Run
from lobsim.units import NS_PER_MINUTE, NS_PER_S

BEFORE_NS = 10 * NS_PER_MINUTE
"""Length of the window before the shock whose median counts as "before"."""

RECOVERY_NS = 40 * NS_PER_MINUTE
"""How long after the low the recovered depth is looked at."""

_LIQUIDITY = ("bid_depth_before", "bid_depth_low", "bid_depth_after", "spread_before", "spread_low")
_HALF_MINUTE = NS_PER_MINUTE // 2


@dataclass(frozen=True, slots=True)
class InstrumentSummary:
    """One instrument's figures; None where there was nothing to measure.

    open, reference, low, close: prices as exact decimal text. fall, vwap_fall: fractions. fall_ticks and
    fall_by_purpose: ticks, the latter's sum is the former. ns_to_low: from the shock (or the reference trade) to the
    low. volume: base currency; turnover_quote: quote currency. bid_depth_*: quote currency within 1 % of the best
    bid, medians of 1 s samples: the ten minutes before the shock (after the first trade where there is no shock), the
    minute around the low, the minute around 40 minutes after it. spread_*: (ask - bid) / mid, medians of the same
    samples. no_bid_share: share of the time from the shock (or the first quote) to the end with no bid at all.
    """

    instrument: str
    trades: int
    open: str | None
    reference: str | None
    low: str | None
    close: str | None
    low_time_ns: int | None
    ns_to_low: int | None
    fall: float | None
    fall_ticks: int | None
    low_vwap: float | None
    low_vwap_time_ns: int | None
    vwap_fall: float | None
    volume_lots: int
    volume: float
    turnover_quote: float
    volume_by_purpose: dict[str, float]
    fall_by_purpose: dict[str, int]
    new_lows_by_purpose: dict[str, int]
    bid_depth_before: float | None
    bid_depth_low: float | None
    bid_depth_after: float | None
    spread_before: float | None
    spread_low: float | None
    no_bid_share: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def summary(run: Run, shock_ns: int | None = None, *, liquidity: bool = True) -> dict[str, InstrumentSummary]:
    """Figures of every instrument, by name. shock_ns: when the (first) shock came, nanoseconds since the run's start.

    Complexity: O(trades) and, with `liquidity`, O(events since the keyframe before the shock) per instrument; without
    it depths, spreads and the share of time without a bid are None.
    """
    columns = ("time_ns", "instrument_id", "price_ticks", "qty_lots", "purpose")
    trades = run.collect(run.scan("trades").select(columns))
    parts = trades.partition_by("instrument_id", as_dict=True, maintain_order=True)
    return {
        name: _summary_of(run, one, parts.get((one.instrument_id,), trades.clear()), shock_ns, liquidity=liquidity)
        for name, one in run.instruments.items()
    }


def fall_by_purpose(trades: pl.DataFrame) -> dict[str, int]:
    """Ticks by which each purpose's aggressors lowered the last price, from the first trade given to the last.

    trades: ``price_ticks`` and ``purpose`` in order. The values sum to first price - last price; a purpose that
    raised the price counts negative.
    """
    return _ticks_by_purpose(trades, pl.col("price_ticks"))


def new_lows_by_purpose(trades: pl.DataFrame) -> dict[str, int]:
    """Ticks by which each purpose's aggressors pushed the price below every trade before.

    The values sum to first price - lowest price and none is negative: bounces that are sold off again, which
    `fall_by_purpose` books as large gains and losses of the two, leave no trace here.
    """
    return _ticks_by_purpose(trades, pl.col("price_ticks").cum_min())


def _ticks_by_purpose(trades: pl.DataFrame, level: pl.Expr) -> dict[str, int]:
    moves = trades.select("purpose", ticks=level.shift(1) - level).slice(1)
    sums = moves.group_by("purpose").agg(pl.col("ticks").sum()).sort("purpose")
    return {Purpose(purpose).name: ticks for purpose, ticks in sums.iter_rows()}


def _summary_of(
    run: Run, one: Instrument, trades: pl.DataFrame, shock_ns: int | None, *, liquidity: bool
) -> InstrumentSummary:
    times, ticks = trades["time_ns"], trades["price_ticks"]
    earlier = 0 if shock_ns is None else int((times < shock_ns).sum())
    reference = max(earlier - 1, 0) if trades.height else None
    low = earlier + int(ticks.slice(earlier).arg_min() or 0) if earlier < trades.height else None
    from_ns = shock_ns if shock_ns is not None else (int(times[0]) if trades.height else 0)
    low_ns = None if low is None else int(times[low])

    def price(index: int | None) -> str | None:
        return None if index is None else one.tick.text(int(ticks[index]))

    fallen = fall = vwap = vwap_ns = vwap_fall = None
    path = trades.clear()
    if low is not None and reference is not None:
        path = trades.slice(reference, low - reference + 1)
        fallen = int(ticks[reference]) - int(ticks[low])
        fall = fallen / int(ticks[reference])
        vwap_ticks, vwap_ns = _lowest_vwap(trades.slice(earlier))
        vwap, vwap_fall = vwap_ticks * float(one.tick.step), 1 - vwap_ticks / int(ticks[reference])
    by_purpose = trades.group_by("purpose").agg(pl.col("qty_lots").sum()).sort("purpose")
    lot = float(one.lot.step)
    return InstrumentSummary(
        instrument=one.name,
        trades=trades.height,
        open=price(0 if trades.height else None),
        reference=price(reference),
        low=price(low),
        close=price(trades.height - 1 if trades.height else None),
        low_time_ns=low_ns,
        ns_to_low=None if low_ns is None else low_ns - from_ns,
        fall=fall,
        fall_ticks=fallen,
        low_vwap=vwap,
        low_vwap_time_ns=vwap_ns,
        vwap_fall=vwap_fall,
        volume_lots=int(trades["qty_lots"].sum()),
        volume=int(trades["qty_lots"].sum()) * lot,
        turnover_quote=float(trades.select(_VALUE.sum()).item()) * float(one.unit_notional),
        volume_by_purpose={Purpose(purpose).name: lots * lot for purpose, lots in by_purpose.iter_rows()},
        fall_by_purpose=fall_by_purpose(path),
        new_lows_by_purpose=new_lows_by_purpose(path),
        no_bid_share=_no_bid_share(run, one, shock_ns) if liquidity else None,
        **(_liquidity_around(run, one, from_ns, shock_ns, low_ns) if liquidity else dict.fromkeys(_LIQUIDITY)),
    )


_VALUE = pl.col("price_ticks").cast(pl.Float64) * pl.col("qty_lots")


def _lowest_vwap(trades: pl.DataFrame) -> tuple[float, int]:
    """Lowest volume-weighted price of a whole second (ticks) and when that second began."""
    seconds = trades.group_by(second=pl.col("time_ns") // NS_PER_S).agg(vwap=_VALUE.sum() / pl.col("qty_lots").sum())
    lowest = seconds.sort("vwap", "second").row(0, named=True)
    return float(lowest["vwap"]), int(lowest["second"]) * NS_PER_S


def _liquidity_around(
    run: Run, one: Instrument, from_ns: int, shock_ns: int | None, low_ns: int | None
) -> dict[str, float | None]:
    """Medians of 1 s samples of depth and spread before the shock, around the low, and long after it."""
    begin = max(0, from_ns - BEFORE_NS) if shock_ns is not None else from_ns
    windows = {"before": (begin, from_ns - 1 if shock_ns is not None else from_ns + BEFORE_NS)}
    if low_ns is not None:
        windows["low"] = (low_ns - _HALF_MINUTE, low_ns + _HALF_MINUTE)
        if low_ns + RECOVERY_NS <= run.end_ns:
            windows["after"] = (low_ns + RECOVERY_NS - _HALF_MINUTE, low_ns + RECOVERY_NS + _HALF_MINUTE)
    samples = {
        name: np.arange(max(0, first), min(last, run.end_ns) + 1, NS_PER_S).tolist()
        for name, (first, last) in windows.items()
    }
    result: dict[str, Any] = dict.fromkeys(_LIQUIDITY)
    times = [moment for moments in samples.values() for moment in moments]
    if not times or run.rows("orders") == 0:
        return result
    frame = depth(run, one.name, ["1"], at=times, ref="best")
    bids, asks = (
        frame.filter(pl.col("side") == side).select("time_ns", "depth_quote", "ref_price") for side in ("bid", "ask")
    )
    both = bids.join(asks, on="time_ns", suffix="_ask")
    spread = 2 * (pl.col("ref_price_ask") - pl.col("ref_price")) / (pl.col("ref_price_ask") + pl.col("ref_price"))
    for name, moments in samples.items():
        window = both.filter(pl.col("time_ns").is_in(moments)).select("depth_quote", spread=spread)
        for key, column in ((f"bid_depth_{name}", "depth_quote"), (f"spread_{name}", "spread")):
            if key in result:
                result[key] = window[column].median()
    return result


def _no_bid_share(run: Run, one: Instrument, shock_ns: int | None) -> float | None:
    mine = pl.col("instrument_id") == one.instrument_id
    quotes = run.collect(run.scan("quotes").filter(mine).select("time_ns", "bid_ticks"))
    if quotes.height == 0:
        return None
    from_ns = max(int(quotes["time_ns"][0]), shock_ns or 0)
    if from_ns >= run.end_ns:
        return None
    since = pl.col("time_ns").clip(from_ns, run.end_ns)
    until = pl.col("time_ns").shift(-1).fill_null(run.end_ns).clip(from_ns, run.end_ns)
    without = quotes.select(pl.when(pl.col("bid_ticks").is_null()).then(until - since).otherwise(0).sum()).item()
    return int(without) / (run.end_ns - from_ns)
