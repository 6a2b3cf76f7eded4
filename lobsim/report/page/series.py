"""The chapters of a run's page that show figures over time, and what caused the fall."""

from __future__ import annotations

from lobsim.measure.measures import Figures
from lobsim.report.page import book_series, causes, forced_series, peg_series
from lobsim.report.page.model import Section


def sections(study: Figures) -> list[Section]:
    """All of them that have something to show, in reading order: what vanished from the books, who was forced, what
    broke away from its value, and whose orders took prices down. Complexity: one pass over the run's orders."""
    found = [
        *book_series.sections(study),
        *forced_series.sections(study),
        *peg_series.sections(study),
        causes.section(study),
    ]
    return [section for section in found if section.parts]
