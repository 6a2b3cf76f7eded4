import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim import OrderBook
from lobsim.errors import TapeError
from lobsim.events import EventKind, Purpose, Side
from lobsim.sim.tapes import BinanceL2Tape, apply_command
from lobsim.sim.tapes import binance_l2 as binance_module
from lobsim.sim.tapes.base import FIRST_TAKER_ID, level_id
from lobsim.sim.tapes.binance_files import BestQuote, DepthDiff, DepthSnapshot, Print, coarsest_step, read_records

from .builders import START_NS, diff_line, quote_line, replay, snapshot_line, trade_line, write_lines

BUY, SELL = Side.BUY, Side.SELL
SNAPSHOT = snapshot_line(0, 10, [("100.00", "5.0"), ("99.50", "2.0")], [("100.50", "1.0"), ("101.00", "4.0")])


def tape_of(folder: Path, lines: list[str], **options: object) -> BinanceL2Tape:
    given = {"tick": "0.1", "lot": "0.1", **options}
    return BinanceL2Tape(write_lines(folder / "tape.jsonl", lines), **given)  # type: ignore[arg-type]


def trades_of(steps: list) -> list[tuple[Side, int, int]]:
    events = [event for _, events in steps for event in events if event[0] == EventKind.TRADE]
    return [(trade.aggressor_side, trade.price, trade.qty) for trade in events]


def test_levels_are_orders_and_diffs_set_them(tmp_path: Path) -> None:
    tape = tape_of(
        tmp_path,
        [
            SNAPSHOT,
            diff_line(100, 9, 10, [("1.00", "9.0")], []),  # in the snapshot already
            diff_line(200, 11, 12, [("100.00", "6.5"), ("99.50", "0.0")], [("100.50", "0.5"), ("102.00", "1.0")]),
            diff_line(
                300, 13, 13, [("98.00", "0.0")], [("100.50", "0.5")]
            ),  # a level that was not there, and no change
        ],
    )
    assert (tape.symbol, tape.start_utc) == ("TESTUSDT", "2023-11-14T22:13:20Z")
    book, steps = replay(tape)
    assert book.bids() == [(1000, 65)]
    assert book.asks() == [(1005, 5), (1010, 40), (1020, 10)]
    assert {book.order(level_id(BUY, 1000)).purpose, book.order(level_id(SELL, 1020)).purpose} == {Purpose.TAPE}
    assert [batch.time_ns for batch, _ in steps] == [0, 200, 300]
    assert [note.kind for batch, _ in steps for note in batch.notes] == ["snapshot"]
    assert not steps[2][0].commands
    assert tape.skipped == {"old_diff": 1}


def test_a_print_is_a_marketable_order_that_trades_what_was_told(tmp_path: Path) -> None:
    lines = [
        SNAPSHOT,
        trade_line(10, "100.0", "2.0", seller=True),
        trade_line(20, "99.5", "3.0", seller=True),  # so nothing is left at 100.0, and 3.0 were there
        trade_line(30, "101.0", "1.0", seller=False),
        trade_line(40, "99.0", "1.0", seller=False),  # an ask below the bids: they are no more
        diff_line(100, 11, 15, [("100.00", "0.0"), ("99.50", "0.0"), ("98.50", "1.0")], [("99.0", "1.5")]),
    ]
    book, steps = replay(tape_of(tmp_path, lines))
    assert trades_of(steps) == [(SELL, 1000, 20), (SELL, 995, 30), (BUY, 1010, 10), (BUY, 990, 10)]
    # the diff names neither ask: they did not change, whatever the prints seemed to say
    assert book.asks() == [(990, 15), (1005, 10), (1010, 40)]
    assert book.bids() == [(985, 10)]
    takers = [c for batch, _ in steps for c in batch.commands if c[0] >= FIRST_TAKER_ID]
    assert len({c.order_id for c in takers}) == 4

    without, steps = replay(tape_of(tmp_path, lines, trades=False))
    assert not trades_of(steps)
    assert (without.bids(), without.asks()) == (book.bids(), book.asks())


def test_a_late_print_leaves_the_book_as_the_diff_made_it(tmp_path: Path) -> None:
    lines = [
        SNAPSHOT,
        diff_line(100, 11, 12, [("100.00", "0.0")], [("100.0", "2.0")], event_ms=5_000),
        trade_line(110, "100.0", "5.0", seller=True, trade_ms=4_990),
        trade_line(120, "100.5", "1.0", seller=False, trade_ms=5_000),
    ]
    tape = tape_of(tmp_path, lines)
    book, steps = replay(tape)
    assert trades_of(steps) == [(SELL, 1000, 50), (BUY, 1005, 10)]
    assert book.bids() == [(995, 20)]
    assert book.asks() == [(1000, 20), (1005, 10), (1010, 40)]
    assert tape.counts["late_trades"] == 2


