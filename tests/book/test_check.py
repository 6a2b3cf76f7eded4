"""`check()` must see every kind of damage: a healthy book is damaged in one place, and the message must name it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lobsim.book import OrderBook
from lobsim.book.side import PriceLevel
from lobsim.errors import CheckError
from lobsim.events import TimeInForce
from tests.book.expect import BUY, SELL


@pytest.fixture
def book() -> OrderBook:
    """Two levels a side, an iceberg, owners, a GTD order, sleeping stops of both sides, an emptied level."""
    book = OrderBook()
    book.submit(90, BUY, 1, 100)
    book.submit(91, SELL, 1, 100)
    book.submit(1, BUY, 5, 99, owner=7)
    book.submit(2, BUY, 9, 99, display_qty=4)
    book.submit(3, BUY, 2, 97, tif=TimeInForce.GTD, expire_ns=50)
    book.submit(4, SELL, 6, 101, owner=8)
    book.submit(5, SELL, 3, 103, owner=7)
    book.submit(6, SELL, 1, 104)
    book.cancel(6)
    book.submit(12, SELL, 1, 104)
    book.cancel(12)
    book.submit(7, BUY, 4, 110, trigger_price=105, owner=7)
    book.submit(8, SELL, 4, 90, trigger_price=95)
    book.submit(9, BUY, 1, None, trigger_price=107)
    book.submit(10, SELL, 1, None, trigger_price=93)
    book.check()
    return book


def stale_best(book: OrderBook) -> None:
    book._bids.best = book._bids.levels[97]


def no_best(book: OrderBook) -> None:
    book._asks.best = None


def stale_key(book: OrderBook) -> None:
    book._bids.best_key = 98


def best_of_an_empty_side(book: OrderBook) -> None:
    book.cancel(1)
    book.cancel(2)
    book.cancel(3)
    book._bids.best_key = -5


def index_out_of_order(book: OrderBook) -> None:
    book._bids.far.clear()
    book._bids.near[:] = [99, 97]


def level_not_indexed(book: OrderBook) -> None:
    book._bids.near.remove(97) if 97 in book._bids.near else book._bids.far.remove(97)


def empty_level_above_the_best(book: OrderBook) -> None:
    level = PriceLevel()
    level.key = level.price = 98
    side = book._bids
    side.levels[100] = level
    level.key = level.price = 100
    side.near.append(100)


def misfiled_level(book: OrderBook) -> None:
    book._asks.levels[-101].price = 102


def misfiled_level_the_other_way(book: OrderBook) -> None:
    book._asks.levels[-101].price = 100


def misfiled_key(book: OrderBook) -> None:
    book._bids.levels[97].key = 98


def drifted_quantity(book: OrderBook) -> None:
    book._bids.levels[99].qty += 1


def drifted_hidden(book: OrderBook) -> None:
    book._bids.levels[99].hidden -= 1


def index_of_a_level_that_is_not(book: OrderBook) -> None:
    book._bids.far.add(50)


def misfiled_key_the_other_way(book: OrderBook) -> None:
    book._bids.levels[97].key = 96


def order_at_a_better_price(book: OrderBook) -> None:
    book._orders[1].price = 100


def best_key_too_high(book: OrderBook) -> None:
    book._bids.best_key = 100


def order_of_the_side_below(book: OrderBook) -> None:
    book._orders[4].side = BUY


def too_little_quantity(book: OrderBook) -> None:
    book._bids.levels[99].qty -= 1


def too_much_hidden(book: OrderBook) -> None:
    book._bids.levels[99].hidden += 1


def too_few_orders(book: OrderBook) -> None:
    book._bids.levels[99].count -= 1


def miscounted_orders(book: OrderBook) -> None:
    book._bids.levels[99].count += 1


def queue_of_an_empty_level(book: OrderBook) -> None:
    level = book._asks.levels[-104]
    level.last = book._bids.levels[99].first


def queue_in_a_circle(book: OrderBook) -> None:
    first = book._bids.levels[99].first
    assert first is not None
    first.behind = first


def queue_without_its_way_back(book: OrderBook) -> None:
    last = book._bids.levels[99].last
    assert last is not None
    last.ahead = None


def order_of_another_level(book: OrderBook) -> None:
    book._orders[1].level = book._bids.levels[97]


def order_of_the_other_side(book: OrderBook) -> None:
    book._orders[1].side = SELL


def order_at_another_price(book: OrderBook) -> None:
    book._orders[1].price = 98


def negative_quantity(book: OrderBook) -> None:
    book._orders[1].leaves = -5
    book._bids.levels[99].qty -= 10


def negative_hidden(book: OrderBook) -> None:
    book._orders[2].hidden -= 6
    book._bids.levels[99].hidden -= 6


def order_not_on_file(book: OrderBook) -> None:
    del book._orders[2]


def another_order_on_file(book: OrderBook) -> None:
    book._orders[2] = book._orders[3]


def order_on_file_but_nowhere(book: OrderBook) -> None:
    book._orders[77] = book._orders[1]


def owner_lost(book: OrderBook) -> None:
    del book._owned[7][1]


def owner_kept(book: OrderBook) -> None:
    book._owned[7][2] = book._orders[2]


def anonymous_owner(book: OrderBook) -> None:
    book._owned[0] = {2: book._orders[2]}


def stop_lost(book: OrderBook) -> None:
    book._stops.remove(book._orders[7])
    del book._orders[7]
    del book._owned[7][7]
    book._orders[7] = book._orders[8]


def stop_not_on_file(book: OrderBook) -> None:
    del book._orders[8]


def another_stop_on_file(book: OrderBook) -> None:
    stop = book._orders[8]
    twin = type(stop)()
    for name in type(stop).__slots__:
        setattr(twin, name, getattr(stop, name))
    book._orders[8] = twin


def stale_buy_trigger(book: OrderBook) -> None:
    book._stops.buy_trigger = 106


def stale_sell_trigger(book: OrderBook) -> None:
    book._stops.sell_trigger = 94


def nearer_buy_trigger(book: OrderBook) -> None:
    book._stops.buy_trigger = 104


def nearer_sell_trigger(book: OrderBook) -> None:
    book._stops.sell_trigger = 96


def overslept_buy(book: OrderBook) -> None:
    book.last_price = 105


def long_overslept_buy(book: OrderBook) -> None:
    book.last_price = 106


def overslept_sell(book: OrderBook) -> None:
    book.last_price = 95


def long_overslept_sell(book: OrderBook) -> None:
    book.last_price = 94


def crossed(book: OrderBook) -> None:
    for order_id in (1, 2):
        book.cancel(order_id)
    level = book._bids.levels[97]
    side = book._bids
    del side.levels[97]
    side.levels[101] = level
    level.key = level.price = side.best_key = 101
    book._orders[3].price = 101
    side.near[:] = sorted(side.levels)
    side.far.clear()


def outlived(book: OrderBook) -> None:
    book.time_ns = 50


def long_outlived(book: OrderBook) -> None:
    book.time_ns = 51


def never_expires(book: OrderBook) -> None:
    book._expiries.clear()


def expires_at_another_time(book: OrderBook) -> None:
    book._expiries[0] = (51, *book._expiries[0][1:])


def another_order_expires(book: OrderBook) -> None:
    book._expiries[0] = (*book._expiries[0][:2], 4, book._expiries[0][3])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (stale_best, "the cached best level is not the best level"),
        (no_best, "the cached best level is not the best level"),
        (stale_key, "an empty level stands above the best"),
        (best_key_too_high, "the cached best key is not the best level's"),
        (best_of_an_empty_side, "best key"),
        (index_out_of_order, "the index is out of order"),
        (level_not_indexed, "the index is out of order"),
        (index_of_a_level_that_is_not, "the index is out of order"),
        (empty_level_above_the_best, "an empty level stands above the best"),
        (misfiled_level, "level 102 is misfiled"),
        (misfiled_level_the_other_way, "level 100 is misfiled"),
        (misfiled_key, "level 97 is misfiled"),
        (misfiled_key_the_other_way, "level 97 is misfiled"),
        (drifted_quantity, "displayed quantity drifted at 99"),
        (too_little_quantity, "displayed quantity drifted at 99"),
        (too_much_hidden, "hidden quantity drifted at 99"),
        (too_few_orders, "level 99 counts 1 orders, holds 2"),
        (order_of_the_side_below, "order 4 rests on the wrong side"),
        (drifted_hidden, "hidden quantity drifted at 99"),
        (miscounted_orders, "level 99 counts 3 orders, holds 2"),
        (queue_of_an_empty_level, "the queue of level 104 is torn"),
        (queue_in_a_circle, "level 99 counts 2 orders, holds 10"),
        (queue_without_its_way_back, "the queue of level 99 is torn"),
        (order_of_another_level, "order 1 points to another level"),
        (order_of_the_other_side, "order 1 rests on the wrong side"),
        (order_at_another_price, "order 1 rests at the wrong price"),
        (order_at_a_better_price, "order 1 rests at the wrong price"),
        (negative_quantity, "order 1 has negative quantity"),
        (negative_hidden, "order 2 has negative hidden quantity"),
        (order_not_on_file, "order 2 rests but is not on file"),
        (another_order_on_file, "order 2 rests but is not on file"),
        (order_on_file_but_nowhere, "do not add up"),
        (owner_lost, "the owners' lists differ"),
        (owner_kept, "the owners' lists differ"),
        (anonymous_owner, "the owners' lists differ"),
        (stop_lost, "do not add up"),
        (stop_not_on_file, "do not add up"),
        (another_stop_on_file, "sleeping stops differ"),
        (stale_buy_trigger, "the cached buy trigger is stale"),
        (stale_sell_trigger, "the cached sell trigger is stale"),
        (nearer_buy_trigger, "the cached buy trigger is stale"),
        (nearer_sell_trigger, "the cached sell trigger is stale"),
        (overslept_buy, "a stop overslept its trigger"),
        (overslept_sell, "a stop overslept its trigger"),
        (long_overslept_buy, "a stop overslept its trigger"),
        (long_overslept_sell, "a stop overslept its trigger"),
        (crossed, "the book is crossed"),
        (outlived, "order 3 outlived its expiry"),
        (long_outlived, "order 3 outlived its expiry"),
        (never_expires, "order 3 would never expire"),
        (expires_at_another_time, "order 3 would never expire"),
        (another_order_expires, "order 3 would never expire"),
    ],
)
def test_check_sees(book: OrderBook, damage: Callable[[OrderBook], None], words: str) -> None:
    damage(book)
    with pytest.raises(CheckError, match=f"^order book: .*{words}"):
        book.check()


def test_check_compares_numbers_not_objects() -> None:
    def another(number: int) -> int:
        return int(str(number))

    book = OrderBook()
    for order_id in range(1000, 1400):
        book.submit(order_id, BUY, 5000, 6000, owner=2000, display_qty=300)
    book.submit(1, SELL, 5000, 7000, tif=TimeInForce.GTD, expire_ns=9000)
    book.submit(2, SELL, 5000, 5500, trigger_price=5800)
    book.submit(3, BUY, 5000, 7500, trigger_price=7100)
    for side in (book._bids, book._asks):
        side.best_key = another(side.best_key)
        for level in side.levels.values():
            for name in ("key", "price", "qty", "hidden", "count"):
                setattr(level, name, another(getattr(level, name)))
        side.near[:] = [another(key) for key in side.near]
    for order in book._orders.values():
        for name in ("order_id", "owner", "side", "price", "leaves", "hidden"):
            setattr(order, name, another(int(getattr(order, name))))
    book._stops.buy_trigger = another(book._stops.buy_trigger)
    book._stops.sell_trigger = another(book._stops.sell_trigger)
    book._expiries[0] = (another(9000), 0, another(1), book._expiries[0][3])
    book.check()


def test_the_message_carries_the_state(book: OrderBook) -> None:
    book._bids.levels[99].qty += 1
    with pytest.raises(CheckError) as failure:
        book.check()
    assert str(failure.value).splitlines() == [
        "order book: displayed quantity drifted at 99",
        "time_ns=0 last_price=100 live orders=9",
        "  asks 104: qty=0 hidden=0 count=0 []",
        "  asks 103: qty=3 hidden=0 count=1 [(5, 3, 0)]",
        "  asks 101: qty=6 hidden=0 count=1 [(4, 6, 0)]",
        "  bids 99: qty=10 hidden=5 count=2 [(1, 5, 0), (2, 4, 5)]",
        "  bids 97: qty=2 hidden=0 count=1 [(3, 2, 0)]",
        "  best_key: bids 99 asks -101",
    ]
    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__
