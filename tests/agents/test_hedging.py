"""Hedges on perpetuals: when, how much, one at a time, and what counts as failed."""

import pytest

from lobsim.events import Purpose, Reason, SelfTrade, Side, SubmitOrder, TimeInForce
from tests.agents.floor import Floor

NAMES = ("A-USDT", "A-PERP", "B-USDT", "B-PERP")
PAIRS = [{"instrument": "B-USDT", "reference": "B", "quote_notional": 1_000.0, "perp": "B-PERP"}]


def hedging(*names, rules=None, hedge=None, elsewhere=(), **values):
    """A floor with a maker that hedges above 500 quote units, five seconds old."""
    floor = Floor(*(names or NAMES), elsewhere=elsewhere)
    hedge = {"threshold": 500.0, **(hedge or {})}
    maker = floor.maker(pairs=PAIRS, perp="A-PERP", hedge=hedge, rules=rules, **values)
    floor.live(5)
    hedges(floor)
    return floor, maker


def hedges(floor, gateway=None):
    """(instrument, order) of hedge orders since the last time."""
    return [
        (name, command)
        for _, name, commands in floor.take(gateway)
        for command in commands
        if isinstance(command, SubmitOrder) and command.purpose == Purpose.HEDGE
    ]


@pytest.mark.parametrize(
    ("side", "lots", "sent"),
    [
        (Side.BUY, 5_000, None),  # 50 of A at 10.0 are the threshold
        (Side.BUY, 5_001, (Side.SELL, 5_001, 98)),  # best bid 99 less 1 %
        (Side.SELL, 5_000, None),
        (Side.SELL, 5_100, (Side.BUY, 5_100, 102)),
    ],
)
def test_it_hedges_the_net_inventory_above_the_threshold(side, lots, sent):
    floor, _ = hedging()
    floor.fill("A-USDT", side, lots)
    for name in NAMES:
        floor.show(name)
    floor.run(1)
    found = hedges(floor)
    if sent is None:
        assert found == []
        return
    ((name, order),) = found
    assert (name, order.side, order.qty, order.price) == ("A-PERP", *sent)
    assert (order.tif, order.self_trade) == (TimeInForce.IOC, SelfTrade.CANCEL_OLDEST)


def test_one_order_at_a_time_and_its_fills_end_the_need():
    floor, maker = hedging()
    floor.fill("A-USDT", Side.BUY, 6_000)
    floor.live(4)
    ((_, order),) = hedges(floor)
    floor.fill("A-PERP", Side.SELL, 500, taker_id=order.order_id)
    floor.live(3)
    assert hedges(floor) == []  # the rest is still under way
    floor.fill("A-PERP", Side.SELL, 5_500, taker_id=order.order_id)
    floor.live(3)
    assert hedges(floor) == []
    assert maker.pairs[0].underlying.qty == 0
    floor.fill("B-USDT", Side.SELL, 6_000)  # the other underlying on its own perpetual
    floor.live(2)
    ((name, order),) = hedges(floor)
    assert (name, order.side, order.qty) == ("B-PERP", Side.BUY, 6_000)


def test_a_ratio_hedges_a_share_each_time_until_the_threshold():
    floor, _ = hedging(hedge={"ratio": 0.5})
    floor.fill("A-USDT", Side.BUY, 12_000)
    sizes = []
    for _ in range(5):
        floor.live(1)
        for _, order in hedges(floor):
            sizes.append(order.qty)
            floor.fill("A-PERP", order.side, order.qty, taker_id=order.order_id)
    assert sizes == [6_000, 3_000]


def test_without_a_threshold_half_of_the_limit_is_left_alone():
    floor = Floor(*NAMES)
    floor.maker(perp="A-PERP", hedge={})
    floor.live(3)
    floor.fill("A-USDT", Side.BUY, 5_000)
    floor.live(3)
    assert hedges(floor) == []
    floor.fill("A-USDT", Side.BUY, 1)
    floor.live(3)
    assert len(hedges(floor)) == 1


@pytest.mark.parametrize("shown", [{"bid": None, "ask": None, "last": None}, {"bid": None}])
def test_with_an_empty_side_the_fair_value_is_its_limit(shown):
    floor, _ = hedging()
    floor.fill("A-USDT", Side.BUY, 6_000)
    floor.live(2, **{"A-PERP": {"ask": None, **shown}})
    ((_, order),) = hedges(floor)
    assert order.price == 99


def test_nothing_is_hedged_when_off_or_before_there_is_market_data():
    floor, _ = hedging(hedge={"enabled": False})
    floor.fill("A-USDT", Side.BUY, 9_000)
    floor.live(3)
    assert hedges(floor) == []
    floor = Floor(*NAMES)
    floor.maker(perp="A-PERP", hedge={"threshold": 1.0})
    floor.fill("A-USDT", Side.BUY, 9_000)
    for _ in range(3):
        floor.show("A-USDT")
        floor.run(1)
    assert hedges(floor) == []


