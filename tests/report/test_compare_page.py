"""Runs side by side: what charts and tables show is what the runs say, whatever the runs lack."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.book import OrderBook
from lobsim.cli import main
from lobsim.errors import InputError, RunError
from lobsim.events import Side, SubmitOrder
from lobsim.measure import Run, outcomes, read_run
from lobsim.measure.measures import Figures
from lobsim.records import InstrumentInfo
from lobsim.report.page import compare_tables as tables
from lobsim.report.page.compare_page import compare_html, compare_page, run_names
from lobsim.report.page.compare_series import (
    Line,
    bid_depth,
    depth_step,
    focus_average,
    focus_price,
    liquidated,
    maker_margin,
    median_of,
    stablecoin_price,
    thinned,
)
from lobsim.report.page.model import Chart, Choice, Page, Table
from lobsim.report.page.pack import unpack
from lobsim.report.page.study_charts import Span
from lobsim.sweep.comparison import compare
from tests.cli.conftest import SCENARIO
from tests.measure.recording import HEADER, MemoryRecorder, drive
from tests.measure.worlds import SHOCK_S, World

BUY, SELL = Side
S = 10**9
HOSTILE = "<script>alert(1)</script><b>bold</b> 'quotes' {b|x} =cmd()"


class Books(World):
    """A world whose books are real: every trade meets a bid that came in for it, and two orders stand far away."""

    def run(self, *, shock_s: int | None = SHOCK_S) -> Run:
        if shock_s is not None:
            self.recorder.milestone(shock_s * S, "shock A", -170_000, "ppm")
        books: dict[int, OrderBook] = {}
        for number, (second, book, price, qty, side, purpose) in enumerate(sorted(self._trades, key=lambda t: t[0])):
            at, new = int(second * S), book not in books
            one = books.setdefault(book, OrderBook())
            far = [SubmitOrder(1, BUY, 5, 1, at, owner=8), SubmitOrder(2, SELL, 5, 10**6, at, owner=8)] if new else []
            meet = SubmitOrder(10 + 2 * number, Side(1 - side), qty, price, at, owner=8)
            take = SubmitOrder(11 + 2 * number, side, qty, None, at, owner=9, purpose=purpose)
            for order in (*far, meet, take):
                self.recorder.events(book, one.submit(*order))
        return self.recorder.run()


def world(
    folder: Path,
    falls: dict[str, int],
    *,
    shock_s: int | None = SHOCK_S,
    toml: str = "",
    sold: float = 750.0,
    **changes: object,
) -> Run:
    """Coins that cost 100 before the shock and fall to what `falls` says 60 s after it, with a stablecoin at 1."""
    made = Books(**changes)
    for book, low in falls.items():
        made.path(book, {1: 10_000, SHOCK_S + 60: low, SHOCK_S + 120: (10_000 + low) // 2}, SHOCK_S + 300)
    made.path("USDE-USDT", {1: 100, SHOCK_S + 90: 70}, SHOCK_S + 300)
    made.credit(SHOCK_S + 70, "loan_liquidation", 3, "USDE", 1, 250.0)
    made.credit(SHOCK_S + 80, "account_liquidation_sale", 1, "A", 1, sold)
    made.leverage(SHOCK_S - 60, 1, 2.0)
    made.leverage(SHOCK_S + 60, 1, 3.0)
    return placed(made.run(shock_s=shock_s), folder, toml or "[scenario]\nname = 'world'\n")


def placed(run: Run, folder: Path, toml: str = "") -> Run:
    """The run as if its files were in `folder`, with a scenario beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenario.toml").write_text(toml)
    run.path = folder
    return run


def parts_of(page: Page) -> list[Chart | Table]:
    found: list[Chart | Table] = []
    for section in page.sections:
        for part in section.parts:
            if isinstance(part, Choice):
                found += [inner for _, parts in part.options for inner in parts]
            else:
                found.append(part)  # type: ignore[arg-type]
    return found


def charts_of(page: Page) -> dict[str, Chart]:
    return {part.id: part for part in parts_of(page) if isinstance(part, Chart)}


def lines_of(chart: Chart) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        one["name"]: (unpack(one["data"]["$points"][0]), unpack(one["data"]["$points"][1]))
        for one in chart.option["series"]
    }


@pytest.fixture
def two(tmp_path: Path) -> list[Run]:
    deep = world(tmp_path / "deep", {"A-USDT": 2_000, "B-USDT": 4_000, "C-USDT": 3_000})
    mild = world(tmp_path / "mild", {"A-USDT": 8_000, "B-USDT": 7_000, "C-USDT": 9_000}, toml="[scenario]\nx = 1\n")
    return [deep, mild]


