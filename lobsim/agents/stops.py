"""Stop-loss orders: sell (or buy) at market once the price has gone too far. They wait in the exchange's own book.

That they cluster below the market and set each other off is documented for currencies (Osler 2005,
doi:10.1016/j.jimonfin.2004.12.002).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lobsim.agents.base import AgentParams, Context, CrowdAgent, Name, NonNegative
from lobsim.agents.members import shares
from lobsim.events import Purpose, Side
from lobsim.sim.clock import Alarm, EventClass


class StopParams(AgentParams):
    """Keys of an agent of kind "stop-losses"."""

    kind: Literal["stop-losses"]
    reference: Name
    side: Literal["sell", "buy"] = Field("sell", description="sell protects holders, buy those who are short")
    notional: NonNegative = Field(description="quote units of all orders at their trigger prices; 0 for none")
    orders: int = Field(200, ge=1, le=100_000, description="how many there are")
    size_sigma: Annotated[float, Field(ge=0, le=3)] = Field(1.0, description="log-standard-deviation of their sizes")
    nearest: Annotated[float, Field(gt=0, lt=1)] = Field(0.02, description="smallest distance from the reference")
    furthest: Annotated[float, Field(gt=0, lt=1)] = Field(0.30, description="largest distance from the reference")
    exponent: Annotated[float, Field(gt=0, le=5)] = Field(
        1.0, description="share of them within d of the nearest grows as d to this power; below 1 they crowd there"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.nearest >= self.furthest:
            raise ValueError(f"nearest ({self.nearest}) must be smaller than furthest ({self.furthest})")
        return self


class StopLosses(CrowdAgent):
    """Stop-market orders placed once, beside the reference; the last trade of their own book wakes them.

    Bias: nobody moves, cancels or renews a stop, and a single print is enough to set it off.
    """

    kind = "stop-losses"
    Params = StopParams
    params: StopParams

    def __init__(self, params: StopParams, context: Context) -> None:
        super().__init__(params, context)
        self._alarm = Alarm(self.clock, EventClass.MESSAGE, context.name, self._place)

    def start(self) -> None:
        """Place them as soon as the reference is known."""
        if self.params.notional:
            self._alarm.arm(self.params.order_latency + self.params.feed_latency + 1)

    def _place(self) -> None:
        params = self.params
        crowd = self.context.crowd
        value = crowd.reference(params.reference)
        if value is None:
            return
        side = Side.SELL if params.side == "sell" else Side.BUY
        for share in shares(self.stream, params.orders, params.size_sigma):
            distance = self.stream.uniform() ** (1 / params.exponent)
            distance = params.nearest + (params.furthest - params.nearest) * distance
            trigger = self.spec.ticks(value * (1 - distance if side else 1 + distance))
            lots = self.spec.lots(params.notional * share, trigger)
            if lots:
                crowd.stop(self.spec.instrument_id, side, lots, trigger, Purpose.STOP_OUT)
