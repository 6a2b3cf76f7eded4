"""How orders move through a book: the walk, resting, icebergs, stops waking, orders expiring.

`OrderBook` in matching.py decides what a command is and whether it is sound; what then happens to orders happens here.
"""

from __future__ import annotations

import sys
from collections import deque
from heapq import heapify, heappop

from lobsim.book.queries import BookQueries
from lobsim.book.side import MARKET_KEY, BookSide, Order, PriceLevel, Terms
from lobsim.events import (
    Event,
    EventKind,
    OrderCanceled,
    OrderDecremented,
    OrderRefreshed,
    OrderTriggered,
    Purpose,
    Reason,
    SelfTrade,
    Side,
    TimeInForce,
    Trade,
)

NEVER_NS = sys.maxsize

_IOC, _FOK = TimeInForce.IOC, TimeInForce.FOK
_TRADE, _CANCELED = EventKind.TRADE, EventKind.CANCELED
_ALLOW = SelfTrade.ALLOW

# Building a NamedTuple through tuple's own constructor takes half the time of calling its class, and every message
# builds at least one.
_new = tuple.__new__


class BookMechanics(BookQueries):
    """The moving half of `OrderBook`."""

    __slots__ = ()

    def _match(
        self,
        opposite: BookSide,
        key: int,
        leaves: int,
        order_id: int,
        side: Side,
        owner: int,
        purpose: Purpose,
        self_trade: SelfTrade,
        now: int,
        events: list[Event],
    ) -> int:
        """Trade an incoming order against the opposite side; returns what is left.

        Minus what is left says that self-trade prevention ended the order. One screen on purpose: this is where a
        crash spends its time.
        """
        orders = self._orders
        owned = self._owned
        emit = events.append
        guarded = owner and self_trade != _ALLOW
        while leaves and key + opposite.best_key >= 0:
            level = opposite.best
            assert level is not None
            price = level.price
            while leaves and level.count:
                maker = level.first
                assert maker is not None
                open_qty = maker.leaves
                maker_owner = maker.owner
                if guarded and maker_owner == owner:
                    if self_trade != SelfTrade.DECREMENT:
                        if self_trade != SelfTrade.CANCEL_NEWEST:
                            self._remove(maker, Reason.SELF_TRADE, now, events)
                        if self_trade != SelfTrade.CANCEL_OLDEST:
                            return -leaves
                        continue
                    record: type[Event] = OrderDecremented
                    kind = EventKind.DECREMENTED
                else:
                    record = Trade
                    kind = _TRADE
                    self.last_price = price
                maker_id = maker.order_id
                if leaves < open_qty:
                    emit(
                        _new(record, (kind, now, maker_id, maker_owner, side, price, leaves, purpose, order_id, owner))
                    )
                    maker.leaves = open_qty - leaves
                    level.qty -= leaves
                    leaves = 0
                else:
                    emit(
                        _new(
                            record, (kind, now, maker_id, maker_owner, side, price, open_qty, purpose, order_id, owner)
                        )
                    )
                    leaves -= open_qty
                    level.qty -= open_qty
                    if maker.hidden:
                        self._refresh(maker, level, now, events)
                    else:
                        behind = level.first = maker.behind  # take_out of the first one
                        if behind is None:
                            level.last = None
                        else:
                            behind.ahead = None
                        level.count -= 1
                        del orders[maker_id]
                        if maker_owner:
                            del owned[maker_owner][maker_id]
            if not level.count and level is opposite.best:
                opposite.vacate(level)
        return leaves

    def _enter(
        self,
        order_id: int,
        side: Side,
        qty: int,
        price: int | None,
        owner: int,
        purpose: Purpose,
        terms: Terms,
        now: int,
        events: list[Event],
    ) -> None:
        """An accepted, woken or replaced order acts: trade, then rest or be cancelled."""
        opposite = self._bids if side else self._asks
        key = MARKET_KEY if price is None else -price if side else price
        leaves = qty
        reason = Reason.NO_LIQUIDITY if price is None else Reason.IOC_REST
        if terms.tif == _FOK and not self._fillable(opposite, key, qty, owner, terms.self_trade):
            reason = Reason.FOK_KILLED
        else:
            leaves = self._match(opposite, key, qty, order_id, side, owner, purpose, terms.self_trade, now, events)
            if leaves < 0:
                leaves = -leaves
                reason = Reason.SELF_TRADE
        if leaves and price is not None and reason == Reason.IOC_REST and terms.tif < _IOC:
            self._rest(order_id, side, leaves, price, owner, purpose, terms)
            return
        if leaves:
            self._cancel_incoming(order_id, side, leaves, price, owner, reason, now, events)
        if self._orders.pop(order_id, None) is not None and owner:  # a woken stop or a replaced order was filed
            del self._owned[owner][order_id]

    def _fillable(self, opposite: BookSide, key: int, qty: int, owner: int, self_trade: SelfTrade) -> bool:
        """Whether a fill-or-kill order would fill before it meets an order of its own owner."""
        guarded = owner and self_trade != _ALLOW
        for level in opposite.descending():
            if key + level.key < 0:
                return False
            for order in level.orders():
                if guarded and order.owner == owner:
                    # Hidden slices queue behind this order, so only what is displayed ahead of it was counted.
                    return False
                qty -= order.leaves
                if qty <= 0:
                    return True
            qty -= level.hidden
            if qty <= 0:
                return True
        return False

    def _rest(
        self, order_id: int, side: Side, leaves: int, price: int, owner: int, purpose: Purpose, terms: Terms | None
    ) -> None:
        """File an order at the back of its level."""
        book_side = self._asks if side else self._bids
        key = -price if side else price
        level = book_side.levels.get(key)
        if level is None:
            level = book_side.open_level(key, price)
        order = Order()
        order.order_id = order_id
        order.owner = owner
        order.side = side
        order.price = price
        order.level = level
        order.purpose = purpose
        order.terms = terms
        visible = min(terms.display_qty, leaves) if terms and terms.display_qty else leaves
        order.leaves = visible
        order.hidden = leaves - visible
        level.append(order)
        level.qty += visible
        level.hidden += leaves - visible
        level.count += 1
        self._file(order)

    def _file(self, order: Order) -> None:
        self._orders[order.order_id] = order
        if order.owner:
            self._owned.setdefault(order.owner, {})[order.order_id] = order

    def _refresh(self, order: Order, level: PriceLevel, now: int, events: list[Event]) -> None:
        """Show an iceberg's next slice at the back of its level."""
        assert order.terms is not None
        display = order.terms.display_qty
        visible = min(display, order.hidden)
        order.leaves = visible
        order.hidden -= visible
        level.qty += visible
        level.hidden -= visible
        level.take_out(order)
        level.append(order)
        kind = EventKind.REFRESHED
        events.append(
            OrderRefreshed(
                kind,
                now,
                order.order_id,
                order.owner,
                order.side,
                level.price,
                visible,
                order.purpose,
                display,
                order.hidden,
            )
        )

    def _unlink(self, order: Order, level: PriceLevel) -> None:
        """Take a resting order out of its level."""
        level.qty -= order.leaves
        level.hidden -= order.hidden
        order.leaves = 0
        count = level.count = level.count - 1
        if count:
            level.take_out(order)
        else:
            level.first = level.last = None
            (self._asks if order.side else self._bids).vacate(level)

    def _remove(self, order: Order, reason: Reason, now: int, events: list[Event]) -> None:
        """End a live order, resting or asleep."""
        order_id = order.order_id
        owner = order.owner
        hidden = order.hidden
        qty = order.leaves + hidden
        level = order.level
        trigger = None
        if level is None:
            assert order.terms is not None
            trigger = order.terms.trigger_price
            self._stops.remove(order)
        else:
            self._unlink(order, level)
        del self._orders[order_id]
        if owner:
            del self._owned[owner][order_id]
        events.append(
            _new(
                OrderCanceled, (_CANCELED, now, order_id, owner, order.side, order.price, qty, reason, hidden, trigger)
            )
        )

    def _cancel_incoming(
        self,
        order_id: int,
        side: Side,
        qty: int,
        price: int | None,
        owner: int,
        reason: Reason,
        now: int,
        events: list[Event],
    ) -> None:
        events.append(OrderCanceled(_CANCELED, now, order_id, owner, side, price, qty, reason, 0, None))

    def _crosses(self, side: Side, price: int) -> bool:
        return (self._bids.best_key - price if side else price + self._asks.best_key) >= 0

    def _sleep(
        self, order_id: int, side: Side, qty: int, price: int | None, owner: int, purpose: Purpose, terms: Terms
    ) -> None:
        order = Order()
        order.order_id = order_id
        order.owner = owner
        order.side = side
        order.price = price
        order.leaves = qty
        order.hidden = 0
        order.level = order.ahead = order.behind = None
        order.purpose = purpose
        order.terms = terms
        self._stops.add(order)
        self._file(order)

    def _wake_stops(self, now: int, events: list[Event]) -> None:
        """Let every stop that the last trade reaches act, and those that their trades reach in turn."""
        stops = self._stops
        last = self.last_price
        if last is None or stops.sell_trigger < last < stops.buy_trigger:
            return
        woken = deque(stops.wake(last))
        while woken:
            order = woken.popleft()
            terms = order.terms
            assert terms is not None
            identity = (order.order_id, order.owner, order.side, order.price, order.leaves, order.purpose)
            kind = EventKind.TRIGGERED
            events.append(OrderTriggered(kind, now, *identity, terms.display_qty, terms.trigger_price))
            self._enter(
                order.order_id, order.side, order.leaves, order.price, order.owner, order.purpose, terms, now, events
            )
            woken.extend(stops.wake(self.last_price or last))

    def _advance(self, time_ns: int, events: list[Event]) -> None:
        if time_ns < self.time_ns:
            raise ValueError(f"time_ns={time_ns} is before the book's time {self.time_ns}: commands must come in order")
        self.time_ns = time_ns
        expiries = self._expiries
        while expiries and expiries[0][0] <= time_ns:
            expire_ns, _, order_id, terms = heappop(expiries)
            order = self._orders.get(order_id)
            if order is not None and order.terms is terms:
                self._remove(order, Reason.EXPIRED, expire_ns, events)
        self._next_expiry = expiries[0][0] if expiries else NEVER_NS

    def _compact_expiries(self, incoming: Terms) -> None:
        """Forget expiries of orders that are done; called when they outnumber live orders, so amortised O(1)."""
        live = self._orders
        self._expiries = [
            entry
            for entry in self._expiries
            if entry[3] is incoming or ((order := live.get(entry[2])) is not None and order.terms is entry[3])
        ]
        heapify(self._expiries)
        self._next_expiry = self._expiries[0][0]
