"""Venues by hand for agents that need several: books that are set and stay, exact money, transfers, windows.

Prices are around 100 ticks of 0.01, lots are 1 coin of 10 quanta; money has 1,000 quanta to the unit.
"""

from decimal import Decimal
from math import ceil

from lobsim.agents import Context, agent_kinds
from lobsim.agents.base import Connections
from lobsim.events import CancelOrder, EventKind, Reason, Side, SubmitOrder, TimeInForce
from lobsim.sim.clock import Clock, EventClass
from lobsim.sim.gateway import Fill, InstrumentSpec
from lobsim.sim.streams import Streams
from lobsim.units import NS_PER_S
from lobsim.venue.ports import AccountView, MarketView

BASE, TICK_LOT, UNIT = 10, 10, 1_000
BUY, SELL = Side.BUY, Side.SELL


class Market:
    """A book that is set by hand; what is taken from it is gone until it is set again."""

    def __init__(self, spec):
        self.spec = spec
        self.sides = {BUY: [], SELL: []}  # resting bids and asks, best first, as [price, lots]
        self.last = None
        self.silent = False
        self.waiting = []  # the agent's own order in the book: [order, lots]

    def set(self, bids=(), asks=()):
        self.sides = {BUY: [list(level) for level in bids], SELL: [list(level) for level in asks]}

    def view(self, now):
        if self.silent:
            return None
        (bid, bid_qty), (ask, ask_qty) = (levels[0] if levels else (None, 0) for levels in self.sides.values())
        return MarketView(now, bid, bid_qty, ask, ask_qty, self.last, None)

    def take(self, side, lots, limit):
        """(price, lots) of each fill."""
        levels = self.sides[1 - side]
        fills = []
        while lots and levels:
            price, there = levels[0]
            if limit is not None and (price > limit if side == BUY else price < limit):
                break
            taken = min(lots, there)
            fills.append((price, taken))
            lots -= taken
            levels[0][1] -= taken
            if not levels[0][1]:
                levels.pop(0)
            self.last = price
        return fills


class Place:
    """A wallet: the chain, or an account on a venue."""

    def __init__(self, plaza, venue):
        self.plaza = plaza
        self.venue = venue
        self.held = {}
        self.account_id = len(plaza.places) + 1
        self.halted = set()
        self.sent = []

    def balance(self, asset):
        return self.held.get(asset, 0)

    def add(self, asset, amount):
        self.held[asset] = self.balance(asset) + amount

    def withdrawals_open(self, asset):
        return asset not in self.halted

    def transfer(self, to, asset, amount):
        assert 0 < amount <= self.balance(asset), (asset, amount, self.held)
        assert self.withdrawals_open(asset)
        self.add(asset, -amount)
        self.sent.append((self.plaza.clock.now, to.venue, asset, amount))
        self.plaza.later(self.plaza.transfer_ns, lambda _: to.add(asset, amount))


