"""Arbitrageurs: what they take, what they leave, what stops them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.errors import InputError
from lobsim.events import Purpose, Reason, Side
from lobsim.units import NS_PER_S
from tests.agents.plaza import UNIT, Plaza

BUY, SELL = Side.BUY, Side.SELL
CROSS = {"instrument": "ALT-USDT", "other": "ALT-USDT.far", "threshold": 0.001, "max_order": 1_000.0}
BASIS = {
    "instrument": "ALT-USDT",
    "other": "ALT-PERP",
    "threshold": 0.01,
    "max_order": 1_000.0,
    "max_position": 5_000.0,
}


def two_venues(fee=0.0, money=10_000 * UNIT, coins=100_000, **settings):
    plaza = Plaza(**settings)
    plaza.near = plaza.venue("near", USDT=money, ALT=coins)
    plaza.far = plaza.venue("far", USDT=money, ALT=coins)
    plaza.market("ALT-USDT", "near", fee=fee)
    plaza.market("ALT-USDT.far", "far", fee=fee)
    return plaza


def one_venue(fee=0.0, **settings):
    plaza = Plaza(**settings)
    plaza.near = plaza.venue("near", margin=True, USDT=10_000 * UNIT)
    plaza.spot = plaza.market("ALT-USDT", "near", fee=fee)
    plaza.perp = plaza.market("ALT-PERP", "near", kind="perpetual", fee=fee)
    return plaza


def books(plaza, **sides):
    """near=(bid, ask), far=(bid, ask) at a thousand lots each."""
    for name, (bid, ask) in sides.items():
        market = plaza.markets["ALT-USDT" if name == "near" else "ALT-USDT.far"]
        market.set([(bid, 1_000)] if bid else [], [(ask, 1_000)] if ask else [])


def test_it_buys_where_cheap_and_sells_where_dear():
    plaza = two_venues()
    books(plaza, near=(99, 100), far=(105, 106))
    plaza.agent("cross-venue-arbitrageur", **CROSS)
    plaza.seconds(0.6)
    assert {fill[1:] for fill in plaza.fills} == {
        ("ALT-USDT", BUY, 1_000, 100, Purpose.ARBITRAGE),
        ("ALT-USDT.far", SELL, 1_000, 105, Purpose.ARBITRAGE),
    }
    assert plaza.total("USDT") == (20_000 + 50) * UNIT
    assert plaza.total("ALT") == 200_000


def test_it_turns_round_with_the_gap():
    plaza = two_venues()
    books(plaza, near=(105, 106), far=(99, 100))
    plaza.agent("cross-venue-arbitrageur", **CROSS)
    plaza.seconds(0.6)
    assert (plaza.bought("ALT-USDT"), plaza.bought("ALT-USDT.far")) == (-1_000, 1_000)


@pytest.mark.parametrize(("fee", "trades"), [(0.0, True), (0.009, True), (0.011, False)])
def test_the_gap_must_pay_both_fees(fee, trades):
    """102 against 100 with two fees of f: 1.02 (1 - f) / (1 + f) must exceed 1.001; so f must be below 0.0094."""
    plaza = two_venues(fee=fee)
    books(plaza, near=(99, 100), far=(102, 103))
    plaza.agent("cross-venue-arbitrageur", **CROSS)
    plaza.seconds(2)
    assert bool(plaza.fills) == trades


def test_both_limits_are_one_price_after_fees():
    """Whatever each leg finds down to its limit, the two together do not lose."""
    plaza = two_venues(fee=0.001)
    books(plaza, near=(99, 100), far=(110, 111))
    plaza.agent("cross-venue-arbitrageur", **CROSS)
    plaza.seconds(0.6)
    limits = {(name, side): price for _, name, side, _, price, _ in plaza.near.orders + plaza.far.orders}
    assert limits == {("ALT-USDT", BUY): 104, ("ALT-USDT.far", SELL): 105}


def test_it_sells_only_what_it_has_there_and_pays_only_with_what_it_has_there():
    plaza = two_venues(money=200 * UNIT, coins=300 * 10)
    books(plaza, near=(99, 100), far=(105, 106))
    plaza.agent("cross-venue-arbitrageur", rebalance=None, **CROSS)
    plaza.seconds(10)
    assert plaza.rejections == []
    assert 190 <= plaza.bought("ALT-USDT") <= 200
    assert plaza.near.balance("USDT") >= 0
    plaza.markets["ALT-USDT"].set([(99, 1_000)], [(100, 1_000)])
    plaza.near.add("USDT", 10_000 * UNIT)
    plaza.seconds(20)
    assert plaza.bought("ALT-USDT") == 300  # then the coins on the far side were gone
    assert plaza.far.balance("ALT") == 0


def test_without_stock_it_says_so_once():
    plaza = two_venues(money=0)
    books(plaza, near=(99, 100), far=(105, 106))
    plaza.agent("cross-venue-arbitrageur", **{**CROSS, "rebalance": None})
    plaza.seconds(20)
    assert plaza.notes == [("arbitrage_ran_out", 50_000, "ppm")]
    assert plaza.fills == []


def test_it_takes_no_more_than_it_dares_behind_the_touch():
    plaza = two_venues()
    plaza.markets["ALT-USDT"].set([], [(100, 10), (101, 1_000)])
    plaza.markets["ALT-USDT.far"].set([(110, 8), (109, 1_000)])
    plaza.agent("cross-venue-arbitrageur", **{**CROSS, "reach": 3.0})
    plaza.seconds(0.6)
    assert plaza.bought("ALT-USDT") == 24


def test_transfers_even_out_what_trading_made_uneven_until_they_are_halted():
    plaza = two_venues(money=1_000 * UNIT, coins=10_000)
    books(plaza, near=(99, 100), far=(105, 106))
    plaza.agent("cross-venue-arbitrageur", **{**CROSS, "rebalance": "2m"})
    plaza.seconds(60)
    assert plaza.near.balance("USDT") < 20 * UNIT
    plaza.seconds(121)
    assert [(to, asset) for _, to, asset, _ in plaza.near.sent + plaza.far.sent] == [("far", "ALT"), ("near", "USDT")]
    plaza.seconds(182)
    assert plaza.near.balance("USDT") + plaza.near.balance("ALT") > 0
    more = plaza.bought("ALT-USDT")
    books(plaza, near=(99, 100), far=(105, 106))
    plaza.seconds(200)
    assert plaza.bought("ALT-USDT") > more
    for place in (plaza.near, plaza.far):
        place.halted = {"ALT", "USDT"}
    books(plaza, near=(99, 100), far=(105, 106))
    sent = len(plaza.near.sent + plaza.far.sent)
    plaza.seconds(2_000)
    books(plaza, near=(99, 100), far=(105, 106))
    plaza.seconds(4_000)
    assert len(plaza.near.sent + plaza.far.sent) == sent
    assert plaza.markets["ALT-USDT"].sides[SELL]  # the gap stays
    assert plaza.notes[-1][0] == "arbitrage_ran_out"


@pytest.mark.parametrize("silent", ["ALT-USDT", "ALT-USDT.far"])
def test_no_feed_and_empty_sides_are_states_like_any_other(silent):
    plaza = two_venues()
    plaza.agent("cross-venue-arbitrageur", **CROSS)
    plaza.seconds(1)
    plaza.markets[silent].silent = True
    plaza.seconds(2)
    plaza.markets[silent].silent = False
    for near, far in [((None, 100), (None, 90)), ((100, None), (110, None)), ((None, None), (1, None))]:
        books(plaza, near=near, far=far)
        plaza.seconds(plaza.clock.now / NS_PER_S + 2)
    assert plaza.fills == []


def test_a_leg_that_found_nobody_is_evened_out():
    plaza = two_venues(latency_ms=20)
    books(plaza, near=(99, 100), far=(105, 106))
    agent = plaza.agent("cross-venue-arbitrageur", **CROSS)
    while not agent._tickets:
        plaza.seconds(plaza.clock.now / NS_PER_S + 0.01)
    books(plaza, near=(99, 100), far=(98, 101))  # the bid is gone before the order arrives
    plaza.seconds(10)
    assert plaza.bought("ALT-USDT") + plaza.bought("ALT-USDT.far") == 0
    assert tuple(fill[2] for fill in plaza.fills[:2]) == (BUY, SELL)
    assert plaza.fills[-1][5] == Purpose.HEDGE
    assert plaza.fills[-1][4] == 99  # the better of the two bids


def test_one_order_a_leg_until_its_end_is_known():
    plaza = two_venues(latency_ms=400)
    books(plaza, near=(99, 100), far=(105, 106))
    plaza.agent("cross-venue-arbitrageur", **{**CROSS, "poll": "100ms", "reach": 0.1})
    plaza.seconds(0.85)
    assert (len(plaza.near.orders), len(plaza.far.orders)) == (1, 1)
    plaza.seconds(1.8)
    assert (len(plaza.near.orders), len(plaza.far.orders)) == (2, 2)


def test_after_a_rejection_it_waits():
    plaza = two_venues()
    plaza.near.refusal = plaza.far.refusal = Reason.HALTED
    books(plaza, near=(99, 100), far=(105, 106))
    plaza.agent("cross-venue-arbitrageur", **{**CROSS, "retry": "10s"})
    plaza.seconds(9)
    assert len(plaza.rejections) == 2
    plaza.near.refusal = plaza.far.refusal = None
    plaza.seconds(12)
    assert plaza.bought("ALT-USDT") > 0


def test_many_pairs_share_one_account():
    plaza = two_venues(money=1_500 * UNIT)
    names = []
    for number in range(6):
        base = f"C{number}"
        for place in (plaza.near, plaza.far):
            place.held[base] = 100_000
        plaza.market(f"{base}-USDT", "near", base=base).set([], [(100, 1_000)])
        plaza.market(f"{base}-USDT.far", "far", base=base).set([(110, 1_000)])
        names.append({"instrument": f"{base}-USDT", "other": f"{base}-USDT.far"})
    values = {**CROSS, "instrument": "C0-USDT", "other": None, "pairs": names, "rebalance": None}
    agent = plaza.agent("cross-venue-arbitrageur", **values)
    assert len(agent.params.uses()) == 12
    plaza.seconds(0.6)
    assert plaza.rejections == []  # money promised to one pair is not promised to the next
    assert plaza.near.balance("USDT") >= 0
    assert 1_300 < sum(plaza.bought(pair["instrument"]) for pair in names) <= 1_500
    assert not any(agent._kept.values())


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"other": None}, "pairs"),
        ({"other": "ALT-USDT"}, "itself"),
        ({"pairs": [{"instrument": "ALT-USDT.far", "other": "ALT-USDT"}]}, "twice"),
        ({"other": None, "pairs": [{"instrument": "A", "other": "B"}]}, "none of the pairs"),
        ({"threshold": -0.1}, "threshold"),
        ({"max_order": 0.0}, "max_order"),
        ({"low": 1.5}, "low"),
        ({"slippage": 0.0}, "slippage"),
    ],
)
def test_nonsense_is_refused(bad, word):
    with pytest.raises(ValueError, match=word):
        Plaza().params("cross-venue-arbitrageur", **{**CROSS, **bad})


def test_pairs_that_do_not_belong_together_are_refused():
    plaza = two_venues()
    plaza.market("ALT-USDT.twin", "near")
    plaza.market("ETH-USDT", "far", base="ETH")
    plaza.market("ALT-PERP", "far", kind="perpetual")
    for other, word in [("ALT-USDT.twin", "two venues"), ("ETH-USDT", "one base"), ("ALT-PERP", "perpetual")]:
        with pytest.raises(InputError, match=word):
            plaza.agent("cross-venue-arbitrageur", **{**CROSS, "other": other})
    for other, word in [("ALT-USDT.twin", "perpetual"), ("ALT-PERP", "one account")]:
        with pytest.raises(InputError, match=word):
            plaza.agent("basis-arbitrageur", **{**BASIS, "other": other})


levels = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 400)), max_size=4)


def sorted_books(market, bids, asks):
    market.set(sorted(bids, reverse=True), sorted(asks))


@settings(deadline=None)
@given(
    st.lists(st.tuples(levels, levels, levels, levels), min_size=1, max_size=4),
    st.integers(0, 500 * UNIT),
    st.integers(0, 5_000),
    st.sampled_from([0.0, 0.0004, 0.02]),
    st.sampled_from([10, 30]),
)
def test_whatever_the_books_it_never_overdraws_nor_loses_on_legs_that_both_fill(states, money, coins, fee, per_lot):
    plaza = Plaza()
    plaza.near, plaza.far = (plaza.venue(name, USDT=money, ALT=coins) for name in ("near", "far"))
    near = plaza.market("ALT-USDT", "near", fee=fee)
    far = plaza.market("ALT-USDT.far", "far", fee=fee, per_lot=per_lot)
    agent = plaza.agent("cross-venue-arbitrageur", **{**CROSS, "max_order": 200.0, "rebalance": "30s"})
    for number, (near_bids, near_asks, far_bids, far_asks) in enumerate(states):
        sorted_books(near, near_bids, near_asks)
        sorted_books(far, far_bids, far_asks)
        plaza.seconds(20 * (number + 1))
    near.set()
    far.set()
    plaza.seconds(20 * len(states) + 200)
    assert plaza.rejections == []
    for place in (plaza.near, plaza.far):
        assert min(place.held.values()) >= -plaza.near.markets[0].spec.taker_fee * 1e9  # a fee at most
    net = plaza.bought("ALT-USDT") * 10 + plaza.bought("ALT-USDT.far") * per_lot
    assert plaza.total("ALT") == 2 * coins + net
    assert agent._pairs[0].first.net + agent._pairs[0].second.net == net
    assert not agent._tickets
    assert not any(agent._kept.values())
    hedges = [fill for fill in plaza.fills if fill[5] == Purpose.HEDGE]
    if not hedges and not net:
        assert plaza.total("USDT") >= 2 * money


# --- basis --------------------------------------------------------------------------------------------------------


def test_a_cheap_perpetual_is_bought_against_spot():
    plaza = one_venue()
    plaza.spot.set([(100, 1_000)], [(101, 1_000)])
    plaza.perp.set([(96, 1_000)], [(97, 1_000)])
    plaza.agent("basis-arbitrageur", **BASIS)
    plaza.seconds(0.6)
    assert (plaza.bought("ALT-PERP"), plaza.bought("ALT-USDT")) == (1_000, -1_000)
    assert plaza.near.balance("ALT") == -10_000  # borrowed


def test_a_dear_one_is_sold_and_the_position_closed_when_the_gap_is():
    plaza = one_venue()
    plaza.spot.set([(99, 10_000)], [(100, 10_000)])
    plaza.perp.set([(103, 10_000)], [(104, 10_000)])
    plaza.agent("basis-arbitrageur", **BASIS)
    plaza.seconds(20)
    assert (plaza.bought("ALT-PERP"), plaza.bought("ALT-USDT")) == (-4_854, 4_854)  # 5,000 USDT at 103 ticks
    plaza.perp.set([(99, 10_000)], [(100, 10_000)])
    plaza.seconds(40)
    assert plaza.bought("ALT-PERP") == -4_854  # closing would lose the spread
    plaza.perp.set([(98, 10_000)], [(99, 10_000)])
    plaza.seconds(60)
    assert (plaza.bought("ALT-PERP"), plaza.bought("ALT-USDT")) == (0, 0)
    assert plaza.near.balance("USDT") > 10_000 * UNIT


def test_below_its_margin_level_it_only_closes():
    plaza = one_venue()
    plaza.near.level_ppm = 1_500_000
    plaza.spot.set([(99, 10_000)], [(100, 10_000)])
    plaza.perp.set([(103, 10_000)], [(104, 10_000)])
    plaza.agent("basis-arbitrageur", **BASIS)
    plaza.seconds(5)
    assert plaza.fills == []
    plaza.near.level_ppm = 3_000_000
    plaza.seconds(10)
    assert plaza.bought("ALT-PERP") < 0
    plaza.near.level_ppm = 1_500_000
    plaza.perp.set([(96, 10_000)], [(97, 10_000)])
    plaza.seconds(60)
    assert plaza.bought("ALT-PERP") == 0
    plaza.near.in_liquidation = True
    plaza.near.level_ppm = None
    plaza.seconds(70)
    assert plaza.bought("ALT-PERP") == 0


def test_what_deleveraging_took_off_it_is_evened_out():
    plaza = one_venue()
    plaza.spot.set([(100, 10_000)], [(101, 10_000)])
    plaza.perp.set([(100, 10_000)], [(101, 10_000)])
    plaza.near.held["ALT"] = 10_000
    perp = plaza.perp.spec.instrument_id
    plaza.near.contracts[perp] = -1_000
    values = {**BASIS, "contracts": {"ALT-PERP": -1_000.0}, "balances": {"ALT": 1_000.0}}
    plaza.agent("basis-arbitrageur", **values)
    plaza.seconds(10)
    assert plaza.fills == []
    plaza.near.contracts[perp] = -400
    plaza.near.level_ppm = 1_200_000
    plaza.perp.set([(101, 10_000)], [(102, 10_000)])
    plaza.seconds(20)
    assert plaza.bought("ALT-USDT") == -600  # no new contracts at this margin level: the coins go
    assert plaza.near.balance("ALT") == 4_000
    plaza.near.contracts[perp] = -100
    plaza.near.level_ppm = None
    plaza.perp.set([(102, 10_000)], [(103, 10_000)])
    plaza.spot.set([(100, 10_000)], [(102, 10_000)])
    plaza.seconds(30)
    assert plaza.near.contracts[perp] == -400
    assert {fill[5] for fill in plaza.fills} == {Purpose.HEDGE}


def test_an_account_state_older_than_its_own_trades_counts_for_nothing():
    plaza = one_venue()
    plaza.spot.set([(99, 10_000)], [(100, 10_000)])
    plaza.perp.set([(103, 10_000)], [(104, 10_000)])
    agent = plaza.agent("basis-arbitrageur", **{**BASIS, "max_position": 500.0})
    while not agent._tickets:
        plaza.seconds(plaza.clock.now / NS_PER_S + 0.001)
    plaza.seconds(plaza.clock.now / NS_PER_S + 0.001)
    plaza.near.tell_once()  # sent after its last look and before its orders traded
    plaza.seconds(30)
    assert (plaza.bought("ALT-PERP"), plaza.bought("ALT-USDT")) == (-485, 485)
    assert not [fill for fill in plaza.fills if fill[5] == Purpose.HEDGE]


@pytest.mark.parametrize(("bad", "word"), [({"margin": False}, "margin"), ({"exit": 0.02}, "exit")])
def test_a_basis_trade_needs_margin_and_sense(bad, word):
    with pytest.raises(ValueError, match=word):
        Plaza().params("basis-arbitrageur", **{**BASIS, **bad})


@settings(deadline=None)
@given(st.lists(st.tuples(levels, levels, levels, levels), min_size=1, max_size=5), st.integers(50, 400))
def test_its_position_stays_within_bounds_and_matches_the_exchange(states, most):
    plaza = one_venue()
    agent = plaza.agent("basis-arbitrageur", **{**BASIS, "max_position": float(most), "max_order": 100.0})
    for number, (spot_bids, spot_asks, perp_bids, perp_asks) in enumerate(states):
        sorted_books(plaza.spot, spot_bids, spot_asks)
        sorted_books(plaza.perp, perp_bids, perp_asks)
        plaza.seconds(20 * (number + 1))
    plaza.spot.set([(100, 10**6)], [(100, 10**6)])
    plaza.perp.set([(100, 10**6)], [(100, 10**6)])
    plaza.seconds(20 * len(states) + 400)
    spot, perp = agent._pairs[0].legs
    assert perp.net == plaza.near.contracts.get(perp.instrument_id, 0) * 10
    assert spot.net == plaza.near.balance("ALT")
    assert spot.net + perp.net == 0
    assert not agent._tickets
