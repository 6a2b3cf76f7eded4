"""Spot accounts: an order is covered when it comes in, and what was held for it comes back to the last quantum."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lobsim.events import EventKind, Reason, SelfTrade, TimeInForce
from tests.venue.builders import ALT, BASE, BUY, IOC, SELL, TICK_LOT, USDT, Desk


def test_a_limit_buy_holds_its_limit_price_and_gives_back_what_it_saved():
    desk = Desk()
    buyer = desk.spot("buyer", usdt=1_000)
    desk.order(desk.crowd, SELL, 4, 10)
    desk.order(buyer, BUY, 5, 15)
    assert desk.usdt(buyer) == 1_000 - 4 * 10 * TICK_LOT
    assert desk.held(buyer) == (15 * TICK_LOT, 0)


def test_a_partly_filled_sell_holds_the_rest_until_it_is_cancelled():
    desk = Desk()
    seller = desk.spot("seller", alt=100)
    order_id = desk.order(seller, SELL, 10, 20)
    desk.order(desk.crowd, BUY, 4, 20)
    assert desk.held(seller) == (0, 60)
    desk.cancel(seller, order_id)
    assert desk.held(seller) == (0, 0)
    assert not desk.exchange._held


class Session:
    """Hears what is reported of an account's orders."""

    def __init__(self, account_id):
        self.account_id = account_id
        self.heard = []

    def report(self, _instrument_id, events):
        self.heard += [(event[0], event[2]) for event in events]


def test_a_spot_account_hears_of_its_cancels_since_they_free_money():
    desk = Desk()
    seller = desk.spot("seller", alt=100)
    session = Session(seller)
    desk.exchange.connect(session)
    order_id = desk.order(seller, SELL, 10, 20)
    assert session.heard == []
    desk.cancel(seller, order_id)
    assert session.heard == [(EventKind.CANCELED, order_id)]
    assert desk.held(seller) == (0, 0)


def test_what_is_not_there_is_refused_and_changes_nothing():
    desk = Desk()
    account = desk.spot("account", usdt=999, alt=19)
    desk.order(desk.crowd, SELL, 50, 10)
    desk.order(account, BUY, 10, 10)
    desk.order(account, SELL, 2, 10)
    desk.order(account, SELL, 2)
    desk.order(account, BUY, 10)
    assert desk.reasons() == [Reason.INSUFFICIENT_FUNDS] * 4
    assert (desk.usdt(account), desk.alt(account), desk.held(account)) == (999, 19, (0, 0))


def test_a_market_buy_must_be_covered_with_its_fee():
    desk = Desk(taker_ppm=100_000)
    desk.order(desk.crowd, SELL, 1, 10)
    desk.order(desk.crowd, SELL, 5, 20)
    short, enough = desk.spot("short", usdt=329), desk.spot("enough", usdt=330)
    desk.order(short, BUY, 2)
    assert desk.reasons() == [Reason.INSUFFICIENT_FUNDS]
    desk.order(enough, BUY, 2)
    assert (desk.usdt(enough), desk.alt(enough), desk.usdt(desk.fees)) == (0, 20, 30)
    desk.check()


@pytest.mark.parametrize("bad", [{"qty": 0}, {"qty": -3}, {"price": 0}, {"price": -1}])
def test_nonsense_is_left_to_the_book(bad):
    desk = Desk()
    account = desk.spot("account", usdt=1_000, alt=100)
    for side in (BUY, SELL):
        desk.order(account, side, bad.get("qty", 1), bad.get("price", 5))
    assert set(desk.reasons()) <= {Reason.BAD_QTY, Reason.BAD_PRICE}
    assert desk.held(account) == (0, 0)


def test_a_duplicate_id_does_not_free_what_the_live_order_needs():
    desk = Desk()
    account = desk.spot("account", usdt=1_000)
    desk.order(account, BUY, 5, 10, order_id=7)
    desk.order(account, BUY, 3, 10, order_id=7)
    assert desk.reasons() == [Reason.DUPLICATE_ID]
    assert desk.held(account) == (500, 0)
    desk.exchange.bar(account, Reason.HALTED)
    desk.order(account, BUY, 3, 10, order_id=7)
    assert desk.held(account) == (500, 0)
    desk.order(desk.crowd, SELL, 5, 10)
    assert desk.held(account) == (0, 0)
    desk.check()


