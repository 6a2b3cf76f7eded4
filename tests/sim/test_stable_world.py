"""Arbitrageurs, redeemers, an issuer's hedge and a run on real venues: what they do adds up, and a halt stops it."""

from collections import Counter
from pathlib import Path

import pytest

from lobsim.errors import ScenarioError
from lobsim.events import EventKind, Purpose
from lobsim.measure import read_run
from lobsim.scenario.load import load_scenario
from lobsim.scenario.run import rehearse
from lobsim.sim.recorder import Recorder

SCENARIO = Path(__file__).parent / "stable-world.toml"


class World:
    def __init__(self, folder, halted=()):
        scenario = load_scenario(SCENARIO)
        self.simulation, _ = rehearse(scenario)
        for venue in halted:
            self.simulation.desk.halt(venue)
        end = scenario.file.scenario.duration
        with Recorder(folder, self.simulation.header(scenario)) as recorder:
            self.simulation.start(recorder)
            self.simulation.clock.run_until(end)
            recorder.close(end_ns=end)
        run = read_run(folder)
        self.trades, self.credit, self.orders = (run.table(name) for name in ("trades", "credit", "orders"))
        self.ledger = self.simulation.ledger

    def kinds(self):
        return Counter(self.credit["kind"].to_list())

    def purposes(self):
        return {Purpose(number) for number in self.trades["purpose"].unique()}

    def balance(self, account, asset):
        return self.ledger.balance(self.ledger.account(account), self.ledger.asset(asset)) / 1e6

    def agent(self, name):
        return next(agent for agent in self.simulation.agents if agent.context.name == name)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("open") / "run")


@pytest.fixture(scope="module")
def island(tmp_path_factory):
    return World(tmp_path_factory.mktemp("halted") / "run", halted=("main",))


def test_everybody_acts_and_every_quantum_is_accounted_for(world):
    assert {Purpose.ARBITRAGE, Purpose.REDEMPTION, Purpose.RUN} <= world.purposes()
    assert set(world.simulation.check().values()) == {0}
    kinds = world.kinds()
    for kind in ("redeemed", "stable_burned", "transfer_sent", "transfer_arrived"):
        assert kinds[kind] > 0, kind


def test_no_order_of_theirs_is_rejected(world, island):
    for each in (world, island):
        assert EventKind.REJECTED not in each.orders["event"].to_list()


def test_what_agents_believe_is_what_the_ledger_says(world):
    cross, basis, hedge = (world.agent(name) for name in ("cross", "basis", "hedge"))
    contract = world.simulation.market("ETH-PERP")[1].contract
    spot, perp = basis._pairs[0].legs
    lots, _ = contract.position(basis.context.gateway.account_id)
    assert perp.net == lots * perp.spec.base_per_lot
    coins = sum(world.balance(account, "ETH") for account in ("cross", "cross@other"))
    under_way = world.balance("in-transit", "ETH")
    net = sum(leg.net for leg in cross._pairs[0].legs) / 1e6
    assert coins + under_way == pytest.approx(20 + net, abs=1e-6)
    assert hedge._short == -contract.position(hedge.context.gateway.account_id)[0] * 1_000
    assert spot.net != 0


def test_supplies_are_on_record_from_the_start_to_the_end(world):
    rows = world.credit.filter(world.credit["kind"] == "supply")
    assert rows["time_ns"].min() == 0
    last = {asset: rows.filter(rows["asset"] == asset)["amount"][-1] for asset in ("USDE", "UST", "LUNA")}
    kinds = world.credit["kind"]
    redeemed, minted = (float(world.credit.filter(kinds == kind)["amount"].sum()) for kind in ("redeemed", "minted"))
    assert last["USDE"] == pytest.approx(10_000_000 - redeemed + minted, abs=1e-3)
    ledger = world.ledger
    for asset in ("UST", "LUNA"):
        number = ledger.asset(asset)
        assert last[asset] == pytest.approx((ledger.issued(number) - ledger.burned(number)) / 1e6, abs=1e-3)


def test_the_hedge_shrinks_with_the_supply(world):
    redeemed = world.credit.filter(world.credit["kind"] == "redeemed")["amount"].sum()
    supply = 1 - float(redeemed) / 10_000_000
    contract = world.simulation.market("ETH-PERP")[1].contract
    short = -contract.position(world.ledger.account("hedge"))[0] / 1_000
    assert short == pytest.approx(2_000 * supply, abs=2_000 * 0.0015)  # the tolerance, and what is under way
    assert short < 2_000


def test_while_nothing_may_leave_capital_runs_out_and_nothing_is_redeemed(world, island):
    kinds = island.kinds()
    assert kinds["redeemed"] == kinds["stable_burned"] == 0
    sent = island.credit.filter(island.credit["kind"] == "transfer_sent")
    assert set(sent["account_id"].to_list()) <= {island.ledger.account("cross@other")}
    assert island.balance("redeemer@chain", "USDE") == 0
    assert island.balance("redeemer", "USDE") > world.balance("redeemer", "USDE")
    assert island.agent("redeemer")._ran_out
    assert set(island.simulation.check().values()) == {0}


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("agents.cross.other", '"ETH-PERP"', "two venues"),
        ("agents.basis.other", '"ETH-USDT.other"', "perpetual"),
        ("agents.redeemer.window", '"terra"', "one that redeems"),
        ("agents.burner.window", '"usde"', "mint-burn"),
        ("agents.hedge.window", '"terra"', "no issuer"),
        ("agents.hedge.count", "2", "another hedge"),
        ("agents.hedge.perpetual", '"ETH-USDT"', "short"),
        ("agents.burner.other", '"NONE"', "NONE"),
    ],
)
def test_economies_that_make_no_sense_are_refused_by_name(key, value, word):
    with pytest.raises(ScenarioError, match=rf"agents\.\w+.*{word}"):
        rehearse(load_scenario(SCENARIO, settings=[f"{key}={value}"]))
