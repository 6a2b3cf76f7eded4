"""Order books over time: depth within bands, what a market order costs and whether the book could fill it, spreads.

All books are read in one pass and looked at the same moments; the medians of a group are taken moment by moment.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from math import floor, log10
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lobsim.events import Side
from lobsim.measure.intervals import Ints, quotes_of, ratio, time_weighted
from lobsim.measure.manifest import Instrument
from lobsim.measure.measures import Figures
from lobsim.measure.sampling import BookSamples, book_samples
from lobsim.measure.study import Floats
from lobsim.measure.summary import BEFORE_NS
from lobsim.report.groups import looked_at
from lobsim.report.page import charts, timeline
from lobsim.report.page.book_data import nice_step, time_grid
from lobsim.report.page.model import Chart, Choice, Section
from lobsim.report.wording import amount, span
from lobsim.units import NS_PER_MINUTE, NS_PER_S

BANDS = ("0.5", "1", "2", "5", "10")
"""Percent around the mid price."""

USUAL_BAND = BANDS.index("1")
MULTIPLES = (0.1, 1.0, 4.0)
"""Sizes of orders: multiples of what usually is bid within 1 %, rounded down to 1, 2 or 5 times a power of ten."""

MOST_LINES = 6
"""Lines of one picture; a group with more shows its median and its range."""

_SHADES = ("s2", "s4", "s3", "s6", "s1")
_SIZES = ("s6", "s1", "s5")
_CRASH_POINTS, _OTHER_POINTS = 260, 260
_DECADES = 5


class BookFigures(NamedTuple):
    """One book at T moments.

    depth: (T, sides, `BANDS`) in the numeraire, NaN where there was no reference, 0 for an empty side. notionals:
    quote currency of the orders, one per `MULTIPLES` (none when nothing ever stood within 1 %). slippage: (T,
    notionals) of market sells against the mid price as a fraction, NaN where there is none to tell. unfilled: (T,
    notionals) share of the order that the book could not fill. spread: (T,) time-weighted quoted spread since the
    moment before, as a fraction of the mid price, NaN without two sides.
    """

    instrument: Instrument
    depth: Floats
    notionals: tuple[float, ...]
    slippage: Floats
    unfilled: Floats
    spread: Floats


def book_times(study: Figures) -> Ints:
    """Moments at which all books are looked at: finer around the crash. Nanoseconds, ascending, the end included."""
    end_ns, found = study.run.end_ns, timeline.crash(study)
    if found is None:
        step = nice_step(max(end_ns, 1), _CRASH_POINTS + _OTHER_POINTS)
        return time_grid(step, end_ns, step, end_ns)
    begin, end, fine, coarse = _around(found, end_ns)
    crash = time_grid(begin, end, fine, end)
    return np.unique(np.concatenate([time_grid(coarse, end_ns, coarse, end_ns), crash[crash > 0]]))


def how_often(study: Figures) -> str:
    """One sentence for people about `book_times`."""
    end_ns, found = study.run.end_ns, timeline.crash(study)
    if found is None:
        return f"Books are looked at every {span(nice_step(max(end_ns, 1), _CRASH_POINTS + _OTHER_POINTS))}."
    _, _, fine, coarse = _around(found, end_ns)
    if fine == coarse:
        return f"Books are looked at every {span(fine)}."
    return f"Books are looked at every {span(fine)} around the crash, every {span(coarse)} before and after."


def _around(found: tuple[int, int], end_ns: int) -> tuple[int, int, int, int]:
    """The stretch of time to look at closely, the step in it, and the one elsewhere."""
    begin, end = max(0, found[0] - NS_PER_MINUTE), min(end_ns, found[1] + 3 * NS_PER_MINUTE)
    fine = max(nice_step(max(end - begin, 1), _CRASH_POINTS), NS_PER_S)
    return begin, end, fine, max(nice_step(max(end_ns, 1), _OTHER_POINTS), fine)


def book_figures(study: Figures, times: Ints | None = None) -> dict[str, BookFigures]:
    """The figures of every book at `times` (default: `book_times`); {} for a run without orders.

    Complexity: one pass over the run's orders, O(changes + times * prices touched between them) per book.
    """
    if not study.run.rows("orders") or not study.run.instruments:
        return {}
    moments = book_times(study) if times is None else times
    return {
        samples.instrument.name: _figures(study, samples) for samples in book_samples(study.run, at=moments.tolist())
    }


def _figures(study: Figures, samples: BookSamples) -> BookFigures:
    one, times = samples.instrument, samples.times
    shape = (len(times), 2, len(BANDS))
    in_quote = samples.depth(BANDS)["depth_quote"].fill_null(np.nan).to_numpy().reshape(shape)
    notionals = order_sizes(usual_bids(study, times, in_quote[:, 0, USUAL_BAND]))
    slippage, unfilled = np.full((2, len(times), len(notionals)), np.nan)
    if notionals:
        frame = samples.slippage(Side.SELL, notionals)
        slippage = frame["slippage"].fill_null(np.nan).to_numpy().reshape(slippage.shape)
        unfilled = 1 - frame["filled_share"].to_numpy().reshape(unfilled.shape)
    quotes = quotes_of(study.run, one)
    spread = np.full(len(times), np.nan)
    if len(times) > 1:
        spread[1:], _ = time_weighted(quotes, ratio(quotes.spread * 2, quotes.twice_mid), times)
    depth = in_quote * study.value_of(one.quote)
    return BookFigures(one, depth, tuple(float(size) for size in notionals), slippage, unfilled, spread)


def usual_bids(study: Figures, times: Ints, bids: Floats) -> float:
    """Median of the bids in the ten minutes before the shock; over the whole run where there is no shock."""
    calm = np.ones(len(times), dtype=np.bool_)
    if study.shock_ns is not None:
        calm = (times >= study.shock_ns - BEFORE_NS) & (times < study.shock_ns)
    known = bids[calm & np.isfinite(bids)]
    known = known if len(known) else bids[np.isfinite(bids)]
    return float(np.median(known)) if len(known) else 0.0


def order_sizes(usual: float) -> list[str]:
    """Notionals for a book in which so much usually is bid, as decimal text; [] for 0."""
    if not usual > 0:
        return []
    return [_rounded(usual * multiple) for multiple in MULTIPLES]


def _rounded(value: float) -> str:
    exponent = floor(log10(value))
    digit = max((one for one in (1, 2, 5) if one * 10.0**exponent <= value * (1 + 1e-9)), default=1)
    return f"{digit}e{exponent}"


# --- sections -------------------------------------------------------------------------------------------------------


def sections(study: Figures) -> list[Section]:
    """Depth, slippage and spreads of all books that had two sides; sections without data have no parts."""
    times = book_times(study)
    figures = book_figures(study, times)
    books = {name: one for name, one in figures.items() if (one.depth > 0).any()}  # the others never had two sides
    return [_depth(study, times, books), _slippage(study, times, books), _spreads(study, times, books)]


def _depth(study: Figures, times: Ints, books: dict[str, BookFigures]) -> Section:
    options: list[tuple[str, Sequence[Chart]]] = []
    for place, (name, members) in enumerate(_groups(study, books)):
        stacked = np.stack([one.depth for one in members])
        drawn = _depth_charts(study, times, median_of(stacked), f"depth-g{place}", f"median of {len(members)} books")
        options.append((f"{name} (median of {len(members)})", drawn))
    for place, (name, one) in enumerate(_ranked(study, books)):
        options.append((name, _depth_charts(study, times, one.depth, f"depth-{place}", name)))
    shown = [option for option in options if option[1]]
    money = study.run.numeraire or "quote currency"
    crashed = timeline.crash(study) is not None
    lead = (
        f"How much {money} waits to buy (above) and to sell (below) near the price, on a logarithmic scale."
        f"{' In the vacuum it drops by powers of ten: there is hardly anybody left to trade with.' * crashed}"
    )
    note = (
        f"{how_often(study)} Displayed orders within so many percent of the mid price, bands add up. The bottom line "
        "means nothing at all, on both sides where the spread is wider than the band. A gap means that one side was "
        "empty, so that there was no mid price to count from."
    )
    return Section("depth", "Depth of the books", lead, _choice("depth-of", "Book:", shown), note, "Depth")


def _depth_charts(study: Figures, times: Ints, depth: Floats, chart_id: str, what: str) -> list[Chart]:
    most = np.nanmax(depth) if np.isfinite(depth).any() else 0.0
    if most <= 0:
        return []
    low = bottom(float(most))
    money = study.run.numeraire or "quote currency"
    found = []
    for column, side in enumerate(("bids", "asks")):
        lines = [
            charts.Line(f"within {band} %", times, np.maximum(depth[:, column, place], low), _SHADES[place])
            for place, band in enumerate(BANDS)
        ]
        axis = charts.Axis(money, "short", log=True, low=low)
        option = charts.time_lines(
            charts.Clock.of(study.run),
            lines,
            axis,
            marks=timeline.marks(study),
            ranges=() if column else timeline.ranges(study),
        )
        label = f"{side} over time within {', '.join(BANDS)} percent of the mid price, {what}"
        found.append(Chart(f"{chart_id}-{side}", option, 270, label, f"{side.capitalize()}, {what}"))
    return found


def bottom(most: float) -> float:
    """Where a logarithmic axis of amounts up to `most` ends: what is less counts as nothing."""
    return float(10.0 ** (floor(log10(most)) - _DECADES))


def _slippage(study: Figures, times: Ints, books: dict[str, BookFigures]) -> Section:
    options: list[tuple[str, Sequence[Chart]]] = []
    for place, (name, members) in enumerate(_groups(study, books)):
        sized = [one for one in members if one.notionals]
        if len(sized) > 1:
            cost = median_cost(np.stack([one.slippage for one in sized]))
            unfilled = np.stack([one.unfilled for one in sized])
            names = [f"{multiple:g} x the usual bids" for multiple in MULTIPLES]
            strip = "Share of the books that could not fill it"
            drawn = _cost_charts(study, times, cost, (unfilled > 0).mean(axis=0), names, f"slippage-g{place}", strip)
            options.append((f"{name} (median of {len(sized)})", drawn))
    for place, (name, one) in enumerate(_ranked(study, books)):
        if one.notionals:
            names = [f"{amount(size)} {one.instrument.quote}" for size in one.notionals]
            strip = "Share of the order that the book could not fill"
            drawn = _cost_charts(study, times, one.slippage, one.unfilled, names, f"slippage-{place}", strip)
            options.append((name, drawn))
    lead = (
        "What a market order to sell would have cost at each moment, as a distance from the mid price, and below it "
        "whether the book could fill it at all. A book that cannot fill an order has no price for it: the line ends."
    )
    sizes = ", ".join(f"{multiple:g} x" for multiple in MULTIPLES)
    note = (
        f"{how_often(study)} Orders are {sizes} what is usually bid within 1 %, rounded down; hidden orders count. "
        "In the median of a group, a book that cannot fill an order is worse than any price; without a median there "
        "is a gap. Any other size or side: lobsim slippage RUN --notional 50e3 --side buy."
    )
    return Section(
        "slippage", "What a market order costs", lead, _choice("slippage-of", "Book:", options), note, "Slippage"
    )


def _cost_charts(
    study: Figures, times: Ints, cost: Floats, unfilled: Floats, names: Sequence[str], chart_id: str, strip: str
) -> list[Chart]:
    clock, marks = charts.Clock.of(study.run), timeline.marks(study)
    lines = [charts.Line(name, times, cost[:, place], _SIZES[place]) for place, name in enumerate(names)]
    found = []
    if np.isfinite(cost).any():
        axis = charts.Axis("below mid price", "percent", log=True)
        option = charts.time_lines(clock, lines, axis, marks=marks, ranges=timeline.ranges(study))
        label = f"slippage over time of market sells of {', '.join(names)}"
        found.append(Chart(f"{chart_id}-cost", option, 290, label, "Slippage of a market sell"))
    if (unfilled > 0).any():
        gone = [
            charts.Line(name, times, unfilled[:, place], _SIZES[place], area=True) for place, name in enumerate(names)
        ]
        option = charts.time_lines(clock, gone, charts.Axis("", "percent", low=0, high=1))
        label = f"{strip} over time, market sells of {', '.join(names)}"
        found.append(Chart(f"{chart_id}-unfilled", option, 150, label, strip))
    return found


def _spreads(study: Figures, times: Ints, books: dict[str, BookFigures]) -> Section:
    options: list[tuple[str, Sequence[Chart]]] = []
    grouped = {one.instrument.name for _, members in _groups(study, books, least=1) for one in members}
    rest = [one for name, one in _ranked(study, books) if name not in grouped]
    for place, (name, members) in enumerate([*_groups(study, books, least=1), *([("others", rest)] if rest else [])]):
        known = [one for one in members if np.isfinite(one.spread).any()]
        if known:
            title = name if len(books) > 1 else ""
            options.append((name, [_spread_chart(study, times, known, f"spread-g{place}", title)]))
    lead = (
        "Distance between best bid and best ask, in basis points of the mid price (100 bp are 1 %). Wide spreads and "
        "gaps mean that nobody makes a market."
    )
    note = "Mean since the moment before, weighted by time; a gap means that one side was empty all that time."
    return Section("spreads", "Spreads", lead, _choice("spreads-of", "Group:", options), note)


def _spread_chart(study: Figures, times: Ints, members: Sequence[BookFigures], chart_id: str, title: str) -> Chart:
    if len(members) <= MOST_LINES:
        lines = [charts.Line(one.instrument.name, times, one.spread, width=1.25) for one in members]
    else:
        lines = charts.envelope(times, [one.spread for one in members], ("median", "narrowest", "widest"))
    axis = charts.Axis("quoted spread", "bp", log=True)
    option = charts.time_lines(
        charts.Clock.of(study.run), lines, axis, marks=timeline.marks(study), ranges=timeline.ranges(study)
    )
    names = ", ".join(one.instrument.name for one in members[:MOST_LINES])
    return Chart(chart_id, option, 300, f"quoted spreads over time: {names}", title)


# --- what stands together -------------------------------------------------------------------------------------------


def median_of(values: npt.NDArray[np.float64]) -> Floats:
    """Median over the first axis of what is known; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN: the answer is NaN
        found: Floats = np.nanmedian(values, axis=0)
    return found


