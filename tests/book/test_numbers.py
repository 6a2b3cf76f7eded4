from __future__ import annotations

from decimal import Decimal

import pytest

from lobsim.book import OrderBook
from lobsim.errors import GridError
from lobsim.events import EventKind
from tests.book.expect import BUY, SELL, accepted, replaced, same


class Whole:
    """Something with __index__, as numpy's integers are."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


@pytest.fixture
def book() -> OrderBook:
    return OrderBook(tick="0.01", lot="0.001")


@pytest.mark.parametrize("text", [str, Decimal])
def test_decimal_text_becomes_ticks_and_lots(book, text) -> None:
    events = book.submit(
        1, BUY, text("1.5"), text("101.25"), display_qty=text("0.25"), trigger_price=text("99.99"), owner=1
    )
    same(events, [accepted(1, BUY, 1500, 10125, display=250, trigger=9999, owner=1)])
    assert book.submit(2, BUY, text("0.002"), text("0.01")) == [accepted(2, BUY, 2, 1)]
    same(book.replace(2, text("0.001"), text("0.01")), [replaced(2, BUY, 1, 1, kept=1)])
    same(book.replace(2, text("7"), text("5")), [replaced(2, BUY, 7000, 500, kept=0)])
    book.check()


def test_integers_are_ticks_and_lots_as_they_are(book) -> None:
    same(book.submit(1, BUY, 1500, 10125), [accepted(1, BUY, 1500, 10125)])


@pytest.mark.parametrize(
    "send",
    [
        lambda book: book.submit(1, BUY, "0.0005", 100),
        lambda book: book.submit(1, BUY, 5, "0.005"),
        lambda book: book.submit(1, BUY, 5, 100, display_qty="0.0001"),
        lambda book: book.submit(1, BUY, 5, 100, trigger_price="0.001"),
        lambda book: book.replace(7, "0.0001", 100),
        lambda book: book.replace(7, 1, "0.001"),
        lambda book: book.submit(1, BUY, "many", 100),
        lambda book: book.submit(1, BUY, "NaN", 100),
    ],
)
def test_what_lies_off_the_grid_is_refused_not_rounded(book, send) -> None:
    book.submit(7, BUY, 5, 100)
    before = book.snapshot()
    with pytest.raises(GridError):
        send(book)
    assert book.snapshot() == before


@pytest.mark.parametrize(
    "send",
    [
        lambda book: book.submit(1, BUY, 1.0, 100),
        lambda book: book.submit(1, BUY, 1, 100.0),
        lambda book: book.submit(1, BUY, 1, 100, display_qty=1.0),
        lambda book: book.submit(1, BUY, 1, 100, trigger_price=1.0),
        lambda book: book.replace(7, 1.0, 100),
        lambda book: book.replace(7, 1, 100.0),
    ],
)
def test_floats_are_refused(book, send) -> None:
    book.submit(7, BUY, 5, 100)
    with pytest.raises(TypeError):
        send(book)
    assert len(book) == 1


def test_other_integers_become_plain_ones(book) -> None:
    events = book.submit(1, SELL, Whole(5), Whole(100), display_qty=Whole(2), trigger_price=Whole(90))
    same(events, [accepted(1, SELL, 5, 100, display=2, trigger=90)])
    assert [type(value) for value in (events[0].qty, events[0].price, events[0].display_qty)] == [int] * 3
    events = book.submit(2, SELL, True, 100)
    assert type(events[0].qty) is int
    book.replace(2, Whole(9), Whole(101))
    assert book.asks() == [(101, 9)]


def test_default_grids_are_whole_numbers() -> None:
    book = OrderBook()
    assert book.submit(1, BUY, "5", "100")[0].price == 100
    with pytest.raises(GridError, match="price"):
        book.submit(2, BUY, "5", "100.5")
    with pytest.raises(GridError, match="qty"):
        book.submit(2, BUY, "5.5", "100")


@pytest.mark.parametrize("grid", [{"tick": "0"}, {"lot": "-1"}, {"tick": "x"}, {"lot": 0.1}])
def test_grids_must_be_positive_decimals(grid) -> None:
    with pytest.raises(GridError):
        OrderBook(**grid)


def test_a_decimal_market_order(book) -> None:
    book.submit(1, BUY, "1", "5")
    events = book.submit(2, SELL, "0.4")
    assert [(event.kind, event.qty) for event in events] == [(EventKind.ACCEPTED, 400), (EventKind.TRADE, 400)]
