"""When the holders of a perpetual pay each other: premium samples, the rate they come to, the moment it is due.

The formulas are `lobsim.credit.funding`'s. Every contract is sampled every few seconds. The impact bid (ask) is the
average price at which `impact_value` could be sold (bought) on the own book at that moment.
Bias: all samples of an interval weigh the same, Binance weighs late ones more, and each is rounded down to 1e-9.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from lobsim.credit.contracts import ContractBook
from lobsim.credit.funding import CLAMP_PPB, INTEREST_PPB, PPB, funding_rate_ppb, premium_ppb
from lobsim.errors import InputError
from lobsim.events import Side
from lobsim.units import NS_PER_HOUR, NS_PER_S
from lobsim.venue.market import Market
from lobsim.venue.marks import PerpetualMark


class FundingTerms(NamedTuple):
    """Funding is due at `first_ns` and every `interval_ns` after; the premium is sampled every `sample_ns`.

    impact_value: quote quanta (0: one lot). interest_ppb: r per interval; clamp_ppb: c.
    """

    interval_ns: int = 8 * NS_PER_HOUR
    first_ns: int = 8 * NS_PER_HOUR
    sample_ns: int = 5 * NS_PER_S
    impact_value: int = 0
    interest_ppb: int = INTEREST_PPB
    clamp_ppb: int = CLAMP_PPB

    def check(self, name: str) -> None:
        """Raise `InputError` when the terms make no sense."""
        if min(self.interval_ns, self.first_ns, self.sample_ns) < 1 or min(self.impact_value, self.clamp_ppb) < 0:
            raise InputError(f"funding of {name}: times must be above 0, impact value and clamp at least 0: {self}")


class FundingSchedule:
    """Premium samples and due times of one contract. `rate_ppb`: what funding would be if it were due now."""

    def __init__(self, terms: FundingTerms) -> None:
        self._terms = terms
        self._next_ns = terms.first_ns
        self._sample_ns = 0
        self._premiums = 0
        self._samples = 0
        self.rate_ppb = 0

    def update(self, market: Market, contract: ContractBook, now: int) -> tuple[int, int] | None:
        """Sample the premium; (quanta that longs paid shorts, rate in 1e-9) when funding was due, else None."""
        terms = self._terms
        model = market.mark_model
        index = model.index_price if isinstance(model, PerpetualMark) else market.mark_price
        mark = market.mark_price
        if index is None or mark is None:
            return None
        if now >= self._sample_ns:
            self._sample_ns = now + terms.sample_ns
            self._premiums += self._premium_ppb(market, index)
            self._samples += 1
            self.rate_ppb = funding_rate_ppb(self._premiums, self._samples, terms.interest_ppb, terms.clamp_ppb)
        paid = None
        if now >= self._next_ns:
            done = contract.apply_funding(Fraction(self.rate_ppb, PPB), mark)
            paid = ((done.cross + done.isolated) * (-1 if done.per_lot < 0 else 1), self.rate_ppb)
            self._next_ns += terms.interval_ns * (1 + (now - self._next_ns) // terms.interval_ns)
            self._premiums = self._samples = 0
        if isinstance(model, PerpetualMark):
            model.expect_funding(self.rate_ppb, self._next_ns, terms.interval_ns)
        return paid

    def _premium_ppb(self, market: Market, index: int) -> int:
        lots = max(1, self._terms.impact_value // (index * market.quote_per_tick_lot))
        bid, ask = (market.book.walk(side, lots) for side in (Side.SELL, Side.BUY))
        return premium_ppb(
            bid.notional if bid.filled_qty == lots else None,
            ask.notional if ask.filled_qty == lots else None,
            index * lots,
        )
