"""The float preselection misses nobody whom exact integers find, and hardly takes anybody else."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.credit import (
    AssetTerms,
    ContractBook,
    ContractTerms,
    CrossMargin,
    Flow,
    Ledger,
    LedgerError,
    MarginStatus,
    Tier,
)
from tests.credit.builders import YEAR_NS

USDT, ALT, WBETH = range(3)
TERMS = {
    USDT: AssetTerms(1_000_000, 100_000, 200_000),
    ALT: AssetTerms(800_000, 100_000, 50_000),
    WBETH: AssetTerms(950_000, 50_000),
}
TIERS = ContractTerms((Tier(0, 10_000), Tier(5_000, 50_000), Tier(40_000, 200_000)))
LEVELS = (0, 1_050_000, 1_200_000, 1_500_000)


class Desk:
    def __init__(self, accounts=20):
        self.ledger = ledger = Ledger()
        for name in ("USDT", "ALT", "WBETH"):
            ledger.add_asset(name, "0.01")
        self.pool = ledger.open_account("pool", overdraft=True)
        self.outside = ledger.open_account("outside", overdraft=True)
        self.margin = CrossMargin(ledger, self.pool, USDT, TERMS)
        self.contracts = [
            ContractBook(name, ledger, quote, TIERS, unit, self.outside)
            for name, quote, unit in (("ALT-PERP", USDT, 7), ("WBETH-PERP", ALT, 1))
        ]
        for contract in self.contracts:
            self.margin.add_contract(contract)
        self.accounts = []
        for _ in range(accounts):
            self.enroll()

    def enroll(self):
        account = self.ledger.open_account(f"account-{len(self.accounts)}")
        self.margin.enroll(account)
        self.accounts.append(account)

    def suspects_and_breached(self, marks, level):
        told = self.margin.suspects(marks, level)
        assert told == sorted(told)
        wanted = []
        for account in self.accounts:
            equity, kept = self.margin.equity(account, marks), self.margin.maintenance(account, marks)
            if (kept and equity * 1_000_000 <= level * kept) or (not kept and equity < 0):
                wanted.append(account)
        assert set(wanted) <= set(told)
        return told, wanted


ops = st.lists(
    st.tuples(
        st.sampled_from(("give", "take", "owe", "repay", "trade", "spot", "accrue", "enroll")),
        st.integers(0, 19),
        st.integers(0, 2),
        st.integers(1, 1_000),
    ),
    max_size=30,
)
prices = st.integers(1, 200)


@settings(max_examples=150, deadline=None)
@given(rounds=st.lists(st.tuples(ops, prices, prices, prices, prices), min_size=1, max_size=4))
def test_no_breached_account_is_missed_whatever_happened_between_two_looks(rounds):
    desk = Desk()
    now = 0
    for actions, alt, wbeth, alt_perp, wbeth_perp in rounds:
        for kind, who, asset, number in actions:
            amount = number
            account = desk.accounts[who]
            if kind == "give":
                desk.ledger.issue(account, asset, amount, Flow.DEPOSIT)
            elif kind == "take":
                amount = min(number, desk.ledger.free(account, asset))
                desk.ledger.transfer(account, desk.outside, asset, amount, Flow.WITHDRAW)
            elif kind == "owe":
                desk.margin.borrow(account, asset, amount)
                desk.ledger.transfer(account, desk.outside, asset, amount, Flow.WITHDRAW)
            elif kind == "repay":
                desk.margin.sweep(account, asset)
                desk.margin.write_off(account, asset)
            elif kind == "trade":
                desk.contracts[asset % 2].trade(account, desk.outside, amount, 1 + amount % 150)
            elif kind == "spot":
                desk.margin.settle_trade(account, desk.outside, ALT, amount, USDT, amount * 3)
            elif kind == "accrue":
                now += YEAR_NS // 1_000 * amount
                desk.margin.accrue(now)
            else:
                desk.enroll()
        desk.contracts[0].mark_price, desk.contracts[1].mark_price = alt_perp, wbeth_perp
        marks = {ALT: (alt, 7), WBETH: (wbeth, 3)}
        for level in LEVELS:
            desk.suspects_and_breached(marks, level)
        for status in MarginStatus:
            slow = [account for account in desk.accounts if desk.margin.status(account, marks) >= status]
            assert desk.margin.breached(marks, status) == slow


def test_it_takes_hardly_anybody_who_is_safe():
    desk = Desk(40)
    for row, account in enumerate(
        desk.accounts
    ):  # owe 10^9, maintenance 10^8; levels of 105 % and one ppm to each side
        desk.margin.borrow(account, USDT, 10**9)
        desk.ledger.transfer(account, desk.outside, USDT, 10**9, Flow.WITHDRAW)
        desk.ledger.issue(account, ALT, (10**9 + 105 * 10**6 + 100 * (row - 20)) * 5 // 4, Flow.DEPOSIT)
    told, wanted = desk.suspects_and_breached({ALT: (1, 1)}, 1_050_000)
    assert wanted == desk.accounts[:21]
    assert len(told) <= len(wanted) + 1


def test_empty_accounts_are_no_suspects_and_unmarked_ones_are():
    desk = Desk(20)
    assert desk.margin.suspects({}, 1_500_000) == []
    desk.ledger.issue(desk.accounts[3], ALT, 1, Flow.DEPOSIT)
    desk.contracts[0].trade(desk.accounts[5], desk.outside, 1, 1)  # no mark price yet
    assert desk.margin.suspects({}, 0) == [desk.accounts[3], desk.accounts[5]]
    with pytest.raises(LedgerError, match="no mark for ALT"):
        desk.margin.breached({})


def test_amounts_beyond_64_bits_and_prices_of_next_to_nothing():
    desk = Desk(13)
    poor, rich = desk.accounts[:2]
    for account in (poor, rich):
        desk.margin.borrow(account, USDT, 10**6)
        desk.ledger.transfer(account, desk.outside, USDT, 10**6, Flow.WITHDRAW)
    desk.ledger.issue(poor, ALT, 10**40, Flow.DEPOSIT)
    desk.ledger.issue(rich, ALT, 10**41, Flow.DEPOSIT)
    marks = {ALT: (1, 10**34)}
    assert desk.margin.breached(marks) == [poor]
    assert desk.margin.suspects(marks, 1_050_000) == [poor]


def test_debts_paid_or_written_off_are_forgotten():
    desk = Desk(2)
    for account in desk.accounts:
        desk.ledger.issue(account, ALT, 100, Flow.DEPOSIT)
        desk.margin.borrow(account, USDT, 1_000)
        desk.ledger.transfer(account, desk.outside, USDT, 1_000, Flow.WITHDRAW)
    marks = {ALT: (1, 1)}
    assert desk.margin.suspects(marks, 1_050_000) == desk.accounts
    desk.margin.write_off(desk.accounts[0], USDT)
    desk.ledger.issue(desk.accounts[1], USDT, 1_000, Flow.DEPOSIT)
    desk.margin.sweep(desk.accounts[1], USDT)
    assert desk.margin.suspects(marks, 1_050_000) == []
    assert not any(desk.ledger.touched[account] for account in desk.accounts)


def test_a_balance_below_zero_is_always_a_suspect():
    desk = Desk(0)
    account = desk.ledger.open_account("treasury", overdraft=True)
    desk.margin.enroll(account)
    desk.ledger.transfer(account, desk.outside, USDT, 10**12, Flow.WITHDRAW)
    desk.ledger.issue(account, WBETH, 2 * 10**12, Flow.DEPOSIT)
    assert desk.margin.status(account, {WBETH: (1, 1)}) == MarginStatus.FREE
    assert desk.margin.suspects({WBETH: (1, 1)}, 0) == [account]


def test_equities_in_floats_are_within_their_own_bounds():
    desk = Desk(15)
    for number, account in enumerate(desk.accounts):
        desk.ledger.issue(account, ALT, 1000 + number, Flow.DEPOSIT)
        desk.contracts[0].trade(account, desk.outside, 10 + number, 100)
    desk.contracts[0].mark_price = 90
    marks = {ALT: (3, 7)}
    accounts, equities, slack = desk.margin.approximate_equities(marks)
    for account, equity, room in zip(accounts, equities, slack, strict=True):
        assert abs(Fraction(equity) - desk.margin.equity(account, marks)) <= room < 10


def test_an_account_belongs_to_one_margin_system_only():
    desk = Desk(1)
    other = CrossMargin(desk.ledger, desk.outside, USDT, TERMS)
    with pytest.raises(LedgerError, match="watched already"):
        other.enroll(desk.accounts[0])
    with pytest.raises(LedgerError, match="already"):
        other.add_contract(desk.contracts[0])
    bare = ContractBook("BARE", desk.ledger, desk.ledger.add_asset("SOL", 1), TIERS, 1, desk.outside)
    with pytest.raises(LedgerError, match="without terms"):
        other.add_contract(bare)


def test_who_is_skipped_is_no_suspect_and_is_looked_at_anew_by_the_next_who_asks():
    desk = Desk(2)
    for account in desk.accounts:
        desk.ledger.issue(account, ALT, 1_000, Flow.DEPOSIT)
        desk.margin.borrow(account, USDT, 900)
        desk.ledger.transfer(account, desk.outside, USDT, 900, Flow.WITHDRAW)
    marks = {ALT: (1, 2)}
    first, second = desk.accounts
    assert desk.margin.suspects(marks, 1_050_000, {first}) == [second]
    assert desk.margin.suspects(marks, 1_050_000) == [first, second]
    desk.ledger.issue(first, ALT, 10**9, Flow.DEPOSIT)
    assert desk.margin.suspects(marks, 1_050_000, {first}) == [second]
    assert desk.margin.suspects(marks, 1_050_000) == [second]
