"""The matching engine: commands in, events out. The rules stand in the docstring of `lobsim.book`."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from heapq import heapify, heappop, heappush
from operator import index

from lobsim.book.queries import BookQueries
from lobsim.book.side import MARKET_KEY, BookSide, Order, PriceLevel, Terms
from lobsim.book.stops import DormantStops, is_triggered
from lobsim.events import (
    CancelRejected,
    Event,
    EventKind,
    OrderAccepted,
    OrderCanceled,
    OrderDecremented,
    OrderRefreshed,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
    Purpose,
    Reason,
    ReplaceRejected,
    SelfTrade,
    Side,
    TimeInForce,
    Trade,
)
from lobsim.units import Grid

MAX_PRICE = 1 << 53
MAX_QTY = 1 << 53

_NEVER = 1 << 63
_GTC, _GTD, _IOC, _FOK = TimeInForce
_ACCEPTED, _TRADE, _CANCELED = EventKind.ACCEPTED, EventKind.TRADE, EventKind.CANCELED
_REQUESTED = Reason.REQUESTED
_ALLOW = SelfTrade.ALLOW

# Building a NamedTuple through tuple's own constructor takes half the time of calling its class, and every message
# builds at least one.
_new = tuple.__new__

Number = int | str | Decimal

_PLAIN = Terms(_GTC, False, 0, SelfTrade.CANCEL_NEWEST, None, None, 0)


class OrderBook(BookQueries):
    """One instrument's limit order book with price-time priority.

    `tick` and `lot` are the grids of decimal text; integers are ticks and lots as they are. With
    ``replace_keeps_priority=False`` a replaced order always goes to the back, as some venues have it.
    Every command returns its events in the order in which they happened. Cost per command: O(1) at levels that exist,
    O(log levels) for a new level, plus O(1) per fill.
    """

    __slots__ = ()

    def __init__(self, tick: Number = "1", lot: Number = "1", *, replace_keeps_priority: bool = True) -> None:
        self.tick_grid = Grid(tick, "price")
        self.lot_grid = Grid(lot, "qty")
        self.time_ns = 0
        self.last_price = None
        self._replace_keeps_priority = replace_keeps_priority
        self._bids = BookSide()
        self._asks = BookSide()
        self._orders = {}
        self._owned = {}
        self._stops = DormantStops()
        self._expiries = []
        self._next_expiry = _NEVER
        self._seq = 0

    # --- commands ---------------------------------------------------------------------------------------------------

    def submit(
        self,
        order_id: int,
        side: Side,
        qty: Number,
        price: Number | None = None,
        time_ns: int | None = None,
        tif: TimeInForce = TimeInForce.GTC,
        owner: int = 0,
        purpose: Purpose = Purpose.UNSPECIFIED,
        post_only: bool = False,
        display_qty: Number = 0,
        trigger_price: Number | None = None,
        expire_ns: int | None = None,
        self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST,
    ) -> list[Event]:
        """Send a new order (fields as in `SubmitOrder`); the first event says whether it was accepted.

        Raises `GridError` for decimal text off the grid and ValueError for a `time_ns` in the book's past.
        """
        events: list[Event] = []
        now = self.time_ns
        if time_ns is not None and time_ns != now:
            if now < time_ns < self._next_expiry:
                self.time_ns = now = time_ns
            else:
                self._advance(time_ns, events)
                now = time_ns
        lots = qty if type(qty) is int else self._lots(qty)
        ticks = price if type(price) is int or price is None else self._ticks(price)
        orders = self._orders
        # Plain limit orders, nearly all of the flow, are handled here in one go; whatever is special in any way takes
        # the longer road through _submit_special.
        if (
            ticks is None
            or tif
            or self_trade
            or display_qty
            or post_only
            or trigger_price is not None
            or expire_ns is not None
            or order_id in orders
            or not 0 < lots <= MAX_QTY
            or not 0 < ticks <= MAX_PRICE
        ):
            display = display_qty if type(display_qty) is int else self._lots(display_qty)
            trigger = None if trigger_price is None else self._ticks(trigger_price)
            terms = _new(Terms, (tif, bool(post_only), display, self_trade, expire_ns, trigger, self._seq))
            self._submit_special(order_id, side, lots, ticks, owner, purpose, terms, now, events)
            return events
        events.append(_new(OrderAccepted, (_ACCEPTED, now, order_id, owner, side, ticks, lots, purpose, 0, None)))
        if side:
            key = -ticks
            book_side = self._asks
            opposite = self._bids
        else:
            key = ticks
            book_side = self._bids
            opposite = self._asks
        if key + opposite.best_key >= 0:
            leaves = self._match(
                opposite, key, lots, order_id, side, owner, purpose, SelfTrade.CANCEL_NEWEST, now, events
            )
            if leaves > 0:
                self._rest(order_id, side, leaves, ticks, owner, purpose, None)
            elif leaves:
                self._cancel_incoming(order_id, side, -leaves, ticks, owner, Reason.SELF_TRADE, now, events)
            self._wake_stops(now, events)
            return events
        level = book_side.levels.get(key)
        if level is None:
            level = book_side.add_level(key, ticks)
        if not level.count:
            book_side.occupy(level)
        order = Order()
        order.order_id = order_id
        order.owner = owner
        order.side = side
        order.price = ticks
        order.leaves = lots
        order.hidden = 0
        order.level = level
        order.purpose = purpose
        order.terms = None
        level.queue.append(order)
        level.qty += lots
        level.count += 1
        orders[order_id] = order
        if owner:
            owned = self._owned.get(owner)
            if owned is None:
                self._owned[owner] = {order_id: order}
            else:
                owned[order_id] = order
        return events

    def cancel(self, order_id: int, time_ns: int | None = None) -> list[Event]:
        """Cancel one live order."""
        events: list[Event] = []
        now = self.time_ns
        if time_ns is not None and time_ns != now:
            if now < time_ns < self._next_expiry:
                self.time_ns = now = time_ns
            else:
                self._advance(time_ns, events)
                now = time_ns
        order = self._orders.get(order_id)
        if order is None:
            events.append(
                CancelRejected(
                    EventKind.CANCEL_REJECTED, now, order_id, 0, None, None, 0, Reason.UNKNOWN_ORDER, 0, None
                )
            )
        else:
            self._remove(order, _REQUESTED, now, events)
        return events

    def replace(self, order_id: int, qty: Number, price: Number, time_ns: int | None = None) -> list[Event]:
        """Set a resting order's open quantity and price; it may trade. Raises as `submit` does."""
        events: list[Event] = []
        if time_ns is not None and time_ns != self.time_ns:
            self._advance(time_ns, events)
        now = self.time_ns
        lots = qty if type(qty) is int else self._lots(qty)
        ticks = price if type(price) is int or price is None else self._ticks(price)
        order = self._orders.get(order_id)
        reason = self._replace_fault(order, lots, ticks)
        if reason or order is None or ticks is None or order.level is None:
            owner, side = (0, None) if order is None else (order.owner, order.side)
            kind = EventKind.REPLACE_REJECTED
            events.append(ReplaceRejected(kind, now, order_id, owner, side, ticks, lots, reason, 0, None))
            return events
        level = order.level
        terms = order.terms or _PLAIN
        cut = order.leaves + order.hidden - lots
        kept = self._replace_keeps_priority and ticks == order.price and cut > 0
        identity = (order_id, order.owner, order.side, ticks, lots, order.purpose)
        events.append(_new(OrderReplaced, (EventKind.REPLACED, now, *identity, terms.display_qty, int(kept))))
        if kept:
            from_hidden = min(cut, order.hidden)
            order.hidden -= from_hidden
            level.hidden -= from_hidden
            order.leaves -= cut - from_hidden
            level.qty -= cut - from_hidden
        else:
            self._unlink(order, level)
            self._enter(order_id, order.side, lots, ticks, order.owner, order.purpose, terms, now, events)
            self._wake_stops(now, events)
        return events

    def cancel_all(self, owner: int, side: Side | None = None, time_ns: int | None = None) -> list[Event]:
        """Cancel all of an owner's live orders (on one side, if given), oldest first: a withdrawal in one call."""
        events: list[Event] = []
        if time_ns is not None and time_ns != self.time_ns:
            self._advance(time_ns, events)
        for order in list(self._owned.get(owner, {}).values()):
            if side is None or order.side == side:
                self._remove(order, Reason.MASS_CANCEL, self.time_ns, events)
        return events

    def advance(self, time_ns: int) -> list[Event]:
        """Move the clock to `time_ns` and expire what is due by then; ValueError for the past."""
        events: list[Event] = []
        if time_ns != self.time_ns:
            self._advance(time_ns, events)
        return events

    @property
    def next_expiry_ns(self) -> int | None:
        """No GTD order expires before this moment (None: there is none). It may have been cancelled meanwhile."""
        return self._expiries[0][0] if self._expiries else None

    # --- the walk ---------------------------------------------------------------------------------------------------

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
            queue = level.queue
            while leaves and level.count:
                maker = queue[0]
                open_qty = maker.leaves
                if not open_qty:  # done or replaced since it queued up
                    queue.popleft()
                    continue
                maker_owner = maker.owner
                if guarded and maker_owner == owner:
                    if self_trade != SelfTrade.DECREMENT:
                        if self_trade != SelfTrade.CANCEL_NEWEST:
                            self._remove(maker, Reason.SELF_TRADE, now, events)
                        if self_trade != SelfTrade.CANCEL_OLDEST:
                            return -leaves
                        continue
                    record, kind = OrderDecremented, EventKind.DECREMENTED
                else:
                    record, kind = Trade, _TRADE
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
                    queue.popleft()
                    if maker.hidden:
                        self._refresh(maker, level, now, events)
                    else:
                        maker.leaves = 0
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
        elif key + opposite.best_key >= 0:
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
        for level_key in reversed(opposite.keys):
            if key + level_key < 0:
                return False
            for order in opposite.levels[level_key].queue:
                if order.leaves:
                    if guarded and order.owner == owner:
                        # Hidden slices queue behind this order, so only what is displayed ahead of it was counted.
                        return False
                    qty -= order.leaves
                    if qty <= 0:
                        return True
            qty -= opposite.levels[level_key].hidden
            if qty <= 0:
                return True
        return False

    def _rest(
        self, order_id: int, side: Side, leaves: int, price: int, owner: int, purpose: Purpose, terms: Terms | None
    ) -> None:
        """File an order at the back of its level."""
        book_side = self._asks if side else self._bids
        key = -price if side else price
        level = book_side.levels.get(key) or book_side.add_level(key, price)
        if not level.count:
            book_side.occupy(level)
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
        level.queue.append(order)
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
        level.queue.append(order)
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
        """Take a resting order out of its level; its queue entry dies and is skipped later."""
        level.qty -= order.leaves
        level.hidden -= order.hidden
        order.leaves = 0
        level.count -= 1
        if not level.count:
            (self._asks if order.side else self._bids).vacate(level)
        elif len(level.queue) > 2 * level.count + 32:
            level.compact()

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
            order.leaves = 0
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

    # --- special orders ---------------------------------------------------------------------------------------------

    def _submit_special(
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
        tif, _, display, _, expire_ns, trigger, seq = terms
        reason = self._submit_fault(order_id, side, qty, price, terms, now)
        if reason:
            kind = EventKind.REJECTED
            events.append(OrderRejected(kind, now, order_id, owner, side, price, qty, reason, display, trigger))
            return
        events.append(
            _new(OrderAccepted, (_ACCEPTED, now, order_id, owner, side, price, qty, purpose, display, trigger))
        )
        if expire_ns is not None and (price is not None or trigger is not None):
            self._seq += 1
            heappush(self._expiries, (expire_ns, seq, order_id, terms))
            self._next_expiry = self._expiries[0][0]
            if len(self._expiries) > 2 * len(self._orders) + 64:
                self._compact_expiries(order_id)
        if trigger is not None:
            self._seq = seq + 1
            if not is_triggered(side, trigger, self.last_price):
                self._sleep(order_id, side, qty, price, owner, purpose, terms)
                return
            kind = EventKind.TRIGGERED
            events.append(OrderTriggered(kind, now, order_id, owner, side, price, qty, purpose, display, trigger))
        self._enter(order_id, side, qty, price, owner, purpose, terms, now, events)
        self._wake_stops(now, events)

    def _submit_fault(
        self, order_id: int, side: Side, qty: int, price: int | None, terms: Terms, now: int
    ) -> Reason | None:
        tif, post_only, display, _, expire_ns, trigger, _ = terms
        if order_id in self._orders:
            return Reason.DUPLICATE_ID
        if not 0 < qty <= MAX_QTY:
            return Reason.BAD_QTY
        if price is not None and not 0 < price <= MAX_PRICE:
            return Reason.BAD_PRICE
        if (expire_ns is None) == (tif == _GTD) or (expire_ns is not None and expire_ns <= now):
            return Reason.BAD_EXPIRY
        if display and (not 0 < display <= qty or price is None or tif >= _IOC):
            return Reason.BAD_DISPLAY
        if trigger is not None and not 0 < trigger <= MAX_PRICE:
            return Reason.BAD_TRIGGER
        if post_only:
            if price is None or tif >= _IOC or trigger is not None:
                return Reason.POST_ONLY_CONFLICT
            if self._crosses(side, price):
                return Reason.POST_ONLY_CROSSES
        return None

    def _replace_fault(self, order: Order | None, qty: int, price: int | None) -> Reason:
        if order is None:
            return Reason.UNKNOWN_ORDER
        if order.level is None:
            return Reason.DORMANT_STOP
        if not 0 < qty <= MAX_QTY:
            return Reason.BAD_QTY
        if price is None or not 0 < price <= MAX_PRICE:
            return Reason.BAD_PRICE
        if order.terms and order.terms.post_only and self._crosses(order.side, price):
            return Reason.POST_ONLY_CROSSES
        return Reason.NONE

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
        order.level = None
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

    # --- time and numbers -------------------------------------------------------------------------------------------

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
        self._next_expiry = expiries[0][0] if expiries else _NEVER

    def _compact_expiries(self, incoming_id: int) -> None:
        """Forget expiries of orders that are done; called when they outnumber live orders, so amortised O(1)."""
        live = self._orders
        self._expiries = [
            entry
            for entry in self._expiries
            if entry[2] == incoming_id or ((order := live.get(entry[2])) is not None and order.terms is entry[3])
        ]
        heapify(self._expiries)
        self._next_expiry = self._expiries[0][0]

    def _lots(self, qty: Number) -> int:
        return self.lot_grid.count(qty) if isinstance(qty, str | Decimal) else index(qty)

    def _ticks(self, price: Number) -> int:
        return self.tick_grid.count(price) if isinstance(price, str | Decimal) else index(price)
