"""Market makers: the Avellaneda-Stoikov quotes of their docstring, their inventory, and when they go and come back."""

from math import log

import pytest

from lobsim.events import EventKind, Purpose, Side, TimeInForce
from lobsim.units import NS_PER_S
from lobsim.venue.ports import AccountView, MarketView
from tests.agents.stage import Stage

BUY, SELL = Side.BUY, Side.SELL
HALF = log(1 + 0.1 / 10) / 0.1  # (2 / gamma) ln(1 + gamma / k) / 2 = 0.0995...


def view(stage, bid=None, ask=None, last=None):
    """Publish a market view by hand."""
    stage.feeds.markets[0].publish(stage.clock.now, MarketView(stage.clock.now, bid, 1, ask, 1, last, last))


def states(stage, agent, level_ppm, in_liquidation=False):
    account = agent.context.gateway.account_id
    stage.feeds.accounts[account].publish(
        stage.clock.now, AccountView(stage.clock.now, level_ppm, None, in_liquidation, {})
    )


def holds(maker, lots):
    """As if the maker had bought so many lots."""
    leg = maker.pairs[0].leg
    leg.lots = lots
    leg.underlying.recount()


def calm(stage, seconds, *, last=100, outside=1.0, bid=99, ask=101):
    """Let the market stand for so long, with a tiny ripple of the mid so that there is a calm volatility."""
    until = stage.clock.now + seconds * NS_PER_S
    ripple = 0
    while stage.clock.now < until:
        ripple = 1 - ripple
        view(stage, bid, ask + ripple, last)
        stage.tell("ALT", outside)
        stage.at(stage.clock.now + NS_PER_S)


def test_quotes_follow_the_formula_without_inventory_or_volatility():
    stage = Stage()
    stage.tell("ALT", 10.0)
    view(stage, 990, 1010, 1000)
    maker = stage.maker()
    stage.seconds(1)
    # edges 0, 1 %, 4 % of a 4 % ladder: notionals 1000 * (d / 1 %)^0.67
    first, second = 1_000.0, 1_000.0 * (4**0.67 - 1)
    expected = []
    for sign in (-1, 1):
        prices = [10.0 * (1 + sign * (HALF + distance)) for distance in (0.0, 0.01)]
        ticks = [round(price / 0.01) for price in prices]
        expected.append([(tick, int(n / (tick * 0.01))) for tick, n in zip(ticks, (first, second), strict=True)])
    assert list(stage.quotes_of(maker)) == expected
    assert expected[0][0] == (900, 111)  # 10 * (1 - 0.0995) = 9.005 and half a tick


def test_volatility_and_inventory_skew_the_reservation_price_and_widen_the_spread():
    stage = Stage()
    stage.tell("ALT", 10.0)
    view(stage, 990, 1010, 1000)
    maker = stage.maker(gamma=0.5, max_skew=0.9)
    stage.seconds(1)
    holds(maker, 5)
    stage.tell("ALT", 10.1)
    maker._look(maker.pairs[0])
    step = log(10.1 / 10.0) ** 2  # the first return is the whole estimate
    risk = 0.5 * step * 100  # gamma sigma^2 T, one look a second
    units = 5 * 10.1 / 100
    reservation = 10.1 * (1 - units * risk)
    half = (risk + 2 / 0.5 * log(1 + 0.5 / 10)) / 2
    stage.at(stage.clock.now)
    bids, asks = stage.quotes_of(maker)
    assert bids[0][0] == round(reservation * (1 - half) / 0.01)
    assert asks[0][0] == round(reservation * (1 + half) / 0.01)
    room = 1 - 5 * 10.1 / 1_000
    assert bids[0][1] == int(1_000 * room / (bids[0][0] * 0.01))
    assert asks[0][1] == int(1_000 / (asks[0][0] * 0.01))


