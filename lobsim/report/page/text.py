"""Text from files on its way into a page: nothing invisible, nothing that a chart library takes for markup."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_MARKUP = frozenset({"rich"})
_FORMATTERS = ("formatter", "valueFormatter")
_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def visible(text: str, *, keep: str = "") -> str:
    """`text` with control, invisible and direction-changing characters but `keep` spelled out (``\\x1b``)."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in keep else one.encode("unicode_escape", "backslashreplace").decode()
        for one in text
    )


def script_json(value: object) -> str:
    """JSON that can stand inside ``<script>``: ASCII only, no ``<``, ``>`` or ``&``, whatever the texts are."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).translate(_SCRIPT)


def cleaned(value: Any, *, chart: bool = False) -> Any:
    """Plain JSON data: numpy's numbers as Python's, no NaN (None instead), every text `visible`.

    chart: also refuses, with `ValueError`, what would make ECharts read texts as markup: formatters that are text
    (``{b}``) and rich styles (``{style|text}``). assets/page.js escapes for tooltips, the one place that always has
    them.
    """
    if isinstance(value, str):
        return visible(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return cleaned(value.item(), chart=chart)
    if isinstance(value, np.ndarray):
        return cleaned(value.tolist(), chart=chart)
    if isinstance(value, Mapping):
        if chart and (_MARKUP & value.keys() or any(isinstance(value.get(key), str) for key in _FORMATTERS)):
            raise ValueError("a chart's texts must be plain: no rich styles, no formatters but {'$fn': name}")
        return {visible(str(key)): cleaned(inner, chart=chart) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [cleaned(inner, chart=chart) for inner in value]
    raise TypeError(f"no plain data: {type(value).__name__}")
