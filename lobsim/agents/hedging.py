"""How a market maker sheds inventory: immediate orders on the perpetual of the same underlying."""

from __future__ import annotations

from lobsim.agents.maker_pair import Leg, Pair, Underlying
from lobsim.agents.maker_params import HedgeParams
from lobsim.events import Event, EventKind, Purpose, SelfTrade, Side, TimeInForce

_ENOUGH = 0.5  # share of a hedge order that must be filled for it not to have failed


class Hedge:
    """The hedge of one underlying: one order under way at most, and how many in a row have failed.

    It knows an order's fate through reports alone. Bias: it ignores funding and the basis between perpetual and spot.
    """

    __slots__ = ("_filled", "_leg", "_limit", "_order_id", "_params", "_sent", "failed", "underlying")

    def __init__(self, params: HedgeParams, leg: Leg, pair: Pair) -> None:
        self.underlying: Underlying = leg.underlying
        self.failed = 0
        self._params = params
        self._leg = leg
        self._limit = pair.keys.max_inventory / 2 if params.threshold is None else params.threshold
        self._order_id: int | None = None
        self._sent = 0
        self._filled = 0

    def act(self) -> None:
        """Send an order when the net inventory is beyond the threshold and none is under way."""
        qty, fair = self.underlying.qty, self.underlying.fair
        if self._order_id is not None or abs(qty) * fair <= self._limit:
            return
        leg = self._leg
        spec, gateway = leg.spec, leg.gateway
        view = gateway.view(spec.instrument_id)
        lots = int(abs(qty) * self._params.ratio / spec.lot)
        if view is None or not lots:
            return
        if qty > 0:
            side, best, far = Side.SELL, view.best_bid, 1 - self._params.slippage
        else:
            side, best, far = Side.BUY, view.best_ask, 1 + self._params.slippage
        price = spec.ticks(fair * far if best is None else best * spec.tick * far)
        # own quotes on the perpetual step aside: they would otherwise cancel the hedge
        order = gateway.order(side, lots, price, Purpose.HEDGE, TimeInForce.IOC, self_trade=SelfTrade.CANCEL_OLDEST)
        self._order_id, self._sent, self._filled = order.order_id, lots, 0
        gateway.send(spec.instrument_id, [order])

    def hear(self, event: Event) -> bool:
        """Follow the order under way; True when this event is its end."""
        order_id = self._order_id
        if order_id is None:
            return False
        kind = event[0]
        if kind == EventKind.TRADE:
            if event[8] != order_id:
                return False
            self._filled += event[6]
            if self._filled < self._sent:
                return False
        elif event[2] != order_id or kind not in (EventKind.CANCELED, EventKind.REJECTED):
            return False
        self.failed = self.failed + 1 if self._filled < _ENOUGH * self._sent else 0
        self._order_id = None
        return True