def test_a_level_that_only_a_print_touched_gets_its_quantity_back(tmp_path: Path) -> None:
    tape = tape_of(
        tmp_path,
        [SNAPSHOT, trade_line(10, "100.0", "5.0", seller=True), diff_line(100, 11, 12, [], [("103.0", "1.0")])],
    )
    book, _ = replay(tape)
    assert book.bids() == [(1000, 50), (995, 20)]
    assert tape.counts["restored"] == 1


def test_what_prints_touched_twice_goes_back_to_what_the_last_diff_left(tmp_path: Path) -> None:
    prints = [trade_line(10, "100.0", "2.0", seller=True), trade_line(11, "100.0", "2.0", seller=True)]
    book, _ = replay(tape_of(tmp_path, [SNAPSHOT, *prints, diff_line(100, 11, 12, [], [])]))
    assert book.bids() == [(1000, 50), (995, 20)]


def test_a_new_snapshot_forgets_what_prints_touched(tmp_path: Path) -> None:
    newer = snapshot_line(20, 11, [("100.0", "7.0")], [("101.0", "4.0")])
    lines = [SNAPSHOT, trade_line(10, "100.0", "2.0", seller=True), newer, diff_line(30, 12, 12, [], [])]
    tape = tape_of(tmp_path, lines)
    book, steps = replay(tape)
    assert (book.bids(), book.asks()) == ([(1000, 70)], [(1010, 40)])
    assert len(trades_of(steps)) == 1
    assert tape.counts["snapshots"] == 2


def test_a_level_that_would_cross_is_stale(tmp_path: Path) -> None:
    tape = tape_of(tmp_path, [SNAPSHOT, diff_line(100, 11, 12, [("100.7", "1.0")], [])])
    book, steps = replay(tape)
    assert book.best_bid == 1007
    assert book.asks() == [(1010, 40)]
    assert not trades_of(steps)
    assert tape.counts["stale_canceled"] == 1


def test_diffs_wait_for_their_snapshot_and_a_gap_for_the_next(tmp_path: Path) -> None:
    tape = tape_of(
        tmp_path,
        [
            diff_line(0, 8, 9, [("1.0", "1.0")], []),
            trade_line(0, "1.0", "1.0", seller=True),
            diff_line(0, 10, 11, [("99.0", "1.0")], []),
            SNAPSHOT,
            diff_line(100, 13, 14, [("98.0", "1.0")], []),  # 12 is missing
            trade_line(110, "100.0", "1.0", seller=True),
            diff_line(200, 15, 16, [("97.0", "1.0")], []),
            snapshot_line(300, 14, [("98.0", "1.0")], [("101.0", "1.0")]),
            snapshot_line(400, 3, [("1.0", "1.0")], []),
        ],
    )
    book, steps = replay(tape)
    assert book.bids() == [(980, 10), (970, 10)]
    assert book.asks() == [(1010, 10)]
    assert [(note.kind, note.time_ns) for batch, _ in steps for note in batch.notes] == [
        ("snapshot", 0),
        ("gap", 100),
        ("snapshot", 300),
    ]
    assert tape.skipped == {"old_diff": 2, "out_of_sync": 2, "old_snapshot": 1}
    assert tape.counts["gaps"] == 1


def test_a_recording_that_ends_in_a_gap_says_so(tmp_path: Path) -> None:
    tape = tape_of(tmp_path, [SNAPSHOT, diff_line(1, 13, 14, [], []), diff_line(2, 15, 16, [], [])])
    replay(tape)
    assert tape.skipped == {"diffs_without_snapshot": 2}


def test_futures_chain_their_diffs_by_pu(tmp_path: Path) -> None:
    lines = [
        SNAPSHOT,
        diff_line(1, 5, 12, [("100.0", "1.0")], [], previous=4),  # the first may start before the snapshot
        diff_line(2, 20, 22, [("100.0", "2.0")], [], previous=12),  # ids jump, the chain does not
        diff_line(3, 23, 24, [("100.0", "3.0")], [], previous=23),
    ]
    tape = tape_of(tmp_path, lines)
    book, _ = replay(tape)
    assert book.best_bid_qty == 20
    assert tape.counts["gaps"] == 1


