"""Ways to spoil tests/golden/every-table.toml: the tables that `tests.fuzz.spoil` has not, plain and as templates."""

from __future__ import annotations

import random  # noqa: TID251 - spoiled files are numbered, no run depends on them
import tomllib
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

from lobsim.scenario.expand import expand
from tests.fuzz.spoil import (
    BAD_NAMES,
    Document,
    Spoiler,
    at,
    bad_time,
    dotted,
    dump,
    huge,
    leaves,
    negative,
    not_finite,
    put,
    unknown_key,
    wrong_type,
)

GOOD = Path(__file__).resolve().parents[1] / "golden" / "every-table.toml"

_UNJUDGED = ("variants", "mechanisms")  # settings, read when they are asked for
TEMPLATES: Document = {
    key: value for key, value in tomllib.loads(GOOD.read_text(), parse_float=Decimal).items() if key not in _UNJUDGED
}
PLAIN: Document = expand(deepcopy(TEMPLATES))[0]

# what may be below 0, large, or `false`
_SIGNED = {"change", "betas", "beta", "exit", "shock", "contracts"}
_FREE = {"seed", "stale_feed"}

_WANTED = """
    instruments.XRP-PERP.base positions.longs-XRP.instrument positions.longs-XRP.count positions.longs-XRP.notional
    whales.whales.count whales.whales.value whales.whales.mix whales.whales.debts venues.main.halt.fall
    venues.main.halt.window venues.main.halt.pause windows.usde.kind windows.usde.asset windows.usde.reserve
    windows.usde.cap windows.wxrp.rate windows.wxrp.underlying windows.terra.pool windows.terra.instrument
    windows.terra.recovery instruments.XRP-PERP.mark.sources instruments.WXRP-XRP.mark.reference factors.market
    lenders.loop-lender.oracle.price references.LUNA references.WXRP agents.basis.max_position agents.basis.threshold
    agents.borrowers.lender agents.borrowers.order_qty agents.cross.max_order agents.depositors.deposits
    agents.depositors.run_rate agents.dips-XRP.purse agents.hedge.perpetual agents.hedge.contracts
    agents.hedge.window agents.loopers.lender agents.loopers.order_qty agents.metaorders.rest agents.metaorders.duration
    agents.burner.other agents.burner.window agents.momentum-ADA.capacity agents.redeemer.window
    agents.unwrapper.reference agents.stops-ADA.notional agents.stops-ADA.reference agents.maker.balances
    exogenous.0.factor exogenous.0.change exogenous.3.venue exogenous.4.until exogenous.4.venue exogenous.5.agents
    venues.other instruments.XRP-OTHER windows.wxrp positions.longs-ADA lenders.loop-lender
"""
REQUIRED = _WANTED.split()

_NAMED = """
    scenario.focus references.XRP.betas instruments.XRP-OTHER.venue instruments.XRP-OTHER.mark.sources.0
    instruments.XRP-OTHER.mark.reference instruments.WXRP-XRP.mark.reference instruments.WADA-OTHER.mark.underlying
    groups.coins.0 groups.perpetuals.1 positions.longs-XRP.instrument whales.whales.venue whales.whales.mix
    whales.whales.borrowed_into whales.whales.debts lenders.coin-lender.oracle.sources.1 venues.main.insurance
    venues.main.liquidation_order.1 windows.usde.asset windows.usde.reserve_asset windows.wxrp.wrapped windows.wxrp.rate
    windows.terra.stable windows.terra.coin windows.terra.instrument agents.maker.balances agents.maker.debts
    agents.maker.pairs.0.instrument agents.maker.pairs.0.reference agents.maker.pairs.0.perp agents.basis.other
    agents.basis.pairs.0.other agents.borrowers.lender agents.cross.other agents.cross.elsewhere
    agents.cross.elsewhere.other agents.dips-XRP.reference agents.hedge.perpetual agents.hedge.window
    agents.hedge.contracts agents.loopers.lender agents.loopers.watches.0 agents.burner.other agents.burner.window
    agents.traders-XRP.positions.0 agents.redeemer.window agents.unwrapper.reference agents.stops-XRP.reference
    exogenous.0.factor exogenous.1.reference exogenous.3.venue exogenous.3.assets.1 exogenous.4.venue
    exogenous.5.agents.0
"""
_NAMES = _NAMED.split()

