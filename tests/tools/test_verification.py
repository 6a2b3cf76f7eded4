"""The verification tools: what they print, what they refuse, and that they notice a wrong book."""

from __future__ import annotations

import lzma
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lobsim.cli import main
from lobsim.sim.tapes.tardis import HEADER

Tool = Callable[[str], ModuleType]
Folder = Callable[[str], Path]
Output = pytest.CaptureFixture[str]

MESSAGES = [
    "34200,1,99,18,1000000,1",
    "34200.1,1,11,5,1000000,1",
    "34200.2,4,99,18,1000000,1",
    "34200.3,5,0,1,1000050,1",
]
ROWS = ["1000300,30,1000000,18", "1000300,30,1000000,23", "1000300,30,1000000,5", "1000300,30,1000000,5"]


def workload(path: Path, **changed: np.ndarray) -> Path:
    columns = {
        "kind": np.array([0, 0, 1], "u1"),
        "side": np.array([0, 1, 0], "u1"),
        "ioc": np.array([0, 1, 0], "u1"),
        "qty": np.array([5, 3, 0], "u1"),
        "oid": np.array([1, 2, 1], "u4"),
        "px": np.array([10, 9, 0], "i4"),
    }
    np.savez(path, **{**columns, **changed})
    return path


def test_conformance_compares_with_what_is_expected(tool: Tool, tmp_path: Path, capsys: Output) -> None:
    conformance = tool("conformance")
    path = str(workload(tmp_path / "small.npz"))
    assert conformance.main([path, "--time"]) == 0
    out = capsys.readouterr().out
    assert "no published digest for this name" in out
    assert "messages/s, engine calls only" in out
    digest = out.split()[0]
    assert conformance.main([path, "--expect", digest.upper()]) == 0
    assert conformance.main([path, "--expect", "0" * 64]) == 1
    assert "DIFFERENT: expected 000" in capsys.readouterr().out
    published = str(workload(tmp_path / "normal-seed23.npz"))  # the name of a published file, but not its content
    assert conformance.main([published]) == 1


def test_conformance_refuses_bad_files_without_a_traceback(tool: Tool, tmp_path: Path, capsys: Output) -> None:
    conformance = tool("conformance")
    junk = tmp_path / "junk.npz"
    junk.write_bytes(b"junk")
    odd = workload(
        tmp_path / "odd.npz",
        oid=np.array([1, 1, 1], "u4"),
        ioc=np.array([0, 0, 0], "u1"),
        qty=np.array([5, 0, 0], "u1"),
    )
    for path in (junk, odd, tmp_path / "missing.npz", tmp_path):
        assert conformance.main([str(path)]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith(f"conformance: {path}")
        assert not captured.out


def lobster_files(folder: Path, messages: list[str], rows: list[str]) -> list[str]:
    paths = [folder / f"TEST_2012-06-21_34200000_34260000_{kind}_1.csv" for kind in ("message", "orderbook")]
    for path, lines in zip(paths, (messages, rows), strict=True):
        path.write_text("".join(f"{line}\n" for line in lines))
    return [str(path) for path in paths]


def test_verify_lobster_on_files_of_any_symbol_and_level(tool: Tool, tmp_path: Path, capsys: Output) -> None:
    verify = tool("verify_lobster").main
    assert verify([*lobster_files(tmp_path, MESSAGES, ROWS), "--levels", "1"]) == 0
    out = capsys.readouterr().out
    assert "best quotes inside the known horizon: 6 checks, 0 mismatches" in out
    assert "visible executions inside the horizon: 1, at the best price 1" in out
    packed = tmp_path / "book.xz"
    packed.write_bytes(lzma.compress("\n".join(ROWS[:2]).encode()))
    files = lobster_files(tmp_path, MESSAGES, ROWS)
    assert verify([files[0], str(packed), files[1], "--levels", "1", "--seed", files[1], "--book-levels", "1"]) == 0
    assert "book.xz: 2 rows, 1 level(s)" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["1000300,30,1000000,6", "1000300,30,1000100,5", "1000200,30,1000000,5"])
def test_verify_lobster_notices_a_wrong_row(tool: Tool, tmp_path: Path, capsys: Output, wrong: str) -> None:
    files = lobster_files(tmp_path, MESSAGES, [*ROWS[:3], wrong])
    assert tool("verify_lobster").main([*files, "--levels", "1"]) == 1
    out = capsys.readouterr().out
    assert "1 mismatches" in out
    assert "first mismatch inside: row 4" in out


@pytest.mark.parametrize(
    ("messages", "rows", "rule"),
    [
        ([*MESSAGES[:2], "34200.2,4,99"], ROWS, "message_1.csv, line 3: a message has 6 fields"),
        ([*MESSAGES[:3], "34199,1,1,1,1,1"], ROWS, "message_1.csv, line 4: time goes back"),
        (MESSAGES, [*ROWS[:2], "junk"], "orderbook_1.csv, line 3: an order book row is whole numbers"),
        (MESSAGES, [*ROWS, ROWS[0]], "orderbook_1.csv, line 5: there are more rows than messages"),
        (MESSAGES, [], "the order book file is empty"),
        ([], ROWS, "the tape is empty"),
    ],
)
def test_verify_lobster_refuses_damaged_files(
    tool: Tool, tmp_path: Path, capsys: Output, messages: list[str], rows: list[str], rule: str
) -> None:
    assert tool("verify_lobster").main([*lobster_files(tmp_path, messages, rows), "--levels", "1"]) == 2
    assert rule in capsys.readouterr().err