@pytest.mark.parametrize(("inventory", "sides"), [(100, (0, 2)), (99, (2, 2)), (-100, (2, 0))])
def test_beyond_its_limit_it_quotes_one_side_only(inventory, sides):
    stage = Stage()
    stage.tell("ALT", 10.0)
    view(stage, 990, 1010, 1000)
    maker = stage.maker()
    holds(maker, inventory)  # at 10.0 a hundred lots are the limit of 1,000
    stage.seconds(1)
    bids, asks = stage.quotes_of(maker)
    assert (bool(bids), bool(asks)) == (bool(sides[0]), bool(sides[1]))


def test_the_skew_is_bounded():
    stage = Stage()
    stage.tell("ALT", 10.0)
    view(stage, 990, 1010, 1000)
    maker = stage.maker(max_skew=0.05, gamma=1e-6, k=1e6)
    maker.pairs[0].variance = 1.0
    holds(maker, 10**9)
    stage.seconds(1)
    _, asks = stage.quotes_of(maker)
    assert asks[0][0] >= 950


def test_no_bid_is_placed_a_whole_price_away():
    """At such a spread a bid would be at the lowest tick, for its notional: a billion lots."""
    stage = Stage()
    stage.tell("ALT", 10.0)
    view(stage, 990, 1010, 1000)
    maker = stage.maker(gamma=1.0, k=0.2)  # half-spread ln 6
    stage.seconds(1)
    bids, asks = stage.quotes_of(maker)
    assert (bids, len(asks)) == ([], 2)


def test_the_fair_value_weighs_reference_and_own_mid():
    stage = Stage()
    stage.tell("ALT", 10.0)
    view(stage, 1190, 1210, 1000)
    maker = stage.maker(reference_weight=0.25)
    stage.seconds(1)
    bids, asks = stage.quotes_of(maker)
    assert (bids[0][0], asks[0][0]) == (round(1150 * (1 - HALF)), round(1150 * (1 + HALF)))


@pytest.mark.parametrize(("known", "mid"), [({"bid": 990, "last": 800}, 800), ({"ask": 1}, 1000), ({}, 1000)])
def test_without_two_sides_the_last_price_serves_and_else_the_reference(known, mid):
    stage = Stage()
    stage.tell("ALT", 10.0)
    view(stage, **known)
    maker = stage.maker(reference_weight=0.0)
    stage.seconds(1)
    assert stage.quotes_of(maker)[1][0][0] == round(mid * (1 + HALF))


def test_it_knows_nothing_and_does_nothing_before_market_data_arrives():
    stage = Stage()
    stage.tell("ALT", 10.0)
    view(stage, 990, 1010, 1000)
    stage.maker(feed_latency="5s")
    stage.seconds(4.9)
    assert stage.log.seen == []
    stage.seconds(7)
    assert stage.log.seen


def test_each_requote_replaces_the_whole_ladder():
    stage = Stage()
    stage.tell("ALT", 10.0)
    view(stage, 990, 1010, 1000)
    maker = stage.maker()
    for seconds in range(1, 6):
        stage.seconds(seconds)
        bids, asks = stage.quotes_of(maker)
        assert (len(bids), len(asks)) == (2, 2)
    assert len(stage.log.of(EventKind.CANCELED)) == 16


def test_inventory_counts_fills_as_maker_and_as_taker():
    stage = Stage()
    stage.tell("ALT", 10.0)
    view(stage, 990, 1010, 1000)
    maker = stage.maker()
    stage.seconds(1)
    start = stage.alt(maker.context.gateway.account_id)
    bids, asks = stage.quotes_of(maker)
    stage.order(stage.crowd, SELL, 7, bids[0][0], TimeInForce.IOC)
    stage.order(stage.crowd, BUY, 3, asks[0][0], TimeInForce.IOC)
    stage.at(stage.clock.now)
    assert maker.pairs[0].leg.lots == 7 - 3
    stage.order(stage.crowd, SELL, 5, 1_001)
    stage.order(stage.crowd, BUY, 4, 999)
    gateway = maker.context.gateway
    gateway.send(0, [gateway.order(BUY, 5, 1_001, Purpose.HEDGE, TimeInForce.IOC)])
    gateway.send(0, [gateway.order(SELL, 2, 999, Purpose.HEDGE, TimeInForce.IOC)])
    stage.at(stage.clock.now)
    assert maker.pairs[0].leg.lots == 4 + 5 - 2
    assert stage.alt(gateway.account_id) - start == maker.pairs[0].leg.lots * 10
    stage.check()


