"""What the measures of market quality share: best quotes as arrays, intervals of a run, the columns of a result.

The state at a time is the one after all events with ``time_ns`` up to and including it; an interval therefore holds
what comes after its beginning, up to and including its end. Intervals of a step begin at the run's start; a last one
that the run does not fill is left out. A price of 0 stands for an empty side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import polars as pl

from lobsim.errors import InputError
from lobsim.measure.decode import time_column
from lobsim.measure.manifest import Instrument
from lobsim.measure.run import Run
from lobsim.units import NS_PER_DAY, parse_duration

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Names: TypeAlias = str | Sequence[str] | None
Step: TypeAlias = int | str

STEP = "10s"
"""Length of an interval unless said otherwise, as in Cont, Kukanov and Stoikov (2014)."""

YEAR_NS = 365 * NS_PER_DAY
BPS = 10_000
MAX_INTERVALS = 10_000_000

_QUOTE_COLUMNS = ("time_ns", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots")
_TRADE_COLUMNS = ("seq", "time_ns", "price_ticks", "qty_lots", "aggressor_side", "purpose", "taker_order_id")
_taken_apart: WeakKeyDictionary[Run, dict[str, dict[str, pl.DataFrame]]] = WeakKeyDictionary()


class Quotes(NamedTuple):
    """Best prices (ticks) and displayed lots of one book after each of their changes, in order; 0 on an empty side."""

    time_ns: Ints
    bid: Ints
    bid_lots: Ints
    ask: Ints
    ask_lots: Ints

    @property
    def two_sided(self) -> npt.NDArray[np.bool_]:
        """Whether there are both bids and asks."""
        both: npt.NDArray[np.bool_] = (self.bid > 0) & (self.ask > 0)
        return both

    @property
    def twice_mid(self) -> Ints:
        """Bid + ask in ticks (so that a mid between two ticks stays whole); 0 where a side is empty."""
        return np.where(self.two_sided, self.bid + self.ask, 0)

    @property
    def spread(self) -> Floats:
        """Ask - bid in ticks; NaN where a side is empty."""
        return np.where(self.two_sided, self.ask - self.bid, np.nan)

    @property
    def settled(self) -> Quotes:
        """Only the last quote of each instant."""
        last = np.append(self.time_ns[1:] != self.time_ns[:-1], np.ones(min(1, len(self.time_ns)), dtype=bool))
        return Quotes(*(column[last] for column in self))

    def at(self, values: npt.NDArray[Any], times: Ints, *, before: bool = False) -> npt.NDArray[Any]:
        """`values` (one per quote) as they stood at `times`, or just before; 0 where there was no quote yet."""
        index = np.searchsorted(self.time_ns, times, side="left" if before else "right")
        result: npt.NDArray[Any] = np.concatenate([np.zeros(1, values.dtype), values])[index]
        return result


def step_ns(step: Step, what: str = "every") -> int:
    """A length of time in nanoseconds; raises `InputError` unless it is longer than 0."""
    length = step if isinstance(step, int) else parse_duration(step, what)
    if length <= 0:
        raise InputError(f"{what}: {step!r} must be longer than 0")
    return length


def edges(run: Run, every: Step | None) -> Ints:
    """Ends of the run's intervals in nanoseconds, the first one's beginning first; None: the run is one interval."""
    if every is None:
        return np.unique(np.array([0, run.end_ns], dtype=np.int64))
    step = step_ns(every)
    if run.end_ns // step > MAX_INTERVALS:
        raise InputError(f"every: {every!r} makes {run.end_ns // step} intervals, more than {MAX_INTERVALS}")
    return np.arange(0, run.end_ns + 1, step, dtype=np.int64)


def interval_of(times: Ints, ends: Ints) -> Ints:
    """Number of the interval that each time falls into; -1 at or before the first edge, ``len(ends) - 1`` after all."""
    return np.searchsorted(ends, times, side="left") - 1


def sums(values: npt.NDArray[Any], intervals: Ints, count: int) -> Floats:
    """Sum of `values` per interval ``0 .. count - 1``; what falls into none is left out."""
    inside = (intervals >= 0) & (intervals < count)
    return np.bincount(intervals[inside], values[inside].astype(np.float64), minlength=count).astype(np.float64)


def quotes_of(run: Run, one: Instrument) -> Quotes:
    """The quotes of one instrument, in order."""
    frame = _of_instrument(run, one, "quotes", _QUOTE_COLUMNS).fill_null(0)
    time_ns, bid, bid_lots, ask, ask_lots = (frame[name].to_numpy() for name in _QUOTE_COLUMNS)
    return Quotes(time_ns, bid, np.where(bid > 0, bid_lots, 0), ask, np.where(ask > 0, ask_lots, 0))


def trades_of(run: Run, one: Instrument) -> pl.DataFrame:
    """``seq time_ns price_ticks qty_lots aggressor_side purpose taker_order_id`` of one instrument's trades."""
    return _of_instrument(run, one, "trades", _TRADE_COLUMNS)


