"""One instrument as an exchange trades it: its grids in money, its book, its mark price."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Protocol

from lobsim.book import OrderBook
from lobsim.credit import Ledger, Mark, mark_of_price
from lobsim.errors import GridError
from lobsim.venue.ports import MarketView


class MarkPriceModel(Protocol):
    """The price, in ticks, at which positions and collateral are valued. Called at every mark update."""

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """The mark now; None only while there never was anything to go by."""
        ...


class LastPriceMark:
    """The last trade. Bias: one stray print moves every account. Falls back on the mid before the first trade."""

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """Last trade, else mid, else None."""
        return book.last_price if book.last_price is not None else _mid(book)


class MidPriceMark:
    """The mid of the own book. Bias: a stub quote on a thin side moves it. Keeps its value while a side is empty."""

    def __init__(self) -> None:
        self._mark: int | None = None

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """Mid, else the previous mark, else last trade."""
        mid = _mid(book)
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

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """Mean over the window, rounded down to a tick; mid before the first trade."""
        last = book.last_price if book.last_price is not None else _mid(book)
        if last is not None:
            self._prices.append((time_ns, last))
        while len(self._prices) > 1 and self._prices[0][0] <= time_ns - self._window_ns:
            self._prices.popleft()
        if not self._prices:
            return None
        return max(1, sum(price for _, price in self._prices) // len(self._prices))


class ReferenceMark:
    """An outside reference instead of the own book. Bias: blind to what the collateral would really fetch here."""

    def __init__(self, reference: ReferenceSource) -> None:
        self._reference = reference

    def update(self, book: OrderBook, time_ns: int) -> int | None:
        """The reference's value now, in ticks of this market."""
        return self._reference.value


class ReferenceSource(Protocol):
    """Where an outside value comes from."""

    @property
    def value(self) -> int:
        """Present value in ticks."""
        ...


class Market:
    """An instrument at a venue.

    base_per_lot: base quanta in a lot. quote_per_tick_lot: quote quanta that one lot costs per tick; both whole
    numbers, or the instrument is refused (`GridError`).
    """

    __slots__ = (
        "_base_quantum",
        "_quote_quantum",
        "base",
        "base_per_lot",
        "book",
        "instrument_id",
        "lot",
        "mark_model",
        "mark_price",
        "name",
        "quote",
        "quote_per_tick_lot",
        "quoted",
        "tick",
    )

    def __init__(
        self,
        instrument_id: int,
        name: str,
        base: str,
        quote: str,
        tick: Decimal,
        lot: Decimal,
        ledger: Ledger,
        mark_model: MarkPriceModel,
    ) -> None:
        self.instrument_id = instrument_id
        self.name = name
        self.base = ledger.asset(base)
        self.quote = ledger.asset(quote)
        self.tick = tick
        self.lot = lot
        self._base_quantum = ledger.quantum(self.base)
        self._quote_quantum = ledger.quantum(self.quote)
        self.base_per_lot = whole(lot, self._base_quantum, f"{name}: lot {lot}", base)
        self.quote_per_tick_lot = whole(tick * lot, self._quote_quantum, f"{name}: tick x lot {tick * lot}", quote)
        self.book = OrderBook(tick, lot)
        self.mark_model = mark_model
        self.mark_price: int | None = None
        self.quoted: tuple[int | None, int, int | None, int] = (None, 0, None, 0)

    def mark(self) -> Mark | None:
        """Value of one base quantum in quote quanta at the mark price, exact; None before there is a mark."""
        if self.mark_price is None:
            return None
        return mark_of_price(self.mark_price, self.tick, self._base_quantum, self._quote_quantum)

    def quotes(self) -> tuple[int | None, int, int | None, int]:
        """(best bid, displayed lots, best ask, displayed lots)."""
        return self.book.quotes()

    def view(self, time_ns: int) -> MarketView:
        """What the feed publishes now."""
        return MarketView(time_ns, *self.quotes(), self.book.last_price, self.mark_price)


def whole(value: Decimal, quantum: Decimal, what: str, asset: str) -> int:
    """`value` in quanta; raises `GridError` when it is not a whole number of them."""
    numerator, denominator = (value / quantum).as_integer_ratio()
    if denominator != 1:
        raise GridError(f"{what} is not a whole number of {asset} quanta ({quantum})")
    return numerator


def _mid(book: OrderBook) -> int | None:
    bid, ask = book.best_bid, book.best_ask
    return None if bid is None or ask is None else (bid + ask) // 2
