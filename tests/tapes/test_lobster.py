import tracemalloc
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim import OrderBook
from lobsim.errors import TapeError
from lobsim.events import EventKind, Purpose, Side, TimeInForce
from lobsim.sim.tapes import LobsterTape, apply_command, replay_tape
from lobsim.sim.tapes.base import FIRST_LEVEL_ID, FIRST_TAKER_ID, level_id
from lobsim.sim.tapes.lobster import KnownHorizon
from lobsim.sim.tapes.lobster_files import BookRow, read_book_rows, read_messages

from .builders import LOBSTER_NAME, queues, replay, write_lines

BUY, SELL = Side.BUY, Side.SELL


def tape_of(folder: Path, lines: list[str], book_row: str | None = None, **options: str) -> LobsterTape:
    path = write_lines(folder / LOBSTER_NAME.format("message"), lines)
    book = None if book_row is None else write_lines(folder / LOBSTER_NAME.format("orderbook"), [book_row])
    return LobsterTape(path, book=book, **options)


def test_each_type_does_what_the_module_says(tmp_path: Path) -> None:
    tape = tape_of(
        tmp_path,
        [
            "34200.5,1,11,100,1000000,1",
            "34200.6,1,12,50,1000000,1",
            "34200.7,1,21,70,1000100,-1",
            "34201.25,2,11,40,1000000,1",  # 11: 60 left, still first
            "34201.25,4,11,10,1000000,1",
            "34202,4,21,70,1000100,-1",
            "34203,5,0,5,1000050,1",
            "34204,3,12,50,1000000,1",
            "34205,7,0,0,-1,-1",
            "34206,7,0,0,1,-1",
            "34207,6,0,900,1000000,-1",
        ],
    )
    assert (tape.symbol, tape.levels, tape.start_utc) == ("TEST", 5, "2012-06-21T13:30:00Z")
    book, steps = replay(tape)
    assert queues(book) == {(BUY, 1_000_000): [(11, 50)]}
    assert [batch.time_ns for batch, _ in steps][:5] == [
        500_000_000,
        600_000_000,
        700_000_000,
        1_250_000_000,
        1_250_000_000,
    ]
    assert [batch.line for batch, _ in steps] == list(range(1, 12))
    trades = [event for _, events in steps for event in events if event[0] == EventKind.TRADE]
    assert [(t.maker_id, t.aggressor_side, t.price, t.qty, t.purpose) for t in trades] == [
        (11, SELL, 1_000_000, 10, Purpose.TAPE),
        (21, BUY, 1_000_100, 70, Purpose.TAPE),
    ]
    orders = [command for batch, _ in steps for command in batch.commands if command[0] >= FIRST_TAKER_ID]
    assert [(order.order_id - FIRST_TAKER_ID, order.tif, order.price) for order in orders] == [
        (1, TimeInForce.IOC, 1_000_000),
        (2, TimeInForce.IOC, 1_000_100),
    ]
    notes = [(note.kind, note.side, note.price, note.qty) for batch, _ in steps for note in batch.notes]
    assert notes == [
        ("hidden_execution", BUY, 1_000_050, 5),
        ("halt", None, None, 0),
        ("trading_resumed", None, None, 0),
        ("cross", SELL, 1_000_000, 900),
    ]
    assert not tape.skipped
    assert tape.counts["executed"] == 2


def test_row_0_is_anonymous_volume_ahead_of_later_orders(tmp_path: Path) -> None:
    tape = tape_of(
        tmp_path,
        [
            "34200,1,99,18,1000000,1",  # already in row 0
            "34200.1,1,11,5,1000000,1",
            "34200.2,4,99,18,1000000,1",  # unknown: from the anonymous volume
            "34200.3,2,77,2,1000000,1",
            "34200.4,3,78,30,1000300,-1",
            "34200.5,3,79,1,1000300,-1",  # more than what is left: nothing is left
        ],
        "1000300,30,1000000,30,9999999999,0,990000,7,9999999999,0,-9999999999,0",
    )
    book, steps = replay(tape)
    assert len(steps[0][0].commands) == 3
    anonymous = level_id(BUY, 1_000_000)
    assert anonymous == FIRST_LEVEL_ID + 2_000_000
    assert queues(book) == {(BUY, 1_000_000): [(anonymous, 10), (11, 5)], (BUY, 990_000): [(level_id(BUY, 990_000), 7)]}
    assert tape.skipped == {"unknown_order": 1}
    again, _ = replay(tape)
    assert queues(again) == queues(book)
    assert tape.skipped == {"unknown_order": 1}


