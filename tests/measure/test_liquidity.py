"""Depth and slippage from records: hand-made cases, the naive definition, and what the engine then really charges."""

from __future__ import annotations

from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.book import OrderBook
from lobsim.errors import InputError, RunError
from lobsim.events import Purpose, Side, SubmitOrder
from lobsim.measure import book_at, depth, depth_at, slippage, slippage_of
from lobsim.testing.strategies import Range, command_lists
from tests.measure.recording import MemoryRecorder, apply, drive

BUY, SELL = Side
WIDE = Range(spread=30, max_qty=40, order_ids=40, owners=3)
BANDS = ("0.5", "1", "7", "30")


def ladder(bids=(), asks=(), instrument_id=0):
    """A run whose book holds these levels from time 0 on (ALT-USDT: tick 0.01, lot 0.1)."""
    recorder = MemoryRecorder()
    orders = [SubmitOrder(number, BUY, qty, price) for number, (price, qty) in enumerate(bids)]
    orders += [SubmitOrder(100 + number, SELL, qty, price) for number, (price, qty) in enumerate(asks)]
    drive(orders, recorder, instrument_id=instrument_id)
    return recorder.run()


def test_depth_by_hand():
    run = ladder(bids=[(1000, 10), (990, 20), (989, 40)], asks=[(1001, 7), (1011, 5)])
    frame = depth(run, "ALT-USDT", ["1"], at=0, ref="best")
    assert frame.columns == [
        "time_ns", "time", "instrument", "ref_price", "band_pct", "side", "depth_lots", "depth_qty", "depth_quote"
    ]  # fmt: skip
    bid, ask = frame.to_dicts()
    assert (bid["side"], bid["ref_price"], bid["depth_lots"]) == ("bid", 10.0, 30)
    assert bid["depth_quote"] == pytest.approx(1.0 * 10.0 + 2.0 * 9.9)
    assert (ask["side"], ask["ref_price"], ask["depth_lots"]) == ("ask", 10.01, 12)
    # from mid = 10.005 the edges are 9.90495 and 10.10505
    assert depth(run, "ALT-USDT", ["1"], at=0)["depth_lots"].to_list() == [10, 7]


def test_empty_side_is_zero_and_missing_reference_is_null():
    run = ladder(asks=[(1001, 7)])
    frame = depth(run, "ALT-USDT", ["1"], at=0)
    assert frame["ref_price"].to_list() == [None, None]
    assert frame["depth_lots"].to_list() == [0, None]
    best = depth(run, "ALT-USDT", ["1"], at=0, ref="best")
    assert best["ref_price"].to_list() == [None, 10.01]
    assert best["depth_lots"].to_list() == [0, 7]


def test_slippage_by_hand():
    run = ladder(bids=[(1000, 10), (900, 10)], asks=[(1002, 5)])
    frame = slippage(run, "ALT-USDT", SELL, ["10", "14.5", "19", "20"], at=0)
    assert frame["filled_lots"].to_list() == [10, 15, 20, 20]
    assert frame["filled_share"].to_list() == [1, 1, 1, pytest.approx(0.95)]
    assert frame["vwap"].to_list() == pytest.approx([10, 14.5 / 1.5, 9.5, 9.5])
    assert frame["worst_price"].to_list() == [10, 9, 9, 9]
    assert frame["slippage"].to_list()[:3] == pytest.approx([1 - 10 / 10.01, 1 - 14.5 / 1.5 / 10.01, 1 - 9.5 / 10.01])
    assert frame["slippage"][3] is None
    assert slippage(run, "ALT-USDT", "buy", [1], at=0, ref="best")["slippage"].to_list() == [None]  # below one lot
    assert slippage(run, "ALT-USDT", "buy", [1.1], at=0, ref="best")["slippage"].to_list() == [0]


def test_slippage_without_a_book_is_null():
    frame = slippage(ladder(), "ALT-USDT", SELL, ["1"], at=[0, "45m"])
    assert frame["slippage"].to_list() == [None, None]
    assert frame["filled_share"].to_list() == [0, 0]
    assert frame["vwap"].to_list() == [None, None]


levels = st.dictionaries(st.integers(1, 200), st.integers(1, 50), max_size=15)


