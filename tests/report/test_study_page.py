"""The page of a study: its pictures show the study's own results, whatever of it is finished."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.cli import main
from lobsim.errors import RunError
from lobsim.report.page.ablation_sections import EVERYTHING, SHOCK
from lobsim.report.page.model import Chart, Choice, Page, Table
from lobsim.report.page.study_charts import BAND_RIM, MOST_DOTS, band_dots, band_place, spread
from lobsim.report.page.study_page import study_html, study_page
from lobsim.report.page.study_words import axis_of, seeds_text, title
from lobsim.sim.streams import Stream
from lobsim.sweep import (
    Mechanism,
    Study,
    cell_summaries,
    entry_of,
    grid,
    make_cell,
    parse_axis,
    parse_seeds,
    parse_variants,
    plan_ablation,
    read_ablation,
    read_study,
)
from lobsim.sweep.files import AblationEntry, Result
from lobsim.sweep.plan import Cell
from lobsim.sweep.statistics import share_interval
from lobsim.sweep.store import Store
from tests.cli.conftest import SCENARIO

SEEDS = tuple(range(1, 9))
HOSTILE = "<script>alert(1)</script> <b>bold</b> 'quotes' {b|x} =cmd() \x1b[31m"

Outcome = Callable[[str, int], dict[str, float | None] | str | None]
"""What the run of a label and seed came to: outcomes, the reason of its failure, or None for no run."""


def study_in(
    folder: Path,
    cells: list[Cell],
    outcome: Outcome,
    *,
    seeds: tuple[int, ...] = SEEDS,
    ablation: AblationEntry | None = None,
    scores: dict[str, dict[str, float | str | None]] | None = None,
) -> Study:
    """A study's folder as `run_study` leaves it, with results that are made up."""
    store = Store(folder, make_cell(SCENARIO, "base", None, {}), cells, seeds, None, ablation)
    with store.opened():
        for cell in cells:
            for seed in seeds:
                found = outcome(cell.label, seed)
                about = {"cell": cell.label, "seed": seed, "attempts": 1}
                if isinstance(found, str):
                    store.add(cell.key, Result(status="failed", reason=found, **about))  # type: ignore[arg-type]
                elif found is not None:
                    mine = {name: {**row, "simulated": found["fall"]} for name, row in (scores or {}).items()}
                    store.add(
                        cell.key,
                        Result(status="done", outcomes=found, scores=mine, seconds=1.5, **about),  # type: ignore[arg-type]
                    )
        study = read_study(folder)
        if study.complete:
            store.finish(study.frame())
    return study


def drawn(label: str, seed: int) -> dict[str, float | None]:
    stream = Stream(seed, label)
    fall = stream.uniform()
    late = None if seed == 2 else 100 * stream.uniform()
    return {"fall": fall, "crashed": float(fall > 0.5), "liquidated": 1e6 * stream.uniform(), "to_low": late}


@pytest.fixture
def cells() -> list[Cell]:
    return grid(SCENARIO, [None], [parse_axis("patient_bids.pool=1e5,5e4,2e4")])


def charts_of(page: Page) -> dict[str, Chart]:
    return {part.id: part for part in parts_of(page) if isinstance(part, Chart)}


def parts_of(page: Page) -> list[Chart | Table]:
    found: list[Chart | Table] = []
    for section in page.sections:
        for part in section.parts:
            found += [inner for _, inners in part.options for inner in inners] if isinstance(part, Choice) else [part]  # type: ignore[list-item]
    return found


def options_of(page: Page, section_id: str) -> dict[str, list[Chart | Table]]:
    (choice,) = next(section for section in page.sections if section.id == section_id).parts
    assert isinstance(choice, Choice)
    return {name: list(parts) for name, parts in choice.options}


def dots_of(chart: Chart) -> dict[int, list[tuple[str, float]]]:
    """Dots by row: name and value."""
    found: dict[int, list[tuple[str, float]]] = {}
    for one in chart.option["series"]:
        if one["type"] == "scatter":
            for item in one["data"]:
                found.setdefault(item["value"][1], []).append((item["name"], item["value"][0]))
    return found


# --- sweeps -----------------------------------------------------------------------------------------------------------