class Venue(Place):
    """A gateway: orders are answered after a latency, a spot account's without money are rejected."""

    def __init__(self, plaza, name, margin=False):
        super().__init__(plaza, name)
        self.markets = {}
        self.margin = margin
        self.orders = []
        self.contracts = {}
        self.level_ppm = None
        self.in_liquidation = False
        self.references = {}
        self.refusal = None
        self.told = None
        self._ids = 0
        self._listener = None
        self.now = 0

    def listen(self, on_events):
        self._listener = on_events

    def view(self, instrument_id):
        return self.markets[instrument_id].view(self.plaza.clock.now)

    def reference(self, name):
        return self.references.get(name)

    def account(self):
        if not self.margin or self.told is not None:
            return self.told
        now = self.plaza.clock.now
        return AccountView(now, self.level_ppm, None, self.in_liquidation, dict(self.held), dict(self.contracts))

    def tell_once(self):
        """From now on the account state stays as it is at this moment."""
        self.told = self.account()

    def order(self, side, qty, price, purpose, tif=TimeInForce.GTC):
        assert tif in (TimeInForce.IOC, TimeInForce.GTC)
        assert qty > 0
        assert price is None or price > 0
        self._ids += 1
        return SubmitOrder(self._ids, side, qty, price, None, tif, self.account_id, purpose)

    def send(self, instrument_id, commands):
        for order in commands:
            self.plaza.later(self.plaza.latency_ns, self._arrive, (self.markets[instrument_id], order))

    def hit(self, name, lots):
        """Sell into the agent's own bid."""
        market = self.plaza.markets[name]
        spec, now = market.spec, self.plaza.clock.now
        order, left = market.waiting.pop()
        taken = min(lots, left)
        if taken < left:
            market.waiting.append([order, left - taken])
        notional = order.price * taken * spec.quote_per_tick_lot
        self.add(spec.base, taken * spec.base_per_lot)
        self.plaza.fills.append((now, name, BUY, taken, order.price, order.purpose))
        trade = (EventKind.TRADE, now, order.order_id, order.owner, SELL, order.price, taken, order.purpose, 99, 99)
        self.plaza.later(self.plaza.latency_ns, lambda _: self._listener(spec.instrument_id, [trade]))
        return notional

    def _cancel(self, market, order_id):
        now = self.plaza.clock.now
        events = []
        for order, left in market.waiting:
            assert order.order_id == order_id
            self._hold(market.spec, order, -left)
            gone = (EventKind.CANCELED, now, order_id, order.owner, order.side, order.price, left)
            events.append((*gone, Reason.IOC_REST, 0, None))
        market.waiting.clear()
        self.plaza.later(self.plaza.latency_ns, lambda _: self._listener(market.spec.instrument_id, events))

    def _arrive(self, message):
        market, order = message
        now = self.plaza.clock.now
        if isinstance(order, CancelOrder):
            self._cancel(market, order.order_id)
            return
        self.orders.append((now, market.spec.name, order.side, order.qty, order.price, order.purpose))
        spec = market.spec
        events = []
        if self.refusal is None and not self.margin and not self._can_pay(market, order):
            reason = Reason.INSUFFICIENT_FUNDS
        else:
            reason = self.refusal
        if reason is not None:
            self.plaza.rejections.append((now, spec.name, reason))
            events.append((EventKind.REJECTED, now, order.order_id, order.owner, order.side, order.price, order.qty))
        else:
            left = order.qty
            for price, lots in market.take(order.side, order.qty, order.price):
                left -= lots
                self.settle(spec, order.side, price, lots)
                events.append(
                    (EventKind.TRADE, now, 99, 99, order.side, price, lots, order.purpose, order.order_id, order.owner)
                )
                self.plaza.fills.append((now, spec.name, order.side, lots, price, order.purpose))
            if left and order.tif == TimeInForce.GTC:
                assert not market.waiting
                market.waiting.append([order, left])
                self._hold(spec, order, left)
            elif left:
                rest = (EventKind.CANCELED, now, order.order_id, order.owner, order.side, order.price, left)
                events.append((*rest, Reason.IOC_REST, 0, None))
        self.plaza.later(self.plaza.latency_ns, lambda _: self._listener(spec.instrument_id, events))

    def settle(self, spec, side, price, lots):
        """Move coins (or contracts) and money, fee included."""
        sign = -1 if side else 1
        if spec.kind == "perpetual":
            self.contracts[spec.instrument_id] = self.contracts.get(spec.instrument_id, 0) + sign * lots
        else:
            self.add(spec.base, sign * lots * spec.base_per_lot)
        notional = price * lots * spec.quote_per_tick_lot
        self.add(spec.quote, -sign * notional - ceil(notional * spec.taker_fee))

    def _hold(self, spec, order, lots):
        """Balances are free ones; below 0 gives back."""
        if order.side:
            self.add(spec.base, -lots * spec.base_per_lot)
        else:
            self.add(spec.quote, -order.price * lots * spec.quote_per_tick_lot)

    def _can_pay(self, market, order):
        if order.side:
            return self.balance(market.spec.base) >= order.qty * market.spec.base_per_lot
        worst = order.price if order.price is not None else max((p for p, _ in market.sides[SELL]), default=0)
        return self.balance(market.spec.quote) >= worst * order.qty * market.spec.quote_per_tick_lot


