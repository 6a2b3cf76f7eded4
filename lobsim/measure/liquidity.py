"""Depth and slippage over time, from records alone.

Definitions. The reference is the mid price (a + b) / 2 ("mid", as CoinDesk counts) or the side's own best price
("best", as Kaiko does). *Depth* at x % is the sum of price * quantity of one side's displayed orders within x % of
the reference, the edge included. *Slippage* for a notional N is ``|VWAP(N) / reference - 1|``: a market order walks
the book, hidden quantity included, best price first, for as many whole lots as cost (or bring) at most N. It is null,
never 0 or infinite, when the book cannot fill N, when there is no reference, and when N does not pay for one lot;
report the share of nulls, never only a mean.

The state at a time is the one after all events with ``time_ns`` up to and including it. Sums are exact integers; only
the last step to quote currency, a price or a ratio is a float.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import polars as pl

from lobsim.events import Side
from lobsim.measure.run import Run
from lobsim.measure.sampling import (
    Number,
    Reference,
    When,
    bound,
    checked_bands,
    checked_instruments,
    checked_notionals,
    checked_side,
    checked_times,
    fraction,
    samples_at,
)

BANDS = ("0.1", "0.5", "1", "2", "5", "10")
NOTIONALS = ("10000", "100000", "1000000")


class Fill(NamedTuple):
    """What an order got: lots, ticks * lots, last price touched (None: nothing), whether the notional was reached."""

    lots: int
    notional: int
    worst_price: int | None
    complete: bool


def slippage_of(levels: Sequence[tuple[int, int]], notional: int) -> Fill:
    """Spend `notional` (ticks * lots) on `levels` ((price, lots), best first): the most whole lots that cost no more.

    ``complete`` is False when all levels together hold less than `notional`. Complexity: O(levels).
    """
    lots = spent = 0
    worst = None
    for price, qty in levels:
        take = min(qty, (notional - spent) // price)
        if take:
            worst = price
        lots += take
        spent += take * price
        if take < qty:
            return Fill(lots, spent, worst, True)
    return Fill(lots, spent, worst, spent == notional)


def depth_at(
    levels: Sequence[tuple[int, int]], side: Side, reference: int | Fraction, band_pct: Number
) -> tuple[int, int]:
    """(lots, ticks * lots) of `levels` within `band_pct` percent of `reference` (ticks). Complexity: O(levels)."""
    width = reference * fraction(band_pct, "band") / 100
    inside = [
        (price, qty) for price, qty in levels if (reference - price if side is Side.BUY else price - reference) <= width
    ]
    return sum(qty for _, qty in inside), sum(price * qty for price, qty in inside)


def depth(
    run: Run,
    instrument: str | Sequence[str] | None = None,
    bands: Sequence[Number] = BANDS,
    *,
    at: When | None = None,
    every: int | str | None = None,
    ref: Reference = "mid",
    hidden: bool = False,
) -> pl.DataFrame:
    """Depth of both sides within `bands` percent of the reference, at times `at` or `every` so long (or at the end).

    Columns: ``time_ns time instrument ref_price band_pct side depth_lots depth_qty depth_quote``. An empty side is 0; a
    side that has orders but no reference (`ref="mid"`, the other side empty) is null. Raises `InputError` for bands,
    times and names that make no sense.
    """
    percents = checked_bands(bands)
    chosen, times = checked_instruments(run, instrument), checked_times(run, at, every)
    bound(len(times) * len(chosen) * len(percents) * 2)
    samples = samples_at(run, chosen, times)
    return pl.concat(one.depth(bands, ref=ref, hidden=hidden) for one in samples)


def slippage(
    run: Run,
    instrument: str | Sequence[str] | None = None,
    side: Side | str = Side.SELL,
    notionals: Sequence[Number] = NOTIONALS,
    *,
    at: When | None = None,
    every: int | str | None = None,
    ref: Reference = "mid",
    hidden: bool = True,
) -> pl.DataFrame:
    """What a market order of `side` for each of `notionals` (quote currency) would have cost at the times.

    Columns: ``time_ns time instrument side notional_quote ref_price filled_lots filled_quote filled_share worst_price
    vwap slippage``. ``filled_share`` is 1 when the book could fill the notional, else what it could, as a share;
    ``vwap`` is that of the lots filled, also where the slippage is null. ref="best" is the best price that the order
    meets.
    """
    taker, amounts = checked_side(side), checked_notionals(notionals)
    chosen, times = checked_instruments(run, instrument), checked_times(run, at, every)
    bound(len(times) * len(chosen) * len(amounts))
    samples = samples_at(run, chosen, times)
    return pl.concat(one.slippage(taker, notionals, ref=ref, hidden=hidden) for one in samples)