# --- series -----------------------------------------------------------------------------------------------------------

trades = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(("A-USDT", "B-USDT", "C-USDT")), st.integers(1, 30_000)), max_size=30
)


@given(trades=trades, shock=st.sampled_from((None, 5, 20)))
@settings(max_examples=60, deadline=None)
def test_the_price_is_the_median_of_last_prices_over_those_before_the_shock(trades, shock) -> None:
    made = World()
    for second, book, price in trades:
        made.trade(second, book, price)
    run = made.run(shock_s=shock)
    line = focus_price(Figures.of(run))
    shock_s = shock or 0
    ordered = sorted(trades, key=lambda trade: trade[0])
    books = {book for _, book, _ in trades}
    references, kept = {}, set()
    for book in books:
        own = [(second, price) for second, one, price in ordered if one == book]
        before = [price for second, price in own if second < shock_s] if shock is not None else []
        references[book] = before[-1] if before else own[0][1]
        if shock is None or any(second >= shock_s for second, _ in own):
            kept.add(book)
    if not kept:
        assert line.empty
        return
    for moment, value in zip(line.seconds, line.values, strict=True):
        end = moment + shock_s
        last = end >= max(second for second, _, _ in trades)  # the last second takes what comes as it ends
        shares = []
        for book in sorted(kept):
            own = [price for second, one, price in ordered if one == book and (second < end or last)]
            if own:
                shares.append(100 * own[-1] / references[book])
        assert np.isnan(value) if not shares else value == pytest.approx(median(shares))


@given(
    st.lists(st.lists(st.one_of(st.just(np.nan), st.floats(-1e6, 1e6)), min_size=4, max_size=4), min_size=1, max_size=6)
)
def test_the_median_down_columns_is_numpys(rows: list[list[float]]) -> None:
    table = np.array(rows)
    expected = [np.nan if np.isnan(column).all() else np.nanmedian(column) for column in table.T]
    np.testing.assert_allclose(median_of(table), expected)


def test_liquidations_add_up_by_kind_and_together(two: list[Run]) -> None:
    study = Figures.of(two[0])
    line = liquidated(study)
    at = dict(zip(line.seconds.tolist(), line.values.tolist(), strict=True))
    assert (at[70.0], at[71.0], at[80.0], at[81.0]) == (0.0, 250.0, 250.0, 1000.0)
    assert liquidated(study, ("loan_liquidation",)).values[-1] == 250.0
    assert liquidated(study, ("adl",)).empty


def test_the_stablecoin_and_the_makers_margin_are_what_was_recorded(two: list[Run]) -> None:
    study = Figures.of(two[0])
    coin = stablecoin_price(study)
    assert sorted(set(coin.values[1:].tolist())) == pytest.approx([0.7, 1.0])
    assert coin.values[coin.seconds == 91.0] == pytest.approx([0.7])
    assert coin.values[coin.seconds == 90.0] == pytest.approx([1.0])
    margin = maker_margin(study)
    assert np.isnan(margin.values[margin.seconds < -60]).all()
    assert set(margin.values[margin.seconds >= -60].tolist()) == {2.0}


def test_a_maker_that_is_taken_over_or_owes_nothing_has_no_margin() -> None:
    made = World()
    made.path("A-USDT", {0: 10_000}, 100)
    made.leverage(10, 1, 2.0)
    made.recorder.account(30 * S, 2, 1, 0, None, None, 0, 1)
    made.credit(50, "account_liquidation_started", 1, "A", 1, 0.0)
    line = maker_margin(Figures.of(made.run(shock_s=None)))
    assert np.isnan(line.values[:9]).all()
    assert (line.values[9:50] == 2.0).all()
    assert np.isnan(line.values[51:]).all()


def test_depth_is_in_percent_of_the_usual_and_empty_sides_are_nothing_left() -> None:
    recorder = MemoryRecorder(HEADER._replace(groups={"coins": ["ALT-USDT"]}, focus="coins"))
    recorder.milestone(20 * S, "shock ALT", -100_000, "ppm")
    drive(
        [
            SubmitOrder(1, BUY, 100, 1000, S, owner=1),
            SubmitOrder(2, SELL, 10, 1002, S, owner=1),
            SubmitOrder(3, SELL, 50, 1000, 30 * S, owner=2),
            SubmitOrder(4, SELL, 60, None, 40 * S, owner=2),
            SubmitOrder(5, BUY, 1, 900, 50 * S, owner=1),
        ],
        recorder,
    )
    share, money = bid_depth(Figures.of(recorder.run()))
    at = dict(zip(share.seconds.tolist(), share.values.tolist(), strict=True))
    worth = dict(zip(money.seconds.tolist(), money.values.tolist(), strict=True))
    assert (at[-1.0], at[10.0], at[21.0]) == (100.0, 50.0, 0.0)
    assert worth[-1.0] == pytest.approx(100 * 0.1 * 10.0)
    assert at[30.0] == 0.0  # a bid far below the mid price is not near


