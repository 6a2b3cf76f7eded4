"""The matching engine: commands in, events out. The rules stand in the docstring of `lobsim.book`."""

from __future__ import annotations

from decimal import Decimal
from heapq import heappush
from operator import index

from lobsim.book.mechanics import NEVER_NS, BookMechanics
from lobsim.book.side import MAX_PRICE, BookSide, Order, PriceLevel, Terms
from lobsim.book.stops import DormantStops, is_triggered
from lobsim.events import (
    CancelRejected,
    Event,
    EventKind,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
    Purpose,
    Reason,
    ReplaceRejected,
    SelfTrade,
    Side,
    TimeInForce,
)
from lobsim.units import Grid

MAX_QTY = 1 << 53

_GTC, _GTD, _IOC, _FOK = TimeInForce
_ACCEPTED, _TRADE, _CANCELED, _REPLACED, *_ = EventKind
_REQUESTED = Reason.REQUESTED
_MASS_CANCEL = Reason.MASS_CANCEL
_ALLOW = SelfTrade.ALLOW

# Building a NamedTuple through tuple's own constructor takes half the time of calling its class, and every message
# builds at least one.
_new = tuple.__new__

Number = int | str | Decimal

_PLAIN = Terms(_GTC, False, 0, SelfTrade.CANCEL_NEWEST, None, None, 0)
_PLAIN_ALLOW = _PLAIN._replace(self_trade=SelfTrade.ALLOW)
_POST = _PLAIN._replace(post_only=True)
_POST_ALLOW = _PLAIN_ALLOW._replace(post_only=True)


