"""Each rule at its edge, its own switch, and what leaving and coming back mean on many pairs."""

import pytest
from pydantic import ValidationError

from lobsim.agents.withdrawal import Situation, WithdrawalParams, calm_enough, withdrawal_rules
from lobsim.events import Side
from lobsim.units import NS_PER_S
from tests.agents.floor import Floor, cancels, ladders

NAMES = ("A-USDT", "B-USDT", "C-USDT", "D-USDT")
PAIRS = [{"instrument": name, "reference": name[0], "quote_notional": 1_000.0} for name in NAMES[1:]]
ALL_OFF = {"volatility_ratio": False, "margin_level": False}


def rule(pairs=1, **keys):
    (only,) = withdrawal_rules(WithdrawalParams.model_validate({**ALL_OFF, **keys}), pairs)
    return only


def seen(**values):
    situation = Situation(10)
    for name, value in values.items():
        setattr(situation, name, value)
    return situation


@pytest.mark.parametrize(
    ("keys", "name", "field", "quiet", "fires", "unit"),
    [
        ({"margin_level": 1.5}, "margin_level", "level_ppm", (None, 1_500_000, 10**9), (1_499_999, 0, -5), "ppm"),
        ({"stale_feed": "5s"}, "stale_feed", "feed_age_ns", (0, 5 * NS_PER_S), (5 * NS_PER_S + 1,), "ns"),
        ({"volatility_ratio": 3.0}, "volatility", "alarmed_pairs", (0, 4), (5, 10), "pairs"),
        ({"inventory": 1.25}, "inventory", "inventory", (0.0, 1.25), (1.2500001, 9.0), "ppm"),
        ({"failed_hedges": 3}, "failed_hedge", "failed_hedges", (0, 2), (3, 4), "orders"),
        ({"failed_hedges": 3}, "failed_hedge", "deleveraged", (False,), (True,), "orders"),
    ],
)
def test_a_rule_fires_just_beyond_its_edge(keys, name, field, quiet, fires, unit):
    it = rule(10, **keys)
    assert it.name == name
    assert [it.fires(seen(**{field: value})) for value in quiet] == [False] * len(quiet)
    assert [it.fires(seen(**{field: value})) for value in fires] == [True] * len(fires)
    assert it.seen(seen(**{field: fires[0]}))[1] == unit


@pytest.mark.parametrize(
    ("share", "pairs", "needed"), [(0.5, 1, 1), (0.0, 9, 1), (0.5, 35, 18), (1.0, 35, 35), (0.07, 100, 7), (0.3, 10, 3)]
)
def test_shares_of_the_pairs_are_rounded_up_and_at_least_one(share, pairs, needed):
    it = rule(pairs, volatility_ratio=3.0, volatility_pairs=share)
    assert [it.fires(seen(alarmed_pairs=count)) for count in (needed - 1, needed)] == [False, True]
    assert [calm_enough(count, pairs, share) for count in (needed - 1, needed)] == [False, True]


def test_every_rule_is_a_switch_of_its_own():
    on = {"margin_level": 1.5, "stale_feed": "5s", "volatility_ratio": 8.0, "inventory": 2.0, "failed_hedges": 1}
    every = [it.name for it in withdrawal_rules(WithdrawalParams.model_validate(on), 3)]
    assert len(every) == 5
    for key in on:
        left = withdrawal_rules(WithdrawalParams.model_validate({**on, key: False}), 3)
        assert [it.name for it in left] == [name for name in every if not key.startswith(name)]
    assert [it.name for it in withdrawal_rules(WithdrawalParams(), 3)] == ["margin_level", "volatility"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("margin_level", True),
        ("margin_level", 0),
        ("margin_level", "1.5"),
        ("stale_feed", 5),
        ("stale_feed", "0s"),
        ("inventory", -1.0),
        ("failed_hedges", 0),
        ("failed_hedges", 1.5),
        ("volatility_pairs", 1.1),
        ("calm_pairs", False),
    ],
)
def test_nonsense_is_refused(key, value):
    with pytest.raises(ValidationError, match=key):
        WithdrawalParams.model_validate({key: value})


# --- leaving ----------------------------------------------------------------------------------------------------------


