"""Economies of several venues: what is built from their tables, and what is refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from lobsim.errors import ScenarioError
from lobsim.scenario import load_scenario
from lobsim.scenario.run import rehearse


def economy() -> dict[str, Any]:
    """Two venues, a coin on both with a perpetual on one, a wrapped coin, a stablecoin with its issuer, a lender."""
    return {
        "scenario": {"name": "small", "duration": "1m", "numeraire": "USDT", "focus": "coins"},
        "assets": {
            "USDT": {"quantum": "0.000001", "collateral_ratio": 1.0, "maintenance_rate": 0.1},
            "ETH": {"quantum": "0.000001", "collateral_ratio": 0.9, "maintenance_rate": 0.1},
            "WBETH": {"quantum": "0.000001", "collateral_ratio": 0.9, "maintenance_rate": 0.1},
            "USDE": {"quantum": "0.000001", "collateral_ratio": 0.9, "maintenance_rate": 0.1},
        },
        "factors": {"market": {"volatility": 0.5}},
        "references": {
            "ETH": {"start": 4000, "betas": {"market": 1.0}},
            "WBETH": {"start": 1.08},
            "USDE": {"start": 1},
        },
        "venues": {"main": {}, "other": {}},
        "instruments": {
            "ETH-USDT": {"venue": "main", "base": "ETH", "quote": "USDT", "tick": "0.1", "lot": "0.001"},
            "ETH-OTHER": {"venue": "other", "base": "ETH", "quote": "USDT", "tick": "0.1", "lot": "0.001"},
            "ETH-PERP": {
                "venue": "main",
                "kind": "perpetual",
                "base": "ETH",
                "quote": "USDT",
                "tick": "0.1",
                "lot": "0.001",
                "mark": {"model": "perpetual", "sources": ["ETH-USDT", "ETH-OTHER"]},
            },
            "WBETH-ETH": {
                "venue": "main",
                "base": "WBETH",
                "quote": "ETH",
                "tick": "0.0001",
                "lot": "0.01",
                "mark": {"model": "conversion", "reference": "WBETH"},
            },
            "USDE-USDT": {"venue": "main", "base": "USDE", "quote": "USDT", "tick": "0.0001", "lot": "1"},
        },
        "groups": {"coins": ["ETH-USDT"]},
        "windows": {
            "issuer": {"kind": "issuer", "asset": "USDE", "reserve_asset": "USDT", "reserve": 1000, "cap": 1000},
        },
        "lenders": {
            "lender": {
                "instrument": "USDE-USDT",
                "loans": {"count": 3, "collateral": 900, "ltv_low": 0.5, "ltv_high": 0.7},
            }
        },
        "positions": {"longs": {"instrument": "ETH-PERP", "count": 10, "notional": 100000, "long_share": 1.0}},
        "whales": {"whales": {"count": 4, "value": 100000, "mix": {"ETH": 1, "WBETH": 1}, "debts": {"USDT": 1}}},
        "agents": {
            "maker": {
                "kind": "market-maker",
                "instrument": "ETH-USDT",
                "reference": "ETH",
                "balances": {"ETH": 10, "WBETH": 2},
                "debts": {"USDT": 10000},
                "contracts": {"ETH-PERP": -2.5},
                "quote_notional": 10000,
                "gamma": 100,
                "k": 4000,
                "horizon": "5m",
                "inventory_unit": 1000,
                "max_inventory": 100000,
            },
            "redeemer": {
                "kind": "redeemer",
                "instrument": "USDE-USDT",
                "window": "issuer",
                "threshold": 0.01,
                "max_order": 1000,
                "balances": {"USDT": 5000},
                "elsewhere": {"chain": {"USDE": 10}},
            },
        },
        "exogenous": [
            {"kind": "shock", "at": "10s", "factor": "market", "change": -0.1},
            {"kind": "feed-stall", "at": "20s", "until": "25s", "venue": "main"},
            {"kind": "withdrawal-halt", "at": "30s", "until": "40s", "venue": "main", "assets": ["USDE"]},
        ],
        "mechanisms": {"withdrawal": {"title": "makers leave", "off": {"agents.maker.withdrawal": False}}},
    }


def written(folder: Path, document: dict[str, Any]) -> Path:
    path = folder / "economy.toml"
    path.write_text(tomli_w.dumps(document))
    return path


def put(document: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    table = document
    for part in path:
        table = table.setdefault(part, {})
    if value is None:
        del table[last]
    else:
        table[last] = value


def test_an_economy_is_built_and_runs_and_adds_up(tmp_path: Path) -> None:
    run = load_scenario(written(tmp_path, economy())).replay(out=tmp_path / "run")
    assert not any(run.manifest["summary"]["ledger"].values())
    kinds = {one["name"]: (one["kind"], one["venue"]) for one in run.manifest["instruments"]}
    assert kinds["ETH-PERP"] == ("perpetual", "main")
    assert kinds["ETH-OTHER"] == ("spot", "other")
    assert run.manifest["groups"] == {"coins": ["ETH-USDT"]}
    assert run.manifest["focus"] == "coins"
    noted = run.collect(run.scan("milestones"))["name"].to_list()
    for name in ("shock market", "feed_stalled main", "withdrawals_halted main", "withdrawals_resumed main"):
        assert name in noted


def test_accounts_hold_owe_and_are_positioned_as_written(tmp_path: Path) -> None:
    simulation, _ = rehearse(load_scenario(written(tmp_path, economy())))
    ledger, exchange = simulation.ledger, simulation.exchanges["main"]
    maker, wallet = ledger.account("maker"), ledger.account("redeemer@chain")
    assert exchange.margin.net(maker, ledger.asset("USDT")) == -10_000_000_000
    assert ledger.balance(maker, ledger.asset("WBETH")) == 2_000_000
    assert ledger.balance(wallet, ledger.asset("USDE")) == 10_000_000
    contract = simulation.market("ETH-PERP")[1].contract
    assert contract is not None
    assert contract.position(maker)[0] == -2500
    longs = sum(contract.isolated(number).lots for number in range(1, 11))
    assert abs(longs - 100000 / 4000 * 1000) <= 10
    marks = simulation.start_marks(exchange)
    over, under = marks[ledger.asset("WBETH")]
    assert over / under == pytest.approx(1.08 * 4000)
    worth = sum(
        exchange.margin.net(ledger.account(f"whales-{number}"), ledger.asset(asset)) * price
        for number in range(1, 5)
        for asset, price in (("ETH", 4000), ("WBETH", 4320))
    )
    assert worth / 1e6 == pytest.approx(100_000, rel=1e-6)
    assert not any(simulation.check().values())


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("scenario.focus", "none", "scenario.focus: group 'none' is not defined"),
        ("references.ETH.betas", {"x": 1.0}, "references.ETH.betas.x: factor 'x' is not defined"),
        ("references.ETH.betas", {"market": 100.0}, "references.ETH.betas.market"),
        ("instruments.ETH-USDT.mark", {"model": "index"}, "needs the key sources"),
        ("instruments.ETH-USDT.mark", {"model": "last", "price": "1"}, "takes no key price"),
        ("instruments.ETH-USDT.mark", {"model": "index", "sources": ["WBETH-ETH"]}, "trades WBETH/ETH, not ETH/USDT"),
        ("instruments.ETH-USDT.mark", {"model": "perpetual", "sources": []}, "is for instruments of kind 'perpetual'"),
        ("instruments.ETH-USDT.contract", {"insurance": 1}, "only an instrument of kind 'perpetual' has a contract"),
        ("instruments.ETH-USDT.venue", None, "instruments.ETH-USDT.venue: must be given"),
        ("venues.main.price_band", 1.5, "venues.main.price_band"),
        ("venues.main.liquidation_order", ["DOGE"], "venues.main.liquidation_order: asset 'DOGE' is not defined"),
        ("groups.coins", ["DOGE"], "groups.coins: instrument 'DOGE' is not defined"),
        ("windows.issuer.asset", "DOGE", "windows.issuer.asset: asset 'DOGE' is not defined"),
        ("windows.issuer.kind", "bank", "windows.issuer.kind: 'bank' is none of"),
        ("positions.longs.instrument", "ETH-USDT", "'ETH-USDT' is a spot instrument, not a perpetual"),
        ("positions.longs.leverage_low", 80.0, "leverage_low"),
        ("whales.whales.mix", {"DOGE": 1}, "whales.whales.mix.DOGE: asset 'DOGE' is not defined"),
        ("whales.whales.leverage_high", 9.0, "whales.whales: leverage_high: 9.0 can put the account at a margin level"),
        ("agents.maker.balances", {"DOGE": 1}, "agents.maker.balances.DOGE: asset 'DOGE' is not defined"),
        (
            "agents.maker.debts",
            {"USDT": 50000},
            "balances, debts and contracts: they put the account at a margin level",
        ),
        ("agents.maker.contracts", {"ETH-USDT": 1}, "is a spot instrument; a position needs one of kind 'perpetual'"),
        ("agents.maker.contracts", {"BTC-PERP": 1}, "instrument 'BTC-PERP' is not defined"),
        ("agents.maker.elsewhere", {"moon": {"ETH": 1}}, "agents.maker.elsewhere.moon: venue 'moon' is not defined"),
        ("agents.redeemer.window", "bank", "agents.redeemer.window: window 'bank' is not defined"),
        ("agents.redeemer.debts", {"USDT": 1}, "only a margin account can owe its venue"),
        ("mechanisms.withdrawal.off", {}, "mechanisms.withdrawal.off"),
        ("lenders.lender.loans.ltv_high", 0.9, "loans.ltv_high (0.9) is above max_ltv"),
        ("references.USDE", None, "define [references.USDE]"),
        (
            "positions.maker",
            {"instrument": "ETH-PERP", "count": 2, "notional": 9},
            "its account would be called 'maker'",
        ),
        ("positions.longs.count", 1_000_000_000, "positions.longs.count"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(tmp_path: Path, key: str, value: Any, said: str) -> None:
    document = economy()
    put(document, key, value)
    with pytest.raises(ScenarioError) as fault:
        rehearse(load_scenario(written(tmp_path, document)))
    assert said in str(fault.value)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"kind": "shock", "at": "10s", "change": -0.1}, "give either reference or factor"),
        ({"kind": "shock", "at": "10s", "change": -0.1, "factor": "x"}, "factor 'x' is not defined"),
        ({"kind": "feed-stall", "at": "10s", "until": "5s", "venue": "main"}, "at must be before until"),
        ({"kind": "withdrawal-halt", "at": "10s", "venue": "moon"}, "venue 'moon' is not defined"),
        ({"kind": "withdrawal-halt", "at": "10s", "venue": "main", "assets": ["DOGE"]}, "asset 'DOGE' is not defined"),
    ],
)
def test_events_that_lead_nowhere_are_refused(tmp_path: Path, event: dict[str, Any], said: str) -> None:
    document = economy()
    document["exogenous"] = [event]
    with pytest.raises(ScenarioError) as fault:
        load_scenario(written(tmp_path, document))
    assert said in str(fault.value)


def test_a_template_and_a_setting_after_it(tmp_path: Path) -> None:
    document = economy()
    document["each"] = {"coin": {"ETH": {"size": 2}}}
    document["let"] = {"unit": 500}
    maker = document["agents"].pop("maker")
    document["agents"]["maker-{coin}"] = {
        **maker,
        "instrument": "{coin}-USDT",
        "inventory_unit": "{coin.size * let.unit}",
    }
    document["mechanisms"]["withdrawal"]["off"] = {"agents.maker-{coin}.withdrawal": False}
    path = written(tmp_path, document)
    plain = load_scenario(path)
    assert plain.file.agents["maker-ETH"].inventory_unit == 1000  # type: ignore[attr-defined]
    for key in ("maker-{coin}.withdrawal", "maker-ETH.withdrawal"):
        assert not load_scenario(path, settings={key: False}).file.agents["maker-ETH"].withdrawal  # type: ignore[attr-defined]
    with pytest.raises(ScenarioError, match=r"line \d+: agents.maker-ETH.inventory_unit"):
        load_scenario(path, settings={"let.unit": -1})


@pytest.mark.parametrize(
    ("sale", "parallel", "auctioned"),
    [
        ({}, False, False),
        ({"parallel": True}, True, False),
        ({"auction": {"floor": 0.3, "duration": "2m"}}, False, True),
    ],
)
def test_how_accounts_are_sold_out_is_the_venue_s_choice(
    tmp_path: Path, sale: dict[str, Any], parallel: bool, auctioned: bool
) -> None:
    document = economy()
    document["venues"]["main"]["account_liquidation"] = sale
    simulation, _ = rehearse(load_scenario(written(tmp_path, document)))
    policy = simulation.exchanges["main"].liquidator.policy
    assert policy is not None
    assert policy.parallel is parallel
    assert (policy.auction is not None) is auctioned
    if policy.auction is not None:
        assert (policy.auction.floor_ppm, policy.auction.duration_ns) == (300_000, 120 * 10**9)
