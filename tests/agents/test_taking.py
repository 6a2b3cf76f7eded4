"""Immediate orders one at a time."""

import pytest

from lobsim.agents.taking import Taker, affordable_lots, cost_quanta
from lobsim.events import EventKind, Purpose, Reason, Side
from lobsim.units import NS_PER_S
from tests.agents.plaza import UNIT, Plaza

BUY, SELL = Side.BUY, Side.SELL


class Bench(Plaza):
    def __init__(self, **held):
        super().__init__(latency_ms=100)
        self.home = self.venue("home", **{"USDT": 1_000 * UNIT, "ALT": 10_000, **held})
        self.book = self.market("ALT-USDT", "home")
        self.other = self.market("ETH-USDT", "home", base="ETH")
        self.got = []
        self.taker = Taker(self.home, self.clock, 5 * NS_PER_S, lambda *fill: self.got.append(fill))

    def take(self, side, lots, price, market=None):
        self.taker.send((market or self.book).spec, side, lots, price, Purpose.HEDGE)


def test_it_is_ready_again_once_the_order_is_filled():
    bench = Bench()
    bench.book.set([], [(100, 5), (101, 10)])
    assert bench.taker.ready(bench.book.spec)
    bench.take(BUY, 10, 101)
    assert not bench.taker.ready(bench.book.spec)
    assert bench.taker.ready(bench.other.spec)
    bench.seconds(0.15)
    assert not bench.taker.ready(bench.book.spec)
    bench.seconds(0.2)
    assert bench.taker.ready(bench.book.spec)
    assert bench.got == [(bench.book.spec, BUY, 5, 100), (bench.book.spec, BUY, 5, 101)]
    assert bench.taker.traded_ns == NS_PER_S // 10


def test_it_is_ready_again_once_the_rest_is_cancelled():
    bench = Bench()
    bench.book.set([(100, 5)])
    bench.take(SELL, 10, 90)
    bench.seconds(0.2)
    assert bench.taker.ready(bench.book.spec)
    assert bench.got == [(bench.book.spec, SELL, 5, 100)]


def test_after_a_rejection_it_leaves_that_book_alone():
    bench = Bench(ALT=0)
    bench.take(SELL, 10, 90)
    bench.seconds(5.1)
    assert bench.rejections == [(NS_PER_S // 10, "ALT-USDT", Reason.INSUFFICIENT_FUNDS)]
    assert not bench.taker.ready(bench.book.spec)
    assert bench.taker.ready(bench.other.spec)
    bench.seconds(5.2)
    assert bench.taker.ready(bench.book.spec)


def test_reports_of_other_orders_are_not_its_own():
    """The exchange's own sales of the account's coins (a liquidation) are reported to it as well."""
    bench = Bench()
    bench.take(BUY, 10, 101)
    number = bench.book.spec.instrument_id
    sale = (EventKind.TRADE, 7, 99, 99, SELL, 90, 10, Purpose.ACCOUNT_LIQUIDATION, 1234, bench.home.account_id)
    bench.home._listener(number, [sale, (EventKind.CANCELED, 7, 1234, 1, SELL, None, 3)])
    assert not bench.taker.ready(bench.book.spec)
    assert bench.got == []
    assert bench.taker.traded_ns == -1


@pytest.mark.parametrize(("fee", "lots"), [(0.0, 10), (0.001, 9), (0.1, 9)])
def test_fees_are_part_of_what_lots_cost(fee, lots):
    spec = Bench().book.spec._replace(taker_fee=fee)
    assert affordable_lots(spec, 10_000, 100) == lots
    assert cost_quanta(spec, lots, 100) <= 10_000 < cost_quanta(spec, lots + 1, 100)
    assert affordable_lots(spec, -5, 100) == 0
