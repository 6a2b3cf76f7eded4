"""Unified accounts borrow by themselves, so that every settlement is possible; interest is exact."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.credit import AssetTerms, Flow, InsufficientFunds, LedgerError
from lobsim.credit.interest import INDEX_ONE, PPM
from lobsim.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_S
from tests.credit.builders import ALT, USDT, WBETH, YEAR_NS, Bench


@pytest.fixture
def bench():
    return Bench()


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
    assert bench.ledger.moved(ALT, Flow.BORROW) == 1
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


def test_the_last_payment_forgives_the_fraction_of_a_quantum(bench):
    bench.margin.borrow(bench.maker, USDT, 4)
    bench.margin.accrue(YEAR_NS)  # 4.8 quanta
    assert bench.margin.repay(bench.maker, USDT, 10) == 4
    bench.margin.accrue(100 * YEAR_NS)
    assert bench.margin.liability(bench.maker, USDT) == 0
    bench.check()


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
