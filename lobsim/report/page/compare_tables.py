"""Where runs part, as text: a headline, milestones, scorecards, falls, outcomes, settings, what cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from lobsim.measure import Score
from lobsim.measure.measures import Figures
from lobsim.measure.milestones import TIE_NS, TITLES, Milestone, chain_order
from lobsim.report.explain import band_text, figure, real_text, size_text
from lobsim.report.page import study_words as words
from lobsim.report.page.model import Table
from lobsim.report.wording import NOTHING, percent, seconds
from lobsim.sweep.cells import unit_of
from lobsim.sweep.comparison import Comparison, OutcomeRow
from lobsim.units import NS_PER_S

SCALES: Mapping[str, tuple[str, float]] = {
    "fall": ("fall", 0.05),
    "end_over_start": ("price at the end", 0.10),
    "liquidated": ("liquidated value", 0.5),
    "adl": ("auto-deleveraged value", 0.5),
    "bad_debt": ("debt that nothing covered", 0.5),
    "forced_share": ("share of forced sales", 0.10),
    "makers_left": ("share of bids that makers left", 0.10),
    "to_low": ("time from 10 % down to the low", 0.5),
    "half_recovery": ("time to make up half of the fall", 0.5),
    "depth_lost": ("share of bids near the price that was lost", 0.10),
}
"""Outcomes that a headline may speak of, by importance: their names, and how far apart two must be to be worth a word:
fractions by so many hundredths, all others by so large a part of the larger one."""

_MOST_REVERSALS = 3
_MOST_SETTINGS = 100
_MOST_NAMES = 6


class Contrast(NamedTuple):
    """An outcome and the two runs (places) that are furthest apart in it. steps: how often its scale lies between."""

    outcome: str
    low: int
    high: int
    low_value: float
    high_value: float
    steps: float


def letters(count: int) -> list[str]:
    """How runs are called in tables: [1], [2], ..."""
    return [f"[{number}]" for number in range(1, count + 1)]


def contrasts(found: Comparison) -> list[Contrast]:
    """Outcomes of `SCALES` that differ, the furthest apart first; amounts only of the same markets in one currency."""
    same_money = len({(run.numeraire, frozenset(run.instruments)) for run in found.runs}) == 1
    rows = {row.outcome: row for row in found.outcomes}
    made = []
    for outcome, (_, scale) in SCALES.items():
        row = rows.get(outcome)
        known = [(value, place) for place, value in enumerate(row.values) if value is not None] if row else []
        if len(known) < 2 or (unit_of(outcome) == "money" and not same_money):
            continue
        (low, low_place), (high, high_place) = min(known), max(known)
        apart = high - low if unit_of(outcome) in words.FRACTIONS else (high - low) / max(abs(low), abs(high), 1e-12)
        if apart > 0:
            made.append(Contrast(outcome, low_place, high_place, low, high, apart / scale))
    return sorted(made, key=lambda one: -one.steps)


def headline(found: Comparison, names: Sequence[str]) -> str:
    """One sentence: what differs most, and by how much."""
    if found.same_run:
        return "The same run, event for event: the digests are equal."
    ranked = contrasts(found)
    if not ranked:
        differ = sum(row.differs for row in found.outcomes)
        if not differ:
            return f"Nothing that is measured differs: all {len(found.outcomes)} figures are the same."
        return "No figure that these runs share differs by much: the tables below have what they do not share."
    first = ranked[0]
    one, other = sorted(((first.low, first.low_value), (first.high, first.high_value)))
    told = ", ".join(f"{shown(value, first.outcome)} in {names[place]}" for place, value in (one, other))
    label = SCALES[first.outcome][0]
    most = "What differs most is" if first.steps >= 1 else "Little differs. The largest difference is"
    sentence = f"{most} the {label}: {told}"
    others = [f"the {SCALES[row.outcome][0]} {_both(row)}" for row in ranked[1:3] if row.steps >= 1]
    return f"{sentence}; then {' and '.join(others)}." if others else f"{sentence}."


def _both(row: Contrast) -> str:
    values = sorted(((row.low, row.low_value), (row.high, row.high_value)))
    return " against ".join(shown(value, row.outcome) for _, value in values)


def shown(value: float | None, outcome: str) -> str:
    """A value of an outcome as people read it."""
    if unit_of(outcome) == "0 or 1" and value is not None:
        return "yes" if value else "no"
    return words.shown(value, outcome)


def not_comparable(studies: Sequence[Figures]) -> list[str]:
    """Sentences on what of these runs must not be compared, and why."""
    marks = letters(len(studies))
    runs = [study.run for study in studies]
    told = [run.status for run in runs if not run.complete]
    looked = [frozenset(study.focus) for study in studies]
    if len(set(looked)) > 1:
        markets = "; ".join(f"{mark} looks at {_some(study.focus)}" for mark, study in zip(marks, studies, strict=True))
        told.append(
            f"These runs look at different instruments ({markets}): prices and depth stand in percent of each run's "
            "own level before the shock, amounts of money are of markets of different size."
        )
    without = [mark for mark, study in zip(marks, studies, strict=True) if study.shock_ns is None]
    if without:
        verb = "has" if len(without) == 1 else "have"
        told.append(
            f"{_and(without)} {verb} no shock: time counts from the beginning of the run, the price from its first "
            "trade, and the usual depth is that of the whole run."
        )
    if len({run.numeraire for run in runs}) > 1:
        held = ", ".join(f"{run.numeraire or 'nothing'} in {mark}" for mark, run in zip(marks, runs, strict=True))
        told.append(f"Amounts of money cannot be compared: they are in {held}.")
    after = {study.run.end_ns - study.from_ns for study in studies}
    if len(after) > 1:
        spans = ", ".join(
            f"{mark} {seconds((study.run.end_ns - study.from_ns) / NS_PER_S)}"
            for mark, study in zip(marks, studies, strict=True)
        )
        told.append(f"The runs last differently long after their shock or beginning ({spans}): totals cover that time.")
    return told


def shocks(studies: Sequence[Figures]) -> bool:
    """Whether any of the runs had a shock."""
    return any(study.shock_ns is not None for study in studies)


def _either(studies: Sequence[Figures], shocked: str, calm: str) -> str:
    """What is true of runs with a shock, of those without one, or both where there are both."""
    if not shocks(studies):
        return calm
    return shocked if all(study.shock_ns is not None for study in studies) else f"{shocked} ({calm} without one)"


def since(studies: Sequence[Figures]) -> str:
    """From when on time counts."""
    return _either(studies, "after the shock", "after the beginning")


def before(studies: Sequence[Figures]) -> str:
    """The price that others are told in percent of."""
    return _either(studies, "price before the shock", "first price")


def usual(studies: Sequence[Figures]) -> str:
    """The time whose median depth is the usual one."""
    return _either(studies, "the ten minutes before the shock", "the whole run")


# --- tables -----------------------------------------------------------------------------------------------------------


def after_shock(study: Figures) -> dict[str, float]:
    """Seconds from the shock (from the beginning without one) to each milestone."""
    return {one.name: (one.time_ns - study.from_ns) / NS_PER_S for one in study.milestones}


def milestone_names(studies: Sequence[Figures]) -> list[str]:
    """Milestones that any of the runs reached, in the published order."""
    reached = {one.name for study in studies for one in study.milestones}
    return [name for name in TITLES if name in reached]


def milestones_table(studies: Sequence[Figures]) -> Table:
    """When each link happened in each run, with the difference called out."""
    marks, times = letters(len(studies)), [after_shock(study) for study in studies]
    rows, keys = [], []
    for name in milestone_names(studies):
        found = [one.get(name) for one in times]
        rows.append((TITLES[name], *(seconds(value) for value in found), _apart(found, marks)))
        known = [value for value in found if value is not None]
        keys.append((None, *found, max(known) - min(known) if len(known) == len(found) else None))
    chains = [(mark, *chain_order(study.milestones)) for mark, study in zip(marks, studies, strict=True)]
    told = [f"{mark} {in_order} of {judged}" for mark, in_order, judged in chains if judged]
    note = (
        f"Steps from a link of the published chain to the next that came in order: {', '.join(told)}. " if told else ""
    )
    note += " ".join(reversals(studies))
    return Table(
        ("", *marks, "difference"), rows, sortable=True, note=note.strip(), title=f"Time {since(studies)}", keys=keys
    )


def sizes_table(studies: Sequence[Figures]) -> Table:
    """How much of each link there was in all."""
    marks = letters(len(studies))
    found: list[dict[str, Milestone]] = [{one.name: one for one in study.milestones} for study in studies]
    rows = [
        (TITLES[name], *(size_text(one[name]) if name in one else NOTHING for one in found))
        for name in milestone_names(studies)
    ]
    return Table(("", *marks), [row for row in rows if any(cell != NOTHING for cell in row[1:])], title="In all")


def reversals(studies: Sequence[Figures]) -> list[str]:
    """Sentences on milestones that came in another order in one run than in another; the clearest first."""
    marks = letters(len(studies))
    times = [after_shock(study) for study in studies]
    tie = TIE_NS / NS_PER_S
    found = []
    for first, then in combinations([name for name in milestone_names(studies) if name != "shock"], 2):
        gaps = [one[then] - one[first] if first in one and then in one else 0.0 for one in times]
        before = [mark for mark, gap in zip(marks, gaps, strict=True) if gap > tie]
        after = [mark for mark, gap in zip(marks, gaps, strict=True) if gap < -tie]
        if before and after:
            clear = min(max(gap for gap in gaps), -min(gap for gap in gaps))
            found.append((-clear, f"{TITLES[first]}: before {TITLES[then]} in {_and(before)}, after in {_and(after)}."))
    found.sort(key=lambda one: one[0])
    told = [f"{text[0].upper()}{text[1:]}" for _, text in found[:_MOST_REVERSALS]]
    return ["Order that differs:", *told] if told else []


def scorecards_table(cards: Sequence[Sequence[Score]]) -> Table | None:
    """Every target of any run, what each run shows, and which of them lie inside; None where no run has targets.

    Runs that get no verdict (`Score.no_verdict`) are neither inside nor outside.
    """
    marks = letters(len(cards))
    found = [{score.name: score for score in card} for card in cards]
    names = dict.fromkeys(name for card in found for name in card)
    if not names:
        return None
    rows = []
    for name in names:
        scores = [card.get(name) for card in found]
        one = next(score for score in scores if score is not None)
        inside = [mark for mark, score in zip(marks, scores, strict=True) if score is not None and score.inside]
        bands = {(score.low, score.high) for score in scores if score is not None}
        judged = sum(score is not None and not score.no_verdict for score in scores)
        rows.append(
            (
                name,
                real_text(one),
                band_text(one) if len(bands) == 1 else "differs",
                *(NOTHING if score is None else figure(score.simulated, score.unit) for score in scores),
                _inside(inside, judged),
            )
        )
    told = []
    counts = [
        f"{mark} {sum(score.inside for score in card)} of {len(card)}"
        for mark, card in zip(marks, cards, strict=True)
        if card and not card[0].no_verdict
    ]
    if counts:
        told.append(f"Inside their bands: {', '.join(counts)}.")
    for mark, card in zip(marks, cards, strict=True):
        if card and card[0].no_verdict:
            told.append(f"No verdict on {mark}: {card[0].no_verdict}.")
    return Table(("", "real", "band", *marks, "inside the band"), rows, note=" ".join(told))


def _inside(inside: Sequence[str], judged: int) -> str:
    if not judged:
        return "no verdict"
    return "all inside" if len(inside) == judged else f"only {_and(inside)} inside" if inside else "none inside"


def falls_table(studies: Sequence[Figures]) -> Table | None:
    """The fall of every instrument in every run, the furthest apart first; None when no run has more than one."""
    marks = letters(len(studies))
    names = dict.fromkeys(name for study in studies for name, path in study.paths.items() if path.fall is not None)
    if len(names) < 2 or all(len(study.paths) < 2 for study in studies):
        return None
    table = []
    for name in names:
        falls = [study.paths[name].fall if name in study.paths else None for study in studies]
        known = [fall for fall in falls if fall is not None]
        apart = max(known) - min(known) if len(known) > 1 else None
        row = (name, *(percent(fall) for fall in falls), NOTHING if apart is None else f"{apart * 100:.1f} pp")
        table.append((row, (None, *falls, apart)))
    table.sort(key=lambda entry: -(entry[1][-1] if entry[1][-1] is not None else -1.0))
    return Table(
        ("", *marks, "apart"),
        [row for row, _ in table],
        sortable=True,
        keys=[keys for _, keys in table],
        title="Fall of every instrument by its lowest trade",
    )


def outcomes_table(found: Comparison) -> Table:
    """Outcomes that differ; those of single instruments stand in `falls_table`."""
    marks = letters(len(found.runs))
    rows = [row for row in found.outcomes if row.differs and not row.outcome.startswith(("fall.", "low."))]
    header = ("", *marks, *(("difference",) if len(marks) == 2 else ()), "key")
    return Table(header, [_outcome(row) for row in rows], note=f"{_same(found)} of {len(found.outcomes)} are the same.")


def settings_table(found: Comparison) -> Table:
    """Keys of the scenarios that are not the same everywhere."""
    marks = letters(len(found.runs))
    rows = [
        (row.key, *(NOTHING if value is None else value for value in row.values))
        for row in found.settings[:_MOST_SETTINGS]
    ]
    more = len(found.settings) - len(rows)
    note = f"{more} more differ: lobsim compare --json has them all." if more else ""
    return Table(("", *marks), rows, left=1 + len(marks), note=note)


def _outcome(row: OutcomeRow) -> tuple[str, ...]:
    cells = [words.title(row.outcome), *(shown(value, row.outcome) for value in row.values)]
    if len(row.values) == 2:
        first, second = row.values
        cells.append("" if first is None or second is None else words.change(second - first, row.outcome))
    return (*cells, row.outcome)


def _apart(found: Sequence[float | None], marks: Sequence[str]) -> str:
    missing = [mark for mark, value in zip(marks, found, strict=True) if value is None]
    if missing:
        return f"never in {_and(missing)}"
    known = [value for value in found if value is not None]
    if len(known) == 2:
        return words.change(known[1] - known[0], "at.") if known[0] != known[1] else "same"
    return f"{seconds(max(known) - min(known))} apart" if max(known) > min(known) else "same"


def _same(found: Comparison) -> int:
    return sum(not row.differs for row in found.outcomes)


def _some(names: Sequence[str]) -> str:
    if not names:
        return "nothing"
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
