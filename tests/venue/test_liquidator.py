"""Account liquidation at the exchange: at the level and not above, in slices, until it is safe or nothing is left."""

import pytest

from lobsim.credit import Flow, SalePolicy
from lobsim.events import EventKind, Purpose, Reason
from lobsim.units import NS_PER_S
from tests.venue.builders import ALT, BASE, BUY, SELL, USDT, Desk, Session

SLICES = SalePolicy("slices", 200_000, 5 * NS_PER_S, 1_500_000)


def sold(desk):
    """(lots, price) of what liquidations sold, in order."""
    return [(e[6], e[5]) for e in desk.log.of(EventKind.TRADE) if e[7] == Purpose.ACCOUNT_LIQUIDATION]


def owing(desk, debt, alt=10_000):
    """1,000 lots of ALT and a debt; at 1.00 (100 ticks) equity is 800,000 - debt, maintenance debt / 10."""
    account = desk.unified("maker", alt=alt, debt=debt)
    desk.trade(100)
    return account


def test_the_level_itself_is_liquidated_and_one_quantum_less_of_debt_is_not():
    # equity 800,000 - d <= 1.05 * d / 10 from d = 723,982 on (723,981.9...)
    for debt, taken in ((723_981, False), (723_982, True)):
        desk = Desk(policy=SLICES)
        account = owing(desk, debt)
        desk.mark()
        assert desk.exchange.liquidator.has_taken(account) == taken


def test_its_orders_are_cancelled_and_new_ones_refused_while_it_is_sold():
    desk = Desk(policy=SLICES)
    account = owing(desk, 730_000)
    session = Session(account)
    desk.exchange.connect(session)
    for price in (90, 80):
        desk.order(account, BUY, 5, price)
    desk.order(desk.crowd, BUY, 10_000, 70)
    desk.mark()
    assert [event[7] for event in desk.log.of(EventKind.CANCELED)] == [Reason.MASS_CANCEL] * 2
    desk.order(account, BUY, 1, 90)
    assert desk.reasons() == [Reason.MARGIN_TOO_LOW]
    assert {event[0] for event in session.reports} == {EventKind.TRADE, EventKind.REJECTED}


def test_slices_of_what_it_held_at_the_start_every_pause_until_the_target():
    desk = Desk(policy=SLICES._replace(target_ppm=3_000_000))
    account = owing(desk, 726_000)
    desk.order(desk.crowd, BUY, 10_000, 100)
    desk.mark()  # afterwards 800 lots and 526,000 owed: equity 640,000 - 526,000, maintenance 52,600
    assert sold(desk) == [(200, 100)]
    desk.at(5 * NS_PER_S - 1)
    assert len(sold(desk)) == 1
    desk.at(NS_PER_S * 5)
    # 600 lots left and 326,000 owed: equity 480,000 - 326,000, maintenance 32,600
    assert sold(desk) == [(200, 100)] * 2
    desk.at(NS_PER_S * 60)
    assert sold(desk) == [(200, 100)] * 2
    assert not desk.exchange.liquidator.has_taken(account)
    assert desk.log.credit_kinds() == [
        "account_liquidation_started",
        "account_liquidation_sale",
        "account_liquidation_sale",
        "account_liquidation_ended",
    ]
    assert desk.order(account, BUY, 1, 50) in desk.book
    desk.check()


def test_it_stops_as_soon_as_the_level_is_there():
    desk = Desk(policy=SLICES)
    account = owing(desk, 730_000)
    desk.order(desk.crowd, BUY, 10_000, 100)
    desk.mark()
    desk.trade(300)  # the price jumps up again
    desk.mark()
    desk.at(NS_PER_S * 60)
    assert sold(desk) == [(200, 100)]
    assert not desk.exchange.liquidator.has_taken(account)


def test_a_marks_worth_of_bids_is_enough_and_the_rest_waits_for_the_next_step():
    desk = Desk(policy=SLICES)
    account = owing(desk, 730_000)
    desk.order(desk.crowd, BUY, 70, 60)
    desk.mark()
    assert sold(desk) == [(70, 60)]
    assert desk.alt(account) == 9_300
    amounts = [row[5:7] for row in desk.log.credits if row[1] == "account_liquidation_sale"]
    assert amounts == [(700, 70 * 60 * 10)]  # what traded, not what was sent
    desk.at(NS_PER_S * 5 - 1).order(desk.crowd, BUY, 500, 50)
    desk.at(NS_PER_S * 5)
    assert sold(desk) == [(70, 60), (200, 50)]


@pytest.mark.parametrize("pause_ns", [0, 5 * NS_PER_S])
def test_an_empty_bid_side_sells_nothing_and_is_tried_again(pause_ns):
    desk = Desk(policy=SalePolicy("all", 1_000_000, pause_ns), insurance=10**9)
    account = owing(desk, 730_000)
    desk.mark()
    desk.at(10 * NS_PER_S)
    assert sold(desk) == []
    assert desk.alt(account) == 10_000
    assert desk.exchange.liquidator.has_taken(account)
    cancels = [event[7] for event in desk.log.of(EventKind.CANCELED)]
    assert set(cancels) == {Reason.NO_LIQUIDITY}
    assert len(cancels) <= 12  # and not for ever in one nanosecond
    desk.order(desk.crowd, BUY, 1_000, 74)
    desk.at(20 * NS_PER_S)
    assert sold(desk) == [(1_000, 74)]
    desk.check()


