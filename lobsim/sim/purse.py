"""What an account holds outside its orders: free balances as its owner knows them, and the way from venue to venue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from lobsim.credit import Ledger
from lobsim.sim.clock import Clock, session_key
from lobsim.sim.feed import Feed, FeedReader
from lobsim.sim.latency import LatencyModel
from lobsim.sim.line import Line
from lobsim.venue.ports import EventClass

CHAIN = "chain"
"""Name of the place outside all venues, in scenario files and for transfers."""


class TransferDesk(Protocol):
    """Who carries assets between venues; see `lobsim.venue.transfers`."""

    def send(self, from_account: int, to_account: int, asset: int, amount: int, venue_from: str, venue_to: str) -> bool:
        """Take the amount from the account at once, deliver it after a delay; False when refused."""
        ...

    def watch(self, account_id: int, on_arrival: Callable[[int, int], None]) -> None:
        """Call ``on_arrival(asset, amount)`` whenever something arrives at the account."""
        ...


class Wallet(Protocol):
    """Where assets can be sent to: a gateway of a venue, or the chain."""

    @property
    def account_id(self) -> int:
        """The ledger account."""
        ...

    @property
    def venue(self) -> str:
        """Where it is."""
        ...

    def refresh(self) -> None:
        """Balances have changed: send word of them."""
        ...


class Purse:
    """What an account's owner knows of its free balances, and how it sends them elsewhere.

    Balances are those of the last report that reached the owner; `refresh` sends one on its way.
    """

    def __init__(
        self,
        clock: Clock,
        ledger: Ledger,
        desk: TransferDesk,
        name: str,
        account_id: int,
        venue: str,
        order_latency: LatencyModel,
        feed_latency: LatencyModel,
        withdrawals: Feed[Mapping[tuple[str, str], bool]],
    ) -> None:
        self.account_id = account_id
        self.venue = venue
        self._ledger = ledger
        self._desk = desk
        self._known: dict[str, int] = {}
        self._assets: dict[str, int] = {}
        key = session_key(clock.seed, f"{name}/transfers")
        self._clock = clock
        self._requests = Line(clock, EventClass.MESSAGE, key, order_latency, self._arrive)
        self._news = Line(clock, EventClass.DELIVERY, key, feed_latency, self._deliver)
        self._halts = FeedReader(withdrawals, feed_latency)
        desk.watch(account_id, lambda _asset, _amount: self.refresh())

    def balance(self, asset: str) -> int:
        """Free quanta as far as the owner knows. Asked for the first time it is the balance of that moment."""
        known = self._known.get(asset)
        if known is None:
            number = self._assets[asset] = self._ledger.asset(asset)
            known = self._known[asset] = self._ledger.free(self.account_id, number)
        return known

    def refresh(self) -> None:
        """Send the owner word of the balances it has asked for before."""
        if self._assets:
            free = self._ledger.free
            self._news.send({name: free(self.account_id, asset) for name, asset in self._assets.items()})

    def transfer(self, to: Wallet, asset: str, amount: int) -> None:
        """Ask for `amount` quanta to be sent to another wallet of the owner; refused while withdrawals are halted."""
        self._requests.send((to, asset, amount))

    def withdrawals_open(self, asset: str) -> bool:
        """Whether `asset` may leave this venue, as far as the owner knows."""
        halts = self._halts.latest(self._clock.now) or {}
        return halts.get((self.venue, asset), True)

    def _arrive(self, message: tuple[Wallet, str, int]) -> None:
        to, asset, amount = message
        self._desk.send(self.account_id, to.account_id, self._ledger.asset(asset), amount, self.venue, to.venue)
        self.refresh()

    def _deliver(self, balances: dict[str, int]) -> None:
        self._known.update(balances)
