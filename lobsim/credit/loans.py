"""Isolated loans: one collateral asset against one debt asset at one lender, liquidated in public.

With D the accrued debt, C the collateral, P the mark (debt quanta per collateral quantum) and T the liquidation LTV,

    ltv           = D / (C * P)
    health factor = C * P * T / D                                 (Aave; below or at 1 anybody may liquidate)

Both take D before it is rounded to whole quanta, so that the loans of a market stand in one order of their liquidation
prices, D / (C * T), which neither interest nor time changes: interest multiplies every D alike. They wait in that
order, and a mark touches only those it breaches.

A liquidator repays part of the debt and seizes collateral worth (1 + bonus) times as much. That lowers the LTV as long
as it stands below 1 / (1 + bonus) and raises it above: the toxic spiral. When the collateral is gone, what is left of
the debt is bad debt: the insurance account pays as far as it can, the rest is written off against the lender.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from lobsim.credit.errors import InsufficientFunds, LedgerError, LoanRefused
from lobsim.credit.interest import DEBT_UNIT, PPM, Debt, InterestIndex
from lobsim.credit.ledger import Flow, Ledger
from lobsim.credit.marks import Mark, check_mark
from lobsim.credit.terms import LiquidationOutcome, LiquidationResult, LoanTerms, LoanView
from lobsim.credit.waiting import WaitingOrder
from lobsim.errors import CheckError


class _Loan:
    __slots__ = ("account", "collateral", "debt", "loan_id")

    def __init__(self, loan_id: int, account: int) -> None:
        self.loan_id = loan_id
        self.account = account
        self.collateral = 0
        self.debt = Debt()


class LoanBook:
    """A lending market on a ledger: cash from `lender`, collateral in its own account ``<name>.custody``.

    `lender` and `insurance` are ledger accounts, each possibly shared with other markets. Marks are debt-asset quanta
    per collateral quantum; a mark that is not positive raises ValueError. Asking about a loan that is gone raises
    `LedgerError`, except where a None or an outcome says so.
    """

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        collateral_asset: int,
        debt_asset: int,
        terms: LoanTerms,
        lender: int,
        insurance: int | None = None,
    ) -> None:
        terms.check()
        if collateral_asset == debt_asset:
            raise LedgerError(f"{name}: collateral and debt are both {ledger.asset_name(debt_asset)}")
        for account in (lender, lender if insurance is None else insurance):
            ledger.account_name(account)
        ledger.asset_name(collateral_asset)
        ledger.asset_name(debt_asset)
        self.name = name
        self.terms = terms
        self.collateral_asset = collateral_asset
        self.debt_asset = debt_asset
        self.lender = lender
        self.insurance = insurance
        self.custody = ledger.open_account(f"{name}.custody")
        self.ledger = ledger
        self._index = InterestIndex(terms.interest_ppm)
        self._loans: dict[int, _Loan] = {}
        self._opened = 0
        self._waiting = WaitingOrder()
        self._scaled_total = 0
        self._lent = 0
        self._returned = 0

    def accrue(self, time_ns: int) -> None:
        """Let interest grow until `time_ns`, O(1); raises ValueError when time goes back."""
        self._index.accrue(time_ns)

    # --- borrowers --------------------------------------------------------------------------------------------------

    def open(self, account: int, collateral: int, principal: int, mark: Mark, *, over_limit: bool = False) -> int:
        """Pledge `collateral`, receive `principal`; returns the loan's id (1, 2, ...). O(log loans).

        Raises `LoanRefused` above the maximum LTV unless `over_limit`, `InsufficientFunds` of borrower or lender.
        """
        self._amounts(collateral, principal, at_least=1)
        loan = _Loan(self._opened + 1, account)
        loan.debt.draw(principal, self._index.value)
        if not over_limit:
            self._within_limit(principal * DEBT_UNIT, collateral, mark, f"a loan of {principal} on {collateral}")
        self._solvent(self.lender, principal)
        self.ledger.transfer(account, self.custody, self.collateral_asset, collateral, Flow.PLEDGE)
        self.ledger.transfer(self.lender, account, self.debt_asset, principal, Flow.BORROW)
        loan.collateral = collateral
        self._opened += 1
        self._lent += principal
        self._loans[loan.loan_id] = loan
        self._enter(loan)
        return loan.loan_id

    def top_up(self, loan_id: int, amount: int) -> None:
        """Pledge `amount` more collateral; raises `InsufficientFunds`."""
        loan = self._live(loan_id)
        self.ledger.transfer(loan.account, self.custody, self.collateral_asset, amount, Flow.PLEDGE)
        self._leave(loan)
        loan.collateral += amount
        self._enter(loan)

    def withdraw(self, loan_id: int, amount: int, mark: Mark) -> None:
        """Take `amount` of collateral back; raises `LoanRefused` if the LTV would exceed the maximum."""
        self._amounts(amount)
        loan = self._live(loan_id)
        left = loan.collateral - amount
        self._within_limit(
            loan.debt.scaled * self._index.value, left, mark, f"loan {loan_id} left with collateral {left}"
        )
        self.ledger.transfer(self.custody, loan.account, self.collateral_asset, amount, Flow.RELEASE)
        self._leave(loan)
        loan.collateral = left
        self._enter(loan)

    def draw(self, loan_id: int, amount: int, mark: Mark) -> None:
        """Borrow `amount` more; raises `LoanRefused` if the LTV would exceed the maximum, `InsufficientFunds`."""
        self._amounts(amount)
        loan = self._live(loan_id)
        owed = loan.debt.scaled * self._index.value + amount * DEBT_UNIT
        self._within_limit(owed, loan.collateral, mark, f"loan {loan_id} with {amount} more")
        self.ledger.transfer(self.lender, loan.account, self.debt_asset, amount, Flow.BORROW)
        self._leave(loan)
        loan.debt.draw(amount, self._index.value)
        self._lent += amount
        self._enter(loan)

    def repay(self, loan_id: int, amount: int) -> int:
        """Pay back up to `amount`, interest first; returns what was paid. Full repayment releases all collateral.

        Raises `InsufficientFunds` when the borrower lacks what would be paid.
        """
        self._amounts(amount)
        loan = self._live(loan_id)
        amount = min(amount, loan.debt.owed(self._index.value))
        self._solvent(loan.account, amount)
        self._leave(loan)
        self._pay(loan, loan.account, amount)
        self._settle(loan)
        return amount

    # --- questions --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._loans)

    def __contains__(self, loan_id: int) -> bool:
        return loan_id in self._loans

    def __iter__(self) -> Iterator[int]:
        return iter(self._loans)

    def loan(self, loan_id: int) -> LoanView | None:
        """The loan as it stands, None when it is closed."""
        loan = self._loans.get(loan_id)
        if loan is None:
            return None
        debt = loan.debt.owed(self._index.value)
        principal = loan.debt.principal
        return LoanView(loan_id, loan.account, loan.collateral, principal, debt - principal, debt)

    def debt(self, loan_id: int) -> int:
        """Quanta owed, interest included and rounded down."""
        return self._live(loan_id).debt.owed(self._index.value)

    def collateral(self, loan_id: int) -> int:
        """Quanta pledged."""
        return self._live(loan_id).collateral

    @property
    def opened(self) -> int:
        """How many loans there ever were: ids go from 1 to this."""
        return self._opened

    @property
    def total_debt(self) -> int:
        """Quanta owed by all, rounded down once (so up to one quantum per loan above the sum of debts)."""
        return self._scaled_total * self._index.value // DEBT_UNIT

    @property
    def total_collateral(self) -> int:
        """Quanta pledged by all."""
        return self.ledger.balance(self.custody, self.collateral_asset)

    def ltv(self, loan_id: int, mark: Mark) -> int:
        """Debt over collateral value in ppm, rounded down, for reports; `breached` and `called` decide exactly."""
        owed, worth = self._owed_and_worth(self._live(loan_id), mark)
        return owed * PPM // worth

    def health_factor(self, loan_id: int, mark: Mark) -> int:
        """Collateral value times liquidation LTV over debt in ppm, rounded down: PPM or less means breached."""
        owed, worth = self._owed_and_worth(self._live(loan_id), mark)
        return worth * self.terms.liquidation_ltv_ppm // owed

    def liquidation_price(self, loan_id: int) -> Mark:
        """The highest mark at which the loan is breached, at the present interest index."""
        loan = self._live(loan_id)
        under = DEBT_UNIT * loan.collateral * self.terms.liquidation_ltv_ppm
        return loan.debt.scaled * self._index.value * PPM, under

    def breached(self, mark: Mark, limit: int | None = None) -> list[int]:
        """Loans whose LTV is at least the liquidation LTV, highest liquidation price first: O(breached + log loans).

        Prices closer than 2**-64 scaled quanta count as equal in this order; equal ones stand in order of their ids.
        """
        return list(islice(self._waiting.between(self._bound(mark, self.terms.liquidation_ltv_ppm), None), limit))

    def called(self, mark: Mark, limit: int | None = None) -> list[int]:
        """Loans between margin-call and liquidation LTV, order and cost as in `breached`."""
        low = self._bound(mark, self.terms.margin_call_ltv_ppm)
        high = self._bound(mark, self.terms.liquidation_ltv_ppm)
        return list(islice(self._waiting.between(low, high), limit))

    def max_repay(self, loan_id: int, mark: Mark) -> int:
        """Debt quanta a liquidator may repay at this mark; 0 when the loan is safe or closed.

        The close factor's share, rounded up; all of it at a health factor of at most `full_close_hf_ppm` or a debt of
        at most `small_debt`.
        """
        loan = self._loans.get(loan_id)
        if loan is None:
            return 0
        owed, worth = self._owed_and_worth(loan, mark)
        terms = self.terms
        if not _breaches(owed, worth, terms.liquidation_ltv_ppm):
            return 0
        debt = loan.debt.owed(self._index.value)
        full = worth * terms.liquidation_ltv_ppm <= owed * terms.full_close_hf_ppm
        if full or debt <= terms.small_debt:
            return debt
        return -(-debt * terms.close_factor_ppm // PPM)

    # --- liquidation ------------------------------------------------------------------------------------------------

    def liquidate(self, loan_id: int, liquidator: int, repay_amount: int, mark: Mark) -> LiquidationResult:
        """Repay up to `repay_amount` of a breached loan from the liquidator's account and seize collateral for it.

        Outcomes are results: a race lost is `GONE` or `SAFE`, and whatever is not `LIQUIDATED` has changed nothing.
        Seized = repaid * (1 + bonus) / mark, rounded down. Once that reaches the collateral all of it goes, the
        liquidator pays collateral * mark / (1 + bonus) rounded down, and debt that remains is bad debt.
        """
        self._amounts(repay_amount)
        if not 1 <= loan_id <= self._opened:
            raise LedgerError(f"{self.name} has no loan {loan_id}; {self._opened} were opened")
        loan = self._loans.get(loan_id)
        allowed = self.max_repay(loan_id, mark)
        if loan is None or not allowed:
            return LiquidationResult(LiquidationOutcome.SAFE if loan else LiquidationOutcome.GONE, loan_id)
        over, under = mark
        with_bonus = PPM + self.terms.liquidation_bonus_ppm
        repaid = min(repay_amount, allowed)
        seized = repaid * with_bonus * under // (PPM * over)
        if seized >= loan.collateral:
            seized = loan.collateral
            repaid = min(repaid, seized * over * PPM // (under * with_bonus))
        elif not seized:
            return LiquidationResult(LiquidationOutcome.TOO_SMALL, loan_id, loan.account)
        ledger = self.ledger
        if ledger.free(liquidator, self.debt_asset) < repaid:
            return LiquidationResult(LiquidationOutcome.UNFUNDED, loan_id, loan.account)

        self._leave(loan)
        self._pay(loan, liquidator, repaid)
        bonus = seized - min(seized, repaid * under // over)
        ledger.transfer(self.custody, liquidator, self.collateral_asset, seized - bonus, Flow.SEIZE)
        ledger.transfer(self.custody, liquidator, self.collateral_asset, bonus, Flow.BONUS)
        loan.collateral -= seized
        insured = written_off = 0
        if not loan.collateral:
            insured, written_off = self._cover_bad_debt(loan)
        debt_left, collateral_left = self._settle(loan)
        return LiquidationResult(
            LiquidationOutcome.LIQUIDATED,
            loan_id,
            loan.account,
            repaid,
            seized,
            bonus,
            insured + written_off,
            insured,
            written_off,
            loan.collateral - collateral_left,
            debt_left,
            collateral_left,
            loan_id not in self._loans,
        )

    def _cover_bad_debt(self, loan: _Loan) -> tuple[int, int]:
        """Clear a debt without collateral: insurance pays the borrower, who repays; the lender forgives the rest."""
        ledger, account, asset = self.ledger, loan.account, self.debt_asset
        owed = loan.debt.owed(self._index.value)
        insured = 0 if self.insurance is None else min(owed, ledger.free(self.insurance, asset))
        if insured and self.insurance is not None:
            ledger.transfer(self.insurance, account, asset, insured, Flow.INSURANCE)
            self._pay(loan, account, insured)
        written_off = owed - insured
        interest, principal = loan.debt.pay(written_off, self._index.value)
        self._returned += principal
        ledger.offset(self.lender, account, asset, interest, Flow.BAD_DEBT, Flow.INTEREST)
        ledger.offset(self.lender, account, asset, principal, Flow.BAD_DEBT, Flow.REPAY)
        return insured, written_off

    # --- inside -----------------------------------------------------------------------------------------------------

    def _live(self, loan_id: int) -> _Loan:
        loan = self._loans.get(loan_id)
        if loan is None:
            raise LedgerError(f"{self.name} has no open loan {loan_id}")
        return loan

    def _amounts(self, *amounts: int, at_least: int = 0) -> None:
        for amount in amounts:
            if type(amount) is not int or amount < at_least:
                raise LedgerError(f"{self.name}: {amount!r} is no amount; it must be an integer of at least {at_least}")

    def _solvent(self, account: int, amount: int) -> None:
        """Refuse before the first of several postings what a later one would refuse."""
        free = self.ledger.free(account, self.debt_asset)
        if free < amount:
            raise InsufficientFunds(
                f"{self.ledger.account_name(account)} has {free} free quanta of"
                f" {self.ledger.asset_name(self.debt_asset)}, {amount} are due ({self.name})"
            )

    def _within_limit(self, owed: int, collateral: int, mark: Mark, what: str) -> None:
        """`owed` in quanta / DEBT_UNIT, before any rounding: a loan exactly at the maximum is within it."""
        over, under = check_mark(mark)
        owed *= under
        worth = DEBT_UNIT * collateral * over
        if owed * PPM > worth * self.terms.max_ltv_ppm:
            ltv = f"{100 * owed / worth:.2f} %" if worth > 0 else "without bound"
            raise LoanRefused(
                f"{self.name}: {what} would have an LTV of {ltv}, above the maximum of"
                f" {self.terms.max_ltv_ppm / 10_000:g} %"
            )

    def _pay(self, loan: _Loan, payer: int, amount: int) -> None:
        interest, principal = loan.debt.pay(amount, self._index.value)
        self._returned += principal
        self.ledger.transfer(payer, self.lender, self.debt_asset, interest, Flow.INTEREST)
        self.ledger.transfer(payer, self.lender, self.debt_asset, principal, Flow.REPAY)

    def _settle(self, loan: _Loan) -> tuple[int, int]:
        """Back in line, or closed when nothing is owed; returns (debt, collateral) left."""
        debt = loan.debt.owed(self._index.value)
        if debt:
            self._enter(loan)
            return debt, loan.collateral
        self.ledger.transfer(self.custody, loan.account, self.collateral_asset, loan.collateral, Flow.RELEASE)
        del self._loans[loan.loan_id]
        return 0, 0

    def _enter(self, loan: _Loan) -> None:
        self._waiting.add(loan.loan_id, loan.debt.scaled, loan.collateral)
        self._scaled_total += loan.debt.scaled

    def _leave(self, loan: _Loan) -> None:
        self._waiting.remove(loan.loan_id)
        self._scaled_total -= loan.debt.scaled

    def _owed_and_worth(self, loan: _Loan, mark: Mark) -> tuple[int, int]:
        """Exact debt and collateral value in one unit of their own: only their ratio means something."""
        over, under = check_mark(mark)
        return loan.debt.scaled * self._index.value * under, DEBT_UNIT * loan.collateral * over

    def _bound(self, mark: Mark, ltv_ppm: int) -> tuple[int, int]:
        """Scaled debt per collateral quantum at which a loan has this LTV at this mark."""
        over, under = check_mark(mark)
        return ltv_ppm * over * DEBT_UNIT, PPM * under * self._index.value

    def check(self) -> None:
        """Prove that custody, principals and the order of loans agree; raises `CheckError`."""
        self._waiting.check()
        faults = []
        loans = self._loans.values()
        held = self.ledger.balance(self.custody, self.collateral_asset)
        if held != sum(loan.collateral for loan in loans):
            faults.append(f"custody holds {held}, loans pledge {sum(loan.collateral for loan in loans)}")
        if sum(loan.debt.principal for loan in loans) != self._lent - self._returned:
            faults.append(f"principals do not add up to lent {self._lent} - returned {self._returned}")
        if sum(loan.debt.scaled for loan in loans) != self._scaled_total:
            faults.append(f"scaled debts do not add up to {self._scaled_total}")
        ratios = {loan.loan_id: (loan.debt.scaled, loan.collateral) for loan in loans}
        if ratios != self._waiting.ratios:
            faults.append("loans do not wait with their own debt and collateral")
        index = self._index.value
        faults += [
            f"loan {loan.loan_id}: collateral {loan.collateral}, principal {loan.debt.principal},"
            f" debt {loan.debt.owed(index)}"
            for loan in loans
            if loan.collateral < 1 or not 0 <= loan.debt.principal <= loan.debt.owed(index)
        ]
        if faults:
            raise CheckError(f"{self.name} does not add up:\n" + "\n".join(faults[:20]))


def _breaches(owed: int, worth: int, ltv_ppm: int) -> bool:
    return owed * PPM >= worth * ltv_ppm