def test_what_a_real_feed_may_do_is_refused_and_counted(tmp_path: Path) -> None:
    tape = tape_of(
        tmp_path,
        [
            "34200,1,11,10,1000000,1",
            "34200,1,11,10,1000000,1",
            "34200,1,11,10,990000,1",
            "34200,4,55,10,1000000,1",
            "34200,3,56,10,1000000,-1",
            "34200,2,11,3,990000,1",  # the order is known, at another price: nothing is there
            "34200,4,11,3,1000000,-1",  # ... or on the other side
            "34200,4,11,30,1000000,1",  # more than the order has: what it has
        ],
    )
    book, steps = replay(tape)
    assert len(book) == 0
    assert tape.skipped == {"duplicate_id": 2, "unknown_order": 4, "more_than_open": 1}
    assert [event.qty for _, events in steps for event in events if event[0] == EventKind.TRADE] == [10]


def test_what_a_message_proves_to_be_gone_is_cancelled(tmp_path: Path) -> None:
    tape = tape_of(
        tmp_path,
        [
            "34200,1,1,10,1000000,1",
            "34200,1,2,10,1000200,1",
            "34200,1,3,10,1000400,-1",
            "34200,4,1,4,1000000,1",  # so 2, at a better price, is no more
            "34200,1,4,10,1000500,1",  # so 3 is no more
        ],
    )
    book, _ = replay(tape)
    assert queues(book) == {(BUY, 1_000_000): [(1, 6)], (BUY, 1_000_500): [(4, 10)]}
    assert tape.counts["stale_canceled"] == 2


def test_an_agents_orders_are_left_alone(tmp_path: Path) -> None:
    tape = tape_of(tmp_path, ["34200,1,1,10,1000000,1", "34200,4,1,4,1000000,1", "34200,1,4,10,1000500,1"])
    book = OrderBook(tape.tick, tape.lot)
    book.submit(1 << 62, BUY, 3, 1_000_200)
    book.submit((1 << 62) + 1, SELL, 3, 1_000_300)
    book, _ = replay(tape, book)
    # the tape's executions and orders meet the agent's, as they would have
    assert queues(book) == {(BUY, 1_000_000): [(1, 9)], (BUY, 1_000_500): [(4, 7)]}
    assert tape.counts["stale_canceled"] == 0


def test_an_agent_at_the_front_of_the_queue_is_hit_and_not_put_back(tmp_path: Path) -> None:
    tape = tape_of(tmp_path, ["34200,1,1,10,1000000,1", "34200,1,2,10,1000000,1", "34200,4,1,4,1000000,1"])
    book = OrderBook(tape.tick, tape.lot)
    agent = 1 << 62
    book.submit(agent, BUY, 3, 1_000_000)
    book, steps = replay(tape, book)
    assert queues(book) == {(BUY, 1_000_000): [(1, 9), (2, 10)]}
    assert [event.maker_id for event in steps[-1][1] if event[0] == EventKind.TRADE] == [agent, 1]
    assert tape.counts["queue_repaired"] == 0


@pytest.mark.parametrize("traded", [4, 10])
def test_a_maker_behind_others_is_hit_without_losing_step(tmp_path: Path, traded: int) -> None:
    tape = tape_of(
        tmp_path,
        [
            *(f"34200,1,{i},10,1000000,-1" for i in (1, 2, 3)),
            f"34200,4,2,{traded},1000000,-1",
            "34201,4,1,10,1000000,-1",
        ],
    )
    book, steps = replay(tape)
    left = [(2, 10 - traded)] if traded < 10 else []
    assert queues(book) == {(SELL, 1_000_000): [*left, (3, 10)]}
    makers = [event.maker_id for _, events in steps for event in events if event[0] == EventKind.TRADE]
    assert makers == [1, 1]  # price-time priority decides, and the repair gives 1 its place back
    assert tape.counts["queue_repaired"] == 1


