"""Redeemers: below par to the issuer, above par from it, and stuck when nothing may leave."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.errors import InputError
from lobsim.events import Purpose, Side
from tests.agents.plaza import UNIT, Plaza

BUY, SELL = Side.BUY, Side.SELL
TERMS = {"instrument": "USDE-USDT", "window": "issuer", "threshold": 0.01, "max_order": 1_000.0, "batch": "30s"}


def issuer(money=1_000 * UNIT, on_chain=0, fee_ppm=1_000, taker=0.0, rate=1.0, converter=False):
    """USDE-USDT where a lot is one coin of 10 quanta, par 100 ticks; a quantum of USDE is redeemed for 100 of USDT."""
    plaza = Plaza()
    plaza.home = plaza.venue("home", USDT=money)
    plaza.book = plaza.market("USDE-USDT", "home", base="USDE", fee=taker)
    kept = 1 - fee_ppm / 1e6
    there, back = ("wrap", "unwrap") if converter else ("mint", "redeem")
    rules = {there: ("USDT", "USDE", kept / 100 / rate), back: ("USDE", "USDT", kept * 100 * rate)}
    plaza.issuer = plaza.window("issuer", rules, fee_ppm=fee_ppm, supply=10**9)
    plaza.chain.add("USDT", on_chain)
    return plaza


def test_it_buys_below_par_redeems_and_comes_back_richer():
    plaza = issuer()
    plaza.book.set([(94, 500)], [(95, 500)])
    plaza.agent("redeemer", **TERMS)
    plaza.seconds(10)
    assert plaza.bought("USDE-USDT") == 500
    plaza.seconds(400)
    assert [(action, amount) for _, action, amount in plaza.issuer.asked] == [("redeem", 5_000)]
    assert [(to, asset, amount) for _, to, asset, amount in plaza.home.sent] == [("chain", "USDE", 5_000)]
    assert plaza.home.balance("USDT") == 1_000 * UNIT - 475 * UNIT + 499_500
    assert plaza.total("USDE") == 0
    assert {fill[5] for fill in plaza.fills} == {Purpose.REDEMPTION}


@pytest.mark.parametrize(("ask", "buys"), [(98, True), (99, False), (100, False)])
def test_fees_and_threshold_set_its_price(ask, buys):
    """1 - 0.001 - 0.01 = 0.989."""
    plaza = issuer()
    plaza.book.set([], [(ask, 500)])
    agent = plaza.agent("redeemer", **TERMS)
    plaza.seconds(10)
    assert bool(plaza.fills) == buys
    assert agent.limits(1.0) == (98, 102)


def test_taker_fees_count_too():
    plaza = issuer(taker=0.02)
    agent = plaza.agent("redeemer", **TERMS)
    assert agent.limits(1.0) == (96, 104)  # 0.989 / 1.02 and 1.011 / 0.98


def test_while_withdrawals_are_halted_it_runs_out_of_money_and_stops():
    plaza = issuer(money=200 * UNIT)
    plaza.home.halted = {"USDE"}
    plaza.agent("redeemer", **TERMS)
    for second in range(20, 400, 20):
        plaza.book.set([(79, 100)], [(80, 100)])
        plaza.seconds(second)
    assert plaza.bought("USDE-USDT") == 249  # at a limit of 98 it always keeps a little more aside
    assert plaza.home.sent == []
    assert plaza.issuer.asked == []
    assert plaza.notes == [("redeemer_ran_out", 200_000, "ppm")]
    plaza.home.halted = set()
    plaza.book.set([(79, 100)], [(99, 100)])
    plaza.seconds(1_000)
    assert plaza.home.balance("USDT") > 240 * UNIT
    assert plaza.rejections == []


RESTING = {**TERMS, "rest": True, "max_order": 98.0}


def test_its_bid_waits_for_sellers_and_is_renewed_when_it_is_taken():
    plaza = issuer(money=1_000 * UNIT)
    plaza.book.set([(80, 10)], [(100, 10)])  # nothing offered at a price that pays
    plaza.agent("redeemer", **RESTING)
    plaza.seconds(5)
    ((order, lots),) = plaza.book.waiting
    assert (order.price, lots) == (98, 100)
    plaza.home.hit("USDE-USDT", 40)
    plaza.seconds(7)
    assert plaza.book.waiting[0][1] == 60
    plaza.home.hit("USDE-USDT", 60)
    plaza.seconds(10)
    assert plaza.book.waiting[0][1] == 100
    plaza.seconds(300)
    assert sum(amount for _, action, amount in plaza.issuer.asked if action == "redeem") == 1_000
    held = 100 * 98 * 10
    assert plaza.home.balance("USDT") + held == 1_000 * UNIT - 98 * UNIT + 99_900
    assert plaza.rejections == []


def test_it_takes_what_is_offered_and_leaves_the_rest_of_the_bid():
    plaza = issuer(money=1_000 * UNIT)
    plaza.book.set([], [(90, 30)])
    plaza.agent("redeemer", **RESTING)
    plaza.seconds(5)
    assert [fill[3:5] for fill in plaza.fills] == [(30, 90)]
    assert plaza.book.waiting[0][1] == 70


def test_the_bid_moves_with_par_and_goes_when_the_price_is_dear():
    plaza = issuer(money=1_000 * UNIT, rate=1.05, converter=True)
    plaza.home.references["RATE"] = 1.05
    plaza.book.set([(80, 10)], [(110, 10)])
    agent = plaza.agent("redeemer", **{**RESTING, "reference": "RATE"})
    plaza.seconds(5)
    assert plaza.book.waiting[0][0].price == agent.limits(1.05)[0]
    plaza.home.references["RATE"] = 0.95
    plaza.seconds(10)
    assert [order.price for order, _ in plaza.book.waiting] == [agent.limits(0.95)[0]]
    plaza.book.set([(120, 10)], [(130, 10)])
    plaza.seconds(15)
    assert plaza.book.waiting == []
    assert plaza.home.balance("USDT") == 1_000 * UNIT


def test_a_bid_without_money_says_so_once():
    plaza = issuer(money=98 * UNIT)
    plaza.home.halted = {"USDE"}
    plaza.book.set([], [(100, 10)])
    plaza.agent("redeemer", **RESTING)
    plaza.seconds(5)
    plaza.home.hit("USDE-USDT", 100)
    plaza.seconds(10)
    assert plaza.notes == []  # nothing to be had anyway
    plaza.book.set([], [(90, 10)])
    plaza.seconds(20)
    assert plaza.notes == [("redeemer_ran_out", 100_000, "ppm")]


def test_while_the_issuer_is_closed_coins_wait_on_the_chain():
    plaza = issuer()
    plaza.issuer.open = False
    plaza.book.set([(94, 500)], [(95, 500)])
    plaza.agent("redeemer", **TERMS)
    plaza.seconds(400)
    assert plaza.chain.balance("USDE") == 5_000
    plaza.issuer.open = True
    plaza.seconds(800)
    assert plaza.chain.balance("USDE") == 0
    assert plaza.home.balance("USDT") > 1_000 * UNIT


def test_above_par_it_mints_and_sells():
    plaza = issuer(money=0, on_chain=100 * UNIT)
    plaza.book.set([(105, 10_000)], [(106, 500)])
    plaza.agent("redeemer", **{**TERMS, "chain_reserve": 100.0})
    plaza.seconds(400)
    assert plaza.issuer.asked[0][1:] == ("mint", 100 * UNIT)
    assert plaza.bought("USDE-USDT") == -99
    assert plaza.home.balance("USDT") == 99 * 1_050


def test_a_converter_has_its_rate_for_par():
    plaza = issuer(rate=1.05, converter=True)
    plaza.book.set([(97, 100)], [(98, 100)])
    plaza.agent("redeemer", **{**TERMS, "reference": "RATE", "threshold": 0.02})
    plaza.seconds(5)
    assert plaza.fills == []  # it does not know the rate yet
    plaza.home.references["RATE"] = 1.05
    plaza.seconds(400)
    assert plaza.bought("USDE-USDT") == 100
    assert plaza.issuer.asked[0][1:] == ("unwrap", 1_000)
    assert plaza.home.balance("USDT") > 1_000 * UNIT


def test_it_keeps_its_reserve_on_the_chain():
    plaza = issuer(money=1_000 * UNIT)
    plaza.book.set([(99, 10)], [(101, 10)])
    plaza.agent("redeemer", **{**TERMS, "chain_reserve": 300.0})
    plaza.seconds(400)
    assert plaza.chain.balance("USDT") == 300 * UNIT
    assert plaza.home.balance("USDT") == 700 * UNIT


def test_windows_that_do_not_redeem_are_refused():
    plaza = issuer()
    plaza.window("other", {"burn": ("USDE", "USDT", 1.0)})
    with pytest.raises(InputError, match="burn"):
        plaza.agent("redeemer", **{**TERMS, "window": "other"})
    with pytest.raises(InputError, match="reference"):
        issuer(converter=True).agent("redeemer", **TERMS)


@pytest.mark.parametrize("bad", [{"threshold": 1.0}, {"max_order": -1.0}, {"chain_reserve": -1.0}, {"batch": "0s"}])
def test_nonsense_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Plaza().params("redeemer", **{**TERMS, **bad})


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(50, 150), st.integers(1, 20), st.integers(0, 300), st.booleans(), st.booleans()),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 300 * UNIT),
    st.integers(0, 300 * UNIT),
)
def test_it_never_overdraws_and_never_loses_more_than_minted_coins_cost(states, money, on_chain):
    """The fakes assert that every transfer and request is covered and allowed; rejected orders would show."""
    plaza = issuer(money=money, on_chain=on_chain)
    plaza.agent("redeemer", **TERMS)
    now = 0
    for price, spread, lots, halted, closed in states:
        plaza.book.set([(price, lots)] if lots else [], [(price + spread, lots)] if lots else [])
        plaza.home.halted = {"USDE", "USDT"} if halted else set()
        plaza.issuer.open = not closed
        now += 75
        plaza.seconds(now)
    plaza.home.halted = set()
    plaza.issuer.open = True
    plaza.book.set()
    plaza.seconds(now + 600)
    assert plaza.rejections == []
    assert plaza.total("USDE") < 10  # less than a lot
    minted = sum(amount for _, action, amount in plaza.issuer.asked if action == "mint")
    assert plaza.total("USDT") >= (money + on_chain) - 0.0021 * minted - 2_000
