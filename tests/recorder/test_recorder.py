"""The recorder: columns mean what the events said, digests see values only, memory stays bounded."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.errors import InputError, RunError
from lobsim.events import (
    CancelRejected,
    EventKind,
    OrderAccepted,
    OrderCanceled,
    OrderRefreshed,
    OrderRejected,
    OrderReplaced,
    Purpose,
    Reason,
    Side,
    Trade,
)
from lobsim.measure import read_run, verify_digest
from lobsim.sim.recorder import Recorder
from tests.measure.recording import HEADER, MemoryRecorder

K = EventKind


def accepted(order_id, time_ns=0, qty=10):
    return OrderAccepted(K.ACCEPTED, time_ns, order_id, 1, Side.BUY, 100, qty, Purpose.QUOTE, 0, None)


def fill(recorder: Recorder, messages: int, start: int = 0) -> None:
    """A few events of every kind of table per message, fully determined by the message's number."""
    for number in range(start, start + messages):
        now = number * 1000
        instrument_id = number % 3 % 2
        recorder.events(instrument_id, [accepted(number, now, number % 7 + 1)])
        if number % 4 == 0:
            trade = Trade(K.TRADE, now, number, 1, Side.SELL, 100, 1, Purpose.SHOCK, -number, 2)
            recorder.events(instrument_id, [trade, *[accepted(number + 1, now)] * (number % 3)])
        if number % 5 == 0:
            recorder.quote(instrument_id, now, None if number % 2 else 99, number % 2, 101, 4)
        if number % 97 == 0:
            recorder.depth(instrument_id, now, [(100, 5), (99, number + 1)], [(101, 2)])
            recorder.account(now, 1, 10**30 + number, -5, None, 3_000_000, 0, 10**37)
            recorder.credit(now, "loan-liquidated", 1, None, "ALT", number, None, 4)
            recorder.milestone(now, "maker withdraws", number, "ALT")
        recorder.events(instrument_id, [])


EVENTS = [
    OrderAccepted(K.ACCEPTED, 1, 11, 1, Side.BUY, 100, 10, Purpose.QUOTE, 4, None),
    Trade(K.TRADE, 2, 11, 1, Side.SELL, 100, 3, Purpose.LOAN_LIQUIDATION, 12, 2),
    OrderRefreshed(K.REFRESHED, 2, 11, 1, Side.BUY, 100, 4, Purpose.QUOTE, 4, 2),
    OrderReplaced(K.REPLACED, 3, 11, 1, Side.BUY, 99, 5, Purpose.QUOTE, 4, 0),
    OrderCanceled(K.CANCELED, 4, 11, 1, Side.BUY, 99, 5, Reason.MASS_CANCEL, 1, None),
    OrderAccepted(K.ACCEPTED, 5, 13, 1, Side.SELL, None, 6, Purpose.STOP_OUT, 0, 95),
    CancelRejected(K.CANCEL_REJECTED, 6, 14, 0, None, None, 0, Reason.UNKNOWN_ORDER, 0, None),
    OrderRejected(K.REJECTED, 7, 15, 2, Side.BUY, 10**30, -(10**40), Reason.BAD_QTY, 0, 10**19),
]


def test_every_slot_lands_in_its_own_column():
    recorder = MemoryRecorder()
    recorder.events(1, EVENTS)
    run = recorder.run()
    rows = {row["seq"]: row for row in run.orders.to_dicts()}
    nothing = {"purpose", "reason", "display_lots", "hidden_lots", "trigger_ticks", "kept_priority"}
    nothing |= {"counter_order_id", "counter_account_id"}
    said = {seq: {key: row[key] for key in nothing if row[key] is not None} for seq, row in rows.items()}
    assert said == {
        0: {"purpose": Purpose.QUOTE, "display_lots": 4},
        1: {"purpose": Purpose.LOAN_LIQUIDATION, "counter_order_id": 12, "counter_account_id": 2},
        2: {"purpose": Purpose.QUOTE, "display_lots": 4, "hidden_lots": 2},
        3: {"purpose": Purpose.QUOTE, "display_lots": 4, "kept_priority": 0},
        4: {"reason": Reason.MASS_CANCEL, "hidden_lots": 1},
        5: {"purpose": Purpose.STOP_OUT, "display_lots": 0, "trigger_ticks": 95},
        6: {"reason": Reason.UNKNOWN_ORDER, "display_lots": 0},
        7: {"reason": Reason.BAD_QTY, "display_lots": 0, "trigger_ticks": 2**63 - 1},
    }
    assert [rows[seq]["event"] for seq in range(8)] == [event.kind for event in EVENTS]
    assert [rows[seq]["side"] for seq in range(8)] == [0, 1, 0, 0, 0, 1, None, 0]
    assert rows[7]["price_ticks"] == 2**63 - 1
    assert rows[7]["qty_lots"] == -(2**63 - 1)
    assert run.orders["instrument"].unique().to_list() == ["BTC-USDT"]


