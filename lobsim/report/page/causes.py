"""Whose orders took prices down, as waterfalls: exact shares that sum to the fall."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from lobsim.measure.attribution import Attribution, attribution
from lobsim.measure.measures import Figures
from lobsim.report.groups import looked_at
from lobsim.report.page import charts
from lobsim.report.page.model import Chart, Choice, Section
from lobsim.report.wording import percent, words

LEAST_SHARE = Fraction(1, 100)
"""What caused less of the fall stands together as "others"."""

LEAST_FALL = Fraction(1, 1000)
_ROW, _FRAME = 34, 60


def section(study: Figures) -> Section:
    """New lows by the purpose of the orders that made them, per group (the focus first) and per instrument."""
    options: list[tuple[str, Sequence[Chart]]] = []
    groups = {name: members for name, members in looked_at(study).items() if len(members) > 1}
    for place, (name, members) in enumerate(groups.items()):
        found = attribution(study, members)
        if found.fall >= LEAST_FALL:
            several = len(found.instruments)
            title = f"{name} (mean of {several} books)" if several > 1 else f"{name}: {found.instruments[0]}"
            options.append((name, [_waterfall(f"causes-g{place}", found, title)]))
    ranked = [*study.focus, *(name for name in study.run.instruments if name not in study.focus)]
    for place, name in enumerate(ranked):
        found = attribution(study, [name])
        if found.fall >= LEAST_FALL:
            options.append((name, [_waterfall(f"causes-{place}", found, name)]))
    lead = (
        "Every tick below all earlier prices belongs to the order that traded there; the bars add up to the fall, "
        "exactly. It says whose order came last into an emptying book, not what would have happened without it."
    )
    note = (
        f"From the price of the {_first_trade(study)} down to the lowest trade, in percentage points of it; "
        "`lobsim explain` gives the same parts as shares of the fall. Bounces leave no trace. "
        f" Purposes with less than {percent(float(LEAST_SHARE), 0)} of a fall stand together as others."
    )
    parts: Sequence[Chart | Choice] = (
        options[0][1] if len(options) == 1 else [Choice("causes-of", "Fall of:", options)] if options else []
    )
    return Section("causes", "Whose orders took prices down", lead, parts, note, "Causes")


def _first_trade(study: Figures) -> str:
    return "last trade before the shock" if study.shock_ns is not None else "first trade"


def steps(found: Attribution) -> list[tuple[str, Fraction]]:
    """Parts of the fall by purpose, the largest first, small ones together at the end; they sum to the fall."""
    ranked = sorted(found.new_lows.items(), key=lambda item: (-item[1], item[0]))
    large = [(words(purpose), share) for purpose, share in ranked if share >= LEAST_SHARE * found.fall]
    rest = found.fall - sum((share for _, share in large), Fraction(0))
    count = len(ranked) - len(large)
    return [*large, (f"others ({count})", rest)] if rest else large


def _waterfall(chart_id: str, found: Attribution, title: str) -> Chart:
    parts = [(name, float(share)) for name, share in steps(found)]
    option = charts.waterfall(parts, charts.Axis("", "parts", low=0), total="the fall")
    said = ", ".join(f"{name} {percent(share)}" for name, share in parts)
    title = f"{title}: percentage points (pp) of the fall of {percent(float(found.fall))}"
    return Chart(chart_id, option, _FRAME + _ROW * (len(parts) + 1), f"{title}: {said}", title)
