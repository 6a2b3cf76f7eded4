"""What a market maker keeps of each pair it quotes: its own picture of the market, its inventory and its ladder."""

from __future__ import annotations

from collections import deque
from math import log

from lobsim.agents.maker_params import PairKeys
from lobsim.agents.quoting import QuotingModel, Rung, ladder
from lobsim.events import CancelAll, Command, Side
from lobsim.sim.gateway import Gateway, InstrumentSpec
from lobsim.units import NS_PER_S

_WARM_UP = 120  # looks at the market before volatility is judged
_OUTLIER = 25.0  # squared returns count for at most this multiple of calm in the calm estimate


class Leg:
    """What a maker bought less what it sold of one instrument since the start, in lots.

    Fills not later than `synced_ns` are in it already: the exchange told the whole position then.
    """

    __slots__ = ("gateway", "is_contract", "lots", "spec", "start_lots", "synced_ns", "underlying")

    def __init__(self, spec: InstrumentSpec, gateway: Gateway, underlying: Underlying, start_lots: int) -> None:
        self.spec = spec
        self.gateway = gateway
        self.underlying = underlying
        self.is_contract = spec.kind == "perpetual"
        self.start_lots = start_lots
        self.lots = 0
        self.synced_ns = -1
        underlying.legs.append(self)


class Underlying:
    """Inventory of one reference over all its instruments, spot and perpetual."""

    __slots__ = ("fair", "legs", "pairs", "qty")

    def __init__(self) -> None:
        self.legs: list[Leg] = []
        self.pairs: list[Pair] = []
        self.qty = 0.0  # base units
        self.fair = 0.0  # last fair value of any of its pairs

    def recount(self) -> None:
        """Add the legs up after one of them changed; every pair must quote anew."""
        self.qty = sum(leg.lots * leg.spec.lot for leg in self.legs)
        for pair in self.pairs:
            pair.is_due = True


