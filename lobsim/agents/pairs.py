"""What arbitrageurs share: two books of one base asset, two immediate orders at once, and what is left if one fails.

A pass over a pair that offers nothing costs two looks at market data and two comparisons.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from functools import partial
from math import ceil, floor, lcm, sqrt
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from simpy.events import Event as SimEvent

from lobsim.agents.base import (
    AccountParams,
    Agent,
    AgentParams,
    Context,
    Duration,
    Model,
    Name,
    Positive,
    PositiveDuration,
)
from lobsim.agents.taking import affordable_lots, cost_quanta
from lobsim.errors import InputError
from lobsim.events import Event, EventKind, Purpose, Side, TimeInForce
from lobsim.sim.gateway import Gateway, InstrumentSpec
from lobsim.units import NS_PER_MS, NS_PER_S

_ROUNDING = 1e-9  # ticks that a float may be off by without missing its tick


class PairTable(Model):
    """Two instruments whose prices belong together."""

    instrument: Name
    other: Name


class PairsParams(AccountParams):
    """Keys of agents that trade one instrument against another of the same base and quote."""

    other: Name | None = Field(
        None, description="what `instrument` is traded against; or leave it out and name `pairs`"
    )
    pairs: tuple[PairTable, ...] | None = Field(None, description="further pairs of the same account")
    threshold: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="least gain of buying one and selling the other, after taker fees, as a fraction of the price"
    )
    max_order: Positive = Field(description="quote units per order")
    reach: Positive = Field(5.0, description="an order takes no more than this multiple of the quantity at the touch")
    slippage: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.005, description="furthest price from the touch at which it evens out a leg that found no counterparty"
    )
    poll: PositiveDuration = Field(500 * NS_PER_MS, description="how often it looks at its pairs")
    retry: Duration = Field(5 * NS_PER_S, description="time a pair is left alone after a rejected order")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.other is None and not self.pairs:
            raise ValueError("name `other`, the instrument to trade against, or `pairs`")
        names = self.covered()
        if not any(self.instrument == pair.instrument for pair in names):
            raise ValueError(f"instrument '{self.instrument}' is the first of none of the pairs")
        seen: set[frozenset[str]] = set()
        for pair in names:
            if pair.instrument == pair.other:
                raise ValueError(f"pair of '{pair.instrument}' with itself")
            both = frozenset((pair.instrument, pair.other))
            if both in seen:
                raise ValueError(f"pair '{pair.instrument}', '{pair.other}' is named twice")
            seen.add(both)
        return self

    def covered(self) -> tuple[PairTable, ...]:
        """All pairs, that of `instrument` and `other` first."""
        own = () if self.other is None else (PairTable(instrument=self.instrument, other=self.other),)
        return own + (self.pairs or ())

    def uses(self) -> tuple[str, ...]:
        """All instruments of all pairs."""
        names = [self.instrument] + [name for pair in self.covered() for name in (pair.instrument, pair.other)]
        return tuple(dict.fromkeys(names))


class Leg:
    """One instrument of a pair: where it trades, what it costs, what was bought of it."""

    __slots__ = ("buy_cost", "gateway", "instrument_id", "net", "sell_yield", "spec", "start", "view")

    def __init__(self, gateway: Gateway, spec: InstrumentSpec) -> None:
        self.gateway = gateway
        self.spec = spec
        self.view = gateway.view
        self.instrument_id = spec.instrument_id
        self.buy_cost = spec.tick * (1 + spec.taker_fee)  # quote units per base unit and tick, fee included
        self.sell_yield = spec.tick * (1 - spec.taker_fee)
        self.start = 0  # base quanta held at the start, below 0 for short
        self.net = 0  # base quanta bought less sold since then


class PairState:
    """Two legs, the step in base quanta that both can trade, and what is under way."""

    __slots__ = ("back", "first", "legs", "not_before", "out_of_stock", "second", "step", "there", "waiting")

    def __init__(self, first: Leg, second: Leg) -> None:
        self.legs = (first, second)
        self.first = first
        self.second = second
        self.step = lcm(first.spec.base_per_lot, second.spec.base_per_lot)
        self.there = second.sell_yield / first.buy_cost  # buy the first, sell the second: times bid over ask
        self.back = first.sell_yield / second.buy_cost
        self.waiting = 0  # orders whose end has not been reported
        self.not_before = 0
        self.out_of_stock = False

    def imbalance(self) -> int:
        """Base quanta bought too many (below 0: too few), as a multiple of `step` rounded towards zero."""
        net = self.first.net + self.second.net
        return net - net % self.step if net >= 0 else -(-net - -net % self.step)


class Ticket:
    """An order that was sent: what is still open of it, and what is kept aside to pay for it."""

    __slots__ = ("asset", "kept", "leg", "lots", "pair", "sign")

    def __init__(self, pair: PairState, leg: Leg, sign: int, lots: int, asset: tuple[str, str], kept: int) -> None:
        self.pair = pair
        self.leg = leg
        self.sign = sign
        self.lots = lots
        self.asset = asset
        self.kept = kept


class PairTrader(Agent, ABC):
    """Looks at all its pairs at a steady pace; subclasses say what to do with one.

    Both legs are immediate-or-cancel with limits at the same price after fees, halfway (geometrically) between what
    the one costs and the other yields, so that the two together never lose, whatever each of them finds.
    """

    Params: ClassVar[type[AgentParams]] = PairsParams
    params: PairsParams

    def __init__(self, params: PairsParams, context: Context) -> None:
        super().__init__(params, context)
        self._tickets: dict[tuple[str, int], Ticket] = {}
        self._kept: dict[tuple[str, str], int] = {}  # by venue and asset: quanta promised to orders under way
        self._traded_ns = 0  # when the last trade that was reported happened
        self._gateways: dict[str, Gateway] = {}
        self._pairs: list[PairState] = []
        for table in params.covered():
            first, second = (context.specs[name] for name in (table.instrument, table.other))
            _same_assets(first, second)
            self._check_pair(first, second)
            self._pairs.append(PairState(self._leg(first), self._leg(second)))
        for venue, gateway in self._gateways.items():
            gateway.listen(partial(self._on_events, venue))

    def run(self) -> Generator[SimEvent, None, None]:
        """Look at every pair at every poll, from a random phase."""
        yield self.sleep(1 + int(self.stream.uniform() * self.params.poll))
        look, sleep, poll = self._look, self.sleep, self.params.poll
        while True:
            look()
            yield sleep(poll)

    @abstractmethod
    def _look(self) -> None:
        """Look at every pair once, and trade."""

    def _check_pair(self, first: InstrumentSpec, second: InstrumentSpec) -> None:
        """Raise `InputError` for a pair this kind cannot trade."""

    def _leg(self, spec: InstrumentSpec) -> Leg:
        gateway = self._gateways.setdefault(spec.venue, self.context.gateway_of(spec.name))
        return Leg(gateway, spec)

    # --- orders -----------------------------------------------------------------------------------------------------

    def _free(self, leg: Leg, asset: str) -> int:
        """Quanta of an asset that are there and not promised."""
        return leg.gateway.balance(asset) - self._kept.get((leg.spec.venue, asset), 0)

    def _trade(self, pair: PairState, buy: Leg, sell: Leg, most: int, limited: tuple[Leg, ...]) -> int:
        """Buy one leg and sell the other, at most `most` base quanta; returns how many.

        Legs in `limited` trade no more than the account holds there.
        """
        bought, sold = buy.view(buy.instrument_id), sell.view(sell.instrument_id)
        assert bought is not None
        assert sold is not None
        ask, bid = bought.best_ask, sold.best_bid
        assert ask is not None
        assert bid is not None
        middle = sqrt(ask * buy.buy_cost * bid * sell.sell_yield)
        highest = max(ask, floor(middle / buy.buy_cost + _ROUNDING))
        lowest = min(bid, ceil(middle / sell.sell_yield - _ROUNDING))
        reach = self.params.reach
        qty = min(
            most,
            _quanta(buy.spec, self.params.max_order, ask),
            int(reach * bought.best_ask_qty) * buy.spec.base_per_lot,
            int(reach * sold.best_bid_qty) * sell.spec.base_per_lot,
        )
        if buy in limited:
            qty = min(qty, affordable_lots(buy.spec, self._free(buy, buy.spec.quote), highest) * buy.spec.base_per_lot)
        if sell in limited:
            qty = min(qty, self._free(sell, sell.spec.base))
        qty -= qty % pair.step
        if qty <= 0:
            return 0
        self._send(pair, buy, Side.BUY, qty, highest, Purpose.ARBITRAGE)
        self._send(pair, sell, Side.SELL, qty, lowest, Purpose.ARBITRAGE)
        return qty

    def _even_out(self, pair: PairState, legs: tuple[Leg, ...], limited: bool) -> None:
        """Sell what was bought too much, or buy what is missing, on the better of the legs."""
        excess = pair.imbalance()
        side = Side.SELL if excess > 0 else Side.BUY
        best: tuple[float, Leg, int, int] | None = None
        for leg in legs:
            view = leg.view(leg.instrument_id)
            touch = None if view is None else view.best_bid if side else view.best_ask
            if touch is None:
                continue
            if side:
                price = max(1, ceil(touch * (1 - self.params.slippage)))
                value = touch * leg.sell_yield
                room = self._free(leg, leg.spec.base)
            else:
                price = floor(touch * (1 + self.params.slippage))
                value = -touch * leg.buy_cost
                room = affordable_lots(leg.spec, self._free(leg, leg.spec.quote), price) * leg.spec.base_per_lot
            qty = min(abs(excess), _quanta(leg.spec, self.params.max_order, touch))
            qty = min(qty, room) if limited else qty
            qty -= qty % pair.step
            if qty > 0 and (best is None or value > best[0]):
                best = (value, leg, qty, price)
        if best is not None:
            _, leg, qty, price = best
            self._send(pair, leg, side, qty, price, Purpose.HEDGE)

    def _send(self, pair: PairState, leg: Leg, side: Side, qty: int, price: int, purpose: Purpose) -> None:
        spec = leg.spec
        lots = qty // spec.base_per_lot
        if side:
            asset, kept = (spec.venue, spec.base), qty
        else:
            asset, kept = (spec.venue, spec.quote), cost_quanta(spec, lots, price)
        order = leg.gateway.order(side, lots, price, purpose, TimeInForce.IOC)
        self._tickets[spec.venue, order.order_id] = Ticket(pair, leg, -1 if side else 1, lots, asset, kept)
        self._kept[asset] = self._kept.get(asset, 0) + kept
        pair.waiting += 1
        leg.gateway.send(spec.instrument_id, [order])

    def _on_events(self, venue: str, _instrument_id: int, events: list[Event]) -> None:
        for event in events:
            kind = event[0]
            if kind == EventKind.TRADE:
                key = (venue, event[8])
                ticket = self._tickets.get(key)
                if ticket is not None:
                    self._traded_ns = event[1]
                    ticket.lots -= event[6]
                    ticket.leg.net += ticket.sign * event[6] * ticket.leg.spec.base_per_lot
                    if not ticket.lots:
                        self._close(key, ticket)
            elif kind in (EventKind.CANCELED, EventKind.REJECTED):
                key = (venue, event[2])
                ticket = self._tickets.get(key)
                if ticket is not None:
                    self._close(key, ticket)
                    if kind == EventKind.REJECTED:
                        ticket.pair.not_before = self.clock.now + self.params.retry

    def _close(self, key: tuple[str, int], ticket: Ticket) -> None:
        del self._tickets[key]
        self._kept[ticket.asset] -= ticket.kept
        ticket.pair.waiting -= 1


def _same_assets(first: InstrumentSpec, second: InstrumentSpec) -> None:
    if (first.base, first.quote) != (second.base, second.quote):
        raise InputError(
            f"pairs: '{first.name}' is {first.base} in {first.quote} and '{second.name}' is {second.base} in "
            f"{second.quote}; a pair has one base and one quote asset"
        )


def _quanta(spec: InstrumentSpec, notional: float, price_ticks: int) -> int:
    """Base quanta of whole lots that `notional` quote units buy."""
    return spec.lots(notional, price_ticks) * spec.base_per_lot
