"""Run folders are data from strangers: read exactly, or refused with the file's name."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.errors import RunError
from lobsim.events import Side, SubmitOrder
from lobsim.measure import Run, book_at, depth, read_run, verify_digest
from lobsim.records import TABLES, polars_schema
from lobsim.sim.recorder import Recorder
from tests.measure.recording import HEADER, drive

BUY, SELL = Side


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A complete run in four parts of 9, 10, 10 and 1 orders (the tenth quote closes a part)."""
    folder = tmp_path_factory.mktemp("runs") / "good"
    recorder = Recorder(folder, HEADER, rows_per_part=10)
    orders = [SubmitOrder(number, Side(number % 2), 5, 100 + number % 2, number * 10**9) for number in range(30)]
    drive(orders, recorder)
    recorder.account(5, 2, 1_500, 100, 2_500_000, None, 7, 9)
    recorder.credit(6, "interest", 1, 2, "ALT", 15, 2_000, None)
    recorder.milestone(7, "withdrawal", 3, "ALT")
    recorder.close(end_ns=40 * 10**9)
    return folder


@pytest.fixture
def copy(good, tmp_path):
    shutil.copytree(good, tmp_path / "run")
    return tmp_path / "run"


def edit(folder, **changes):
    manifest = json.loads((folder / "manifest.json").read_text()) | changes
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["runs [old]", "a*b?", "[", "50%20", "x\x1b[31m"])
def test_a_folder_may_have_any_name(good, tmp_path, name):
    """No character of it is taken for a pattern."""
    run = read_run(shutil.copytree(good, tmp_path / name))
    assert run.rows("orders") == run.orders.height == 30


def test_tables_are_decoded_beside_their_integers(good):
    run = read_run(good)
    order = run.orders.row(1, named=True)
    assert (order["price_ticks"], order["price"], order["qty_lots"], order["qty"]) == (101, 1.01, 5, 0.5)
    assert (order["instrument"], order["side_name"], order["event_name"]) == ("ALT-USDT", "SELL", "ACCEPTED")
    assert order["time"] == datetime(2025, 10, 10, 20, 30, 1, tzinfo=UTC)
    quote = run.quotes.row(-1, named=True)
    assert (quote["bid"], quote["ask"], quote["mid"], quote["spread"]) == pytest.approx((1.0, 1.01, 1.005, 0.01))
    account = run.accounts.row(0, named=True)
    assert (account["account"], account["equity"], account["margin_level"], account["leverage"]) == (
        "bot",
        1.5,
        2.5,
        None,
    )
    credit = run.credit.row(0, named=True)
    assert (credit["amount"], credit["value"], credit["counterparty"]) == (1.5, 2.0, "bot")
    assert run.milestones.row(0, named=True)["size"] == pytest.approx(0.3)
    assert run.trades.height == 0
    assert run.depth.height == 0
    assert "complete" in repr(run)


def test_floats_are_nearest_to_the_decimal(good):
    """10125 ticks of 0.01 is 101.25 and not what 10125 * 0.01 happens to round to."""
    run = read_run(good)
    ticks = pl.Series(range(1, 30_001), dtype=pl.Int64)
    frame = pl.DataFrame({"time_ns": ticks, "instrument_id": pl.repeat(0, len(ticks), dtype=pl.UInt32, eager=True)})
    nulls = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in polars_schema("quotes").items()]
    frame = frame.with_columns(bid_ticks=ticks).select([
        name if name in ("time_ns", "instrument_id", "bid_ticks") else null
        for name, null in zip(polars_schema("quotes"), nulls, strict=True)
    ])  # fmt: skip
    decoded = Run.from_frames(HEADER, {"quotes": frame}).quotes["bid"].to_list()
    assert decoded == [float(run.instrument("ALT-USDT").tick.text(tick)) for tick in ticks]


