"""What an exchange does about its perpetuals at a mark: funding, liquidation of isolated positions, deleveraging.

A breached position is taken over at its bankruptcy price by the contract's liquidation account, which sends one
immediate order for all it has, no worse than the price at which the insurance fund would be used up. What finds no
counterparty there is closed against opposite positions at the bankruptcy price (auto-deleveraging). All of it happens
at mark updates, never inside a matching walk. After "Binance futures liquidation protocols" and "auto-deleveraging".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lobsim.book.side import MAX_PRICE
from lobsim.credit.contract_terms import Takeover
from lobsim.credit.contracts import ContractBook
from lobsim.events import Purpose, Side, TimeInForce
from lobsim.venue.funding import FundingSchedule
from lobsim.venue.market import Market
from lobsim.venue.ports import Recording, Scheduler

if TYPE_CHECKING:
    from lobsim.venue.exchange import Exchange


class ContractPolicy(NamedTuple):
    """How a taken-over position is sold.

    fund_limit: no worse than where the insurance fund is used up; without, at any price. takes_over: False leaves
    breached positions alone, whatever they lose. Bias: one order a position, so a large one walks the book at once.
    """

    name: str
    fund_limit: bool = True
    takes_over: bool = True


FUND_LIMIT = ContractPolicy("fund-limit")
AT_MARKET = ContractPolicy("at-market", fund_limit=False)
NEVER = ContractPolicy("never", takes_over=False)


class ContractLiquidator:
    """The perpetuals of one exchange, in order of listing.

    Records: ``contract_liquidation_long`` and ``_short`` (account, liquidation account, base asset, base quanta,
    notional at the mark, position id), ``adl`` alike at the bankruptcy price (position id 0: a cross position),
    ``contract_insurance_paid`` and ``_earned``, ``contract_uncovered``, ``funding``; with account records
    ``open_interest`` (one side) and ``insurance_fund``, whose reference is the instrument. `policy` may be changed.
    """

    def __init__(
        self, exchange: Exchange, scheduler: Scheduler, recorder: Recording, policy: ContractPolicy = FUND_LIMIT
    ) -> None:
        self._exchange = exchange
        self._scheduler = scheduler
        self._recorder = recorder
        self.policy = policy
        self._funding: dict[int, FundingSchedule] = {}

    def schedule_funding(self, market: Market, schedule: FundingSchedule) -> None:
        """Let the holders of a contract pay each other from now on."""
        self._funding[market.instrument_id] = schedule

    def update(self, *, record: bool) -> None:
        """Everything that is due at this mark. O(contracts + breached positions)."""
        now = self._scheduler.now
        for market, contract in self._exchange.contract_markets:
            if market.mark_price is None:
                continue
            schedule = self._funding.get(market.instrument_id)
            if schedule is not None:
                paid = schedule.update(market, contract, now)
                if paid is not None:
                    self._note("funding", contract.clearing, contract.insurance, market, *paid, quote=True)
            if not market.halted(now):
                self._liquidate(market, contract, market.mark_price)
        if record:
            self._record()

    def _liquidate(self, market: Market, contract: ContractBook, mark: int) -> None:
        if contract.position(contract.liquidation)[0]:
            self.unload(market, contract)  # what a price band kept from being sold before
        if not self.policy.takes_over:
            return
        for position_id in contract.breached(mark):
            if position_id not in contract.isolated_positions:
                continue  # deleveraged meanwhile
            taken = contract.take_over(position_id)
            self.note_takeover(market, contract, taken)
            if taken.fee:
                self._note_fund("contract_insurance_earned", market, contract, taken.fee)
            self.unload(market, contract)

    def note_takeover(self, market: Market, contract: ContractBook, taken: Takeover) -> None:
        """Record that a position went to the liquidation account."""
        lots = abs(taken.lots)
        self._note(
            "contract_liquidation_long" if taken.lots > 0 else "contract_liquidation_short",
            taken.account,
            contract.liquidation,
            market,
            lots * market.base_per_lot,
            lots * (market.mark_price or 0) * contract.unit,
            taken.position_id,
        )

    def unload(self, market: Market, contract: ContractBook) -> None:
        """Sell (buy back) what the liquidation account has, deleverage the rest, settle with the fund.

        What a halt or a price band (not the fund) keeps from being sold stays for a later mark.
        """
        if market.halted(self._scheduler.now):
            return
        held = contract.position(contract.liquidation)[0]
        if held:
            side = Side.SELL if held > 0 else Side.BUY
            limit = contract.fund_limit_price(side, abs(held)) if self.policy.fund_limit else None
            banded = False
            if limit is not None:
                limit = min(limit, MAX_PRICE)
                edge = None if market.guard is None else (market.guard.low if side else market.guard.high)
                if edge is not None and (limit < edge if side else limit > edge):
                    limit, banded = edge, True
            elif market.guard is not None:
                banded = market.guard.low is not None
            self._exchange.submit(
                market, contract.liquidation, side, abs(held), limit, Purpose.CONTRACT_LIQUIDATION, TimeInForce.IOC
            )
            if not banded:
                self._deleverage(market, contract)
        settled = contract.settle_takeover()
        for kind, amount in zip(("earned", "paid"), settled, strict=False):
            if amount:
                self._note_fund(f"contract_insurance_{kind}", market, contract, amount)
        if settled.uncovered:
            self._note_fund("contract_uncovered", market, contract, settled.uncovered)

    def _deleverage(self, market: Market, contract: ContractBook) -> None:
        """Close what the liquidation account still has against opposite positions at the bankruptcy price."""
        held = contract.position(contract.liquidation)[0]
        if not held:
            return
        deleveraged = self._exchange.accounts.deleveraged
        for fill in contract.deleverage(abs(held), marks=self._exchange.marks()):
            deleveraged[fill.account] = deleveraged.get(fill.account, 0) + fill.lots
            self._note(
                "adl",
                fill.account,
                contract.liquidation,
                market,
                fill.lots * market.base_per_lot,
                fill.value,
                fill.id if fill.kind == "isolated" else 0,
            )

    def _record(self) -> None:
        funds: set[int] = set()
        for market, contract in self._exchange.contract_markets:
            lots = contract.open_interest()
            value = lots * (market.mark_price or 0) * contract.unit
            self._note("open_interest", contract.clearing, 0, market, lots * market.base_per_lot, value)
            if contract.insurance not in funds:
                funds.add(contract.insurance)
                amount = self._exchange.ledger.balance(contract.insurance, contract.quote)
                self._note("insurance_fund", contract.insurance, 0, market, amount, amount, quote=True)

    def _note_fund(self, kind: str, market: Market, contract: ContractBook, amount: int) -> None:
        self._note(kind, contract.insurance, contract.liquidation, market, amount, amount, quote=True)

    def _note(
        self,
        kind: str,
        account: int,
        counterparty: int,
        market: Market,
        amount: int,
        value: int,
        ref: int | None = None,
        *,
        quote: bool = False,
    ) -> None:
        asset = self._exchange.ledger.asset_name(market.quote if quote else market.base)
        ref = market.instrument_id if ref is None else ref
        self._recorder.credit(self._scheduler.now, kind, account, counterparty, asset, amount, value, ref)
