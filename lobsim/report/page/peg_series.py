"""Prices against what they should be: assets with a fixed value, and the same coin at two exchanges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from lobsim.measure.intervals import Ints
from lobsim.measure.manifest import Instrument
from lobsim.measure.measures import Figures
from lobsim.measure.study import STABLECOIN, Floats, carried
from lobsim.report.page import charts, timeline
from lobsim.report.page.book_series import MOST_LINES, book_times
from lobsim.report.page.model import Chart, Section
from lobsim.report.page.resolved import Peg, pegs
from lobsim.report.wording import percent
from lobsim.units import NS_PER_S

_WIDE = 0.02


def sections(study: Figures) -> list[Section]:
    """Pegs, and prices here over prices elsewhere; without parts where there is neither."""
    times = book_times(study)
    found = [_peg_chart(study, place, peg, times) for place, peg in enumerate(pegs(study.run, study.group(STABLECOIN)))]
    across = _across(study)
    parts = [chart for chart in found if chart is not None] + ([across] if across is not None else [])
    pegged = any(chart is not None for chart in found)
    shown = "Assets that are worth a fixed amount" if pegged else ""
    if across is not None:
        shown = f"{shown}, and the same coin at two exchanges" if pegged else "The same coin at two exchanges"
    title = "Prices elsewhere" if not pegged else "Pegs" if across is None else "Pegs, and prices elsewhere"
    lead = (
        f"{shown}. A line that leaves its value on one "
        "exchange only shows that nobody could carry goods or money there; whoever values collateral at that book's "
        "price is wrong with it."
    )
    note = (
        "Pegs: each point is the lowest trade since the point before, so that no low is lost; else the last one holds."
    )
    return [Section("pegs", title, lead, parts, note if pegged else "", "Pegs" if pegged else "Elsewhere")]


def lowest_trades(study: Figures, name: str, times: Ints) -> Floats:
    """Lowest price traded since the moment before, up to and including each of `times`; the last one where nothing was
    traded, NaN before the first trade. Quote currency per base."""
    trades = study.trades_of[name].select("time_ns", "price_ticks")
    place = np.searchsorted(times, trades["time_ns"].to_numpy(), side="left")
    ticks = trades.with_columns(place=pl.Series(place)).filter(pl.col("place") < len(times))
    sums = ticks.group_by("place").agg(pl.col("price_ticks").min(), last=pl.col("price_ticks").last()).sort("place")
    low, last = (np.full(len(times), np.nan) for _ in range(2))
    low[sums["place"].to_numpy()] = sums["price_ticks"].to_numpy()
    last[sums["place"].to_numpy()] = sums["last"].to_numpy()
    found: Floats = np.where(np.isnan(low), carried(last), low)
    return found * float(study.run.instruments[name].tick.step)


def _peg_chart(study: Figures, place: int, peg: Peg, times: Ints) -> Chart | None:
    series = [(one, lowest_trades(study, one.name, times)) for one in peg.books]
    series = [(one, prices) for one, prices in series if np.isfinite(prices).any()]
    if not series:
        return None
    lines = [charts.Line(_where(study, one), times, prices) for one, prices in series]
    ends = np.array([0, study.run.end_ns], dtype=np.int64)
    lines.append(charts.Line(f"its value, {peg.value:g} {peg.quote}", ends, np.full(2, peg.value), "mark", dashed=True))
    everything = np.concatenate([prices[np.isfinite(prices)] for _, prices in series])
    low, high = min(float(everything.min()), peg.value), max(float(everything.max()), peg.value)
    # without room around it, a peg that holds would look like one that breaks
    holds = low > peg.value * (1 - _WIDE) and high < peg.value * (1 + _WIDE)
    ends_at = (peg.value * (1 - _WIDE), peg.value * (1 + _WIDE)) if holds else (None, None)
    axis = charts.Axis(f"{peg.quote} per {peg.base}", "price", low=ends_at[0], high=ends_at[1])
    option = charts.time_lines(
        charts.Clock.of(study.run),
        lines,
        axis,
        marks=timeline.marks(study),
        ranges=() if place else timeline.ranges(study),
    )
    lowest = ", ".join(f"{one.name} {percent(float(np.nanmin(prices)) / peg.value)}" for one, prices in series)
    label = f"price of {peg.base} over time against its value of {peg.value:g} {peg.quote}; lowest: {lowest}"
    return Chart(f"peg-{place}", option, 280, label, f"{peg.base} in {peg.quote}")


def _where(study: Figures, one: Instrument) -> str:
    several = len({book.venue for book in study.run.instruments.values()}) > 1
    return f"{one.name} (at {one.venue})" if several and one.venue else one.name


def pairs_elsewhere(study: Figures) -> list[tuple[str, str]]:
    """(focus book, the same coin's spot book at another venue) for those of the focus group that have one."""
    others: dict[tuple[str, str], list[Instrument]] = {}
    for one in study.run.instruments.values():
        if one.kind == "spot":
            others.setdefault((one.base, one.quote), []).append(one)
    found = []
    for name in study.focus:
        own = study.run.instruments[name]
        match = [one for one in others.get((own.base, own.quote), ()) if one.venue != own.venue and own.kind == "spot"]
        if match:
            found.append((name, match[0].name))
    return found


def _across(study: Figures) -> Chart | None:
    seconds = timeline.moments(study)
    ratios: list[tuple[str, Floats]] = []
    for here, there in pairs_elsewhere(study):
        one, other = study.paths[here], study.paths[there]
        scale = float(one.instrument.tick.step / other.instrument.tick.step)
        ratio = timeline.at_moments(one.vwap, seconds) / timeline.at_moments(other.vwap, seconds) * scale
        if np.isfinite(ratio).any():
            ratios.append((here, ratio))
    if not ratios:
        return None
    option = charts.time_lines(
        charts.Clock.of(study.run),
        _lines(seconds * NS_PER_S, ratios),
        charts.Axis("here over elsewhere", "percent"),
        marks=timeline.marks(study),
    )
    label = f"price over the price at the other exchange, 60 s averages, over time: {len(ratios)} coins"
    return Chart("pegs-elsewhere", option, 300, label, "The coins: price here over price elsewhere (averages of 60 s)")


def _lines(times: Ints, ratios: Sequence[tuple[str, Floats]]) -> list[charts.Line]:
    if len(ratios) <= MOST_LINES:
        return [charts.Line(name, times, ratio, width=1.25) for name, ratio in ratios]
    names = (f"median of {len(ratios)} coins", "lowest", "highest")
    return charts.envelope(times, [ratio for _, ratio in ratios], names)
