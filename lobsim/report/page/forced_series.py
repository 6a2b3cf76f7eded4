"""Who was forced, over time: market makers' margin and leverage, liquidations by kind, auto-deleveraging, funds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from lobsim.measure import ladders
from lobsim.measure.intervals import Ints
from lobsim.measure.maker_depth import usual_bids_left
from lobsim.measure.measures import Figures
from lobsim.measure.milestones import WITHDRAWN
from lobsim.measure.study import Floats
from lobsim.report.page import charts, timeline
from lobsim.report.page.book_data import nice_step
from lobsim.report.page.book_series import MOST_LINES
from lobsim.report.page.model import Chart, Section
from lobsim.report.page.resolved import Threshold, margin_thresholds
from lobsim.report.wording import amount, span
from lobsim.units import NS_PER_S

MAKER = "market-maker"
MOST_LEVEL = 10.0
"""Margin levels and leverages beyond this are cut off: what matters happens near 1, and few at the far end hide it."""

MOST_BARS = 120
MOST_POINTS = 2000
_KINDS = {"loans": "s4", "accounts": "s2", "contracts": "s5"}


def sections(study: Figures) -> list[Section]:
    """Market makers and forced selling; sections without data have no parts."""
    return [makers(study), liquidations(study), stocks(study)]


# --- market makers --------------------------------------------------------------------------------------------------


def account_series(study: Figures, column: str) -> dict[str, tuple[Ints, Floats]]:
    """Per market maker with at least one value: times in nanoseconds, and a column in millionths of the accounts table
    as a number (NaN where it is null), record by record, in order of the accounts."""
    ids = study.accounts_of_kind(MAKER)
    rows = study.run.collect(
        study.run.scan("accounts")
        .filter(pl.col("account_id").is_in(ids))
        .select("time_ns", "account_id", value=pl.col(column) / 1e6)
    ).sort("account_id", "time_ns", maintain_order=True)
    found = {}
    for account_id in ids:
        mine = rows.filter(pl.col("account_id") == account_id)
        if mine["value"].count():
            name = study.run.accounts_info[account_id].name
            found[name] = (mine["time_ns"].to_numpy(), mine["value"].fill_null(np.nan).to_numpy())
    return found


def makers(study: Figures) -> Section:
    """Margin levels with what happens at which level, leverage, and what was left of their bids."""
    levels, leverage = (account_series(study, column) for column in ("margin_level_ppm", "leverage_ppm"))
    leverage = {name: (times, values) for name, (times, values) in leverage.items() if name in levels}
    parts = []
    if levels:
        lines = _each(study, levels) + _thresholds(study, margin_thresholds(study.run))
        parts.append(_makers_chart(study, "makers-margin", lines, "margin level", "Margin level"))
    if leverage:
        parts.append(
            _makers_chart(study, "makers-leverage", _each(study, leverage), "effective leverage", "Effective leverage")
        )
    left = usual_bids_left(study)
    if left is not None:
        parts.append(_bids_left(study, left))
    lead = (
        "Margin level is equity over maintenance margin: at 1 the exchange takes an account over. As the coins that "
        "back the makers' debts fall, levels sink together, leverage rises, and the bids go."
    )
    without = len(study.accounts_of_kind(MAKER)) - len(levels)
    owing = f" {without} of the makers never owed anything and are not drawn." if levels and without else ""
    note = f"Levels and leverage above {MOST_LEVEL:g} are cut off, and levels below -1.{owing}"
    return Section("makers", "Market makers", lead, parts, note if parts else "", "Makers")


def _makers_chart(study: Figures, chart_id: str, lines: Sequence[charts.Line], what: str, title: str) -> Chart:
    most = max((float(np.nanmax(line.values)) for line in lines if np.isfinite(line.values).any()), default=1.0)
    least = min((float(np.nanmin(line.values)) for line in lines if np.isfinite(line.values).any()), default=0.0)
    axis = charts.Axis(what, "number", low=min(0.0, max(least, -1.0)), high=MOST_LEVEL if most > MOST_LEVEL else None)
    # what is cut off would else set the precision of all the rest, of thresholds such as 1.2 as well
    lines = [line._replace(values=np.clip(line.values, -2.0, 1.1 * MOST_LEVEL)) for line in lines]
    ranges = timeline.ranges(study) if chart_id == "makers-margin" else ()
    option = charts.time_lines(charts.Clock.of(study.run), lines, axis, marks=timeline.marks(study), ranges=ranges)
    return Chart(chart_id, option, 300, f"{what} of each market maker over time", title)


def _each(study: Figures, series: dict[str, tuple[Ints, Floats]]) -> list[charts.Line]:
    if len(series) <= MOST_LINES:
        return [_thinned(charts.Line(name, times, values, width=1.25)) for name, (times, values) in series.items()]
    times = np.unique(np.concatenate([own for own, _ in series.values()]))
    held = [_held(own, values, times) for own, values in series.values()]
    return [_thinned(line) for line in charts.envelope(times, held)]


def _held(own: Ints, values: Floats, times: Ints) -> Floats:
    """The last value at or before each time, NaN before the first."""
    return np.concatenate([[np.nan], values])[np.searchsorted(own, times, side="right")]


def thinned(times: Ints, values: Floats) -> tuple[Ints, Floats]:
    """At most about `MOST_POINTS` of the records: of each stretch of time the lowest and the highest one."""
    stretches = MOST_POINTS // 2
    if len(times) <= MOST_POINTS:
        return times, values
    frame = pl.DataFrame({"time": times, "value": pl.Series(values, nan_to_null=True)}).with_row_index("place")
    frame = frame.with_columns(stretch=pl.col("place") * stretches // len(times))
    picks = frame.group_by("stretch").agg(
        pl.col("place").get(pl.col("value").arg_min().fill_null(0)).alias("low"),
        pl.col("place").get(pl.col("value").arg_max().fill_null(0)).alias("high"),
    )
    places = np.unique(np.concatenate([picks["low"].to_numpy(), picks["high"].to_numpy(), [0, len(times) - 1]]))
    return times[places], values[places]


def _thinned(line: charts.Line) -> charts.Line:
    times, values = thinned(np.asarray(line.times_ns), np.asarray(line.values))
    return line._replace(times_ns=times, values=values)


def _thresholds(study: Figures, found: Sequence[Threshold]) -> list[charts.Line]:
    ends = np.array([0, study.run.end_ns], dtype=np.int64)
    return [
        charts.Line(f"{one.what} ({one.level:g})", ends, np.full(2, one.level), one.color, dashed=True, width=1.25)
        for one in found
        if one.level <= MOST_LEVEL
    ]


def _bids_left(study: Figures, left: Floats) -> Chart:
    seconds = np.minimum(timeline.moments(study), left.shape[1] - 1)
    times = seconds * NS_PER_S
    shares = left[:, seconds]
    if len(left) > 1:
        names = ("median market", "market with the fewest", "market with the most")
        lines = charts.envelope(times, shares, names, "bid")
    else:
        lines = [charts.Line("their bids", times, shares[0], "bid", width=2)]
    ends = np.array([0, study.run.end_ns], dtype=np.int64)
    lines.append(
        charts.Line(f"counts as gone ({WITHDRAWN * 100:g} %)", ends, np.full(2, WITHDRAWN), "bad", dashed=True)
    )
    axis = charts.Axis("of their usual bids", "percent", low=0, high=2.0 if np.nanmax(shares) > 2 else None)
    option = charts.time_lines(charts.Clock.of(study.run), lines, axis, marks=timeline.marks(study))
    label = f"share of their usual bids that market makers show over time, {len(left)} markets of the focus group"
    usual = "those before the shock" if study.shock_ns is not None else "their usual ones"
    title = f"Makers' own bids, in percent of {usual}"
    return Chart("makers-bids", option, 280, label, title)


# --- forced selling -------------------------------------------------------------------------------------------------


def per_interval(study: Figures, kinds: Sequence[str], step_ns: int) -> tuple[Ints, dict[str, Floats]]:
    """Beginnings of all intervals from the first event to the last, and `ladders.worth` in each by kind; 0 for none."""
    rows = study.events(kinds).select("kind", begin=pl.col("time_ns") // step_ns, worth=ladders.worth(study))
    if not rows.height:
        return np.zeros(0, dtype=np.int64), {}
    begin = rows["begin"].to_numpy()
    first = int(begin.min())
    count = int(begin.max()) - first + 1
    values = {}
    for kind in kinds:
        mine = (rows["kind"] == kind).to_numpy()
        if mine.any():
            worth = rows["worth"].to_numpy()
            values[kind] = np.bincount(begin[mine] - first, worth[mine], minlength=count).astype(np.float64)
    return (np.arange(count, dtype=np.int64) + first) * step_ns, values


def bar_step(study: Figures) -> int:
    """Length of an interval, such that all forced selling takes at most `MOST_BARS` bars."""
    times = study.events((*ladders.ALL_KINDS, "adl"))["time_ns"]
    if not len(times):
        return NS_PER_S
    return max(nice_step(int(times.max()) - int(times.min()) + 1, MOST_BARS), NS_PER_S)  # type: ignore[arg-type]


def liquidations(study: Figures) -> Section:
    """Liquidated value by what was liquidated, and contracts closed by auto-deleveraging."""
    step = bar_step(study)
    clock, marks, money = charts.Clock.of(study.run), timeline.marks(study), study.run.numeraire
    parts = []
    begins, by_kind = per_interval(study, ladders.ALL_KINDS, step)
    sums = {
        name: np.sum([by_kind[kind] for kind in kinds if kind in by_kind], axis=0)
        for name, kinds in ladders.KINDS.items()
        if any(kind in by_kind for kind in kinds)
    }
    if sums:
        total = ", ".join(f"{name} {amount(round(float(values.sum())))} {money}" for name, values in sums.items())
        axis = charts.Axis(f"{money} per {span(step)}", "short", low=0)
        option = charts.time_bars(clock, begins, step, sums, axis, colors=_KINDS, marks=marks)
        option["$ranges"] = [
            [name, clock.share(begin), clock.share(end)] for name, begin, end in timeline.ranges(study)
        ]
        parts.append(Chart("liquidations-value", option, 320, f"liquidated value over time: {total}", "Liquidations"))
    begins, by_kind = per_interval(study, ("adl",), step)
    if by_kind:
        axis = charts.Axis(f"{money} per {span(step)}", "short", low=0)
        bars = {"auto-deleveraged": by_kind["adl"]}
        option = charts.time_bars(clock, begins, step, bars, axis, colors={"auto-deleveraged": "s9"}, marks=marks)
        title = "Winners whose positions were closed for them (auto-deleveraging)"
        parts.append(Chart("liquidations-adl", option, 200, "auto-deleveraged value over time", title))
    lead = (
        f"What was sold because somebody had to, every {span(step)}: collateral of loans, holdings of margin accounts, "
        "leveraged contracts. Each wave pushes the price into the next one's limits."
    )
    return Section("liquidations", "Liquidations", lead, parts)


def stock_series(study: Figures, kind: str) -> tuple[Ints, Floats]:
    """A recorded stock (``open_interest``, ``insurance_fund``) in total: the last row of each of its accounts, summed,
    after each moment at which it was recorded."""
    rows = study.events((kind,)).select("time_ns", "account_id", "asset", worth=ladders.worth(study))
    if not rows.height:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    wide = (
        rows.group_by("time_ns", "account_id", "asset", maintain_order=True)
        .agg(pl.col("worth").last())
        .with_columns(change=pl.col("worth") - pl.col("worth").shift(1, fill_value=0.0).over("account_id", "asset"))
        .group_by("time_ns")
        .agg(pl.col("change").sum())
        .sort("time_ns")
    )
    return wide["time_ns"].to_numpy(), wide["change"].cum_sum().to_numpy()


def stocks(study: Figures) -> Section:
    """Open interest and insurance funds of contracts."""
    clock, marks, money = charts.Clock.of(study.run), timeline.marks(study), study.run.numeraire
    parts = []
    for kind, title, color in (
        ("open_interest", "Open interest: value of all open contracts", "s1"),
        ("insurance_fund", "Insurance funds of all contracts together", "s3"),
    ):
        times, values = stock_series(study, kind)
        if len(times) > 1 and np.any(values):
            line = _thinned(charts.Line(title, times, values, color, area=True))
            option = charts.time_lines(clock, [line], charts.Axis(money, "short", low=0), marks=marks)
            parts.append(Chart(kind.replace("_", "-"), option, 220, f"{title}, over time", title))
    lead = (
        "Positions that are closed by force, or vanish with the price, shrink open interest. Losses that no margin "
        "covers are paid by the insurance funds; where one is empty, winners are auto-deleveraged."
    )
    return Section("contracts", "Contracts and insurance", lead, parts, short="Contracts")
