"""Looped leverage, to the cent: the published example, its formulas, and input that is no loop."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.credit.loops import loop
from lobsim.errors import InputError

shares = st.fractions(0, Fraction(95, 100), max_denominator=100)


def test_the_published_example() -> None:
    """$100,000 at 80 % and five rounds: $368,928 in all, 3.689x, wiped out by a fall of 27.1 %."""
    found = loop(100_000, "0.8", 5)
    assert found.position == 368_928
    assert found.debt == 268_928
    assert found.leverage == Fraction("3.68928")
    assert [int(one.borrowed) for one in found.rounds] == [0, 80_000, 64_000, 51_200, 40_960, 32_768]
    assert found.wipe_out_fall == 1 / Fraction("3.68928")
    assert round(float(found.wipe_out_fall), 3) == 0.271


def test_a_yield_of_12_to_15_percent_becomes_18_to_24_when_looped() -> None:
    """L y - (L - 1) b, at borrowing rates of 9.8 % and 12 %."""
    found = loop(100_000, "0.8", 5)
    assert found.net_yield("0.12", "0.1") == Fraction("3.68928") * Fraction("0.12") - Fraction("2.68928") / 10
    assert 0.17 < float(found.net_yield("0.12", "0.098")) < 0.19
    assert 0.22 < float(found.net_yield("0.15", "0.12")) < 0.24


def test_where_the_lender_sells() -> None:
    found = loop(100_000, "0.8", 5)
    fall = found.liquidating_fall("0.93")
    assert found.debt / (found.position * (1 - fall)) == Fraction("0.93")
    assert 0.21 < float(fall) < 0.22
    assert found.liquidating_fall(1) == found.wipe_out_fall
    with pytest.raises(InputError, match=r"starts at an LTV of 0\.7289"):
        found.liquidating_fall("0.72")


@given(capital=st.integers(1, 10**12), ltv=shares, rounds=st.integers(0, 40))
def test_position_is_the_geometric_sum(capital: int, ltv: Fraction, rounds: int) -> None:
    found = loop(capital, ltv, rounds)
    assert found.position == capital * (1 - ltv ** (rounds + 1)) / (1 - ltv)
    assert found.position - found.debt == capital
    assert found.position * (1 - found.wipe_out_fall) == found.debt
    assert sum(one.borrowed for one in found.rounds) == found.debt
    assert found.net_yield("0.07", "0.07") == Fraction("0.07")


@given(ltv=shares, rounds=st.integers(1, 20), limit=st.fractions(Fraction(96, 100), 1, max_denominator=1000))
def test_a_loop_is_liquidated_before_it_is_wiped_out(ltv: Fraction, rounds: int, limit: Fraction) -> None:
    found = loop(1, ltv, rounds)
    assert 0 < found.liquidating_fall(limit) <= found.wipe_out_fall
    assert (found.liquidating_fall(limit) == found.wipe_out_fall) == (limit == 1 or ltv == 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, "0.8", 5), "capital 0: must be above 0"),
        (("x", "0.8", 5), "capital 'x': no number"),
        ((1, 1, 5), "ltv 1: must lie between 0 and 1, below 1"),
        ((1, "-0.1", 5), "ltv -0.1"),
        ((1, "0.8", -1), "rounds -1"),
        ((1, "0.8", 10**6), "rounds 1000000: must lie between 0 and 1000"),
    ],
)
def test_what_is_no_loop_is_refused(arguments: tuple[int | str, int | str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        loop(*arguments)
