"""Damaged tapes by the hundred: a tape replays, with its refusals counted, or raises `TapeError`. Nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim import OrderBook
from lobsim.errors import TapeError
from lobsim.sim.tapes import KINDS, open_tape, replay_tape
from lobsim.sim.tapes.tardis import HEADER

from .builders import diff_line, quote_line, snapshot_line, trade_line

LOBSTER = [
    "34200.1,1,11,100,1000000,1",
    "34200.2,1,12,50,1000000,1",
    "34200.2,1,21,70,1000100,-1",
    "34200.3,2,11,40,1000000,1",
    "34200.4,4,12,10,1000000,1",
    "34200.5,5,0,5,1000050,1",
    "34200.6,3,12,40,1000000,1",
    "34200.7,7,0,0,-1,-1",
]
BINANCE = [
    snapshot_line(0, 10, [("100.0", "5"), ("99.5", "2")], [("100.5", "1"), ("101.0", "4")]),
    quote_line(1, 10, "100.0", "5", "100.5", "1"),
    trade_line(2, "100.0", "2", seller=True),
    diff_line(3, 11, 12, [("100.0", "3")], [("102.0", "1")], event_ms=10**12),
    trade_line(4, "100.5", "1", seller=False),
    diff_line(5, 13, 13, [("98.0", "1")], [("100.5", "0")]),
]
TARDIS = [
    HEADER.decode(),
    *(
        f"binance,TRXUSDT,{1_760_131_685_000_000 + i // 2},1760131685000009,{i},{side},{price},{i + 1}"
        for i, (side, price) in enumerate([("sell", "0.3198"), ("sell", "0.31"), ("buy", "0.32"), ("buy", "1e-8")])
    ),
]
GOOD = {"lobster": LOBSTER, "binance-l2": BINANCE, "tardis-trades": TARDIS}
TOKENS = [
    "NaN", "inf", "-1", "0", "1e400", "9" * 400, "\x00", "\ufeff", "null", "[]", "{}", "[" * 2_000, '"', ",,,",
    "\u0661", "--",
    "18446744073709551616", "9223372036854775807", "0.00000000001", "\x1b[2J", "true", "../../etc/passwd", "<script>",
]  # fmt: skip

EDIT = st.tuples(
    st.sampled_from(["cut", "drop", "repeat", "swap", "token", "number", "bytes", "field", "splice"]),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.one_of(st.sampled_from(TOKENS).map(str.encode), st.binary(max_size=12)),
)


def edit(content: bytes, how: str, a: int, b: int, token: bytes) -> bytes:
    """One small piece of damage."""
    lines = content.split(b"\n")
    i, j = a % len(lines), b % len(lines)
    if how == "cut":
        return content[: a % (len(content) + 1)]
    if how == "drop":
        del lines[i]
    elif how == "repeat":
        lines.insert(j, lines[i])
    elif how == "swap":
        lines[i], lines[j] = lines[j], lines[i]
    elif how == "bytes":
        at = a % (len(content) + 1)
        return content[:at] + token + content[at + b % 3 :]
    elif how == "splice":
        lines[i] = lines[i][: b % (len(lines[i]) + 1)] + lines[j][a % (len(lines[j]) + 1) :]
    else:
        separator = b":" if how == "token" else b","
        fields = lines[i].split(separator)
        k = b % len(fields)
        fields[k] = str(a - b).encode() if how == "number" else token
        lines[i] = separator.join(fields)
    return b"\n".join(lines)


@settings(max_examples=400, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), edits=st.lists(EDIT, min_size=1, max_size=4))
def test_a_damaged_tape_gives_a_tape_error_or_counts_what_it_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, edits: list[tuple[str, int, int, bytes]]
) -> None:
    content = "\n".join([*GOOD[kind], ""]).encode()
    for damage in edits:
        content = edit(content, *damage)
    outcome(tmp_path_factory.getbasetemp() / "damaged.tape", kind, content)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    content=st.one_of(st.binary(max_size=400), st.text(max_size=200).map(str.encode)),
)
def test_junk_is_a_tape_error(tmp_path_factory: pytest.TempPathFactory, kind: str, content: bytes) -> None:
    assert outcome(tmp_path_factory.getbasetemp() / "junk.tape", kind, content) != "replayed"


def outcome(path: Path, kind: str, content: bytes) -> str:
    """Replay it; whatever goes wrong must be said with the file's name, in printable text of bounded length."""
    path.write_bytes(content)
    try:
        tape = open_tape(kind, path)
        book = OrderBook(tape.tick, tape.lot)
        last_ns = 0
        for batch, _ in replay_tape(tape, book):
            assert batch.time_ns >= last_ns
            last_ns = batch.time_ns
        book.check()
    except TapeError as error:
        message = str(error)
        assert path.name in message
        assert message.isprintable()
        assert len(message) < len(str(path)) + 400
        return "refused"
    assert all(count >= 0 for count in tape.skipped.values())
    return "replayed"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_undamaged_tapes_replay(tmp_path: Path, kind: str) -> None:
    assert outcome(tmp_path / "good.tape", kind, "\n".join([*GOOD[kind], ""]).encode()) == "replayed"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "cp037"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_wrong_encodings_are_tape_errors(tmp_path: Path, kind: str, encoding: str) -> None:
    assert outcome(tmp_path / "tape", kind, "\n".join([*GOOD[kind], ""]).encode(encoding)) == "refused"


def test_an_unknown_kind_is_a_tape_error(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="tape kind must be one of binance-l2, lobster, tardis-trades; found 'csv'"):
        open_tape("csv", tmp_path)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_huge_file_of_nothing_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "sparse.tape"
    with path.open("wb") as file:
        file.truncate(8 << 30)
    with pytest.raises(TapeError, match="line 1: a line may have at most"):
        open_tape(kind, path)


def test_a_real_recording_cut_anywhere_is_a_tape_error(tmp_path: Path, data_folder: Callable[[str], Path]) -> None:
    whole = (data_folder("binance-l2-2024-08-08") / "ethusdt_spot_20240808.jsonl.xz").read_bytes()
    for share in (0, 1, 10, 50):
        path = tmp_path / "cut.xz"
        path.write_bytes(whole[: len(whole) * share // 1000])
        with pytest.raises(TapeError):
            for _ in replay_tape(
                open_tape("binance-l2", path, tick="0.01", lot="0.00001"), OrderBook("0.01", "0.00001")
            ):
                pass
