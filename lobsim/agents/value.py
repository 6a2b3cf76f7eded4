"""Traders who hold the reference for the true value and take what is offered on its right side."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lobsim.agents.base import AgentParams, Context, CrowdAgent, Name, Positive
from lobsim.events import Purpose, Side, TimeInForce
from lobsim.sim.clock import Alarm, EventClass
from lobsim.units import NS_PER_S


class ValueParams(AgentParams):
    """Keys of an agent of kind "value-traders"."""

    kind: Literal["value-traders"]
    reference: Name
    rate: Positive = Field(description="orders per second and side")
    notional: Positive = Field(description="mean order size, quote units (exponential)")
    edge: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="discount to the reference they insist on")


class ValueTraders(CrowdAgent):
    """Send immediate-or-cancel limit orders at the reference (less an edge).

    Bias: their pace does not grow with the mispricing; they never wait in the book.
    """

    kind = "value-traders"
    Params = ValueParams
    params: ValueParams

    def __init__(self, params: ValueParams, context: Context) -> None:
        super().__init__(params, context)
        self._gap_ns = NS_PER_S / (2 * params.rate)
        self._alarm = Alarm(self.clock, EventClass.MESSAGE, context.name, self._ring)

    def start(self) -> None:
        """Arm the first arrival."""
        self._alarm.arm(1 + int(self.stream.exponential() * self._gap_ns))

    def _ring(self) -> None:
        stream = self.stream
        side = Side.SELL if stream.uniform() < 0.5 else Side.BUY
        notional = self.params.notional * stream.exponential()
        value = self.context.crowd.reference(self.params.reference)
        if value is not None:
            price = self.spec.ticks(value * (1 + self.params.edge if side else 1 - self.params.edge))
            qty = self.spec.lots(notional, price) or 1
            crowd = self.context.crowd
            crowd.submit(self.spec.instrument_id, side, qty, price, Purpose.VALUE, TimeInForce.IOC)
        self._alarm.arm(self.clock.now + 1 + int(stream.exponential() * self._gap_ns))
