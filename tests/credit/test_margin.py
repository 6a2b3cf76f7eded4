"""Unified accounts: the margin formulas and their edges, and what is refused."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.credit import AssetTerms, CrossMargin, Flow, LedgerError, MarginStatus, TermsError, Thresholds
from lobsim.credit.interest import PPM
from lobsim.errors import CheckError
from tests.credit.builders import ALT, MARGIN_TERMS, USDT, WBETH, Bench


@pytest.fixture
def bench():
    return Bench()


# --- the formulas ---------------------------------------------------------------------------------------------------


def test_equity_counts_debts_in_full_and_collateral_with_its_ratio(bench):
    bench.have(ALT, 1000)
    bench.have(WBETH, 300)
    bench.owe(USDT, 500)
    bench.owe(WBETH, 400)
    marks = {ALT: (7, 3), WBETH: (11, 7)}
    # ALT +1000, WBETH 300 - 400 = -100, USDT -500
    assert bench.margin.positions(bench.maker) == {ALT: 1000, WBETH: -100, USDT: -500}
    equity = Fraction(7000, 3) * Fraction(8, 10) - Fraction(1100, 7) - 500
    maintenance = 500 * Fraction(1, 10) + Fraction(400 * 11, 7) * Fraction(5, 100)
    assert bench.margin.equity(bench.maker, marks) == equity
    assert bench.margin.maintenance(bench.maker, marks) == maintenance
    assert bench.margin.margin_level(bench.maker, marks) == equity * PPM // maintenance
    view = bench.margin.view(bench.maker, marks)
    assert view == (
        MarginStatus.FREE,
        equity // 1,
        maintenance // 1,
        equity * PPM // maintenance,
        Fraction(7000, 3) * PPM // (Fraction(7000, 3) - Fraction(1100, 7) - 500),
        Fraction(4400, 7) + 500 - Fraction(4, 7),
        Fraction(7000, 3) * Fraction(8, 10) // 1,
        7000 // 3,
        0,
    )


def test_an_account_without_debt_is_free_and_has_no_level(bench):
    assert bench.margin.status(bench.maker, {}) == MarginStatus.FREE
    assert bench.margin.view(bench.maker, {}) == (MarginStatus.FREE, 0, 0, None, None, 0, 0, 0, 0)
    bench.have(ALT, 10)
    assert bench.margin.status(bench.maker, {ALT: (1, 10**9)}) == MarginStatus.FREE
    assert bench.margin.effective_leverage(bench.maker, {ALT: (1, 1)}) == PPM
    assert bench.margin.at_or_above(bench.maker, {ALT: (1, 1)}, 10**12)


@pytest.mark.parametrize(
    ("equity", "status"),
    [
        (151, MarginStatus.FREE),
        (150, MarginStatus.WARNING),
        (121, MarginStatus.WARNING),
        (120, MarginStatus.NO_NEW_ORDERS),
        (106, MarginStatus.NO_NEW_ORDERS),
        (105, MarginStatus.LIQUIDATION),
        (0, MarginStatus.LIQUIDATION),
        (-1, MarginStatus.LIQUIDATION),
    ],
)
def test_the_thresholds_at_their_edges(bench, equity, status):
    # owe 1000 USDT: maintenance 100; ALT at ratio 0.8 and mark 5/4 counts 1 each
    bench.owe(USDT, 1000)
    bench.have(ALT, 1000 + equity)
    marks = {ALT: (5, 4), USDT: (1, 1)}
    assert bench.margin.equity(bench.maker, marks) == equity
    assert bench.margin.status(bench.maker, marks) == status
    assert bench.margin.margin_level(bench.maker, marks) == equity * 10_000
    assert bench.margin.at_or_above(bench.maker, marks, equity * 10_000)
    assert not bench.margin.at_or_above(bench.maker, marks, equity * 10_000 + 1)
    assert bench.margin.breached(marks) == ([bench.maker] if status == MarginStatus.LIQUIDATION else [])
    assert bench.margin.breached(marks, status) == [bench.maker]
    assert bench.margin.breached(marks, MarginStatus.FREE) == [bench.maker]


@pytest.mark.parametrize("level", [1_500_000, 1_200_000, 1_050_000])
@pytest.mark.parametrize("change", [-1, 0, 1])
def test_one_part_in_a_million_million_decides(bench, level, change):
    # maintenance is exactly 1 million million quanta, equity a single quantum beside the threshold
    bench.owe(USDT, 10**13)
    bench.have(ALT, 10**13 + level * 10**6 + change)
    status = bench.margin.status(bench.maker, {ALT: (5, 4)})
    worse = {
        1_500_000: MarginStatus.WARNING,
        1_200_000: MarginStatus.NO_NEW_ORDERS,
        1_050_000: MarginStatus.LIQUIDATION,
    }[level]
    assert status == (worse - 1 if change > 0 else worse)


def test_without_maintenance_rates_only_negative_equity_liquidates():
    bench = Bench({USDT: AssetTerms(1_000_000), ALT: AssetTerms(1_000_000)})
    bench.owe(USDT, 100)
    bench.have(ALT, 100)
    assert bench.margin.status(bench.maker, {ALT: (1, 1)}) == MarginStatus.FREE
    assert bench.margin.status(bench.maker, {ALT: (99, 100)}) == MarginStatus.LIQUIDATION
    assert bench.margin.margin_level(bench.maker, {ALT: (1, 1)}) is None
    assert not bench.margin.at_or_above(bench.maker, {ALT: (99, 100)}, 0)


def test_leverage_2x_becomes_3x_at_a_quarter_and_4x_at_a_third(bench):
    bench.have(ALT, 1200)
    bench.owe(USDT, 600)
    leverage = bench.margin.effective_leverage
    assert leverage(bench.maker, {ALT: (1, 1)}) == 2 * PPM
    assert leverage(bench.maker, {ALT: (3, 4)}) == 3 * PPM
    assert leverage(bench.maker, {ALT: (2, 3)}) == 4 * PPM
    assert leverage(bench.maker, {ALT: (1, 2)}) is None
    assert leverage(bench.maker, {ALT: (1, 3)}) is None


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.fractions(0, 1, max_denominator=1000))
def test_leverage_follows_its_formula_under_any_fall(value, debt, fall):
    bench = Bench()
    value += debt  # so that leverage is finite before the fall
    bench.have(ALT, value)
    bench.owe(USDT, debt)
    before = Fraction(value, value - debt)
    mark = 1 - fall
    if mark == 0 or before * fall >= 1:
        assert mark == 0 or bench.margin.effective_leverage(bench.maker, {ALT: mark.as_integer_ratio()}) is None
        return
    expected = before * (1 - fall) / (1 - before * fall)
    assert bench.margin.effective_leverage(bench.maker, {ALT: mark.as_integer_ratio()}) == expected * PPM // 1


# --- what if --------------------------------------------------------------------------------------------------------

amounts = st.integers(0, 10**6)
marks_drawn = st.fixed_dictionaries(
    {ALT: st.tuples(st.integers(1, 10**4), st.integers(1, 10**4)), WBETH: st.tuples(st.integers(1, 99), st.just(10))}
)


@given(amounts, amounts, amounts, amounts, marks_drawn, st.booleans())
def test_status_after_a_trade_is_what_the_trade_leads_to(have, owe, base, quote, marks, buys):
    bench = Bench()
    bench.have(ALT, have)
    bench.owe(USDT, owe)
    changes = {ALT: base, USDT: -quote} if buys else {ALT: -base, USDT: quote}
    foreseen = bench.margin.status_after(bench.maker, marks, changes)
    parties = (bench.maker, bench.plain) if buys else (bench.plain, bench.maker)
    bench.margin.settle_trade(*parties, ALT, base, USDT, quote)
    assert bench.margin.status(bench.maker, marks) == foreseen
    bench.check()


# --- bad input ------------------------------------------------------------------------------------------------------


def test_a_position_without_a_mark_is_an_error_that_names_it(bench):
    bench.have(ALT, 1)
    with pytest.raises(LedgerError, match="no mark for ALT, in which maker has a position"):
        bench.margin.status(bench.maker, {WBETH: (1, 1)})


def test_who_is_not_enrolled_has_no_margin(bench):
    for refused in (
        lambda: bench.margin.status(bench.plain, {}),
        lambda: bench.margin.borrow(bench.plain, USDT, 1),
        lambda: bench.margin.repay(bench.plain, USDT, 1),
        lambda: bench.margin.liability(bench.plain, USDT),
        lambda: bench.margin.enroll(bench.maker),
        lambda: bench.margin.enroll(bench.pool),
        lambda: bench.margin.enroll(99),
        lambda: bench.margin.borrow(bench.maker, USDT, -1),
        lambda: bench.margin.repay(bench.maker, USDT, -1),
        lambda: bench.margin.repay(bench.maker, USDT, 0.5),
        lambda: bench.margin.borrow(bench.maker, USDT, 0.5),
    ):
        with pytest.raises(LedgerError):
            refused()
    bench.check()


def test_an_asset_without_terms_neither_counts_nor_is_lent():
    bench = Bench({USDT: MARGIN_TERMS[USDT]})
    bench.have(ALT, 10**9)
    assert bench.margin.view(bench.maker, {}).equity == 0
    for refused in (
        lambda: bench.margin.borrow(bench.maker, ALT, 1),
        lambda: bench.margin.status_after(bench.maker, {}, {ALT: 1}),
        lambda: bench.margin.settle_trade(bench.plain, bench.maker, ALT, 10**9 + 1, USDT, 1),
    ):
        with pytest.raises(LedgerError, match="ALT has no margin terms"):
            refused()
    bench.margin.settle_trade(bench.plain, bench.maker, ALT, 10**9, USDT, 1)
    bench.check()


@pytest.mark.parametrize(
    "terms",
    [AssetTerms(-1), AssetTerms(PPM + 1), AssetTerms(0, -1), AssetTerms(0, 0, -1)],
)
def test_terms_out_of_range_are_refused(terms):
    with pytest.raises(TermsError, match="margin terms of ALT"):
        Bench({ALT: terms})


@pytest.mark.parametrize("thresholds", [(1, 2, 1), (3, 1, 2), (3, 2, -1)])
def test_thresholds_out_of_order_are_refused(bench, thresholds):
    with pytest.raises(TermsError, match="fall from free"):
        CrossMargin(bench.ledger, bench.pool, USDT, MARGIN_TERMS, Thresholds(*thresholds))


def test_pool_numeraire_and_assets_must_exist(bench):
    for arguments in ((99, USDT, MARGIN_TERMS), (bench.pool, 9, MARGIN_TERMS), (bench.pool, USDT, {9: AssetTerms()})):
        with pytest.raises(LedgerError):
            CrossMargin(bench.ledger, *arguments)


# --- proof ----------------------------------------------------------------------------------------------------------


def test_check_sees_what_does_not_add_up(bench):
    bench.owe(USDT, 100)
    debt = bench.margin._debts[bench.maker][USDT]
    debt.principal = 101
    with pytest.raises(CheckError, match="maker owes 100 USDT, of it principal 101"):
        bench.margin.check()
    debt.principal = 99
    with pytest.raises(CheckError, match="principals in USDT add up to 99; lent 100, returned 0"):
        bench.margin.check()


def test_check_sees_an_overdrawn_account():
    bench = Bench()
    bold = bench.ledger.open_account("bold", overdraft=True)
    bench.margin.enroll(bold)
    bench.ledger.transfer(bold, bench.plain, USDT, 1, Flow.TRANSFER)
    with pytest.raises(CheckError, match="bold is overdrawn: -1 USDT"):
        bench.margin.check()
