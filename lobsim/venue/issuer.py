"""Windows where assets come into being and go: an issuer's mint and redeem, and the wrapping of staked assets.

Every request is answered by ``done(paid, got)``: quanta given and received, both 0 when refused. What is asked is
decided when the request arrives, at the rate of that moment; what is received comes after a delay, in which both legs
stand on the window's own ledger account ``<name>.custody``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from lobsim.credit import Flow, Ledger
from lobsim.errors import CheckError, InputError
from lobsim.units import NS_PER_MINUTE
from lobsim.venue.marks import PPM, Rate, fixed_rate
from lobsim.venue.ports import EventClass, Recording, Scheduler
from lobsim.venue.transfers import Custodian
from lobsim.venue.window import Window

Done: TypeAlias = Callable[[int, int], None]


class WindowTerms(NamedTuple):
    """What a window charges and how much it does.

    fee_ppm: of what would be received, rounded up. cap, cap_back: most quanta of the issued asset that are issued
    (taken back) in an interval; None: no cap. Intervals begin at multiples of `interval_ns`. delay_ns, delay_back_ns:
    from the request to the receipt.
    """

    fee_ppm: int = 0
    cap: int | None = None
    cap_back: int | None = None
    interval_ns: int = NS_PER_MINUTE
    delay_ns: int = 0
    delay_back_ns: int = 0

    def check(self, name: str) -> None:
        """Raise `InputError` when the terms make no sense."""
        amounts = (self.cap or 0, self.cap_back or 0, self.delay_ns, self.delay_back_ns, self.fee_ppm)
        if min(amounts) < 0 or self.fee_ppm >= PPM or self.interval_ns < 1:
            raise InputError(
                f"{name}: caps and delays must be at least 0, the interval above 0, the fee in 0 to {PPM - 1} ppm:"
                f" {self}"
            )


class _Request(NamedTuple):
    account: int
    paid: int
    got: int
    issues: bool
    done: Done


class Converter(Window):
    """Wraps an underlying asset into a wrapped one at a conversion rate, and back (WBETH: staking, its redemption).

    rate: units of the underlying per unit of the wrapped asset. reserve: the ledger account that keeps the underlying;
    a redemption is refused as far as it has none free (an overdraft account always has). Amounts are rounded against
    the account that asks. custodian: the venue that keeps the reserve, when it is a margin account there. Bias: no
    slashing, no queue but the delay.
    """

    issue_kind = "converted"
    redeem_kind = "converted_back"

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        ledger: Ledger,
        recorder: Recording,
        *,
        wrapped: int,
        underlying: int,
        reserve: int,
        rate: Rate,
        terms: WindowTerms | None = None,
        whitelist: Iterable[int] | None = None,
        custodian: Custodian | None = None,
    ) -> None:
        self.terms = terms or WindowTerms()
        self.terms.check(name)
        if wrapped == underlying:
            raise InputError(f"{name}: {ledger.asset_name(wrapped)} cannot be issued against itself")
        self.name = name
        self.reserve = reserve
        self.custody = ledger.open_account(f"{name}.custody")
        self.issued_asset = wrapped
        self.paid_asset = underlying
        self._rate = rate
        self._scheduler = scheduler
        self._ledger = ledger
        self._recorder = recorder
        self._whitelist = None if whitelist is None else frozenset(whitelist)
        self.custodian = custodian
        quanta = ledger.quantum(wrapped) / ledger.quantum(underlying)
        self._scale = quanta.as_integer_ratio()
        self._interval = -1
        self._used = [0, 0]
        self._pending: dict[int, _Request] = {}
        self._number = 0
        self._key = scheduler.key(name)

    def admit(self, account: int) -> None:
        """Put an account on the whitelist."""
        self._whitelist = (self._whitelist or frozenset()) | {account}

    def back(self, account: int, custodian: Custodian | None) -> None:
        """From now on `account` is the reserve; what the one before has free goes there."""
        amount = self._ledger.free(self.reserve, self.paid_asset)
        if amount > 0:
            self._ledger.transfer(self.reserve, account, self.paid_asset, amount, Flow.TRANSFER)
        self.reserve = account
        self.custodian = custodian

    # --- requests ---------------------------------------------------------------------------------------------------

    def wrap(self, account: int, amount: int, done: Done) -> None:
        """Pay up to `amount` quanta of the underlying for the wrapped asset, as far as the cap goes."""
        over, under = self._quanta_rate()
        issued = self._within(amount * under * (PPM - self.terms.fee_ppm) // (over * PPM), 0)
        # the least that has to be paid for so much
        paid = min(amount, -(-issued * over * PPM // (under * (PPM - self.terms.fee_ppm))))
        if issued < 1 or not self._serves(account, self.paid_asset, paid):
            done(0, 0)
            return
        self._used[0] += issued
        self._ledger.transfer(account, self.custody, self.paid_asset, paid, Flow.MINT)
        self._later(_Request(account, paid, issued, True, done), self.terms.delay_ns)

    def unwrap(self, account: int, amount: int, done: Done) -> None:
        """Give up to `amount` quanta of the wrapped asset back for the underlying, as far as cap and reserve go."""
        over, under = self._quanta_rate()
        fee_ppm = self.terms.fee_ppm
        given = self._within(amount, 1)
        free = self._ledger.free(self.reserve, self.paid_asset)
        got = given * over * (PPM - fee_ppm) // (under * PPM)
        if got > free:
            given = max(0, free) * under * PPM // (over * (PPM - fee_ppm))
            got = given * over * (PPM - fee_ppm) // (under * PPM)
        if (
            got < 1
            or not self._serves(account, self.issued_asset, given)
            or (self.custodian is not None and not self.custodian.may_withdraw(self.reserve, self.paid_asset, got))
        ):
            done(0, 0)
            return
        self._used[1] += given
        self._ledger.transfer(account, self.custody, self.issued_asset, given, Flow.REDEEM)
        self._ledger.transfer(self.reserve, self.custody, self.paid_asset, got, Flow.REDEEM)
        self._later(_Request(account, given, got, False, done), self.terms.delay_back_ns)

    def _quanta_rate(self) -> tuple[int, int]:
        """Quanta of the underlying per quantum of the wrapped asset."""
        over, under = self._rate()
        return over * self._scale[0], under * self._scale[1]

    def _within(self, amount: int, direction: int) -> int:
        """As much of the amount as the cap of this interval leaves."""
        interval = self._scheduler.now // self.terms.interval_ns
        if interval != self._interval:
            self._interval = interval
            self._used = [0, 0]
        cap = self.terms.cap_back if direction else self.terms.cap
        return amount if cap is None else min(amount, max(0, cap - self._used[direction]))

    def _serves(self, account: int, asset: int, amount: int) -> bool:
        listed = self._whitelist is None or account in self._whitelist
        return self.open and listed and self._ledger.free(account, asset) >= amount

    def _later(self, request: _Request, delay_ns: int) -> None:
        self._number += 1
        self._pending[self._number] = request
        now = self._scheduler.now
        self._scheduler.call_at(now + delay_ns, EventClass.MESSAGE, self._key, self._settle, self._number)

    def _settle(self, number: int) -> None:
        account, paid, got, issues, done = self._pending.pop(number)
        ledger = self._ledger
        if issues:
            ledger.transfer(self.custody, self.reserve, self.paid_asset, paid, Flow.MINT)
            if self.custodian is not None:
                self.custodian.receive(self.reserve, self.paid_asset)
            ledger.issue(account, self.issued_asset, got, Flow.MINT)
            kind, amount, value = self.issue_kind, got, paid
        else:
            ledger.burn(self.custody, self.issued_asset, paid, Flow.REDEEM)
            ledger.transfer(self.custody, account, self.paid_asset, got, Flow.REDEEM)
            kind, amount, value = self.redeem_kind, paid, got
        asset = ledger.asset_name(self.issued_asset)
        self._recorder.credit(self._scheduler.now, kind, account, self.reserve, asset, amount, value, number)
        done(paid, got)

    def check(self) -> None:
        """Prove that custody holds what is under way and nothing else; raises `CheckError`."""
        paid = sum(request.paid if request.issues else request.got for request in self._pending.values())
        given = sum(request.paid for request in self._pending.values() if not request.issues)
        held = [self._ledger.balance(self.custody, asset) for asset in (self.paid_asset, self.issued_asset)]
        if held != [paid, given]:
            raise CheckError(f"{self.name}.custody holds {held} quanta, requests under way say {[paid, given]}")


class Issuer(Converter):
    """Issues a stablecoin against a reserve asset, one for one less a fee, and takes it back (USDe and USDT).

    `whitelist` accounts only (None: everyone). Redemption ends where the reserve does: who keeps it in a hedge must
    unwind that first. Bias: the par value is a dollar of the reserve asset whatever that is worth elsewhere.
    """

    issue_kind = "minted"
    redeem_kind = "redeemed"

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        ledger: Ledger,
        recorder: Recording,
        *,
        asset: int,
        reserve_asset: int,
        reserve: int,
        terms: WindowTerms | None = None,
        whitelist: Iterable[int] | None = None,
        custodian: Custodian | None = None,
    ) -> None:
        super().__init__(
            name,
            scheduler,
            ledger,
            recorder,
            wrapped=asset,
            underlying=reserve_asset,
            reserve=reserve,
            rate=fixed_rate(Decimal(1)),
            terms=terms,
            whitelist=whitelist,
            custodian=custodian,
        )

    def mint(self, account: int, amount: int, done: Done) -> None:
        """Pay up to `amount` quanta of the reserve asset for newly issued ones."""
        self.wrap(account, amount, done)

    def redeem(self, account: int, amount: int, done: Done) -> None:
        """Give up to `amount` quanta of the issued asset back for the reserve asset."""
        self.unwrap(account, amount, done)
