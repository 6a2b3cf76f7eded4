"""Values along quote assets (WBETH in ETH in USDT), and accounts that nobody watches."""

from decimal import Decimal
from fractions import Fraction

from lobsim.credit import AssetTerms, CrossMargin, Flow, Ledger, SalePolicy
from lobsim.events import Purpose, SelfTrade, Side, TimeInForce
from lobsim.sim.clock import Clock
from lobsim.units import NS_PER_S
from lobsim.venue.exchange import Exchange, FeeModel
from lobsim.venue.market import Market
from lobsim.venue.marks import LastPriceMark
from tests.venue.builders import Log

BUY, SELL = Side.BUY, Side.SELL


class Staking:
    """ETH-USDT (tick 0.1, lot 0.01), WBETH-ETH (0.0001, 0.01), WBETH-USDT (0.1, 0.01), SOL-USDT; numeraire USDT."""

    def __init__(self, policy=None, insurance=0):
        self.clock, self.log, self.ledger = Clock(1), Log(), Ledger()
        ledger = self.ledger
        self.assets = {
            name: ledger.add_asset(name, quantum)
            for name, quantum in (("USDT", "0.0001"), ("ETH", "0.000001"), ("WBETH", "0.000001"), ("SOL", "0.0001"))
        }
        self.usdt, self.eth, self.wbeth, self.sol = self.assets.values()
        pool, outside, self.crowd = (ledger.open_account(name, overdraft=True) for name in ("pool", "outside", "crowd"))
        fees, self.fund = ledger.open_account("fees"), ledger.open_account("insurance")
        ledger.issue(self.fund, self.usdt, insurance, Flow.DEPOSIT)
        terms = {asset: AssetTerms(900_000, 50_000) for asset in self.assets.values()}
        terms[self.usdt] = AssetTerms(1_000_000, 100_000)
        self.margin = CrossMargin(ledger, pool, self.usdt, terms)
        self.exchange = Exchange(
            "exchange",
            self.clock,
            ledger,
            self.margin,
            self.log,
            fee_account=fees,
            insurance_account=self.fund,
            outside_account=outside,
            fees=FeeModel(),
            sale_policy=policy,
        )
        self.markets = {}
        for number, (base, quote, tick, lot) in enumerate(
            (
                ("ETH", "USDT", "0.1", "0.01"),
                ("WBETH", "ETH", "0.0001", "0.01"),
                ("WBETH", "USDT", "0.1", "0.01"),
                ("SOL", "USDT", "0.01", "0.01"),
            )
        ):
            name = f"{base}-{quote}"
            market = Market(number, name, base, quote, Decimal(tick), Decimal(lot), ledger, LastPriceMark())
            self.markets[name] = market
            self.exchange.add_market(market, lambda _time_ns, _view: None)

    def order(self, market, side, qty, price=None, tif=TimeInForce.GTC, account=None):
        market = self.markets[market]
        account = account or self.crowd
        return self.exchange.submit(market, account, side, qty, price, Purpose.NOISE, tif, SelfTrade.ALLOW)

    def trade(self, market, price):
        self.order(market, BUY, 1, price)
        self.order(market, SELL, 1, price, TimeInForce.IOC)
        return self

    def account(self, name, *, watched=True, debts=None, **balances):
        account = self.ledger.open_account(name)
        for asset, amount in balances.items():
            self.ledger.issue(account, self.assets[asset], amount, Flow.DEPOSIT)
        self.margin.enroll(account)
        for asset, amount in (debts or {}).items():
            self.margin.borrow(account, self.assets[asset], amount)
            self.ledger.burn(account, self.assets[asset], amount, Flow.WITHDRAW)
        if watched:
            self.exchange.watch_account(account, lambda _view: None)
        return account

    def mark(self):
        self.exchange.mark(record=True)
        return self

    def marks(self):
        """Whole units' values."""
        quanta = self.ledger.quantum
        return {
            self.ledger.asset_name(asset): Fraction(*mark) * Fraction(quanta(self.usdt)) / Fraction(quanta(asset))
            for asset, mark in self.exchange.marks().items()
        }


def test_marks_follow_quote_assets_to_the_numeraire():
    venue = Staking().trade("ETH-USDT", 40_000).trade("WBETH-ETH", 10_700).trade("SOL-USDT", 20_001).mark()
    assert venue.marks() == {"ETH": 4_000, "WBETH": Fraction("4280"), "SOL": Fraction("200.01")}