def test_runs_without_anything_have_no_lines() -> None:
    study = Figures.of(World().run(shock_s=None))
    for line in (
        focus_price(study),
        stablecoin_price(study),
        liquidated(study),
        maker_margin(study),
        *bid_depth(study),
    ):
        assert line.empty


@given(st.lists(st.integers(0, 500), min_size=1, max_size=5), st.integers(1, 400))
def test_thinning_keeps_to_its_bound_and_to_the_grid(lengths: list[int], most: int) -> None:

    lines = [Line(np.arange(1, length + 1.0), np.arange(1, length + 1.0)) for length in lengths]
    kept, step = thinned(lines, most)
    assert sum(len(line.seconds) for line in kept) <= most
    assert all((line.values % step == 0).all() and (line.values == line.seconds).all() for line in kept)


@given(st.integers(1, 10**7))
def test_depth_is_sampled_at_most_so_often(seconds: int) -> None:
    assert depth_step(seconds) >= 1
    assert seconds // depth_step(seconds) <= 1500


def test_spans_have_units_that_people_read() -> None:
    assert Span.of(0, 10).name == "seconds"
    assert Span.of(-1800, 3600) == Span(-30, 60, 60, "minutes")
    assert Span.of(0, 86_400).name == "hours"
    assert Span.of(-60, 60).share(0) == 50


# --- the page ---------------------------------------------------------------------------------------------------------


def test_lines_on_the_page_are_the_series_of_the_runs(two: list[Run]) -> None:
    charts = charts_of(compare_page(two))
    names = run_names(two)
    for chart, of in (
        ("prices", focus_average),
        ("prices-last", focus_price),
        ("liquidated-all-kinds", liquidated),
        ("stablecoin", stablecoin_price),
    ):
        shown = lines_of(charts[chart])
        assert list(shown) == names
        for name, run in zip(names, two, strict=True):
            expected = of(Figures.of(run))
            minutes, values = shown[name]
            np.testing.assert_allclose(minutes * 60, expected.seconds, atol=0.06)
            size = np.nanmax(expected.values) - np.nanmin(expected.values)
            np.testing.assert_allclose(values, expected.values, atol=size / 1e3)
    axes = [charts[name].option["xAxis"] for name in ("prices", "liquidated-all-kinds", "stablecoin", "margin")]
    assert len({(axis["min"], axis["max"]) for axis in axes}) == 1


def test_the_headline_says_what_differs_most(two: list[Run]) -> None:
    page = compare_page(two)
    assert page.headline.sentence.startswith("What differs most is the fall: 70.0 % in [1] deep, 20.0 % in [2] mild")
    assert [one.value for one in page.headline.figures] == ["70.0 %", "20.0 %"]
    assert not page.headline.warning


def test_contrasts_are_the_largest_differences_of_the_outcomes(two: list[Run]) -> None:
    found = compare(two)
    measured = [outcomes(run) for run in two]
    ranked = tables.contrasts(found)
    assert ranked[0].outcome == "fall"
    for one in ranked:
        values = [row[one.outcome] for row in measured]
        assert (one.low_value, one.high_value) == (min(values), max(values))
        assert (values[one.low], values[one.high]) == (one.low_value, one.high_value)
    assert [one.steps for one in ranked] == sorted((one.steps for one in ranked), reverse=True)


def test_amounts_of_different_markets_are_no_headline(tmp_path: Path) -> None:
    runs = [world(tmp_path / "one", {"A-USDT": 2_000}), world(tmp_path / "other", {"A-USDT": 8_000}, sold=1)]
    assert "liquidated" in {one.outcome for one in tables.contrasts(compare(runs))}
    del runs[1].instruments["A-USDT-OTHER"]
    runs[1].groups = {}
    assert "liquidated" not in {one.outcome for one in tables.contrasts(compare(runs))}


def test_the_same_run_twice_is_the_same_run(tmp_path: Path, recorded: Path) -> None:
    page = compare_page([read_run(recorded), read_run(recorded)])
    assert page.headline.sentence == "The same run, event for event: the digests are equal."
    assert run_names([read_run(recorded)] * 2) == ["[1] run", "[2] run"]


