"""Auto-deleveraging: what the insurance cannot carry is closed against the other side, the luckiest first.

With V a position's value at the mark, C what was paid for it and E its equity (margin and P&L of an isolated position,
the account's equity of a cross one),

    profit % = P&L / |C|        effective leverage = |V| / E
    score    = profit % * effective leverage    for positions in profit
             = profit % / effective leverage    for those without           (formula: BitMEX, Binance ADL ranking)

Highest score first; equal scores by age, the older first. A position in profit whose account has no equity left stands
before all others, one in loss without equity last. Accounts that may overdraw and are no unified accounts (populations,
treasuries) have no equity to measure: they count with a leverage of 1, which is the bias of this ranking.

Counterparties are closed at the bankruptcy price of what is taken from the liquidation account, and never lose more
than they have: an isolated position its margin, an account its free balance. What that leaves over stays with the
liquidation account.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lobsim.credit.clearing import traded
from lobsim.credit.errors import LedgerError
from lobsim.credit.isolated import FUNDING_UNIT
from lobsim.credit.ledger import Flow
from lobsim.credit.marks import Marks
from lobsim.events import Side

if TYPE_CHECKING:
    from lobsim.credit.contracts import ContractBook

Kind: TypeAlias = Literal["cross", "isolated"]
_Key: TypeAlias = tuple[int, Fraction, int]

_FIRST = 64  # how many candidates to look at before asking for more
_EVERYTHING = 1 << 62


class Rank(NamedTuple):
    """A position in line: `id` of the isolated position or of the account, its lots (a count), its score.

    score: None when there is no equity to divide by.
    """

    kind: Kind
    id: int
    account: int
    lots: int
    score: Fraction | None


class AdlFill(NamedTuple):
    """`lots` (a count) of a position closed for `value` quote quanta, that is at `price_ticks`, rounded down."""

    kind: Kind
    id: int
    account: int
    lots: int
    price_ticks: int
    value: int


def ranking(book: ContractBook, side: Side, marks: Marks | None = None, lots: int = _EVERYTHING) -> list[Rank]:
    """Positions of `side` (BUY: longs) in the order in which ADL closes them; only as many as `lots` take.

    `marks` value the unified accounts' other assets; without them only cash and P&L in the quote asset count. Exact: a
    float preselection may only take too many. O(positions) in numpy plus O(taken log taken), and one exact valuation
    per cross position of the side.
    """
    mark = _mark(book)
    sign = 1 if side == Side.BUY else -1
    found: list[tuple[_Key, Rank]] = []
    for account, (held, cost) in book.cross_positions.items():
        if held * sign > 0 and account != book.liquidation:
            value = held * mark * book.unit
            key = _key(value, value - cost, abs(cost), _equity(book, account, marks), book.cross_ages[account])
            found.append((key, Rank("cross", account, account, abs(held), _score(key))))
    shelf = book.isolated_positions
    for position_id in _candidates(book, sign, mark, lots):
        position = shelf.get(position_id)
        if position is not None:
            value = position.lots * mark * book.unit
            profit = value - position.full_cost(book.funding_index)
            key = _key(value, profit, abs(position.cost), Fraction(position.margin + profit), position.age)
            found.append((key, Rank("isolated", position_id, position.account, abs(position.lots), _score(key))))
    found.sort(key=lambda pair: pair[0])
    line = []
    for _, rank in found:
        line.append(rank)
        lots -= rank.lots
        if lots <= 0:
            break
    return line


def deleverage(book: ContractBook, lots: int, price_ticks: int | None, marks: Marks | None) -> list[AdlFill]:
    """Close `lots` of the liquidation account's position against the other side, in the order of `ranking`.

    Price: `price_ticks`, or else the account's average cost: the bankruptcy price of what it took over. As lots add up
    to 0 over all positions it always completes. Raises `LedgerError` for more lots than it has.
    """
    held, _ = book.position(book.liquidation)
    if not 1 <= lots <= abs(held) or (price_ticks is not None and price_ticks < 1):
        raise LedgerError(f"{book.name}: cannot deleverage {lots!r} of {held} lots at {price_ticks!r} ticks")
    sign = 1 if held > 0 else -1  # of what counterparties buy
    fills = []
    for rank in ranking(book, Side.SELL if held > 0 else Side.BUY, marks, lots):
        held, cost = book.position(book.liquidation)
        qty = sign * min(lots, rank.lots)
        share = cost - cost * (held - qty) // held
        value = share if price_ticks is None else qty * price_ticks * book.unit
        fills.append(_close(book, rank, qty, value))
        lots -= abs(qty)
    return fills


def _close(book: ContractBook, rank: Rank, qty: int, value: int) -> AdlFill:
    """Let a counterparty trade `qty` signed lots for `value`, or for as much as takes all it has."""
    if rank.kind == "isolated":
        position = book.isolated_positions.get(rank.id)
        assert position is not None
        full_cost = position.full_cost(book.funding_index)
        gain = traded(position.lots, full_cost, qty, value)[2]
        value = min(value, value + gain + position.margin)
        book.close_at_value(position, qty, value, book.liquidation, reason=Flow.ADL)
    else:
        funds = book.ledger.free(rank.account, book.quote)
        if book.margin is not None and rank.account in book.margin:
            funds += book.ledger.free(book.margin.pool, book.quote)
        gain = traded(*book.position(rank.account), qty, value)[2]
        value = min(value, value + gain + max(0, funds))
        book.post(rank.account, book.liquidation, qty, value, reason=Flow.ADL)
    price = value // (qty * book.unit)
    return AdlFill(rank.kind, rank.id, rank.account, abs(qty), price, abs(value))


def _mark(book: ContractBook) -> int:
    if book.mark_price is None:
        raise LedgerError(f"{book.name} has no mark price to rank positions by")
    return book.mark_price


def _equity(book: ContractBook, account: int, marks: Marks | None) -> Fraction | None:
    """Of a cross holder, in quote quanta; None where nothing bounds what it can lose."""
    margin = book.margin
    if margin is not None and account in margin:
        if marks is None:
            cash = margin.net(account, book.quote)
            return Fraction(cash + book.unrealised(account, _mark(book)))
        over, under = marks.get(book.quote, (1, 1))
        return margin.equity(account, marks) * under / over
    if book.ledger.overdrafts(account):
        return None
    return Fraction(book.ledger.balance(account, book.quote) + book.unrealised(account, _mark(book)))


def _key(value: int, profit: int, entry: int, equity: Fraction | None, age: int) -> _Key:
    """(class, minus score, age): sorts from first to last in line."""
    if equity is not None and equity <= 0:
        return (0 if profit > 0 else 3), Fraction(0), age
    share = Fraction(profit, max(1, entry))
    leverage = Fraction(1) if equity is None else abs(value) / equity
    if profit > 0:
        return 1, -share * leverage, age
    return 2, -share / leverage, age


def _score(key: _Key) -> Fraction | None:
    return -key[1] if key[0] in {1, 2} else None


def _candidates(book: ContractBook, sign: int, mark: int, lots: int) -> list[int]:
    """Isolated positions of a side among which the first in line for `lots` are, with room for float error."""
    shelf = book.isolated_positions
    held: NDArray[np.float64] = np.array(shelf.lots_column)
    chosen = np.flatnonzero(held * sign > 0)
    if not len(chosen):
        return []
    held = held[chosen]
    cost: NDArray[np.float64] = np.array(shelf.cost_column)[chosen]
    margin: NDArray[np.float64] = np.array(shelf.margin_column)[chosen]
    since: NDArray[np.float64] = np.array(shelf.funding_column)[chosen]
    value = held * float(mark * book.unit)
    profit = value - cost - held * (float(book.funding_index) - since) / FUNDING_UNIT
    value, equity = np.abs(value), margin + profit
    cost = np.maximum(np.abs(cost), 1.0)
    # Bounds of the score: every sum above is right to 1e-12 of its largest part (funding rounds by a quantum besides).
    slack = 1e-12 * (value + cost + margin) + 1.0 + np.abs(held) * abs(float(book.funding_index)) * 1e-21
    best = _scores(profit + slack, cost, value, equity - slack, equity + slack)
    worst = _scores(profit - slack, cost, value, equity + slack, equity - slack)
    size = np.abs(held)
    count = min(_FIRST, len(chosen))
    while count < len(chosen):
        first = np.argpartition(-worst, count - 1)[:count]
        if size[first].sum() >= lots:
            return [int(slot) for slot in chosen[best >= worst[first].min()]]
        count *= 4
    return [int(slot) for slot in chosen]


def _scores(
    profit: NDArray[np.float64],
    cost: NDArray[np.float64],
    value: NDArray[np.float64],
    equity: NDArray[np.float64],
    other_equity: NDArray[np.float64],
) -> NDArray[np.float64]:
    """One bound of the score from one bound of profit, and both of equity; infinite where no equity may be left."""
    with np.errstate(divide="ignore", invalid="ignore"):
        gaining = np.where(equity > 0, profit * value / (cost * equity), np.inf)
    losing = np.where(other_equity > 0, profit * np.maximum(equity, 0) / (cost * value), -np.inf)
    return np.where(profit > 0, gaining, losing)
