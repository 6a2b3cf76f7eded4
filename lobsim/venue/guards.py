"""What a venue may do to slow a fall down: price bands around the mark, and halts after too fast a move.

Levers, off unless a scenario sets them. Both look only at the own market.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from lobsim.book import OrderBook
from lobsim.errors import InputError
from lobsim.events import Reason, Side, SubmitOrder, TimeInForce

PPM = 1_000_000


class CircuitBreaker(NamedTuple):
    """Halt for `pause_ns` once the last price stands `fall_ppm` or more below the highest of the past `window_ns`."""

    fall_ppm: int
    window_ns: int
    pause_ns: int

    def check(self) -> None:
        """Raise `InputError` when it makes no sense."""
        if not 0 < self.fall_ppm < PPM or self.window_ns < 1 or self.pause_ns < 1:
            raise InputError(
                f"a circuit breaker needs a fall in 1 to {PPM - 1} ppm, a window and a pause above 0 ns, not {self}"
            )


class MarketGuard:
    """Price band and halts of one market.

    band_ppm: no buy above the mark by more than this, no sell below it by more: limit orders beyond are rejected
    (`PRICE_BAND`), market orders walk as far as the band and their rest is cancelled. Without a mark there is no band.
    Halted: new orders and replaces are rejected (`HALTED`), cancels are not. Bias: the breaker looks at mark updates
    only, so a fall within one is seen at its end; after a halt it forgets what was before.
    """

    __slots__ = ("_band_ppm", "_breaker", "_peaks", "halted_until_ns", "high", "low")

    def __init__(self, band_ppm: int | None = None, breaker: CircuitBreaker | None = None) -> None:
        if band_ppm is not None and not 0 < band_ppm < PPM:
            raise InputError(f"a price band must lie in 1 to {PPM - 1} ppm of the mark, not {band_ppm}")
        if breaker is not None:
            breaker.check()
        self._band_ppm = band_ppm
        self._breaker = breaker
        self._peaks: deque[tuple[int, int]] = deque()  # falling prices: the first is the highest of the window
        self.low: int | None = None
        self.high: int | None = None
        self.halted_until_ns = -1

    def update(self, book: OrderBook, mark_price: int | None, time_ns: int) -> bool:
        """Follow the mark; True when trading is halted because of the fall seen now."""
        if self._band_ppm is not None and mark_price is not None:
            self.low = max(1, -(-mark_price * (PPM - self._band_ppm) // PPM))
            self.high = mark_price * (PPM + self._band_ppm) // PPM
        breaker, last = self._breaker, book.last_price
        if breaker is None or last is None or time_ns < self.halted_until_ns:
            return False
        peaks = self._peaks
        while peaks and peaks[-1][1] <= last:
            peaks.pop()
        peaks.append((time_ns, last))
        while peaks[0][0] <= time_ns - breaker.window_ns:
            peaks.popleft()
        if last * PPM > peaks[0][1] * (PPM - breaker.fall_ppm):
            return False
        peaks.clear()
        self.halt(time_ns + breaker.pause_ns)
        return True

    def halt(self, until_ns: int) -> None:
        """Halt trading until then (at least)."""
        self.halted_until_ns = max(self.halted_until_ns, until_ns)

    def refusal(self, side: Side, price: int | None, time_ns: int) -> Reason | None:
        """Why an order of that side and limit may not come in now; None when it may."""
        if time_ns < self.halted_until_ns:
            return Reason.HALTED
        if price is None or self.low is None or self.high is None:
            return None
        return Reason.PRICE_BAND if (price < self.low if side else price > self.high) else None

    def bounded(self, order: SubmitOrder) -> SubmitOrder:
        """A market order as it may walk: to the band, and its rest is cancelled. Others as they are.

        A market stop may walk as far below (above) its trigger as the band lies from the mark.
        """
        if order.price is not None or self._band_ppm is None or self.low is None or self.high is None:
            return order
        limit = self.low if order.side else self.high
        if order.trigger_price is not None:
            beyond = PPM - self._band_ppm if order.side else PPM + self._band_ppm
            limit = max(1, order.trigger_price * beyond // PPM)
        tif = order.tif if order.tif == TimeInForce.FOK else TimeInForce.IOC
        return order._replace(price=limit, tif=tif, expire_ns=None)
