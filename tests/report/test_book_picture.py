"""The book picture: what the page's script is given says exactly what `book_at` says; what the browser shows, too."""

from __future__ import annotations

import json
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.events import CancelOrder, Purpose, Side, SubmitOrder
from lobsim.measure import book_at
from lobsim.measure.book_frames import View, book_frames
from lobsim.measure.measures import Figures
from lobsim.records import InstrumentInfo
from lobsim.report.page import book_data, book_picture
from lobsim.report.page.book_data import COLOURS, colour_scale, colours, moments, nice_step, row_edges
from lobsim.report.page.book_picture import section
from lobsim.report.page.model import Headline, Page, Provenance
from lobsim.report.page.pack import LIMIT, unpack
from lobsim.report.page.render import render
from lobsim.testing.strategies import Range, command_lists
from tests.measure.recording import HEADER, MemoryRecorder, drive

BUY, SELL = Side
S = 10**9
WIDE = Range(spread=30, max_qty=40, order_ids=40, owners=3)
SHOCK_S, LOW_S, END_S = 600, 700, 1500
PULLED = 300  # price of a bid that is cancelled after the shock


def data_of(run):
    (widget,) = section(Figures(run)).parts
    assert widget.kind == "book"
    return json.loads(json.dumps(widget.data))


def times_of(data, book):
    times = unpack(data["times"])
    return times if book["detail"] else times[data["fewer"]]


def ladders_of(book):
    """Per frame ([(price, lots)] of the bids, of the asks), read as assets/book.js reads them."""
    packed = book["ladder"]
    bids, asks, prices, lots = (unpack(packed[key]) for key in ("bids", "asks", "price_ticks", "lots"))
    sides, at, found = ({}, {}), 0, []
    for changes in zip(bids, asks, strict=True):
        for number, side in enumerate(sides):
            for _ in range(int(changes[number])):
                price, quantity = int(prices[at]), int(lots[at])
                at += 1
                if quantity:
                    side[price] = quantity
                else:
                    del side[price]  # a level that is gone was there
            for price in sorted(side, reverse=number == 0)[packed["levels"] :]:
                del side[price]
        found.append(tuple(sorted(side.items(), reverse=number == 0) for number, side in enumerate(sides)))
    assert at == len(prices)
    return found


