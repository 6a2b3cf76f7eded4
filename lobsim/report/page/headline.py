"""The first thing that a reader sees: one sentence, and a handful of big figures."""

from __future__ import annotations

from collections.abc import Sequence

from lobsim.events import Purpose
from lobsim.measure import ladders
from lobsim.measure.flows import FORCED, forced_share, sold_by_purpose
from lobsim.measure.measures import RUN_MEASURES, Figures, median
from lobsim.measure.study import Path
from lobsim.report.page.model import BigFigure, Headline
from lobsim.report.wording import amount, basis_points, multiple, percent, seconds, span, words
from lobsim.units import NS_PER_S, format_clock

_LEAST_FALL = 0.01
_UNITS = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))


def headline(study: Figures) -> Headline:
    """What fell, how far, how fast, who was forced to sell, what stood in the book: as far as the run has it."""
    paths = study.paths_of(study.focus)
    fall = median([path.fall for path in paths])
    figures = [
        one
        for one in (_fall(study), _speed(study), _forced(study), _liquidated(study), _book(study), _unpaid(study))
        if one is not None
    ]
    crashed = fall is not None and fall >= _LEAST_FALL and study.shock_ns is not None
    if not crashed:
        figures = [*figures[:2], *_traded(study), *figures[2:]]
    warning = "" if study.run.complete else _warning(study)
    return Headline(_sentence(study, fall) if crashed else _calm(study, fall), figures, warning)


def money(value: float, unit: str = "") -> str:
    """1.23 billion USDT."""
    for size, name in _UNITS:
        if value >= size:
            return f"{value / size:.3g} {name} {unit}".rstrip()
    return f"{amount(round(value))} {unit}".rstrip()


def focus_words(study: Figures) -> str:
    """What the headline is about: an instrument, or how many of a group."""
    count = len(study.paths_of(study.focus))
    if len(study.focus) == 1:
        return study.focus[0]
    return f"the {count} {study.run.focus}" if study.group(study.run.focus) else f"the {count} instruments"


def _fine(fraction: float) -> str:
    return percent(fraction, 1 if fraction >= _LEAST_FALL else 2)


def _of(what: str, study: Figures) -> str:
    return f"{study.run.numeraire} {what}".strip()


def _warning(study: Figures) -> str:
    stopped = study.run.manifest.get("stopped")
    why = f"it stopped: {str(stopped)[:200]}" if stopped else "it was killed, or is still running"
    return (
        f"UNFINISHED RUN ({why}). Everything on this page covers only the first "
        f"{span(study.run.end_ns)} that it recorded; figures of a finished run will differ."
    )


