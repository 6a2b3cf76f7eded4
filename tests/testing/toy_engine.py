"""Somebody else's engine, which knows nothing of lobsim, and the adapter that lets the kit test it."""

from __future__ import annotations

from lobsim.events import CancelOrder, Command, Event, EventKind, Purpose, Side, SubmitOrder, Trade


class ToyEngine:
    """Limit orders in two lists of [price, order id, quantity]; its own names, its own results."""

    def __init__(self) -> None:
        self.buying: list[list[int]] = []
        self.selling: list[list[int]] = []

    def place(self, oid: int, buy: bool, price: int, amount: int) -> list[tuple[int, int, int]]:
        """Fills as (id of the resting order, price, amount)."""
        mine, others = (self.buying, self.selling) if buy else (self.selling, self.buying)
        fills = []
        while amount and others and (others[0][0] <= price if buy else others[0][0] >= price):
            at, other_id, available = others[0]
            lots = min(amount, available)
            fills.append((other_id, at, lots))
            amount -= lots
            others[0][2] -= lots
            if not others[0][2]:
                others.pop(0)
        if amount:
            mine.append([price, oid, amount])
            mine.sort(key=lambda order: -order[0] if buy else order[0])
        return fills

    def remove(self, oid: int) -> None:
        self.buying = [order for order in self.buying if order[1] != oid]
        self.selling = [order for order in self.selling if order[1] != oid]


class ToyAdapter:
    """What the kit needs: commands in, events out, and the visible book."""

    def __init__(self) -> None:
        self.toy = ToyEngine()

    def apply(self, command: Command) -> list[Event]:
        match command:
            case SubmitOrder(order_id, side, qty, price, now):
                kind, why = EventKind.TRADE, Purpose.UNSPECIFIED
                fills = self.toy.place(order_id, side == Side.BUY, price, qty)
                return [Trade(kind, now, maker, 0, side, at, lots, why, order_id, 0) for maker, at, lots in fills]
            case CancelOrder(order_id):
                self.toy.remove(order_id)
        return []

    def bids(self) -> list[tuple[int, int]]:
        return levels(self.toy.buying)

    def asks(self) -> list[tuple[int, int]]:
        return levels(self.toy.selling)


def levels(orders: list[list[int]]) -> list[tuple[int, int]]:
    prices = dict.fromkeys(price for price, _, _ in orders)
    return [(price, sum(lots for at, _, lots in orders if at == price)) for price in prices]
