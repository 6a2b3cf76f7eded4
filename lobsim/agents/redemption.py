"""Who keeps a stablecoin or a wrapped asset near its par: buys it below, has it redeemed; mints it, sells it above."""

from __future__ import annotations

from collections.abc import Generator
from math import ceil, floor
from typing import Annotated, Literal

from pydantic import Field
from simpy.events import Event as SimEvent

from lobsim.agents.base import AccountParams, Agent, Context, Duration, Name, NonNegative, Positive, PositiveDuration
from lobsim.agents.taking import Taker, affordable_lots
from lobsim.errors import InputError
from lobsim.events import Purpose, Side
from lobsim.units import NS_PER_MINUTE, NS_PER_S

_PURPOSE = Purpose.REDEMPTION


class RedeemerParams(AccountParams):
    """Keys of an agent of kind "redeemer"; it starts with `balances` on its venue and `elsewhere.chain`."""

    kind: Literal["redeemer"]
    window: Name = Field(description="issuer or converter that redeems the base asset of `instrument` for its quote")
    reference: Name | None = Field(None, description="conversion rate, quote per base; leave out where par is 1")
    threshold: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="least gain after all fees, as a fraction of par, for which it trades"
    )
    max_order: Positive = Field(description="quote units per order")
    reach: Positive = Field(5.0, description="an order takes no more than this multiple of the quantity at the touch")
    rest: bool = Field(False, description="it also keeps a bid in the book, at the highest price that leaves a gain")
    chain_reserve: NonNegative = Field(0.0, description="quote units it keeps on the chain to mint with")
    poll: PositiveDuration = Field(NS_PER_S, description="how often it looks at the price")
    batch: PositiveDuration = Field(NS_PER_MINUTE, description="how often it transfers and redeems what has gathered")
    retry: Duration = Field(5 * NS_PER_S, description="time it waits after a rejected order")


