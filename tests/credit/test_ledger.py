"""The ledger: postings, holds, trades, and that `check` sees every column that somebody tampers with."""

import pytest

from lobsim.credit import Flow, InsufficientFunds, Ledger, LedgerError
from lobsim.errors import CheckError, LobsimError

ALT, USDT = 0, 1


@pytest.fixture
def ledger():
    ledger = Ledger()
    assert ledger.add_asset("ALT", "0.001") == ALT
    assert ledger.add_asset("USDT", "0.000001") == USDT
    return ledger


@pytest.fixture
def alice(ledger):
    account = ledger.open_account("alice")
    ledger.issue(account, ALT, 100, Flow.DEPOSIT)
    ledger.issue(account, USDT, 1000, Flow.DEPOSIT)
    return account


@pytest.fixture
def bob(ledger):
    account = ledger.open_account("bob")
    ledger.issue(account, ALT, 50, Flow.DEPOSIT)
    ledger.issue(account, USDT, 500, Flow.DEPOSIT)
    return account


def state(ledger):
    ids = range(1, len(ledger.accounts) + 1)
    return [(a, s, ledger.balance(a, s), ledger.held(a, s)) for a in ids for s in range(len(ledger.assets))] + [
        (s, f, ledger.moved(s, f), ledger.issued(s, f), ledger.burned(s, f))
        for s in range(len(ledger.assets))
        for f in Flow
    ]


def test_ids_count_in_order_of_opening_and_rounding_is_there(ledger, alice, bob):
    assert ledger.rounding == 1
    assert (alice, bob) == (2, 3)
    assert ledger.accounts == ("rounding", "alice", "bob")
    assert ledger.assets == ("ALT", "USDT")
    assert [ledger.account_name(account) for account in (1, 2, 3)] == ["rounding", "alice", "bob"]
    assert ledger.account("bob") == bob
    assert ledger.asset("USDT") == USDT
    assert ledger.asset_name(USDT) == "USDT"
    assert str(ledger.quantum(ALT)) == "0.001"


def test_an_asset_added_late_has_every_account(ledger, alice):
    treasury = ledger.open_account("treasury", overdraft=True)
    eth = ledger.add_asset("ETH", "1e-9")
    ledger.transfer(treasury, alice, eth, 7, Flow.TRANSFER)
    assert (ledger.balance(treasury, eth), ledger.balance(alice, eth)) == (-7, 7)
    ledger.check()


def test_a_transfer_moves_and_is_counted_by_reason(ledger, alice, bob):
    ledger.transfer(alice, bob, USDT, 300, Flow.FEE)
    ledger.transfer(alice, bob, USDT, 0, Flow.FEE)
    ledger.transfer(bob, alice, USDT, 1, Flow.TRANSFER)
    assert (ledger.balance(alice, USDT), ledger.balance(bob, USDT)) == (701, 799)
    assert (ledger.moved(USDT, Flow.FEE), ledger.moved(USDT, Flow.TRANSFER), ledger.moved(ALT, Flow.FEE)) == (300, 1, 0)
    ledger.check()


def test_the_last_quantum_can_be_spent_and_not_one_more(ledger, alice, bob):
    ledger.transfer(alice, bob, USDT, 1000, Flow.TRANSFER)
    before = state(ledger)
    with pytest.raises(InsufficientFunds, match="alice has 0 quanta of USDT"):
        ledger.transfer(alice, bob, USDT, 1, Flow.TRANSFER)
    assert state(ledger) == before


def test_a_transfer_to_oneself_changes_no_balance(ledger, alice):
    ledger.transfer(alice, alice, USDT, 1000, Flow.TRANSFER)
    assert ledger.balance(alice, USDT) == 1000
    ledger.check()


def test_issue_and_burn_are_counted_by_reason(ledger, alice):
    ledger.issue(alice, ALT, 10**30, Flow.MINT)
    ledger.burn(alice, ALT, 40, Flow.REDEEM)
    assert (ledger.issued(ALT), ledger.issued(ALT, Flow.MINT), ledger.issued(ALT, Flow.DEPOSIT)) == (
        10**30 + 100,
        10**30,
        100,
    )
    assert (ledger.burned(ALT), ledger.burned(ALT, Flow.REDEEM), ledger.burned(ALT, Flow.MINT)) == (40, 40, 0)
    assert ledger.balance(alice, ALT) == 10**30 + 60
    ledger.check()
    with pytest.raises(InsufficientFunds):
        ledger.burn(alice, USDT, 1001, Flow.REDEEM)
    ledger.burn(alice, USDT, 1000, Flow.REDEEM)
    assert ledger.imbalance() == {"ALT": 0, "USDT": 0}


