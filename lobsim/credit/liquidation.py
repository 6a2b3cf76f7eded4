"""How a unified account that fell to its liquidation level is sold: policies that plan, a bankruptcy that settles.

Planning is a pure function of the account, the marks and what the account had when it began; the venue turns slices
into orders, waits and asks again. Assets and contracts are reduced together, the most liquid first; what is owed in
other assets is bought back after that. Bias: the policy is blind to the book, as exchanges' engines largely were; how
far its slices walk is the book's answer. Under an auction nothing is sold at market: the venue offers the account's
positions at a price that falls along the schedule given here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum, unique
from fractions import Fraction
from types import MappingProxyType
from typing import Final, NamedTuple

from lobsim.credit.contract_terms import Takeover
from lobsim.credit.contracts import ContractBook
from lobsim.credit.errors import LedgerError, TermsError
from lobsim.credit.interest import PPM
from lobsim.credit.ledger import Flow
from lobsim.credit.margin import CrossMargin
from lobsim.credit.marks import Mark, Marks
from lobsim.events import Side
from lobsim.units import NS_PER_S

NO_ASSET: Final = -1
_ZERO: Final = Fraction(0)


class Auction(NamedTuple):
    """A price that falls in a straight line from the mark to `floor_ppm` of it over `duration_ns`, then stands."""

    floor_ppm: int
    duration_ns: int

    def check(self) -> None:
        """Raise `TermsError` for a floor beyond 0 to 100 % or a duration that is not positive."""
        if not 0 <= self.floor_ppm <= PPM or self.duration_ns < 1:
            raise TermsError(f"an auction needs a floor of 0 to {PPM} ppm and a duration above 0: {self}")

    def price_ppm(self, elapsed_ns: int) -> int:
        """Share of the mark at which lots are offered `elapsed_ns` after the start, rounded down."""
        elapsed = min(max(0, elapsed_ns), self.duration_ns)
        return PPM - (PPM - self.floor_ppm) * elapsed // self.duration_ns


class SalePolicy(NamedTuple):
    """Sell `fraction_ppm` of what the account began with, by its value then, every `pause_ns` until `target_ppm`.

    target_ppm: margin level at which the account is safe again. parallel: every position gives up that fraction of its
    own at the same time, instead of one after the other. auction: slices are offered there instead of sold at market.
    """

    name: str
    fraction_ppm: int
    pause_ns: int
    target_ppm: int = 1_500_000
    parallel: bool = False
    auction: Auction | None = None


ALL_AT_ONCE = SalePolicy("all-at-once", PPM, 0)
PARTIAL = SalePolicy("partial", 200_000, 30 * NS_PER_S)
TIME_SLICED = SalePolicy("time-sliced", 100_000, 5 * NS_PER_S)


class Slice(NamedTuple):
    """`amount` quanta of `asset` to be traded against the numeraire, or lots of the contract of that name.

    A slice of a contract has the asset `NO_ASSET`.
    """

    asset: int
    side: Side
    amount: int
    contract: str = ""


class LiquidationCase(NamedTuple):
    """An account under liquidation: the marks it began with and what its positions beside the numeraire were worth.

    contract_marks: ticks by contract name. amounts: size of every position then, by asset id or contract name.
    """

    account: int
    marks: dict[int, Mark]
    gross_value: Fraction
    contract_marks: Mapping[str, int] = MappingProxyType({})
    amounts: Mapping[int | str, int] = MappingProxyType({})


class _Position(NamedTuple):
    """What is to be reduced: its key in a ranking, signed amount, value of one unit at starting marks, the contract."""

    key: int | str
    amount: int
    price: Mark
    contract: ContractBook | None


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
    """How an account's end was paid for, by asset in quanta: taken over, paid by insurance, lost by the pool.

    taken_over: contract positions, by name, that went to their liquidation accounts at the bankruptcy price: for the
    venue to sell within `ContractBook.fund_limit_price` and to deleverage.
    """

    seized: dict[int, int]
    insured: dict[int, int]
    written_off: dict[int, int]
    taken_over: dict[str, Takeover]


def begin_liquidation(margin: CrossMargin, account: int, marks: Marks) -> LiquidationCase:
    """Note what the account has to lose. Its open orders must have been cancelled. Raises `LedgerError`."""
    started = {asset: _mark(marks, asset) for asset in margin.positions(account) if asset != margin.numeraire}
    contract_marks = {book.name: _contract_mark(book, account) for book in _held(margin, account)}
    case = LiquidationCase(account, started, Fraction(0), contract_marks)
    positions = _positions(margin, case, marks)
    gross = sum((abs(position.amount) * Fraction(*position.price) for position in positions), _ZERO)
    return case._replace(gross_value=gross, amounts={each.key: abs(each.amount) for each in positions})


def next_step(
    policy: SalePolicy, case: LiquidationCase, margin: CrossMargin, marks: Marks, ranking: Sequence[int | str]
) -> LiquidationStep:
    """The next slices of a liquidation; changes nothing. O(positions log positions).

    ranking: asset ids and contract names, most liquid first; others follow by id, contracts last. A slice's budget is
    the policy's fraction of the starting gross value, spent at starting marks in that order, and on buying short assets
    back after all else; under `parallel` each position gives up its own fraction. What came in later counts at its
    present mark. Amounts are rounded up, so that the last slice leaves no dust.
    """
    if margin.at_or_above(case.account, marks, policy.target_ppm):
        return LiquidationStep(StepState.SAFE)
    ranks = {key: rank for rank, key in enumerate(ranking)}
    positions = _positions(margin, case, marks)
    positions.sort(key=lambda each: (each.contract is None and each.amount < 0, ranks.get(each.key, len(ranks))))
    whole = policy.fraction_ppm >= PPM
    budget, unit = case.gross_value.numerator * policy.fraction_ppm, case.gross_value.denominator * PPM  # budget / unit
    slices = []
    for key, signed, price, contract in positions:
        size = abs(signed)
        if whole:
            amount = size
        elif policy.parallel:
            amount = min(size, -(-case.amounts.get(key, size) * policy.fraction_ppm // PPM))
        else:
            amount = min(size, -(-budget * price[1] // (price[0] * unit)))
            budget, unit = budget * price[1] - amount * price[0] * unit, unit * price[1]
        if amount < 1:
            break
        side = Side.SELL if signed > 0 else Side.BUY
        asset = key if isinstance(key, int) else NO_ASSET
        slices.append(Slice(asset, side, amount, contract.name if contract else ""))
    if not slices:
        return LiquidationStep(StepState.EMPTY)
    return LiquidationStep(StepState.SELL, tuple(slices), policy.pause_ns)


def bankrupt(margin: CrossMargin, account: int, insurance: int, marks: Marks | None = None) -> Bankruptcy:
    """End an account that has debts and nothing left to sell.

    Contracts it still has are taken over at their marks, or, when that leaves the account under water, where its own
    equity without collateral ratios is 0: beyond each mark by the same share of its notional. (`marks` are needed then,
    or `LedgerError` is raised.)

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
    taken_over = hand_over(margin, account, marks)
    owed = [asset for asset in margin.assets if margin.liability(account, asset)]
    seized: dict[int, int] = {}
    insured: dict[int, int] = {}
    written_off: dict[int, int] = {}
    if not owed:
        return Bankruptcy(seized, insured, written_off, taken_over)
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
    return Bankruptcy(seized, insured, written_off, taken_over)


