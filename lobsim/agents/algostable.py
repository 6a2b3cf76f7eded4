"""An algorithmic stablecoin: depositors who run, and arbitrageurs who burn it for a dollar's worth of its coin.

Runs feed on what they cause: the chance that a depositor leaves grows with the discount that those before him left
behind (as in Diamond and Dybvig 1983, doi:10.1086/261155, where leaving is right once others leave).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from math import ceil, floor
from typing import Annotated, Literal

from pydantic import Field
from simpy.events import Event as SimEvent

from lobsim.agents.base import (
    AccountParams,
    Agent,
    AgentParams,
    Context,
    CrowdAgent,
    Duration,
    Name,
    NonNegative,
    Positive,
    PositiveDuration,
    Share,
)
from lobsim.agents.taking import Taker, affordable_lots
from lobsim.errors import InputError
from lobsim.events import Purpose, Side
from lobsim.sim.clock import Alarm, EventClass
from lobsim.sim.gateway import InstrumentSpec
from lobsim.units import NS_PER_HOUR, NS_PER_S


class DepositorParams(AgentParams):
    """Keys of an agent of kind "depositors"."""

    kind: Literal["depositors"]
    deposits: Positive = Field(description="base units of the stablecoin they hold together")
    run_share: Share = Field(1.0, description="part of the deposits whose owners would ever leave")
    calm_rate: NonNegative = Field(0.0, description="part of the remaining runners that leaves per hour at par")
    run_rate: NonNegative = Field(description="part of them that leaves per hour more, for a depeg of one `depeg_unit`")
    depeg_unit: Positive = Field(0.01, description="depeg, as a fraction of par, that counts once")
    tolerance: Share = Field(0.002, description="depeg nobody minds")
    power: Annotated[float, Field(gt=0, le=5)] = Field(1.0, description="hazard grows as the depeg to this power")
    herding: NonNegative = Field(
        0.0, description="the hazard is 1 + this times the part of the runners that has left already"
    )
    order_qty: Positive = Field(description="mean base units per withdrawal (exponential)")
    concession: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="each sells down to so much below the best ask and offers the rest there; left out: at any price, "
        "and what finds no buyer is kept",
    )
    rate: Positive = Field(20.0, description="most orders per second; beyond that orders grow instead")
    look: PositiveDuration = Field(NS_PER_S, description="how often they look at the price")


class Depositors(CrowdAgent):
    """Sell at market with a hazard that grows with the depeg they see on their exchange.

    ``hazard per hour = (calm_rate + run_rate * ((depeg - tolerance) / depeg_unit) ** power) * (1 + herding * left)``,
    and never more than once per `look`; withdrawals are a Poisson process of that rate. What finds no buyer is kept and
    may be sold later, or (with a `concession`) waits in the book below what others ask, the lower the longer nobody
    bids.

    Bias: each unit of deposits runs alike, whoever owns it; nobody comes back, or takes back an offer.
    """

    kind = "depositors"
    Params = DepositorParams
    params: DepositorParams

    def __init__(self, params: DepositorParams, context: Context) -> None:
        super().__init__(params, context)
        self._runners = params.deposits * params.run_share
        self._left = 0.0  # base units sold
        self._size = 1.0  # orders in this interval are so many times `order_qty`
        self._due: deque[int] = deque()
        self._began = False
        self._looker = Alarm(self.clock, EventClass.MESSAGE, f"{context.name}/look", self._look)
        self._seller = Alarm(self.clock, EventClass.MESSAGE, context.name, self._sell)

    def start(self) -> None:
        """Begin to look."""
        if self._runners:
            self._looker.arm(1 + int(self.stream.uniform() * self.params.look))

    def hazard(self, depeg: float) -> float:
        """Part of the remaining runners that leaves per hour at this depeg."""
        params = self.params
        units = max(0.0, depeg - params.tolerance) / params.depeg_unit
        fear = params.run_rate * units**params.power if units else 0.0
        return (params.calm_rate + fear) * (1 + params.herding * self._left / self._runners)

    def _look(self) -> None:
        view = self.context.crowd.view(self.spec.instrument_id)
        price = None if view is None else view.last_price if view.best_bid is None else view.best_bid
        if price is not None:
            depeg = 1 - price * self.spec.tick
            if depeg > self.params.tolerance and not self._began:
                self._began = True
                self.context.note("run_began", round(depeg * 1e6), "ppm")
            self._draw(self.hazard(depeg))
        self._looker.arm(self.clock.now + self.params.look)

    def _draw(self, hazard: float) -> None:
        """Moments of the withdrawals until the next look."""
        look, now = self.params.look, self.clock.now
        part = min(1.0, hazard * look / NS_PER_HOUR)
        wanted = (self._runners - self._left) * part / self.params.order_qty
        most = self.params.rate * look / NS_PER_S
        self._size = max(1.0, wanted / most)
        orders = min(wanted, most)
        if orders <= 0:
            return
        gap = look / orders
        moment = self.stream.exponential() * gap
        while moment < look - 1:
            self._due.append(now + 1 + int(moment))
            moment += self.stream.exponential() * gap
        if self._due:
            self._seller.arm(self._due.popleft())

    def _sell(self) -> None:
        qty = min(self._runners - self._left, self.params.order_qty * self._size * self.stream.exponential())
        lots = int(qty / self.spec.lot)
        if lots and self.params.concession is None:
            fill = self.context.crowd.take(self.spec.instrument_id, Side.SELL, lots, None, Purpose.RUN)
            self._left += fill.lots * self.spec.lot
        elif lots:
            self._offer(lots, self.params.concession or 0.0)
        if self._due:
            self._seller.arm(self._due.popleft())

    def _offer(self, lots: int, concession: float) -> None:
        view = self.context.crowd.view(self.spec.instrument_id)
        if view is None:
            return
        best = view.best_ask or view.best_bid or view.last_price
        if best is not None:
            price = max(1, floor(best * (1 - concession)))
            self.context.crowd.submit(self.spec.instrument_id, Side.SELL, lots, price, Purpose.RUN)
            self._left += lots * self.spec.lot


class MintBurnArbitrageurParams(AccountParams):
    """Keys of an agent of kind "mint-burn-arbitrageur".

    `instrument` is the stablecoin's market; it starts with `balances` there.
    """

    kind: Literal["mint-burn-arbitrageur"]
    other: Name = Field(description="market of the volatile coin, on the same venue and in the same quote")
    window: Name = Field(description="the contract that burns one for the other")
    threshold: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="least gain, after taker fees and the contract's spread, at the prices it sees"
    )
    max_order: Positive = Field(description="quote units per order")
    reach: Positive = Field(5.0, description="an order takes no more than this multiple of the quantity at the touch")
    slippage: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.02, description="furthest price from the touch at which it buys the volatile coin"
    )
    concession: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="it sells the volatile coin down to so much below the best price, offers the rest there until its "
        "next look but one, and so on; left out: at any price that is bid",
    )
    poll: PositiveDuration = Field(NS_PER_S, description="how often it looks at the prices")
    batch: PositiveDuration = Field(30 * NS_PER_S, description="how often it transfers and burns what has gathered")
    retry: Duration = Field(5 * NS_PER_S, description="time a book is left alone after a rejected order")

    def uses(self) -> tuple[str, ...]:
        """The stablecoin's market and the coin's."""
        return (self.instrument, self.other)


class MintBurnArbitrageur(Agent):
    """Buys the stablecoin below par, burns it for a dollar's worth of the volatile coin, sells that at market.

    And the other way round above par. Between venue and chain everything takes a transfer. It burns as much at once as
    the contract's spread leaves worth while.

    Bias: takes the contract's price of the coin for what the coin will fetch, so in a fall it loses what the price
    falls by on the way; it goes on as long as its money lasts.
    """

    kind = "mint-burn-arbitrageur"
    Params = MintBurnArbitrageurParams
    params: MintBurnArbitrageurParams

    def __init__(self, params: MintBurnArbitrageurParams, context: Context) -> None:
        super().__init__(params, context)
        self._coin = coin = context.specs[params.other]
        stable = context.spec
        if (coin.quote, coin.venue) != (stable.quote, stable.venue) or coin.base == stable.base:
            raise InputError(
                f"other: '{coin.name}' must be another coin's market in {stable.quote} on {stable.venue}, beside "
                f"'{stable.name}'"
            )
        self._window = context.window(params.window)
        actions = self._window.actions
        if "burn" not in actions:
            raise InputError(f"window: '{params.window}' offers {', '.join(actions)}; a mint-burn window is wanted")
        self._taker = Taker(context.gateway, context.clock, params.retry)
        self._next_batch = params.batch
        self._unit = round(params.max_order / stable.lot) * stable.base_per_lot  # stable quanta of one order at par

    def run(self) -> Generator[SimEvent, None, None]:
        """Look at the prices at every poll, move assets at every batch."""
        yield self.sleep(1 + int(self.stream.uniform() * self.params.poll))
        while True:
            self._look()
            yield self.sleep(self.params.poll)

    def limits(self) -> tuple[int, int]:
        """Highest price to buy the stablecoin and lowest to sell it at, in ticks."""
        spec, coin, threshold = self.spec, self._coin, self.params.threshold
        kept = self._window.figure("quote_ppm", self._unit) / 1e6
        fees = (1 - coin.taker_fee) / (1 + spec.taker_fee)
        highest = kept * fees * (1 - threshold)
        back = max(1e-9, self._window.figure("quote_ppm", -self._unit) / 1e6)
        lowest = (1 + coin.taker_fee) / (1 - spec.taker_fee) * (1 + threshold) / back
        return floor(highest / spec.tick + 1e-9), ceil(lowest / spec.tick - 1e-9)

    def _look(self) -> None:
        spec, coin, gateway = self.spec, self._coin, self.context.gateway
        view, coin_view = gateway.view(spec.instrument_id), gateway.view(coin.instrument_id)
        if view is None or coin_view is None:
            return
        highest, lowest = self.limits()
        dear = view.best_bid is not None and view.best_bid >= lowest
        if self.clock.now >= self._next_batch:  # before any order goes out: what an order may need does not move
            self._next_batch = self.clock.now + self.params.batch
            self._move(dear, view.best_bid)
        if self._taker.ready(spec):
            if view.best_ask is not None and view.best_ask <= highest:
                lots = affordable_lots(spec, gateway.balance(spec.quote), highest)
                self._send(spec, Side.BUY, min(lots, self._most(spec, view.best_ask, view.best_ask_qty)), highest)
            elif dear and view.best_bid is not None:
                lots = gateway.balance(spec.base) // spec.base_per_lot
                self._send(spec, Side.SELL, min(lots, self._most(spec, view.best_bid, view.best_bid_qty)), lowest)
        if self._taker.rests(coin):
            self._taker.recall(coin)
        elif self._taker.ready(coin):
            if not dear and self.params.concession is not None:
                best = coin_view.best_bid or coin_view.best_ask or coin_view.last_price
                self._offer(best, self.params.concession)
            elif not dear and coin_view.best_bid is not None:
                lots = gateway.balance(coin.base) // coin.base_per_lot
                self._send(coin, Side.SELL, min(lots, coin.lots(self.params.max_order, coin_view.best_bid)), None)
            elif dear and coin_view.best_ask is not None and self._taker.ready(spec):
                highest = floor(coin_view.best_ask * (1 + self.params.slippage))
                lots = affordable_lots(coin, gateway.balance(coin.quote), highest)
                most = self._most(coin, coin_view.best_ask, coin_view.best_ask_qty)
                self._send(coin, Side.BUY, min(lots, most), highest)

    def _offer(self, best: int | None, concession: float) -> None:
        """Sell the coin to whoever bids a little less than the best price, now or until the next look."""
        coin = self._coin
        lots = self.context.gateway.balance(coin.base) // coin.base_per_lot
        if best is not None and lots > 0:
            lots = min(lots, coin.lots(self.params.max_order, best))
            price = max(1, floor(best * (1 - concession)))
            if lots > 0:
                self._taker.rest(coin, Side.SELL, lots, price, Purpose.ARBITRAGE)

    def _most(self, spec: InstrumentSpec, price: int, touch_qty: int) -> int:
        """Lots it dares to take where it sees `touch_qty` at a price."""
        return min(spec.lots(self.params.max_order, price), int(self.params.reach * touch_qty))

    def _send(self, spec: InstrumentSpec, side: Side, lots: int, price: int | None) -> None:
        if lots > 0:
            self._taker.send(spec, side, lots, price, Purpose.ARBITRAGE)

    def _move(self, dear: bool, bid: int | None) -> None:
        """Bring to the chain what is to be burned, burn it, bring back what was minted."""
        gateway, chain, window = self.context.gateway, self.context.chain, self._window
        given, got = (self._coin, self.spec) if dear else (self.spec, self._coin)
        held = gateway.balance(given.base)
        if held >= given.base_per_lot and self._taker.ready(given) and gateway.withdrawals_open(given.base):
            gateway.transfer(chain, given.base, held)
        minted = chain.balance(got.base)
        if minted > 0 and chain.withdrawals_open(got.base):
            chain.transfer(gateway, got.base, minted)
        burning = chain.balance(given.base)
        if burning > 0 and window.open:
            if dear:
                window.ask("swap_back", burning)
            else:
                window.ask("burn", self._worthwhile(burning, bid))

    def _worthwhile(self, amount: int, bid: int | None) -> int:
        """As much as the contract pays better for than the market does, halved until it does; one order at least."""
        value = 0.0 if bid is None else bid * self.spec.tick * 1e6
        while amount > self._unit and self._window.figure("quote_ppm", amount) < value:
            amount //= 2
        return amount
