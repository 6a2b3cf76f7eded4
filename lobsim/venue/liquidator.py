"""The exchange takes over a margin account at its liquidation level: cancel, sell in slices, insurance for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lobsim.credit import LiquidationCase, Mark, SalePolicy, Slice, StepState, bankrupt, begin_liquidation, next_step
from lobsim.events import Purpose, Reason, Side, TimeInForce
from lobsim.units import NS_PER_S
from lobsim.venue.ports import EventClass, Recording, Scheduler

if TYPE_CHECKING:
    from lobsim.venue.exchange import Exchange


_RETRY_NS = NS_PER_S  # without a pause: when nobody was there to trade with, not again in the same nanosecond


class AccountLiquidator:
    """Runs liquidations under one `SalePolicy` (None: the exchange never liquidates)."""

    def __init__(
        self,
        exchange: Exchange,
        scheduler: Scheduler,
        recorder: Recording,
        insurance_account: int,
        policy: SalePolicy | None,
        order: Sequence[int] | None = None,
    ) -> None:
        self._exchange = exchange
        self._scheduler = scheduler
        self._recorder = recorder
        self._insurance_account = insurance_account
        self._policy = policy
        self._order = order
        self._active: dict[int, LiquidationCase] = {}
        self._spent: set[int] = set()
        self._number = 0

    def has_taken(self, account_id: int) -> bool:
        """Whether the exchange is selling this account's assets now, or has sold it out: then it is closed for good."""
        return account_id in self._active or account_id in self._spent

    def start(self, account_id: int, marks: Mapping[int, Mark]) -> bool:
        """Take an account over; False when the policy says never or nothing is left to sell."""
        if self._policy is None:
            return False
        exchange = self._exchange
        exchange.bar(account_id, Reason.MARGIN_TOO_LOW)
        exchange.cancel_all(account_id)
        self._number += 1
        case = self._active[account_id] = begin_liquidation(exchange.margin, account_id, marks)
        view = exchange.margin.view(account_id, marks)
        self._note("account_liquidation_started", account_id, "", 0, view.collateral_value)
        self._step(case)
        return self.has_taken(account_id)

    def _step(self, case: LiquidationCase) -> None:
        exchange = self._exchange
        policy = self._policy
        assert policy is not None
        account_id = case.account
        ranking = self._order or [market.base for market in exchange.markets]
        step = next_step(policy, case, exchange.margin, exchange.marks(), ranking)
        if step.state == StepState.SAFE:
            del self._active[account_id]
            exchange.bar(account_id, None)
            self._note("account_liquidation_ended", account_id, "", 0, 0)
            return
        sent = [self._send(account_id, slice_) for slice_ in step.slices] if step.state == StepState.SELL else []
        if all(traded is None for traded in sent):
            del self._active[account_id]
            self._spent.add(account_id)
            self._settle_bankrupt(account_id)
            return
        pause_ns = step.delay_ns or (0 if any(sent) else _RETRY_NS)
        key = self._scheduler.key(f"{self._exchange.name}/liquidate/{self._exchange.ledger.account_name(account_id)}")
        self._scheduler.call_at(self._scheduler.now + pause_ns, EventClass.MARK, key, self._step, case)

    def _send(self, account_id: int, slice_: Slice) -> int | None:
        """Send one slice at market; base quanta that traded. None when there is less than one lot, or no market."""
        exchange = self._exchange
        for market in exchange.markets:
            if market.base == slice_.asset:
                per_lot = market.base_per_lot
                held = exchange.margin.net(account_id, market.base)
                if slice_.side == Side.BUY:
                    lots = -(-slice_.amount // per_lot)  # round up, or the debt would never be gone
                else:
                    lots = min(max(1, slice_.amount // per_lot), held // per_lot)  # a lot at least, while there is one
                if lots < 1:
                    return None
                cash = exchange.margin.net(account_id, market.quote)
                exchange.submit(
                    market, account_id, slice_.side, lots, None, Purpose.ACCOUNT_LIQUIDATION, TimeInForce.IOC
                )
                traded = abs(exchange.margin.net(account_id, market.base) - held)
                proceeds = exchange.margin.net(account_id, market.quote) - cash
                asset = exchange.ledger.asset_name(slice_.asset)
                self._note("account_liquidation_sale", account_id, asset, traded, proceeds)
                return traded
        return None

    def _settle_bankrupt(self, account_id: int) -> None:
        """Nothing left to sell: leftovers and what is still owed go to the insurance fund, the rest is written off."""
        exchange = self._exchange
        outcome = bankrupt(exchange.margin, account_id, self._insurance_account, exchange.marks())
        for kind, amounts in (("insurance_paid", outcome.insured), ("bad_debt", outcome.written_off)):
            for asset, amount in amounts.items():
                if amount:
                    self._note(kind, account_id, exchange.ledger.asset_name(asset), amount, amount)
        self._note("account_bankrupt", account_id, "", 0, 0)

    def _note(self, kind: str, account_id: int, asset: str, amount: int, value: int) -> None:
        self._recorder.credit(
            self._scheduler.now, kind, account_id, self._insurance_account, asset, amount, value, self._number
        )
