"""A whole run: its tables account for every quantum on the ledger, and leaving somebody out shifts nobody's draws."""

from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest

from lobsim.credit import Flow
from lobsim.events import EventKind, Side
from lobsim.measure import read_run
from lobsim.scenario.load import load_scenario
from lobsim.scenario.run import rehearse
from lobsim.sim.recorder import Recorder

SCENARIO = Path(__file__).parent / "small-vacuum.toml"
MAKER_PPM, TAKER_PPM, PPM = 130, 470, 1_000_000
LOTS, TICK_LOT = 1_000, 10  # ALT quanta in a lot; USDT quanta that a lot costs per tick


class Played:
    """One run with its simulation still in hand, and what was on the ledger before anything happened."""

    def __init__(self, folder, settings=(), seed=None, assets=("USDT", "ALT")):
        scenario = load_scenario(SCENARIO, settings=settings)
        self.simulation, _ = rehearse(scenario, seed=seed)
        self.ledger = self.simulation.ledger
        self.usdt, self.alt = (self.ledger.asset(name) for name in assets)
        self.exchange = self.simulation.exchanges["exchange"]
        self.loans = self.simulation.lenders["lender"].loans
        self.start = [list(self.ledger.balances(asset)) for asset in (self.usdt, self.alt)]
        self.owed = self.owings()
        self.pledged = {loan_id: self.loans.loan(loan_id) for loan_id in self.loans}
        with Recorder(folder, self.simulation.header(scenario)) as recorder:
            self.simulation.start(recorder)
            self.simulation.clock.run_until(scenario.file.scenario.duration)
            self.digest = recorder.close(end_ns=scenario.file.scenario.duration)
        self.run = read_run(folder)
        self.trades, self.credit, self.orders = (self.run.table(name) for name in ("trades", "credit", "orders"))

    def owings(self):
        margin = self.exchange.margin
        return {account: margin.liability(account, self.usdt) for account in margin.accounts}

    def rows(self, kind):
        return self.credit.filter(pl.col("kind") == kind).to_dicts()

    def account(self, name):
        return self.ledger.account(name)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    return Played(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def without_bots(tmp_path_factory):
    return Played(tmp_path_factory.mktemp("runs") / "run", {"liquidation_bots.enabled": False})


def test_everything_happens_in_it(played):
    """Or the tests below would prove little."""
    kinds = set(played.credit["kind"])
    assert {"loan_liquidation", "loan_bad_debt", "account_bankrupt", "account_liquidation_sale"} <= kinds
    assert {"insurance_paid", "bad_debt"} <= kinds
    notes = {name.split()[0] for name in played.run.table("milestones")["name"]}
    assert {"shock", "maker_withdrew", "maker_returned"} <= notes


def test_the_tables_account_for_every_quantum_account_by_account(played):
    """Starting balances, trades with fees per fill, loans and bankruptcies of the tables make up the final ledger."""
    usdt, alt = (defaultdict(int, enumerate(column)) for column in played.start)
    fees = played.account("exchange.fees")
    for trade in played.trades.to_dicts():
        maker, taker, lots = trade["maker_account_id"], trade["taker_account_id"], trade["qty_lots"]
        buyer, seller = (maker, taker) if trade["aggressor_side"] == Side.SELL else (taker, maker)
        notional = trade["price_ticks"] * lots * TICK_LOT
        usdt[buyer] -= notional
        usdt[seller] += notional
        alt[buyer] += lots * LOTS
        alt[seller] -= lots * LOTS
        for account, rate in ((maker, MAKER_PPM), (taker, TAKER_PPM)):
            usdt[account] -= notional * rate // PPM
            usdt[fees] += notional * rate // PPM

    cash, reserve = played.account("lender.cash"), played.account("lender.insurance")
    seized = defaultdict(int)
    for row in played.rows("loan_liquidation"):
        bot = row["counterparty_id"]
        usdt[bot] -= int(row["value_quanta"])
        usdt[cash] += int(row["value_quanta"])
        alt[bot] += int(row["amount_quanta"])
        alt[played.loans.custody] -= int(row["amount_quanta"])
        seized[row["ref_id"]] += int(row["amount_quanta"])
    for row in played.rows("loan_bad_debt"):
        insured = min(usdt[reserve], int(row["amount_quanta"]))
        usdt[reserve] -= insured
        usdt[cash] += insured
    for loan_id, loan in played.pledged.items():
        if loan_id not in played.loans:  # what was not seized went back to the borrower
            alt[loan.account] += loan.collateral - seized[loan_id]
            alt[played.loans.custody] -= loan.collateral - seized[loan_id]

    pool, fund = played.account("exchange.pool"), played.account("exchange.insurance")
    for row in played.rows("insurance_paid"):
        usdt[row["account_id"]] += int(row["amount_quanta"])
        usdt[fund] -= int(row["amount_quanta"])
    lost = defaultdict(int)
    for row in played.rows("bad_debt"):
        lost[row["account_id"]] += int(row["amount_quanta"])
    for account, owed in played.owings().items():  # no interest here: what is owed changes by borrowing and repaying
        borrowed = owed + lost[account] - played.owed[account]
        usdt[account] += borrowed
        usdt[pool] -= borrowed

    for number in range(1, len(played.ledger.accounts) + 1):
        name = played.ledger.account_name(number)
        assert usdt[number] == played.ledger.balance(number, played.usdt), name
        assert alt[number] == played.ledger.balance(number, played.alt), name


def test_ledger_books_and_loans_prove_themselves(played):
    assert set(played.simulation.check().values()) == {0}
    assert set(played.ledger.imbalance().values()) == {0}
    for market in played.exchange.markets:
        market.book.check()


def test_only_crowds_pools_and_lenders_are_ever_overdrawn(played):
    overdrawn = {
        played.ledger.account_name(number)
        for number in range(1, len(played.ledger.accounts) + 1)
        if min(played.ledger.balance(number, asset) for asset in (played.usdt, played.alt)) < 0
    }
    crowds = {"background", "value_traders", "patient_bids", "patient_asks", "stray_bids", "panic_sellers"}
    assert overdrawn <= crowds | {"exchange.pool", "lender.cash", "exchange.outside"}


def test_holds_are_those_of_open_orders(played):
    """Bots only send immediate orders: at the end nothing of theirs may be held."""
    for number in (1, 2):
        bot = played.account(f"liquidation_bots-{number}")
        assert played.ledger.held(bot, played.alt) == played.ledger.held(bot, played.usdt) == 0
    assert played.exchange._held == {}


def test_bad_debt_and_insurance_flows_are_the_recorded_ones(played):
    ledger = played.ledger
    recorded = sum(
        int(row["amount_quanta"])
        for kind in ("bad_debt", "loan_bad_debt", "insurance_paid")
        for row in played.rows(kind)
    )
    assert ledger.moved(played.usdt, Flow.BAD_DEBT) + ledger.moved(played.usdt, Flow.INSURANCE) == recorded
    sold = sum(int(row["amount_quanta"]) for row in played.rows("account_liquidation_sale"))
    traded = played.trades.filter(pl.col("purpose") == 10)["qty_lots"].sum() * LOTS
    assert sold == traded > 0


def test_the_same_seed_gives_the_same_digest_and_another_one_does_not(played, tmp_path):
    assert Played(tmp_path / "again").digest == played.digest
    assert Played(tmp_path / "other", seed=6).digest != played.digest


def flow_of(played, name):
    """(time, side, lots, at market) of a crowd's orders."""
    mine = played.orders.filter(
        (pl.col("event") == EventKind.ACCEPTED) & (pl.col("account_id") == played.account(name))
    )
    return mine.select("time_ns", "side", "qty_lots", pl.col("price_ticks").is_null().alias("market")).rows()


def test_leaving_the_bots_out_leaves_the_crowds_draws_alone_for_the_whole_run(played, without_bots):
    flow = flow_of(played, "background")
    assert len(flow) > 1_500
    assert flow == flow_of(without_bots, "background")
    assert flow_of(played, "panic_sellers") == flow_of(without_bots, "panic_sellers") != []


def test_leaving_the_bots_out_changes_nothing_at_all_before_their_first_act(played, without_bots):
    first = played.rows("loan_liquidation")[0]["time_ns"]
    before = [run.orders.filter(pl.col("time_ns") < first) for run in (played, without_bots)]
    assert before[0].height > 3_000
    assert before[0].equals(before[1])


def test_leaving_a_crowd_out_leaves_anothers_draws_alone(played, tmp_path):
    alone = Played(tmp_path / "run", {"value_traders.enabled": False, "market_makers.enabled": False})
    assert flow_of(alone, "background") == flow_of(played, "background")
    strays = [run.orders.filter((pl.col("event") == 0) & (pl.col("purpose") == 5)) for run in (alone, played)]
    assert (
        strays[0]
        .select("time_ns", "price_ticks", "qty_lots")
        .equals(strays[1].select("time_ns", "price_ticks", "qty_lots"))
    )