def test_held_money_cannot_leave(ledger, alice, bob):
    ledger.hold(alice, USDT, 600)
    ledger.hold(alice, USDT, 300)
    assert (ledger.free(alice, USDT), ledger.held(alice, USDT), ledger.balance(alice, USDT)) == (100, 900, 1000)
    before = state(ledger)
    for refused in (
        lambda: ledger.transfer(alice, bob, USDT, 101, Flow.TRANSFER),
        lambda: ledger.burn(alice, USDT, 101, Flow.WITHDRAW),
        lambda: ledger.hold(alice, USDT, 101),
        lambda: ledger.settle_trade(alice, bob, ALT, 1, USDT, 101),
    ):
        with pytest.raises(InsufficientFunds):
            refused()
        assert state(ledger) == before
    ledger.hold(alice, USDT, 100)
    ledger.release(alice, USDT, 1000)
    ledger.transfer(alice, bob, USDT, 1000, Flow.TRANSFER)
    ledger.check()


def test_no_more_is_released_than_is_held(ledger, alice, bob):
    ledger.hold(alice, USDT, 10)
    ledger.hold(bob, ALT, 10)
    before = state(ledger)
    for refused in (
        lambda: ledger.release(alice, USDT, 11),
        lambda: ledger.release(alice, USDT, -1),
        lambda: ledger.settle_trade(alice, bob, ALT, 5, USDT, 5, 11, 0),
        lambda: ledger.settle_trade(alice, bob, ALT, 5, USDT, 5, 0, 11),
        lambda: ledger.settle_trade(alice, bob, ALT, 5, USDT, 5, -1, 0),
    ):
        with pytest.raises(LedgerError, match=r"release .* held"):
            refused()
        assert state(ledger) == before


def test_a_trade_moves_both_legs_and_frees_what_the_orders_held(ledger, alice, bob):
    ledger.hold(alice, USDT, 1000)
    ledger.hold(bob, ALT, 50)
    ledger.settle_trade(alice, bob, ALT, 20, USDT, 380, 400, 20)
    assert [ledger.balance(alice, s) for s in (ALT, USDT)] == [120, 620]
    assert [ledger.balance(bob, s) for s in (ALT, USDT)] == [30, 880]
    assert (ledger.held(alice, USDT), ledger.held(bob, ALT)) == (600, 30)
    assert (ledger.moved(ALT, Flow.TRADE), ledger.moved(USDT, Flow.TRADE)) == (20, 380)
    ledger.check()


def test_a_trade_of_which_one_leg_fails_moves_nothing(ledger, alice, bob):
    before = state(ledger)
    with pytest.raises(InsufficientFunds, match="bob has 50 quanta of ALT"):
        ledger.settle_trade(alice, bob, ALT, 51, USDT, 10)
    with pytest.raises(InsufficientFunds, match="alice has 1000 quanta of USDT"):
        ledger.settle_trade(alice, bob, ALT, 50, USDT, 1001)
    assert state(ledger) == before


def test_a_self_trade_changes_no_balance(ledger, alice):
    ledger.hold(alice, USDT, 900)
    ledger.settle_trade(alice, alice, ALT, 100, USDT, 1000, 900, 0)
    assert (ledger.free(alice, ALT), ledger.free(alice, USDT)) == (100, 1000)
    ledger.check()


def test_an_overdraft_account_never_refuses(ledger, alice):
    treasury = ledger.open_account("treasury", overdraft=True)
    ledger.transfer(treasury, alice, USDT, 10**20, Flow.TRANSFER)
    assert ledger.balance(treasury, USDT) == -(10**20)
    assert ledger.free(treasury, USDT) > 10**50
    ledger.hold(treasury, USDT, 5)
    assert ledger.held(treasury, USDT) == 5
    ledger.check()
    ledger.release(treasury, USDT, 5)
    with pytest.raises(LedgerError):
        ledger.release(treasury, USDT, 1)
    ledger.check()


def test_an_offset_posts_both_ways_without_cash(ledger, alice, bob):
    ledger.offset(alice, bob, USDT, 10**9, Flow.BAD_DEBT, Flow.REPAY)
    assert (ledger.balance(alice, USDT), ledger.balance(bob, USDT)) == (1000, 500)
    assert (ledger.moved(USDT, Flow.BAD_DEBT), ledger.moved(USDT, Flow.REPAY)) == (10**9, 10**9)
    ledger.check()


