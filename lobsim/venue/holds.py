"""Spot accounts: what an open order may cost is held on the ledger, and freed as its lots trade or go."""

from __future__ import annotations

from lobsim.credit import InsufficientFunds, Ledger
from lobsim.events import Event, EventKind, Reason, ReplaceOrder, SelfTrade, Side, SubmitOrder
from lobsim.venue.market import Market

_PPM = 1_000_000


class Hold:
    """What is held for one open order: quanta of one asset for each lot that is still open."""

    __slots__ = ("account", "asset", "lots", "per_lot")

    def __init__(self, account: int, asset: int, per_lot: int, lots: int) -> None:
        self.account = account
        self.asset = asset
        self.per_lot = per_lot
        self.lots = lots


class SpotHolds:
    """The holds of all spot accounts of one exchange, by order id (`open`). A limit buy holds its limit price."""

    __slots__ = ("_ledger", "_taker_ppm", "open")

    def __init__(self, ledger: Ledger, taker_ppm: int) -> None:
        self._ledger = ledger
        self._taker_ppm = taker_ppm
        self.open: dict[int, Hold] = {}

    def accept(self, market: Market, order: SubmitOrder) -> bool:
        """Hold what a new order may cost; False when it is not there. O(1), a market buy O(levels)."""
        price = order.price
        if order.order_id in market.book or order.qty < 1 or (price is not None and price < 1):
            return True  # the book rejects it
        if order.side:
            asset, per_lot = market.base, market.base_per_lot
        elif price is not None:
            asset, per_lot = market.quote, price * market.quote_per_tick_lot
        else:
            return self._can_pay_market(market, order)
        try:
            self._ledger.hold(order.owner, asset, per_lot * order.qty)
        except InsufficientFunds:
            return False
        self.open[order.order_id] = Hold(order.owner, asset, per_lot, order.qty)
        return True

    def _can_pay_market(self, market: Market, order: SubmitOrder) -> bool:
        """Whether the account can pay a market buy, fee included, at the prices in the book now.

        Never for a stop: what it will cost when it wakes up has no bound.
        """
        if order.trigger_price is not None:
            return False
        qty = order.qty
        if order.self_trade == SelfTrade.CANCEL_OLDEST:  # it walks past its own offers, to dearer ones
            own = (hold for hold in self.open.values() if hold.account == order.owner and hold.asset == market.base)
            qty += sum(hold.lots for hold in own)
        cost = market.book.walk(Side.BUY, qty).notional * market.quote_per_tick_lot
        return cost + cost * self._taker_ppm // _PPM <= self._ledger.free(order.owner, market.quote)

    def take(self, order_id: int, qty: int) -> int:
        """Quanta held for `qty` lots that trade now, for the settlement to release."""
        hold = self.open.get(order_id)
        if hold is None:
            return 0
        hold.lots -= qty
        if not hold.lots:
            del self.open[order_id]
        return hold.per_lot * qty

    def release(self, event: Event) -> None:
        """Give back what was held for lots that were cancelled, rejected by the book or taken off by self-trading."""
        kind = event[0]
        if kind == EventKind.CANCELED:
            self._drop(event[2])
        elif kind == EventKind.REJECTED:
            if Reason.DUPLICATE_ID < event[7] < Reason.INSUFFICIENT_FUNDS:  # else the hold is that of a live order
                self._drop(event[2])
        elif kind == EventKind.DECREMENTED:
            for order_id in (event[2], event[8]):
                hold = self.open.get(order_id)
                if hold is not None:
                    self._ledger.release(hold.account, hold.asset, self.take(order_id, event[6]))

    def _drop(self, order_id: int) -> None:
        hold = self.open.pop(order_id, None)
        if hold is not None:
            self._ledger.release(hold.account, hold.asset, hold.per_lot * hold.lots)

    def replace(self, market: Market, command: ReplaceOrder) -> list[Event] | None:
        """Carry out a replace, its hold moved first; None when the new order is not covered."""
        order_id, qty, price, _ = command
        hold = self.open.get(order_id)
        order = market.book.order(order_id)
        if hold is None or order is None or order.trigger_price is not None or qty < 1 or price is None or price < 1:
            return market.book.replace(*command)
        before = (hold.per_lot, hold.lots)
        after = (hold.per_lot if order.side else price * market.quote_per_tick_lot, qty)
        if after[0] * after[1] - before[0] * before[1] > self._ledger.free(hold.account, hold.asset):
            return None
        self._move(hold, after)
        events = market.book.replace(*command)
        if events[0][0] == EventKind.REPLACE_REJECTED:
            self._move(hold, before)
        return events

    def _move(self, hold: Hold, terms: tuple[int, int]) -> None:
        more = terms[0] * terms[1] - hold.per_lot * hold.lots
        if more > 0:
            self._ledger.hold(hold.account, hold.asset, more)
        else:
            self._ledger.release(hold.account, hold.asset, -more)
        hold.per_lot, hold.lots = terms