def test_every_run_is_a_dot_and_boxes_hold_the_quartiles(tmp_path: Path, cells: list[Cell]) -> None:
    study = study_in(tmp_path, cells, drawn)
    options = options_of(study_page(tmp_path), "distributions")
    assert next(iter(options)) == "fall"
    for outcome, (chart, table) in zip(("fall", "to_low", "liquidated"), options.values(), strict=False):
        assert isinstance(chart, Chart)
        dots = dots_of(chart)
        (boxes,) = (one["data"] for one in chart.option["series"] if one["type"] == "boxplot")
        for row, label in enumerate(study.labels):
            values = study.values(label, outcome)
            named = [(f"seed {seed}", value) for seed, value in zip(SEEDS, values, strict=True) if value is not None]
            assert sorted(dots[row]) == sorted(named)
            known = [value for _, value in named]
            assert boxes[row] == pytest.approx(np.quantile(known, (0, 0.25, 0.5, 0.75, 1)).tolist())
        assert isinstance(table, Table)
        assert [row[0] for row in table.rows] == list(study.labels)
        assert [row[1] for row in table.rows] == (["7 of 8"] * 3 if outcome == "to_low" else ["8"] * 3)


def test_differences_and_crashes_are_those_of_the_study_with_their_intervals(tmp_path: Path, cells: list[Cell]) -> None:
    study = study_in(tmp_path, cells, drawn)
    page = study_page(tmp_path)
    chart = next(iter(options_of(page, "differences").values()))[0]
    bars, dots = chart.option["series"]
    expected = [row.difference for row in cell_summaries(study, "fall")[1:]]
    for row, one in enumerate(expected):
        assert one is not None
        assert bars["data"][row]["value"] == [one.low, one.low, one.value, one.high, one.high]
        assert dots["data"][row] == [one.value, row]
        assert (bars["data"][row]["itemStyle"]["color"] == {"$color": "s1"}) == one.excludes_zero
    crash = charts_of(page)["crash-chart"]
    for row, label in enumerate(study.labels):
        share = share_interval([value for value in study.values(label, "crashed") if value is not None])
        assert share is not None
        assert crash.option["series"][0]["data"][row]["value"] == [
            share.low,
            share.low,
            share.value,
            share.high,
            share.high,
        ]


def test_a_study_that_was_stopped_says_what_is_missing_and_why_runs_failed(tmp_path: Path, cells: list[Cell]) -> None:
    def some(label: str, seed: int) -> dict[str, float | None] | str | None:
        return (
            None
            if seed > 6
            else "ran out of <b>memory</b>"
            if (label, seed) == (cells[1].label, 3)
            else drawn(label, seed)
        )

    study_in(tmp_path, cells, some)
    page = study_page(tmp_path)
    assert page.headline.warning == (
        "UNFINISHED STUDY: of 24 runs 6 are missing and 1 failed; all that follows is about the others."
    )
    table, failures = next(section for section in page.sections if section.id == "runs").parts
    assert [row[1:4] for row in table.rows] == [("6", "0", "2"), ("5", "1", "2"), ("6", "0", "2")]
    assert failures.rows == [(cells[1].label, "3", "ran out of <b>memory</b>")]
    assert "&lt;b&gt;memory" in study_html(tmp_path)
    assert "results.parquet" not in page.provenance.note


def test_a_study_without_any_finished_run_has_a_page(tmp_path: Path, cells: list[Cell]) -> None:
    study_in(tmp_path, cells, lambda label, seed: "no" if seed == 1 else None)
    page = study_page(tmp_path)
    assert page.headline.sentence == "No run of this study was finished."
    assert "of 24 runs 21 are missing and 3 failed" in page.headline.warning
    assert "<html" in study_html(tmp_path)


def test_one_run_alone_has_no_intervals(tmp_path: Path, cells: list[Cell]) -> None:
    study_in(tmp_path, cells[:2], drawn, seeds=(5,))
    page = study_page(tmp_path)
    chart = next(iter(options_of(page, "differences").values()))[0]
    assert chart.option["series"][0]["data"][0] == {"value": [None] * 5}
    assert len(chart.option["series"][1]["data"]) == 1


def test_what_all_settings_share_is_said_once(tmp_path: Path) -> None:
    axes = [parse_axis("patient_bids.pool=1e5,5e4"), parse_axis("scenario.duration=2m")]
    study_in(tmp_path, grid(SCENARIO, [None], axes), drawn)
    page = study_page(tmp_path)
    (table,) = next(section for section in page.sections if section.id == "settings").parts
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["patient_bids.pool=1e5", "patient_bids.pool=5e4", "all of them"]
    assert "duration" not in table.rows[1][2]
    assert table.rows[2][2] == "scenario.duration = 2m"


