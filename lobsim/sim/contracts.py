"""A crowd's isolated positions in a perpetual, which it opens and closes with orders of its own.

An order fills into the cross position of the crowd's account; at the same moment an isolated position is traded against
that, so nothing stays there: what was bought to close a short leaves the open interest, what was sold to open one adds
to it. An isolated position trades at whole ticks, the order's average seldom is one. It is rounded in the position's
favour, and what that is worth, less than a tick a lot, is paid by the account's cash: no quantum is made or lost, and a
position never comes out worse than at the order's own limit.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import NamedTuple

from lobsim.book import MAX_PRICE
from lobsim.credit import ContractBook, IsolatedView
from lobsim.events import Purpose, Side
from lobsim.sim.gateway import CrowdGateway, Fill

__all__ = ["ContractGateway", "IsolatedView", "Opening"]

_NOTHING = Fill(0, 0)


class Opening(NamedTuple):
    """A position that was opened, None when the order found nobody, and what the order got."""

    position_id: int | None
    fill: Fill


class ContractGateway:
    """One crowd's isolated positions in one perpetual: all that its account has, those opened before the run too.

    Traders keep account of their own positions, so they see them as they stand; prices they learn as all crowds do.
    """

    def __init__(self, crowd: CrowdGateway, instrument_id: int, contract: ContractBook) -> None:
        self._crowd = crowd
        self._instrument_id = instrument_id
        self._contract = contract

    @property
    def maintenance_rate(self) -> float:
        """Maintenance margin as a share of the notional, for the smallest positions."""
        return self._contract.terms.tiers[0].maintenance_ppm / 1_000_000

    def positions(self) -> tuple[IsolatedView, ...]:
        """Own positions in order of opening. O(positions of everybody)."""
        views = (self._contract.isolated(position_id) for position_id in self._contract)
        return tuple(view for view in views if view is not None and view.account == self._crowd.account_id)

    def position(self, position_id: int) -> IsolatedView | None:
        """A position as it stands; None once it is closed, liquidated or deleveraged. O(1)."""
        return self._contract.isolated(position_id)

    def close(self, position_id: int, lots: int, price: int | None, purpose: Purpose) -> Fill:
        """Send an order that takes what it can of up to `lots`, no worse than `price`, and close as much of a position.

        Never worse than the position's bankruptcy price either: beyond that it is the exchange's. Nothing is sent for a
        position that is gone. Raises ValueError for somebody else's.
        """
        view = self._contract.isolated(position_id)
        if view is None:
            return _NOTHING
        if view.account != self._crowd.account_id:
            raise ValueError(f"position {position_id} in {self._contract.name} is not one of {self._crowd.name}'s")
        over, under = view.bankruptcy_price
        if view.lots > 0:
            worst = -(-over // under)
            limit = price if worst <= 1 else worst if price is None else max(price, worst)
        else:
            worst = min(over // under, MAX_PRICE)
            limit = worst if price is None else min(price, worst)
        if lots < 1 or (limit is not None and limit < 1):
            return _NOTHING
        side = Side.SELL if view.lots > 0 else Side.BUY
        fill = self._crowd.take(self._instrument_id, side, min(lots, abs(view.lots)), limit, purpose)
        if fill.lots:
            ticks = _ticks(fill, up=view.lots > 0)
            self._contract.close_isolated(position_id, fill.lots, ticks, self._crowd.account_id)
        return fill

    def open(self, side: Side, lots: int, price: int | None, leverage: float, purpose: Purpose) -> Opening:
        """Send an order that takes what it can of up to `lots`, no worse than `price`, and open a position of as much.

        The account pays its margin, notional over `leverage` (rounded up) or what the contract asks for at least.
        """
        fill = self._crowd.take(self._instrument_id, side, lots, price, purpose) if lots >= 1 else _NOTHING
        if not fill.lots:
            return Opening(None, fill)
        contract, account = self._contract, self._crowd.account_id
        ticks = _ticks(fill, up=side == Side.SELL)
        value = fill.lots * ticks * contract.unit
        margin = max(1, ceil(value / Fraction(leverage)))
        most = contract.terms.max_leverage
        if most is not None:
            margin = max(margin, -(-value // most))
        signed = fill.lots if side == Side.BUY else -fill.lots
        return Opening(contract.open_isolated(account, signed, ticks, margin, account), fill)


def _ticks(fill: Fill, *, up: bool) -> int:
    """The average price of a fill in whole ticks."""
    return -(-fill.value // fill.lots) if up else fill.value // fill.lots