def test_times_are_texts_or_nanoseconds(good):
    run = read_run(good)
    assert run.time_ns("20:30:05Z") == run.time_ns("5s") == run.time_ns(5 * 10**9) == 5 * 10**9
    assert book_at(run, "ALT-USDT", "20:30:05Z").bids.pairs() == [(100, 15)]
    assert depth(run, "ALT-USDT", ["1"], at="5s", ref="best")["depth_lots"].to_list() == [15, 15]
    assert depth(run, "ALT-USDT", ["1"], ref="best")["time_ns"].unique().to_list() == [40 * 10**9]


def test_unknown_names_list_what_there_is(good):
    run = read_run(good)
    with pytest.raises(RunError, match="no instrument 'X'; there are ALT-USDT, BTC-USDT"):
        run.instrument("X")
    with pytest.raises(RunError, match="say which instrument"):
        run.instrument(None)
    with pytest.raises(RunError, match="no table 'ordres'; there are orders, trades"):
        run.table("ordres")


def test_tables_beyond_max_rows_are_refused_but_can_be_scanned(good):
    run = read_run(good, max_rows=20)
    with pytest.raises(RunError, match=r"orders: 30 rows .* max_rows = 20; query run\.scan"):
        _ = run.orders
    assert run.collect(run.scan("orders").select(pl.len())).item() == 30
    assert depth(run, None, ["1"], every="1s").height == 41 * 2 * 2  # measured instrument by instrument


def test_frames_of_ones_own_must_have_the_columns():
    with pytest.raises(RunError, match="trades: its columns"):
        Run.from_frames(HEADER, {"trades": pl.DataFrame({"price": [1.0]})})


@pytest.mark.parametrize("missing", ["manifest.json", "."])
def test_missing_run_is_named(copy, missing):
    if missing == ".":
        shutil.rmtree(copy)
    else:
        (copy / missing).unlink()
    with pytest.raises(RunError, match=r"no such run|manifest.json: no such file"):
        read_run(copy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no valid JSON"),
        ("{", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ("\x00\xff", "no valid JSON"),
        ("[]", "not written by lobsim"),
        ('{"name": "x"}', "not written by lobsim"),
        ('{"lobsim_format": 99}', "lobsim_format is 99"),
        ('{"lobsim_format": 1}', "'complete' is missing"),
    ],
)
def test_broken_manifest_is_named(copy, text, message):
    (copy / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(RunError, match=f"manifest.json: .*{message}"):
        read_run(copy)


def test_huge_manifest_is_refused(copy):
    with (copy / "manifest.json").open("a") as file:
        file.write(" " * (1 << 25))
    with pytest.raises(RunError, match="larger than"):
        read_run(copy)


INSTRUMENT = HEADER.instruments[0]._asdict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "7"}, "seed"),
        ({"seed": True}, "seed"),
        ({"start_utc": "yesterday"}, "manifest.json"),
        ({"start_utc": "2025-10-10T20:30:00"}, "time zone"),
        ({"start_utc": 5}, "start_utc"),
        ({"instruments": 5}, "manifest.json"),
        ({"instruments": [5]}, "manifest.json"),
        ({"instruments": [INSTRUMENT, INSTRUMENT]}, "twice"),
        ({"instruments": [INSTRUMENT | {"name": "../../etc"}]}, "instrument name"),
        ({"instruments": [INSTRUMENT | {"name": "a\x1b[31m"}]}, "printable"),
        ({"instruments": [INSTRUMENT | {"tick": "0"}]}, "price step"),
        ({"instruments": [INSTRUMENT | {"tick": "nan"}]}, "price step"),
        ({"instruments": [INSTRUMENT | {"tick": 0.1}]}, "tick"),
        ({"instruments": [INSTRUMENT | {"instrument_id": -1}]}, "instrument_id"),
        ({"instruments": [{"name": "A"}]}, "is missing"),
        ({"accounts": [{"account_id": 1}]}, "is missing"),
        ({"accounts": {"a": 1}}, "manifest.json"),
        ({"assets": {"A": "1e999999"}}, "assets.A"),
        ({"assets": []}, "manifest.json"),
        ({"digest": ["x"]}, "digest"),
        ({"digest": ""}, "no digest"),
        ({"scenario": "<b>\n"}, "scenario"),
        ({"tables": None}, "orders: 4 parts"),
        ({"tables": {"orders": 5}}, "orders: 4 parts"),
    ],
)
def test_manifest_that_breaks_a_rule_is_named(copy, changes, message):
    edit(copy, **changes)
    with pytest.raises(RunError, match=message) as caught:
        read_run(copy)
    assert str(copy) in str(caught.value)


