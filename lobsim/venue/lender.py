"""A lender: loans on collateral that anyone may liquidate once their LTV is at the liquidation level."""

from __future__ import annotations

from collections.abc import Callable

from lobsim.credit import Ledger, LiquidationOutcome, LiquidationResult, LoanBook, Mark
from lobsim.venue.market import Market, MarkPriceModel
from lobsim.venue.ports import Recording, Scheduler


class Lender:
    """One collateral market of loans, valued by its own oracle on an exchange's book.

    A price move touches only the loans that breach: they wait sorted by liquidation price.
    """

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        recorder: Recording,
        ledger: Ledger,
        loans: LoanBook,
        market: Market,
        oracle: MarkPriceModel,
    ) -> None:
        self.name = name
        self.loans = loans
        self._ledger = ledger
        self.market = market
        self.oracle_price: int | None = None
        self.publish: Callable[[tuple[int, ...]], None] = lambda _breached: None
        self._oracle = oracle
        self._scheduler = scheduler
        self._recorder = recorder
        self._published: tuple[int, ...] = ()

    def mark(self) -> Mark | None:
        """Oracle value of one collateral quantum in debt quanta."""
        market = self.market
        if self.oracle_price is None:
            return None
        return (self.oracle_price * market.quote_per_tick_lot, market.base_per_lot)

    def update(self) -> None:
        """Read the oracle, accrue interest, publish which loans may be liquidated (highest liquidation price first)."""
        now = self._scheduler.now
        self.oracle_price = self._oracle.update(self.market.book, now)
        self.loans.accrue(now)
        mark = self.mark()
        if mark is None:
            return
        breached = tuple(self.loans.breached(mark))
        if breached != self._published:
            self._published = breached
            self.publish(breached)

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
            debt = ledger_name(self.market.quote)
            self._recorder.credit(
                now,
                "loan_liquidation",
                result.account,
                liquidator,
                ledger_name(self.market.base),
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
