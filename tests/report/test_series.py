"""Chapters over time: what the charts show is what the measures say, whatever is missing."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.events import Purpose, Side, SubmitOrder
from lobsim.measure import Run, attribution, depth, ladders, slippage
from lobsim.measure.attribution import Attribution
from lobsim.measure.intervals import quotes_of, time_weighted
from lobsim.measure.measures import Figures
from lobsim.records import TABLES, AccountInfo, InstrumentInfo
from lobsim.report.page import book_series, causes, forced_series, peg_series, resolved, series
from lobsim.report.page.model import Chart, Choice, Headline, Page, Provenance, Section
from lobsim.report.page.pack import unpack
from lobsim.report.page.render import render
from lobsim.testing.strategies import Range, command_lists
from tests.measure.recording import MemoryRecorder, drive
from tests.measure.worlds import SHOCK_S, S, World, header

BUY, SELL = Side
WIDE = Range(spread=30, max_qty=40, order_ids=40, owners=3)
LOG_STEP = 0.00116  # half a thousandth of a decade
HOSTILE = "</script><b>{a|x}\"'=cmd()"


def charts_of(section: Section) -> dict[str, Chart]:
    found = {}
    for part in section.parts:
        inner = [part] if isinstance(part, Chart) else [one for _, parts in part.options for one in parts]
        found.update({chart.id: chart for chart in inner})
    return found


def lines_of(chart: Chart) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Times (nanoseconds since the start) and values of each series."""
    found = {}
    for one in chart.option["series"]:
        times, values = (unpack(column) for column in one["data"]["$points"])
        found[one["name"]] = (np.rint((times - chart.option["xAxis"]["min"]) * 1e6), values)
    return found


def sections_of(run) -> dict[str, Section]:
    return {section.id: section for section in series.sections(Figures(run))}


def page_of(sections) -> str:
    return render(Page("page", "", Headline(""), list(sections), Provenance()))


def bookless(world: World, **options) -> Run:
    """A world's run without its order events: worlds print trades of orders that no book has ever seen."""
    run = world.run(**options)
    frames = {table: run.collect(run.scan(table)) for table in TABLES if table != "orders"}
    return Run.from_frames(world.recorder.header, frames)


# --- books ----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(
    commands=st.one_of(command_lists(), command_lists(span=WIDE, max_size=120)),
    times=st.lists(st.integers(0, 400), min_size=1, max_size=8, unique=True),
)
def test_book_figures_are_the_measures(commands, times):
    recorder = MemoryRecorder()
    drive(commands, recorder)
    run = recorder.run()
    study, times = Figures(run), np.array(sorted(times))
    if not run.rows("orders"):
        assert book_series.book_figures(study, times) == {}
        return
    one = book_series.book_figures(study, times)["ALT-USDT"]
    expected = depth(run, "ALT-USDT", book_series.BANDS, at=times.tolist())
    assert_same(one.depth.ravel(), expected["depth_quote"])
    bids = expected.filter((pl.col("side") == "bid") & (pl.col("band_pct") == 1))["depth_quote"].drop_nulls()
    usual = float(bids.median() or 0)
    assert one.notionals == tuple(float(size) for size in book_series.order_sizes(usual))
    if usual:
        cost = slippage(run, "ALT-USDT", SELL, list(one.notionals), at=times.tolist())
        assert_same(one.slippage.ravel(), cost["slippage"])
        assert_same(1 - one.unfilled.ravel(), cost["filled_share"])
        assert (np.isnan(one.slippage) | (one.unfilled == 0)).all()
    quotes = quotes_of(run, one.instrument)
    wide = np.full(len(quotes.bid), np.nan)
    both = quotes.two_sided
    wide[both] = (quotes.ask - quotes.bid)[both] / ((quotes.ask + quotes.bid)[both] / 2)
    if len(times) > 1:
        assert one.spread[1:] == pytest.approx(time_weighted(quotes, wide, times)[0], nan_ok=True)


def assert_same(found: np.ndarray, expected: pl.Series) -> None:
    assert found == pytest.approx(expected.cast(pl.Float64).fill_null(np.nan).to_numpy(), rel=1e-12, nan_ok=True)


def crash_run(**changes):
    """Ten bids near 10, swept away after 20 s, back after 40 s; asks stand throughout."""
    recorder = MemoryRecorder(**changes)
    orders = [SubmitOrder(number, BUY, 50, 1000 - number, 0) for number in range(10)]
    orders += [SubmitOrder(100 + number, SELL, 20, 1002 + number, 0) for number in range(5)]
    orders.append(SubmitOrder(200, SELL, 500, None, 20 * S))
    orders += [SubmitOrder(300 + number, BUY, 50, 990 - number, 40 * S) for number in range(10)]
    drive([*orders, SubmitOrder(999, BUY, 1, 1, 60 * S)], recorder)
    return recorder.run()


