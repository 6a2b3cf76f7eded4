"""Populations of perpetual positions and the crowds that manage them, as scenario files write them."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

import pytest

from lobsim.errors import ScenarioError
from lobsim.scenario import load_scenario
from lobsim.scenario.run import rehearse
from tests.scenario.test_economies import economy, put, written


def managed(**values: Any) -> dict[str, Any]:
    """An economy whose longs and shorts belong to one crowd."""
    document = economy()
    document["positions"]["shorts"] = {"instrument": "ETH-PERP", "count": 8, "notional": 50_000, "long_share": 0.0}
    document["agents"]["traders"] = {
        "kind": "perp-traders",
        "instrument": "ETH-PERP",
        "positions": ["longs", "shorts"],
        **values,
    }
    return document


def test_a_crowd_has_the_positions_of_the_populations_it_names(tmp_path: Path) -> None:
    simulation, _ = rehearse(load_scenario(written(tmp_path, managed(capacity=1_000))))
    (agent,) = (agent for agent in simulation.agents if agent.kind == "perp-traders")
    views = agent.context.contract("ETH-PERP").positions()
    assert [view.lots > 0 for view in views] == [True] * 10 + [False] * 8
    assert {view.account for view in views} == {simulation.ledger.account("traders")}
    assert "longs" not in simulation.ledger.accounts
    assert not any(simulation.check().values())


def test_whose_it_is_does_not_change_a_population_nor_does_switching_the_crowd_off(tmp_path: Path) -> None:
    drawn = []
    for number, keys in enumerate(({}, {"enabled": False}, None)):
        document = managed(**(keys or {}))
        if keys is None:
            del document["agents"]["traders"]
        folder = tmp_path / str(number)
        folder.mkdir()
        simulation, _ = rehearse(load_scenario(written(folder, document)))
        contract = simulation.market("ETH-PERP")[1].contract
        assert contract is not None
        views = [contract.isolated(position_id) for position_id in contract]
        drawn.append([(view.lots, view.cost, view.margin) for view in views if view])
    assert drawn[0] == drawn[1] == drawn[2]


def test_positions_live_and_their_margins_are_rounded_up(tmp_path: Path) -> None:
    document = managed()
    document["positions"]["longs"] |= {"count": 500, "leverage_low": 75, "leverage_high": 75, "entry_sigma": 0.05}
    simulation, _ = rehearse(load_scenario(written(tmp_path, document)))
    market = simulation.market("ETH-PERP")[1]
    contract = market.contract
    assert contract is not None
    views = [view for view in (contract.isolated(number) for number in contract) if view and view.lots > 0]
    assert all(view.margin == ceil(view.entry_value / 75) for view in views)
    assert contract.breached(market.book.tick_grid.floor(4000)) == []


def test_a_managed_economy_runs_and_adds_up(tmp_path: Path) -> None:
    document = managed(capacity=20_000, target=0.02, threshold=0.01, delay="1s", stop_share=0.5)
    run = load_scenario(written(tmp_path, document)).replay(out=tmp_path / "run")
    assert not any(run.manifest["summary"]["ledger"].values())


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("agents.traders.positions", ["moon"], "agents.traders.positions: population 'moon' is not defined"),
        ("agents.traders.positions", ["longs", "longs"], "longs must not be named twice"),
        ("agents.traders.instrument", "ETH-USDT", "'ETH-USDT' is a spot instrument, not a perpetual"),
        ("agents.traders.instrument", "ETH-USDT", "'longs' are positions in 'ETH-PERP', not in 'ETH-USDT'"),
        ("agents.traders.count", 2, "agents.traders.count: positions belong to one agent"),
        (
            "agents.others",
            {"kind": "perp-traders", "instrument": "ETH-PERP", "positions": ["shorts"]},
            "agents.others.positions: 'shorts' are managed by agents.traders already",
        ),
        ("agents.traders.leverage_high", 100.0, "agents.traders: leverage_high: 100 at a maintenance margin of 0.01"),
        ("positions.longs.leverage_high", 100.0, "positions.longs: leverage_high: 100 at a maintenance margin of 0.01"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(tmp_path: Path, key: str, value: Any, said: str) -> None:
    document = managed(capacity=1_000)
    put(document, key, value)
    with pytest.raises(ScenarioError) as fault:
        rehearse(load_scenario(written(tmp_path, document)))
    assert said in str(fault.value)
