"""The small economies that ship: what each of them is there to show, for a seed, in runs as short as can show it.

The bands of `scenarios/targets` are for whole runs; here only what must differ between a scenario and its variants.
"""

from __future__ import annotations

from functools import cache

import pytest

from lobsim.events import Purpose
from lobsim.measure import Run, outcomes, scorecard
from lobsim.scenario import load_scenario
from lobsim.scenario.shipped import shipped
from lobsim.units import NS_PER_MINUTE

NAMES = ("usde-price-island", "loop-lending", "luna-2022")


@cache
def run_of(name: str, variant: str | None = None, minutes: int | None = None, *settings: str) -> Run:
    until = None if minutes is None else minutes * NS_PER_MINUTE
    return load_scenario(shipped()[name], variant=variant, settings=settings).replay(seed=7, until_ns=until)


def low(run: Run, instrument: str) -> float:
    value = outcomes(run)[f"low.{instrument}"]
    assert value is not None
    return value


def purposes(run: Run) -> set[Purpose]:
    return {Purpose(number) for number in run.trades["purpose"].unique()}


@pytest.mark.parametrize("name", NAMES)
def test_variants_and_switches_are_all_settings_that_the_file_has(name: str) -> None:
    variants = load_scenario(shipped()[name]).file.variants
    for variant in variants:
        assert load_scenario(shipped()[name], variant=variant).targets()
    for mechanism in load_scenario(shipped()[name]).file.mechanisms.values():
        load_scenario(shipped()[name], settings=mechanism.off)


# --- the price island -------------------------------------------------------------------------------------------------


def test_halted_and_open_differ_in_the_halt_alone() -> None:
    halted, opened = (load_scenario(shipped()["usde-price-island"], variant=v).document for v in (None, "open"))
    assert halted["exogenous"][1].get("enabled", True) != opened["exogenous"][1]["enabled"]
    for document in (halted, opened):
        document["exogenous"][1]["enabled"] = None
        document["scenario"]["targets"] = None
    assert halted == opened


@pytest.mark.slow
def test_a_halt_makes_an_island_of_the_price() -> None:
    halted, opened = run_of("usde-price-island", None, 50), run_of("usde-price-island", "open", 50)
    assert 0.55 < low(halted, "USDE-USDT") < 0.75
    assert low(halted, "USDE-OTHER") > 0.97
    assert min(low(opened, name) for name in ("USDE-USDT", "USDE-OTHER")) > 0.97
    notes = halted.table("milestones")["name"].to_list()
    assert sum(note.startswith("redeemer_ran_out redeemers-") for note in notes) >= 4
    liquidated = [outcomes(run)["liquidated"] or 0.0 for run in (halted, opened)]
    assert liquidated[0] > 5e6
    assert liquidated[1] < 1e6
    assert set(halted.summary["ledger"].values()) == {0}


# --- loops ------------------------------------------------------------------------------------------------------------


def test_loops_valued_by_their_own_book_fail_and_leave_bad_debt() -> None:
    run = run_of("loop-lending")
    found = outcomes(run)
    assert all(score.inside for score in scorecard(run))
    assert found["liquidated_loans"] > 5e6  # type: ignore[operator]
    assert {Purpose.LOOP_UNWIND, Purpose.LOAN_LIQUIDATION, Purpose.MARGIN_CALL} <= purposes(run)
    assert set(run.summary["ledger"].values()) == {0}


@pytest.mark.parametrize("variant", ["constant-mark", "redemption"])
def test_where_marks_do_not_follow_the_book_nobody_is_liquidated(variant: str) -> None:
    run = run_of("loop-lending", variant)
    found = outcomes(run)
    assert (found["liquidated_loans"], found["bad_debt"]) == (0, 0)
    assert Purpose.MARGIN_CALL not in purposes(run)
    assert Purpose.LOOP_UNWIND in purposes(run)  # a discount frightens them all the same
    assert low(run, "USDE-USDT") > low(run_of("loop-lending"), "USDE-USDT") + 0.1


@pytest.mark.slow
def test_the_less_they_owe_the_less_the_same_sale_takes_the_price_down() -> None:
    loops, lower, none = (run_of("loop-lending", variant) for variant in (None, "lower-leverage", "no-loops"))
    assert low(loops, "USDE-USDT") + 0.2 < low(lower, "USDE-USDT") < low(none, "USDE-USDT") - 0.05
    assert low(none, "USDE-USDT") > 0.9
    assert outcomes(lower)["bad_debt"] == outcomes(none)["bad_debt"] == 0


# --- mint and burn ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_luna_is_minted_into_nothing() -> None:
    run = run_of("luna-2022")
    found = {score.name: score for score in scorecard(run)}
    assert all(score.inside for score in found.values())
    grown = found["LUNA supply, end over start"].simulated
    assert grown is not None
    assert grown > 1000
    luna = run.instrument("LUNA-USDT")
    price = run.trades.filter(run.trades["instrument"] == "LUNA-USDT")["price_ticks"]
    assert price.min() > 100  # type: ignore[operator]  # ticks: the price has digits all the way down
    assert float(luna.tick.step) == 1e-9
    supply = run.credit.filter((run.credit["kind"] == "supply") & (run.credit["asset"] == "LUNA"))["amount_quanta"]
    assert int(supply[0]) == 343 * 10**12
    assert int(supply[-1]) / int(supply[0]) == grown
    assert {Purpose.RUN, Purpose.ARBITRAGE} <= purposes(run)
    assert set(run.summary["ledger"].values()) == {0}


@pytest.mark.slow
def test_without_the_contract_ust_breaks_and_luna_does_not() -> None:
    found = scorecard(run_of("luna-2022", "no-burning"))
    assert [score.inside for score in found] == [True] * 3
