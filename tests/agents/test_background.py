"""Background flow: rates, distances, lives and clustering as its parameters say."""

import math

import pytest

from lobsim.events import EventKind, Purpose, Side
from lobsim.units import NS_PER_S
from tests.agents.stage import Stage

BUY, SELL = Side.BUY, Side.SELL
FLOW = {
    "limit_rate": 5.0,
    "limit_qty": 20.0,
    "lifetime": "10s",
    "market_rate": 2.0,
    "market_qty": 3.0,
    "order_latency": "0s",
    "feed_latency": "0s",
}


def walls(stage, spread=(9_900, 10_100), qty=10**9):
    """Quotes that nothing moves, so that distances can be measured from them."""
    for side, price in zip((BUY, SELL), spread, strict=True):
        stage.order(stage.pool, side, qty, price)
    stage.publish()


def run(seconds, seed=1, **values):
    stage = Stage(seed=seed)
    walls(stage)
    stage.agent("background", "crowd", **{**FLOW, **values})
    stage.seconds(seconds)
    accepted = [e for e in stage.log.of(EventKind.ACCEPTED) if e[3] == stage.crowd]
    return stage, [e for e in accepted if e[5] is not None], [e for e in accepted if e[5] is None]


def near(count, expected, deviations=5):
    return abs(count - expected) < deviations * math.sqrt(expected)


def test_rates_sides_and_sizes():
    _, limits, markets = run(1_000)
    for side in Side:
        assert near(sum(e[4] == side for e in limits), 5_000)
        assert near(sum(e[4] == side for e in markets), 1_000)
    assert abs(sum(e[6] for e in limits) / len(limits) - 19.5) < 1.5  # rounded down to lots, at least one
    assert all(e[7] == Purpose.NOISE for e in limits + markets)


def test_distances_from_the_opposite_best_follow_the_power_law():
    _, limits, _ = run(1_000, distance_exponent=0.67, max_distance=0.1)
    for side in Side:
        anchor = 9_900 if side else 10_100
        distances = [abs(e[5] - anchor) / anchor for e in limits if e[4] == side]
        assert all(e[5] > 9_900 if side else e[5] < 10_100 for e in limits if e[4] == side)
        assert max(distances) <= 0.1 + 1e-4
        for part in (0.05, 0.2, 0.5, 0.8):
            expected = part**0.67
            share = sum(distance <= part * 0.1 for distance in distances) / len(distances)
            assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / len(distances)) + 0.002


def test_orders_are_cancelled_after_an_exponential_life():
    stage, limits, _ = run(600, market_rate=0.0, lifetime="10s")
    born = {e[2]: e[1] for e in limits}
    cancels = stage.log.of(EventKind.CANCELED) + stage.log.of(EventKind.CANCEL_REJECTED)  # traded meanwhile: too late
    lives = [(e[1] - born[e[2]]) / NS_PER_S for e in cancels]
    old = [e for e in limits if e[1] < 500 * NS_PER_S]
    assert len(lives) >= len(old)
    assert abs(sum(lives) / len(lives) - 10) < 0.6
    assert abs(sum(life > 10 for life in lives) / len(lives) - math.exp(-1)) < 0.04


@pytest.mark.parametrize("branching", [0.0, 0.5, 0.8])
def test_clustering_has_its_branching_ratio(branching):
    """Hawkes with branching n: rate mu / (1 - n); variance over mean of counts in long windows 1 / (1 - n)^2."""
    _, _, markets = run(
        4_000, limit_rate=0.001, market_rate=2.0 * (1 - branching), clustering=branching, clustering_decay="1s"
    )
    assert abs(len(markets) / 4_000 / 2.0 - 1) < 0.13
    window = 40
    counts = [0] * (4_000 // window)
    for event in markets:
        counts[min(len(counts) - 1, event[1] // NS_PER_S // window)] += 1
    mean = sum(counts) / len(counts)
    dispersion = sum((count - mean) ** 2 for count in counts) / (len(counts) - 1) / mean
    expected = 1 / (1 - branching) ** 2
    assert 0.55 * expected < dispersion < 1.6 * expected


def test_an_empty_side_is_quoted_from_what_is_known():
    stage = Stage()
    stage.trade(5_000)
    stage.publish()
    stage.agent("background", "crowd", **{**FLOW, "market_rate": 0.0})
    stage.seconds(20)
    prices = {side: [e[5] for e in stage.log.of(EventKind.ACCEPTED) if e[4] == side] for side in Side}
    assert all(4_750 <= price < 5_000 for price in prices[BUY][2:])
    assert all(5_000 <= price <= 5_250 for price in prices[SELL][2:])


def test_before_market_data_arrives_only_market_orders_come_and_find_nobody():
    stage = Stage()
    stage.agent("background", "crowd", **FLOW)
    stage.seconds(30)
    accepted = stage.log.of(EventKind.ACCEPTED)
    assert accepted
    assert all(event[5] is None for event in accepted)
    assert len(stage.log.of(EventKind.CANCELED)) == len(accepted)


def test_draws_do_not_depend_on_what_the_market_shows():
    """Sides, sizes and times of arrival are those of the stream, whatever the prices are."""

    def flow(spread):
        stage = Stage()
        walls(stage, spread)
        stage.agent("background", "crowd", **FLOW)
        stage.seconds(60)
        accepted = [e for e in stage.log.of(EventKind.ACCEPTED) if e[3] == stage.crowd]
        return [(e[1], e[4], e[6], e[5] is None) for e in accepted]

    assert flow((9_900, 10_100)) == flow((400, 20_000))


def test_it_sees_the_market_as_late_as_its_messages_say():
    stage = Stage()
    walls(stage, (9_900, 10_100))
    stage.agent("background", "crowd", **{**FLOW, "market_rate": 0.0, "order_latency": "3s", "feed_latency": "2s"})
    stage.seconds(4.99)
    assert [e for e in stage.log.of(EventKind.ACCEPTED) if e[3] == stage.crowd] == []
    stage.seconds(10)
    assert [e for e in stage.log.of(EventKind.ACCEPTED) if e[3] == stage.crowd]