def test_an_id_may_be_used_again_when_its_order_is_done():
    desk = Desk()
    spot, unified = desk.spot("spot", usdt=1_000), desk.unified("unified", usdt=10_000)
    desk.order(spot, BUY, 1, 10, order_id=7)
    desk.order(desk.crowd, SELL, 1, 10)
    desk.order(unified, BUY, 1, 10, order_id=7)
    desk.order(desk.crowd, SELL, 1, 10)
    assert (desk.alt(spot), desk.alt(unified), desk.held(spot)) == (BASE, BASE, (0, 0))
    desk.check()


def test_a_replace_moves_the_hold_or_is_refused_and_leaves_everything():
    desk = Desk()
    account = desk.spot("account", usdt=1_000)
    order_id = desk.order(account, BUY, 5, 10)
    desk.replace(account, order_id, 6, 16)
    assert desk.held(account) == (960, 0)
    desk.replace(account, order_id, 7, 16)
    assert desk.reasons() == [Reason.INSUFFICIENT_FUNDS]
    assert desk.held(account) == (960, 0)
    for price in (0, -5, None):
        desk.replace(account, order_id, 5, price)
    assert desk.reasons()[1:] == [Reason.BAD_PRICE] * 3
    assert desk.held(account) == (960, 0)
    desk.replace(account, order_id, 2, 3)
    assert desk.held(account) == (60, 0)


def test_a_refused_post_only_replace_restores_the_hold():
    desk = Desk()
    account = desk.spot("account", usdt=1_000)
    order_id = desk.order(account, BUY, 5, 10, post_only=True)
    desk.order(desk.crowd, SELL, 5, 12)
    desk.replace(account, order_id, 6, 12)
    assert desk.reasons() == [Reason.POST_ONLY_CROSSES]
    assert desk.held(account) == (500, 0)
    desk.cancel(account, order_id)
    assert desk.held(account) == (0, 0)


def test_a_market_buy_past_own_offers_is_covered_at_the_dearer_ones_it_will_meet():
    """With CANCEL_OLDEST the own offer goes and the next one, dearer, is hit: the money must be there for that."""
    desk = Desk()
    account = desk.spot("account", usdt=150, alt=10)
    desk.order(account, SELL, 1, 10)
    desk.order(desk.crowd, SELL, 1, 90)
    desk.order(account, BUY, 1, self_trade=SelfTrade.CANCEL_OLDEST)
    assert desk.reasons() == [Reason.INSUFFICIENT_FUNDS]
    desk.check()


def test_a_market_stop_buy_is_refused_since_its_cost_has_no_bound():
    desk = Desk()
    account = desk.spot("account", usdt=10**9)
    desk.order(account, BUY, 1, trigger_price=20)
    assert desk.reasons() == [Reason.INSUFFICIENT_FUNDS]
    stop = desk.order(account, BUY, 2, 30, trigger_price=20)
    assert desk.held(account) == (600, 0)
    desk.cancel(account, stop)
    assert desk.held(account) == (0, 0)


ACCOUNTS = st.integers(0, 2)
PRICES = st.integers(1, 12)
LOTS = st.integers(1, 8)