def test_an_empty_side_is_a_gap_in_prices_and_the_bottom_of_depth_never_a_zero():
    run = crash_run()
    found = sections_of(run)
    charts = charts_of(found["depth"])
    assert set(charts) == {"depth-0-bids", "depth-0-asks"}
    times, bids = lines_of(charts["depth-0-bids"])["within 1 %"]
    measured = depth(run, "ALT-USDT", ["1"], at=times.astype(int).tolist())["depth_quote"].to_list()
    low = charts["depth-0-bids"].option["yAxis"][0]["min"]
    assert low == pytest.approx(0.001)  # most is some 500 USDT: five powers of ten below 100
    assert bids == pytest.approx([max(value, low) for value in measured[::2]], rel=LOG_STEP)
    _, asks = lines_of(charts["depth-0-asks"])["within 1 %"]
    gone = (times >= 20 * S) & (times < 40 * S)
    assert np.isnan(asks[gone]).all()
    assert not np.isnan(asks[~gone]).any()
    assert bids[gone] == pytest.approx(low)

    costs = charts_of(found["slippage"])
    for name, (_, values) in lines_of(costs["slippage-0-cost"]).items():
        assert np.isnan(values[gone]).all(), name
        assert (values[~np.isnan(values)] > 0).all()
    unfilled = lines_of(costs["slippage-0-unfilled"])
    assert list(unfilled) == ["10 USDT", "100 USDT", "500 USDT"]  # the median of what was bid is 197.70 USDT
    for _, values in unfilled.values():
        assert (values[gone] == 1).all()
    assert (next(iter(unfilled.values()))[1][~gone] == 0).all()

    _, spread = lines_of(charts_of(found["spreads"])["spread-g0"])["ALT-USDT"]
    assert np.isnan(spread[(times > 20 * S) & (times <= 40 * S)]).all()
    assert spread[5] == pytest.approx(2 / 1001, rel=LOG_STEP)


@given(
    st.lists(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=3, max_size=3), min_size=1, max_size=7),
)
def test_an_order_that_cannot_be_filled_is_worse_than_any_price(table):
    found = book_series.median_cost(np.array(table, dtype=float))
    for place in range(3):
        ranked = sorted((row[place] is None, row[place] or 0.0) for row in table)
        low, high = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
        if high[0]:
            assert np.isnan(found[place])
        else:
            assert found[place] == pytest.approx((low[1] + high[1]) / 2)


@given(st.floats(1e-6, 1e15))
def test_sizes_of_orders_are_round_and_not_above_their_multiple(usual):
    sizes = [float(size) for size in book_series.order_sizes(usual)]
    for size, multiple in zip(sizes, book_series.MULTIPLES, strict=True):
        assert usual * multiple / 2.5 * (1 - 1e-6) <= size <= usual * multiple * (1 + 1e-6)
        assert f"{size:e}"[0] in "125"
    assert book_series.order_sizes(0.0) == []


@pytest.mark.parametrize("seconds", [0, 1, 59, 700, 12_600, 100_000])
def test_books_are_looked_at_until_the_end_and_not_too_often(seconds):
    recorder = MemoryRecorder()
    drive([SubmitOrder(1, BUY, 1, 100, 0), SubmitOrder(2, BUY, 1, 100, seconds * S)], recorder)
    times = book_series.book_times(Figures(recorder.run()))
    assert times[-1] == seconds * S
    assert len(times) <= 600
    assert (np.diff(times) > 0).all()


# --- who was forced -------------------------------------------------------------------------------------------------


