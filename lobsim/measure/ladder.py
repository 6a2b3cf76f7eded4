"""Cumulative depth of one side of a book at many times at once.

`curves` goes through the times in blocks. Within a block the book is what stood at its beginning plus the changes
since; both are summed along the price axis, best price first, the first once per block, the second (which touches few
prices) once per time. Any cumulative depth is then two look-ups, and "how far must one go for so much" a binary
search over the price axis for all times and amounts in one go. That keeps the cost per time near that of the prices
that change, not of those that rest.

All arithmetic is exact: 64-bit integers where the largest possible sum fits, Python integers where it does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lobsim.errors import RunError
from lobsim.events import Side

Ints: TypeAlias = npt.NDArray[Any]
"""Array of int64, or of Python integers where those are needed."""

BLOCK = 256
_SAFE = 2**60


class Curves:
    """Cumulative depth of one side over a block of times; depth index k means "the k best prices of the axis".

    prices: ticks, best first (a price may be empty at some of the times). Memory: O(prices + times * touched prices).
    """

    def __init__(self, start: int, prices: Ints, lots: Ints, touched: Ints, changes: Ints) -> None:
        self.start = start
        self.times = changes.shape[0]
        self.prices = prices
        self._base = {False: _prefix(lots), True: _prefix(lots * prices)}
        self._delta = {False: _prefix(changes), True: _prefix(changes * prices[touched])}
        reached = np.zeros(len(prices) + 1, dtype=np.int64)
        reached[touched + 1] = 1
        self._touched = reached.cumsum()
        self._row = np.arange(self.times)[:, None]

    def cumulative(self, index: Ints, *, notional: bool = False) -> Ints:
        """Lots (or ticks * lots) of the first `index` prices; `index` has one row per time."""
        result: Ints = self._base[notional][index] + self._delta[notional][self._row, self._touched[index]]
        return result

    def lots(self, most: int) -> Ints:
        """(times, prices) lots at each of the `most` best prices of the axis. Memory: O(times * most)."""
        count = min(most, len(self.prices))
        return np.diff(self.cumulative(np.arange(count + 1)[None, :]), axis=1)

    def reach(self, amount: Ints, *, notional: bool = False) -> Ints:
        """Smallest depth index that holds at least `amount` (> 0); one more than the number of prices when none does.

        `amount` has one row per time. Complexity: O(size of amount * log(prices)).
        """
        last = len(self.prices)
        low = np.zeros(np.broadcast_shapes(amount.shape, (self.times, 1)), dtype=np.int64)
        high = np.full(low.shape, last + 1, dtype=np.int64)
        for _ in range((last + 1).bit_length()):
            middle = (low + high) >> 1
            enough = self.cumulative(np.minimum(middle, last), notional=notional) >= amount
            enough |= middle > last
            high = np.where(enough, middle, high)
            low = np.where(enough, low, np.minimum(middle + 1, high))
        return high

    def price_at(self, index: Ints) -> Ints:
        """Price of the `index`-th best price (1 is the first), 0 where there is no such price."""
        if len(self.prices) == 0:
            return np.zeros(index.shape, dtype=np.int64)
        inside = (index >= 1) & (index <= len(self.prices))
        return np.where(inside, self.prices[np.clip(index - 1, 0, len(self.prices) - 1)], 0)

    def best(self) -> Ints:
        """Best price at each time, 0 for an empty side."""
        return self._best

    @cached_property
    def _best(self) -> Ints:
        return self.price_at(self.reach(np.ones((self.times, 1), dtype=np.int64)))[:, 0]

    def index_of(self, edge: Ints, side: Side) -> Ints:
        """Depth index of all prices at `edge` or better."""
        if side is Side.BUY:
            return np.searchsorted(-self.prices, -edge, side="right")
        return np.searchsorted(self.prices, edge, side="right")


def curves(side: Side, bins: Ints, prices: Ints, lots: Ints, times: int, block: int = BLOCK) -> Iterator[Curves]:
    """Curves of `side` over all times ``0 .. times - 1``, block by block.

    bins: first time at which a change counts (0 .. times - 1), ascending; prices: ticks; lots: signed. The book is
    empty before the first change. Raises `RunError` when a level falls below zero. Complexity: O(changes + times /
    block * prices + times * prices touched in a block).
    """
    lots = lots.astype(_dtype(prices, lots))
    ticks = prices.astype(lots.dtype)
    axis, place = np.unique(-ticks if side is Side.BUY else ticks, return_inverse=True)
    axis = -axis if side is Side.BUY else axis
    level = np.zeros(len(axis), dtype=lots.dtype)
    bounds = np.searchsorted(bins, np.arange(0, times + block, block))
    for number, start in enumerate(range(0, times, block)):
        rows = slice(bounds[number], bounds[number + 1])
        touched, column = np.unique(place[rows], return_inverse=True)
        changes = np.zeros((min(block, times - start), len(touched)), dtype=lots.dtype)
        np.add.at(changes, (bins[rows] - start, column), lots[rows])
        changes = changes.cumsum(axis=0)
        if len(touched) and (changes + level[touched]).min() < 0:
            raise RunError("orders: a price level falls below zero lots; the records are not those of a book")
        live = level != 0
        live[touched] = True
        active = np.flatnonzero(live)
        yield Curves(start, axis[active], level[active], np.searchsorted(active, touched), changes)
        if len(touched):
            level[touched] += changes[-1]


def _prefix(values: Ints) -> Ints:
    """Sums of the first 0, 1, 2, ... values along the last axis."""
    result = np.zeros((*values.shape[:-1], values.shape[-1] + 1), dtype=values.dtype)
    np.cumsum(values, axis=-1, out=result[..., 1:])
    return result


def _dtype(prices: Ints, lots: Ints) -> type:
    """int64 where no sum of price * lots over a book, or over a change of it, can leave 64 bits."""
    if len(lots) == 0:
        return np.int64
    resting = np.abs(np.cumsum(lots.astype(np.float64))).max()
    return np.int64 if float(np.abs(prices).max()) * (float(resting) + 1) < _SAFE else object
