"""The rate of a funding schedule against the formulas as they are written, on books of every shape."""

from fractions import Fraction
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from lobsim.book import OrderBook
from lobsim.credit.funding import PPB
from lobsim.events import Side
from lobsim.venue.funding import FundingSchedule, FundingTerms

quotes = st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 60), st.integers(1, 20)), max_size=8)
rates = st.integers(0, 3_000_000)


def written(book, lots, index):
    """P of a moment, rounded down to 1e-9 as samples are."""
    bid, ask = book.walk(Side.SELL, lots), book.walk(Side.BUY, lots)
    above = max(Fraction(0), Fraction(bid.notional, lots) - index) if bid.filled_qty == lots else Fraction(0)
    below = max(Fraction(0), index - Fraction(ask.notional, lots)) if ask.filled_qty == lots else Fraction(0)
    premium = (above - below) / index
    return Fraction(premium.numerator * PPB // premium.denominator, PPB)


@given(
    samples=st.lists(st.tuples(quotes, st.integers(1, 60)), min_size=1, max_size=5),
    impact=st.integers(0, 500),
    interest=rates,
    clamp=rates,
)
def test_rates_are_those_of_the_formulas_rounded_down(samples, impact, interest, clamp):
    schedule = FundingSchedule(FundingTerms(sample_ns=1, impact_value=impact, interest_ppb=interest, clamp_ppb=clamp))
    premiums = []
    for now, (orders, index) in enumerate(samples):
        book = OrderBook()
        for number, (side, price, qty) in enumerate(orders):
            book.submit(number, side, qty, price)
        market = SimpleNamespace(book=book, mark_price=index, mark_model=None, quote_per_tick_lot=1)
        schedule.update(market, None, now)
        premiums.append(written(book, max(1, impact // index), index))
        mean, around = sum(premiums) / len(premiums), Fraction(clamp, PPB)
        rate = mean + min(max(Fraction(interest, PPB) - mean, -around), around)
        assert schedule.rate_ppb == rate.numerator * PPB // rate.denominator