def hand_over(
    margin: CrossMargin, account: int, marks: Marks | None, *, within_cost: bool = False
) -> dict[str, Takeover]:
    """Move contract positions to their liquidation accounts so that their P&L pays what the account lacks.

    That is at the account's bankruptcy price: afterwards its assets, at `marks` and without collateral ratios, are
    worth what it owes. Raises `LedgerError` without marks. within_cost: no position goes for more than the better of
    its cost and its value at the mark, so that other losses of the account (on loans, say) are not put on the other
    side of its contracts.
    """
    held = _held(margin, account)
    if not held:
        return {}
    if marks is None:
        raise LedgerError(f"{margin.ledger.account_name(account)} has contracts left: their end needs marks")
    lacking = -sum((net * Fraction(*_worth(margin, marks, s)) for s, net in margin.positions(account).items()), _ZERO)
    quotes = {book.name: Fraction(*_worth(margin, marks, book.quote)) for book in held}
    worth = {book.name: book.position(account)[0] * _contract_mark(book, account) * book.unit for book in held}
    gains = {book.name: (worth[book.name] - book.position(account)[1]) * quotes[book.name] for book in held}
    notional = sum((abs(worth[book.name]) * quotes[book.name] for book in held), _ZERO)
    beyond = max(_ZERO, lacking - sum(gains.values(), _ZERO)) / notional
    values = {book.name: worth[book.name] + -int(-beyond * abs(worth[book.name]) // 1) for book in held}
    if within_cost:
        most = {book.name: max(worth[book.name], book.position(account)[1]) for book in held}
        values = {name: min(value, most[name]) for name, value in values.items()}
    held.sort(key=lambda book: book.position(account)[1] - values[book.name])  # gains first: they pay for losses
    return {book.name: book.take_over_cross(account, values[book.name]) for book in held}


def _held(margin: CrossMargin, account: int) -> list[ContractBook]:
    return [book for book in margin.contracts if book.position(account)[0]]


def _positions(margin: CrossMargin, case: LiquidationCase, marks: Marks) -> list[_Position]:
    """Everything to be reduced: assets by id, then contracts, each valued at the case's own marks where it has them."""
    found = []
    for asset, net in sorted(margin.positions(case.account).items()):
        if asset != margin.numeraire:
            found.append(_Position(asset, net, case.marks.get(asset) or _mark(marks, asset), None))
    for book in _held(margin, case.account):
        ticks = case.contract_marks.get(book.name) or _contract_mark(book, case.account)
        over, under = case.marks.get(book.quote) or _worth(margin, marks, book.quote)
        found.append(_Position(book.name, book.position(case.account)[0], (ticks * book.unit * over, under), book))
    return found


def _contract_mark(book: ContractBook, account: int) -> int:
    if book.mark_price is None:
        raise LedgerError(f"{book.name} has no mark price, and account {account} under liquidation a position in it")
    return book.mark_price


def _worth(margin: CrossMargin, marks: Marks, asset: int) -> Mark:
    return marks.get(asset) or ((1, 1) if asset == margin.numeraire else _mark(marks, asset))


def _mark(marks: Marks, asset: int) -> Mark:
    try:
        return marks[asset]
    except KeyError:
        raise LedgerError(f"no mark for asset {asset}, in which an account under liquidation has a position") from None
