"""The exchange takes over a margin account at its liquidation level: cancel, sell in slices, insurance for the rest.

What is planned, in which order and how much at a time, is `lobsim.credit.liquidation`'s; here slices become orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lobsim.book.side import MAX_PRICE
from lobsim.credit import (
    LiquidationCase,
    Mark,
    SalePolicy,
    Slice,
    StepState,
    Takeover,
    bankrupt,
    begin_liquidation,
    hand_over,
    next_step,
)
from lobsim.events import Purpose, Reason, Side, TimeInForce
from lobsim.units import NS_PER_S
from lobsim.venue.market import Market
from lobsim.venue.ports import EventClass, Recording, Scheduler

if TYPE_CHECKING:
    from lobsim.venue.exchange import Exchange

PPM = 1_000_000

_RETRY_NS = NS_PER_S  # without a pause: when nobody was there to trade with, not again in the same nanosecond


class AccountLiquidator:
    """Runs liquidations under one `SalePolicy` (None: the exchange never liquidates).

    order: asset ids and names of contracts, most liquid first; what it leaves out follows in the order of listing. An
    asset is sold in the first spot market listed for it, and what it fetches there is sold on when it is not the
    numeraire. Once all that the account has is worth no more than it owes, its contracts are taken over at the
    bankruptcy price, sold within their insurance fund and then deleveraged; its assets are sold on. Under an auction
    slices rest as limit orders at the falling price, renewed at every step, instead of being sold at market.

    Records: ``account_liquidation_started``, ``_sale`` (asset, quanta, quote quanta received), ``_ended``;
    ``contract_liquidation_long`` and ``_short`` for contracts reduced (base asset, base quanta, notional traded, or at
    the mark in an auction) and for what is taken over at the very end; ``account_bankrupt``, ``insurance_paid``,
    ``bad_debt``. The reference is the number of the liquidation.
    """

    def __init__(
        self,
        exchange: Exchange,
        scheduler: Scheduler,
        recorder: Recording,
        insurance_account: int,
        policy: SalePolicy | None,
        order: Sequence[int | str] | None = None,
    ) -> None:
        self._exchange = exchange
        self._scheduler = scheduler
        self._recorder = recorder
        self._insurance_account = insurance_account
        self.policy = policy
        self._order = order or ()
        self._active: dict[int, LiquidationCase] = {}
        self._started_ns: dict[int, int] = {}
        self._offers: dict[int, list[tuple[Market, int, int]]] = {}
        self._spent: set[int] = set()
        self._number = 0
        if policy is not None and policy.auction is not None:
            policy.auction.check()

    def has_taken(self, account_id: int) -> bool:
        """Whether the exchange is selling this account's assets now, or has sold it out: then it is closed for good."""
        return account_id in self._active or account_id in self._spent

    def start(self, account_id: int, marks: Mapping[int, Mark]) -> bool:
        """Take an account over; False when the policy says never, or it cannot be valued or has nothing to sell."""
        exchange = self._exchange
        if self.policy is None or not exchange.accounts.can_value(account_id, marks):
            return False
        exchange.bar(account_id, Reason.MARGIN_TOO_LOW)
        exchange.cancel_all(account_id)
        self._number += 1
        case = self._active[account_id] = begin_liquidation(exchange.margin, account_id, marks)
        self._started_ns[account_id] = self._scheduler.now
        view = exchange.margin.view(account_id, marks)
        self._note("account_liquidation_started", account_id, "", 0, view.collateral_value)
        self._step(case)
        return self.has_taken(account_id)

    def _step(self, case: LiquidationCase) -> None:
        exchange = self._exchange
        policy = self.policy
        assert policy is not None
        account_id = case.account
        self._close_offers(account_id)
        marks = exchange.marks()
        if not exchange.accounts.can_value(account_id, marks):  # something without a mark has arrived meanwhile
            self._again(case, _RETRY_NS)
            return
        if exchange.margin.effective_leverage(account_id, marks) is None and self._give_up_contracts(account_id, marks):
            return
        step = next_step(policy, case, exchange.margin, marks, self._ranking())
        if step.state == StepState.SAFE:
            del self._active[account_id]
            exchange.bar(account_id, None)
            self._note("account_liquidation_ended", account_id, "", 0, 0)
            return
        sent = [self._send(account_id, slice_) for slice_ in step.slices] if step.state == StepState.SELL else []
        if all(traded is None for traded in sent):
            self._close_offers(account_id)
            del self._active[account_id]
            self._spent.add(account_id)
            self._settle_bankrupt(account_id)
            return
        self._again(case, step.delay_ns or (0 if any(sent) else _RETRY_NS))

    def _again(self, case: LiquidationCase, pause_ns: int) -> None:
        name = self._exchange.ledger.account_name(case.account)
        key = self._scheduler.key(f"{self._exchange.name}/liquidate/{name}")
        self._scheduler.call_at(self._scheduler.now + pause_ns, EventClass.MARK, key, self._step, case)

    def _ranking(self) -> list[int | str]:
        markets = self._exchange.markets
        listed = (market.base if market.contract is None else market.contract.name for market in markets)
        return list(dict.fromkeys((*self._order, *listed)))

    # --- orders -----------------------------------------------------------------------------------------------------

    def _send(self, account_id: int, slice_: Slice) -> int | None:
        """Send one slice; base quanta (lots of a contract) that traded at once. None: less than a lot, or no market."""
        market = self._market(slice_)
        if market is None:
            return None
        lots = slice_.amount
        held = self._held(account_id, market)
        if market.contract is None:
            if slice_.side == Side.BUY:
                lots = -(-lots // market.base_per_lot)  # round up, or the debt would never be gone
            else:  # a lot at least, while there is one
                lots = min(max(1, lots // market.base_per_lot), held // market.base_per_lot)
            if lots < 1:
                return None
        price, tif = None, TimeInForce.IOC
        assert self.policy is not None
        if self.policy.auction is not None:
            share = self.policy.auction.price_ppm(self._scheduler.now - self._started_ns[account_id])
            price, tif = self._offer_price(market, slice_.side, share), TimeInForce.GTC
        value = self._value(account_id, market, slice_.side, lots)
        self._exchange.submit(market, account_id, slice_.side, lots, price, Purpose.ACCOUNT_LIQUIDATION, tif)
        if price is not None:
            self._offers.setdefault(account_id, []).append((market, held, value))
            return 0
        return self._note_sale(account_id, market, held, value)

    def _market(self, slice_: Slice) -> Market | None:
        for market in self._exchange.markets:
            contract = market.contract
            if contract.name == slice_.contract if contract is not None else market.base == slice_.asset:
                return market
        return None

    def _held(self, account_id: int, market: Market) -> int:
        if market.contract is not None:
            return market.contract.position(account_id)[0]
        return self._exchange.margin.net(account_id, market.base)

    def _value(self, account_id: int, market: Market, side: Side, lots: int) -> int:
        """Before a spot sale: the quote asset it has. Before a contract order: the notional at which it will trade."""
        if market.contract is None:
            return self._exchange.margin.net(account_id, market.quote)
        guard = market.guard
        limit = None if guard is None else guard.low if side else guard.high
        return market.book.walk(side, lots, limit).notional * market.quote_per_tick_lot

    def _note_sale(self, account_id: int, market: Market, held: int, value: int) -> int:
        traded = abs(self._held(account_id, market) - held)
        asset = self._exchange.ledger.asset_name(market.base)
        if market.contract is None:
            proceeds = self._exchange.margin.net(account_id, market.quote) - value
            self._note("account_liquidation_sale", account_id, asset, traded, proceeds)
        elif traded:
            kind = "contract_liquidation_long" if held > 0 else "contract_liquidation_short"
            self._note(kind, account_id, asset, traded * market.base_per_lot, value)
        return traded

    # --- auctions ---------------------------------------------------------------------------------------------------

    def _offer_price(self, market: Market, side: Side, share_ppm: int) -> int:
        """Below the mark by as much as the auction has fallen, above it when something is to be bought."""
        mark = market.mark_price
        assert mark is not None
        price = mark * share_ppm // PPM if side else -(-mark * (2 * PPM - share_ppm) // PPM)
        guard = market.guard
        if guard is not None and guard.low is not None and guard.high is not None:
            price = max(price, guard.low) if side else min(price, guard.high)
        return min(max(1, price), MAX_PRICE)

    def _close_offers(self, account_id: int) -> None:
        """Take the offers of the last step back and note what they fetched."""
        offers = self._offers.pop(account_id, None)
        if offers:
            self._exchange.cancel_all(account_id)
            for market, held, before in offers:
                traded = abs(self._held(account_id, market) - held)
                at_mark = traded * (market.mark_price or 0) * market.quote_per_tick_lot
                if traded:
                    self._note_sale(account_id, market, held, before if market.contract is None else at_mark)

    # --- the end ----------------------------------------------------------------------------------------------------

    def _settle_bankrupt(self, account_id: int) -> None:
        """Nothing left to sell: leftovers and what is still owed go to the insurance fund, the rest is written off.

        Contract positions still there are taken over at the bankruptcy price.
        """
        exchange = self._exchange
        outcome = bankrupt(exchange.margin, account_id, self._insurance_account, exchange.marks())
        for kind, amounts in (("insurance_paid", outcome.insured), ("bad_debt", outcome.written_off)):
            for asset, amount in amounts.items():
                if amount:
                    self._note(kind, account_id, exchange.ledger.asset_name(asset), amount, amount)
        self._note("account_bankrupt", account_id, "", 0, 0)
        self._unload(outcome.taken_over)

    def _give_up_contracts(self, account_id: int, marks: Mapping[int, Mark]) -> bool:
        """Of an account that is worth nothing: contracts go at the bankruptcy price. True when nothing else is left.

        No position goes beyond its cost: what loans have lost is the exchange's insurance fund's, not the contract's.
        Waits while one of their markets is halted.
        """
        exchange = self._exchange
        held = [market for market, contract in exchange.contract_markets if contract.position(account_id)[0]]
        if not held or any(market.halted(self._scheduler.now) for market in held):
            return False
        self._unload(hand_over(exchange.margin, account_id, marks, within_cost=True))
        if exchange.margin.positions(account_id):
            return False
        del self._active[account_id]
        self._spent.add(account_id)
        self._note("account_bankrupt", account_id, "", 0, 0)
        return True

    def _unload(self, taken_over: Mapping[str, Takeover]) -> None:
        for market, contract in self._exchange.contract_markets:
            taken = taken_over.get(contract.name)
            if taken is not None:
                self._exchange.contracts.note_takeover(market, contract, taken)
                self._exchange.contracts.unload(market, contract)

    def _note(self, kind: str, account_id: int, asset: str, amount: int, value: int) -> None:
        self._recorder.credit(
            self._scheduler.now, kind, account_id, self._insurance_account, asset, amount, value, self._number
        )
