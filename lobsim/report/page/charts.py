"""Options for Apache ECharts: configuration only, one look for all pages. Texts are plain, `render` makes them safe.

Times are nanoseconds since the run's start; on the axis they are UTC clock times. A value of NaN is a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lobsim.measure import Run
from lobsim.report.page.pack import fitting_step, pack, pack_ints, points
from lobsim.units import NS_PER_MS

PALETTE = tuple(f"s{number}" for number in range(1, 11))
"""Colours of series, in order: names of assets/page.css, which gives each a value for light and one for dark."""

TIME_GROUP = "time"
"""Charts of this group show the same stretch of time: zooming one zooms all."""

_TOP, _SIDE, _BOTTOM = 34, 12, 8
_ZOOM_HEIGHT = 22
_MARK_OPACITY = 0.75


class Axis(NamedTuple):
    """An axis of values. format: number, short, price, percent, points, bp, multiple or seconds (assets/page.js)."""

    name: str = ""
    format: str = "number"
    log: bool = False
    low: float | None = None
    high: float | None = None


class Clock(NamedTuple):
    """The run's time: Unix milliseconds of its start, nanoseconds until its end."""

    start_ms: int
    end_ns: int

    @classmethod
    def of(cls, run: Run) -> Clock:
        """The clock of a run."""
        start = (run.start_utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        return cls(start, max(run.end_ns, 1))

    def ms(self, time_ns: float) -> float:
        """Unix milliseconds of a time of the run."""
        return self.start_ms + time_ns / NS_PER_MS

    def column(self, times_ns: npt.ArrayLike) -> dict[str, Any]:
        """A packed column of Unix milliseconds."""
        return pack_ints(self.start_ms + np.asarray(times_ns, dtype=np.int64) // NS_PER_MS)

    def share(self, time_ns: int) -> float:
        """How much of the run has passed, in percent: what zoom ranges are in."""
        return max(0.0, min(100.0, 100 * time_ns / self.end_ns))


class Line(NamedTuple):
    """A series over time: `times_ns` ascending, `values` of the same length. axis: 0 left, 1 right.

    step: holds its value until the next one. color: a name of the palette. area: filled down to the axis.
    """

    name: str
    times_ns: npt.ArrayLike
    values: npt.ArrayLike
    color: str = ""
    axis: int = 0
    step: bool = False
    dashed: bool = False
    area: bool = False
    width: float = 1.5


class Mark(NamedTuple):
    """A vertical line at a moment, with its name."""

    time_ns: int
    name: str
    color: str = "mark"


class Boxes(NamedTuple):
    """Values of one category (the seeds of a cell): shown as a box of quartiles and as points."""

    name: str
    values: Sequence[float | None]


def color(name: str) -> dict[str, str]:
    """A palette colour, resolved when drawn: light and dark have their own."""
    return {"$color": name}


def formatter(name: str) -> dict[str, str]:
    """A formatter of assets/page.js."""
    return {"$fn": name}


def time_lines(
    clock: Clock,
    lines: Sequence[Line],
    axes: Axis | Sequence[Axis],
    *,
    marks: Sequence[Mark] = (),
    stack: bool = False,
    zoom: bool = False,
    ranges: Sequence[tuple[str, int, int]] = (),
) -> dict[str, Any]:
    """Lines over time. stack: stacked areas. zoom: a slider below. ranges: buttons (name, from_ns, to_ns)."""
    option = _time_frame(clock, axes, [line.name for line in lines], zoom=zoom, ranges=ranges)
    option["series"] = [_line(clock, line, option["yAxis"], place, stack, lines) for place, line in enumerate(lines)]
    return _marked(option, clock, marks)


def time_bars(
    clock: Clock,
    times_ns: npt.ArrayLike,
    step_ns: int,
    bars: Mapping[str, npt.ArrayLike],
    axis: Axis,
    *,
    colors: Mapping[str, str] | None = None,
    marks: Sequence[Mark] = (),
    zoom: bool = False,
) -> dict[str, Any]:
    """Stacked bars over time: one per step, which begins at `times_ns`."""
    option = _time_frame(clock, axis, list(bars), zoom=zoom)
    middle = clock.column(np.asarray(times_ns, dtype=np.int64) + step_ns // 2)
    size = fitting_step(bars.values())
    option["series"] = [
        {
            "type": "bar",
            "name": name,
            "stack": "all",
            "data": points(middle, pack(values, size)),
            "barCategoryGap": "8%",
            "large": False,
            "itemStyle": {"color": color((colors or {}).get(name) or PALETTE[place % len(PALETTE)])},
            "tooltip": {"valueFormatter": formatter(axis.format)},
        }
        for place, (name, values) in enumerate(bars.items())
    ]
    return _marked(option, clock, marks)


def bars(
    categories: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    axis: Axis,
    *,
    horizontal: bool = False,
    stack: bool = False,
    colors: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Bars side by side (stack: on each other), one place per category."""
    names: dict[str, Any] = {
        "type": "category",
        "data": list(categories),
        "inverse": horizontal,
        "axisTick": {"show": False},
        "axisLabel": {
            "interval": 0,
            "width": 150 if horizontal else 90,
            "overflow": "break" if horizontal else "truncate",
        },
    }
    values = _value_axis(axis)
    option = _frame([name for name in series if len(series) > 1])
    option |= {"xAxis": values, "yAxis": names} if horizontal else {"xAxis": names, "yAxis": values}
    option["tooltip"] |= {"axisPointer": {"type": "shadow"}, "valueFormatter": formatter(axis.format)}
    option["series"] = [
        {
            "type": "bar",
            "name": name,
            "data": list(numbers),
            "barMaxWidth": 34,
            **({"stack": "all"} if stack else {}),
            "itemStyle": {"color": color((colors or {}).get(name) or PALETTE[place % len(PALETTE)])},
        }
        for place, (name, numbers) in enumerate(series.items())
    ]
    return option


def waterfall(steps: Sequence[tuple[str, float]], axis: Axis, *, total: str = "") -> dict[str, Any]:
    """Contributions, each beginning where the one before ended; `total`: a last bar with their sum, by this name."""
    sizes = [size for _, size in steps]
    ends = np.cumsum(sizes).tolist() if sizes else []
    rows = [(name, end - size, end, size) for (name, size), end in zip(steps, ends, strict=True)]
    if total:
        rows.append((total, 0.0, ends[-1] if ends else 0.0, ends[-1] if ends else 0.0))
    option = bars([row[0] for row in rows], {}, axis, horizontal=True)
    option["tooltip"] = {"trigger": "item", "valueFormatter": formatter(axis.format)}
    last = len(rows) - 1
    # two invisible bars carry the visible ones, one for each sign: a stack starts again at zero when the sign changes
    option["series"] = [
        {
            "type": "bar",
            "stack": "all",
            "silent": True,
            "itemStyle": {"color": "transparent"},
            "tooltip": {"show": False},
            "data": [min(begin, end) if begin * end >= 0 else 0.0 for _, begin, end, _ in rows],
        },
        {
            "type": "bar",
            "stack": "all",
            "barMaxWidth": 26,
            "data": [
                {
                    "value": max(begin, end) - min(begin, end),
                    "name": name,
                    "itemStyle": {"color": color("s10" if total and place == last else "bad" if size >= 0 else "good")},
                }
                for place, (name, begin, end, size) in enumerate(rows)
            ],
            "label": {
                "show": True,
                "position": "right",
                "color": color("ink"),
                "formatter": formatter("bar_" + axis.format),
            },
        },
    ]
    return option


def heat(
    columns: Sequence[str],
    rows: Sequence[str],
    values: Sequence[Sequence[float | None]],
    axis: Axis,
) -> dict[str, Any]:
    """A grid of colours: ``values[row][column]``."""
    known = [value for row in values for value in row if value is not None and np.isfinite(value)]
    low = axis.low if axis.low is not None else min(known, default=0.0)
    high = axis.high if axis.high is not None else max(known, default=1.0)
    option = _frame([])
    option["tooltip"] = {"trigger": "item", "valueFormatter": formatter(axis.format)}
    option["grid"] = {**option["grid"], "bottom": 56}
    option["xAxis"] = {
        "type": "category",
        "data": list(columns),
        "splitArea": {"show": False},
        "axisLabel": {"interval": 0},
    }
    option["yAxis"] = {"type": "category", "data": list(rows), "inverse": True, "axisLabel": {"interval": 0}}
    option["visualMap"] = {
        "min": low,
        "max": high if high > low else low + 1,
        "calculable": False,
        "orient": "horizontal",
        "left": "center",
        "bottom": 0,
        "itemWidth": 12,
        "itemHeight": 160,
        "textStyle": {"color": color("soft")},
        "formatter": formatter(axis.format),
        "inRange": {"color": [color(f"heat-{step}") for step in range(5)]},
    }
    option["series"] = [
        {
            "type": "heatmap",
            "data": [[x, y, value] for y, row in enumerate(values) for x, value in enumerate(row)],
            "label": {"show": len(columns) * len(rows) <= 200, "formatter": formatter("cell_" + axis.format)},
            "itemStyle": {"borderColor": color("panel"), "borderWidth": 1},
        }
    ]
    return option


def distributions(
    groups: Sequence[Boxes], axis: Axis, *, reference: Sequence[tuple[str, float]] = ()
) -> dict[str, Any]:
    """Boxes of quartiles (whiskers: least and most) with every value as a point beside its box.

    reference: named values drawn as lines across (the real figure, the ends of its band).
    """
    option = _frame([])
    option["xAxis"] = _value_axis(axis)
    option["yAxis"] = {
        "type": "category",
        "data": [one.name for one in groups],
        "inverse": True,
        "axisTick": {"show": False},
        "axisLabel": {"interval": 0, "width": 150, "overflow": "break"},
    }
    option["tooltip"] = {"trigger": "item", "valueFormatter": formatter(axis.format)}
    found = [np.asarray([value for value in one.values if value is not None], dtype=np.float64) for one in groups]
    dots = [[value, place] for place, numbers in enumerate(found) for value in numbers.tolist()]
    option["series"] = [
        {
            "type": "boxplot",
            "data": [
                np.quantile(numbers, (0, 0.25, 0.5, 0.75, 1)).tolist() if len(numbers) else [None] * 5
                for numbers in found
            ],
            "boxWidth": [8, 22],
            "itemStyle": {"color": color("heat-1"), "borderColor": color("s1"), "borderWidth": 1.25},
            "tooltip": {"formatter": formatter("box_" + axis.format)},
        },
        {
            "type": "scatter",
            "data": dots,
            "symbolSize": 5,
            "itemStyle": {"color": color("s1"), "opacity": 0.55},
            "tooltip": {"formatter": formatter("dot_" + axis.format)},
        },
    ]
    if reference:
        option["series"][0]["markLine"] = {
            "symbol": "none",
            "silent": True,
            "lineStyle": {"color": color("mark"), "type": "dashed"},
            "label": {"formatter": formatter("mark"), "color": color("mark"), "position": "end"},
            "data": [{"xAxis": value, "name": name} for name, value in reference],
        }
    return option


def _frame(names: Sequence[str]) -> dict[str, Any]:
    return {
        "grid": {
            "left": _SIDE,
            "right": _SIDE + 6,
            "top": _TOP if names else 14,
            "bottom": _BOTTOM,
            "containLabel": True,
        },
        "legend": {"show": bool(names), "top": 0, "left": 4, "right": 4, "data": list(names)},
        "tooltip": {"trigger": "axis"},
    }


def _time_frame(
    clock: Clock,
    axes: Axis | Sequence[Axis],
    names: Sequence[str],
    *,
    zoom: bool,
    ranges: Sequence[tuple[str, int, int]] = (),
) -> dict[str, Any]:
    option = _frame(names if len(names) > 1 else [])
    both = [axes] if isinstance(axes, Axis) else list(axes)
    option["xAxis"] = {
        "type": "time",
        "min": clock.ms(0),
        "max": clock.ms(clock.end_ns),
        "axisLabel": {"formatter": formatter("clock")},
        "axisPointer": {"label": {"formatter": formatter("pointer")}},
        "splitLine": {"show": False},
    }
    option["yAxis"] = [_value_axis(axis, right=place == 1) for place, axis in enumerate(both)]
    option["$group"] = TIME_GROUP
    if ranges:
        option["$ranges"] = [[name, clock.share(begin), clock.share(end)] for name, begin, end in ranges]
    # the first zoom takes part in the group without catching wheel and touch, which belong to the page
    option["dataZoom"] = [{"type": "inside", "disabled": True, "filterMode": "none"}]
    if zoom:
        option["dataZoom"].append(
            {
                "type": "slider",
                "height": _ZOOM_HEIGHT,
                "bottom": 6,
                "filterMode": "none",
                "showDetail": False,
                "brushSelect": False,
            }
        )
        option["grid"]["bottom"] = _ZOOM_HEIGHT + 18
    return option


def _value_axis(axis: Axis, *, right: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "log" if axis.log else "value",
        "name": axis.name,
        "nameLocation": "end",
        "nameGap": 10,
        "nameTextStyle": {"align": "right" if right else "left"},
        "axisLabel": {"formatter": formatter(axis.format)},
        "scale": axis.low is None and not axis.log,
        "axisLine": {"show": False},
    }
    if right:
        made |= {"position": "right", "splitLine": {"show": False}}
    if axis.low is not None:
        made["min"] = axis.low
    if axis.high is not None:
        made["max"] = axis.high
    return made


def _line(
    clock: Clock, line: Line, axes: Sequence[dict[str, Any]], place: int, stack: bool, lines: Sequence[Line]
) -> dict[str, Any]:
    axis = axes[line.axis]
    shade = color(line.color or PALETTE[place % len(PALETTE)])
    values = np.asarray(line.values, dtype=np.float64)
    log = axis["type"] == "log"
    if log:
        values = np.where(values > 0, values, np.nan)  # a logarithmic axis has no place for them
    size: Fraction = fitting_step([one.values for one in lines if one.axis == line.axis], log=log)
    made: dict[str, Any] = {
        "type": "line",
        "name": line.name,
        "yAxisIndex": line.axis,
        "showSymbol": False,
        "data": points(clock.column(line.times_ns), pack(values, size)),
        "lineStyle": {"width": line.width, "color": shade, "type": "dashed" if line.dashed else "solid"},
        "itemStyle": {"color": shade},
        "sampling": "minmax",
        "tooltip": {"valueFormatter": axis["axisLabel"]["formatter"]},
        "emphasis": {"disabled": True},
    }
    if line.step:
        made["step"] = "end"
    if stack:
        made |= {"stack": f"axis{line.axis}", "areaStyle": {"color": shade, "opacity": 0.75}, "sampling": None}
        made["lineStyle"] = {"width": 0}
    elif line.area:
        made["areaStyle"] = {"color": shade, "opacity": 0.18}
    return made


def _marked(option: dict[str, Any], clock: Clock, marks: Sequence[Mark]) -> dict[str, Any]:
    if marks and option["series"]:
        option["series"][0]["markLine"] = {
            "symbol": "none",
            "silent": False,
            "animation": False,
            "emphasis": {"disabled": True},
            "data": [
                {
                    "xAxis": clock.ms(mark.time_ns),
                    "name": mark.name,
                    "lineStyle": {"color": color(mark.color), "type": "dashed", "width": 1, "opacity": _MARK_OPACITY},
                    "label": {"show": False},
                }
                for mark in marks
            ],
            "tooltip": {"trigger": "item", "formatter": formatter("mark")},
        }
    return option
