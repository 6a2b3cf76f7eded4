"""Dip buyers."""

import pytest

from lobsim.events import EventKind, Purpose, Side
from tests.agents.stage import Stage

BUY, SELL = Side.BUY, Side.SELL
BOLD = {
    "purse": 10_000.0,
    "orders": 20,
    "size_sigma": 0.5,
    "nearest": 0.1,
    "furthest": 0.5,
    "delay": "0s",
    "order_latency": "0s",
    "feed_latency": "0s",
}


class Street(Stage):
    def price(self, second, ticks):
        self.seconds(second)
        bids = {order_id: self.book.order(order_id) for order_id in self.book._owned.get(self.buyers, {})}
        if any(order.price >= ticks for order in bids.values()):
            self.order(self.crowd, SELL, 1, ticks)  # prints at the best bid; what matters is where the crowd bids
        else:
            self.trade(ticks)
        self.publish()

    def dips(self, **values):
        agent = self.agent("dip-buyers", "dips", **{**BOLD, **values})
        self.buyers = agent.context.crowd.account_id
        return agent

    def bids(self):
        return [event for event in self.log.of(EventKind.ACCEPTED) if event[7] == Purpose.VALUE]


def test_each_bids_where_the_price_is_low_enough_for_it_and_no_sooner():
    street = Street()
    street.tell("ALT", 100.0)
    agent = street.dips(reference="ALT")
    street.price(0, 9_100)
    street.seconds(10)
    assert street.bids() == []
    street.price(20, 7_000)
    street.seconds(30)
    bids = street.bids()
    near = [threshold for threshold in agent._thresholds if threshold <= 0.3]
    assert [event[5] for event in bids] == [int(10_000 * (1 - threshold)) for threshold in near]
    assert 2 < len(bids) < 18
    assert {event[4] for event in bids} == {BUY}


def test_all_together_spend_their_purse_and_no_more():
    street = Street()
    street.tell("ALT", 1_000.0)
    street.dips(reference="ALT", purse=1e7)
    street.price(0, 100)  # 99.9 % down
    street.seconds(60)
    bids = street.bids()
    assert len(bids) == 20
    assert 0.99e7 < sum(event[5] * event[6] / 100 for event in bids) <= 1e7
    street.tell("ALT", 100_000.0)
    street.price(90, 50)
    street.seconds(200)
    assert len(street.bids()) == 20


def test_without_a_reference_the_recent_high_counts():
    street = Street()
    street.dips(window="100s")
    street.price(0, 1_000)
    street.seconds(50)
    street.price(60, 950)
    street.seconds(110)
    street.price(210, 851)  # 10.4 % below the high of the last 100 s, 14.9 % below the older one
    street.seconds(215)
    assert all(event[5] <= 950 * 0.9 for event in street.bids())
    count = len(street.bids())
    street.price(220, 500)
    street.seconds(230)
    assert len(street.bids()) > count


def test_takers_keep_what_they_did_not_spend():
    street = Street()
    street.tell("ALT", 1.0)
    agent = street.dips(reference="ALT", rest=False, orders=1, purse=1_000.0, furthest=0.11, delay="1s")
    street.price(0, 80)
    street.order(street.pool, SELL, 100, 85)
    street.order(street.pool, SELL, 10_000, 95)
    street.seconds(60)
    assert agent._purses == [pytest.approx(1_000 - 85)]
    street.order(street.pool, SELL, 5_000, 60)
    street.seconds(120)
    assert 0 <= agent._purses[0] < 1.0
    trades = [event for event in street.log.of(EventKind.TRADE) if event[7] == Purpose.VALUE]
    assert (trades[0][5], trades[0][6]) == (85, 100)
    assert {event[5] for event in trades[1:]} == {60}
    assert sum(event[6] for event in trades[1:]) in (1_524, 1_525)
    assert len(street.book.bids()) == 0
    street.check()


def test_they_come_late_each_with_a_delay_of_its_own():
    street = Street()
    street.tell("ALT", 1.0)
    street.dips(reference="ALT", delay="20s", orders=200, furthest=0.2)
    street.price(0, 50)
    street.seconds(400)
    seconds = [event[1] / 10**9 for event in street.bids()]
    assert len(seconds) == 200
    assert 16 < sum(seconds) / 200 < 25


def test_the_careful_wait_until_the_fall_has_stopped():
    street = Street()
    street.tell("ALT", 1.0)
    street.dips(reference="ALT", wake="60s")
    for second in range(0, 200, 10):
        street.price(second, 60 - second // 10)
    street.price(200, 60)
    street.seconds(249)
    assert street.bids() == []  # the last new low was at 190 s
    street.seconds(260)
    assert len(street.bids()) > 5


def test_a_dip_that_is_over_brings_nobody_but_the_next_one_does():
    street = Street()
    street.tell("ALT", 1.0)
    street.dips(reference="ALT", wake="60s")
    street.price(0, 45)
    street.price(30, 100)
    street.seconds(300)
    assert street.bids() == []
    street.price(300, 50)
    street.seconds(359)
    assert street.bids() == []  # a new fall, whose end is awaited anew
    street.seconds(400)
    assert len(street.bids()) == 20


def test_nothing_without_price_reference_or_money():
    street = Street()
    street.tell("ALT", 1.0)
    street.dips(reference="ALT", feed_latency="50s")
    street.seconds(5)
    street.publish()
    street.seconds(100)
    assert street.log.seen == []
    street = Street()
    street.dips(purse=0.0)
    assert street.clock._queue == []


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match=r"nearest \(0.5\) must be smaller than furthest \(0.5\)"):
        Stage().params("dip-buyers", purse=1.0, nearest=0.5, furthest=0.5)