def test_the_margin_rule_empties_all_pairs_at_one_moment():
    floor = Floor(*NAMES)
    floor.maker(pairs=PAIRS, rules={"margin_level": 1.5})
    floor.state(1_500_000)
    floor.live(5)
    assert floor.notes == []
    floor.state(1_499_999)
    floor.take()
    floor.live(1)
    sent = floor.take()
    gone = [entry for entry in sent if len(entry[2]) == 1]
    assert sorted(cancels(sent)) == [(name, None) for name in NAMES]
    assert len({moment for moment, _, _ in gone}) == 1
    assert floor.notes == [
        (gone[0][0], "maker_withdrew"),
        (gone[0][0], "maker_rule_margin_level", 1_499_999, "ppm"),
    ]
    floor.live(10)
    assert floor.take() == []


@pytest.mark.parametrize(("falling", "leaves"), [(1, False), (2, True)])
def test_volatility_is_judged_over_the_share_of_pairs_in_alarm(falling, leaves):
    floor = Floor(*NAMES)
    rules = {"volatility_ratio": 3.0, "volatility_spread": 0.0, "volatility_pairs": 0.5}
    floor.maker(pairs=PAIRS, rules=rules)
    floor.live(150)
    assert floor.notes == []
    floor.live(3, **{name: {"bid": 74, "ask": 76, "last": 75} for name in NAMES[:falling]})
    assert floor.kinds() == ["maker_withdrew", "maker_rule_volatility"] * leaves
    if leaves:
        assert floor.notes[1][2:] == (2, "pairs")


def test_an_alarm_that_is_over_no_longer_counts():
    floor = Floor(*NAMES)
    rules = {"volatility_ratio": 3.0, "volatility_spread": 0.0, "volatility_pairs": 0.5, "volatility_window": "10s"}
    maker = floor.maker(pairs=PAIRS, rules=rules)
    floor.live(150)
    for name in NAMES:  # one after the other, never two at a time
        floor.live(3, **{name: {"bid": 79, "ask": 81, "last": 80}})
        assert maker.situation.alarmed_pairs == 1
        floor.live(15)
    assert maker.situation.alarmed_pairs == 0
    assert floor.notes == []


@pytest.mark.parametrize("elsewhere", [(), ("D-USDT",)])
def test_a_feed_is_stale_when_nothing_at_all_comes_from_a_venue(elsewhere):
    floor = Floor(*NAMES, elsewhere=elsewhere)
    floor.maker(pairs=PAIRS, rules={"stale_feed": "3s"})
    floor.live(5)
    for _ in range(8):  # one quiet pair is none; a silent venue is
        floor.show("A-USDT")
        floor.run(1)
    assert floor.kinds() == ["maker_withdrew", "maker_rule_stale_feed"] * bool(elsewhere)
    floor.run(4)
    assert floor.kinds() == ["maker_withdrew", "maker_rule_stale_feed"]


@pytest.mark.parametrize(("bought", "leaves"), [(12_500, False), (12_501, True)])
def test_inventory_beyond_a_multiple_of_its_limit(bought, leaves):
    floor = Floor(*NAMES)
    floor.maker(pairs=PAIRS, rules={"inventory": 1.25})
    floor.live(2)
    floor.fill("C-USDT", Side.BUY, bought)  # lots of 0.01 at 10.0: the limit is 10,000 lots
    floor.live(2)
    assert floor.kinds() == ["maker_withdrew", "maker_rule_inventory"] * leaves


def test_a_maker_without_withdrawal_never_leaves():
    floor = Floor(*NAMES)
    on = {"margin_level": 1.5, "stale_feed": "1s", "volatility_ratio": 1.1, "inventory": 0.1}
    floor.maker(pairs=PAIRS, rules=on, withdrawal=False)
    floor.state(1)
    floor.live(130)
    floor.fill("A-USDT", Side.BUY, 5_000)
    floor.live(3, **{"A-USDT": {"bid": 10, "ask": 20}})
    floor.run(10)
    assert floor.notes == []


# --- away -------------------------------------------------------------------------------------------------------------


