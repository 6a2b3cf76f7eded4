"""Immediate orders of an agent that wants to know what became of them before it sends the next."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from lobsim.events import CancelOrder, Event, EventKind, Purpose, Side, TimeInForce
from lobsim.sim.clock import Clock
from lobsim.sim.gateway import Gateway, InstrumentSpec

OnFill = Callable[[InstrumentSpec, Side, int, int], None]
"""``on_fill(spec, side, lots, price_ticks)`` for every trade of a taker's order."""


class Taker:
    """Sends immediate-or-cancel orders of one account on one venue, one at a time per instrument.

    After a rejection it leaves the instrument alone for `retry_ns`. Beside that it may keep one order per instrument
    waiting in the book.
    """

    def __init__(self, gateway: Gateway, clock: Clock, retry_ns: int, on_fill: OnFill | None = None) -> None:
        self.gateway = gateway
        self.traded_ns = -1  # when the last trade that was reported happened
        self._clock = clock
        self._retry_ns = retry_ns
        self._on_fill = on_fill
        self._open: dict[int, list[int]] = {}  # by instrument: order id, lots still open
        self._resting: dict[int, list[int]] = {}  # by instrument: order id, lots still open, price, 1 when recalled
        self._specs: dict[int, InstrumentSpec] = {}
        self._not_before: dict[int, int] = {}
        gateway.listen(self._on_events)

    def ready(self, spec: InstrumentSpec) -> bool:
        """Whether no order is under way and none was rejected lately."""
        number = spec.instrument_id
        return number not in self._open and self._clock.now >= self._not_before.get(number, 0)

    def send(self, spec: InstrumentSpec, side: Side, lots: int, price: int | None, purpose: Purpose) -> None:
        """Take up to `lots` at up to a limit, now."""
        order = self.gateway.order(side, lots, price, purpose, TimeInForce.IOC)
        self._open[spec.instrument_id] = [order.order_id, lots]
        self._specs[spec.instrument_id] = spec
        self.gateway.send(spec.instrument_id, [order])

    def rests(self, spec: InstrumentSpec) -> bool:
        """Whether an order waits in the book, or is on its way there or back."""
        return spec.instrument_id in self._resting

    def rest(self, spec: InstrumentSpec, side: Side, lots: int, price: int, purpose: Purpose) -> None:
        """Take what there is up to a limit, and leave the others in the book until they are taken or recalled."""
        order = self.gateway.order(side, lots, price, purpose, TimeInForce.GTC)
        self._resting[spec.instrument_id] = [order.order_id, lots, price, 0]
        self._specs[spec.instrument_id] = spec
        self.gateway.send(spec.instrument_id, [order])

    def recall(self, spec: InstrumentSpec, unless_at: int | None = None) -> None:
        """Cancel the order that waits, once, unless its price is as given."""
        order = self._resting.get(spec.instrument_id)
        if order is not None and not order[3] and order[2] != unless_at:
            order[3] = 1
            self.gateway.send(spec.instrument_id, [CancelOrder(order[0])])

    def _on_events(self, instrument_id: int, events: list[Event]) -> None:
        for event in events:
            for orders, own in ((self._open, event[8:9]), (self._resting, (event[2], *event[8:9]))):
                order = orders.get(instrument_id)
                if order is None:
                    continue
                kind = event[0]
                if kind == EventKind.TRADE and order[0] in own:
                    self.traded_ns = event[1]
                    order[1] -= event[6]
                    if not order[1]:
                        del orders[instrument_id]
                    if self._on_fill is not None:
                        side = Side(event[4] or 0)
                        taken = event[8] == order[0]
                        spec = self._specs[instrument_id]
                        self._on_fill(spec, side if taken else Side(1 - side), event[6], event[5] or 0)
                elif kind in (EventKind.CANCELED, EventKind.REJECTED) and event[2] == order[0]:
                    del orders[instrument_id]
                    if kind == EventKind.REJECTED:
                        self._not_before[instrument_id] = self._clock.now + self._retry_ns


def affordable_lots(spec: InstrumentSpec, cash: int, price_ticks: int) -> int:
    """Whole lots that `cash` quote quanta pay for, taker fee included."""
    return int(cash / (price_ticks * spec.quote_per_tick_lot * (1 + spec.taker_fee)))


def cost_quanta(spec: InstrumentSpec, lots: int, price_ticks: int) -> int:
    """Quote quanta that lots cost at most, taker fee included, rounded up."""
    return ceil(lots * price_ticks * spec.quote_per_tick_lot * (1 + spec.taker_fee))
