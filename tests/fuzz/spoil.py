"""Ways to spoil a good scenario file. Each spoiler returns the bytes of a file that must be refused.

A spoiler gets a random generator and a fresh copy of a good document; `spoiled(number)` is reproducible.
"""

from __future__ import annotations

import random  # noqa: TID251 - spoiled files are numbered, no run depends on them
import re
import tomllib
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import tomli_w

GOOD = Path(__file__).resolve().parents[1] / "golden" / "every-kind.toml"

Document = dict[str, Any]
Spoiler = Callable[[random.Random, Document], bytes]

_TEXT = GOOD.read_text()
DOCUMENT = tomllib.loads(_TEXT, parse_float=Decimal)
_REQUIRED = [
    "scenario.name scenario.duration scenario.numeraire assets venues instruments",
    "assets.USDT.quantum assets.ALT.quantum references.ALT.start references.ALT references assets.ALT assets.USDT",
    "instruments.ALT-USDT instruments.ALT-USDT.base instruments.ALT-USDT.quote instruments.ALT-USDT.tick",
    "instruments.ALT-USDT.lot lenders lenders.lender lenders.lender.loans lenders.lender.instrument",
    "lenders.lender.loans.count lenders.lender.loans.collateral lenders.lender.loans.ltv_high",
    "agents.background.kind agents.background.limit_rate agents.background.market_qty agents.value_traders.rate",
    "agents.value_traders.reference agents.patient_bids.pool agents.stray_bids.notional agents.market_makers.gamma",
    "agents.market_makers.holdings agents.market_makers.leverage agents.market_makers.horizon",
    "agents.liquidation_bots.capital agents.liquidation_bots.kind agents.panic_sellers.decay",
]
REQUIRED = " ".join(_REQUIRED).split()
_QUOTED = "scenario.name scenario.numeraire scenario.start_utc instruments.ALT-USDT.base agents.background.instrument"
NAMES = f"{_QUOTED} agents.market_makers.kind lenders.lender.instrument agents.panic_sellers.reference".split()
BAD_NAMES = [
    "../../etc/passwd",
    "a/b",
    "a\\b",
    "C:evil",
    "[bold red]x[/]",
    "<script>alert(1)</script>",
    "\x1b[31mred",
    "\u202egnp",
    "a b",
    "",
    "x" * 33,
    "name\nwith line",
    "\x00",
    "é",
    "=cmd|' /C calc'!A0",
]