def test_times_are_exact_and_noise_beyond_the_nanosecond_is_rounded(tmp_path: Path) -> None:
    texts = ["34200", "34200.000000001", "35821.088778456004", "35821.088778456996", "35821.9999999995", "35823.100"]
    path = write_lines(tmp_path / "messages", [f"{text},1,{i + 1},1,100,1" for i, text in enumerate(texts)])
    assert [message.time_ns for message in read_messages(path)] == [
        34200_000000000,
        34200_000000001,
        35821_088778456,
        35821_088778457,
        35822_000000000,
        35823_100000000,
    ]
    tape = LobsterTape(path)
    assert (tape.symbol, tape.start_utc, tape.levels) == ("", None, None)
    assert LobsterTape(path, date="2024-01-05").start_utc == "2024-01-05T14:30:00Z"  # winter time


def test_tick_and_lot_are_kept(tmp_path: Path) -> None:
    lines = ["34200,1,1,300,1000100,1", "34200,5,0,100,1000150,1"]
    tape = tape_of(tmp_path, lines, tick="0.01", lot="100")
    book, steps = replay(tape)
    assert book.bids() == [(10_001, 3)]
    assert steps[1][0].notes[0].price is None  # between ticks
    with pytest.raises(TapeError, match=r"line 1: price must lie on the tick grid of 0.05 USD; found '1000100'"):
        replay(tape_of(tmp_path, lines, tick="0.05"))
    with pytest.raises(TapeError, match=r"line 1: size must be a whole number of lots of 7; found '300'"):
        replay(tape_of(tmp_path, lines, lot="7"))
    for bad in (
        {"tick": "0"},
        {"tick": "0.00001"},
        {"tick": "nan"},
        {"lot": "-1"},
        {"lot": "0.5"},
        {"date": "21 June"},
    ):
        with pytest.raises(TapeError, match="TEST_2012"):
            tape_of(tmp_path, lines, **bad)


GOOD = "34200.5,1,11,100,1000000,1"
FAULTS = {
    "34200.5,1,11,100,1000": "6 fields",
    "": "empty line",
    "34200.5;1;11;100;1000000;1": "6 fields",
    "34200.4,1,12,100,1000000,1": "time goes back",
    "abc,1,12,100,1000000,1": "time must be seconds",
    "NaN,1,12,100,1000000,1": "time must be seconds",
    "3.42e4,1,12,100,1000000,1": "time must be seconds",
    "86400,1,12,100,1000000,1": "time must be below 86400",
    "-34200.5,1,12,100,1000000,1": "time must be seconds",
    "34200.5,8,12,100,1000000,1": "type must be 1 to 7",
    "34200.5,A,12,100,1000000,1": "type must be 1 to 7",
    "34200.5,1,0,100,1000000,1": "order id must be at least 1",
    "34200.5,1,-3,100,1000000,1": "order id must be",
    "34200.5,1,1" + "0" * 30 + ",100,1000000,1": "order id must be",
    "34200.5,1,12,0,1000000,1": "size must be at least 1",
    "34200.5,1,12,-5,1000000,1": "size must be a whole number",
    "34200.5,1,12,1.5,1000000,1": "size must be a whole number",
    "34200.5,1,12,99999999999999999,1000000,1": "size must be a whole number",
    "34200.5,1,12,9999999999999999,1000000,1": "size must be a whole number of lots",
    "34200.5,1,12,100,0,1": "price must be at least 1",
    "34200.5,1,12,100,-1000000,1": "price must be at least 1",
    "34200.5,1,12,100,9999999999999999,1": "price must lie on the tick grid",
    "34200.5,1,12,100,1e6,1": "price must be a whole number",
    "34200.5,1,12,100,1000000,2": "direction must be 1 or -1",
    "34200.5,1,12,100,1000000,-": "direction must be 1 or -1",
    "34200.5,7,0,0,5,-1": r"halt \(type 7\) must be",
    "34200.5,1,12,100,1000000,1," + "x" * 50: "seventh field",
    "\ufeff34200.5,1,12,100,1000000,1": "time must be seconds",
    "34200.5,1,12,100,1000000,1" + " " * 300: "at most 256 bytes",
    "\u0663\u0664,1,12,100,1000000,1": "time must be seconds",
}