def test_verify_lobster_on_apples_first_rows(tool: Tool, data_folder: Folder, tmp_path: Path, capsys: Output) -> None:
    folder = data_folder("lobster-2012-06-21")
    messages = tmp_path / "AAPL_2012-06-21_34200000_37800000_message_50.csv"
    with lzma.open(folder / f"{messages.name}.xz") as file:
        messages.write_bytes(b"".join(islice(file, 3_000)))
    top = tmp_path / "AAPL_2012-06-21_34200000_37800000_orderbook_top1of50.csv"
    with lzma.open(folder / f"{top.name}.xz") as file:
        top.write_bytes(b"".join(islice(file, 3_000)))
    deep = folder / "AAPL_2012-06-21_34200000_34210047_orderbook_50_first672.csv.xz"
    assert tool("verify_lobster").main([str(messages), str(top), str(deep), "--levels", "50"]) == 0
    out = capsys.readouterr().out
    assert "inside the known horizon: 5,998 checks, 0 mismatches" in out
    assert "levels 1-49 exact in all 672 rows" in out
    assert "level 50: 8 of 1,344" in out


def test_verify_binance_on_the_first_lines(tool: Tool, data_folder: Folder, tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "start.jsonl"
    with lzma.open(data_folder("binance-l2-2024-08-08") / "ethusdt_spot_20240808.jsonl.xz") as file:
        lines = list(islice(file, 2_000))
    path.write_bytes(b"".join(lines))
    verify = tool("verify_binance_l2").main
    assert verify([str(path)]) == 0
    out = capsys.readouterr().out
    assert out.count("equal after") == 2
    assert "accidental trades from depth: 0" in out
    # one best quote with another quantity: both passes notice
    at = next(i for i, line in enumerate(lines) if b"bookTicker" in line and i > 100)
    for i, line in enumerate(lines[at:], at):
        if b"bookTicker" in line:
            lines[i] = line.replace(b'"B":"', b'"B":"1')
    path.write_bytes(b"".join(lines))
    assert verify([str(path)]) == 1
    assert "first difference: diff in line" in capsys.readouterr().out
    path.write_bytes(b"".join(lines)[:-100])
    assert verify([str(path)]) == 2
    assert "start.jsonl, line 2000: " in capsys.readouterr().err


def sweep_file(path: Path, prices: list[str]) -> str:
    rows = [f"binance,TRXUSDT,1760131685935999,1760131685935999,{i},sell,{price},2.5" for i, price in enumerate(prices)]
    path.write_text("\n".join([HEADER.decode(), *rows, ""]))
    return str(path)


def test_verify_sweep_knows_its_own_sweep_from_others(tool: Tool, tmp_path: Path, capsys: Output) -> None:
    verify = tool("verify_sweep").main
    path = sweep_file(tmp_path / "trades.csv", ["0.32", "0.32", "0.31"])
    assert verify([path]) == 1  # not what was published of that timestamp
    out = capsys.readouterr().out
    assert "3 fills over 2 prices, 0.32 -> 0.31, VWAP 0.316667" in out
    assert out.count("NOT") == 1
    assert verify([path, "--timestamp", "1"]) == 2
    assert "no trades at timestamp 1" in capsys.readouterr().err


def test_the_book_that_a_sweep_met_can_be_measured(tool: Tool, tmp_path: Path, capsys: Output) -> None:
    path = sweep_file(tmp_path / "trades.csv", ["0.32", "0.32", "0.31"])
    out = tmp_path / "run"
    tool("verify_sweep").main([path, "--out", str(out)])
    assert f"{out}: the book from 0s on, the order at 1.935999 s after 2025-10-10T21:28:04Z" in capsys.readouterr().out
    assert main(["slippage", str(out), "--at", "0s", "--ref", "best", "--notional", "1,2.375,9"]) == 0
    row = capsys.readouterr().out.splitlines()[3].split()
    assert row == ["21:28:04Z", "0.32", "0.0", "104.2", "-", "(26.4", "%)"]
    assert main(["depth", str(out), "--at", "21:28:05.935998999Z", "--ref", "best", "--bands", "1,10"]) == 0
    bids, asks = capsys.readouterr().out.splitlines()[3:5]
    assert bids.split() == ["21:28:05.935998999Z", "bids", "0.32", "1.600", "2.375"]
    assert asks.split() == ["21:28:05.935998999Z", "asks", "-", "0", "0"]
    assert main(["depth", str(out), "--ref", "best"]) == 0  # at the end the order has eaten it
    assert "bids     -" in capsys.readouterr().out