class SpotMachine(RuleBasedStateMachine):
    """Two spot accounts and a rich margin account trade; money is accounted for by hand from the events alone."""

    def __init__(self):
        super().__init__()
        self.live = {}

    @initialize(maker_ppm=st.sampled_from([0, 50_000]), taker_ppm=st.sampled_from([0, 100_000]))
    def open(self, maker_ppm, taker_ppm):
        self.desk = Desk(maker_ppm=maker_ppm, taker_ppm=taker_ppm)
        self.ppm = (maker_ppm, taker_ppm)
        self.accounts = [
            self.desk.spot("one", usdt=2_000, alt=200),
            self.desk.spot("two", usdt=777, alt=55),
            self.desk.unified("rich", usdt=10**6, alt=10**5),
        ]
        self.money = {a: [self.desk.usdt(a), self.desk.alt(a)] for a in self.accounts}
        self.spot = set(self.accounts[:2])
        self.read = 0
        self.ids = []

    def follow(self):
        """Account for the events that are new, naively: one trade after the other, fees only where money is left."""
        events = self.desk.log.seen[self.read :]
        self.read = len(self.desk.log.seen)
        for event in events:
            kind, _, order_id, owner, side, price, qty = event[:7]
            if kind == EventKind.ACCEPTED:
                self.live[order_id] = [owner, side, price, qty]
            elif kind == EventKind.TRADE:
                taker_id, taker = event[8:]
                buyer, seller = (owner, taker) if side == SELL else (taker, owner)
                notional = price * qty * TICK_LOT
                self.money[buyer][0] -= notional
                self.money[seller][0] += notional
                self.money[buyer][1] += qty * BASE
                self.money[seller][1] -= qty * BASE
                for name in (order_id, taker_id):
                    self.live[name][3] -= qty
                for account, ppm in zip((owner, taker), self.ppm, strict=True):
                    fee = notional * ppm // 1_000_000
                    if account in self.spot:
                        fee = min(fee, self.money[account][0] - self.need(account)[0])
                    self.money[account][0] -= fee
            elif kind == EventKind.DECREMENTED:
                for name in (order_id, event[8]):
                    self.live[name][3] -= qty
            elif kind == EventKind.CANCELED:
                self.live[order_id][3] = 0
            elif kind == EventKind.REPLACED:
                self.live[order_id][2:] = [price, qty]

    def need(self, account):
        """What the open orders of a spot account need: quote for buys, base for sells; nothing for a market buy."""
        usdt = alt = 0
        for owner, side, price, qty in self.live.values():
            if owner == account and side == SELL:
                alt += qty * BASE
            elif owner == account and price is not None:
                usdt += qty * price * TICK_LOT
        return usdt, alt

    @rule(
        who=ACCOUNTS,
        side=st.sampled_from([BUY, SELL]),
        qty=LOTS,
        price=st.none() | PRICES,
        tif=st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, IOC, TimeInForce.FOK]),
        self_trade=st.sampled_from(SelfTrade),
        display=st.booleans(),
    )
    def submit(self, who, side, qty, price, tif, self_trade, display):
        shown = max(1, qty // 2) if display and price and tif == TimeInForce.GTC else 0
        order_id = self.desk.order(self.accounts[who], side, qty, price, tif, self_trade=self_trade, display_qty=shown)
        self.ids.append((self.accounts[who], order_id))
        self.follow()

    @rule(data=st.data(), qty=LOTS, price=PRICES)
    def replace(self, data, qty, price):
        if self.ids:
            account, order_id = data.draw(st.sampled_from(self.ids[-8:]))
            self.desk.replace(account, order_id, qty, price)
            self.follow()

    @rule(data=st.data(), again=st.booleans())
    def cancel(self, data, again):
        if self.ids:
            account, order_id = data.draw(st.sampled_from(self.ids[-8:]))
            if again:
                self.desk.order(account, BUY, 1, 1, order_id=order_id)  # live: a duplicate; done: legal
            else:
                self.desk.cancel(account, order_id)
            self.follow()

    @rule(who=ACCOUNTS)
    def cancel_all(self, who):
        self.desk.cancel_all(self.accounts[who])
        self.follow()

    @invariant()
    def money_agrees(self):
        if not hasattr(self, "desk"):
            return
        desk = self.desk
        for account in self.accounts:
            held = desk.held(account)
            if account in self.spot:
                assert (desk.usdt(account), desk.alt(account)) == tuple(self.money[account])
                assert held == self.need(account)
                assert held[0] <= desk.usdt(account)
                assert held[1] <= desk.alt(account)
            else:
                net = [desk.margin.net(account, USDT), desk.margin.net(account, ALT)]
                assert net == self.money[account]
                assert held == (0, 0)
        open_ids = {order_id for order_id, order in self.live.items() if order[3] and order[0] in self.spot}
        assert set(desk.exchange._held) == open_ids
        desk.check()


SpotMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestSpotMachine = SpotMachine.TestCase
