"""A study against real figures: medians over seeds, counts of seeds inside, missing figures."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from lobsim.sweep.files import Result
from lobsim.sweep.scores import score_summaries
from lobsim.sweep.study import Study

BAND = {"low": 0.2, "high": 0.6, "real": 0.5, "real_low": None, "real_high": None, "unit": "fraction"}


def study(values: list[float | None]) -> Study:
    records = {
        ("base", seed): Result(
            status="done", cell="base", seed=seed, attempts=1, scores={"fall": {**BAND, "simulated": value}}
        )
        for seed, value in enumerate(values)
    }
    return Study(Path(), "small", ("base",), {"base": {}}, {"base": None}, tuple(range(len(values))), records)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=9))
def test_median_and_count_are_those_of_the_seeds_that_have_a_figure(values):
    (found,) = score_summaries(study(values), "base")
    known = [value for value in values if value is not None]
    assert (found.known, found.runs) == (len(known), len(values))
    assert found.inside == sum(0.2 <= value <= 0.6 for value in known)
    assert found.score.simulated == (median(known) if known else None)
    assert found.score.inside == (bool(known) and 0.2 <= median(known) <= 0.6)
    assert (found.score.real, found.score.low, found.score.high, found.score.unit) == (0.5, 0.2, 0.6, "fraction")


def test_a_scenario_without_targets_has_no_scores():
    records = {("base", 1): Result(status="done", cell="base", seed=1, attempts=1)}
    assert score_summaries(Study(Path(), "small", ("base",), {"base": {}}, {"base": None}, (1,), records), "base") == []
