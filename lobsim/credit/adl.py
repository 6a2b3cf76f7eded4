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
from lobsim.credit.isolated import FUNDING_UNIT, IsolatedShelf
from lobsim.credit.ledger import Flow
from lobsim.credit.marks import Marks
from lobsim.events import Side

if TYPE_CHECKING:
    from lobsim.credit.contracts import ContractBook

Kind: TypeAlias = Literal["cross", "isolated"]
_Key: TypeAlias = tuple[int, Fraction, int]
_Column: TypeAlias = NDArray[np.float64]

_FIRST = 8  # how many candidates to look at before asking for more
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
    float preselection may only take too many. O(positions) in numpy plus O(taken log taken) exactly.
    """
    mark = _mark(book)
    shelf = book.isolated_positions
    found: list[tuple[_Key, Rank]] = []
    cross, isolated = _candidates(book, 1 if side == Side.BUY else -1, lots, marks)
    for account in cross:
        held, cost = book.cross_positions[account]
        value = held * mark * book.unit
        key = _key(value, value - cost, abs(cost), _equity(book, account, marks), book.cross_ages[account])
        found.append((key, Rank("cross", account, account, abs(held), _score(key))))
    for position_id in isolated:
        position = shelf.get(position_id)
        assert position is not None
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
    entry = max(1, entry)
    over, under = (1, 1) if equity is None else (abs(value) * equity.denominator, equity.numerator)  # the leverage
    if profit > 0:
        return 1, Fraction(-profit * over, entry * under), age
    return 2, Fraction(-profit * under, entry * over), age


def _score(key: _Key) -> Fraction | None:
    return -key[1] if key[0] in {1, 2} else None


def _candidates(book: ContractBook, sign: int, lots: int, marks: Marks | None) -> tuple[list[int], list[int]]:
    """(accounts, isolated positions) of a side among which the first in line for `lots` are; there may be a few more.

    With bounds of every score: each sum is right to 1e-12 of its parts' sizes, and funding rounds by a quantum.
    """
    cross = [
        account
        for account, (held, _) in book.cross_positions.items()
        if held * sign > 0 and account != book.liquidation
    ]
    slots, held, cost, margin = _isolated_columns(book.isolated_positions, float(book.funding_index), sign)
    lots_of = np.array([float(book.cross_positions[account][0]) for account in cross])
    cost_of = np.array([float(book.cross_positions[account][1]) for account in cross])
    held, cost = np.concatenate((lots_of, held)), np.concatenate((cost_of, cost))
    if len(held) <= _FIRST:
        return cross, slots.tolist()
    value = held * float(_mark(book) * book.unit)
    profit = value - cost
    value, cost = np.abs(value), np.maximum(np.abs(cost), 1.0)
    slack = 1e-12 * (value + cost + abs(float(book.funding_index)) / FUNDING_UNIT * np.abs(held)) + 1.0
    equity_of, room_of = _cross_equities(book, cross, marks)
    open_ended = np.isnan(equity_of)
    equity_of[open_ended] = value[: len(cross)][open_ended]  # a leverage of 1
    rest = slice(len(cross), None)
    equity = np.concatenate((equity_of, margin + profit[rest]))
    room = np.concatenate((room_of, slack[rest] + 1e-12 * margin))
    best = _scores(profit + slack, cost, value, equity - room, equity + room)
    worst = _scores(profit - slack, cost, value, equity + room, equity - room)
    size = np.abs(held)
    chosen = np.arange(len(held))
    count = _FIRST
    while count < len(held):
        first = np.argpartition(-worst, count - 1)[:count]
        if size[first].sum() >= lots:
            chosen = np.flatnonzero(best >= worst[first].min())
            break
        count *= 4
    split = int(np.searchsorted(chosen, len(cross)))
    return [cross[place] for place in chosen[:split].tolist()], slots[chosen[split:] - len(cross)].tolist()


def _isolated_columns(
    shelf: IsolatedShelf, funding: float, sign: int
) -> tuple[NDArray[np.int64], _Column, _Column, _Column]:
    """(ids, lots, costs with funding, margins) of the isolated positions of a side."""
    lots: _Column = np.array(shelf.lots_column)
    slots = np.flatnonzero(lots * sign > 0)
    lots = lots[slots]
    since: _Column = np.array(shelf.funding_column)[slots]
    cost: _Column = np.array(shelf.cost_column)[slots] + lots * (funding - since) / FUNDING_UNIT
    return slots, lots, cost, np.array(shelf.margin_column)[slots]


def _cross_equities(book: ContractBook, accounts: list[int], marks: Marks | None) -> tuple[_Column, _Column]:
    """Equities in quote quanta, not a number where nothing bounds a loss, and how far each may be off."""
    known: dict[int, tuple[float, float]] = {}
    if book.margin is not None and marks is not None:
        over, under = marks.get(book.quote, (1, 1))
        enrolled, equities, rooms = book.margin.approximate_equities(marks)
        for account, equity, room in zip(enrolled, equities.tolist(), rooms.tolist(), strict=True):
            known[account] = equity * under / over, room * under / over
    rows = []
    for account in accounts:
        if account not in known:
            exact = _equity(book, account, marks)
            known[account] = (np.nan, 0.0) if exact is None else (float(exact), 1e-12 * abs(float(exact)) + 1.0)
        rows.append(known[account])
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 2)
    return table[:, 0].copy(), table[:, 1].copy()


def _scores(
    profit: _Column,
    cost: _Column,
    value: _Column,
    equity: _Column,
    other_equity: _Column,
) -> _Column:
    """One bound of the score from one bound of profit, and both of equity; infinite where no equity may be left."""
    with np.errstate(divide="ignore", invalid="ignore"):
        gaining = np.where(equity > 0, profit * value / (cost * equity), np.inf)
    losing = np.where(other_equity > 0, profit * np.maximum(equity, 0) / (cost * value), -np.inf)
    return np.where(profit > 0, gaining, losing)
