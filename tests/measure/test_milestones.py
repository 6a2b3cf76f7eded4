"""Milestones and the order of the chain: by hand, and a tenth of a flow against a naive sum."""

from __future__ import annotations

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.events import Purpose, Side
from lobsim.measure import CHAIN, TITLES, Milestone, chain_order, milestones
from lobsim.measure.milestones import TIE_NS, tenth
from tests.measure.worlds import SHOCK_S, S, World


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50)), max_size=30))
def test_a_tenth_of_a_flow(rows):
    rows.sort(key=lambda row: row[0])
    flow = pl.DataFrame(rows, schema={"time_ns": pl.Int64, "value": pl.Float64}, orient="row")
    total = sum(value for _, value in rows)
    if not total:
        assert tenth(flow) is None
        return
    so_far = 0
    for time_ns, value in rows:
        so_far += value
        if so_far * 10 >= total:
            assert tenth(flow) == (time_ns, total)
            return


@given(st.lists(st.one_of(st.none(), st.integers(0, 20)), min_size=len(CHAIN), max_size=len(CHAIN)))
def test_neighbours_in_order(seconds):
    found = [Milestone(name, at * S, None, "") for name, at in zip(CHAIN, seconds, strict=True) if at is not None]
    in_order = judged = 0
    for first, then in pairwise(seconds):
        if first is not None and then is not None:
            judged += 1
            in_order += first - then <= 5
    assert chain_order(reversed(found)) == (in_order, judged)


def test_ties_of_five_seconds_count_and_the_chain_has_seven_links():
    first, then = (Milestone(name, at, None, "") for name, at in (("shock", TIE_NS), ("selling", 0)))
    assert chain_order([first, then]) == (1, 1)
    assert chain_order([first._replace(time_ns=TIE_NS + 1), then]) == (0, 1)
    assert len(CHAIN) == 8
    assert set(CHAIN) <= set(TITLES)


def whole() -> World:
    """Every link once, in the published order, ten seconds apart after the shock."""
    world = World()
    for book in ("B-USDT", "C-USDT"):
        world.path(book, {0: 10_000, SHOCK_S + 70: 4_000, SHOCK_S + 400: 9_000}, SHOCK_S + 600)
    world.path("USDE-USDT", {0: 100, SHOCK_S + 30: 60}, SHOCK_S + 600)
    world.trade(5, "A-USDT", 10_000, 1_000, Purpose.MOMENTUM)  # before the shock: no part of it
    for step in range(10):
        world.trade(SHOCK_S + 10 + step / 10, "A-USDT", 10_000, 1, Purpose.SHOCK)
        world.trade(SHOCK_S + 20 + step / 10, "A-USDT", 10_000, 2, Purpose.LOOP_UNWIND)
        world.trade(SHOCK_S + 80 + step / 10, "A-USDT", 10_000, 3, Purpose.LOAN_LIQUIDATION)
    world.trade(SHOCK_S + 9, "A-USDT", 10_000, 100, Purpose.SHOCK, Side.BUY)  # bought back: no selling
    world.credit(SHOCK_S + 40, "loan_liquidation", 3, "USDE", 10, 9.5)
    world.credit(SHOCK_S + 41, "loan_liquidation", 3, "A", 10, 900)
    world.credit(SHOCK_S + 50, "account_liquidation_started", 1, "", 0, 1_000)
    world.credit(SHOCK_S + 51, "account_liquidation_sale", 1, "A", 10, 90)
    world.credit(SHOCK_S + 45, "account_liquidation_sale", 4, "A", 10, 900)  # no maker
    world.credit(SHOCK_S + 90, "contract_liquidation_long", 4, "A", 10, 300)
    world.credit(SHOCK_S + 91, "contract_liquidation_short", 4, "A", 10, 100)
    world.credit(SHOCK_S + 95, "adl", 4, "A", 10, 50)
    for second, leverage in ((590, 2.0), (SHOCK_S + 45, 2.05), (SHOCK_S + 50, 3.5), (SHOCK_S + 60, 90.0)):
        world.leverage(second, 1, leverage)
    return world


def test_every_link_by_hand():
    found = {one.name: (one.time_ns / S - SHOCK_S, one.amount, one.unit) for one in milestones(whole().run())}
    assert found["shock"] == (0, 0.17, "fraction")
    assert found["selling"] == (10.0, pytest.approx(1_000), "USDT")
    assert found["loops_unwound"] == (20.0, pytest.approx(2_000), "USDT")
    assert found["bots_sell"] == (80.0, pytest.approx(3_000), "USDT")
    # the average falls by 40 / 60 a second: 4 of 40 are reached with the sixth print
    assert found["stablecoin_falls"] == (36, pytest.approx(0.4), "fraction")
    assert found["stablecoin_low"] == (90, pytest.approx(0.4), "fraction")
    assert found["loop_loans_liquidated"] == (40, pytest.approx(9.5), "USDT")
    assert found["makers_liquidated"] == (51, pytest.approx(90), "USDT")
    assert found["makers_leverage"] == (50, pytest.approx(3.5), "x")  # what comes after it was taken over is not seen
    assert found["contracts_liquidated"] == (90, pytest.approx(400), "USDT")
    assert found["first_adl"] == (95, pytest.approx(50), "USDT")
    # the median of three coins of which one stays: a tenth of 60 % as above
    assert found["focus_falls"] == (76, pytest.approx(0.6), "fraction")
    assert found["focus_low"] == (130, pytest.approx(0.6), "fraction")
    assert found["half_recovered"] == (436, pytest.approx(2 / 3), "fraction")
    assert "withdrawal" not in found


def test_order_of_the_whole_chain():
    found = milestones(whole().run())
    assert [one.time_ns for one in found] == sorted(one.time_ns for one in found)
    assert chain_order(found) == (5, 5)  # nobody withdrew: two neighbours cannot be judged


def test_a_quiet_run_has_no_links():
    world = World()
    world.path("A-USDT", {0: 10_000, 300: 9_995}, 700)
    assert milestones(world.run(shock_s=None)) == []
    assert [one.name for one in milestones(world.__class__().run())] == ["shock"]