@pytest.mark.parametrize("line", FAULTS)
def test_a_damaged_line_is_refused_with_file_line_rule_and_value(tmp_path: Path, line: str) -> None:
    tape = tape_of(tmp_path, [GOOD, line])
    with pytest.raises(TapeError, match=rf"TEST_2012.*message_5\.csv, line 2: .*{FAULTS[line]}") as caught:
        replay(tape)
    assert str(caught.value).isprintable()


def test_damage_at_the_beginning_shows_when_the_tape_is_opened(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="line 1: a message has 6 fields"):
        tape_of(tmp_path, ["time,type,order id"])
    with pytest.raises(TapeError, match="the tape is empty"):
        tape_of(tmp_path, [])


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("1000100,1,1000000", "four fields per level"),
        ("1000000,1,1000000,1", "best bid lie below the best ask"),
        ("1000100,1,1000000,1,1000050,1,990000,1", "asks rise"),
        ("1000100,-1,1000000,1", "must be positive"),
        ("1000100,1,0,1", "must be positive"),
        ("1000100,1,1e6,1", "whole numbers with commas"),
        ("ask,1,bid,1", "whole numbers with commas"),
    ],
)
def test_a_damaged_book_row_is_refused(tmp_path: Path, row: str, rule: str) -> None:
    with pytest.raises(TapeError, match=f"orderbook_5.csv, line 1: .*{rule}"):
        tape_of(tmp_path, [GOOD], row)


