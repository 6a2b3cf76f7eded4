"""The page of one run, put together: from the headline down to how to make it again."""

from __future__ import annotations

from collections.abc import Sequence

from lobsim.measure import Run, scorecard
from lobsim.measure.books import changes_kept
from lobsim.measure.measures import Figures
from lobsim.measure.study import Path
from lobsim.report.explain import score_section
from lobsim.report.page import book_picture, prices, series
from lobsim.report.page.headline import headline
from lobsim.report.page.model import Page, Section, Table
from lobsim.report.page.provenance import provenance, scenario_words
from lobsim.report.page.render import render
from lobsim.report.wording import NOTHING, amount, multiple, percent
from lobsim.units import NS_PER_S, format_clock

MAX_NOTES = 1200
"""Characters of a scenario's notes that the page begins with; all of them stand in the scenario at its end."""


def run_page(run: Run) -> str:
    """One self-contained HTML document about a run, finished or not. Same run, same text. Complexity: O(records)."""
    return render(page_of(Figures.of(run)))


def page_of(study: Figures) -> Page:
    """The page as data."""
    run = study.run
    title, notes = scenario_words(run)
    about = notes if len(notes) <= MAX_NOTES else f"{notes[:MAX_NOTES]} ..."
    with changes_kept(run):
        books = [book_picture.section(study), *series.sections(study)]
    sections = [
        prices.section(study),
        *books,
        _scorecard(study),
        _instruments(study),
    ]
    subtitle = f"{run.scenario}, seed {run.seed}, {run.start_utc:%-d %B %Y}"
    return Page(title or run.scenario, subtitle, headline(study)._replace(about=about), sections, provenance(study))


def _scorecard(study: Figures) -> Section:
    scores = scorecard(study)
    if not scores:
        return Section("scorecard", "", "", [])
    found = score_section(scores)
    lead = "Each figure of the real event beside the simulated one, with the band that counts as agreement."
    header = ("figure", *found.header[1:-1], "verdict")
    bad = [place for place, score in enumerate(scores) if score.simulated is not None and not score.inside]
    return Section(
        "scorecard", found.title, lead, [Table(header, found.rows, left=found.left, bad=bad)], short="Scorecard"
    )


def _instruments(study: Figures) -> Section:
    run = study.run
    if not run.instruments:
        return Section("instruments", "", "", [])
    group_of = {name: group for group, members in reversed(run.groups.items()) for name in members}
    rows = [_row(study, path, group_of.get(name, "")) for name, path in study.paths.items()]
    rows.sort(key=lambda row: 2.0 if row[1][1] is None else row[1][1])
    kept = [place for place in range(len(_HEADER)) if any(text not in ("", NOTHING) for text in _column(rows, place))]
    told = {"traded": f"in {run.numeraire or 'quote currency'}, over the whole run", **_TOLD}
    table = Table(
        [_HEADER[place] for place in kept],
        [[texts[place] for place in kept] for texts, _ in rows],
        left=1,
        sortable=True,
        keys=[[keys[place] for place in kept] for _, keys in rows],
        note=" ".join(f"{name.capitalize()}: {told[name]}." for name in _named(kept) if name in told),
    )
    return Section("instruments", "Instruments", "Click a column's name to sort by it.", [table])


_HEADER = (
    *("instrument", "fall", "before", "low", "low at", "end over start", "traded", "bids left", "move per million"),
    *("group", "kind", "venue"),
)
_TOLD = {
    "bids left": "displayed bids within 1 % of the best one in the worst minute, of their median in the ten minutes "
    "before the shock",
    "move per million": "of the worst minute, as a multiple of the calm median",
}


def _named(places: Sequence[int]) -> list[str]:
    return [_HEADER[place] for place in places]


def _column(rows: Sequence[tuple[list[str], list[float | None]]], place: int) -> list[str]:
    return [texts[place] for texts, _ in rows]


def _row(study: Figures, path: Path, group: str) -> tuple[list[str], list[float | None]]:
    one, run = path.instrument, study.run
    lost, (_, ratio) = study.depth_lost[one.name], study.impact[one.name]
    traded = study.turnover(one.name)
    fall, end = path.fall, path.end_over_start

    def price(ticks: int | None) -> str:
        return NOTHING if ticks is None else one.tick.text(ticks)

    def at(time_ns: int | None) -> str:
        return NOTHING if time_ns is None else format_clock(time_ns // NS_PER_S * NS_PER_S, run.start_ns_of_day)[:8]

    left = None if lost is None or study.shock_ns is None else 1 - lost
    texts = [
        *(one.name, percent(fall), price(path.reference), price(path.low), at(path.low_trade_ns), percent(end)),
        *(amount(round(traded)), percent(left, 2), multiple(ratio), group, one.kind, one.venue),
    ]
    keys = [
        *(None, None if fall is None else -fall, path.price(path.reference), path.price(path.low), path.low_trade_ns),
        *(end, traded, left, ratio, None, None, None),
    ]
    return texts, [None if key is None else float(key) for key in keys]
