"""Probability that the mid goes up next in the model of Cont, Stoikov and Talreja (2010), computed and simulated.

In their model (doi:10.1287/opre.1090.0780) orders have size one. With a spread of one tick, limit orders join the best
bid and the best ask at rate lambda(1) each, market orders take one from each at rate mu, and every resting order is
cancelled at rate theta(1). Until one of them is empty the two queues are therefore independent birth-death processes,
and the mid goes up next when the ask queue empties first.
"""

from __future__ import annotations

from math import comb, log, pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lobsim import OrderBook
from lobsim.events import Side
from lobsim.sim.streams import Stream

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]


class Rates(NamedTuple):
    """Per side, in events per second: limit orders at the best quote, market orders, cancellations per order."""

    limit: float
    market: float
    cancel: float


PAPER = Rates(limit=1.85, market=0.94, cancel=0.71)  # their estimates for Sky Perfect Communications, distance 1


# --- by Laplace transforms ------------------------------------------------------------------------------------------


def first_passage(queue: int, rates: Rates, s: Complex) -> Complex:
    """Laplace transform E[exp(-s * T)] of the time T until a queue of that length is empty.

    The time to go from i to i - 1 has the transform ``f_i = d_i / (b + d_i + s - b * f_(i + 1))`` with birth rate b and
    death rate ``d_i = mu + i * theta``; unrolled it is the continued fraction of their equation (12) (Abate and Whitt
    1999, "Computing Laplace transforms for numerical inversion via continued fractions"). Times add, so transforms
    multiply. The fraction is cut off a hundred terms after deaths have become twice as frequent as births.
    """
    birth, market, cancel = rates
    last = queue + 100 + (int(2 * birth / cancel) if cancel else 2_000)
    step: Complex = np.zeros_like(s)
    product: Complex = np.ones_like(s)
    for length in range(last, 0, -1):
        death = market + length * cancel
        step = death / (birth + death + s - birth * step)
        if length <= queue:
            product = product * step
    return product


def euler_inversion(transform: Complex, abscissa: float, terms: int, extra: int) -> Real:
    """Sum of the Euler algorithm over a transform at ``(abscissa + 2 k pi i) / (2 t)``, k = 0 .. terms + extra.

    Abate and Whitt (1995, doi:10.1287/ijoc.7.1.36): the Bromwich integral by the trapezoidal rule, its alternating
    series summed by Euler's binomial average. Returns t * f(t); the error is about exp(-abscissa).
    """
    signs = (-1.0) ** np.arange(len(transform))
    series = signs[:, None] * transform.real
    series[0] /= 2
    partial = np.cumsum(series, axis=0)[terms:]
    weights = np.array([comb(extra, k) for k in range(extra + 1)]) / 2.0**extra
    summed: Real = np.exp(abscissa / 2) * (weights @ partial)
    return summed


def up_probability(bid_queue: int, ask_queue: int, rates: Rates = PAPER) -> float:
    """P(the ask queue empties before the bid queue): density of the one time times survival of the other, integrated.

    Both are inverted numerically from their transforms. Absolute error below 1e-6.
    """
    abscissa, terms, extra = 18.4, 40, 12
    # Gauss-Legendre in the logarithm of time; before and after, nothing happens
    nodes, weights = np.polynomial.legendre.leggauss(160)
    low, high = log(1e-7), log(400.0)
    times = np.exp(low + (high - low) * (nodes + 1) / 2)
    s = (abscissa + 2j * pi * np.arange(terms + extra + 1)[:, None]) / (2 * times)
    density = euler_inversion(first_passage(ask_queue, rates, s), abscissa, terms, extra)
    survival = euler_inversion((1 - first_passage(bid_queue, rates, s)) / s, abscissa, terms, extra) / times
    return float(weights @ (density * survival) * (high - low) / 2)  # density is t * f(t), and dt = t * d(log t)


# --- by a linear system, to check the above -------------------------------------------------------------------------


