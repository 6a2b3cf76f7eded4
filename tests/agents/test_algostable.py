"""The run on an algorithmic stablecoin and the arbitrage that mints its coin."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.errors import InputError
from lobsim.events import Purpose, Side
from lobsim.units import NS_PER_HOUR, NS_PER_S
from tests.agents.plaza import UNIT, Plaza

BUY, SELL = Side.BUY, Side.SELL
RUN = {"instrument": "UST-USDT", "deposits": 100_000.0, "run_rate": 1.0, "order_qty": 50.0, "look": "1s"}
BURN = {
    "instrument": "UST-USDT",
    "other": "LUNA-USDT",
    "window": "market",
    "threshold": 0.02,
    "max_order": 100.0,
    "batch": "20s",
}


def bank(bid=90, lots=10**9, seed=1):
    plaza = Plaza(seed=seed)
    plaza.home = plaza.venue("home")
    plaza.book = plaza.market("UST-USDT", "home", base="UST")
    if bid:
        plaza.book.set([(bid, lots)])
    return plaza


def sold(plaza):
    return sum(qty for _, _, qty, _ in plaza.asked)


def test_the_hazard_grows_with_the_depeg_and_with_those_who_left():
    agent = bank().agent("depositors", **{**RUN, "calm_rate": 0.01, "power": 2.0, "herding": 3.0, "run_rate": 0.5})
    assert agent.hazard(0.0) == agent.hazard(-0.1) == agent.hazard(0.002) == 0.01
    assert agent.hazard(0.022) == pytest.approx(0.01 + 0.5 * 2**2)
    agent._left = 50_000.0
    assert agent.hazard(0.022) == pytest.approx((0.01 + 0.5 * 4) * 2.5)


@pytest.mark.parametrize(("share", "power"), [(1.0, 1.0), (0.2, 1.0)])
def test_at_a_constant_depeg_the_runners_leave_exponentially(share, power):
    """12 % below par, 1.2 units of 10 % minus the tolerance of 2 %: hazard 1.0 per hour."""
    values = {**RUN, "run_share": share, "depeg_unit": 0.1, "tolerance": 0.02, "power": power}
    plaza = bank(bid=88)
    plaza.agent("depositors", **values)
    plaza.clock.run_until(NS_PER_HOUR)
    assert sold(plaza) / (100_000 * share) == pytest.approx(1 - math.exp(-1), abs=0.05)
    assert {row[1:2] + row[3:] for row in plaza.asked} == {(SELL, Purpose.RUN)}
    assert plaza.notes == [("run_began", 120_000, "ppm")]


def test_at_par_nobody_runs():
    plaza = bank(bid=100)
    plaza.agent("depositors", **RUN)
    plaza.seconds(600)
    assert plaza.asked == []
    assert plaza.notes == []


def test_more_than_the_rate_of_orders_makes_orders_larger_not_fewer_coins():
    few, many = (bank(bid=50), bank(bid=50))
    for plaza, rate in ((few, 0.5), (many, 1_000.0)):
        plaza.agent("depositors", **{**RUN, "run_rate": 0.2, "rate": rate})
        plaza.seconds(300)
    assert len(few.asked) < 200 < len(many.asked)
    assert sold(few) == pytest.approx(sold(many), rel=0.3)


def test_even_in_a_panic_it_takes_a_look_to_empty_the_bank():
    plaza = bank(bid=10)
    plaza.agent("depositors", **{**RUN, "run_rate": 1e6})
    plaza.seconds(1.9)
    assert len(plaza.asked) > 10
    assert sold(plaza) <= 100_000


def test_what_finds_no_buyer_is_kept_and_may_leave_later():
    plaza = bank(bid=90, lots=100)
    agent = plaza.agent("depositors", **{**RUN, "run_rate": 100.0})
    plaza.seconds(60)
    assert agent._left == 100
    plaza.book.set()
    plaza.book.last = None
    plaza.seconds(100)
    plaza.book.set([(90, 10**9)])
    plaza.seconds(400)
    assert agent._left == pytest.approx(100_000, rel=0.001)


OFFERING = {**RUN, "concession": 0.05, "run_rate": 500.0, "rate": 1.0}


@pytest.mark.parametrize(
    ("bids", "asks", "last", "price"),
    [([(90, 5)], [(92, 5)], None, 87), ([(50, 5)], [(92, 5)], None, 87), ([], [(80, 5)], 99, 76), ([], [], 60, 57)],
)
def test_with_a_concession_they_offer_below_what_others_ask(bids, asks, last, price):
    """Prices times 0.95, rounded down; a bid far below the best ask frightens nobody into it."""
    plaza = bank(bid=None)
    plaza.book.set(bids, asks)
    plaza.book.last = last
    agent = plaza.agent("depositors", **OFFERING)
    plaza.seconds(3)
    assert plaza.offered
    assert {(row[1], *row[3:]) for row in plaza.offered} == {(SELL, price, Purpose.RUN)}
    assert agent._left == sum(row[2] for row in plaza.offered)
    assert plaza.asked == []


def test_an_offer_is_at_least_a_tick_and_needs_some_price():
    plaza = bank(bid=None)
    plaza.agent("depositors", **OFFERING)
    plaza.seconds(3)
    assert plaza.offered == []
    plaza.book.set([], [(1, 5)])
    plaza.book.last = 1
    plaza.seconds(6)
    assert {row[3] for row in plaza.offered} == {1}


def test_without_a_feed_nobody_moves():
    plaza = bank()
    plaza.book.silent = True
    plaza.agent("depositors", **RUN)
    plaza.seconds(60)
    assert plaza.asked == []


def test_nobody_runs_where_nobody_would():
    plaza = bank(bid=10)
    plaza.agent("depositors", **{**RUN, "run_share": 0.0})
    plaza.seconds(60)
    assert plaza.asked == []


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 120), st.integers(1, 5_000)), min_size=1, max_size=8),
    st.floats(0, 1_000),
    st.floats(0, 20),
    st.sampled_from(["250ms", "1s", "7s"]),
)
def test_never_more_than_the_runners_and_never_in_the_past(states, run_rate, herding, look):
    plaza = bank(bid=None)
    values = {**RUN, "run_rate": run_rate, "herding": herding, "run_share": 0.1, "order_qty": 200.0, "look": look}
    agent = plaza.agent("depositors", **values)
    for number, (bid, lots) in enumerate(states):
        plaza.book.set([(bid, lots)] if bid else [])
        plaza.seconds(10 * (number + 1))
    assert 0 <= agent._left <= 10_000


# --- mint and burn ------------------------------------------------------------------------------------------------


def terra(money=1_000 * UNIT, quote_ppm=990_000, luna=200):
    """UST and LUNA with lots of one coin; LUNA is worth `luna` ticks to the contract."""
    plaza = Plaza()
    plaza.home = plaza.venue("home", USDT=money)
    plaza.ust = plaza.market("UST-USDT", "home", base="UST")
    plaza.luna = plaza.market("LUNA-USDT", "home", base="LUNA")
    kept = quote_ppm / 1e6
    rules = {"burn": ("UST", "LUNA", kept * 100 / luna), "swap_back": ("LUNA", "UST", kept * luna / 100)}
    plaza.contract = plaza.window("market", rules, quote_ppm=lambda amount: quote_ppm)
    plaza.contract.delay_ns = 6 * NS_PER_S
    plaza.transfer_ns = 10 * NS_PER_S
    return plaza


def test_below_par_it_burns_and_sells_the_coin():
    plaza = terra()
    plaza.ust.set([(90, 100)], [(92, 400)])
    plaza.luna.set([(200, 10**6)], [(201, 10**6)])
    plaza.agent("mint-burn-arbitrageur", **BURN)
    plaza.seconds(300)
    assert plaza.bought("UST-USDT") == 400
    assert sum(amount for _, action, amount in plaza.contract.asked if action == "burn") == 4_000
    assert plaza.bought("LUNA-USDT") == pytest.approx(-198, abs=1)
    assert plaza.home.balance("USDT") == pytest.approx(1_000 * UNIT - 368 * UNIT + 396 * UNIT, abs=3 * UNIT)
    assert all(order[4] is None for order in plaza.home.orders if order[1] == "LUNA-USDT")
    assert {fill[5] for fill in plaza.fills} == {Purpose.ARBITRAGE}


def test_what_it_got_is_offered_a_little_below_the_best_price_again_and_again():
    plaza = terra()
    plaza.ust.set([], [(80, 50)])
    plaza.luna.set([], [(200, 10**6)])
    plaza.agent("mint-burn-arbitrageur", **{**BURN, "concession": 0.1})
    plaza.seconds(200)
    offers = [row for row in plaza.home.orders if row[1] == "LUNA-USDT"]
    assert len(offers) > 10  # recalled at every other look
    assert {(row[2], row[4]) for row in offers} == {(SELL, 180)}
    assert len(plaza.luna.waiting) <= 1
    plaza.luna.set([(190, 10**6)], [(200, 10**6)])
    plaza.seconds(400)
    assert {fill[4] for fill in plaza.fills if fill[1] == "LUNA-USDT"} == {190}
    assert plaza.luna.waiting == []
    assert plaza.total("UST") < 10
    assert plaza.total("LUNA") < 10
    assert plaza.rejections == []


def test_it_goes_on_burning_while_it_buys():
    """What it has is sent to the contract although an order for more is always under way."""
    plaza = terra(money=100_000 * UNIT)
    plaza.luna.set([(200, 10**9)], [(201, 10**6)])
    plaza.ust.set([], [(80, 10**9)])
    plaza.agent("mint-burn-arbitrageur", **BURN)
    plaza.seconds(120)
    assert sum(amount for _, action, amount in plaza.contract.asked if action == "burn") > 0
    assert plaza.rejections == []


def test_above_par_it_burns_the_coin_and_sells_the_stable():
    plaza = terra()
    plaza.ust.set([(110, 10**6)], [(111, 10)])
    plaza.luna.set([(199, 10**6)], [(200, 10**6)])
    plaza.agent("mint-burn-arbitrageur", **BURN)
    plaza.seconds(300)
    assert plaza.bought("LUNA-USDT") > 0
    assert plaza.bought("UST-USDT") < 0
    plaza.ust.set([(100, 10**6)], [(101, 10)])
    plaza.seconds(900)
    assert plaza.home.balance("USDT") > 1_050 * UNIT
    assert plaza.rejections == []


@pytest.mark.parametrize(("ask", "buys"), [(97, True), (98, False), (103, False)])
def test_spread_and_threshold_set_its_price(ask, buys):
    """0.99 * 0.98 = 0.9702; above, 1.02 / 0.99 = 1.0303."""
    plaza = terra()
    plaza.ust.set([(ask - 1, 100)], [(ask, 100)])
    plaza.luna.set([(200, 10**6)], [(201, 10**6)])
    agent = plaza.agent("mint-burn-arbitrageur", **BURN)
    plaza.seconds(5)
    assert bool(plaza.fills) == buys
    assert agent.limits() == (97, 104)


def test_a_closed_contract_and_halted_withdrawals_stop_it():
    plaza = terra(money=100 * UNIT)
    plaza.home.halted = {"UST"}
    plaza.luna.set([(200, 10**6)], [(201, 10**6)])
    plaza.agent("mint-burn-arbitrageur", **BURN)
    for second in (50, 100, 150):
        plaza.ust.set([(79, 100)], [(80, 100)])
        plaza.seconds(second)
    assert 100 <= plaza.bought("UST-USDT") <= 125
    assert plaza.home.sent == []
    plaza.home.halted = set()
    plaza.contract.open = False
    plaza.ust.set([(79, 100)])
    plaza.seconds(300)
    assert plaza.contract.asked == []
    assert plaza.chain.balance("UST") > 0
    plaza.contract.open = True
    plaza.seconds(500)
    assert plaza.home.balance("USDT") > 100 * UNIT


def test_it_burns_at_once_what_the_spread_leaves_worth_while():
    """The contract pays 1 - amount / 100,000: for 20,000 less than the market's 0.90, for 10,000 just as much."""
    plaza = terra()
    plaza.contract.figures["quote_ppm"] = lambda amount: max(0, 1_000_000 - 10 * abs(amount))
    plaza.luna.set([(200, 10**6)], [(201, 10**6)])
    plaza.ust.set([(90, 100)], [])
    plaza.chain.add("UST", 40_000)
    plaza.agent("mint-burn-arbitrageur", **BURN)
    plaza.seconds(21.5)
    assert [amount for _, _, amount in plaza.contract.asked] == [10_000]
    plaza.seconds(200)
    assert plaza.chain.balance("UST") == 0


