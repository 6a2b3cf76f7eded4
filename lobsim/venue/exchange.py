"""An exchange: checks a command, matches it, settles its trades on the ledger, publishes what happened.

Several instruments share one set of accounts. Marks and margin checks are events of their own (`mark`), never part of a
matching walk. The exchange knows agents only as sessions that reports are sent to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from lobsim.credit import CrossMargin, Flow, Ledger, MarginStatus, Mark, SalePolicy, chain_marks
from lobsim.credit.contracts import ContractBook
from lobsim.events import (
    CancelAll,
    CancelOrder,
    Command,
    Event,
    EventKind,
    Purpose,
    Reason,
    ReplaceOrder,
    SelfTrade,
    Side,
    SubmitOrder,
    TimeInForce,
)
from lobsim.venue.account_watch import AccountWatch
from lobsim.venue.admission import admit, change
from lobsim.venue.contract_liquidator import FUND_LIMIT, ContractLiquidator, ContractPolicy
from lobsim.venue.funding import FundingSchedule, FundingTerms
from lobsim.venue.holds import SpotHolds
from lobsim.venue.liquidator import AccountLiquidator
from lobsim.venue.market import Market
from lobsim.venue.ports import AccountView, MarketView, Recording, Scheduler, Session

PPM = 1_000_000

_ACCEPTED, _TRADE = EventKind.ACCEPTED, EventKind.TRADE
_TWO_SIDED = (EventKind.TRADE, EventKind.DECREMENTED)


class FeeModel(NamedTuple):
    """Fees in millionths of the traded quote amount, rounded down, both sides pay in the quote asset."""

    maker_ppm: int = 0
    taker_ppm: int = 0


class Exchange:
    """A venue with its own books and one cross-margined set of accounts.

    liquidation_order: assets (ledger ids) and contracts (names) in the order in which account liquidation sells them,
    most liquid first; None: the order of listing.
    """

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        ledger: Ledger,
        margin: CrossMargin,
        recorder: Recording,
        *,
        fee_account: int,
        insurance_account: int,
        outside_account: int,
        fees: FeeModel,
        sale_policy: SalePolicy | None,
        first_order_id: int = 1,
        contract_policy: ContractPolicy = FUND_LIMIT,
        liquidation_order: Sequence[int | str] | None = None,
    ) -> None:
        self.name = name
        self.ledger = ledger
        self.margin = margin
        self.markets: list[Market] = []
        self.contract_markets: list[tuple[Market, ContractBook]] = []
        self.messages = 0
        self._by_id: dict[int, Market] = {}
        self._feeds: dict[int, Callable[[int, MarketView], None]] = {}
        self._scheduler = scheduler
        self._recorder = recorder
        self._fee_account = fee_account
        self._outside_account = outside_account
        self._fees = fees
        self._sessions: dict[int, Session] = {}
        self._pricing: dict[int, Market] = {}
        self._marks: dict[int, Mark] | None = None
        self._stalled_until_ns = -1
        self._spot: set[int] = set()
        self._holds = SpotHolds(ledger, fees.taker_ppm)
        self._held = self._holds.open
        self._barred: dict[int, Reason] = {}
        self._order_ids = first_order_id - 1
        self.accounts = AccountWatch(self, recorder)
        self.contracts = ContractLiquidator(self, scheduler, recorder, contract_policy)
        self.liquidator = AccountLiquidator(
            self, scheduler, recorder, insurance_account, sale_policy, liquidation_order
        )

    # --- set-up -----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Nanoseconds since the run's start."""
        return self._scheduler.now

    def add_market(
        self, market: Market, publish: Callable[[int, MarketView], None], funding: FundingTerms | None = None
    ) -> None:
        """List an instrument, whose views go to ``publish(time_ns, view)``.

        The first spot market listed for a base asset says what that asset is worth. Unless told otherwise, account
        liquidation sells in the order of listing: most liquid first. A contract must be listed before accounts that
        may hold it are valued: its positions count in their margin from then on.
        """
        self.markets.append(market)
        if market.contract is None:
            self._pricing.setdefault(market.base, market)
        else:
            self.contract_markets.append((market, market.contract))
            self.margin.add_contract(market.contract)
            if funding is not None:
                funding.check(market.name)
                self.contracts.schedule_funding(market, FundingSchedule(funding))
        self._by_id[market.instrument_id] = market
        self._feeds[market.instrument_id] = publish

    def market(self, instrument_id: int) -> Market:
        """The listed instrument of that id."""
        return self._by_id[instrument_id]

    def connect(self, session: Session) -> None:
        """Reports about this account's orders go to `session` from now on."""
        self._sessions[session.account_id] = session

    def watch_account(self, account_id: int, publish: Callable[[AccountView], None]) -> None:
        """Value a margin account at every mark update: record its state, bar it when low, call `publish` with it."""
        self.accounts.add(account_id, publish)

    def require_funds(self, account_id: int) -> None:
        """Make this a plain spot account: what its orders may cost is held, and refused when it is not there."""
        self._spot.add(account_id)

    def next_order_id(self) -> int:
        """A fresh order id, unique on this exchange for the whole run."""
        self._order_ids += 1
        return self._order_ids

    def next_order_ids(self, count: int) -> range:
        """So many fresh order ids at once."""
        first = self._order_ids + 1
        self._order_ids += count
        return range(first, first + count)

    # --- commands ---------------------------------------------------------------------------------------------------

    def handle(self, account_id: int, instrument_id: int, commands: Iterable[Command]) -> None:
        """Carry out a batch of one session's commands at the present moment, in order."""
        market = self._by_id[instrument_id]
        book = market.book
        now = self._scheduler.now
        recorded: list[Event] = []
        if now != book.time_ns:
            recorded += book.advance(now)
            if recorded:
                self._follow_up(market, recorded)
        checked = account_id in self._spot
        barred = self._barred.get(account_id)
        plain = barred is None and market.guard is None and not checked
        count = 0
        for command in commands:
            count += 1
            if command.__class__ is SubmitOrder:
                events = (
                    book.submit(*command)
                    if plain
                    else admit(self._holds, market, command, now, barred, checked=checked)
                )
                recorded += events
                if len(events) > 1 or events[0][0] != _ACCEPTED:
                    self._follow_up(market, events)
            elif isinstance(command, ReplaceOrder):
                events = (
                    book.replace(*command)
                    if plain
                    else change(self._holds, market, command, now, barred, checked=checked)
                )
                recorded += events
                self._follow_up(market, events)
            else:
                if isinstance(command, CancelOrder):
                    events = book.cancel(*command)
                elif isinstance(command, CancelAll):
                    events = book.cancel_all(*command)
                else:
                    events = book.advance(*command)
                recorded += events
                if checked:
                    self._follow_up(market, events)  # its owner waits for the money that is free again
                elif self._held:
                    for event in events:
                        self._holds.release(event)
        self.messages += count
        if recorded:
            self._recorder.events(instrument_id, recorded)
        self._requote(market, now)

    def submit(
        self,
        market: Market,
        account_id: int,
        side: Side,
        qty: int,
        price: int | None,
        purpose: Purpose,
        tif: TimeInForce = TimeInForce.GTC,
        self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST,
    ) -> int:
        """One order of an account without pre-trade checks (a crowd's, or the exchange's own sale); returns its id.

        The short road for background flow: one call, one event, no command object.
        """
        order_id = self._order_ids = self._order_ids + 1
        now = self._scheduler.now
        self.messages += 1
        if market.guard is None:
            events = market.book.submit(
                order_id, side, qty, price, now, tif, account_id, purpose, False, 0, None, None, self_trade
            )
        else:
            order = SubmitOrder(
                order_id, side, qty, price, now, tif, account_id, purpose, False, 0, None, None, self_trade
            )
            events = admit(self._holds, market, order, now, None, checked=False)
        self._recorder.events(market.instrument_id, events)
        if len(events) > 1 or events[0][0] != _ACCEPTED:
            self._follow_up(market, events)
        self._requote(market, now)
        return order_id

    def cancel_all(self, account_id: int) -> None:
        """Cancel all orders of an account on every book, as the exchange does before it liquidates."""
        for market in self.markets:
            self.handle(account_id, market.instrument_id, [CancelAll(account_id)])

    def bar(self, account_id: int, reason: Reason | None) -> None:
        """Refuse (or accept again) new orders of an account."""
        if reason is None:
            self._barred.pop(account_id, None)
        else:
            self._barred[account_id] = reason

    # --- marks ------------------------------------------------------------------------------------------------------

    def publish_views(self) -> None:
        """Publish every market's state to the feed, unless it stalls."""
        now = self._scheduler.now
        if now < self._stalled_until_ns:
            return
        feeds = self._feeds
        for market in self.markets:
            view = market.published = market.view(now)
            feeds[market.instrument_id](now, view)

    def stall(self, until_ns: int) -> None:
        """Publish no market data before then: agents and indices go on with what they saw last."""
        self._stalled_until_ns = max(self._stalled_until_ns, until_ns)

    def halt(self, market: Market, until_ns: int) -> None:
        """Refuse new orders and replaces in a market until then; cancels are allowed. The market needs a guard."""
        assert market.guard is not None, f"{market.name} has no guard to halt it"
        market.guard.halt(until_ns)
        self._note_halt(market, until_ns)

    def _note_halt(self, market: Market, until_ns: int) -> None:
        now = self._scheduler.now
        base = self.ledger.asset_name(market.base)
        self._recorder.credit(now, "trading_halted", 0, 0, base, until_ns - now, 0, market.instrument_id)

    def marks(self) -> dict[int, Mark]:
        """Value of a quantum of each listed base asset in numeraire quanta, where there is one; do not change it.

        Along quote assets: WBETH in ETH in USDT. The first spot market listed for an asset counts.
        """
        marks = self._marks
        if marks is None:
            marks = self._marks = {}
            for asset in self._pricing:
                mark = self._mark_of(asset, frozenset())
                if mark is not None:
                    marks[asset] = mark
        return marks

    def _mark_of(self, asset: int, seen: frozenset[int]) -> Mark | None:
        market = self._pricing.get(asset)
        mark = None if market is None or asset in seen else market.mark()
        if mark is None or market is None or market.quote == self.margin.numeraire:
            return mark
        onward = self._mark_of(market.quote, seen | {asset})
        return None if onward is None else chain_marks(mark, onward)

    def mark(self, *, record: bool) -> None:
        """Update marks; settle funding and isolated positions; then check every margin account.

        Accounts at or below the liquidation level are taken over. Cost: what is watched, and what breaches.
        """
        now = self._scheduler.now
        self.margin.accrue(now)
        for market in self.markets:
            price = market.mark_price = market.mark_model.update(market.book, now)
            if market.contract is not None:
                market.contract.mark_price = price
            guard = market.guard
            if guard is not None and guard.update(market.book, price, now):
                self._note_halt(market, guard.halted_until_ns)
        self._marks = None
        if self.contract_markets:
            self.contracts.update(record=record)
        marks = self.marks()
        self.accounts.check(marks, frozenset(self._pricing.keys() - marks.keys()), record=record)

    def may_withdraw(self, account_id: int, asset: int, amount: int) -> bool:
        """Whether a margin account would still be free without so much; True for other accounts."""
        margin = self.margin
        if account_id not in margin:
            return True
        marks = self.marks()
        if self.liquidator.has_taken(account_id) or not self.accounts.can_value(account_id, marks):
            return False
        return margin.status_after(account_id, marks, {asset: -amount}) == MarginStatus.FREE

    def receive(self, account_id: int, asset: int) -> None:
        """Something has arrived on an account: a margin account repays what it owes in that asset."""
        self.margin.sweep(account_id, asset)

    def keyframe(self) -> None:
        """Record every book in full."""
        now = self._scheduler.now
        for market in self.markets:
            self._recorder.depth(market.instrument_id, now, market.book.bids(), market.book.asks())

    def check(self) -> None:
        """Prove books, ledger and margin accounts; raises `CheckError`."""
        for market in self.markets:
            market.book.check()
        self.ledger.check()
        self.margin.check()
        for _, contract in self.contract_markets:
            contract.check()

    # --- after a command --------------------------------------------------------------------------------------------

    def _requote(self, market: Market, now: int) -> None:
        """Record the best prices when they changed."""
        quotes = market.book.quotes()
        if quotes != market.quoted:
            market.quoted = quotes
            self._recorder.quote(market.instrument_id, now, *quotes)

    def _follow_up(self, market: Market, events: list[Event]) -> None:
        """Settle trades, release what was held, and report to whoever listens.

        Plain acceptances, and cancels that the owner of a margin account asked for, are not reported: nothing follows
        from them.
        """
        sessions = self._sessions
        reports: dict[int, list[Event]] = {}
        for event in events:
            kind = event[0]
            if kind == _ACCEPTED:
                continue
            if kind == _TRADE:
                self._settle(market, event)
            elif self._held:
                self._holds.release(event)
            owner = event[3]
            if owner in sessions:
                reports.setdefault(owner, []).append(event)
            if kind in _TWO_SIDED:
                other = event[9]
                if other != owner and other in sessions:
                    reports.setdefault(other, []).append(event)
        for account_id, own in reports.items():
            sessions[account_id].report(market.instrument_id, own)

    def _settle(self, market: Market, trade: Event) -> None:
        _, _, maker_id, maker, side, price, qty, _, taker_id, taker = trade
        assert price is not None
        assert taker is not None
        assert taker_id is not None
        if not maker or not taker:  # owner 0 is the world outside, e.g. a tape: trades within it move nobody's money
            if maker == taker:
                return
            maker, taker = maker or self._outside_account, taker or self._outside_account
        notional = price * qty * market.quote_per_tick_lot
        buyer, buy_id, seller, sell_id = (
            (maker, maker_id, taker, taker_id) if side else (taker, taker_id, maker, maker_id)
        )
        if market.contract is not None:
            market.contract.trade(buyer, seller, qty, price, self.margin)
        else:
            buyer_release = seller_release = 0
            if self._held:
                buyer_release = self._holds.take(buy_id, qty)
                seller_release = self._holds.take(sell_id, qty)
            base = qty * market.base_per_lot
            self.margin.settle_trade(
                buyer, seller, market.base, base, market.quote, notional, buyer_release, seller_release
            )
        maker_ppm, taker_ppm = self._fees
        if maker_ppm:
            self._charge(maker, market, notional * maker_ppm // PPM)
        if taker_ppm:
            self._charge(taker, market, notional * taker_ppm // PPM)

    def _charge(self, account_id: int, market: Market, fee: int) -> None:
        if market.contract is not None and account_id == market.contract.liquidation:
            return  # the fund pays no fees to its own exchange
        asset = market.quote
        if account_id in self.margin:
            self.margin.cover(account_id, asset, fee)
        else:
            fee = min(fee, self.ledger.free(account_id, asset))  # a spot account pays what it has: never a debt
        self.ledger.transfer(account_id, self._fee_account, asset, fee, Flow.FEE)
