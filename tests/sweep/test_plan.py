"""What people write on the command line, and which cells it comes to."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.errors import InputError, ScenarioError
from lobsim.sweep.differences import differences, essence, fingerprint, leaves
from lobsim.sweep.plan import grid, make_cell, parse_axis, parse_seeds, parse_variants, split_list
from tests.cli.conftest import SCENARIO


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0:4", [0, 1, 2, 3]),
        ("3", [1, 2, 3]),
        ("1", [1]),
        ("5,1,5", [5, 1]),
        ("8:10, 20,21:22", [8, 9, 20, 21]),
        ("7,", [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", ",", "x", "-1", "0", "5:5", "9:2", "1:2:3", "0:2000000", "1e3", "9" * 30, "1.5"])
def test_what_names_no_seeds_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--seeds"):
        parse_seeds(text)


def test_values_of_an_axis_are_toml() -> None:
    axis = parse_axis('a.b = 1, 2.5,true,"x,y",[1,2],word')
    assert axis.key == "a.b"
    assert [value for _, value in axis.values] == [1, Decimal("2.5"), True, "x,y", [1, 2], "word"]


@pytest.mark.parametrize("text", ["", "a", "=1", "a=", "a=1,,2", "a=1,"])
def test_what_is_no_axis_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--set"):
        parse_axis(text)


@given(parts=st.lists(st.sampled_from(["1", "[1,2]", "{a=1,b=2}", '"x,]"', "'['", "[[1],[2]]", "ab"]), min_size=1))
def test_commas_inside_of_brackets_and_quotes_part_nothing(parts: list[str]) -> None:
    assert split_list(",".join(parts)) == parts


def test_variants() -> None:
    assert parse_variants(None, []) == [None]
    assert parse_variants("a,base, b", ["a", "b"]) == ["a", None, "b"]
    assert parse_variants("base", ["base"]) == ["base"]
    with pytest.raises(InputError, match="--variant"):
        parse_variants(" ,", [])


def test_a_grid_has_every_combination() -> None:
    axes = [parse_axis("patient_bids.pool=1e5,5e4"), parse_axis("market_makers.levels=3,5")]
    cells = grid(SCENARIO, ["no-bots", None], axes)
    assert [cell.label for cell in cells] == [
        f"{variant}, patient_bids.pool={pool}, market_makers.levels={levels}"
        for variant in ("no-bots", "base")
        for pool in ("1e5", "5e4")
        for levels in (3, 5)
    ]
    assert len({cell.key for cell in cells}) == 8
    last = cells[-1].scenario
    assert last.file.agents["market_makers"].levels == 5  # type: ignore[attr-defined]
    assert last.path == SCENARIO
    assert grid(SCENARIO)[0].label == "base"


def test_grids_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="same scenario"):
        grid(SCENARIO, [None], [parse_axis("patient_bids.pool=5e4,50000")])
    with pytest.raises(InputError, match="given twice"):
        grid(SCENARIO, [None], [parse_axis("a.b=1"), parse_axis("a.b=2")])
    with pytest.raises(InputError, match="at most 5,000"):
        grid(SCENARIO, [None], [parse_axis(f"k{n}=" + ",".join("123456789")) for n in range(4)])
    with pytest.raises(ScenarioError, match=r"(?s)market_makers.levels=x: .*agents.market_makers.levels"):
        grid(SCENARIO, [None], [parse_axis("market_makers.levels=3,x")])
    with pytest.raises(ScenarioError, match="no variant 'nothing'"):
        grid(SCENARIO, ["nothing"])


def test_a_fingerprint_knows_what_a_run_depends_on(tmp_path: Path) -> None:
    document = make_cell(SCENARIO, "base", None, {}).document
    same = {**document, "variants": {}, "mechanisms": {"x": {}}}
    same["scenario"] = {**document["scenario"], "title": "Another", "seed": 99}
    assert fingerprint(same) == fingerprint(document)
    longer = {**document, "scenario": {**document["scenario"], "duration": "4m"}}
    assert fingerprint(longer) != fingerprint(document)
    turned = dict(reversed(document.items()))
    assert fingerprint(turned) != fingerprint(document)
    assert leaves(essence(turned)).items() == leaves(essence(document)).items()


def test_differences_name_keys_and_know_equal_numbers() -> None:
    old = leaves({"a": {"b": Decimal("0.10"), "c": True}, "list": [{"at": 1}, {"at": 2}], "gone": "x"})
    new = leaves({"a": {"b": Decimal("0.1"), "c": False}, "list": [{"at": 1}, {"at": 3}], "more": [1, "y"]})
    assert [str(one) for one in differences(old, new)] == [
        "a.c: true is now false",
        "list[1].at: 2 is now 3",
        "gone (was x) is gone",
        "more = [1, y] is new",
    ]