SENSELESS: list[tuple[str, Any]] = [
    ("instruments.XRP-PERP.contract.tiers.0.rate", 1),
    ("instruments.XRP-PERP.contract.tiers.0.above", 10),
    ("instruments.XRP-PERP.contract.tiers.1.above", 0),
    ("instruments.XRP-PERP.contract.tiers.1.rate", Decimal("0.005")),
    ("instruments.XRP-PERP.contract.tiers", []),
    ("instruments.XRP-PERP.contract.liquidation_fee", 1),
    ("instruments.XRP-PERP.contract.funding_interval", "1ns"),
    ("instruments.XRP-PERP.mark.sources", ["XRP-PERP"]),
    ("instruments.XRP-PERP.mark.sources", ["XRP-USDT", "XRP-USDT"]),
    ("instruments.XRP-PERP.mark.sources", []),
    ("instruments.XRP-PERP.mark", {"model": "index", "sources": ["ADA-USDT"]}),
    ("instruments.XRP-PERP.kind", "spot"),
    ("instruments.USDE-USDT.contract", {}),
    ("instruments.USDE-USDT.mark", {"model": "perpetual", "sources": ["USDE-USDT"]}),
    ("instruments.USDE-USDT.mark", {"model": "constant"}),
    ("instruments.USDE-USDT.mark", {"model": "mid", "price": "1"}),
    ("instruments.USDE-USDT.mark", {"model": "constant", "price": "1e15"}),
    ("instruments.WADA-OTHER.mark.underlying", "WADA-OTHER"),
    ("instruments.WADA-OTHER.mark.underlying", "ADA-PERP"),
    ("instruments.WADA-OTHER.mark.underlying", "WXRP-XRP"),
    ("lenders.loop-lender.instrument", "XRP-PERP"),
    ("lenders.loop-lender.oracle.price", "1e-9"),
    ("lenders.loop-lender.loans.ltv_high", Decimal("0.95")),
    ("venues.main.halt.fall", Decimal("1e-7")),
    ("venues.main.liquidation_order", ["XRP", "XRP"]),
    ("venues.main.account_liquidation.target_level", Decimal("0.5")),
    ("venues.other.price_band", Decimal("0.99999999")),
    ("venues.chain", {}),
    ("groups.coins", ["XRP-USDT", "XRP-USDT"]),
    ("groups.coins", []),
    ("positions.longs-XRP.leverage_low", 30),
    ("positions.longs-XRP.leverage_high", 120),
    ("positions.longs-XRP.leverage_shape", [Decimal("1e-9"), 1]),
    ("positions.longs-XRP.count", 1),
    ("positions.longs-XRP.instrument", "XRP-USDT"),
    ("positions.longs-XRP.notional", Decimal("1e15")),
    ("whales.whales.leverage_high", 40),
    ("whales.whales.leverage_low", Decimal("4.5")),
    ("whales.whales.leverage_shape", [1, Decimal("1e9")]),
    ("whales.whales.diversity", Decimal("1e-9")),
    ("whales.whales.mix", {"XRP": Decimal("1e-12"), "ADA": Decimal("1e12")}),
    ("whales.whales.mix", {}),
    ("whales.whales.mix", {"USDT": 1}),
    ("whales.whales.debts", {"XRP": 1}),
    ("whales.whales.venue", "other"),
    ("windows.usde.reserve_asset", "USDE"),
    ("windows.usde.fee", 1),
    ("windows.usde.kind", "converter"),
    ("windows.wxrp.wrapped", "XRP"),
    ("windows.wxrp.underlying", "ADA"),
    ("windows.terra.coin", "UST"),
    ("windows.terra.spread", 1),
    ("windows.terra.instrument", "XRP-PERP"),
    ("windows.terra.oracle", {"model": "reference", "reference": "NIX"}),
    ("factors.market.interval", "1ns"),
    ("references.XRP.betas.market", 30),
    ("exogenous.0.change", Decimal("-0.9999999999")),
    ("exogenous.0.reference", "XRP"),
    ("exogenous.3.until", "90s"),
    ("exogenous.4.at", "125s"),
    ("exogenous.5.agents", ["depositors"]),
    ("exogenous.5.agents", []),
    ("transfers.delay", "-5s"),
    ("agents.maker.pairs.0.instrument", "XRP-OTHER"),
    ("agents.maker.pairs.0.perp", "XRP-PERP"),
    ("agents.maker.pairs.0.perp", "ADA-OTHER"),
    ("agents.maker.pairs.1.instrument", "XRP-USDT"),
    ("agents.maker.debts", {"USDT": 10**7}),
    ("agents.maker.elsewhere", {"other": {"USDE": 5}}),
    ("agents.maker.contracts", {"XRP-USDT": 5}),
    ("agents.maker.contracts", {"XRP-PERP": 10**7}),
    ("agents.maker.hedge.interval", "1ns"),
    ("agents.basis.margin", False),
    ("agents.basis.exit", Decimal("0.5")),
    ("agents.basis.other", "XRP-OTHER"),
    ("agents.basis.instrument", "ADA-PERP"),
    ("agents.borrowers.lender", "loop-lender"),
    ("agents.borrowers.repay", Decimal("0.8")),
    ("agents.borrowers.count", 2),
    ("agents.borrowers.pause", "1ns"),
    ("agents.cross.other", "XRP-PERP"),
    ("agents.cross.other", "XRP-USDT"),
    ("agents.cross.debts", {"USDT": 5}),
    ("agents.cross.contracts", {"XRP-PERP": 5}),
    ("agents.depositors.instrument", "XRP-PERP"),
    ("agents.depositors.rate", Decimal("1e12")),
    ("agents.depositors.look", "1000d"),
    ("agents.dips-XRP.nearest", Decimal("0.6")),
    ("agents.hedge.contracts", {}),
    ("agents.hedge.contracts.XRP-PERP", 100),
    ("agents.hedge.perpetual", "ADA-PERP"),
    ("agents.hedge.window", "wxrp"),
    ("agents.hedge.count", 2),
    ("agents.hedge.margin", False),
    ("agents.loopers.instrument", "XRP-USDT"),
    ("agents.loopers.lender", "coin-lender"),
    ("agents.loopers.retry", "1ns"),
    ("agents.metaorders.smallest_qty", 6_000),
    ("agents.metaorders.pace", 5),
    ("agents.metaorders.rest", "1ns"),
    ("agents.burner.other", "UST-USDT"),
    ("agents.burner.instrument", "XRP-USDT"),
    ("agents.burner.window", "usde"),
    ("agents.momentum-XRP.orders", 10**9),
    ("agents.traders-XRP.instrument", "XRP-USDT"),
    ("agents.traders-XRP.instrument", "ADA-PERP"),
    ("agents.traders-XRP.positions", ["longs-XRP", "longs-XRP"]),
    ("agents.traders-XRP.positions", ["longs-ADA"]),
    ("agents.traders-XRP.count", 2),
    ("agents.traders-XRP.retry", "1ns"),
    ("agents.traders-XRP.leverage_low", 50),
    ("agents.redeemer.window", "terra"),
    ("agents.redeemer.window", "wxrp"),
    ("agents.redeemer.instrument", "UST-USDT"),
    ("agents.stops-XRP.furthest", Decimal("0.01")),
    (
        "agents.momentum-XRP",
        {
            "kind": "momentum-sellers",
            "instrument": "XRP-OTHER",
            "capacity": 10**9,
            "orders": 10**5,
            "count": 10**2,
        },
    ),
]