def test_milestones_stand_side_by_side_with_their_differences(two: list[Run]) -> None:
    studies = [Figures.of(run) for run in two]
    table = tables.milestones_table(studies)
    rows = {row[0]: row for row in table.rows}
    lows = [tables.after_shock(study)["focus_low"] for study in studies]
    assert rows["low of the coins (median)"][3] in ("same", f"{lows[1] - lows[0]:+.0f} s")
    assert rows["the shock"][1:] == ("0 s", "0 s", "same")
    keys = dict(zip(rows, table.keys, strict=True))
    assert keys["low of the coins (median)"][1:3] == tuple(lows)


def test_what_never_happened_in_a_run_is_called_out(tmp_path: Path) -> None:
    full = world(tmp_path / "full", {"A-USDT": 2_000})
    tame = world(tmp_path / "tame", {"A-USDT": 9_990})
    rows = {row[0]: row for row in tables.milestones_table([Figures.of(run) for run in (full, tame)]).rows}
    assert rows["the coins fall"][2:] == ("-", "never in [2]")


def test_an_order_that_differs_is_called_out(tmp_path: Path) -> None:
    def made(first: float, then: float) -> Figures:
        one = World()
        one.path("A-USDT", {1: 10_000}, SHOCK_S + 300)
        one.credit(SHOCK_S + first, "loan_liquidation", 3, "USDE", 1, 10.0)
        one.credit(SHOCK_S + then, "account_liquidation_sale", 1, "A", 1, 10.0)
        return Figures.of(one.run())

    told = tables.reversals([made(20, 90), made(100, 30)])
    assert told[0] == "Order that differs:"
    assert told[1].startswith("Loans on the stablecoin liquidated: before market makers' accounts liquidated in [1]")
    assert tables.reversals([made(20, 90), made(30, 95)]) == []
    assert tables.reversals([made(20, 90), made(33, 30)]) == []  # within 5 s there is no order


def test_scorecards_stand_side_by_side(tmp_path: Path) -> None:
    targets = [
        {"name": "coins' fall", "measure": "fall", "group": "coins", "low": 0.6, "high": 0.9, "unit": "fraction"},
        {"name": "gone", "measure": "fall", "instrument": "NO-SUCH", "low": 0.0, "unit": "fraction"},
    ]
    deep = world(tmp_path / "deep", {"A-USDT": 2_000}, targets=targets)
    mild = world(tmp_path / "mild", {"A-USDT": 8_000}, targets=targets[:1])
    page = compare_page([deep, mild])
    (table,) = next(section for section in page.sections if section.id == "scorecards").parts
    assert table.rows[0] == ("coins' fall", "-", "60.0 % to 90.0 %", "80.0 %", "20.0 %", "only [1] inside")
    assert table.rows[1][3:] == ("-", "-", "none inside")
    assert table.note == "Inside their bands: [1] 1 of 2, [2] 0 of 1."


def test_a_run_that_was_cut_is_neither_inside_nor_outside(tmp_path: Path) -> None:
    targets = [{"name": "coins' fall", "measure": "fall", "group": "coins", "low": 0.1, "unit": "fraction"}]
    whole = world(tmp_path / "whole", {"A-USDT": 2_000}, targets=targets)
    cut = world(tmp_path / "cut", {"A-USDT": 2_000}, targets=targets)
    cut.manifest["summary"] = {"duration_ns": cut.end_ns + S}
    (found,) = next(section for section in compare_page([whole, cut]).sections if section.id == "scorecards").parts
    assert found.rows[0][3:] == ("80.0 %", "-", "all inside")
    assert found.note == f"Inside their bands: [1] 1 of 1. No verdict on [2]: {cut.cut}."
    (found,) = next(section for section in compare_page([cut, cut]).sections if section.id == "scorecards").parts
    assert found.rows[0][3:] == ("-", "-", "no verdict")
    assert "Inside" not in found.note


def test_settings_that_differ_are_listed(two: list[Run]) -> None:
    page = compare_page(two)
    (table,) = next(section for section in page.sections if section.id == "settings").parts
    assert ("scenario.x", "-", "1") in table.rows
    assert "scenario.x (- against 1)" in page.subtitle


