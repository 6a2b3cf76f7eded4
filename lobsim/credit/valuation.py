"""Exact valuation of a unified account: one pass over its assets and contracts, one common denominator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import lcm
from typing import TYPE_CHECKING, NamedTuple

from lobsim.credit.interest import PPM
from lobsim.credit.marks import Mark
from lobsim.credit.terms import AssetTerms

if TYPE_CHECKING:
    from lobsim.credit.contracts import ContractBook


class Valuation(NamedTuple):
    """Exact sums over `denominator`; equity, maintenance and collateral are in ppm of numeraire quanta.

    market and short: long and short positions before collateral ratios, contracts counted as what they stand for: a
    long as the base bought with borrowed quote, a short as borrowed base sold for quote. contracts: their notional.
    """

    equity: int
    maintenance: int
    collateral: int
    market: int
    short: int
    debt: int
    contracts: int
    denominator: int


class ContractSide(NamedTuple):
    """What one account's contracts quoted in one asset come to, in quote quanta; maintenance in ppm of them."""

    unrealised: int
    maintenance: int
    long_value: int
    short_value: int
    cost: int


_NO_SIDE = ContractSide(0, 0, 0, 0, 0)


def contract_sides(account: int, contracts: Sequence[ContractBook]) -> dict[int, ContractSide]:
    """By quote asset, for the contracts in which the account has a position; without a mark they count at cost."""
    sides: dict[int, ContractSide] = {}
    for book in contracts:
        held = book.cross_positions.get(account)
        if held is None:
            continue
        lots, cost = held
        mark = book.mark_price
        value = cost if mark is None else lots * mark * book.unit
        notional = abs(value)
        _, rate, deduction = book.brackets[0]
        maintenance = notional * rate - deduction
        for _, rate, deduction in book.brackets[1:]:
            maintenance = max(maintenance, notional * rate - deduction)
        unrealised, needed, long_value, short_value, paid = sides.get(book.quote, _NO_SIDE)
        if value > 0:
            long_value += value
        else:
            short_value -= value
        summed = (unrealised + value - cost, needed + maintenance, long_value, short_value, paid + cost)
        sides[book.quote] = tuple.__new__(ContractSide, summed)
    return sides


def value_account(
    exposures: Iterable[tuple[int, int, int, Mark]],
    terms: Mapping[int, AssetTerms],
    sides: Mapping[int, ContractSide],
) -> Valuation:
    """Sum up (asset, net, liability, mark) and the contracts; every quote asset in `sides` must be among them."""
    equity = maintenance = collateral = market = short = debt = contracts = 0
    known = list(exposures)
    common = lcm(*[mark[1] for _, _, _, mark in known])
    for asset, net, liability, (numerator, under) in known:
        over = numerator if under == common else numerator * (common // under)
        ratio, rate, _ = terms[asset]
        value = net * over
        spot = value
        if sides and asset in sides:
            side = sides[asset]
            equity += side.unrealised * over * PPM
            maintenance += side.maintenance * over
            market += side.long_value * over
            short += side.short_value * over
            contracts += (side.long_value + side.short_value) * over
            spot -= side.cost * over
        if spot > 0:
            market += spot
        else:
            short -= spot
        if net > 0:
            value *= ratio
            collateral += value
            equity += value
        else:
            equity += value * PPM
        if liability:
            value = liability * over
            debt += value
            maintenance += value * rate
    return tuple.__new__(Valuation, (equity, maintenance, collateral, market, short, debt, contracts, common))