def crash(levels=3, start=1000, instruments=HEADER.instruments, group=None, every=10):
    """A maker's bids are pulled at the shock, forced sales eat what is left until there are no bids at all."""
    groups = {} if group is None else {"groups": {group: ["ALT-USDT"]}, "focus": group}
    recorder = MemoryRecorder(HEADER._replace(instruments=instruments, **groups))
    commands = [SubmitOrder(n, BUY, 10, start - n) for n in range(1, levels + 1)]
    commands += [SubmitOrder(100 + n, SELL, 5, start + n, time_ns=5) for n in range(1, levels + 1)]
    commands += [SubmitOrder(200, BUY, 40, start // 5, time_ns=5), SubmitOrder(250, BUY, 5, PULLED, time_ns=5)]
    commands += [SubmitOrder(201, SELL, 1, start - 1, time_ns=589 * S, purpose=Purpose.NOISE)]
    sales = [(SHOCK_S + every * n, 10) for n in range(1, levels + 1)] + [(LOW_S, 39)]
    for number, (second, lots) in enumerate(sales):
        commands.append(SubmitOrder(300 + number, SELL, lots, start // 5, time_ns=second * S, purpose=Purpose.STOP_OUT))
    if levels > book_picture.LEVELS:  # a level is pushed out, goes while it is out, and comes back later
        last = start - book_picture.LEVELS
        moves = [
            SubmitOrder(500, BUY, 1, start, time_ns=575 * S),
            CancelOrder(book_picture.LEVELS, time_ns=577 * S),
            CancelOrder(500, time_ns=579 * S),
            SubmitOrder(501, BUY, 10, last, time_ns=582 * S),
            SubmitOrder(502, BUY, 1, start, time_ns=584 * S),
            CancelOrder(502, time_ns=586 * S),
        ]
        commands = sorted(commands + moves, key=lambda command: command.time_ns or 0)
    commands.insert(-len(sales), CancelOrder(250, time_ns=(SHOCK_S + 1) * S))
    commands.append(SubmitOrder(400, SELL, 1, 2 * start, time_ns=END_S * S))
    recorder.milestone(SHOCK_S * S, "shock A", -170_000, "ppm")
    drive(commands, recorder)
    return recorder.run()


# --- what the page is given -----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    commands=st.one_of(command_lists(), command_lists(span=WIDE, max_size=150)),
    keyframes=st.lists(st.integers(0, 100), max_size=2),
    shock=st.none() | st.integers(0, 300),
    chosen=st.sets(st.integers(0, 600), min_size=3, max_size=6),
    levels=st.sampled_from([2, book_picture.LEVELS]),
)
def test_every_frame_is_the_book_of_its_moment(commands, keyframes, shock, chosen, levels):
    recorder = MemoryRecorder()
    if shock is not None:
        recorder.milestone(shock, "shock A", -170_000, "ppm")
    drive(commands, recorder, keyframes=keyframes)
    run = recorder.run()
    with mock.patch.object(book_picture, "LEVELS", levels):
        data = data_of(run)
    assert [book["name"] for book in data["books"]] == ["ALT-USDT", "BTC-USDT"]
    book = data["books"][0]
    times = np.rint(times_of(data, book) * 1e6).astype(int).tolist()
    assert (times[0], times[-1]) == (0, run.end_ns)
    edges, last = unpack(book["edges"]), unpack(book["last"])
    cells = unpack(book["cells"]).reshape(len(edges) - 1, len(times)).T
    near = [unpack(side) for side in book["near"]]
    unit = float(run.instrument("ALT-USDT").unit_notional)
    trades = run.trades.filter(run.trades["instrument"] == "ALT-USDT")
    ladders, step = ladders_of(book), int(book["ladder"]["lots"].get("m", 1))
    assert len(ladders) == len(times)
    for frame in {*(number % len(times) for number in chosen), len(times) - 1}:
        time_ns, ladder = times[frame], ladders[frame]
        rebuilt = book_at(run, "ALT-USDT", time_ns)
        depth = np.zeros(len(edges) - 1, dtype=np.int64)
        for number, side in enumerate((rebuilt.bids, rebuilt.asks)):
            shown = [level for level in side.pairs() if level[1]]
            rounded = [(price, -(-lots // step) * step) for price, lots in shown[:levels] if price < LIMIT]
            assert ladder[number] == rounded
            inside = [price * lots for price, lots in shown if abs(price - shown[0][0]) * 100 <= shown[0][0]]
            # packed with at least three digits, but never more than fourteen below the largest value
            least = np.max(near[number]) * 1e-13
            assert near[number][frame] == pytest.approx(sum(inside) * unit, rel=1e-3, abs=least)
            for price, lots in shown:
                row = int(np.searchsorted(edges, price, side="right")) - 1
                if 0 <= row < len(depth):
                    depth[row] += price * lots
        assert ((cells[frame] > 0) == (depth > 0)).all()
        order = np.argsort(depth)
        assert (np.diff(cells[frame][order]) >= 0).all()
        traded = trades.filter(trades["time_ns"] <= time_ns)["price_ticks"]
        assert (int(last[frame]) == traded[-1]) if len(traded) else np.isnan(last[frame])


@settings(deadline=None, max_examples=40)
@given(
    commands=st.lists(
        st.tuples(st.sampled_from(Side), st.integers(1, 12), st.integers(1, 3), st.booleans()), min_size=1, max_size=40
    ),
    levels=st.integers(1, 4),
)
def test_changes_from_frame_to_frame_add_up_to_every_frame(commands, levels):
    """Few prices and few lots: levels leave, are pushed out, and come back with the lots they had."""
    recorder, steps = MemoryRecorder(), []
    for number, (side, price, lots, pulled) in enumerate(commands):
        steps.append(SubmitOrder(number, side, lots, price, time_ns=2 * number))
        if pulled:
            steps.append(CancelOrder(number // 2, time_ns=2 * number + 1))
    drive(steps, recorder)
    run = recorder.run()
    times = np.arange(run.end_ns + 1)
    (frames,) = book_frames(run, [View(run.instrument("ALT-USDT"), times, np.array([1, 20]), levels)])
    packed = {"ladder": json.loads(json.dumps(book_data.pack_ladder(frames)))}
    for time_ns, (bids, asks) in zip(times.tolist(), ladders_of(packed), strict=True):
        rebuilt = book_at(run, "ALT-USDT", time_ns)
        assert (bids, asks) == (rebuilt.bids.pairs()[:levels], rebuilt.asks.pairs()[:levels])


def test_a_side_that_is_empty_has_no_levels_and_no_depth():
    data = data_of(crash())
    book = data["books"][0]
    times, ladders = times_of(data, book), ladders_of(book)
    bids, asks = (unpack(side) for side in book["near"])
    after = times >= LOW_S * 1000
    assert [ladders[frame][0] for frame in np.flatnonzero(after)] == [[]] * after.sum()
    assert (bids[after] == 0).all()
    assert (bids[(times > 0) & ~after] > 0).all()
    assert (asks[times > 0] > 0).all()
    alone = MemoryRecorder()
    drive([SubmitOrder(1, SELL, 4, 1000), SubmitOrder(2, SELL, 4, 1001, time_ns=S)], alone)
    data = data_of(alone.run())
    book = data["books"][0]
    assert [bids for bids, _ in ladders_of(book)] == [[]] * len(times_of(data, book))
    assert unpack(book["near"][0]).tolist() == [0.0] * len(times_of(data, book))
    assert unpack(book["near"][1])[-1] == pytest.approx(8.004)
    assert np.isnan(unpack(book["last"])).all()


def test_milestones_get_every_second_and_the_page_says_so():
    run = crash()
    found = section(Figures(run))
    data = data_of(run)
    times = times_of(data, data["books"][0])
    near = times[(times >= (SHOCK_S - 30) * 1000) & (times <= (SHOCK_S + 30) * 1000)]
    assert np.diff(near).tolist() == [1000.0] * 60
    assert "every 1 s from before the first milestone" in found.note
    assert "every 5 s elsewhere" in found.note
    assert data["marks"][0]["short"] == "shock"
    assert data["marks"][0]["ms"] == SHOCK_S * 1000
    assert data["dots"] == "forced trades"
    # the moment that is shown first is that of the lowest price
    assert data["books"][0]["shown_ms"] == (SHOCK_S + 30) * 1000


def test_dots_are_forced_trades_with_their_amounts():
    book = data_of(crash())["books"][0]
    dots = {key: unpack(book["dots"][key]).tolist() for key in ("ms", "price_ticks", "value", "kind")}
    assert dots["ms"] == [(SHOCK_S + 10 * n) * 1000 for n in (1, 2, 3)] + [LOW_S * 1000]
    # 9 lots were left at the first price; the last lot of each sale met the next one: mean prices
    assert dots["price_ticks"] == [999, 998, round((9 * 997 + 200) / 10), 200]
    assert dots["value"][-1] == pytest.approx(39 * 200 * 0.001)
    assert {book["dots"]["kinds"][int(kind)] for kind in dots["kind"]} == {"stop out"}


def test_a_run_without_trades_and_one_without_orders():
    quiet = MemoryRecorder()
    drive([SubmitOrder(1, BUY, 4, 990), SubmitOrder(2, SELL, 4, 1010)], quiet)
    for recorder, levels in ((quiet, [([(990, 4)], [(1010, 4)])]), (MemoryRecorder(), [([], [])])):
        data = data_of(recorder.run())
        book = data["books"][0]
        assert ladders_of(book) == levels
        assert data["dots"] == "largest trades"
        assert unpack(book["dots"]["ms"]).tolist() == []
        assert data["whole"]
        assert data["marks"] == []
    assert section(Figures(MemoryRecorder(HEADER._replace(instruments=[])).run())).parts == []


def test_books_beyond_the_chosen_ones_are_coarser_and_the_page_says_so(monkeypatch):
    monkeypatch.setattr(book_picture, "MOST_IN_DETAIL", 1)
    run = crash(levels=9, group="coins")
    data = data_of(run)
    alt, btc = data["books"]
    assert (alt["name"], alt["detail"], alt["ladder"]["levels"]) == ("ALT-USDT", True, 14)
    assert (btc["name"], btc["detail"], btc["ladder"]["levels"]) == ("BTC-USDT", False, 10)
    assert len(times_of(data, btc)) < len(times_of(data, alt))
    assert set(times_of(data, btc)) < set(times_of(data, alt))
    assert "The other book: the ladder's best 10 levels" in section(Figures(run)).note


def test_the_book_that_fell_most_comes_first():
    recorder = MemoryRecorder()
    recorder.milestone(1 * S, "shock A", -170_000, "ppm")
    for number, prices in ((0, (1000, 900)), (1, (1000, 500))):
        commands = [SubmitOrder(n, BUY, 2, price) for n, price in enumerate(prices)]
        commands += [SubmitOrder(10 + n, SELL, lots, 1, time_ns=n * 2 * S) for n, lots in enumerate((1, 2))]
        drive(commands, recorder, instrument_id=number)
    assert [book["name"] for book in data_of(recorder.run())["books"]] == ["BTC-USDT", "ALT-USDT"]


def test_lots_beyond_what_a_script_holds_are_cut_to_a_power_of_ten():
    recorder = MemoryRecorder()
    drive([SubmitOrder(1, BUY, 3 * LIMIT + 345, 1), SubmitOrder(2, BUY, 70, 2)], recorder)
    packed = data_of(recorder.run())["books"][0]["ladder"]["lots"]
    assert packed["m"] == 10
    assert unpack(packed).tolist() == [-(-(3 * LIMIT + 345) // 10) * 10, 70]


def test_a_small_level_beside_lots_beyond_what_a_script_holds_stays():
    recorder = MemoryRecorder()
    drive([SubmitOrder(1, BUY, 7 * 10**15, 1), SubmitOrder(2, BUY, 1, 2)], recorder)
    assert ladders_of(data_of(recorder.run())["books"][0])[-1] == ([(2, 10), (1, 7 * 10**15)], [])


def test_prices_beyond_what_a_script_holds_are_left_out():
    recorder = MemoryRecorder()
    drive([SubmitOrder(1, SELL, 5, LIMIT), SubmitOrder(2, SELL, 5, 2 * LIMIT), SubmitOrder(3, SELL, 5, 40)], recorder)
    drive([SubmitOrder(1, SELL, 5, LIMIT), SubmitOrder(2, BUY, 5, LIMIT)], recorder, instrument_id=1)
    alt, btc = data_of(recorder.run())["books"]
    assert ladders_of(alt) == [([], [(40, 5)])]
    assert unpack(btc["last"]).tolist() == [LIMIT - 1]


def test_texts_from_the_scenario_stay_text():
    name = "ALT-USDT"
    base = "</script><script>alert(1)</script>"
    recorder = MemoryRecorder(
        HEADER._replace(instruments=[InstrumentInfo(0, name, base, "{b}<b>", "0.01", "0.1", "0.001")])
    )
    drive([SubmitOrder(1, BUY, 4, 990)], recorder)
    text = render(page(section(Figures(recorder.run()))))
    assert "alert(1)" not in text or "</script><script>alert(1)" not in text
    assert text.count("<script") == text.count("</script>")


def page(one):
    return Page("Books", "", Headline("A book."), [one], Provenance())


# --- times, rows, colours ---------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    end_ns=st.one_of(st.integers(0, 10**6), st.integers(0, 5 * 10**14)),
    shares=st.lists(st.floats(0, 1), max_size=15),
)
def test_moments_ascend_from_beginning_to_end_and_are_bounded(end_ns, shares):
    marks = [int(share * end_ns) for share in shares]
    fine, coarse = (moments(end_ns, marks, detail=detail) for detail in (True, False))
    for one in (fine, coarse):
        assert (one.times[0], one.times[-1]) == (0, end_ns)
        assert (np.diff(one.times) > 0).all()
        assert 0 <= one.window[0] <= one.window[1] <= end_ns
    assert set(coarse.times.tolist()) <= set(fine.times.tolist())
    limit = book_data.MOST_EVEN if not marks else sum((1000, 1000, 450)) + 2 * len(marks)
    assert len(fine.times) <= limit + 4
    for mark in marks:
        around = fine.times[np.abs(fine.times - mark) <= book_data.NEAR_NS]
        assert len(around) < 2 or np.diff(around).max() <= max(fine.near_ns, 1)


@given(length=st.integers(1, 10**18), most=st.integers(1, 2000))
def test_a_nice_step_is_the_shortest_round_one_that_fits(length, most):
    step = nice_step(length, most)
    assert step * most >= length
    shorter = [one for one in book_data._STEPS if one < step]
    assert not shorter or shorter[-1] * most < length


@given(low=st.integers(-5, 10**12), span=st.integers(0, 10**12), rows=st.integers(1, 300))
def test_rows_cover_all_prices_and_are_whole_ticks(low, span, rows):
    edges, log = row_edges(low, low + span, rows)
    assert (np.diff(edges) >= 1).all()
    assert len(edges) - 1 <= rows
    assert edges[0] == max(1, low)
    assert edges[-1] > max(1, low + span)
    assert log == (max(1, low + span) + 1 > 1.5 * max(1, low))
    if not log:
        assert len(set(np.diff(edges).tolist())) == 1


@given(values=st.lists(st.integers(0, 10**15), min_size=1, max_size=60), unit=st.sampled_from([1.0, 1e-3, 2.5]))
def test_colours_keep_order_and_only_empty_cells_are_empty(values, unit):
    depth = np.array(values)
    low, high = colour_scale(depth, unit)
    assert low > 0
    assert high >= 10 * low
    codes = colours(depth, unit, (low, high))
    assert ((codes == 0) == (depth == 0)).all()
    assert codes.min() >= 0
    assert codes.max() <= COLOURS
    assert (np.diff(codes[np.argsort(depth, kind="stable")]) >= 0).all()
    # a cell's colour gives its depth back to half a step of the scale
    inside = (depth * unit >= low) & (depth * unit <= high)
    back = low * (high / low) ** ((codes[inside] - 1) / (COLOURS - 1))
    half = (high / low) ** (0.5 / (COLOURS - 1)) * (1 + 1e-9)
    assert ((back <= depth[inside] * unit * half) & (back * half >= depth[inside] * unit)).all()
