"""A matching engine so plain that it can be read as the specification.

Every order stands in one list; whoever needs a queue filters that list and sorts it. Nothing is cached, nothing is
indexed and no line is shared with `lobsim.book`, so the two can only agree by both being right. Every command costs
O(n log n) or worse: it is for tests.

The state of an order is told by three fields: `place` is its turn in the queues while it rests (lower comes first, None
when it does not rest), `dormant` says that it is a sleeping stop, and `accepted` counts acceptances (it decides between
equals among stops, expiries and mass cancels, and survives a replace).
"""

from __future__ import annotations

from lobsim.events import (
    Advance,
    CancelAll,
    CancelOrder,
    CancelRejected,
    Command,
    Event,
    EventKind,
    OrderAccepted,
    OrderCanceled,
    OrderDecremented,
    OrderRefreshed,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
    Reason,
    ReplaceOrder,
    ReplaceRejected,
    SelfTrade,
    Side,
    SubmitOrder,
    TimeInForce,
    Trade,
)
from lobsim.testing.reference_state import ReferenceOrder, ReferenceState, acceptable

LARGEST = 2**53  # of prices and quantities: what a double still holds exactly


class ReferenceBook(ReferenceState):
    """The naive engine. It satisfies `lobsim.testing.Engine` and answers every optional question as well."""

    def __init__(self, *, replace_keeps_priority: bool = True) -> None:
        super().__init__()
        self._replace_keeps_priority = replace_keeps_priority
        self._awake: list[ReferenceOrder] = []  # stops that woke up and wait for their turn
        self._accepted = 0
        self._places = 0
        self._events: list[Event] = []

    # --- commands -----------------------------------------------------------------------------------------------

    def apply(self, command: Command) -> list[Event]:
        """Everything that happens because of one command; raises ValueError when its time lies in the past."""
        self._events = []
        self._move_clock(command.time_ns)
        match command:
            case SubmitOrder():
                self._submit(command)
            case CancelOrder():
                self._cancel(command)
            case ReplaceOrder():
                self._replace(command)
            case CancelAll():
                for order in self._by_acceptance():
                    if order.owner == command.owner != 0 and command.side in (None, order.side):
                        self._end(order, Reason.MASS_CANCEL)
            case Advance():
                pass
        return self._events

    def _move_clock(self, time_ns: int | None) -> None:
        if time_ns is None:
            return
        if time_ns < self.time_ns:
            raise ValueError(f"time_ns {time_ns} is before the book's time {self.time_ns}")
        self.time_ns = time_ns
        due = [order for order in self._by_acceptance() if order.expire_ns is not None and order.expire_ns <= time_ns]
        for order in sorted(due, key=lambda order: order.expire_ns or 0):  # stable: ties stay by acceptance
            self._end(order, Reason.EXPIRED, order.expire_ns)

    def _submit(self, new: SubmitOrder) -> None:
        asked = (new.order_id, new.owner, new.side, new.price, new.qty)
        shown = (new.display_qty, new.trigger_price)
        reason = self._why_rejected(new)
        if reason is not None:
            self._events.append(OrderRejected(EventKind.REJECTED, self.time_ns, *asked, reason, *shown))
            return
        self._accepted += 1
        order = ReferenceOrder(
            order_id=new.order_id,
            side=new.side,
            price=new.price,
            tif=new.tif,
            owner=new.owner,
            purpose=new.purpose,
            post_only=new.post_only,
            display_qty=new.display_qty if new.display_qty < new.qty else 0,  # an iceberg that shows all is none
            trigger_price=new.trigger_price,
            expire_ns=new.expire_ns,
            self_trade=new.self_trade,
            accepted=self._accepted,
            visible=new.qty,
        )
        self._orders.append(order)
        self._events.append(OrderAccepted(EventKind.ACCEPTED, self.time_ns, *asked, new.purpose, *shown))
        if order.trigger_price is not None:
            if not self._reached(order):
                order.dormant = True
                return
            self._trigger(order)
        self._enter(order)
        self._run_stops()

    def _why_rejected(self, new: SubmitOrder) -> Reason | None:
        """The first rule that a new order breaks."""
        market = new.price is None
        at_once = new.tif in (TimeInForce.IOC, TimeInForce.FOK)
        stop = new.trigger_price is not None
        if self._find(new.order_id) is not None:
            return Reason.DUPLICATE_ID
        if not 1 <= new.qty <= LARGEST:
            return Reason.BAD_QTY
        if new.price is not None and not 1 <= new.price <= LARGEST:
            return Reason.BAD_PRICE
        if new.tif == TimeInForce.GTD and (new.expire_ns is None or new.expire_ns <= self.time_ns):
            return Reason.BAD_EXPIRY
        if new.tif != TimeInForce.GTD and new.expire_ns is not None:
            return Reason.BAD_EXPIRY
        if not 0 <= new.display_qty <= new.qty or (new.display_qty > 0 and (market or at_once)):
            return Reason.BAD_DISPLAY
        if new.trigger_price is not None and not 1 <= new.trigger_price <= LARGEST:
            return Reason.BAD_TRIGGER
        if new.post_only and (market or at_once or stop):
            return Reason.POST_ONLY_CONFLICT
        if new.post_only and self._crosses(new.side, new.price):
            return Reason.POST_ONLY_CROSSES
        return None

    def _cancel(self, command: CancelOrder) -> None:
        order = self._find(command.order_id)
        if order is not None:
            self._end(order, Reason.REQUESTED)
            return
        nobody = (command.order_id, 0, None, None, 0)
        kind = EventKind.CANCEL_REJECTED
        self._events.append(CancelRejected(kind, self.time_ns, *nobody, Reason.UNKNOWN_ORDER, 0, None))

    def _replace(self, command: ReplaceOrder) -> None:
        order = self._find(command.order_id)
        reason = self._why_not_replaced(order, command)
        if order is None or reason is not None:
            reason = reason or Reason.UNKNOWN_ORDER
            owner, side = (order.owner, order.side) if order else (0, None)
            asked = (command.order_id, owner, side, command.price, command.qty)
            self._events.append(ReplaceRejected(EventKind.REPLACE_REJECTED, self.time_ns, *asked, reason, 0, None))
            return
        keeps = self._replace_keeps_priority and command.price == order.price and command.qty < order.open_qty
        if keeps:  # what nobody sees goes first
            order.visible = min(order.visible, command.qty)
            order.hidden = command.qty - order.visible
        else:
            order.price, order.visible, order.hidden, order.place = command.price, command.qty, 0, None
        asked = (order.order_id, order.owner, order.side, command.price, command.qty)
        tail = (order.purpose, order.display_qty, int(keeps))
        self._events.append(OrderReplaced(EventKind.REPLACED, self.time_ns, *asked, *tail))
        if not keeps:
            self._enter(order)
            self._run_stops()

    def _why_not_replaced(self, order: ReferenceOrder | None, command: ReplaceOrder) -> Reason | None:
        if order is None:
            return Reason.UNKNOWN_ORDER
        if order.dormant:
            return Reason.DORMANT_STOP
        if not 1 <= command.qty <= LARGEST:
            return Reason.BAD_QTY
        if command.price is None or not 1 <= command.price <= LARGEST:
            return Reason.BAD_PRICE
        if order.post_only and self._crosses(order.side, command.price):
            return Reason.POST_ONLY_CROSSES
        return None

    # --- matching -----------------------------------------------------------------------------------------------

    def _enter(self, taker: ReferenceOrder) -> None:
        """`taker` trades with what it can reach, then rests or is cancelled."""
        if taker.tif == TimeInForce.FOK and self._reachable_before_own(taker) < taker.visible:
            self._end(taker, Reason.FOK_KILLED)
            return
        while taker.visible > 0:
            reachable = self._reachable(taker)
            if not reachable:
                break
            maker = reachable[0]
            if self._is_own(taker, maker) and taker.self_trade != SelfTrade.DECREMENT:
                if taker.self_trade in (SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH):
                    self._end(maker, Reason.SELF_TRADE)
                if taker.self_trade in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH):
                    self._end(taker, Reason.SELF_TRADE)
                    return
            else:
                self._meet(taker, maker)
        if taker.visible == 0:
            self._orders.remove(taker)
        elif taker.price is None:
            self._end(taker, Reason.NO_LIQUIDITY)
        elif taker.tif in (TimeInForce.IOC, TimeInForce.FOK):
            self._end(taker, Reason.IOC_REST)
        else:
            self._show(taker)

    def _meet(self, taker: ReferenceOrder, maker: ReferenceOrder) -> None:
        """Both lose the quantity that the smaller shows: by a trade, or without one between orders of one owner."""
        assert maker.price is not None
        qty = min(taker.visible, maker.visible)
        taker.visible -= qty
        maker.visible -= qty
        resting = (maker.order_id, maker.owner, taker.side, maker.price, qty)
        parties = (*resting, taker.purpose, taker.order_id, taker.owner)
        if self._is_own(taker, maker):
            self._events.append(OrderDecremented(EventKind.DECREMENTED, self.time_ns, *parties))
        else:
            self._events.append(Trade(EventKind.TRADE, self.time_ns, *parties))
            self.last_price = maker.price
        if maker.visible > 0:
            return
        if maker.hidden == 0:
            self._orders.remove(maker)
            return
        maker.visible = maker.hidden
        self._show(maker)
        shown = (maker.order_id, maker.owner, maker.side, maker.price, maker.visible)
        tail = (maker.purpose, maker.display_qty, maker.hidden)
        self._events.append(OrderRefreshed(EventKind.REFRESHED, self.time_ns, *shown, *tail))

    def _show(self, order: ReferenceOrder) -> None:
        """`order` joins the back of its level; of an iceberg only a slice is visible."""
        self._places += 1
        order.place = self._places
        total = order.visible
        if order.display_qty > 0:
            order.visible = min(order.display_qty, total)
        order.hidden = total - order.visible

    def _reachable(self, taker: ReferenceOrder) -> list[ReferenceOrder]:
        """Resting orders that `taker` may trade with, in the order in which it meets them."""
        queue = self._queue(Side(1 - taker.side))
        return [maker for maker in queue if acceptable(taker.side, taker.price, maker.price)]

    def _reachable_before_own(self, taker: ReferenceOrder) -> int:
        """Lots that `taker` could trade before it meets an order of its own owner.

        An iceberg at the level of that own order counts with its visible slice only: the next one queues behind.
        """
        reachable = self._reachable(taker)
        own = next((maker for maker in reachable if self._is_own(taker, maker)), None)
        if own is None:
            return sum(maker.open_qty for maker in reachable)
        before = reachable[: reachable.index(own)]
        return sum(maker.visible if maker.price == own.price else maker.open_qty for maker in before)

    def _is_own(self, taker: ReferenceOrder, maker: ReferenceOrder) -> bool:
        """Whether self-trade prevention applies between the two; the incoming order decides."""
        return taker.owner == maker.owner != 0 and taker.self_trade != SelfTrade.ALLOW

    def _crosses(self, side: Side, price: int | None) -> bool:
        """Whether an order of `side` at `price` would meet any resting order."""
        return any(acceptable(side, price, other.price) for other in self._queue(Side(1 - side)))

    # --- stops --------------------------------------------------------------------------------------------------

    def _reached(self, stop: ReferenceOrder) -> bool:
        if self.last_price is None or stop.trigger_price is None:
            return False
        if stop.side == Side.BUY:
            return self.last_price >= stop.trigger_price
        return self.last_price <= stop.trigger_price

    def _run_stops(self) -> None:
        """Wake the stops that the last trade reached, let them act one by one, and wake what that reaches."""
        self._wake()
        while self._awake:
            stop = self._awake.pop(0)
            self._trigger(stop)
            self._enter(stop)
            self._wake()

    def _wake(self) -> None:
        """Stops queue up as the price got to them: sells by falling trigger, then buys by rising trigger."""
        reached = [order for order in self._by_acceptance() if order.dormant and self._reached(order)]
        sells = [order for order in reached if order.side == Side.SELL]
        buys = [order for order in reached if order.side == Side.BUY]
        sells.sort(key=lambda order: -(order.trigger_price or 0))
        buys.sort(key=lambda order: order.trigger_price or 0)
        for order in sells + buys:
            order.dormant = False
            self._awake.append(order)

    def _trigger(self, order: ReferenceOrder) -> None:
        woken = (order.order_id, order.owner, order.side, order.price, order.open_qty)
        tail = (order.purpose, order.display_qty, order.trigger_price)
        self._events.append(OrderTriggered(EventKind.TRIGGERED, self.time_ns, *woken, *tail))

    def _end(self, order: ReferenceOrder, reason: Reason, time_ns: int | None = None) -> None:
        """Cancel what is left of a live order, wherever it stands."""
        self._orders.remove(order)
        when = self.time_ns if time_ns is None else time_ns
        gone = (order.order_id, order.owner, order.side, order.price, order.open_qty)
        tail = (reason, order.hidden, order.trigger_price if order.dormant else None)
        self._events.append(OrderCanceled(EventKind.CANCELED, when, *gone, *tail))
