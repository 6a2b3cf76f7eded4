"""An algorithmic stablecoin's market: burn a stable coin, mint its dollar's worth of the volatile one, and back.

The rules are those of Terra's market module (docs.terra.money, "Market"): a virtual pool of constant product that each
swap pushes out of balance and that time brings back. With B the base pool and d what stable coins went in more than
out (both valued in stable quanta), the stable side holds B + d, the volatile side B^2 / (B + d); a swap of value x gets

    x * (1 - max(floor, spread)),   1 - spread = (what the other side gives up for x) / x

d falls to 0 within a recovery period of silence. So a run on the stable coin pays a growing spread, and what it cannot
redeem here it must sell on the market.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from lobsim.credit import Flow, Ledger
from lobsim.errors import CheckError, InputError
from lobsim.units import NS_PER_DAY, NS_PER_S
from lobsim.venue.marks import PPM, Rate
from lobsim.venue.ports import EventClass, Recording, Scheduler
from lobsim.venue.window import Window

Done: TypeAlias = Callable[[int, int], None]


class _Swap(NamedTuple):
    account: int
    asset: int
    amount: int
    value: int
    kind: str
    paid: int
    done: Done


class MintBurn(Window):
    """Swaps stable for volatile coins at the oracle's price, by burning the one and issuing the other.

    price: the volatile coin's value in stable units (the oracle's, whatever its lag). capacity: the base pool B in
    stable quanta, about what can be swapped in a recovery period before the spread explodes. Answers are as in
    `lobsim.venue.issuer`. Supply has no bound: amounts are Python ints. Bias: recovery is a straight line between two
    swaps, the real one's a decay by blocks.
    """

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        ledger: Ledger,
        recorder: Recording,
        *,
        stable: int,
        volatile: int,
        price: Rate,
        capacity: int,
        spread_floor_ppm: int = 5_000,
        recovery_ns: int = NS_PER_DAY,
        delay_ns: int = 6 * NS_PER_S,
    ) -> None:
        if capacity < 1 or recovery_ns < 1 or delay_ns < 0 or not 0 <= spread_floor_ppm < PPM or stable == volatile:
            raise InputError(
                f"{name}: needs two assets, a capacity and a recovery time above 0, a delay of at least 0 and a spread"
                f" floor in 0 to {PPM - 1} ppm, not capacity {capacity}, recovery {recovery_ns} ns, delay {delay_ns}"
                f" ns, floor {spread_floor_ppm}"
            )
        self.name = name
        self.stable = stable
        self.volatile = volatile
        self._price = price
        self._scale = (ledger.quantum(volatile) / ledger.quantum(stable)).as_integer_ratio()
        self._base = capacity
        self._floor_ppm = spread_floor_ppm
        self._recovery_ns = recovery_ns
        self._delay_ns = delay_ns
        self._scheduler = scheduler
        self._ledger = ledger
        self._recorder = recorder
        self._delta = 0
        self._delta_ns = 0
        self._pending: dict[int, _Swap] = {}
        self._number = 0
        self._key = scheduler.key(name)

    @property
    def imbalance(self) -> int:
        """d: stable quanta that went in more than out, as far as time has not made up for them."""
        now = self._scheduler.now
        past = min(now - self._delta_ns, self._recovery_ns)
        if past:
            sign = -1 if self._delta < 0 else 1
            self._delta -= sign * (abs(self._delta) * past // self._recovery_ns)
            self._delta_ns = now
        return self._delta

    def burn_stable(self, account: int, amount: int, done: Done) -> None:
        """Burn `amount` stable quanta, receive their worth in the volatile coin, less the spread."""
        over, under = self._quanta_price()
        if not self._serves(account, self.stable, amount):
            done(0, 0)
            return
        worth = self._push(amount)
        self._swap(account, self.stable, amount, self.volatile, worth * under // over, worth, "stable_burned", done)

    def burn_volatile(self, account: int, amount: int, done: Done) -> None:
        """Burn `amount` volatile quanta, receive their worth in the stable coin, less the spread."""
        over, under = self._quanta_price()
        value = amount * over // under
        if not self._serves(account, self.volatile, amount) or not value:
            done(0, 0)
            return
        worth = self._push(-value)
        self._swap(account, self.volatile, amount, self.stable, worth, worth, "volatile_burned", done)

    def quote_ppm(self, stable_amount: int) -> int:
        """Share of its worth that burning so many stable quanta would pay now, in ppm rounded down.

        Below 0: that burning volatile coins of that value would pay.
        """
        return self._worth(stable_amount) * PPM // abs(stable_amount) if stable_amount else PPM

    def _quanta_price(self) -> tuple[int, int]:
        """Stable quanta per volatile quantum."""
        over, under = self._price()
        return over * self._scale[0], under * self._scale[1]

    def _worth(self, value: int) -> int:
        """What a swap of |value| pays, in stable quanta rounded down; value < 0 brings volatile coins in."""
        product = self._base * self._base
        stable = self._base + self.imbalance
        if value > 0:  # the volatile side gives up product / stable - product / (stable + value)
            paid = product * value // (stable * (stable + value))
        else:
            volatile = product // stable
            paid = stable - -(-product // (volatile - value))
        return max(0, min(paid, abs(value) * (PPM - self._floor_ppm) // PPM))

    def _push(self, value: int) -> int:
        worth = self._worth(value)
        self._delta += value if value > 0 else -worth
        return worth

    def _serves(self, account: int, asset: int, amount: int) -> bool:
        return self.open and amount > 0 and self._ledger.free(account, asset) >= amount

    def _swap(
        self, account: int, burned: int, amount: int, minted: int, got: int, worth: int, kind: str, done: Done
    ) -> None:
        self._ledger.burn(account, burned, amount, Flow.REDEEM)
        self._number += 1
        self._pending[self._number] = _Swap(account, minted, got, worth, kind, amount, done)
        now = self._scheduler.now
        self._scheduler.call_at(now + self._delay_ns, EventClass.MESSAGE, self._key, self._settle, self._number)

    def _settle(self, number: int) -> None:
        swap = self._pending.pop(number)
        ledger = self._ledger
        ledger.issue(swap.account, swap.asset, swap.amount, Flow.MINT)
        burned = ledger.asset_name(self.stable if swap.asset == self.volatile else self.volatile)
        now = self._scheduler.now
        self._recorder.credit(now, swap.kind, swap.account, 0, burned, swap.paid, swap.value, number)
        swap.done(swap.paid, swap.amount)

    def check(self) -> None:
        """Prove that neither side of the pool is used up; raises `CheckError`."""
        if self._base + self._delta < 1:
            raise CheckError(f"{self.name}: imbalance {self._delta} of a pool of {self._base}")
