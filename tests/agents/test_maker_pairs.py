"""Many pairs of one maker: keys and defaults, phases and pace, inventory over legs, and what a ladder always is."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lobsim.agents.market_maker import MarketMakerParams
from lobsim.errors import InputError
from lobsim.events import CancelAll, Reason, Side
from lobsim.units import NS_PER_S
from tests.agents.floor import MAKER, Floor, ladders

NAMES = ("A-USDT", "A-PERP", "B-USDT")
PAIRS = [
    {"instrument": "A-PERP", "reference": "A", "quote_notional": 500.0},
    {"instrument": "B-USDT", "reference": "B", "quote_notional": 2_000.0, "levels": 5, "requote": "4s", "k": 50.0},
]


def params(**values):
    return MarketMakerParams.model_validate({**MAKER, **values})


# --- keys -------------------------------------------------------------------------------------------------------------


def test_pairs_take_what_they_leave_out_from_the_maker_and_scale_its_limits():
    own, perp, other = params(pairs=PAIRS).pair_keys()
    assert (own.instrument, own.levels, own.max_inventory) == ("A-USDT", 3, 1_000.0)
    assert (perp.levels, perp.requote, perp.k) == (3, NS_PER_S, 100.0)
    assert (perp.inventory_unit, perp.max_inventory) == (50.0, 500.0)
    assert (other.levels, other.requote, other.k) == (5, 4 * NS_PER_S, 50.0)
    assert (other.inventory_unit, other.max_inventory) == (200.0, 2_000.0)


def test_it_uses_all_its_instruments_the_primary_one_first_and_each_once():
    made = params(pairs=[*PAIRS, {**PAIRS[1], "instrument": "C-USDT", "perp": "B-PERP"}], perp="A-PERP")
    assert made.uses() == ("A-USDT", "A-PERP", "B-USDT", "C-USDT", "B-PERP")
    assert made.references() == ("A", "B")
    assert params().uses() == ("A-USDT",)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"balances": {}}, "holdings: is missing"),
        ({"balances": {}, "holdings": [1.0]}, "leverage: is missing"),
        ({"leverage": [2.0], "debts": {"USDT": 5.0}}, "leverage: says already what it owes"),
        ({"pairs": [PAIRS[0], PAIRS[0]]}, r"pairs\[1\].instrument: A-PERP is quoted already"),
        ({"pairs": [{**PAIRS[0], "instrument": "A-USDT"}]}, r"pairs\[0\].instrument: A-USDT is quoted already"),
        ({"perp": "A-USDT"}, "perp: A-USDT cannot hedge itself"),
        ({"perp": "B-USDT", "pairs": PAIRS}, "perp: B-USDT belongs to B, not to A"),
        ({"perp": "P", "pairs": [{**PAIRS[1], "perp": "P"}]}, r"pairs\[0\].perp: P belongs to A, not to B"),
        ({"hedge": {}}, "hedge: there is no perpetual to hedge on"),
        ({"hedge": {"ratio": 0.0}, "perp": "A-PERP"}, "ratio"),
        ({"pairs": [{"instrument": "B-USDT", "reference": "B"}]}, "quote_notional"),
        ({"pairs": [{**PAIRS[0], "gama": 1.0}]}, "gama"),
        ({"obligation": 1.5}, "obligation"),
        ({"withdraw": "asks"}, "withdraw"),
        ({"requote_threshold": -0.1}, "requote_threshold"),
    ],
)
def test_nonsense_is_refused_with_the_reason(values, said):
    with pytest.raises(ValidationError, match=said):
        params(**values)


def test_a_hedge_on_a_spot_instrument_is_refused():
    floor = Floor("A-USDT", "A-SPOT")
    with pytest.raises(InputError, match="perp: A-SPOT is no perpetual"):
        floor.maker(perp="A-SPOT", hedge={})


# --- pace -------------------------------------------------------------------------------------------------------------


def moments(floor):
    found = {}
    for moment, name, _ in floor.take():
        found.setdefault(name, []).append(moment)
    return found


def test_each_pair_has_a_phase_and_a_pace_of_its_own():
    floor = Floor(*NAMES)
    floor.maker(pairs=PAIRS)
    floor.live(40)
    at = moments(floor)
    assert {name: len(times) for name, times in at.items()} == {"A-USDT": 40, "A-PERP": 40, "B-USDT": 10}
    for name, pace in (("A-USDT", 1), ("A-PERP", 1), ("B-USDT", 4)):
        assert {later - before for before, later in pairwise(at[name])} == {pace * NS_PER_S}
    assert len({times[0] % NS_PER_S for times in at.values()}) == 3


def test_the_same_seed_makes_the_same_messages_and_another_one_other_phases():
    sent = []
    for seed in (1, 1, 2):
        floor = Floor(*NAMES, seed=seed)
        floor.maker(pairs=PAIRS)
        floor.live(30)
        sent.append(floor.take())
    assert sent[0] == sent[1]
    assert sent[0][0][0] != sent[2][0][0]


def test_a_quiet_pair_is_left_alone_until_it_is_due():
    floor = Floor(*NAMES)
    floor.maker(pairs=PAIRS, requote_threshold=0.01, refresh="10s")
    floor.live(5)
    assert {name: len(times) for name, times in moments(floor).items()} == dict.fromkeys(NAMES, 1) | {"B-USDT": 1}
    floor.references["A"] = 10.09  # less than 1 %
    floor.live(2)
    assert moments(floor) == {}
    floor.references["A"] = 10.2
    floor.live(2)
    assert {name: len(times) for name, times in moments(floor).items()} == {"A-USDT": 1, "A-PERP": 1}
    floor.fill("A-PERP", Side.BUY, 10)  # a fill on one leg moves the quotes of all pairs of its underlying
    floor.live(1)
    assert set(moments(floor)) == {"A-USDT", "A-PERP"}
    floor.live(12)
    assert {name: len(times) for name, times in moments(floor).items()} == {"A-USDT": 1, "A-PERP": 1, "B-USDT": 1}


def test_a_pair_without_data_does_not_hold_up_the_others():
    floor = Floor(*NAMES)
    floor.maker(pairs=PAIRS)
    for _ in range(5):
        floor.show("B-USDT", bid=None, ask=None, last=None)
        floor.run(1)
    assert {name for _, name, _ in floor.take()} == {"B-USDT"}
    del floor.references["B"]
    floor.show("A-USDT")
    floor.run(2)
    assert {name for _, name, _ in floor.take()} == {"A-USDT"}


@pytest.mark.parametrize(
    ("reason", "silent"),
    [(Reason.MARGIN_TOO_LOW, set(NAMES)), (Reason.HALTED, {"A-USDT"}), (Reason.PRICE_BAND, set())],
)
def test_where_quotes_are_refused_it_waits(reason, silent):
    floor = Floor(*NAMES)
    floor.maker(pairs=[PAIRS[0], {**PAIRS[1], "requote": "1s"}], retry="10s")
    floor.live(3)
    order = floor.take()[-1][2][1]
    for _ in range(3):
        floor.kill("A-USDT", order, reason=reason)
    floor.live(9)
    assert {name for _, name, _ in floor.take()} == set(NAMES) - silent
    floor.live(3)
    assert {name for _, name, _ in floor.take()} == set(NAMES)


@pytest.mark.parametrize(("reason", "anew"), [(Reason.POST_ONLY_CROSSES, True), (Reason.PRICE_BAND, False)])
def test_a_refused_quote_is_sent_anew_unless_it_would_be_refused_again(reason, anew):
    floor = Floor(*NAMES)
    floor.maker(pairs=PAIRS, requote_threshold=0.01, refresh="1h", post_only=True)
    floor.live(5)
    order = floor.take()[0][2][1]
    assert order.post_only
    floor.kill("A-USDT", order, reason=reason)
    floor.live(2)
    assert {name for _, name, _ in floor.take()} == ({"A-USDT"} if anew else set())


# --- inventory --------------------------------------------------------------------------------------------------------


def test_spot_and_perpetual_of_one_reference_are_one_inventory():
    floor = Floor(*NAMES)
    maker = floor.maker(pairs=PAIRS)
    floor.live(3)
    floor.fill("A-USDT", Side.BUY, 9_000)  # 90 of A at 10.0 = 900 of a limit of 1,000
    floor.fill("A-PERP", Side.SELL, 4_000)
    floor.live(2)
    spot, perp, other = maker.pairs
    assert [pair.inventory_share for pair in (spot, perp, other)] == pytest.approx([0.5, 1.0, 0.0])
    sent = floor.take()
    assert all(ladders(sent, "A-USDT"))
    assert ladders(sent, "A-PERP")[0] == []  # beyond its own limit it only sells
    assert ladders(sent, "A-PERP")[1]


def test_inventory_knows_collateral_from_contracts_that_the_exchange_closes():
    floor = Floor(*NAMES)
    maker = floor.maker(pairs=PAIRS)
    floor.live(3)
    for name in ("A-USDT", "A-PERP"):
        floor.fill(name, Side.SELL, 100, taker_id=55, purpose=10)
    assert [pair.leg.lots for pair in maker.pairs] == [0, -100, 0]


# --- ladders ----------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    fair=st.floats(0.001, 1e5),
    held=st.floats(-2.0, 2.0),
    variance=st.floats(0, 1e-3),
    k=st.floats(1.0, 1e6),
    levels=st.integers(1, 40),
    furthest=st.floats(0.0005, 0.9),
    sizes=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    gaps=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
)
def test_a_ladder_never_crosses_itself_is_monotone_and_sums_to_its_notional(
    fair, held, variance, k, levels, furthest, sizes, gaps
):
    floor = Floor("A-USDT")
    values = {"k": k, "levels": levels, "ladder_distance": furthest, "quote_notional": 1e7, "max_inventory": 1e6}
    (pair,) = floor.maker(**values).pairs
    pair.variance = variance
    pair.leg.lots = round(held * 1e6 / fair / 0.01)
    pair.underlying.recount()
    share = pair.underlying.qty * fair / 1e6
    commands = pair.orders(fair, *sizes, *gaps)
    assert commands[0] == CancelAll(7)
    bids, asks = ladders([(0, "A-USDT", commands)], "A-USDT")
    assert [price for price, _ in bids] == sorted((price for price, _ in bids), reverse=True)
    assert [price for price, _ in asks] == sorted(price for price, _ in asks)
    if bids and asks:
        assert bids[0][0] < asks[0][0]
    assert all(price >= 1 and qty >= 1 for price, qty in bids + asks)
    for quotes, size, room in ((bids, sizes[0], 1 - share), (asks, sizes[1], 1 + share)):
        wanted = [rung.notional * size * max(0.0, min(1.0, room)) for rung in pair.rungs]
        quoted = sum(price * 0.1 * qty * 0.01 for price, qty in quotes)
        assert quoted <= sum(wanted) * (1 + 1e-9)
        if len(quotes) == levels:
            coarse = sum(price * 0.001 for price, _ in quotes)  # less than a lot is lost at each level
            assert quoted >= sum(wanted) - coarse - 1e-6 * sum(wanted)
        if room <= 0 or not size:
            assert quotes == []


def test_own_quotes_keep_a_tick_apart_where_the_grid_is_coarse():
    floor = Floor("A-USDT")
    (pair,) = floor.maker(k=1e6, ladder_distance=0.0001).pairs
    bids, asks = ladders([(0, "A-USDT", pair.orders(10.0, 1.0, 1.0, 0.0, 0.0))], "A-USDT")
    assert ({price for price, _ in bids}, {price for price, _ in asks}) == ({100}, {101})