def test_other_symbols_and_streams_are_counted(tmp_path: Path) -> None:
    lines = [
        diff_line(0, 1, 2, [], []),
        SNAPSHOT,
        diff_line(0, 11, 12, [("100.0", "9")], [], symbol="OTHER"),
        trade_line(0, "1", "1", seller=True, symbol="OTHER"),
        f'{START_NS} {{"stream":"x@kline","data":{{"e":"kline"}}}}',
        f'{START_NS} {{"result":null,"id":1}}',
    ]
    tape = tape_of(tmp_path, lines)
    book, _ = replay(tape)
    assert book.best_bid_qty == 50
    assert tape.skipped == {"other_symbol": 2, "unknown_stream": 2, "old_diff": 1}


def test_records_are_read_with_or_without_a_stream_around_them(tmp_path: Path) -> None:
    bare = json.loads(trade_line(0, "1", "2", seller=False).split(" ", 1)[1])["data"]
    lines = [
        SNAPSHOT,
        f"{START_NS} {json.dumps(bare)}",
        quote_line(0, 3, "1", "2", "3", "4"),
        diff_line(0, 11, 12, [], []),
    ]
    kinds = [type(record) for record in read_records(write_lines(tmp_path / "tape", lines))]
    assert kinds == [DepthSnapshot, Print, BestQuote, DepthDiff]


@pytest.mark.parametrize(
    ("texts", "step"),
    [
        (["1", "200"], "1"),
        (["1.50", "2.000"], "0.1"),
        (["0.00000001"], "0.00000001"),
        (["1e-8", "3"], "0.00000001"),
        ([], "1"),
    ],
)
def test_the_grid_is_the_coarsest_power_of_ten_that_fits(texts: list[str], step: str) -> None:
    assert coarsest_step(texts) == step


def test_tick_and_lot_are_taken_from_the_whole_file(tmp_path: Path) -> None:
    lines = [SNAPSHOT, diff_line(1, 11, 11, [("98.50", "1.25")], []), trade_line(2, "100.00", "0.001", seller=True)]
    tape = tape_of(tmp_path, lines, tick=None, lot=None)
    assert (tape.tick, tape.lot) == ("0.1", "0.001")
    assert replay(tape)[0].bids() == [(1000, 4999), (995, 2000), (985, 1250)]


LATE = str(START_NS - 1)
FAULTS = {
    "no time": "a line is",
    "12x {}": "a line is",
    f"{START_NS}": "a line is",
    f"{START_NS} [1]": "a line is",
    f"{LATE} {{}}": "time goes back",
    f"{START_NS} {{": "a line is",
    f'{START_NS} {{"a":}}': "no valid JSON",
    f'{START_NS} {{"a":NaN}}': "NaN is no number",
    f'{START_NS} {{"a":' + "9" * 5_000 + "}": "no valid JSON",
    f'{START_NS} {{"a":' + "[" * 50_000 + "]" * 50_000 + "}": "no valid JSON",
    f'{START_NS} {{"data":[1]}}': "'data' must be an object",
    f'{START_NS} {{"lastUpdateId":-1,"bids":[],"asks":[]}}': "'lastUpdateId' must be a whole number",
    f'{START_NS} {{"lastUpdateId":1e400,"bids":[],"asks":[]}}': "'lastUpdateId' must be a whole number",
    f'{START_NS} {{"lastUpdateId":true,"bids":[],"asks":[]}}': "'lastUpdateId' must be a whole number",
    f'{START_NS} {{"lastUpdateId":{1 << 63},"bids":[],"asks":[]}}': "'lastUpdateId' must be a whole number",
    f'{START_NS} {{"lastUpdateId":11,"bids":[],"asks":{{}}}}': "'asks' must be a list",
    f'{START_NS} {{"lastUpdateId":11,"bids":[["1"]],"asks":[]}}': "'bids' must be a list",
    f'{START_NS} {{"lastUpdateId":11,"bids":[[1.0,"1"]],"asks":[]}}': "'bids' must hold decimal numbers",
    f'{START_NS} {{"lastUpdateId":11,"bids":[["1","-1"]],"asks":[]}}': "'bids' must hold decimal numbers",
    f'{START_NS} {{"lastUpdateId":11,"bids":[["1","1e3"]],"asks":[]}}': "'bids' must hold decimal numbers",
    f'{START_NS} {{"lastUpdateId":11,"bids":[["Infinity","1"]],"asks":[]}}': "'bids' must hold decimal numbers",
    f'{START_NS} {{"lastUpdateId":11,"bids":[["{"9" * 24}","1"]],"asks":[]}}': "a price must be",
    f'{START_NS} {{"lastUpdateId":11,"bids":[["0","1"]],"asks":[]}}': "a price must be",
    f'{START_NS} {{"lastUpdateId":11,"bids":[["1","{"9" * 24}"]],"asks":[]}}': "a quantity must be",
    f'{START_NS} {{"lastUpdateId":11,"bids":[["2","1"]],"asks":[["2","1"]]}}': "bids must lie below its asks",
    diff_line(0, 12, 11, [], []): "'U' must not be greater",
    diff_line(0, 11, 12, [("100.05", "1.0")], []): "off the tick grid",
    diff_line(0, 11, 12, [("100.0", "1.05")], []): "off the lot grid",
    diff_line(0, 11, 12, [("100.0", "1.0")], [("100.0", "1.0")]): "bids must lie below its asks",
    diff_line(0, 11, 12, [], [], symbol="x" * 33): "'s' must be a symbol",
    trade_line(0, "100.0", "0.0", seller=True): "quantity must be greater than 0",
    trade_line(0, "100.0", "abc", seller=True): "'q' must be a decimal",
    trade_line(0, "100.0", "1", seller=True).replace("true", '"yes"'): "'m' must be true or false",
    quote_line(0, 1, "1", "x", "3", "4"): "'B' must be a decimal",
}


