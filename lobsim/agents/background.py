"""Zero-intelligence background flow: limit orders, market orders and cancellations of a crowd.

Limit orders arrive as a Poisson process per side, at a power-law distance from the opposite best price; each is
cancelled after an exponential life (Farmer, Patelli and Zovko 2005, doi:10.1073/pnas.0409157102; Cont, Stoikov and
Talreja 2010, doi:10.1287/opre.1090.0780). Market orders arrive as a Poisson process, or clustered as a Hawkes process.
"""

from __future__ import annotations

from heapq import heappop, heappush
from math import exp
from typing import Annotated, Literal

from pydantic import Field

from lobsim.agents.base import AgentParams, Context, CrowdAgent, NonNegative, Positive, PositiveDuration
from lobsim.events import Purpose, Side, TimeInForce
from lobsim.sim.clock import Alarm, EventClass
from lobsim.units import NS_PER_S

_NEVER = 1 << 62


class BackgroundParams(AgentParams):
    """Keys of an agent of kind "background"."""

    kind: Literal["background"]
    limit_rate: Positive = Field(description="limit orders per second and side")
    limit_qty: Positive = Field(description="mean size of a limit order, base units (exponential)")
    max_distance: Annotated[float, Field(gt=0, lt=1)] = Field(0.05, description="furthest distance from the other side")
    distance_exponent: Annotated[float, Field(gt=0, le=5)] = Field(
        0.67, description="cumulative arrivals within distance d grow as d to this power"
    )
    lifetime: PositiveDuration = Field(description="mean life before a cancel is sent (exponential)")
    market_rate: NonNegative = Field(description="market orders per second, both sides together, without clustering")
    market_qty: Positive = Field(description="mean size of a market order, base units (exponential)")
    clustering: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="branching ratio of the Hawkes process of market orders; 0 is Poisson"
    )
    clustering_decay: PositiveDuration = Field(10 * NS_PER_S, description="decay time of the excitement")


class Background(CrowdAgent):
    """Crowd of uninformed traders. Bias: sizes, sides and prices are independent draws; nobody reacts to a crash."""

    kind = "background"
    Params = BackgroundParams
    params: BackgroundParams

    def __init__(self, params: BackgroundParams, context: Context) -> None:
        super().__init__(params, context)
        self._crowd = context.crowd
        self._instrument = context.spec.instrument_id
        self._limit_gap_ns = NS_PER_S / (2 * params.limit_rate)
        self._market_rate = params.market_rate / NS_PER_S
        self._excitement = 0.0
        self._excited_at = 0
        self._next_limit = int(self.stream.exponential() * self._limit_gap_ns)
        self._next_market = self._draw_market(0)
        self._cancels: list[tuple[int, int]] = []
        self._power = 1 / params.distance_exponent
        self._alarm = Alarm(self.clock, EventClass.MESSAGE, context.name, self._ring)

    def start(self) -> None:
        """Arm the first arrival."""
        self._alarm.arm(min(self._next_limit, self._next_market))

    def _ring(self) -> None:
        now = self.clock.now
        cancels = self._cancels
        if now == self._next_limit:
            self._submit_limit(now)
            self._next_limit = now + 1 + int(self.stream.exponential() * self._limit_gap_ns)
        elif now == self._next_market:
            self._submit_market()
            self._next_market = self._draw_market(now)
        elif cancels:
            self._crowd.cancel(self._instrument, heappop(cancels)[1])
        due = self._next_limit if self._next_limit < self._next_market else self._next_market
        if cancels and cancels[0][0] < due:
            due = cancels[0][0]
        self._alarm.arm(due if due > now else now)

    def _submit_limit(self, now: int) -> None:
        view = self._crowd.view(self._instrument)
        stream = self.stream
        side = Side.SELL if stream.uniform() < 0.5 else Side.BUY
        distance = self.params.max_distance * stream.uniform() ** self._power
        qty = self._lots(self.params.limit_qty)
        life = stream.exponential()
        if view is None:
            return
        anchor = view.best_bid if side else view.best_ask
        if anchor is None:
            anchor = view.last_price or view.best_ask or view.best_bid
        if anchor is None:
            return
        offset = max(1, round(anchor * distance))
        price = anchor + offset if side else max(1, anchor - offset)
        order_id = self._crowd.submit(self._instrument, side, qty, price, Purpose.NOISE)
        heappush(self._cancels, (now + 1 + int(life * self.params.lifetime), order_id))

    def _submit_market(self) -> None:
        side = Side.SELL if self.stream.uniform() < 0.5 else Side.BUY
        qty = self._lots(self.params.market_qty)
        self._crowd.submit(self._instrument, side, qty, None, Purpose.NOISE, TimeInForce.IOC)

    def _lots(self, mean_qty: float) -> int:
        return int(mean_qty * self.stream.exponential() / self.spec.lot) or 1

    def _draw_market(self, now: int) -> int:
        """Next market order: Hawkes intensity ``mu + excitement * exp(-t / decay)``, drawn by thinning (Ogata 1981)."""
        params = self.params
        if self._market_rate <= 0:
            return _NEVER
        if not params.clustering:
            return now + 1 + int(self.stream.exponential() / self._market_rate)
        decay = params.clustering_decay
        excitement = self._excitement * exp((self._excited_at - now) / decay)
        if now:
            excitement += params.clustering / decay
        time = float(now)
        while True:
            bound = self._market_rate + excitement
            wait = self.stream.exponential() / bound
            time += wait
            excitement *= exp(-wait / decay)
            if self.stream.uniform() * bound <= self._market_rate + excitement:
                break
        self._excitement = excitement
        self._excited_at = int(time)
        return max(now + 1, int(time))
