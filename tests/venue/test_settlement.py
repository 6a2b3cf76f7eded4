"""check -> match -> settle -> publish: who gets what for a trade, what it costs, and who hears of it."""

from decimal import Decimal

import pytest

from lobsim.credit import Ledger
from lobsim.errors import GridError
from lobsim.events import Advance, CancelAll, EventKind, Reason, ReplaceOrder, SelfTrade, SubmitOrder, TimeInForce
from lobsim.venue.market import LastPriceMark, Market
from tests.venue.builders import ALT, BASE, BUY, IOC, SELL, TICK_LOT, USDT, Desk, Session


def test_a_trade_moves_exact_quanta_both_ways():
    desk = Desk()
    seller, buyer = desk.spot("seller", alt=100), desk.spot("buyer", usdt=10_000)
    desk.order(seller, SELL, 7, 20)
    desk.order(buyer, BUY, 5, 25)
    assert (desk.usdt(seller), desk.alt(seller)) == (5 * 20 * TICK_LOT, 100 - 5 * BASE)
    assert (desk.usdt(buyer), desk.alt(buyer)) == (10_000 - 5 * 20 * TICK_LOT, 5 * BASE)
    desk.check()


def test_both_sides_pay_their_fee_rounded_down_in_quote():
    desk = Desk(maker_ppm=100, taker_ppm=999)
    maker, taker = desk.spot("maker", usdt=10_000), desk.spot("taker", alt=100)
    desk.order(maker, BUY, 3, 33)
    desk.order(taker, SELL, 3)
    notional = 3 * 33 * TICK_LOT
    assert notional == 990
    assert desk.usdt(maker) == 10_000 - notional - 0  # 0.099 of a quantum
    assert desk.usdt(taker) == notional - 0
    desk.order(maker, BUY, 3, 200)
    desk.order(taker, SELL, 3)
    notional = 3 * 200 * TICK_LOT
    assert desk.usdt(desk.fees) == notional * 100 // 1_000_000 + notional * 999 // 1_000_000 == 0 + 5
    desk.check()


def test_fees_on_a_sweep_are_taken_per_fill():
    desk = Desk(taker_ppm=500_000)  # half of everything, to see the rounding
    buyer = desk.spot("buyer", usdt=1_000)
    for price in (1, 3):
        desk.order(desk.crowd, SELL, 1, price)
    desk.order(buyer, BUY, 2, 3)
    assert desk.usdt(desk.fees) == 5 + 15
    assert desk.usdt(buyer) == 1_000 - 40 - 20


def test_a_spot_account_pays_what_it_has_and_never_owes_a_fee():
    desk = Desk(taker_ppm=100_000)
    buyer = desk.spot("buyer", usdt=100)
    desk.order(desk.crowd, SELL, 1, 10)
    desk.order(buyer, BUY, 1, 10)
    assert (desk.usdt(buyer), desk.alt(buyer), desk.usdt(desk.fees)) == (0, BASE, 0)
    desk.check()


def test_a_margin_account_borrows_its_fee():
    desk = Desk(taker_ppm=100_000)
    seller = desk.unified("seller", alt=100)
    buyer = desk.unified("buyer", alt=1_000)
    desk.order(seller, SELL, 1, 10)
    desk.order(buyer, BUY, 1, 10)
    assert desk.margin.liability(buyer, USDT) == 100 + 10
    assert desk.usdt(desk.fees) == 10
    desk.check()


def test_a_self_trade_that_is_allowed_moves_nothing_but_fees():
    desk = Desk(taker_ppm=100_000)
    crowd = desk.crowd
    desk.order(crowd, SELL, 4, 10, self_trade=SelfTrade.ALLOW)
    desk.order(crowd, BUY, 4, 10, self_trade=SelfTrade.ALLOW)
    assert (desk.usdt(crowd), desk.alt(crowd)) == (-40, 0)
    desk.check()


def test_a_tape_moves_nobodys_money_among_itself_but_the_outsides_against_agents():
    desk = Desk(first_order_id=1 << 62)
    agent = desk.spot("agent", usdt=1_000, alt=100)
    tape = [SubmitOrder(1, SELL, 5, 10), SubmitOrder(2, BUY, 2, 10, tif=IOC)]
    desk.exchange.handle(0, 0, tape)
    assert len(desk.log.of(EventKind.TRADE)) == 1
    assert [desk.usdt(account) for account in (desk.outside, agent)] == [0, 1_000]
    desk.order(agent, BUY, 3, 10)
    assert (desk.usdt(desk.outside), desk.alt(desk.outside)) == (300, -30)
    desk.order(agent, SELL, 4, 12)
    desk.exchange.handle(0, 0, [SubmitOrder(3, BUY, 4, 12, tif=IOC)])
    assert (desk.usdt(desk.outside), desk.alt(desk.outside)) == (300 - 480, -30 + 40)
    assert (desk.usdt(agent), desk.alt(agent)) == (1_000 - 300 + 480, 100 + 30 - 40)
    desk.check()


