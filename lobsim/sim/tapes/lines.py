"""Lines of a tape file, plain or packed, read in bounded memory.

Files come from strangers: what a packed file may grow to, how far it may be blown up and how long one line may be are
capped, and every fault is a `TapeError` that names file, line, rule and value. The packing (gzip, xz, bzip2) is told
from the first bytes, never from the file's name.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from lobsim.errors import TapeError

MAX_BYTES = 16 << 30
"""Most bytes that a tape may have once unpacked, unless the caller says otherwise."""
MAX_RATIO = 1_000
"""A packed tape may not grow by more than this (real ones grow 5 to 50 times) ..."""
RATIO_FREE_BYTES = 64 << 20
"""... once it is larger than this."""

_CHUNK = 1 << 16
_XZ_MEMORY = 256 << 20  # xz -9 needs 65 MiB to unpack; a header may ask for 4 GiB
_SHOWN = 60


def printable(text: str) -> str:
    """`text` without control characters, so that a file's name cannot steer a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def fault(path: Path, line: int, rule: str, value: object = None) -> TapeError:
    """A `TapeError` that names file, line (0: the file as a whole), the rule that is broken and the value found."""
    where = f"{printable(str(path))}, line {line}" if line else printable(str(path))
    rule = printable(rule)
    if value is None:
        return TapeError(f"{where}: {rule}")
    if isinstance(value, bytes):
        value = value.decode("ascii", "backslashreplace")
    shown = value if isinstance(value, str) else repr(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}..."
    return TapeError(f"{where}: {rule}; found '{printable(shown)}'")


class _Unpacker(Protocol):
    """What `bz2.BZ2Decompressor` and `lzma.LZMADecompressor` have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gunzip:
    """zlib's decompressor with the manners of the other two."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self._tail = b""

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._tail and not self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._zlib.decompress(self._tail + data, max(0, max_length))
        self._tail = self._zlib.unconsumed_tail
        return out


def _unxz() -> _Unpacker:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


_PACKINGS: tuple[tuple[bytes, str, Callable[[], _Unpacker]], ...] = (
    (b"\x1f\x8b", "gzip", _Gunzip),
    (b"\xfd7zXZ\x00", "xz", _unxz),
    (b"BZh", "bzip2", bz2.BZ2Decompressor),
)


def _unpack(path: Path, file: BinaryIO, max_bytes: int) -> Iterator[bytes]:
    """The file's content in chunks of bounded size."""
    data = file.read(_CHUNK)
    packing = next((p for p in _PACKINGS if data.startswith(p[0])), None)
    total = 0
    if packing is None:
        while data:
            total += len(data)
            if total > max_bytes:
                raise fault(path, 0, f"a tape may have at most {max_bytes} bytes")
            yield data
            data = file.read(_CHUNK)
        return
    magic, name, make = packing
    unpacker = make()
    read = len(data)
    while True:
        try:
            out = unpacker.decompress(data, _CHUNK)
        except (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
            raise fault(path, 0, f"damaged {name} data: {printable(str(error))}") from None
        total += len(out)
        if total > max_bytes:
            raise fault(path, 0, f"a tape may unpack to at most {max_bytes} bytes")
        if total > RATIO_FREE_BYTES and total > MAX_RATIO * read:
            raise fault(
                path, 0, f"{name} data may grow at most {MAX_RATIO} times; this looks like a decompression bomb"
            )
        if out:
            yield out
        data = b""
        if unpacker.eof:
            rest = unpacker.unused_data or file.read(_CHUNK)
            read += 0 if unpacker.unused_data else len(rest)
            if not rest.strip(b"\0"):
                return
            if not rest.startswith(magic):
                raise fault(path, 0, f"the {name} data are followed by something else")
            unpacker, data = make(), rest  # files packed in several pieces are legal
        elif unpacker.needs_input:
            data = file.read(_CHUNK)
            read += len(data)
            if not data and not out:
                raise fault(path, 0, f"the {name} data end in the middle: the file was cut")


def read_lines(
    path: Path, *, max_line: int, max_bytes: int = MAX_BYTES, must_end: bool = False
) -> Iterator[tuple[int, bytes]]:
    """Line numbers (from 1) and lines without their line ends.

    must_end: refuse a last line without a line end, for formats in which a cut last field would go unnoticed. Raises
    `TapeError` for unreadable, damaged or oversized files, empty lines and NUL bytes; an empty file has no lines.
    """
    number = 0
    tail = b""
    try:
        with path.open("rb") as file:
            for chunk in _unpack(path, file, max_bytes):
                lines = (tail + chunk).split(b"\n")
                tail = lines.pop()
                for line in lines:
                    number += 1
                    yield number, _checked(path, number, line, max_line)
                if len(tail) > max_line:
                    raise fault(path, number + 1, f"a line may have at most {max_line} bytes", tail)
    except OSError as error:
        raise fault(path, 0, f"cannot be read: {error.strerror or error}") from None
    if tail:
        if must_end:
            raise fault(path, number + 1, "the last line has no line end: the file was cut", tail)
        yield number + 1, _checked(path, number + 1, tail, max_line)


def _checked(path: Path, number: int, line: bytes, max_line: int) -> bytes:
    line = line.removesuffix(b"\r")
    if not line:
        raise fault(path, number, "empty line")
    if len(line) > max_line:
        raise fault(path, number, f"a line may have at most {max_line} bytes", line)
    if b"\0" in line:
        raise fault(path, number, "binary data (a NUL byte) in a text file", line)
    return line