def test_collateral_that_the_exchange_sells_is_no_inventory():
    stage = Stage()
    stage.tell("ALT", 10.0)
    view(stage, 990, 1010, 1000)
    maker = stage.maker()
    stage.seconds(1)
    stage.order(stage.crowd, BUY, 5, 1_005)
    account = maker.context.gateway.account_id
    stage.exchange.submit(stage.market, account, SELL, 5, None, Purpose.ACCOUNT_LIQUIDATION, TimeInForce.IOC)
    stage.seconds(1)
    assert maker.pairs[0].leg.lots == 0
    stage.check()


# --- walking away ---------------------------------------------------------------------------------------------------


def is_away(stage, maker):
    """Away means: nothing of it rests in the book, two looks in a row."""
    for _ in range(2):
        stage.at(stage.clock.now + NS_PER_S)
        if stage.quotes_of(maker) != ([], []):
            return False
    return True


def withdrawals(stage):
    return [note[1] for note in stage.notes if not note[1].startswith("maker_rule_")]


@pytest.mark.parametrize("withdrawal", [True, False])
def test_the_margin_rule_alone(withdrawal):
    stage = Stage()
    maker = stage.maker(withdrawal=withdrawal, rules={"margin_level": 1.5})
    calm(stage, 3)
    for level in (None, 1_500_000):
        states(stage, maker, level)
        assert not is_away(stage, maker)
    states(stage, maker, 1_499_999)
    assert is_away(stage, maker) == withdrawal
    assert withdrawals(stage) == ["maker_withdrew"] * withdrawal


@pytest.mark.parametrize("withdrawal", [True, False])
def test_the_stale_feed_rule_alone(withdrawal):
    stage = Stage()
    maker = stage.maker(withdrawal=withdrawal, rules={"stale_feed": "5s"})
    calm(stage, 3)  # the newest view is of second 2
    stage.seconds(7)
    assert stage.quotes_of(maker) != ([], [])
    stage.seconds(8.1)
    assert (stage.quotes_of(maker) == ([], [])) == withdrawal


@pytest.mark.parametrize("withdrawal", [True, False])
def test_the_volatility_rule_alone(withdrawal):
    stage = Stage()
    maker = stage.maker(withdrawal=withdrawal, rules={"volatility_ratio": 3.0, "volatility_spread": 0.0})
    calm(stage, 150)
    assert withdrawals(stage) == []
    calm(stage, 5, bid=74, ask=76, last=75)
    assert withdrawals(stage) == ["maker_withdrew"] * withdrawal
    assert is_away(stage, maker) == withdrawal


def test_volatility_is_not_judged_before_there_is_a_calm_one():
    stage = Stage()
    stage.maker(rules={"volatility_ratio": 3.0})
    calm(stage, 60)
    calm(stage, 5, bid=60, ask=62, last=61)
    assert stage.notes == []


def test_every_maker_has_its_own_threshold_within_the_spread():
    limits = set()
    for seed in range(40):
        maker = Stage(seed=seed).maker(rules={"volatility_ratio": 8.0, "volatility_spread": 0.25})
        limits.add(maker.ratio_limit)
    assert len(limits) == 40
    assert 6.0 <= min(limits) < 6.5
    assert 9.5 < max(limits) <= 10.0


def test_one_jump_does_not_pass_for_calm():
    stage = Stage()
    maker = stage.maker()
    calm(stage, 150)
    before = maker.pairs[0].calm
    calm(stage, 1, bid=50, ask=52, last=51)
    assert before < maker.pairs[0].calm < before * 1.2


