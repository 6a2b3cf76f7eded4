"""Marks: exact rationals that say what one quantum of an asset is worth in quanta of another.

A mark is a pair (numerator, denominator) of positive integers rather than a `fractions.Fraction`, which would cost two
microseconds per comparison; it need not be in lowest terms. Marks value accounts and loans, they are never posted.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import gcd
from typing import TypeAlias

Mark: TypeAlias = tuple[int, int]
Marks: TypeAlias = Mapping[int, Mark]


def mark_of_price(price_ticks: int, tick: Decimal, base_quantum: Decimal, quote_quantum: Decimal) -> Mark:
    """Quote quanta per base quantum at a price of `price_ticks` ticks of `tick` quote units per base unit, exactly.

    Raises ValueError unless all four are positive.
    """
    if price_ticks < 1 or min(tick, base_quantum, quote_quantum) <= 0:
        raise ValueError(
            f"a mark needs a positive price, tick and quanta: {price_ticks} ticks of {tick},"
            f" quanta {base_quantum} and {quote_quantum}"
        )
    tick_over, tick_under = tick.as_integer_ratio()
    base_over, base_under = base_quantum.as_integer_ratio()
    quote_over, quote_under = quote_quantum.as_integer_ratio()
    return lowest_terms((price_ticks * tick_over * base_over * quote_under, tick_under * base_under * quote_over))


def chain_marks(first: Mark, second: Mark) -> Mark:
    """Mark along a path, such as WBETH/ETH x ETH/USDT."""
    return lowest_terms((first[0] * second[0], first[1] * second[1]))


def lowest_terms(mark: Mark) -> Mark:
    """The same mark with the smallest integers: worth it where one mark values many accounts."""
    common = gcd(*mark)
    return mark[0] // common, mark[1] // common


def check_mark(mark: Mark) -> Mark:
    """The mark itself; raises ValueError unless both of its integers are positive."""
    if mark[0] < 1 or mark[1] < 1:
        raise ValueError(f"a mark is a pair of positive integers (numerator, denominator), not {mark!r}")
    return mark
