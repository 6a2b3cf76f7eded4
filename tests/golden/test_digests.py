"""Same scenario and seed: the same run to the last event, in every process; and nobody's luck depends on the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from lobsim import Run, load_scenario
from lobsim.agents import agent_kinds
from lobsim.scenario.build import Simulation
from tests.golden.update import DIGESTS, HERE, digests

SCENARIO = HERE / "every-kind.toml"
EXPECTED = json.loads(DIGESTS.read_text())


def test_digests_are_those_on_record() -> None:
    """After a change that is meant to alter runs: ``python -m tests.golden.update``."""
    assert digests() == EXPECTED


def _features() -> list[str]:
    """CPU features of this machine that numpy would use and can be told not to."""
    try:
        from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__  # noqa: PLC0415
    except ImportError:  # numpy 1
        from numpy.core._multiarray_umath import __cpu_dispatch__, __cpu_features__  # noqa: PLC0415
    return [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]


@pytest.mark.parametrize("name", ["every-kind", "every-table"])
@pytest.mark.parametrize(
    "environment",
    [{"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "4242"}, {"NPY_DISABLE_CPU_FEATURES": " ".join(_features())}],
    ids=["hash seed 1", "hash seed 4242", "no vector instructions"],
)
def test_other_processes_make_the_same_run(environment: dict[str, str], name: str, tmp_path: Path) -> None:
    scenario = str(HERE / f"{name}.toml")
    command = [sys.executable, "-m", "lobsim", "replay", scenario, "--out", str(tmp_path / "run"), "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=True, env={**os.environ, **environment}
    )
    assert json.loads(done.stdout)["digest"] == EXPECTED[name]


def test_the_digest_notices_the_seed(tmp_path: Path) -> None:
    scenario = load_scenario(SCENARIO)
    runs = [scenario.replay(seed=seed, out=tmp_path / str(seed), until_ns=5 * 10**9) for seed in (42, 43)]
    assert runs[0].digest != runs[1].digest


def _orders_of(run: Run, kind: str) -> pl.DataFrame:
    """What one crowd chose by chance alone: when its orders came, on which side, how large."""
    ids = [account for account, info in run.accounts_info.items() if info.name == kind]
    mine = run.orders.filter(pl.col("account_id").is_in(ids), pl.col("event_name") == "ACCEPTED")
    return mine.select("time_ns", "side", "qty_lots")


def test_the_scenarios_have_every_kind_of_agent() -> None:
    kinds = {agent.kind for file in HERE.glob("*.toml") for agent in load_scenario(file).file.agents.values()}
    assert kinds == set(agent_kinds())


@pytest.mark.parametrize("off", ["panic_sellers", "market_makers", "stray_bids", "patient_asks", "liquidation_bots"])
def test_switching_off_one_agent_leaves_the_draws_of_the_others(off: str, tmp_path: Path) -> None:
    """Prices differ as soon as somebody is missing; arrival times, sides and sizes of the crowd must not."""
    whole = load_scenario(SCENARIO).replay(out=tmp_path / "whole", until_ns=30 * 10**9)
    without = load_scenario(SCENARIO, settings={f"agents.{off}.enabled": False})
    part = without.replay(out=tmp_path / "part", until_ns=30 * 10**9)
    names = {info.name for info in part.accounts_info.values()}
    assert {info.name for info in whole.accounts_info.values()} > names
    orders = _orders_of(whole, "background")
    assert orders.height > 200
    assert orders.equals(_orders_of(part, "background"))
    loans = [[info.name for info in run.accounts_info.values() if info.kind == "borrower"] for run in (whole, part)]
    assert loans[0] == loans[1]


def test_loans_do_not_depend_on_agents() -> None:
    whole = Simulation(load_scenario(SCENARIO), 42)
    alone = Simulation(load_scenario(SCENARIO, settings={"agents": {}, "exogenous": []}), 42)
    books = [simulation.lenders["lender"].loans for simulation in (whole, alone)]
    first, second = ([book.loan(loan_id) for loan_id in book] for book in books)
    assert len(first) == 40
    strip = [[(loan.collateral, loan.principal) for loan in loans if loan] for loans in (first, second)]
    assert strip[0] == strip[1]


def test_vector_instructions_can_be_switched_off_here() -> None:
    """The comparison above means something only where there are any, and numpy obeys."""
    if not _features():
        pytest.skip("numpy uses no optional CPU features on this machine")
    code = "from tests.golden.test_digests import _features; print(_features())"
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(_features())}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "[]\n"
