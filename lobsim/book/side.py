"""Orders, price levels, and one side of a book.

Both sides share every line of code: a level is filed under a *key* that grows towards the touch (the price for bids,
its negative for asks), so the best level always has the largest key, and an incoming order whose own key is ``key`` can
trade with the opposite side's best level exactly when ``key + opposite.best_key >= 0``.
"""

from __future__ import annotations

import sys
from bisect import insort
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from sortedcontainers import SortedList

from lobsim.events import Purpose, SelfTrade, Side, TimeInForce

MAX_PRICE = 1 << 53
MARKET_KEY = MAX_PRICE  # key of a market order: reaches every level, but not NO_KEY
NO_KEY = -sys.maxsize  # best_key of an empty side: no incoming key reaches it

_KEEP_EMPTY = 1024  # empty levels are forgotten when there are this many more than twice the others
_NEAR = 64  # levels taken from the sorted container at a time when the touch has eaten through the near ones


class Terms(NamedTuple):
    """What sets an order apart from a plain good-till-cancelled limit order."""

    tif: TimeInForce
    post_only: bool
    display_qty: int
    self_trade: SelfTrade
    expire_ns: int | None
    trigger_price: int | None
    seq: int


class Order:
    """A live order. `leaves` is displayed and open, `hidden` the rest of an iceberg.

    `level` is None while a stop sleeps (its whole quantity is in `leaves`). Resting, it is a link of its level's queue:
    `ahead` and `behind` are its neighbours in time priority.
    """

    __slots__ = (
        "ahead",
        "behind",
        "hidden",
        "leaves",
        "level",
        "order_id",
        "owner",
        "price",
        "purpose",
        "side",
        "terms",
    )

    order_id: int
    owner: int
    side: Side
    price: int | None
    leaves: int
    hidden: int
    level: PriceLevel | None
    purpose: Purpose
    terms: Terms | None
    ahead: Order | None
    behind: Order | None


class PriceLevel:
    """Orders at one price in time priority, `first` to `last`. `qty` and `hidden` are sums over them, `count` how many.

    The orders themselves are the links of the queue: nearly every level of a busy book holds a single order, and a
    container of its own for each would be most of the memory that a run touches.
    """

    __slots__ = ("count", "first", "hidden", "key", "last", "price", "qty")

    key: int
    price: int

    def __init__(self) -> None:
        self.qty = 0
        self.hidden = 0
        self.count = 0
        self.first: Order | None = None
        self.last: Order | None = None

    def append(self, order: Order) -> None:
        """Put an order at the back of the queue."""
        last = order.ahead = self.last
        order.behind = None
        self.last = order
        if last is None:
            self.first = order
        else:
            last.behind = order

    def take_out(self, order: Order) -> None:
        """Close the queue where an order leaves it."""
        ahead, behind = order.ahead, order.behind
        if ahead is None:
            self.first = behind
        else:
            ahead.behind = behind
        if behind is None:
            self.last = ahead
        else:
            behind.ahead = ahead

    def orders(self) -> Iterator[Order]:
        """From first to last."""
        order = self.first
        while order is not None:
            yield order
            order = order.behind


class BookSide:
    """All levels of one side, the best one cached.

    The index of keys is a SortedList whose upper end, the levels around the touch where nearly everything happens, is
    kept apart as a short plain list (`near`, every key in it above every key in `far`): a new best level is an append,
    a best level that empties is a pop, and only levels far from the touch pay for the sorted container.

    A level that runs empty behind the best stays filed until the touch comes past: refilling it, which makers do all
    the time, then costs a dictionary look-up. Nothing stands above `best_key`, and the objects of levels that are gone
    are used again.
    """

    __slots__ = ("_most_levels", "best", "best_key", "far", "gone", "levels", "near")

    def __init__(self) -> None:
        self.levels: dict[int, PriceLevel] = {}
        self.far: SortedList[int] = SortedList()
        self.near: list[int] = []
        self.best: PriceLevel | None = None
        self.best_key = NO_KEY
        self._most_levels = _KEEP_EMPTY
        self.gone: list[PriceLevel] = []

    def open_best(self, key: int, price: int) -> PriceLevel:
        """File a level above all others that is about to get its first order. O(1)."""
        gone = self.gone
        level = gone.pop() if gone else PriceLevel()
        level.key = key
        level.price = price
        self.levels[key] = level
        self.best_key = key
        self.best = level
        self.near.append(key)
        return level

    def open_level(self, key: int, price: int) -> PriceLevel:
        """File any level that is about to get its first order. Amortised O(log n)."""
        if key > self.best_key:
            return self.open_best(key, price)
        level = self.gone.pop() if self.gone else PriceLevel()
        level.key = key
        level.price = price
        self.levels[key] = level
        near = self.near
        if near and key > near[0]:
            insort(near, key)
            if len(near) > 2 * _NEAR:
                self.far.update(near[:-_NEAR])
                del near[:-_NEAR]
        else:
            self.far.add(key)
        if len(self.levels) > self._most_levels:
            self._forget_empty(level)
        return level

    def vacate(self, level: PriceLevel) -> None:
        """The last live order of `level` is gone. Amortised O(log n), mostly O(1)."""
        if level is not self.best:
            return
        levels = self.levels
        near = self.near
        del levels[near.pop()]  # the best level's key is always the last one
        self.gone.append(level)
        while True:
            while near:
                key = near[-1]
                level = levels[key]
                if level.count:
                    self.best_key = key
                    self.best = level
                    return
                near.pop()
                del levels[key]
                self.gone.append(level)
            if not self.far:
                self.best_key = NO_KEY
                self.best = None
                return
            near.extend(self.far[-_NEAR:])
            del self.far[-_NEAR:]

    def descending(self) -> Iterator[PriceLevel]:
        """Levels with live orders, best first."""
        levels = self.levels
        for key in chain(reversed(self.near), reversed(self.far)):
            level = levels[key]
            if level.count:
                yield level

    def _forget_empty(self, opening: PriceLevel) -> None:
        """Called when the levels have doubled since the last time, so amortised O(1) per level opened."""
        self.levels = {key: level for key, level in self.levels.items() if level.count or level is opening}
        self._most_levels = 2 * len(self.levels) + _KEEP_EMPTY
        self.near = [key for key in self.near if key in self.levels]
        self.far = SortedList(key for key in self.far if key in self.levels)
