"""Intervals for what was measured over seeds: bootstrap of means and paired differences, shares of runs.

Every interval is two-sided. Random numbers come from the stream ``sweep.NAME`` (`lobsim.sim.streams`) of the
`name` and `seed` given, so that the same figures have the same interval on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lobsim.sim.streams import Stream

Values = Sequence[float] | NDArray[np.float64]
Matrix = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 4000
_BLOCK = 4_000_000
_NORMAL = NormalDist()


class Interval(NamedTuple):
    """An estimate from `n` runs with its confidence interval; low and high are None where one run is all there is."""

    value: float
    low: float | None
    high: float | None
    n: int

    @property
    def excludes_zero(self) -> bool:
        """The whole interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


class Quartiles(NamedTuple):
    """Median and quartiles of `n` values (linear interpolation)."""

    low: float
    median: float
    high: float
    n: int


def quartiles(values: Values) -> Quartiles | None:
    """Median and quartiles; None without values."""
    if len(values) == 0:
        return None
    low, median, high = np.quantile(np.asarray(values, dtype=np.float64), (0.25, 0.5, 0.75)).tolist()
    return Quartiles(low, median, high, len(values))


def mean_interval(
    values: Values, name: str, *, seed: int = 0, confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> Interval | None:
    """Mean of independent values with its bootstrap interval; None without values.

    Expanded percentile interval (T. Hesterberg, "What Teachers Should Know About the Bootstrap", The American
    Statistician 69, 2015, section 4.3): plain percentiles are too narrow for few values by about
    sqrt((n - 1) / n) * z / t, so the percentiles taken are those that make up for it. Bias: with five values and
    fewer it is the whole range of resampled means; skewed values are covered less often than stated.
    Complexity: O(resamples * n), memory bounded.
    """
    sample = np.asarray(values, dtype=np.float64)
    n = sample.size
    if n == 0:
        return None
    mean = float(sample.mean())
    if n == 1:
        return Interval(mean, None, None, 1)
    generator = Stream(seed, f"sweep.{name}").generator("resampling")
    means = np.concatenate(
        [sample[generator.integers(0, n, (rows, n))].mean(axis=1) for rows in _blocks(resamples, _BLOCK // n)]
    )
    return _between(mean, means, n, confidence)


def paired_difference(
    values: Sequence[float | None],
    baseline: Sequence[float | None],
    name: str,
    *,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """Mean of values - baseline over pairs (same seed, same place) of which both are known; None without a pair."""
    pairs = [one - other for one, other in zip(values, baseline, strict=True) if one is not None and other is not None]
    return mean_interval(pairs, name, seed=seed, confidence=confidence, resamples=resamples)


def share_interval(flags: Sequence[bool | float], confidence: float = CONFIDENCE) -> Interval | None:
    """Share of true flags with its Wilson score interval (E. B. Wilson, JASA 22, 1927); None without flags."""
    n = len(flags)
    if n == 0:
        return None
    share = sum(map(bool, flags)) / n
    z2 = _z(confidence) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = sqrt(z2) * sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Interval(share, max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach)), n)


def paired_share_difference(
    flags: Sequence[float | None], baseline: Sequence[float | None], confidence: float = CONFIDENCE
) -> Interval | None:
    """Difference of two shares over the same seeds, P(flag) - P(baseline), with an interval; None without a pair.

    Adjusted Wald interval for paired proportions (D. G. Bonett, R. M. Price, Journal of Educational and Behavioral
    Statistics 37, 2012): one is added to each count of discordant pairs. A bootstrap would claim certainty where all
    pairs happen to agree; this does not.
    """
    pairs = [
        (bool(one), bool(other))
        for one, other in zip(flags, baseline, strict=True)
        if one is not None and other is not None
    ]
    n = len(pairs)
    if n == 0:
        return None
    gained = sum(one and not other for one, other in pairs)
    lost = sum(other and not one for one, other in pairs)
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    reach = _z(confidence) * sqrt((up + down - (up - down) ** 2) / (n + 2))
    value = (gained - lost) / n
    low, high = max(-1.0, up - down - reach), min(1.0, up - down + reach)
    return Interval(value, min(low, value), max(high, value), n)


def two_way_interval(
    table: Matrix, name: str, *, seed: int = 0, confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> Interval:
    """Mean of a table of seeds x draws with an interval for the chance in both: rows and columns are resampled.

    table: one row per seed, one column per independent draw (of a permutation). Complexity: O(resamples * cells).
    """
    rows, columns = table.shape
    if columns == 1:
        found = mean_interval(table[:, 0], name, seed=seed, confidence=confidence, resamples=resamples)
        assert found is not None
        return found
    mean = float(table.mean())
    generator = Stream(seed, f"sweep.{name}").generator("resampling")
    row_weights = generator.multinomial(rows, np.full(rows, 1 / rows), resamples) / rows
    column_weights = generator.multinomial(columns, np.full(columns, 1 / columns), resamples) / columns
    means = np.einsum("bc,bc->b", row_weights @ table, column_weights)
    return _between(mean, means, min(rows, columns) if rows > 1 else columns, confidence, rows)


def student_t(share: float, freedom: int) -> float:
    """Quantile of Student's t, by the expansion around the normal quantile (Abramowitz & Stegun 26.7.5).

    Good to 0.1 % from four degrees of freedom on; below, too small by up to 12 %.
    """
    z: float = _NORMAL.inv_cdf(share)
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum((term / freedom**power for power, term in enumerate(terms, start=1)), 0.0)


def _between(mean: float, means: NDArray[np.float64], n: int, confidence: float, shown: int | None = None) -> Interval:
    tail = _NORMAL.cdf(-sqrt(n / (n - 1)) * student_t((1 + confidence) / 2, n - 1))
    low, high = np.quantile(means, (tail, 1 - tail)).tolist()
    return Interval(mean, min(low, mean), max(high, mean), n if shown is None else shown)


def _z(confidence: float) -> float:
    return _NORMAL.inv_cdf((1 + confidence) / 2)


def _blocks(total: int, size: int) -> list[int]:
    size = max(1, size)
    return [min(size, total - done) for done in range(0, total, size)]