@settings(deadline=None, max_examples=60)
@given(levels=levels, notional=st.integers(1, 60_000), side=st.sampled_from(Side))
def test_slippage_of_spends_as_much_as_whole_lots_allow(levels, notional, side):
    ordered = sorted(levels.items(), reverse=side is BUY)
    lots = [price for price, qty in ordered for _ in range(qty)]
    count = 0
    while count < len(lots) and sum(lots[: count + 1]) <= notional:
        count += 1
    fill = slippage_of(ordered, notional)
    assert (fill.lots, fill.notional) == (count, sum(lots[:count]))
    assert fill.worst_price == (lots[count - 1] if count else None)
    assert fill.complete == (sum(lots) >= notional)


@settings(deadline=None, max_examples=60)
@given(levels=levels, side=st.sampled_from(Side), twice=st.integers(2, 400), band=st.sampled_from(["0.1", "1", "33"]))
def test_depth_at_is_the_sum_within_the_band(levels, side, twice, band):
    reference = Fraction(twice, 2)
    inside = {
        p: q
        for p, q in levels.items()
        if (reference - p if side is BUY else p - reference) <= reference * Fraction(band) / 100
    }
    assert depth_at(sorted(levels.items()), side, reference, band) == (
        sum(inside.values()),
        sum(price * qty for price, qty in inside.items()),
    )


@settings(deadline=None, max_examples=60)
@given(
    commands=st.one_of(command_lists(), command_lists(span=WIDE, max_size=150)),
    times=st.lists(st.integers(0, 400), min_size=1, max_size=8),
    keyframes=st.lists(st.integers(0, 100), max_size=2),
    ref=st.sampled_from(["mid", "best"]),
    notionals=st.lists(st.integers(1, 30_000), min_size=1, max_size=3),
)
def test_frames_equal_the_naive_definition_on_rebuilt_books(commands, times, keyframes, ref, notionals):
    recorder = MemoryRecorder()
    drive(commands, recorder, keyframes=keyframes)
    run = recorder.run()
    deep = depth(run, "ALT-USDT", BANDS, at=times, ref=ref)
    slip = {
        side: slippage(run, "ALT-USDT", side, [quote_text(n) for n in notionals], at=times, ref=ref) for side in Side
    }
    for time_ns in sorted(set(times)):
        book = book_at(run, "ALT-USDT", time_ns)
        bests = [side.price[0] if len(side.price) else None for side in (book.bids, book.asks)]
        for side, rows in ((BUY, book.bids), (SELL, book.asks)):
            reference = _reference(bests, side, ref)
            for band in BANDS:
                row = deep.row(
                    by_predicate=(pl.col("time_ns") == time_ns)
                    & (pl.col("side") == ("bid" if side is BUY else "ask"))
                    & (pl.col("band_pct") == float(band)),
                    named=True,
                )
                if not len(rows.price):
                    expected = (0, 0)
                elif reference is None:
                    expected = (None, None)
                else:
                    expected = depth_at(rows.pairs(), side, reference, band)
                assert row["depth_lots"] == expected[0]
                assert row["depth_quote"] == (expected[1] and pytest.approx(expected[1] * 0.001))
            mine = slip[Side(1 - side)].filter(pl.col("time_ns") == time_ns)
            for notional, row in zip(notionals, mine.iter_rows(named=True), strict=True):
                fill = slippage_of(rows.pairs(hidden=True), notional)
                assert row["filled_lots"] == fill.lots
                assert row["filled_quote"] == pytest.approx(fill.notional * 0.001)
                assert (row["filled_share"] == 1) == fill.complete
                assert row["worst_price"] == (fill.worst_price and pytest.approx(fill.worst_price / 100))
                if fill.complete and fill.lots and reference is not None:
                    cost = abs(Fraction(fill.notional, fill.lots) / reference - 1)
                    assert row["slippage"] == pytest.approx(float(cost), abs=1e-12)
                else:
                    assert row["slippage"] is None


def quote_text(units: int) -> str:
    """Notional of so many ticks * lots in ALT-USDT's quote currency."""
    return f"{units // 1000}.{units % 1000:03}"


def _reference(bests, side, ref):
    if ref == "best":
        return None if bests[side] is None else Fraction(int(bests[side]))
    return None if None in bests else Fraction(int(bests[0] + bests[1]), 2)


