"""Runs on one time axis: what a page that compares runs draws, as plain arrays.

Every series is sampled on whole seconds and its times count from the run's shock, or from its start where it has none,
so that runs of different lengths and hours of the day lie on each other. NaN where there is nothing to show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from lobsim.measure import depth, ladders
from lobsim.measure.measures import Figures
from lobsim.measure.study import STABLECOIN, Floats, carried
from lobsim.measure.summary import BEFORE_NS
from lobsim.units import NS_PER_S

DEPTH_BAND = "1"
"""Percent of the mid price within which depth is looked at."""

DEPTH_SAMPLES = 1500
"""Depth is sampled at most so often per run: every 10 s of 3.5 hours."""

_DEPTH_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


class Line(NamedTuple):
    """One run's series: seconds after the shock, and a value each."""

    seconds: Floats
    values: Floats

    @property
    def empty(self) -> bool:
        """Nothing to draw."""
        return not np.isfinite(self.values).any()


NO_LINE = Line(np.zeros(0), np.zeros(0))


def focus_price(study: Figures) -> Line:
    """Median over the focus group of last price / price before the shock, in percent."""
    paths = study.paths_of(study.focus)
    if not paths:
        return NO_LINE
    shares = np.stack([path.last / path.reference * 100 for path in paths if path.reference])
    return Line(_seconds(study), median_of(shares))


def focus_average(study: Figures) -> Line:
    """The same of the trailing VWAP of 60 s, which milestones are read off: without the bounces of single trades."""
    paths = study.paths_of(study.focus)
    if not paths:
        return NO_LINE
    return Line(
        _seconds(study), median_of(np.stack([path.vwap / path.reference * 100 for path in paths if path.reference]))
    )


def stablecoin_price(study: Figures) -> Line:
    """Last price of the stablecoin on the exchange that is looked at, in what it is quoted in."""
    names = study.group(STABLECOIN)
    if not names:
        return NO_LINE
    path = study.paths[names[0]]
    return Line(_seconds(study), path.last * float(path.instrument.tick.step))


def liquidated(study: Figures, kinds: tuple[str, ...] = ladders.ALL_KINDS) -> Line:
    """Value liquidated so far, in the numeraire; no line for a run without such liquidations."""
    rows = study.events(kinds).select("time_ns", worth=ladders.worth(study))
    if not rows.height:
        return NO_LINE
    second = np.clip(rows["time_ns"].to_numpy() // NS_PER_S, 0, study.seconds - 1)
    flow = np.bincount(second, weights=rows["worth"].cast(pl.Float64).to_numpy(), minlength=study.seconds)
    return Line(_seconds(study), flow.cumsum())


def maker_margin(study: Figures) -> Line:
    """Margin level (collateral over maintenance) of the median market maker that owes anything.

    A maker counts until its account is taken over. Complexity: O(records + makers * seconds).
    """
    makers = study.accounts_of_kind("market-maker")
    if not makers:
        return NO_LINE
    second = ((pl.col("time_ns") + (NS_PER_S - 1)) // NS_PER_S - 1).clip(0, study.seconds - 1)
    rows = study.run.collect(
        study.run.scan("accounts")
        .filter(pl.col("account_id").is_in(makers))
        .group_by("account_id", second=second)
        .agg(pl.col("margin_level_ppm").sort_by("time_ns", maintain_order=True).last())
        .sort("account_id", "second")
    )
    begun = study.events(("account_liquidation_started",)).group_by("account_id").agg(pl.col("time_ns").min())
    ends = dict(begun.select("account_id", pl.col("time_ns") // NS_PER_S).iter_rows())
    levels = []
    for (account_id,), part in rows.partition_by("account_id", as_dict=True, maintain_order=True).items():
        series = np.full(study.seconds, np.nan)
        known = part["margin_level_ppm"].cast(pl.Float64).fill_null(np.inf)  # owes nothing: no level, until it does
        series[part["second"].to_numpy()] = known.to_numpy() / 1e6
        series = carried(series)
        series[ends.get(account_id, study.seconds) + 1 :] = np.nan
        levels.append(series)
    return Line(_seconds(study), median_of(np.stack(levels))) if levels else NO_LINE


def bid_depth(study: Figures) -> tuple[Line, Line]:
    """Bids within 1 % of the mid price: of the median market in percent of the usual, and of all together in money.

    Markets: those of the focus group that traded. Usual: the median over the ten minutes before the shock, over the
    whole run where there is no shock; markets that usually show nothing are left out. A moment without a mid price has
    no depth to measure; it counts as nothing left when there is no bid at all.
    """
    names = [path.instrument.name for path in study.paths_of(study.focus)]
    if not names:
        return NO_LINE, NO_LINE
    step = depth_step(study.seconds)
    sampled = depth(study.run, names, [DEPTH_BAND], every=step * NS_PER_S)
    frame = sampled.filter((pl.col("side") == "bid") & (pl.col("time_ns") > 0))  # at 0 nobody has come yet
    if not frame.height:
        return NO_LINE, NO_LINE
    times = frame.filter(pl.col("instrument") == names[0])["time_ns"].to_numpy()
    worth = np.stack(
        [
            frame.filter(pl.col("instrument") == name)["depth_quote"].to_numpy()
            * study.value_of(study.run.instruments[name].quote)
            for name in names
        ]
    )
    before = (times <= study.from_ns) & (times >= study.from_ns - BEFORE_NS)
    usual = median_of(worth[:, before if study.shock_ns is not None and before.any() else slice(None)].T)
    shares = [series / level * 100 for series, level in zip(worth, usual, strict=True) if level > 0]
    seconds = (times - study.from_ns) / NS_PER_S
    known = np.isfinite(worth)
    together = np.where(known.any(axis=0), np.where(known, worth, 0.0).sum(axis=0), np.nan)
    return (Line(seconds, median_of(np.stack(shares))) if shares else NO_LINE), Line(seconds, together)


def depth_step(seconds: int) -> int:
    """Seconds between two samples of depth."""
    return next((step for step in _DEPTH_STEPS if seconds // step <= DEPTH_SAMPLES), -(-seconds // DEPTH_SAMPLES))


def thinned(lines: Sequence[Line], most: int) -> tuple[list[Line], int]:
    """The lines with every nth value, so that together they have about `most`; and n."""
    total = sum(len(line.seconds) for line in lines)
    step = max(1, -(-total // most))
    return [Line(line.seconds[step - 1 :: step], line.values[step - 1 :: step]) for line in lines], step


def median_of(table: Floats) -> Floats:
    """Median down each column of the numbers that are there; NaN where there is none."""
    known = np.isfinite(table)
    counts = known.sum(axis=0)
    ordered = np.sort(np.where(known, table, np.inf), axis=0)
    columns = np.arange(table.shape[1])
    low, high = (ordered[np.maximum(place, 0), columns] for place in ((counts - 1) // 2, counts // 2 - (counts == 0)))
    middle = np.full(table.shape[1], np.nan)
    there = counts > 0
    middle[there] = (low[there] + high[there]) / 2
    return middle


def lines_of(studies: Sequence[Figures], of: Callable[[Figures], Line]) -> list[Line]:
    """One series of every run."""
    return [of(study) for study in studies]


def _seconds(study: Figures) -> Floats:
    """Ends of the run's seconds, counted from the shock."""
    return np.arange(1, study.seconds + 1, dtype=np.float64) - study.from_ns / NS_PER_S
