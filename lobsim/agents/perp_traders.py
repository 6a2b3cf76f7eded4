"""Retail traders of a perpetual: they take profits, some cut losses, and they open new positions along a trend.

Each has one isolated position at a time. Who closes in profit takes open interest out of the market, who opens along a
fall puts shorts into it that a rebound can squeeze.
"""

from __future__ import annotations

from enum import IntEnum, unique
from heapq import heapify, heappop, heappush
from math import inf
from typing import Annotated, Literal

from pydantic import Field, field_validator

from lobsim.agents.base import AgentParams, Context, Duration, Name, NonNegative, PositiveDuration, Share
from lobsim.agents.members import PastPrice, WatchingCrowd, shares, spread
from lobsim.agents.retail import LeverageKeys, draw_leverages, refuse_stillborn
from lobsim.events import Purpose, Side
from lobsim.sim.contracts import IsolatedView
from lobsim.units import NS_PER_MINUTE, NS_PER_S

_Sigma = Annotated[float, Field(ge=0, le=3)]
_Fraction = Annotated[float, Field(gt=0, lt=1)]


class PerpTraderParams(LeverageKeys, AgentParams):
    """Keys of an agent of kind "perp-traders". The leverage keys are those of new positions."""

    kind: Literal["perp-traders"]
    positions: tuple[Name, ...] | None = Field(
        None, description="populations [positions.NAME] in the instrument that they manage"
    )
    trigger: Literal["last", "mark"] = Field("last", description="price by which they judge: last trade or mark")
    target: Annotated[float, Field(gt=0, le=100)] | None = Field(
        0.08, description="move in its favour, as a share of the entry price, at which one closes (median); or none"
    )
    target_sigma: _Sigma = Field(0.5, description="log-standard-deviation of it between them")
    stop_share: Share = Field(0.0, description="share of them that cut losses before they are liquidated")
    stop: _Fraction = Field(0.5, description="share of its margin that such a one loses before it closes (median)")
    stop_sigma: _Sigma = Field(0.3, description="log-standard-deviation of it between them")
    delay: Duration = Field(5 * NS_PER_S, description="mean time from seeing to acting (exponential)")
    slippage: _Fraction | None = Field(
        0.02, description="how much worse than the price they go by an order may trade at most; or none"
    )
    retry: PositiveDuration = Field(10 * NS_PER_S, description="mean time until one tries again what found nobody")
    capacity: NonNegative = Field(0.0, description="quote units of all new positions together; 0 for none")
    orders: int = Field(100, ge=1, le=100_000, description="how many may open new positions, one at a time each")
    size_sigma: Annotated[NonNegative, Field(le=5)] = Field(
        1.0, description="log-standard-deviation of their shares of the capacity"
    )
    sides: Literal["both", "short", "long"] = Field("both", description="which new positions they open")
    window: PositiveDuration = Field(5 * NS_PER_MINUTE, description="time over which they take the return")
    threshold: _Fraction = Field(0.03, description="return over the window that makes one follow it (median)")
    threshold_sigma: _Sigma = Field(0.3, description="log-standard-deviation of it between them")
    cooldown: PositiveDuration = Field(NS_PER_MINUTE, description="time for which one rests after it closed a position")
    look: PositiveDuration = Field(NS_PER_S, description="how often they look at prices")

    @field_validator("positions")
    @classmethod
    def _named_once(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        twice = sorted({name for name in names or () if (names or ()).count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} must not be named twice")
        return names


@unique
class _Stage(IntEnum):
    IDLE = 0  # waits for a trend, if it is one of those who open
    ENTERING = 1
    HOLDING = 2  # waits for its target or its stop
    LEAVING = 3
    RESTING = 4


class _Trader:
    __slots__ = ("leverage", "position_id", "purpose", "round", "stage", "stake", "started", "stop", "target", "wakes")

    def __init__(self, target: float | None, stop: float | None) -> None:
        self.target = target
        self.stop = stop
        self.stage = _Stage.IDLE
        self.purpose = Purpose.TAKE_PROFIT
        self.position_id = 0
        self.wakes: tuple[float, float] = 0.0, 0.0  # ticks above and below which it acts
        self.round = 0  # of waiting: what waits from an earlier one no longer counts
        self.started = False  # whether part of the position is closed
        self.stake = 0.0  # quote units it may open; 0 for those who only close
        self.leverage = 1.0


class PerpTraders(WatchingCrowd):
    """Positions wait in order of the price at which their holders act, newcomers in order of their threshold.

    So a look costs O(log n) for each who acts and nothing for the rest. A holder closes at its target if the price is
    still there when its delay is over, and at its stop in any case, with orders that may be filled in part; the rest
    follows. A position that was liquidated or deleveraged is simply gone. Newcomers trade in the direction of the
    return over the window, if it is still beyond their threshold when their delay is over; after a close of their own
    they may come back, after a liquidation not.

    A position from before the run that has passed its target or its stop already when the first price is seen counts
    from that price on: its holder has decided to stay. Bias: nobody adds to a position or turns it, fees and funding
    do not enter the return, margin is never short (the crowd may overdraw), and what was lost does not make the next
    position smaller.
    """

    kind = "perp-traders"
    Params = PerpTraderParams
    params: PerpTraderParams

    def __init__(self, params: PerpTraderParams, context: Context) -> None:
        super().__init__(params, context, params.look)
        self._door = context.contract(params.instrument)
        self._traders: list[_Trader] = []
        self._rising: list[tuple[float, int, int]] = []  # (ticks, trader, round): acts at or above
        self._falling: list[tuple[float, int, int]] = []  # (minus ticks, trader, round): acts at or below
        self._idle: list[tuple[float, int]] = []  # (threshold, trader)
        self._thresholds: list[float] = []
        self._past = PastPrice(params.window)
        self._price = 0  # ticks, as last seen; 0 before the first
        self._change = 0.0
        if params.capacity:
            refuse_stillborn(params, self._door.maintenance_rate)
            self._add_newcomers()

    def _add_newcomers(self) -> None:
        params, stream = self.params, self.stream
        count = params.orders
        self._traders = self._characters(count)
        self._thresholds = spread(stream, count, params.threshold, params.threshold_sigma)
        leverages = draw_leverages(params, count, stream)
        parts = shares(stream, count, params.size_sigma)
        for trader, part, leverage in zip(self._traders, parts, leverages, strict=True):
            trader.stake = part * params.capacity
            trader.leverage = leverage
        self._idle = [(threshold, number) for number, threshold in enumerate(self._thresholds)]
        heapify(self._idle)

    def _characters(self, count: int) -> list[_Trader]:
        params, stream = self.params, self.stream
        targets = spread(stream, count, params.target or 1.0, params.target_sigma)
        stops = spread(stream, count, params.stop, params.stop_sigma)
        cuts = [stream.uniform() < params.stop_share for _ in range(count)]
        return [
            _Trader(None if params.target is None else target, stop if cut else None)
            for target, stop, cut in zip(targets, stops, cuts, strict=True)
        ]

    def start(self) -> None:
        """See which positions there are, give each holder its character, begin to look."""
        views = self._door.positions()
        for view, trader in zip(views, self._characters(len(views)), strict=True):
            trader.position_id = view.position_id
            trader.stage = _Stage.HOLDING
            self._traders.append(trader)
        if self._traders:
            super().start()

    # --- what they see ----------------------------------------------------------------------------------------------

    def on_look(self) -> None:
        """Call those whose price has come, and those who follow the return."""
        view = self.context.crowd.view(self.spec.instrument_id)
        price = None if view is None else view.last_price if self.params.trigger == "last" else view.mark_price
        if price is None:
            return
        is_first = not self._price
        self._price = price
        if is_first:
            self._await_first()
        self._change = self._past.change(self.clock.now, price)
        while self._rising and self._rising[0][0] <= price:
            _, number, turn = heappop(self._rising)
            self._wake(number, turn, is_rise=True)
        while self._falling and -self._falling[0][0] >= price:
            _, number, turn = heappop(self._falling)
            self._wake(number, turn, is_rise=False)
        if not self._follows():
            return
        size = abs(self._change)
        while self._idle and self._idle[0][0] <= size:
            number = heappop(self._idle)[1]
            self._traders[number].stage = _Stage.ENTERING
            self.call(number, self._delay())

    def _follows(self) -> bool:
        """Whether they open positions in the direction of the return."""
        return self.params.sides != ("short" if self._change > 0 else "long") and self._change != 0

    def _await_first(self) -> None:
        """Let the holders from before the run wait."""
        for number, trader in enumerate(self._traders):
            view = self._door.position(trader.position_id) if trader.stage == _Stage.HOLDING else None
            if view is not None:
                self._set_prices(trader, view)
                above, below = trader.wakes
                if above <= self._price:  # a move passed already is made anew from here
                    above += self._price - self._entry(view)
                if below >= self._price:
                    below += self._price - self._entry(view)
                trader.wakes = above, below
                self._wait(number, trader)

    def _entry(self, view: IsolatedView) -> float:
        """Ticks."""
        return view.entry_value / (view.lots * self.spec.quote_per_tick_lot)

    def _set_prices(self, trader: _Trader, view: IsolatedView) -> None:
        """Work out above and below which price the holder acts."""
        entry = self._entry(view)
        margin = view.margin / (abs(view.lots) * self.spec.quote_per_tick_lot)
        gain = inf if trader.target is None else entry * trader.target
        loss = inf if trader.stop is None else margin * trader.stop
        trader.wakes = (entry + gain, entry - loss) if view.lots > 0 else (entry + loss, entry - gain)

    def _wait(self, number: int, trader: _Trader) -> None:
        trader.stage = _Stage.HOLDING
        trader.started = False
        trader.round += 1
        above, below = trader.wakes
        if above < inf:
            heappush(self._rising, (above, number, trader.round))
        if below > 0:
            heappush(self._falling, (-below, number, trader.round))

    def _wake(self, number: int, turn: int, *, is_rise: bool) -> None:
        trader = self._traders[number]
        if trader.round != turn or trader.stage != _Stage.HOLDING:
            return
        view = self._door.position(trader.position_id)
        if view is None:
            return  # liquidated: it does not come back
        trader.stage = _Stage.LEAVING
        trader.purpose = Purpose.TAKE_PROFIT if is_rise == (view.lots > 0) else Purpose.STOP_OUT
        self.call(number, self._delay())

    # --- what they do -----------------------------------------------------------------------------------------------

    def on_call(self, number: int) -> None:
        """Go on where the trader is."""
        trader = self._traders[number]
        if trader.stage == _Stage.LEAVING:
            self._leave(number, trader)
        elif trader.stage == _Stage.ENTERING:
            self._enter(number, trader)
        else:
            self._rest_is_over(number, trader)

    def _leave(self, number: int, trader: _Trader) -> None:
        view = self._door.position(trader.position_id)
        if view is None:
            return
        is_long = view.lots > 0
        above, below = trader.wakes
        if trader.purpose == Purpose.TAKE_PROFIT and not trader.started:
            came_back = self._price < above if is_long else self._price > below
            if came_back:
                self._wait(number, trader)
                return
        lots = abs(view.lots)
        fill = self._door.close(trader.position_id, lots, self._limit(is_sale=is_long), trader.purpose)
        if fill.lots < lots:
            trader.started = trader.started or fill.lots > 0
            self.call(number, self._pause())
        elif trader.stake:
            trader.stage = _Stage.RESTING
            self.call(number, self.params.cooldown)

    def _enter(self, number: int, trader: _Trader) -> None:
        """Open a position if the return is still there; whatever part of it finds somebody is the position."""
        if abs(self._change) < self._thresholds[number] or not self._follows():
            self._rest_is_over(number, trader)
            return
        lots = self.spec.lots(trader.stake, self._price)
        side = Side.BUY if self._change > 0 else Side.SELL
        limit = self._limit(is_sale=side == Side.SELL)
        opening = self._door.open(side, lots, limit, trader.leverage, Purpose.MOMENTUM)
        view = None if opening.position_id is None else self._door.position(opening.position_id)
        if view is None:
            self.call(number, self._pause())
            return
        trader.position_id = view.position_id
        self._set_prices(trader, view)
        self._wait(number, trader)

    def _rest_is_over(self, number: int, trader: _Trader) -> None:
        trader.stage = _Stage.IDLE
        heappush(self._idle, (self._thresholds[number], number))

    # --- small things -----------------------------------------------------------------------------------------------

    def _limit(self, *, is_sale: bool) -> int | None:
        """The worst price they trade at now, in ticks."""
        slippage = self.params.slippage
        if slippage is None:
            return None
        return max(1, int(self._price * (1 - slippage if is_sale else 1 + slippage)))

    def _delay(self) -> int:
        return int(self.params.delay * self.stream.exponential())

    def _pause(self) -> int:
        return 1 + int(self.params.retry * self.stream.exponential())
