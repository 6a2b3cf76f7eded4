"""What is agreed and what is reported: terms of margin and loans, views of accounts and loans, liquidation results."""

from __future__ import annotations

from enum import IntEnum, unique
from fractions import Fraction
from typing import NamedTuple

from lobsim.credit.errors import TermsError
from lobsim.credit.interest import PPM


class AssetTerms(NamedTuple):
    """What an asset is worth as collateral (ppm of its value) and what owing it takes.

    maintenance_rate_ppm: margin to be kept per value owed. interest_ppm: per 365 days on the amount owed.
    """

    collateral_ratio_ppm: int = 0
    maintenance_rate_ppm: int = 0
    interest_ppm: int = 0

    def check(self, name: str) -> None:
        """Raise `TermsError` when the terms of the asset `name` make no sense."""
        if not 0 <= self.collateral_ratio_ppm <= PPM or min(self.maintenance_rate_ppm, self.interest_ppm) < 0:
            raise TermsError(
                f"margin terms of {name}: the collateral ratio lies in 0 to {PPM} ppm, rates are at least 0: {self}"
            )


class Thresholds(NamedTuple):
    """Margin levels (ppm) above which an account is free, only warned, or only barred from new orders."""

    free_ppm: int = 1_500_000
    warning_ppm: int = 1_200_000
    liquidation_ppm: int = 1_050_000

    def check(self) -> None:
        """Raise `TermsError` unless they fall from free over warning to liquidation."""
        if not 0 <= self.liquidation_ppm <= self.warning_ppm <= self.free_ppm:
            raise TermsError(f"margin thresholds must fall from free over warning to liquidation, not below 0: {self}")


DEFAULT_THRESHOLDS = Thresholds()


@unique
class MarginStatus(IntEnum):
    """What an account may do, from best to worst. A level exactly on a threshold has the worse status."""

    FREE = 0
    WARNING = 1
    NO_NEW_ORDERS = 2
    LIQUIDATION = 3


class MarginView(NamedTuple):
    """An account at some marks, for reports: numeraire quanta rounded down; levels None where they have no meaning.

    debt: value of all liabilities. collateral_value: positive net positions after the collateral ratio; market_value:
    the same before it, a contract counting as the base and quote it stands for. contract_notional: value of positions
    in contracts at their marks, long and short.
    """

    status: MarginStatus
    equity: int
    maintenance: int
    margin_level_ppm: int | None
    leverage_ppm: int | None
    debt: int
    collateral_value: int
    market_value: int
    contract_notional: int = 0


class LoanTerms(NamedTuple):
    """Rules of one lending market; shares in ppm.

    max_ltv: up to which a loan may be drawn. margin_call_ltv, liquidation_ltv: from which on it is called, may be
    liquidated. close_factor: share of the debt one liquidation may repay; all of it once the health factor is at most
    `full_close_hf` or the debt at most `small_debt` quanta. liquidation_bonus: what the liquidator seizes beyond the
    value repaid. interest: per 365 days.
    """

    max_ltv_ppm: int
    margin_call_ltv_ppm: int
    liquidation_ltv_ppm: int
    close_factor_ppm: int = 500_000
    full_close_hf_ppm: int = 950_000
    small_debt: int = 0
    liquidation_bonus_ppm: int = 50_000
    interest_ppm: int = 0

    def check(self) -> None:
        """Raise `TermsError` when the terms contradict themselves."""
        if not 0 < self.max_ltv_ppm <= self.margin_call_ltv_ppm <= self.liquidation_ltv_ppm:
            raise TermsError(f"LTVs must rise from maximum over margin call to liquidation, all above 0: {self}")
        if not 0 < self.close_factor_ppm <= PPM:
            raise TermsError(f"close_factor_ppm must lie in 1 to {PPM}: {self.close_factor_ppm}")
        if not 0 <= self.full_close_hf_ppm <= PPM:
            raise TermsError(f"full_close_hf_ppm must lie in 0 to {PPM}: {self.full_close_hf_ppm}")
        if min(self.small_debt, self.liquidation_bonus_ppm, self.interest_ppm) < 0:
            raise TermsError(f"small_debt, liquidation_bonus_ppm and interest_ppm must be at least 0: {self}")

    @property
    def spiral_ltv(self) -> Fraction:
        """The LTV above which liquidating part of a loan raises its LTV: 1 / (1 + bonus)."""
        return Fraction(PPM, PPM + self.liquidation_bonus_ppm)


class LoanView(NamedTuple):
    """A loan as it stands, in quanta: `debt` = `principal` + `accrued_interest`."""

    loan_id: int
    account: int
    collateral: int
    principal: int
    accrued_interest: int
    debt: int


@unique
class LiquidationOutcome(IntEnum):
    """What became of an attempt to liquidate; only the first changes anything."""

    LIQUIDATED = 0
    SAFE = 1  # not breached at this mark
    GONE = 2  # closed before
    UNFUNDED = 3  # the liquidator's free balance is smaller than what it wants to repay
    TOO_SMALL = 4  # would seize less than one quantum


class LiquidationResult(NamedTuple):
    """Who gave and got what, in quanta of the debt (repaid, bad debt) and the collateral (seized, released).

    bonus is part of seized; bad_debt = insured + written_off. released: collateral returned to the borrower.
    """

    outcome: LiquidationOutcome
    loan_id: int
    account: int = 0
    repaid: int = 0
    seized: int = 0
    bonus: int = 0
    bad_debt: int = 0
    insured: int = 0
    written_off: int = 0
    released: int = 0
    debt_left: int = 0
    collateral_left: int = 0
    closed: bool = False