def left(**values):
    """A floor whose maker left for its margin level; what it sent is forgotten."""
    floor = Floor(*NAMES)
    rules = {"margin_level": 1.5, "return_after": "30s", "calm_window": "10s", **values.pop("rules", {})}
    maker = floor.maker(pairs=PAIRS, rules=rules, **values)
    floor.live(5)
    floor.normal = ladders(floor.take(), "A-USDT")
    floor.state(1_000_000)
    floor.live(1)
    return floor, maker


def test_bids_alone_may_leave():
    floor, _ = left(withdraw="bids")
    assert sorted(cancels(floor.take())) == [(name, Side.BUY) for name in NAMES]
    floor.live(2)
    bids, asks = ladders(floor.take(), "A-USDT")
    assert bids == []
    assert asks == floor.normal[1]


@pytest.mark.parametrize("withdraw", ["both", "bids"])
def test_an_obliged_maker_keeps_a_share_of_its_quotes_further_out(withdraw):
    floor, maker = left(obligation=0.25, obligation_distance=0.05, withdraw=withdraw)
    floor.take()
    floor.live(3)
    bids, asks = ladders(floor.take(), "B-USDT")
    half = maker.pairs[0].model.half_fill_term
    for quotes, sign, share in ((bids, -1, 0.25), (asks, 1, 0.25 if withdraw == "both" else 1.0)):
        gap = 0.05 if share < 1 else 0.0
        assert quotes[0][0] == round(10 * (1 + sign * (half + gap)) / 0.1)
        total = sum(price * 0.1 * qty * 0.01 for price, qty in quotes)
        assert total == pytest.approx(share * 1_000 * 4**0.67, rel=0.01)


def test_quotes_of_an_obligation_come_at_once_however_quiet_the_market():
    floor, _ = left(obligation=0.25, requote_threshold=0.5, refresh="1h")
    floor.live(1)
    assert {name for _, name, commands in floor.take() if len(commands) > 1} == set(NAMES)


def test_an_obliged_maker_is_back_at_its_reduced_size_after_the_calm():
    floor, _ = left(obligation=0.1, rules={"return_size": 0.5})
    floor.state(9_000_000)
    floor.live(40)
    assert floor.kinds()[-1] == "maker_returned"
    bids, _ = ladders(floor.take(), "A-USDT")
    assert [price for price, _ in bids] == [price for price, _ in floor.normal[0]]
    assert all(abs(qty - normal / 2) <= 1 for (_, qty), (_, normal) in zip(bids, floor.normal[0], strict=True))


@pytest.mark.parametrize(("falling", "comes"), [(2, True), (3, False)])
def test_it_returns_to_all_pairs_when_enough_of_them_are_calm(falling, comes):
    floor, _ = left()
    floor.state(9_000_000)
    floor.take()
    price = 1000.0
    for _ in range(50):
        price *= 0.99
        last = round(price)
        floor.live(1, **{name: {"bid": last - 1, "ask": last + 1, "last": last} for name in NAMES[4 - falling :]})
    assert floor.kinds() == ["maker_withdrew", "maker_rule_margin_level", *["maker_returned"] * comes]
    assert {name for _, name, _ in floor.take()} == (set(NAMES) if comes else set())


def test_after_its_return_inventory_is_forgiven_for_the_grace_but_not_margin():
    rules = {"inventory": 0.5, "return_after": "10s", "calm_window": "10s", "grace": "20s", "margin_level": 1.5}
    floor = Floor(*NAMES)
    floor.maker(pairs=PAIRS, rules=rules)
    floor.live(2)
    floor.fill("A-USDT", Side.SELL, 5_001)
    floor.live(45)
    assert floor.kinds()[:4] == ["maker_withdrew", "maker_rule_inventory", "maker_returned", "maker_withdrew"]
    moments = [note[0] for note in floor.notes]
    assert 20 * NS_PER_S < moments[3] - moments[2] <= 21 * NS_PER_S
    floor.state(1_000_000)
    floor.live(30)
    count = len(floor.notes)
    floor.state(9_000_000)
    floor.live(2)
    floor.state(1_000_000)
    floor.live(1)
    assert floor.kinds()[count:][:3] == ["maker_returned", "maker_withdrew", "maker_rule_margin_level"]
