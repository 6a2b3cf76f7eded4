"""Perpetuals at an exchange: trades move positions, breached ones are taken over, sold, deleveraged, and it adds up."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.credit import ContractBook, ContractTerms, Flow, Tier
from lobsim.errors import GridError
from lobsim.events import EventKind, Purpose, Reason, SelfTrade, SubmitOrder, TimeInForce
from lobsim.units import NS_PER_S
from lobsim.venue.contract_liquidator import AT_MARKET, FUND_LIMIT, NEVER
from lobsim.venue.funding import FundingTerms
from lobsim.venue.guards import MarketGuard
from lobsim.venue.market import Market
from lobsim.venue.marks import ConstantMark, PerpetualMark
from tests.venue.builders import BUY, IOC, SELL, TICK_LOT, USDT, Desk, Session

PERP = 1
GTC = TimeInForce.GTC


class Given:
    """A mark that the test sets."""

    price = 100

    def update(self, book, time_ns):
        return self.price


class Perpetual(Desk):
    """Beside ALT-USDT a perpetual on it; maintenance 5 %. Longs of 100 lots at 100 ticks stand for 100,000 quanta."""

    def __init__(self, fund=0, model=None, funding=None, guard=None, fee_ppm=0, contract_policy=None, **options):
        super().__init__(**options)
        self.reserve = self.ledger.open_account("perp.insurance")
        self.ledger.issue(self.reserve, USDT, fund, Flow.DEPOSIT)
        terms = ContractTerms((Tier(0, 50_000),), liquidation_fee_ppm=fee_ppm)
        self.contract = ContractBook("ALT-PERP", self.ledger, USDT, terms, TICK_LOT, self.reserve)
        self.index = Given()
        self.perp = Market(
            PERP,
            "ALT-PERP",
            "ALT",
            "USDT",
            Decimal("0.01"),
            Decimal(1),
            self.ledger,
            model or self.index,
            contract=self.contract,
            guard=guard,
        )
        self.exchange.add_market(self.perp, lambda _time_ns, _view: None, funding)
        self.exchange.contracts.policy = contract_policy or FUND_LIMIT
        self.trade(100)

    def isolated(self, name, lots, margin, price=100):
        """A position against the crowd; `margin` is all its account has."""
        account = self.ledger.open_account(name)
        self.ledger.issue(account, USDT, margin, Flow.DEPOSIT)
        return self.contract.open_isolated(account, lots, price, margin, self.crowd)

    def perp_order(self, account, side, qty, price=None, tif=GTC):
        return self.exchange.submit(self.perp, account, side, qty, price, Purpose.NOISE, tif, SelfTrade.ALLOW)

    def marked(self, price):
        self.index.price = price
        self.mark()
        return self

    def liquidated(self):
        """(price, lots) of what contract liquidations traded."""
        trades = self.log.of(EventKind.TRADE)
        return [(event[5], event[6]) for event in trades if event[7] == Purpose.CONTRACT_LIQUIDATION]

    def rows(self, *kinds):
        return [row for row in self.log.credits if row[1] in kinds]

    def check(self):
        super().check()
        assert self.ledger.balance(self.contract.liquidation, USDT) <= 0


def test_a_trade_moves_positions_and_no_coins():
    desk = Perpetual()
    long, short = (desk.unified(name, usdt=50_000) for name in ("long", "short"))
    desk.perp_order(long, BUY, 100, 100)
    desk.perp_order(short, SELL, 100, 100)
    assert desk.contract.position(long) == (100, 100_000)
    assert desk.contract.position(short) == (-100, -100_000)
    assert (desk.usdt(long), desk.alt(long), desk.usdt(short)) == (50_000, 0, 50_000)
    desk.marked(110)
    states = desk.states[-2:]
    assert [state.contracts for state in states] == [{PERP: 100}, {PERP: -100}]
    assert [state.equity for state in states] == [60_000, 40_000]
    assert states[0].margin_level_ppm == 60_000 * 10**6 // 5_500
    desk.perp_order(desk.crowd, BUY, 100, 110)
    desk.perp_order(long, SELL, 100)
    assert desk.usdt(long) == 60_000
    assert desk.marked(110).states[-2].contracts == {}
    desk.check()


def test_fees_are_paid_by_both_but_not_by_the_fund():
    desk = Perpetual(maker_ppm=1_000, taker_ppm=2_000, fund=10**6)
    position = desk.isolated("long", 100, 10_000)
    buyer = desk.unified("buyer", usdt=100_000)
    desk.perp_order(buyer, BUY, 100, 92)
    fund = desk.usdt(desk.reserve)
    desk.marked(94)
    assert position not in desk.contract.isolated_positions
    assert desk.usdt(buyer) == 100_000 - 92
    assert desk.usdt(desk.reserve) == fund + 2_000
    desk.check()


def test_a_plain_spot_account_may_not_trade_contracts():
    desk = Perpetual()
    account = desk.spot("saver", usdt=10**6, alt=10**4)
    for side in (BUY, SELL):
        desk.exchange.handle(account, PERP, [SubmitOrder(90 + side, side, 1, 100, owner=account)])
    assert desk.reasons() == [Reason.INSUFFICIENT_FUNDS] * 2
    desk.check()


@pytest.mark.parametrize(("lots", "safe", "breached", "kind"), [(100, 95, 94, "long"), (-100, 104, 105, "short")])
def test_a_position_is_taken_over_at_its_level_and_not_before(lots, safe, breached, kind):
    # a long of 100 at 100 with 10,000: margin left 10,000 - 1,000 (100 - p) <= 50 p from 94.7 down;
    # a short 10,000 - 1,000 (p - 100) <= 50 p from 104.8 up
    desk = Perpetual(fund=10**6)
    position = desk.isolated("holder", lots, 10_000)
    desk.perp_order(desk.crowd, BUY if lots > 0 else SELL, 100, breached)
    desk.marked(safe)
    assert position in desk.contract.isolated_positions
    desk.marked(breached)
    assert position not in desk.contract.isolated_positions
    assert desk.liquidated() == [(breached, 100)]
    holder = desk.ledger.account("holder")
    row = (0, f"contract_liquidation_{kind}", holder, desk.contract.liquidation, "ALT", 1_000, breached * 1_000, 1)
    assert desk.rows("contract_liquidation_long", "contract_liquidation_short") == [row]
    gained = abs((90 if lots > 0 else 110) - breached) * 1_000
    assert [row[2:6] for row in desk.rows("contract_insurance_earned")] == [
        (desk.reserve, desk.contract.liquidation, "USDT", gained)
    ]
    assert desk.usdt(holder) == 0
    desk.check()


def test_the_order_ends_where_the_fund_would_and_the_rest_is_deleveraged_at_the_bankruptcy_price():
    desk = Perpetual(fund=1_000)
    desk.isolated("long", 100, 10_000)  # bankrupt at 90; 1,000 for 100 lots: down to 89
    for price, qty in ((89, 40), (88, 500)):
        desk.perp_order(desk.crowd, BUY, qty, price)
    desk.marked(92)
    assert desk.liquidated() == [(89, 40)]
    assert [row[2:] for row in desk.rows("adl")] == [
        (desk.crowd, desk.contract.liquidation, "ALT", 600, 60 * 90 * 10, 0)
    ]
    assert desk.usdt(desk.reserve) == 1_000 - 40 * 10
    assert [row[5] for row in desk.rows("contract_insurance_paid")] == [400]
    assert desk.contract.position(desk.contract.liquidation) == (0, 0)
    assert desk.book.last_price == 100
    desk.check()


def test_an_empty_book_deleverages_everything_and_costs_the_fund_nothing():
    desk = Perpetual(fund=1_000)
    desk.isolated("long", 100, 10_000)
    desk.marked(50)
    assert desk.liquidated() == []
    assert sum(row[5] for row in desk.rows("adl")) == 1_000
    assert desk.usdt(desk.reserve) == 1_000
    desk.check()


def test_at_market_sells_at_any_price_and_leaves_what_the_fund_cannot_pay():
    desk = Perpetual(fund=1_000, contract_policy=AT_MARKET)
    desk.isolated("long", 100, 10_000)
    desk.perp_order(desk.crowd, BUY, 100, 50)
    desk.marked(94)
    assert desk.liquidated() == [(50, 100)]
    assert desk.usdt(desk.reserve) == 0
    assert [row[5] for row in desk.rows("contract_uncovered")] == [40_000 - 1_000]
    desk.check()


def test_under_the_policy_never_a_breached_position_stays_whatever_it_loses():
    desk = Perpetual(fund=1_000, contract_policy=NEVER)
    position = desk.isolated("long", 100, 10_000)
    desk.marked(80)
    assert position in desk.contract.isolated_positions
    assert not desk.rows("contract_liquidation_long")
    desk.contract.check()


def test_deleveraging_takes_the_most_profitable_and_most_leveraged_first():
    desk = Perpetual()
    desk.isolated("long", 100, 10_000)
    shorts = [
        desk.isolated("calm", -50, 40_000, price=100),  # profit 30 %, margin and profit 55,000
        desk.isolated("bold", -50, 10_000, price=100),  # the same profit on 25,000
        desk.isolated("early", -50, 40_000, price=140),  # profit 50 % on 75,000
    ]
    account = desk.unified("maker", usdt=100_000)
    desk.perp_order(account, SELL, 50, 101)
    desk.perp_order(desk.crowd, BUY, 50, 101)
    desk.contract.mark_price = 70
    line = [rank.account for rank in desk.contract.adl_ranking(SELL, desk.exchange.marks())]
    desk.marked(70)
    ids = [row[7] for row in desk.rows("adl")]
    assert ids == [shorts[1], shorts[2]]
    assert [desk.ledger.account_name(holder) for holder in line[:2]] == ["bold", "early"]
    assert [row[6] for row in desk.rows("adl")] == [50 * 90 * 10] * 2
    desk.check()


def test_a_margin_account_hears_how_much_of_its_hedge_was_deleveraged():
    desk = Perpetual()
    account = desk.unified("maker", usdt=100_000)
    session = Session(account)
    desk.exchange.connect(session)
    desk.isolated("long", 100, 10_000)
    desk.perp_order(account, SELL, 80, 100)
    desk.perp_order(desk.crowd, BUY, 80, 100)  # the crowd is flat but for 20 short
    desk.marked(85)
    state = desk.states[-1]
    assert state.adl + sum(row[5] for row in desk.rows("adl") if row[2] != account) // 10 == 100
    assert state.adl == 80
    assert state.contracts == {}
    assert desk.usdt(account) == 100_000 + 80 * 10 * 10  # closed at 90, the bankruptcy price
    desk.check()


def test_deleveraged_lots_add_up_over_marks():
    desk = Perpetual()
    account = desk.unified("maker", usdt=100_000)
    desk.perp_order(account, SELL, 30, 100)
    desk.perp_order(desk.crowd, BUY, 30, 100)
    desk.isolated("first", 10, 1_000)
    desk.isolated("second", 10, 2_000)
    for price, adl in ((94, 10), (84, 20)):
        assert desk.marked(price).states[-1].adl == adl
    desk.check()


def test_who_was_deleveraged_before_its_turn_is_not_taken_over_too():
    desk = Perpetual()
    long, short = desk.isolated("long", 100, 10_000), desk.isolated("short", -100, 10_000, price=80)
    desk.marked(94)  # both are breached: 14,000 lost of 10,000, and 6,000
    assert {row[7] for row in desk.rows("contract_liquidation_long", "contract_liquidation_short")} <= {long, short}
    assert not len(desk.contract.isolated_positions)
    desk.check()


def test_a_halt_keeps_positions_until_it_ends():
    desk = Perpetual(fund=10**6, guard=MarketGuard())
    desk.isolated("long", 100, 10_000)
    desk.perp_order(desk.crowd, BUY, 100, 93)
    desk.exchange.halt(desk.perp, 10 * NS_PER_S)
    desk.marked(92)
    assert desk.rows("contract_liquidation_long", "adl") == []
    desk.at(10 * NS_PER_S).marked(92)
    assert desk.liquidated() == [(93, 100)]
    desk.check()


def test_what_a_band_keeps_from_being_sold_waits_for_the_next_mark():
    desk = Perpetual(fund=10**6, guard=MarketGuard(20_000))
    desk.isolated("long", 100, 10_000)
    for price, qty in ((93, 30), (91, 100)):
        desk.perp_order(desk.crowd, BUY, qty, price)
    desk.marked(94)  # the band ends at 92.12, so at 93
    assert desk.liquidated() == [(93, 30)]
    assert desk.contract.position(desk.contract.liquidation)[0] == 70
    assert desk.rows("adl") == []
    desk.marked(92)
    assert desk.liquidated() == [(93, 30), (91, 70)]
    desk.check()


def test_breaches_at_one_mark_are_taken_worst_first_with_one_order_each():
    desk = Perpetual(fund=10**6)
    for name, margin in (("c", 9_000), ("a", 5_000), ("b", 7_000)):
        desk.isolated(name, 10, margin // 10)
    desk.perp_order(desk.crowd, BUY, 100, 90)
    desk.marked(90)
    assert [row[7] for row in desk.rows("contract_liquidation_long")] == [2, 3, 1]
    assert desk.liquidated() == [(90, 10)] * 3
    desk.check()


def test_a_liquidation_fee_feeds_the_fund():
    desk = Perpetual(fee_ppm=10_000, fund=500)
    desk.isolated("long", 100, 10_000)
    desk.perp_order(desk.crowd, BUY, 100, 94)
    desk.marked(94)
    fees = [row[5] for row in desk.rows("contract_insurance_earned")]
    assert fees == [940, 94_000 - 90_000 - 940]
    assert desk.usdt(desk.reserve) == 500 + 4_000
    desk.check()


def test_funding_moves_from_longs_to_shorts_when_it_is_due_and_not_before():
    desk = Perpetual(
        model=PerpetualMark(ConstantMark(1_000)), funding=FundingTerms(interval_ns=100, first_ns=50, sample_ns=10)
    )
    long, short = (desk.unified(name, usdt=500_000) for name in ("long", "short"))
    desk.perp_order(long, BUY, 10, 1_000)
    desk.perp_order(short, SELL, 10, 1_000)
    for now in (0, 49, 50, 149, 150, 151):
        desk.at(now).mark()
    # no quotes, so no premium: F = 0.01 % of 10 lots * 1,000 * 10
    assert [(row[0], *row[4:7]) for row in desk.rows("funding")] == [
        (50, "USDT", 10, 100_000),
        (150, "USDT", 10, 100_000),
    ]
    assert (desk.usdt(long), desk.usdt(short)) == (500_000 - 20, 500_000 + 20)
    assert desk.ledger.moved(USDT, Flow.FUNDING) == 40
    desk.check()


def test_a_premium_in_the_own_book_raises_the_rate():
    desk = Perpetual(
        model=PerpetualMark(ConstantMark(1_000)),
        funding=FundingTerms(interval_ns=100, first_ns=50, sample_ns=1, impact_value=100_000),
    )
    long, short = (desk.unified(name, usdt=500_000) for name in ("long", "short"))
    desk.perp_order(long, BUY, 10, 1_000)
    desk.perp_order(short, SELL, 10, 1_000)
    for price, qty in ((1_020, 5), (1_010, 5)):  # 10 lots fetch 1,015 on average: a premium of 1.5 %
        desk.perp_order(desk.crowd, BUY, qty, price)
    desk.at(50).mark()
    assert [row[6] for row in desk.rows("funding")] == [15_000_000 - 500_000]
    desk.perp_order(desk.crowd, SELL, 10)
    desk.at(60).mark()  # a new interval has only its own samples
    desk.at(150).mark()
    assert desk.rows("funding")[1][6] == 100_000
    desk.check()


def test_open_interest_and_the_fund_are_recorded_with_accounts():
    desk = Perpetual(fund=777)
    desk.isolated("long", 30, 10_000)
    desk.marked(101)
    desk.exchange.mark(record=False)
    assert [row[1:2] + row[4:] for row in desk.rows("open_interest", "insurance_fund")] == [
        ("open_interest", "ALT", 300, 30 * 101 * 10, PERP),
        ("insurance_fund", "USDT", 777, 777, PERP),
    ]


def test_a_contract_without_a_mark_is_left_alone():
    desk = Perpetual()
    desk.index.price = None
    desk.isolated("long", 100, 10_000)
    desk.mark()
    assert desk.perp.mark_price is None
    desk.check()


def test_grids_of_market_and_contract_must_agree():
    desk = Desk()
    terms = ContractTerms((Tier(0, 50_000),))
    contract = ContractBook("P", desk.ledger, USDT, terms, 7, desk.fund)
    with pytest.raises(GridError, match="its contract counts 7 quanta"):
        Market(2, "P", "ALT", "USDT", Decimal("0.01"), Decimal(1), desk.ledger, Given(), contract=contract)


@settings(deadline=None)
@given(
    holders=st.lists(
        st.tuples(st.sampled_from([-30, -7, 5, 40]), st.integers(500, 20_000), st.integers(80, 120)), max_size=8
    ),
    steps=st.lists(
        st.tuples(st.integers(40, 180), st.lists(st.tuples(st.integers(0, 1), st.integers(1, 60)), max_size=3)),
        min_size=1,
        max_size=6,
    ),
    fund=st.sampled_from([0, 3_000, 10**6]),
)
def test_positions_and_money_add_up_after_any_fall_and_rise(holders, steps, fund):
    desk = Perpetual(fund=fund, fee_ppm=5_000, taker_ppm=400, insurance=10**9)
    for number, (lots, margin, price) in enumerate(holders):
        desk.isolated(f"holder-{number}", lots, margin, price)
    account = desk.unified("maker", usdt=40_000, alt=500)
    for price, orders in steps:
        for side, qty in orders:
            desk.perp_order(desk.crowd, 1 - side, qty, price)
            if not desk.exchange.liquidator.has_taken(account):
                desk.perp_order(account, side, qty, None, IOC)
        desk.marked(price)
        desk.check()
        assert desk.contract.position(desk.contract.liquidation)[0] == 0
        deleveraged = {row[7] for row in desk.rows("adl")}
        assert deleveraged.issuperset(
            desk.contract.breached(price)
        )  # closed in part at a loss: the next mark's business
    desk.at(desk.clock.now + 60 * NS_PER_S)
    desk.check()
