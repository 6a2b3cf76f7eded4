"""The book as a picture: what stood at which price over time, the trades on it, and the ladder at a moment one picks.

`assets/book.js` draws it. All that it shows is the displayed book at the times of the frames; nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lobsim.events import Purpose
from lobsim.measure.book_frames import NEAR_PCT, BookFrames, View, book_frames
from lobsim.measure.flows import FORCED
from lobsim.measure.ladder import Ints
from lobsim.measure.manifest import Instrument
from lobsim.measure.measures import Figures
from lobsim.measure.milestones import TITLES
from lobsim.measure.study import STABLECOIN
from lobsim.report.page import book_data
from lobsim.report.page.book_data import Moments
from lobsim.report.page.charts import Clock
from lobsim.report.page.model import Section, Widget
from lobsim.report.page.pack import LIMIT, fitting_step, pack, pack_ints
from lobsim.report.wording import span, words

LEVELS, FEWER_LEVELS = 14, 10
"""Best levels of each side that a ladder shows: of the books in detail, of the others."""

MOST_IN_DETAIL = 20
MAJORS = "majors"
MOST_DOTS, MOST_LARGEST = 600, 60

_PAD = 0.01
_PAD_DOWN, _PAD_UP = 0.3, 0.1
_TRADES = "trade"
_SHORT = {
    "shock": "shock",
    "withdrawal": "makers withdraw",
    "focus_low": "low",
    "half_recovered": "half made up",
}


class _Book(NamedTuple):
    """One book that is to be drawn: whether in detail, the prices that its picture spans (ticks)."""

    instrument: Instrument
    group: str
    detail: bool
    low: int
    high: int


def section(study: Figures) -> Section:
    """The book picture of every instrument of the run, the one that fell most first.

    Complexity: one pass over the run's orders. Raises `RunError` where records contradict each other.
    """
    books = _books(study)
    times = [mark.time_ns for mark in study.milestones]
    fine, coarse = (book_data.moments(study.run.end_ns, times, detail=detail) for detail in (True, False))
    forced = bool(study.trades.select(pl.col("purpose").is_in([int(one) for one in FORCED]).any()).item())
    drawn = list(_drawn(study, books, fine, coarse, forced=forced))
    if not drawn:
        return Section("book-picture", "The book as a picture", "", [])
    data = {
        "start_ms": Clock.of(study.run).start_ms,
        "end_ms": study.run.end_ns / 1e6,
        "window_ms": [edge / 1e6 for edge in fine.window],
        "whole": not times,
        "marks": _marks(study),
        "times": book_data.pack_times(fine.times),
        "fewer": np.flatnonzero(np.isin(fine.times, coarse.times)).tolist() if any(not b.detail for b in books) else [],
        "near_pct": NEAR_PCT,
        "colours": book_data.COLOURS,
        "dots": "forced trades" if forced else "largest trades",
        "books": drawn,
    }
    return Section(
        "book-picture",
        "The book as a picture",
        _lead(crash=bool(times), forced=forced),
        [Widget("book", "book", data)],
        _note(books, fine, coarse),
        short="Book",
    )


def _marks(study: Figures) -> list[dict[str, Any]]:
    """Milestones; those with a short name have it written over the picture, in two rows in turn."""
    marks = [
        {"ms": mark.time_ns / 1e6, "name": TITLES[mark.name], "short": _SHORT.get(mark.name, "")}
        for mark in study.milestones
    ]
    for place, mark in enumerate(mark for mark in marks if mark["short"]):
        mark["high"] = place % 2 == 1
    return marks


def _lead(*, crash: bool, forced: bool) -> str:
    dots = "forced trades" if forced else "the largest trades"
    hole = " Where the green ends nobody is left to buy: the price falls through the hole." if crash else ""
    what = f"Green is money that waits to buy, red what is for sale; the line is the last price, dots are {dots}."
    return f"{what}{hole} The slider shows the ladder at any moment."


def _note(books: Sequence[_Book], fine: Moments, coarse: Moments) -> str:
    def steps(one: Moments) -> str:
        if not one.window_ns:
            return f"every {span(one.elsewhere_ns)}"
        near = f"every {span(one.near_ns)} near milestones, " if one.near_ns not in (0, one.window_ns) else ""
        return (
            f"{near}every {span(one.window_ns)} from before the first milestone until after the last, "
            f"every {span(one.elsewhere_ns)} elsewhere"
        )

    fewer = [book for book in books if not book.detail]
    others = ""
    if fewer:
        names = ", ".join(dict.fromkeys(book.group for book in fewer if book.group))
        which = f"The other {len(fewer)} books" if len(fewer) > 1 else "The other book"
        groups = f" ({names})" if names else ""
        others = f" {which}{groups}: the ladder's best {FEWER_LEVELS} levels, {steps(coarse)}."
    slow = " Playing takes as long for every frame, so the crash passes in slow motion." if fine.window_ns else ""
    return (
        "Every column is the whole displayed book between the picture's lowest and highest price at one moment, "
        f"exactly as recorded; the ladder is its best {LEVELS} levels of each side. Both are there {steps(fine)}."
        f"{others} Depth within {NEAR_PCT} % is counted from each side's own best price.{slow}"
    )


# --- which books, at which prices -----------------------------------------------------------------------------------


def _books(study: Figures) -> list[_Book]:
    """All books, group by group (the focus first), each group by how far its prices fell."""
    groups = {study.run.focus: study.focus} if study.run.focus else {}
    groups |= {name: members for name, members in study.run.groups.items() if name not in groups}
    first = (study.run.focus, MAJORS, STABLECOIN)
    ranked = sorted(groups, key=lambda name: first.index(name) if name in first else len(first))
    group_of: dict[str, str] = {}
    for group in ranked:
        for name in groups[group]:
            group_of.setdefault(name, group)
    names = sorted(
        study.run.instruments,
        key=lambda name: (
            ranked.index(group_of[name]) if name in group_of else len(ranked),
            -(study.paths[name].fall or 0.0),
        ),
    )
    every = len(names) <= MOST_IN_DETAIL
    books = []
    for place, name in enumerate(names):
        chosen = group_of.get(name) in first if group_of else True
        low, high = _prices(study, name)
        detail = every or (chosen and place < MOST_IN_DETAIL)
        books.append(_Book(study.run.instruments[name], group_of.get(name, ""), detail, low, high))
    return books


def _prices(study: Figures, name: str) -> tuple[int, int]:
    """Prices that a picture shows: those that were traded (without trades: quoted), and some way beyond."""
    trades = study.trades_of[name]
    if trades.height:
        low, high = trades.select(low=pl.col("price_ticks").min(), high=pl.col("price_ticks").max()).row(0)
    else:
        mine = pl.col("instrument_id") == study.run.instruments[name].instrument_id
        quotes = study.run.scan("quotes").filter(mine)
        bests = pl.concat([quotes.select(price=pl.col(side)) for side in ("bid_ticks", "ask_ticks")])
        found = study.run.collect(bests.select(low=pl.col("price").min(), high=pl.col("price").max())).row(0)
        low, high = (1 if price is None else int(price) for price in found)
    ratio = high / low
    down, up = (max(ratio**pad, 1 + _PAD) for pad in (_PAD_DOWN, _PAD_UP))
    return max(1, int(low / down)), int(high * up) + 1


# --- what is drawn ----------------------------------------------------------------------------------------------------


def _drawn(
    study: Figures, books: Sequence[_Book], fine: Moments, coarse: Moments, *, forced: bool
) -> Iterator[dict[str, Any]]:
    rows = [book_data.row_edges(book.low, book.high) for book in books]
    views = [
        View(
            book.instrument,
            (fine if book.detail else coarse).times,
            edges,
            LEVELS if book.detail else FEWER_LEVELS,
        )
        for book, (edges, _) in zip(books, rows, strict=True)
    ]
    for book, (_, log), frames in zip(books, rows, book_frames(study.run, views), strict=True):
        yield _one(study, book, frames, log=log, forced=forced)


def _one(study: Figures, book: _Book, frames: BookFrames, *, log: bool, forced: bool) -> dict[str, Any]:
    one, times = book.instrument, frames.view.times
    unit = float(one.unit_notional)
    scale = book_data.colour_scale(frames.depth, unit)
    near = frames.near.astype(np.float64) * unit
    trades = study.trades_of[one.name]
    place = np.searchsorted(trades["time_ns"].to_numpy(), times, side="right")
    last = np.append(trades["price_ticks"].to_numpy(), 0)[place - 1]
    path = study.paths[one.name]
    since = (place > 0) & (times >= study.from_ns)
    lowest = int(times[since][np.argmin(last[since])]) if study.shock_ns is not None and since.any() else None
    return {
        "name": one.name,
        "group": book.group,
        "detail": book.detail,
        "base": one.base,
        "quote": one.quote,
        "digits": max(0, -int(one.tick.step.as_tuple().exponent)),
        "tick": list(one.tick.step.as_integer_ratio()),
        "lot": list(one.lot.step.as_integer_ratio()),
        "shown_ms": None if lowest is None else lowest / 1e6,
        "reference_ticks": path.reference,
        "log": log,
        "edges": pack_ints(frames.view.edges),
        "scale": [float(f"{edge:.3g}") for edge in scale],
        # row by row: a price's depth changes less from frame to frame than the book does from price to price
        "cells": pack_ints(book_data.colours(frames.depth, unit, scale).T.ravel()),
        "near": [pack(side, fitting_step([side], log=True)) for side in near.T],
        "last": pack_ints(np.minimum(last, LIMIT - 1), place > 0),
        "dots": _dots(trades, times, unit, forced=forced),
        "ladder": book_data.pack_ladder(frames),
    }


def _dots(trades: pl.DataFrame, times: Ints, unit: float, *, forced: bool) -> dict[str, Any]:
    """The largest (forced) trades, those of one purpose between two frames together, at their mean time and price."""
    kinds = [int(purpose) for purpose in FORCED]
    mine = trades.filter(pl.col("purpose").is_in(kinds)) if forced else trades
    frame = pl.Series(np.searchsorted(times, mine["time_ns"].to_numpy(), side="left"), dtype=pl.Int64)
    lots = pl.col("qty_lots").cast(pl.Float64)
    dots = (
        mine.with_columns(frame=frame, purpose=pl.col("purpose") if forced else pl.lit(0, dtype=pl.UInt8))
        .group_by("frame", "purpose")
        .agg(
            time_ns=pl.col("time_ns").mean().cast(pl.Int64),
            price=(pl.col("price_ticks") * lots).sum() / lots.sum(),
            value=(pl.col("price_ticks") * lots).sum() * unit,
        )
        .sort("value", "frame", "purpose", descending=[True, False, False])
        .head(MOST_DOTS if forced else MOST_LARGEST)
        .sort("frame", "purpose")
    )
    names = [words(Purpose(kind).name) for kind in kinds] if forced else [_TRADES]
    kind = dots["purpose"].replace_strict(kinds, list(range(len(kinds))), return_dtype=pl.Int64) if forced else None
    return {
        "ms": pack_ints(dots["time_ns"].to_numpy() // 1_000_000),
        "price_ticks": pack_ints(np.minimum(np.rint(dots["price"].to_numpy()), LIMIT - 1)),
        "value": pack(dots["value"].to_numpy(), fitting_step([dots["value"].to_numpy()], log=True)),
        "kind": pack_ints(np.zeros(dots.height, dtype=np.int64) if kind is None else kind.to_numpy()),
        "kinds": names,
    }