def test_names_are_unique_and_known(ledger, alice):
    for refused in (
        lambda: ledger.open_account("alice"),
        lambda: ledger.open_account(""),
        lambda: ledger.open_account("rounding"),
        lambda: ledger.add_asset("USDT", "1"),
        lambda: ledger.add_asset("", "1"),
        lambda: ledger.add_asset("X", "0"),
        lambda: ledger.add_asset("X", "-1"),
        lambda: ledger.account("carol"),
        lambda: ledger.asset("BTC"),
        lambda: ledger.account_name(0),
        lambda: ledger.account_name(3),
        lambda: ledger.asset_name(2),
        lambda: ledger.quantum(-1),
    ):
        with pytest.raises(LedgerError):
            refused()
    with pytest.raises(LobsimError, match="quantum of X"):
        ledger.add_asset("X", "a lot")
    assert ledger.assets == ("ALT", "USDT")
    assert ledger.accounts == ("rounding", "alice")


@pytest.mark.parametrize("amount", [-1, 1.0, "1", None, True])
def test_amounts_are_whole_and_not_negative(ledger, alice, bob, amount):
    before = state(ledger)
    for refused in (
        lambda: ledger.issue(alice, ALT, amount, Flow.DEPOSIT),
        lambda: ledger.burn(alice, ALT, amount, Flow.DEPOSIT),
        lambda: ledger.transfer(alice, bob, ALT, amount, Flow.TRANSFER),
        lambda: ledger.settle_trade(alice, bob, ALT, amount, USDT, 1),
        lambda: ledger.settle_trade(alice, bob, ALT, 1, USDT, amount),
        lambda: ledger.offset(alice, bob, ALT, amount, Flow.BAD_DEBT, Flow.REPAY),
        lambda: ledger.hold(alice, ALT, amount),
    ):
        with pytest.raises(LedgerError):
            refused()
        assert state(ledger) == before


@pytest.mark.parametrize(
    ("src", "dst", "asset"), [(0, 2, 0), (2, 0, 0), (-1, 2, 0), (2, -1, 0), (4, 2, 0), (2, 4, 0), (2, 3, 2), (2, 3, -1)]
)
def test_unknown_accounts_and_assets_are_refused(ledger, alice, bob, src, dst, asset):
    before = state(ledger)
    other = USDT if asset != USDT else ALT
    for refused in (
        lambda: ledger.transfer(src, dst, asset, 1, Flow.TRANSFER),
        lambda: ledger.settle_trade(dst, src, asset, 1, other, 1),
        lambda: ledger.settle_trade(src, dst, other, 1, asset, 1),
        lambda: ledger.offset(src, dst, asset, 1, Flow.BAD_DEBT, Flow.REPAY),
    ):
        with pytest.raises(LedgerError):
            refused()
        assert state(ledger) == before
    for account in {src, dst} - {2, 3} or {src}:
        for refused in (
            lambda account=account: ledger.balance(account, asset),
            lambda account=account: ledger.free(account, asset),
            lambda account=account: ledger.held(account, asset),
            lambda account=account: ledger.hold(account, asset, 1),
            lambda account=account: ledger.release(account, asset, 1),
            lambda account=account: ledger.issue(account, asset, 1, Flow.MINT),
            lambda account=account: ledger.burn(account, asset, 1, Flow.MINT),
        ):
            with pytest.raises(LedgerError):
                refused()
    assert state(ledger) == before


def test_a_trade_needs_two_assets(ledger, alice, bob):
    with pytest.raises(LedgerError, match="two different ones"):
        ledger.settle_trade(alice, bob, USDT, 1, USDT, 1)


@pytest.mark.parametrize("column", ["balances", "inflow", "outflow", "moved", "issued", "burned"])
def test_check_and_imbalance_see_tampering(ledger, alice, bob, column):
    ledger.settle_trade(alice, bob, ALT, 1, USDT, 7)
    ledger.check()
    getattr(ledger._rows[USDT], column)[alice] += 1
    with pytest.raises(CheckError, match="USDT"):
        ledger.check()
    if column != "moved":  # the totals by reason explain no balance
        assert ledger.imbalance()["USDT"] > 0
    assert ledger.imbalance()["ALT"] == 0


def test_check_sees_what_cancels_out_in_the_sum(ledger, alice, bob):
    rows = ledger._rows[USDT]
    rows.balances[alice] += 5
    rows.balances[bob] -= 5
    assert ledger.imbalance() == {"ALT": 0, "USDT": 10}
    with pytest.raises(CheckError, match=r"USDT of alice: balance 1005, posted in 1000 - out 0"):
        ledger.check()


def test_check_sees_a_hold_above_the_balance_and_a_float(ledger, alice):
    ledger._rows[USDT].floors[alice] = 1001
    with pytest.raises(CheckError, match="held 1001"):
        ledger.check()
    ledger._rows[USDT].floors[alice] = 0
    ledger._rows[USDT].balances[alice] = 1000.0
    with pytest.raises(CheckError, match=r"balance 1000\.0"):
        ledger.check()
