"""Liquidation bots: what they spend, whom they beat, and how they get rid of what they seized."""

import pytest

from lobsim.events import EventKind, Purpose, Reason, Side, TimeInForce
from lobsim.sim.feed import Feed
from lobsim.sim.gateway import LenderGateway
from lobsim.sim.latency import ConstantLatency
from lobsim.units import NS_PER_MS, NS_PER_S
from tests.agents.stage import Stage

BUY, SELL = Side.BUY, Side.SELL
UNIT = 1_000  # USDT quanta in one USDT


class Street(Stage):
    """A stage with a lender and bots; 1,000 ALT quanta (100 ALT) a loan, in USDT quanta of 0.001."""

    def __init__(self, *debts, **settings):
        super().__init__(**settings)
        self.lenders = []
        self.add_lender("lender", *debts)

    def add_lender(self, name, *debts, **terms):
        lender = self.lend(*debts, name=name, **terms)
        feed = self.feeds.breached[name] = Feed()
        lender.publish = lambda breached: feed.publish(self.clock.now, breached)
        self.lenders.append(lender)
        return lender

    def bot(self, name="bot", *, usdt, latency_ms=10, **values):
        """A bot with `usdt` quanta."""
        account = self.spot(name, usdt=usdt)
        delay = ConstantLatency(latency_ms * NS_PER_MS)
        gateway = self.gateway(name, delay, delay, account=account)
        doors = [LenderGateway(self.clock, lender, self.feeds, name, account, delay, delay) for lender in self.lenders]
        given = {"capital": 1.0, "order_latency": f"{latency_ms}ms", "feed_latency": f"{latency_ms}ms", **values}
        agent = self.agent("liquidation-bot", name, gateway=gateway, lenders=doors, **given)
        agent.account = account
        return agent

    def price(self, ticks):
        self.trade(ticks)
        for lender in self.lenders:
            lender.update()
        self.publish()

    def sales(self):
        return [(e[6], e[5]) for e in self.log.of(EventKind.TRADE) if e[7] == Purpose.LOAN_LIQUIDATION]


def test_it_repays_seizes_and_sells_at_market():
    street = Street(70_000, 30_000)
    bot = street.bot(usdt=1_000_000, capacity=10_000.0)
    street.price(76)
    street.order(street.pool, BUY, 1_000, 70)
    street.seconds(5)
    assert [row[1:4] for row in street.log.credits] == [
        ("loan_liquidation", row[2], bot.account) for row in street.log.credits
    ]
    assert street.sales() == [(93, 70)]  # 939 quanta seized: 93 lots and a rest too small to sell
    assert street.usdt(bot.account) == 1_000_000 - 70_000 + 93 * 70 * 10
    assert street.alt(bot.account) == bot._unsold == 9
    assert street.sales()[0][0] == 93
    street.check()


def test_nothing_happens_while_all_loans_are_safe():
    street = Street(70_000)
    street.bot(usdt=1_000_000, capacity=10_000.0)
    street.price(80)
    seen = len(street.log.seen)
    street.seconds(60)
    assert len(street.log.seen) == seen
    assert street.log.credits == []


def test_it_cannot_spend_more_than_it_has():
    street = Street(*[70_000] * 10)
    bot = street.bot(usdt=150_000, capacity=70.0)  # 14,000 quanta at each of five polls a second; nobody buys from it
    street.price(76)
    street.seconds(120)
    assert [row[6] for row in street.log.credits] == [14_000] * 10
    assert street.usdt(bot.account) == 10_000
    street.check()


def test_what_it_sells_it_can_spend_again():
    street = Street(*[70_000] * 10)
    street.bot(usdt=80_000, capacity=100.0)
    street.price(76)
    street.order(street.pool, BUY, 10_000, 76)
    street.seconds(120)
    assert len([row for row in street.log.credits if row[1] == "loan_liquidation"]) == 10
    street.check()


@pytest.mark.parametrize(("poll", "saved_s"), [("200ms", 1), ("4s", 4)])
def test_over_time_it_takes_on_no_more_debt_than_its_capacity_and_no_less(poll, saved_s):
    street = Street(*[70_000] * 60)
    street.bot(usdt=10**9, capacity=100.0, poll=poll)  # 100,000 quanta a second
    street.price(60)  # so low that a part repaid leaves the loan breached
    street.seconds(15)
    paid = 0
    for time_ns, kind, _, _, _, _, value, _ in street.log.credits:
        paid += value if kind == "loan_liquidation" else 0
        assert paid <= 100 * UNIT * (time_ns / NS_PER_S + saved_s)  # and what it saved up while nothing was to be had
    assert paid >= 100 * UNIT * 10


