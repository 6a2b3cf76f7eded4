"""Marks that look beyond the own book: the outlier rule to the tick, and what each falls back on."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.book import OrderBook
from lobsim.credit import Ledger
from lobsim.errors import InputError
from lobsim.events import Side, TimeInForce
from lobsim.units import NS_PER_S
from lobsim.venue.market import Market
from lobsim.venue.marks import (
    ConstantMark,
    ConversionMark,
    IndexMark,
    LastPriceMark,
    PerpetualMark,
    RedemptionFloorMark,
    fixed_rate,
)
from lobsim.venue.ports import MarketView

TICK = Decimal("0.01")


class Value:
    def __init__(self, value):
        self.value = value


class Given:
    """A model that says what it is told."""

    def __init__(self, *values):
        self.values = list(values)

    def update(self, book, time_ns):
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]


def venue(last=None, bid=None, ask=None, *, tick="0.01", time_ns=0):
    """A market that has published just that."""
    ledger = Ledger()
    ledger.add_asset("ALT", "1")
    ledger.add_asset("USDT", "0.0001")
    market = Market(0, "ALT-USDT", "ALT", "USDT", Decimal(tick), Decimal(1), ledger, LastPriceMark())
    market.published = MarketView(time_ns, bid, 1, ask, 1, last, None)
    return market


def index(*markets, **options):
    model = IndexMark(TICK, **options)
    for market in markets:
        model.add_source(market)
    return model


def traded_book(price=None, bid=None, ask=None):
    book = OrderBook()
    if price is not None:
        book.submit(1, Side.BUY, 1, price)
        book.submit(2, Side.SELL, 1, price, tif=TimeInForce.IOC)
    for number, (side, at) in enumerate(((Side.BUY, bid), (Side.SELL, ask)), start=3):
        if at is not None:
            book.submit(number, side, 1, at)
    return book


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ([10_000], 10_000),
        ([10_000, 10_010, 10_020], 10_010),
        ([10_000, 10_001], 10_001),  # halves up
        ([10_000, 10_000, 9_500], 9_833),  # exactly 5 % off still counts
        ([10_000, 10_000, 9_499], 10_000),  # more does not
        ([10_000, 10_000, 10_501], 10_000),
        ([10_000, 10_200, 12_000], 10_100),  # the median is 10,200: only 12,000 is off
        ([9_000, 10_000, 11_000], 10_000),  # two are off: the median itself
        ([9_800, 9_900, 10_000, 12_000, 13_000], 10_000),
        ([5_000, 5_100, 10_000, 10_100], 7_550),  # all are off their median
        ([4_000, 10_000], 7_000),  # two sources that part ways
        ([10_000, 9_200], 9_600),  # both within 5 % of 9,600
    ],
)
def test_the_outlier_rule(prices, expected):
    assert index(*(venue(price) for price in prices)).update(OrderBook(), 0) == expected


def test_weights_and_grids_of_the_sources():
    model = IndexMark(TICK)
    model.add_source(venue(1_000, tick="0.1"), 3)  # 100.00
    model.add_source(venue(10_040), 1)
    model.add_outside(Value(9_960), 4)
    assert model.update(OrderBook(), 0) == (3 * 10_000 + 10_040 + 4 * 9_960) // 8


def test_empty_and_stale_sources_weigh_nothing():
    fresh, stale, empty, never = venue(10_000, time_ns=60), venue(9_800), venue(bid=3), venue()
    never.published = None
    model = index(fresh, stale, empty, never, stale_ns=50)
    assert model.update(OrderBook(), 50) == 9_900
    assert model.update(OrderBook(), 51) == 10_000
    fresh.published = None
    assert model.update(OrderBook(), 60) == 10_000  # nobody is left: it stands still
    assert model.update(traded_book(7), 61) == 10_000


def test_before_any_source_spoke_the_own_book_serves():
    model = index(venue())
    assert model.update(OrderBook(), 0) is None
    assert model.update(traded_book(bid=10, ask=13), 0) == 11
    assert model.update(traded_book(40, 10, 13), 0) == 40


def test_an_index_of_mids_ignores_last_prices_and_one_sided_books():
    model = index(venue(9_000, 9_990, 10_010), venue(9_990, bid=9_000), price="mid")
    assert model.update(OrderBook(), 0) == 10_000


def test_an_index_refuses_nonsense():
    with pytest.raises(InputError, match="weight of ALT-USDT in an index: 0"):
        IndexMark(TICK).add_source(venue(1), 0)
    with pytest.raises(InputError, match="stale_ns >= 1"):
        IndexMark(TICK, stale_ns=0)


@given(st.lists(st.integers(1, 2_000), min_size=1, max_size=7), st.integers(0, 200_000))
def test_the_index_is_what_the_rule_says_in_fractions(prices, outlier_ppm):
    ordered = sorted(prices)
    median = Fraction(ordered[len(prices) // 2] + ordered[(len(prices) - 1) // 2], 2)
    kept = [price for price in prices if abs(price - median) <= median * outlier_ppm / 1_000_000]
    exact = Fraction(sum(kept), len(kept)) if len(kept) >= max(1, len(prices) - 1) else median
    found = index(*(venue(price) for price in prices), outlier_ppm=outlier_ppm).update(OrderBook(), 0)
    assert abs(found - exact) <= Fraction(1, 2)
    assert min(prices) <= found <= max(prices)


def test_a_conversion_rate_alone_and_over_the_underlying():
    assert ConversionMark(Decimal("0.0001"), fixed_rate(Decimal("1.0743"))).update(OrderBook(), 0) == 10_743
    eth = venue(tick="0.1")
    model = ConversionMark(TICK, fixed_rate(Decimal("1.1")), eth)
    assert model.update(OrderBook(), 0) is None
    assert model.update(traded_book(5), 0) == 5
    eth.mark_price = 40_000  # 4,000.0
    assert model.update(traded_book(5), 0) == 440_000
    with pytest.raises(InputError, match="greater than 0"):
        fixed_rate(Decimal(0))


@pytest.mark.parametrize(("inner", "floor", "mark"), [(90, 95, 95), (96, 95, 96), (None, 95, 95), (90, None, 90)])
def test_the_redemption_floor(inner, floor, mark):
    assert RedemptionFloorMark(Given(inner), Given(floor)).update(OrderBook(), 0) == mark


def test_a_constant_never_moves():
    assert ConstantMark(100).update(traded_book(3), 5) == 100
    with pytest.raises(InputError, match="at least 1 tick"):
        ConstantMark(0)


def test_a_perpetual_is_marked_at_the_median_of_three():
    for last, bid, ask, mark in (
        (10_500, 10_190, 10_210, 10_200),  # index 10,000 and last 10,500: index + premium lies between
        (10_100, 10_190, 10_210, 10_100),  # last lies between
        (9_900, 10_190, 10_210, 10_000),  # the index lies between
        (None, 10_190, 10_210, 10_100),  # never traded: mean of the other two
    ):
        assert PerpetualMark(Given(10_000)).update(traded_book(last, bid, ask), 0) == mark


def test_the_premium_is_a_mean_over_the_window_and_needs_both_sides():
    model = PerpetualMark(Given(10_000), window_ns=10)
    far = 20_000  # last price: beyond, so that the premium decides
    assert model.update(traded_book(far, 10_090, 10_110), 0) == 10_100
    assert model.update(traded_book(far, 10_190, 10_210), 5) == 10_150
    assert model.update(traded_book(far, 10_190), 9) == 10_150
    assert model.update(traded_book(far, 10_190), 10) == 10_200
    assert model.update(traded_book(far), 15) == 10_000


def test_expected_funding_fades_as_it_comes_near():
    model = PerpetualMark(Given(10_000))
    model.expect_funding(10_000_000, 100, 100)  # 1 %
    book = traded_book(1, 10_290, 10_310)  # last below, premium above: the funded price is the median
    assert [model.update(book, now) for now in (0, 50, 100, 150)] == [10_100, 10_050, 10_000, 10_000]


def test_without_an_index_a_perpetual_follows_its_own_book():
    model = PerpetualMark(Given(None))
    assert model.update(OrderBook(), 0) is None
    assert model.update(traded_book(bid=10, ask=20), 0) == 15
    assert model.update(traded_book(30, 10, 20), NS_PER_S) == 30
