"""Isolated positions of one perpetual contract, waiting for the mark that breaches them.

With L lots (long: L > 0), cost C, margin M, mark value V = |L| * price, F the contract's funding per lot since ever and
f its value when the position was opened or changed, a long is breached when M + V - C - L (F - f) <= V * r - d for the
bracket (r, d) of its maintenance margin, that is when

    price * (1 - r) - F  <=  (C - M - d) / L - f

whose right side never moves: funding and the mark only move the threshold, which all longs of a bracket share. Shorts
are the mirror image, with price * (1 + r) - F >= .... So the positions of a side and bracket stand in one order, and a
mark touches only what it breaches.

The bracket of a position is the one in which its liquidation value lies when it is opened or changed: there the
piecewise margin is exact. Bias: funding that accrues later may carry that value across a border, and the position then
keeps its old line, a difference of (difference of rates) x (notional beyond the border).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping

from lobsim.credit.contract_terms import Bracket
from lobsim.credit.interest import PPM
from lobsim.credit.waiting import WaitingOrder
from lobsim.errors import CheckError

# Funding per lot counts in these fractions of a quote quantum.
FUNDING_UNIT = 10**9
_SHIFT = 64


class IsolatedPosition:
    """One position: signed lots and cost (quote quanta), its margin, the funding index its cost includes, its age."""

    __slots__ = ("account", "age", "bracket", "cost", "funding", "lots", "margin", "position_id")

    def __init__(self, position_id: int, account: int, age: int) -> None:
        self.position_id = position_id
        self.account = account
        self.age = age
        self.lots = 0
        self.cost = 0
        self.margin = 0
        self.funding = 0
        self.bracket = 0

    def accrued(self, funding: int) -> int:
        """Funding owed since, in fractions `FUNDING_UNIT` of a quantum: negative when it is to be received."""
        return self.lots * (funding - self.funding)

    def full_cost(self, funding: int) -> int:
        """Cost with accrued funding in whole quanta: what is owed is rounded up, what is to come down."""
        return self.cost - (-self.accrued(funding) // FUNDING_UNIT)


class IsolatedShelf:
    """The positions by id, their two times `brackets` waiting orders, and columns for numpy to preselect from."""

    def __init__(self, unit: int, brackets: tuple[Bracket, ...]) -> None:
        self._unit = unit
        self._brackets = brackets
        self._positions: dict[int, IsolatedPosition] = {}
        self._waiting = {side: [WaitingOrder() for _ in brackets] for side in (1, -1)}
        # By position id; approximate (doubles), for `adl`: lots 0 once the position is gone.
        self.lots_column = array("d", (0.0,))
        self.cost_column = array("d", (0.0,))
        self.margin_column = array("d", (0.0,))
        self.funding_column = array("d", (0.0,))
        self.long_lots = 0
        self.short_lots = 0
        self.margin = 0
        self._opened = 0

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, position_id: int) -> bool:
        return position_id in self._positions

    def __iter__(self) -> Iterator[int]:
        return iter(self._positions)

    def get(self, position_id: int) -> IsolatedPosition | None:
        """The position, None when it is gone."""
        return self._positions.get(position_id)

    def values(self) -> Iterable[IsolatedPosition]:
        """All positions in order of opening."""
        return self._positions.values()

    def open(self, account: int, age: int, lots: int, cost: int, margin: int, funding: int) -> IsolatedPosition:
        """Add a position and let it wait. O(log n)."""
        self._opened += 1
        position = IsolatedPosition(self._opened, account, age)
        self._positions[self._opened] = position
        for column in (self.lots_column, self.cost_column, self.margin_column, self.funding_column):
            column.append(0.0)
        self._enter(position, lots, cost, margin, funding)
        return position

    def change(self, position: IsolatedPosition, lots: int, cost: int, margin: int, funding: int) -> None:
        """Give a position new numbers, or close it with 0 lots. O(log n)."""
        self._leave(position)
        if lots:
            self._enter(position, lots, cost, margin, funding)
        else:
            position.lots = position.cost = position.margin = 0
            del self._positions[position.position_id]

    def _enter(self, position: IsolatedPosition, lots: int, cost: int, margin: int, funding: int) -> None:
        position.lots = lots
        position.cost = cost
        position.margin = margin
        position.funding = funding
        position.bracket = self._bracket_of(lots, cost, margin)
        slot = position.position_id
        self._waiting[1 if lots > 0 else -1][position.bracket].add(slot, *self._key(position))
        if lots > 0:
            self.long_lots += lots
        else:
            self.short_lots -= lots
        self.margin += margin
        self.lots_column[slot] = lots
        self.cost_column[slot] = cost
        self.margin_column[slot] = margin
        self.funding_column[slot] = funding

    def _leave(self, position: IsolatedPosition) -> None:
        lots = position.lots
        self._waiting[1 if lots > 0 else -1][position.bracket].remove(position.position_id)
        if lots > 0:
            self.long_lots -= lots
        else:
            self.short_lots += lots
        self.margin -= position.margin
        self.lots_column[position.position_id] = 0.0

    def _bracket_of(self, lots: int, cost: int, margin: int) -> int:
        """Where the liquidation value lies: the first bracket whose own line is met below the next one's start."""
        brackets = self._brackets
        last = len(brackets) - 1
        for number in range(last):
            _, rate, deduction = brackets[number]
            if lots > 0:  # value * (1 - rate) = cost - margin - deduction
                over, under = (cost - margin) * PPM - deduction, PPM - rate
            else:  # value * (1 + rate) = -cost + margin + deduction
                over, under = (margin - cost) * PPM + deduction, PPM + rate
            if over < brackets[number + 1].notional_from * under:
                return number
        return last

    def _key(self, position: IsolatedPosition) -> tuple[int, int]:
        """The right side of the breach, times PPM * FUNDING_UNIT; of a short with its sign turned."""
        deduction = self._brackets[position.bracket].deduction_ppm
        lots = position.lots
        level = ((position.cost - position.margin) * PPM - deduction) * FUNDING_UNIT
        return level - lots * position.funding * PPM, abs(lots)

    def breached(self, mark_ticks: int, funding: int) -> list[int]:
        """Ids of positions whose margin left is at most their maintenance margin, the one furthest beyond first.

        Beyond by the distance from its liquidation price to the mark, in ticks floored to 2**-64; equal ones by id.
        O(brackets * log n + breached * log breached).
        """
        value = mark_ticks * self._unit
        found = []
        for side, orders in self._waiting.items():
            for bracket, order in zip(self._brackets, orders, strict=True):
                keep = PPM - side * bracket.rate_ppm
                bound = side * (value * keep * FUNDING_UNIT - funding * PPM)
                under = self._unit * keep * FUNDING_UNIT
                for position_id in order.between((bound, 1), None):
                    over, lots = order.ratios[position_id]
                    found.append((-(((over - bound * lots) << _SHIFT) // (under * lots)), position_id))
        found.sort()
        return [position_id for _, position_id in found]

    def liquidation_price(self, position: IsolatedPosition, funding: int) -> tuple[int, int]:
        """The mark in ticks at which the position is just breached, exactly."""
        side = 1 if position.lots > 0 else -1
        over, lots = self._key(position)
        keep = PPM - side * self._brackets[position.bracket].rate_ppm
        return side * over + funding * PPM * lots, keep * FUNDING_UNIT * self._unit * lots

    def maintenance(self, position: IsolatedPosition, mark_ticks: int) -> int:
        """Maintenance margin by the position's bracket, in ppm of quote quanta."""
        _, rate, deduction = self._brackets[position.bracket]
        return abs(position.lots) * mark_ticks * self._unit * rate - deduction

    def check(self) -> None:
        """Prove orders, columns and totals from the positions; raises `CheckError`."""
        wanted: dict[tuple[int, int], dict[int, tuple[int, int]]] = {}
        for position_id, position in self._positions.items():
            side = 1 if position.lots > 0 else -1
            wanted.setdefault((side, position.bracket), {})[position_id] = self._key(position)
        for side, orders in self._waiting.items():
            for number, order in enumerate(orders):
                order.check()
                if order.ratios != wanted.get((side, number), {}):
                    raise CheckError(f"isolated positions of side {side}, bracket {number} wait with other numbers")
        long_lots = sum(position.lots for position in self.values() if position.lots > 0)
        short_lots = -sum(position.lots for position in self.values() if position.lots < 0)
        margin = sum(position.margin for position in self.values())
        if (long_lots, short_lots, margin) != (self.long_lots, self.short_lots, self.margin):
            raise CheckError(
                f"isolated positions add up to {long_lots} long, {short_lots} short, margin {margin}; kept are"
                f" {self.long_lots}, {self.short_lots}, {self.margin}"
            )
        columns: Mapping[str, array[float]] = {"lots": self.lots_column, "cost": self.cost_column}
        for name, column in columns.items():
            for position_id, position in self._positions.items():
                if column[position_id] != float(getattr(position, name)):
                    raise CheckError(f"isolated position {position_id}: column of {name} says {column[position_id]}")
        if sum(1 for lots in self.lots_column if lots) != len(self._positions):
            raise CheckError("the column of lots holds positions that are gone")