def test_collateral_nobody_bids_for_is_offered_again():
    street = Street(70_000)
    bot = street.bot(usdt=1_000_000, capacity=10_000.0)
    street.price(76)
    street.seconds(5)
    assert (street.sales(), street.alt(bot.account)) == ([], 939)
    tries = [e for e in street.log.of(EventKind.CANCELED) if e[7] == Reason.NO_LIQUIDITY]
    assert len(tries) > 5
    street.order(street.pool, BUY, 40, 60)
    street.seconds(7)
    street.order(street.pool, BUY, 500, 50)
    street.seconds(9)
    assert street.sales() == [(40, 60), (53, 50)]
    assert street.alt(bot.account) == 9
    street.check()


def test_a_rejected_sale_is_tried_again():
    street = Street(70_000)
    bot = street.bot(usdt=1_000_000, capacity=10_000.0)
    street.order(street.pool, BUY, 1_000, 70)
    street.price(76)
    street.exchange.bar(bot.account, Reason.HALTED)
    street.seconds(3)
    assert street.sales() == []
    street.exchange.bar(bot.account, None)
    street.seconds(5)
    assert sum(lots for lots, _ in street.sales()) == 93


def test_a_slippage_limit_is_respected():
    street = Street(70_000)
    bot = street.bot(usdt=1_000_000, capacity=10_000.0, slippage_limit=0.1)
    street.price(76)
    street.order(street.pool, BUY, 10, 69)
    street.order(street.pool, BUY, 1_000, 67)  # 76 * 0.9 = 68.4
    street.seconds(0.5)
    assert street.sales() == [(10, 69)]
    orders = [e for e in street.log.of(EventKind.ACCEPTED) if e[3] == bot.account]
    assert {event[5] for event in orders} == {68}
    street.check()


def test_without_market_data_a_limit_means_waiting():
    street = Street(70_000)
    bot = street.bot(usdt=1_000_000, capacity=10_000.0, slippage_limit=0.1)
    street.trade(76)
    street.lenders[0].update()
    street.order(street.pool, BUY, 1_000, 70)
    street.seconds(5)
    assert bot._unsold == 939
    street.publish()
    street.seconds(6)
    assert street.sales() == [(93, 70)]


def test_of_two_bots_the_nearer_wins_and_the_other_gets_nothing():
    street = Street(70_000)
    far = street.bot("far", usdt=1_000_000, capacity=10_000.0, latency_ms=800)
    near = street.bot("near", usdt=1_000_000, capacity=10_000.0, latency_ms=100)
    street.price(76)
    street.seconds(10)
    assert [row[3] for row in street.log.credits] == [near.account]
    assert (street.usdt(far.account), street.alt(far.account)) == (1_000_000, 0)
    street.check()


def test_equal_bots_share_the_loans():
    wins = []
    for seed in range(12):
        street = Street(*[70_000] * 12, seed=seed)
        bots = [street.bot(name, usdt=10**9, capacity=10_000.0) for name in ("aaa", "mmm", "zzz")]
        street.price(76)
        street.seconds(10)
        wins += [[bot.account for bot in bots].index(row[3]) for row in street.log.credits]
    assert len(wins) == 144
    assert all(20 < wins.count(number) < 80 for number in range(3)), wins


def test_loans_of_two_lenders_with_the_same_number_are_two_loans():
    street = Street(70_000)
    street.add_lender("other", 70_000)
    street.bot(usdt=10**9, capacity=100_000.0)
    street.price(76)
    street.seconds(0.5)
    assert len(street.log.credits) == 2


def test_it_learns_of_a_breach_only_when_the_news_arrives():
    street = Street(70_000)
    street.bot(usdt=10**9, capacity=100.0, latency_ms=2_000)
    street.seconds(10)
    street.price(76)
    street.seconds(13.99)
    assert street.log.credits == []
    street.seconds(15)
    assert len(street.log.credits) == 1
    assert street.log.credits[0][0] >= 14 * NS_PER_S


@pytest.mark.parametrize("bad", [{"capital": 0.0}, {"capacity": -1.0}, {"slippage_limit": 1.0}, {"capital": "5"}])
def test_nonsense_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Stage().params("liquidation-bot", **{"capital": 1.0, "capacity": 1.0, **bad})


def test_orders_are_immediate_or_cancel():
    street = Street(70_000)
    bot = street.bot(usdt=1_000_000, capacity=10_000.0)
    order = bot.context.gateway.order(SELL, 1, None, Purpose.LOAN_LIQUIDATION, TimeInForce.IOC)
    assert (order.owner, order.tif, order.time_ns) == (bot.account, TimeInForce.IOC, None)