@settings(deadline=None, max_examples=60)
@given(
    commands=command_lists(span=Range(spread=20, max_qty=30, order_ids=30, owners=2), max_size=80),
    side=st.sampled_from(Side),
    notional=st.integers(1, 20_000),
)
def test_slippage_is_what_the_order_then_costs_in_the_engine(commands, side, notional):
    recorder = MemoryRecorder()
    book = drive(commands, recorder)
    row = slippage(recorder.run(), "ALT-USDT", side, [quote_text(notional)], at=book.time_ns).row(0, named=True)
    if row["filled_lots"] == 0:
        return
    walk = book.walk(side, row["filled_lots"])
    assert walk.filled_qty == row["filled_lots"]
    assert walk.notional == round(row["filled_quote"] * 1000)
    assert walk.worst_price == round(row["worst_price"] * 100)
    one_more = book.walk(side, row["filled_lots"] + 1)
    assert one_more.filled_qty == row["filled_lots"] or one_more.notional > notional
    before = book.time_ns
    events = book.submit(999_999, side, row["filled_lots"], None, before, purpose=Purpose.SHOCK)
    trades = [event for event in events if event.kind == 1 and event.taker_id == 999_999]
    assert sum(trade.qty * trade.price for trade in trades) == walk.notional


def test_every_second_and_many_instruments():
    recorder = MemoryRecorder()
    books = [OrderBook(), OrderBook()]
    for second in range(300):
        for instrument_id, book in enumerate(books):
            now = second * 10**9 + instrument_id
            recorder.events(instrument_id, apply(book, SubmitOrder(second + 1, BUY, 1, 500 - second % 7, now)))
    run = recorder.run()
    frame = depth(run, None, ["50"], every="1s", ref="best")
    assert frame.height == 2 * 300 * 2
    bids = frame.filter(pl.col("side") == "bid").partition_by("instrument", as_dict=True)
    assert bids[("ALT-USDT",)]["depth_lots"].to_list() == list(range(1, 301))
    assert bids[("BTC-USDT",)]["depth_lots"].to_list() == list(range(300))
    assert frame["time"][0].isoformat() == "2025-10-10T20:30:00+00:00"
    for second in (0, 127, 128, 129, 299):  # block edges
        assert [(p, q) for p, q in book_at(run, "ALT-USDT", second * 10**9).bids.pairs()] == depth_levels(second)


def depth_levels(second: int) -> list[tuple[int, int]]:
    levels = [(500 - k, len(range(k, second + 1, 7))) for k in range(7)]
    return [(price, qty) for price, qty in levels if qty]


def test_numbers_beyond_64_bits_stay_exact():
    """Prices and quantities up to 2**53 multiply to 2**106."""
    big = 2**53
    run = ladder(bids=[(big, big), (big - 1, big)])
    units = big * big + 5 * (big - 1)
    notional = f"{units // 1000}.{units % 1000:03}"
    row = slippage(run, "ALT-USDT", SELL, [notional], at=0, ref="best").row(0, named=True)
    assert row["filled_lots"] == big + 5
    assert depth(run, "ALT-USDT", ["1"], at=0, ref="best")["depth_lots"].to_list() == [2 * big, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bands": ["0"]}, "bands"),
        ({"bands": ["x"]}, "band: 'x' is not a decimal"),
        ({"bands": []}, "bands"),
        ({"at": 0, "every": "1s"}, "either times"),
        ({"every": 0}, "every"),
        ({"every": "5 apples"}, "every"),
        ({"every": 1}, "rows are more than"),
        ({"at": []}, "at:"),
        ({"at": -5}, "outside the run"),
        ({"at": "noon"}, "noon"),
        ({"ref": "vwap"}, "ref: 'vwap'"),
        ({"instrument": "XRP"}, "no instrument 'XRP'; there are ALT-USDT, BTC-USDT"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    recorder = MemoryRecorder()
    drive([SubmitOrder(1, BUY, 1, 100, 10**9)], recorder)
    run = recorder.run()
    with pytest.raises((InputError, RunError), match=message):
        depth(run, **arguments)


@pytest.mark.parametrize(("side", "notionals"), [("up", [1]), (SELL, []), (SELL, [-1]), (SELL, ["nan"])])
def test_bad_slippage_arguments_are_refused(side, notionals):
    with pytest.raises(InputError, match=r"side|notional"):
        slippage(ladder(), "ALT-USDT", side, notionals)


def test_times_before_a_keyframe_are_not_seen_through_it():
    recorder = MemoryRecorder()
    orders = [SubmitOrder(number, BUY, 1, 100, number * 10) for number in range(1, 6)]
    drive(orders, recorder, keyframes=[1, 3])
    frame = depth(recorder.run(), "ALT-USDT", ["1"], at=[5, 10, 15, 20, 35, 50], ref="best")
    assert frame.filter(pl.col("side") == "bid")["depth_lots"].to_list() == [0, 1, 1, 2, 3, 5]
