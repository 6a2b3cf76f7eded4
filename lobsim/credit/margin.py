"""Unified accounts: one collateral pot, borrowing by itself, one margin level over everything the account has.

With N the net position (balance minus liability) in an asset, P its mark and c its collateral ratio,

    equity      = sum over assets of min(N * P * c, N * P)       (debts count in full, collateral with its ratio)
    maintenance = sum over assets of liability * P * maintenance rate
    uniMMR      = equity / maintenance                            (the margin level)

compared exactly, as integers over a common denominator (formula: Binance Portfolio Margin, "uniMMR"). An enrolled
account never has a negative ledger balance: what a settlement needs beyond its free balance is borrowed from the pool
just before, what comes in repays the same asset's liability just after. Assets without `AssetTerms` can neither be
borrowed nor count. Positions in perpetual contracts (`add_contract`) add their unrealised P&L to the equity, in full,
and the tiered margin of their notional to the maintenance.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lobsim.credit.borrowing import Borrowing
from lobsim.credit.errors import LedgerError
from lobsim.credit.interest import PPM
from lobsim.credit.ledger import Ledger
from lobsim.credit.marks import Mark, Marks
from lobsim.credit.preselect import Preselection
from lobsim.credit.terms import DEFAULT_THRESHOLDS, AssetTerms, MarginStatus, MarginView, Thresholds
from lobsim.credit.valuation import Valuation, contract_sides, value_account

if TYPE_CHECKING:
    from lobsim.credit.contracts import ContractBook

_ONE: Mark = (1, 1)
_FEW = 12  # so many accounts are valued one by one in the time that a preselection takes


class CrossMargin(Borrowing):
    """Unified accounts over one ledger, lent to by one pool account.

    A pool opened with overdraft never refuses a settlement; one without raises `InsufficientFunds` once it is lent out.
    """

    def __init__(
        self,
        ledger: Ledger,
        pool: int,
        numeraire: int,
        terms: Mapping[int, AssetTerms],
        thresholds: Thresholds = DEFAULT_THRESHOLDS,
    ) -> None:
        super().__init__(ledger, pool, terms)
        ledger.asset_name(numeraire)
        thresholds.check()
        self.numeraire = numeraire
        self.thresholds = thresholds
        self.contracts: list[ContractBook] = []
        self._preselection = Preselection(ledger, numeraire, self._terms, self._indices, self._debts, self.contracts)

    def add_contract(self, book: ContractBook) -> None:
        """Let cross positions in a contract count: their P&L in full, their maintenance margin by its tiers.

        Raises `LedgerError` when it is on another ledger, added already, or quoted in an asset without terms.
        """
        if book.ledger is not self.ledger or book.margin is not None:
            raise LedgerError(f"contract {book.name} is on another ledger or counts in unified accounts already")
        if book.quote not in self._terms:
            raise LedgerError(f"contract {book.name} is quoted in {self.ledger.asset_name(book.quote)}, without terms")
        book.margin = self
        self.contracts.append(book)

    # --- margin -----------------------------------------------------------------------------------------------------

    def equity(self, account: int, marks: Marks) -> Fraction:
        """Exact equity in numeraire quanta."""
        value = self._value(account, marks)
        return Fraction(value.equity, PPM * value.denominator)

    def maintenance(self, account: int, marks: Marks) -> Fraction:
        """Exact maintenance margin in numeraire quanta."""
        value = self._value(account, marks)
        return Fraction(value.maintenance, PPM * value.denominator)

    def margin_level(self, account: int, marks: Marks) -> int | None:
        """Equity over maintenance margin in ppm, rounded down, for reports; None when nothing has to be maintained."""
        value = self._value(account, marks)
        return value.equity * PPM // value.maintenance if value.maintenance else None

    def at_or_above(self, account: int, marks: Marks, level_ppm: int) -> bool:
        """Whether the margin level is at least `level_ppm`, exactly; with nothing to maintain, whether equity >= 0."""
        value = self._value(account, marks)
        return value.equity * PPM >= level_ppm * value.maintenance

    def status(self, account: int, marks: Marks) -> MarginStatus:
        """Exact status; raises `LedgerError` when the account has a position without a mark. O(assets)."""
        return self._status(self._value(account, marks))

    def status_after(self, account: int, marks: Marks, changes: Mapping[int, int]) -> MarginStatus:
        """Status if net positions changed by so much, borrowing and repaying as settlement would."""
        for asset in changes:
            self._enrolled(account, asset)
        return self._status(self._value(account, marks, changes))

    def breached(self, marks: Marks, status: MarginStatus = MarginStatus.LIQUIDATION) -> list[int]:
        """Accounts with this status or a worse one, in order of enrolment.

        Exact, at the cost of `suspects` and one valuation for each of those.
        """
        if status == MarginStatus.FREE:
            return list(self._debts)
        level_ppm = self.thresholds[status - 1]
        few = len(self._debts) <= _FEW
        return [
            account
            for account in (self._debts if few else self.suspects(marks, level_ppm))
            if self._status(self._value(account, marks)) >= status
        ]

    def suspects(self, marks: Marks, level_ppm: int, skip: Container[int] = ()) -> list[int]:
        """All accounts but those in `skip` whose margin level may be at most `level_ppm`, in order of enrolment.

        Every account that is there, has negative equity, or lacks a mark, and hardly any other: `status` decides.
        O(touched accounts x assets) and a few numpy products over all accounts.
        """
        return self._preselection.at_or_below(marks, level_ppm, skip)

    def approximate_equities(self, marks: Marks) -> tuple[Sequence[int], NDArray[np.float64], NDArray[np.float64]]:
        """(accounts, equities in numeraire quanta, how far each may be off) in floats, for preselections."""
        accounts, equity, _, slack = self._preselection.values(marks)
        return accounts, equity, slack

    def effective_leverage(self, account: int, marks: Marks) -> int | None:
        """Market value of long positions over what is left of it after short ones, in ppm rounded down.

        None when nothing would be left. A fall of the collateral by d moves it from L to L(1-d)/(1-Ld).
        """
        return self._leverage(self._value(account, marks))

    def view(self, account: int, marks: Marks) -> MarginView:
        """Everything about the account at these marks, for reports; decide by `status` and `at_or_above`."""
        value = self._value(account, marks)
        unit = value.denominator
        return MarginView(
            self._status(value),
            value.equity // (PPM * unit),
            value.maintenance // (PPM * unit),
            value.equity * PPM // value.maintenance if value.maintenance else None,
            self._leverage(value),
            value.debt // unit,
            value.collateral // (PPM * unit),
            value.market // unit,
            value.contracts // unit,
        )

    def _status(self, value: Valuation) -> MarginStatus:
        equity, maintenance = value.equity * PPM, value.maintenance
        if not maintenance:
            return MarginStatus.FREE if equity >= 0 else MarginStatus.LIQUIDATION
        free_ppm, warning_ppm, liquidation_ppm = self.thresholds
        if equity > free_ppm * maintenance:
            return MarginStatus.FREE
        if equity > warning_ppm * maintenance:
            return MarginStatus.WARNING
        if equity > liquidation_ppm * maintenance:
            return MarginStatus.NO_NEW_ORDERS
        return MarginStatus.LIQUIDATION

    @staticmethod
    def _leverage(value: Valuation) -> int | None:
        left = value.market - value.short
        return value.market * PPM // left if left > 0 else None

    def _exposures(
        self, account: int, marks: Marks, changes: Mapping[int, int] | None, needed: Container[int]
    ) -> Iterator[tuple[int, int, int, Mark]]:
        """(asset, net, liability, mark) wherever one of them is not 0 or the asset is needed."""
        debts = self._enrolled(account)
        for asset, column in self._columns.items():
            net = column[account]
            liability = 0
            if debts and asset in debts:
                liability = debts[asset].owed(self._indices[asset].value)
                net -= liability
            if changes and asset in changes:
                net += changes[asset]
                liability = max(0, -net)
            if net or liability or asset in needed:
                yield asset, net, liability, marks.get(asset) or self._fallback_mark(account, asset)

    def _value(self, account: int, marks: Marks, changes: Mapping[int, int] | None = None) -> Valuation:
        sides = contract_sides(account, self.contracts) if self.contracts else {}
        return value_account(self._exposures(account, marks, changes, sides), self._terms, sides)

    def _fallback_mark(self, account: int, asset: int) -> Mark:
        if asset == self.numeraire:
            return _ONE
        raise LedgerError(
            f"no mark for {self.ledger.asset_name(asset)}, in which {self.ledger.account_name(account)} has a position"
        )