class Redeemer(Agent):
    """Buys below par less fees, withdraws what it bought to the chain, redeems it, and brings the money back.

    Above par it mints on the chain and sells on the venue. It has only its own capital, and that is bound from the
    purchase until the money is back: while withdrawals are halted it buys until it has spent everything, then stands by
    (note `redeemer_ran_out`, discount in ppm, the first time). Without `rest` it only takes what is offered, so it does
    nothing against sellers who hit bids below a high best ask.

    Bias: believes in par whatever happens; redeems minted coins again, at a loss of two fees, when the premium is gone
    before they arrive.
    """

    kind = "redeemer"
    Params = RedeemerParams
    params: RedeemerParams

    def __init__(self, params: RedeemerParams, context: Context) -> None:
        super().__init__(params, context)
        self._window = context.window(params.window)
        actions = self._window.actions
        self._in, self._out = ("wrap", "unwrap") if "unwrap" in actions else ("mint", "redeem")
        if self._out not in actions:
            raise InputError(f"window: '{params.window}' offers {', '.join(actions)}; one that redeems is wanted")
        if self._out == "unwrap" and params.reference is None:
            raise InputError("reference: is wanted beside a converter: the conversion rate, quote per base")
        self._taker = Taker(context.gateway, context.clock, params.retry)
        self._next_batch = params.batch
        self._ran_out = False
        self._reserve = int(params.chain_reserve / float(context.spec.quote_quantum))

    def run(self) -> Generator[SimEvent, None, None]:
        """Look at the price at every poll, move assets at every batch."""
        yield self.sleep(1 + int(self.stream.uniform() * self.params.poll))
        while True:
            self._look()
            yield self.sleep(self.params.poll)

    def limits(self, par: float) -> tuple[int, int]:
        """Highest price to buy and lowest to sell at, in ticks: what is left after fees is the threshold at least."""
        spec, params = self.spec, self.params
        kept = 1 - self._window.figure("fee_ppm") / 1e6
        highest = par * (kept - params.threshold) / (1 + spec.taker_fee)
        lowest = par * (1 / kept + params.threshold) / (1 - spec.taker_fee)
        return floor(highest / spec.tick + 1e-9), ceil(lowest / spec.tick - 1e-9)

    def _look(self) -> None:
        spec, gateway = self.spec, self.context.gateway
        par: float | None = 1.0
        if self.params.reference is not None:
            par = gateway.reference(self.params.reference)
        view = gateway.view(spec.instrument_id)
        if par is None or view is None:
            return
        highest, lowest = self.limits(par)
        dear = view.best_bid is not None and view.best_bid >= lowest
        if self.clock.now >= self._next_batch:  # before any order goes out: what an order may need does not move
            self._next_batch = self.clock.now + self.params.batch
            self._move(dear)
        if self.params.rest:
            self._keep_bid(view.best_ask, highest, par, dear)
        if self._taker.ready(spec):
            if view.best_ask is not None and view.best_ask <= highest and not self.params.rest:
                self._buy(view.best_ask, view.best_ask_qty, highest, par)
            elif dear and view.best_bid is not None and not self._taker.rests(spec):
                most = spec.lots(self.params.max_order, view.best_bid)
                lots = min(gateway.balance(spec.base) // spec.base_per_lot, most, self._behind(view.best_bid_qty))
                if lots > 0:
                    self._taker.send(spec, Side.SELL, lots, lowest, _PURPOSE)

    def _buy(self, ask: int, ask_qty: int, highest: int, par: float) -> None:
        spec = self.spec
        lots = affordable_lots(spec, self.context.gateway.balance(spec.quote), highest)
        if lots > 0:
            lots = min(lots, spec.lots(self.params.max_order, ask), self._behind(ask_qty))
            if lots > 0:
                self._taker.send(spec, Side.BUY, lots, highest, _PURPOSE)
        else:
            self._run_out(ask, par)

    def _keep_bid(self, ask: int | None, highest: int, par: float, dear: bool) -> None:
        """One bid of an order's size at the highest price; a new one when it is taken, or the price another."""
        spec, taker = self.spec, self._taker
        if taker.rests(spec):
            taker.recall(spec, unless_at=None if dear else highest)
        elif highest > 0 and not dear and taker.ready(spec):
            lots = affordable_lots(spec, self.context.gateway.balance(spec.quote), highest)
            if lots > 0:
                taker.rest(spec, Side.BUY, min(lots, spec.lots(self.params.max_order, highest)), highest, _PURPOSE)
            elif ask is not None and ask <= highest:
                self._run_out(ask, par)

    def _run_out(self, ask: int, par: float) -> None:
        if not self._ran_out:
            self._ran_out = True
            self.context.note("redeemer_ran_out", round((1 - ask * self.spec.tick / par) * 1e6), "ppm")

    def _behind(self, touch_qty: int) -> int:
        """Lots it dares to take where it sees `touch_qty`."""
        return int(self.params.reach * touch_qty)

    def _move(self, dear: bool) -> None:
        """Carry assets to where they are wanted; everything it asks for may be refused and is asked for again."""
        spec, gateway, chain, window = self.spec, self.context.gateway, self.context.chain, self._window
        coins, money = chain.balance(spec.base), chain.balance(spec.quote)
        if dear:
            if coins > 0 and chain.withdrawals_open(spec.base):
                chain.transfer(gateway, spec.base, coins)
            if money > 0 and window.open:
                window.ask(self._in, money)
            return
        bought = gateway.balance(spec.base)
        if bought >= spec.base_per_lot and self._taker.ready(spec) and gateway.withdrawals_open(spec.base):
            gateway.transfer(chain, spec.base, bought)
        if coins > 0 and window.open:
            window.ask(self._out, coins)
        surplus = money - self._reserve
        if surplus > 0 and chain.withdrawals_open(spec.quote):
            chain.transfer(gateway, spec.quote, surplus)
        elif surplus < 0 and self._taker.ready(spec) and gateway.withdrawals_open(spec.quote):
            lacking = min(-surplus, gateway.balance(spec.quote) - self._reserve)
            if lacking > 0:
                gateway.transfer(chain, spec.quote, lacking)
