"""A maker on many pairs without a venue: what its gateway shows is set by hand, what it sends is kept."""

from decimal import Decimal

from lobsim.agents import Context, agent_kinds
from lobsim.agents.base import Connections
from lobsim.events import CancelAll, EventKind, OrderCanceled, OrderRejected, Purpose, Reason, Side, SubmitOrder, Trade
from lobsim.sim.clock import Clock
from lobsim.sim.gateway import InstrumentSpec
from lobsim.sim.streams import Streams
from lobsim.units import NS_PER_S
from lobsim.venue.ports import AccountView, MarketView

MAKER = {
    "kind": "market-maker",
    "instrument": "A-USDT",
    "reference": "A",
    "balances": {"USDT": 1e6},
    "quote_notional": 1_000.0,
    "ladder_distance": 0.04,
    "levels": 3,
    "requote": "1s",
    "reference_weight": 1.0,
    "gamma": 0.1,
    "k": 100.0,
    "horizon": "100s",
    "inventory_unit": 100.0,
    "max_inventory": 1_000.0,
}
OFF = {"volatility_ratio": False, "margin_level": False}


class FakeGateway:
    """Says what it is told to say; `sent` are (time_ns, instrument, commands)."""

    def __init__(self, floor, venue, account_id):
        self.venue, self.account_id = venue, account_id
        self.views, self.references, self.sent = {}, floor.references, []
        self.state = None
        self._floor = floor
        self._ids = account_id * 10**6

    def view(self, instrument_id):
        return self.views.get(instrument_id)

    def reference(self, name):
        return self.references.get(name)

    def account(self):
        return self.state

    def listen(self, on_events):
        self.on_events = on_events

    def order(self, side, qty, price, purpose, tif=0, *, post_only=False, self_trade=0):
        self._ids += 1
        return SubmitOrder(
            self._ids, side, qty, price, None, tif, self.account_id, purpose, post_only, self_trade=self_trade
        )

    def quotes(self, side, ladder, *, post_only):
        return [self.order(side, qty, price, Purpose.QUOTE, post_only=post_only) for qty, price in ladder]

    def send(self, instrument_id, commands):
        self.sent.append((self._floor.clock.now, self._floor.names[instrument_id], list(commands)))


class Floor:
    """Instruments by name; prices are 100 ticks of 0.1 unless told otherwise, lots 0.01."""

    def __init__(self, *names, elsewhere=(), seed=1):
        self.clock = Clock(seed)
        self.references = {}
        self.names = list(names)
        self.notes = []
        self._seed = seed
        self.main = FakeGateway(self, "exchange", 7)
        self.other = FakeGateway(self, "abroad", 8)
        self.specs = {}
        for number, name in enumerate(names):
            kind = "perpetual" if name.endswith("PERP") else "spot"
            venue = "abroad" if name in elsewhere else "exchange"
            base, quote = name.split("-")[:2]
            self.specs[name] = InstrumentSpec(
                number, name, base, quote, 0.1, 0.01, 100, 10, Decimal("0.0001"), Decimal("0.0001"), kind, venue
            )

    def maker(self, *, rules=None, **values):
        """A started maker with the volatility and the margin rule off unless asked."""
        kind = agent_kinds()["market-maker"]
        params = kind.Params.model_validate({**MAKER, "withdrawal_rules": {**OFF, **(rules or {})}, **values})
        connections = Connections(specs=self.specs, gateways={"exchange": self.main, "abroad": self.other})
        primary = self.specs[params.instrument]
        stream = Streams(self._seed).stream("agents/maker")
        context = Context(self.clock, "maker", 0, primary, stream, self.main, connections=connections)
        context.note = lambda *note: self.notes.append((self.clock.now, *note))
        maker = kind(params, context)
        maker.start()
        return maker

    def show(self, name, bid=99, ask=101, last=100, *, outside=None):
        """Market data of now, and the outside value (at the last price)."""
        spec = self.specs[name]
        gateway = self.other if spec.venue == "abroad" else self.main
        gateway.views[spec.instrument_id] = MarketView(self.clock.now, bid, 1, ask, 1, last, last)
        reference = name.split("-", maxsplit=1)[0]
        if outside is not None:
            self.references[reference] = outside
        else:
            self.references.setdefault(reference, 10.0)

    def state(self, level_ppm=None, *, in_liquidation=False, contracts=None, adl=0, gateway=None):
        """The account's state of now."""
        (gateway or self.main).state = AccountView(
            self.clock.now, level_ppm, None, in_liquidation, {}, contracts=contracts or {}, adl=adl
        )

    def run(self, seconds):
        """Let that many seconds pass."""
        self.clock.run_until(self.clock.now + round(seconds * NS_PER_S))

    def live(self, seconds, **shown):
        """Second by second: show every instrument anew (`shown`: keywords of `show`), a ripple in the mid."""
        for _ in range(seconds):
            for name in self.specs:
                self.show(name, **{"ask": 101 + self.clock.now // NS_PER_S % 2, **shown.get(name, {})})
            self.run(1)

    def take(self, gateway=None):
        """What was sent since the last time."""
        gateway = gateway or self.main
        sent, gateway.sent = gateway.sent, []
        return sent

    def kinds(self):
        """Names of all notes so far."""
        return [note[1] for note in self.notes]

    def fill(self, name, side, qty, *, taker_id=0, gateway=None, purpose=0, at=None):
        """A report: the maker's own order on `side` traded (`taker_id`: as taker)."""
        gateway = gateway or self.main
        now = self.clock.now if at is None else at
        own = gateway.account_id
        if taker_id:
            trade = Trade(EventKind.TRADE, now, 1, 99, side, 100, qty, purpose, taker_id, own)
        else:
            trade = Trade(EventKind.TRADE, now, 1, own, Side(1 - side), 100, qty, purpose, 2, 99)
        gateway.on_events(self.specs[name].instrument_id, [trade])

    def kill(self, name, order, *, gateway=None, reason=Reason.IOC_REST):
        """A report: the rest of an order is gone, or it was rejected."""
        gateway = gateway or self.main
        event_class, kind = (
            (OrderCanceled, EventKind.CANCELED) if reason < Reason.DUPLICATE_ID else (OrderRejected, EventKind.REJECTED)
        )
        event = event_class(
            kind, self.clock.now, order.order_id, order.owner, order.side, order.price, 1, reason, 0, None
        )
        gateway.on_events(self.specs[name].instrument_id, [event])


def ladders(sent, name):
    """Of the last batch for an instrument: (bids, asks) as (price, lots); None when there was none."""
    batches = [commands for _, instrument, commands in sent if instrument == name]
    if not batches:
        return None
    orders = [command for command in batches[-1] if isinstance(command, SubmitOrder)]
    return tuple([(order.price, order.qty) for order in orders if order.side == side] for side in Side)


def cancels(sent):
    """(instrument, side) of batches that only cancel."""
    return [
        (name, commands[0].side)
        for _, name, commands in sent
        if len(commands) == 1 and isinstance(commands[0], CancelAll)
    ]
