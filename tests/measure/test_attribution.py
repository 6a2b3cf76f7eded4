"""The fall of a group taken apart sums to its mean fall, exactly, as does every instrument's, tick for tick."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.events import Purpose
from lobsim.measure import attribution
from tests.measure.worlds import BOOKS, SHOCK_S, World

PRINTS = st.lists(
    st.tuples(st.integers(SHOCK_S - 5, SHOCK_S + 20), st.integers(0, 3), st.integers(1, 300), st.sampled_from(Purpose)),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(prints=PRINTS)
def test_parts_sum_to_the_mean_fall(prints):
    world = World()
    prints.sort(key=lambda one: one[0])
    for second, book, price, purpose in prints:
        world.trade(second, BOOKS[book], price, 1, purpose)
    falls, lows = [], {}
    for number, book in enumerate(BOOKS):
        before = [price for second, at, price, _ in prints if at == number and second < SHOCK_S]
        after = [(price, purpose) for second, at, price, purpose in prints if at == number and second >= SHOCK_S]
        if not after:
            continue
        reference = before[-1] if before else after[0][0]
        lowest = reference
        for price, purpose in after:
            if price < lowest:
                lows[purpose.name, book] = lows.get((purpose.name, book), 0) + Fraction(lowest - price, reference)
                lowest = price
        if lowest < reference:
            falls.append(Fraction(reference - lowest, reference))
    found = attribution(world.run(), BOOKS)
    assert len(found.instruments) == len(falls)
    assert found.fall == (sum(falls) / len(falls) if falls else 0)
    assert sum(found.new_lows.values()) == sum(found.moves.values()) == found.fall
    naive: dict[str, Fraction] = {}
    for (purpose, _), share in lows.items():
        naive[purpose] = naive.get(purpose, Fraction(0)) + share / len(falls)
    assert found.new_lows == naive


def test_the_focus_group_by_default():
    world = World()
    for book, low in (("A-USDT", 50), ("B-USDT", 100), ("USDE-USDT", 1)):
        world.trade(1, book, 100)
        world.trade(SHOCK_S + 1, book, 90, 1, Purpose.SHOCK)
        world.trade(SHOCK_S + 2, book, 95, 1, Purpose.NOISE)
        world.trade(SHOCK_S + 3, book, low, 1, Purpose.LOAN_LIQUIDATION)
    found = attribution(world.run())
    assert found.instruments == ("A-USDT", "B-USDT")
    assert found.fall == Fraction(50 + 10, 200)
    assert found.new_lows == {"SHOCK": Fraction(20, 200), "LOAN_LIQUIDATION": Fraction(40, 200)}
    assert found.moves == {
        "SHOCK": Fraction(20, 200),
        "NOISE": Fraction(-5, 200),
        "LOAN_LIQUIDATION": Fraction(45, 200),
    }
