"""One run looked at as a whole: the price path of every instrument second by second, and the groups they stand in.

Definitions. The *reference* of an instrument is its last trade before the shock (its first trade where there is none
before, or no shock). Its *low* is the lowest trade from the shock on. Times are read off the *trailing VWAP*: the
volume-weighted price of the last 60 s, looked at on whole seconds; a second without any trade in its window carries the
last value on. A price *crosses* -10 % when that average is first at or below 0.9 x reference; the time of its low is
the first second at which the average is lowest; half of the fall is recovered when, after that, it first is at or above
the middle between the reference and its own lowest value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from lobsim.measure.manifest import Instrument
from lobsim.measure.run import Run
from lobsim.units import NS_PER_S

WINDOW_S = 60
"""Length of the trailing VWAP in seconds."""

STABLECOIN = "stablecoin"
"""Group of the instruments that trade the stablecoin at the exchange whose crash is looked at."""

Floats: TypeAlias = npt.NDArray[np.float64]
Figure = TypeVar("Figure")


@dataclass(frozen=True, slots=True)
class Path:
    """One instrument's prices in ticks; None where nothing was traded (from the shock on).

    vwap, value, lots, last: one number per second of the run, NaN before the first trade (value and lots: 0).
    from_ns: the shock, or the first trade where there is no shock.
    """

    instrument: Instrument
    from_ns: int
    reference: int | None
    low: int | None
    low_trade_ns: int | None
    close: int | None
    vwap: Floats
    value: Floats
    lots: Floats
    last: Floats

    @property
    def fall(self) -> float | None:
        """1 - low / reference, by trades."""
        return None if self.low is None or self.reference is None else 1 - self.low / self.reference

    @property
    def end_over_start(self) -> float | None:
        """Last trade over reference."""
        return None if self.close is None or self.reference is None else self.close / self.reference

    def price(self, ticks: float | None) -> float | None:
        """Ticks in quote currency per base."""
        return None if ticks is None else ticks * float(self.instrument.tick.step)

    def crossing_ns(self, fraction: float, reference: float | None = None) -> int | None:
        """First moment from the shock on at which the trailing VWAP is `fraction` below the reference."""
        level = self.reference if reference is None else reference
        return None if level is None else self._first(self._since() <= (1 - fraction) * level)

    @property
    def low_ns(self) -> int | None:
        """First moment at which the trailing VWAP is lowest."""
        since = self._since()
        if self.low is None or np.isnan(since).all():
            return None
        return self._moment(int(np.nanargmin(since)))

    @property
    def half_recovered_ns(self) -> int | None:
        """First moment after the low at which the trailing VWAP has made up half of its fall."""
        low_ns, since = self.low_ns, self._since()
        if low_ns is None or self.reference is None:
            return None
        lowest = float(np.nanmin(since))
        if lowest >= self.reference:
            return None
        after = np.arange(len(since)) > int(np.nanargmin(since))
        return self._first((since >= (self.reference + lowest) / 2) & after)

    def _since(self) -> Floats:
        return self.vwap[self.from_ns // NS_PER_S :]

    def _moment(self, index: int) -> int:
        return (self.from_ns // NS_PER_S + index + 1) * NS_PER_S

    def _first(self, hits: npt.NDArray[np.bool_]) -> int | None:
        found = int(np.argmax(hits)) if hits.any() else -1
        return None if found < 0 else self._moment(found)


class Study:
    """A run with what all measures of it share, computed once.

    shock_ns: when the first shock came (default: what the run itself says). Memory: O(trades of the run while it is
    built, seconds * instruments after). Complexity: O(trades + seconds * instruments * 60).
    """

    def __init__(self, run: Run, shock_ns: int | None = None) -> None:
        self.run = run
        self.shock_ns = shock_of(run) if shock_ns is None else shock_ns
        self.seconds = max(1, -(-run.end_ns // NS_PER_S))
        self._kept: dict[str, Any] = {}

    def once(self, name: str, compute: Callable[[], Figure]) -> Figure:
        """What `compute` gives, computed once per study under this name: for figures that several measures need."""
        if name not in self._kept:
            self._kept[name] = compute()
        kept: Figure = self._kept[name]
        return kept

    @classmethod
    def of(cls, run: Run | Study) -> Study:
        """`run` itself when it is a study already."""
        return run if isinstance(run, Study) else cls(run)

    @property
    def from_ns(self) -> int:
        """The shock, or the beginning of the run."""
        return self.shock_ns or 0

    # --- names ------------------------------------------------------------------------------------------------------

    def group(self, name: str) -> tuple[str, ...]:
        """Instruments of a group; () when the run has no such group."""
        return self.run.groups.get(name, ())

    @cached_property
    def focus(self) -> tuple[str, ...]:
        """The instruments whose median fall is the headline: the focus group, or else all spot instruments."""
        named = self.group(self.run.focus)
        return named or tuple(one.name for one in self.run.instruments.values() if one.kind == "spot")

    def accounts_of_kind(self, kind: str) -> list[int]:
        """Ids of all accounts of one kind."""
        return [account_id for account_id, info in self.run.accounts_info.items() if info.kind == kind]

    # --- trades -----------------------------------------------------------------------------------------------------

    @cached_property
    def trades(self) -> pl.DataFrame:
        """``time_ns instrument_id price_ticks qty_lots aggressor_side purpose`` of every trade, in order."""
        columns = ("time_ns", "instrument_id", "price_ticks", "qty_lots", "aggressor_side", "purpose")
        return self.run.collect(self.run.scan("trades").select(columns))

    @cached_property
    def trades_of(self) -> dict[str, pl.DataFrame]:
        """Each instrument's trades, in order."""
        parts = self.trades.partition_by("instrument_id", as_dict=True, maintain_order=True)
        empty = self.trades.clear()
        return {name: parts.get((one.instrument_id,), empty) for name, one in self.run.instruments.items()}

    @cached_property
    def paths(self) -> dict[str, Path]:
        """Every instrument's path, by name."""
        return {name: self._path(one, self.trades_of[name]) for name, one in self.run.instruments.items()}

    def paths_of(self, names: Iterable[str]) -> list[Path]:
        """Paths of those of the named instruments that traded before and after the shock."""
        return [path for name in names if (path := self.paths[name]).fall is not None]

    def _path(self, one: Instrument, trades: pl.DataFrame) -> Path:
        times, ticks = trades["time_ns"], trades["price_ticks"]
        shock_ns = self.shock_ns
        earlier = 0 if shock_ns is None else int((times < shock_ns).sum())
        low = earlier + int(ticks.slice(earlier).arg_min() or 0) if earlier < trades.height else None
        from_ns = shock_ns if shock_ns is not None else (int(times[0]) if trades.height else 0)
        value, lots, last = (np.zeros(self.seconds) for _ in range(3))
        last[:] = np.nan
        if trades.height:
            worth = pl.col("price_ticks").cast(pl.Float64) * pl.col("qty_lots")
            second = (pl.col("time_ns") // NS_PER_S).clip(upper_bound=self.seconds - 1)
            sums = trades.group_by(second=second).agg(
                worth.sum().alias("value"), pl.col("qty_lots").sum().cast(pl.Float64), pl.col("price_ticks").last()
            )
            at = sums["second"].to_numpy()
            value[at], lots[at], last[at] = (sums[name].to_numpy() for name in ("value", "qty_lots", "price_ticks"))
        return Path(
            one,
            from_ns,
            int(ticks[max(earlier - 1, 0)]) if trades.height else None,
            None if low is None else int(ticks[low]),
            None if low is None else int(times[low]),
            int(ticks[-1]) if trades.height else None,
            trailing_vwap(value, lots),
            value,
            lots,
            carried(last),
        )

    # --- money ------------------------------------------------------------------------------------------------------

    def turnover(self, name: str, first_s: int = 0, last_s: int | None = None) -> float:
        """Quote currency traded in an instrument in the seconds ``first_s <= s < last_s``, valued in the numeraire."""
        path = self.paths[name]
        return float(path.value[first_s:last_s].sum()) * self.numeraire_per_unit[name]

    @cached_property
    def numeraire_per_unit(self) -> dict[str, float]:
        """Numeraire of one lot at a price of one tick, per instrument.

        Bias: an instrument quoted in another asset (WBETH in ETH) is valued at that asset's reference throughout.
        """
        return {name: float(one.unit_notional) * self.value_of(one.quote) for name, one in self.run.instruments.items()}

    def value_of(self, asset: str) -> float:
        """Reference price of an asset in the numeraire; 1 for the numeraire and for what has no price of its own."""
        for name, one in self.run.instruments.items():
            if one.base == asset and one.quote == self.run.numeraire and one.kind == "spot" and asset != one.quote:
                return self.paths[name].price(self.paths[name].reference) or 1.0
        return 1.0

    @cached_property
    def credit(self) -> pl.DataFrame:
        """The credit table with decoded ``account``, ``amount`` and ``value``."""
        return self.run.credit

    def events(self, kinds: Sequence[str]) -> pl.DataFrame:
        """Rows of the credit table of these kinds, in order of time."""
        return self.credit.filter(pl.col("kind").is_in(list(kinds)))


def shock_of(run: Run) -> int | None:
    """When the run's first shock came: as its summary says, or (unfinished run) its notes; None without one."""
    when = run.summary.get("shock_ns")
    if not isinstance(when, int) or isinstance(when, bool):
        noted = run.collect(run.scan("milestones").filter(pl.col("name").str.starts_with("shock ")))
        when = noted["time_ns"].min() if noted.height else None
    return when if isinstance(when, int) and 0 <= when <= run.end_ns else None


def trailing_vwap(value: Floats, lots: Floats, window: int = WINDOW_S) -> Floats:
    """Sum of `value` over sum of `lots` in the last `window` entries, carried on where no lot was traded.

    Sums are made window by window: differences of running totals would lose a price that fell to a millionth.
    """
    views = (
        np.lib.stride_tricks.sliding_window_view(np.concatenate([np.zeros(window - 1), series]), window).sum(axis=1)
        for series in (value, lots)
    )
    worth, traded = views
    return carried(np.divide(worth, traded, out=np.full(len(traded), np.nan), where=traded > 0))


def carried(series: Floats) -> Floats:
    """`series` with every NaN replaced by the last number before it."""
    known = np.where(np.isnan(series), -1, np.arange(len(series)))
    place = np.maximum.accumulate(known) if len(series) else known
    result: Any = np.where(place >= 0, series[place], np.nan)
    return np.asarray(result, dtype=np.float64)
