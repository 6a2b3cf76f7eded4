"""Named random streams.

A stream belongs to a *name*: its seed is a hash of (run seed, name), so adding or switching off one component shifts
nobody else's draws, and two runs that differ in one mechanism are paired. Numbers are drawn in blocks and handed out as
Python floats; agents turn them into ticks, lots and nanoseconds at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256

import numpy as np

_BLOCK = 2048

Draw = Callable[[], float]


class Stream:
    """Independent sequences of one name: each call of an attribute gives the next number of its own sequence.

    uniform: [0, 1). exponential: mean 1. normal: mean 0, standard deviation 1.
    """

    __slots__ = ("_seed", "exponential", "name", "normal", "uniform")

    uniform: Draw
    exponential: Draw
    normal: Draw

    def __init__(self, seed: int, name: str) -> None:
        self._seed = seed
        self.name = name
        self.uniform = _blocks(self.generator("uniform").random)
        self.exponential = _blocks(self.generator("exponential").standard_exponential)
        self.normal = _blocks(self.generator("normal").standard_normal)

    def generator(self, kind: str) -> np.random.Generator:
        """A generator of its own for (seed, name, kind), for draws that the attributes do not cover."""
        digest = sha256(f"{self._seed}/{self.name}/{kind}".encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))

    def below(self, count: int) -> int:
        """Uniform integer in [0, count)."""
        return int(self.uniform() * count)


class Streams:
    """All streams of a run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, name: str) -> Stream:
        """The stream of that name; asking twice starts it anew, so every component asks once."""
        return Stream(self.seed, name)


def _blocks(draw: Callable[[int], np.ndarray[tuple[int], np.dtype[np.float64]]]) -> Draw:
    def numbers() -> Iterator[float]:
        while True:
            yield from draw(_BLOCK).tolist()

    return numbers().__next__
