"""Windows where assets are minted, redeemed or converted, as an account sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lobsim.sim.clock import Clock, session_key
from lobsim.sim.latency import LatencyModel
from lobsim.sim.line import Line
from lobsim.sim.purse import Purse
from lobsim.venue.ports import EventClass

Request = Callable[[int, int, Callable[[int, int], None]], None]
"""``request(account, amount, done)``; ``done(paid, got)`` is called once it is settled, with zeros when refused."""

Figure = Callable[[int], int]
"""A number that a window tells everyone, for an amount where it depends on one."""


class WindowGateway:
    """One account's connection to an issuer, a converter or a mint-and-burn contract: named actions on amounts.

    `on_result(action, paid, got)` is called when an answer arrives: quanta given and received, both 0 when refused.
    """

    def __init__(
        self,
        clock: Clock,
        name: str,
        purse: Purse,
        actions: Mapping[str, Request],
        is_open: Callable[[], bool],
        order_latency: LatencyModel,
        feed_latency: LatencyModel,
        figures: Mapping[str, Figure] | None = None,
    ) -> None:
        self.on_result: Callable[[str, int, int], None] | None = None
        self.purse = purse
        self._actions = actions
        self._is_open = is_open
        self._figures = figures or {}
        key = session_key(clock.seed, name)
        self._requests = Line(clock, EventClass.MESSAGE, key, order_latency, self._arrive)
        self._results = Line(clock, EventClass.DELIVERY, key, feed_latency, self._deliver)

    @property
    def account_id(self) -> int:
        """The account that pays and receives here."""
        return self.purse.account_id

    @property
    def open(self) -> bool:
        """Whether it answers at all: its state is public, on the chain."""
        return self._is_open()

    @property
    def actions(self) -> tuple[str, ...]:
        """What can be asked for here, e.g. ("mint", "redeem")."""
        return tuple(self._actions)

    def figure(self, name: str, amount: int = 0) -> int:
        """A public number as it stands.

        "fee_ppm" of an issuer or converter; "supply" of an issuer, in quanta of what it issues; "quote_ppm" of a
        mint-and-burn contract: share of its worth that burning `amount` stable quanta would pay (below 0: burning the
        volatile coin for as many).
        """
        return self._figures[name](amount)

    def ask(self, action: str, amount: int) -> None:
        """Ask to have `amount` quanta minted, redeemed, converted ... out of the own account there."""
        self._requests.send((action, amount))

    def _arrive(self, message: tuple[str, int]) -> None:
        action, amount = message

        def done(paid: int, got: int) -> None:
            self.purse.refresh()
            self._results.send((action, paid, got))

        self._actions[action](self.account_id, amount, done)
        self.purse.refresh()

    def _deliver(self, message: tuple[str, int, int]) -> None:
        if self.on_result is not None:
            self.on_result(*message)
