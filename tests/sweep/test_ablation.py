"""Ablation: which combinations a budget buys, and what their outcomes say about each mechanism."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from lobsim.errors import InputError, RunError
from lobsim.sim.streams import Stream
from lobsim.sweep import Mechanism, Plan, Study, entry_of, mechanisms_of, plan_ablation, plan_of, read_ablation
from lobsim.sweep.files import AblationEntry, Result
from lobsim.sweep.shapley import coalitions, draw_orders, sampled_shares
from tests.cli.conftest import SCENARIO

SEEDS = tuple(range(1, 13))

MECHANISMS = [
    Mechanism("withdrawal", "", {"market_makers.withdrawal": False}),
    Mechanism("bots", "", {"liquidation_bots.enabled": False}),
    Mechanism("accounts", "", {"venues.exchange.account_liquidation.enabled": False}),
    Mechanism("panic", "", {"panic_sellers.enabled": False}),
    Mechanism("values", "", {"value_traders.enabled": False}),
]
FULL = 0b111


def _plan(count: int = 3, budget: int = 10_000, seeds: int = len(SEEDS), **options: object) -> Plan:
    return plan_ablation(SCENARIO, MECHANISMS[:count], seeds, budget=budget, **options)  # type: ignore[arg-type]


def _study(plan: Plan, value: Callable[[int, int], float | None], seeds: tuple[int, ...] = SEEDS) -> Study:
    """A study whose runs came out as `value(mask, seed)` says."""
    labels = {mask: cell.label for mask, cell in plan.cells.items()}
    records = {}
    for mask, label in labels.items():
        for seed in seeds:
            found = value(mask, seed)
            crashed = None if found is None else float(found > 0.5)
            outcomes = {"fall": found, "crashed": crashed}
            records[label, seed] = Result(status="done", cell=label, seed=seed, attempts=1, outcomes=outcomes)
    return Study(
        folder=Path("nowhere"),
        scenario="made-up",
        labels=tuple(labels.values()),
        settings={label: {} for label in labels.values()},
        variants=dict.fromkeys(labels.values()),
        seeds=seeds,
        records=records,
    )


def _vacuum(mask: int, seed: int) -> float:
    """A shock of 20 %, 50 % more where withdrawal and bots meet, a little from accounts; every seed differs."""
    noise = Stream(seed, "noise").uniform() / 10
    return 0.2 + noise + 0.5 * (mask & 0b11 == 0b11) + 0.02 * (mask >> 2 & 1)


# --- which combinations ---------------------------------------------------------------------------------------------


def test_a_large_budget_buys_the_whole_lattice() -> None:
    plan = _plan()
    assert sorted(plan.cells) == list(range(8))
    assert (plan.exact, plan.singles, plan.pairs, plan.orders) == (True, True, True, None)
    assert plan.cells[FULL].label == "everything on"
    assert plan.cells[0b101].label == "without bots"
    assert plan.cells[0].settings == {key: value for one in MECHANISMS[:3] for key, value in one.off.items()}


def test_a_budget_buys_what_is_asked_for_first() -> None:
    """Five mechanisms: 7 combinations for each alone, 17 with pairs, 32 in all."""
    alone = _plan(5, budget=16 * 12)
    assert len(alone.cells) == 7
    assert (alone.singles, alone.pairs, alone.exact, alone.orders) == (True, False, False, None)
    pairs = _plan(5, budget=17 * 12)
    assert (len(pairs.cells), pairs.pairs, pairs.orders) == (17, True, None)
    sampled = _plan(5, budget=31 * 12)
    assert not sampled.exact
    assert sampled.orders is not None
    assert len(sampled.orders) == 6
    assert 17 < len(sampled.cells) <= 31
    assert _plan(5, budget=32 * 12).exact


@pytest.mark.parametrize("budget", range(7 * 12, 34 * 12, 12))
def test_no_plan_costs_more_than_its_budget(budget: int) -> None:
    plan = _plan(5, budget=budget)
    assert len(plan.cells) * 12 <= budget
    assert plan.exact or plan.orders or "too small" in plan.why_no_shares


@pytest.mark.parametrize("count", range(3, 8))
def test_the_budget_that_is_said_to_do_brings_shares(count: int) -> None:
    more = [
        Mechanism("frames", "", {"scenario.depth_interval": "1m"}),
        Mechanism("records", "", {"scenario.account_interval": "30s"}),
    ]
    chosen = [*MECHANISMS, *more][:count]
    said = 0
    for room in range(count + 2, 60):
        plan = plan_ablation(SCENARIO, chosen, 3, budget=room * 3)
        if plan.exact or plan.orders:
            break
        said = int(plan.why_no_shares.split("about ")[1].split(" ")[0])
        assert said > room * 3
        done = plan_ablation(SCENARIO, chosen, 3, budget=said)
        assert done.exact or done.orders
    assert said > 0


def test_a_larger_budget_keeps_the_smaller_ones_combinations() -> None:
    """So that results in the folder are used again."""
    sizes = [set(_plan(5, budget=runs * 12).cells) for runs in (7, 17, 25, 29, 32)]
    assert all(smaller <= larger for smaller, larger in pairwise(sizes))


def test_the_two_by_two_table_comes_first() -> None:
    plan = _plan(3, budget=4 * 12, factor="withdrawal", against=["bots", "accounts"])
    assert sorted(plan.cells) == [0b000, 0b001, 0b110, 0b111]
    assert not plan.singles
    others_stay_on = _plan(3, budget=4 * 12, factor="bots", against=["withdrawal"])
    assert sorted(others_stay_on.cells) == [0b100, 0b101, 0b110, 0b111]
    assert _plan(3, factor="bots").cross == (0b010, 0b101)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": 59}, "5 combinations x 12 seeds = 60 runs"),
        ({"budget": 47, "factor": "bots"}, "two by two table takes 4 combinations"),
        ({"factor": "x"}, "--factor 'x': no such mechanism among those studied: withdrawal, bots, accounts"),
        ({"factor": "bots", "against": ["x"]}, "--against 'x'"),
        ({"factor": "bots", "against": ["bots"]}, "other mechanisms than itself"),
        ({"against": ["bots"]}, "--factor withdrawal"),
    ],
)
def test_plans_that_make_no_sense_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        _plan(3, **options)  # type: ignore[arg-type]


def test_mechanisms_that_contradict_each_other_are_refused() -> None:
    rival = Mechanism("rival", "", {"market_makers.withdrawal": True})
    with pytest.raises(
        InputError, match=r"mechanisms.rival.off: market_makers.withdrawal = True, another one says False"
    ):
        plan_ablation(SCENARIO, [MECHANISMS[0], rival], 1)


def test_mechanisms_come_from_the_scenario(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        SCENARIO.read_text()
        + '[mechanisms.b]\ntitle = "B"\noff = { "liquidation_bots.enabled" = false, lenders.lender.close_factor = 1 }\n'
        + "[mechanisms.a]\noff.agents.market_makers.withdrawal = false\n"
    )
    assert mechanisms_of(path) == [
        Mechanism("b", "B", {"liquidation_bots.enabled": False, "lenders.lender.close_factor": 1}),
        Mechanism("a", "", {"agents.market_makers.withdrawal": False}),
    ]
    assert [one.name for one in mechanisms_of(path, None, ["a"])] == ["a"]
    with pytest.raises(InputError, match="no mechanism is called 'c'; there are b, a"):
        mechanisms_of(path, None, ["c"])
    with pytest.raises(InputError, match="lists no mechanisms"):
        mechanisms_of(SCENARIO)


# --- what they say --------------------------------------------------------------------------------------------------


def test_what_each_does_alone_in_pairs_and_in_all() -> None:
    plan = _plan(factor="withdrawal", against=["bots", "accounts"])
    found = read_ablation(plan, _study(plan, _vacuum), "fall")
    lost = {effect.level.off[0]: effect.lost for effect in found.singles}
    assert [lost[name].value for name in ("withdrawal", "bots", "accounts")] == pytest.approx([0.5, 0.5, 0.02])
    assert all(one.excludes_zero for one in lost.values())  # what the seeds have in common falls out of the pairs
    together = {pair.effect.level.off: pair.interaction.value for pair in found.pairs}
    assert together["withdrawal", "bots"] == pytest.approx(0.5)
    assert together["withdrawal", "accounts"] == pytest.approx(0, abs=1e-12)
    assert [(one.name, pytest.approx(one.share.value)) for one in found.shares] == [
        ("withdrawal", 0.25),
        ("bots", 0.25),
        ("accounts", 0.02),
    ]
    cross = found.cross
    assert cross is not None
    assert [one.value for one in (cross.factor_alone, cross.against_alone, cross.joint, cross.interaction)] == (
        pytest.approx([0, 0.02, 0.52, 0.5], abs=1e-12)
    )
    assert cross.neither.off == ("withdrawal", "bots", "accounts")
    assert found.singles[0].crashed is not None
    assert found.singles[0].crashed.value == 1.0


def _random(mask: int, seed: int) -> float:
    return Stream(seed, f"random {mask}").uniform()


@pytest.mark.parametrize("budget", [32 * 12, 31 * 12, 25 * 12])
def test_shares_and_the_shock_alone_sum_to_the_whole(budget: int) -> None:
    plan = _plan(5, budget=budget)
    found = read_ablation(plan, _study(plan, _random), "fall")
    assert found.shock is not None
    assert len(found.shares) == 5
    total = sum(one.share.value for one in found.shares) + found.shock.mean.value
    assert total == pytest.approx(found.everything.mean.value, abs=1e-12)
    parts = [one.of_whole for one in found.shares]
    assert parts == pytest.approx([one.share.value / found.everything.mean.value for one in found.shares])
    assert ("exact" in found.method) == (budget == 32 * 12)


def test_sampled_shares_are_the_mean_over_all_sampled_orders() -> None:
    plan = _plan(5, budget=31 * 12)
    assert plan.orders is not None
    values = {mask: np.array([_random(mask, seed) for seed in SEEDS]) for mask in plan.cells}
    expected = sampled_shares(values, plan.orders).mean(axis=(0, 1))
    found = read_ablation(plan, _study(plan, _random), "fall")
    assert [one.share.value for one in found.shares] == pytest.approx(expected)


def test_what_belongs_to_neither_side_of_the_table_stays_on() -> None:
    plan = _plan(factor="bots", against=["withdrawal"])
    cross = read_ablation(plan, _study(plan, _vacuum), "fall").cross
    assert cross is not None
    levels = (cross.both, cross.factor_only, cross.against_only, cross.neither)
    assert [level.off for level in levels] == [(), ("withdrawal",), ("bots",), ("withdrawal", "bots")]
    noise = sum(_vacuum(0, seed) for seed in SEEDS) / len(SEEDS)
    assert [level.mean.value - noise for level in levels] == pytest.approx([0.52, 0.02, 0.02, 0.02])


def test_intervals_of_shares_narrow_with_seeds() -> None:
    plan = _plan()

    def width(seeds: tuple[int, ...]) -> float:
        share = read_ablation(plan, _study(plan, _random, seeds), "fall").shares[0].share
        assert share.low is not None
        assert share.high is not None
        return share.high - share.low

    assert width(tuple(range(200))) < 0.4 * width(tuple(range(12)))


def test_a_probability_has_the_intervals_of_one() -> None:
    plan = _plan()
    found = read_ablation(plan, _study(plan, _vacuum), "crashed")
    lost = found.singles[0].lost
    assert lost.value == 1.0
    assert lost.low is not None
    assert 0.5 < lost.low < 1  # twelve pairs that agree are no certainty
    assert found.everything.mean.low is not None
    assert found.everything.mean.low < 1
    assert found.everything.crashed is None


def test_seeds_that_lack_an_outcome_somewhere_are_left_out_everywhere() -> None:
    plan = _plan()
    found = read_ablation(plan, _study(plan, lambda mask, seed: None if (mask, seed) == (2, 3) else 1.0), "fall")
    assert found.dropped == (3,)
    assert found.everything.mean.n == 11
    with pytest.raises(RunError, match="no seed has a value of 'fall'"):
        read_ablation(plan, _study(plan, lambda mask, _: None if mask == 2 else 1.0), "fall")
    with pytest.raises(InputError, match="no such outcome"):
        read_ablation(plan, _study(plan, _vacuum), "rise")


def test_one_seed_is_enough_for_values_and_not_for_intervals() -> None:
    plan = _plan(seeds=1)
    found = read_ablation(plan, _study(plan, _vacuum, (7,)), "fall")
    assert found.singles[0].lost.low is None
    assert np.isclose(found.shares[0].share.value, 0.25)


def test_an_ablation_is_reproducible_plain_data() -> None:
    plan = _plan(5, budget=31 * 12, factor="bots")
    one, other = (read_ablation(plan, _study(plan, _random), "fall").as_dict() for _ in range(2))
    assert one == other
    assert one["cross"]["factor"] == "bots"
    assert one["pairs"][0]["effect"]["level"]["off"] == ["withdrawal", "bots"]


# --- a plan in a study's folder -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [
        _plan(),
        _plan(3, budget=9 * len(SEEDS)),
        _plan(3, budget=5 * len(SEEDS)),
        _plan(3, budget=4 * len(SEEDS), factor="withdrawal"),
    ],
    ids=["lattice", "pairs", "singles", "two by two"],
)
def test_a_plan_read_again_says_the_same_of_a_study(plan: Plan) -> None:
    again = plan_of(AblationEntry.model_validate_json(entry_of(plan, "fall").model_dump_json()))
    assert again.labels == plan.labels
    study = _study(plan, _random)
    assert read_ablation(again, study, "fall") == read_ablation(plan, study, "fall")


def test_sampled_orders_are_kept_with_their_plan() -> None:
    many = [Mechanism(f"m{number}", "", {f"k{number}": False}) for number in range(4)]
    orders = tuple(draw_orders(4, 4))
    masks = {*coalitions(orders), *(0b1111 ^ 1 << one for one in range(4))}
    plan = Plan(tuple(many), {}, {mask: f"on {mask}" for mask in masks}, True, False, False, orders, "", None)
    assert plan_of(AblationEntry.model_validate_json(entry_of(plan, "fall").model_dump_json())).orders == orders


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": {"7": "all"}}, "labels must name each combination"),
        ({"labels": {**{str(mask): str(mask) for mask in range(8)}, "8": "beyond"}}, "labels must name each"),
        ({"labels": {"x": "all"}}, "pattern"),
        ({"orders": ((0, 1),)}, "each of the 3 mechanisms once"),
        ({"cross": (3, 4)}, "one mechanism and others"),
        ({"cross": (1, 1)}, "one mechanism and others"),
        ({"cross": (1, 8)}, "one mechanism and others"),
        ({"mechanisms": ()}, "at least 1"),
    ],
)
def test_a_plan_that_does_not_add_up_is_refused(change: dict[str, object], words: str) -> None:
    plain = {**entry_of(_plan(), "fall").model_dump(), **change}
    with pytest.raises(ValidationError, match=words):
        AblationEntry.model_validate_json(json.dumps(plain))


def test_a_plan_of_mechanisms_twice_or_too_many_is_refused() -> None:
    plain = entry_of(_plan(1), "fall").model_dump()
    twice = {**plain, "mechanisms": [plain["mechanisms"][0]] * 2}
    many = {**plain, "mechanisms": [{**plain["mechanisms"][0], "name": f"m{number}"} for number in range(20)]}
    for bad, words in ((twice, "stands there twice"), (many, "exact shares of more than")):
        with pytest.raises(ValidationError, match=words):
            AblationEntry.model_validate_json(json.dumps(bad))
