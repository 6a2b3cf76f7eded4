"""Commands and events: what goes into a matching engine and what comes out of it.

Both are tuples of integers. A command is what somebody asks for (imperative), an event is what then happened (past
tense). Prices are ticks, quantities lots, times nanoseconds since the start of the run. A price of ``None`` means "at
any price" (a market order).

Every event has exactly ten slots and carries its `EventKind` first, so that a recorder can turn a million of them into
columns without asking each what it is, two events of different kinds never compare equal, and a hot loop can dispatch
on ``event[0]``.

Owner 0 is anonymous: it never trades against itself and cannot be mass-cancelled.
"""

from __future__ import annotations

from enum import IntEnum, unique
from typing import NamedTuple, TypeAlias


class _Named(IntEnum):
    """Prints as ``Side.BUY``, so that the repr of a command or an event pastes back as Python."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


@unique
class Side(_Named):
    """Side of an order: BUY rests in `bids`, SELL in `asks`. ``1 - side`` is the other one."""

    BUY = 0
    SELL = 1


@unique
class TimeInForce(_Named):
    """How long an order may rest: until cancelled, until `expire_ns`, not at all, or not at all and all or nothing."""

    GTC = 0
    GTD = 1
    IOC = 2
    FOK = 3


@unique
class SelfTrade(_Named):
    """What happens when an order meets a resting order of its own owner; the incoming order's choice counts."""

    CANCEL_NEWEST = 0
    CANCEL_OLDEST = 1
    CANCEL_BOTH = 2
    DECREMENT = 3
    ALLOW = 4


@unique
class Purpose(_Named):
    """Why an order was sent. Every trade carries its aggressor's purpose, so that a price fall can be taken apart."""

    UNSPECIFIED = 0
    QUOTE = 1
    NOISE = 2
    VALUE = 3
    PATIENT = 4
    STRAY = 5
    MOMENTUM = 6
    SHOCK = 7
    STOP_OUT = 8
    LOAN_LIQUIDATION = 9
    ACCOUNT_LIQUIDATION = 10
    CONTRACT_LIQUIDATION = 11
    LOOP_UNWIND = 12
    ARBITRAGE = 13
    REDEMPTION = 14
    HEDGE = 15
    TAPE = 16
    METAORDER = 17
    RUN = 18
    MARGIN_CALL = 19
    TAKE_PROFIT = 20


@unique
class EventKind(_Named):
    """First slot of every event."""

    ACCEPTED = 0
    TRADE = 1
    CANCELED = 2
    REPLACED = 3
    REJECTED = 4
    CANCEL_REJECTED = 5
    REPLACE_REJECTED = 6
    TRIGGERED = 7
    REFRESHED = 8
    DECREMENTED = 9


@unique
class Reason(_Named):
    """Why an order was cancelled or a command rejected."""

    NONE = 0
    # cancelled because ...
    REQUESTED = 1
    MASS_CANCEL = 2
    EXPIRED = 3
    IOC_REST = 4
    FOK_KILLED = 5
    NO_LIQUIDITY = 6
    SELF_TRADE = 7
    # rejected because ...
    DUPLICATE_ID = 20
    UNKNOWN_ORDER = 21
    BAD_QTY = 22
    BAD_PRICE = 23
    BAD_DISPLAY = 24
    BAD_EXPIRY = 25
    BAD_TRIGGER = 26
    POST_ONLY_CROSSES = 27
    POST_ONLY_CONFLICT = 28
    DORMANT_STOP = 29
    # rejected by a venue before the order reached a book because ...
    INSUFFICIENT_FUNDS = 40
    MARGIN_TOO_LOW = 41
    HALTED = 42
    PRICE_BAND = 43


# --- commands -------------------------------------------------------------------------------------------------------


class SubmitOrder(NamedTuple):
    """A new order. Fields stand in the order of `OrderBook.submit`'s arguments, so ``book.submit(*order)`` works.

    order_id: any integer that no live order of this book has; it may be used again once its order is done.
    qty: lots, at least 1. price: limit in ticks, at least 1, or None for a market order.
    time_ns: None means the book's present time. owner: account behind the order, 0 = anonymous.
    display_qty: visible slice of an iceberg; 0 shows everything. expire_ns: with GTD, first moment it no longer exists.
    trigger_price: a stop (limit) order sleeps until the last trade is at or beyond this price.
    """

    order_id: int
    side: Side
    qty: int
    price: int | None = None
    time_ns: int | None = None
    tif: TimeInForce = TimeInForce.GTC
    owner: int = 0
    purpose: Purpose = Purpose.UNSPECIFIED
    post_only: bool = False
    display_qty: int = 0
    trigger_price: int | None = None
    expire_ns: int | None = None
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST


