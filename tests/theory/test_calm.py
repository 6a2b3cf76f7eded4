"""The calm scenario behaves as markets do: stylised facts, and impact of large orders by the square root of their size.

Facts as collected by Cont (2001, doi:10.1080/713665670) and Vyetrenko et al. (2020, doi:10.1145/3383455.3422561), the
shape of the book by Bouchaud, Mezard and Potters (2002, doi:10.1088/1469-7688/2/4/301), the square root by Toth et al.
(2011, doi:10.1103/PhysRevX.1.021006). One hour by default, more with ``LOBSIM_SLOW=1 pytest -m slow tests/theory``;
the figures: ``python tools/theory.py facts`` and ``... impact``.
"""

from __future__ import annotations

import os
from functools import cache

import numpy as np
import pytest

from lobsim import Run
from tests.theory import calm

SEED, LONG_SEEDS = 1, (2, 3, 4, 5)
MINUTES, WARM_UP_S = 60, 120
slow = pytest.mark.slow
skip = pytest.mark.skipif("LOBSIM_SLOW" not in os.environ, reason="ten seconds a seed; set LOBSIM_SLOW=1")
seeds = pytest.mark.parametrize("seed", [SEED, *(pytest.param(seed, marks=[slow, skip]) for seed in LONG_SEEDS)])


@cache
def plain(seed: int) -> Run:
    return calm.replay(seed, MINUTES, metaorders=False)


@cache
def returns(seed: int) -> calm.Real:
    """Of one second each, once the makers have settled."""
    return calm.Mids(plain(seed)).returns(1, WARM_UP_S, MINUTES * 60)


@seeds
def test_returns_are_uncorrelated_after_a_few_seconds(seed: int) -> None:
    """Squared autocorrelations in units of their errors, lags 5 s to a minute, against the chi-squared distribution."""
    lags = range(5, 65)
    scores = [calm.autocorrelation(returns(seed), lag) / calm.standard_error(returns(seed), lag) for lag in lags]
    assert sum(score**2 for score in scores) < 99.6  # 0.1 % of samples of noise are above
    assert abs(sum(scores) / len(scores)) < 0.5


@seeds
def test_volatility_clusters(seed: int) -> None:
    """Sizes of returns are correlated long after the returns themselves are not."""
    sizes = np.abs(returns(seed))
    noise = 1 / np.sqrt(len(sizes))
    for first, last in ((5, 10), (11, 20), (21, 40)):
        mean = np.mean([calm.autocorrelation(sizes, lag) for lag in range(first, last + 1)])
        assert mean > 1.5 * noise, (first, last)


@seeds
def test_returns_have_fat_tails(seed: int) -> None:
    assert calm.excess_kurtosis(returns(seed)) > 8 * np.sqrt(24 / len(returns(seed)))
    assert (np.abs(returns(seed)) > 4 * returns(seed).std()).mean() > 5 * 6.3e-5  # the share in a normal distribution


@seeds
def test_the_average_book_is_hump_shaped(seed: int) -> None:
    """Fullest a few ticks behind the touch; further out lie the patient orders of that seed, thinner on the whole."""
    book = calm.average_book(plain(seed), 200)
    near, far = book[1:20].mean(), book[40:].mean()
    assert 0 < book.argmax() < 50
    assert near > 1.1 * book[0]
    assert near > 1.25 * far


def test_impact_of_metaorders_is_concave_in_their_size() -> None:
    """One hour tells the exponent to a tenth or so: enough to tell a square root from a straight line."""
    found = calm.metaorders_of(calm.replay(SEED, MINUTES, metaorders=True), plain(SEED))
    law = calm.impact_law(found, bins=4)
    assert len(found) >= 20
    assert abs(law.exponent - 0.5) < 0.1 + 2 * law.error, law
    assert law.exponent + 1.5 * law.error < 1, law


@slow
@skip
def test_impact_of_metaorders_grows_as_the_square_root_of_their_size() -> None:
    found = []
    for seed in (SEED, *LONG_SEEDS, 6, 7, 8):
        found += calm.metaorders_of(calm.replay(seed, MINUTES, metaorders=True), plain(seed))
    law = calm.impact_law(found, bins=8)
    assert 0.4 < law.exponent < 0.6, law
    assert law.error < 0.1, law


# --- the measurements themselves ------------------------------------------------------------------------------------


def test_a_law_is_found_in_made_up_metaorders() -> None:
    sizes = np.geomspace(1_000, 100_000, 300)
    noise = np.tile([0.5, 1.5], 150)
    made = [calm.Metaorder(float(q), 1.0, 0.0, float(1e-6 * q**0.7 * n)) for q, n in zip(sizes, noise, strict=True)]
    law = calm.impact_law(made)
    assert law.exponent == pytest.approx(0.7, abs=0.01)
    assert 0 < law.error < 0.1
    with pytest.raises(ValueError, match="against itself"):
        calm.impact_law([order._replace(excess=-order.excess) for order in made])


def test_correlations_and_tails_of_known_series() -> None:
    wave = np.tile([1.0, -1.0], 500)
    assert calm.autocorrelation(wave, 1) == pytest.approx(-1, abs=0.01)
    assert calm.autocorrelation(wave, 2) == pytest.approx(1, abs=0.01)
    assert calm.standard_error(wave, 1) == pytest.approx(1 / np.sqrt(1_000), rel=0.01)
    assert calm.excess_kurtosis(wave) == pytest.approx(-2)
    bursts = np.concatenate([wave, 10 * wave])  # changing variance: correlations are known less well
    assert calm.standard_error(bursts, 1) > 1.2 / np.sqrt(2_000)
