"""Who owns and owes what: the ledger, unified margin accounts, isolated loans, and how they are liquidated.

Money is whole quanta (Python ints); valuations are exact rationals, compared and never posted. Nothing here knows an
order book, a clock or chance: venues call it with marks and times.
"""

from __future__ import annotations

from lobsim.credit.adl import AdlFill, Rank
from lobsim.credit.contract_terms import ContractTerms, FundSettlement, IsolatedView, Takeover, Tier
from lobsim.credit.contracts import ContractBook
from lobsim.credit.errors import (
    CreditError,
    InsufficientFunds,
    LedgerError,
    LoanRefused,
    PositionRefused,
    TermsError,
)
from lobsim.credit.funding import FundingRound, funding_rate_ppb, premium_ppb
from lobsim.credit.ledger import Flow, Ledger
from lobsim.credit.liquidation import (
    ALL_AT_ONCE,
    NO_ASSET,
    PARTIAL,
    TIME_SLICED,
    Auction,
    Bankruptcy,
    LiquidationCase,
    LiquidationStep,
    SalePolicy,
    Slice,
    StepState,
    bankrupt,
    begin_liquidation,
    hand_over,
    next_step,
)
from lobsim.credit.loans import LoanBook
from lobsim.credit.margin import CrossMargin
from lobsim.credit.marks import Mark, Marks, chain_marks, lowest_terms, mark_of_price
from lobsim.credit.terms import (
    AssetTerms,
    LiquidationOutcome,
    LiquidationResult,
    LoanTerms,
    LoanView,
    MarginStatus,
    MarginView,
    Thresholds,
)

__all__ = [
    "ALL_AT_ONCE",
    "NO_ASSET",
    "PARTIAL",
    "TIME_SLICED",
    "AdlFill",
    "AssetTerms",
    "Auction",
    "Bankruptcy",
    "ContractBook",
    "ContractTerms",
    "CreditError",
    "CrossMargin",
    "Flow",
    "FundSettlement",
    "FundingRound",
    "InsufficientFunds",
    "IsolatedView",
    "Ledger",
    "LedgerError",
    "LiquidationCase",
    "LiquidationOutcome",
    "LiquidationResult",
    "LiquidationStep",
    "LoanBook",
    "LoanRefused",
    "LoanTerms",
    "LoanView",
    "MarginStatus",
    "MarginView",
    "Mark",
    "Marks",
    "PositionRefused",
    "Rank",
    "SalePolicy",
    "Slice",
    "StepState",
    "Takeover",
    "TermsError",
    "Thresholds",
    "Tier",
    "bankrupt",
    "begin_liquidation",
    "chain_marks",
    "funding_rate_ppb",
    "hand_over",
    "lowest_terms",
    "mark_of_price",
    "next_step",
    "premium_ppb",
]