@pytest.mark.parametrize("rule", sorted(set(FAULTS.values())))
def test_a_damaged_line_is_refused_with_file_line_rule_and_value(tmp_path: Path, rule: str) -> None:
    for line in (line for line, its_rule in FAULTS.items() if its_rule == rule):
        with pytest.raises(TapeError, match=rf"tape\.jsonl, line 2: .*{rule}") as caught:
            replay(tape_of(tmp_path, [SNAPSHOT, line], symbol="TESTUSDT"))
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < len(str(tmp_path)) + 300


def test_what_is_wrong_with_a_whole_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TapeError, match="the tape is empty"):
        tape_of(tmp_path, [])
    with pytest.raises(TapeError, match="needs a depth snapshot"):
        replay(tape_of(tmp_path, [diff_line(0, 1, 2, [], [])]))
    with pytest.raises(TapeError, match="price step"):
        tape_of(tmp_path, [SNAPSHOT], tick="0")
    monkeypatch.setattr(binance_module, "MAX_WAITING_LEVELS", 5)
    with pytest.raises(TapeError, match="line 3: no snapshot for more than 5 changed levels"):
        replay(tape_of(tmp_path, [diff_line(0, i, i, [("1", "1")], []) for i in range(1, 9)]))
    prints = [trade_line(0, f"{90 - i}", "1", seller=True) for i in range(9)]
    with pytest.raises(TapeError, match="trades at more than 5 levels without a diff"):
        replay(tape_of(tmp_path, [SNAPSHOT, *prints]))


def test_wrong_encodings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    path.write_bytes(SNAPSHOT.encode("utf-16"))
    with pytest.raises(TapeError, match="line 1: binary data"):
        BinanceL2Tape(path)
    path.write_bytes(f'{START_NS} {{"s":"'.encode() + b'\xff\xfe"}\n')
    with pytest.raises(TapeError, match="line 1: no valid JSON"):
        BinanceL2Tape(path)


# --- an exchange that records itself ---------------------------------------------------------------------------------

ACTION = st.tuples(
    st.sampled_from(["set", "set", "set", "trade", "trade", "diff", "late"]),
    st.sampled_from([BUY, SELL]),
    st.integers(1, 20),
    st.integers(0, 9),
)


