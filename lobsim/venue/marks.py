"""Mark price models: at what price positions and collateral are valued. Each says its bias and what it falls back on.

A model is asked at every mark update of its market, in the order of listing; it answers in ticks of that market.
Prices of other markets are converted exactly and rounded once, to the nearest tick (halves up, at least 1 tick).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from lobsim.book import OrderBook
from lobsim.credit.funding import PPB
from lobsim.errors import InputError
from lobsim.units import NS_PER_S

if TYPE_CHECKING:
    from lobsim.venue.market import Market

PPM = 1_000_000

Rate: TypeAlias = Callable[[], tuple[int, int]]
"""A present exchange rate as a pair of positive integers: units of one asset per unit of another."""


class MarkPriceModel(Protocol):
    """The price, in ticks, at which positions and collateral are valued. Called at every mark update."""

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """The mark now; None only while there never was anything to go by."""
        ...


class ReferenceSource(Protocol):
    """Where an outside value comes from."""

    @property
    def value(self) -> int:
        """Present value in ticks."""
        ...


# --- the own book ---------------------------------------------------------------------------------------------------


class LastPriceMark:
    """The last trade. Bias: one stray print moves every account. Falls back on the mid before the first trade."""

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """Last trade, else mid, else None."""
        return book.last_price if book.last_price is not None else mid_price(book)


class MidPriceMark:
    """The mid of the own book. Bias: a stub quote on a thin side moves it. Keeps its value while a side is empty."""

    def __init__(self) -> None:
        self._mark: int | None = None

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """Mid, else the previous mark, else last trade."""
        mid = mid_price(book)
        if mid is not None:
            self._mark = mid
        return self._mark if self._mark is not None else book.last_price


class AverageLastMark:
    """Mean of the last prices seen at the mark updates of a trailing window.

    Bias: lags a fall by half the window; still follows the own book wherever it goes.
    """

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._prices: deque[tuple[int, int]] = deque()
        self._sum = 0

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """Mean over the window, rounded down to a tick; mid before the first trade."""
        prices = self._prices
        last = book.last_price if book.last_price is not None else mid_price(book)
        if last is not None:
            prices.append((time_ns, last))
            self._sum += last
        oldest = time_ns - self._window_ns
        while len(prices) > 1 and prices[0][0] <= oldest:
            self._sum -= prices.popleft()[1]
        return max(1, self._sum // len(prices)) if prices else None


# --- from outside ---------------------------------------------------------------------------------------------------


class ReferenceMark:
    """An outside reference instead of the own book. Bias: blind to what the collateral would really fetch here."""

    def __init__(self, reference: ReferenceSource) -> None:
        self._reference = reference

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """The reference's value now, in ticks of this market."""
        return self._reference.value


class ConstantMark:
    """One price for ever ("a USDe is a dollar"). Bias: no depeg reaches who is valued by it until it is too late."""

    def __init__(self, ticks: int) -> None:
        if ticks < 1:
            raise InputError(f"a constant mark must be at least 1 tick, not {ticks}")
        self._ticks = ticks

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """Always the same."""
        return self._ticks


class IndexSource(NamedTuple):
    """A market that counts in an index, with its weight."""

    market: Market
    weight: int = 1


class IndexMark:
    """Weighted mean of one instrument's price over several venues, with an outlier rule.

    A source counts with the price that its venue published last; empty ones and ones whose venue has published nothing
    for `stale_ns` weigh 0. Of the others, one that stands more than `outlier_ppm` off their median weighs 0; when more
    than one does, the median itself is the index (Binance's rules for its price index, "single" and "multi price source
    deviation"; Binance states 5 %). Without any source the index stands still; before there ever was one: own last
    trade, then own mid. Bias: equal weights let a thin venue count as much as a deep one; with two sources that part
    ways both are off the median, so the index is their mean.
    """

    def __init__(
        self,
        tick: Decimal,
        sources: Sequence[IndexSource] = (),
        *,
        outlier_ppm: int = 50_000,
        stale_ns: int = 10 * NS_PER_S,
        price: Literal["last", "mid"] = "last",
    ) -> None:
        if outlier_ppm < 0 or stale_ns < 1:
            raise InputError(f"an index needs outlier_ppm >= 0 and stale_ns >= 1, not {outlier_ppm} and {stale_ns}")
        self._tick = Fraction(tick)
        self._outlier_ppm = outlier_ppm
        self._stale_ns = stale_ns
        self._last = price == "last"
        self._sources: list[IndexSource] = []
        self._outside: list[tuple[ReferenceSource, int]] = []
        self._scales: list[int] = []
        self._unit = 1
        self._index: int | None = None
        for source in sources:
            self.add_source(source.market, source.weight)

    def add_source(self, market: Market, weight: int = 1) -> None:
        """Let a market count, its prices being of the same base in the same quote; `InputError` for no weight."""
        self._check_weight(market.name, weight)
        self._sources.append(IndexSource(market, weight))
        scales = [Fraction(source.market.tick) / self._tick for source in self._sources]
        self._unit = 1
        for scale in scales:  # own ticks = source ticks * its scale / unit, in whole numbers
            self._unit *= (scale * self._unit).denominator
        self._scales = [int(scale * self._unit) for scale in scales]

    def add_outside(self, reference: ReferenceSource, weight: int = 1) -> None:
        """Let venues that are not simulated count, through a reference value in ticks of this market."""
        self._check_weight("an outside source", weight)
        self._outside.append((reference, weight))

    @staticmethod
    def _check_weight(name: str, weight: int) -> None:
        if weight < 1:
            raise InputError(f"weight of {name} in an index: {weight} must be at least 1")

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """The index now, to the nearest tick; O(sources log sources)."""
        prices = [(reference.value * self._unit, weight) for reference, weight in self._outside]
        for (market, weight), scale in zip(self._sources, self._scales, strict=True):
            price = self._price(market, time_ns)
            if price is not None:
                prices.append((price * scale, weight))
        if prices:
            self._index = max(1, _nearest(*self._judge(prices), self._unit))
        if self._index is not None:
            return self._index
        return book.last_price if book.last_price is not None else mid_price(book)

    def _price(self, market: Market, time_ns: int) -> int | None:
        view = market.published
        if view is None or view.time_ns < time_ns - self._stale_ns:
            return None
        if self._last and view.last_price is not None:
            return view.last_price
        if view.best_bid is None or view.best_ask is None:
            return None
        return (view.best_bid + view.best_ask) // 2

    def _judge(self, prices: list[tuple[int, int]]) -> tuple[int, int]:
        """The index as a fraction (over, under) in units of own ticks / unit."""
        ordered = sorted(price for price, _ in prices)
        half = len(ordered) // 2
        median2 = ordered[half] + ordered[-1 - half]  # twice the median
        allowed = median2 * self._outlier_ppm
        kept = [(price, weight) for price, weight in prices if abs(2 * price - median2) * PPM <= allowed]
        if len(prices) - len(kept) > 1 or not kept:
            return median2, 2
        return sum(price * weight for price, weight in kept), sum(weight for _, weight in kept)


