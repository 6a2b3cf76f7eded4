"""Columns of numbers in few bytes: quantised to whole steps, delta-coded, written as variable-length bytes, deflated.

The format, which assets/page.js reads back: ``{"n": how many, "m": multiplier, "d": divisor, "b": base64}``. The bytes
are a raw deflate stream (RFC 1951) of one LEB128 number per value: 0 for no value, else 1 + the zigzag code of the
difference to the last value there was (0 at the beginning). A number is ``whole * m / d``: the float nearest to the
decimal that it stands for; with ``"log": true`` that is its decimal logarithm.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LIMIT = 1 << 51
"""Whole numbers must be smaller than this, so that their differences stay exact in JavaScript."""

_DIGITS = 4
_LOG_DIGITS = 3
_LEAST_EXPONENT = -290  # of a step: its divisor must still be a float


def pack_ints(
    values: npt.ArrayLike, known: npt.ArrayLike | None = None, step: Decimal | Fraction | int = 1
) -> dict[str, Any]:
    """A column of whole numbers of steps; `known`: False where there is no value.

    Raises `ValueError` for numbers of `LIMIT` and more. Complexity: O(n).
    """
    whole = np.atleast_1d(np.asarray(values, dtype=np.int64))
    there = np.ones(len(whole), dtype=np.bool_) if known is None else np.asarray(known, dtype=np.bool_)
    present = whole[there]
    if len(present) and (int(present.max()) >= LIMIT or int(present.min()) <= -LIMIT):
        raise ValueError(f"a column of whole numbers must stay below {LIMIT}")
    difference = np.diff(present, prepend=0)
    codes = np.zeros(len(whole), dtype=np.uint64)
    codes[there] = ((difference << 1) ^ (difference >> 63)).astype(np.uint64) + np.uint64(1)
    # wbits -15: raw deflate, what DecompressionStream calls "deflate-raw"
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(_leb128(codes)) + deflate.flush()
    multiplier, divisor = Fraction(step).numerator, Fraction(step).denominator
    return {"n": len(whole), "m": multiplier, "d": divisor, "b": base64.b64encode(packed).decode("ascii")}


def pack(values: npt.ArrayLike, step: Decimal | Fraction | int) -> dict[str, Any]:
    """A column of numbers rounded to whole steps (half to even); NaN and infinities are values that are not there."""
    numbers = np.atleast_1d(np.asarray(values, dtype=np.float64))
    known = np.isfinite(numbers)
    ratio = Fraction(step)
    whole = np.zeros(len(numbers))
    whole[known] = np.rint(numbers[known] * ratio.denominator / ratio.numerator)
    if np.abs(whole).max(initial=0) >= LIMIT:
        raise ValueError(f"a step of {step} is too small for these numbers")
    return pack_ints(whole.astype(np.int64), known, ratio)


def pack_log(values: npt.ArrayLike, per_decade: int = 1000) -> dict[str, Any]:
    """A column of numbers for a logarithmic axis, rounded in their logarithms (`per_decade` 1000: by 0.12 % at most).

    What is not above zero is a value that is not there: such an axis has no place for it.
    """
    numbers = np.atleast_1d(np.asarray(values, dtype=np.float64))
    known = np.isfinite(numbers) & (numbers > 0)
    logs = np.log10(numbers, out=np.full(len(numbers), np.nan), where=known)
    return {**pack(logs, Fraction(1, per_decade)), "log": True}


def fitting_step(values: Iterable[npt.ArrayLike], *, log: bool = False) -> Fraction:
    """A power of ten that shows no difference on a screen: four digits of the range that the columns span together,
    or (log) three digits of the smallest number above zero."""
    parts = [np.asarray(column, dtype=np.float64) for column in values]
    numbers = np.concatenate([part[np.isfinite(part)] for part in parts]) if parts else np.zeros(0)
    if not len(numbers):
        return Fraction(1)
    most = float(np.abs(numbers).max())
    if log:
        above = numbers[numbers > 0]
        size, digits = (float(above.min()) if len(above) else most), _LOG_DIGITS
    else:
        size, digits = float(np.ptp(numbers)) or most, _DIGITS
    if not size or not most:
        return Fraction(1)
    exponent = max(math.floor(math.log10(size)) - digits, math.floor(math.log10(most)) - 14, _LEAST_EXPONENT)
    return Fraction(10) ** exponent


def unpack(packed: Mapping[str, Any]) -> Floats:
    """The numbers back, NaN where there is none: what the page's script does."""
    data = zlib.decompress(base64.b64decode(packed["b"]), -15)
    numbers = np.full(packed["n"], np.nan)
    last = 0
    for place, code in enumerate(_numbers(data)):
        if code:
            zigzag = code - 1
            last += (zigzag >> 1) ^ -(zigzag & 1)
            numbers[place] = last * packed["m"] / packed["d"]
    return np.power(10.0, numbers) if packed.get("log") else numbers


def points(*columns: dict[str, Any]) -> dict[str, Any]:
    """Columns that the page's script turns into ECharts' rows ``[x, y, ...]``."""
    return {"$points": list(columns)}


def _leb128(codes: npt.NDArray[np.uint64]) -> bytes:
    """Seven bits a byte, the lowest first, the high bit set on all but a number's last byte."""
    if not len(codes):
        return b""
    longest = max(1, -(-int(codes.max()).bit_length() // 7))
    shifts = np.arange(longest, dtype=np.uint64) * np.uint64(7)
    groups = codes[:, None] >> shifts
    used = groups > 0
    used[:, 0] = True
    more = np.concatenate([used[:, 1:], np.zeros((len(codes), 1), dtype=np.bool_)], axis=1)
    table = ((groups & np.uint64(127)) | (more.astype(np.uint64) << np.uint64(7))).astype(np.uint8)
    return table[used].tobytes()


def _numbers(data: bytes) -> Sequence[int]:
    found, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value)
            value = shift = 0
    return found