def forced_world() -> World:
    world = World()
    world.path("A-USDT", {0: 1000, SHOCK_S: 900, SHOCK_S + 60: 700, SHOCK_S + 200: 950}, SHOCK_S + 300)
    world.path("A-USDT-OTHER", {0: 1000, SHOCK_S: 900}, SHOCK_S + 300)
    world.path("USDE-USDT", {0: 100, SHOCK_S + 30: 70, SHOCK_S + 90: 99}, SHOCK_S + 300)
    world.trade(SHOCK_S + 61.5, "A-USDT", 600, purpose=Purpose.LOAN_LIQUIDATION)
    world.trade(SHOCK_S + 31.5, "USDE-USDT", 65, purpose=Purpose.LOOP_UNWIND)
    for second, level in ((1, 2.0), (SHOCK_S + 10, 3.0), (SHOCK_S + 20, 30.0)):
        world.leverage(second, 1, level)
    world.credit(SHOCK_S + 5, "contract_liquidation_long", 3, "A", 1, 100.5)
    world.credit(SHOCK_S + 8, "contract_liquidation_short", 3, "A", 1, 20)
    world.credit(SHOCK_S + 65, "loan_liquidation", 3, "A", 1, 300)
    world.credit(SHOCK_S + 66, "account_liquidation_sale", 2, "A", 1, 40)
    world.credit(SHOCK_S + 67, "adl", 2, "A", 1, 60)
    for second, account, value in ((1, 5, 500), (1, 6, 200), (SHOCK_S + 70, 5, 350), (SHOCK_S + 80, 6, 0)):
        world.credit(second, "insurance_fund", account, "USDT", value * 1_000_000, value)
    return world


def test_liquidations_and_stocks_sum_to_the_measures():
    study = Figures(forced_world().run())
    charts = charts_of(forced_series.liquidations(study))
    bars = lines_of(charts["liquidations-value"])
    assert {name: values.sum() for name, (_, values) in bars.items()} == {
        name: ladders.total(study, kinds) for name, kinds in ladders.KINDS.items()
    }
    step = forced_series.bar_step(study)
    table = ladders.ladder(study, step)
    for name, (middle, values) in bars.items():
        rows = dict(table.filter(pl.col("what") == name).select("begin_ns", "value").rows())
        assert values.tolist() == [rows.get(int(at) - step // 2, 0.0) for at in middle]
    assert lines_of(charts["liquidations-adl"])["auto-deleveraged"][1].sum() == ladders.total(study, ("adl",))
    times, funds = forced_series.stock_series(study, "insurance_fund")
    assert dict(zip((times / S).tolist(), funds.tolist(), strict=True)) == {
        1: 700, SHOCK_S + 70: 550, SHOCK_S + 80: 350
    }  # fmt: skip
    assert (funds[0], funds[-1]) == ladders.stock(study, "insurance_fund")


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.sampled_from(ladders.ALL_KINDS), st.integers(0, 1000)), min_size=1, max_size=20
    ),
    st.integers(1, 20),
)
def test_intervals_lose_nothing(rows, step_s):
    world = World()
    for second, kind, value in sorted(rows):
        world.credit(second, kind, 3, "A", 1, value)
    study = Figures(world.run())
    begins, values = forced_series.per_interval(study, ladders.ALL_KINDS, step_s * S)
    assert (np.diff(begins) == step_s * S).all()
    for kind in ladders.ALL_KINDS:
        naive = [
            sum(value for second, what, value in rows if what == kind and 0 <= second * S - begin < step_s * S)
            for begin in begins.tolist()
        ]
        assert values.get(kind, np.zeros(len(begins))).tolist() == naive


