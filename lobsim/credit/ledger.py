"""The ledger: who holds how much of what, in double entry and whole quanta.

Every amount is a Python int in quanta of its asset (they outgrow 64 bits). Money enters by `issue`, leaves by `burn`
and otherwise only moves, always with a `Flow` that says why. Beside the balances the ledger keeps what was ever posted
into and out of each account, so that `check` can prove every balance from its postings instead of trusting it.

An account of an ordinary kind never spends more than its free balance: what it has minus what it holds for open orders.
An account opened with `overdraft` (a treasury that must never refuse a settlement) may go below zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import IntEnum, unique
from operator import sub
from typing import NamedTuple, NoReturn

from lobsim.credit.errors import InsufficientFunds, LedgerError
from lobsim.errors import CheckError
from lobsim.units import parse_decimal

# Below every balance a run can reach: the floor of accounts that may overdraw.
_NO_FLOOR = -(10**60)


@unique
class Flow(IntEnum):
    """Why money moved."""

    DEPOSIT = 0
    WITHDRAW = 1
    TRADE = 2
    FEE = 3
    BORROW = 4
    REPAY = 5
    INTEREST = 6
    PLEDGE = 7
    RELEASE = 8
    SEIZE = 9
    BONUS = 10
    INSURANCE = 11
    BAD_DEBT = 12
    FUNDING = 13
    ADL = 14
    TRANSFER = 15
    MINT = 16
    REDEEM = 17
    ROUNDING = 18
    PNL = 19


class _Rows(NamedTuple):
    """One asset's columns; the first four by account id (slot 0 unused), the last three by `Flow`."""

    balances: list[int]
    floors: list[int]  # lowest balance a posting may leave: the held amount, or _NO_FLOOR plus it
    inflow: list[int]
    outflow: list[int]
    moved: list[int]
    issued: list[int]
    burned: list[int]