def test_trades_repeat_the_trades_among_the_events():
    recorder = MemoryRecorder()
    recorder.events(1, EVENTS)
    (trade,) = recorder.run().trades.drop("time").to_dicts()
    assert trade == {
        "seq": 1,
        "time_ns": 2,
        "instrument_id": 1,
        "price_ticks": 100,
        "qty_lots": 3,
        "aggressor_side": 1,
        "purpose": 9,
        "maker_order_id": 11,
        "maker_account_id": 1,
        "taker_order_id": 12,
        "taker_account_id": 2,
        "aggressor_side_name": "SELL",
        "purpose_name": "LOAN_LIQUIDATION",
        "instrument": "BTC-USDT",
        "price": 50.0,
        "qty": 0.003,
    }


def test_instruments_keep_their_events_across_batches():
    recorder = MemoryRecorder(rows_per_part=5)
    for number in range(40):
        recorder.events(number // 7 % 2, [accepted(number)] * (number % 4))
    orders = recorder.run().orders
    assert orders["seq"].to_list() == list(range(orders.height))
    expected = [number // 7 % 2 for number in range(40) for _ in range(number % 4)]
    assert orders["instrument_id"].to_list() == expected


def test_money_of_any_size_comes_back_exactly():
    recorder = MemoryRecorder()
    recorder.account(1, 1, 10**38 - 1, -(10**38) + 1, None, 5, 0, 7)
    recorder.credit(2, "interest", 1, 2, "USDT", 3, None, None)
    run = recorder.run()
    row = run.accounts.row(0, named=True)
    assert (int(row["equity_quanta"]), int(row["maintenance_quanta"])) == (10**38 - 1, 1 - 10**38)
    assert (row["account"], row["leverage"], row["margin_level"]) == ("maker-1", 5e-6, None)
    assert run.credit.row(0, named=True)["amount"] == 0.003


@settings(max_examples=12, deadline=None)
@given(rows_per_part=st.sampled_from([3, 7, 100, 4096]), threaded=st.booleans())
def test_digest_does_not_depend_on_parts_or_threads(rows_per_part, threaded):
    digests = []
    for size, thread in ((rows_per_part, threaded), (250_000, False)):
        with Recorder(None, HEADER, rows_per_part=size, threaded=thread) as recorder:
            fill(recorder, 300)
            digests.append(recorder.close())
            counts = recorder.counts
    assert digests[0] == digests[1]
    assert counts == {
        "orders": recorder.events_count,
        "trades": 75,
        "quotes": 60,
        "depth": 12,
        "accounts": 4,
        "credit": 4,
        "milestones": 4,
    }


def test_digest_sees_every_value():
    def digest(change=None):
        recorder = Recorder(None, HEADER, threaded=False)
        recorder.events(0, [accepted(1)])
        recorder.quote(0, 5, 99, 1, None, 0)
        recorder.milestone(5, "a", 1, "b")
        if change:
            change(recorder)
        return recorder.close()

    changes = [
        None,
        lambda r: r.events(1, [accepted(1)]),
        lambda r: r.events(0, [accepted(2)]),
        lambda r: r.quote(0, 5, 99, 1, 0, 0),
        lambda r: r.quote(0, 5, 99, 1, None, 0),
        lambda r: r.milestone(5, "", 1, "c"),
        lambda r: r.milestone(5, "c", 1, ""),
        lambda r: r.milestone(5, "c", None, ""),
        lambda r: r.credit(5, "x", 1, 2, "ALT", 3, 4, 5),
        lambda r: r.account(5, 1, 1, 1, 1, 1, 1, 1),
    ]
    assert len({digest(change) for change in changes}) == len(changes)


def test_folder_is_read_back_with_the_same_digest(tmp_path):
    recorder = Recorder(tmp_path / "run", HEADER, rows_per_part=100)
    fill(recorder, 500)
    digest = recorder.close(end_ns=10**9, summary={"fall": "0.5"})
    assert recorder.close() == digest
    run = read_run(tmp_path / "run")
    assert (run.complete, run.status, run.seed, run.end_ns) == (True, "complete", 7, 10**9)
    assert run.summary == {"fall": "0.5"}
    assert verify_digest(run) == digest == run.digest
    assert {table: run.rows(table) for table in recorder.counts} == recorder.counts
    assert len(list((tmp_path / "run" / "orders").iterdir())) > 3
    assert (tmp_path / "run" / "scenario.toml").read_text() == HEADER.scenario_toml
    reference = Recorder(None, HEADER)
    fill(reference, 500)
    assert reference.close() == digest


def test_changed_value_is_found_by_verify(tmp_path):
    recorder = Recorder(tmp_path / "run", HEADER)
    fill(recorder, 50)
    recorder.close()
    part = tmp_path / "run" / "quotes" / "part-00000.parquet"
    pl.read_parquet(part).with_columns(ask_lots=pl.col("ask_lots") + 1).write_parquet(part)
    with pytest.raises(RunError, match=r"quotes.*not those that were recorded"):
        verify_digest(read_run(tmp_path / "run"))


def test_folder_with_a_run_is_refused_unless_asked(tmp_path):
    first = Recorder(tmp_path / "run", HEADER, rows_per_part=50)
    fill(first, 300)
    first.close()
    with pytest.raises(RunError, match="already holds a run"):
        Recorder(tmp_path / "run", HEADER)
    assert read_run(tmp_path / "run").complete
    second = Recorder(tmp_path / "run", HEADER, overwrite=True)
    assert not read_run(tmp_path / "run").complete
    fill(second, 10)
    second.close()
    assert read_run(tmp_path / "run").rows("orders") == second.events_count


@pytest.mark.parametrize("overwrite", [False, True])
def test_folder_with_foreign_files_is_left_alone(tmp_path, overwrite):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(RunError, match="not empty and holds no run"):
        Recorder(tmp_path, HEADER, overwrite=overwrite)
    (tmp_path / "manifest.json").write_text('{"name": "a web app"}')
    with pytest.raises(RunError, match=r"manifest.json: not written by lobsim|already holds"):
        Recorder(tmp_path, HEADER, overwrite=overwrite)
    assert (tmp_path / "manifest.json").read_text() == '{"name": "a web app"}'
    assert (tmp_path / "thesis.doc").exists()


def test_exception_leaves_a_readable_unfinished_run(tmp_path):
    recorder = Recorder(tmp_path / "run", HEADER)

    def crash():
        with recorder:
            fill(recorder, 100)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crash()
    run = read_run(tmp_path / "run")
    assert not run.complete
    assert "UNFINISHED" in run.status
    assert "ZeroDivisionError" in run.status
    assert run.orders.height == recorder.events_count
    with pytest.raises(ValueError, match="stopped"):
        recorder.close()


def test_failing_disk_is_reported_and_never_looks_finished(tmp_path):
    recorder = Recorder(tmp_path / "run", HEADER, rows_per_part=100)
    (tmp_path / "run" / "orders").write_text("a file where the folder should be")
    with pytest.raises(RunError, match=r"orders.*cannot write"):
        fill(recorder, 1000)
    recorder.abort("disk")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["complete"] is False
    assert "cannot write" in manifest["stopped"]


def test_rows_per_part_must_be_positive():
    with pytest.raises(InputError, match="rows_per_part"):
        Recorder(None, HEADER, rows_per_part=0)


KILLED = """
import sys
from tests.recorder.test_recorder import HEADER, Recorder, fill
recorder = Recorder(sys.argv[1], HEADER, rows_per_part=200)
number = 0
while True:
    fill(recorder, 100, number)
    number += 100
"""


def test_kill_9_leaves_finished_parts_and_no_complete_manifest(tmp_path):
    folder = tmp_path / "run"
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], cwd=root)
    try:
        deadline = time.monotonic() + 30
        while not (folder / "orders" / "part-00003.parquet").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    run = read_run(folder)
    assert not run.complete
    assert "killed" in run.status
    orders = run.orders
    assert orders.height >= 800
    assert orders["seq"].to_list() == list(range(orders.height))
    assert run.end_ns >= orders["time_ns"].max()
    assert json.loads((folder / "manifest.json").read_text())["complete"] is False


def peak_bytes(messages: int) -> int:
    recorder = Recorder(None, HEADER, rows_per_part=2000, threaded=False)
    fill(recorder, 3000)  # what is allocated once is not the question
    tracemalloc.start()
    fill(recorder, messages, 3000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pending = sum(frame.estimated_size() for frames in recorder._frames.values() for frame in frames)
    assert pending < 2_000_000
    assert sum(len(flat) for flat, _ in recorder._batches) <= 10 * 2 * 4096
    return peak


def test_memory_does_not_grow_with_the_run():
    assert peak_bytes(12_000) < 1.2 * peak_bytes(4_000)


def test_digest_of_the_same_records_never_changes():
    """A change here breaks every digest that anybody wrote down: it needs a new `lobsim.records.FORMAT`."""
    recorder = Recorder(None, HEADER)
    fill(recorder, 300)
    assert recorder.close() == "0edf963c86a6403ceef175ff4daf26426b42f9c06c41aa01de74f8e76ccf5dc6"
