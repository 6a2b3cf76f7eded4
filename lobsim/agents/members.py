"""What crowds of many members have in common: one look at the market for all, and a delay of its own for each."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from math import exp

from lobsim.agents.base import AgentParams, Context, CrowdAgent
from lobsim.sim.clock import Alarm, EventClass
from lobsim.sim.streams import Stream


def spread(stream: Stream, count: int, median: float, sigma: float) -> list[float]:
    """`count` draws of a lognormal distribution: one threshold, or one size, a member."""
    return [median * exp(sigma * stream.normal()) for _ in range(count)]


def shares(stream: Stream, count: int, sigma: float) -> list[float]:
    """`count` lognormal weights that add up to 1."""
    weights = spread(stream, count, 1.0, sigma)
    total = sum(weights)
    return [weight / total for weight in weights]


class PastPrice:
    """The price a window ago, or the oldest one known while the window is not full yet. Amortised O(1) a look."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._seen: deque[tuple[int, float]] = deque()

    def change(self, now_ns: int, price: float) -> float:
        """Relative change of `price` against a window ago; looks come in order of time."""
        seen = self._seen
        seen.append((now_ns, price))
        start = now_ns - self._window_ns
        while len(seen) > 1 and seen[1][0] <= start:
            seen.popleft()
        return price / seen[0][1] - 1


class RecentHigh:
    """The highest price of the last window, the present one included. Amortised O(1) a look."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._falling: deque[tuple[int, float]] = deque()  # later and lower ones only: an earlier low never counts

    def fall(self, now_ns: int, price: float) -> float:
        """How far `price` is below the high of the window, as a fraction of it; looks come in order of time."""
        falling = self._falling
        while falling and falling[-1][1] <= price:
            falling.pop()
        falling.append((now_ns, price))
        while falling[0][0] < now_ns - self._window_ns:
            falling.popleft()
        return 1 - price / falling[0][1]


class WatchingCrowd(CrowdAgent):
    """Looks every `look` nanoseconds, at a phase of its own; members it calls act when their delay is over.

    One alarm serves them all. Subclasses fill in `on_look` and `on_call`.
    """

    def __init__(self, params: AgentParams, context: Context, look_ns: int) -> None:
        super().__init__(params, context)
        self._look_ns = look_ns
        self._next_look = int(self.stream.uniform() * look_ns)
        self._called: list[tuple[int, int]] = []
        self._alarm = Alarm(self.clock, EventClass.MESSAGE, context.name, self._ring)

    def start(self) -> None:
        """Begin to look."""
        self._arm()

    def on_look(self) -> None:
        """See what there is to see, and call members."""

    def on_call(self, member: int) -> None:
        """A member's delay is over."""

    def call(self, member: int, delay_ns: int) -> None:
        """`on_call(member)` happens `delay_ns` from now: from within `on_look` or `on_call`, or at the next look."""
        heappush(self._called, (self.clock.now + delay_ns, member))

    def _ring(self) -> None:
        now = self.clock.now
        if now >= self._next_look:
            self._next_look = now + self._look_ns
            self.on_look()
        called = self._called
        while called and called[0][0] <= now:
            self.on_call(heappop(called)[1])
        self._arm()

    def _arm(self) -> None:
        due = self._next_look
        if self._called and self._called[0][0] < due:
            due = self._called[0][0]
        self._alarm.arm(max(due, self.clock.now))
