"""Measures of market quality as their definitions say them: plain loops and fractions over what a book itself said.

Nothing here reads a recorded table: `Witness` stands beside the book and notes every state and every trade.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from math import log
from typing import NamedTuple

from lobsim.book import OrderBook
from lobsim.events import Advance, Command, EventKind, Purpose, Side
from lobsim.measure import Run
from tests.measure.recording import MemoryRecorder, apply

Levels = list[tuple[int, int]]


class State(NamedTuple):
    """A book after a command: displayed levels, best first."""

    time_ns: int
    bids: Levels
    asks: Levels

    @property
    def mid(self) -> Fraction | None:
        return Fraction(self.bids[0][0] + self.asks[0][0], 2) if self.bids and self.asks else None

    @property
    def spread(self) -> int | None:
        return self.asks[0][0] - self.bids[0][0] if self.bids and self.asks else None


class Print(NamedTuple):
    """One trade."""

    time_ns: int
    side: Side
    price: int
    qty: int
    purpose: Purpose
    taker: int


class Witness:
    """Sends commands to a book, records them, and remembers what it saw."""

    def __init__(self, commands: Sequence[Command]) -> None:
        book, recorder = OrderBook(), MemoryRecorder()
        self.states: list[State] = []
        self.trades: list[Print] = []
        self.first_quote: int | None = None
        quote = (None, 0, None, 0)
        for command in _with_expiries(book, commands):
            events = apply(book, command)
            recorder.events(0, events)
            self.trades += [Print(e[1], e[4], e[5], e[6], e[7], e[8]) for e in events if e[0] == EventKind.TRADE]
            self.states.append(State(book.time_ns, book.bids(), book.asks()))
            now = (book.best_bid, book.best_bid_qty, book.best_ask, book.best_ask_qty)
            if now != quote:
                quote = now
                recorder.quote(0, book.time_ns, *now)
                if self.first_quote is None:
                    self.first_quote = len(self.states) - 1
        self.run: Run = recorder.run()
        self.end_ns = self.run.end_ns

    def at(self, time_ns: int) -> State:
        """The last state with a time up to `time_ns`."""
        return next((state for state in reversed(self.states) if state.time_ns <= time_ns), State(0, [], []))

    def intervals(self, step: int) -> list[tuple[int, int]]:
        return list(pairwise(range(0, self.end_ns + 1, step)))


def _with_expiries(book: OrderBook, commands: Sequence[Command]) -> Iterator[Command]:
    """The commands, and between two of them a look at every moment at which an order expires."""
    for command in commands:
        until = command.time_ns
        while until is not None and (due := book.next_expiry_ns) is not None and book.time_ns < due < until:
            yield Advance(due)
        yield command


def costs(seen: Witness, horizon: int) -> list[tuple[Fraction | None, Fraction | None, Fraction | None]]:
    """(effective, realised, mid before) of every trade: spreads in ticks."""
    found = []
    for trade in seen.trades:
        before = seen.at(trade.time_ns - 1).mid
        after = seen.at(trade.time_ns + horizon).mid if trade.time_ns + horizon <= seen.end_ns else None
        sign = 1 if trade.side is Side.BUY else -1
        effective = None if before is None else 2 * sign * (trade.price - before)
        realised = None if before is None or after is None else 2 * sign * (trade.price - after)
        found.append((effective, realised, before))
    return found


def mean_over_time(values: Sequence[Fraction | None]) -> tuple[Fraction | None, Fraction]:
    """Mean of one value per nanosecond over those that are known, and the share of them."""
    known = [value for value in values if value is not None]
    return (sum(known, Fraction(0)) / len(known) if known else None), Fraction(len(known), len(values))


def best_imbalance(state: State) -> Fraction | None:
    return imbalance(state.bids[:1], state.asks[:1])


def imbalance(bids: Levels, asks: Levels) -> Fraction | None:
    bid, ask = sum(qty for _, qty in bids), sum(qty for _, qty in asks)
    return Fraction(bid - ask, bid + ask) if bid + ask else None


def flow(before: State, after: State) -> int:
    """e_n of Cont, Kukanov and Stoikov, case by case."""
    total = 0
    old, new = (state.bids[0] if state.bids else None for state in (before, after))
    if old is None or (new is not None and new[0] >= old[0]):
        total += new[1] if new else 0
    if new is None or (old is not None and new[0] <= old[0]):
        total -= old[1] if old else 0
    old, new = (state.asks[0] if state.asks else None for state in (before, after))
    if old is None or (new is not None and new[0] <= old[0]):
        total -= new[1] if new else 0
    if new is None or (old is not None and new[0] >= old[0]):
        total += old[1] if old else 0
    return total


def order_flow(seen: Witness, step: int) -> list[tuple[int, Fraction | None]]:
    """(OFI, move of the mid in ticks) of every interval."""
    found = []
    for begin, end in seen.intervals(step):
        total = 0
        for number, (before, after) in enumerate(pairwise(seen.states)):
            known = seen.first_quote is not None and number >= seen.first_quote
            if known and begin < after.time_ns <= end:
                total += flow(before, after)
        first, last = seen.at(begin).mid, seen.at(end).mid
        found.append((total, None if first is None or last is None else last - first))
    return found


def regression(points: Sequence[tuple[Fraction, Fraction]]) -> tuple[Fraction, Fraction, Fraction | None] | None:
    """Slope, intercept and R^2 by the textbook's sums; None for fewer than three points or one x."""
    n = len(points)
    if n < 3 or len({x for x, _ in points}) < 2:
        return None
    x, y = (sum(column, Fraction(0)) / n for column in zip(*points, strict=True))
    across = sum((a - x) * (b - y) for a, b in points)
    along, up = sum((a - x) ** 2 for a, _ in points), sum((b - y) ** 2 for _, b in points)
    slope = Fraction(across) / along
    return slope, y - slope * x, (slope * across / up if up else None)


