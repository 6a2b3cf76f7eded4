"""What all charts share: axes, frame, palette names and named formatters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

PALETTE = tuple(f"s{number}" for number in range(1, 13))
"""Colours of series, in order: names of assets/page.css, which gives each a value for light and one for dark."""

_TOP, _SIDE, _BOTTOM = 14, 12, 8
_LEGEND, _NAME = 26, 16


class Axis(NamedTuple):
    """An axis of values. format: number, short, price, percent, points, parts, bp, multiple or seconds
    (assets/page.js). points are percentage points with a sign, parts without one.

    Without `low` a linear axis of lines need not begin at zero.
    """

    name: str = ""
    format: str = "number"
    log: bool = False
    low: float | None = None
    high: float | None = None


def color(name: str) -> dict[str, str]:
    """A palette colour, resolved when drawn: light and dark have their own."""
    return {"$color": name}


def formatter(name: str) -> dict[str, str]:
    """A formatter of assets/page.js."""
    return {"$fn": name}


def series_color(colors: Mapping[str, str] | None, name: str, place: int) -> dict[str, str]:
    """The colour chosen for a series, else that of its place."""
    return color((colors or {}).get(name) or PALETTE[place % len(PALETTE)])


def frame(names: Sequence[str], *, named_axis: bool = False) -> dict[str, Any]:
    """Grid, legend (for two names and more) and tooltip."""
    legend = len(names) > 1
    return {
        "grid": {
            "left": _SIDE,
            "right": _SIDE + 6,
            "top": _TOP + _LEGEND * legend + _NAME * named_axis,
            "bottom": _BOTTOM,
            "containLabel": True,
        },
        "legend": {"show": legend, "top": 2, "left": 4, "right": 4, "data": list(names)},
        "tooltip": {"trigger": "axis"},
    }


def value_axis(axis: Axis, *, right: bool = False, from_zero: bool = False) -> dict[str, Any]:
    """An axis of numbers; right: the second one."""
    made: dict[str, Any] = {
        "type": "log" if axis.log else "value",
        "name": axis.name,
        "nameLocation": "end",
        "nameGap": 10,
        "nameTextStyle": {"align": "right" if right else "left"},
        "axisLabel": {"formatter": formatter(axis.format)},
        "scale": not from_zero and axis.low is None and not axis.log,
        "axisLine": {"show": False},
    }
    if right:
        made |= {"position": "right", "splitLine": {"show": False}}
    if axis.low is not None:
        made["min"] = axis.low
    if axis.high is not None:
        made["max"] = axis.high
    return made
