"""What can be asked of a book without changing it."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from lobsim.book.audit import check_book
from lobsim.book.side import MARKET_KEY, BookSide, Order, Terms
from lobsim.book.stops import DormantStops
from lobsim.events import Purpose, Side, TimeInForce
from lobsim.units import Grid


class Walk(NamedTuple):
    """What an incoming order would get: lots, ticks x lots, the last price it reaches, and (price, lots) per level."""

    filled_qty: int
    notional: int
    worst_price: int | None
    fills: tuple[tuple[int, int], ...]


class OrderView(NamedTuple):
    """A live order as it stands. `trigger_price` is set only while a stop sleeps."""

    order_id: int
    owner: int
    side: Side
    price: int | None
    qty: int
    display_qty: int
    visible_qty: int
    hidden_qty: int
    purpose: Purpose
    tif: TimeInForce
    expire_ns: int | None
    trigger_price: int | None


LevelView = tuple[int, tuple[tuple[int, int, int], ...]]


class Snapshot(NamedTuple):
    """The whole state: levels best first, each (price, ((order_id, visible, hidden), ...) in time priority)."""

    time_ns: int
    last_price: int | None
    bids: tuple[LevelView, ...]
    asks: tuple[LevelView, ...]
    stops: tuple[tuple[int, Side, int, int | None, int], ...]


class BookQueries:
    """The read-only half of `OrderBook`: its state and every question about it."""

    __slots__ = (
        "_asks",
        "_bids",
        "_expiries",
        "_next_expiry",
        "_orders",
        "_owned",
        "_replace_keeps_priority",
        "_seq",
        "_stops",
        "last_price",
        "lot_grid",
        "tick_grid",
        "time_ns",
    )

    _asks: BookSide
    _bids: BookSide
    _expiries: list[tuple[int, int, int, Terms]]
    _orders: dict[int, Order]
    _owned: dict[int, dict[int, Order]]
    _stops: DormantStops
    last_price: int | None
    lot_grid: Grid
    tick_grid: Grid
    time_ns: int

    def __len__(self) -> int:
        """Number of live orders, sleeping stops included."""
        return len(self._orders)

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._orders

    @property
    def best_bid(self) -> int | None:
        """Highest bid in ticks, None when nobody bids. O(1)."""
        best = self._bids.best
        return None if best is None else best.price

    @property
    def best_ask(self) -> int | None:
        """Lowest ask in ticks, None when nobody offers. O(1)."""
        best = self._asks.best
        return None if best is None else best.price

    @property
    def best_bid_qty(self) -> int:
        """Displayed lots at the best bid, 0 when there is none. O(1)."""
        best = self._bids.best
        return 0 if best is None else best.qty

    @property
    def best_ask_qty(self) -> int:
        """Displayed lots at the best ask, 0 when there is none. O(1)."""
        best = self._asks.best
        return 0 if best is None else best.qty

    def quotes(self) -> tuple[int | None, int, int | None, int]:
        """(best bid, displayed lots, best ask, displayed lots) in one call. O(1)."""
        bid, ask = self._bids.best, self._asks.best
        if bid is None:
            return (None, 0, None, 0) if ask is None else (None, 0, ask.price, ask.qty)
        return (bid.price, bid.qty, None, 0) if ask is None else (bid.price, bid.qty, ask.price, ask.qty)

    def bids(self, limit: int | None = None) -> list[tuple[int, int]]:
        """(price, displayed lots) of bid levels, highest price first, at most `limit` of them."""
        return [(level.price, level.qty) for level in islice(self._bids.descending(), limit)]

    def asks(self, limit: int | None = None) -> list[tuple[int, int]]:
        """(price, displayed lots) of ask levels, lowest price first, at most `limit` of them."""
        return [(level.price, level.qty) for level in islice(self._asks.descending(), limit)]

    def levels(self, side: Side, limit: int | None = None) -> list[tuple[int, int, int]]:
        """(price, displayed lots, hidden lots) of one side's levels, best first."""
        book_side = self._asks if side else self._bids
        return [(level.price, level.qty, level.hidden) for level in islice(book_side.descending(), limit)]

    def depth(self, side: Side, to_price: int) -> tuple[int, int]:
        """Displayed (lots, ticks x lots) resting on `side` from the best price to `to_price`, that price included."""
        lots = notional = 0
        last_key = -to_price if side else to_price
        for level in (self._asks if side else self._bids).descending():
            if level.key < last_key:
                break
            lots += level.qty
            notional += level.qty * level.price
        return lots, notional

    def walk(self, side: Side, qty: int, limit: int | None = None) -> Walk:
        """What an incoming order of `side` for `qty` lots would get now, not worse than `limit`; nothing is touched.

        Hidden quantity counts, as it would trade; self-trade prevention does not. O(levels reached).
        """
        key = MARKET_KEY if limit is None else -limit if side else limit
        fills: list[tuple[int, int]] = []
        leaves = qty
        notional = 0
        for level in (self._bids if side else self._asks).descending():
            if leaves <= 0 or key + level.key < 0:
                break
            filled = min(leaves, level.qty + level.hidden)
            fills.append((level.price, filled))
            leaves -= filled
            notional += filled * level.price
        filled_qty = sum(filled for _, filled in fills)
        return Walk(filled_qty, notional, fills[-1][0] if fills else None, tuple(fills))

    def queue_position(self, order_id: int) -> int | None:
        """Displayed lots ahead of a resting order at its level; None when it does not rest. O(orders at the level)."""
        order = self._orders.get(order_id)
        if order is None or order.level is None:
            return None
        ahead = 0
        for other in order.level.orders():
            if other is order:
                break
            ahead += other.leaves
        return ahead

    def order(self, order_id: int) -> OrderView | None:
        """The live order of that id, None when there is none. O(1)."""
        order = self._orders.get(order_id)
        if order is None:
            return None
        terms = order.terms
        return OrderView(
            order_id,
            order.owner,
            order.side,
            order.price,
            order.leaves + order.hidden,
            terms.display_qty if terms else 0,
            0 if order.level is None else order.leaves,
            order.hidden,
            order.purpose,
            terms.tif if terms else TimeInForce.GTC,
            terms.expire_ns if terms else None,
            terms.trigger_price if terms and order.level is None else None,
        )

    def check(self) -> None:
        """Prove every invariant; raises `CheckError` with the whole state. O(n log n)."""
        check_book(self)

    def snapshot(self) -> Snapshot:
        """Every live order in priority order. O(n)."""
        stops = []
        for order in self._stops.orders():
            assert order.terms is not None
            assert order.terms.trigger_price is not None
            stops.append((order.order_id, order.side, order.terms.trigger_price, order.price, order.leaves))
        return Snapshot(self.time_ns, self.last_price, _view(self._bids), _view(self._asks), tuple(stops))


def _view(side: BookSide) -> tuple[LevelView, ...]:
    return tuple(
        (level.price, tuple((order.order_id, order.leaves, order.hidden) for order in level.orders()))
        for level in side.descending()
    )
