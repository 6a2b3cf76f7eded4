"""Assets on their way between venues: taken at once, delivered after a delay, refused while withdrawals are halted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from lobsim.credit import Flow, Ledger
from lobsim.errors import CheckError, InputError
from lobsim.units import NS_PER_MINUTE
from lobsim.venue.ports import EventClass, Recording, Scheduler

PPM = 1_000_000


class Custodian(Protocol):
    """A venue that answers for the margin accounts it keeps."""

    def may_withdraw(self, account_id: int, asset: int, amount: int) -> bool:
        """Whether the account may give up that much of an asset; True for accounts the venue does not watch over."""
        ...

    def receive(self, account_id: int, asset: int) -> None:
        """Something has arrived on an account."""
        ...


class TransferDesk:
    """Carries assets from account to account; what is under way stands on the ledger account ``in-transit``.

    delay_ns: how long a transfer takes; `delays` says it for single assets (by ledger id). Amounts are quanta.
    Bias: one delay for all transfers of an asset, no fees, no queue on the chain.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        ledger: Ledger,
        recorder: Recording,
        *,
        delay_ns: int = NS_PER_MINUTE,
        delays: Mapping[int, int] | None = None,
        custodians: Mapping[str, Custodian] | None = None,
        publish: Callable[[Mapping[tuple[str, str], bool]], None] | None = None,
    ) -> None:
        for delay in (delay_ns, *(delays or {}).values()):
            if delay < 0:
                raise InputError(f"a transfer's delay must be at least 0 ns, not {delay}")
        self.account = ledger.open_account("in-transit")
        self.publish = publish
        self._scheduler = scheduler
        self._ledger = ledger
        self._recorder = recorder
        self._delay_ns = delay_ns
        self._delays = dict(delays or {})
        self._custodians = dict(custodians or {})
        self._slow: dict[str, int] = {}
        self._halted: dict[str, frozenset[str] | None] = {}
        self._watchers: dict[int, list[Callable[[int, int], None]]] = {}
        self._pending: dict[int, tuple[int, int, int, int, str]] = {}
        self._number = 0
        self._key = scheduler.key("transfers")

    def add_venue(self, name: str, custodian: Custodian) -> None:
        """Let a venue answer for its margin accounts; places that are not added (the chain) have none."""
        self._custodians[name] = custodian

    def watch(self, account_id: int, on_arrival: Callable[[int, int], None]) -> None:
        """Call ``on_arrival(asset, amount)`` whenever something arrives at the account."""
        self._watchers.setdefault(account_id, []).append(on_arrival)

    # --- halts ------------------------------------------------------------------------------------------------------

    def halt(self, venue: str, assets: Iterable[str] | None = None) -> None:
        """Refuse withdrawals of these assets (None: of all) from a venue, beside those halted before."""
        before = self._halted.get(venue, frozenset())
        if assets is None or before is None:
            self._halted[venue] = None
        else:
            self._halted[venue] = before | {self._ledger.asset_name(self._ledger.asset(asset)) for asset in assets}
        self._tell()

    def resume(self, venue: str, assets: Iterable[str] | None = None) -> None:
        """Let these assets (None: all) leave the venue again."""
        before = self._halted.pop(venue, frozenset())
        if assets is not None:
            left = frozenset(self._ledger.assets if before is None else before) - set(assets)
            if left:
                self._halted[venue] = left
        self._tell()

    def slow(self, venue: str, factor_ppm: int = PPM) -> None:
        """From now on transfers out of a venue take `factor_ppm` millionths of their usual delay."""
        if factor_ppm < 0:
            raise InputError(f"transfers out of {venue}: a factor of {factor_ppm} ppm must be at least 0")
        self._slow[venue] = factor_ppm

    def open(self, venue: str, asset: str) -> bool:
        """Whether an asset may leave a venue now."""
        halted = self._halted.get(venue, frozenset())
        return halted is not None and asset not in halted

    def _tell(self) -> None:
        if self.publish is not None:
            assets = self._ledger.assets
            self.publish({(venue, asset): self.open(venue, asset) for venue in self._halted for asset in assets})

    # --- transfers --------------------------------------------------------------------------------------------------

    def send(self, from_account: int, to_account: int, asset: int, amount: int, venue_from: str, venue_to: str) -> bool:
        """Take the amount from the account at once, deliver it after the delay; False when refused.

        Refused are: nothing, more than is free, a halted withdrawal, and a margin account that would not be free (its
        margin level above 1.5 by default) afterwards. What was sent before a halt arrives.
        """
        ledger = self._ledger
        name = ledger.asset_name(asset)
        custodian = self._custodians.get(venue_from)
        if (
            amount < 1
            or not self.open(venue_from, name)
            or ledger.free(from_account, asset) < amount
            or (custodian is not None and not custodian.may_withdraw(from_account, asset, amount))
        ):
            return False
        ledger.account_name(to_account)
        ledger.transfer(from_account, self.account, asset, amount, Flow.TRANSFER)
        self._number += 1
        now = self._scheduler.now
        delay = self._delays.get(asset, self._delay_ns) * self._slow.get(venue_from, PPM) // PPM
        self._pending[self._number] = (from_account, to_account, asset, amount, venue_to)
        self._recorder.credit(now, "transfer_sent", from_account, to_account, name, amount, amount, self._number)
        self._scheduler.call_at(now + delay, EventClass.MESSAGE, self._key, self._arrive, self._number)
        return True

    def _arrive(self, number: int) -> None:
        from_account, to_account, asset, amount, venue_to = self._pending.pop(number)
        self._ledger.transfer(self.account, to_account, asset, amount, Flow.TRANSFER)
        custodian = self._custodians.get(venue_to)
        if custodian is not None:
            custodian.receive(to_account, asset)
        name = self._ledger.asset_name(asset)
        now = self._scheduler.now
        self._recorder.credit(now, "transfer_arrived", to_account, from_account, name, amount, amount, number)
        for on_arrival in self._watchers.get(to_account, ()):
            on_arrival(asset, amount)

    def check(self) -> None:
        """Prove that what is in transit is what was sent and has not arrived; raises `CheckError`."""
        under_way = [0] * len(self._ledger.assets)
        for _, _, asset, amount, _ in self._pending.values():
            under_way[asset] += amount
        held = [self._ledger.balance(self.account, asset) for asset in range(len(under_way))]
        if held != under_way:
            raise CheckError(f"in-transit holds {held}, transfers under way add up to {under_way} (quanta by asset)")
