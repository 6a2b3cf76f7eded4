"""Bots that race for breached loans: repay, seize the collateral with its bonus, sell it at market."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lobsim.agents.base import Agent, AgentParams, Context, Positive, PositiveDuration
from lobsim.events import Event, EventKind, Purpose, Side, TimeInForce
from lobsim.sim.clock import Alarm, EventClass
from lobsim.units import NS_PER_MS, NS_PER_S


class LiquidationBotParams(AgentParams):
    """Keys of an agent of kind "liquidation-bot"."""

    kind: Literal["liquidation-bot"]
    capital: Positive = Field(description="quote units it starts with; it can repay no more than it has")
    capacity: Positive = Field(description="quote units of debt it takes on per second at most")
    poll: PositiveDuration = Field(200 * NS_PER_MS, description="how often it looks for breached loans")
    slippage_limit: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="sells no lower than this fraction below the last price it saw; leave out for no limit"
    )


class LiquidationBot(Agent):
    """Takes breached loans in a random order of its own and sells what it seizes as soon as it hears of it.

    Bias: it sells at any price unless it has a limit, and does not ask whether the bonus covers the loss.
    """

    kind = "liquidation-bot"
    Params = LiquidationBotParams
    params: LiquidationBotParams

    def __init__(self, params: LiquidationBotParams, context: Context) -> None:
        super().__init__(params, context)
        self._budget = 0.0
        self._fresh = params.capacity * params.poll / NS_PER_S
        self._most = max(params.capacity, self._fresh)  # a second's worth is kept, or a poll's
        self._asked: tuple[dict[int, int], ...] = tuple({} for _ in context.lenders)  # each numbers its own loans
        self._unsold = 0
        self._selling: set[int] = set()
        self._quanta = int(1 / context.spec.quote_quantum)
        self._alarm = Alarm(self.clock, EventClass.WAKE, f"{context.name}/poll", self._poll)
        context.gateway.listen(self._on_events)
        for lender in context.lenders:
            lender.on_result = self._on_result

    def start(self) -> None:
        """Look for loans at every poll, from a random phase."""
        self._alarm.arm(self.clock.now + int(self.stream.uniform() * self.params.poll))

    def _poll(self) -> None:
        """Take breached loans on, spend no more than the capacity."""
        params = self.params
        self._alarm.arm(self.clock.now + params.poll)
        if self._budget < self._most:
            self._budget = min(self._most, self._budget + self._fresh)
        for lender, asked in zip(self.context.lenders, self._asked, strict=True):
            breached = lender.breached()
            if not breached:
                if asked:
                    asked.clear()
                continue
            now = self.clock.now
            free = [loan for loan in breached if asked.get(loan, -1) < now]
            while free and self._budget > 0:
                loan = free.pop(self.stream.below(len(free)))
                spend = min(self._budget, params.capacity / 5)
                lender.liquidate(loan, int(spend * self._quanta))
                asked[loan] = now + 2 * params.order_latency + 2 * params.feed_latency + NS_PER_S
                self._budget -= spend
        if self._unsold:
            self._sell()

    def _on_result(self, _loan_id: int, _repaid: int, seized: int) -> None:
        if seized:
            self._unsold += seized
            self._sell()

    def _on_events(self, _instrument_id: int, events: list[Event]) -> None:
        for event in events:
            if event[0] in (EventKind.CANCELED, EventKind.REJECTED) and event[2] in self._selling:
                self._unsold += event[6] * self.spec.base_per_lot  # nobody bid for these: try again
            if event[0] != EventKind.TRADE:
                self._selling.discard(event[2])

    def _sell(self) -> None:
        spec = self.spec
        gateway = self.context.gateway
        lots = self._unsold // spec.base_per_lot
        if not lots:
            return
        price = None
        if self.params.slippage_limit is not None:
            view = gateway.view(spec.instrument_id)
            if view is None or view.last_price is None:
                return
            price = max(1, round(view.last_price * (1 - self.params.slippage_limit)))
        order = gateway.order(Side.SELL, lots, price, Purpose.LOAN_LIQUIDATION, TimeInForce.IOC)
        self._selling.add(order.order_id)
        self._unsold -= lots * spec.base_per_lot
        gateway.send(spec.instrument_id, [order])