def test_the_headline_of_a_sweep_names_the_setting_that_moves_most(tmp_path: Path, cells: list[Cell]) -> None:
    shift = {cells[0].label: 0.0, cells[1].label: 0.1, cells[2].label: -0.3}

    def moved(label: str, seed: int) -> dict[str, float | None]:
        fall = 0.5 + seed / 100 + shift[label]
        return {"fall": fall, "crashed": float(fall > 0.5)}

    study_in(tmp_path / "moved", cells, moved)
    assert "patient_bids.pool=2e4 moves it most, by -30.0 pp" in study_page(tmp_path / "moved").headline.sentence
    study_in(tmp_path / "same", cells, lambda _, seed: {"fall": 0.5 + seed / 100, "crashed": 1.0})
    assert "none of the other 2 settings moves it beyond what chance explains" in (
        study_page(tmp_path / "same").headline.sentence
    )
    study_in(tmp_path / "two", cells[:2], lambda _, seed: {"fall": 0.5 + seed / 100, "crashed": 1.0})
    assert f"; {cells[1].label} does not move it beyond what chance explains" in (
        study_page(tmp_path / "two").headline.sentence
    )
    study_in(tmp_path / "one", cells[:1], moved)
    told = study_page(tmp_path / "one").headline.sentence
    assert told.startswith("Over 8 seeds the median of the fall is 54.5 %, half of the runs lie between")
    assert told.endswith("8 of 8 crash.")


def test_an_outcome_that_is_asked_for_comes_first(tmp_path: Path, cells: list[Cell]) -> None:
    study_in(tmp_path, cells, drawn)
    page = study_page(tmp_path, ["liquidated"])
    assert next(iter(options_of(page, "distributions"))) == f"{title('liquidated')} (liquidated)"
    assert study_html(tmp_path) == study_html(tmp_path)


def test_scores_lie_on_the_scale_of_their_bands(tmp_path: Path, cells: list[Cell]) -> None:
    row: dict[str, float | str | None] = {
        "low": 0.2,
        "high": 0.6,
        "real": 0.5,
        "real_low": None,
        "real_high": None,
        "unit": "fraction",
    }
    study = study_in(tmp_path, cells[:1], drawn, scores={"fall": row, "most": {**row, "low": None, "real": None}})
    ((name, (chart, table)),) = options_of(study_page(tmp_path), "scorecard").items()
    assert name.startswith(cells[0].label)
    *dots, diamonds = chart.option["series"]
    shown = sorted(item["value"][0] for one in dots for item in one["data"] if item["value"][1] == 0)
    falls = [value for value in study.values(cells[0].label, "fall") if value is not None]
    assert shown == pytest.approx(sorted(min(max((value - 0.2) / 0.4, BAND_RIM[0]), BAND_RIM[1]) for value in falls))
    assert diamonds["data"] == [[pytest.approx(0.75), 0]]
    inside = sum(0.2 <= value <= 0.6 for value in falls)
    assert table.rows[0][-1] == f"{inside} of 8"


def test_runs_that_were_cut_get_no_verdict(tmp_path: Path, cells: list[Cell]) -> None:
    row: dict[str, float | str | None] = {"low": 0.2, "high": 0.6, "unit": "fraction", "no_verdict": "stopped early"}
    study_in(tmp_path, cells[:1], lambda label, seed: {**drawn(label, seed), "fall": None}, scores={"fall": row})
    ((name, (_, table)),) = options_of(study_page(tmp_path), "scorecard").items()
    assert name == f"{cells[0].label} (no verdict)"
    assert table.rows == [("fall", "-", "-", "20.0 % to 60.0 %", "", "")]
    assert table.note == "No verdict: stopped early."


bounds = st.one_of(st.none(), st.floats(-100, 100))


@given(st.floats(-1000, 1000), bounds, bounds)
def test_a_place_on_a_band_is_inside_exactly_when_the_value_is(
    value: float, low: float | None, high: float | None
) -> None:
    if low is not None and high is not None and high - low < 1e-6:
        high = None
    place = band_place(value, low, high)
    inside = (low is None or value >= low) and (high is None or value <= high)
    if low is not None and high is not None:
        assert (-1e-9 <= place <= 1 + 1e-9) >= inside
        if not inside and min(abs(value - low), abs(value - high)) > 1e-6:
            assert not 0 <= place <= 1
    elif low is not None:
        assert (place >= 0) == inside
    elif high is not None:
        assert (place <= 1) == inside or abs(value - high) < 1e-12
    assert band_place(3.0, 3.0, 3.0) == 0.5


