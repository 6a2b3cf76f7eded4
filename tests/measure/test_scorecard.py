"""Rows of a scorecard: statistics of groups, bands with their ends, rows that make no sense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.errors import InputError
from lobsim.measure import scorecard
from lobsim.measure.measures import GROUP_MEASURES, INSTRUMENT_MEASURES, RUN_MEASURES
from lobsim.measure.scorecard import MEASURES, target_of
from tests.measure.worlds import SHOCK_S, World

FALLS = {"A-USDT": 5_000, "B-USDT": 2_000, "C-USDT": 9_000}


@pytest.fixture(scope="module")
def run():
    world = World()
    for book, low in FALLS.items():
        world.trade(1, book, 10_000)
        world.trade(SHOCK_S + 1, book, low)
    return world.run()


def one(run, **row):
    (score,) = scorecard(run, [{"name": "row", "measure": "fall", "group": "coins", **row}])
    return score


@pytest.mark.parametrize(
    ("statistic", "expected"), [("median", 0.5), ("min", 0.1), ("max", 0.8), ("sum", 1.4), ("share", 1.0)]
)
def test_statistics(run, statistic, expected):
    score = one(run, statistic=statistic, low=0)
    assert score.simulated == pytest.approx(expected)
    assert score.inside


def test_share_counts_members_without_a_figure(run):
    assert one(run, measure="half_recovery", statistic="share", low=0).simulated == 0
    assert one(run, measure="half_recovery", low=0).simulated is None


@given(low=st.one_of(st.none(), st.floats(0, 1)), high=st.one_of(st.none(), st.floats(0, 1)))
def test_bands_include_their_ends(low, high):
    if (low is None and high is None) or (low is not None and high is not None and low > high):
        return
    world = World()
    world.trade(1, "A-USDT", 10_000)
    world.trade(SHOCK_S + 1, "A-USDT", 5_000)
    score = one(world.run(), low=low, high=high)
    assert score.inside == ((low is None or low <= 0.5) and (high is None or high >= 0.5))


def test_ends_of_a_band(run):
    assert one(run, low=0.5, high=0.5).inside


def test_nothing_measured_is_not_inside(run):
    for row in (
        {"instrument": "BTC-USDT", "group": None},
        {"group": "nobody"},
        {"measure": "long_share", "group": None},
    ):
        score = one(run, high=1e9, **row)
        assert (score.simulated, score.inside) == (None, False)


def test_targets_of_the_run_itself():
    row = {"name": "fall", "measure": "fall", "instrument": "A-USDT", "high": 0.4, "real": 0.3, "unit": "fraction"}
    world = World(targets=[row])
    world.trade(1, "A-USDT", 10_000)
    world.trade(SHOCK_S + 1, "A-USDT", 5_000)
    run = world.run()
    (score,) = scorecard(run)
    assert score[:7] == ("fall", 0.5, 0.3, None, 0.4, False, "fraction")
    assert scorecard(World().run()) == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("text", "no table of keys"),
        ({}, "name is missing"),
        ({"name": "n"}, "measure is missing"),
        ({"name": "n", "measure": "m", "low": 0}, "measure 'm' is none of fall"),
        ({"name": "n", "measure": "fall", "low": 0}, "needs either an instrument or a group"),
        (
            {"name": "n", "measure": "fall", "low": 0, "group": "g", "instrument": "i"},
            "either an instrument or a group",
        ),
        ({"name": "n", "measure": "synchrony", "low": 0, "instrument": "i"}, "figure of a group"),
        ({"name": "n", "measure": "adl", "low": 0, "group": "g"}, "figure of the whole run"),
        ({"name": "n", "measure": "adl"}, "a band needs low or high"),
        ({"name": "n", "measure": "adl", "low": 2, "high": 1}, "low 2 is above high 1"),
        ({"name": "n", "measure": "adl", "low": "2"}, "low: '2' is no number"),
        ({"name": "n", "measure": "adl", "low": True}, "low: True is no number"),
        ({"name": "n", "measure": "adl", "low": 2, "colour": 1}, "unknown key 'colour'"),
        ({"name": "n", "measure": "adl", "low": 2, "note": 1}, "note: 1 is no text"),
        ({"name": "n", "measure": "fall", "low": 2, "group": "g", "statistic": "mode"}, "statistic 'mode'"),
    ],
)
def test_rows_that_make_no_sense(row, words):
    with pytest.raises(InputError, match=r"targets\[3\]") as caught:
        target_of(row, 3)
    assert words in str(caught.value)


def test_names_of_measures_are_unique():
    assert len(set(MEASURES)) == len(INSTRUMENT_MEASURES) + len(GROUP_MEASURES) + len(RUN_MEASURES)
