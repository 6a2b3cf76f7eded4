"""Price bands and halts: what may not come in, how far a market order walks, and when trading stops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.credit import SalePolicy
from lobsim.errors import InputError
from lobsim.events import EventKind, Purpose, Reason, ReplaceOrder, SelfTrade, TimeInForce
from lobsim.units import NS_PER_S
from lobsim.venue.guards import CircuitBreaker, MarketGuard
from tests.venue.builders import BUY, IOC, SELL, Desk


class Guarded(Desk):
    def __init__(self, band_ppm=None, breaker=None, **options):
        super().__init__(**options)
        self.market.guard = MarketGuard(band_ppm, breaker)

    def marked(self, price):
        self.trade(price)
        self.mark()
        return self

    def crowd_order(self, side, qty, price=None, tif=IOC):
        return self.exchange.submit(self.market, self.crowd, side, qty, price, Purpose.NOISE, tif, SelfTrade.ALLOW)

    def fills(self):
        return [(event[5], event[6]) for event in self.log.of(EventKind.TRADE)]


def test_the_band_refuses_what_could_trade_beyond_it_and_nothing_else():
    desk = Guarded(100_000).marked(100)
    account = desk.unified("maker", usdt=10**6, alt=10**4)
    for side, price in ((BUY, 110), (SELL, 90), (BUY, 1), (SELL, 10_000)):
        desk.order(account, side, 1, price, tif=IOC)
    assert desk.reasons() == []
    for side, price in ((BUY, 111), (SELL, 89)):
        desk.order(account, side, 1, price)
        desk.crowd_order(side, 1, price)
    assert desk.reasons() == [Reason.PRICE_BAND] * 4
    desk.check()


def test_a_band_off_the_grid_is_the_last_tick_within():
    guard = MarketGuard(100_000)
    guard.update(Desk().book, 105, 0)
    assert (guard.low, guard.high) == (95, 115)  # 94.5 and 115.5


@pytest.mark.parametrize("send", ["session", "crowd"])
def test_a_market_order_walks_to_the_band_and_its_rest_is_cancelled(send):
    desk = Guarded(100_000).marked(100)
    for price in (95, 90, 89, 50):
        desk.crowd_order(BUY, 5, price, TimeInForce.GTC)
    before = len(desk.fills())
    if send == "crowd":
        desk.crowd_order(SELL, 100)
    else:
        desk.order(desk.unified("seller", alt=10**4), SELL, 100)
    assert desk.fills()[before:] == [(95, 5), (90, 5)]
    assert [(event[6], event[7]) for event in desk.log.of(EventKind.CANCELED)][-1] == (90, Reason.IOC_REST)
    assert desk.book.best_bid == 89
    desk.check()


def test_a_market_stop_walks_from_its_trigger_no_further_than_the_band_is_wide():
    desk = Guarded(100_000).marked(100)
    account = desk.unified("stopper", alt=10**4)
    desk.order(account, SELL, 10, trigger_price=80)
    for price in (80, 72, 71):
        desk.crowd_order(BUY, 3, price, TimeInForce.GTC)
    desk.market.guard = None
    desk.crowd_order(SELL, 1, 80)
    assert desk.fills()[-3:] == [(80, 1), (80, 2), (72, 3)]
    desk.check()


def test_the_band_follows_the_mark():
    desk = Guarded(100_000).marked(100)
    desk.crowd_order(BUY, 1, 90, TimeInForce.GTC)
    desk.crowd_order(SELL, 1)
    desk.crowd_order(SELL, 1, 81)
    desk.mark()
    desk.crowd_order(SELL, 1, 81)
    assert desk.reasons() == [Reason.PRICE_BAND]


def test_without_a_mark_there_is_no_band():
    desk = Guarded(100_000)
    desk.mark()
    desk.crowd_order(BUY, 1, 10**6)
    desk.crowd_order(SELL, 1)
    assert desk.reasons() == []


def test_a_replace_may_not_leave_the_band_but_may_shrink():
    desk = Guarded(100_000).marked(100)
    account = desk.unified("maker", usdt=10**6, alt=10**4)
    order_id = desk.order(account, SELL, 5, 100)
    desk.replace(account, order_id, 5, 89)
    desk.marked(100)
    desk.market.guard.halt(10)
    desk.replace(account, order_id, 5, 101)
    desk.replace(account, order_id, 3, 100)
    assert desk.reasons() == [Reason.PRICE_BAND, Reason.HALTED]
    assert desk.book.order(order_id).qty == 3
    desk.exchange.handle(account, 0, [ReplaceOrder(999, 1, 1)])
    assert desk.reasons()[-1] == Reason.UNKNOWN_ORDER


def test_a_fall_within_the_window_halts_and_cancels_are_still_taken():
    breaker = CircuitBreaker(100_000, 60 * NS_PER_S, 300 * NS_PER_S)
    desk = Guarded(breaker=breaker).marked(100)
    resting = desk.crowd_order(BUY, 1, 50, TimeInForce.GTC)
    desk.at(30 * NS_PER_S).marked(91)
    desk.crowd_order(BUY, 1, 40, TimeInForce.GTC)
    assert desk.reasons() == []
    desk.at(59 * NS_PER_S).marked(90)
    until = 359 * NS_PER_S
    assert desk.market.guard.halted_until_ns == until
    assert [row for row in desk.log.credits if row[1] == "trading_halted"] == [
        (59 * NS_PER_S, "trading_halted", 0, 0, "ALT", 300 * NS_PER_S, 0, 0)
    ]
    desk.crowd_order(SELL, 1)
    desk.order(desk.unified("maker", usdt=10**6), BUY, 1, 50)
    assert desk.reasons() == [Reason.HALTED] * 2
    desk.cancel(desk.crowd, resting)
    assert resting not in desk.book
    desk.at(until)
    desk.crowd_order(SELL, 1, 40)
    assert desk.reasons() == [Reason.HALTED] * 2
    desk.mark()  # what fell before the halt is forgotten
    assert not desk.market.halted(until)
    desk.check()


def test_a_slow_fall_does_not_halt():
    desk = Guarded(breaker=CircuitBreaker(100_000, 60 * NS_PER_S, 300 * NS_PER_S))
    for number, price in enumerate(range(100, 80, -4)):
        desk.at(number * 31 * NS_PER_S).marked(price)
    assert desk.log.credits == []


class Last:
    """What the breaker looks at of a book."""

    def __init__(self, last_price):
        self.last_price = last_price


@pytest.mark.parametrize(("wait", "halted"), [(59, True), (60, False)])
def test_the_highest_price_counts_for_a_window_and_no_longer(wait, halted):
    guard = MarketGuard(breaker=CircuitBreaker(100_000, 60, 10))
    assert not guard.update(Last(100), None, 5)
    assert guard.update(Last(90), None, 5 + wait) == halted


def test_after_a_halt_the_fall_begins_anew():
    guard = MarketGuard(breaker=CircuitBreaker(100_000, 60, 10))
    guard.update(Last(100), None, 0)
    assert guard.update(Last(90), None, 1)
    assert not guard.update(Last(70), None, 10)  # still halted
    assert not guard.update(Last(85), None, 11)
    assert guard.update(Last(76), None, 12)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(50, 150)), min_size=1, max_size=25), st.integers(1, 400_000))
def test_the_breaker_halts_exactly_at_a_fall_from_the_windows_highest(steps, fall_ppm):
    guard = MarketGuard(breaker=CircuitBreaker(fall_ppm, 60, 100))

    seen, now = [], 0
    for wait, price in steps:
        now += wait
        if now < guard.halted_until_ns:
            assert not guard.update(Last(price), None, now)
            continue
        seen.append((now, price))
        peak = max(past for at, past in seen if at > now - 60)
        fallen = price * 1_000_000 <= peak * (1_000_000 - fall_ppm)
        assert guard.update(Last(price), None, now) == fallen
        if fallen:
            seen = []


def test_an_account_under_liquidation_waits_for_the_end_of_a_halt():
    desk = Guarded(policy=SalePolicy("all", 1_000_000, 5 * NS_PER_S), insurance=10**9)
    account = desk.unified("maker", alt=10_000, debt=730_000)
    desk.trade(100)
    desk.crowd_order(BUY, 2_000, 90, TimeInForce.GTC)
    desk.exchange.halt(desk.market, 12 * NS_PER_S)
    desk.mark()
    desk.at(11 * NS_PER_S)
    assert desk.alt(account) == 10_000
    desk.at(20 * NS_PER_S)
    assert desk.alt(account) == 0
    desk.check()


def test_a_stalled_feed_publishes_nothing():
    desk = Guarded()
    desk.exchange.publish_views()
    desk.exchange.stall(100)
    desk.at(99).exchange.publish_views()
    assert [time_ns for time_ns, _ in desk.views] == [0]
    assert desk.market.published.time_ns == 0
    desk.at(100).exchange.publish_views()
    assert [time_ns for time_ns, _ in desk.views] == [0, 100]


@pytest.mark.parametrize("bad", [0, 1_000_000, -5])
def test_bands_that_make_no_sense_are_refused(bad):
    with pytest.raises(InputError, match=f"not {bad}"):
        MarketGuard(bad)
    with pytest.raises(InputError, match="a circuit breaker needs"):
        MarketGuard(breaker=CircuitBreaker(bad, 1, 1))
