"""Packed columns come back: exactly where they are whole numbers of steps, within half a step where they are not."""

from __future__ import annotations

import base64
import zlib
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lobsim.report.page.pack import LIMIT, fitting_step, pack, pack_ints, unpack

whole = st.integers(-LIMIT + 1, LIMIT - 1) | st.integers(-300, 300)
steps = st.sampled_from([Decimal(1), Decimal("0.01"), Decimal("0.0001"), Fraction(1, 3), 1000, Decimal("0.25")])


@given(st.lists(st.none() | whole, max_size=60), steps)
@example([LIMIT - 1, -LIMIT + 1, LIMIT - 1], 1)
@example([], 1)
@example([None, 0, None, 63, 64, -64, -65], 1)
def test_whole_numbers_come_back_exactly(values, step):
    ints = [0 if value is None else value for value in values]
    back = unpack(pack_ints(ints, [value is not None for value in values], step))
    ratio = Fraction(step)
    for value, found in zip(values, back.tolist(), strict=True):
        if value is None:
            assert np.isnan(found)
        elif abs(value * ratio.numerator) <= 2**53:  # the float nearest to the number that was meant
            assert found == float(Fraction(value) * ratio)


@given(st.lists(st.floats(-1e9, 1e9) | st.just(float("nan")) | st.just(float("inf")), max_size=40), steps)
def test_numbers_come_back_within_half_a_step(values, step):
    back = unpack(pack(values, step))
    for value, found in zip(values, back.tolist(), strict=True):
        if not np.isfinite(value):
            assert np.isnan(found)
        else:
            assert abs(Fraction(found) - Fraction(value)) <= Fraction(step) / 2 + Fraction(1, 10**6)


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=40))
@example([5e-324])
@example([2.5e-310, 1.0e-309])
def test_a_fitting_step_shows_no_difference(values):
    step = fitting_step([values])
    pack(values, step)  # fits
    span = max(values) - min(values) or max(abs(value) for value in values)
    assert float(step) <= max(span / 1000, max(abs(value) for value in values) * 1e-12) or span < 1e-280


@given(st.lists(st.floats(1e-9, 1e6), min_size=1, max_size=40))
def test_a_fitting_step_on_a_log_axis_keeps_the_smallest(values):
    back = unpack(pack(values, fitting_step([values], log=True)))
    assert min(back) == pytest.approx(min(values), rel=1e-2, abs=max(values) * 1e-13)


def test_the_format_is_what_the_docstring_says():
    packed = pack_ints([1, 0, 200], [True, False, True], Decimal("0.5"))
    assert (packed["n"], packed["m"], packed["d"]) == (3, 1, 2)
    # 1 + zigzag(1) = 3; none: 0; 1 + zigzag(199) = 399 = 15 + 3 * 128
    assert zlib.decompress(base64.b64decode(packed["b"]), -15) == bytes([3, 0, 128 + 15, 3])


def test_a_long_steady_column_is_small():
    assert len(pack_ints(np.arange(12_600) * 1000 + 1_760_000_000_000)["b"]) < 200


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="must stay below"):
        pack_ints([LIMIT])
    with pytest.raises(ValueError, match="too small"):
        pack([1e20], 1)


def test_nothing_at_all():
    assert fitting_step([]) == 1
    assert fitting_step([[float("nan")], [0.0]]) == 1
    assert unpack(pack([], 1)).tolist() == []