def test_no_feed_and_empty_books():
    plaza = terra()
    plaza.luna.silent = True
    plaza.ust.set([(80, 10)], [(81, 10)])
    plaza.agent("mint-burn-arbitrageur", **BURN)
    plaza.seconds(20)
    plaza.luna.silent = False
    plaza.ust.set()
    plaza.seconds(60)
    assert plaza.fills == []


def test_other_windows_and_markets_are_refused():
    plaza = terra()
    plaza.window("issuer", {"mint": ("USDT", "UST", 1.0)})
    with pytest.raises(InputError, match="mint"):
        plaza.agent("mint-burn-arbitrageur", **{**BURN, "window": "issuer"})
    with pytest.raises(InputError, match="another coin"):
        plaza.agent("mint-burn-arbitrageur", **{**BURN, "other": "UST-USDT"})


@pytest.mark.parametrize("bad", [{"deposits": 0.0}, {"run_share": 2.0}, {"power": 0.0}, {"rate": 0.0}, {"look": "0s"}])
def test_nonsense_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Plaza().params("depositors", **{**RUN, **bad})


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(2, 150), st.integers(0, 300), st.integers(1, 400), st.integers(0, 300), st.booleans()),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 500 * UNIT),
)
def test_it_never_overdraws_and_ends_in_cash(states, money):
    """The fakes assert that every transfer and burn is covered; rejected orders would show."""
    plaza = terra(money=money)
    plaza.agent("mint-burn-arbitrageur", **BURN)
    now = 0
    for ust, ust_lots, luna, luna_lots, halted in states:
        plaza.ust.set([(ust - 1, ust_lots)] if ust_lots else [], [(ust, ust_lots)] if ust_lots else [])
        plaza.luna.set([(luna, luna_lots)] if luna_lots else [], [(luna + 1, luna_lots)] if luna_lots else [])
        plaza.home.halted = {"UST", "LUNA"} if halted else set()
        now += 45
        plaza.seconds(now)
    plaza.home.halted = set()
    plaza.ust.set([(90, 1)], [])
    plaza.luna.set([(100, 10**9)], [])
    plaza.seconds(now + 900)
    assert plaza.rejections == []
    assert plaza.total("UST") < 20
    assert plaza.total("LUNA") < 20
