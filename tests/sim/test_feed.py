"""Latency models, and feeds that show each reader what has reached it: never early, never out of order."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.sim.clock import Clock
from lobsim.sim.feed import Feed, FeedReader
from lobsim.sim.latency import ConstantLatency, DegradedLatency, LognormalLatency
from lobsim.sim.reference import Factor, ReferenceValue
from lobsim.sim.streams import Streams
from lobsim.units import NS_PER_S

YEAR_S = 365 * 86_400


class Listed:
    """Latencies from a list, remembering what was sent when."""

    def __init__(self, delays):
        self.delays = iter(delays)
        self.sent = []

    def sample(self, time_ns):
        delay = next(self.delays)
        self.sent.append((time_ns, delay))
        return delay


def test_lognormal_latency_has_the_median_and_spread_it_says():
    model = LognormalLatency(10_000_000, 0.5, Streams(1).stream("latency"))
    logs = sorted(math.log(model.sample(0)) for _ in range(10_000))
    assert abs(logs[5_000] - math.log(10_000_000)) < 0.05
    assert abs((logs[8_413] - logs[1_587]) / 2 - 0.5) < 0.03


def test_a_degraded_window_concerns_what_is_sent_inside_it():
    model = DegradedLatency(ConstantLatency(100), 1_000, 2_000, 2.5)
    assert [model.sample(time_ns) for time_ns in (999, 1_000, 1_999, 2_000)] == [100, 250, 250, 100]


def test_degraded_windows_nest():
    model = DegradedLatency(DegradedLatency(ConstantLatency(10), 0, 10, 2), 5, 15, 3)
    assert [model.sample(time_ns) for time_ns in (0, 5, 10, 15)] == [20, 60, 30, 10]


@given(
    gaps=st.lists(st.integers(0, 20), min_size=1, max_size=30),
    delays=st.lists(st.integers(0, 60), min_size=30, max_size=30),
    looks=st.lists(st.integers(0, 700), max_size=20),
    extra=st.integers(0, 10),
)
def test_a_reader_never_sees_an_item_early_or_out_of_order(gaps, delays, looks, extra):
    """Naively: item n arrives when its own and all earlier travel times are over; a look shows the last arrived."""
    published = [(sum(gaps[: number + 1]), number) for number in range(len(gaps))]
    arrivals = []
    for (time_ns, _), delay in zip(published, delays, strict=False):
        arrivals.append(max([time_ns + delay + extra, *arrivals[-1:]]))
    feed, reader = Feed(), None
    reader = FeedReader(feed, Listed(delays), extra)
    pending = list(published)
    for now in sorted(looks):
        while pending and pending[0][0] <= now:
            feed.publish(*pending.pop(0))
        arrived = [number for number, arrival in enumerate(arrivals) if arrival <= now]
        assert reader.latest(now) == (arrived[-1] if arrived else None)


def test_latency_is_drawn_once_per_item_for_the_moment_it_was_sent():
    feed, latency = Feed(), Listed([5, 5, 5])
    reader = FeedReader(feed, latency)
    for time_ns in (10, 20, 30):
        feed.publish(time_ns, time_ns)
    for now in range(12, 50):
        reader.latest(now)
    assert latency.sent == [(10, 5), (20, 5), (30, 5)]


def test_after_a_long_silence_one_look_catches_up():
    feed = Feed()
    reader = FeedReader(feed, ConstantLatency(10))
    for number in range(5_000):
        feed.publish(number, number)
    assert reader.latest(4_000) == 3_990
    assert reader.latest(10**6) == 4_999


def test_a_reader_that_slept_through_more_than_is_kept_misses_the_oldest_only():
    feed = Feed()
    reader = FeedReader(feed, ConstantLatency(10))
    feed.publish(0, 0)
    assert reader.latest(10) == 0
    for number in range(1, 20_000):
        feed.publish(number, number)
    assert feed.first == 20_000 - 8_192
    assert len(feed.items) == 8_192
    assert reader.latest(19_000) == 18_990
    assert reader.latest(10**6) == 19_999


def test_an_item_under_way_that_is_no_longer_kept_is_skipped():
    feed = Feed()
    reader = FeedReader(feed, ConstantLatency(5_000))
    feed.publish(0, 0)
    assert reader.latest(0) is None  # its travel time is drawn now
    for number in range(1, 9_000):
        feed.publish(number, number)
    assert reader.latest(5_000) is None
    assert reader.latest(5_000 + feed.first) == feed.first  # the oldest kept
    assert reader.latest(9_000) == 4_000


def test_two_readers_do_not_disturb_each_other():
    feed = Feed()
    near, far = FeedReader(feed, ConstantLatency(1)), FeedReader(feed, ConstantLatency(100))
    feed.publish(0, "old")
    feed.publish(50, "new")
    assert [(near.latest(now), far.latest(now)) for now in (0, 1, 51, 100, 150)] == [
        (None, None),
        ("old", None),
        ("new", None),
        ("new", "old"),
        ("new", "new"),
    ]


def test_a_reference_moves_every_interval_and_jumps_at_once():
    clock, feed = Clock(), Feed()
    value = ReferenceValue(clock, "ALT", 2.0, 0.8, NS_PER_S, Streams(1).stream("reference/ALT"), feed)
    clock.run_until(NS_PER_S * 5 // 2)
    before = value.price
    value.jump(-0.25)
    assert value.price == before * 0.75
    assert [time_ns for time_ns, _ in feed.items] == [0, NS_PER_S, 2 * NS_PER_S, NS_PER_S * 5 // 2]
    assert feed.items[-1][1] == value.price
    clock.run_until(3 * NS_PER_S)
    assert abs(value.price / (before * 0.75) - 1) < 0.001


def test_a_reference_and_its_factor_come_to_rest_each_at_its_own_time():
    clock, feed = Clock(), Feed()
    factor = Factor(clock, "market", 0.5, NS_PER_S, Streams(1).stream("factor/market"), until_ns=4 * NS_PER_S)
    value = ReferenceValue(
        clock, "ALT", 2.0, 0.8, NS_PER_S, Streams(1).stream("r"), feed, [(factor, 1.0)], until_ns=2 * NS_PER_S
    )
    feed.items = []  # keep all of them
    clock.run_until(10 * NS_PER_S)
    assert [time_ns // NS_PER_S for time_ns, _ in feed.items] == [1, 1, 2, 2, 3, 4]
    value.jump(-0.5)
    assert feed.items[-1] == (10 * NS_PER_S, value.price)
    still = Feed()
    ReferenceValue(clock, "ALT", 2.0, 0.8, NS_PER_S, Streams(1).stream("r"), still, until_ns=0)
    clock.run_until(20 * NS_PER_S)
    assert len(still.items) == 1


def test_a_still_reference_is_published_once():
    clock, feed = Clock(), Feed()
    ReferenceValue(clock, "ALT", 2.0, 0.0, NS_PER_S, Streams(1).stream("r"), feed)
    clock.run_until(100 * NS_PER_S)
    assert list(feed.items) == [(0, 2.0)]


def test_a_reference_has_its_volatility_and_no_drift():
    clock, feed = Clock(), Feed()
    feed.items = []  # keep all of them
    value = ReferenceValue(clock, "ALT", 1.0, 0.8, NS_PER_S, Streams(2).stream("r"), feed)
    del value
    clock.run_until(8_000 * NS_PER_S)
    steps = [math.log(after / before) for (_, before), (_, after) in pairwise(feed.items)]
    sigma = 0.8 / math.sqrt(YEAR_S)
    assert len(steps) == 8_000
    assert abs(math.sqrt(sum(step**2 for step in steps) / len(steps)) / sigma - 1) < 0.04
    assert abs(sum(steps)) < 4 * sigma * math.sqrt(len(steps))


def test_a_step_of_a_reference_is_a_martingales():
    clock = Clock()
    value = ReferenceValue(clock, "ALT", 2.0, 300.0, NS_PER_S, Streams(1).stream("r"), Feed())
    clock.run_until(NS_PER_S)
    sigma = 300 / math.sqrt(YEAR_S)
    assert value.price == pytest.approx(2 * math.exp(sigma * Streams(1).stream("r").normal() - sigma**2 / 2), rel=1e-12)


@pytest.mark.parametrize(("price", "ticks"), [(1.0, 100), (0.014, 1), (0.0001, 1), (0.016, 2)])
def test_a_reference_in_ticks_is_at_least_one(price, ticks):
    value = ReferenceValue(Clock(), "ALT", price, 0.0, NS_PER_S, Streams(1).stream("r"), Feed())
    assert value.in_ticks(0.01).value == ticks