_FORMULAS = [
    "{nope}",
    "{coin.nix + 1}",
    "{nope.price}",
    "{let.nope}",
    "{let.shock ** 0.5}",
    "{1 / 0}",
    "{0 ** -1}",
    "{9 ** 9 ** 9 ** 9}",
    "{1e308 * 10}",
    "{1e999 - 1e999}",
    "{__import__('os')}",
    "{lambda: 1}",
    "{[1]}",
    "{let.shock.real}",
    "{let.shock + 'x'}",
    "{1 +}",
    "{ }",
    "{let}",
    "{(((((((1)}",
    "{-'x'}",
    "{1 if 1 else 2}",
    "{let.shock @ 2}",
    "{1 // 2}",
    "{" + "-" * 150 + "nope}",
]

_BAD: list[tuple[str, Any]] = [
    ("each", 5),
    ("each", [1]),
    ("each.coin", {}),
    ("each.coin", 7),
    ("each.coin.XRP", 7),
    ("each.coin.XRP", {}),
    ("each.coin.XRP.z", 10**400),
    ("each.coin.XRP.z", -1),
    ("each.coin.XRP.z", []),
    ("each.coin.XRP.z", "one"),
    ("each.coin.XRP.z", {"a": 1}),
    ("each.coin.XRP.price", 0),
    ("each.coin.XRP.tick", "0.00003333"),
    ("each.coin.x/y", {"price": 1, "tick": "1", "lot": "1", "z": 1, "beta": 1}),
    ("each.book.XRP-USDT.of", "NIX"),
    ("each.let", {"a": {}}),
    ("each.a b", {"a": {}}),
    ("let", 5),
    ("let", [1]),
    ("let.shock", [1]),
    ("let.shock", {"a": 1}),
    ("let.shock", -2),
    ("let.leverage", "high"),
    ("let.leverage", 0),
    ("let", {}),
    ("scenario.title", "{let.shock} " * 50),
    ("agents.XRP-{coin.z}", {"kind": "stray-bids"}),
    ("agents.{coin.price}", {"kind": "stray-bids"}),
    ("agents.{nope}", {"kind": "stray-bids"}),
    ("agents.value-XRP-USDT", {"kind": "stray-bids"}),
    ("groups.{coin.z / 0}", ["XRP-USDT"]),
    ("groups.coins", ["{coin}-NIX"]),
    ("groups.coins", ["{coin}-{book}"]),
    ("extends", "nope.toml"),
    ("extends", "../spoiled.toml"),
    ("extends", "/etc/passwd"),
    ("extends", "a\0b"),
    ("extends", "x" * 5000),
    ("extends", "spoiled.toml"),
    ("extends", "."),
    ("extends", ""),
    ("extends", 5),
    ("without", ["agents.maker"]),
    ("without", 5),
]

