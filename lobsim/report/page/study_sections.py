"""Sections of a study's page: spreads, crashes, differences, scorecards, settings, which runs there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lobsim.report.explain import medians_section
from lobsim.report.page.chart_frame import Axis
from lobsim.report.page.model import Chart, Choice, Section, Table
from lobsim.report.page.study_charts import band_dots, band_place, chart_height, intervals, spread
from lobsim.report.page.study_words import axis_of, difference_axis, difference_text, interval_text, shown, title
from lobsim.report.wording import NOTHING, percent
from lobsim.sweep.cells import CellSummary, is_flag
from lobsim.sweep.files import StudyFile
from lobsim.sweep.scores import ScoreSummary, score_summaries, score_values
from lobsim.sweep.statistics import share_interval
from lobsim.sweep.study import Study

MOST_CELLS = 60
"""Cells that charts show; tables have all up to `MOST_ROWS`."""

MOST_ROWS = 1000
_MOST_FAILURES = 200
_MOST_CHANGES = 8


def spreads(study: Study, names: Mapping[str, str], rows: dict[str, list[CellSummary]]) -> Section:
    """Every run of every cell, outcome by outcome."""
    drawn = list(names)[:MOST_CELLS]
    options: list[tuple[str, Sequence[Chart | Table]]] = []
    for number, (outcome, cells) in enumerate(rows.items()):
        if is_flag(outcome):
            continue
        groups = [(names[label], study.values(label, outcome)) for label in drawn]
        by_label = {row.label: row for row in cells}
        chart = Chart(
            f"spread-{number}",
            spread(groups, axis_of(outcome), [f"seed {seed}" for seed in study.seeds]),
            chart_height(len(drawn)),
            f"{title(outcome)} of every run, a row per setting",
        )
        table = Table(
            ("", "runs", "least", "lower quartile", "median", "upper quartile", "most", "mean (95 % interval)"),
            [_spread_row(study, by_label[label], name) for label, name in list(names.items())[:MOST_ROWS]],
            sortable=True,
        )
        options.append((_option(outcome), [chart, table]))
    note = _drawn(len(drawn), len(names))
    if len(study.labels) > len(names):
        note += f" Of {len(study.labels)} combinations those with everything on, nothing on and one left out are shown."
    return Section(
        "distributions",
        "How the outcomes are spread",
        "Every dot is a run (one seed); boxes hold the middle half of them, whiskers reach from the least to the most.",
        [Choice("spread-choice", "Outcome", options)] if options else [],
        note.strip(),
    )


def _spread_row(study: Study, row: CellSummary, name: str) -> tuple[str, ...]:
    values = [value for value in study.values(row.label, row.outcome) if value is not None]
    found = row.quartiles
    if found is None:
        return (name, "0", *[NOTHING] * 6)
    five = (min(values), found.low, found.median, found.high, max(values))
    mean = "" if row.mean is None else shown(row.mean.value, row.outcome)
    between = "" if row.mean is None else interval_text(row.mean, row.outcome)
    known = str(row.known) if row.known == row.runs else f"{row.known} of {row.runs}"
    return (
        name,
        known,
        *(shown(value, row.outcome) for value in five),
        f"{mean} ({between})" if between else mean,
    )


def crashes(study: Study, names: Mapping[str, str]) -> Section | None:
    """Shares of runs that crash, with intervals; None where no run says."""
    if "crashed" not in study.outcomes:
        return None
    rows = []
    for label, name in names.items():
        found = share_interval([value for value in study.values(label, "crashed") if value is not None])
        rows.append((name, found))
    drawn = rows[:MOST_CELLS]
    table = Table(
        ("", "crashed", "runs", "share", "95 % interval"),
        [
            (
                label,
                str(round(found.value * found.n)),
                str(found.n),
                percent(found.value),
                interval_text(found, "crashed"),
            )
            if found
            else (label, NOTHING, "0", NOTHING, NOTHING)
            for label, found in rows[:MOST_ROWS]
        ],
        sortable=True,
    )
    option = intervals(drawn, Axis("share of runs", "percent", low=0.0, high=1.0))
    return Section(
        "crash",
        "How likely a crash is",
        "Share of the runs whose median fall is at least one half. The bars are Wilson's 95 % intervals: with few "
        "seeds they are wide.",
        [Chart("crash-chart", option, chart_height(len(drawn)), "Share of runs that crash, with intervals"), table],
        _drawn(len(drawn), len(rows)),
    )


def differences(study: Study, rows: dict[str, list[CellSummary]]) -> Section | None:
    """Each cell against the first one over the same seeds; None for a single cell."""
    if len(study.labels) < 2:
        return None
    first = study.names[study.labels[0]]
    options: list[tuple[str, Sequence[Chart | Table]]] = []
    for number, (outcome, cells) in enumerate(rows.items()):
        found = [(row.name, row.difference) for row in cells[1:]]
        if all(one is None for _, one in found):
            continue
        drawn = found[:MOST_CELLS]
        option = intervals(drawn, difference_axis(outcome), zero=True)
        label = f"Mean difference of the {title(outcome)} to {first}, with intervals"
        table = Table(
            ("", "pairs", "mean difference", "beyond chance"),
            [
                (name, str(one.n), difference_text(one, outcome), "yes" if one.excludes_zero else "")
                if one
                else (name, "0", NOTHING, "")
                for name, one in found[:MOST_ROWS]
            ],
            sortable=True,
        )
        options.append(
            (_option(outcome), [Chart(f"difference-{number}", option, chart_height(len(drawn)), label), table])
        )
    return Section(
        "differences",
        "What each setting changes",
        f"Mean differences to {first} over the same seeds, with 95 % intervals; pale where zero is inside.",
        [Choice("difference-choice", "Outcome", options)] if options else [],
        _drawn(min(MOST_CELLS, len(study.labels) - 1), len(study.labels) - 1),
    )


def scores(study: Study, names: Mapping[str, str]) -> Section:
    """Medians and seeds against the real figures, cell by cell."""
    options: list[tuple[str, Sequence[Chart | Table]]] = []
    for number, label in enumerate(list(names)[:MOST_CELLS]):
        found = score_summaries(study, label)
        if not found:
            continue
        values = score_values(study, label)
        groups = [
            (
                one.score.name,
                [
                    band_place(value, one.score.low, one.score.high)
                    for value in values[one.score.name]
                    if value is not None
                ],
            )
            for one in found
        ]
        reals = [
            None if one.score.real is None else band_place(one.score.real, one.score.low, one.score.high)
            for one in found
        ]
        height = chart_height(len(found), each=30)
        text = "Every seed on the scale of its target's band"
        why_not = found[0].score.no_verdict
        told = "no verdict" if why_not else f"{sum(one.score.inside for one in found)} of {len(found)}"
        options.append(
            (
                f"{names[label]} ({told})",
                [Chart(f"score-{number}", band_dots(groups, reals), height, text), _score_table(found)],
            )
        )
    return Section(
        "scorecard",
        "Against the real event",
        "Each target on its own scale: the stripe is its band, a dot is a seed, the diamond is the real figure; what "
        "stands at the rim lies further out.",
        [Choice("score-choice", "Medians inside their bands:", options)] if options else [],
    )


def _score_table(found: Sequence[ScoreSummary]) -> Table:
    told = medians_section("", found)
    why_not = found[0].score.no_verdict
    return Table(told.header, told.rows, note=f"No verdict: {why_not}." if why_not else "")


def settings(study: Study, file: StudyFile) -> Section | None:
    """What each cell changes in the scenario."""
    if file.ablation is not None or len(study.labels) < 2:
        return None
    rows = []
    shared, names = study.shared_settings, study.names
    unchanged = "nothing else" if shared else "the scenario as its file says"
    for label in study.labels[:MOST_ROWS]:
        changes = {key: value for key, value in file.cells[label].changes.items() if key not in shared}
        rows.append((names[label], study.variants[label] or "", _told(changes) or unchanged))
    if shared:
        rows.append(("all of them", "", _told(shared)))
    table = Table(("", "variant", "differs from the file in"), rows, left=3)
    return Section("settings", "Settings", "What each row changes in the scenario.", [table])


def _told(changes: Mapping[str, str | None]) -> str:
    shown_first = [f"{key} = {'gone' if value is None else value}" for key, value in changes.items()][:_MOST_CHANGES]
    more = len(changes) - len(shown_first)
    return ", ".join(shown_first) + (f" and {more} more" if more else "")


def runs(study: Study) -> Section:
    """How many runs are finished, failed, missing, and why."""
    rows, keys = [], []
    names = study.names
    for label in study.labels[:MOST_ROWS]:
        there = [study.records[label, seed] for seed in study.seeds if (label, seed) in study.records]
        failed = sum(one.status != "done" for one in there)
        seconds = [one.seconds for one in there if one.seconds is not None]
        missing = len(study.seeds) - len(there)
        mean = sum(seconds) / len(seconds) if seconds else None
        rows.append(
            (
                names[label],
                str(len(there) - failed),
                str(failed),
                str(missing),
                NOTHING if mean is None else f"{mean:.1f} s",
            )
        )
        keys.append((None, len(there) - failed, failed, missing, mean))
    parts: list[Table] = [Table(("", "finished", "failed", "missing", "a run took"), rows, sortable=True, keys=keys)]
    failures = list(study.failures.items())
    if failures:
        told = [(names[label], str(seed), why) for (label, seed), why in failures[:_MOST_FAILURES]]
        more = len(failures) - len(told)
        note = f"{more:,} more failed." if more else ""
        parts.append(Table(("", "seed", "why"), told, left=3, title="Runs that failed", note=note))
    return Section("runs", "The runs", "How many runs each setting has; failed ones are tried again next time.", parts)


def _option(outcome: str) -> str:
    return title(outcome) if title(outcome) == outcome else f"{title(outcome)} ({outcome})"


def _drawn(shown_cells: int, cells: int) -> str:
    return f"The pictures show the first {shown_cells} of {cells:,} settings." if shown_cells < cells else ""
