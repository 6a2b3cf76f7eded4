"""What an agent has instead of a market: a gateway that sends its messages and shows what has reached it.

An agent never sees a book. Orders arrive at the venue after the gateway's order latency; market data, account states
and reports reach the agent after its feed latency; the agent can ask only for what has been delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from lobsim.events import CancelOrder, Command, Event, Purpose, SelfTrade, Side, SubmitOrder, TimeInForce
from lobsim.sim.clock import Clock, session_key
from lobsim.sim.feed import Feed, FeedReader
from lobsim.sim.latency import LatencyModel
from lobsim.venue.exchange import Exchange
from lobsim.venue.lender import Lender
from lobsim.venue.ports import AccountView, EventClass, MarketView


class InstrumentSpec(NamedTuple):
    """Public facts of an instrument, with its grids as floats for agents' own arithmetic."""

    instrument_id: int
    name: str
    base: str
    quote: str
    tick: float
    lot: float
    base_per_lot: int
    quote_per_tick_lot: int
    quote_quantum: Decimal

    def ticks(self, price: float) -> int:
        """Nearest tick to a price, at least 1."""
        return max(1, round(price / self.tick))

    def lots(self, notional: float, price_ticks: int) -> int:
        """Whole lots that `notional` quote units buy at a price."""
        return int(notional / (price_ticks * self.tick * self.lot))


class Feeds:
    """Everything that is published in a run."""

    def __init__(self) -> None:
        self.markets: dict[int, Feed[MarketView]] = {}
        self.accounts: dict[int, Feed[AccountView]] = {}
        self.references: dict[str, Feed[float]] = {}
        self.breached: dict[str, Feed[tuple[int, ...]]] = {}


class Line:
    """A one-way line between a session and a venue: messages take a latency and never overtake each other."""

    __slots__ = ("_clock", "_event_class", "_key", "_last_ns", "_latency", "_receive")

    def __init__(
        self,
        clock: Clock,
        event_class: EventClass,
        key: int,
        latency: LatencyModel,
        receive: Callable[[Any], None],
    ) -> None:
        self._clock = clock
        self._event_class = event_class
        self._key = key
        self._latency = latency
        self._receive = receive
        self._last_ns = 0

    def send(self, message: object) -> None:
        """`receive(message)` is called when it arrives."""
        now = self._clock.now
        self._last_ns = arrival = max(now + self._latency.sample(now), self._last_ns)
        self._clock.call_at(arrival, self._event_class, self._key, self._receive, message)


class Gateway:
    """One account's connection to an exchange.

    `on_events(instrument_id, events)` is called when reports arrive: all events of the account's orders but plain
    acceptances and answers to cancels. None: the owner does not listen and nothing is sent.
    """

    def __init__(
        self,
        clock: Clock,
        exchange: Exchange,
        feeds: Feeds,
        name: str,
        account_id: int,
        order_latency: LatencyModel,
        feed_latency: LatencyModel,
    ) -> None:
        self.name = name
        self.account_id = account_id
        self.on_events: Callable[[int, list[Event]], None] | None = None
        self._clock = clock
        self._exchange = exchange
        self._feeds = feeds
        self._feed_latency = feed_latency
        key = session_key(clock.seed, name)
        self._orders = Line(clock, EventClass.MESSAGE, key, order_latency, self._arrive)
        self._reports = Line(clock, EventClass.DELIVERY, key, feed_latency, self._deliver)
        self._readers: dict[tuple[str, int | str], FeedReader[Any]] = {}

    @property
    def now(self) -> int:
        """Nanoseconds since the run's start."""
        return self._clock.now

    def listen(self, on_events: Callable[[int, list[Event]], None]) -> None:
        """Receive reports about own orders."""
        self.on_events = on_events
        self._exchange.connect(self)

    def order(
        self,
        side: Side,
        qty: int,
        price: int | None,
        purpose: Purpose,
        tif: TimeInForce = TimeInForce.GTC,
        *,
        post_only: bool = False,
        self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST,
    ) -> SubmitOrder:
        """A new order of this account with a fresh id, to be sent."""
        order_id = self._exchange.next_order_id()
        fields = (order_id, side, qty, price, None, tif, self.account_id, purpose, post_only, 0, None, None, self_trade)
        return tuple.__new__(SubmitOrder, fields)  # half the time of calling the class, and makers make millions

    def send(self, instrument_id: int, commands: Sequence[Command]) -> None:
        """Send one message with these commands; it arrives after the order latency, never before an earlier one."""
        self._orders.send((instrument_id, commands))

    def view(self, instrument_id: int) -> MarketView | None:
        """The newest market data that has reached the agent."""
        reader = self._readers.get(("market", instrument_id))
        if reader is None:
            reader = self._reader("market", instrument_id, self._feeds.markets[instrument_id])
        view: MarketView | None = reader.latest(self._clock.now)
        return view

    def account(self) -> AccountView | None:
        """The newest state of the own margin account that has reached the agent."""
        reader = self._readers.get(("account", self.account_id))
        if reader is None:
            reader = self._reader("account", self.account_id, self._feeds.accounts[self.account_id])
        view: AccountView | None = reader.latest(self._clock.now)
        return view

    def reference(self, name: str) -> float | None:
        """The newest outside reference value (quote units) that has reached the agent."""
        reader = self._readers.get(("reference", name))
        if reader is None:
            reader = self._reader("reference", name, self._feeds.references[name])
        value: float | None = reader.latest(self._clock.now)
        return value

    def report(self, instrument_id: int, events: list[Event]) -> None:
        """Called by the exchange: the reports are delivered after the feed latency, in order."""
        self._reports.send((instrument_id, events))

    def _arrive(self, message: tuple[int, Sequence[Command]]) -> None:
        self._exchange.handle(self.account_id, *message)

    def _deliver(self, message: tuple[int, list[Event]]) -> None:
        if self.on_events is not None:
            self.on_events(*message)

    def _reader(self, kind: str, key: int | str, feed: Feed[Any]) -> FeedReader[Any]:
        reader = self._readers[(kind, key)] = FeedReader(feed, self._feed_latency)
        return reader


