"""Shapley shares: how much of a fall each mechanism accounts for, averaged over every order of switching them on.

A *coalition* is the set of mechanisms that are on, written as a bit mask: bit i is mechanism i. Its value v is the
measured outcome, one number per seed. The share of mechanism i (L. S. Shapley, 1953) is the mean, over all orders in
which the mechanisms could be switched on one after the other, of what v gains when i's turn comes:

    phi_i = sum over S without i of |S|! (m - |S| - 1)! / m! * (v(S + i) - v(S))

Shares sum to v(all) - v(none). What is left with none on, v(none), is the doing of the shock alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import factorial

import numpy as np
from numpy.typing import NDArray

from lobsim.errors import InputError
from lobsim.sim.streams import Stream

Array = NDArray[np.float64]

MOST_EXACT = 16
"""Mechanisms whose full lattice (65,536 coalitions) is still walked."""


def exact_shares(values: Mapping[int, Array], mechanisms: int) -> Array:
    """Shares per seed and mechanism, shape (seeds, mechanisms), from the value of every coalition.

    values: coalition -> one value per seed. Raises `InputError` for more mechanisms than can be walked.
    Complexity: O(mechanisms * 2**mechanisms * seeds).
    """
    if mechanisms > MOST_EXACT:
        raise InputError(f"{mechanisms} mechanisms: exact shares take 2**{mechanisms} combinations; sample instead")
    weights = [factorial(size) * factorial(mechanisms - size - 1) / factorial(mechanisms) for size in range(mechanisms)]
    shares = np.zeros((len(values[0]), mechanisms))
    for coalition in range(1 << mechanisms):
        weight = weights[coalition.bit_count()] if coalition.bit_count() < mechanisms else 0.0
        for one in range(mechanisms):
            if not coalition >> one & 1:
                shares[:, one] += weight * (values[coalition | 1 << one] - values[coalition])
    return shares


def sampled_shares(values: Mapping[int, Array], orders: Sequence[Sequence[int]]) -> Array:
    """What each mechanism added in each order, shape (seeds, orders, mechanisms); the mean over orders is its share.

    values: every coalition that `coalitions(orders)` names. In each order the gains sum to v(all) - v(none), so the
    means do. Unbiased; A. Castro, D. Gomez, J. Tejada, "Polynomial calculation of the Shapley value based on
    sampling", Computers & Operations Research 36, 2009.
    """
    mechanisms = len(orders[0])
    gains = np.empty((len(values[0]), len(orders), mechanisms))
    for number, order in enumerate(orders):
        coalition = 0
        for one in order:
            gains[:, number, one] = values[coalition | 1 << one] - values[coalition]
            coalition |= 1 << one
    return gains


def draw_orders(mechanisms: int, count: int, seed: int = 0) -> list[tuple[int, ...]]:
    """`count` random orders, each followed by its reverse: what comes late in one comes early in the other.

    From the stream ``sweep.shapley`` of `seed`; a longer list begins with the shorter one, so that a larger budget
    adds to what has been run.
    """
    generator = Stream(seed, "sweep.shapley").generator("orders")
    orders: list[tuple[int, ...]] = []
    while len(orders) < count:
        order = tuple(int(one) for one in generator.permutation(mechanisms))
        orders += [order, order[::-1]]
    return orders[:count]


def coalitions(orders: Sequence[Sequence[int]]) -> list[int]:
    """Every coalition that switching on in these orders passes through, each once, in order of first use."""
    found: dict[int, None] = {}
    for order in orders:
        coalition = 0
        found[coalition] = None
        for one in order:
            coalition |= 1 << one
            found[coalition] = None
    return list(found)
