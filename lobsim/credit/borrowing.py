"""Borrowing by itself: accounts that never go below zero, because a pool lends what their settlements need.

What a settlement needs beyond an enrolled account's free balance is borrowed from the pool just before, what comes in
repays the same asset's liability just after. Assets without `AssetTerms` cannot be borrowed.
"""

from __future__ import annotations

from collections.abc import Mapping

from lobsim.credit.errors import InsufficientFunds, LedgerError
from lobsim.credit.interest import Debt, InterestIndex
from lobsim.credit.ledger import Flow, Ledger
from lobsim.credit.terms import AssetTerms
from lobsim.errors import CheckError


class Borrowing:
    """Accounts over one ledger, lent to by one pool account: the base of `CrossMargin`."""

    def __init__(self, ledger: Ledger, pool: int, terms: Mapping[int, AssetTerms]) -> None:
        self.ledger = ledger
        self.pool = pool
        self._terms = dict(terms)
        ledger.account_name(pool)
        for asset, given in self._terms.items():
            given.check(ledger.asset_name(asset))
        self._columns = {asset: ledger.balances(asset) for asset in self._terms}
        self._indices = {asset: InterestIndex(given.interest_ppm) for asset, given in self._terms.items()}
        self._debts: dict[int, dict[int, Debt]] = {}
        self._lent = dict.fromkeys(self._terms, 0)
        self._returned = dict.fromkeys(self._terms, 0)

    # --- accounts ---------------------------------------------------------------------------------------------------

    def enroll(self, account: int) -> None:
        """Make a ledger account a unified one; raises `LedgerError` for the pool, unknown and enrolled accounts."""
        name = self.ledger.account_name(account)
        if account in self._debts or account == self.pool:
            raise LedgerError(f"{name} is the pool or enrolled already")
        self.ledger.watch(account)
        self._debts[account] = {}

    def __contains__(self, account: int) -> bool:
        return account in self._debts

    @property
    def accounts(self) -> tuple[int, ...]:
        """Enrolled accounts in order of enrolment."""
        return tuple(self._debts)

    @property
    def assets(self) -> tuple[int, ...]:
        """Assets with terms: those that count and can be borrowed."""
        return tuple(self._terms)

    def accrue(self, time_ns: int) -> None:
        """Let interest grow until `time_ns`, O(assets) for any number of accounts; ValueError when time goes back."""
        for index in self._indices.values():
            index.accrue(time_ns)

    # --- borrowing --------------------------------------------------------------------------------------------------

    def borrow(self, account: int, asset: int, amount: int) -> None:
        """Move `amount` quanta from the pool to the account, which then owes them.

        Raises `InsufficientFunds` (the pool is lent out) and `LedgerError`; whether the account is good for it is the
        caller's question (`status_after`).
        """
        debts = self._enrolled(account, asset)
        self.ledger.transfer(self.pool, account, asset, amount, Flow.BORROW)
        if amount:
            debts.setdefault(asset, Debt()).draw(amount, self._indices[asset].value)
            self._lent[asset] += amount

    def repay(self, account: int, asset: int, amount: int) -> int:
        """Pay back up to `amount` quanta, interest first; returns what was paid, at most the liability.

        Raises `InsufficientFunds` when the account's free balance is smaller than that.
        """
        debt = self._enrolled(account, asset).get(asset)
        if type(amount) is not int or amount < 0:
            raise LedgerError(f"cannot repay {amount!r} quanta: it must be an integer of at least 0")
        amount = min(amount, debt.owed(self._indices[asset].value)) if debt else 0
        if debt is None or not amount:
            return 0
        if self.ledger.free(account, asset) < amount:  # here the ledger would notice only after the interest has moved
            raise InsufficientFunds(
                f"{self.ledger.account_name(account)} has {self.ledger.free(account, asset)} free quanta of"
                f" {self.ledger.asset_name(asset)} and cannot repay {amount}"
            )
        interest, principal = self._pay(account, asset, debt, amount)
        if interest:
            self.ledger.transfer(account, self.pool, asset, interest, Flow.INTEREST)
        self.ledger.transfer(account, self.pool, asset, principal, Flow.REPAY)
        return amount

    def write_off(self, account: int, asset: int) -> int:
        """Give up the whole liability at the pool's expense (`Flow.BAD_DEBT`); returns the amount written off."""
        debt = self._enrolled(account, asset).get(asset)
        if debt is None:
            return 0
        amount = debt.owed(self._indices[asset].value)
        interest, principal = self._pay(account, asset, debt, amount)
        self.ledger.offset(self.pool, account, asset, interest, Flow.BAD_DEBT, Flow.INTEREST)
        self.ledger.offset(self.pool, account, asset, principal, Flow.BAD_DEBT, Flow.REPAY)
        return amount

    def _pay(self, account: int, asset: int, debt: Debt, amount: int) -> tuple[int, int]:
        interest, principal = debt.pay(amount, self._indices[asset].value)
        self.ledger.touched[account] = 1
        self._returned[asset] += principal
        if not debt.scaled:
            del self._debts[account][asset]
        return interest, principal

    def cover(self, account: int, asset: int, outgoing: int) -> int:
        """Borrow what `outgoing` quanta need beyond the free balance; returns it. 0 for accounts not enrolled."""
        if account not in self._debts:
            return 0
        missing = outgoing - self.ledger.free(account, asset)
        if missing <= 0:
            return 0
        self.borrow(account, asset, missing)
        return missing

    def sweep(self, account: int, asset: int) -> int:
        """Repay the asset's liability as far as the free balance goes; returns it. 0 for accounts not enrolled."""
        debts = self._debts.get(account)
        if not debts or asset not in debts:
            return 0
        return self.repay(account, asset, self.ledger.free(account, asset))

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
        """`Ledger.settle_trade` for any mix of unified and plain accounts: borrow, exchange, repay.

        Raises `InsufficientFunds` (an empty pool, a plain account without funds); nothing has changed then.
        """
        if buyer not in self._debts and seller not in self._debts:  # nobody borrows, nobody repays
            self.ledger.settle_trade(
                buyer, seller, base, base_amount, quote, quote_amount, buyer_release, seller_release
            )
            return
        free = self.ledger.free
        bought = quote_amount - buyer_release - free(buyer, quote)
        sold = base_amount - seller_release - free(seller, base)
        if bought > 0 or sold > 0:
            self._lendable(buyer, quote, quote_amount, buyer_release, bought)
            self._lendable(seller, base, base_amount, seller_release, sold)
            if base == quote:
                raise LedgerError(f"a trade needs two assets, not {self.ledger.asset_name(base)} twice")
            if bought > 0:
                self.borrow(buyer, quote, bought)
            if sold > 0:
                self.borrow(seller, base, sold)
        self.ledger.settle_trade(buyer, seller, base, base_amount, quote, quote_amount, buyer_release, seller_release)
        self.sweep(buyer, base)
        self.sweep(seller, quote)

    def _lendable(self, account: int, asset: int, outgoing: int, release: int, missing: int) -> None:
        """Refuse before anything is borrowed whatever a later step of the settlement would refuse."""
        if type(outgoing) is not int or outgoing < 0 or not 0 <= release <= self.ledger.held(account, asset):
            raise LedgerError(f"cannot settle {outgoing!r} quanta with {release!r} of them released from a hold")
        if missing <= 0:
            return
        if account in self._debts:
            self._enrolled(account, asset)
            account, outgoing = self.pool, missing
        free = self.ledger.free(account, asset)
        if free < outgoing:
            raise InsufficientFunds(
                f"{self.ledger.account_name(account)} has {free} free quanta of {self.ledger.asset_name(asset)},"
                f" a settlement needs {outgoing}"
            )

    # --- positions --------------------------------------------------------------------------------------------------

    def liability(self, account: int, asset: int) -> int:
        """Quanta owed, interest included and rounded down."""
        debt = self._enrolled(account, asset).get(asset)
        return debt.owed(self._indices[asset].value) if debt else 0

    def principal(self, account: int, asset: int) -> int:
        """Quanta borrowed and not yet paid back."""
        debt = self._enrolled(account, asset).get(asset)
        return debt.principal if debt else 0

    def net(self, account: int, asset: int) -> int:
        """Balance (held quanta included) minus liability."""
        return self.ledger.balance(account, asset) - self.liability(account, asset)

    def positions(self, account: int) -> dict[int, int]:
        """Net position by asset, where it is not 0."""
        debts = self._enrolled(account)
        found = {}
        for asset, column in self._columns.items():
            net = column[account]
            if asset in debts:
                net -= debts[asset].owed(self._indices[asset].value)
            if net:
                found[asset] = net
        return found

    # --- proof ------------------------------------------------------------------------------------------------------

    def total_liability(self, asset: int) -> int:
        """What all accounts together owe the pool, in whole quanta each. O(accounts)."""
        index = self._indices[asset].value
        return sum(debts[asset].owed(index) for debts in self._debts.values() if asset in debts)

    def check(self) -> None:
        """Prove that no enrolled account is overdrawn and that principals add up; raises `CheckError`."""
        faults = []
        for asset, column in self._columns.items():
            name = self.ledger.asset_name(asset)
            index = self._indices[asset].value
            outstanding = 0
            for account, debts in self._debts.items():
                if column[account] < 0:
                    faults.append(f"{self.ledger.account_name(account)} is overdrawn: {column[account]} {name}")
                debt = debts.get(asset)
                if debt is None:
                    continue
                outstanding += debt.principal
                if not 0 <= debt.principal <= debt.owed(index) or debt.scaled <= 0:
                    faults.append(
                        f"{self.ledger.account_name(account)} owes {debt.owed(index)} {name}, of it principal"
                        f" {debt.principal}, scaled {debt.scaled}"
                    )
            if outstanding != self._lent[asset] - self._returned[asset]:
                faults.append(
                    f"principals in {name} add up to {outstanding}; lent {self._lent[asset]},"
                    f" returned {self._returned[asset]}"
                )
        if faults:
            raise CheckError("unified accounts do not add up:\n" + "\n".join(faults[:20]))

    def _enrolled(self, account: int, asset: int | None = None) -> dict[int, Debt]:
        debts = self._debts.get(account)
        if debts is None:
            raise LedgerError(f"{self.ledger.account_name(account)} is no unified account")
        if asset is not None and asset not in self._terms:
            raise LedgerError(f"{self.ledger.asset_name(asset)} has no margin terms: it cannot be owed or count")
        return debts