def test_many_seeds_thin_the_dots_and_not_the_boxes() -> None:
    values = [float(number) for number in range(1000)]
    option = spread([("a", values), ("b", [None] * 1000)], axis_of("fall"), [f"seed {n}" for n in range(1000)])
    box, empty = option["series"][0]["data"]
    assert box == [0.0, 249.75, 499.5, 749.25, 999.0]
    assert empty == [None] * 5
    dots = sum(len(one["data"]) for one in option["series"][1:])
    assert 0 < dots <= MOST_DOTS
    assert band_dots([("a", [])])["series"] == []


# --- ablations --------------------------------------------------------------------------------------------------------

MECHANISMS = [
    Mechanism("withdrawal", "Makers pull their quotes", {"market_makers.withdrawal": False}),
    Mechanism("bots", HOSTILE, {"liquidation_bots.enabled": False}),
    Mechanism("panic", "", {"panic_sellers.enabled": False}),
]


def ablation_in(folder: Path, *, stopped: bool = False) -> tuple[Study, AblationEntry]:
    plan = plan_ablation(SCENARIO, MECHANISMS, len(SEEDS), factor="withdrawal", against=["bots"])
    masks = {label: mask for mask, label in plan.labels.items()}

    def outcome(label: str, seed: int) -> dict[str, float | None] | None:
        mask = masks[label]
        noise = Stream(seed, label).uniform() / 20
        fall = 0.2 + noise + 0.4 * (mask & 0b11 == 0b11) - 0.1 * (mask >> 2 & 1)
        return None if stopped and seed > 4 and mask == 0 else {"fall": fall, "crashed": float(fall > 0.45)}

    entry = entry_of(plan, "fall", 500)
    return study_in(folder, list(plan.cells.values()), outcome, ablation=entry), entry


def test_shares_on_the_page_sum_to_the_fall(tmp_path: Path) -> None:
    study, _ = ablation_in(tmp_path)
    plan = plan_ablation(SCENARIO, MECHANISMS, len(SEEDS), factor="withdrawal", against=["bots"])
    found = read_ablation(plan, study, "fall")
    page = study_page(tmp_path)
    chart, table = options_of(page, "shares")["fall"]
    assert chart.option["yAxis"]["data"][0] == SHOCK
    assert chart.option["yAxis"]["data"][-1] == EVERYTHING
    sizes = {item["name"]: item["size"] for one in chart.option["series"][1:] for item in one["data"]}
    shares = {one.name: one.share.value for one in sorted(found.shares, key=lambda one: -one.share.value)}
    assert chart.option["yAxis"]["data"][1:-1] == list(shares)
    assert found.shock is not None
    assert sizes[SHOCK] == pytest.approx(found.shock.mean.value)
    assert {name: sizes[name] for name in shares} == pytest.approx(shares)
    assert sizes[EVERYTHING] == pytest.approx(found.everything.mean.value)
    assert sum(size for name, size in sizes.items() if name != EVERYTHING) == pytest.approx(sizes[EVERYTHING])
    assert [row[0] for row in table.rows] == chart.option["yAxis"]["data"]


def test_effects_interactions_and_the_two_by_two_table_are_those_of_the_ablation(tmp_path: Path) -> None:
    study, _ = ablation_in(tmp_path)
    plan = plan_ablation(SCENARIO, MECHANISMS, len(SEEDS), factor="withdrawal", against=["bots"])
    found = read_ablation(plan, study, "fall")
    page = study_page(tmp_path)
    chart = options_of(page, "effects")["fall"][0]
    ranked = sorted(found.singles, key=lambda one: -one.lost.value)
    assert chart.option["yAxis"]["data"] == [one.level.off[0] for one in ranked]
    assert [one["value"][2] for one in chart.option["series"][0]["data"]] == [one.lost.value for one in ranked]
    grid_of = options_of(page, "pairs")["fall"][0].option
    names = (grid_of["xAxis"]["data"], grid_of["yAxis"]["data"])
    values = {(names[1][y], names[0][x]): value for x, y, value in grid_of["series"][0]["data"] if value is not None}
    assert values == {pair.effect.level.off: pair.interaction.value for pair in found.pairs}
    cross = options_of(page, "two-by-two")["fall"][0].option["series"][1]["data"]
    assert found.cross is not None
    one = found.cross
    wanted = (one.factor_alone, one.against_alone, one.joint, one.interaction)
    assert cross == [[interval.value, row] for row, interval in enumerate(wanted)]
    assert "Leaving out" in page.headline.sentence