def test_different_markets_tapes_and_currencies_say_what_cannot_be_compared(tmp_path: Path) -> None:
    coins = world(tmp_path / "coins", {"A-USDT": 2_000})
    tape = Books(
        instruments=[InstrumentInfo(0, "AAPL-USD", "AAPL", "USD", "0.01", "1", "0.000001")],
        groups={},
        focus="",
        numeraire="USD",
        assets={"USD": "0.000001"},
        accounts=[],
        scenario="tape",
    )
    for second in range(10):
        tape.trade_in(second, 0, 10_000 + second)
    run = placed(tape.run(shock_s=None), tmp_path / "tape")
    page = compare_page([coins, run])
    note = next(section for section in page.sections if section.id == "runs").note
    for words in (
        "[1] looks at A-USDT, B-USDT, C-USDT; [2] looks at AAPL-USD",
        "[2] has no shock",
        "Amounts of money cannot be compared: they are in USDT in [1], USD in [2]",
        "last differently long",
    ):
        assert words in note
    assert "money" not in page.headline.sentence
    assert "liquidated value" not in page.headline.sentence
    assert compare_html([coins, run]) == compare_html([coins, run])
    assert lead_of_prices(page).endswith("in percent of its price before the shock (first price without one).")
    assert lead_of_prices(compare_page([run, run])).endswith("in percent of its first price.")
    assert lead_of_prices(compare_page([coins, coins])).endswith("in percent of its price before the shock.")


def lead_of_prices(page: Page) -> str:
    return next(section for section in page.sections if section.id == "price").lead


def test_runs_without_trades_and_without_milestones_have_a_page(tmp_path: Path) -> None:
    runs = [placed(Books(groups={}, focus="").run(shock_s=None), tmp_path / name) for name in ("one", "other")]
    page = compare_page(runs)
    assert "Nothing that is measured differs" in page.headline.sentence
    assert charts_of(page) == {}
    assert "<html" in compare_html(runs)


def test_an_unfinished_run_is_said_before_everything_else(two: list[Run]) -> None:
    two[1].complete = False
    page = compare_page(two)
    assert "UNFINISHED RUN" in page.headline.warning
    assert "mild" in page.headline.warning


def test_hostile_texts_stay_text(tmp_path: Path) -> None:
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    runs = [
        world(folder / "a", {"A-USDT": 2_000}, scenario=HOSTILE, toml=f'[scenario]\nx = "{HOSTILE}\\u001b[31m"\n'),
        world(
            folder / "b",
            {"A-USDT": 3_000},
            targets=[{"name": HOSTILE, "measure": "fall", "group": "coins", "low": 0.1, "unit": HOSTILE}],
        ),
    ]
    text = compare_html(runs)
    for bad in ("<script>alert", "<b>bold", "<img src=x", "\x1b"):
        assert bad not in text
    data = "".join(re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL))
    assert "alert(1)" in data
    assert "&lt;script&gt;alert(1)" in text


def test_too_few_runs_and_a_scenario_that_is_missing_are_refused(two: list[Run]) -> None:
    with pytest.raises(InputError, match="give from 2"):
        compare_html(two[:1])
    (two[0].path / "scenario.toml").unlink()
    with pytest.raises(RunError, match="its scenario cannot be read"):
        compare_html(two)


# --- the command and the browser --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "run"
    assert main(["replay", str(SCENARIO), "--out", str(folder), "--quiet", "--no-report"]) == 0
    return folder


def test_compare_writes_a_page_that_a_browser_shows(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    other, file = tmp_path / "other", tmp_path / "compare.html"
    command = ["replay", str(SCENARIO), "--seed", "9", "--out", str(other), "--quiet", "--no-report"]
    assert main([*command, "--set", "liquidation_bots.enabled=false"]) == 0
    capsys.readouterr()
    assert main(["compare", str(recorded), str(other), "--html", str(file)]) == 0
    said = capsys.readouterr().out
    assert "Settings that differ" in said
    assert f"page: {file}" in said
    assert main(["compare", str(recorded), str(other), "--html", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    again = f"lobsim replay {other}/scenario.toml --seed 9 --out {other}-again"
    assert again in file.read_text(), "no shipped scenario: its own file, and a folder that is free"
    tab, failed, asked = request.getfixturevalue("opened")(file)  # the rest is skipped where no browser is
    assert failed == []
    assert "differs" in tab.text_content(".sentence")
    sections = tab.eval_on_selector_all("main > section", "all => all.map(one => one.id)")
    assert {"runs", "price", "milestones", "depth", "outcomes", "settings", "provenance"} <= set(sections)
    assert tab.locator("#prices canvas").count() == 1
    tab.locator("#depth-choice").scroll_into_view_if_needed()
    tab.select_option("#depth-choice select", index=1)
    tab.wait_for_selector("#depth-money[data-state=drawn]")
    assert failed == []
    assert set(asked) == {file.as_uri()}