def up_probability_by_states(bid_queue: int, ask_queue: int, rates: Rates = PAPER, longest: int = 30) -> float:
    """The same from the linear equations of the Markov chain of both queues, neither longer than `longest`."""
    birth, market, cancel = rates
    number = {(b, a): i for i, (b, a) in enumerate(np.ndindex(longest, longest))}  # queues of b + 1 and a + 1
    matrix, right = np.eye(len(number)), np.zeros(len(number))
    for (b, a), i in number.items():
        moves = [
            ((b + 1, a), birth * (b + 1 < longest)),
            ((b, a + 1), birth * (a + 1 < longest)),
            ((b - 1, a), market + (b + 1) * cancel),
            ((b, a - 1), market + (a + 1) * cancel),
        ]
        total = sum(rate for _, rate in moves)
        for state, rate in moves:
            if state in number:
                matrix[i, number[state]] -= rate / total
            elif state[1] < 0:
                right[i] += rate / total
    return float(np.linalg.solve(matrix, right)[number[bid_queue - 1, ask_queue - 1]])


# --- by simulation through the matching engine ----------------------------------------------------------------------

_BID, _ASK = 1000, 1001
_QUEUES, _WALLS = 1, 2  # owners: the queues at the touch, and what stands behind them


class Simulated(NamedTuple):
    """What a number of paths came to."""

    paths: int
    ups: int
    commands: int
    fills: int

    @property
    def probability(self) -> float:
        """Share of paths in which the mid went up first."""
        return self.ups / self.paths


def simulate(bid_queue: int, ask_queue: int, paths: int, seed: int = 1, rates: Rates = PAPER) -> Simulated:
    """Play the process through an `OrderBook` until its mid moves, `paths` times from the same queues.

    The book is the only state: rates follow from the lots it shows at the touch, market orders take what its time
    priority gives them, and a path ends when its best bid or ask is another one. Only the order of events matters here,
    so the embedded jump chain is drawn and no waiting times.
    """
    birth, market, cancel = rates
    uniform = Stream(seed, f"queues/{bid_queue}/{ask_queue}").uniform
    book = OrderBook()
    submit, quotes = book.submit, book.quotes
    buy, sell = Side.BUY, Side.SELL
    submit(1, buy, 1, _BID - 1, owner=_WALLS)
    submit(2, sell, 1, _ASK + 1, owner=_WALLS)
    next_id, ups, commands, fills = 3, 0, 0, 0
    for _ in range(paths):
        book.cancel_all(_QUEUES)
        live: dict[Side, list[int]] = {}
        for side, count, price in ((buy, bid_queue, _BID), (sell, ask_queue, _ASK)):
            live[side] = list(range(next_id, next_id + count))
            next_id += count
            for order_id in live[side]:
                submit(order_id, side, 1, price, owner=_QUEUES)
        bids, asks = live[buy], live[sell]
        while True:
            bid, bid_lots, ask, ask_lots = quotes()
            if bid != _BID or ask != _ASK:
                ups += ask != _ASK
                break
            commands += 1
            drawn = uniform() * (2 * (birth + market) + cancel * (bid_lots + ask_lots))
            if drawn < 2 * birth:
                side, price, queue = (buy, _BID, bids) if drawn < birth else (sell, _ASK, asks)
                submit(next_id, side, 1, price, owner=_QUEUES)
                queue.append(next_id)
                next_id += 1
                continue
            drawn -= 2 * birth
            if drawn < 2 * market:
                side, queue = (sell, bids) if drawn < market else (buy, asks)
                _, trade = submit(next_id, side, 1, None)
                queue.remove(trade[2])  # the maker
                next_id += 1
                fills += 1
                continue
            chosen = min(int((drawn - 2 * market) / cancel), bid_lots + ask_lots - 1)
            queue, place = (bids, chosen) if chosen < bid_lots else (asks, chosen - bid_lots)
            book.cancel(queue.pop(place))
    book.check()
    return Simulated(paths, ups, commands, fills)
