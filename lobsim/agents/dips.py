"""Dip buyers: money that waits for a price it thinks low, comes with a delay, and is spent once."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lobsim.agents.base import AgentParams, Context, Duration, Name, NonNegative, PositiveDuration
from lobsim.agents.members import RecentHigh, WatchingCrowd, shares
from lobsim.events import Purpose, Side
from lobsim.units import NS_PER_HOUR, NS_PER_S


class DipParams(AgentParams):
    """Keys of an agent of kind "dip-buyers"."""

    kind: Literal["dip-buyers"]
    purse: NonNegative = Field(description="quote units they have in all; 0 for none of them")
    orders: int = Field(100, ge=1, le=100_000, description="how many they are, each with one order")
    size_sigma: Annotated[float, Field(ge=0, le=3)] = Field(1.0, description="log-standard-deviation of their purses")
    reference: Name | None = Field(None, description="a price is low against this value; leave out for the recent high")
    window: PositiveDuration = Field(4 * NS_PER_HOUR, description="how long a high is remembered, without a reference")
    nearest: Annotated[float, Field(gt=0, lt=1)] = Field(0.05, description="smallest dip that brings anybody")
    furthest: Annotated[float, Field(gt=0, lt=1)] = Field(0.60, description="dip that brings the last of them")
    exponent: Annotated[float, Field(gt=0, le=5)] = Field(
        1.0, description="share of them within d of the nearest grows as d to this power; below 1 they crowd there"
    )
    delay: Duration = Field(30 * NS_PER_S, description="mean time from seeing the dip to acting (exponential)")
    wake: PositiveDuration | None = Field(
        None, description="they dare only when the dip has made no new low for so long; leave out for the fearless"
    )
    rest: bool = Field(True, description="bids stay in the book at the price that is low enough, or take and are gone")
    look: PositiveDuration = Field(NS_PER_S, description="how often they look at the last price")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.nearest >= self.furthest:
            raise ValueError(f"nearest ({self.nearest}) must be smaller than furthest ({self.furthest})")
        return self


class DipBuyers(WatchingCrowd):
    """Each has its own threshold: when the last price is that far below the anchor it bids there with all it has.

    No bid is above the price that is low enough for its sender, so nobody overpays or spends more than its purse. With
    `rest` off, what a bid does not get is kept for another time. Bias: nobody takes profits, and no new money comes;
    what resting bids were placed at is not revised when the anchor falls further.
    """

    kind = "dip-buyers"
    Params = DipParams
    params: DipParams

    def __init__(self, params: DipParams, context: Context) -> None:
        super().__init__(params, context, params.look)
        stream = self.stream
        width = params.furthest - params.nearest
        self._purses = [params.purse * share for share in shares(stream, params.orders, params.size_sigma)]
        self._thresholds = sorted(
            params.nearest + width * stream.uniform() ** (1 / params.exponent) for _ in self._purses
        )
        self._waiting = list(range(params.orders))  # nearest threshold first
        self._high = RecentHigh(params.window)
        self._anchor = 0.0  # ticks
        self._dip = 0.0
        self._low: float | None = None
        self._low_ns = 0

    def start(self) -> None:
        """Begin to look, if there is money."""
        if self.params.purse:
            super().start()

    def on_look(self) -> None:
        """Call those for whom the price is low enough."""
        view = self.context.crowd.view(self.spec.instrument_id)
        price = None if view is None else view.last_price
        if price is None or not self._measure(price):
            return
        if self._dip < self.params.nearest:
            self._low = None
        elif self._low is None or price < self._low:
            self._low, self._low_ns = price, self.clock.now
        moved = 0
        for member in self._waiting:
            if self._thresholds[member] > self._dip:
                break
            moved += 1
            self.call(member, self._delay())
        del self._waiting[:moved]

    def on_call(self, member: int) -> None:
        """Bid; or wait for calm, or for the next dip if this one is over."""
        if self._dip < self._thresholds[member]:
            self._wait(member)
            return
        wake = self.params.wake
        if wake is not None and self.clock.now < self._low_ns + wake:
            self.call(member, self._low_ns + wake - self.clock.now + self._delay())
            return
        price = max(1, int(self._anchor * (1 - self._thresholds[member])))
        lots = self.spec.lots(self._purses[member], price)
        if not lots:
            return  # spent
        crowd = self.context.crowd
        instrument = self.spec.instrument_id
        if self.params.rest:
            crowd.submit(instrument, Side.BUY, lots, price, Purpose.VALUE)
            return
        fill = crowd.take(instrument, Side.BUY, lots, price, Purpose.VALUE)
        self._purses[member] -= fill.value * self.spec.tick * self.spec.lot
        self._wait(member)

    def _measure(self, price: int) -> bool:
        """Bring anchor and dip up to date; False while the anchor is unknown."""
        if self.params.reference is None:
            self._dip = self._high.fall(self.clock.now, price)
            self._anchor = price / (1 - self._dip)
            return True
        value = self.context.crowd.reference(self.params.reference)
        if value is None:
            return False
        self._anchor = value / self.spec.tick
        self._dip = 1 - price / self._anchor
        return True

    def _delay(self) -> int:
        return int(self.params.delay * self.stream.exponential())

    def _wait(self, member: int) -> None:
        self._waiting.append(member)
        self._waiting.sort()
