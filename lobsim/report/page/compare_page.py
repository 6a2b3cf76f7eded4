"""The page of `lobsim compare --html`: runs side by side on the same axes, and what differs between them."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from lobsim.measure import Run, scorecard
from lobsim.measure.ladders import KINDS
from lobsim.measure.measures import Figures
from lobsim.measure.milestones import TITLES
from lobsim.measure.study import Study
from lobsim.records import SCENARIO
from lobsim.report.page import compare_tables as tables
from lobsim.report.page.chart_frame import Axis
from lobsim.report.page.compare_series import (
    Line,
    bid_depth,
    depth_step,
    focus_average,
    focus_price,
    lines_of,
    liquidated,
    maker_margin,
    stablecoin_price,
    thinned,
)
from lobsim.report.page.model import BigFigure, Chart, Choice, Headline, Page, Provenance, Section, Table
from lobsim.report.page.provenance import remake
from lobsim.report.page.render import render
from lobsim.report.page.study_charts import Span, aligned_lines, chart_height, events
from lobsim.report.wording import NOTHING
from lobsim.report.wording import span as duration
from lobsim.sweep.comparison import Comparison, compare
from lobsim.units import NS_PER_S

MOST_POINTS = 60_000
"""Points of one chart, all its lines together; more are thinned out."""

_FEW = 4
_NEAR = (-120.0, 1200.0)
_LETTERS = (
    "The first command makes this page, the others make the runs again, beside those that were compared. "
    "lobsim compare numbers the runs as they were given."
)


def compare_html(runs: Sequence[Run | Study]) -> str:
    """The page as HTML (of a study, what is measured already is not measured again).

    Raises `InputError` for fewer than two runs or too many, `RunError` for a damaged one.
    """
    return render(compare_page(runs))


def compare_page(opened: Sequence[Run | Study]) -> Page:
    """Everything that the page shows. Complexity: that of measuring each run, and of its depth over time."""
    studies = [Figures.of(one) for one in opened]
    runs = [study.run for study in studies]
    found = compare(studies)
    names = run_names(runs)
    span = Span.of(
        min(-study.from_ns for study in studies) / NS_PER_S,
        max(study.run.end_ns - study.from_ns for study in studies) / NS_PER_S,
    )
    unfinished = [run.status for run in runs if not run.complete]
    sections = [
        _runs(studies, names),
        _prices(studies, names, span),
        _milestones(studies, names, span),
        _depth(studies, names, span),
        _liquidations(studies, names, span),
        _single(studies, names, span),
        _scorecards(studies),
        _outcomes(found),
        _settings(found),
    ]
    shown = [section for section in sections if section is not None and section.parts]
    return Page(
        title=f"{len(runs)} runs compared",
        subtitle=_subtitle(found, names),
        headline=Headline(tables.headline(found, names), _figures(found, names), " ".join(unfinished)),
        sections=shown,
        provenance=_provenance(found),
    )


def run_names(runs: Sequence[Run]) -> list[str]:
    """How the page calls each run: its number and its scenario, or its folder where scenarios are the same."""
    scenarios = [run.scenario for run in runs]
    short = scenarios if len(set(scenarios)) == len(runs) else [run.path.name or run.scenario for run in runs]
    return [f"{mark} {name}" for mark, name in zip(tables.letters(len(runs)), short, strict=True)]


def _subtitle(found: Comparison, names: Sequence[str]) -> str:
    told = " against ".join(names) if len(names) <= _FEW else ", ".join(names)
    if not 0 < len(found.settings) <= _FEW:
        return told
    differ = [f"{row.key} ({' against '.join(value or NOTHING for value in row.values)})" for row in found.settings]
    return f"{told}; what was set differently: {', '.join(differ)}"


def _figures(found: Comparison, names: Sequence[str]) -> list[BigFigure]:
    fall = next((row.values for row in found.outcomes if row.outcome == "fall"), ())
    if len(names) > _FEW or all(value is None for value in fall):
        return []
    extra = {row.outcome: row.values for row in found.outcomes if row.outcome in ("liquidated", "half_recovery")}
    figures = []
    for place, (name, value) in enumerate(zip(names, fall, strict=True)):
        told = []
        if extra.get("liquidated", ())[place]:
            told.append(f"liquidated {tables.shown(extra['liquidated'][place], 'liquidated')}")
        if extra.get("half_recovery", ())[place] is not None:
            told.append(f"half made up after {tables.shown(extra['half_recovery'][place], 'half_recovery')}")
        figures.append(BigFigure(tables.shown(value, "fall"), f"{name} fell", ", ".join(told)))
    return figures


# --- sections ---------------------------------------------------------------------------------------------------------


def _runs(studies: Sequence[Figures], names: Sequence[str]) -> Section:
    rows = [
        (
            name,
            study.run.scenario,
            str(study.run.seed),
            f"{len(study.run.instruments)}",
            _duration(study.run.end_ns),
            _duration(study.shock_ns) if study.shock_ns is not None else "no shock",
        )
        for name, study in zip(names, studies, strict=True)
    ]
    warnings = tables.not_comparable(studies)
    header = ("", "scenario", "seed", "books", "length", "shock after")
    return Section(
        "runs",
        "What is compared",
        "All pictures count time from the shock of each run, so that the runs lie on each other."
        if any(study.shock_ns is not None for study in studies)
        else "All pictures count time from the beginning of each run.",
        [Table(header, rows, left=2)],
        " ".join(warnings),
        "Runs",
    )


def _prices(studies: Sequence[Figures], names: Sequence[str], span: Span) -> Section:
    axis = Axis("% of the price before" if tables.shocks(studies) else "% of the first price", "number")
    options = []
    for slug, label, of in (
        ("prices", "average of the last 60 s", focus_average),
        ("prices-last", "last price of every second", focus_price),
    ):
        lines = lines_of(studies, of)
        if not all(line.empty for line in lines):
            chart = _chart(slug, names, lines, span, axis, zoom=True)
            options.append((label, [chart._replace(label=f"Median price of each run, {label}")]))
    parts: list[Chart | Table | Choice] = [Choice("price-choice", "Show", options)] if options else []
    falls = tables.falls_table(studies)
    if falls is not None:
        parts.append(falls)
    return Section(
        "price",
        "Prices",
        f"The median instrument of the focus group, in percent of its {tables.before(studies)}.",
        parts,
    )


def _milestones(studies: Sequence[Figures], names: Sequence[str], span: Span) -> Section:
    rows = tables.milestone_names(studies)
    if not rows:
        return Section("milestones", "Milestones", "", [])
    times = [tables.after_shock(study) for study in studies]
    chart = events([TITLES[name] for name in rows], names, [[one.get(name) for one in times] for name in rows], span)
    label = f"When each milestone was reached, in seconds {tables.since(studies)}, a dot per run"
    return Section(
        "milestones",
        "What happened when",
        "Each link of the chain, at the moment when a tenth of it had happened; where dots lie apart, runs differ.",
        [
            Chart("milestones-chart", chart, chart_height(len(rows), each=40), label),
            tables.milestones_table(studies),
            tables.sizes_table(studies),
        ],
        short="Milestones",
    )


def _depth(studies: Sequence[Figures], names: Sequence[str], span: Span) -> Section:
    both = [bid_depth(study) for study in studies]
    shares, amounts = [one for one, _ in both], [one for _, one in both]
    steps = sorted({depth_step(study.seconds) for study in studies})
    options = []
    if not all(line.empty for line in shares):
        chart = _chart("depth-share", names, shares, span, Axis("% of the usual", "number", low=0))
        options.append(("in percent of the usual (median market)", [chart._replace(label="Bids left, in percent")]))
    if not all(line.empty for line in amounts):
        currency = _currency(studies)
        chart = _chart("depth-money", names, amounts, span, Axis(currency, "short", low=0))
        options.append((f"all together{f', {currency}' if currency else ''}", [chart._replace(label="Bids in money")]))
    every = " or ".join(str(step) for step in steps)
    return Section(
        "depth",
        "What stood in the book",
        "Bids within 1 % of the mid price: where a line touches the floor, nobody near was left to buy.",
        [Choice("depth-choice", "Show", options)] if options else [],
        f"Looked at every {every} s; the usual is the median of {tables.usual(studies)}.",
        "Depth",
    )


def _liquidations(studies: Sequence[Figures], names: Sequence[str], span: Span) -> Section:
    currency = _currency(studies)
    options = []
    for label, kinds in {"all kinds": sum(KINDS.values(), ()), **KINDS}.items():
        lines = [liquidated(study, kinds) for study in studies]
        if not all(line.empty for line in lines):
            slug = f"liquidated-{label.replace(' ', '-')}"
            chart = _chart(slug, names, lines, span, Axis(f"{currency} so far".strip(), "short", low=0))
            options.append((label, [chart._replace(label=f"Liquidated so far: {label}")]))
    return Section(
        "liquidations",
        "Who was sold out",
        "Value of liquidations so far. A steep step is a wave; where lines part, one run's cascade goes on alone.",
        [Choice("liquidated-choice", "Liquidated:", options)] if options else [],
        _without(names, lines_of(studies, liquidated), "no liquidations"),
        "Liquidations",
    )


def _single(studies: Sequence[Figures], names: Sequence[str], span: Span) -> Section:
    coins, margins = lines_of(studies, stablecoin_price), lines_of(studies, maker_margin)
    parts: list[Chart | Table] = []
    if not all(line.empty for line in coins):
        chart = _chart("stablecoin", names, coins, span, Axis("price", "price"), reference=[("par", 1.0)])
        parts.append(chart._replace(title="The stablecoin on the exchange", label="Price of the stablecoin"))
    if not all(line.empty for line in margins):
        chart = _chart(
            "margin", names, margins, span, Axis("margin level", "multiple", log=True), reference=[("liquidated", 1.0)]
        )
        parts.append(
            chart._replace(
                title="Margin of the market makers (median of those that owe and are not taken over)",
                label="Median margin level of the market makers",
            )
        )
    notes = [
        _without(names, coins, "no stablecoin"),
        _without(names, margins, "no makers that owe anything"),
    ]
    coin, margin = (not all(line.empty for line in lines) for lines in (coins, margins))
    said = ["what the stablecoin was worth"] * coin
    said += ["how far the makers' collateral was above what they must hold"] * margin
    lead = ", and ".join(said)
    return Section(
        "margin-and-peg",
        "Peg and margin" if coin and margin else "Margin" if margin else "Peg",
        f"{lead[:1].upper()}{lead[1:]}.",
        parts,
        " ".join(note for note in notes if note),
    )


def _scorecards(studies: Sequence[Figures]) -> Section:
    table = tables.scorecards_table([scorecard(study) for study in studies])
    lead = "Each run against the figures of the real event; runs without targets have no entry."
    return Section("scorecards", "Against the real event", lead, [] if table is None else [table], short="Scorecard")


def _outcomes(found: Comparison) -> Section:
    table = tables.outcomes_table(found)
    lead = "Every figure that differs, with the key by which sweeps and ablations know it."
    return Section("outcomes", "Figures that differ", lead, [table] if table.rows else [], short="Outcomes")


def _settings(found: Comparison) -> Section:
    table = tables.settings_table(found)
    if not table.rows:
        same = Table(("",), [("The scenarios and the seeds are the same.",)])
        return Section("settings", "Settings that differ", "", [same], short="Settings")
    count = len(found.settings)
    lead = f"{count} key{'s of' if count > 1 else ' of'} the resolved scenarios {'differ' if count > 1 else 'differs'}."
    return Section("settings", "Settings that differ", lead, [table], short="Settings")


def _provenance(found: Comparison) -> Provenance:
    folders = " ".join(quote(str(run.path)) for run in found.runs)
    facts = []
    for mark, run in zip(tables.letters(len(found.runs)), found.runs, strict=True):
        versions = run.manifest.get("versions")
        version = versions.get("lobsim", "") if isinstance(versions, dict) else ""
        facts += [
            (f"{mark} folder", str(run.path)),
            (f"{mark} digest", run.digest or "none: the run is unfinished"),
            (f"{mark} made by", f"lobsim {version}, {run.scenario}, seed {run.seed}"),
        ]
    again = []
    for run in found.runs:
        command, _ = remake(run, otherwise=str(run.path / SCENARIO))
        again.append(f"{command} --out {quote(f'{run.path}-again')}")
    return Provenance(facts, [f"lobsim compare {folders} --html compare.html", *again], note=_LETTERS)


# --- small things -----------------------------------------------------------------------------------------------------


def _chart(
    slug: str,
    names: Sequence[str],
    lines: Sequence[Line],
    span: Span,
    axis: Axis,
    *,
    zoom: bool = False,
    reference: Sequence[tuple[str, float]] = (),
) -> Chart:
    kept, _ = thinned(lines, MOST_POINTS)
    low, high = span.low * span.unit, span.high * span.unit
    ranges = [("The crash", *_NEAR), ("Whole run", low, high)] if zoom and low < 0 and high > 2 * _NEAR[1] else []
    option = aligned_lines(names, kept, span, axis, zoom=zoom, ranges=ranges, reference=reference)
    option["xAxis"] |= {"name": span.name, "nameLocation": "middle", "nameGap": 26}
    option["grid"]["bottom"] = 74 if zoom else 30
    return Chart(slug, option, 380 if zoom else 300)


def _without(names: Sequence[str], lines: Sequence[Line], what: str) -> str:
    """Which runs have nothing in a chart that others have something in."""
    missing = [name for name, line in zip(names, lines, strict=True) if line.empty]
    return f"{', '.join(missing)}: {what}." if missing and len(missing) < len(lines) else ""


def _currency(studies: Sequence[Figures]) -> str:
    """The numeraire where all runs have the same one."""
    held = {study.run.numeraire for study in studies}
    return held.pop() if len(held) == 1 else ""


def _duration(ns: int) -> str:
    return duration(ns) if ns else NOTHING
