"""The issuer of a synthetic dollar: spot coins against a short perpetual, held to what it has issued."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from simpy.events import Event as SimEvent

from lobsim.agents.base import AccountParams, Agent, Context, Duration, Name, Positive, PositiveDuration, Share
from lobsim.agents.taking import Taker
from lobsim.errors import InputError
from lobsim.events import Purpose, Side
from lobsim.sim.gateway import InstrumentSpec
from lobsim.units import NS_PER_S


class IssuerHedgeParams(AccountParams):
    """Keys of an agent of kind "issuer-hedge".

    It starts with coins in `balances`, as many short in `contracts`, and its account is the issuer's reserve: what is
    redeemed is paid out of it, what is minted is paid into it.
    """

    kind: Literal["issuer-hedge"]
    margin: bool = Field(True, description="its account must be a unified margin account")
    perpetual: Name = Field(description="perpetual of the same base on the same venue")
    window: Name = Field(description="the issuer whose supply it backs")
    backing_share: Share = Field(
        1.0, description="part of every change of the supply that the hedge follows; the rest is met from its cash"
    )
    tolerance: Share = Field(0.001, description="part of the hedge at the start by which it may be off")
    max_order: Positive = Field(description="quote units per order")
    slippage: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.02, description="furthest price from the touch at which it trades"
    )
    margin_level: Positive = Field(1.5, description="below this margin level (uniMMR) it opens no more contracts")
    poll: PositiveDuration = Field(5 * NS_PER_S, description="how often it compares hedge and supply")
    retry: Duration = Field(5 * NS_PER_S, description="time a book is left alone after a rejected order")

    @model_validator(mode="after")
    def _hedged(self) -> Self:
        if not self.margin:
            raise ValueError("margin: false leaves nothing to hold a perpetual with; it must be true")
        if self.contracts.get(self.perpetual, 0.0) >= 0:
            raise ValueError(f"contracts: the hedge needs a short position in '{self.perpetual}', a number below 0")
        return self

    def uses(self) -> tuple[str, ...]:
        """Spot market and perpetual."""
        return (self.instrument, self.perpetual)


class IssuerHedge(Agent):
    """Keeps a short perpetual and as many coins, in proportion to the supply it has to back.

    The wanted position is that of the start times ``1 - backing_share * (1 - supply / supply at the start)``: a dollar
    of the book is as many coins as at the start whatever their price is now, since what the coins lose the short wins.
    Redemptions shrink it by equal sales of coins and purchases of contracts, which refills the reserve; mints grow it.
    Contracts that the exchange closes against its will (ADL) are sold again, or the coins they hedged are sold where
    the margin level forbids that. Funding is paid into and out of the same account.

    Bias: no custody outside the exchange, no staking yield on the coins; the two legs are evened out a poll later
    when one of them finds no counterparty.
    """

    kind = "issuer-hedge"
    Params = IssuerHedgeParams
    params: IssuerHedgeParams

    def __init__(self, params: IssuerHedgeParams, context: Context) -> None:
        super().__init__(params, context)
        self._perp = perp = context.specs[params.perpetual]
        spot = context.spec
        if perp.kind != "perpetual" or spot.kind != "spot":
            raise InputError(
                f"perpetual: '{spot.name}' is a {spot.kind} and '{perp.name}' a {perp.kind}; wanted are a spot market "
                "and a perpetual"
            )
        if (perp.base, perp.quote, perp.venue) != (spot.base, spot.quote, spot.venue):
            raise InputError(
                f"perpetual: '{perp.name}' is not that of {spot.base} in {spot.quote} on {spot.venue}, which is to be "
                "hedged"
            )
        self._window = context.window(params.window)
        self._supply = max(1, self._window.figure("supply"))
        self._wanted = round(-params.contracts[perp.name] / perp.lot) * perp.base_per_lot
        self._coins = int(params.balances.get(spot.base, 0.0) / float(spot.base_quantum))
        self._short = self._wanted  # base quanta sold short
        self._account_ns = -1
        self._taker = Taker(context.gateway, context.clock, params.retry, self._on_fill)

    def run(self) -> Generator[SimEvent, None, None]:
        """Compare at every poll."""
        yield self.sleep(1 + int(self.stream.uniform() * self.params.poll))
        while True:
            self._look()
            yield self.sleep(self.params.poll)

    def wanted(self) -> int:
        """Base quanta of coins, and of short perpetual, that the present supply asks for."""
        change = 1 - self._window.figure("supply") / self._supply
        return max(0, round(self._wanted * (1 - self.params.backing_share * change)))

    def _look(self) -> None:
        spot, perp, taker = self.spec, self._perp, self._taker
        account = self.context.gateway.account()
        may_open = True
        if account is not None:
            if account.in_liquidation:
                return
            level = account.margin_level_ppm
            may_open = level is None or level >= self.params.margin_level * 1e6
            if account.time_ns > max(self._account_ns, taker.traded_ns) and taker.ready(spot) and taker.ready(perp):
                self._account_ns = account.time_ns
                self._coins = account.net.get(spot.base, 0)
                self._short = -account.contracts.get(perp.instrument_id, 0) * perp.base_per_lot
        if not taker.ready(spot) or not taker.ready(perp):
            return
        wanted = self.wanted()
        slack = self._wanted * self.params.tolerance
        coins, short = self._coins - wanted, self._short - wanted  # what is too much of each
        uneven = self._coins - self._short
        if abs(uneven) > slack:
            self._even_out(uneven, coins, short, may_open)
        elif abs(coins) > slack:
            self._scale(coins, may_open)

    def _scale(self, excess: int, may_open: bool) -> None:
        """Shrink or grow both legs by the same quantity."""
        if excess < 0 and not may_open:
            return
        spot, perp = self.spec, self._perp
        shrink = excess > 0
        qty = abs(excess)
        for spec, side in ((spot, Side.SELL if shrink else Side.BUY), (perp, Side.BUY if shrink else Side.SELL)):
            qty = min(qty, self._most(spec, side))
        for spec, side in ((spot, Side.SELL if shrink else Side.BUY), (perp, Side.BUY if shrink else Side.SELL)):
            self._send(spec, side, qty, Purpose.REDEMPTION if shrink else Purpose.HEDGE)

    def _even_out(self, uneven: int, coins: int, short: int, may_open: bool) -> None:
        """Bring the two legs together on the one that is further from what is wanted."""
        spot, perp = self.spec, self._perp
        if uneven > 0:  # more coins than are hedged
            spec = perp if may_open and abs(short) > abs(coins) else spot
            side = Side.SELL
        else:
            spec = spot if abs(coins) > abs(short) else perp
            side = Side.BUY
        self._send(spec, side, min(abs(uneven), self._most(spec, side)), Purpose.HEDGE)

    def _touch(self, spec: InstrumentSpec, side: Side) -> int | None:
        view = self.context.gateway.view(spec.instrument_id)
        if view is None:
            return None
        return view.best_bid if side else view.best_ask

    def _most(self, spec: InstrumentSpec, side: Side) -> int:
        """Base quanta of one order; 0 where nobody is on the other side."""
        touch = self._touch(spec, side)
        return 0 if touch is None else spec.lots(self.params.max_order, touch) * spec.base_per_lot

    def _send(self, spec: InstrumentSpec, side: Side, qty: int, purpose: Purpose) -> None:
        touch = self._touch(spec, side)
        lots = qty // spec.base_per_lot
        if touch is not None and lots > 0:
            price = max(1, round(touch * (1 - self.params.slippage if side else 1 + self.params.slippage)))
            self._taker.send(spec, side, lots, price, purpose)

    def _on_fill(self, spec: InstrumentSpec, side: Side, lots: int, _price: int) -> None:
        base = lots * spec.base_per_lot
        if spec is self._perp:
            self._short += base if side else -base
        else:
            self._coins += -base if side else base
