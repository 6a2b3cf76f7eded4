"""Patient orders far from the market, and the few stray ones below them that prints in a vacuum hit."""

from __future__ import annotations

from math import exp, log
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lobsim.agents.base import AgentParams, Context, CrowdAgent, Name, NonNegative, Positive
from lobsim.events import Purpose, Side
from lobsim.sim.clock import Alarm, EventClass
from lobsim.units import NS_PER_MINUTE


class PatientParams(AgentParams):
    """Keys of an agent of kind "patient-orders"."""

    kind: Literal["patient-orders"]
    reference: Name
    side: Literal["buy", "sell"] = "buy"
    pool: NonNegative = Field(description="quote units in all orders together at the start; 0 for none")
    orders: int = Field(200, ge=1, le=100_000, description="number of orders the pool is spread over")
    max_distance: Annotated[float, Field(gt=0, lt=1)] = Field(0.95, description="how far from the reference they reach")
    exponent: Annotated[float, Field(gt=0, le=5)] = Field(
        0.67, description="depth within distance d grows as d to this power (measured on real books: 0.67)"
    )
    refill_per_minute: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="share of the pool placed anew a minute"
    )


class PatientOrders(CrowdAgent):
    """A pool of limit orders placed once, and new ones at a steady pace beside the reference of that moment.

    Bias: nobody cancels when the price falls, and new money comes at the same pace in calm and in panic.
    """

    kind = "patient-orders"
    Params = PatientParams
    params: PatientParams

    def __init__(self, params: PatientParams, context: Context) -> None:
        super().__init__(params, context)
        self._alarm = Alarm(self.clock, EventClass.MESSAGE, context.name, self._ring)
        rate = params.refill_per_minute * params.orders
        self._gap_ns = NS_PER_MINUTE / rate if rate else 0.0
        self._opened = False

    def start(self) -> None:
        """Place the pool as soon as the reference is known."""
        if self.params.pool:
            self._alarm.arm(self.params.order_latency + self.params.feed_latency + 1)

    def _ring(self) -> None:
        if not self._opened:
            self._opened = True
            for _ in range(self.params.orders):
                self._place()
        else:
            self._place()
        if self._gap_ns:
            self._alarm.arm(self.clock.now + 1 + int(self.stream.exponential() * self._gap_ns))

    def _place(self) -> None:
        distance = self.params.max_distance * self.stream.uniform() ** (1 / self.params.exponent)
        value = self.context.crowd.reference(self.params.reference)
        if value is None:
            return
        side = Side.BUY if self.params.side == "buy" else Side.SELL
        price = self.spec.ticks(value * (1 + distance if side else 1 - distance))
        qty = self.spec.lots(self.params.pool / self.params.orders, price)
        if qty:
            self.context.crowd.submit(self.spec.instrument_id, side, qty, price, Purpose.PATIENT)


class StrayParams(AgentParams):
    """Keys of an agent of kind "stray-bids"."""

    kind: Literal["stray-bids"]
    reference: Name
    notional: Positive = Field(description="quote units in all stray bids together")
    orders: int = Field(60, ge=1, le=100_000, description="how many there are")
    nearest: Annotated[float, Field(gt=0, lt=1)] = Field(0.10, description="smallest distance below the reference")
    furthest: Annotated[float, Field(gt=0, lt=1)] = Field(0.95, description="largest distance below the reference")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.nearest >= self.furthest:
            raise ValueError(f"nearest ({self.nearest}) must be smaller than furthest ({self.furthest})")
        return self


class StrayBids(CrowdAgent):
    """Forgotten bids, log-uniform in their distance below the reference. Placed once. Bias: they never move."""

    kind = "stray-bids"
    Params = StrayParams
    params: StrayParams

    def start(self) -> None:
        """Place them as soon as the reference is known."""
        alarm = Alarm(self.clock, EventClass.MESSAGE, self.context.name, self._place)
        alarm.arm(self.params.order_latency + self.params.feed_latency + 1)

    def _place(self) -> None:
        params = self.params
        low, high = log(params.nearest), log(params.furthest)
        for _ in range(params.orders):
            distance = exp(low + (high - low) * self.stream.uniform())
            value = self.context.crowd.reference(params.reference)
            if value is None:
                return
            price = self.spec.ticks(value * (1 - distance))
            qty = self.spec.lots(params.notional / params.orders, price)
            if qty:
                self.context.crowd.submit(self.spec.instrument_id, Side.BUY, qty, price, Purpose.STRAY)
