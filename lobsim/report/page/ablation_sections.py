"""What an ablation says, as pictures: effects, shares that sum to the fall, interactions, a two by two table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lobsim.report.page.category_charts import heat, waterfall
from lobsim.report.page.chart_frame import Axis
from lobsim.report.page.model import Chart, Choice, Section, Table
from lobsim.report.page.study_charts import chart_height, intervals
from lobsim.report.page.study_words import (
    axis_of,
    change,
    difference_axis,
    difference_text,
    interval_text,
    shown,
    title,
)
from lobsim.report.wording import NOTHING, percent
from lobsim.sweep.cells import is_flag
from lobsim.sweep.effects import Ablation, Level, Pair, TwoByTwo
from lobsim.sweep.files import AblationEntry
from lobsim.sweep.statistics import Interval
from lobsim.sweep.study import Study

SHOCK = "the shock alone"
EVERYTHING = "everything on"

Parts = Sequence[Chart | Table]


def shown_labels(entry: AblationEntry, study: Study) -> dict[str, str]:
    """Combinations whose spread is worth a row, by label, and their short names.

    These are everything on, each mechanism off alone, nothing on, and the cells of a two by two table.
    """
    count = len(entry.mechanisms)
    everything = (1 << count) - 1
    masks = [everything, *(everything ^ 1 << one for one in range(count)), 0]
    if entry.cross is not None:
        factor, against = entry.cross
        rest = everything & ~(factor | against)
        masks += [rest | factor, rest | against, rest]
    labels = {entry.labels[key]: mask for mask in dict.fromkeys(masks) if (key := str(mask)) in entry.labels}
    special = {everything: EVERYTHING, 0: SHOCK}
    return {label: special.get(mask, label) for label, mask in labels.items() if label in study.labels}


def effect_sentence(found: Ablation) -> str:
    """The headline: what matters most, and what the shock does alone."""
    name = title(found.outcome)
    whole = shown(found.everything.mean.value, found.outcome)
    alone = "" if found.shock is None else f"; the shock alone: {shown(found.shock.mean.value, found.outcome)}"
    start = f"With everything on the {name} is {whole}{alone}"
    if not found.singles:
        return f"{start}."
    clear = [one for one in found.singles if one.lost.excludes_zero]
    if not clear:
        return f"{start}. No mechanism alone, left out, changes it beyond what chance explains."
    most = max(clear, key=lambda one: abs(one.lost.value))
    by = most.lost._replace(value=-most.lost.value, low=_minus(most.lost.high), high=_minus(most.lost.low))
    unclear = max((abs(one.lost.value) for one in found.singles if one not in clear), default=0.0)
    word = "changes it most" if abs(most.lost.value) >= unclear else "changes it most of what is clear beyond chance"
    return f"{start}. Leaving out {most.level.off[0]} {word}, by {difference_text(by, found.outcome)}."


def ablation_sections(ablations: Sequence[Ablation], entry: AblationEntry | None) -> list[Section]:
    """All sections of an ablation, one choice of outcome in each; [] for a study that is none."""
    if entry is None or not ablations:
        return []
    titles = {one.name: one.title for one in entry.mechanisms}
    first = ablations[0]
    dropped = ""
    if first.dropped:
        dropped = (
            f"{len(first.dropped)} seeds are left out: some of their runs are missing, failed or have no such figure."
        )
    sections = [
        Section(
            "shares",
            "What makes up the whole",
            "From the shock alone to everything on: each mechanism's Shapley share, averaged over the orders in which "
            "they could be switched on. The bars sum to the last one.",
            _choice("share", ablations, lambda number, one: _shares(number, one, titles)),
            f"Shares: {first.method}. {dropped}".strip() if first.method else dropped,
        ),
        Section(
            "effects",
            "What is missing without each mechanism",
            f"Each mechanism left out alone, over the same {len(first.seeds)} seeds: by how much less there is than "
            "with everything on, with 95 % intervals; pale where the interval contains zero.",
            _choice("effect", ablations, _effects),
            dropped,
        ),
        Section(
            "pairs",
            "What two do together",
            "Interactions: how much more two mechanisms do together than each without the other.",
            _choice("pair", ablations, _pairs),
        ),
        Section(
            "two-by-two",
            "One against others",
            "One mechanism, several others together, both, neither; what belongs to none of them stays on.",
            _choice("cross", ablations, _cross),
        ),
    ]
    mechanisms = Table(
        ("", "", "left out by"),
        [
            (one.name, one.title, ", ".join(f"{key} = {value}" for key, value in one.off.items()))
            for one in entry.mechanisms
        ],
        left=3,
    )
    about = Section(
        "mechanisms", "The mechanisms", "What each one is, and the settings that leave it out.", [mechanisms]
    )
    return [*(section for section in sections if section.parts), about]


def _choice(slug: str, ablations: Sequence[Ablation], parts_of: object) -> list[Choice]:
    assert callable(parts_of)
    options: list[tuple[str, Parts]] = []
    for number, one in enumerate(ablations):
        parts = parts_of(number, one)
        if parts:
            options.append((title(one.outcome), parts))
    return [Choice(f"{slug}-choice", "Of the", options)] if options else []


def _shares(number: int, found: Ablation, titles: Mapping[str, str]) -> Parts:
    if not found.shares or found.shock is None:
        return []
    key = found.outcome
    ranked = sorted(found.shares, key=lambda one: -one.share.value)
    steps = [(SHOCK, found.shock.mean.value), *((one.name, one.share.value) for one in ranked)]
    option = waterfall(steps, axis_of(key), total=EVERYTHING)
    label = f"Shapley shares of the {title(key)}, from the shock alone to everything on"
    whole = found.everything.mean.value
    rows = [
        (
            SHOCK,
            "",
            shown(found.shock.mean.value, key),
            interval_text(found.shock.mean, key),
            _part(found.shock.mean.value, whole),
        ),
        *(
            (
                one.name,
                titles.get(one.name, ""),
                change(one.share.value, key),
                _ends(one.share, key),
                NOTHING if one.of_whole is None else percent(one.of_whole),
            )
            for one in ranked
        ),
        (
            EVERYTHING,
            "",
            shown(whole, key),
            interval_text(found.everything.mean, key),
            percent(1.0) if whole else NOTHING,
        ),
    ]
    table = Table(("", "", "share", "95 % interval", "of the whole"), rows, left=2)
    return [Chart(f"share-{number}", option, chart_height(len(rows)), label), table]


def _effects(number: int, found: Ablation) -> Parts:
    if not found.singles:
        return []
    key = found.outcome
    ranked = sorted(found.singles, key=lambda one: -one.lost.value)
    option = intervals([(one.level.off[0], one.lost) for one in ranked], difference_axis(key), zero=True)
    label = f"By how much the {title(key)} is less without each mechanism, with intervals"
    rows = [(EVERYTHING, "", *_level(found.everything, key))]
    rows += [(f"without {one.level.off[0]}", difference_text(one.lost, key), *_level(one.level, key)) for one in ranked]
    if found.shock is not None:
        rows.append((SHOCK, "", *_level(found.shock, key)))
    table = Table(("", "less by (95 % interval)", "mean", "median (quartiles)", "crashed"), rows)
    return [Chart(f"effect-{number}", option, chart_height(len(ranked)), label), table]


def _pairs(number: int, found: Ablation) -> Parts:
    if not found.pairs:
        return []
    key = found.outcome
    names = list(dict.fromkeys(name for pair in found.pairs for name in pair.effect.level.off))
    value = {pair.effect.level.off: pair.interaction.value for pair in found.pairs}
    grid = [[value.get((row, column)) for column in names[1:]] for row in names[:-1]]
    most = max((abs(one) for one in value.values()), default=0.0) or 1.0
    axis = Axis("", difference_axis(key).format, low=-most, high=most)
    ranked = sorted(found.pairs, key=lambda pair: -abs(pair.interaction.value))
    table = Table(
        ("left out together", "mean", "less by (95 % interval)", "interaction (95 % interval)", "beyond chance"),
        [_pair(pair, key) for pair in ranked],
    )
    label = f"Interactions of two mechanisms in the {title(key)}"
    return [
        Chart(f"pair-{number}", heat(names[1:], names[:-1], grid, axis), chart_height(len(names)) + 60, label),
        table,
    ]


def _pair(pair: Pair, key: str) -> tuple[str, ...]:
    return (
        " + ".join(pair.effect.level.off),
        shown(pair.effect.level.mean.value, key),
        difference_text(pair.effect.lost, key),
        difference_text(pair.interaction, key),
        "yes" if pair.interaction.excludes_zero else "",
    )


def _cross(number: int, found: Ablation) -> Parts:
    cross = found.cross
    if cross is None:
        return []
    key, others = found.outcome, " + ".join(cross.against)
    effects = (
        (f"{cross.factor} adds alone", cross.factor_alone),
        (f"{others} alone", cross.against_alone),
        ("both together", cross.joint),
        ("more than the sum", cross.interaction),
    )
    option = intervals(effects, difference_axis(key), zero=True)
    label = f"What {cross.factor} and the others add to the {title(key)}"
    table = Table(("", "mean", "median (quartiles)", "crashed"), _cross_levels(cross, others, key))
    added = Table(("", "adds (95 % interval)"), [(name, difference_text(one, key)) for name, one in effects])
    return [Chart(f"cross-{number}", option, chart_height(len(effects)), label), table, added]


def _cross_levels(cross: TwoByTwo, others: str, key: str) -> list[tuple[str, ...]]:
    levels = (
        ("both", cross.both),
        (f"{cross.factor} only", cross.factor_only),
        (f"{others} only", cross.against_only),
        ("neither", cross.neither),
    )
    return [(name, *_level(level, key)) for name, level in levels]


def _level(level: Level, key: str) -> tuple[str, str, str]:
    found = level.quartiles
    low, middle, high = (shown(value, key) for value in (found.low, found.median, found.high))
    spread = NOTHING if is_flag(key) else middle if low == high else f"{middle} ({low} to {high})"
    crashed = NOTHING if level.crashed is None else percent(level.crashed.value, 0)
    return shown(level.mean.value, key), spread, crashed


def _ends(found: Interval, key: str) -> str:
    return "" if found.low is None or found.high is None else f"{change(found.low, key)} to {change(found.high, key)}"


def _part(value: float, whole: float) -> str:
    return percent(value / whole) if whole else NOTHING


def _minus(value: float | None) -> float | None:
    return None if value is None else -value
