"""When and how much the holders of a perpetual pay each other: premium samples, the rate, the moment it is due.

    premium = (max(0, impact bid - index) - max(0, index - impact ask)) / index
    F       = P + clamp(r - P, -c, c),  P the mean premium of the interval  (Binance, "Funding rates")

The impact bid (ask) is the average price at which `impact_value` could be sold (bought) on the own book at that moment.
Rates count in 1e-9. Bias: all samples of an interval weigh the same, Binance weighs late ones more.
"""

from __future__ import annotations

from typing import NamedTuple

from lobsim.credit.contracts import ContractBook
from lobsim.errors import InputError
from lobsim.events import Side
from lobsim.units import NS_PER_HOUR, NS_PER_S
from lobsim.venue.market import Market
from lobsim.venue.marks import PPB, PerpetualMark


class FundingTerms(NamedTuple):
    """Funding is due at `first_ns` and every `interval_ns` after; the premium is sampled every `sample_ns`.

    impact_value: quote quanta (0: one lot). interest_ppb: r per interval; clamp_ppb: c.
    """

    interval_ns: int = 8 * NS_PER_HOUR
    first_ns: int = 8 * NS_PER_HOUR
    sample_ns: int = 5 * NS_PER_S
    impact_value: int = 0
    interest_ppb: int = 100_000
    clamp_ppb: int = 500_000

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
            premium = self._premiums // self._samples
            self.rate_ppb = premium + max(-terms.clamp_ppb, min(terms.clamp_ppb, terms.interest_ppb - premium))
        paid = None
        if now >= self._next_ns:
            paid = (contract.apply_funding(self.rate_ppb, mark), self.rate_ppb)
            self._next_ns += terms.interval_ns * (1 + (now - self._next_ns) // terms.interval_ns)
            self._premiums = self._samples = 0
        if isinstance(model, PerpetualMark):
            model.expect_funding(self.rate_ppb, self._next_ns, terms.interval_ns)
        return paid

    def _premium_ppb(self, market: Market, index: int) -> int:
        """The premium at this moment, rounded down; an empty side does not count, as if it stood at the index."""
        lots = max(1, self._terms.impact_value // (index * market.quote_per_tick_lot))
        over = 0
        bid = market.book.walk(Side.SELL, lots)
        if bid.filled_qty == lots:
            over += max(0, bid.notional - index * lots)
        ask = market.book.walk(Side.BUY, lots)
        if ask.filled_qty == lots:
            over -= max(0, index * lots - ask.notional)
        return over * PPB // (index * lots)
