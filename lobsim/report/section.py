"""A titled table of text: what all reports of a run are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Section(NamedTuple):
    """`left` columns stand to the left, the others, numbers, to the right. A section without rows is not shown."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    left: int = 1
    note: str = ""


NO_SECTION = Section("", (), [])