class Pair:
    """One pair as its maker sees it. `watch` and `orders` are the hot paths: once a requote each."""

    def __init__(self, keys: PairKeys, leg: Leg) -> None:
        self.keys = keys
        self.leg = leg
        self.gateway = leg.gateway
        self.instrument_id = leg.spec.instrument_id
        self.reference = keys.reference
        self.requote = keys.requote
        self.underlying = leg.underlying
        self.underlying.pairs.append(self)
        self.model = QuotingModel.of(keys.gamma, keys.k, keys.horizon / NS_PER_S, keys.max_skew)
        self.rungs: tuple[Rung, ...] = ladder(
            keys.ladder_distance, keys.levels, keys.quote_notional, keys.quote_distance
        )
        self.is_due = True  # something happened since the last quotes
        self.is_alarmed = False
        self.is_calm = False
        self.quoted_ns = -1
        self.quoted_fair = 0.0
        self.halted_until = -1
        self.variance = 0.0  # mean square return of the outside reference between two looks
        self.calm = 0.0  # mean square return of the mid between two looks in calm times
        self.samples = 0
        self._looks = 0
        self._squares = 0.0
        self._returns: deque[tuple[int, float]] = deque()
        self._prices: deque[tuple[int, int]] = deque()  # falling: the first is the highest of the window
        self._last_mid: float | None = None
        self._last_outside = 1.0
        self._memory = 1 - 0.5 ** (keys.requote / keys.calm_halflife)
        self._cancel = CancelAll(leg.gateway.account_id)

    def mid(self, bid: int | None, ask: int | None, last_price: int | None, outside: float) -> float:
        """Mid price in quote units; without two sides the last price, without a trade the outside value."""
        if bid is not None and ask is not None:
            return (bid + ask) / 2 * self.leg.spec.tick
        return outside if last_price is None else last_price * self.leg.spec.tick

    def watch(self, now: int, mid: float, outside: float, last_price: int | None, learns: bool) -> None:
        """Keep the windows of returns and prices, and (when it `learns`) the slow estimate of calm volatility."""
        keys = self.keys
        returns = self._returns
        last_mid = self._last_mid
        if last_mid is not None:
            square = 0.0 if mid == last_mid else log(mid / last_mid) ** 2
            returns.append((now, square))
            self._squares += square
            memory = self._memory
            if learns:
                samples = self.samples = self.samples + 1
                if samples > _WARM_UP and 0 < self.calm * _OUTLIER < square:
                    square = _OUTLIER * self.calm  # one jump must not pass for calm
                self.calm += max(1 / samples, memory) * (square - self.calm)
            quiet = 0.0 if outside == self._last_outside else log(outside / self._last_outside) ** 2
            if self._looks > _WARM_UP and 0 < self.variance * _OUTLIER < quiet:
                quiet = _OUTLIER * self.variance
            self.variance += max(1 / self._looks, memory) * (quiet - self.variance)
        self._looks += 1
        self._last_mid = mid
        self._last_outside = outside
        oldest = now - keys.volatility_window
        while returns and returns[0][0] <= oldest:
            self._squares -= returns.popleft()[1]
        prices = self._prices
        if last_price is not None:
            while prices and prices[-1][1] <= last_price:
                prices.pop()
            prices.append((now, last_price))
        oldest = now - keys.calm_window
        while prices and prices[0][0] <= oldest:
            prices.popleft()

    def volatility_above(self, ratio: float) -> bool:
        """Whether realised volatility of the window is above `ratio` times the calm one; never before there is one."""
        if not self.calm or self.samples < _WARM_UP:
            return False
        return self._squares > ratio * ratio * self.calm * len(self._returns)

    def without_fall(self, fall: float) -> bool:
        """Whether the last price is not below its highest of the window by more than `fall`; no trade: not known."""
        prices = self._prices
        return bool(prices) and prices[-1][1] >= prices[0][1] * (1 - fall)

    def forget_prices(self) -> None:
        """Start the window of calm anew."""
        self._prices.clear()

    @property
    def inventory_share(self) -> float:
        """Net inventory of its underlying over `max_inventory`; below 0 when short."""
        return self.underlying.qty * self.underlying.fair / self.keys.max_inventory

    def orders(self, fair: float, bids: float, asks: float, bid_gap: float, ask_gap: float) -> list[Command]:
        """Cancel everything here, then a new ladder: sizes times `bids` and `asks`, nearest quotes `gap` further out.

        Own quotes never cross: an ask is at least a tick above the best bid. Beyond `max_inventory` one side only.
        """
        keys = self.keys
        spec = self.leg.spec
        tick, lot = spec.tick, spec.lot
        inventory = self.underlying.qty * fair
        units = inventory / keys.inventory_unit
        centre, half = self.model.quotes(fair, units, self.variance * NS_PER_S / keys.requote)
        full = inventory / keys.max_inventory
        buys: list[tuple[int, int]] = []
        sells: list[tuple[int, int]] = []
        floor = 1
        room = 1 - full
        if bids > 0 and room > 0:
            scale = bids * room if room < 1 else bids
            near = half + bid_gap
            for distance, notional in self.rungs:
                away = near + distance
                if away >= 1:
                    break  # no bid is that far below: it would be a huge one at the lowest tick
                price = round(centre * (1 - away) / tick) or 1
                qty = int(notional * scale / (price * tick * lot))
                if qty:
                    buys.append((qty, price))
                    if price >= floor:
                        floor = price + 1
        room = 1 + full
        if asks > 0 and room > 0:
            scale = asks * room if room < 1 else asks
            near = half + ask_gap
            for distance, notional in self.rungs:
                price = round(centre * (1 + (near + distance)) / tick)
                price = max(price, floor)
                qty = int(notional * scale / (price * tick * lot))
                if qty:
                    sells.append((qty, price))
        quotes = self.gateway.quotes
        commands = quotes(Side.BUY, buys, post_only=keys.post_only)
        return [self._cancel, *commands, *quotes(Side.SELL, sells, post_only=keys.post_only)]
