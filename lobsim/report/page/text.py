"""Text from files on its way into a page: nothing invisible, nothing that a chart library takes for markup."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_BRACES = str.maketrans({"{": "\N{FULLWIDTH LEFT CURLY BRACKET}", "}": "\N{FULLWIDTH RIGHT CURLY BRACKET}"})
_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def visible(text: str, *, keep: str = "") -> str:
    """`text` with control, invisible and direction-changing characters but `keep` spelled out (``\\x1b``)."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in keep else one.encode("unicode_escape", "backslashreplace").decode()
        for one in text
    )


def label(text: str) -> str:
    """`visible` text for canvas labels: ECharts reads ``{style|text}`` and ``{b}`` as markup and has no escape for it,
    so braces become their full-width twins."""
    return visible(text).translate(_BRACES)


def script_json(value: object) -> str:
    """JSON that can stand inside ``<script>``: ASCII only, no ``<``, ``>`` or ``&``, whatever the texts are."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).translate(_SCRIPT)


def cleaned(value: Any, *, labels: bool) -> Any:
    """Plain JSON data: numpy's numbers as Python's, no NaN (None instead), every text `visible` (labels: `label`)."""
    if isinstance(value, str):
        return label(value) if labels else visible(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return cleaned(value.item(), labels=labels)
    if isinstance(value, np.ndarray):
        return cleaned(value.tolist(), labels=labels)
    if isinstance(value, Mapping):
        return {visible(str(key)): cleaned(inner, labels=labels) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [cleaned(inner, labels=labels) for inner in value]
    raise TypeError(f"no plain data: {type(value).__name__}")
