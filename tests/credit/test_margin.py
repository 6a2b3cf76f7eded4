"""Unified accounts: the formulas, their edges, and borrowing that makes settlement always possible."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.credit import (
    AssetTerms,
    CrossMargin,
    Flow,
    InsufficientFunds,
    Ledger,
    LedgerError,
    MarginStatus,
    TermsError,
    Thresholds,
)
from lobsim.credit.interest import INDEX_ONE, PPM
from lobsim.errors import CheckError
from lobsim.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_S

USDT, ALT, WBETH = 0, 1, 2
TERMS = {
    USDT: AssetTerms(1_000_000, 100_000, 200_000),
    ALT: AssetTerms(800_000, 100_000),
    WBETH: AssetTerms(950_000, 50_000),
}
YEAR_NS = 365 * NS_PER_DAY


class Bench:
    """A ledger with a pool, a unified account, and a plain one that has everything."""

    def __init__(self, terms=TERMS, *, overdraft=True, pool_cash=0):
        self.ledger = Ledger()
        for name in ("USDT", "ALT", "WBETH"):
            self.ledger.add_asset(name, "0.01")
        self.pool = self.ledger.open_account("pool", overdraft=overdraft)
        self.maker = self.ledger.open_account("maker")
        self.plain = self.ledger.open_account("plain")
        self.margin = CrossMargin(self.ledger, self.pool, USDT, terms)
        self.margin.enroll(self.maker)
        for asset in (USDT, ALT, WBETH):
            self.ledger.issue(self.plain, asset, 10**15, Flow.DEPOSIT)
            if pool_cash:
                self.ledger.issue(self.pool, asset, pool_cash, Flow.DEPOSIT)

    def owe(self, asset, amount):
        """Borrow and take it out of the account: a liability without the cash."""
        self.margin.borrow(self.maker, asset, amount)
        self.ledger.transfer(self.maker, self.plain, asset, amount, Flow.WITHDRAW)

    def have(self, asset, amount):
        self.ledger.issue(self.maker, asset, amount, Flow.DEPOSIT)

    def check(self):
        self.ledger.check()
        self.margin.check()


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
    )


def test_an_account_without_debt_is_free_and_has_no_level(bench):
    assert bench.margin.status(bench.maker, {}) == MarginStatus.FREE
    assert bench.margin.view(bench.maker, {}) == (MarginStatus.FREE, 0, 0, None, None, 0, 0, 0)
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
    worse = {1_500_000: MarginStatus.WARNING, 1_200_000: MarginStatus.NO_NEW_ORDERS, 1_050_000: MarginStatus.LIQUIDATION}[level]  # fmt: skip
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


# --- borrowing ------------------------------------------------------------------------------------------------------


def test_a_settlement_borrows_what_is_missing_and_repays_from_what_comes_in(bench):
    margin, ledger, maker, plain = bench.margin, bench.ledger, bench.maker, bench.plain
    bench.have(USDT, 100)
    margin.settle_trade(maker, plain, ALT, 10, USDT, 250)
    assert (ledger.balance(maker, USDT), margin.liability(maker, USDT), ledger.balance(maker, ALT)) == (0, 150, 10)
    assert ledger.balance(bench.pool, USDT) == -150
    margin.settle_trade(plain, maker, ALT, 30, USDT, 700)  # sells 20 it has not got
    assert margin.positions(maker) == {USDT: 550, ALT: -20}
    assert (ledger.balance(maker, USDT), margin.liability(maker, USDT), margin.liability(maker, ALT)) == (550, 0, 20)
    margin.settle_trade(maker, plain, ALT, 25, USDT, 100)
    assert margin.positions(maker) == {USDT: 450, ALT: 5}
    assert (ledger.moved(USDT, Flow.BORROW), ledger.moved(USDT, Flow.REPAY)) == (150, 150)
    bench.check()


def test_two_unified_accounts_trade_with_nothing(bench):
    other = bench.ledger.open_account("other")
    bench.margin.enroll(other)
    bench.margin.settle_trade(bench.maker, other, ALT, 10, USDT, 250)
    assert bench.margin.positions(bench.maker) == {ALT: 10, USDT: -250}
    assert bench.margin.positions(other) == {ALT: -10, USDT: 250}
    bench.margin.settle_trade(other, other, WBETH, 3, USDT, 500)
    assert bench.margin.positions(other) == {ALT: -10, USDT: 250}
    bench.check()


def test_cover_and_sweep_respect_what_is_held(bench):
    margin, ledger, maker = bench.margin, bench.ledger, bench.maker
    bench.have(USDT, 100)
    ledger.hold(maker, USDT, 60)
    assert margin.cover(maker, USDT, 40) == 0
    assert margin.cover(maker, USDT, 90) == 50
    assert ledger.free(maker, USDT) == 90
    assert margin.sweep(maker, USDT) == 50
    assert margin.sweep(maker, USDT) == 0
    assert ledger.balance(maker, USDT) == 100
    margin.borrow(maker, USDT, 500)
    ledger.transfer(maker, bench.plain, USDT, 520, Flow.WITHDRAW)
    assert margin.sweep(maker, USDT) == 20  # the other 60 are held
    assert (margin.liability(maker, USDT), ledger.balance(maker, USDT)) == (480, 60)
    bench.check()


def test_released_holds_pay_before_anything_is_borrowed(bench):
    bench.have(USDT, 100)
    bench.have(ALT, 10)
    bench.ledger.hold(bench.maker, USDT, 100)
    bench.margin.settle_trade(bench.maker, bench.plain, ALT, 1, USDT, 100, buyer_release=100)
    assert bench.margin.liability(bench.maker, USDT) == 0
    bench.ledger.hold(bench.maker, ALT, 11)
    bench.margin.settle_trade(bench.plain, bench.maker, ALT, 12, USDT, 5, seller_release=11)
    assert bench.margin.positions(bench.maker) == {ALT: -1, USDT: 5}
    bench.check()


def test_plain_accounts_are_settled_as_they_are(bench):
    poor = bench.ledger.open_account("poor")
    assert bench.margin.cover(poor, USDT, 10) == bench.margin.sweep(poor, USDT) == 0
    assert poor not in bench.margin
    assert bench.maker in bench.margin
    bench.margin.settle_trade(bench.plain, bench.pool, ALT, 5, USDT, 50)
    for trade in ((poor, bench.maker), (bench.maker, poor)):
        with pytest.raises(InsufficientFunds, match="poor has 0 free quanta"):
            bench.margin.settle_trade(*trade, ALT, 5, USDT, 50)
        assert bench.margin.positions(bench.maker) == {}
    assert bench.ledger.moved(USDT, Flow.BORROW) == bench.ledger.moved(ALT, Flow.BORROW) == 0


@pytest.mark.parametrize(("buys", "sells"), [(401, 400), (400, 401), (401, 401)])
def test_an_empty_pool_refuses_before_anything_moves(buys, sells):
    bench = Bench(overdraft=False, pool_cash=400)
    other = bench.ledger.open_account("other")
    bench.margin.enroll(other)
    with pytest.raises(InsufficientFunds, match="pool has 400"):
        bench.margin.settle_trade(bench.maker, other, ALT, sells, USDT, buys)
    with pytest.raises(InsufficientFunds, match="pool has 400"):
        bench.margin.borrow(bench.maker, ALT, 401)
    assert bench.ledger.moved(USDT, Flow.BORROW) == bench.ledger.moved(ALT, Flow.BORROW) == 0
    bench.margin.settle_trade(bench.maker, other, ALT, 400, USDT, 400)
    bench.check()


@pytest.mark.parametrize(
    "arguments",
    [
        (USDT, 5, USDT, 5),
        (ALT, 5, USDT, -5),
        (ALT, -5, USDT, 5),
        (ALT, 5.5, USDT, 5),
        (ALT, 5, USDT, 5.5),
        (ALT, 5, 3, 5),
        (3, 5, USDT, 5),
        (ALT, 5, USDT, 5, 1),
        (ALT, 5, USDT, 5, 0, 1),
        (ALT, 5, USDT, 5, -1, 0),
        (ALT, 5, USDT, 5, 0, -1),
    ],
)
def test_a_senseless_settlement_moves_nothing(bench, arguments):
    other = bench.ledger.open_account("other")
    bench.margin.enroll(other)
    with pytest.raises(LedgerError):
        bench.margin.settle_trade(bench.maker, other, *arguments)
    assert bench.margin.positions(bench.maker) == bench.margin.positions(other) == {}
    assert all(bench.ledger.moved(asset, Flow.BORROW) == 0 for asset in (USDT, ALT))


def test_a_repayment_is_capped_and_must_be_there(bench):
    bench.owe(USDT, 100)
    with pytest.raises(InsufficientFunds, match="cannot repay 100"):
        bench.margin.repay(bench.maker, USDT, 500)
    bench.have(USDT, 300)
    assert bench.margin.repay(bench.maker, USDT, 40) == 40
    assert bench.margin.repay(bench.maker, USDT, 500) == 60
    assert bench.margin.repay(bench.maker, USDT, 500) == 0
    assert bench.ledger.balance(bench.maker, USDT) == 200
    bench.check()


# --- interest -------------------------------------------------------------------------------------------------------


def test_interest_is_the_rate_times_the_time(bench):
    bench.owe(USDT, 1_000_000)
    bench.owe(ALT, 1_000_000)
    bench.margin.accrue(YEAR_NS // 2)
    assert (bench.margin.liability(bench.maker, USDT), bench.margin.principal(bench.maker, USDT)) == (1_100_000, 10**6)
    assert bench.margin.liability(bench.maker, ALT) == 10**6  # its rate is 0
    bench.margin.accrue(YEAR_NS)
    assert bench.margin.liability(bench.maker, USDT) == 1_200_000
    assert bench.margin.net(bench.maker, USDT) == -1_200_000
    assert bench.margin.total_liability(USDT) == 1_200_000
    bench.check()


def test_interest_is_paid_first_and_goes_to_the_pool(bench):
    bench.owe(USDT, 1000)
    bench.margin.accrue(YEAR_NS // 2)
    bench.have(USDT, 2000)
    bench.margin.repay(bench.maker, USDT, 130)
    assert (bench.ledger.moved(USDT, Flow.INTEREST), bench.ledger.moved(USDT, Flow.REPAY)) == (100, 30)
    assert (bench.margin.principal(bench.maker, USDT), bench.margin.liability(bench.maker, USDT)) == (970, 970)
    assert bench.margin.repay(bench.maker, USDT, 10**9) == 970
    assert bench.ledger.balance(bench.pool, USDT) == 100
    bench.check()


def test_a_debt_just_drawn_or_repaid_changes_by_that_amount(bench):
    bench.margin.accrue(123_456_789_012)
    bench.margin.borrow(bench.maker, USDT, 10**6 + 1)
    assert bench.margin.liability(bench.maker, USDT) == 10**6 + 1
    bench.margin.repay(bench.maker, USDT, 10**6)
    assert bench.margin.liability(bench.maker, USDT) == 1
    bench.margin.repay(bench.maker, USDT, 1)
    assert bench.margin.liability(bench.maker, USDT) == bench.margin.total_liability(USDT) == 0


@given(
    st.lists(st.integers(0, 100 * NS_PER_DAY), min_size=1, max_size=20),
    st.integers(1, 10**20),
    st.integers(0, 5_000_000),
)
def test_interest_does_not_depend_on_how_often_one_looks(steps, amount, rate):
    looked, once = (Bench({USDT: AssetTerms(1_000_000, 0, rate)}) for _ in range(2))
    for bench in (looked, once):
        bench.margin.borrow(bench.maker, USDT, amount)
    now = 0
    for step in steps:
        now += step
        looked.margin.accrue(now)
        looked.margin.liability(looked.maker, USDT)
    once.margin.accrue(now)
    expected = amount * (1 + Fraction(rate * now, PPM * YEAR_NS))
    for bench in (looked, once):
        assert bench.margin.liability(bench.maker, USDT) == expected // 1
        bench.check()


def test_small_interest_is_not_lost(bench):
    bench.owe(USDT, 50_000)
    for second in range(1, 3601):
        bench.margin.accrue(second * NS_PER_S)
    assert bench.margin.liability(bench.maker, USDT) == 50_000 + 50_000 * 2 * NS_PER_HOUR // (10 * YEAR_NS)
    assert bench.margin.liability(bench.maker, USDT) == 50_001


def test_time_does_not_go_back(bench):
    bench.margin.accrue(10)
    bench.margin.accrue(10)
    with pytest.raises(ValueError, match="backwards"):
        bench.margin.accrue(9)


def test_the_index_counts_in_units_that_need_no_rounding():
    assert INDEX_ONE == PPM * YEAR_NS


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
    bench = Bench({USDT: TERMS[USDT]})
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
        CrossMargin(bench.ledger, bench.pool, USDT, TERMS, Thresholds(*thresholds))


def test_pool_numeraire_and_assets_must_exist(bench):
    for arguments in ((99, USDT, TERMS), (bench.pool, 9, TERMS), (bench.pool, USDT, {9: AssetTerms()})):
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
