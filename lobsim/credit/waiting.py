"""Positions waiting for the price that breaches them, in the order in which a falling price would reach them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sortedcontainers import SortedList

from lobsim.errors import CheckError

# Ratios are ordered by their floor in units of 2**-64; exact products decide within one unit.
_SHIFT = 64


class WaitingOrder:
    """Ids (at least 0) with exact ratios (numerator, denominator > 0), highest ratio first.

    The ratio of a loan is its scaled debt per unit of collateral: whatever multiplies all ratios alike (interest, the
    mark) belongs into the threshold, so the order stands while it moves. Questions cost O(answers + log n).
    """

    __slots__ = ("_order", "_top_key", "ratios")

    def __init__(self) -> None:
        self.ratios: dict[int, tuple[int, int]] = {}
        self._order: SortedList[tuple[int, int]] = SortedList()  # (-floored ratio, id)
        self._top_key = -1  # at least the highest floored ratio: nearly every question ends here

    def add(self, position_id: int, numerator: int, denominator: int) -> None:
        """Let a position wait; O(log n). Its id must not be waiting already."""
        self.ratios[position_id] = (numerator, denominator)
        key = (numerator << _SHIFT) // denominator
        self._order.add((-key, position_id))
        self._top_key = max(self._top_key, key)

    def remove(self, position_id: int) -> None:
        """Take a position out; O(log n). Raises KeyError."""
        numerator, denominator = self.ratios.pop(position_id)
        self._order.remove((-((numerator << _SHIFT) // denominator), position_id))

    def between(self, low: tuple[int, int], high: tuple[int, int] | None) -> Iterable[int]:
        """Ids with low <= ratio (< high), highest first; ratios equal after flooring in order of their ids.

        Bounds are (numerator, denominator). A floored ratio above a floored bound is above the bound, one below is
        below; only where both are equal exact products are compared, so this equals a scan over everything.
        """
        low_key = (low[0] << _SHIFT) // low[1]
        return self._walk(low, low_key, high) if low_key <= self._top_key else ()

    def _walk(self, low: tuple[int, int], low_key: int, high: tuple[int, int] | None) -> Iterator[int]:
        self._top_key = -self._order[0][0] if self._order else -1
        high_key = None if high is None else (high[0] << _SHIFT) // high[1]
        start = None if high_key is None else (-high_key, 0)
        for negative_key, position_id in self._order.irange(start, (1 - low_key, 0), inclusive=(True, False)):
            key = -negative_key
            if key == low_key and not self._reaches(position_id, low):
                continue
            if key == high_key and high is not None and self._reaches(position_id, high):
                continue
            yield position_id

    def _reaches(self, position_id: int, bound: tuple[int, int]) -> bool:
        numerator, denominator = self.ratios[position_id]
        return numerator * bound[1] >= bound[0] * denominator

    def check(self) -> None:
        """Prove that the order holds exactly the ratios, and nothing above its upper bound; raises `CheckError`."""
        expected = sorted((-((over << _SHIFT) // under), key) for key, (over, under) in self.ratios.items())
        if expected != list(self._order):
            raise CheckError(f"the waiting order is not that of its ratios: {expected[:5]} ..., {self._order[:5]} ...")
        if self._order and -self._order[0][0] > self._top_key:
            raise CheckError(f"a ratio of {-self._order[0][0]} waits above the highest known, {self._top_key}")