@given(st.lists(st.one_of(st.none(), st.floats(-10, 10)), min_size=1, max_size=9000))
@settings(deadline=None, max_examples=30)
def test_thinning_keeps_the_extremes_and_the_ends(values):
    numbers = np.array(values, dtype=float)
    times = np.arange(len(numbers)) * 7
    kept_times, kept = forced_series.thinned(times, numbers)
    assert len(kept) <= forced_series.MOST_POINTS + 2
    assert (kept_times[0], kept_times[-1]) == (times[0], times[-1])
    assert kept.tolist() == pytest.approx(numbers[kept_times // 7].tolist(), nan_ok=True)
    if np.isfinite(numbers).any():
        assert (np.nanmin(kept), np.nanmax(kept)) == (np.nanmin(numbers), np.nanmax(numbers))


def test_makers_are_drawn_with_the_levels_at_which_something_happens(tmp_path):
    world = forced_world()
    world.recorder.account(3 * S, 1, 1, 1, 8_000_000_000_000, 1_000_000, 1, 1)  # owes next to nothing
    run = world.run()
    run.path = tmp_path
    rules = "[agents.m.withdrawal_rules]\nmargin_level = 1.25\n"
    (tmp_path / "scenario.toml").write_text(f"[agents.m]\nkind = 'market-maker'\n{rules}", encoding="utf-8")
    section = forced_series.makers(Figures(run))
    margin = charts_of(section)["makers-margin"]
    lines = lines_of(margin)
    assert list(lines) == ["maker-1", "makers withdraw (1.25)", "taken over by the exchange (1)"]
    assert sorted(set(lines["maker-1"][1].tolist())) == [2, pytest.approx(1.1 * forced_series.MOST_LEVEL)]
    assert set(lines["makers withdraw (1.25)"][1]) == {1.25}  # what is cut off takes no precision from it
    leverage = charts_of(section)["makers-leverage"]
    assert sorted(lines_of(leverage)["maker-1"][1].tolist()) == [1, 2, 3, pytest.approx(1.1 * forced_series.MOST_LEVEL)]
    assert leverage.option["yAxis"][0]["max"] == forced_series.MOST_LEVEL
    assert "1 of the makers never owed" in section.note


def test_many_makers_are_shown_as_median_and_range():
    accounts = [AccountInfo(number, f"maker-{number}", "market-maker") for number in range(1, 12)]
    world = World(accounts=accounts)
    for number in range(1, 12):
        world.leverage(number, number, float(number))
    lines = forced_series._each(
        Figures(world.run()), forced_series.account_series(Figures(world.run()), "leverage_ppm")
    )
    assert [line.name for line in lines] == ["median", "lowest", "highest"]
    assert [float(np.asarray(line.values)[-1]) for line in lines] == [6, 1, 11]


# --- prices against values ------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(
    trades=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 50)), max_size=30),
    times=st.lists(st.integers(0, 50), min_size=1, max_size=10, unique=True),
)
def test_lowest_trades_are_those_since_the_moment_before(trades, times):
    world = World()
    for second, price in trades:
        world.trade(second, "A-USDT", price)
    times = sorted(times)
    found = peg_series.lowest_trades(Figures(world.run(shock_s=None)), "A-USDT", np.array(times) * S)
    ordered = sorted(trades, key=lambda trade: trade[0])
    last, begin = None, -1
    for end, value in zip(times, found, strict=True):
        inside = [price for second, price in ordered if begin < second <= end]
        expected = min(inside) if inside else last
        assert np.isnan(value) if expected is None else value == pytest.approx(expected / 100)
        last, begin = (inside[-1] if inside else last), end


def test_pegs_come_from_the_scenario_and_the_stablecoin_group(tmp_path):
    run = forced_world().run()
    study = Figures(run)
    assert [(peg.base, peg.value) for peg in resolved.pegs(run, study.group("stablecoin"))] == [("USDE", 1.0)]
    run.path = tmp_path
    (tmp_path / "scenario.toml").write_text(
        "[references.A]\nstart = 10\n[references.B]\nstart = 10\nvolatility = 0.5\n[references.C]\nstart = 3\n"
        "[[exogenous]]\nkind = 'shock'\nreference = 'C'\n[references.USDE]\nstart = 1.01\nbetas = {}\n",
        encoding="utf-8",
    )
    found = resolved.pegs(run, study.group("stablecoin"))
    assert [(peg.base, peg.value, [one.name for one in peg.books]) for peg in found] == [
        ("A", 10.0, ["A-USDT", "A-USDT-OTHER"]),
        ("USDE", 1.01, ["USDE-USDT"]),
    ]
    charts = charts_of(peg_series.sections(study)[0])
    _, usde = lines_of(charts["peg-1"])["USDE-USDT"]
    assert np.nanmin(usde) == pytest.approx(0.65)


@pytest.mark.parametrize(
    "text",
    ["= nonsense", "agents = 3\nreferences = [1]\nexogenous = 'x'", "[agents]\nm = 1\n[references]\nA = 'x'", "\x00"],
)
def test_a_scenario_file_that_is_not_one_is_left_out(text, tmp_path):
    run = forced_world().run()
    run.path = tmp_path
    (tmp_path / "scenario.toml").write_text(text, encoding="utf-8")
    assert [one.level for one in resolved.margin_thresholds(run)] == [1.0]
    assert resolved.pegs(run) == []


def test_a_scenario_file_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "other.toml").write_text("[references.A]\nstart = 10\n", encoding="utf-8")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "scenario.toml").symlink_to(tmp_path / "other.toml")
    run = forced_world().run()
    run.path = Path(tmp_path / "run")
    assert resolved.resolved(run) == {}