def test_the_first_market_listed_for_an_asset_counts():
    venue = Staking().trade("ETH-USDT", 40_000).trade("WBETH-USDT", 1).mark()
    assert venue.marks() == {"ETH": 4_000}  # WBETH-ETH has no mark yet
    assert venue.trade("WBETH-ETH", 5_000).mark().marks()["WBETH"] == 2_000


def test_without_a_way_to_the_numeraire_there_is_no_mark():
    venue = Staking().trade("WBETH-ETH", 10_700).mark()
    assert venue.marks() == {}
    account = venue.account("holder", WBETH=10**6)
    venue.mark()
    assert venue.log.states == []
    assert not venue.exchange.may_withdraw(account, venue.wbeth, 1)
    venue.trade("ETH-USDT", 40_000).mark()
    assert [state[1] for state in venue.log.states] == [account]


def test_marks_change_only_with_a_mark_update():
    venue = Staking().trade("ETH-USDT", 40_000).mark()
    before = venue.exchange.marks()
    venue.trade("ETH-USDT", 20_000)
    assert venue.exchange.marks() is before
    assert venue.mark().marks() == {"ETH": 2_000}


def test_an_account_with_a_wrapped_asset_and_debts_in_two_assets_is_sold_out_over_two_books():
    venue = Staking(SalePolicy("all", 1_000_000, NS_PER_S), insurance=10**12)
    for market, price in (("ETH-USDT", 40_000), ("WBETH-ETH", 10_000), ("SOL-USDT", 20_000)):
        venue.trade(market, price)
    # 10 WBETH at 4,000 count 36,000; owes 20,000 USDT and 40 SOL at 200
    account = venue.account("maker", WBETH=10**7, debts={"USDT": 200_000_000, "SOL": 400_000})
    venue.mark()
    assert not venue.exchange.liquidator.has_taken(account)
    venue.order("WBETH-ETH", BUY, 10_000, 6_000)
    venue.order("ETH-USDT", BUY, 10_000, 39_000)
    venue.order("SOL-USDT", SELL, 10_000, 20_500)
    venue.trade("WBETH-ETH", 6_000).mark()
    venue.clock.run_until(20 * NS_PER_S)
    assert venue.exchange.liquidator.has_taken(account)
    assert [venue.margin.net(account, asset) for asset in venue.assets.values()] == [0] * 4
    sold = [(row[4], row[5], row[6]) for row in venue.log.credits if row[1] == "account_liquidation_sale"]
    assert ("WBETH", 10**7, 6 * 10**6) in sold  # for ETH
    assert ("ETH", 6 * 10**6, 6 * 3_900 * 10_000) in sold  # which is sold on
    assert ("SOL", 400_000, -40 * 205 * 10_000) in sold
    insured = [row[5] for row in venue.log.credits if row[1] == "insurance_paid"]
    assert insured == [200_000_000 + 82_000_000 - 234_000_000]
    venue.exchange.check()


def test_a_population_is_liquidated_like_the_watched_but_not_recorded():
    venue = Staking(SalePolicy("all", 1_000_000, NS_PER_S), insurance=10**12)
    venue.trade("ETH-USDT", 40_000)
    debts = [30_000, 32_579, 32_580, 34_000]  # 10 ETH count 36,000: 36,000 - d <= 1.05 * d / 10 from 32,579.2 on
    accounts = [
        venue.account(f"member-{debt}", watched=False, ETH=10**7, debts={"USDT": debt * 10_000}) for debt in debts
    ]
    unvalued = venue.account("unvalued", watched=False, SOL=10**5, debts={"USDT": 10_000})
    watched = venue.account("watched", ETH=10**7, debts={"USDT": 34_000 * 10_000})
    venue.order("ETH-USDT", BUY, 10**6, 40_000)
    venue.mark()
    started = [row[2] for row in venue.log.credits if row[1] == "account_liquidation_started"]
    assert started == [watched, *accounts[2:]]
    assert {state[1] for state in venue.log.states} == {watched}
    venue.trade("SOL-USDT", 1).mark()
    assert venue.exchange.liquidator.has_taken(unvalued)
    venue.clock.run_until(10 * NS_PER_S)
    assert [venue.margin.net(account, venue.eth) for account in accounts] == [10**7] * 2 + [0] * 2
    venue.exchange.check()
