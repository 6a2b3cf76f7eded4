"""Traders who hold the reference for the true value and take what is offered on its right side."""

from __future__ import annotations

from math import exp
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lobsim.agents.base import AgentParams, Context, CrowdAgent, Name, Positive, PositiveDuration
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
    budget: Positive | None = Field(
        None, description="quote units they can have in the market, net bought or net sold; leave out for no limit"
    )
    budget_recovery: PositiveDuration | None = Field(
        None, description="time constant with which what they took leaves for elsewhere; leave out for never"
    )

    @model_validator(mode="after")
    def _recovers_a_budget(self) -> Self:
        if self.budget_recovery is not None and self.budget is None:
            raise ValueError("budget_recovery: without a budget there is nothing to recover")
        return self


class ValueTraders(CrowdAgent):
    """Send immediate-or-cancel limit orders at the reference (less an edge).

    With a budget they stop on one side once their net purchases (or sales) have used it up; trades back, and time,
    set it free. Bias: their pace does not grow with the mispricing; they never wait in the book.
    """

    kind = "value-traders"
    Params = ValueParams
    params: ValueParams

    def __init__(self, params: ValueParams, context: Context) -> None:
        super().__init__(params, context)
        self._gap_ns = NS_PER_S / (2 * params.rate)
        self._net = 0.0  # quote units put in, below 0 for taken out
        self._net_ns = 0
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
            if self.params.budget is None:
                crowd = self.context.crowd
                crowd.submit(self.spec.instrument_id, side, qty, price, Purpose.VALUE, TimeInForce.IOC)
            else:
                self._spend(side, qty, price, self.params.budget)
        self._alarm.arm(self.clock.now + 1 + int(stream.exponential() * self._gap_ns))

    def _spend(self, side: Side, qty: int, price: int, budget: float) -> None:
        """Trade no more than what is left on that side, and keep account of what was traded."""
        now = self.clock.now
        recovery = self.params.budget_recovery
        if recovery is not None:
            self._net *= exp((self._net_ns - now) / recovery)
        self._net_ns = now
        qty = min(qty, self.spec.lots(max(0.0, budget + self._net if side else budget - self._net), price))
        if qty:
            fill = self.context.crowd.take(self.spec.instrument_id, side, qty, price, Purpose.VALUE)
            value = fill.value * self.spec.tick * self.spec.lot
            self._net += -value if side else value
