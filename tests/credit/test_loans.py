"""Isolated loans: how they open, change and close, and what is refused."""

import pytest

from lobsim.credit import Flow, InsufficientFunds, LedgerError, LoanBook, LoanRefused, TermsError
from lobsim.credit.interest import PPM
from lobsim.errors import CheckError
from tests.credit.builders import ALT, LOAN_TERMS, PAR, USDT, YEAR_NS, Market


@pytest.fixture
def market():
    return Market()


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
    market = Market(LOAN_TERMS._replace(interest_ppm=100_000))
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
        Market(LOAN_TERMS._replace(**{key: value}))


def test_a_market_needs_two_assets_and_known_accounts(market):
    for assets, accounts in (
        ((ALT, ALT), (market.lender,)),
        ((ALT, 5), (market.lender,)),
        ((ALT, USDT), (77,)),
        ((ALT, USDT), (market.lender, 77)),
    ):
        with pytest.raises(LedgerError):
            LoanBook("other", market.ledger, *assets, LOAN_TERMS, *accounts)
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
