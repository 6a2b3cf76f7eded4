"""Trend followers."""

from itertools import pairwise

import pytest

from lobsim.events import EventKind, Purpose, Side
from tests.agents.stage import Stage

BUY, SELL = Side.BUY, Side.SELL
SURE = {
    "capacity": 1_000.0,
    "orders": 10,
    "window": "60s",
    "threshold": 0.05,
    "threshold_sigma": 0.0,
    "delay": "0s",
    "clip": 1.0,
    "cooldown": "30s",
    "order_latency": "0s",
    "feed_latency": "0s",
}


class Street(Stage):
    """Prices told at will; a deep bid far away keeps the last price where it was put."""

    def price(self, second, ticks):
        self.seconds(second)
        self.trade(ticks)
        self.publish()

    def sent(self):
        """(second, lots) of momentum orders, sales below 0."""
        orders = [event for event in self.log.of(EventKind.ACCEPTED) if event[7] == Purpose.MOMENTUM]
        assert all(event[5] is None for event in orders)
        return [(event[1] // 10**9, -event[6] if event[4] else event[6]) for event in orders]


def followers(street, **values):
    return street.agent("momentum-sellers", "crowd", **{**SURE, **values})


def test_they_sell_all_they_have_once_the_return_is_below_their_threshold():
    street = Street()
    street.price(0, 100)
    followers(street)
    street.price(10, 96)
    street.seconds(20)
    assert street.sent() == []
    street.price(20, 95)
    street.seconds(400)
    assert [lots for _, lots in street.sent()] == [-100] * 10
    assert {second for second, _ in street.sent()} <= {20, 21}


def test_a_slow_fall_moves_nobody():
    street = Street()
    followers(street)
    for minute in range(20):
        street.price(60 * minute, 100 - 2 * minute)
    assert street.sent() == []


def test_piece_by_piece_with_rests_between():
    street = Street()
    street.price(0, 100)
    followers(street, orders=1, clip=0.5, cooldown="10s", window="30s")
    street.price(5, 90)
    street.seconds(60)
    assert [lots for _, lots in street.sent()] == [-500, -250, -125]  # then the fall is older than the window
    seconds = [second for second, _ in street.sent()]
    assert all(10 <= later - earlier <= 12 for earlier, later in pairwise(seconds))


def test_what_is_sold_is_never_more_than_the_capacity():
    street = Street()
    street.price(0, 100)
    followers(street, clip=0.3, cooldown="1s", threshold_sigma=0.5)
    for second in range(1, 300, 3):
        street.price(second, max(1, 100 - second // 3))
    lots = -sum(lots for _, lots in street.sent())
    assert 900 < lots <= 1_000


def test_they_buy_back_only_if_told_so_and_no_more_than_they_sold():
    for both_sides in (False, True):
        street = Street()
        street.price(0, 100)
        followers(street, both_sides=both_sides)
        street.price(10, 90)
        street.price(60, 90)
        street.price(100, 99)
        street.price(110, 120)
        street.seconds(200)
        bought = sum(lots for _, lots in street.sent() if lots > 0)
        assert bought == (1_000 if both_sides else 0)


def test_those_who_are_not_invested_cannot_sell():
    street = Street()
    street.price(0, 100)
    followers(street, invested=0.0, both_sides=True)
    street.price(10, 90)
    street.seconds(60)
    assert street.sent() == []
    street.price(80, 90)
    street.price(90, 99)
    street.seconds(120)
    assert sum(lots for _, lots in street.sent()) == 1_000


def test_each_has_a_threshold_and_a_delay_of_its_own():
    street = Street()
    street.price(0, 1_000)
    followers(street, threshold_sigma=0.5, delay="5s", orders=400, capacity=40_000.0, window="1h", cooldown="1h")
    street.price(1, 950)
    street.seconds(100)
    half = len(street.sent())
    assert 150 < half < 250  # the median is 5 %
    assert len({second for second, _ in street.sent()}) > 5
    street.price(110, 700)
    street.seconds(200)
    assert len(street.sent()) > 390


def test_a_return_that_came_back_meanwhile_is_left_alone():
    street = Street()
    street.price(0, 100)
    followers(street, delay="10000s", window="100h")
    street.price(10, 90)
    street.price(13, 99)
    street.seconds(50_000)
    assert street.sent() == []


def test_nothing_without_a_price_or_a_capacity():
    street = Street()
    followers(street)
    street.seconds(5)
    street.publish()
    street.seconds(100)
    assert street.log.seen == []
    street = Street()
    followers(street, capacity=0.0)
    assert street.clock._queue == []


@pytest.mark.parametrize("bad", [{"threshold": 0.0}, {"clip": 0.0}, {"invested": 1.5}, {"window": "0s"}, {"orders": 0}])
def test_nonsense_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Stage().params("momentum-sellers", **{"capacity": 1.0, **bad})
