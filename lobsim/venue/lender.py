"""A lender: loans on collateral that anyone may liquidate once their LTV is at the liquidation level."""

from __future__ import annotations

from collections.abc import Callable

from lobsim.book import OrderBook
from lobsim.credit import Ledger, LiquidationOutcome, LiquidationResult, LoanBook, LoanRefused, LoanView, Mark
from lobsim.errors import InputError
from lobsim.venue.market import Market
from lobsim.venue.marks import MarkPriceModel
from lobsim.venue.ports import Recording, Scheduler


class Lender:
    """One collateral market of loans, valued by its own oracle.

    The oracle answers in ticks of `market`, on whose book it looks. Without a market (the collateral is not traded
    against the debt, or the oracle looks at nothing) `scale` says what a tick is: debt quanta and the collateral quanta
    they are paid for. A price move touches only the loans that breach: they wait sorted by liquidation price.

    `publish` is told which loans may be liquidated, `publish_called` which are under a margin call, each on change.
    """

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        recorder: Recording,
        ledger: Ledger,
        loans: LoanBook,
        market: Market | None,
        oracle: MarkPriceModel,
        *,
        scale: tuple[int, int] | None = None,
    ) -> None:
        if market is not None:
            scale = (market.quote_per_tick_lot, market.base_per_lot)
        if scale is None or min(scale) < 1:
            raise InputError(f"{name}: a lender without a market needs a scale of two positive integers, not {scale}")
        self.name = name
        self.loans = loans
        self.market = market
        self.oracle_price: int | None = None
        self.publish: Callable[[tuple[int, ...]], None] = lambda _breached: None
        self.publish_called: Callable[[tuple[int, ...]], None] | None = None
        self._ledger = ledger
        self._book = OrderBook() if market is None else market.book
        self._scale = scale
        self._oracle = oracle
        self._scheduler = scheduler
        self._recorder = recorder
        self._published: tuple[int, ...] = ()
        self._called: tuple[int, ...] = ()
        self._by_account: dict[int, list[int]] = {}
        self._indexed = 0

    def mark(self) -> Mark | None:
        """Oracle value of one collateral quantum in debt quanta."""
        if self.oracle_price is None:
            return None
        return (self.oracle_price * self._scale[0], self._scale[1])

    def update(self) -> None:
        """Read the oracle, accrue interest, publish breached and called loans (highest liquidation price first)."""
        now = self._scheduler.now
        self.oracle_price = self._oracle.update(self._book, now)
        self.loans.accrue(now)
        mark = self.mark()
        if mark is None:
            return
        breached = tuple(self.loans.breached(mark))
        if breached != self._published:
            self._published = breached
            self.publish(breached)
        if self.publish_called is not None:
            called = tuple(self.loans.called(mark))
            if called != self._called:
                self._called = called
                self.publish_called(called)

    # --- borrowers --------------------------------------------------------------------------------------------------

    def loans_of(self, account: int) -> tuple[LoanView, ...]:
        """An account's open loans, oldest first. O(own loans), and once for every loan ever opened."""
        for loan_id in range(self._indexed + 1, self.loans.opened + 1):
            view = self.loans.loan(loan_id)
            if view is not None:
                self._by_account.setdefault(view.account, []).append(loan_id)
        self._indexed = self.loans.opened
        views = [self.loans.loan(loan_id) for loan_id in self._by_account.get(account, ())]
        return tuple(view for view in views if view is not None)

    def repay(self, loan_id: int, amount: int) -> int:
        """The borrower pays back up to `amount` of what it has free; returns what was paid, 0 for a loan that is gone.

        Full repayment releases all collateral.
        """
        loan = self.loans.loan(loan_id)
        if loan is None:
            return 0
        paid = min(amount, self._ledger.free(loan.account, self.loans.debt_asset))
        return self._noted("loan_repaid", loan, self.loans.debt_asset, self.loans.repay(loan_id, max(0, paid)))

    def top_up(self, loan_id: int, amount: int) -> int:
        """The borrower pledges up to `amount` more of what it has free; returns what was pledged."""
        loan = self.loans.loan(loan_id)
        if loan is None:
            return 0
        asset = self.loans.collateral_asset
        pledged = max(0, min(amount, self._ledger.free(loan.account, asset)))
        self.loans.top_up(loan_id, pledged)
        return self._noted("loan_topped_up", loan, asset, pledged)

    def withdraw(self, loan_id: int, amount: int) -> int:
        """The borrower takes collateral back; 0 when the LTV would exceed the maximum or there is no mark yet."""
        loan = self.loans.loan(loan_id)
        mark = self.mark()
        if loan is None or mark is None or not 0 < amount <= loan.collateral:
            return 0
        try:
            self.loans.withdraw(loan_id, amount, mark)
        except LoanRefused:
            return 0
        return self._noted("loan_withdrawn", loan, self.loans.collateral_asset, amount)

    def _noted(self, kind: str, loan: LoanView, asset: int, amount: int) -> int:
        if amount:
            name = self._ledger.asset_name(asset)
            now = self._scheduler.now
            self._recorder.credit(now, kind, loan.account, self.loans.lender, name, amount, amount, loan.loan_id)
        return amount

    # --- liquidators ------------------------------------------------------------------------------------------------

    def liquidate(self, loan_id: int, liquidator: int, repay_amount: int) -> LiquidationResult | None:
        """A liquidator repays up to `repay_amount` of a breached loan and gets collateral with the bonus.

        None before the oracle ever spoke. Who comes too late gets the outcome GONE or SAFE and nothing happens.
        """
        mark = self.mark()
        if mark is None:
            return None
        result = self.loans.liquidate(loan_id, liquidator, repay_amount, mark)
        if result.outcome == LiquidationOutcome.LIQUIDATED:
            ledger_name = self._asset_name
            now = self._scheduler.now
            debt = ledger_name(self.loans.debt_asset)
            self._recorder.credit(
                now,
                "loan_liquidation",
                result.account,
                liquidator,
                ledger_name(self.loans.collateral_asset),
                result.seized,
                result.repaid,
                loan_id,
            )
            if result.bad_debt:
                self._recorder.credit(
                    now, "loan_bad_debt", result.account, liquidator, debt, result.bad_debt, result.bad_debt, loan_id
                )
        return result

    def max_repay(self, loan_id: int) -> int:
        """Debt quanta that may be repaid on a loan now; 0 when it is safe or gone."""
        mark = self.mark()
        return 0 if mark is None else self.loans.max_repay(loan_id, mark)

    def check(self) -> None:
        """Prove the loan book; raises `CheckError`."""
        self.loans.check()

    def _asset_name(self, asset: int) -> str:
        return self._ledger.asset_name(asset)