def test_prices_here_over_prices_elsewhere_need_another_venue():
    books = [
        InstrumentInfo(0, "A-USDT", "A", "USDT", "0.01", "1", "0.000001", "spot", "main"),
        InstrumentInfo(1, "A-ELSEWHERE", "A", "USDT", "0.1", "1", "0.000001", "spot", "other"),
    ]
    world = World(instruments=books, groups={"coins": ["A-USDT"]}, focus="coins")
    for second in range(SHOCK_S + 60):
        world.trade_in(second, 0, 1000 if second < SHOCK_S else 800)
        world.trade_in(second, 1, 100)
    study = Figures(world.run())
    assert peg_series.pairs_elsewhere(study) == [("A-USDT", "A-ELSEWHERE")]
    _, ratio = lines_of(charts_of(peg_series.sections(study)[0])["pegs-elsewhere"])["A-USDT"]
    assert ratio[SHOCK_S - 2] == pytest.approx(1)
    assert ratio[-1] == pytest.approx(0.8, abs=0.005)
    assert peg_series.pairs_elsewhere(Figures(forced_world().run())) == []  # one venue only


# --- causes ---------------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from([purpose.name for purpose in Purpose]), st.integers(1, 10**6), min_size=1))
def test_steps_of_a_waterfall_sum_to_the_fall(shares):
    new_lows = {purpose: Fraction(share, 10**7) for purpose, share in shares.items()}
    fall = sum(new_lows.values(), Fraction(0))
    parts = causes.steps(Attribution(("A",), fall, new_lows, new_lows))
    assert sum(share for _, share in parts) == fall
    named = [part for part in parts if not part[0].startswith("others")]
    assert named == sorted(named, key=lambda part: (-part[1], part[0]))
    assert len(named) == sum(share >= fall * causes.LEAST_SHARE for share in new_lows.values())


def test_waterfalls_show_the_exact_attribution():
    study = Figures(forced_world().run())
    charts = charts_of(causes.section(study))
    chart = charts["causes-0"]
    found = attribution(study, ["A-USDT"])
    sizes = {
        bar["name"]: bar["size"]
        for one in chart.option["series"]
        for bar in one["data"]
        if isinstance(bar, dict) and bar["value"] is not None
    }
    assert sizes.pop("the fall") == pytest.approx(float(found.fall)) == pytest.approx(0.4)
    assert sizes == pytest.approx(
        {purpose.lower().replace("_", " "): float(share) for purpose, share in found.new_lows.items()}
    )


# --- runs that lack things ------------------------------------------------------------------------------------------


def test_a_tape_has_its_books_and_nothing_else():
    recorder = MemoryRecorder(header(accounts=[], groups={}, focus="", numeraire=""))
    for instrument_id in range(5):
        orders = [SubmitOrder(1, BUY, 5, 990, 0), SubmitOrder(2, SELL, 5, 1010, 0), SubmitOrder(3, BUY, 1, 980, 9 * S)]
        drive(orders, recorder, instrument_id=instrument_id)
    found = sections_of(recorder.run())
    assert list(found) == ["depth", "slippage", "spreads"]
    assert "milestone" not in page_of(found.values()).split("data-depth-0-bids")[1]


def test_nothing_sold_nothing_forced_and_no_orders_leave_nothing_out_of_place():
    assert series.sections(Figures(World().run())) == []
    assert series.sections(Figures(World().run(shock_s=None))) == []
    recorder = MemoryRecorder()
    drive([SubmitOrder(1, SELL, 5, 1010, S)], recorder)  # one side only, no trade
    assert sections_of(recorder.run()) == {}


def test_the_whole_page_renders_and_is_the_same_each_time():
    texts = [page_of(series.sections(Figures(bookless(forced_world())))) for _ in range(2)]
    assert texts[0] == texts[1]
    for name in ("makers", "liquidations", "contracts", "pegs", "causes"):
        assert f'id="{name}"' in texts[0]


def test_hostile_names_stay_text():
    accounts = [AccountInfo(1, HOSTILE, "market-maker"), AccountInfo(5, "fund", "system")]
    groups = {HOSTILE: ["A-USDT", "B-USDT"], "stablecoin": ["USDE-USDT"]}
    world = World(accounts=accounts, groups=groups, focus=HOSTILE)
    for book in ("A-USDT", "B-USDT"):
        world.path(book, {0: 1000, SHOCK_S: 900}, SHOCK_S + 30)
    world.leverage(1, 1, 2.0)
    world.credit(SHOCK_S + 5, "loan_liquidation", 1, "A", 1, 100)
    sections = series.sections(Figures(bookless(world)))
    html = page_of(sections)
    assert "<b>" not in html
    assert "</script><b" not in html
    data = html.split('id="data-makers-margin"')[1].split(">", 1)[1].split("</script>")[0]
    names = json.loads(data)["legend"]["data"]
    assert names[0].startswith("</script><b>")
    labels = [choice.options[0][0] for section in sections for choice in section.parts if isinstance(choice, Choice)]
    assert any(label.startswith(HOSTILE) for label in labels)