@pytest.mark.parametrize("size", [0, 3, 100, 0.5, 0.99])
def test_part_that_was_cut_is_named(copy, size):
    part = copy / "orders" / "part-00001.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[: size if isinstance(size, int) else int(len(whole) * size)])
    with pytest.raises(RunError, match=r"orders/part-00001.parquet: damaged"):
        read_run(copy)


def test_damaged_page_is_named_when_it_is_read(copy):
    part = copy / "orders" / "part-00001.parquet"
    data = bytearray(part.read_bytes())
    data[4:40] = bytes(36)
    part.write_bytes(data)
    with pytest.raises(RunError, match=r"orders/part-00001.parquet: damaged"):
        _ = read_run(copy).orders


def test_missing_and_foreign_parts_are_named(copy):
    parts = copy / "orders"
    (parts / "notes.txt").write_text("not a part")
    assert read_run(copy).rows("orders") == 30
    shutil.copy(parts / "part-00002.parquet", parts / "part-00004.parquet")
    with pytest.raises(RunError, match=r"orders: 5 parts with 40 rows.*says 4 parts with 30"):
        read_run(copy)
    (parts / "part-00004.parquet").unlink()
    (parts / "part-00001.parquet").unlink()
    with pytest.raises(RunError, match=r"part-00001.parquet: this part is missing"):
        read_run(copy)
    shutil.copy(copy / "quotes" / "part-00000.parquet", parts / "part-00001.parquet")
    with pytest.raises(RunError, match=r"part-00001.parquet: its columns"):
        read_run(copy)


def test_links_are_not_followed(copy, good):
    part = copy / "orders" / "part-00001.parquet"
    part.unlink()
    part.symlink_to(good / "orders" / "part-00001.parquet")
    with pytest.raises(RunError, match="must be a plain file"):
        read_run(copy)
    shutil.rmtree(copy / "orders")
    (copy / "orders").symlink_to(good / "orders")
    with pytest.raises(RunError, match="must be a plain folder"):
        read_run(copy)
    (copy / "manifest.json").unlink()
    (copy / "manifest.json").symlink_to(good / "manifest.json")
    with pytest.raises(RunError, match="no such file"):
        read_run(copy)


def test_unfinished_run_says_so_and_can_be_read(copy):
    edit(copy, complete=False, tables=None, end_ns=None)
    (copy / "orders" / "part-00003.parquet").unlink()
    run = read_run(copy)
    assert not run.complete
    assert run.digest is None
    assert run.summary == {}
    assert run.status.startswith(f"{copy}: UNFINISHED RUN (killed, or still running)")
    assert run.end_ns == 29 * 10**9  # the quotes got that far
    assert run.orders.height == 29
    assert len(verify_digest(run)) == 64


def test_complete_must_be_the_word_true(copy):
    edit(copy, complete="yes")
    assert not read_run(copy).complete


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_damage_is_a_run_error_or_harmless(good, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged") / "run"
    shutil.copytree(good, folder)
    files = sorted(file for file in folder.rglob("*") if file.suffix in (".json", ".parquet"))
    victim = data.draw(st.sampled_from(files))
    raw = bytearray(victim.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    victim.write_bytes(raw)
    try:
        run = read_run(folder)
        for table in TABLES:
            run.table(table)
        depth(run, None, ["1"], at="5s")
    except RunError as error:
        assert str(folder) in str(error) or "orders" in str(error)  # noqa: PT017
    shutil.rmtree(folder)
