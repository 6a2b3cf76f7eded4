"""A lender's loans: published when they breach, taken by whoever comes first, paid for to the last quantum."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.credit import Flow, LiquidationOutcome
from lobsim.sim.feed import Feed
from lobsim.sim.gateway import Feeds, LenderGateway
from lobsim.sim.latency import ConstantLatency
from tests.venue.builders import ALT, LOAN_TERMS, SELL, USDT, Desk


class Credit(Desk):
    """A desk with a lender; each loan pledges 1,000 ALT quanta at 1.00 (value 100,000)."""

    def __init__(self, *debts, **terms):
        super().__init__()
        self.lender = self.lend(*debts, **terms)
        self.loans = self.lender.loans
        self.published = []
        self.lender.publish = self.published.append

    def price(self, ticks):
        self.trade(ticks)
        self.lender.update()
        return self

    def check(self):
        self.lender.check()
        super().check()


def test_before_the_oracle_speaks_nothing_can_be_liquidated():
    credit = Credit(70_000)
    credit.lender.update()
    assert credit.lender.mark() is None
    assert credit.lender.liquidate(1, credit.crowd, 10**6) is None
    assert credit.lender.max_repay(1) == 0
    assert credit.published == []


def test_breached_loans_are_published_on_change_highest_liquidation_price_first():
    credit = Credit(50_000, 78_000, 70_000)
    for ticks in (100, 86, 85, 77, 70, 100, 100):
        credit.price(ticks)
    assert credit.published == [(2,), (2, 3), ()]


def test_exactly_the_liquidation_ltv_is_breached():
    credit = Credit(72_800)  # 72,800 / 0.91 = 80,000
    assert credit.price(81).published == []
    assert credit.price(80).published == [(1,)]


def test_the_first_takes_the_collateral_with_the_bonus_and_the_late_gets_nothing():
    credit = Credit(70_000)
    first, late = credit.spot("first", usdt=10**6), credit.spot("late", usdt=10**6)
    credit.price(76)
    result = credit.lender.liquidate(1, first, 10**6)
    seized = 70_000 * 102 // 76 // 100
    assert (result.repaid, result.seized) == (70_000, seized) == (70_000, 939)
    assert credit.lender.liquidate(1, late, 10**6).outcome == LiquidationOutcome.GONE
    assert (credit.usdt(late), credit.alt(late)) == (10**6, 0)
    assert (credit.usdt(first), credit.alt(first)) == (10**6 - 70_000, 939)
    borrower = credit.ledger.account("lender.borrower-1")
    assert credit.alt(borrower) == 1_000 - 939
    assert [(row[1], row[2], row[3], *row[5:]) for row in credit.log.credits] == [
        ("loan_liquidation", borrower, first, 939, 70_000, 1)
    ]
    credit.check()


def test_a_price_that_recovers_makes_the_loan_safe_again():
    credit = Credit(70_000)
    bot = credit.spot("bot", usdt=10**6)
    credit.price(76).price(90)
    assert credit.lender.liquidate(1, bot, 10**6).outcome == LiquidationOutcome.SAFE
    assert credit.published == [(1,), ()]


def test_who_cannot_pay_gets_nothing():
    credit = Credit(70_000)
    poor = credit.spot("poor", usdt=69_999)
    credit.price(76)
    assert credit.lender.liquidate(1, poor, 10**6).outcome == LiquidationOutcome.UNFUNDED
    assert (credit.usdt(poor), credit.alt(poor)) == (69_999, 0)


@pytest.mark.parametrize("insurance", [0, 5_000, 10**6])
def test_collateral_that_does_not_cover_leaves_bad_debt(insurance):
    credit = Credit(70_000, insurance=insurance)
    bot = credit.spot("bot", usdt=10**6)
    credit.price(50)
    result = credit.lender.liquidate(1, bot, 10**6)
    paid = 50_000 * 100 // 102
    assert (result.repaid, result.seized, result.bad_debt) == (paid, 1_000, 70_000 - paid)
    assert result.insured == min(insurance, 70_000 - paid)
    assert [row[1] for row in credit.log.credits] == ["loan_liquidation", "loan_bad_debt"]
    assert credit.log.credits[1][5] == 70_000 - paid
    assert credit.ledger.moved(USDT, Flow.BAD_DEBT) == 70_000 - paid - result.insured
    assert 1 not in credit.loans
    credit.check()


@given(
    debts=st.lists(st.integers(20_000, 78_000), min_size=1, max_size=6),
    prices=st.lists(st.integers(5, 100), min_size=1, max_size=4),
    offers=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 1), st.integers(0, 90_000)), max_size=12),
    insurance=st.sampled_from([0, 10_000]),
    close_factor=st.sampled_from([500_000, 1_000_000]),
)
def test_collateral_and_money_are_conserved_in_any_race(debts, prices, offers, insurance, close_factor):
    credit = Credit(*debts, insurance=insurance, terms=LOAN_TERMS._replace(close_factor_ppm=close_factor))
    bots = [credit.spot("rich", usdt=10**7), credit.spot("poor", usdt=50_000)]
    collateral = credit.ledger.issued(ALT)
    seized = repaid = 0
    for number, ticks in enumerate(prices):
        credit.price(ticks)
        for loan_id, who, wish in offers[number :: len(prices)]:
            if loan_id > len(debts):
                continue
            allowed = credit.lender.max_repay(loan_id)
            result = credit.lender.liquidate(loan_id, bots[who], wish)
            assert result.repaid <= min(wish, allowed)
            assert result.repaid * 102 < (result.seized + 1) * ticks * 100  # one ALT quantum is worth `ticks`
            assert result.seized * ticks * 100 < (result.repaid + 1) * 102
            seized += result.seized
            repaid += result.repaid
        credit.check()
    assert sum(credit.alt(bot) for bot in bots) == seized
    assert sum(credit.usdt(bot) for bot in bots) == 10**7 + 50_000 - repaid
    pledged = credit.alt(credit.loans.custody)
    borrowers = sum(credit.alt(credit.ledger.account(f"lender.borrower-{number + 1}")) for number in range(len(debts)))
    assert seized + pledged + borrowers == collateral == 1_000 * len(debts)
    assert pledged == credit.loans.total_collateral


def test_bots_race_through_their_gateways_and_learn_late_that_they_lost():
    credit = Credit(70_000)
    feeds = Feeds()
    feed = feeds.breached["lender"] = Feed()
    credit.lender.publish = lambda breached: feed.publish(credit.clock.now, breached)
    results = []
    bots = {}
    for name, delay in (("far", 300), ("near", 200)):  # the far one is built first and sends first
        account = credit.spot(name, usdt=10**6)
        latency = ConstantLatency(delay)
        gateway = LenderGateway(credit.clock, credit.lender, feeds, name, account, latency, latency)
        gateway.on_result = lambda *result, name=name: results.append((credit.clock.now, name, *result))
        bots[name] = gateway
    credit.at(1_000).price(76)
    credit.at(1_199)
    assert [bot.breached() for bot in bots.values()] == [(), ()]
    credit.at(1_300)
    assert [bot.breached() for bot in bots.values()] == [(1,), (1,)]
    for bot in bots.values():
        bot.liquidate(1, 10**6)
    credit.at(2_000)
    assert results == [(1_700, "near", 1, 70_000, 939), (1_900, "far", 1, 0, 0)]
    credit.check()


def test_an_offer_is_judged_by_the_price_at_its_arrival():
    credit = Credit(70_000)
    feeds = Feeds()
    feeds.breached["lender"] = Feed()
    bot = LenderGateway(
        credit.clock,
        credit.lender,
        feeds,
        "bot",
        credit.spot("bot", usdt=10**6),
        ConstantLatency(100),
        ConstantLatency(0),
    )
    results = []
    bot.on_result = lambda *result: results.append(result)
    credit.at(10).price(76)
    bot.liquidate(1, 10**6)
    credit.at(50).price(95)
    credit.at(200)
    assert results == [(1, 0, 0)]
    assert credit.order(credit.crowd, SELL, 1, 500) in credit.book
