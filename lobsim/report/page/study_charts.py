"""Pictures of many runs: lines counted from the shock, values of every seed, estimates with intervals, events as dots.

Configuration of Apache ECharts on top of `charts`; see there for what an option may hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from lobsim.report.page.category_charts import bars
from lobsim.report.page.chart_frame import PALETTE, Axis, color, formatter
from lobsim.report.page.charts import TIME_GROUP
from lobsim.report.page.compare_series import Line
from lobsim.report.page.pack import fitting_step, pack, points
from lobsim.sweep.statistics import Interval, quartiles

MOST_DOTS = 120
"""Seeds of one cell that are drawn as dots; of more, every nth."""

_ROWS = 5
"""Dots lie on so many rows, so that equal values stay apart."""

_SPREAD = 4
_LIMIT_MINUTES, _LIMIT_HOURS = 300, 6 * 3600


class Span(NamedTuple):
    """The stretch of time that all charts of a comparison show: `unit` seconds make one of `name`."""

    low: float
    high: float
    unit: int
    name: str

    @classmethod
    def of(cls, first: float, last: float) -> Span:
        """From `first` to `last` seconds after the shock, in a unit that people read."""
        unit, name = next(
            (size, name)
            for size, name, most in (
                (1, "seconds", _LIMIT_MINUTES),
                (60, "minutes", _LIMIT_HOURS),
                (3600, "hours", np.inf),
            )
            if last - first <= most
        )
        return cls(first / unit, last / unit, unit, name)

    def share(self, seconds: float) -> float:
        """Where on the axis a moment lies, in percent."""
        return float(np.clip(100 * (seconds / self.unit - self.low) / max(self.high - self.low, 1e-9), 0, 100))


def aligned_lines(
    names: Sequence[str],
    lines: Sequence[Line],
    span: Span,
    axis: Axis,
    *,
    zoom: bool = False,
    ranges: Sequence[tuple[str, float, float]] = (),
    reference: Sequence[tuple[str, float]] = (),
) -> dict[str, Any]:
    """One line per run over the time since the shock; a run without the series keeps its colour for the other charts.

    reference: named values drawn across. ranges: buttons (name, from, to) in seconds after the shock; the first one is
    what is shown at first.
    """
    option = bars([], {}, axis)
    shown = [(place, name, line) for place, (name, line) in enumerate(zip(names, lines, strict=True)) if not line.empty]
    option["legend"] |= {"show": True, "data": [name for _, name, _ in shown]}
    option["grid"] |= {"top": 52 if axis.name else 36}
    option["xAxis"] = {
        "type": "value",
        "min": span.low,
        "max": span.high,
        "axisLabel": {"formatter": formatter("number"), "showMinLabel": False, "showMaxLabel": False},
        "splitLine": {"show": False},
    }
    option["xAxis"]["axisLine"] = option["yAxis"]["axisLine"] = {"onZero": False}
    option["yAxis"] |= {
        "nameGap": 12,
        "scale": axis.low is None and not axis.log,
        "axisLine": {"show": False, "onZero": False},
    }
    option["tooltip"] |= {"axisPointer": {"type": "line"}}
    step = fitting_step([line.values for _, _, line in shown], log=axis.log)
    option["series"] = [
        _line(name, line, span, axis, step, PALETTE[place % len(PALETTE)]) for place, name, line in shown
    ]
    if option["series"]:
        marks = [{"xAxis": 0, "name": "the shock", "label": {"show": False}}] if span.low < 0 < span.high else []
        marks += [{"yAxis": value, "name": name, "label": {"position": "insideEndTop"}} for name, value in reference]
        option["series"][0]["markLine"] = _mark_line(marks)
    option["$group"] = TIME_GROUP
    option["dataZoom"] = [{"type": "inside", "disabled": True, "filterMode": "none"}]
    if zoom:
        slider = {"type": "slider", "height": 22, "bottom": 6, "filterMode": "none", "showDetail": False}
        option["dataZoom"].append({**slider, "brushSelect": False})
        option["grid"]["bottom"] = 40
    if ranges:
        option["$ranges"] = [[name, span.share(begin), span.share(end)] for name, begin, end in ranges]
        option["$first"] = 0
    return option


def spread(
    groups: Sequence[tuple[str, Sequence[float | None]]],
    axis: Axis,
    names: Sequence[str],
) -> dict[str, Any]:
    """Every value as a dot over its group's box (whiskers: least and most; box: quartiles, linear interpolation).

    names: of the values, the same for each group. Boxes are made of all values, also where only every nth is drawn as
    a dot (`MOST_DOTS`).
    """
    option = _categories([name for name, _ in groups], axis)
    known = [[value for value in values if value is not None] for _, values in groups]
    named = [
        [(value, name) for value, name in zip(values, names, strict=True) if value is not None] for _, values in groups
    ]
    option["series"] = [
        {
            "type": "boxplot",
            "data": [_box(values) for values in known],
            "boxWidth": [16, 26],
            "itemStyle": {"color": color("heat-1"), "borderColor": color("s1"), "borderWidth": 1.25},
            "tooltip": {"formatter": formatter(f"box_{axis.format}")},
            "silent": False,
        },
        *_dots(named, axis),
    ]
    option["xAxis"]["scale"] = True
    return option


def band_dots(groups: Sequence[tuple[str, Sequence[float]]], marked: Sequence[float | None] = ()) -> dict[str, Any]:
    """Values on the scale of their bands (0: lower end, 1: upper end) as dots, what lies further out at the rim.

    marked: one value per group (None: none), drawn as a diamond.
    """
    axis = Axis("", "number", low=BAND_RIM[0], high=BAND_RIM[1])
    option = _categories([name for name, _ in groups], axis)
    option["xAxis"] |= {"axisLabel": {"show": False}, "splitLine": {"show": False}}
    option["tooltip"] = {"show": False}
    low, high = BAND_RIM
    option["series"] = _dots([[(min(max(value, low), high), "") for value in values] for _, values in groups], axis)
    diamonds = [[min(max(value, low), high), row] for row, value in enumerate(marked) if value is not None]
    if diamonds:
        style = {"color": "transparent", "borderColor": color("ink"), "borderWidth": 1.5}
        option["series"].append(
            {"type": "scatter", "data": diamonds, "symbol": "diamond", "symbolSize": 13, "itemStyle": style}
        )
    for one in option["series"]:
        one["silent"] = True
    _refer(option, [("", 0.0), ("", 1.0)], (0.0, 1.0))
    return option


BAND_RIM = (-1.0, 2.0)
"""`band_dots` shows a band's own width on either side of it."""


