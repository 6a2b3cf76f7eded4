"""Funding of perpetual contracts: what keeps their price near the index.

    P = (max(0, impact bid - index) - max(0, index - impact ask)) / index          (premium index)
    F = P + clamp(r - P, -c, +c)                                                   (funding rate per interval)

with P averaged over the interval, r = 0.01 % the interest rate per 8 h and c = 0.05 % (Binance, "Introduction to
Binance Futures Funding Rates"), both in whole 1e-9. Payment per lot is lots * mark * F, kept in fractions of
`FUNDING_UNIT` of a quantum, rounded down once per interval; who pays is rounded up to whole quanta, who receives is
rounded down, and the ledger account ``rounding`` takes whole quanta of the difference.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from lobsim.credit.isolated import FUNDING_UNIT
from lobsim.credit.ledger import Flow

if TYPE_CHECKING:
    from lobsim.credit.contracts import ContractBook

PPB: Final = 1_000_000_000
INTEREST_PPB: Final = 100_000
CLAMP_PPB: Final = 500_000


class FundingRound(NamedTuple):
    """One funding payment: quanta paid by one side (isolated positions accrue their part, rounded down here).

    per_lot: what a long lot pays, in quanta / `FUNDING_UNIT`; negative when shorts pay. deferred: what accounts without
    funds could not pay and owe as part of their positions' cost.
    """

    per_lot: int
    cross: int
    isolated: int
    deferred: int


def premium_ppb(bid_value: int | None, ask_value: int | None, index_value: int) -> int:
    """P of one moment in 1e-9, rounded down. Quote values of the same lots: sold into bids, bought from asks, at index.

    A side that could not fill the lots (None) says nothing: it counts as no premium. ValueError for an index value that
    is not positive.
    """
    if index_value <= 0:
        raise ValueError(f"a premium needs an index above 0, not {index_value}")
    above = 0 if bid_value is None else max(0, bid_value - index_value)
    below = 0 if ask_value is None else max(0, index_value - ask_value)
    return (above - below) * PPB // index_value


def funding_rate_ppb(
    premiums_ppb: int, samples: int, interest_ppb: int = INTEREST_PPB, clamp_ppb: int = CLAMP_PPB
) -> int:
    """F for one interval in 1e-9, rounded down, from the sum of its premiums. ValueError without a sample."""
    if samples < 1 or clamp_ppb < 0:
        raise ValueError(f"a funding rate needs a sample and a clamp of at least 0, not {samples} and {clamp_ppb}")
    gap, most = interest_ppb * samples - premiums_ppb, clamp_ppb * samples
    return (premiums_ppb + min(max(gap, -most), most)) // samples


def apply(book: ContractBook, rate: Fraction, mark_ticks: int) -> FundingRound:
    """Longs pay shorts `rate` of their value at the mark, or shorts longs when it is negative. O(cross positions).

    Cross positions move cash, isolated ones accrue through the index. An account that cannot pay owes it as part of
    its position's cost. ValueError for a mark below 1.
    """
    if mark_ticks < 1:
        raise ValueError(f"{book.name}: funding at a mark of {mark_ticks} ticks")
    per_lot = rate.numerator * mark_ticks * book.unit * FUNDING_UNIT // rate.denominator
    if not per_lot:
        return FundingRound(0, 0, 0, 0)
    ledger, quote, margin = book.ledger, book.quote, book.margin
    payments = {account: -(-lots * per_lot // FUNDING_UNIT) for account, (lots, _) in book.cross_positions.items()}
    residue = 0
    paid = deferred = 0
    for account, amount in payments.items():
        lots, cost = book.cross_positions[account]
        residue += amount * FUNDING_UNIT - lots * per_lot
        if amount <= 0:
            continue
        funds = ledger.free(account, quote)
        if margin is not None and account in margin:
            funds += max(0, ledger.free(margin.pool, quote))
        cash = min(amount, max(0, funds))
        if margin is not None:
            margin.cover(account, quote, cash)
        ledger.transfer(account, book.clearing, quote, cash, Flow.FUNDING)
        if cash < amount:
            book.cross_positions[account] = lots, cost + amount - cash
            ledger.touched[account] = 1
        paid += amount
        deferred += amount - cash
    for account, amount in payments.items():
        if amount < 0:
            ledger.transfer(book.clearing, account, quote, -amount, Flow.FUNDING)
            if margin is not None:
                margin.sweep(account, quote)
    book.funding_index += per_lot
    book.add_residue(residue)
    shelf = book.isolated_positions
    payers = shelf.long_lots if per_lot > 0 else shelf.short_lots
    return FundingRound(per_lot, paid, payers * abs(per_lot) // FUNDING_UNIT, deferred)
