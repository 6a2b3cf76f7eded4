"""How a unified account that fell to its liquidation level is sold: policies that plan, a bankruptcy that settles.

Planning is a pure function of the account, the marks and what the account had when it began; the venue turns slices
into orders, waits and asks again. Positions are sold against the numeraire, the most liquid first; what is owed in
other assets is bought back after that. Bias: the policy is blind to the book, as exchanges' engines largely were; how
far its slices walk is the book's answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum, unique
from fractions import Fraction
from typing import NamedTuple

from lobsim.credit.errors import LedgerError
from lobsim.credit.interest import PPM
from lobsim.credit.ledger import Flow
from lobsim.credit.margin import CrossMargin
from lobsim.credit.marks import Mark, Marks
from lobsim.events import Side
from lobsim.units import NS_PER_S


class SalePolicy(NamedTuple):
    """Sell `fraction_ppm` of what the account began with, by its value then, every `pause_ns` until `target_ppm`.

    target_ppm: margin level at which the account is safe again.
    """

    name: str
    fraction_ppm: int
    pause_ns: int
    target_ppm: int = 1_500_000


ALL_AT_ONCE = SalePolicy("all-at-once", PPM, 0)
PARTIAL = SalePolicy("partial", 200_000, 30 * NS_PER_S)
TIME_SLICED = SalePolicy("time-sliced", 100_000, 5 * NS_PER_S)


class Slice(NamedTuple):
    """`amount` quanta of `asset` to be traded against the numeraire."""

    asset: int
    side: Side
    amount: int


class LiquidationCase(NamedTuple):
    """An account under liquidation: the marks it began with and what its non-numeraire positions were worth then."""

    account: int
    marks: dict[int, Mark]
    gross_value: Fraction


@unique
class StepState(IntEnum):
    """SELL: trade the slices and come back. SAFE: the target level is reached. EMPTY: nothing is left to trade."""

    SELL = 0
    SAFE = 1
    EMPTY = 2


class LiquidationStep(NamedTuple):
    """What to do now and after how many nanoseconds to ask again (None: the liquidation is over)."""

    state: StepState
    slices: tuple[Slice, ...] = ()
    delay_ns: int | None = None


class Bankruptcy(NamedTuple):
    """How an account's end was paid for, by asset in quanta: taken over, paid by insurance, lost by the pool."""

    seized: dict[int, int]
    insured: dict[int, int]
    written_off: dict[int, int]


def begin_liquidation(margin: CrossMargin, account: int, marks: Marks) -> LiquidationCase:
    """Note what the account has to lose. Its open orders must have been cancelled. Raises `LedgerError`."""
    positions = _traded(margin, account)
    started = {asset: _mark(marks, asset) for asset in positions}
    gross = sum((abs(net) * Fraction(*started[asset]) for asset, net in positions.items()), Fraction(0))
    return LiquidationCase(account, started, gross)


def next_step(
    policy: SalePolicy, case: LiquidationCase, margin: CrossMargin, marks: Marks, ranking: Sequence[int]
) -> LiquidationStep:
    """The next slices of a liquidation; changes nothing. O(assets log assets).

    ranking: assets, most liquid first; others follow by id. A slice's budget is the policy's fraction of the starting
    gross value, spent at starting marks: on long positions in that order, then on buying short ones back. An asset that
    came in later counts at its present mark. Amounts are rounded up, so that the last slice leaves no dust.
    """
    if margin.at_or_above(case.account, marks, policy.target_ppm):
        return LiquidationStep(StepState.SAFE)
    positions = _traded(margin, case.account)
    ranks = {asset: rank for rank, asset in enumerate(ranking)}
    order = sorted(positions, key=lambda asset: (positions[asset] < 0, ranks.get(asset, len(ranks)), asset))
    whole = policy.fraction_ppm >= PPM
    budget = case.gross_value * policy.fraction_ppm / PPM
    slices = []
    for asset in order:
        net = positions[asset]
        price = Fraction(*case.marks.get(asset) or _mark(marks, asset))
        amount = abs(net) if whole else min(abs(net), -(-budget // price))
        if amount < 1:
            break
        slices.append(Slice(asset, Side.SELL if net > 0 else Side.BUY, amount))
        budget -= amount * price
    if not slices:
        return LiquidationStep(StepState.EMPTY)
    return LiquidationStep(StepState.SELL, tuple(slices), policy.pause_ns)


def bankrupt(margin: CrossMargin, account: int, insurance: int) -> Bankruptcy:
    """End an account that has debts and nothing left to sell.

    Its own cash repays first. Leftovers too small to trade go to the insurance account (`SEIZE`), which pays the debts
    in kind as far as its balances reach (`INSURANCE`); the rest is written off at the pool's expense (`BAD_DEBT`).
    An account without debts is left alone. Raises `LedgerError` when something is still held for open orders.
    """
    ledger = margin.ledger
    for asset in margin.assets:
        if ledger.held(account, asset):
            raise LedgerError(f"{ledger.account_name(account)} still holds {ledger.asset_name(asset)} for open orders")
    for asset in margin.assets:
        margin.sweep(account, asset)
    owed = [asset for asset in margin.assets if margin.liability(account, asset)]
    seized: dict[int, int] = {}
    insured: dict[int, int] = {}
    written_off: dict[int, int] = {}
    if not owed:
        return Bankruptcy(seized, insured, written_off)
    for asset in margin.assets:
        left = ledger.balance(account, asset)
        if left:
            ledger.transfer(account, insurance, asset, left, Flow.SEIZE)
            seized[asset] = left
    for asset in owed:
        paid = min(margin.liability(account, asset), ledger.free(insurance, asset))
        if paid:
            ledger.transfer(insurance, account, asset, paid, Flow.INSURANCE)
            insured[asset] = margin.repay(account, asset, paid)
        if lost := margin.write_off(account, asset):
            written_off[asset] = lost
    return Bankruptcy(seized, insured, written_off)


def _traded(margin: CrossMargin, account: int) -> Mapping[int, int]:
    return {asset: net for asset, net in margin.positions(account).items() if asset != margin.numeraire}


def _mark(marks: Marks, asset: int) -> Mark:
    try:
        return marks[asset]
    except KeyError:
        raise LedgerError(f"no mark for asset {asset}, in which an account under liquidation has a position") from None
