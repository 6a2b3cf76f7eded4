"""Holders who sell because of the shock itself: the informed and the frightened, at market, in small orders."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lobsim.agents.base import AgentParams, Context, CrowdAgent, Name, NonNegative, Positive, PositiveDuration
from lobsim.events import Purpose, Side, TimeInForce
from lobsim.sim.clock import Alarm, EventClass
from lobsim.units import NS_PER_MS


class PanicParams(AgentParams):
    """Keys of an agent of kind "panic-sellers"."""

    kind: Literal["panic-sellers"]
    reference: Name
    qty: NonNegative = Field(description="base units they sell in all for a jump of one `jump_unit`")
    order_qty: Positive = Field(description="mean base units per order (exponential)")
    decay: PositiveDuration = Field(description="time constant with which the selling fades")
    jump_unit: Positive = Field(0.10, description="fall of the reference, as a fraction, that sells `qty` once")
    trigger: Positive = Field(0.05, description="smallest fall between two looks at the reference that frightens them")
    look: PositiveDuration = Field(250 * NS_PER_MS, description="how often they look at the reference")


class PanicSellers(CrowdAgent):
    """Watch the outside reference; after a sudden fall of it they sell in proportion, at an exponentially fading pace.

    Bias: they react to news only, never to the price on their own exchange, so they add to the shock and not to the
    spiral.
    """

    kind = "panic-sellers"
    Params = PanicParams
    params: PanicParams

    def __init__(self, params: PanicParams, context: Context) -> None:
        super().__init__(params, context)
        self._last: float | None = None
        self._left = 0.0
        self._looker = Alarm(self.clock, EventClass.MESSAGE, f"{context.name}/look", self._look)
        self._seller = Alarm(self.clock, EventClass.MESSAGE, context.name, self._sell)
        self._selling = False

    def start(self) -> None:
        """Begin to look."""
        if self.params.qty:
            self._looker.arm(self.params.look)

    def _look(self) -> None:
        value = self.context.crowd.reference(self.params.reference)
        if value is not None:
            if self._last is not None and value < self._last * (1 - self.params.trigger):
                self._left += self.params.qty * (1 - value / self._last) / self.params.jump_unit
                if not self._selling:
                    self._selling = True
                    self._arm()
            self._last = value
        self._looker.arm(self.clock.now + self.params.look)

    def _sell(self) -> None:
        qty = min(self._left, self.params.order_qty * self.stream.exponential())
        lots = max(1, int(qty / self.spec.lot))
        crowd = self.context.crowd
        crowd.submit(self.spec.instrument_id, Side.SELL, lots, None, Purpose.SHOCK, TimeInForce.IOC)
        self._left -= lots * self.spec.lot
        if self._left > self.spec.lot:
            self._arm()
        else:
            self._selling = False

    def _arm(self) -> None:
        """The pace of what is left to sell: left / decay units a nanosecond, in orders of `order_qty`."""
        pace = max(self._left, self.params.order_qty) / self.params.decay / self.params.order_qty
        self._seller.arm(self.clock.now + 1 + int(self.stream.exponential() / pace))
