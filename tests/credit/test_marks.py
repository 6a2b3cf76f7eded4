"""Marks are exact, however fine the quanta."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.credit import chain_marks, lowest_terms, mark_of_price

steps = st.decimals(min_value=Decimal("1e-12"), max_value=100, places=12, allow_nan=False).filter(lambda d: d > 0)


def test_a_price_in_ticks_becomes_quanta_per_quantum():
    # 4.1234 USDT per ATOM; ATOM counted in 0.01, USDT in 0.000001: one base quantum is worth 41,234 quote quanta
    assert mark_of_price(41234, Decimal("0.0001"), Decimal("0.01"), Decimal("0.000001")) == (41234, 1)
    # one base quantum is worth less than a quote quantum
    assert mark_of_price(1, Decimal("0.001"), Decimal("0.0000001"), Decimal("0.000001")) == (1, 10_000)


@given(st.integers(1, 2**53), steps, steps, steps)
def test_marks_equal_the_rational_formula(ticks, tick, base, quote):
    mark = mark_of_price(ticks, tick, base, quote)
    assert Fraction(*mark) == ticks * Fraction(tick) * Fraction(base) / Fraction(quote)
    assert lowest_terms(mark) == mark


def test_a_chain_multiplies():
    assert chain_marks((3, 4), (10, 9)) == (5, 6)


@pytest.mark.parametrize("arguments", [(0, 1, 1, 1), (-5, 1, 1, 1), (1, 0, 1, 1), (1, 1, -1, 1), (1, 1, 1, 0)])
def test_nothing_is_worth_nothing(arguments):
    with pytest.raises(ValueError, match="positive"):
        mark_of_price(arguments[0], *map(Decimal, arguments[1:]))
