"""Institutions that split a large order into many small ones over time: metaorders, executed by time slices (TWAP).

Sizes of large orders have a Pareto tail with exponent near 1.5 (Gopikrishnan, Plerou, Gabaix and Stanley 2000,
doi:10.1103/PhysRevE.62.R4493), and splitting them is what gives order flow its long memory (Lillo, Mike and Farmer
2005, doi:10.1103/PhysRevE.71.066122). What they move the price by grows like the square root of their size (Toth et
al. 2011, doi:10.1103/PhysRevX.1.021006).
"""

from __future__ import annotations

from math import exp, log
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lobsim.agents.base import AgentParams, Context, CrowdAgent, Positive, PositiveDuration
from lobsim.events import Purpose, Side, TimeInForce
from lobsim.sim.clock import Alarm, EventClass
from lobsim.units import NS_PER_S

_LONGEST = 10**15  # nanoseconds; an execution that takes longer than this outlasts every run


class MetaorderParams(AgentParams):
    """Keys of an agent of kind "metaorders"."""

    kind: Literal["metaorders"]
    smallest_qty: Positive = Field(description="base units of the smallest parent order")
    largest_qty: Positive = Field(description="base units of the largest parent order")
    tail: Annotated[float, Field(ge=0, le=10)] = Field(
        1.5, description="between them, the share of parents above q falls as q to minus this power; 0: log-uniform"
    )
    duration: PositiveDuration | None = Field(None, description="time each parent takes, whatever its size; or `pace`")
    pace: Positive | None = Field(None, description="base units per second, so that larger ones take longer")
    slice: PositiveDuration = Field(5 * NS_PER_S, description="one child order at a random moment of each such slice")
    rest: PositiveDuration = Field(description="mean pause before each parent (exponential)")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.smallest_qty > self.largest_qty:
            raise ValueError(
                f"smallest_qty ({self.smallest_qty:g}) must not be larger than largest_qty ({self.largest_qty:g})"
            )
        if (self.duration is None) == (self.pace is None):
            raise ValueError("one of duration and pace is wanted, and only one")
        return self


class Metaorders(CrowdAgent):
    """One institution after the other buys or sells a large amount in equal market orders, one per time slice.

    It leaves a note when a parent begins (`metaorder_began`, signed lots: negative for a sale) and when its last child
    has been executed (`metaorder_ended`). Bias: sides and sizes are independent draws, uninformed; nobody slows down
    when the price runs away, and what a child finds no counterparty for is not tried again.
    """

    kind = "metaorders"
    Params = MetaorderParams
    params: MetaorderParams

    def __init__(self, params: MetaorderParams, context: Context) -> None:
        super().__init__(params, context)
        self._side = Side.BUY
        self._lots = 0
        self._sent = 0
        self._slices = 0
        self._child = 0
        self._began = 0
        self._alarm = Alarm(self.clock, EventClass.MESSAGE, context.name, self._ring)

    def start(self) -> None:
        """Arm the first parent."""
        self._rest()

    def _rest(self) -> None:
        self._slices = 0
        self._alarm.arm(self.clock.now + 1 + int(self.stream.exponential() * self.params.rest))

    def _ring(self) -> None:
        if not self._slices:
            self._begin()
        else:
            self._send()
        if self._child < self._slices:
            due = self._began + self._child * self.params.slice + int(self.stream.uniform() * self.params.slice)
            self._alarm.arm(max(due, self.clock.now + 1))
        else:
            self._note("metaorder_ended")
            self._rest()

    def _begin(self) -> None:
        params = self.params
        self._side = Side.SELL if self.stream.uniform() < 0.5 else Side.BUY
        qty = _size(self.stream.uniform(), params.smallest_qty, params.largest_qty, params.tail)
        self._lots = max(1, round(qty / self.spec.lot))
        duration = params.duration
        if duration is None:
            assert params.pace is not None  # one of the two is set
            duration = int(min(_LONGEST, qty / params.pace * NS_PER_S))
        self._slices = max(1, round(duration / params.slice))
        self._began = self.clock.now
        self._child = self._sent = 0
        self._note("metaorder_began")

    def _send(self) -> None:
        """What is due after this slice, less what was sent: children differ by a lot at most and add up exactly."""
        self._child += 1
        due = self._lots * self._child // self._slices
        if due > self._sent:
            crowd = self.context.crowd
            instrument, qty = self.spec.instrument_id, due - self._sent
            crowd.submit(instrument, self._side, qty, None, Purpose.METAORDER, TimeInForce.IOC)
            self._sent = due

    def _note(self, name: str) -> None:
        self.context.note(name, -self._lots if self._side else self._lots, "lots")


def _size(uniform: float, smallest: float, largest: float, tail: float) -> float:
    """Inverse of the truncated Pareto distribution; its limit for tail 0 is log-uniform."""
    if not tail:
        return exp(log(smallest) + (log(largest) - log(smallest)) * uniform)
    kept = 1 - uniform * (1 - (smallest / largest) ** tail)
    return float(min(largest, smallest * kept ** (-1 / tail)))