def band_place(value: float, low: float | None, high: float | None) -> float:
    """Where a value lies on its band's scale: 0 at the lower end, 1 at the upper one.

    A band with one end has no width of its own: the size of that end (1 for zero) stands for it. A band of a single
    number is one tenth of it wide, around the number.
    """
    if low is None or high is None:
        end = high if low is None else low
        return 0.5 if end is None else (value - end) / (abs(end) or 1.0) + (low is None)
    if high == low:
        return 0.5 + (value - low) / (abs(low) or 1.0) * 10
    return (value - low) / (high - low)


def intervals(rows: Sequence[tuple[str, Interval | None]], axis: Axis, *, zero: bool = False) -> dict[str, Any]:
    """An estimate per row, as a dot with its interval; those that do not contain zero in full colour (`zero`)."""
    option = _categories([name for name, _ in rows], axis)
    option["series"] = [
        {
            "type": "boxplot",
            "silent": True,
            "data": [_bar(found, plain=not zero) for _, found in rows],
            "boxWidth": [5, 5],
            "tooltip": {"show": False},
        },
        {
            "type": "scatter",
            "data": [[found.value, place] for place, (_, found) in enumerate(rows) if found is not None],
            "symbolSize": 11,
            "itemStyle": {"color": color("s1"), "borderColor": color("panel"), "borderWidth": 1.5},
            "tooltip": {"formatter": formatter(f"dot_{axis.format}")},
        },
    ]
    _refer(option, [("", 0.0)] if zero else [], None)
    return option