class NaiveExchange:
    """Levels as a dictionary per side; tells trades at once and levels now and then, as Binance does."""

    def __init__(self) -> None:
        self.levels: dict[Side, dict[int, int]] = {BUY: {100: 5, 99: 3}, SELL: {101: 4, 103: 2}}
        self.lines = [snapshot_line(0, 1, *self._texts(BUY, SELL))]
        self.truths: list[tuple[dict[int, int], dict[int, int]]] = []
        self.prints: list[tuple[Side, int, int]] = []
        self._changed: dict[Side, set[int]] = {BUY: set(), SELL: set()}
        self._held: list[str] = []
        self._clock = 1_000

    def _texts(self, *sides: Side) -> list[list[tuple[str, str]]]:
        return [[(str(price), str(qty)) for price, qty in self.levels[side].items()] for side in sides]

    def act(self, action: str, side: Side, qty: int, pick: int) -> None:
        self._clock += 1
        own, other = self.levels[side], self.levels[Side(1 - side)]
        if action == "set":
            price = 100 - pick if side is BUY else 101 + pick
            if other and (price >= min(other) if side is BUY else price <= max(other)):
                return
            own[price] = qty
            if pick % 3 == 0:
                del own[price]
            self._changed[side].add(price)
        elif action in ("trade", "late"):
            self._trade(side, qty, late=action == "late")
        else:
            self.diff()

    def _trade(self, maker_side: Side, qty: int, *, late: bool) -> None:
        levels = self.levels[maker_side]
        taker_side = Side(1 - maker_side)
        while qty and levels:
            price = max(levels) if maker_side is BUY else min(levels)
            filled = min(qty, levels[price])
            qty -= filled
            levels[price] -= filled
            if not levels[price]:
                del levels[price]
            self._changed[maker_side].add(price)
            line = trade_line(len(self.lines), str(price), str(filled), seller=maker_side is BUY, trade_ms=self._clock)
            (self._held if late else self.lines).append(line)
            self.prints.append((taker_side, price, filled))

    def diff(self) -> None:
        self._clock += 1
        number = len(self.truths) + 2
        bids, asks = (
            [(str(price), str(self.levels[side].get(price, 0))) for price in sorted(self._changed[side])]
            for side in (BUY, SELL)
        )
        self.lines.append(diff_line(len(self.lines), number, number, bids, asks, event_ms=self._clock))
        self.truths.append((dict(self.levels[BUY]), dict(self.levels[SELL])))
        self._changed = {BUY: set(), SELL: set()}
        for line in self._held:  # these arrive after the diff that accounts for them
            self.lines.append(f"{START_NS + len(self.lines)} {line.split(' ', 1)[1]}")
        self._held = []


@settings(max_examples=200, deadline=None)
@given(actions=st.lists(ACTION, min_size=1, max_size=60))
def test_after_every_diff_the_book_is_the_exchanges(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple]
) -> None:
    exchange = NaiveExchange()
    for action in actions:
        exchange.act(*action)
    exchange.diff()
    path = write_lines(tmp_path_factory.getbasetemp() / "self-recorded.jsonl", exchange.lines)
    for with_trades in (False, True):
        tape = BinanceL2Tape(path, tick="1", lot="1", trades=with_trades)
        book = OrderBook(tape.tick, tape.lot)
        diffs, prints = 0, []
        for record in tape.records():
            for batch in tape.enter(record, book):
                events = [event for command in batch.commands for event in apply_command(book, command)]
                trades = [(e.aggressor_side, e.price, e.qty) for e in events if e[0] == EventKind.TRADE]
                assert not trades or isinstance(record, Print)
                prints += trades
                book.check()
            if isinstance(record, DepthDiff):
                assert (dict(book.bids()), dict(book.asks())) == exchange.truths[diffs]
                diffs += 1
        bids, asks = exchange.truths[-1]
        assert (dict(book.bids()), dict(book.asks())) == (bids, asks)  # late prints leave no trace
        if with_trades:
            assert sorted(prints) == sorted(exchange.prints)


# --- real data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_trades", [False, True])
def test_ether_in_the_first_3000_lines(data_folder: Callable[[str], Path], with_trades: bool) -> None:
    path = data_folder("binance-l2-2024-08-08") / "ethusdt_spot_20240808.jsonl.xz"
    tape = BinanceL2Tape(path, tick="0.01", lot="0.00001", trades=with_trades)
    assert (tape.symbol, tape.start_utc) == ("ETHUSDT", "2024-08-08T23:54:14Z")
    book = OrderBook(tape.tick, tape.lot)
    records = list(islice(tape.records(), 3_000))
    told = {record.update_id: record for record in records if isinstance(record, BestQuote)}
    checked = prints = 0
    for record in records:
        for batch in tape.enter(record, book):
            events = [event for command in batch.commands for event in apply_command(book, command)]
            prints += sum(event[0] == EventKind.TRADE for event in events)
        if isinstance(record, DepthDiff) and tape.counts["diffs"]:
            quote = told[max(update for update in told if update <= record.last_id)]
            texts = (quote.bid, quote.bid_qty, quote.ask, quote.ask_qty)
            ticks, lots = book.tick_grid.count, book.lot_grid.count
            assert (book.best_bid, book.best_bid_qty, book.best_ask, book.best_ask_qty) == (
                ticks(texts[0]),
                lots(texts[1]),
                ticks(texts[2]),
                lots(texts[3]),
            )
            checked += 1
    book.check()
    assert checked > 250
    assert prints == (sum(isinstance(record, Print) for record in records[6:]) if with_trades else 0)
