"""Liquidation of margin accounts that hold several assets and contracts, at market and by auction, to the end."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.credit import Auction, ContractBook, ContractTerms, Flow, SalePolicy, TermsError, Tier
from lobsim.events import EventKind, Purpose
from lobsim.units import NS_PER_S
from lobsim.venue.guards import MarketGuard
from lobsim.venue.market import Market
from lobsim.venue.marks import LastPriceMark
from tests.venue.builders import BUY, SELL, Desk
from tests.venue.test_chained_marks import Staking
from tests.venue.test_contracts import Perpetual

ALL = SalePolicy("all", 1_000_000, NS_PER_S)
SLICES = SalePolicy("slices", 200_000, 5 * NS_PER_S, 10_000_000)


def forced(desk):
    """(price, lots) of all trades for account liquidations."""
    trades = desk.log.of(EventKind.TRADE)
    return [(event[5], event[6]) for event in trades if event[7] == Purpose.ACCOUNT_LIQUIDATION]


class Wrapped(Staking):
    """The venue of WBETH with a perpetual on ETH (tick 0.1, lot 0.01), marked at its own last price."""

    def __init__(self, policy, insurance=0, fund=0):
        super().__init__(policy, insurance)
        self.reserve = self.ledger.open_account("perp.insurance")
        self.ledger.issue(self.reserve, self.usdt, fund, Flow.DEPOSIT)
        unit = self.markets["ETH-USDT"].quote_per_tick_lot
        terms = ContractTerms((Tier(0, 10_000),))
        self.contract = ContractBook("ETH-PERP", self.ledger, self.usdt, terms, unit, self.reserve)
        market = Market(
            9, "ETH-PERP", "ETH", "USDT", Decimal("0.1"), Decimal("0.01"), self.ledger, LastPriceMark(), self.contract
        )
        self.markets["ETH-PERP"] = market
        self.exchange.add_market(market, lambda _time_ns, _view: None)
        for name, price in (("ETH-USDT", 40_000), ("WBETH-ETH", 10_000), ("SOL-USDT", 20_000), ("ETH-PERP", 40_000)):
            self.trade(name, price)


def test_wrapped_collateral_a_perpetual_and_debts_in_two_assets_end_together():
    venue = Wrapped(ALL, insurance=10**12)
    # 10 WBETH at 4,000 count 36,000; owes 20,000 USDT and 40 SOL at 200; long 5 ETH of the perpetual
    account = venue.account("maker", WBETH=10**7, debts={"USDT": 200_000_000, "SOL": 400_000})
    venue.order("ETH-PERP", SELL, 500, 40_000)
    venue.order("ETH-PERP", BUY, 500, 40_000, account=account)
    assert venue.contract.position(account)[0] == 500
    venue.mark()
    assert not venue.exchange.liquidator.has_taken(account)
    venue.order("WBETH-ETH", BUY, 10_000, 6_000)
    venue.order("ETH-USDT", BUY, 10_000, 39_000)
    venue.order("ETH-PERP", BUY, 10_000, 38_000)
    venue.order("SOL-USDT", SELL, 10_000, 20_500)
    venue.trade("WBETH-ETH", 6_000).mark()
    venue.clock.run_until(20 * NS_PER_S)
    assert [venue.margin.net(account, asset) for asset in venue.assets.values()] == [0] * 4
    assert venue.contract.position(account) == (0, 0)
    rows = {row[1]: row for row in venue.log.credits}
    # it lacks 4,000 because of its loans: the perpetual goes at what it cost, not at 4,800
    assert rows["contract_liquidation_long"][4:7] == ("ETH", 5 * 10**6, 5 * 4_000 * 10_000)
    assert rows["adl"][4:7] == ("ETH", 5 * 10**6, 5 * 4_000 * 10_000)
    # sold for 10 * 0.6 * 3,900; 40 SOL cost 205 each
    assert rows["insurance_paid"][5] == (20_000 + 8_200 - 23_400) * 10_000
    venue.exchange.check()


def test_slices_follow_the_ranking_over_assets_and_contracts():
    desk = Perpetual(policy=SLICES)
    desk.exchange.liquidator._order = ("ALT-PERP",)
    account = desk.unified("maker", alt=1_000, usdt=0, debt=20_000)
    desk.perp_order(desk.crowd, SELL, 1_000, 100)
    desk.perp_order(account, BUY, 1_000, 100)  # 1,000,000 of notional, margin 50,000
    desk.perp_order(desk.crowd, BUY, 10_000, 99)
    desk.order(desk.crowd, BUY, 10_000, 90)
    desk.marked(99)
    assert forced(desk) == [(99, 221)]  # a fifth of 100,000 + 990,000 (value at the first mark), in lots of 990
    desk.at(5 * NS_PER_S)
    assert forced(desk) == [(99, 221)] * 2
    desk.at(60 * NS_PER_S)
    assert sum(lots for price, lots in forced(desk) if price == 99) == 1_000
    assert forced(desk)[-1][0] == 90
    desk.check()


def test_contracts_of_an_account_worth_nothing_are_taken_over_and_deleveraged():
    desk = Perpetual(policy=ALL, fund=1_000)
    account = desk.unified("maker", usdt=10_000)
    desk.perp_order(desk.crowd, SELL, 100, 100)
    desk.perp_order(account, BUY, 100, 100)
    desk.perp_order(desk.crowd, BUY, 60, 89)
    desk.perp_order(desk.crowd, BUY, 60, 88)
    desk.marked(85)  # it lost 15,000 of 10,000: bankrupt at 90; the fund reaches to 89
    assert desk.liquidated() == [(89, 60)]
    assert [row[2:7] for row in desk.rows("adl")] == [(desk.crowd, desk.contract.liquidation, "ALT", 400, 40 * 90 * 10)]
    assert desk.usdt(desk.reserve) == 1_000 - 600
    assert desk.usdt(account) == 0
    assert desk.margin.positions(account) == {}
    kinds = [kind for kind in desk.log.credit_kinds() if kind.startswith("account") or "long" in kind]
    assert kinds == ["account_liquidation_started", "contract_liquidation_long", "account_bankrupt"]
    desk.check()


def test_an_account_that_is_still_worth_something_sells_in_the_book():
    desk = Perpetual(policy=ALL)
    account = desk.unified("maker", usdt=10_000)
    desk.perp_order(desk.crowd, SELL, 100, 100)
    desk.perp_order(account, BUY, 100, 100)
    desk.marked(91)  # 1,000 left of 10,000, margin 4,550
    desk.at(5 * NS_PER_S)
    assert desk.contract.position(account)[0] == 100  # no bids: it is tried again
    assert desk.rows("adl") == []
    desk.perp_order(desk.crowd, BUY, 60, 90)
    desk.at(10 * NS_PER_S)
    assert forced(desk) == [(90, 60)]
    assert desk.rows("contract_liquidation_long")[0][4:7] == ("ALT", 600, 60 * 90 * 10)
    desk.check()


def test_contracts_go_first_and_the_other_assets_are_sold_on():
    desk = Perpetual(policy=ALL, insurance=10**9)
    account = desk.unified("maker", usdt=10_000, alt=1_000)
    desk.perp_order(desk.crowd, SELL, 200, 100)
    desk.perp_order(account, BUY, 200, 100)
    desk.order(desk.crowd, BUY, 1_000, 70)
    desk.marked(50)  # lost 100,000, has 110,000: not worth nothing yet, but nobody buys the contract
    assert forced(desk) == [(70, 100)]
    desk.mark()
    desk.at(NS_PER_S)
    assert desk.contract.position(account) == (0, 0)
    assert {row[6] for row in desk.rows("adl")} == {20_000 * 10 - 80_000}
    assert desk.margin.positions(account) == {}
    desk.check()


def test_a_halt_keeps_contracts_of_the_bankrupt():
    desk = Perpetual(policy=ALL, guard=MarketGuard())
    account = desk.unified("maker", usdt=10_000)
    desk.perp_order(desk.crowd, SELL, 100, 100)
    desk.perp_order(account, BUY, 100, 100)
    desk.exchange.halt(desk.perp, 10 * NS_PER_S)
    desk.marked(85)
    desk.at(9 * NS_PER_S)
    assert desk.contract.position(account)[0] == 100
    desk.at(12 * NS_PER_S)
    assert desk.contract.position(account)[0] == 0
    assert len(desk.rows("adl")) == 1
    desk.check()


def test_an_account_without_a_mark_for_its_contract_waits():
    desk = Perpetual(policy=ALL)
    account = desk.unified("maker", alt=10_000, debt=750_000)
    desk.perp_order(desk.crowd, SELL, 10, 100)
    desk.perp_order(account, BUY, 10, 100)
    desk.index.price = None
    desk.mark()
    assert not desk.exchange.liquidator.has_taken(account)
    desk.order(desk.crowd, BUY, 10_000, 100)
    desk.perp_order(desk.crowd, BUY, 10_000, 100)
    desk.marked(100)
    assert desk.exchange.liquidator.has_taken(account)
    desk.check()


class Falling(Desk):
    """An auction from the mark to half of it over 100 s, renewed every 10 s; the account has 1,000 lots."""

    def __init__(self):
        auction = Auction(500_000, 100 * NS_PER_S)
        super().__init__(
            policy=SalePolicy("auction", 1_000_000, 10 * NS_PER_S, 1_500_000, auction=auction), insurance=10**9
        )
        self.maker = self.unified("maker", alt=10_000, debt=730_000)
        self.trade(100)
        self.mark()


def test_an_auction_offers_at_a_falling_price_and_sells_nothing_by_itself():
    desk = Falling()
    seen = [desk.book.asks()]
    for second in (10, 50, 100, 200):
        desk.at(second * NS_PER_S)
        seen.append(desk.book.asks())
    assert seen == [[(100, 1_000)], [(95, 1_000)], [(75, 1_000)], [(50, 1_000)], [(50, 1_000)]]
    assert forced(desk) == []
    desk.check()


def test_bidders_take_what_they_want_until_the_account_is_safe():
    desk = Falling()
    desk.at(15 * NS_PER_S)
    desk.order(desk.crowd, BUY, 300, 95)
    desk.at(20 * NS_PER_S)
    assert desk.alt(desk.maker) == 7_000
    sales = [row[4:7] for row in desk.log.credits if row[1] == "account_liquidation_sale"]
    assert sales == [("ALT", 3_000, 300 * 95 * 10)]
    # 7,000 at 0.8 * 95 (the crowd's print is no mark yet) against 445,000
    assert desk.book.asks() == []
    assert not desk.exchange.liquidator.has_taken(desk.maker)
    desk.check()


def test_an_auction_of_a_short_rises():
    desk = Desk(policy=SalePolicy("auction", 1_000_000, NS_PER_S, auction=Auction(800_000, 10 * NS_PER_S)))
    account = desk.unified("short", usdt=100_000)
    desk.order(desk.crowd, BUY, 100, 50)
    desk.order(account, SELL, 100, 50)
    desk.trade(138)
    desk.mark()
    assert desk.book.bids() == [(138, 100)]
    desk.at(5 * NS_PER_S)
    assert desk.book.bids() == [(152, 100)]  # 138 * 1.1, rounded up
    desk.order(desk.crowd, SELL, 100, 150)
    desk.at(6 * NS_PER_S)
    assert desk.margin.net(account, 1) == 0
    desk.check()


def test_an_auction_that_makes_no_sense_is_refused():
    with pytest.raises(TermsError, match="an auction needs a floor"):
        Desk(policy=SalePolicy("auction", 1_000_000, NS_PER_S, auction=Auction(2_000_000, 1)))


@settings(deadline=None, max_examples=60)
@given(
    positions=st.lists(st.tuples(st.integers(-400, 400), st.integers(0, 400_000)), min_size=1, max_size=4),
    steps=st.lists(
        st.tuples(st.integers(30, 200), st.integers(1, 20), st.lists(st.integers(-300, 300), max_size=3)), max_size=5
    ),
    policy=st.sampled_from(
        [ALL, SLICES, SLICES._replace(parallel=True), ALL._replace(auction=Auction(600_000, 10 * NS_PER_S))]
    ),
    insurance=st.sampled_from([0, 20_000, 10**9]),
)
def test_money_and_positions_add_up_through_any_liquidation(positions, steps, policy, insurance):
    desk = Perpetual(policy=policy, insurance=insurance, fund=insurance)
    accounts = []
    for number, (lots, debt) in enumerate(positions):
        account = desk.unified(f"account-{number}", usdt=30_000, alt=5_000, debt=debt)
        accounts.append(account)
        if lots:
            side = BUY if lots > 0 else SELL
            desk.perp_order(desk.crowd, SELL if lots > 0 else BUY, abs(lots), 100)
            desk.perp_order(account, side, abs(lots), 100)
    for price, wait, orders in steps:
        for lots in orders:
            side = BUY if lots > 0 else SELL
            desk.perp_order(desk.crowd, side, abs(lots) + 1, price)
            desk.order(desk.crowd, side, abs(lots) + 1, price)
        desk.marked(price)
        desk.check()
        desk.at(desk.clock.now + wait * NS_PER_S)
        desk.check()
        for account in accounts:
            view = desk.margin.view(account, desk.exchange.marks())
            if view.margin_level_ppm is not None and view.margin_level_ppm <= 1_050_000 and view.debt:
                desk.mark()
                assert desk.exchange.liquidator.has_taken(account)
    desk.check()
