"""Liquidating accounts with contracts: slices in order of liquidity, take-over of what is left, auctions."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.credit import (
    ALL_AT_ONCE,
    NO_ASSET,
    PARTIAL,
    AssetTerms,
    Auction,
    ContractBook,
    ContractTerms,
    CrossMargin,
    Flow,
    Ledger,
    LedgerError,
    MarginStatus,
    Slice,
    StepState,
    TermsError,
    Tier,
    bankrupt,
    begin_liquidation,
    next_step,
)
from lobsim.events import Side
from lobsim.units import NS_PER_S

USDT, ALT, SOL = range(3)
MARKS = {ALT: (1, 1), SOL: (2, 1)}


class Desk:
    def __init__(self, fund=0):
        self.ledger = ledger = Ledger()
        for name in ("USDT", "ALT", "SOL"):
            ledger.add_asset(name, "0.01")
        self.pool = ledger.open_account("pool", overdraft=True)
        self.fund = ledger.open_account("fund")
        self.street = ledger.open_account("street", overdraft=True)
        self.maker = ledger.open_account("maker")
        ledger.issue(self.fund, USDT, fund, Flow.DEPOSIT)
        terms = {asset: AssetTerms(800_000, 100_000) for asset in (ALT, SOL)}
        self.margin = CrossMargin(ledger, self.pool, USDT, terms | {USDT: AssetTerms(1_000_000, 100_000)})
        self.margin.enroll(self.maker)
        tiers = ContractTerms((Tier(0, 50_000), Tier(2_000, 100_000)))
        self.alt, self.sol = (
            ContractBook(f"{name}-PERP", ledger, USDT, tiers, 2, self.fund) for name in ("ALT", "SOL")
        )
        for book in (self.alt, self.sol):
            self.margin.add_contract(book)
            book.mark_price = 10

    def have(self, asset, amount):
        self.ledger.issue(self.maker, asset, amount, Flow.DEPOSIT)

    def long(self, book, lots, price):
        if lots > 0:
            book.trade(self.maker, self.street, lots, price)
        else:
            book.trade(self.street, self.maker, -lots, price)

    def check(self):
        self.ledger.check()
        self.margin.check()
        self.alt.check()
        self.sol.check()


def test_equity_and_maintenance_of_contracts_by_hand():
    desk = Desk()
    desk.have(USDT, 1_000)
    desk.have(ALT, 100)
    desk.long(desk.alt, 100, 10)  # cost 2000
    desk.long(desk.sol, -150, 12)  # proceeds 3600
    desk.alt.mark_price = 9  # 1800: P&L -200, margin 90
    desk.sol.mark_price = 11  # 3300: P&L +300, margin 2000 * 5 % + 1300 * 10 %
    view = desk.margin.view(desk.maker, MARKS)
    assert view.equity == 1_000 + 80 - 200 + 300
    assert view.maintenance == 90 + 230
    assert view.contract_notional == 1_800 + 3_300
    # as spot: ALT 1800 bought with 2000, SOL 3300 sold for 3600: longs 1000 - 2000 + 3600 + 100 + 1800, shorts 3300
    assert view.market_value == 4_500
    assert view.leverage_ppm == 4_500 * 1_000_000 // 1_200
    assert view.status == MarginStatus.FREE


@pytest.mark.parametrize(
    ("equity", "status"),
    [
        (151, MarginStatus.FREE),
        (150, MarginStatus.WARNING),
        (121, MarginStatus.WARNING),
        (120, MarginStatus.NO_NEW_ORDERS),
        (106, MarginStatus.NO_NEW_ORDERS),
        (105, MarginStatus.LIQUIDATION),
        (-1, MarginStatus.LIQUIDATION),
    ],
)
def test_the_thresholds_at_their_edges_with_a_contract_alone(equity, status):
    desk = Desk()
    desk.long(desk.alt, 100, 10)  # notional 2000 at the mark: margin 100
    if equity > 0:
        desk.have(USDT, equity)
    else:
        desk.margin.borrow(desk.maker, USDT, 1)
        desk.ledger.transfer(desk.maker, desk.street, USDT, 1, Flow.WITHDRAW)
    if equity > 0:
        assert desk.margin.status(desk.maker, MARKS) == status
        assert desk.margin.margin_level(desk.maker, MARKS) == equity * 10_000
    else:
        assert desk.margin.status(desk.maker, MARKS) == status


def test_a_contract_quoted_in_another_asset_counts_along_its_mark():
    desk = Desk()
    book = ContractBook("SOL-ALT", desk.ledger, SOL, ContractTerms((Tier(0, 100_000),)), 1, desk.fund)
    desk.margin.add_contract(book)
    book.trade(desk.maker, desk.street, 10, 100)
    book.mark_price = 130  # P&L 300 SOL, notional 1300 SOL
    assert desk.margin.equity(desk.maker, MARKS) == 600
    assert desk.margin.maintenance(desk.maker, MARKS) == 260
    with pytest.raises(LedgerError, match="no mark for SOL"):
        desk.margin.equity(desk.maker, {})


def test_assets_and_contracts_are_reduced_by_liquidity_and_debts_bought_back_last():
    desk = Desk()
    desk.have(ALT, 300)
    desk.have(SOL, 100)
    desk.margin.borrow(desk.maker, SOL, 150)
    desk.ledger.transfer(desk.maker, desk.street, SOL, 150, Flow.WITHDRAW)
    desk.margin.sweep(desk.maker, SOL)
    desk.long(desk.alt, 30, 10)
    desk.long(desk.sol, -20, 10)
    case = begin_liquidation(desk.margin, desk.maker, MARKS)
    net = desk.margin.net(desk.maker, SOL)
    assert case.gross_value == 300 + 600 + 400 + abs(net) * 2
    step = next_step(ALL_AT_ONCE._replace(target_ppm=10**9), case, desk.margin, MARKS, ["SOL-PERP", ALT])
    assert step.slices == (
        Slice(NO_ASSET, Side.BUY, 20, "SOL-PERP"),
        Slice(ALT, Side.SELL, 300),
        Slice(NO_ASSET, Side.SELL, 30, "ALT-PERP"),
        Slice(SOL, Side.BUY, -net),
    )


def test_the_budget_flows_over_from_a_contract_to_an_asset():
    desk = Desk()
    desk.have(ALT, 100)
    desk.long(desk.alt, 5, 10)  # worth 100
    policy = PARTIAL._replace(fraction_ppm=600_000, target_ppm=10**9)
    case = begin_liquidation(desk.margin, desk.maker, MARKS)
    step = next_step(policy, case, desk.margin, MARKS, ["ALT-PERP", ALT])
    assert step.slices == (Slice(NO_ASSET, Side.SELL, 5, "ALT-PERP"), Slice(ALT, Side.SELL, 20))
    step = next_step(policy._replace(fraction_ppm=110_000), case, desk.margin, MARKS, ["ALT-PERP", ALT])
    assert step.slices == (Slice(NO_ASSET, Side.SELL, 2, "ALT-PERP"),)  # 22 of 20 a lot, rounded up


def test_parallel_slices_take_a_share_of_every_position():
    desk = Desk()
    desk.have(ALT, 100)
    desk.long(desk.alt, 5, 10)
    policy = PARTIAL._replace(parallel=True, target_ppm=10**9)
    case = begin_liquidation(desk.margin, desk.maker, MARKS)
    first = (Slice(ALT, Side.SELL, 20), Slice(NO_ASSET, Side.SELL, 1, "ALT-PERP"))
    assert next_step(policy, case, desk.margin, MARKS, []).slices == first
    desk.alt.trade(desk.street, desk.maker, 4, 10)
    desk.margin.settle_trade(desk.street, desk.maker, ALT, 50, USDT, 50)
    assert next_step(policy, case, desk.margin, MARKS, []).slices == first  # shares of the start, not of the rest


def test_reducing_contracts_alone_can_make_an_account_safe():
    desk = Desk()
    desk.have(USDT, 105)
    desk.long(desk.alt, 100, 10)
    case = begin_liquidation(desk.margin, desk.maker, MARKS)
    steps = 0
    while (step := next_step(PARTIAL, case, desk.margin, MARKS, ["ALT-PERP"])).state == StepState.SELL:
        assert step.slices == (Slice(NO_ASSET, Side.SELL, 20, "ALT-PERP"),)
        desk.alt.trade(desk.street, desk.maker, 20, 10)
        steps += 1
    assert (steps, step.state) == (2, StepState.SAFE)  # 105 / 80 = 131 %, 105 / 60 = 175 %


def test_what_is_left_is_taken_over_where_the_account_has_nothing_left():
    desk = Desk(fund=1_000)
    desk.margin.borrow(desk.maker, USDT, 300)
    desk.ledger.transfer(desk.maker, desk.street, USDT, 300, Flow.WITHDRAW)
    desk.long(desk.alt, 50, 10)
    desk.alt.mark_price = 9  # P&L -100: it lacks 400 at the mark
    outcome = bankrupt(desk.margin, desk.maker, desk.fund, MARKS)
    assert outcome[:3] == ({}, {}, {})
    taken = outcome.taken_over["ALT-PERP"]
    assert taken[:4] == (0, desk.maker, 50, 1_300)  # 900 at the mark, and 400 beyond it
    assert desk.alt.position(desk.alt.liquidation) == (50, 1_300)
    assert desk.margin.liability(desk.maker, USDT) == 0
    assert desk.ledger.balance(desk.maker, USDT) == 0
    assert desk.alt.fund_limit_price(Side.SELL, 50) == 3  # (1300 - 1000) / 100
    desk.check()


@pytest.mark.parametrize(("owed", "beyond", "left"), [(280, 80, 0), (200, 0, 0), (120, 0, 80)])
def test_several_contracts_share_what_is_lacking_by_their_notional(owed, beyond, left):
    desk = Desk()
    desk.margin.borrow(desk.maker, USDT, owed)
    desk.ledger.transfer(desk.maker, desk.street, USDT, owed, Flow.WITHDRAW)
    desk.long(desk.alt, 10, 10)  # 200
    desk.long(desk.sol, -50, 10)  # 1000
    desk.sol.mark_price = 8  # 800 now: P&L 200
    outcome = bankrupt(desk.margin, desk.maker, desk.fund, MARKS)
    assert outcome.taken_over["ALT-PERP"].bankruptcy_value == 200 + beyond // 5
    assert outcome.taken_over["SOL-PERP"].bankruptcy_value == -800 + beyond * 4 // 5
    assert desk.ledger.balance(desk.maker, USDT) == left
    assert not desk.margin.liability(desk.maker, USDT)
    desk.check()


def test_contracts_need_marks_to_end():
    desk = Desk()
    desk.long(desk.alt, 1, 10)
    with pytest.raises(LedgerError, match="needs marks"):
        bankrupt(desk.margin, desk.maker, desk.fund)
    desk.alt.mark_price = None
    with pytest.raises(LedgerError, match="no mark price"):
        begin_liquidation(desk.margin, desk.maker, MARKS)


@settings(max_examples=80, deadline=None)
@given(
    alt=st.integers(-30, 30),
    sol=st.integers(-30, 30),
    prices=st.tuples(*[st.integers(1, 30)] * 4),
    spot=st.integers(0, 500),
    owed=st.integers(0, 800),
    fund=st.integers(0, 500),
)
def test_an_ended_account_has_nothing_and_owes_nothing(alt, sol, prices, spot, owed, fund):
    desk = Desk(fund)
    if spot:
        desk.have(ALT, spot)
    desk.margin.borrow(desk.maker, USDT, owed)
    desk.ledger.transfer(desk.maker, desk.street, USDT, owed, Flow.WITHDRAW)
    for book, lots, price, mark in ((desk.alt, alt, *prices[:2]), (desk.sol, sol, *prices[2:])):
        if lots:
            desk.long(book, lots, price)
        book.mark_price = mark
    outcome = bankrupt(desk.margin, desk.maker, desk.fund, MARKS)
    desk.check()
    assert set(outcome.taken_over) == {book.name for book, lots in ((desk.alt, alt), (desk.sol, sol)) if lots}
    assert not any(desk.margin.liability(desk.maker, asset) for asset in (USDT, ALT, SOL))
    if outcome.taken_over:
        assert not outcome.written_off.get(USDT, 0) or spot
        lots = desk.alt.position(desk.maker)[0], desk.sol.position(desk.maker)[0]
        assert lots == (0, 0)


def test_an_auction_falls_in_a_straight_line_to_its_floor():
    auction = Auction(700_000, 10 * NS_PER_S)
    auction.check()
    assert [auction.price_ppm(t * NS_PER_S) for t in (-1, 0, 1, 5, 10, 99)] == [
        1_000_000,
        1_000_000,
        970_000,
        850_000,
        700_000,
        700_000,
    ]
    for wrong in (Auction(-1, 1), Auction(1_000_001, 1), Auction(0, 0)):
        with pytest.raises(TermsError, match="an auction needs"):
            wrong.check()


def test_leverage_after_a_fall_with_a_contract():
    """L' = L (1 - d) / (1 - L d) for a long contract on cash, as for spot bought with borrowed cash."""
    desk = Desk()
    desk.have(USDT, 1_200)
    desk.long(desk.alt, 1, 1_200)  # 2400 on 1200
    for mark, leverage in ((1_200, 2), (900, 3), (800, 4)):
        fall = 1 - Fraction(mark, 1_200)
        assert Fraction(2) * (1 - fall) / (1 - 2 * fall) == leverage
        desk.alt.mark_price = mark
        assert desk.margin.effective_leverage(desk.maker, MARKS) == leverage * 1_000_000