BAD_TEMPLATES = [
    (tuple(path.split(".", 1 if path.startswith(("agents.", "groups.")) else -1)), value) for path, value in _BAD
]

SETTINGS = [
    "each.coin.XRP.z=-1",
    "each.coin.XRP.z={}",
    "each.coin.XRP=1",
    "each=1",
    "let.shock=-2",
    "let.shock={nope}",
    "let.shock.deeper=1",
    "let.leverage=1e9",
    "let=[]",
    "agents.noise-{coin}-perp.limit_rate=-1",
    "agents.noise-XRP-perp.limit_rate=nan",
    "agents.noise-XRP-perp.limit_rate={coin.z}",
    "agents.nobody-XRP.limit_rate=1",
    "noise-ADA-perp.kind=nix",
    "instruments.XRP-PERP.contract.tiers=[]",
    "instruments.{coin}-PERP.contract.tiers[7].rate=0.5",
    "instruments.{coin}-PERP.contract.tiers[0].rate.x=0.5",
    "whales.whales.count=0",
    "whales.whales.mix.NIX=1",
    "windows.usde.cap=0",
    "positions.longs-{coin}.worst=1",
    "exogenous[99].at=5s",
    "exogenous[0].change={1/0}",
    "exogenous=5",
    "groups.coins[0]={nope}",
    "transfers.delay=5",
    "[0]=1",
    "..=1",
    "venues.main.halt=true",
    "agents.maker.pairs[0].k=0",
]


