"""One instrument as an exchange trades it: its grids in money, its book, its mark price."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from lobsim.book import OrderBook
from lobsim.credit import Ledger, Mark, lowest_terms
from lobsim.errors import GridError
from lobsim.venue.marks import AverageLastMark, LastPriceMark, MarkPriceModel, MidPriceMark, ReferenceMark
from lobsim.venue.ports import MarketView

if TYPE_CHECKING:
    from lobsim.credit.contracts import ContractBook
    from lobsim.venue.guards import MarketGuard

__all__ = [
    "AverageLastMark",
    "LastPriceMark",
    "MarkPriceModel",
    "Market",
    "MidPriceMark",
    "ReferenceMark",
    "whole",
]


class Market:
    """An instrument at a venue.

    base_per_lot: base quanta in a lot. quote_per_tick_lot: quote quanta that one lot costs per tick; both whole
    numbers, or the instrument is refused (`GridError`). With a `contract` it is a perpetual: its trades change
    positions there and no base asset moves. `published`: the view that went to the feed last; what indices see of it.
    """

    __slots__ = (
        "base",
        "base_per_lot",
        "book",
        "contract",
        "guard",
        "instrument_id",
        "lot",
        "mark_model",
        "mark_price",
        "name",
        "published",
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
        contract: ContractBook | None = None,
        guard: MarketGuard | None = None,
    ) -> None:
        self.instrument_id = instrument_id
        self.name = name
        self.base = ledger.asset(base)
        self.quote = ledger.asset(quote)
        self.tick = tick
        self.lot = lot
        self.base_per_lot = whole(lot, ledger.quantum(self.base), f"{name}: lot {lot}", base)
        tick_lot = tick * lot
        self.quote_per_tick_lot = whole(tick_lot, ledger.quantum(self.quote), f"{name}: tick x lot {tick_lot}", quote)
        self.book = OrderBook(tick, lot)
        self.mark_model = mark_model
        self.mark_price: int | None = None
        self.contract = contract
        self.guard = guard
        self.published: MarketView | None = None
        if contract is not None and (contract.quote, contract.unit) != (self.quote, self.quote_per_tick_lot):
            raise GridError(
                f"{name}: its contract counts {contract.unit} quanta of asset {contract.quote} per tick and lot,"
                f" the instrument {self.quote_per_tick_lot} of asset {self.quote}"
            )
        self.quoted: tuple[int | None, int, int | None, int] = (None, 0, None, 0)

    @property
    def is_contract(self) -> bool:
        """Whether it is a perpetual."""
        return self.contract is not None

    @property
    def kind(self) -> str:
        """What is traded here: `spot` or `perpetual`."""
        return "spot" if self.contract is None else "perpetual"

    def halted(self, time_ns: int) -> bool:
        """Whether trading is halted at that moment."""
        return self.guard is not None and time_ns < self.guard.halted_until_ns

    def mark(self) -> Mark | None:
        """Value of one base quantum in quote quanta at the mark price, exact; None before there is a mark."""
        if self.mark_price is None:
            return None
        return lowest_terms((self.mark_price * self.quote_per_tick_lot, self.base_per_lot))

    def quotes(self) -> tuple[int | None, int, int | None, int]:
        """(best bid, displayed lots, best ask, displayed lots)."""
        return self.book.quotes()

    def view(self, time_ns: int) -> MarketView:
        """What the feed publishes now."""
        book = self.book
        return tuple.__new__(MarketView, (time_ns, *book.quotes(), book.last_price, self.mark_price))


def whole(value: Decimal, quantum: Decimal, what: str, asset: str) -> int:
    """`value` in quanta; raises `GridError` when it is not a whole number of them."""
    numerator, denominator = (value / quantum).as_integer_ratio()
    if denominator != 1:
        raise GridError(f"{what} is not a whole number of {asset} quanta ({quantum})")
    return numerator
