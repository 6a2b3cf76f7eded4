"""Trend followers: they sell what falls and, if told so, buy what rises.

A return over a window against a threshold is time-series momentum (Moskowitz, Ooi and Pedersen 2012,
doi:10.1016/j.jfineco.2011.11.003) at the pace of minutes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lobsim.agents.base import AgentParams, Context, Duration, NonNegative, PositiveDuration, Share
from lobsim.agents.members import PastPrice, WatchingCrowd, spread
from lobsim.events import Purpose, Side, TimeInForce
from lobsim.units import NS_PER_MINUTE, NS_PER_S


class MomentumParams(AgentParams):
    """Keys of an agent of kind "momentum-sellers"."""

    kind: Literal["momentum-sellers"]
    capacity: NonNegative = Field(description="quote units all of them together may sell; 0 for none of them")
    orders: int = Field(100, ge=1, le=100_000, description="how many they are; the capacity is spread evenly")
    window: PositiveDuration = Field(5 * NS_PER_MINUTE, description="time over which they take the return")
    threshold: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.03, description="fall over the window that moves one; median over them"
    )
    threshold_sigma: Annotated[float, Field(ge=0, le=3)] = Field(0.3, description="log-standard-deviation between them")
    clip: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="share of what it still has that one sells at once"
    )
    delay: Duration = Field(2 * NS_PER_S, description="mean time from seeing to acting (exponential)")
    cooldown: PositiveDuration = Field(NS_PER_MINUTE, description="time for which one rests after it acted")
    both_sides: bool = Field(False, description="they also buy back what they sold when the price rises as fast")
    invested: Share = Field(1.0, description="share of them that hold their coins at the start; others wait to buy")
    look: PositiveDuration = Field(NS_PER_S, description="how often they look at the last price")


class MomentumSellers(WatchingCrowd):
    """Each sells at market, piece by piece, while the return over the window is at or below minus its own threshold.

    Bias: they go by the last trade on their own exchange, however small it was, and sell at any price; how much they
    have does not grow with what they lose or win.
    """

    kind = "momentum-sellers"
    Params = MomentumParams
    params: MomentumParams

    def __init__(self, params: MomentumParams, context: Context) -> None:
        super().__init__(params, context, params.look)
        self._thresholds = sorted(spread(self.stream, params.orders, params.threshold, params.threshold_sigma))
        self._invested = [self.stream.uniform() < params.invested for _ in self._thresholds]
        self._past = PastPrice(params.window)
        self._change = 0.0
        self._stake = 0  # lots of each, fixed by the first price they see
        self._held: list[int] = []
        self._ready_ns = [0] * params.orders
        self._busy = [False] * params.orders

    def start(self) -> None:
        """Begin to look, if there is anything to sell."""
        if self.params.capacity:
            super().start()

    def on_look(self) -> None:
        """Call those whose threshold the return has passed."""
        view = self.context.crowd.view(self.spec.instrument_id)
        price = None if view is None else view.last_price
        if price is None:
            return
        if not self._stake:
            self._stake = max(1, self.spec.lots(self.params.capacity / self.params.orders, price))
            self._held = [self._stake if invested else 0 for invested in self._invested]
        now = self.clock.now
        self._change = self._past.change(now, price)
        size = abs(self._change)
        for member, threshold in enumerate(self._thresholds):
            if threshold > size:
                break
            if not self._busy[member] and self._ready_ns[member] <= now and self._wanted(member):
                self._busy[member] = True
                self.call(member, int(self.params.delay * self.stream.exponential()))

    def on_call(self, member: int) -> None:
        """Act, unless the return has come back meanwhile."""
        self._busy[member] = False
        if abs(self._change) < self._thresholds[member]:
            return
        lots = self._wanted(member)
        if not lots:
            return
        side = Side.SELL if lots < 0 else Side.BUY
        crowd = self.context.crowd
        crowd.submit(self.spec.instrument_id, side, abs(lots), None, Purpose.MOMENTUM, TimeInForce.IOC)
        self._held[member] += lots
        self._ready_ns[member] = self.clock.now + self.params.cooldown

    def _wanted(self, member: int) -> int:
        """Lots to trade in the direction of the present return: below 0 to sell, 0 for nothing to do."""
        held = self._held[member]
        if self._change < 0:
            return -min(held, max(1, round(held * self.params.clip)))
        if not self.params.both_sides:
            return 0
        room = self._stake - held
        return min(room, max(1, round(room * self.params.clip)))