def _of_instrument(run: Run, one: Instrument, table: str, columns: tuple[str, ...]) -> pl.DataFrame:
    """One instrument's rows, in order. A table that fits into memory is read and taken apart once per run."""
    rows = run.scan(table).select("instrument_id", *columns)
    if run.rows(table) > run.max_rows:
        return run.collect(rows.filter(pl.col("instrument_id") == one.instrument_id).drop("instrument_id"))
    tables = _taken_apart.setdefault(run, {})
    if table not in tables:
        whole = run.collect(rows)
        parts = whole.partition_by("instrument_id", as_dict=True, maintain_order=True, include_key=False)
        empty = whole.clear().drop("instrument_id")
        tables[table] = {
            name: parts.get((instrument.instrument_id,), empty) for name, instrument in run.instruments.items()
        }
    return tables[table][one.name]


def notional_of(trades: pl.DataFrame, one: Instrument) -> Floats:
    """Quote currency of each trade."""
    ticks, lots = trades["price_ticks"].to_numpy(), trades["qty_lots"].to_numpy()
    value: Floats = ticks.astype(np.float64) * lots * float(one.unit_notional)
    return value


def time_weighted(quotes: Quotes, values: Floats, ends: Ints) -> tuple[Floats, Floats]:
    """Time-weighted mean of `values` (one per quote, NaN: not known) per interval, and the share of time it is known.

    A mean over no time at all is NaN. Complexity: O((quotes + intervals) log).
    """
    cuts = np.union1d(quotes.time_ns, ends)
    held = np.diff(cuts)
    standing = np.concatenate([[np.nan], values])[np.searchsorted(quotes.time_ns, cuts[:-1], side="right")]
    known = ~np.isnan(standing)
    intervals, count = interval_of(cuts[1:], ends), len(ends) - 1
    time = sums(np.where(known, held, 0), intervals, count)
    total = sums(np.where(known, standing, 0.0) * held, intervals, count)
    return ratio(total, time), ratio(time, np.diff(ends))


def ratio(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> Floats:
    """Quotient of two arrays, NaN where the denominator is 0."""
    zero = denominator == 0
    result: Floats = np.where(zero, np.nan, numerator / np.where(zero, 1, denominator))
    return result


def interval_columns(run: Run, one: Instrument, ends: Ints) -> dict[str, Any]:
    """``from_ns time_ns instrument`` of every interval."""
    return {"from_ns": ends[:-1], "time_ns": ends[1:], "instrument": constant(run, one, len(ends) - 1)}


def constant(run: Run, one: Instrument, rows: int) -> pl.Series:
    """The instrument's name, so many times."""
    return pl.repeat(one.name, rows, eager=True, dtype=pl.Enum(list(run.instruments)))


def put_together(run: Run, frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One frame: NaN becomes null, ``time`` (UTC) stands beside ``time_ns`` where there is one."""
    frame = pl.concat(frames).with_columns(pl.col(pl.Float64).fill_nan(None))
    if "time_ns" not in frame.columns:
        return frame
    frame = frame.with_columns(time_column(run))
    ahead = [name for name in ("from_ns", "time_ns", "time", "instrument") if name in frame.columns]
    return frame.select(*ahead, pl.exclude(ahead))
