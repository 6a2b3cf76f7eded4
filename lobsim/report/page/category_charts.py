"""Options of charts over categories: bars, waterfalls, grids of colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lobsim.report.page.chart_frame import Axis, color, formatter, frame, series_color, value_axis

_MOST_WRITTEN = 200


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
    option = frame(list(series), named_axis=bool(axis.name))
    names = _categories(categories, horizontal=horizontal)
    values = value_axis(axis, from_zero=True)
    option |= {"xAxis": values, "yAxis": names} if horizontal else {"xAxis": names, "yAxis": values}
    option["tooltip"] |= {"axisPointer": {"type": "shadow"}}
    option["series"] = [
        {
            "type": "bar",
            "name": name,
            "data": list(numbers),
            "barMaxWidth": 34,
            **({"stack": "all"} if stack else {}),
            "itemStyle": {"color": series_color(colors, name, place)},
            "tooltip": {"valueFormatter": formatter(axis.format)},
        }
        for place, (name, numbers) in enumerate(series.items())
    ]
    return option


def waterfall(steps: Sequence[tuple[str, float]], axis: Axis, *, total: str = "") -> dict[str, Any]:
    """Contributions, each beginning where the one before ended; `total`: a last bar with their sum, by this name."""
    rows, at = [], 0.0
    for name, size in steps:
        rows.append((name, min(at, at + size), max(at, at + size), size, "bad" if size >= 0 else "good"))
        at += size
    if total:
        rows.append((total, min(0.0, at), max(0.0, at), at, "s10"))
    option = frame([])
    option["xAxis"] = value_axis(axis, from_zero=True)
    option["yAxis"] = _categories([row[0] for row in rows], horizontal=True)
    option["grid"]["right"] += 48  # room for the last bar's number
    option["tooltip"] = {"trigger": "item", "formatter": formatter("size_" + axis.format)}
    # a stack grows from zero in both directions: an unseen bar up to the nearer end, then what lies above and below it
    nearer = [low if low > 0 else high if high < 0 else 0.0 for _, low, high, _, _ in rows]
    above = [high - max(low, 0.0) if high > 0 else None for _, low, high, _, _ in rows]
    below = [low - min(high, 0.0) if low < 0 else None for _, low, high, _, _ in rows]

    def seen(parts: Sequence[float | None], written: Sequence[bool]) -> dict[str, Any]:
        return {
            "type": "bar",
            "stack": "all",
            "barMaxWidth": 26,
            "data": [
                {
                    "value": part,
                    "name": name,
                    "size": size,
                    "itemStyle": {"color": color(shade)},
                    "label": {"show": show},
                }
                for part, show, (name, _, _, size, shade) in zip(parts, written, rows, strict=True)
            ],
            "label": {"position": "right", "color": color("ink"), "formatter": formatter("bar_" + axis.format)},
        }

    option["series"] = [
        {
            "type": "bar",
            "stack": "all",
            "silent": True,
            "itemStyle": {"color": "transparent"},
            "tooltip": {"show": False},
            "data": nearer,
        },
        seen(above, [True] * len(rows)),
        seen(below, [part is None for part in above]),
    ]
    return option


def heat(
    columns: Sequence[str], rows: Sequence[str], values: Sequence[Sequence[float | None]], axis: Axis
) -> dict[str, Any]:
    """A grid of colours: ``values[row][column]``; the axis' ends are those of the colours."""
    known = [value for row in values for value in row if value is not None and np.isfinite(value)]
    low = axis.low if axis.low is not None else min(known, default=0.0)
    high = axis.high if axis.high is not None else max(known, default=1.0)
    option = frame([])
    option["grid"]["bottom"] = 56
    option["tooltip"] = {"trigger": "item", "formatter": formatter("cell_" + axis.format)}
    option["xAxis"] = _categories(columns, horizontal=False)
    option["yAxis"] = _categories(rows, horizontal=True)
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
            "label": {"show": len(columns) * len(rows) <= _MOST_WRITTEN, "formatter": formatter("bar_" + axis.format)},
            "itemStyle": {"borderColor": color("panel"), "borderWidth": 1},
        }
    ]
    return option


def _categories(names: Sequence[str], *, horizontal: bool) -> dict[str, Any]:
    return {
        "type": "category",
        "data": list(names),
        "inverse": horizontal,
        "axisTick": {"show": False},
        "axisLabel": {
            "interval": 0,
            "width": 150 if horizontal else 90,
            "overflow": "break" if horizontal else "truncate",
        },
    }
