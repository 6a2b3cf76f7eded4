"""Looped leverage: pledge an asset, borrow against it, buy more of it, pledge that, and again. Exact arithmetic.

With capital C, loan to value q and n rounds of borrowing the position is the geometric sum

    P = C (1 + q + ... + q^n) = C (1 - q^(n+1)) / (1 - q),    debt D = P - C,    leverage L = P / C

of which D is value that stands on the books a second time: it was lent against what stood there before. The loop is
looked at as one loan: its own LTV is D / P, below q, because what the last round bought is not borrowed against.

* A fall f of the asset against the debt wipes it out at P (1 - f) = D: f = 1 / L.
* A lender who sells at the LTV l does so at D / (P (1 - f)) = l: f = 1 - D / (P l).
* Yield on the capital with asset yield y and borrowing rate b: L y - (L - 1) b.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from lobsim.errors import InputError

MOST_ROUNDS = 1000

Number = int | str | Decimal | Fraction


class Round(NamedTuple):
    """After one round: what it borrowed and pledged on top, and what that comes to in all. Round 0 is the capital."""

    number: int
    borrowed: Fraction
    position: Fraction
    debt: Fraction


class Loop(NamedTuple):
    """A loop as it stands after its last round; amounts in the currency of the capital."""

    capital: Fraction
    ltv: Fraction
    rounds: tuple[Round, ...]

    @property
    def position(self) -> Fraction:
        """Value of everything pledged."""
        return self.rounds[-1].position

    @property
    def debt(self) -> Fraction:
        """Everything borrowed: the value that is counted twice."""
        return self.rounds[-1].debt

    @property
    def leverage(self) -> Fraction:
        """Position over capital."""
        return self.position / self.capital

    @property
    def wipe_out_fall(self) -> Fraction:
        """Fall of the asset, a fraction, at which the position is worth its debt."""
        return self.capital / self.position

    def liquidating_fall(self, liquidation_ltv: Number) -> Fraction:
        """Fall at which the loop reaches `liquidation_ltv`; raises `InputError` when it stands there already."""
        limit = _share(liquidation_ltv, "liquidation_ltv", highest=True)
        own_ltv = self.debt / self.position
        if limit <= own_ltv:
            raise InputError(
                f"liquidation_ltv {liquidation_ltv}: the loop starts at an LTV of {float(own_ltv):.4f}; "
                "the lender must sell above that"
            )
        return 1 - own_ltv / limit

    def net_yield(self, asset_yield: Number, borrow_rate: Number) -> Fraction:
        """Yield on the capital a year, out of what the asset yields and the debt costs a year (fractions)."""
        leverage = self.leverage
        return leverage * _number(asset_yield, "apy") - (leverage - 1) * _number(borrow_rate, "borrow_rate")


def loop(capital: Number, ltv: Number, rounds: int) -> Loop:
    """Build a loop of `rounds` rounds at `ltv` on `capital`; raises `InputError` for what is no loop.

    Complexity: O(rounds), on numbers that grow by the digits of `ltv` each round.
    """
    stake, share = _number(capital, "capital"), _share(ltv, "ltv")
    if stake <= 0:
        raise InputError(f"capital {capital}: must be above 0")
    if not 0 <= rounds <= MOST_ROUNDS:
        raise InputError(f"rounds {rounds}: must lie between 0 and {MOST_ROUNDS}")
    table = [Round(0, Fraction(0), stake, Fraction(0))]
    pledged = stake
    for number in range(1, rounds + 1):
        pledged *= share
        table.append(Round(number, pledged, table[-1].position + pledged, table[-1].debt + pledged))
    return Loop(stake, share, tuple(table))


def _share(value: Number, name: str, *, highest: bool = False) -> Fraction:
    share = _number(value, name)
    if not 0 <= share <= 1 or (share == 1 and not highest):
        raise InputError(f"{name} {value}: must lie between 0 and 1{'' if highest else ', below 1'}")
    return share


def _number(value: Number, name: str) -> Fraction:
    try:
        return Fraction(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError(f"{name} {str(value)[:60]!r}: no number") from None