def _sentence(study: Figures, fall: float | None) -> str:
    paths = study.paths_of(study.focus)
    many = len(paths) > 1
    start = format_clock(study.from_ns // NS_PER_S * NS_PER_S, study.run.start_ns_of_day)[:8]
    low = _lowest_trade_s(paths)
    within = "" if low is None else f" within {seconds(round(low))}"
    medians = f" (median{'s' if within else ''})" if many else ""
    text = f"After a shock at {start} UTC, {focus_words(study)} fell {percent(fall)}{within}{medians}"
    lost = median([study.depth_lost[path.instrument.name] for path in paths])
    share = forced_share(study)
    if share:
        text += f"; {percent(share, 0)} of what was sold at market had to be sold"
    if lost is not None:
        worst = "in the worst minute" if share else "; in the worst minute"
        text += (
            f"{', and ' if share else ''}{worst} {percent(1 - lost, 2)} of the usual bids within 1 % stood in the book"
        )
    return text + "."


def _lowest_trade_s(paths: Sequence[Path]) -> float | None:
    """Seconds from the shock to the lowest trade: the time of the fall that is told, median over the paths."""
    return median([(path.low_trade_ns - path.from_ns) / NS_PER_S for path in paths if path.low_trade_ns is not None])


def _calm(study: Figures, fall: float | None) -> str:
    trades = study.trades.height
    if not trades:
        return "Nothing was traded."
    what = focus_words(study) if study.focus else f"{len(study.run.instruments)} instruments"
    fallen = "" if fall is None else f"; the lowest was {percent(fall, 2)} below the first"
    return f"{amount(trades)} trades of {what} in {span(study.run.end_ns)}{fallen}."


def _fall(study: Figures) -> BigFigure | None:
    paths = study.paths_of(study.focus)
    falls = [path.fall for path in paths]
    fall = median(falls)
    if fall is None:
        return None
    if len(paths) == 1:
        tick = paths[0].instrument.tick
        reference, low = paths[0].reference, paths[0].low
        note = f"from {tick.text(reference or 0)} to {tick.text(low or 0)}"
        return BigFigure(_fine(fall), "fall to the lowest trade", note)
    deepest = max(paths, key=lambda path: path.fall or 0.0)
    note = f"deepest: {deepest.instrument.name}, {percent(deepest.fall)}"
    return BigFigure(_fine(fall), f"median fall of {focus_words(study)}", note)


def _speed(study: Figures) -> BigFigure | None:
    paths = study.paths_of(study.focus)
    low = _lowest_trade_s(paths)
    if low is None or study.shock_ns is None:
        return None
    notes = []
    crossing = median(
        [(when - path.from_ns) / NS_PER_S for path in paths if (when := path.crossing_ns(0.1)) is not None]
    )
    if crossing is not None:
        notes.append(f"10 % down after {seconds(round(crossing))}")
    average = median([(path.low_ns - path.from_ns) / NS_PER_S for path in paths if path.low_ns is not None])
    if average is not None:
        notes.append(f"lowest after {seconds(round(average))}")
    halves = [
        (half - path.low_ns) / NS_PER_S
        for path in paths
        if (half := path.half_recovered_ns) is not None and path.low_ns is not None
    ]
    later = median(halves) if 2 * len(halves) > len(paths) else None
    notes.append("half not made up" if later is None else f"half made up {seconds(round(later))} later")
    what = f"from the shock to the lowest trade{', median' if len(paths) > 1 else ''}"
    return BigFigure(seconds(round(low)), what, f"60 s average: {', '.join(notes)}")


def _forced(study: Figures) -> BigFigure | None:
    share = forced_share(study)
    if not share:
        return None
    sold = sold_by_purpose(study)
    forced: dict[Purpose, float] = {purpose: sold.get(purpose, 0.0) for purpose in FORCED}
    most = max(forced, key=lambda purpose: forced[purpose])
    total = sum(sold.values())
    return BigFigure(
        percent(share), "of market sales were forced", f"most: {words(most.name)}, {percent(forced[most] / total)}"
    )


def _liquidated(study: Figures) -> BigFigure | None:
    value = RUN_MEASURES["liquidated"].compute(study)
    if not value:
        return None
    parts = {name: ladders.total(study, kinds) for name, kinds in ladders.KINDS.items()}
    said = [
        f"{name} {percent(part / value, 0)}" for name, part in sorted(parts.items(), key=lambda one: -one[1]) if part
    ]
    return BigFigure(money(value), _of("liquidated", study), ", ".join(said))


def _book(study: Figures) -> BigFigure | None:
    names = [path.instrument.name for path in study.paths_of(study.focus)]
    lost = median([study.depth_lost[name] for name in names])
    if lost is None or study.shock_ns is None:
        return None
    ratio = median([study.impact[name][1] for name in names])
    note = "" if ratio is None else f"a million moved the price {multiple(ratio)} as far as before"
    return BigFigure(percent(1 - lost, 2), "of usual bids left, worst minute", note)


def _unpaid(study: Figures) -> BigFigure | None:
    debt = RUN_MEASURES["bad_debt"].compute(study)
    if not debt:
        return None
    adl = RUN_MEASURES["adl"].compute(study)
    note = f"and {money(adl, study.run.numeraire)} auto-deleveraged" if adl else ""
    return BigFigure(money(debt), _of("of losses that nothing covered", study), note)


def _traded(study: Figures) -> list[BigFigure]:
    """For runs in which nothing broke, and for tapes."""
    found = []
    turnover = sum(study.turnover(name) for name in study.run.instruments)
    trades = study.trades.height
    if trades:
        found.append(BigFigure(money(turnover), _of("traded", study), f"in {amount(trades)} trades"))
    quotes = study.run.collect(study.run.scan("quotes").select("bid_ticks", "ask_ticks").drop_nulls())
    if quotes.height:
        bid, ask = (quotes[name].to_numpy().astype(float) for name in ("bid_ticks", "ask_ticks"))
        spread = median((2 * (ask - bid) / (ask + bid)).tolist())
        note = f"median of {amount(quotes.height)} quotes"
        found.append(BigFigure(basis_points(spread), "quoted spread", note))
    messages = study.run.summary.get("messages")
    if isinstance(messages, int) and messages:
        found.append(BigFigure(amount(messages), "order messages", f"in {span(study.run.end_ns)}"))
    return found
