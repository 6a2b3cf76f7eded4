"""Clearing of one contract: cross positions, the cash that reducing them moves, and the proof that both agree.

A position is a signed number of lots and the signed quote quanta paid for them, its *cost*. A trade gives its buyer
lots and cost and its seller the same with the opposite sign, so lots add up to 0 over all positions. Reducing a
position takes its cost out in proportion (what stays is rounded down, so the fraction stays in the position) and pays
the difference from the trade's value in cash, through the account ``<name>.clearing``. Every quantum paid out raises
somebody's cost by one: at any time

    clearing balance = -(sum of costs) + residue of funding below one quantum

and once nobody has a position clearing is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lobsim.credit.contract_terms import ContractTerms
from lobsim.credit.errors import InsufficientFunds, LedgerError
from lobsim.credit.isolated import FUNDING_UNIT
from lobsim.credit.ledger import Flow, Ledger

if TYPE_CHECKING:
    from lobsim.credit.margin import CrossMargin

_FLAT = (0, 0)


def traded(lots: int, cost: int, qty: int, value: int) -> tuple[int, int, int]:
    """(lots, cost, gain in cash) of a position after it trades `qty` signed lots for `value` signed quanta. O(1).

    What is left of a reduced position keeps its share of the cost, rounded down; what is left of a trade beyond
    closing keeps its share of the trade's value. In all cases cost + value + gain = new cost.
    """
    after = lots + qty
    if lots * qty >= 0:
        return after, cost + value, 0
    rest = cost * after // lots if lots * after >= 0 else value * after // qty
    return after, rest, rest - cost - value


class Clearing:
    """Cross positions in one contract, settled in the ledger asset `quote`: the base of `ContractBook`."""

    def __init__(self, name: str, ledger: Ledger, quote: int, terms: ContractTerms, unit: int, insurance: int) -> None:
        terms.check(name)
        ledger.asset_name(quote)
        ledger.account_name(insurance)
        if type(unit) is not int or unit < 1:
            raise LedgerError(f"{name}: the quote quanta per tick and lot must be an integer of at least 1, not {unit}")
        self.name = name
        self.ledger = ledger
        self.quote = quote
        self.terms = terms
        self.unit = unit
        self.insurance = insurance
        self.brackets = terms.brackets()
        self.clearing = ledger.open_account(f"{name}.clearing", overdraft=True)
        self.liquidation = ledger.open_account(f"{name}.liquidation", overdraft=True)
        self.custody = ledger.open_account(f"{name}.custody")
        self.mark_price: int | None = None
        self.margin: CrossMargin | None = None  # set by CrossMargin.add_contract
        self.funding_index = 0  # per lot since ever, in quanta / FUNDING_UNIT
        self.cross_positions: dict[int, tuple[int, int]] = {}  # account -> (lots, cost), in order of opening
        self.cross_ages: dict[int, int] = {}
        self._age = 0
        self._residue = 0  # clearing's surplus from rounding funding, in quanta / FUNDING_UNIT

    # --- cross positions --------------------------------------------------------------------------------------------

    def trade(self, buyer: int, seller: int, qty: int, price_ticks: int, margin: CrossMargin | None = None) -> None:
        """Settle a fill between two accounts' cross positions. O(1).

        A loss that is realised is paid from the free balance; a unified account borrows what is missing and repays
        from a gain, an overdraft account goes below zero. Raises `InsufficientFunds` for any other account that cannot
        pay, and `LedgerError`; nothing has changed then.
        """
        if type(qty) is not int or type(price_ticks) is not int or qty < 1 or price_ticks < 1:
            raise LedgerError(f"{self.name}: no trade of {qty!r} lots at {price_ticks!r} ticks")
        self.post(buyer, seller, qty, qty * price_ticks * self.unit, margin)

    def post(
        self,
        buyer: int,
        seller: int,
        qty: int,
        value: int,
        margin: CrossMargin | None = None,
        reason: Flow = Flow.PNL,
    ) -> None:
        """As `trade`, for any signed `qty` and any signed `value` in quote quanta that the buyer pays for it."""
        if buyer == seller:
            self.ledger.account_name(buyer)
            return
        positions = self.cross_positions
        lots, cost = positions.get(buyer, _FLAT)
        buyer_lots, buyer_cost, buyer_gain = traded(lots, cost, qty, value)
        lots, cost = positions.get(seller, _FLAT)
        seller_lots, seller_cost, seller_gain = traded(lots, cost, -qty, -value)
        touched = self.ledger.touched
        if buyer_gain or seller_gain or not 0 < buyer < len(touched) or not 0 < seller < len(touched):
            self._settle(((buyer, buyer_gain), (seller, seller_gain)), margin or self.margin, reason)
        touched[buyer] = touched[seller] = 1
        self._put(buyer, buyer_lots, buyer_cost)
        self._put(seller, seller_lots, seller_cost)

    def _put(self, account: int, lots: int, cost: int) -> None:
        if lots:
            if account not in self.cross_ages:
                self._age += 1
                self.cross_ages[account] = self._age
            self.cross_positions[account] = lots, cost
        elif account in self.cross_ages:
            del self.cross_positions[account], self.cross_ages[account]

    def _settle(self, gains: tuple[tuple[int, int], ...], margin: CrossMargin | None, reason: Flow = Flow.PNL) -> None:
        """Collect losses, then pay gains; refuse before anything has moved. No account stands in `gains` twice."""
        ledger, quote, clearing = self.ledger, self.quote, self.clearing
        borrowed = 0
        for account, gain in gains:
            missing = -gain - ledger.free(account, quote)
            if gain < 0 < missing:
                if margin is None or account not in margin:
                    raise InsufficientFunds(
                        f"{ledger.account_name(account)} has {ledger.free(account, quote)} free quanta of"
                        f" {ledger.asset_name(quote)} and loses {-gain} in {self.name}"
                    )
                borrowed += missing
                if ledger.free(margin.pool, quote) < borrowed:
                    raise InsufficientFunds(
                        f"{ledger.account_name(margin.pool)} cannot lend what losses in {self.name} need: {borrowed}"
                        f" quanta of {ledger.asset_name(quote)}"
                    )
        for account, gain in gains:
            if gain < 0:
                if margin is not None:
                    margin.cover(account, quote, -gain)
                ledger.transfer(account, clearing, quote, -gain, reason)
        for account, gain in gains:
            if gain > 0:
                ledger.transfer(clearing, account, quote, gain, reason)
                if margin is not None:
                    margin.sweep(account, quote)

    def position(self, account: int) -> tuple[int, int]:
        """(lots, cost) of the account's cross position, (0, 0) when it has none. O(1)."""
        return self.cross_positions.get(account, _FLAT)

    def accounts(self) -> tuple[int, ...]:
        """Accounts with a cross position, in order of opening."""
        return tuple(self.cross_positions)

    def unrealised(self, account: int, mark_ticks: int) -> int:
        """P&L of the cross position at that mark, in quote quanta."""
        lots, cost = self.position(account)
        return lots * mark_ticks * self.unit - cost

    def _opposite(
        self, account: int, qty: int, value: int, margin: CrossMargin | None, reason: Flow = Flow.PNL
    ) -> None:
        """One side of a trade into a cross position."""
        lots, cost, gain = traded(*self.position(account), qty, value)
        self._settle(((account, gain),), margin or self.margin, reason)
        self._put(account, lots, cost)
        self.ledger.touched[account] = 1

    def add_residue(self, residue: int) -> None:
        """Note quanta / FUNDING_UNIT that rounding left in clearing; whole quanta of them go to ``rounding``."""
        whole, self._residue = divmod(self._residue + residue, FUNDING_UNIT)
        if whole:
            self.ledger.transfer(self.clearing, self.ledger.rounding, self.quote, whole, Flow.ROUNDING)
