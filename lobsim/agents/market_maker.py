"""Market makers: a ladder around a reservation price, from one margin account, with rules for walking away.

Reservation price and spread follow Avellaneda and Stoikov (2008, doi:10.1080/14697680701381228), prices relative to the
fair value and inventory in units:

    r = s * (1 - q * gamma * sigma^2 * T),   spread = s * (gamma * sigma^2 * T + (2 / gamma) * ln(1 + gamma / k))

with sigma the realised volatility per square root of a second, T a fixed horizon (stationary form), q the inventory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from math import log, sqrt
from typing import Annotated, Literal

from pydantic import Field
from simpy.events import Event as SimEvent

from lobsim.agents.base import (
    Agent,
    AgentParams,
    Context,
    Duration,
    Model,
    Name,
    Positive,
    PositiveDuration,
    Share,
)
from lobsim.events import CancelAll, Command, Event, EventKind, Purpose, Side
from lobsim.units import NS_PER_MINUTE, NS_PER_S

_WARM_UP = 120  # looks at the market before volatility is judged
_OUTLIER = 25.0  # squared returns count for at most this multiple of calm in the calm estimate


class WithdrawalParams(Model):
    """When a maker walks away, and when it comes back."""

    volatility_ratio: Positive | None = Field(
        8.0,
        description="withdraw when realised volatility is above this multiple of its calm level; or never",
    )
    volatility_spread: Share = Field(0.3, description="each maker's own ratio lies within +- this share of it")
    volatility_window: PositiveDuration = Field(NS_PER_MINUTE, description="window of the realised volatility")
    margin_level: Positive | None = Field(1.5, description="withdraw below this margin level (uniMMR); or never")
    stale_feed: PositiveDuration | None = Field(
        None, description="withdraw when the newest market data is older; or never"
    )
    return_after: Duration = Field(5 * NS_PER_MINUTE, description="shortest absence")
    calm_window: PositiveDuration = Field(2 * NS_PER_MINUTE, description="calm means no such fall within this window")
    calm_fall: Share = Field(0.05, description="largest fall of the last price that still counts as calm")
    return_size: Share = Field(0.3, description="size after the return as a share of the size before")
    grace: Duration = Field(2 * NS_PER_MINUTE, description="time after the return in which volatility is forgiven")


class MarketMakerParams(AgentParams):
    """Keys of an agent of kind "market-maker"."""

    kind: Literal["market-maker"]
    reference: Name
    withdrawal: bool = Field(True, description="false: the maker never walks away of its own accord")
    holdings: tuple[Positive, ...] = Field(description="base units each maker holds as collateral; last value repeats")
    leverage: tuple[Positive, ...] = Field(
        description="collateral value over equity each starts with; below 1 it holds the rest in cash, above it owes"
    )
    quote_notional: Positive = Field(description="quote units a side within `quote_distance`")
    quote_distance: Annotated[float, Field(gt=0, lt=1)] = 0.01
    ladder_distance: Annotated[float, Field(gt=0, lt=1)] = Field(0.03, description="furthest quote from the fair value")
    levels: int = Field(12, ge=1, le=1000, description="quotes a side")
    requote: PositiveDuration = NS_PER_S
    reference_weight: Share = Field(0.5, description="share of the outside reference in the fair value; rest: own mid")
    gamma: Positive = Field(description="risk aversion")
    k: Positive = Field(description="decay of the fill rate with relative distance")
    horizon: PositiveDuration = Field(description="T of the reservation price")
    inventory_unit: Positive = Field(description="quote units that count as one unit of inventory")
    max_inventory: Positive = Field(description="quote units beyond which it quotes one side only")
    max_skew: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="furthest reservation price from the fair value"
    )
    calm_halflife: PositiveDuration = Field(15 * NS_PER_MINUTE, description="half-life of the calm volatility estimate")
    withdrawal_rules: WithdrawalParams = WithdrawalParams()


class MarketMaker(Agent):
    """Knows its fills, its account state and public data, each as late as its gateway delivers them.

    Bias: quotes the same shape in every state of the market and sees no order flow, only prices.
    """

    kind = "market-maker"
    Params = MarketMakerParams
    params: MarketMakerParams

    def __init__(self, params: MarketMakerParams, context: Context) -> None:
        super().__init__(params, context)
        rules = params.withdrawal_rules
        self._inventory = 0  # lots bought less sold since the start
        self._size = 1.0
        self._away_since: int | None = None
        self._grace_until = -1
        self._prices: deque[tuple[int, int]] = deque()
        self._returns: deque[tuple[int, float]] = deque()
        self._squares = 0.0
        self._last_mid: float | None = None
        self._last_outside = 1.0
        self._variance = 0.0  # mean square return of the outside reference between two looks
        self._looks = 0
        self._calm = 0.0  # mean square return between two looks in calm times
        self._samples = 0
        spread = rules.volatility_spread
        own = 1 + spread * (2 * self.stream.uniform() - 1)
        self._ratio_limit = None if rules.volatility_ratio is None else rules.volatility_ratio * own
        self._decay = 0.5 ** (params.requote / params.calm_halflife)
        self._ladder = _ladder(params)
        context.gateway.listen(self._on_events)

    def run(self) -> Generator[SimEvent, None, None]:
        """Requote at a steady pace from a random phase."""
        yield self.sleep(1 + int(self.stream.uniform() * self.params.requote))
        while True:
            self._act()
            yield self.sleep(self.params.requote)

    def _act(self) -> None:
        gateway = self.context.gateway
        view = gateway.view(self.spec.instrument_id)
        outside = gateway.reference(self.params.reference)
        if view is None or outside is None:
            return
        tick = self.spec.tick
        if view.best_bid is not None and view.best_ask is not None:
            mid = (view.best_bid + view.best_ask) / 2 * tick
        elif view.last_price is not None:
            mid = view.last_price * tick
        else:
            mid = outside
        self._watch(mid, outside, view.last_price)
        if self._away_since is not None:
            if not self._may_return(view.time_ns):
                return
            self._size = self.params.withdrawal_rules.return_size
            self._away_since = None
            self._grace_until = self.clock.now + self.params.withdrawal_rules.grace
            self.context.note("maker_returned")
        elif self.params.withdrawal and self._must_withdraw(view.time_ns):
            self._away_since = self.clock.now
            self.context.note("maker_withdrew")
            gateway.send(self.spec.instrument_id, [CancelAll(gateway.account_id)])
            return
        weight = self.params.reference_weight
        self._quote(weight * outside + (1 - weight) * mid)

    # --- what it knows ----------------------------------------------------------------------------------------------

    def _watch(self, mid: float, outside: float, last_price: int | None) -> None:
        """Keep the windows of returns and prices, and the slow estimate of calm volatility."""
        now = self.clock.now
        rules = self.params.withdrawal_rules
        if self._last_mid is not None:
            square = log(mid / self._last_mid) ** 2
            self._returns.append((now, square))
            self._squares += square
            if self._away_since is None and now > self._grace_until:
                self._samples += 1
                weight = max(1 / self._samples, 1 - self._decay)
                if self._samples > _WARM_UP and self._calm > 0:
                    square = min(square, _OUTLIER * self._calm)  # one jump must not pass for calm
                self._calm += weight * (square - self._calm)
            quiet = log(outside / self._last_outside) ** 2
            if self._looks > _WARM_UP and self._variance > 0:
                quiet = min(quiet, _OUTLIER * self._variance)
            self._variance += max(1 / self._looks, 1 - self._decay) * (quiet - self._variance)
        self._looks += 1
        self._last_mid = mid
        self._last_outside = outside
        while self._returns and self._returns[0][0] <= now - rules.volatility_window:
            self._squares -= self._returns.popleft()[1]
        if last_price is not None:
            self._prices.append((now, last_price))
        while self._prices and self._prices[0][0] <= now - rules.calm_window:
            self._prices.popleft()

    def _volatility_ratio(self) -> float:
        """Realised volatility of the window over the calm one; 1 until there is a calm one."""
        if not self._calm or self._samples < _WARM_UP or not self._returns:
            return 1.0
        return sqrt(max(0.0, self._squares) / len(self._returns) / self._calm)

    def _must_withdraw(self, feed_ns: int) -> bool:
        rules = self.params.withdrawal_rules
        now = self.clock.now
        account = self.context.gateway.account()
        level = None if account is None else account.margin_level_ppm
        if rules.margin_level is not None and level is not None and level < rules.margin_level * 1e6:
            return True
        if self._is_stale(feed_ns):
            return True
        return (
            self._ratio_limit is not None and now > self._grace_until and self._volatility_ratio() > self._ratio_limit
        )

    def _is_stale(self, feed_ns: int) -> bool:
        limit = self.params.withdrawal_rules.stale_feed
        return limit is not None and self.clock.now - feed_ns > limit

    def _may_return(self, feed_ns: int) -> bool:
        if self._is_stale(feed_ns):
            return False
        rules = self.params.withdrawal_rules
        account = self.context.gateway.account()
        if account is not None:
            if account.in_liquidation:
                return False
            level = account.margin_level_ppm
            if level is not None and rules.margin_level is not None and level < rules.margin_level * 1e6:
                return False
        if self._away_since is None or self.clock.now - self._away_since < rules.return_after or not self._prices:
            return False
        highest = max(price for _, price in self._prices)
        return self._prices[-1][1] >= highest * (1 - rules.calm_fall)

    def _on_events(self, _instrument_id: int, events: list[Event]) -> None:
        own = self.context.gateway.account_id
        for event in events:
            if event[0] == EventKind.TRADE:
                as_maker = event[3] == own
                if not as_maker and event[7] == Purpose.ACCOUNT_LIQUIDATION:
                    continue  # the exchange sold collateral: that was never inventory
                sold = event[4] == Side.SELL if not as_maker else event[4] == Side.BUY
                self._inventory += -event[6] if sold else event[6]

    # --- what it does -----------------------------------------------------------------------------------------------

    def _quote(self, fair: float) -> None:
        params = self.params
        spec = self.spec
        variance_per_s = self._variance * NS_PER_S / params.requote
        risk = params.gamma * variance_per_s * params.horizon / NS_PER_S
        units = self._inventory * spec.lot * fair / params.inventory_unit
        reservation = fair * (1 - max(-params.max_skew, min(params.max_skew, units * risk)))
        half_spread = (risk + 2 / params.gamma * log(1 + params.gamma / params.k)) / 2
        full = self._inventory * spec.lot * fair / params.max_inventory
        gateway = self.context.gateway
        commands: list[Command] = [CancelAll(gateway.account_id)]
        for side, room in ((Side.BUY, 1 - full), (Side.SELL, 1 + full)):
            if room <= 0:
                continue
            scale = self._size * min(1.0, room)
            for distance, notional in self._ladder:
                away = half_spread + distance
                if side == Side.BUY and away >= 1:
                    break  # no bid is that far below: it would be a huge one at the lowest tick
                price = spec.ticks(reservation * (1 + away if side else 1 - away))
                qty = spec.lots(notional * scale, price)
                if qty:
                    commands.append(gateway.order(side, qty, price, Purpose.QUOTE))
        gateway.send(spec.instrument_id, commands)


def _ladder(params: MarketMakerParams) -> list[tuple[float, float]]:
    """(distance beyond the half-spread, notional) per level; depth within d grows as d^0.67, as on real books."""
    edges = [params.ladder_distance * (level / params.levels) ** 2 for level in range(params.levels + 1)]
    depth = [params.quote_notional * (edge / params.quote_distance) ** 0.67 for edge in edges]
    return [(edges[level], depth[level + 1] - depth[level]) for level in range(params.levels)]