def test_slices_without_a_pause_are_sent_at_once():
    desk = Desk(policy=SalePolicy("fast", 300_000, 0, 10_000_000))
    owing(desk, 730_000)
    desk.order(desk.crowd, BUY, 10_000, 70)
    desk.mark()
    desk.at(0)
    assert sold(desk) == [(300, 70)] * 3 + [(100, 70)]


def test_a_slice_below_one_lot_is_one_lot_while_there_is_one():
    desk = Desk(policy=SalePolicy("thin", 10_000, NS_PER_S))
    account = owing(desk, 7_650, alt=105)  # ten and a half lots
    desk.order(desk.crowd, BUY, 100, 60)
    desk.mark()
    assert sold(desk) == [(1, 60)]
    desk.at(30 * NS_PER_S)
    assert sold(desk) == [(1, 60)] * 10
    assert desk.alt(account) == 0  # half a lot went to the fund
    assert desk.ledger.moved(ALT, Flow.SEIZE) == 5
    assert "account_bankrupt" in desk.log.credit_kinds()
    desk.check()


@pytest.mark.parametrize(
    ("insurance", "kinds"), [(10**9, ["insurance_paid"]), (70_000, ["insurance_paid", "bad_debt"]), (0, ["bad_debt"])]
)
def test_what_the_sale_does_not_cover_comes_from_the_fund_and_then_from_the_pool(insurance, kinds):
    desk = Desk(policy=SalePolicy("all", 1_000_000, NS_PER_S), insurance=insurance)
    account = owing(desk, 730_000)
    desk.order(desk.crowd, BUY, 1_000, 50)
    desk.mark()
    desk.at(NS_PER_S)
    short = 730_000 - 1_000 * 50 * 10
    paid = min(short, insurance)
    noted = [row[1] for row in desk.log.credits if row[1] in {"insurance_paid", "bad_debt"}]
    assert noted == kinds
    assert desk.usdt(desk.fund) == insurance - paid
    assert desk.ledger.moved(USDT, Flow.INSURANCE) == paid
    assert desk.ledger.moved(USDT, Flow.BAD_DEBT) == short - paid
    assert desk.margin.liability(account, USDT) == desk.usdt(account) == desk.alt(account) == 0
    desk.check()


def test_a_sold_out_account_stays_closed():
    desk = Desk(policy=SalePolicy("all", 1_000_000, NS_PER_S), insurance=10**9)
    account = owing(desk, 730_000)
    desk.order(desk.crowd, BUY, 1_000, 50)
    desk.mark()
    desk.at(NS_PER_S)
    for _ in range(2):
        desk.mark()
        desk.order(account, BUY, 1, 10)
    assert desk.reasons() == [Reason.MARGIN_TOO_LOW] * 2
    assert desk.log.credit_kinds().count("account_bankrupt") == 1


def test_a_short_account_buys_back():
    desk = Desk(policy=SalePolicy("all", 1_000_000, NS_PER_S), insurance=10**9)
    account = desk.unified("short", usdt=100_000)
    desk.order(desk.crowd, BUY, 100, 50)
    desk.order(account, SELL, 100, 50)
    assert desk.margin.liability(account, ALT) == 1_000
    desk.order(desk.crowd, SELL, 500, 140)
    desk.trade(138)
    desk.mark()
    desk.at(NS_PER_S)
    assert sold(desk) == [(100, 140)]
    assert desk.margin.net(account, ALT) == 0
    assert desk.usdt(account) == 100_000 + 100 * 50 * 10 - 100 * 140 * 10
    desk.check()


def test_no_policy_means_that_the_exchange_only_bars():
    desk = Desk(policy=None)
    account = owing(desk, 790_000)
    resting = desk.order(account, SELL, 1, 500)
    desk.order(desk.crowd, BUY, 1_000, 50)
    desk.mark()
    desk.at(60 * NS_PER_S)
    assert resting in desk.book
    assert sold(desk) == []
    desk.order(account, BUY, 1, 10)
    assert desk.reasons() == [Reason.MARGIN_TOO_LOW]


def test_two_accounts_are_sold_side_by_side_each_once_per_pause():
    desk = Desk(policy=SalePolicy("slices", 100_000, NS_PER_S, 10_000_000))
    names = [desk.unified(f"maker-{number}", alt=10_000, debt=730_000) for number in range(2)]
    desk.trade(100)
    desk.order(desk.crowd, BUY, 10**6, 100)
    desk.mark()
    desk.at(5 * NS_PER_S)
    assert [desk.alt(account) for account in names] == [10_000 - 6 * 100 * BASE] * 2
    desk.check()