def test_withdrawal_empties_the_book_of_its_quotes_even_of_those_still_under_way():
    stage = Stage()
    maker = stage.maker(rules={"margin_level": 1.5}, order_latency="700ms")
    calm(stage, 5)
    states(stage, maker, 1_000_000)
    stage.at(stage.clock.now + 3 * NS_PER_S)
    assert stage.quotes_of(maker) == ([], [])
    assert withdrawals(stage) == ["maker_withdrew"]
    accepted = len(stage.log.of(EventKind.ACCEPTED))
    calm(stage, 10)
    assert len(stage.log.of(EventKind.ACCEPTED)) == accepted


def gone(rules=None, **values):
    """A stage whose maker left at second 10 for its margin level, which is then good again."""
    stage = Stage()
    rules = {"margin_level": 1.5, "return_after": "30s", "calm_window": "10s", "calm_fall": 0.05, **(rules or {})}
    maker = stage.maker(rules=rules, **values)
    calm(stage, 10)
    states(stage, maker, 1_400_000)
    calm(stage, 2)
    assert withdrawals(stage) == ["maker_withdrew"]
    states(stage, maker, 9_000_000)
    return stage, maker


def test_it_returns_after_its_shortest_absence_with_a_smaller_size():
    stage, maker = gone(rules={"return_size": 0.25})
    left = stage.notes[0][0]
    calm(stage, 45)
    assert withdrawals(stage) == ["maker_withdrew", "maker_returned"]
    assert 0 <= stage.notes[-1][0] - left - 30 * NS_PER_S <= NS_PER_S
    bids, _ = stage.quotes_of(maker)
    assert bids[0][1] == int(250 / (bids[0][0] * 0.01))


def test_it_does_not_return_while_the_price_falls():
    stage, maker = gone()
    price = 100.0
    for _ in range(60):
        price *= 0.99  # almost 10 % in ten seconds
        calm(stage, 1, last=round(price))
    assert withdrawals(stage) == ["maker_withdrew"]
    calm(stage, 15, last=round(price))
    assert withdrawals(stage) == ["maker_withdrew", "maker_returned"]
    assert maker.size == 0.3


@pytest.mark.parametrize("reason", ["margin", "liquidation", "stale", "nothing traded"])
def test_it_does_not_return_while_it_would_have_to_leave_again(reason):
    rules = {"stale_feed": "5s"} if reason == "stale" else {}
    stage, maker = gone(rules=rules)
    if reason == "margin":
        states(stage, maker, 1_499_999)
    elif reason == "liquidation":
        states(stage, maker, 9_000_000, in_liquidation=True)
    if reason == "stale":
        stage.at(stage.clock.now + 60 * NS_PER_S)
    elif reason == "nothing traded":
        maker.pairs[0].forget_prices()
        calm(stage, 60, last=None)
    else:
        calm(stage, 60)
    assert withdrawals(stage) == ["maker_withdrew"]
    states(stage, maker, 9_000_000)
    calm(stage, 15)
    assert withdrawals(stage)[:2] == ["maker_withdrew", "maker_returned"]


def test_volatility_is_forgiven_for_a_while_after_the_return():
    rules = {
        "volatility_ratio": 3.0,
        "volatility_spread": 0.0,
        "return_after": "30s",
        "calm_window": "10s",
        "grace": "60s",
        "volatility_window": "300s",
    }
    stage = Stage()
    stage.maker(rules=rules)
    calm(stage, 150)
    calm(stage, 100, bid=49, ask=51, last=98)  # one jump of the mid that stays in the window
    kinds = withdrawals(stage)
    assert kinds[:3] == ["maker_withdrew", "maker_returned", "maker_withdrew"]
    moments = [note[0] for note in stage.notes if not note[1].startswith("maker_rule_")]
    assert abs(moments[2] - moments[1] - 60 * NS_PER_S) <= 2 * NS_PER_S