def test_a_stopped_ablation_is_read_over_the_seeds_that_are_whole(tmp_path: Path) -> None:
    ablation_in(tmp_path, stopped=True)
    page = study_page(tmp_path)
    assert "4 are missing" in page.headline.warning
    assert "4 seeds are left out" in next(section for section in page.sections if section.id == "effects").note
    assert "over the same 4 seeds" in next(section for section in page.sections if section.id == "effects").lead


def test_the_command_of_an_ablation_says_all_that_was_asked(tmp_path: Path) -> None:
    ablation_in(tmp_path)
    words = shlex.split(study_page(tmp_path).provenance.commands[0])
    asked = dict(zip(words[3::2], words[4::2], strict=True))
    assert words[:3] == ["lobsim", "ablate", str(SCENARIO)]
    assert asked == {
        "--seeds": "1:9",
        "--mechanisms": "withdrawal,bots,panic",
        "--outcome": "fall",
        "--budget": "500",
        "--factor": "withdrawal",
        "--against": "bots",
        "--out": str(tmp_path),
    }


def test_the_command_of_a_sweep_makes_the_same_cells(tmp_path: Path) -> None:
    axes = [parse_axis("patient_bids.pool=1e5,5e4"), parse_axis("panic_sellers.enabled=true,false")]
    made = grid(SCENARIO, [None, "no-bots"], axes)
    study_in(tmp_path, made, drawn, seeds=(1, 2, 5))
    words = shlex.split(study_page(tmp_path).provenance.commands[0])
    asked = [(option, value) for option, value in pairwise(words) if option.startswith("--")]
    assert parse_seeds(dict(asked)["--seeds"]) == [1, 2, 5]
    again = grid(
        SCENARIO,
        parse_variants(dict(asked)["--variant"], ("no-bots",)),
        [parse_axis(value) for option, value in asked if option == "--set"],
    )
    assert [cell.key for cell in again] == [cell.key for cell in made]


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=20, unique=True))
def test_seeds_are_written_as_the_command_line_takes_them(seeds: list[int]) -> None:
    small = [seed % 1000 for seed in seeds]
    unique = list(dict.fromkeys(small))
    assert parse_seeds(seeds_text(unique)) == unique


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"study\.json"):
        study_html(tmp_path)


# --- the commands and the browser -------------------------------------------------------------------------------------


def test_hostile_titles_are_text_in_a_browser(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    ablation_in(tmp_path / "study")
    file = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "study"), "--out", str(file)]) == 0
    text = file.read_text()
    for bad in ("<script>alert", "<b>bold", "\x1b"):
        assert bad not in text
    tab, failed, asked = request.getfixturevalue("opened")(
        file, 390, 844, "dark"
    )  # the rest is skipped where no browser is
    assert failed == []
    sections = tab.eval_on_selector_all("main > section", "all => all.map(one => one.id)")
    expected = [
        "headline",
        "shares",
        "effects",
        "pairs",
        "two-by-two",
        "mechanisms",
        "distributions",
        "crash",
        "runs",
    ]
    assert [one for one in sections if one in expected] == expected
    assert "<b>bold</b>" in tab.text_content("#mechanisms")
    assert tab.locator("main b").count() == 0
    assert tab.locator("#share-0 canvas").count() == 1
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.locator("#share-choice").scroll_into_view_if_needed()
    tab.select_option("#share-choice select", index=1)
    tab.wait_for_selector("#share-1[data-state=drawn]")
    assert failed == []
    assert set(asked) == {file.as_uri()}


def test_sweep_leaves_a_page_unless_told_not_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["sweep", str(SCENARIO), "--seeds", "2", "--workers", "0", "--until", "2s", "--out", str(tmp_path / "s")]
    assert main([*command, "--no-report"]) == 0
    assert not (tmp_path / "s" / "study.html").exists()
    assert main(command) == 0
    assert f"{tmp_path / 's' / 'study.html'}" in capsys.readouterr().out
    left = (tmp_path / "s" / "study.html").read_text()
    assert main([*command, "--html", str(tmp_path / "elsewhere.html"), "--no-report"]) == 0
    assert (tmp_path / "elsewhere.html").read_text() == left
    assert main([*command, "--html", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