def spoiled(number: int) -> tuple[str, bytes]:
    """The number-th spoiled file and the name of what was done to it."""
    chance = random.Random(number)
    spoiler = SPOILERS[number % len(SPOILERS)]
    return spoiler.__name__, spoiler(chance, deepcopy(DOCUMENT))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values that are no tables; variants left out, they are checked when they are asked for."""
    if isinstance(value, dict):
        return [leaf for key, item in value.items() if path or key != "variants" for leaf in leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for number, item in enumerate(value) for leaf in leaves(item, (*path, number))]
    return [path]


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        document = document[part]
    return document


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    at(document, path[:-1])[path[-1]] = value


def is_duration(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d+(ns|us|ms|s|m|h|d)", value) is not None


def dump(document: Document) -> bytes:
    return tomli_w.dumps(document).encode()


def numeric(document: Document) -> list[tuple[Any, ...]]:
    paths = [path for path in leaves(document) if isinstance(at(document, path), int | Decimal)]
    return [path for path in paths if not isinstance(at(document, path), bool)]


def dotted(text: str) -> tuple[str, ...]:
    return tuple(text.split("."))


# --- spoilers -----------------------------------------------------------------------------------------------------


def wrong_type(chance: random.Random, document: Document) -> bytes:
    path = chance.choice(leaves(document))
    old = at(document, path)
    values: list[Any] = [True, [], [[1]], {"a": 1}, [{}], "x y", "1.0.0"]
    if isinstance(old, bool):
        values = ["true", 1, 0, Decimal("1.0"), [], {}, "yes"]
    elif isinstance(old, str):
        values = [True, [], {}, [old], {"value": old}, False]
    put(document, path, chance.choice(values))
    return dump(document)


def unknown_key(chance: random.Random, document: Document) -> bytes:
    tables = [path[:-1] for path in leaves(document) if isinstance(path[-1], str)]
    home = at(document, chance.choice(tables))
    key = chance.choice(["sped", "Seed", "__class__", "kind_", "enabledd", "count ", "a.b", "[red]", "x" * 5000])
    home[key] = chance.choice([1, "x", True, [], {}])
    return dump(document)


def missing_key(chance: random.Random, document: Document) -> bytes:
    path = dotted(chance.choice(REQUIRED))
    del at(document, path[:-1])[path[-1]]
    return dump(document)


def negative(chance: random.Random, document: Document) -> bytes:
    # a negative `change` is a shock downwards, and allowed
    paths = [path for path in numeric(document) if path[-1] != "change"]
    put(document, chance.choice(paths), chance.choice([-1, -5, Decimal("-0.5"), Decimal("-1e30"), -(2**70)]))
    return dump(document)


def huge(chance: random.Random, document: Document) -> bytes:
    value = chance.choice([10**18, 10**30, 2**63, 10**4000, Decimal("1e300"), Decimal("1e25"), Decimal("1e39")])
    put(document, chance.choice(numeric(document)), value)
    return dump(document)


def not_finite(chance: random.Random, document: Document) -> bytes:
    path = chance.choice(numeric(document))
    put(document, path, "@@")
    value = chance.choice(["nan", "inf", "-inf", "+nan", "1e999999999999", "1e-999999999", "9" * 5000, "1." + "3" * 99])
    return dump(document).replace(b'"@@"', value.encode())


def off_grid(chance: random.Random, document: Document) -> bytes:
    path, value = chance.choice(
        [
            ("instruments.ALT-USDT.tick", "0.00013333"),
            ("instruments.ALT-USDT.tick", "0.000000000001"),
            ("instruments.ALT-USDT.lot", "0.00015"),
            ("instruments.ALT-USDT.lot", "0.000001"),
            ("instruments.ALT-USDT.tick", "0"),
            ("instruments.ALT-USDT.lot", "-0.1"),
            ("instruments.ALT-USDT.tick", "2.5"),  # above the price
            ("instruments.ALT-USDT.tick", "one"),
            ("instruments.ALT-USDT.tick", "0x10"),
            ("instruments.ALT-USDT.lot", "1e400"),
            ("instruments.ALT-USDT.lot", "1000000"),
            ("assets.USDT.quantum", "0.003"),
            ("assets.USDT.quantum", "10"),
            ("assets.ALT.quantum", "1e-30"),
            ("references.ALT.start", "0.00001"),
            ("references.ALT.start", "99999999999999"),
        ]
    )
    put(document, dotted(path), value)
    return dump(document)


def dangling(chance: random.Random, document: Document) -> bytes:
    path = chance.choice(
        [
            "scenario.numeraire instruments.ALT-USDT.base instruments.ALT-USDT.quote lenders.lender.instrument",
            "agents.background.instrument agents.stray_bids.reference agents.market_makers.reference",
            "agents.market_makers.instrument agents.panic_sellers.reference",
        ]
    )
    put(document, dotted(chance.choice(path.split())), chance.choice(["NIX", "alt", "usdt", "ALT.USDT", "exchange-2"]))
    return dump(document)


def dangling_elsewhere(chance: random.Random, document: Document) -> bytes:
    which = chance.randrange(6)
    if which == 0:
        document["exogenous"][0]["reference"] = "NIX"
    elif which == 1:
        document["exogenous"][1]["agents"] = ["nobody"]
    elif which == 2:
        document["venues"]["exchange"]["insurance"]["NIX"] = 5
    elif which == 3:
        document["agents"]["background"]["venue"] = "nowhere"
    elif which == 4:
        document["instruments"]["ALT-USDT"]["mark"] = {"model": "reference", "reference": "NIX"}
    else:
        document["tapes"] = [{"kind": "lobster", "instrument": "NIX", "path": "x.csv"}]
    return dump(document)


def circular(chance: random.Random, document: Document) -> bytes:
    first = document["instruments"]["ALT-USDT"]
    if chance.random() < 0.3:
        first["quote"] = "ALT"
    else:
        names = ["USDT", "ALT"]
        for number in range(chance.randrange(3)):
            names.insert(1, f"M{number}")
            document["assets"][f"M{number}"] = dict(document["assets"]["ALT"])
        for base, quote in pairwise(names):
            document["instruments"][f"{base}-{quote}"] = {**first, "base": base, "quote": quote}
    return dump(document)


def bad_name(chance: random.Random, document: Document) -> bytes:
    name = chance.choice(BAD_NAMES)
    where = chance.randrange(3)
    if where == 0:
        put(document, dotted(chance.choice(NAMES)), name)
    elif where == 1:
        table = document[chance.choice(["assets", "venues", "instruments", "agents", "references", "lenders"])]
        table[name] = table.pop(next(iter(table)))
    else:
        document["tapes"] = [
            {
                "kind": "lobster",
                "instrument": "ALT-USDT",
                "path": chance.choice(["../../../etc/passwd", "/dev/zero", name]),
            }
        ]
    return dump(document)


def bad_time(chance: random.Random, document: Document) -> bytes:
    durations = [path for path in leaves(document) if isinstance(path[-1], str) and is_duration(at(document, path))]
    bad = chance.choice(
        ["", "5", "-5s", "1e3s", "5 s", "5sec", "0.5ns", "9" * 13 + "d", "inf", "1:00", "\uff15s", 5, "nan"]
    )
    put(document, chance.choice(durations), bad)
    if chance.random() < 0.2:
        document["scenario"]["start_utc"] = chance.choice(
            ["2025-13-01T00:00:00Z", "2025-02-30T00:00:00Z", "now", "0001-01-01T00:00:00Z"]
        )
    return dump(document)


def endless(chance: random.Random, document: Document) -> bytes:
    """Runs that would never end."""
    path, value = chance.choice(
        [
            ("agents.background.limit_rate", Decimal("1e14")),
            ("agents.background.market_rate", Decimal("1e12")),
            ("agents.value_traders.rate", Decimal("1e11")),
            ("agents.market_makers.requote", "1ns"),
            ("agents.market_makers.count", 10_000),
            ("agents.liquidation_bots.poll", "10ns"),
            ("agents.panic_sellers.look", "1ns"),
            ("agents.panic_sellers.jump_unit", Decimal("1e-11")),
            ("venues.exchange.feed_interval", "2ns"),
            ("venues.exchange.mark_interval", "1ns"),
            ("scenario.depth_interval", "1ns"),
            ("scenario.account_interval", "1ns"),
            ("references.ALT.interval", "1ns"),
            ("lenders.lender.update_interval", "1ns"),
            ("scenario.duration", "10000d"),
        ]
    )
    put(document, dotted(path), value)
    if path == "agents.market_makers.count":
        document["agents"]["market_makers"] |= {"levels": 1000, "requote": "1ms"}
    return dump(document)


def senseless(chance: random.Random, document: Document) -> bytes:
    """Economies that cannot be."""
    path, value = chance.choice(
        [
            ("agents.market_makers.leverage", [Decimal("9.0")]),
            ("agents.market_makers.leverage", [Decimal("1e9")]),
            ("agents.market_makers.leverage", []),
            ("agents.market_makers.holdings", []),
            ("agents.market_makers.holdings", [Decimal("1e-9")]),
            ("agents.market_makers.holdings", [Decimal("1e15")]),
            ("agents.background.limit_qty", Decimal("0.01")),
            ("agents.background.market_qty", Decimal("1e14")),
            ("agents.patient_bids.pool", Decimal("0.5")),
            ("agents.stray_bids.notional", Decimal("0.1")),
            ("agents.stray_bids.nearest", Decimal("0.99")),
            ("agents.liquidation_bots.capacity", Decimal("1e-10")),
            ("lenders.lender.loans.collateral", Decimal("0.01")),
            ("lenders.lender.loans.collateral", Decimal("1e-300")),
            ("lenders.lender.loans.ltv_low", Decimal("0.79")),
            ("lenders.lender.loans.ltv_high", Decimal("0.99")),
            ("lenders.lender.loans.ltv_shape", [Decimal("1e-200"), 1]),
            ("lenders.lender.loans.count", 2_000_000),
            ("lenders.lender.max_ltv", Decimal("0.95")),
            ("lenders.lender.liquidation_ltv", Decimal("0.5")),
            ("references.ALT.volatility", 100_000),
            ("exogenous", [{"kind": "shock", "at": f"{n}s", "reference": "ALT", "change": 10} for n in range(1, 100)]),
            ("exogenous", [{"kind": "shock", "at": "4m", "reference": "ALT", "change": Decimal("-0.1")}]),
        ]
    )
    put(document, dotted(path), value)
    return dump(document)


def twice_named(chance: random.Random, document: Document) -> bytes:
    agents = document["agents"]
    which = chance.randrange(5)
    if which == 0:
        agents["market_makers-2"] = {**agents["background"]}
    elif which == 1:
        agents["exchange.pool"] = {**agents["background"]}
    elif which == 2:
        agents["lender-7"] = {**agents["background"]}
    elif which == 3:
        agents["rounding"] = {**agents["background"]}
    else:
        document["venues"]["lender"] = {}
        document["instruments"]["ALT-USDT"]["venue"] = "exchange"
    return dump(document)


def nested(chance: random.Random, _document: Document) -> bytes:
    deep = chance.choice([21, 200, 2_000, 50_000])
    kind = chance.randrange(4)
    if kind == 0:
        more = "x = " + "[" * deep + "]" * deep
    elif kind == 1:
        more = "x = " + "{a=" * deep + "1" + "}" * deep
    elif kind == 2:
        more = ".".join("a" * deep) + " = 1"
    else:
        more = "[" + ".".join(["a"] * deep) + "]\n"
    return _TEXT.replace("[agents.background]", more + "\n[agents.background]").encode()


def broken_toml(chance: random.Random, _document: Document) -> bytes:
    lines = _TEXT.splitlines()
    place = chance.randrange(2, len(lines))
    broken = chance.choice(
        ["= 5", "[", "x = ", 'x = "open', "x == 1", "[scenario]", "]", "a b = 1", "x = 2025-99-99", "'''"]
    )
    return "\n".join([*lines[:place], broken, *lines[place:]]).encode()


def cut(chance: random.Random, _document: Document) -> bytes:
    """Ends in the middle, before the last required table."""
    return _TEXT[: chance.randrange(0, _TEXT.index("[instruments"))].encode()


def junk(chance: random.Random, _document: Document) -> bytes:
    kind = chance.randrange(3)
    if kind == 0:
        return chance.randbytes(chance.randrange(1, 3000))
    raw = bytearray(_TEXT.encode())
    for _ in range(chance.randrange(1, 5)):
        place = chance.randrange(len(raw))
        raw[place:place] = chance.choice([b"\x00", b"\xff", b"\xc3\x28", b"\x1b[2J", b"\xed\xa0\x80"])
    return bytes(raw)


def wrong_encoding(chance: random.Random, _document: Document) -> bytes:
    encoding = chance.choice(["utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig"])
    return _TEXT.replace("Every kind", "Évery kind", 1).encode(encoding)


SPOILERS: list[Spoiler] = [
    wrong_type,
    unknown_key,
    missing_key,
    negative,
    huge,
    not_finite,
    off_grid,
    dangling,
    dangling_elsewhere,
    circular,
    bad_name,
    bad_time,
    endless,
    senseless,
    twice_named,
    nested,
    broken_toml,
    cut,
    junk,
    wrong_encoding,
]
