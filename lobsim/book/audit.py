"""The book's own auditor: every invariant that the engine's short cuts rely on."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from lobsim.book.side import NO_KEY, BookSide, Order, PriceLevel
from lobsim.errors import CheckError

if TYPE_CHECKING:
    from lobsim.book.queries import BookQueries


def check_book(book: BookQueries) -> None:
    """Raise `CheckError` with the book's state when any invariant is broken. O(n log n)."""
    try:
        _check_side(book, book._bids, 0)
        _check_side(book, book._asks, 1)
        _check_orders(book)
        assert book._bids.best_key + book._asks.best_key < 0, "the book is crossed"
    except AssertionError as fault:
        raise CheckError(f"order book: {fault}\n{_dump(book)}") from None


def _check_side(book: BookQueries, side: BookSide, number: int) -> None:
    keys = [*side.far, *side.near]
    assert keys == sorted(side.levels), "the index is out of order"
    live = [side.levels[key] for key in keys if side.levels[key].count]
    assert not keys or keys[-1] <= side.best_key, "an empty level stands above the best"
    assert side.best is (live[-1] if live else None), "the cached best level is not the best level"
    assert side.best_key == (live[-1].key if live else NO_KEY), "the cached best key is not the best level's"
    for key, level in side.levels.items():
        orders = _queue(book, level)
        assert level.key == key == (-level.price if number else level.price), f"level {level.price} is misfiled"
        assert level.count == len(orders), f"level {level.price} counts {level.count} orders, holds {len(orders)}"
        assert level.qty == sum(order.leaves for order in orders), f"displayed quantity drifted at {level.price}"
        assert level.hidden == sum(order.hidden for order in orders), f"hidden quantity drifted at {level.price}"
        links = [*(order.ahead for order in orders), level.last]
        assert links == [None, *orders], f"the queue of level {level.price} is torn"
        for order in orders:
            assert order.level is level, f"order {order.order_id} points to another level"
            assert order.side == number, f"order {order.order_id} rests on the wrong side"
            assert order.price == level.price, f"order {order.order_id} rests at the wrong price"
            assert order.leaves > 0, f"order {order.order_id} has negative quantity"
            assert order.hidden >= 0, f"order {order.order_id} has negative hidden quantity"
            assert book._orders.get(order.order_id) is order, f"order {order.order_id} rests but is not on file"


def _queue(book: BookQueries, level: PriceLevel) -> list[Order]:
    return list(islice(level.orders(), len(book._orders) + 1))  # a torn queue may run in a circle


def _check_orders(book: BookQueries) -> None:
    resting = sum(level.count for side in (book._bids, book._asks) for level in side.levels.values())
    assert len(book._orders) == resting + len(book._stops), "orders on file, resting and asleep do not add up"
    owned = {(owner, key): order for owner, orders in book._owned.items() for key, order in orders.items()}
    expected = {(order.owner, key): order for key, order in book._orders.items() if order.owner}
    assert owned == expected, "the owners' lists differ from the orders on file"
    sleeping = book._stops.orders()
    assert sleeping == [order for order in book._orders.values() if order.level is None], "sleeping stops differ"
    buys = [order.terms.trigger_price or 0 for order in sleeping if order.terms and not order.side]
    sells = [order.terms.trigger_price or 0 for order in sleeping if order.terms and order.side]
    assert not buys or book._stops.buy_trigger == min(buys), "the cached buy trigger is stale"
    assert not sells or book._stops.sell_trigger == max(sells), "the cached sell trigger is stale"
    if book.last_price is not None:
        assert book._stops.sell_trigger < book.last_price < book._stops.buy_trigger, "a stop overslept its trigger"
    due = {(entry[0], entry[2]) for entry in book._expiries}
    for order in book._orders.values():
        expire_ns = order.terms.expire_ns if order.terms else None
        if expire_ns is not None:
            assert expire_ns > book.time_ns, f"order {order.order_id} outlived its expiry"
            assert (expire_ns, order.order_id) in due, f"order {order.order_id} would never expire"


def _dump(book: BookQueries) -> str:
    lines = [f"time_ns={book.time_ns} last_price={book.last_price} live orders={len(book._orders)}"]
    for name, side in (("asks", book._asks), ("bids", book._bids)):
        for key in sorted(side.levels, reverse=name == "bids"):
            level = side.levels[key]
            queue = [(order.order_id, order.leaves, order.hidden) for order in _queue(book, level)]
            lines.append(f"  {name} {level.price}: qty={level.qty} hidden={level.hidden} count={level.count} {queue}")
    lines.append(f"  best_key: bids {book._bids.best_key} asks {book._asks.best_key}")
    return "\n".join(lines)