def test_book_rows_must_be_equally_long(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows", ["1000100,1,1000000,1", "1000100,1,1000000,1,1000200,1,990000,1"])
    with pytest.raises(TapeError, match="line 2: a row must have as many fields as the first"):
        list(read_book_rows(path))


def test_the_horizon_only_tightens() -> None:
    horizon = KnownHorizon(2, 2, BookRow(asks=[(11, 1)], bids=[(9, 1), (5, 1)]))
    assert horizon.covers(SELL, 10**9)  # fewer levels than the band: all of it is known
    assert horizon.covers_all(SELL)
    assert horizon.covers(BUY, 5)
    assert not horizon.covers(BUY, 4)
    assert not horizon.covers_all(BUY)
    horizon.observe([(9, 1), (7, 1)], [(11, 1), (12, 1)])
    assert not horizon.covers(BUY, 6)
    assert horizon.covers(SELL, 12)
    assert not horizon.covers(SELL, 13)
    horizon.observe([(9, 1), (3, 1)], [(11, 1), (15, 1)])
    assert not horizon.covers(BUY, 6)
    assert not horizon.covers(SELL, 13)


def test_a_book_seeded_from_few_levels_is_known_no_further() -> None:
    horizon = KnownHorizon(5, 1, BookRow(asks=[(11, 1)], bids=[(9, 1)]))
    assert horizon.covers(BUY, 9)
    assert not horizon.covers(BUY, 8)
    assert not horizon.covers(SELL, 12)


def test_memory_does_not_grow_with_the_tape(tmp_path: Path) -> None:
    def peak(orders: int) -> int:
        pairs = (
            f"{34200 + i // 1000},{kind},{i + 1},5,{1_000_000 + i % 7},1" for i in range(orders) for kind in (1, 3)
        )
        tape = LobsterTape(write_lines(tmp_path / "long", pairs))
        book = OrderBook(tape.tick, tape.lot)
        tracemalloc.start()
        for _ in replay_tape(tape, book):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(10_000) < 1.2 * peak(5_000)


# --- an exchange that records itself ---------------------------------------------------------------------------------

ACTION = st.tuples(
    st.sampled_from(["add", "add", "add", "reduce", "delete", "execute", "jump"]),
    st.sampled_from([BUY, SELL]),
    st.integers(1, 9),
    st.integers(0, 30),
)


class NaiveExchange:
    """Queues as lists; writes down what it does as LOBSTER would."""

    def __init__(self) -> None:
        self.queues: dict[tuple[int, int], list[list[int]]] = {}
        self.lines: list[str] = []
        self.jumps = 0
        self._next_id = 1

    def act(self, action: str, side: Side, qty: int, pick: int) -> bool:
        """Whether the action was possible."""
        prices = sorted(price for s, price in self.queues if s == side)
        direction = 1 if side is BUY else -1
        if action == "add":
            other = [price for s, price in self.queues if s != side]
            price = 100 + pick - 15
            if other and (price >= min(other) if side is BUY else price <= max(other)):
                return False
            self.queues.setdefault((side, price), []).append([self._next_id, qty])
            self._write(1, self._next_id, qty, price, direction)
            self._next_id += 1
            return True
        if not prices:
            return False
        best = prices[-1] if side is BUY else prices[0]
        price = best if action in ("execute", "jump") else prices[pick % len(prices)]
        queue = self.queues[side, price]
        place = 0 if action == "execute" else pick % len(queue)
        order = queue[place]
        if action == "reduce" and order[1] == 1:
            return False
        taken = order[1] if action == "delete" else min(qty, order[1] - (action == "reduce"))
        self.jumps += action == "jump" and place > 0
        order[1] -= taken
        if not order[1]:
            queue.remove(order)
        if not queue:
            del self.queues[side, price]
        self._write({"reduce": 2, "delete": 3, "execute": 4, "jump": 4}[action], order[0], taken, price, direction)
        return True

    def state(self) -> dict[tuple[int, int], list[tuple[int, ...]]]:
        return {key: [tuple(order) for order in queue] for key, queue in self.queues.items()}

    def _write(self, kind: int, order_id: int, qty: int, price: int, direction: int) -> None:
        self.lines.append(f"{34200 + len(self.lines) // 3},{kind},{order_id},{qty},{price},{direction}")


@settings(max_examples=150, deadline=None)
@given(actions=st.lists(ACTION, min_size=1, max_size=60))
def test_replay_keeps_every_quantity_and_place(tmp_path_factory: pytest.TempPathFactory, actions: list[tuple]) -> None:
    exchange = NaiveExchange()
    truths = [exchange.state() for action in actions if exchange.act(*action)]
    if not truths:
        return
    path = write_lines(tmp_path_factory.getbasetemp() / "self-recorded", exchange.lines)
    tape = LobsterTape(path)
    book = OrderBook(tape.tick, tape.lot)
    executed = 0
    for message, truth in zip(tape.messages(), truths, strict=True):
        for batch in tape.enter(message, book):
            events = [event for command in batch.commands for event in apply_command(book, command)]
            executed += sum(event.qty for event in events if event[0] == EventKind.TRADE)
        book.check()
        assert queues(book) == truth
    recorded = [line.split(",") for line in exchange.lines]
    assert executed == sum(int(fields[3]) for fields in recorded if fields[1] == "4")
    assert tape.counts["queue_repaired"] <= exchange.jumps
    assert not tape.skipped
    assert not tape.counts["stale_canceled"]


# --- real data ----------------------------------------------------------------------------------------------------


def test_apple_in_the_first_672_rows(data_folder: Callable[[str], Path]) -> None:
    folder = data_folder("lobster-2012-06-21")
    rows = folder / "AAPL_2012-06-21_34200000_34210047_orderbook_50_first672.csv.xz"
    tape = LobsterTape(folder / "AAPL_2012-06-21_34200000_37800000_message_50.csv.xz", book=rows)
    assert (tape.symbol, tape.start_utc) == ("AAPL", "2012-06-21T13:30:00Z")
    book = OrderBook(tape.tick, tape.lot)
    differs: Counter[int] = Counter()
    messages = tape.messages()
    for command in tape.seed(next(messages)).commands:
        apply_command(book, command)
    recorded = read_book_rows(rows)
    next(recorded)
    for message, (_, row) in zip(islice(messages, 671), recorded, strict=True):
        for batch in tape.enter(message, book):
            for command in batch.commands:
                apply_command(book, command)
        for told, ours in ((row.bids, book.bids(50)), (row.asks, book.asks(50))):
            for level in range(50):
                differs[level + 1] += tuple(ours[level : level + 1]) != tuple(told[level : level + 1])
    book.check()
    assert {level: n for level, n in differs.items() if n} == {50: 8}
