"""`lobsim loop`: what looped leverage comes to, from `lobsim.credit.loops`."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

from lobsim.cli.console import console, say, show_table
from lobsim.credit.loops import Loop, loop
from lobsim.errors import GridError, InputError
from lobsim.report.wording import percent
from lobsim.units import parse_decimal

_MOST_SHOWN = 30


def loop_and_show(
    capital: str,
    ltv: str,
    rounds: int,
    apy: str | None,
    borrow_rate: str | None,
    liquidation_ltv: str | None,
    *,
    as_json: bool,
) -> None:
    """Print the rounds and what they come to; raises `InputError` naming the option."""
    found = loop(_number(capital, "--capital"), _number(ltv, "--ltv"), rounds)
    if borrow_rate is not None and apy is None:
        raise InputError("--borrow-rate: say what the asset yields as well, e.g. --apy 0.12")
    gain = None
    if apy is not None:
        gain = found.net_yield(_number(apy, "--apy"), _number(borrow_rate or "0", "--borrow-rate"))
    sold = None if liquidation_ltv is None else found.liquidating_fall(_number(liquidation_ltv, "--liquidation-ltv"))
    if as_json:
        print(json.dumps(_as_object(found, gain, sold)))  # noqa: T201
    else:
        _show(found, gain, sold)


def _show(found: Loop, gain: Fraction | None, sold: Fraction | None) -> None:
    rows = [
        (
            str(one.number),
            _money(one.borrowed),
            _money(one.position),
            _money(one.debt),
            f"{float(one.position / found.capital):.3f}x",
        )
        for one in found.rounds
    ]
    if len(rows) > _MOST_SHOWN:
        rows = [*rows[: _MOST_SHOWN - 2], ("...", "", "", "", ""), rows[-1]]
    show_table(("round", "borrowed and pledged", "position", "debt", "leverage"), rows)
    console().print()
    facts = [
        ("total position", _money(found.position), f"{float(found.leverage):.3f}x the capital"),
        ("value counted twice", _money(found.debt), "lent against what stood there before"),
        ("LTV of the whole", percent(float(found.debt / found.position)), ""),
    ]
    if gain is not None:
        facts.append(("yield on the capital", percent(float(gain), 2), "a year"))
    if sold is not None:
        facts.append(("liquidated by a fall of", percent(float(sold)), "of the asset against the debt"))
    facts.append(("wiped out by a fall of", percent(float(found.wipe_out_fall)), "of the asset against the debt"))
    show_table(("", "", ""), facts, left=1)
    if gain is None:
        say("  (--apy and --borrow-rate: the yield; --liquidation-ltv: the fall that liquidates)")


def _as_object(found: Loop, gain: Fraction | None, sold: Fraction | None) -> dict[str, object]:
    return {
        "capital": float(found.capital),
        "ltv": float(found.ltv),
        "rounds": [
            {
                "round": one.number,
                "borrowed": float(one.borrowed),
                "position": float(one.position),
                "debt": float(one.debt),
                "leverage": float(one.position / found.capital),
            }
            for one in found.rounds
        ],
        "position": float(found.position),
        "counted_twice": float(found.debt),
        "leverage": float(found.leverage),
        "yield": None if gain is None else float(gain),
        "liquidating_fall": None if sold is None else float(sold),
        "wipe_out_fall": float(found.wipe_out_fall),
    }


def _money(value: Fraction) -> str:
    return f"{float(value):,.2f}"


def _number(text: str, option: str) -> Decimal:
    """A decimal such as 0.8, 1e5, 100,000 or 80%."""
    plain = text.strip().replace("_", "").replace(",", "")
    try:
        return parse_decimal(plain.removesuffix("%"), option).scaleb(-2 if plain.endswith("%") else 0)
    except GridError as error:
        raise InputError(str(error) if option in str(error) else f"{option} {text[:60]!r}: {error}") from None