class Ledger:
    """Accounts by assets. Account 1, ``rounding``, takes what two sides rounded apart leave over.

    Account ids count from 1 and asset ids from 0, in order of opening. Postings cost O(1); amounts are never negative.
    """

    def __init__(self) -> None:
        self._asset_ids: dict[str, int] = {}
        self._quanta: list[Decimal] = []
        self._account_ids: dict[str, int] = {}
        self._asset_names: list[str] = []
        self._account_names: list[str] = [""]
        self._base_floors: list[int] = [0]
        self._rows: list[_Rows] = []
        # By account id: 1 once a posting or a contract changed the account; who watches it (`watch`) sets it back to 0.
        self.touched = bytearray(1)
        self._watched: set[int] = set()
        self.rounding = self.open_account("rounding")

    # --- names ------------------------------------------------------------------------------------------------------

    def add_asset(self, name: str, quantum: Decimal | str) -> int:
        """Id of a new asset counted in units of `quantum`; raises `LedgerError` for a name in use or a quantum <= 0."""
        if not name or name in self._asset_ids:
            raise LedgerError(f"asset name {name!r} is empty or in use")
        step = parse_decimal(quantum, f"quantum of {name}")
        if step <= 0:
            raise LedgerError(f"quantum of {name}: {quantum} must be greater than 0")
        size = len(self._base_floors)
        flows = len(Flow)
        self._rows.append(
            _Rows([0] * size, list(self._base_floors), [0] * size, [0] * size, [0] * flows, [0] * flows, [0] * flows)
        )
        self._quanta.append(step)
        self._asset_ids[name] = len(self._asset_ids)
        self._asset_names.append(name)
        return self._asset_ids[name]

    def open_account(self, name: str, *, overdraft: bool = False) -> int:
        """Id of a new, empty account; raises `LedgerError` for a name in use. O(assets)."""
        if not name or name in self._account_ids:
            raise LedgerError(f"account name {name!r} is empty or in use")
        floor = _NO_FLOOR if overdraft else 0
        self._account_ids[name] = len(self._base_floors)
        self._account_names.append(name)
        self._base_floors.append(floor)
        self.touched.append(0)
        for rows in self._rows:
            rows.balances.append(0)
            rows.floors.append(floor)
            rows.inflow.append(0)
            rows.outflow.append(0)
        return self._account_ids[name]

    def watch(self, account: int) -> None:
        """Reserve the account's mark in `touched` for one watcher; raises `LedgerError` when it has one already."""
        if account in self._watched:
            raise LedgerError(f"{self.account_name(account)} is watched already: it can be a unified account only once")
        self.account_name(account)
        self._watched.add(account)
        self.touched[account] = 1

    def overdrafts(self, account: int) -> bool:
        """Whether the account may go below zero; raises `LedgerError`."""
        self.account_name(account)
        return self._base_floors[account] < 0

    @property
    def assets(self) -> tuple[str, ...]:
        """Names by asset id."""
        return tuple(self._asset_ids)

    @property
    def accounts(self) -> tuple[str, ...]:
        """Names in order of account id, the first one (``rounding``) being account 1."""
        return tuple(self._account_ids)

    def asset(self, name: str) -> int:
        """Id of an asset; raises `LedgerError`."""
        try:
            return self._asset_ids[name]
        except KeyError:
            raise LedgerError(f"no asset {name!r}; there are {', '.join(self._asset_ids) or 'none'}") from None

    def account(self, name: str) -> int:
        """Id of an account; raises `LedgerError`."""
        try:
            return self._account_ids[name]
        except KeyError:
            raise LedgerError(f"no account {name!r}") from None

    def asset_name(self, asset: int) -> str:
        """Name of an asset id; raises `LedgerError`. O(1)."""
        self._known(1, asset)
        return self._asset_names[asset]

    def account_name(self, account: int) -> str:
        """Name of an account id; raises `LedgerError`. O(1)."""
        if not 1 <= account < len(self._base_floors):
            raise LedgerError(f"no account {account}; ids go from 1 to {len(self._base_floors) - 1}")
        return self._account_names[account]

    def quantum(self, asset: int) -> Decimal:
        """What one quantum of the asset is in its own units."""
        self._known(1, asset)
        return self._quanta[asset]

    # --- postings ---------------------------------------------------------------------------------------------------

    def issue(self, account: int, asset: int, amount: int, reason: Flow) -> None:
        """Create `amount` quanta on an account (a starting balance, a mint); raises `LedgerError`."""
        rows = self._posting(account, asset, amount)
        rows.issued[reason] += amount
        rows.inflow[account] += amount
        self.touched[account] = 1
        rows.balances[account] += amount

    def burn(self, account: int, asset: int, amount: int, reason: Flow) -> None:
        """Destroy `amount` free quanta of an account; raises `InsufficientFunds`, `LedgerError`."""
        rows = self._posting(account, asset, amount)
        if rows.balances[account] - amount < rows.floors[account]:
            self._short(account, asset, amount)
        rows.burned[reason] += amount
        rows.outflow[account] += amount
        self.touched[account] = 1
        rows.balances[account] -= amount

    def transfer(self, src: int, dst: int, asset: int, amount: int, reason: Flow) -> None:
        """Move `amount` quanta; raises `InsufficientFunds` or `LedgerError`, and then nothing has moved."""
        try:
            if type(amount) is not int or amount < 0 or src < 1 or dst < 1 or asset < 0:
                raise IndexError
            balances, floors, inflow, outflow, moved, _, _ = self._rows[asset]
            rest = balances[src] - amount
            if rest < floors[src]:
                self._short(src, asset, amount)
            received = inflow[dst] + amount  # raises for an unknown account before anything is written
            moved[reason] += amount
        except IndexError:
            self._refuse((src, dst), (asset,), (amount,))
        inflow[dst] = received
        outflow[src] += amount
        balances[src] = rest
        balances[dst] += amount
        touched = self.touched
        touched[src] = touched[dst] = 1

    def settle_trade(
        self,
        buyer: int,
        seller: int,
        base: int,
        base_amount: int,
        quote: int,
        quote_amount: int,
        buyer_release: int = 0,
        seller_release: int = 0,
    ) -> None:
        """Exchange `base_amount` for `quote_amount`: both legs or none, as `Flow.TRADE`.

        `buyer_release` quanta of quote and `seller_release` quanta of base stop being held first: a buyer who held the
        limit price releases all of that and pays the better one. Buyer and seller may be the same account. Raises
        `InsufficientFunds` or `LedgerError`, and then nothing has changed.
        """
        try:
            if (
                type(base_amount) is not int
                or type(quote_amount) is not int
                or base_amount < 0
                or quote_amount < 0
                or buyer < 1
                or seller < 1
                or base < 0
                or quote < 0
                or base == quote
            ):
                raise IndexError
            base_balances, base_floors, base_in, base_out, base_moved, _, _ = self._rows[base]
            quote_balances, quote_floors, quote_in, quote_out, quote_moved, _, _ = self._rows[quote]
            base_rest = base_balances[seller] - base_amount
            quote_rest = quote_balances[buyer] - quote_amount
            base_floor = base_floors[seller]
            quote_floor = quote_floors[buyer]
            if seller_release:
                base_floor = self._released(seller, base, seller_release)
            if buyer_release:
                quote_floor = self._released(buyer, quote, buyer_release)
            if base_rest < base_floor:
                self._short(seller, base, base_amount)
            if quote_rest < quote_floor:
                self._short(buyer, quote, quote_amount)
        except IndexError:
            self._refuse((buyer, seller), (base, quote), (base_amount, quote_amount))
        base_floors[seller] = base_floor
        base_balances[seller] = base_rest
        base_out[seller] += base_amount
        base_balances[buyer] += base_amount
        base_in[buyer] += base_amount
        base_moved[2] += base_amount  # Flow.TRADE, as a bare int: indexing with an enum costs more than the addition
        quote_floors[buyer] = quote_floor
        quote_balances[buyer] = quote_rest
        quote_out[buyer] += quote_amount
        quote_balances[seller] += quote_amount
        quote_in[seller] += quote_amount
        quote_moved[2] += quote_amount
        touched = self.touched
        touched[buyer] = touched[seller] = 1

    def offset(self, src: int, dst: int, asset: int, amount: int, reason: Flow, back: Flow) -> None:
        """Post `amount` from `src` to `dst` for `reason` and the same back for `back`, at once; balances stay.

        A write-off is such a pair: the lender gives the borrower what is owed (`BAD_DEBT`) and the borrower pays it
        back (`REPAY`), whether or not the lender has that much cash.
        """
        rows = self._posting(src, asset, amount)
        self._known(dst, asset)
        for giver, taker, why in ((src, dst, reason), (dst, src, back)):
            rows.moved[why] += amount
            rows.outflow[giver] += amount
            rows.inflow[taker] += amount

    # --- holds ------------------------------------------------------------------------------------------------------

    def hold(self, account: int, asset: int, amount: int) -> None:
        """Set `amount` free quanta aside (for an open order); raises `InsufficientFunds`, `LedgerError`."""
        try:
            if type(amount) is not int or amount < 0 or account < 1 or asset < 0:
                raise IndexError
            balances, floors, _, _, _, _, _ = self._rows[asset]
            floor = floors[account] + amount
            if floor > balances[account]:
                self._short(account, asset, amount)
            floors[account] = floor
        except IndexError:
            self._refuse((account,), (asset,), (amount,))

    def release(self, account: int, asset: int, amount: int) -> None:
        """Set `amount` held quanta free again; raises `LedgerError` when fewer are held."""
        try:
            if account < 1 or asset < 0:
                raise IndexError
            self._rows[asset].floors[account] = self._released(account, asset, amount)
        except IndexError:
            self._refuse((account,), (asset,), (amount,))

    def _released(self, account: int, asset: int, amount: int) -> int:
        floor = self._rows[asset].floors[account] - amount
        if type(amount) is not int or amount < 0 or floor < self._base_floors[account]:
            raise LedgerError(
                f"cannot release {amount!r} {self.asset_name(asset)} of {self.account_name(account)}:"
                f" {self.held(account, asset)} held"
            )
        return floor

    # --- questions --------------------------------------------------------------------------------------------------

    def balance(self, account: int, asset: int) -> int:
        """Quanta on the account, held ones included; raises `LedgerError`."""
        self._known(account, asset)
        return self._rows[asset].balances[account]

    def free(self, account: int, asset: int) -> int:
        """Quanta the account may spend now; of an overdraft account more than there can be. Raises `LedgerError`."""
        if account > 0 <= asset:
            try:
                rows = self._rows[asset]
                return rows[0][account] - rows[1][account]  # by place: a named field costs half as much again
            except IndexError:
                pass
        return self._refuse((account,), (asset,), ())

    def held(self, account: int, asset: int) -> int:
        """Quanta set aside by `hold`; raises `LedgerError`."""
        self._known(account, asset)
        return self._rows[asset].floors[account] - self._base_floors[account]

    def balances(self, asset: int) -> Sequence[int]:
        """The live column of an asset's balances by account id (slot 0 is unused): read it, never write it."""
        self._known(1, asset)
        return self._rows[asset].balances

    def moved(self, asset: int, reason: Flow) -> int:
        """Quanta ever transferred for that reason."""
        self._known(1, asset)
        return self._rows[asset].moved[reason]

    def issued(self, asset: int, reason: Flow | None = None) -> int:
        """Quanta ever issued, for that reason or altogether."""
        self._known(1, asset)
        issued = self._rows[asset].issued
        return sum(issued) if reason is None else issued[reason]

    def burned(self, asset: int, reason: Flow | None = None) -> int:
        """Quanta ever burned, for that reason or altogether."""
        self._known(1, asset)
        burned = self._rows[asset].burned
        return sum(burned) if reason is None else burned[reason]

    def imbalance(self) -> dict[str, int]:
        """Quanta per asset that no posting explains, over the sum and account by account; 0 everywhere, or a bug.

        O(accounts x assets).
        """
        return {
            name: abs(sum(rows.balances) - sum(rows.issued) + sum(rows.burned))
            + sum(map(abs, map(sub, rows.balances, map(sub, rows.inflow, rows.outflow))))
            for name, rows in zip(self._asset_ids, self._rows, strict=True)
        }

    def check(self) -> None:
        """Prove every balance, hold and total from the postings; raises `CheckError` with the state that breaks."""
        faults = []
        names = ("(none)", *self._account_ids)
        for asset, rows in zip(self._asset_ids, self._rows, strict=True):
            issued, burned, moved = sum(rows.issued), sum(rows.burned), sum(rows.moved)
            if sum(rows.balances) != issued - burned:
                faults.append(f"{asset}: balances add up to {sum(rows.balances)}, issued {issued} - burned {burned}")
            if sum(rows.inflow) != issued + moved or sum(rows.outflow) != burned + moved:
                faults.append(
                    f"{asset}: posted in {sum(rows.inflow)}, out {sum(rows.outflow)}, but issued {issued},"
                    f" burned {burned}, moved {moved}"
                )
            columns = zip(names, rows.balances, rows.floors, rows.inflow, rows.outflow, self._base_floors, strict=True)
            for name, balance, floor, inflow, outflow, base_floor in columns:
                if balance != inflow - outflow or not base_floor <= floor <= balance or type(balance) is not int:
                    faults.append(
                        f"{asset} of {name}: balance {balance!r}, posted in {inflow} - out {outflow},"
                        f" held {floor - base_floor}"
                    )
        if faults:
            more = f"\n... and {len(faults) - 20} more" if len(faults) > 20 else ""
            raise CheckError("ledger does not add up:\n" + "\n".join(faults[:20]) + more)

    # --- refusals ---------------------------------------------------------------------------------------------------

    def _known(self, account: int, asset: int) -> None:
        if not (0 <= asset < len(self._rows) and 1 <= account < len(self._base_floors)):
            self._refuse((account,), (asset,), ())

    def _posting(self, account: int, asset: int, amount: int) -> _Rows:
        self._known(account, asset)
        if type(amount) is not int or amount < 0:
            self._refuse((account,), (asset,), (amount,))
        return self._rows[asset]

    def _short(self, account: int, asset: int, amount: int) -> NoReturn:
        raise InsufficientFunds(
            f"{self.account_name(account)} has {self.balance(account, asset)} quanta of {self.asset_name(asset)},"
            f" {self.held(account, asset)} of them held; {amount} should leave it"
        )

    def _refuse(self, accounts: Sequence[int], assets: Sequence[int], amounts: Sequence[int]) -> NoReturn:
        raise LedgerError(
            f"no such posting: accounts {accounts!r} (known: 1 to {len(self._base_floors) - 1}), assets {assets!r}"
            f" (known: 0 to {len(self._rows) - 1}, two different ones in a trade), amounts {amounts!r}"
            f" (integers of at least 0)"
        )