def volatility(seen: Witness, step: int, first: int = 0, last: int | None = None) -> tuple[int, float]:
    """(returns, sum of their squares) of mids between the samples number `first` and `last`."""
    mid, samples = None, []
    states = iter(seen.states)
    following = next(states, None)
    for time_ns in range(0, seen.end_ns + 1, step):
        while following is not None and following.time_ns <= time_ns:
            mid = following.mid or mid
            following = next(states, None)
        samples.append(mid)
    chosen = samples[first : None if last is None else last + 1]
    returns = [log(b / a) for a, b in pairwise(chosen) if a is not None and b is not None]
    return len(returns), sum(value**2 for value in returns)


def illiquidity(seen: Witness, step: int) -> list[float]:
    """|log return| per ticks * lots of every interval that has trades and a price before."""
    found = []
    for begin, end in seen.intervals(step):
        before = [trade.price for trade in seen.trades if trade.time_ns <= begin]
        inside = [trade for trade in seen.trades if begin < trade.time_ns <= end]
        if before and inside:
            value = sum(trade.price * trade.qty for trade in inside)
            found.append(abs(log(inside[-1].price / before[-1])) / value)
    return found


def drawdown(prices: Sequence[int]) -> Fraction:
    """Largest fall from any price to any later one."""
    falls = [1 - Fraction(low, high) for at, high in enumerate(prices) for low in prices[at:]]
    return max(falls, default=Fraction(0))


class Large(NamedTuple):
    """A large order's time and side."""

    time_ns: int
    side: Side


def large_orders(seen: Witness, quantile: Fraction, window: int) -> list[Large]:
    values: dict[tuple[int, int, Side], int] = {}
    for trade in seen.trades:
        key = (trade.time_ns, trade.taker, trade.side)
        values[key] = values.get(key, 0) + trade.price * trade.qty
    threshold = next(
        (
            value
            for value in sorted(values.values())
            if sum(other <= value for other in values.values()) >= quantile * len(values)
        ),
        0,
    )
    return [
        Large(time_ns, side)
        for (time_ns, _, side), value in values.items()
        if value >= threshold and seen.at(time_ns - 1).mid is not None and time_ns + window <= seen.end_ns
    ]


def depth(state: State, side: Side, band_pct: Fraction) -> int | None:
    """Lots within a band of the mid; an empty side is 0."""
    levels = state.bids if side is Side.BUY else state.asks
    if not levels:
        return 0
    mid = state.mid
    return None if mid is None else sum(qty for price, qty in levels if abs(price - mid) <= mid * band_pct / 100)


def recoveries(
    seen: Witness, quantile: Fraction, window: int, steps: int, band_pct: Fraction
) -> list[tuple[list[int | None], list[int | None], bool]]:
    """(excess spread, missing depth, reverted) of every large order."""
    found = []
    for order in large_orders(seen, quantile, window):
        hit = Side(1 - order.side)
        before = seen.at(order.time_ns - 1)
        former, usual = before.spread, depth(before, hit, band_pct)
        assert former is not None
        assert usual is not None
        states = [seen.at(order.time_ns + number * (window // steps)) for number in range(steps + 1)]
        excess = [None if state.spread is None else state.spread - former for state in states]
        depths = [depth(state, hit, band_pct) for state in states]
        missing = [None if lots is None else usual - lots for lots in depths]
        later = [trade.time_ns for trade in seen.trades if trade.time_ns > order.time_ns]
        until = min([order.time_ns + window, *(time_ns - 1 for time_ns in later[:1])])
        looked = [seen.at(time_ns) for time_ns in range(order.time_ns, until + 1)]
        reverted = any(state.spread is not None and state.spread <= former for state in looked)
        found.append((excess, missing, reverted))
    return found


def mean(values: Sequence[int | None]) -> Fraction | None:
    known = [value for value in values if value is not None]
    return Fraction(sum(known), len(known)) if known else None