class CrowdGateway:
    """Order entry of a crowd of independent traders behind one account: one event per order, no reports.

    The crowd decides when a message *arrives*. Everything it sees is delayed by order and feed latency together, so at
    that moment it knows just what the sender knew when the message left. Members do trade with each other.
    """

    def __init__(
        self,
        clock: Clock,
        exchange: Exchange,
        feeds: Feeds,
        name: str,
        account_id: int,
        order_latency_ns: int,
        feed_latency: LatencyModel,
    ) -> None:
        self.name = name
        self.account_id = account_id
        self.clock = clock
        self._exchange = exchange
        self._feeds = feeds
        self._order_latency_ns = order_latency_ns
        self._feed_latency = feed_latency
        self._views: dict[int, FeedReader[MarketView]] = {}
        self._references: dict[str, FeedReader[float]] = {}
        self._markets = {market.instrument_id: market for market in exchange.markets}

    def view(self, instrument_id: int) -> MarketView | None:
        """Market data as the sender of a message arriving now knew it."""
        reader = self._views.get(instrument_id)
        if reader is None:
            feed = self._feeds.markets[instrument_id]
            reader = self._views[instrument_id] = FeedReader(feed, self._feed_latency, self._order_latency_ns)
        return reader.latest(self.clock.now)

    def reference(self, name: str) -> float | None:
        """Reference value as the sender of a message arriving now knew it."""
        reader = self._references.get(name)
        if reader is None:
            feed = self._feeds.references[name]
            reader = self._references[name] = FeedReader(feed, self._feed_latency, self._order_latency_ns)
        return reader.latest(self.clock.now)

    def submit(
        self,
        instrument_id: int,
        side: Side,
        qty: int,
        price: int | None,
        purpose: Purpose,
        tif: TimeInForce = TimeInForce.GTC,
    ) -> int:
        """An order arrives now; returns its id."""
        market = self._markets[instrument_id]
        return self._exchange.submit(market, self.account_id, side, qty, price, purpose, tif, SelfTrade.ALLOW)

    def cancel(self, instrument_id: int, order_id: int) -> None:
        """A cancel arrives now; it may be too late."""
        self._exchange.handle(self.account_id, instrument_id, (CancelOrder(order_id),))


class LenderGateway:
    """A liquidation bot's connection to a lender: sees breached loans late, and its bids for them arrive late."""

    def __init__(
        self,
        clock: Clock,
        lender: Lender,
        feeds: Feeds,
        name: str,
        account_id: int,
        order_latency: LatencyModel,
        feed_latency: LatencyModel,
    ) -> None:
        self.on_result: Callable[[int, int, int], None] | None = None
        self._clock = clock
        self._lender = lender
        self._account_id = account_id
        key = session_key(clock.seed, f"{name}@{lender.name}")
        self._offers = Line(clock, EventClass.MESSAGE, key, order_latency, self._arrive)
        self._results = Line(clock, EventClass.DELIVERY, key, feed_latency, self._deliver)
        self._reader = FeedReader(feeds.breached[lender.name], feed_latency)

    def breached(self) -> tuple[int, ...]:
        """Loans that may be liquidated, as far as the bot knows."""
        return self._reader.latest(self._clock.now) or ()

    def liquidate(self, loan_id: int, repay_amount: int) -> None:
        """Offer to repay up to `repay_amount` debt quanta of a loan for its collateral."""
        self._offers.send((loan_id, repay_amount))

    def _arrive(self, message: tuple[int, int]) -> None:
        loan_id, repay_amount = message
        result = self._lender.liquidate(loan_id, self._account_id, repay_amount)
        repaid, seized = (0, 0) if result is None else (result.repaid, result.seized)
        self._results.send((loan_id, repaid, seized))

    def _deliver(self, result: tuple[int, int, int]) -> None:
        if self.on_result is not None:
            self.on_result(*result)