class ConversionMark:
    """A wrapped asset at its conversion rate: alone (quoted in the underlying), or times the underlying's own mark.

    underlying: the market whose mark says what the underlying is worth in this market's quote asset; its mark is the
    one of the same update when it is listed earlier. Bias: values the asset at what redemption pays after its delay,
    whatever the book here pays now.
    """

    def __init__(self, tick: Decimal, rate: Rate, underlying: Market | None = None) -> None:
        self._tick = Fraction(tick)
        self._rate = rate
        self._underlying = underlying
        self._scale = Fraction(1) / self._tick if underlying is None else Fraction(underlying.tick) / self._tick

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """Rate times the underlying's mark; while that has none, own last trade, then own mid."""
        ticks = 1
        if self._underlying is not None:
            mark = self._underlying.mark_price
            if mark is None:
                return book.last_price if book.last_price is not None else mid_price(book)
            ticks = mark
        over, under = self._rate()
        return max(1, _nearest(ticks * over * self._scale.numerator, under, self._scale.denominator))


class RedemptionFloorMark:
    """The inner model's mark, but never below what redemption pays. Bias: trusts redemption to stay open."""

    def __init__(self, inner: MarkPriceModel, floor: MarkPriceModel) -> None:
        self._inner = inner
        self._floor = floor

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """The higher of the two; whichever there is."""
        prices = (self._inner.update(book, time_ns), self._floor.update(book, time_ns))
        return max((price for price in prices if price is not None), default=None)


class PerpetualMark:
    """Median of three prices of a perpetual (Binance, "Mark price in USD-margined futures").

    index * (1 + funding rate * time to funding / funding interval); index + mean of (own mid - index) over a trailing
    window; own last trade. The mean covers the mark updates of the window at which both sides were quoted; without one
    the premium is 0. Without a last trade: the mean of the other two. Without an index: own last, then own mid.
    Bias: two of the three follow the index, so an empty own book moves the mark only through the premium.
    """

    def __init__(self, index: MarkPriceModel, window_ns: int = 30 * NS_PER_S) -> None:
        self._index = index
        self._window_ns = window_ns
        self._premiums: deque[tuple[int, int]] = deque()
        self._sum = 0
        self._rate_ppb = 0
        self._funding_ns = 0
        self._interval_ns = 1
        self.index_price: int | None = None

    def expect_funding(self, rate_ppb: int, time_ns: int, interval_ns: int) -> None:
        """Funding at `rate_ppb` (of the notional, in 1e-9) is due at `time_ns`, the end of an interval."""
        self._rate_ppb = rate_ppb
        self._funding_ns = time_ns
        self._interval_ns = interval_ns

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """The median; rounded to the nearest tick where it is not one."""
        index = self.index_price = self._index.update(book, time_ns)
        mid = mid_price(book)
        if index is None:
            return book.last_price if book.last_price is not None else mid
        premiums = self._premiums
        if mid is not None:
            premiums.append((time_ns, mid - index))
            self._sum += mid - index
        while premiums and premiums[0][0] <= time_ns - self._window_ns:
            self._sum -= premiums.popleft()[1]
        ahead = max(0, self._funding_ns - time_ns)
        basis = _nearest(index * self._rate_ppb * ahead, PPB, self._interval_ns)
        funded = max(1, index + basis)
        moved = max(1, index + (_nearest(self._sum, len(premiums), 1) if premiums else 0))
        last = book.last_price
        return _nearest(funded + moved, 2, 1) if last is None else sorted((funded, moved, last))[1]


def fixed_rate(rate: Decimal) -> Rate:
    """A rate that never changes; `InputError` unless positive."""
    if not rate > 0:
        raise InputError(f"a conversion rate must be greater than 0, not {rate}")
    over, under = rate.as_integer_ratio()
    return lambda: (over, under)


def mid_price(book: OrderBook) -> int | None:
    """Middle of the best prices, rounded down; None while a side is empty."""
    bid, ask = book.best_bid, book.best_ask
    return None if bid is None or ask is None else (bid + ask) // 2


def _nearest(over: int, under: int, unit: int) -> int:
    under *= unit
    return (2 * over + under) // (2 * under)