def median_cost(slippage: Floats) -> Floats:
    """Median over the first axis where None (NaN) is worse than any number; NaN where the median is none."""
    ranked = np.sort(np.where(np.isnan(slippage), np.inf, slippage), axis=0)
    count = len(ranked)
    upper = ranked[count // 2]
    middle = (ranked[(count - 1) // 2] + upper) / 2
    return np.where(np.isfinite(upper), middle, np.nan)


def _groups(study: Figures, books: dict[str, BookFigures], least: int = 2) -> Iterator[tuple[str, list[BookFigures]]]:
    for group, names in looked_at(study).items():
        members = [books[name] for name in names if name in books]
        if len(members) >= least:
            yield group, members


def _ranked(study: Figures, books: dict[str, BookFigures]) -> list[tuple[str, BookFigures]]:
    """All books, those of the focus group first."""
    names = [*study.focus, *(name for name in study.run.instruments if name not in study.focus)]
    return [(name, books[name]) for name in names if name in books]


def _choice(choice_id: str, label: str, options: Sequence[tuple[str, Sequence[Chart]]]) -> Sequence[Chart | Choice]:
    shown = [option for option in options if option[1]]
    if len(shown) == 1:
        return shown[0][1]
    return [Choice(choice_id, label, shown)] if shown else []
