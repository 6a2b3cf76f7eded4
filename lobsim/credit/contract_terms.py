"""What is agreed about a perpetual contract, and what is reported about its positions."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from lobsim.credit.errors import TermsError
from lobsim.credit.interest import PPM


class Tier(NamedTuple):
    """From `notional_from` quote quanta on, every further quantum of notional takes `maintenance_ppm` of margin."""

    notional_from: int
    maintenance_ppm: int


class Bracket(NamedTuple):
    """One straight piece of the maintenance margin: notional * rate - deduction, both in ppm of quote quanta."""

    notional_from: int
    rate_ppm: int
    deduction_ppm: int


class ContractTerms(NamedTuple):
    """Maintenance margin in marginal brackets (like an income tax), and what a take-over costs.

    liquidation_fee_ppm: of the notional taken over, from the holder's margin to the insurance account, as far as the
    margin reaches. max_leverage: entry notional over margin up to which an isolated position may be opened (None: any).
    """

    tiers: tuple[Tier, ...]
    liquidation_fee_ppm: int = 0
    max_leverage: int | None = None

    def check(self, name: str = "contract") -> None:
        """Raise `TermsError` when the terms contradict themselves."""
        tiers = self.tiers
        if not tiers or tiers[0].notional_from != 0:
            raise TermsError(f"{name}: the first tier must start at a notional of 0: {tiers}")
        for lower, upper in pairwise(tiers):
            if upper.notional_from <= lower.notional_from or upper.maintenance_ppm < lower.maintenance_ppm:
                raise TermsError(f"{name}: tiers must rise in notional and not fall in margin: {lower}, {upper}")
        if tiers[0].maintenance_ppm < 0 or tiers[-1].maintenance_ppm >= PPM:
            raise TermsError(f"{name}: maintenance rates lie in 0 to {PPM - 1} ppm: {tiers}")
        if not 0 <= self.liquidation_fee_ppm < PPM:
            raise TermsError(f"{name}: liquidation_fee_ppm must lie in 0 to {PPM - 1}: {self.liquidation_fee_ppm}")
        if self.max_leverage is not None and self.max_leverage < 1:
            raise TermsError(f"{name}: max_leverage must be at least 1: {self.max_leverage}")

    def brackets(self) -> tuple[Bracket, ...]:
        """The tiers as straight pieces; the maintenance margin is the largest of them all."""
        pieces: list[Bracket] = []
        deduction = rate = 0
        for tier in self.tiers:
            deduction += tier.notional_from * (tier.maintenance_ppm - rate)
            rate = tier.maintenance_ppm
            pieces.append(Bracket(tier.notional_from, rate, deduction))
        return tuple(pieces)

    def maintenance(self, notional: int) -> int:
        """Maintenance margin of a notional, in ppm of quote quanta, exactly. O(tiers)."""
        return max(notional * rate - deduction for _, rate, deduction in self.brackets())


class IsolatedView(NamedTuple):
    """An isolated position: `lots` signed, `cost` the signed quote quanta paid for them with funding accrued since.

    entry_value: the same without funding. margin: quanta in custody. Prices are exact ticks (numerator, denominator):
    at the liquidation price the margin left equals the maintenance margin, at the bankruptcy price it is 0.
    """

    position_id: int
    account: int
    lots: int
    cost: int
    entry_value: int
    margin: int
    liquidation_price: tuple[int, int]
    bankruptcy_price: tuple[int, int]


class Takeover(NamedTuple):
    """A position that went to the contract's liquidation account, whose holder has lost exactly `margin`.

    bankruptcy_value: signed quote quanta at which the liquidation account has the `lots` now: sold for so much (a short
    bought back for so much) they cost the insurance nothing. fee: what of the margin went to the insurance account.
    """

    position_id: int
    account: int
    lots: int
    bankruptcy_value: int
    margin: int
    fee: int = 0


class FundSettlement(NamedTuple):
    """What the liquidation account earned for, was paid by, and is still owed by the insurance account (quanta)."""

    earned: int
    paid: int
    uncovered: int
