"""Pages: one self-contained HTML file that explains a run or a study, offline and without a request to anywhere."""

from __future__ import annotations

from lobsim.report.page.model import (
    BigFigure,
    Chart,
    Choice,
    Headline,
    Page,
    Part,
    Provenance,
    Section,
    Table,
    Widget,
)
from lobsim.report.page.render import render

__all__ = [
    "BigFigure",
    "Chart",
    "Choice",
    "Headline",
    "Page",
    "Part",
    "Provenance",
    "Section",
    "Table",
    "Widget",
    "render",
]