def events(
    rows: Sequence[str], names: Sequence[str], times: Sequence[Sequence[float | None]], span: Span
) -> dict[str, Any]:
    """What happened when: a row per event, a dot per run. times: seconds after the shock, ``times[row][run]``."""
    option = _categories(rows, Axis(span.name, "number"))
    option["legend"] |= {"show": True, "data": list(names), "top": 0, "left": 4, "right": 4}
    option["grid"] |= {"top": 52}
    option["series"] = [
        {
            "type": "scatter",
            "name": name,
            "data": [
                {"value": [when / span.unit, row], "name": f"{name}: {rows[row]}", "size": when}
                for row, found in enumerate(times)
                if (when := found[place]) is not None
            ],
            "symbolSize": 11,
            "itemStyle": {"color": color(PALETTE[place % len(PALETTE)]), "opacity": 0.85},
            "tooltip": {"formatter": formatter("size_seconds")},
        }
        for place, name in enumerate(names)
    ]
    return option


def chart_height(rows: int, *, each: int = 34, least: int = 120) -> int:
    """Pixels for a chart with so many rows."""
    return max(least, 64 + each * rows)


# --- parts ------------------------------------------------------------------------------------------------------------


def _line(name: str, line: Line, span: Span, axis: Axis, step: Fraction, shade: str) -> dict[str, Any]:
    values = np.where(line.values > 0, line.values, np.nan) if axis.log else line.values
    return {
        "type": "line",
        "name": name,
        "showSymbol": False,
        "sampling": "minmax",
        "data": points(pack(line.seconds / span.unit, Fraction(1, 10 * span.unit)), pack(values, step)),
        "lineStyle": {"width": 1.75, "color": color(shade)},
        "itemStyle": {"color": color(shade)},
        "tooltip": {"valueFormatter": formatter(axis.format)},
        "emphasis": {"disabled": True},
    }


def _categories(names: Sequence[str], axis: Axis) -> dict[str, Any]:
    option = bars(names, {}, axis, horizontal=True)
    option["yAxis"]["axisLabel"] |= {"lineHeight": 13}
    option["tooltip"] = {"trigger": "item", "valueFormatter": formatter(axis.format)}
    if axis.name:  # on the left above the plot: there is no room behind the end of the axis
        option["xAxis"] |= {"nameLocation": "middle", "nameGap": 28}
        option["grid"] |= {"top": 14, "bottom": 30}
    return option


def _box(values: Sequence[float]) -> list[float | None]:
    found = quartiles(values)
    return [None] * 5 if found is None else [min(values), found.low, found.median, found.high, max(values)]


def _bar(found: Interval | None, *, plain: bool) -> dict[str, Any]:
    """An interval as a box without whiskers."""
    if found is None or found.low is None or found.high is None:
        return {"value": [None] * 5}
    shade = "s1" if plain or found.excludes_zero else "faint"
    style = {"color": color(shade), "borderColor": color(shade), "opacity": 0.55}
    return {"value": [found.low, found.low, found.value, found.high, found.high], "itemStyle": style}


def _dots(groups: Sequence[Sequence[tuple[float, str]]], axis: Axis) -> list[dict[str, Any]]:
    """Named values of each group on a few rows, in order of size: equal ones stay apart, and no chance is needed."""
    rows: list[list[dict[str, Any]]] = [[] for _ in range(_ROWS)]
    for place, values in enumerate(groups):
        step = max(1, -(-len(values) // MOST_DOTS))
        for number, (value, name) in enumerate(sorted(values)[::step]):
            rows[number % _ROWS].append({"value": [value, place], "name": name, "size": value})
    middle = _ROWS // 2
    return [
        {
            "type": "scatter",
            "data": row,
            "symbolSize": 6,
            "symbolOffset": [0, (number - middle) * _SPREAD],
            "itemStyle": {"color": color("s2"), "opacity": 0.75},
            "tooltip": {"formatter": formatter(f"size_{axis.format}")},
        }
        for number, row in enumerate(rows)
        if row
    ]


def _refer(option: dict[str, Any], reference: Sequence[tuple[str, float]], area: tuple[float, float] | None) -> None:
    if not option["series"]:
        return
    if reference:
        option["series"][0]["markLine"] = _mark_line([{"xAxis": value, "name": name} for name, value in reference])
    if area is not None:
        option["series"][0]["markArea"] = {
            "silent": True,
            "itemStyle": {"color": color("good"), "opacity": 0.12},
            "data": [[{"xAxis": area[0]}, {"xAxis": area[1]}]],
        }


def _mark_line(data: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "symbol": "none",
        "silent": True,
        "animation": False,
        "lineStyle": {"color": color("mark"), "type": "dashed", "width": 1},
        "label": {"formatter": formatter("named"), "color": color("mark")},
        "data": list(data),
    }
