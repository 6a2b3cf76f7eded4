"""A study held against real figures: each target's median over seeds, and how many seeds lie inside its band."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import NamedTuple

from lobsim.measure.scorecard import Score, Target
from lobsim.sweep.study import Study


class ScoreSummary(NamedTuple):
    """One target of a cell. score: that of the median; inside, known, runs: numbers of seeds."""

    score: Score
    inside: int
    known: int
    runs: int


def score_summaries(study: Study, label: str) -> list[ScoreSummary]:
    """The targets of a cell's scenario in their order; [] where it names none. O(runs * targets)."""
    found = [study.records.get((label, seed)) for seed in study.seeds]
    cards = [one.scores for one in found if one is not None and one.scores]
    names = dict.fromkeys(name for card in cards for name in card)
    return [_summary(name, [card[name] for card in cards if name in card]) for name in names]


def score_values(study: Study, label: str) -> dict[str, list[float | None]]:
    """What each seed of a cell shows for each target, in the order of the seeds; None where a run has no figure."""
    found = [study.records.get((label, seed)) for seed in study.seeds]
    cards = [{} if one is None else one.scores for one in found]
    names = dict.fromkeys(name for card in cards for name in card)
    return {name: [_number(card.get(name, {}), "simulated") for card in cards] for name in names}


def _number(row: Mapping[str, float | str | None], key: str) -> float | None:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else None


def _summary(name: str, rows: list[dict[str, float | str | None]]) -> ScoreSummary:
    target = _target(name, rows[0])
    values = [value for row in rows if (value := _number(row, "simulated")) is not None]
    middle = median(values) if values else None
    inside, no_verdict = _inside(middle, target), str(rows[0].get("no_verdict") or "")
    score = Score(name, middle, target.real, target.low, target.high, inside, target.unit, target, no_verdict)
    return ScoreSummary(score, sum(_inside(value, target) for value in values), len(values), len(rows))


def _target(name: str, row: dict[str, float | str | None]) -> Target:
    low, high, real = (_number(row, key) for key in ("low", "high", "real"))
    return Target(
        name,
        "",
        low=low,
        high=high,
        real=real,
        real_low=_number(row, "real_low"),
        real_high=_number(row, "real_high"),
        unit=str(row.get("unit") or ""),
    )


def _inside(value: float | None, target: Target) -> bool:
    if value is None:
        return False
    return (target.low is None or value >= target.low) and (target.high is None or value <= target.high)
