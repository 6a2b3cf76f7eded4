"""What happened in a run, in order, and what caused how much: the text of `lobsim explain` and the scorecard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from lobsim.measure import ladders
from lobsim.measure.attribution import attribution
from lobsim.measure.flows import sold_by_purpose
from lobsim.measure.measures import Figures
from lobsim.measure.milestones import CHAIN, TIE_NS, TITLES, Milestone, chain_order
from lobsim.measure.scorecard import Score
from lobsim.report import groups
from lobsim.report.section import NO_SECTION, Section
from lobsim.report.wording import NOTHING, amount, multiple, percent, seconds, span
from lobsim.units import NS_PER_S, format_clock, parse_duration

if TYPE_CHECKING:
    from lobsim.sweep.scores import ScoreSummary

_STEPS = ("1s", "5s", "10s", "30s", "1m", "5m", "15m", "1h", "1d")
_MOST_STEPS = 24
_MOST_NAMES = 12


def explanation(study: Figures) -> list[Section]:
    """All sections that have something to say, in reading order."""
    found = [
        chain(study),
        groups.prices(study),
        groups.liquidity(study),
        groups.pushers(study),
        ladder(study),
        bankrupt(study),
        insurance(study),
    ]
    return [section for section in found if section.rows]


def explained(study: Figures) -> dict[str, Any]:
    """The same as plain data for JSON: exact fractions as floats, times in nanoseconds since the run's start."""
    found = attribution(study)
    in_order, judged = chain_order(study.milestones)
    step_ns = _step(study)
    return {
        "milestones": milestone_rows(study.milestones),
        "links_in_order": in_order,
        "links_judged": judged,
        "attribution": {
            "instruments": list(found.instruments),
            "fall": float(found.fall),
            "new_lows": {purpose: float(share) for purpose, share in found.new_lows.items()},
            "moves": {purpose: float(share) for purpose, share in found.moves.items()},
        },
        "sold": {purpose.name: value for purpose, value in sold_by_purpose(study).items()},
        "liquidations": {
            "step_ns": step_ns,
            "rows": [] if step_ns is None else ladders.ladder(study, step_ns).to_dicts(),
        },
        "bankrupt": ladders.bankruptcies(study).to_dicts(),
    }


def milestone_rows(found: Sequence[Milestone]) -> list[dict[str, Any]]:
    """Milestones as plain data."""
    return [milestone._asdict() for milestone in found]


