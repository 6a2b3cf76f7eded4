"""Words and axes for the outcomes of studies, and the command that makes a study again."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from shlex import quote

from lobsim.measure.measures import GROUP_MEASURES, INSTRUMENT_MEASURES, RUN_MEASURES
from lobsim.measure.milestones import TITLES
from lobsim.report.explain import figure
from lobsim.report.page.chart_frame import Axis
from lobsim.report.wording import NOTHING, amount, percent, seconds
from lobsim.sweep.cells import unit_of
from lobsim.sweep.files import StudyFile
from lobsim.sweep.plan import BASE
from lobsim.sweep.statistics import Interval
from lobsim.sweep.study import Study
from lobsim.units import NS_PER_S

FRACTIONS = ("fraction", "0 or 1")

_FORMATS = {"fraction": "percent", "0 or 1": "percent", "s": "seconds", "x": "multiple", "money": "short"}
_SHORT = {"fall": "fall", "crashed": "share of runs that crash", "liquidated": "liquidated value"}


def title(outcome: str) -> str:
    """An outcome for people, without its unit: "fall", "lowest trade", "lowest trade, majors"."""
    name, _, group = outcome.partition(".")
    if name == "at" and group in TITLES:
        return f"{TITLES[group]}: after the shock"
    for measures in (INSTRUMENT_MEASURES, GROUP_MEASURES, RUN_MEASURES):
        if name in measures:
            label = _SHORT.get(name, measures[name].title)
            return f"{label}, {group}" if group else label
    return outcome


def shown(value: float | None, outcome: str) -> str:
    """A value of an outcome as people read it; that of a flag is a share."""
    if value is None:
        return NOTHING
    unit = unit_of(outcome)
    if unit == "0 or 1":
        return percent(value, 0)
    if unit in ("fraction", "s", "x", "correlation"):
        return figure(value, unit)
    return amount(round(value) if unit == "money" else value)


def axis_of(outcome: str) -> Axis:
    """An axis for values of an outcome."""
    return Axis("", _FORMATS.get(unit_of(outcome), "number"))


def difference_axis(outcome: str) -> Axis:
    """An axis for differences of an outcome: those of fractions are percentage points."""
    unit = unit_of(outcome)
    return Axis("", "points" if unit in FRACTIONS else _FORMATS.get(unit, "number"))


def change(value: float, outcome: str) -> str:
    """A difference with its sign, fractions in percentage points."""
    unit = unit_of(outcome)
    if unit in FRACTIONS:
        return f"{value * 100:+.1f} pp"
    sign = "+" if value > 0 else ""
    return f"{sign}{seconds(value) if unit == 's' else amount(round(value) if unit == 'money' else value)}"


def difference_text(found: Interval | None, outcome: str) -> str:
    """A difference and its interval: "-12.0 pp (-15.1 pp to -9.0 pp)"."""
    if found is None:
        return NOTHING
    if found.low is None or found.high is None:
        return change(found.value, outcome)
    return f"{change(found.value, outcome)} ({change(found.low, outcome)} to {change(found.high, outcome)})"


def interval_text(found: Interval, outcome: str) -> str:
    """The ends of an interval of values; "" where one run is all there is."""
    if found.low is None or found.high is None:
        return ""
    return f"{shown(found.low, outcome)} to {shown(found.high, outcome)}"


def seeds_text(seeds: Sequence[int]) -> str:
    """Seeds as ``--seeds`` takes them: 1:21 for 1 to 20, a list where there are gaps."""
    parts, first = [], 0
    for place in range(1, len(seeds) + 1):
        if place == len(seeds) or seeds[place] != seeds[place - 1] + 1:
            parts.append(f"{seeds[first]}:{seeds[place - 1] + 1}")
            first = place
    return ",".join(parts)


def command(file: StudyFile, study: Study) -> str:
    """The command that makes this study again, as one types it in a shell."""
    words = ["lobsim", "sweep" if file.ablation is None else "ablate", quote(file.header.file)]
    words += ["--seeds", seeds_text(study.seeds)]
    variants = list(dict.fromkeys(study.variants[label] for label in study.labels))
    if file.ablation is None:
        words += _grid(study, variants)
    else:
        words += ["--variant", quote(variants[0])] if variants[0] else []
        words += ["--mechanisms", quote(",".join(one.name for one in file.ablation.mechanisms))]
        words += ["--outcome", quote(file.ablation.outcome)]
        words += [] if file.ablation.budget is None else ["--budget", str(file.ablation.budget)]
        words += _cross(file)
    if file.header.until_ns is not None:
        words += ["--until", f"{file.header.until_ns / NS_PER_S:.9f}".rstrip("0").rstrip(".") + "s"]
    return " ".join([*words, "--out", quote(str(study.folder))])


def _grid(study: Study, variants: Sequence[str | None]) -> list[str]:
    values: dict[str, dict[str, None]] = {}
    for label in study.labels:
        for key, value in study.settings[label].items():
            values.setdefault(key, {})[value] = None
    words = ["--variant", quote(",".join(one or BASE for one in variants))] if list(variants) != [None] else []
    if prod(len(found) for found in values.values()) * len(variants) != len(study.labels):
        return [*words, "# and the settings below"]  # no grid: made by a script, which a command cannot say
    for key, found in values.items():
        words += ["--set", quote(f"{key}={','.join(found)}")]
    return words


def _cross(file: StudyFile) -> list[str]:
    plan = file.ablation
    if plan is None or plan.cross is None:
        return []
    names = [one.name for one in plan.mechanisms]
    factor, against = ([name for bit, name in enumerate(names) if mask >> bit & 1] for mask in plan.cross)
    return ["--factor", quote(factor[0]), "--against", quote(",".join(against))]