class Crowd:
    """A crowd's order entry at a venue."""

    def __init__(self, plaza, venue):
        self.plaza = plaza
        self.venue = venue

    def view(self, instrument_id):
        return self.venue.view(instrument_id)

    def take(self, instrument_id, side, qty, price, purpose):
        market = self.venue.markets[instrument_id]
        fills = market.take(side, qty, price)
        self.plaza.asked.append((self.plaza.clock.now, side, qty, purpose))
        return Fill(sum(lots for _, lots in fills), sum(price * lots for price, lots in fills))

    def submit(self, instrument_id, side, qty, price, purpose):
        self.plaza.offered.append((self.plaza.clock.now, side, qty, price, purpose))
        return len(self.plaza.offered)


class Window:
    """Gives ``rate(action) * amount`` of the other asset after a delay, out of and into the chain account."""

    def __init__(self, plaza, rules, figures):
        self.plaza = plaza
        self.rules = rules  # action: (asset paid, asset got, rate)
        self.figures = figures
        self.open = True
        self.asked = []
        self.delay_ns = 10 * NS_PER_S
        self.on_result = None

    @property
    def actions(self):
        return tuple(self.rules)

    def figure(self, name, amount=0):
        value = self.figures[name]
        return value(amount) if callable(value) else value

    def ask(self, action, amount):
        assert self.open
        paid, got, rate = self.rules[action]
        chain = self.plaza.chain
        assert 0 < amount <= chain.balance(paid)
        chain.add(paid, -amount)
        self.asked.append((self.plaza.clock.now, action, amount))
        self.plaza.later(self.delay_ns, lambda _: chain.add(got, int(amount * rate)))


class Plaza:
    """Everything around one agent."""

    def __init__(self, seed=1, latency_ms=5):
        self.clock = Clock(seed)
        self.streams = Streams(seed)
        self.latency_ns = latency_ms * 1_000_000
        self.transfer_ns = 60 * NS_PER_S
        self.places = {}
        self.specs = {}
        self.windows = {}
        self.markets = {}
        self.rejections, self.fills, self.notes, self.asked, self.offered = [], [], [], [], []
        self.chain = self._place(Place(self, "chain"))

    def _place(self, place):
        self.places[place.venue] = place
        return place

    def venue(self, name, *, margin=False, **held):
        """A venue, and what the agent has there in quanta."""
        venue = self._place(Venue(self, name, margin))
        venue.held.update(held)
        return venue

    def market(self, name, venue, *, base="ALT", quote="USDT", kind="spot", fee=0.0, per_lot=BASE):
        """A market with its name, listed on a venue."""
        number = len(self.specs)
        lot = per_lot / BASE
        quanta = (Decimal("0.001"), Decimal("0.1"))
        per_tick = TICK_LOT * per_lot // BASE
        spec = InstrumentSpec(number, name, base, quote, 0.01, lot, per_lot, per_tick, *quanta, kind, venue, fee)
        self.specs[name] = spec
        market = self.markets[name] = Market(spec)
        self.places[venue].markets[number] = market
        return market

    def window(self, name, rules, **figures):
        self.windows[name] = Window(self, rules, figures)
        return self.windows[name]

    def later(self, delay_ns, callback, value=None):
        self.clock.call_at(self.clock.now + delay_ns, EventClass.MESSAGE, 1, callback, value)

    def params(self, kind, **values):
        return agent_kinds()[kind].Params.model_validate({"kind": kind, **values})

    def agent(self, kind, **values):
        """An agent of that kind, started."""
        agent_class = agent_kinds()[kind]
        params = self.params(kind, **values)
        specs = {name: self.specs[name] for name in params.uses()}
        venues = {spec.venue: self.places[spec.venue] for spec in specs.values()}
        spec = specs[params.instrument]
        home = venues[spec.venue]
        crowd = Crowd(self, home) if agent_class.is_crowd else None
        connections = Connections(specs=specs, gateways=venues, windows=self.windows, chain=self.chain)
        stream = self.streams.stream("agents/agent")
        context = Context(self.clock, "agent", 0, spec, stream, home, crowd, connections=connections)
        context.note = lambda *note: self.notes.append(note)
        agent = agent_class(params, context)
        agent.start()
        return agent

    def seconds(self, seconds):
        self.clock.run_until(round(seconds * NS_PER_S))
        return self

    def total(self, asset):
        """Quanta of an asset in all places (once nothing is under way)."""
        return sum(place.balance(asset) for place in self.places.values())

    def bought(self, name):
        """Lots bought less sold of an instrument."""
        return sum(-lots if side else lots for _, market, side, lots, _, _ in self.fills if market == name)
