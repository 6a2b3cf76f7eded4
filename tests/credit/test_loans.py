"""Isolated loans: LTV and health factor exactly, close factor, bonus, bad debt, spiral, and the waiting order."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lobsim.credit import (
    Flow,
    InsufficientFunds,
    Ledger,
    LedgerError,
    LiquidationOutcome,
    LoanBook,
    LoanRefused,
    LoanTerms,
    TermsError,
)
from lobsim.credit.interest import PPM
from lobsim.credit.waiting import WaitingOrder
from lobsim.errors import CheckError
from lobsim.units import NS_PER_DAY

ALT, USDT = 0, 1
TERMS = LoanTerms(780_000, 850_000, 910_000)
YEAR_NS = 365 * NS_PER_DAY
PAR = (1, 1)


class Market:
    """A loan book with a rich lender, borrower and bot, and an insurance account."""

    def __init__(self, terms=TERMS, *, insurance=0, cash=10**30):
        self.ledger = Ledger()
        self.ledger.add_asset("ALT", "0.01")
        self.ledger.add_asset("USDT", "0.01")
        self.lender = self.ledger.open_account("lender")
        self.fund = self.ledger.open_account("insurance")
        self.whale = self.ledger.open_account("whale")
        self.bot = self.ledger.open_account("bot")
        self.loans = LoanBook("alt-loans", self.ledger, ALT, USDT, terms, self.lender, self.fund)
        self.ledger.issue(self.lender, USDT, cash, Flow.DEPOSIT)
        self.ledger.issue(self.fund, USDT, insurance, Flow.DEPOSIT)
        self.ledger.issue(self.whale, ALT, 10**30, Flow.DEPOSIT)
        self.ledger.issue(self.bot, USDT, 10**30, Flow.DEPOSIT)

    def open(self, collateral, principal, mark=PAR, *, over_limit=True):
        return self.loans.open(self.whale, collateral, principal, mark, over_limit=over_limit)

    def owns(self, account):
        return self.ledger.balance(account, ALT), self.ledger.balance(account, USDT)

    def check(self):
        self.ledger.check()
        self.loans.check()
        assert self.ledger.imbalance() == {"ALT": 0, "USDT": 0}


@pytest.fixture
def market():
    return Market()


def at_ltv(percent, terms=TERMS, **keys):
    """A market with one loan of 1,000,000 against collateral of 1,000,000, and the mark at which it has that LTV."""
    market = Market(terms, **keys)
    loan_id = market.open(1_000_000, 1_000_000)
    return market, loan_id, (100, percent)


# --- borrowers ------------------------------------------------------------------------------------------------------


def test_a_loan_moves_collateral_to_custody_and_cash_to_the_borrower(market):
    assert market.open(1000, 780, over_limit=False) == 1
    assert market.open(100, 7) == 2
    assert market.loans.loan(1) == (1, market.whale, 1000, 780, 0, 780)
    assert market.owns(market.loans.custody) == (1100, 0)
    assert market.owns(market.whale) == (10**30 - 1100, 787)
    assert (len(market.loans), list(market.loans), 2 in market.loans, 3 in market.loans) == (2, [1, 2], True, False)
    assert (market.loans.total_debt, market.loans.total_collateral) == (787, 1100)
    assert market.loans.ltv(1, PAR) == 780_000
    assert market.loans.ltv(1, (3, 4)) == 1_040_000
    assert market.ledger.account("alt-loans.custody") == market.loans.custody
    market.check()


def test_the_maximum_ltv_is_allowed_and_nothing_above(market):
    with pytest.raises(LoanRefused, match=r"alt-loans: a loan of 781 on 1000 would have an LTV of 78.10 %, .* 78 %"):
        market.open(1000, 781, over_limit=False)
    with pytest.raises(LoanRefused):
        market.open(10**20, 78 * 10**18 + 1, over_limit=False)
    assert market.open(10**20, 78 * 10**18, over_limit=False) == 1
    assert len(market.loans) == 1
    market.check()


@pytest.mark.parametrize(
    ("collateral", "principal", "error"),
    [
        (0, 1, LedgerError),
        (1, 0, LedgerError),
        (-5, -5, LedgerError),
        (5.0, 1, LedgerError),
        (5, 1.0, LedgerError),
        (10**31, 1, InsufficientFunds),
        (1, 10**31, InsufficientFunds),
    ],
)
def test_a_loan_that_cannot_be_opened_moves_nothing(market, collateral, principal, error):
    with pytest.raises(error):
        market.open(collateral, principal)
    assert market.owns(market.whale) == (10**30, 0)
    assert market.open(1, 1) == 1
    market.check()


def test_collateral_comes_and_goes_within_the_limit(market):
    loan_id = market.open(1000, 780)
    market.loans.top_up(loan_id, 500)
    assert market.loans.ltv(loan_id, PAR) == 520_000
    with pytest.raises(LoanRefused, match="loan 1 left with collateral 999"):
        market.loans.withdraw(loan_id, 501, PAR)
    for amount in (1500, 1501):
        with pytest.raises(LoanRefused, match="without bound"):
            market.loans.withdraw(loan_id, amount, PAR)
    market.loans.withdraw(loan_id, 500, PAR)
    market.loans.draw(loan_id, 780, (2, 1))
    with pytest.raises(LoanRefused, match="with 1 more"):
        market.loans.draw(loan_id, 1, (2, 1))
    assert market.loans.loan(loan_id) == (1, market.whale, 1000, 1560, 0, 1560)
    assert market.owns(market.whale) == (10**30 - 1000, 1560)
    market.check()
    for refused in (
        lambda: market.loans.top_up(loan_id, -1),
        lambda: market.loans.withdraw(loan_id, -1, PAR),
        lambda: market.loans.draw(loan_id, -1, PAR),
        lambda: market.loans.draw(loan_id, 0.5, PAR),
        lambda: market.loans.repay(loan_id, -1),
        lambda: market.loans.repay(loan_id, 0.5),
        lambda: market.loans.top_up(2, 1),
        lambda: market.loans.debt(2),
        lambda: market.loans.liquidate(2, market.bot, 1, PAR),
        lambda: market.loans.liquidate(0, market.bot, 1, PAR),
        lambda: market.loans.liquidate(loan_id, market.bot, -1, PAR),
    ):
        with pytest.raises(LedgerError):
            refused()
    with pytest.raises(InsufficientFunds):
        market.loans.top_up(loan_id, 10**31)
    with pytest.raises(InsufficientFunds):
        market.loans.draw(loan_id, 10**30, (10**30, 1))
    market.check()


def test_full_repayment_releases_the_collateral(market):
    loan_id = market.open(1000, 780)
    assert market.loans.repay(loan_id, 80) == 80
    assert market.loans.debt(loan_id) == 700
    assert market.loans.repay(loan_id, 10**9) == 700
    assert market.owns(market.whale) == (10**30, 0)
    assert market.loans.loan(loan_id) is None
    assert (len(market.loans), market.loans.total_debt, market.loans.max_repay(loan_id, PAR)) == (0, 0, 0)
    assert market.open(5, 1) == 2  # ids are not used again
    market.check()


def test_a_repayment_needs_the_cash(market):
    loan_id = market.open(1000, 780)
    market.ledger.transfer(market.whale, market.bot, USDT, 1, Flow.TRANSFER)
    with pytest.raises(InsufficientFunds, match="whale has 779 free quanta of USDT, 780 are due"):
        market.loans.repay(loan_id, 780)
    assert market.loans.repay(loan_id, 779) == 779
    market.check()


def test_interest_accrues_and_is_paid_first():
    market = Market(TERMS._replace(interest_ppm=100_000))
    loan_id = market.open(10_000, 1000)
    market.loans.accrue(YEAR_NS // 2)
    assert market.loans.loan(loan_id) == (1, market.whale, 10_000, 1000, 50, 1050)
    assert market.loans.total_debt == 1050
    assert market.loans.ltv(loan_id, PAR) == 105_000
    market.loans.repay(loan_id, 60)
    assert market.loans.loan(loan_id) == (1, market.whale, 10_000, 990, 0, 990)
    assert (market.ledger.moved(USDT, Flow.INTEREST), market.ledger.moved(USDT, Flow.REPAY)) == (50, 10)
    market.check()
    with pytest.raises(ValueError, match="backwards"):
        market.loans.accrue(0)


# --- liquidation: when and how much ---------------------------------------------------------------------------------


def test_called_and_breached_at_their_edges(market):
    loan_id = market.open(10**12, 10**12)

    def state(mark):
        return market.loans.called(mark) == [loan_id], market.loans.breached(mark) == [loan_id]

    step = 10**9
    assert state((100 * step + 1, 85 * step)) == (False, False)
    assert state((100, 85)) == (True, False)
    assert state((100 * step + 1, 91 * step)) == (True, False)
    assert state((100, 91)) == (False, True)
    assert state((1, 10**9)) == (False, True)
    assert Fraction(*market.loans.liquidation_price(loan_id)) == Fraction(100, 91)
    assert market.loans.health_factor(loan_id, (100, 91)) == PPM
    assert market.loans.health_factor(loan_id, (2, 1)) == 1_820_000


@pytest.mark.parametrize(
    ("terms", "mark", "allowed"),
    [
        (TERMS, (100, 90), 0),  # safe
        (TERMS, (100, 91), 500_000),  # health factor exactly 1: half
        (TERMS, (95_001, 91_000), 500_000),  # just above 0.95 x (100, 91)
        (TERMS, (95, 91), 1_000_000),  # health factor exactly 0.95: all
        (TERMS, (94, 91), 1_000_000),
        (TERMS._replace(close_factor_ppm=333_333), (100, 91), 333_333),
        (TERMS._replace(close_factor_ppm=333_333, small_debt=999_999), (100, 91), 333_333),
        (TERMS._replace(close_factor_ppm=333_333, small_debt=1_000_000), (100, 91), 1_000_000),
        (TERMS._replace(small_debt=1_000_000), (100, 90), 0),
        (TERMS._replace(close_factor_ppm=3), (100, 91), 3),
        (TERMS._replace(full_close_hf_ppm=0), (1, 100), 500_000),
        (TERMS._replace(full_close_hf_ppm=PPM), (100, 91), 1_000_000),
    ],
)
def test_close_factor_cases(terms, mark, allowed):
    market = Market(terms)
    loan_id = market.open(1_000_000, 1_000_000)
    assert market.loans.max_repay(loan_id, mark) == allowed
    result = market.loans.liquidate(loan_id, market.bot, 10**9, mark)
    assert result.outcome == (LiquidationOutcome.LIQUIDATED if allowed else LiquidationOutcome.SAFE)
    if result.collateral_left:
        assert result.repaid == allowed


def test_the_liquidator_gets_what_it_repaid_and_the_bonus():
    market, loan_id, _ = at_ltv(91)
    result = market.loans.liquidate(loan_id, market.bot, 200_000, (100, 91))
    # 200,000 USDT / (100/91) = 182,000 ALT, 5 % more: 191,100
    assert result == (
        LiquidationOutcome.LIQUIDATED, loan_id, market.whale, 200_000, 191_100, 9_100, 0, 0, 0, 0, 800_000, 808_900, False,
    )  # fmt: skip
    assert market.owns(market.bot) == (191_100, 10**30 - 200_000)
    assert market.loans.loan(loan_id) == (1, market.whale, 808_900, 800_000, 0, 800_000)
    assert (market.ledger.moved(ALT, Flow.SEIZE), market.ledger.moved(ALT, Flow.BONUS)) == (182_000, 9_100)
    market.check()


def test_what_is_left_when_all_is_repaid_returns_to_the_borrower():
    terms = TERMS._replace(close_factor_ppm=PPM)
    market, loan_id, mark = at_ltv(92, terms)
    result = market.loans.liquidate(loan_id, market.bot, 10**9, mark)
    assert (result.repaid, result.seized, result.released, result.debt_left, result.collateral_left, result.closed) == (
        1_000_000,
        966_000,
        34_000,
        0,
        0,
        True,
    )
    assert market.owns(market.whale)[0] == 10**30 - 966_000
    assert len(market.loans) == 0
    market.check()


@pytest.mark.parametrize(("fund", "insured", "written_off"), [(0, 0, 200_000), (150_000, 150_000, 50_000), (10**6, 200_000, 0)])  # fmt: skip
def test_bad_debt_is_paid_by_insurance_and_then_written_off(fund, insured, written_off):
    # collateral worth 840,000: at a bonus of 5 % the liquidator pays 800,000 for all of it
    market, loan_id, _ = at_ltv(0, insurance=fund)
    result = market.loans.liquidate(loan_id, market.bot, 10**9, (84, 100))
    assert result == (
        LiquidationOutcome.LIQUIDATED, loan_id, market.whale, 800_000, 1_000_000, 47_620, 200_000, insured, written_off, 0, 0,
        0, True,
    )  # fmt: skip
    assert market.owns(market.lender) == (0, 10**30 - 200_000 + insured)
    assert market.owns(market.fund) == (0, fund - insured)
    assert market.owns(market.whale)[1] == 1_000_000
    moved = market.ledger.moved
    assert (moved(USDT, Flow.INSURANCE), moved(USDT, Flow.BAD_DEBT)) == (insured, written_off)
    assert moved(USDT, Flow.BORROW) == moved(USDT, Flow.REPAY) == 1_000_000
    assert len(market.loans) == 0
    market.check()


def test_bad_debt_without_an_insurance_account():
    market = Market()
    loans = LoanBook("bare", market.ledger, ALT, USDT, TERMS._replace(interest_ppm=PPM), market.lender)
    loan_id = loans.open(market.whale, 1000, 700, PAR)
    loans.accrue(YEAR_NS)
    result = loans.liquidate(loan_id, market.bot, 10**9, (105, 1000))
    assert (result.repaid, result.bad_debt, result.insured, result.written_off) == (100, 1300, 0, 1300)
    assert (market.ledger.moved(USDT, Flow.INTEREST), market.ledger.moved(USDT, Flow.REPAY)) == (700, 700)
    loans.check()
    market.check()


def test_worthless_collateral_is_taken_for_nothing():
    market, loan_id, _ = at_ltv(0)
    result = market.loans.liquidate(loan_id, market.bot, 10**9, (1, 10**9))
    assert (result.repaid, result.seized, result.bad_debt, result.closed) == (0, 1_000_000, 1_000_000, True)
    market.check()


def test_attempts_that_change_nothing(market):
    loan_id = market.open(1_000_000, 1_000_000)
    poor = market.ledger.open_account("poor")
    market.ledger.transfer(market.bot, poor, USDT, 99, Flow.TRANSFER)
    before = market.loans.loan(loan_id)
    liquidate = market.loans.liquidate
    assert liquidate(loan_id, market.bot, 100, (2, 1)) == (LiquidationOutcome.SAFE, loan_id, *[0] * 10, False)
    assert liquidate(loan_id, poor, 100, (1, 1)).outcome == LiquidationOutcome.UNFUNDED
    assert liquidate(loan_id, market.bot, 0, (1, 1)).outcome == LiquidationOutcome.TOO_SMALL
    market.open(2, 10**6)
    assert liquidate(2, market.bot, 1000, (10**5, 1)).outcome == LiquidationOutcome.TOO_SMALL
    assert market.loans.loan(loan_id) == before
    assert market.owns(poor) == (0, 99)
    market.loans.repay(loan_id, 10**6)
    assert liquidate(loan_id, market.bot, 100, (1, 1)).outcome == LiquidationOutcome.GONE
    market.check()


def test_a_race_is_won_once():
    market, loan_id, _ = at_ltv(0)
    first = market.loans.liquidate(loan_id, market.bot, 10**9, (84, 100))
    second = market.loans.liquidate(loan_id, market.bot, 10**9, (84, 100))
    assert (first.outcome, second.outcome) == (LiquidationOutcome.LIQUIDATED, LiquidationOutcome.GONE)


@given(
    st.integers(50, 140),
    st.sampled_from([20_000, 50_000, 60_000, 250_000]),
    st.integers(1, 99),
)
def test_liquidation_raises_the_ltv_beyond_the_spiral_threshold_and_only_there(percent, bonus, share):
    terms = LoanTerms(1, 1, 1, liquidation_bonus_ppm=bonus, full_close_hf_ppm=0, close_factor_ppm=share * 10_000)
    market = Market(terms)
    unit = 10**18  # so large that rounding to quanta stays below the effect
    loan_id = market.open(100 * unit, percent * unit)
    before = Fraction(percent, 100)
    result = market.loans.liquidate(loan_id, market.bot, 10**30, PAR)
    assume(result.collateral_left > 0)
    after = Fraction(result.debt_left, result.collateral_left)
    if before > terms.spiral_ltv:
        assert after > before
    elif before < terms.spiral_ltv:
        assert after < before
    else:
        assert after == before
    market.check()


def test_exactly_at_the_spiral_threshold_the_ltv_stays():
    terms = LoanTerms(1, 1, 1, liquidation_bonus_ppm=250_000)
    assert terms.spiral_ltv == Fraction(4, 5)
    market = Market(terms._replace(full_close_hf_ppm=0))
    loan_id = market.open(1_000_000, 800_000)
    result = market.loans.liquidate(loan_id, market.bot, 100_000, PAR)
    assert Fraction(result.debt_left, result.collateral_left) == Fraction(4, 5)


# --- the waiting order ----------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=40),
    st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)),
    st.integers(0, YEAR_NS),
    st.data(),
)
def test_breached_and_called_equal_a_scan_over_all_loans(sizes, mark, elapsed, data):
    market = Market(TERMS._replace(interest_ppm=300_000))
    ids = [market.open(*size) for size in sizes]
    market.loans.accrue(elapsed)
    if data.draw(st.booleans(), "on a liquidation price"):
        mark = market.loans.liquidation_price(data.draw(st.sampled_from(ids)))
    growth = 1 + Fraction(3 * elapsed, 10 * YEAR_NS)
    ltvs = {i: principal * growth / (collateral * Fraction(*mark)) for i, (collateral, principal) in zip(ids, sizes, strict=True)}  # fmt: skip
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
    # neighbours of the bound that the floored key cannot tell from it
    close = [(low[0] * 2**80 + nudge, low[1] * 2**80), (low[0] * 2**80 - nudge, low[1] * 2**80)]
    waiting = [ratio for ratio in given_ratios + [low, high] + close if ratio[0] >= 0]
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


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_ltv_ppm", 0),
        ("max_ltv_ppm", 860_000),
        ("margin_call_ltv_ppm", 920_000),
        ("close_factor_ppm", 0),
        ("close_factor_ppm", PPM + 1),
        ("full_close_hf_ppm", -1),
        ("full_close_hf_ppm", PPM + 1),
        ("small_debt", -1),
        ("liquidation_bonus_ppm", -1),
        ("interest_ppm", -1),
    ],
)
def test_terms_that_contradict_themselves_are_refused(key, value):
    with pytest.raises(TermsError):
        Market(TERMS._replace(**{key: value}))


def test_a_market_needs_two_assets_and_known_accounts(market):
    for assets, accounts in (((ALT, ALT), (market.lender,)), ((ALT, 5), (market.lender,)), ((ALT, USDT), (77,)), ((ALT, USDT), (market.lender, 77))):  # fmt: skip
        with pytest.raises(LedgerError):
            LoanBook("other", market.ledger, *assets, TERMS, *accounts)
    assert "other.custody" not in market.ledger.accounts


@pytest.mark.parametrize("mark", [(0, 1), (1, 0), (-1, 1), (1, -1)])
def test_marks_are_positive(market, mark):
    loan_id = market.open(100, 10)
    for refused in (
        lambda: market.loans.breached(mark),
        lambda: market.loans.called(mark),
        lambda: market.loans.ltv(loan_id, mark),
        lambda: market.loans.health_factor(loan_id, mark),
        lambda: market.loans.max_repay(loan_id, mark),
        lambda: market.loans.liquidate(loan_id, market.bot, 1, mark),
        lambda: market.loans.open(market.whale, 100, 10, mark),
        lambda: market.loans.draw(loan_id, 1, mark),
    ):
        with pytest.raises(ValueError, match="positive integers"):
            refused()
    market.check()


# --- proof ----------------------------------------------------------------------------------------------------------


def test_check_sees_what_does_not_add_up(market):
    loan_id = market.open(100, 10)
    loan = market.loans._loans[loan_id]
    for name, value, message in (
        ("collateral", 99, "custody holds 100, loans pledge 99"),
        ("account", market.bot, None),
    ):
        good = getattr(loan, name)
        setattr(loan, name, value)
        if message:
            with pytest.raises(CheckError, match=message):
                market.loans.check()
        setattr(loan, name, good)
    loan.debt.principal = 9
    with pytest.raises(CheckError, match="lent 10 - returned 0"):
        market.loans.check()
    loan.debt.principal = 10
    loan.debt.scaled += 1
    with pytest.raises(CheckError, match=r"scaled debts .*\n.*wait with"):
        market.loans.check()
    loan.debt.scaled -= 1
    market.loans.check()