def test_own_order_ids_leave_room_for_a_tapes():
    desk = Desk(first_order_id=1 << 62)
    assert desk.exchange.next_order_id() == 1 << 62


def test_reports_go_to_both_sides_once_and_plain_acceptances_to_nobody():
    desk = Desk()
    maker, taker = desk.spot("maker", alt=100), desk.spot("taker", usdt=10_000)
    one, two = Session(maker), Session(taker)
    desk.exchange.connect(one)
    desk.exchange.connect(two)
    desk.order(maker, SELL, 5, 10)
    assert one.reports == []
    desk.order(taker, BUY, 8, 10, IOC)
    assert [event[0] for event in one.reports] == [EventKind.TRADE]
    assert [event[0] for event in two.reports] == [EventKind.TRADE, EventKind.CANCELED]


def test_who_trades_with_itself_hears_of_it_once():
    desk = Desk()
    session = Session(desk.crowd)
    desk.exchange.connect(session)
    desk.trade(10)
    assert [event[0] for event in session.reports] == [EventKind.TRADE]


def test_nobody_is_told_of_other_peoples_orders():
    desk = Desk()
    watcher = Session(desk.spot("watcher"))
    desk.exchange.connect(watcher)
    desk.order(desk.crowd, SELL, 5, 10)
    desk.order(desk.spot("other", usdt=10_000), BUY, 5, 10)
    assert watcher.reports == []


def test_an_expired_order_is_reported_and_its_hold_released_by_whoever_comes_next():
    desk = Desk()
    buyer = desk.spot("buyer", usdt=1_000)
    session = Session(buyer)
    desk.exchange.connect(session)
    desk.order(buyer, BUY, 5, 10, TimeInForce.GTD, expire_ns=50)
    assert desk.held(buyer) == (500, 0)
    desk.at(60).order(desk.crowd, SELL, 1, 99)
    assert desk.held(buyer) == (0, 0)
    assert [(event[1], event[7]) for event in session.reports] == [(50, Reason.EXPIRED)]
    desk.order(buyer, BUY, 5, 10, TimeInForce.GTD, expire_ns=70)
    desk.exchange.handle(0, 0, [Advance(70)])  # as a tape does
    assert desk.held(buyer) == (0, 0)


def test_the_background_road_releases_holds_too():
    desk = Desk()
    buyer = desk.spot("buyer", usdt=1_000)
    desk.order(buyer, BUY, 5, 10, TimeInForce.GTD, expire_ns=50)
    desk.order(buyer, BUY, 2, 9)
    desk.at(60).exchange.submit(desk.market, desk.crowd, SELL, 1, None, 0, IOC)
    assert (desk.held(buyer), desk.alt(buyer)) == ((90, 0), BASE)
    desk.check()


def test_a_market_keeps_grids_in_whole_quanta_or_is_refused():
    ledger = Ledger()
    ledger.add_asset("USDT", "0.01")
    ledger.add_asset("ALT", "1")
    with pytest.raises(GridError, match=r"tick x lot 0.001 is not a whole number of USDT quanta"):
        Market(0, "ALT-USDT", "ALT", "USDT", Decimal("0.001"), Decimal(1), ledger, LastPriceMark())
    with pytest.raises(GridError, match=r"lot 0.5 is not a whole number of ALT quanta"):
        Market(0, "ALT-USDT", "ALT", "USDT", Decimal("0.1"), Decimal("0.5"), ledger, LastPriceMark())


def test_quotes_are_recorded_when_they_change_and_only_then():
    desk = Desk()
    first = desk.order(desk.crowd, BUY, 5, 10)
    desk.order(desk.crowd, BUY, 5, 9)  # behind the best: no change
    desk.order(desk.crowd, SELL, 2, 11)
    desk.cancel(desk.crowd, first)
    assert desk.log.quotes == [
        (0, 0, 10, 5, None, 0),
        (0, 0, 10, 5, 11, 2),
        (0, 0, 9, 5, 11, 2),
    ]


