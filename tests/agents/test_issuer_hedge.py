"""The issuer's hedge: as large as the supply asks, even on both legs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.errors import InputError
from lobsim.events import Purpose, Side
from lobsim.units import NS_PER_S
from tests.agents.plaza import UNIT, Plaza

BUY, SELL = Side.BUY, Side.SELL
TERMS = {
    "instrument": "ALT-USDT",
    "perpetual": "ALT-PERP",
    "window": "issuer",
    "balances": {"ALT": 1_000.0, "USDT": 100.0},
    "contracts": {"ALT-PERP": -1_000.0},
    "max_order": 100.0,
    "poll": "1s",
}


def book(supply=1_000_000):
    plaza = Plaza()
    plaza.home = plaza.venue("home", margin=True, USDT=100 * UNIT, ALT=10_000)
    plaza.spot = plaza.market("ALT-USDT", "home")
    plaza.perp = plaza.market("ALT-PERP", "home", kind="perpetual")
    plaza.home.contracts[plaza.perp.spec.instrument_id] = -1_000
    plaza.supply = supply
    plaza.window("issuer", {"mint": ("USDT", "USDE", 1.0)}, supply=lambda _: plaza.supply)
    deep(plaza)
    return plaza


def deep(plaza, price=100, lots=10**6):
    plaza.spot.set([(price, lots)], [(price + 1, lots)])
    plaza.perp.set([(price, lots)], [(price + 1, lots)])


def legs(plaza):
    """Lots of coins, lots short."""
    return plaza.home.balance("ALT") // 10, -plaza.home.contracts[plaza.perp.spec.instrument_id]


def test_at_rest_it_does_nothing():
    plaza = book()
    plaza.agent("issuer-hedge", **TERMS)
    deep(plaza, price=50)
    plaza.seconds(60)
    assert plaza.fills == []


def test_redemptions_unwind_both_legs_in_slices_and_refill_the_cash():
    plaza = book()
    plaza.agent("issuer-hedge", **TERMS)
    plaza.seconds(5)
    plaza.supply = 700_000
    plaza.seconds(60)
    assert legs(plaza) == (700, 700)
    assert max(fill[3] for fill in plaza.fills) <= 100  # 100 USDT at 100 ticks
    assert {fill[5] for fill in plaza.fills} == {Purpose.REDEMPTION}
    assert {fill[1:3] for fill in plaza.fills} == {("ALT-USDT", SELL), ("ALT-PERP", BUY)}


def test_it_counts_its_own_trades_while_the_exchange_is_silent():
    plaza = book()
    plaza.agent("issuer-hedge", **TERMS)
    plaza.seconds(5)
    plaza.home.tell_once()
    plaza.supply = 700_000
    plaza.seconds(60)
    assert legs(plaza) == (700, 700)
    plaza.supply = 800_000
    plaza.seconds(120)
    assert legs(plaza) in [(799, 799), (800, 800)]  # one lot is what it tolerates


def test_only_its_share_of_a_change_is_followed():
    plaza = book()
    plaza.agent("issuer-hedge", **{**TERMS, "backing_share": 0.5})
    plaza.supply = 600_000
    plaza.seconds(60)
    assert legs(plaza) == (800, 800)


def test_mints_grow_it_unless_the_margin_level_forbids():
    plaza = book()
    plaza.agent("issuer-hedge", **TERMS)
    plaza.home.level_ppm = 1_400_000
    plaza.supply = 1_200_000
    plaza.seconds(30)
    assert plaza.fills == []
    plaza.home.level_ppm = 2_000_000
    plaza.seconds(60)
    assert legs(plaza) == (1_200, 1_200)
    assert {fill[5] for fill in plaza.fills} == {Purpose.HEDGE}


@pytest.mark.parametrize(("level", "after"), [(None, (1_000, 1_000)), (1_200_000, (400, 400))])
def test_contracts_taken_away_are_sold_again_or_the_coins_go(level, after):
    plaza = book()
    plaza.agent("issuer-hedge", **TERMS)
    plaza.seconds(5)
    plaza.home.contracts[plaza.perp.spec.instrument_id] = -400
    plaza.home.level_ppm = level
    plaza.seconds(60)
    assert legs(plaza) == after


def test_a_thin_book_slows_it_and_it_does_not_sell_below_its_limit():
    plaza = book()
    plaza.agent("issuer-hedge", **TERMS)
    plaza.supply = 0
    plaza.spot.set([(100, 5), (90, 10**6)], [])
    plaza.perp.set([], [(101, 10**6)])
    first = []
    while len(first) < 2:
        plaza.seconds(plaza.clock.now / NS_PER_S + 1)
        first = [fill[3:5] for fill in plaza.fills if fill[1] == "ALT-USDT"]
        assert len(first) != 2 or plaza.fills[-1][0] > plaza.fills[0][0] + NS_PER_S // 2
    assert first == [(5, 100), (94, 90)]  # 90 is beyond 2 % of 100: only when it has become the touch
    plaza.seconds(600)
    assert legs(plaza) == (0, 0)


def test_no_feed_empty_books_and_liquidation_stop_it():
    plaza = book()
    plaza.spot.silent = plaza.perp.silent = True
    plaza.agent("issuer-hedge", **TERMS)
    plaza.supply = 500_000
    plaza.seconds(10)
    plaza.spot.silent = plaza.perp.silent = False
    plaza.spot.set()
    plaza.seconds(20)
    plaza.home.in_liquidation = True
    deep(plaza)
    plaza.seconds(30)
    assert plaza.fills == []


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"margin": False}, "margin"),
        ({"contracts": {}}, "short"),
        ({"contracts": {"ALT-PERP": 5.0}}, "short"),
        ({"backing_share": 1.5}, "backing_share"),
        ({"max_order": 0.0}, "max_order"),
    ],
)
def test_nonsense_is_refused(bad, word):
    with pytest.raises(ValueError, match=word):
        Plaza().params("issuer-hedge", **{**TERMS, **bad})


def test_instruments_that_are_no_hedge_are_refused():
    plaza = book()
    plaza.market("ETH-PERP", "home", base="ETH", kind="perpetual")
    for other, word in [("ALT-USDT", "perpetual"), ("ETH-PERP", "hedged")]:
        with pytest.raises(InputError, match=word):
            plaza.agent("issuer-hedge", **{**TERMS, "perpetual": other, "contracts": {other: -1.0}})


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2_000_000), st.integers(0, 1_200), st.integers(0, 50)), min_size=1, max_size=6)
)
def test_once_books_are_deep_the_legs_are_even_and_as_large_as_wanted(states):
    plaza = book()
    agent = plaza.agent("issuer-hedge", **TERMS)
    now = 0
    for supply, short, lots in states:
        plaza.supply = supply
        plaza.home.contracts[plaza.perp.spec.instrument_id] = -short
        deep(plaza, lots=lots) if lots else plaza.spot.set()
        now += 10
        plaza.seconds(now)
    deep(plaza)
    plaza.seconds(now + 120)
    wanted = 1_000 * plaza.supply / 1_000_000
    assert abs(agent.wanted() - 10_000 * plaza.supply / 1_000_000) <= 0.51
    for lots in legs(plaza):
        assert abs(lots - wanted) <= 2.1  # twice the tolerance of one lot in a thousand
