import bz2
import gzip
import lzma
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.errors import TapeError
from lobsim.sim.tapes import lines as lines_module
from lobsim.sim.tapes.lines import fault, printable, read_lines

PACK = {"plain": bytes, "gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress}


def read(path: Path, **options: object) -> list[bytes]:
    return [line for _, line in read_lines(path, max_line=1_000, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize("packing", PACK)
def test_a_file_reads_the_same_however_it_is_packed_and_named(tmp_path: Path, packing: str) -> None:
    text = b"".join(b"line %d\n" % i for i in range(40_000))
    path = tmp_path / "no.suffix"
    path.write_bytes(PACK[packing](text))
    assert list(read_lines(path, max_line=20)) == [(i + 1, b"line %d" % i) for i in range(40_000)]


@pytest.mark.parametrize("packing", ["gzip", "xz", "bzip2"])
def test_pieces_packed_one_after_the_other_are_one_file(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "tape"
    path.write_bytes(PACK[packing](b"a\nb") + PACK[packing](b"c\nd\n") + PACK[packing](b""))
    assert read(path) == [b"a", b"bc", b"d"]


@pytest.mark.parametrize("packing", ["gzip", "xz", "bzip2"])
def test_a_cut_packed_file_is_refused_at_every_length(tmp_path: Path, packing: str) -> None:
    packed = PACK[packing](b"".join(b"%d\n" % (i * i) for i in range(200)))
    path = tmp_path / "tape"
    for length in range(10, len(packed), 7):
        path.write_bytes(packed[:length])
        with pytest.raises(TapeError, match="end in the middle"):
            read(path)


@pytest.mark.parametrize("packing", ["gzip", "xz", "bzip2"])
def test_damaged_packed_data_are_refused(tmp_path: Path, packing: str) -> None:
    packed = bytearray(PACK[packing](b"".join(b"%d\n" % (i * i) for i in range(2_000))))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "tape"
    path.write_bytes(packed)
    with pytest.raises(TapeError, match=f"damaged {packing} data"):
        read(path)


def test_something_else_after_the_packed_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    path.write_bytes(gzip.compress(b"a\n") + b"surplus")
    with pytest.raises(TapeError, match="followed by something else"):
        read(path)
    path.write_bytes(gzip.compress(b"a\n") + bytes(100))  # zeros are how tapes and some tools pad
    assert read(path) == [b"a"]


@pytest.mark.parametrize("packing", ["gzip", "xz", "bzip2"])
def test_a_bomb_of_one_endless_line_is_refused(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(PACK[packing](b"0" * 50_000_000))
    with pytest.raises(TapeError, match="line 1: a line may have at most 1000 bytes"):
        read(path)


def test_a_bomb_of_short_lines_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "RATIO_FREE_BYTES", 1 << 20)
    path = tmp_path / "bomb"
    path.write_bytes(lzma.compress(b"1,2,3\n" * 5_000_000))
    with pytest.raises(TapeError, match="decompression bomb"):
        for _ in read_lines(path, max_line=20):
            pass


@pytest.mark.parametrize("packing", PACK)
def test_the_unpacked_size_is_capped(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "tape"
    path.write_bytes(PACK[packing](b"1234567\n" * 100))
    assert len(read(path, max_bytes=800)) == 100
    with pytest.raises(TapeError, match="at most 799 bytes"):
        read(path, max_bytes=799)


def test_an_xz_header_that_asks_for_much_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 512 << 20, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3, "depth": 1}]
    packed = lzma.compress(b"a\n", filters=[{**filters[0], "dict_size": 1 << 20}])
    assert packed[14] == 0x21  # LZMA2's id in the block header; its dictionary size stands two bytes on
    header = bytearray(packed[12:24])
    header[4] = 34  # 512 MiB
    header[8:12] = zlib.crc32(bytes(header[:8])).to_bytes(4, "little")
    path.write_bytes(packed[:12] + bytes(header) + packed[24:])
    with pytest.raises(TapeError, match="damaged xz data: Memory usage limit"):
        read(path)


def test_line_ends_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    path.write_bytes(b"a\r\nb\nc")
    assert read(path) == [b"a", b"b", b"c"]
    with pytest.raises(TapeError, match="line 3: the last line has no line end"):
        read(path, must_end=True)
    path.write_bytes(b"a\n\nb\n")
    with pytest.raises(TapeError, match="line 2: empty line"):
        read(path)
    path.write_bytes(b"")
    assert read(path) == []


def test_binary_data_are_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    path.write_bytes("a\nb\n".encode("utf-16"))
    with pytest.raises(TapeError, match="line 1: binary data"):
        read(path)


def test_what_cannot_be_opened_is_a_tape_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(TapeError, match="cannot be read"):
            read(path)


def test_messages_hold_no_control_characters(tmp_path: Path) -> None:
    error = fault(tmp_path / "a\x1b[31mb", 3, "rule\x07", b"\x1b[2J" + b"x" * 500)
    assert str(error).isprintable()
    assert len(str(error)) < len(str(tmp_path)) + 200
    assert printable("é\n") == "é\\x0a"


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), packing=st.sampled_from(sorted(PACK)), cut=st.integers(0, 40))
def test_any_bytes_give_lines_or_a_tape_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, packing: str, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-bytes"
    packed = PACK[packing](data)
    path.write_bytes(packed[: len(packed) - cut] if cut < len(packed) else data)
    lines: list[tuple[int, bytes]] = []
    with suppress(TapeError):
        lines.extend(read_lines(path, max_line=100))
    if lines:
        assert [number for number, _ in lines] == list(range(1, len(lines) + 1))
        assert all(line and b"\n" not in line and len(line) <= 100 for _, line in lines)
