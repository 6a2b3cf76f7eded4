"""Stop orders that sleep until the last trade reaches their trigger."""

from __future__ import annotations

import sys

from sortedcontainers import SortedList

from lobsim.book.side import Order
from lobsim.events import Side

NEVER_ABOVE = sys.maxsize  # buy_trigger when no buy stop sleeps
NEVER_BELOW = -sys.maxsize  # sell_trigger when no sell stop sleeps


class DormantStops:
    """Sleeping stops, in the order in which a moving price reaches them; earlier accepted first at the same trigger.

    A buy stop wakes when ``last_price >= trigger``, a sell stop when ``last_price <= trigger``. The nearest trigger of
    each side is cached, so the question "does anything wake?" costs two comparisons per trade.
    """

    __slots__ = ("_buys", "_sells", "buy_trigger", "sell_trigger")

    def __init__(self) -> None:
        self._buys: SortedList[tuple[int, int, Order]] = SortedList()
        self._sells: SortedList[tuple[int, int, Order]] = SortedList()
        self.buy_trigger = NEVER_ABOVE
        self.sell_trigger = NEVER_BELOW

    def __len__(self) -> int:
        return len(self._buys) + len(self._sells)

    def add(self, order: Order) -> None:
        """Put a stop to sleep. O(log n)."""
        if order.side:
            self._sells.add(_sell_entry(order))
        else:
            self._buys.add(_buy_entry(order))
        self._cache()

    def remove(self, order: Order) -> None:
        """Take a sleeping stop out (cancelled or expired). O(log n)."""
        if order.side:
            self._sells.remove(_sell_entry(order))
        else:
            self._buys.remove(_buy_entry(order))
        self._cache()

    def wake(self, last_price: int) -> list[Order]:
        """Take out and return the stops that `last_price` triggers, sells first. O(k log n) for k of them."""
        woken: list[Order] = []
        while self._sells and -self._sells[0][0] >= last_price:
            woken.append(self._sells.pop(0)[2])
        while self._buys and self._buys[0][0] <= last_price:
            woken.append(self._buys.pop(0)[2])
        self._cache()
        return woken

    def orders(self) -> list[Order]:
        """Every sleeping stop in order of acceptance. O(n log n)."""
        entries = [(seq, order) for _, seq, order in (*self._buys, *self._sells)]
        return [order for _, order in sorted(entries, key=lambda entry: entry[0])]

    def _cache(self) -> None:
        self.buy_trigger = self._buys[0][0] if self._buys else NEVER_ABOVE
        self.sell_trigger = -self._sells[0][0] if self._sells else NEVER_BELOW


def is_triggered(side: Side, trigger_price: int, last_price: int | None) -> bool:
    """Whether the last trade is at or beyond the trigger; no trade yet triggers nothing."""
    if last_price is None:
        return False
    return last_price <= trigger_price if side else last_price >= trigger_price


def _buy_entry(order: Order) -> tuple[int, int, Order]:
    terms = order.terms
    assert terms is not None
    assert terms.trigger_price is not None
    return (terms.trigger_price, terms.seq, order)


def _sell_entry(order: Order) -> tuple[int, int, Order]:
    trigger, seq, _ = _buy_entry(order)
    return (-trigger, seq, order)