class CancelOrder(NamedTuple):
    """Cancel one live order (resting, or a stop still asleep)."""

    order_id: int
    time_ns: int | None = None


class ReplaceOrder(NamedTuple):
    """Set a resting order's open quantity (displayed and hidden together) and limit price."""

    order_id: int
    qty: int
    price: int
    time_ns: int | None = None


class CancelAll(NamedTuple):
    """Cancel every live order of one owner, on one side or (None) on both, oldest acceptance first."""

    owner: int
    side: Side | None = None
    time_ns: int | None = None


class Advance(NamedTuple):
    """Move the book's clock: GTD orders with ``expire_ns <= time_ns`` go, in order of (expiry, acceptance)."""

    time_ns: int


Command: TypeAlias = SubmitOrder | CancelOrder | ReplaceOrder | CancelAll | Advance


# --- events ---------------------------------------------------------------------------------------------------------


class OrderAccepted(NamedTuple):
    """The order is in: it may trade now, then rest, be cancelled, or (with `trigger_price`) sleep."""

    kind: EventKind
    time_ns: int
    order_id: int
    owner: int
    side: Side
    price: int | None
    qty: int
    purpose: Purpose
    display_qty: int
    trigger_price: int | None


class OrderTriggered(NamedTuple):
    """A stop woke up and acts as an incoming order of `qty` at `price` (None: market) from now on."""

    kind: EventKind
    time_ns: int
    order_id: int
    owner: int
    side: Side
    price: int | None
    qty: int
    purpose: Purpose
    display_qty: int
    trigger_price: int | None


class Trade(NamedTuple):
    """`qty` lots changed hands at the resting order's price. Both orders' open quantity falls by `qty`."""

    kind: EventKind
    time_ns: int
    maker_id: int
    maker_owner: int
    aggressor_side: Side
    price: int
    qty: int
    purpose: Purpose
    taker_id: int
    taker_owner: int


class OrderDecremented(NamedTuple):
    """Self-trade prevention took `qty` lots off both orders, at the resting order's price, without a trade."""

    kind: EventKind
    time_ns: int
    maker_id: int
    maker_owner: int
    aggressor_side: Side
    price: int
    qty: int
    purpose: Purpose
    taker_id: int
    taker_owner: int


class OrderRefreshed(NamedTuple):
    """An iceberg showed its next slice of `qty` lots, at the back of its level; `hidden_qty` is still out of sight."""

    kind: EventKind
    time_ns: int
    order_id: int
    owner: int
    side: Side
    price: int
    qty: int
    purpose: Purpose
    display_qty: int
    hidden_qty: int


class OrderReplaced(NamedTuple):
    """Open quantity is now `qty` at `price`; `kept_priority` is 1 when the order keeps its place in the queue."""

    kind: EventKind
    time_ns: int
    order_id: int
    owner: int
    side: Side
    price: int
    qty: int
    purpose: Purpose
    display_qty: int
    kept_priority: int


class OrderCanceled(NamedTuple):
    """`qty` lots (of which `hidden_qty` were not displayed) are gone. `trigger_price` is set for a sleeping stop."""

    kind: EventKind
    time_ns: int
    order_id: int
    owner: int
    side: Side
    price: int | None
    qty: int
    reason: Reason
    hidden_qty: int
    trigger_price: int | None


class OrderRejected(NamedTuple):
    """The order never came in; the fields repeat what was asked."""

    kind: EventKind
    time_ns: int
    order_id: int
    owner: int
    side: Side
    price: int | None
    qty: int
    reason: Reason
    display_qty: int
    trigger_price: int | None


class CancelRejected(NamedTuple):
    """There was no such live order."""

    kind: EventKind
    time_ns: int
    order_id: int
    owner: int
    side: Side | None
    price: int | None
    qty: int
    reason: Reason
    display_qty: int
    trigger_price: int | None


class ReplaceRejected(NamedTuple):
    """The order, if there is one, stays as it was; `qty` and `price` repeat what was asked."""

    kind: EventKind
    time_ns: int
    order_id: int
    owner: int
    side: Side | None
    price: int | None
    qty: int
    reason: Reason
    display_qty: int
    trigger_price: int | None


Event: TypeAlias = (
    OrderAccepted
    | OrderTriggered
    | Trade
    | OrderDecremented
    | OrderRefreshed
    | OrderReplaced
    | OrderCanceled
    | OrderRejected
    | CancelRejected
    | ReplaceRejected
)