@pytest.mark.parametrize(("reason", "filled", "failed"), [
    (Reason.NO_LIQUIDITY, 0, 1),
    (Reason.IOC_REST, 2_999, 1),
    (Reason.IOC_REST, 3_000, 0),
    (Reason.HALTED, 0, 1),
])  # fmt: skip
def test_less_than_half_filled_is_failed(reason, filled, failed):
    floor, maker = hedging()
    floor.fill("A-USDT", Side.BUY, 6_000)
    floor.live(1)
    ((_, order),) = hedges(floor)
    if filled:
        floor.fill("A-PERP", Side.SELL, filled, taker_id=order.order_id)
    floor.kill("A-PERP", order, reason=reason)
    assert maker.situation.failed_hedges == failed
    floor.live(2)
    assert len(hedges(floor)) == (filled < 1_000)  # it tries again, unless little is left


def test_failures_in_a_row_drive_it_away_and_a_success_starts_the_count_anew():
    floor, _ = hedging(rules={"failed_hedges": 2})

    def fail():
        ((_, order),) = hedges(floor)
        floor.kill("A-PERP", order, reason=Reason.NO_LIQUIDITY)
        floor.live(1)

    floor.fill("A-USDT", Side.BUY, 6_000)
    floor.live(1)
    fail()
    ((_, order),) = hedges(floor)
    floor.fill("A-PERP", Side.SELL, 6_000, taker_id=order.order_id)
    floor.fill("A-USDT", Side.BUY, 6_000)
    floor.live(1)
    fail()
    assert floor.notes == []
    fail()
    floor.live(1)
    assert [note[1:] for note in floor.notes] == [("maker_withdrew",), ("maker_rule_failed_hedge", 2, "orders")]


def test_after_its_return_old_failures_are_forgotten():
    rules = {"failed_hedges": 1, "return_after": "10s", "calm_window": "5s", "grace": "5s"}
    floor, _ = hedging(rules=rules)
    floor.fill("A-USDT", Side.BUY, 6_000)
    floor.live(1)
    ((_, order),) = hedges(floor)
    floor.kill("A-PERP", order, reason=Reason.NO_LIQUIDITY)
    floor.live(2)
    floor.fill("A-USDT", Side.SELL, 6_000)
    floor.live(40)
    assert floor.kinds() == ["maker_withdrew", "maker_rule_failed_hedge", "maker_returned"]


@pytest.mark.parametrize("on", [True, False])
def test_deleveraged_contracts_are_missed_and_drive_it_away(on):
    floor, maker = hedging(rules={"failed_hedges": 5} if on else {}, contracts={"A-PERP": -10.0})
    floor.fill("A-USDT", Side.BUY, 4_000)
    floor.fill("A-PERP", Side.SELL, 3_000)
    leg = maker.legs[1]
    assert (leg.start_lots, leg.lots) == (-1_000, -3_000)
    floor.state(9_000_000, contracts={1: -4_000}, adl=0)
    floor.live(2)
    assert floor.notes == []
    floor.state(9_000_000, contracts={1: -1_500}, adl=2_500)
    told = floor.clock.now
    floor.live(1)
    assert leg.lots == -500
    assert leg.underlying.qty == pytest.approx(35.0)
    assert floor.kinds() == ["maker_withdrew", "maker_rule_failed_hedge"] * on
    floor.fill("A-PERP", Side.SELL, 100, at=told)  # told late: it is in the position already
    assert leg.lots == -500
    floor.fill("A-PERP", Side.SELL, 100)
    assert leg.lots == -600


def test_a_perpetual_on_another_venue_is_traded_and_watched_there():
    floor, maker = hedging(elsewhere=("A-PERP",), rules={"margin_level": 1.5})
    floor.fill("A-USDT", Side.BUY, 6_000)
    floor.live(1)
    ((name, order),) = hedges(floor, floor.other)
    assert (name, order.owner) == ("A-PERP", floor.other.account_id)
    floor.fill("A-PERP", Side.SELL, 6_000, taker_id=order.order_id, gateway=floor.other)
    assert maker.pairs[0].underlying.qty == 0
    floor.state(9_000_000)
    floor.state(1_400_000, gateway=floor.other)
    floor.live(1)
    assert floor.kinds() == ["maker_withdrew", "maker_rule_margin_level"]


def test_an_account_that_was_taken_over_hedges_no_more():
    floor, _ = hedging()
    floor.state(900_000, in_liquidation=True)
    floor.live(1)
    floor.fill("A-USDT", Side.BUY, 6_000)
    floor.live(3)
    assert hedges(floor) == []