def score_rows(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """A scorecard as plain data."""
    keys = ("name", "simulated", "real", "low", "high", "inside", "unit")
    rows = [{key: getattr(score, key) for key in keys} for score in scores]
    for row, score in zip(rows, scores, strict=True):
        if score.no_verdict:
            row |= {"inside": None, "no_verdict": score.no_verdict}
    return rows


def chain(study: Figures) -> Section:
    """The milestones in the order in which they came, those of the published chain numbered."""
    number = {name: str(place) for place, name in enumerate(CHAIN, start=1)}
    rows = [
        (
            _clock(study, one.time_ns),
            _after(study, one.time_ns),
            number.get(one.name, ""),
            TITLES[one.name],
            size_text(one),
        )
        for one in study.milestones
    ]
    in_order, judged = chain_order(study.milestones)
    ties = f"ties within {TIE_NS // NS_PER_S} s count"
    note = f"{in_order} of the {judged} steps from one number to the next came in order ({ties})." if judged else ""
    title = "What happened, and when a tenth of it had"
    return Section(
        title,
        ("", f"after the {'shock' if study.shock_ns is not None else 'start'}", "link", "", "in all"),
        rows,
        left=4,
        note=note,
    )


def ladder(study: Figures) -> Section:
    """Liquidated value by kind over time."""
    step_ns = _step(study)
    if step_ns is None:
        return NO_SECTION
    table = ladders.ladder(study, step_ns).pivot(on="what", index="begin_ns", values="value").sort("begin_ns")
    kinds = [kind for kind in ladders.KINDS if kind in table.columns]
    everything = float(table.select(pl.sum_horizontal(kinds).sum()).item())
    rows, so_far = [], 0.0
    for row in table.iter_rows(named=True):
        values = [row[kind] or 0.0 for kind in kinds]
        so_far += sum(values)
        rows.append(
            (
                _clock(study, row["begin_ns"]),
                *(amount(round(value)) if value else NOTHING for value in values),
                amount(round(sum(values))),
                percent(so_far / everything if everything else None),
            )
        )
    title = f"Liquidations every {span(step_ns)}, {study.run.numeraire}"
    return Section(title, ("from", *kinds, "together", "so far"), rows)


def bankrupt(study: Figures) -> Section:
    """Who could not pay, the largest first."""
    found = ladders.bankruptcies(study)
    shown = found.head(_MOST_NAMES)
    rows = [
        (name, kind, _clock(study, when), amount(round(paid)) if paid else NOTHING, amount(round(unpaid)))
        for name, kind, when, paid, unpaid in shown.select(
            "account", "what", "time_ns", "insured", "uncovered"
        ).iter_rows()
    ]
    more = found.height - shown.height
    title = f"Who went bankrupt{f' (the {shown.height} largest; {more:,} more)' if more else ''}"
    header = ("", "", "when", "paid by insurance", f"never paid, {study.run.numeraire}")
    return Section(title, header, rows, left=2)


def insurance(study: Figures) -> Section:
    """Insurance funds, auto-deleveraging, open interest."""
    rows = []
    for kind, label in (("insurance_fund", "insurance funds of contracts"), ("open_interest", "open interest")):
        stock = ladders.stock(study, kind)
        if stock is not None:
            start, end = stock
            moved = f"{'+' if end >= start else ''}{percent(end / start - 1)}" if start else NOTHING
            rows.append((label, f"{amount(round(start))} to {amount(round(end))}", moved))
    adl = study.events(("adl",))
    if adl.height:
        worth = ladders.total(study, ("adl",))
        rows.append(("auto-deleveraged", f"{amount(round(worth))}, {adl['account_id'].n_unique():,} accounts", ""))
        delay = f"{seconds(ladders.first_adl_delay_s(study))} after the first liquidation"
        rows.append(("  first one", _clock(study, int(adl["time_ns"][0])), delay))
    longs = ladders.long_share(study)
    if longs is not None:
        rows.append(("longs in contract liquidations", "", percent(longs)))
    if not adl.height and study.events(ladders.KINDS["contracts"]).height:
        rows.append(("auto-deleveraged", "nobody", ""))
    return Section("Contracts and insurance", ("", "", ""), rows)


def score_section(scores: Sequence[Score]) -> Section:
    """Simulated, real, band, inside or not."""
    rows = [
        (
            score.name,
            figure(score.simulated, score.unit),
            real_text(score),
            band_text(score),
            verdict(score),
        )
        for score in scores
    ]
    return Section(f"Against the real figures: {_inside(scores)}", ("", "simulated", "real", "band", ""), rows)


def _inside(scores: Sequence[Score], what: str = "") -> str:
    if scores and scores[0].no_verdict:
        return f"{scores[0].no_verdict}: no verdict"
    return f"{sum(score.inside for score in scores)} of {len(scores)} {what}inside their bands"


def verdict(score: Score) -> str:
    """Whether a figure lies inside its band; "" where nothing is judged."""
    if score.no_verdict:
        return ""
    return "inside" if score.inside else "not measured" if score.simulated is None else "OUTSIDE"


def medians_section(label: str, summaries: Sequence[ScoreSummary]) -> Section:
    """The scorecard of a study's cell: medians over seeds, and how many seeds lie inside."""
    rows = [
        (
            one.score.name,
            figure(one.score.simulated, one.score.unit),
            real_text(one.score),
            band_text(one.score),
            verdict(one.score),
            "" if one.score.no_verdict else f"{one.inside} of {one.runs}",
        )
        for one in summaries
    ]
    title = f"{label} against the real figures: {_inside([one.score for one in summaries], 'medians ')}"
    return Section(title, ("", "median", "real", "band", "", "seeds inside"), rows)


def figure(value: float | None, unit: str) -> str:
    """A figure in its unit: fractions as percent, seconds as spans."""
    if value is None:
        return NOTHING
    if unit == "fraction":
        return percent(value, 4 if _NEARLY_ALL <= abs(value) < 1 else 1)
    if unit == "s":
        return seconds(value)
    if unit == "x":
        return multiple(value)
    if unit == "correlation":
        return f"{value:.2f}"
    return f"{amount(value)} {unit}".rstrip()


_NEARLY_ALL = 0.9995


def real_text(score: Score) -> str:
    """The real figure of a target, or its range."""
    if score.real is not None:
        return figure(score.real, score.unit)
    low, high = score.target.real_low, score.target.real_high
    if low is None or high is None:
        return NOTHING
    return f"{figure(low, score.unit)} to {figure(high, score.unit)}"


def band_text(score: Score) -> str:
    """The band of a target."""
    low, high = figure(score.low, score.unit), figure(score.high, score.unit)
    if score.low is None:
        return f"at most {high}"
    return f"at least {low}" if score.high is None else f"{low} to {high}"


def size_text(one: Milestone) -> str:
    """How much of a milestone there was in all."""
    if one.amount is None:
        return NOTHING
    if one.unit in ("fraction", "x"):
        return figure(one.amount, one.unit)
    return f"{amount(round(one.amount))} {one.unit}".rstrip()


def _step(study: Figures) -> int | None:
    """Shortest step that takes the run's liquidations in few rows; None without any."""
    times = study.events(ladders.ALL_KINDS)["time_ns"]
    if not len(times):
        return None
    first, last = int(times.min()), int(times.max())  # type: ignore[arg-type]
    steps = [parse_duration(step) for step in _STEPS]
    return next((step for step in steps if last // step - first // step < _MOST_STEPS), steps[-1])


def _clock(study: Figures, time_ns: int) -> str:
    return format_clock(time_ns // NS_PER_S * NS_PER_S, study.run.start_ns_of_day)[:8] + "Z"


def _after(study: Figures, time_ns: int) -> str:
    return seconds((time_ns - study.from_ns) / NS_PER_S) if study.shock_ns is not None else span(time_ns)
