import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lobsim import OrderBook
from lobsim.errors import TapeError
from lobsim.sim.tapes import oracle as oracle_module
from lobsim.sim.tapes.oracle import (
    PUBLISHED_SHA256,
    Workload,
    drive,
    load_workload,
    report_lines,
    report_sha256,
    run_workload,
)

DTYPES = {"kind": "u1", "side": "u1", "ioc": "u1", "qty": "u1", "oid": "u4", "px": "i4"}
# kind, side, ioc, qty, oid, px
MESSAGES = [
    (0, 0, 0, 10, 1, 100),
    (0, 0, 0, 5, 2, 100),
    (0, 1, 1, 12, 3, 100),  # hits 1, then 2
    (1, 0, 0, 0, 1, 0),  # done already
    (2, 0, 0, 3, 2, 101),
    (0, 1, 0, 4, 4, 105),
    (2, 0, 0, 6, 2, 105),  # trades, and the rest stays
    (0, 1, 1, 9, 5, 104),  # hits what is left of 2, the rest is cancelled
    (2, 0, 0, 6, 2, 105),
    (0, 0, 0, 1, 1, 90),  # an id used again
    (1, 0, 0, 0, 1, 0),
]
REPORT = """\
0,0,0,1,100,10
0,1,0,2,100,5
0,2,1,3,100,12
1,2,100,10,1,3
1,2,100,2,2,3
4,3,1
3,4,0,2,101,3
0,5,1,4,105,4
1,6,105,4,4,2
3,6,0,2,105,6
0,7,1,5,104,9
1,7,105,2,2,5
2,7,1,5,104
5,8,2
0,9,0,1,90,1
2,10,0,1,90"""


def save(path: Path, rows: list[tuple[int, ...]], **changed: np.ndarray) -> Path:
    columns = {name: np.array([row[i] for row in rows], dtype) for i, (name, dtype) in enumerate(DTYPES.items())}
    np.savez(path, **{**columns, **changed})
    return path


def book_for(_: Workload) -> OrderBook:
    return OrderBook(replace_keeps_priority=False)


def test_a_small_workload_is_reported_as_the_format_says(tmp_path: Path) -> None:
    workload = load_workload(save(tmp_path / "small.npz", MESSAGES))
    assert workload.messages == len(MESSAGES)
    book = book_for(workload)
    lines = [line for seq, events in enumerate(run_workload(book, workload)) for line in report_lines(seq, events)]
    assert "\n".join(lines) == REPORT
    for block in (1, 3, 1_000):
        assert report_sha256(book_for(workload), workload, block) == hashlib.sha256(REPORT.encode()).hexdigest()
    timed = book_for(workload)
    assert drive(timed, workload) == len(MESSAGES)
    assert timed.snapshot()[1:] == book.snapshot()[1:]


def test_an_empty_workload_has_an_empty_report(tmp_path: Path) -> None:
    workload = load_workload(save(tmp_path / "empty.npz", []))
    assert report_sha256(book_for(workload), workload) == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    "rows",
    [
        [(0, 0, 0, 1, 7, 5), (0, 0, 0, 1, 7, 5)],
        [(0, 0, 0, 1, 6, 5), (0, 0, 0, 0, 7, 5)],
        [(0, 0, 0, 1, 6, 5), (0, 0, 0, 1, 7, 0)],
    ],
)
def test_orders_that_the_format_has_no_answer_for_are_faults(tmp_path: Path, rows: list[tuple[int, ...]]) -> None:
    workload = load_workload(save(tmp_path / "odd.npz", rows))
    with pytest.raises(TapeError, match=r"odd\.npz: row 1: an order that the format has no answer for"):
        report_sha256(book_for(workload), workload)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"kind": np.array([3], "u1")}, "row 0: column 'kind' must be at most 2; found '3'"),
        ({"side": np.array([2], "u1")}, "column 'side' must be at most 1"),
        ({"ioc": np.array([9], "u1")}, "column 'ioc' must be at most 1"),
        ({"px": np.array([1.5])}, "column 'px' must be one-dimensional i4; found"),
        ({"px": np.array([[1]], "i4")}, "column 'px' must be one-dimensional i4"),
        ({"px": np.array([1, 2], "i4")}, "columns must be equally long"),
        (
            {"px": np.array([object()], dtype=object)},
            "column 'px' must be one-dimensional i4",
        ),
    ],
)
def test_damaged_columns_are_refused(tmp_path: Path, changed: dict[str, np.ndarray], rule: str) -> None:
    path = save(tmp_path / "bad.npz", [(0, 0, 0, 1, 1, 1)], **changed)
    with pytest.raises(TapeError, match=rule):
        load_workload(path)


def test_files_that_are_no_workload_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bad.npz"
    with pytest.raises(TapeError, match="cannot be read"):
        load_workload(path)
    whole = save(tmp_path / "good.npz", MESSAGES).read_bytes()
    for content in (
        b"",
        b"junk",
        b"PK\x03\x04" + b"\0" * 50,
        whole[:200],
        whole[:-30],
        whole[:80] + b"\xff" * 40 + whole[120:],
    ):
        path.write_bytes(content)
        with pytest.raises(TapeError, match=r"bad\.npz"):
            load_workload(path)
    np.savez(path, kind=np.array([1], "u1"))
    with pytest.raises(TapeError, match=r"column 'side' is missing; found 'kind\.npy'"):
        load_workload(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("kind.npy", b"no array")
    with pytest.raises(TapeError, match=r"bad\.npz"):
        load_workload(path)
    with zipfile.ZipFile(path, "w") as archive, archive.open("kind.npy", "w") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (40_000_000,)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(TapeError, match="column 'kind' is cut: 40000000 rows are promised"):
        load_workload(path)
    monkeypatch.setattr(oracle_module, "MAX_ROWS", 5)
    with pytest.raises(TapeError, match="at most 5 rows"):
        load_workload(tmp_path / "good.npz")


def test_the_start_of_a_published_workload(data_folder: Callable[[str], Path]) -> None:
    """The whole files are checked by tools/conformance.py; here 100,000 messages against a digest made by it."""
    path = data_folder("matching-oracle") / "flash-crash-seed23.npz"
    assert path.name in PUBLISHED_SHA256
    workload = load_workload(path)
    start = Workload(path, *(column[:100_000] for column in workload[1:]))
    book = book_for(start)
    digest = report_sha256(book, start)
    book.check()
    assert digest == "18a95a391db58949d5ee452a808fda1155d115efc2666a509d0d96bf356c099a"
