"""The reference book's one list of orders, and everything that can be asked about it without changing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lobsim.events import Purpose, SelfTrade, Side, TimeInForce


@dataclass(eq=False)
class ReferenceOrder:
    """A live order; `visible` and `hidden` lots are open."""

    order_id: int
    side: Side
    price: int | None
    tif: TimeInForce
    owner: int
    purpose: Purpose
    post_only: bool
    display_qty: int
    trigger_price: int | None
    expire_ns: int | None
    self_trade: SelfTrade
    accepted: int
    visible: int
    hidden: int = 0
    place: int | None = None
    dormant: bool = False

    @property
    def open_qty(self) -> int:
        """Lots that can still trade."""
        return self.visible + self.hidden


WalkView = tuple[int, int, int | None, tuple[tuple[int, int], ...]]


class ReferenceState:
    """The list, the clock and the last trade price. Every question filters and sorts the whole list."""

    def __init__(self) -> None:
        self.time_ns = 0
        self.last_price: int | None = None
        self._orders: list[ReferenceOrder] = []

    def bids(self) -> list[tuple[int, int]]:
        """(price, displayed lots) per level, highest price first."""
        return self._levels(Side.BUY)

    def asks(self) -> list[tuple[int, int]]:
        """(price, displayed lots) per level, lowest price first."""
        return self._levels(Side.SELL)

    def _levels(self, side: Side) -> list[tuple[int, int]]:
        queue = self._queue(side)
        prices = list(dict.fromkeys(order.price or 0 for order in queue))
        return [(price, sum(order.visible for order in queue if order.price == price)) for price in prices]

    def __len__(self) -> int:
        return len(self._orders)

    @property
    def best_bid(self) -> int | None:
        """Highest bid, None when nobody bids."""
        return self.bids()[0][0] if self.bids() else None

    @property
    def best_ask(self) -> int | None:
        """Lowest ask, None when nobody offers."""
        return self.asks()[0][0] if self.asks() else None

    @property
    def best_bid_qty(self) -> int:
        """Displayed lots at the best bid, 0 without one."""
        return self.bids()[0][1] if self.bids() else 0

    @property
    def best_ask_qty(self) -> int:
        """Displayed lots at the best ask, 0 without one."""
        return self.asks()[0][1] if self.asks() else 0

    def live_ids(self) -> list[int]:
        """Ids of live orders, oldest acceptance first."""
        return [order.order_id for order in self._by_acceptance()]

    def open_terms(self, order_id: int) -> tuple[int, int | None]:
        """(open lots, limit price) of a live order, (0, None) when it is not live."""
        order = self._find(order_id)
        return (order.open_qty, order.price) if order else (0, None)

    def side_of(self, order_id: int) -> Side | None:
        """Side of a live order, None when it is not live."""
        order = self._find(order_id)
        return order.side if order else None

    def depth(self, side: Side, to_price: int) -> tuple[int, int]:
        """Displayed (lots, ticks x lots) resting on `side` from the best price to `to_price`, both included."""
        levels = [(price, qty) for price, qty in self._levels(side) if acceptable(Side(1 - side), to_price, price)]
        return sum(qty for _, qty in levels), sum(price * qty for price, qty in levels)

    def walk(self, side: Side, qty: int, limit: int | None = None) -> WalkView:
        """(filled lots, ticks x lots, worst price, ((price, lots) per level)) of an incoming order, nothing touched."""
        filled: dict[int, int] = {}
        for maker in self._queue(Side(1 - side)):
            take = min(maker.open_qty, qty - sum(filled.values()))
            if take > 0 and maker.price is not None and acceptable(side, limit, maker.price):
                filled[maker.price] = filled.get(maker.price, 0) + take
        notional = sum(price * lots for price, lots in filled.items())
        return sum(filled.values()), notional, list(filled)[-1] if filled else None, tuple(filled.items())

    def queue_position(self, order_id: int) -> int | None:
        """Displayed lots ahead of a resting order at its level, None when it does not rest."""
        order = self._find(order_id)
        if order is None or order.place is None:
            return None
        level = [other for other in self._queue(order.side) if other.price == order.price]
        return sum(other.visible for other in level[: level.index(order)])

    def order(self, order_id: int) -> tuple[object, ...] | None:
        """A live order's fields in the order of `lobsim.book.OrderView`, None when it is not live."""
        order = self._find(order_id)
        if order is None:
            return None
        return (
            order.order_id,
            order.owner,
            order.side,
            order.price,
            order.open_qty,
            order.display_qty,
            0 if order.dormant else order.visible,
            order.hidden,
            order.purpose,
            order.tif,
            order.expire_ns,
            order.trigger_price if order.dormant else None,
        )

    def snapshot(self) -> tuple[Any, ...]:
        """(time_ns, last price, bids, asks, stops): levels with each order's (id, visible, hidden) in queue order."""
        sides = []
        for side in (Side.BUY, Side.SELL):
            queue = self._queue(side)
            prices = dict.fromkeys(order.price for order in queue)
            levels = {price: [order for order in queue if order.price == price] for price in prices}
            sides.append(
                tuple(
                    (price, tuple((order.order_id, order.visible, order.hidden) for order in level))
                    for price, level in levels.items()
                )
            )
        stops = tuple(
            (order.order_id, order.side, order.trigger_price, order.price, order.open_qty)
            for order in self._by_acceptance()
            if order.dormant
        )
        return (self.time_ns, self.last_price, *sides, stops)

    def _find(self, order_id: int) -> ReferenceOrder | None:
        return next((order for order in self._orders if order.order_id == order_id), None)

    def _by_acceptance(self) -> list[ReferenceOrder]:
        return sorted(self._orders, key=lambda order: order.accepted)

    def _queue(self, side: Side) -> list[ReferenceOrder]:
        """Resting orders of one side: best price first, first come first within a price."""
        sign = -1 if side == Side.BUY else 1
        resting = [order for order in self._orders if order.side == side and order.place is not None]
        return sorted(resting, key=lambda order: (sign * (order.price or 0), order.place))


def acceptable(side: Side, limit: int | None, price: int | None) -> bool:
    """Whether an order of `side` with that limit (None: any) may trade at `price`."""
    if limit is None or price is None:
        return True
    return price <= limit if side == Side.BUY else price >= limit
