"""The flat row of a run: its keys, and the figures of its credit table, by hand and against naive sums."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.events import Purpose, Side
from lobsim.measure import OUTCOMES, outcomes
from lobsim.measure.ladders import ladder
from lobsim.measure.scorecard import scorecard
from lobsim.measure.study import Study
from tests.measure.test_milestones import whole
from tests.measure.worlds import SHOCK_S, S, World

KINDS = ("loan_liquidation", "account_liquidation_sale", "contract_liquidation_long", "contract_liquidation_short")
NAMES = {
    "loan_liquidation": "loans",
    "account_liquidation_sale": "accounts",
    "contract_liquidation_long": "contracts",
    "contract_liquidation_short": "contracts",
}


def test_every_key_is_there_whatever_happened():
    for run in (World().run(), World().run(shock_s=None), whole().run()):
        found = outcomes(run)
        assert set(OUTCOMES) <= set(found)
        for key in ("fall.elsewhere", "synchrony.stablecoin", "fall.A-USDT", "low.USDE-USDT"):
            assert key in found
        json.dumps(found, allow_nan=False)
        assert all(value is None or type(value) is float for value in found.values())


def test_figures_of_a_whole_chain():
    found = outcomes(whole().run())
    assert (found["fall"], found["fall.stablecoin"]) == (pytest.approx(0.6), pytest.approx(0.4))
    assert (found["crashed"], found["links_in_order"]) == (1, 5)
    assert found["at.selling"] == 10
    assert found["at.withdrawal"] is None
    assert found["liquidated"] == pytest.approx(9.5 + 900 + 90 + 900 + 300 + 100)
    assert found["liquidated_loans"] == pytest.approx(909.5)
    assert found["long_share"] == 0.75
    assert (found["adl"], found["first_adl_delay"]) == (50, 5)
    assert (found["maker_leverage_before"], found["maker_leverage_liquidated"]) == (2.0, 3.5)
    # the stablecoin's average passes 0.97 with the fifth print at 0.60: all before 635 s
    assert found["liquidated_before_depeg"] == 0
    assert found["low_before_stablecoin"] == pytest.approx(90 - 130)
    sold = {"SHOCK": 1_000, "LOOP_UNWIND": 2_000, "LOAN_LIQUIDATION": 3_000}
    noise = 70 * 100 * 2 + 330 * 40 * 2 + 200 * 90 * 2 + 30 * 1 + 570 * 0.6
    assert found["forced_share"] == pytest.approx(5_000 / (sum(sold.values()) + noise))


def test_funds_and_open_interest_from_the_shock_to_the_end():
    world = World()
    for second, account, amount in (
        (0, 5, 900),
        (599, 5, 100),
        (599, 6, 300),
        (700, 5, 40),
        (900, 6, 220),
        (901, 5, 20),
    ):
        world.credit(second, "insurance_fund", account, "USDT", amount * 10**6, amount)
        world.credit(second, "open_interest", account, "A", amount, amount * 2)
    found = outcomes(world.run())
    assert found["insurance_change"] == pytest.approx(240 / 400 - 1)
    assert found["open_interest_change"] == pytest.approx(480 / 800 - 1)


def test_supply_growth_is_exact_beyond_64_bits_and_none_where_nothing_is_issued():
    world = World()
    for second, amount in ((0, 343 * 10**12), (300, 343 * 10**15), (900, 343 * 10**19)):
        world.credit(second, "supply", 0, "A", amount, 0)
    for second, amount in ((0, 0), (900, 5)):
        world.credit(second, "supply", 0, "B", amount, 0)
    for book in ("A-USDT", "B-USDT", "C-USDT"):
        world.trade(1, book, 100)
        world.trade(700, book, 90)
    run = world.run()
    found = outcomes(run)
    assert found["supply_growth"] == 10**7  # of A alone: B began with nothing, nobody issues C
    assert found["supply_growth.stablecoin"] is None
    target = {"name": "grown", "measure": "supply_growth", "instrument": "A-USDT", "low": 1000}
    assert [(score.simulated, score.inside) for score in scorecard(run, [target])] == [(10**7, True)]


def test_leverage_is_that_of_the_makers_that_were_liquidated():
    world = World()
    for account, before, then in ((1, 1.9, 3.1), (2, 0.5, 0.7), (4, 9.0, 9.5)):
        world.leverage(590, account, before)
        world.leverage(610, account, then)
        world.leverage(650, account, 77)
    world.credit(615, "account_liquidation_started", 1, "", 0, 1)
    world.credit(615, "account_liquidation_started", 4, "", 0, 1)  # a bot
    found = outcomes(world.run())
    assert (found["maker_leverage_before"], found["maker_leverage_liquidated"]) == (1.9, 3.1)


def test_a_peg_that_holds():
    world = World()
    world.path("USDE-USDT", {0: 100, SHOCK_S + 30: 98}, SHOCK_S + 100)
    world.credit(SHOCK_S + 40, "loan_liquidation", 3, "A", 10, 900)
    assert outcomes(world.run())["liquidated_before_depeg"] == 1


def test_bad_debt_is_valued_in_the_numeraire():
    world = World()
    world.trade(1, "A-USDT", 2_500)
    world.credit(SHOCK_S, "bad_debt", 1, "A", 4, 4)
    world.credit(SHOCK_S, "loan_bad_debt", 3, "USDT", 7 * 10**6, 7)
    assert outcomes(world.run())["bad_debt"] == pytest.approx(4 * 25 + 7)


@settings(deadline=None, max_examples=30)
@given(
    rows=st.lists(st.tuples(st.integers(0, 900), st.sampled_from(KINDS), st.integers(1, 999)), max_size=20),
    step=st.integers(1, 300),
)
def test_ladder_equals_naive_sums(rows, step):
    world = World()
    for second, kind, value in rows:
        world.credit(second, kind, 3, "A", 1, value)
    found = {
        (begin // S, what): (count, value)
        for begin, what, count, value in ladder(Study(world.run()), step * S).iter_rows()
    }
    naive: dict[tuple[int, str], tuple[int, float]] = {}
    for second, kind, value in rows:
        key = (second // step * step, NAMES[kind])
        count, so_far = naive.get(key, (0, 0.0))
        naive[key] = (count + 1, so_far + value)
    assert found == naive
    assert list(found) == sorted(found)


def test_buys_are_not_sold():
    world = World()
    world.trade(SHOCK_S + 1, "A-USDT", 100, 1, Purpose.STOP_OUT)
    world.trade(SHOCK_S + 2, "A-USDT", 100, 3, Purpose.NOISE)
    world.trade(SHOCK_S + 3, "A-USDT", 100, 50, Purpose.NOISE, Side.BUY)
    assert outcomes(world.run())["forced_share"] == 0.25