def spoiled_table(number: int) -> tuple[str, bytes]:
    """The number-th spoiled file and the name of what was done to it."""
    chance = random.Random(number)
    spoiler, document = WAYS[number % len(WAYS)]
    return spoiler.__name__, spoiler(chance, deepcopy(document))


def keys(path: str) -> tuple[Any, ...]:
    """Keys and list places of a dotted path."""
    return tuple(int(part) if part.isdigit() else part for part in dotted(path))


def _sheltered(spoiler: Spoiler, keys: set[str]) -> Spoiler:
    """A spoiler that leaves alone what it would not spoil: keys whose values may be what it writes."""

    def spoil(chance: random.Random, document: Document) -> bytes:
        spared = {path: at(document, path) for path in leaves(document) if keys & {str(part) for part in path}}
        for _ in range(100):
            before = deepcopy(document)
            raw = spoiler(chance, before)
            if all(_same(before, path, value) for path, value in spared.items()):
                return raw
        raise AssertionError(f"{spoiler.__name__} spoils nothing else")

    spoil.__name__ = spoiler.__name__
    return spoil


def _same(document: Document, path: tuple[Any, ...], value: Any) -> bool:
    try:
        return bool(at(document, path) == value)
    except (LookupError, TypeError):
        return False


def missing(chance: random.Random, document: Document) -> bytes:
    path = keys(chance.choice(REQUIRED))
    del at(document, path[:-1])[path[-1]]
    return dump(document)


def nowhere(chance: random.Random, document: Document) -> bytes:
    """A name of nothing, where a name, or names with amounts, are wanted."""
    path = keys(chance.choice(_NAMES))
    name = chance.choice(["NIX", "xrp", "XRP.USDT", "chain-2", *BAD_NAMES])
    old = at(document, path)
    put(document, path, {**old, name: next(iter(old.values()))} if isinstance(old, dict) else name)
    return dump(document)


def senseless(chance: random.Random, document: Document) -> bytes:
    path, value = chance.choice(SENSELESS)
    put(document, keys(path), value)
    return dump(document)


def bad_formula(chance: random.Random, document: Document) -> bytes:
    texts = [path for path in leaves(document) if isinstance(at(document, path), str)]
    put(document, chance.choice([path for path in texts if path[0] not in ("each", "let")]), chance.choice(_FORMULAS))
    return dump(document)


def bad_template(chance: random.Random, document: Document) -> bytes:
    path, value = chance.choice(BAD_TEMPLATES)
    put(document, path, value)
    return dump(document)


def too_much_text(chance: random.Random, document: Document) -> bytes:
    """A few small tables that would become more text than fits into memory."""
    document["each"]["coin"]["XRP"]["x"] = document["each"]["coin"]["ADA"]["x"] = "x" * 100_000
    document["groups"][chance.choice(["coins", "more"])] = ["{coin.x}" * chance.choice([1_000, 20_000])]
    return dump(document)


def too_many_tables(_chance: random.Random, document: Document) -> bytes:
    for name in ("a", "b", "c"):
        document["each"][name] = {f"{name}{number}": {} for number in range(60)}
    document["groups"]["many"] = ["{a}-{b}-{c}"]
    return dump(document)


SPOILERS: list[tuple[Spoiler, list[Document]]] = [
    (_sheltered(wrong_type, _FREE), [PLAIN, TEMPLATES]),
    (unknown_key, [PLAIN]),
    (missing, [PLAIN]),
    (_sheltered(negative, _SIGNED), [PLAIN, TEMPLATES]),
    (_sheltered(huge, _FREE), [PLAIN, TEMPLATES]),
    (_sheltered(not_finite, _FREE), [PLAIN, TEMPLATES]),
    (bad_time, [PLAIN]),
    (nowhere, [PLAIN]),
    (senseless, [PLAIN]),
    (senseless, [PLAIN]),
    (bad_formula, [TEMPLATES]),
    (bad_template, [TEMPLATES]),
]
WAYS = [(spoiler, document) for spoiler, documents in SPOILERS for document in documents]
RARE: list[Spoiler] = [too_much_text, too_many_tables]
