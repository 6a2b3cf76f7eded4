"""The section of prices: the group that matters together, the milestones, each instrument by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from lobsim.measure.measures import Figures, median
from lobsim.measure.study import Floats, Path
from lobsim.report.explain import chain
from lobsim.report.groups import looked_at
from lobsim.report.page import charts, timeline
from lobsim.report.page.model import Chart, Choice, Section, Table
from lobsim.report.page.pack import Ints
from lobsim.report.wording import percent
from lobsim.units import NS_PER_MINUTE, NS_PER_S

MOST_LINES = 12
"""Lines of one picture; a group with more shows its median and its range."""

_BY_TRADE_NS = 15 * NS_PER_MINUTE
_MOST_TRADES = 20_000


def section(study: Figures) -> Section:
    """Prices over time with the milestones marked; nothing where nothing was ever quoted or traded."""
    parts: list[Chart | Table | Choice] = []
    groups = [(group, study.paths_of(members)) for group, members in looked_at(study).items()]
    groups = [(group, paths) for group, paths in groups if paths]
    several = [(group, paths) for group, paths in groups if len(study.run.instruments) > 1]
    if several:
        parts.append(_group(study, "prices-focus", *several[0], first=True))
    milestones = _milestones(study)
    alone = _instruments(study)
    if len(alone) == 1 and not several:
        parts += [part for part in alone[0][1] if isinstance(part, Chart | Table)]
        alone = []
    if milestones is not None:
        parts.append(milestones)
    if len(several) > 1:
        options = [
            (group, [_group(study, f"prices-group-{place}", group, paths)])
            for place, (group, paths) in enumerate(several[1:])
        ]
        parts.append(Choice("prices-groups", "Other groups:", options))
    if alone:
        parts.append(Choice("prices-instruments", "One instrument:", alone))
    return Section(
        "prices", "Prices", _lead(study), parts, "" if by_trade(study) or not parts else timeline.resolution(study)
    )


def by_trade(study: Figures) -> bool:
    """Whether the run is short enough to show every trade and every quote."""
    return study.run.end_ns <= _BY_TRADE_NS


def _lead(study: Figures) -> str:
    marked = " Numbered lines are the milestones listed below." if study.milestones else ""
    if len(study.run.instruments) == 1 and by_trade(study):
        return f"Best bid, best ask, and every trade.{marked}"
    if len(study.run.instruments) == 1:
        return f"What was paid, and the average of the last minute.{marked}"
    return (
        "Average of the last 60 seconds, in percent of the last price "
        f"{'before the shock' if study.shock_ns is not None else 'at the beginning'}; single trades went lower.{marked}"
    )


def _milestones(study: Figures) -> Table | None:
    found = chain(study)
    if not found.rows:
        return None
    rows = [
        (f"{place}. {title}", clock, after, size, link)
        for place, (clock, after, link, title, size) in enumerate(found.rows, start=1)
    ]
    since = "after the shock" if study.shock_ns is not None else "after the start"
    header = ("", "UTC", since, "in all", "link")
    note = (
        "A milestone is the moment at which a tenth of all that it came to had happened. Link: place in the published "
        f"account of 10 October 2025. {found.note}"
    )
    return Table(header, rows, note=note.strip(), title="What happened, in order")


def _group(study: Figures, chart_id: str, group: str, paths: Sequence[Path], *, first: bool = False) -> Chart:
    seconds = timeline.moments(study)
    times = seconds * NS_PER_S
    shares = [timeline.at_moments(path.vwap / (path.reference or 1), seconds) for path in paths]
    lines = charts.envelope(times, shares) if len(paths) > MOST_LINES else _each(times, paths, shares)
    option = charts.time_lines(
        charts.Clock.of(study.run),
        lines,
        charts.Axis("", "percent"),
        marks=timeline.marks(study),
        zoom=first,
        ranges=timeline.ranges(study) if first else (),
        first=timeline.first_range(study),
    )
    fall = median([path.fall for path in paths])
    what = f"Prices of {group}: {len(paths)} instruments, median fall by the lowest trade {percent(fall)}"
    return Chart(chart_id, option, 420 if first else 320, what, f"{group}, price in percent of the reference")


def _each(times: Ints, paths: Sequence[Path], shares: Sequence[Floats]) -> list[charts.Line]:
    return [
        charts.Line(path.instrument.name, times, share, width=1.5) for path, share in zip(paths, shares, strict=True)
    ]


# --- one instrument -------------------------------------------------------------------------------------------------


def _instruments(study: Figures) -> list[tuple[str, Sequence[Chart | Table]]]:
    ranked = [*study.focus, *(name for name in study.run.instruments if name not in study.focus)]
    charted = ((name, _one(study, place, name)) for place, name in enumerate(ranked))
    return [(name, [chart]) for name, chart in charted if chart is not None]


def _one(study: Figures, place: int, name: str) -> Chart | None:
    path = study.paths[name]
    lines = _by_trade(study, path) if by_trade(study) else _by_second(study, path)
    if not lines:
        return None
    alone = len(study.run.instruments) == 1
    one = path.instrument
    option = charts.time_lines(
        charts.Clock.of(study.run),
        lines,
        charts.Axis(f"{one.quote} per {one.base}", "price"),
        marks=timeline.marks(study),
        zoom=alone,
        ranges=timeline.ranges(study) if alone else (),
        first=timeline.first_range(study),
    )
    return Chart(f"price-{place}", option, 420 if alone else 340, f"Price of {name} over time", "" if alone else name)


def _by_second(study: Figures, path: Path) -> list[charts.Line]:
    """Lowest and highest trade of each step, and the trailing average."""
    trades = study.trades_of[path.instrument.name]
    if not trades.height:
        return []
    seconds = timeline.moments(study)
    step = float(path.instrument.tick.step)
    place = np.searchsorted(seconds * NS_PER_S, trades["time_ns"].to_numpy(), side="right")
    extremes = (
        trades.select("price_ticks", place=pl.Series(np.minimum(place, len(seconds) - 1)))
        .group_by("place")
        .agg(low=pl.col("price_ticks").min(), high=pl.col("price_ticks").max())
    )
    low, high = (np.full(len(seconds), np.nan) for _ in range(2))
    low[extremes["place"].to_numpy()] = extremes["low"].to_numpy()
    high[extremes["place"].to_numpy()] = extremes["high"].to_numpy()
    times = seconds * NS_PER_S
    return [  # the average first: the slider below the chart shows the first line
        charts.Line("average of 60 s", times, timeline.at_moments(path.vwap, seconds) * step, "ink", width=2),
        charts.Line("highest trade", times, high * step, "s6", dots=True, width=2.5),
        charts.Line("lowest trade", times, low * step, "s2", dots=True, width=2.5),
    ]


def _by_trade(study: Figures, path: Path) -> list[charts.Line]:
    """Best bid, best ask and every trade: for short recordings."""
    one, run = path.instrument, study.run
    quotes = run.collect(
        run.scan("quotes")
        .filter(pl.col("instrument_id") == one.instrument_id)
        .select("time_ns", "bid_ticks", "ask_ticks")
    )
    step = float(one.tick.step)
    lines = []
    if quotes.height:
        quotes = quotes.group_by("time_ns", maintain_order=True).last()  # what a moment ends with is what one could see
        quotes = quotes.gather_every(-(-quotes.height // _MOST_TRADES))
        last = quotes.tail(1).with_columns(time_ns=pl.lit(run.end_ns, pl.Int64))  # quotes hold until the end
        quotes = pl.concat([quotes.cast({"time_ns": pl.Int64}), last])
        times = quotes["time_ns"].to_numpy()
        for name, column, color in (("best ask", "ask_ticks", "ask"), ("best bid", "bid_ticks", "bid")):
            values = quotes[column].cast(pl.Float64).fill_null(float("nan")).to_numpy() * step
            lines.append(charts.Line(name, times, values, color, step=True))
    trades = study.trades_of[one.name]
    if trades.height:
        trades = trades.gather_every(-(-trades.height // _MOST_TRADES))
        prices = trades["price_ticks"].to_numpy() * step
        lines.append(charts.Line("trades", trades["time_ns"].to_numpy(), prices, "ink", dots=True, width=5))
    return lines
