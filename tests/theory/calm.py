"""What is measured on the calm scenario: returns and their correlations, the average book, the impact of metaorders."""

from __future__ import annotations

from math import log
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lobsim import Run, load_scenario
from lobsim.units import NS_PER_S

SCENARIO = Path(__file__).resolve().parents[2] / "scenarios" / "calm.toml"
INSTRUMENT = "ALT-USDT"
Real = NDArray[np.float64]


class Mids:
    """Logarithm of the mid price as a step function of time."""

    def __init__(self, run: Run) -> None:
        both = pl.col("bid_ticks").is_not_null() & pl.col("ask_ticks").is_not_null()
        mid = ((pl.col("bid_ticks") + pl.col("ask_ticks")) / 2).alias("mid")
        frame = run.collect(run.scan("quotes").filter(both).select("time_ns", mid))
        self.times = frame["time_ns"].to_numpy()
        self.logs = np.log(frame["mid"].to_numpy())

    def at(self, time_ns: int | NDArray[np.int64]) -> Any:
        """Value at a moment, or at many; before the first quote, that of the first."""
        return self.logs[np.maximum(0, np.searchsorted(self.times, time_ns, side="right") - 1)]

    def returns(self, interval_s: float, start_s: float, end_s: float) -> Real:
        """Log returns over successive intervals."""
        grid = np.arange(start_s, end_s, interval_s) * NS_PER_S
        values: Real = np.diff(self.at(grid.astype(np.int64)))
        return values


# --- stylised facts -------------------------------------------------------------------------------------------------


def autocorrelation(series: Real, lag: int) -> float:
    """Sample autocorrelation at one lag."""
    centred = series - series.mean()
    return float(centred[lag:] @ centred[:-lag] / (centred @ centred))


def standard_error(series: Real, lag: int) -> float:
    """Of the autocorrelation of an uncorrelated series whose variance may change and cluster.

    ``sqrt(sum x_t^2 x_(t-k)^2) / sum x_t^2`` (as in the robust variance ratio of Lo and MacKinlay 1988,
    doi:10.1093/rfs/1.1.41): with clustered volatility the usual 1 / sqrt(n) is too small.
    """
    squares = (series - series.mean()) ** 2
    return float(np.sqrt(squares[lag:] @ squares[:-lag]) / squares.sum())


def excess_kurtosis(series: Real) -> float:
    """Fourth moment over squared variance, less the 3 of a normal distribution."""
    centred = series - series.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2 - 3)


def average_book(run: Run, levels: int) -> Real:
    """Mean lots 0, 1, 2 ... ticks behind the best price, over both sides and all keyframes (Bouchaud et al. 2002)."""
    depth = run.collect(run.scan("depth").select("keyframe", "side", "price_ticks", "qty_lots"))
    keys = ["keyframe", "side"]
    best = pl.when(pl.col("side") == 0).then(pl.col("price_ticks").max()).otherwise(pl.col("price_ticks").min())
    behind = depth.with_columns(behind=(pl.col("price_ticks") - best.over(keys)).abs())
    sides = depth.select(keys).unique().height
    total = behind.filter(pl.col("behind") < levels).group_by("behind").agg(pl.col("qty_lots").sum())
    book = np.zeros(levels)
    book[total["behind"].to_numpy()] = total["qty_lots"].to_numpy() / sides
    return book


# --- impact of metaorders -------------------------------------------------------------------------------------------

METAORDERS = {
    "kind": "metaorders",
    "instrument": INSTRUMENT,
    "smallest_qty": 4_000,
    "largest_qty": 256_000,
    "tail": 0,  # as many small ones as large ones, for the sake of the fit
    "pace": 750,  # a fifth to a sixth of what is traded anyway
    "slice": "2s",
    "rest": "40s",
}


class Metaorder(NamedTuple):
    """One parent: its size, and the log return of the mid from its beginning to its end in its own direction.

    `excess` is that return less the one of the same seed's run without metaorders over the same time.
    """

    qty: float
    seconds: float
    move: float
    excess: float


def replay(seed: int, minutes: float, *, metaorders: bool) -> Run:
    """A run of the calm scenario, with or without metaorders in it; everybody else draws the same numbers."""
    settings = {"agents.metaorders": METAORDERS} if metaorders else {}
    return load_scenario(SCENARIO, settings=settings).replay(seed=seed, until_ns=round(minutes * 60 * NS_PER_S))


def metaorders_of(run: Run, without: Run) -> list[Metaorder]:
    """The finished parents of `run`, each against what `without` did meanwhile."""
    mids, others = Mids(run), Mids(without)
    lot = float(run.instrument(INSTRUMENT).lot.step)
    notes = run.milestones.filter(pl.col("name").str.starts_with("metaorder_")).sort("time_ns", maintain_order=True)
    found = []
    for began, ended in zip(notes[::2].iter_rows(named=True), notes[1::2].iter_rows(named=True), strict=False):
        lots, start, end = int(began["amount"]), began["time_ns"], ended["time_ns"]
        direction = 1 if lots > 0 else -1
        move = direction * float(mids.at(end) - mids.at(start))
        other = direction * float(others.at(end) - others.at(start))
        found.append(Metaorder(abs(lots) * lot, (end - start) / NS_PER_S, move, move - other))
    return found


class Law(NamedTuple):
    """``impact = factor * qty ^ exponent`` with the points it was fitted to: mean size and impact of each bin."""

    exponent: float
    error: float
    points: list[tuple[float, float, float, int]]


def impact_law(metaorders: list[Metaorder], bins: int = 6) -> Law:
    """Exponent by regression of log mean impact on log size over bins of equal counts; its error by the delta method.

    Impacts are averaged before the logarithm is taken, since single ones are noise and may be negative. A point is
    (geometric mean size, mean impact, its standard error, count).
    """
    ordered = sorted(metaorders)
    points = []
    for part in np.array_split(np.arange(len(ordered)), bins):
        impacts = np.array([ordered[i].excess for i in part])
        size = float(np.exp(np.mean([log(ordered[i].qty) for i in part])))
        points.append((size, float(impacts.mean()), float(impacts.std(ddof=1) / np.sqrt(len(part))), len(part)))
    sizes, means, errors, _ = (np.array(column) for column in zip(*points, strict=True))
    if (means <= 0).any():
        raise ValueError(f"a bin of metaorders moved the price against itself on average: {points}")
    centred = np.log(sizes) - np.log(sizes).mean()
    slopes = centred / (centred @ centred)
    return Law(float(slopes @ np.log(means)), float(np.sqrt(((slopes * errors / means) ** 2).sum())), points)
