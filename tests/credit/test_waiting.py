"""Loans wait in order of their liquidation price; the order always answers like a scan over everything."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.credit.interest import PPM
from lobsim.credit.waiting import WaitingOrder
from lobsim.errors import CheckError
from tests.credit.builders import LOAN_TERMS, YEAR_NS, Market


@pytest.fixture
def market():
    return Market()


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=40),
    st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)),
    st.integers(0, YEAR_NS),
    st.data(),
)
def test_breached_and_called_equal_a_scan_over_all_loans(sizes, mark, elapsed, data):
    market = Market(LOAN_TERMS._replace(interest_ppm=300_000))
    ids = [market.open(*size) for size in sizes]
    market.loans.accrue(elapsed)
    if data.draw(st.booleans(), "on a liquidation price"):
        mark = market.loans.liquidation_price(data.draw(st.sampled_from(ids)))
    growth = 1 + Fraction(3 * elapsed, 10 * YEAR_NS)
    ltvs = {
        i: principal * growth / (collateral * Fraction(*mark))
        for i, (collateral, principal) in zip(ids, sizes, strict=True)
    }
    breached = sorted((i for i in ids if ltvs[i] >= Fraction(91, 100)), key=lambda i: (-ltvs[i], i))
    called = sorted((i for i in ids if Fraction(85, 100) <= ltvs[i] < Fraction(91, 100)), key=lambda i: (-ltvs[i], i))
    assert market.loans.breached(mark) == breached
    assert market.loans.called(mark) == called
    assert market.loans.breached(mark, 3) == breached[:3]
    assert market.loans.called(mark, 1) == called[:1]
    assert [market.loans.ltv(i, mark) for i in ids] == [ltvs[i] * PPM // 1 for i in ids]
    assert [market.loans.health_factor(i, mark) for i in ids] == [910_000 / ltvs[i] // 1 for i in ids]


ratios = st.tuples(st.integers(0, 2**70), st.integers(1, 2**70))


@given(st.lists(ratios, max_size=20), ratios, ratios, st.integers(-2, 2))
def test_ratios_too_close_for_the_keys_are_told_apart(given_ratios, low, high, nudge):
    order = WaitingOrder()
    # neighbours of the bounds that a floored key cannot tell from them
    close = [(over * 2**80 + step, under * 2**80) for over, under in (low, high) for step in (nudge, -nudge)]
    waiting = [ratio for ratio in [*given_ratios, low, high, *close] if ratio[0] >= 0]
    for position_id, ratio in enumerate(waiting):
        order.add(position_id, *ratio)
    order.check()
    value = [Fraction(*ratio) for ratio in waiting]
    low_value, high_value = Fraction(*low), Fraction(*high)
    assert sorted(order.between(low, None)) == [i for i, v in enumerate(value) if v >= low_value]
    assert sorted(order.between(low, high)) == [i for i, v in enumerate(value) if low_value <= v < high_value]
    for position_id in range(len(waiting)):
        order.remove(position_id)
    assert list(order.between((0, 1), None)) == []


steps = st.lists(
    st.tuples(st.sampled_from(("add", "remove", "ask", "ask")), st.integers(-50, 50), st.integers(1, 5)), max_size=40
)


@given(steps)
def test_questions_between_changes_equal_a_scan(given_steps):
    """Whatever waits, came and went, below 0 too (shorts): the bound that ends most questions is never too low."""
    order = WaitingOrder()
    waiting: dict[int, Fraction] = {}
    for step, (action, over, under) in enumerate(given_steps):
        if action == "add":
            order.add(step, over, under)
            waiting[step] = Fraction(over, under)
        elif action == "remove" and waiting:
            position_id = sorted(waiting)[over % len(waiting)]
            order.remove(position_id)
            del waiting[position_id]
        else:
            expected = [i for i, ratio in waiting.items() if ratio >= Fraction(over, under)]
            assert list(order.between((over, under), None)) == sorted(expected, key=lambda i: (-waiting[i], i))
        order.check()


def test_a_mark_touches_only_what_it_breaches(market, monkeypatch):
    """Safe loans are never looked at one by one: exact comparisons happen only where a key equals a bound."""
    for size in range(1, 2001):
        market.open(10_000, size)
    looked_at = []
    reaches = WaitingOrder._reaches
    monkeypatch.setattr(WaitingOrder, "_reaches", lambda *args: looked_at.append(args[1]) or reaches(*args))
    mark = (1990, 9100)  # LTV 91 % at a debt of 1,990
    assert market.loans.breached(mark) == [2000 - i for i in range(11)]
    assert looked_at == [1990]


def test_waiting_for_a_position_twice_or_never():
    order = WaitingOrder()
    order.add(1, 5, 3)
    with pytest.raises(KeyError):
        order.remove(2)
    order.ratios[1] = (5, 4)
    with pytest.raises(CheckError, match="waiting order"):
        order.check()
