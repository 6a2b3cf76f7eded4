"""What stands between a command and the book: bars, guards, and what an order of a plain spot account may cost."""

from __future__ import annotations

from lobsim.events import Event, EventKind, OrderRejected, Reason, ReplaceOrder, SubmitOrder
from lobsim.venue.holds import SpotHolds
from lobsim.venue.market import Market


def admit(
    holds: SpotHolds, market: Market, order: SubmitOrder, now: int, barred: Reason | None, *, checked: bool
) -> list[Event]:
    """Submit a new order, or reject it: `barred` says why its account may send none, `checked` that it must pay."""
    guard = market.guard
    refused = barred
    if refused is None and guard is not None:
        refused = guard.refusal(order.side, order.price, now)
        order = guard.bounded(order)
    if refused is None and checked and (market.is_contract or not holds.accept(market, order)):
        refused = Reason.INSUFFICIENT_FUNDS  # contracts are for margin accounts only
    return [_rejection(order, now, refused)] if refused is not None else market.book.submit(*order)


def change(
    holds: SpotHolds, market: Market, command: ReplaceOrder, now: int, barred: Reason | None, *, checked: bool
) -> list[Event]:
    """Carry out a replace. Who is barred, or halted, may only make an order smaller; a spot account must cover it."""
    refused = barred
    if barred is not None or market.guard is not None:
        order = market.book.order(command.order_id)
        if order is None or (command.price == order.price and command.qty <= order.qty):
            refused = None
        elif refused is None and market.guard is not None:
            refused = market.guard.refusal(order.side, command.price, now)
    if refused is None:
        events = holds.replace(market, command) if checked else market.book.replace(*command)
        if events is not None:
            return events
        refused = Reason.INSUFFICIENT_FUNDS
    order = market.book.order(command.order_id)
    assert order is not None  # the book itself rejects the replace of an order that is gone
    asked = SubmitOrder(command.order_id, order.side, command.qty, command.price, owner=order.owner)
    return [_rejection(asked, now, refused)._replace(kind=EventKind.REPLACE_REJECTED)]


def _rejection(order: SubmitOrder, now: int, reason: Reason) -> OrderRejected:
    return OrderRejected(
        EventKind.REJECTED,
        now,
        order.order_id,
        order.owner,
        order.side,
        order.price,
        order.qty,
        reason,
        order.display_qty,
        order.trigger_price,
    )
