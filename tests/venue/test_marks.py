"""Mark price models: before the first trade, with empty sides, and what each falls back on."""

import pytest

from lobsim.book import OrderBook
from lobsim.events import Side, TimeInForce
from lobsim.venue.marks import AverageLastMark, LastPriceMark, MidPriceMark, ReferenceMark

BUY, SELL = Side.BUY, Side.SELL


class Value:
    value = 77


class Quotes:
    """A book that is told what to look like."""

    def __init__(self):
        self.book = OrderBook()
        self.ids = iter(range(1, 10**6))

    def quote(self, bid=None, ask=None):
        for side, price in ((BUY, bid), (SELL, ask)):
            self.book.cancel_all(1 + side)
            if price is not None:
                self.book.submit(next(self.ids), side, 5, price, owner=1 + side)
        return self.book

    def trade(self, price):
        self.quote()
        self.book.submit(next(self.ids), BUY, 1, price)
        self.book.submit(next(self.ids), SELL, 1, price, tif=TimeInForce.IOC)
        return self.book


@pytest.mark.parametrize("model", [LastPriceMark(), MidPriceMark(), AverageLastMark(3)])
def test_nothing_ever_happened_means_no_mark(model):
    quotes = Quotes()
    assert model.update(quotes.book, 0) is None
    assert model.update(quotes.quote(bid=10), 1) is None
    assert model.update(quotes.quote(ask=10), 2) is None


@pytest.mark.parametrize("model", [LastPriceMark(), MidPriceMark(), AverageLastMark(3)])
def test_before_the_first_trade_the_mid_serves(model):
    assert model.update(Quotes().quote(10, 13), 0) == 11


def test_the_last_price_outlives_every_quote():
    quotes = Quotes()
    model = LastPriceMark()
    quotes.trade(40)
    assert model.update(quotes.quote(10, 12), 0) == 40
    assert model.update(quotes.quote(), 1) == 40


def test_the_mid_stands_still_while_a_side_is_empty():
    quotes = Quotes()
    model = MidPriceMark()
    quotes.trade(40)
    assert model.update(quotes.quote(bid=3), 0) == 40  # never saw a mid
    assert model.update(quotes.quote(10, 20), 1) == 15
    quotes.trade(4)
    for sides in ({"bid": 3}, {"ask": 99}, {}):
        assert model.update(quotes.quote(**sides), 2) == 15
    assert model.update(quotes.quote(1, 2), 3) == 1


def test_the_average_is_over_marks_within_the_window_and_forgets_the_rest():
    quotes = Quotes()
    model = AverageLastMark(3)
    seen = [model.update(quotes.trade(price), time_ns) for time_ns, price in enumerate((100, 90, 80, 10, 10, 10))]
    assert seen == [100, 95, 90, 60, 33, 10]
    assert model.update(quotes.book, 1_000) == 10


def test_the_average_is_rounded_down_but_is_never_0():
    quotes = Quotes()
    model = AverageLastMark(10)
    assert [model.update(quotes.trade(price), 0) for price in (2, 1)] == [2, 1]


def test_a_reference_does_not_look_at_the_book():
    quotes = Quotes()
    assert ReferenceMark(Value()).update(quotes.trade(5), 0) == 77
