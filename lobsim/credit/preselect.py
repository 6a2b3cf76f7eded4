"""Which unified accounts may have fallen to a margin level: float matrices look at all of them, exact integers decide.

Balances, debts and contract positions of all enrolled accounts stand in matrices with a row per account; only rows
that a posting touched since the last look are copied anew. A mark update costs a handful of matrix-vector products,
whoever moved. Conservative: an account is left out only when its margin is clear of the level by more than `SLACK`
times the gross value of all it has and owes, plus a quantum of every asset (debts are rounded down to whole quanta).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from lobsim.credit.interest import DEBT_UNIT, PPM, Debt, InterestIndex
from lobsim.credit.ledger import Ledger
from lobsim.credit.marks import Marks
from lobsim.credit.terms import AssetTerms

if TYPE_CHECKING:
    from lobsim.credit.contracts import ContractBook

SLACK: Final = 1e-9
_Matrix = NDArray[np.float64]


class Preselection:
    """Matrices over the accounts of one `CrossMargin`, which owns the mappings given here and changes them."""

    def __init__(
        self,
        ledger: Ledger,
        numeraire: int,
        terms: Mapping[int, AssetTerms],
        indices: Mapping[int, InterestIndex],
        debts: Mapping[int, Mapping[int, Debt]],
        contracts: Sequence[ContractBook],
    ) -> None:
        self._ledger = ledger
        self._numeraire = numeraire
        self._terms = terms
        self._indices = indices
        self._debts = debts
        self._contracts = contracts
        self._columns = [ledger.balances(asset) for asset in terms]
        self._places = {asset: place for place, asset in enumerate(terms)}
        self._ratios = np.array([given.collateral_ratio_ppm / PPM for given in terms.values()])
        self._rates = np.array([given.maintenance_rate_ppm / PPM for given in terms.values()])
        self._accounts: list[int] = []
        self._shape(0)

    def _shape(self, room: int) -> None:
        """Empty matrices for `room` accounts and the present contracts; every row is to be filled again."""
        assets, contracts = len(self._terms), len(self._contracts)
        self._room = room
        self._books = contracts
        self._ids = np.zeros(room, dtype=np.int64)
        self._balances = np.zeros((room, assets))
        self._owed = np.zeros((room, assets))  # scaled debts over DEBT_UNIT: times the interest index, quanta
        self._lots = np.zeros((room, contracts))
        self._costs = np.zeros((room, contracts))
        self._sizes = np.zeros((room, contracts))
        self._largest = np.zeros(contracts)  # no position has been larger, so no higher tier can matter
        self._odd = np.zeros(room, dtype=bool)  # balances below 0, whose values could cancel: always suspects
        self._interest = np.zeros((room, assets))
        self._net = np.zeros((room, assets))
        self._accounts.clear()

    def _refresh(self, skip: Container[int]) -> int:
        """Bring rows up to date but those of accounts in `skip`; returns how many there are. O(touched x assets)."""
        touched = self._ledger.touched
        if len(self._debts) > self._room or len(self._contracts) != self._books:
            self._shape(max(self._room, 64, 2 * len(self._debts)))
        known = len(self._accounts)
        if known < len(self._debts):
            added = list(self._debts)[known:]
            self._accounts += added
            self._ids[known : known + len(added)] = added
            for account in added:
                touched[account] = 1
        count = len(self._accounts)
        view = np.frombuffer(touched, dtype=np.uint8)
        changed = np.flatnonzero(view[self._ids[:count]]).tolist()
        del view  # a bytearray that is looked at cannot grow
        for row in changed:
            account = self._accounts[row]
            if account not in skip:
                touched[account] = 0
                self._fill(row, account)
        return count

    def _fill(self, row: int, account: int) -> None:
        balances = [column[account] for column in self._columns]
        self._balances[row] = balances
        self._odd[row] = min(balances, default=0) < 0
        self._owed[row] = 0.0
        for asset, debt in self._debts[account].items():
            self._owed[row, self._places[asset]] = debt.scaled / DEBT_UNIT
        if self._contracts:
            held = [book.cross_positions.get(account, (0, 0)) for book in self._contracts]
            self._lots[row] = [lots for lots, _ in held]
            self._costs[row] = [cost for _, cost in held]
            np.abs(self._lots[row], out=self._sizes[row])
            np.maximum(self._largest, self._sizes[row], out=self._largest)

    def values(self, marks: Marks, skip: Container[int] = ()) -> tuple[list[int], _Matrix, _Matrix, _Matrix]:
        """(accounts, equity, maintenance, room for error) in numeraire quanta; without a mark the room is infinite.

        Rows of accounts in `skip` mean nothing.
        """
        count = self._refresh(skip)
        assets = list(self._terms)
        known = [marks.get(asset) or ((1, 1) if asset == self._numeraire else None) for asset in assets]
        prices = np.array([0.0 if mark is None else mark[0] / mark[1] for mark in known])
        growth = np.array([float(self._indices[asset].value) for asset in assets])
        balances, owed = self._balances[:count], self._owed[:count]
        interest, net = self._interest[:count], self._net[:count]
        np.multiply(owed, growth, out=interest)
        np.subtract(balances, interest, out=net)
        np.maximum(net, 0.0, out=net)
        gross = balances @ prices
        debts = interest @ prices
        equity = gross - debts - net @ (prices * (1.0 - self._ratios))
        maintenance = interest @ (prices * self._rates)
        size = gross + debts
        if self._contracts:
            unrealised, margin, notional = self._contract_values(count, marks)
            equity += unrealised
            maintenance += margin
            size += notional
        slack = np.where(size > 0, SLACK * size + float(prices.sum()), 0.0)
        slack[self._odd[:count]] = np.inf
        for place, mark in enumerate(known):
            if mark is None:
                slack[(balances[:, place] != 0) | (owed[:, place] != 0)] = np.inf
        for place, book in enumerate(self._contracts):
            if book.mark_price is None or known[self._places[book.quote]] is None:
                slack[self._lots[:count, place] != 0] = np.inf
        return self._accounts, equity, maintenance, slack

    def _contract_values(self, count: int, marks: Marks) -> tuple[_Matrix, _Matrix, _Matrix]:
        """(unrealised P&L, maintenance margin, gross size) of the contract positions by account."""
        books = self._contracts
        quotes = np.array([over / under for over, under in (marks.get(book.quote, (1, 1)) for book in books)])
        per_lot = np.array([float((book.mark_price or 0) * book.unit) for book in books]) * quotes
        lots, costs, sizes = self._lots[:count], self._costs[:count], self._sizes[:count]
        unrealised = lots @ per_lot - costs @ quotes
        notional = sizes @ per_lot
        margin = sizes @ (per_lot * np.array([book.brackets[0].rate_ppm / PPM for book in books]))
        for place, book in enumerate(books):
            for lower, upper in pairwise(book.brackets):
                start = upper.notional_from * quotes[place]
                if self._largest[place] * per_lot[place] <= start:
                    break
                beyond = np.maximum(sizes[:, place] * per_lot[place] - start, 0.0)
                margin += beyond * ((upper.rate_ppm - lower.rate_ppm) / PPM)
        return unrealised, margin, notional + np.abs(costs) @ quotes

    def at_or_below(self, marks: Marks, level_ppm: int, skip: Container[int] = ()) -> list[int]:
        """Every account whose margin level is at most `level_ppm` or that has negative equity, and a few more.

        None of those in `skip`.
        """
        accounts, equity, maintenance, slack = self.values(marks, skip)
        level = level_ppm / PPM
        suspects = (equity - level * maintenance <= slack * (1.0 + level)) & (slack > 0)
        found = [accounts[row] for row in np.flatnonzero(suspects).tolist()]
        return [account for account in found if account not in skip] if skip else found
