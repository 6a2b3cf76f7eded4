"""What an agent has instead of a market: a gateway that sends its messages and shows what has reached it.

An agent never sees a book. Orders arrive at the venue after the gateway's order latency; market data, account states
and reports reach the agent after its feed latency; the agent can ask only for what has been delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from lobsim.credit import LoanView, Mark
from lobsim.events import CancelOrder, Command, Event, EventKind, Purpose, SelfTrade, Side, SubmitOrder, TimeInForce
from lobsim.sim.clock import Clock, session_key
from lobsim.sim.feed import Feed, FeedReader
from lobsim.sim.latency import LatencyModel
from lobsim.sim.line import Line
from lobsim.sim.purse import Purse, Wallet
from lobsim.venue.exchange import Exchange
from lobsim.venue.lender import Lender
from lobsim.venue.ports import AccountView, EventClass, MarketView


class InstrumentSpec(NamedTuple):
    """Public facts of an instrument, with its grids as floats for agents' own arithmetic.

    `taker_fee` is a fraction of the quote amount.
    """

    instrument_id: int
    name: str
    base: str
    quote: str
    tick: float
    lot: float
    base_per_lot: int
    quote_per_tick_lot: int
    quote_quantum: Decimal
    base_quantum: Decimal = Decimal(1)
    kind: str = "spot"
    venue: str = ""
    taker_fee: float = 0.0

    def ticks(self, price: float) -> int:
        """Nearest tick to a price, at least 1."""
        return max(1, round(price / self.tick))

    def lots(self, notional: float, price_ticks: int) -> int:
        """Whole lots that `notional` quote units buy at a price."""
        return int(notional / (price_ticks * self.tick * self.lot))


class Fill(NamedTuple):
    """What an order got at once: lots, and their value in ticks times lots."""

    lots: int
    value: int


class Feeds:
    """Everything that is published in a run."""

    def __init__(self) -> None:
        self.markets: dict[int, Feed[MarketView]] = {}
        self.accounts: dict[int, Feed[AccountView]] = {}
        self.references: dict[str, Feed[float]] = {}
        self.breached: dict[str, Feed[tuple[int, ...]]] = {}
        self.called: dict[str, Feed[tuple[int, ...]]] = {}


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
        purse: Purse | None = None,
    ) -> None:
        self.name = name
        self.account_id = account_id
        self.venue = exchange.name
        self.on_events: Callable[[int, list[Event]], None] | None = None
        self._clock = clock
        self._exchange = exchange
        self._feeds = feeds
        self._feed_latency = feed_latency
        key = session_key(clock.seed, name)
        self._orders = Line(clock, EventClass.MESSAGE, key, order_latency, self._arrive)
        self._reports = Line(clock, EventClass.DELIVERY, key, feed_latency, self._deliver)
        self._views: dict[int, FeedReader[MarketView]] = {}
        self._accounts: FeedReader[AccountView] | None = None
        self._references: dict[str, FeedReader[float]] = {}
        self._purse = purse

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

    def quotes(self, side: Side, ladder: Sequence[tuple[int, int]], *, post_only: bool) -> list[Command]:
        """Quotes for each (qty, price): the orders that `order` would make one by one, in half the time."""
        account_id, new = self.account_id, tuple.__new__
        gtc, purpose, self_trade = TimeInForce.GTC, Purpose.QUOTE, SelfTrade.CANCEL_NEWEST
        ids = self._exchange.next_order_ids(len(ladder))
        return [
            new(
                SubmitOrder,
                (order_id, side, qty, price, None, gtc, account_id, purpose, post_only, 0, None, None, self_trade),
            )
            for order_id, (qty, price) in zip(ids, ladder, strict=True)
        ]

    def send(self, instrument_id: int, commands: Sequence[Command]) -> None:
        """Send one message with these commands; it arrives after the order latency, never before an earlier one."""
        self._orders.send((instrument_id, commands))

    def view(self, instrument_id: int) -> MarketView | None:
        """The newest market data that has reached the agent."""
        reader = self._views.get(instrument_id)
        if reader is None:
            reader = self._views[instrument_id] = FeedReader(self._feeds.markets[instrument_id], self._feed_latency)
        return reader.latest(self._clock.now)

    def account(self) -> AccountView | None:
        """The newest state of the own margin account that has reached the agent."""
        reader = self._accounts
        if reader is None:
            reader = self._accounts = FeedReader(self._feeds.accounts[self.account_id], self._feed_latency)
        return reader.latest(self._clock.now)

    def reference(self, name: str) -> float | None:
        """The newest outside reference value (quote units) that has reached the agent."""
        reader = self._references.get(name)
        if reader is None:
            reader = self._references[name] = FeedReader(self._feeds.references[name], self._feed_latency)
        return reader.latest(self._clock.now)

    @property
    def purse(self) -> Purse:
        """What the owner knows of its balances here, and how it sends them elsewhere."""
        assert self._purse is not None, f"{self.name} has no purse"
        return self._purse

    def balance(self, asset: str) -> int:
        """Free quanta of an asset on this venue, as far as the owner knows."""
        return self.purse.balance(asset)

    def transfer(self, to: Wallet, asset: str, amount: int) -> None:
        """Ask the venue to send `amount` quanta to another wallet of the owner; see `Purse.transfer`."""
        self.purse.transfer(to, asset, amount)

    def withdrawals_open(self, asset: str) -> bool:
        """Whether an asset may leave this venue, as far as the owner knows."""
        return self.purse.withdrawals_open(asset)

    def refresh(self) -> None:
        """Balances have changed other than by trading: send word of them."""
        self.purse.refresh()

    def report(self, instrument_id: int, events: list[Event]) -> None:
        """Called by the exchange: the reports are delivered after the feed latency, in order."""
        self._reports.send((instrument_id, events))
        if self._purse is not None:
            self._purse.refresh()

    def _arrive(self, message: tuple[int, Sequence[Command]]) -> None:
        self._exchange.handle(self.account_id, *message)

    def _deliver(self, message: tuple[int, list[Event]]) -> None:
        if self.on_events is not None:
            self.on_events(*message)


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
        self._is_listening = False
        self._reports: list[Event] | None = None  # only while `take` waits for them

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

    def take(
        self,
        instrument_id: int,
        side: Side,
        qty: int,
        price: int | None,
        purpose: Purpose,
        tif: TimeInForce = TimeInForce.IOC,
    ) -> Fill:
        """An order that takes what it can, or all or nothing, arrives now; what it got.

        For those whose purses are finite: they are told at once, as the exchange would not let them spend more. Dearer
        than `submit`, as is every later order of the same crowd.
        """
        if not self._is_listening:
            self._is_listening = True
            self._exchange.connect(self)
        reports = self._reports = []
        order_id = self.submit(instrument_id, side, qty, price, purpose, tif)
        self._reports = None
        lots = value = 0
        for event in reports:
            if event[0] == EventKind.TRADE and event[8] == order_id:
                at, got = event[5], event[6]
                assert at is not None
                lots += got
                value += at * got
        return Fill(lots, value)

    def report(self, instrument_id: int, events: list[Event]) -> None:
        """Called by the exchange once the crowd has used `take`."""
        if self._reports is not None:
            self._reports += events

    def stop(self, instrument_id: int, side: Side, qty: int, trigger_price: int, purpose: Purpose) -> int:
        """A stop-market order arrives now and sleeps until the last trade is at its trigger or beyond; returns its id.

        One that is at its trigger already wakes up at once.
        """
        order_id = self._exchange.next_order_id()
        order = SubmitOrder(
            order_id,
            side,
            qty,
            owner=self.account_id,
            purpose=purpose,
            trigger_price=trigger_price,
            self_trade=SelfTrade.ALLOW,
        )
        self._exchange.handle(self.account_id, instrument_id, (order,))
        return order_id

    def cancel(self, instrument_id: int, order_id: int) -> None:
        """A cancel arrives now; it may be too late."""
        self._exchange.handle(self.account_id, instrument_id, (CancelOrder(order_id),))


class LenderGateway:
    """An account's connection to a lender: a bot's or a borrower's. What it sees is late, and so are its messages.

    `on_result(loan_id, repaid, seized)` is called with the outcome of an own liquidation; `on_answer(action, loan_id,
    amount)` with that of a borrower's message, `amount` being what was repaid, withdrawn or pledged, 0 when refused.
    """

    def __init__(
        self,
        clock: Clock,
        lender: Lender,
        feeds: Feeds,
        name: str,
        account_id: int,
        order_latency: LatencyModel,
        feed_latency: LatencyModel,
        feed_extra_ns: int = 0,
    ) -> None:
        self.on_result: Callable[[int, int, int], None] | None = None
        self.on_answer: Callable[[str, int, int], None] | None = None
        self.account_id = account_id
        self.terms = lender.loans.terms
        self._clock = clock
        self._lender = lender
        key = session_key(clock.seed, f"{name}@{lender.name}")
        self._offers = Line(clock, EventClass.MESSAGE, key, order_latency, self._arrive)
        self._results = Line(clock, EventClass.DELIVERY, key, feed_latency, self._deliver)
        self._reader = FeedReader(feeds.breached[lender.name], feed_latency, feed_extra_ns)
        self._calls = FeedReader(feeds.called.setdefault(lender.name, Feed()), feed_latency, feed_extra_ns)

    def breached(self) -> tuple[int, ...]:
        """Loans that may be liquidated, as far as the account knows."""
        return self._reader.latest(self._clock.now) or ()

    def called(self) -> tuple[int, ...]:
        """Loans under a margin call, as far as the account knows."""
        return self._calls.latest(self._clock.now) or ()

    def loans(self) -> tuple[LoanView, ...]:
        """Own loans as they stand: a borrower keeps account of its own debt. O(own loans)."""
        return self._lender.loans_of(self.account_id)

    def loan(self, loan_id: int) -> LoanView | None:
        """One loan as it stands; None when it is closed."""
        return self._lender.loans.loan(loan_id)

    def mark(self) -> Mark | None:
        """At what the lender values collateral now, debt quanta per collateral quantum: it tells borrowers who ask."""
        return self._lender.mark()

    def liquidate(self, loan_id: int, repay_amount: int) -> None:
        """Offer to repay up to `repay_amount` debt quanta of a loan for its collateral."""
        self._offers.send(("liquidate", loan_id, repay_amount))

    def repay(self, loan_id: int, amount: int) -> None:
        """Pay back up to `amount` debt quanta of an own loan."""
        self._offers.send(("repay", loan_id, amount))

    def withdraw(self, loan_id: int, amount: int) -> None:
        """Take `amount` collateral quanta back; refused where the LTV would exceed the maximum."""
        self._offers.send(("withdraw", loan_id, amount))

    def top_up(self, loan_id: int, amount: int) -> None:
        """Pledge `amount` more collateral quanta."""
        self._offers.send(("top_up", loan_id, amount))

    def _arrive(self, message: tuple[str, int, int]) -> None:
        action, loan_id, amount = message
        if action == "liquidate":
            result = self._lender.liquidate(loan_id, self.account_id, amount)
            repaid, seized = (0, 0) if result is None else (result.repaid, result.seized)
            self._results.send((action, loan_id, repaid, seized))
            return
        done = getattr(self._lender, action)(loan_id, amount)
        self._results.send((action, loan_id, done, 0))

    def _deliver(self, result: tuple[str, int, int, int]) -> None:
        action, loan_id, amount, seized = result
        if action == "liquidate":
            if self.on_result is not None:
                self.on_result(loan_id, amount, seized)
        elif self.on_answer is not None:
            self.on_answer(action, loan_id, amount)
