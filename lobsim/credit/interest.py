"""Interest on what is owed, exact and independent of how often it is brought up to date.

A debt is kept as a *scaled* integer that interest never touches; the market's index grows instead. What is owed is
``scaled * index / DEBT_UNIT``. The index counts in units of 1 ppm of a nanosecond's share of 365 days, so that

    index = INDEX_ONE + sum of rate_ppm * elapsed_ns

holds without any rounding: two runs that differ only in when they look at a debt owe the same. Interest is linear in
time since the market opened. Bias: it does not compound, and a debt taken when the index stands at 1 + x accrues
rate / (1 + x) of its principal; over a run of hours at 20 % a year that is less than 0.03 % of the interest.

A debt in whole quanta is rounded down (who pays is rounded down). The fraction is not lost: it stays in the scaled
debt until the last payment, which forgives less than one quantum; nothing of it is ever posted.
"""

from __future__ import annotations

from typing import Final

from lobsim.units import NS_PER_DAY

PPM: Final = 1_000_000
INDEX_ONE: Final = PPM * 365 * NS_PER_DAY
# A quantum of debt at INDEX_ONE is 10**9 scaled units, so scaling a whole amount loses less than 10**-9 quanta.
SCALED_PER_QUANTUM: Final = 10**9
DEBT_UNIT: Final = INDEX_ONE * SCALED_PER_QUANTUM


class InterestIndex:
    """Growth of one market's debts at `rate_ppm` (ppm per 365 days) since its clock stood at 0 ns."""

    __slots__ = ("rate_ppm", "time_ns", "value")

    def __init__(self, rate_ppm: int) -> None:
        self.rate_ppm = rate_ppm
        self.time_ns = 0
        self.value = INDEX_ONE

    def accrue(self, time_ns: int) -> None:
        """Move the clock; raises ValueError when it would go back."""
        if time_ns < self.time_ns:
            raise ValueError(f"interest cannot accrue backwards, from {self.time_ns} ns to {time_ns} ns")
        self.value += self.rate_ppm * (time_ns - self.time_ns)
        self.time_ns = time_ns


class Debt:
    """What one borrower owes: `scaled` units that interest multiplies, and the `principal` not yet repaid (quanta)."""

    __slots__ = ("principal", "scaled")

    def __init__(self) -> None:
        self.scaled = 0
        self.principal = 0

    def owed(self, index: int) -> int:
        """Principal and accrued interest at this index, in whole quanta, rounded down."""
        return self.scaled * index // DEBT_UNIT

    def draw(self, amount: int, index: int) -> None:
        """Owe `amount` quanta more (the scaled amount is rounded up, by less than 10**-9 quanta)."""
        self.scaled += -(-amount * DEBT_UNIT // index)
        self.principal += amount

    def pay(self, amount: int, index: int) -> tuple[int, int]:
        """Owe `amount` quanta less, interest first; returns how much was (interest, principal).

        Raises ValueError for more than is owed. O(1).
        """
        owed = self.owed(index)
        if not 0 <= amount <= owed:
            raise ValueError(f"cannot pay {amount} of a debt of {owed}")
        interest = min(amount, owed - self.principal)
        self.principal -= amount - interest
        self.scaled = self.scaled - amount * DEBT_UNIT // index if amount < owed else 0
        return interest, amount - interest
