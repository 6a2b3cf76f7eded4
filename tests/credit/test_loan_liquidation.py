"""Liquidating loans: when and how much, bonus, bad debt, and the toxic spiral."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lobsim.credit import Flow, LiquidationOutcome, LoanBook, LoanTerms
from lobsim.credit.interest import PPM
from tests.credit.builders import ALT, LOAN_TERMS, PAR, USDT, YEAR_NS, Market, at_ltv


@pytest.fixture
def market():
    return Market()


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
        (LOAN_TERMS, (100, 90), 0),  # safe
        (LOAN_TERMS, (100, 91), 500_000),  # health factor exactly 1: half
        (LOAN_TERMS, (95_001, 91_000), 500_000),  # just above 0.95 x (100, 91)
        (LOAN_TERMS, (95, 91), 1_000_000),  # health factor exactly 0.95: all
        (LOAN_TERMS, (94, 91), 1_000_000),
        (LOAN_TERMS._replace(close_factor_ppm=333_333), (100, 91), 333_333),
        (LOAN_TERMS._replace(close_factor_ppm=333_333, small_debt=999_999), (100, 91), 333_333),
        (LOAN_TERMS._replace(close_factor_ppm=333_333, small_debt=1_000_000), (100, 91), 1_000_000),
        (LOAN_TERMS._replace(small_debt=1_000_000), (100, 90), 0),
        (LOAN_TERMS._replace(close_factor_ppm=3), (100, 91), 3),
        (LOAN_TERMS._replace(full_close_hf_ppm=0), (1, 100), 500_000),
        (LOAN_TERMS._replace(full_close_hf_ppm=PPM), (100, 91), 1_000_000),
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
        LiquidationOutcome.LIQUIDATED,
        loan_id,
        market.whale,
        200_000,
        191_100,
        9_100,
        0,
        0,
        0,
        0,
        800_000,
        808_900,
        False,
    )
    assert market.owns(market.bot) == (191_100, 10**30 - 200_000)
    assert market.loans.loan(loan_id) == (1, market.whale, 808_900, 800_000, 0, 800_000)
    assert (market.ledger.moved(ALT, Flow.SEIZE), market.ledger.moved(ALT, Flow.BONUS)) == (182_000, 9_100)
    market.check()


def test_what_is_left_when_all_is_repaid_returns_to_the_borrower():
    terms = LOAN_TERMS._replace(close_factor_ppm=PPM)
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


@pytest.mark.parametrize(
    ("fund", "insured", "written_off"), [(0, 0, 200_000), (150_000, 150_000, 50_000), (10**6, 200_000, 0)]
)
def test_bad_debt_is_paid_by_insurance_and_then_written_off(fund, insured, written_off):
    # collateral worth 840,000: at a bonus of 5 % the liquidator pays 800,000 for all of it
    market, loan_id, _ = at_ltv(0, insurance=fund)
    result = market.loans.liquidate(loan_id, market.bot, 10**9, (84, 100))
    assert result == (
        LiquidationOutcome.LIQUIDATED,
        loan_id,
        market.whale,
        800_000,
        1_000_000,
        47_620,
        200_000,
        insured,
        written_off,
        0,
        0,
        0,
        True,
    )
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
    loans = LoanBook("bare", market.ledger, ALT, USDT, LOAN_TERMS._replace(interest_ppm=PPM), market.lender)
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


def test_the_last_quantum_of_collateral_costs_what_it_is_worth(market):
    loan_id = market.open(1, 1000)
    result = market.loans.liquidate(loan_id, market.bot, 190, (100, 1))  # would seize 1.995 quanta
    assert (result.repaid, result.seized, result.bad_debt) == (95, 1, 905)
    market.check()


def test_a_liquidator_may_spend_its_last_quantum(market):
    loan_id = market.open(1_000_000, 1_000_000)
    small = market.ledger.open_account("small")
    market.ledger.transfer(market.bot, small, USDT, 100, Flow.TRANSFER)
    assert market.loans.liquidate(loan_id, small, 101, PAR).outcome == LiquidationOutcome.UNFUNDED
    assert market.loans.liquidate(loan_id, small, 100, PAR).outcome == LiquidationOutcome.LIQUIDATED
    assert market.owns(small) == (105, 0)


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