class OrderBook(BookMechanics):
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
        self._next_expiry = NEVER_NS
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
        now = self.time_ns
        expired = None
        if time_ns is not None and time_ns != now:
            if now < time_ns < self._next_expiry:
                self.time_ns = now = time_ns
            else:
                expired = self.advance(time_ns)
                now = time_ns
        lots: int = qty if qty.__class__ is int else self._lots(qty)
        ticks = price if price.__class__ is int or price is None else self._ticks(price)
        orders = self._orders
        # Plain limit orders and post-only ones that rest, nearly all of the flow, are handled here in one go; whatever
        # is special in any way takes the longer road through _submit_special.
        if (
            ticks is None
            or (tif and tif != _IOC)
            or (self_trade and self_trade != _ALLOW)
            or display_qty
            or (post_only and (tif or (self._bids.best_key - ticks if side else ticks + self._asks.best_key) >= 0))
            or trigger_price is not None
            or expire_ns is not None
            or order_id in orders
            or not MAX_QTY >= lots > 0
            or not MAX_PRICE >= ticks > 0
        ):
            display = display_qty if type(display_qty) is int else self._lots(display_qty)
            trigger = None if trigger_price is None else self._ticks(trigger_price)
            terms = _new(Terms, (tif, bool(post_only), display, self_trade, expire_ns, trigger, self._seq))
            events: list[Event] = expired or []
            self._submit_special(order_id, side, lots, ticks, owner, purpose, terms, now, events)
            return events
        events = [_new(OrderAccepted, (_ACCEPTED, now, order_id, owner, side, ticks, lots, purpose, 0, None))]
        if expired:
            events = expired + events
        if side:
            key = -ticks
            book_side = self._asks
            opposite = self._bids
        else:
            key = ticks
            book_side = self._bids
            opposite = self._asks
        if key + opposite.best_key >= 0:
            leaves = self._match(opposite, key, lots, order_id, side, owner, purpose, self_trade, now, events)
            if leaves < 0:
                self._cancel_incoming(order_id, side, -leaves, ticks, owner, Reason.SELF_TRADE, now, events)
            elif leaves:
                if tif:
                    self._cancel_incoming(order_id, side, leaves, ticks, owner, Reason.IOC_REST, now, events)
                else:
                    self._rest(order_id, side, leaves, ticks, owner, purpose, _PLAIN_ALLOW if self_trade else None)
            self._wake_stops(now, events)
            return events
        if tif:
            self._cancel_incoming(order_id, side, lots, ticks, owner, Reason.IOC_REST, now, events)
            return events
        if key > book_side.best_key:  # open_best in one piece: most orders of a busy flow improve the touch
            gone = book_side.gone
            level = gone.pop() if gone else PriceLevel()
            level.key = book_side.best_key = key
            level.price = ticks
            book_side.levels[key] = book_side.best = level
            book_side.near.append(key)
        else:
            level = book_side.levels.get(key) or book_side.open_level(key, ticks)
        order = Order()
        order.order_id = order_id
        order.owner = owner
        order.side = side
        order.price = ticks
        order.leaves = lots
        order.hidden = 0
        order.level = level
        order.purpose = purpose
        if post_only:
            order.terms = _POST_ALLOW if self_trade else _POST
        else:
            order.terms = _PLAIN_ALLOW if self_trade else None
        last = order.ahead = level.last  # PriceLevel.append
        order.behind = None
        level.last = order
        if last is None:
            level.first = order
        else:
            last.behind = order
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
        now = self.time_ns
        expired = None
        if time_ns is not None and time_ns != now:
            if now < time_ns < self._next_expiry:
                self.time_ns = now = time_ns
            else:
                expired = self.advance(time_ns)
                now = time_ns
        order = self._orders.pop(order_id, None)
        if order is None or order.level is None:
            return self._cancel_special(order_id, order, now, expired or [])
        # _remove in one piece: every other message is a cancel
        level = order.level
        owner = order.owner
        if owner:
            del self._owned[owner][order_id]
        qty = order.leaves
        hidden = order.hidden
        order.leaves = 0
        level.qty -= qty
        if hidden:
            level.hidden -= hidden
            qty += hidden
        count = level.count = level.count - 1
        side = order.side
        if count:
            level.take_out(order)
        else:
            level.first = level.last = None
            if side:
                self._asks.vacate(level)
            else:
                self._bids.vacate(level)
        canceled: Event = _new(
            OrderCanceled, (_CANCELED, now, order_id, owner, side, order.price, qty, _REQUESTED, hidden, None)
        )
        return [*expired, canceled] if expired else [canceled]

    def replace(self, order_id: int, qty: Number, price: Number, time_ns: int | None = None) -> list[Event]:
        """Set a resting order's open quantity and price; it may trade. Raises as `submit` does."""
        events: list[Event] = []
        if time_ns is not None and time_ns != self.time_ns:
            self._advance(time_ns, events)
        now = self.time_ns
        lots = qty if type(qty) is int else self._lots(qty)
        ticks = price if type(price) is int or price is None else self._ticks(price)
        order = self._orders.get(order_id)
        level = None if order is None else order.level
        if (
            order is None
            or level is None
            or ticks is None
            or not 0 < ticks <= MAX_PRICE
            or not 0 < lots <= MAX_QTY
            or (order.terms is not None and order.terms.post_only and self._crosses(order.side, ticks))
        ):
            self._reject_replace(order, order_id, lots, ticks, now, events)
            return events
        terms = order.terms
        owner = order.owner
        side = order.side
        purpose = order.purpose
        display = terms.display_qty if terms else 0
        cut = order.leaves + order.hidden - lots
        kept = cut > 0 and self._replace_keeps_priority and ticks == level.price
        events.append(
            _new(
                OrderReplaced, (_REPLACED, now, order_id, owner, side, ticks, lots, purpose, display, 1 if kept else 0)
            )
        )
        if kept:
            from_hidden = min(cut, order.hidden)
            order.hidden -= from_hidden
            level.hidden -= from_hidden
            order.leaves -= cut - from_hidden
            level.qty -= cut - from_hidden
            return events
        self._unlink(order, level)
        if self._crosses(side, ticks):
            self._enter(order_id, side, lots, ticks, owner, purpose, terms or _PLAIN, now, events)
            self._wake_stops(now, events)
        else:
            self._rest(order_id, side, lots, ticks, owner, purpose, terms)
        return events

    def cancel_all(self, owner: int, side: Side | None = None, time_ns: int | None = None) -> list[Event]:
        """Cancel all of an owner's live orders (on one side, if given), oldest first: a withdrawal in one call."""
        events: list[Event] = []
        if time_ns is not None and time_ns != self.time_ns:
            self._advance(time_ns, events)
        owned = self._owned.get(owner)
        if not owned:
            return events
        now = self.time_ns
        live = self._orders
        for order_id, order in list(owned.items()):
            if side is not None and order.side != side:
                continue
            level = order.level
            if level is None:
                self._remove(order, _MASS_CANCEL, now, events)
                continue
            hidden = order.hidden  # the rest of _remove in place: most orders of a market maker end here
            qty = order.leaves + hidden
            self._unlink(order, level)
            del live[order_id], owned[order_id]
            ended = (_CANCELED, now, order_id, owner, order.side, order.price, qty, _MASS_CANCEL, hidden, None)
            events.append(_new(OrderCanceled, ended))
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

    # --- special orders ---------------------------------------------------------------------------------------------

    def _cancel_special(self, order_id: int, order: Order | None, now: int, events: list[Event]) -> list[Event]:
        """Nothing to cancel, or a stop still asleep."""
        if order is None:
            kind = EventKind.CANCEL_REJECTED
            events.append(CancelRejected(kind, now, order_id, 0, None, None, 0, Reason.UNKNOWN_ORDER, 0, None))
        else:
            self._orders[order_id] = order  # _remove takes it off the file itself
            self._remove(order, _REQUESTED, now, events)
        return events

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
        _, _, display, _, expire_ns, trigger, seq = terms
        reason = self._submit_fault(order_id, side, qty, price, terms, now)
        if reason:
            kind = EventKind.REJECTED
            events.append(OrderRejected(kind, now, order_id, owner, side, price, qty, reason, display, trigger))
            return
        events.append(
            _new(OrderAccepted, (_ACCEPTED, now, order_id, owner, side, price, qty, purpose, display, trigger))
        )
        if (
            display == qty
        ):  # an iceberg that shows everything is a plain order, also when it is replaced by a larger one
            display = 0
            terms = terms._replace(display_qty=0)
        if expire_ns is not None and (price is not None or trigger is not None):
            self._seq += 1
            heappush(self._expiries, (expire_ns, seq, order_id, terms))
            self._next_expiry = self._expiries[0][0]
            if len(self._expiries) > 2 * len(self._orders) + 64:
                self._compact_expiries(terms)
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

    def _reject_replace(
        self, order: Order | None, order_id: int, qty: int, price: int | None, now: int, events: list[Event]
    ) -> None:
        if order is None:
            reason = Reason.UNKNOWN_ORDER
        elif order.level is None:
            reason = Reason.DORMANT_STOP
        elif not 0 < qty <= MAX_QTY:
            reason = Reason.BAD_QTY
        elif price is None or not 0 < price <= MAX_PRICE:
            reason = Reason.BAD_PRICE
        else:
            reason = Reason.POST_ONLY_CROSSES
        owner, side = (0, None) if order is None else (order.owner, order.side)
        kind = EventKind.REPLACE_REJECTED
        events.append(ReplaceRejected(kind, now, order_id, owner, side, price, qty, reason, 0, None))

    def _lots(self, qty: Number) -> int:
        return self.lot_grid.count(qty) if isinstance(qty, str | Decimal) else index(qty)

    def _ticks(self, price: Number) -> int:
        return self.tick_grid.count(price) if isinstance(price, str | Decimal) else index(price)
