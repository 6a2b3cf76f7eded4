from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim import OrderBook
from lobsim.errors import TapeError
from lobsim.events import EventKind, Side
from lobsim.sim.tapes import TardisTradesTape
from lobsim.sim.tapes import tardis as tardis_module
from lobsim.sim.tapes.tardis import HEADER, Fill, read_prints

from .builders import replay, write_lines

BUY, SELL = Side.BUY, Side.SELL
START_US = 1_760_131_685_000_000


def row(us: int, side: str, price: str, qty: str) -> str:
    return f"binance,TRXUSDT,{START_US + us},{START_US + us + 9},{us},{side},{price},{qty}"


def tape_of(folder: Path, rows: list[str], **options: str) -> TardisTradesTape:
    return TardisTradesTape(write_lines(folder / "trades.csv", [HEADER.decode(), *rows]), **options)


def test_a_sweep_meets_the_book_that_its_fills_imply(tmp_path: Path) -> None:
    tape = tape_of(
        tmp_path,
        [
            row(5, "sell", "0.3198", "2"),
            row(5, "sell", "0.3198", "1.5"),
            row(5, "buy", "0.3200", "4"),  # in between, the other side
            row(5, "sell", "0.31", "1"),
            row(5, "sell", "0.3199", "1"),  # a better price: another order
            row(5, "unknown", "0.3199", "1"),
            row(6, "sell", "0.3198", "1e-1"),
        ],
    )
    assert (tape.symbol, tape.tick, tape.lot, tape.start_utc) == ("TRXUSDT", "0.0001", "0.1", "2025-10-10T21:28:05Z")
    book, steps = replay(tape)
    assert len(book) == 0
    trades = [
        (batch.time_ns, event.aggressor_side, event.price, event.qty)
        for batch, events in steps
        for event in events
        if event[0] == EventKind.TRADE
    ]
    assert trades == [
        (5_000, SELL, 3198, 20),
        (5_000, SELL, 3198, 15),
        (5_000, SELL, 3100, 10),
        (5_000, BUY, 3200, 40),
        (5_000, SELL, 3199, 10),
        (6_000, SELL, 3198, 1),
    ]
    assert [batch.time_ns for batch, _ in steps] == [4_999, 5_000, 5_000, 5_000, 5_000, 5_000, 5_999, 6_000]
    assert tape.counts == {"trades": 6, "sweeps": 4}
    assert tape.skipped == {"unknown_side": 1}
    assert tape.sweep_at(START_US + 5) == (SELL, [Fill(3198, 20), Fill(3198, 15), Fill(3100, 10)])
    with pytest.raises(TapeError, match="no trades at timestamp"):
        tape.sweep_at(START_US + 4)


def test_a_first_print_at_a_whole_second_is_time_0(tmp_path: Path) -> None:
    _, steps = replay(tape_of(tmp_path, [row(0, "buy", "1", "1")]))
    assert [batch.time_ns for batch, _ in steps] == [0, 0]


@settings(max_examples=60, deadline=None)
@given(
    prints=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["buy", "sell"]), st.integers(1, 50), st.integers(1, 99)),
        min_size=1,
        max_size=40,
    )
)
def test_every_print_becomes_a_trade_in_its_order(
    tmp_path_factory: pytest.TempPathFactory, prints: list[tuple]
) -> None:
    prints.sort(key=lambda p: p[0])
    rows = [row(us, side, f"{price / 100}", str(qty)) for us, side, price, qty in prints]
    _, steps = replay(tape_of(tmp_path_factory.getbasetemp(), rows, tick="0.01", lot="1"))
    trades = [
        (batch.time_ns // 1_000, event.aggressor_side.name.lower(), event.price, event.qty)
        for batch, events in steps
        for event in events
        if event[0] == EventKind.TRADE
    ]
    for side in ("buy", "sell"):  # prints of one moment may change places with the other side's, never with their own
        assert [trade for trade in trades if trade[1] == side] == [tuple(p) for p in prints if p[1] == side]


GOOD = row(1, "buy", "0.3198", "2")
FAULTS = {
    GOOD[:-9]: "a row must be",
    row(0, "buy", "0.3", "1"): "time goes back",
    row(1, "bought", "0.3", "1"): "a row must be",
    row(1, "buy", "nan", "1"): "a row must be",
    row(1, "buy", "-0.3", "1"): "a row must be",
    row(1, "buy", "1e99", "1"): "a row must be",
    row(1, "buy", "0.31985", "1"): "off the grid",
    row(1, "buy", "0.3", "1.05"): "off the grid",
    row(1, "buy", "0", "1"): "must be greater than 0",
    row(1, "buy", "0.3", "0"): "must be greater than 0",
    row(1, "buy", "9" * 20, "1"): "below 2",
    row(1, "buy", "0.3", "9" * 20): "below 2",
    GOOD + "," + "x" * 600: "at most 512 bytes",
}


@pytest.mark.parametrize("line", FAULTS)
def test_a_damaged_line_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(TapeError, match=rf"trades\.csv, line 3: .*{FAULTS[line]}"):
        replay(tape_of(tmp_path, [GOOD, line], tick="0.0001", lot="0.1"))


def test_what_is_wrong_with_a_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_lines(tmp_path / "trades.csv", [])
    with pytest.raises(TapeError, match="the tape is empty"):
        TardisTradesTape(path)
    with pytest.raises(TapeError, match="line 1: the header must be"):
        TardisTradesTape(write_lines(path, [GOOD]))
    with pytest.raises(TapeError, match="has no trades"):
        tape_of(tmp_path, [])
    path.write_text(f"{HEADER.decode()}\n{GOOD}\n{GOOD[:-2]}")  # the amount was cut: only the missing line end tells
    with pytest.raises(TapeError, match="line 3: the last line has no line end"):
        list(read_prints(path))
    monkeypatch.setattr(tardis_module, "MAX_SWEEP_FILLS", 3)
    with pytest.raises(TapeError, match="line 5: more than 3 prints in one timestamp"):
        replay(tape_of(tmp_path, [GOOD] * 4))


def test_the_real_sweep_of_10_october(data_folder: Callable[[str], Path]) -> None:
    path = data_folder("oct10-trades-tardis") / "binance_trades_2025-10-10_TRXUSDT.csv.xz"
    tape = TardisTradesTape(path, tick="0.0001", lot="0.1")
    side, fills = tape.sweep_at(1_760_131_685_935_999)
    assert side is SELL
    assert (len(fills), len({fill.price for fill in fills})) == (1_125, 196)
    book = OrderBook(tape.tick, tape.lot)
    for i, fill in enumerate(fills):
        book.submit(i + 1, BUY, fill.qty, fill.price)
    total = sum(fill.qty for fill in fills)
    walk = book.walk(SELL, total)
    events = book.submit(10_000, SELL, total)
    assert [(event[5], event[6]) for event in events if event[0] == EventKind.TRADE] == fills
    assert (walk.filled_qty, walk.worst_price, round(walk.notional / total, 2)) == (10_998_817, 3_000, 3066.65)