def test_views_and_keyframes_say_what_the_book_says():
    desk = Desk()
    desk.order(desk.crowd, BUY, 5, 10)
    desk.exchange.publish_views()
    desk.exchange.keyframe()
    assert desk.views == [(0, (0, 10, 5, None, 0, None, None))]
    assert desk.log.keyframes == [(0, 0, [(10, 5)], [])]


@pytest.mark.parametrize("level", ["no-new-orders", "liquidation"])
def test_a_low_margin_level_bars_new_and_larger_orders_but_not_smaller_ones(level):
    """100 ALT at 1.00: equity 80 - debt, maintenance debt / 10."""
    desk = Desk(policy=None)
    debt = 72_000 if level == "no-new-orders" else 74_000
    account = desk.unified("maker", alt=1_000, debt=debt)
    resting = desk.order(account, SELL, 10, 200)
    desk.trade(100)
    desk.mark()
    before = len(desk.log.seen)
    desk.order(account, BUY, 1, 50)
    desk.replace(account, resting, 20, 200)
    desk.replace(account, resting, 10, 150)
    assert desk.reasons() == [Reason.MARGIN_TOO_LOW] * 3
    assert desk.book.order(resting).price == 200
    desk.replace(account, resting, 4, 200)
    assert desk.book.order(resting).qty == 4
    desk.replace(account, 10**9, 4, 200)
    assert desk.reasons()[-1] == Reason.UNKNOWN_ORDER
    desk.exchange.handle(account, 0, [CancelAll(account)])
    assert desk.book.order(resting) is None
    assert len(desk.log.seen) == before + 6


def test_a_better_level_lifts_the_bar():
    desk = Desk()
    account = desk.unified("maker", alt=1_000, debt=72_000)
    desk.trade(100)
    desk.mark()
    desk.trade(200)
    desk.mark()
    order_id = desk.order(account, BUY, 1, 50)
    assert order_id in desk.book


def test_margin_accounts_borrow_to_buy_and_to_sell_and_repay_from_proceeds():
    desk = Desk()
    account = desk.unified("maker", usdt=1_000)
    desk.order(desk.crowd, SELL, 10, 50)
    desk.order(account, BUY, 10, 50)
    assert (desk.margin.liability(account, USDT), desk.alt(account)) == (4_000, 100)
    desk.order(desk.crowd, BUY, 30, 60)
    desk.order(account, SELL, 30, 60)
    assert desk.margin.liability(account, USDT) == 0
    assert desk.usdt(account) == 18_000 - 4_000
    assert desk.margin.liability(account, ALT) == 200
    desk.order(desk.crowd, SELL, 20, 10)
    desk.order(account, BUY, 20, 10)
    assert desk.margin.liability(account, ALT) == 0
    desk.check()


def test_a_margin_view_is_recorded_and_published_at_each_mark():
    desk = Desk()
    account = desk.unified("maker", alt=1_000, debt=40_000)
    published = []
    desk.exchange.watch_account(account, published.append)
    desk.mark()
    assert published == []  # no mark yet, it cannot be valued
    desk.trade(100)
    desk.mark()
    view = published[0]
    assert (view.margin_level_ppm, view.in_liquidation, view.net) == (
        10_000_000,
        False,
        {"USDT": -40_000, "ALT": 1_000},
    )
    assert desk.log.states == [(0, account, 40_000, 4_000, 10_000_000, 1_666_666, 40_000, 80_000)]
    desk.exchange.mark(record=False)
    assert len(desk.log.states) == 1
    assert len(published) == 2


def test_an_instrument_that_never_traded_does_not_suspend_margin_checks_of_others():
    desk = Desk()
    desk.ledger.add_asset("NEW", "0.1")
    new = Market(1, "NEW-USDT", "NEW", "USDT", Decimal("0.01"), Decimal(1), desk.ledger, LastPriceMark())
    desk.exchange.add_market(new, lambda _time_ns, _view: None)
    account = desk.unified("maker", alt=1_000, debt=75_000)
    desk.order(desk.crowd, BUY, 1, 100)
    desk.trade(101)
    desk.mark()
    assert "account_liquidation_started" in desk.log.credit_kinds()
    assert desk.log.states[0][1] == account


def test_messages_are_counted_by_command():
    desk = Desk()
    desk.exchange.handle(desk.crowd, 0, [SubmitOrder(1, BUY, 1, 5, owner=desk.crowd), ReplaceOrder(1, 2, 6)])
    desk.exchange.submit(desk.market, desk.crowd, BUY, 1, 1, 0)
    assert desk.exchange.messages == 3
    assert desk.ledger.held(desk.crowd, USDT) == desk.ledger.held(desk.crowd, ALT) == 0
