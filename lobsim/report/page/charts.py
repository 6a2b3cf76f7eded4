"""Options for Apache ECharts: configuration only, one look for all pages. Texts are plain, `render` makes them safe.

Times are nanoseconds since the run's start; on the axis they are UTC clock times. A value of NaN is a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lobsim.measure import Run
from lobsim.report.page.category_charts import waterfall
from lobsim.report.page.chart_frame import Axis, color, formatter, frame, series_color, value_axis
from lobsim.report.page.pack import Floats, fitting_step, pack, pack_ints, pack_log, points
from lobsim.units import NS_PER_MS

__all__ = [
    "TIME_GROUP",
    "Axis",
    "Clock",
    "Line",
    "Mark",
    "envelope",
    "time_bars",
    "time_lines",
    "waterfall",
]

TIME_GROUP = "time"
"""Charts of this group show the same stretch of time: zooming one zooms all."""

_ZOOM_HEIGHT = 22
_MARK_LABELS = 14


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
    dots: single points of that width instead of a line.
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
    dots: bool = False


class Mark(NamedTuple):
    """A vertical line at a moment. label: what stands at its top; close ones share it ("3-7"), by zoom."""

    time_ns: int
    name: str
    label: str = ""
    color: str = "mark"


def time_lines(
    clock: Clock,
    lines: Sequence[Line],
    axes: Axis | Sequence[Axis],
    *,
    marks: Sequence[Mark] = (),
    stack: bool = False,
    zoom: bool = False,
    ranges: Sequence[tuple[str, int, int]] = (),
    first: int | None = None,
) -> dict[str, Any]:
    """Lines over time. stack: stacked areas. zoom: a slider below.

    ranges: buttons (name, from_ns, to_ns) that set the stretch of time of all charts; `first` is shown first (None:
    what another chart says, or all).
    """
    option = _time_frame(clock, axes, [line.name for line in lines], zoom=zoom, from_zero=stack)
    if ranges:
        option["$ranges"] = [[name, clock.share(begin), clock.share(end)] for name, begin, end in ranges]
        option |= {} if first is None else {"$first": first}
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
    option = _time_frame(clock, axis, list(bars), zoom=zoom, from_zero=True)
    middle = clock.column(np.asarray(times_ns, dtype=np.int64) + step_ns // 2)
    size = fitting_step(bars.values())
    option["series"] = [
        {
            "type": "bar",
            "name": name,
            "stack": "all",
            "data": points(middle, pack(values, size)),
            "barCategoryGap": "8%",
            "itemStyle": {"color": series_color(colors, name, place)},
            "tooltip": {"valueFormatter": formatter(axis.format)},
        }
        for place, (name, values) in enumerate(bars.items())
    ]
    return _marked(option, clock, marks)


def envelope(
    times_ns: npt.ArrayLike,
    series: npt.ArrayLike,
    names: tuple[str, str, str] = ("median", "lowest", "highest"),
    color: str = "",
) -> list[Line]:
    """Too many series (rows) for one picture as three lines: their median, in grey the least and the most of them.

    names: of the median, the least, the most. color: of the median.
    """
    low, middle, high = _quantiles(np.asarray(series, dtype=np.float64))
    return [
        Line(names[0], times_ns, middle, color, width=2),
        Line(names[1], times_ns, low, "s10", width=1),
        Line(names[2], times_ns, high, "s10", width=1, dashed=True),
    ]


def _time_frame(
    clock: Clock,
    axes: Axis | Sequence[Axis],
    names: Sequence[str],
    *,
    zoom: bool,
    from_zero: bool = False,
) -> dict[str, Any]:
    both = [axes] if isinstance(axes, Axis) else list(axes)
    option = frame(names, named_axis=any(axis.name for axis in both))
    option["xAxis"] = {
        "type": "time",
        "min": clock.ms(0),
        "max": clock.ms(clock.end_ns),
        "axisLabel": {"formatter": formatter("clock")},
        "axisPointer": {"label": {"formatter": formatter("pointer")}},
        "splitLine": {"show": False},
    }
    option["yAxis"] = [value_axis(axis, right=place == 1, from_zero=from_zero) for place, axis in enumerate(both)]
    option["$group"] = TIME_GROUP
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


def _line(
    clock: Clock, line: Line, axes: Sequence[dict[str, Any]], place: int, stack: bool, lines: Sequence[Line]
) -> dict[str, Any]:
    axis = axes[line.axis]
    shade = color(line.color) if line.color else series_color(None, line.name, place)
    values = np.asarray(line.values, dtype=np.float64)
    if axis["type"] == "log":
        packed = pack_log(values)
    else:
        packed = pack(values, fitting_step([one.values for one in lines if one.axis == line.axis]))
    made: dict[str, Any] = {
        "type": "line",
        "name": line.name,
        "yAxisIndex": line.axis,
        "showSymbol": False,
        "data": points(clock.column(line.times_ns), packed),
        "lineStyle": {"width": line.width, "color": shade, "type": "dashed" if line.dashed else "solid"},
        "itemStyle": {"color": shade},
        "tooltip": {"valueFormatter": axis["axisLabel"]["formatter"]},
        "emphasis": {"disabled": True},
    }
    if line.dots:
        made |= {"type": "scatter", "symbolSize": line.width}
        del made["lineStyle"], made["showSymbol"]
        return made
    if line.step:
        made["step"] = "end"
    if stack:
        made |= {"stack": f"axis{line.axis}", "areaStyle": {"color": shade, "opacity": 0.75}}
        made["lineStyle"] = {"width": 0}
    else:
        made["sampling"] = "minmax"
        if line.area:
            made["areaStyle"] = {"color": shade, "opacity": 0.18}
    return made


def _quantiles(values: Floats) -> Floats:
    """Least, median and most over the first axis of what is known; NaN where nothing is."""
    known = ~np.isnan(values).all(axis=0)
    found = np.full((3, values.shape[1]), np.nan)
    found[:, known] = np.nanquantile(values[:, known], (0, 0.5, 1), axis=0)
    return found


def _marked(option: dict[str, Any], clock: Clock, marks: Sequence[Mark]) -> dict[str, Any]:
    if marks:
        option["$marks"] = [[clock.ms(mark.time_ns), mark.label, mark.name, mark.color] for mark in marks]
        option["grid"]["top"] += _MARK_LABELS
        for axis in option["yAxis"]:
            axis["nameGap"] += _MARK_LABELS
    return option
