"""Orders, price levels, and one side of a book.

Both sides share every line of code: a level is filed under a *key* that grows towards the touch (the price for bids, its
negative for asks), so the best level always has the largest key, and an incoming order whose own key is ``key`` can trade
with the opposite side's best level exactly when ``key + opposite.best_key >= 0``.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from sortedcontainers import SortedList

from lobsim.events import Purpose, SelfTrade, Side, TimeInForce

NO_KEY = -(1 << 62)  # best_key of an empty side: no incoming key reaches it
MARKET_KEY = 1 << 61  # key of a market order: reaches every level, but not NO_KEY

_KEEP_EMPTY = 64  # emptied levels stay filed until there are this many and they outnumber the others
_SCAN_EMPTY = 16  # and at most this many of them may stand between the touch and the top of the index


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

    `level` is None while a stop sleeps (its whole quantity is in `leaves`). An order that is done, or was replaced by a
    new one further back, has ``leaves == 0``; its entry in the level's queue is skipped when the queue gets there.
    """

    __slots__ = ("hidden", "leaves", "level", "order_id", "owner", "price", "purpose", "side", "terms")

    order_id: int
    owner: int
    side: Side
    price: int | None
    leaves: int
    hidden: int
    level: PriceLevel | None
    purpose: Purpose
    terms: Terms | None


class PriceLevel:
    """Orders at one price in time priority. `qty` and `hidden` are sums over live orders, `count` their number."""

    __slots__ = ("count", "hidden", "key", "price", "qty", "queue")

    def __init__(self, key: int, price: int) -> None:
        self.key = key
        self.price = price
        self.qty = 0
        self.hidden = 0
        self.count = 0
        self.queue: deque[Order] = deque()

    def compact(self) -> None:
        """Drop entries of orders that are done; called when they outnumber the live ones, so amortised O(1)."""
        live = [order for order in self.queue if order.leaves]
        self.queue.clear()  # in place: a walk may hold this very queue
        self.queue.extend(live)


class BookSide:
    """All levels of one side, the best one cached.

    A level that runs empty away from the touch stays filed (`empty` counts these): refilling it, which makers do all the
    time, then costs a dictionary look-up instead of two updates of the sorted index.
    """

    __slots__ = ("best", "best_key", "empty", "keys", "levels")

    def __init__(self) -> None:
        self.levels: dict[int, PriceLevel] = {}
        self.keys: SortedList[int] = SortedList()
        self.best: PriceLevel | None = None
        self.best_key = NO_KEY
        self.empty = 0

    def add_level(self, key: int, price: int) -> PriceLevel:
        """File a new, still empty level. O(log n)."""
        level = self.levels[key] = PriceLevel(key, price)
        self.keys.add(key)
        self.empty += 1
        return level

    def occupy(self, level: PriceLevel) -> None:
        """An empty level gets its first order."""
        self.empty -= 1
        if level.key > self.best_key:
            self.best_key = level.key
            self.best = level

    def vacate(self, level: PriceLevel) -> None:
        """The last live order of `level` is gone. Amortised O(log n)."""
        level.queue.clear()
        self.empty += 1
        if level is self.best:
            self._find_best()
        if self.empty > _KEEP_EMPTY and 2 * self.empty > len(self.keys):
            self._drop_empty()

    def _find_best(self) -> None:
        levels = self.levels
        skipped = 0
        for key in reversed(self.keys):
            level = levels[key]
            if level.count:
                self.best_key = key
                self.best = level
                break
            skipped += 1
        else:
            self.best_key = NO_KEY
            self.best = None
        if skipped > _SCAN_EMPTY:
            for _ in range(skipped):
                del levels[self.keys.pop()]
            self.empty -= skipped

    def _drop_empty(self) -> None:
        self.levels = {key: level for key, level in self.levels.items() if level.count}
        self.keys = SortedList(self.levels)
        self.empty = 0
