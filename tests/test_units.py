from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.errors import (
    CheckError,
    GridError,
    InputError,
    LobsimError,
    RunError,
    ScenarioError,
    TapeError,
)
from lobsim.units import (
    NS_PER_DAY,
    NS_PER_HOUR,
    NS_PER_MINUTE,
    NS_PER_MS,
    NS_PER_S,
    NS_PER_US,
    Grid,
    format_clock,
    mul_div_floor,
    parse_decimal,
    parse_duration,
    parse_time,
)

STEPS = st.decimals(min_value=Decimal("1e-12"), max_value=Decimal("1e6"), allow_nan=False, places=12).filter(bool)


def test_the_units_of_time() -> None:
    assert (NS_PER_US, NS_PER_MS, NS_PER_S) == (10**3, 10**6, 10**9)
    assert (NS_PER_MINUTE, NS_PER_HOUR, NS_PER_DAY) == (60 * 10**9, 3600 * 10**9, 86_400 * 10**9)


@given(step=STEPS, count=st.integers(-(10**12), 10**12))
def test_what_lies_on_a_grid_comes_back_exactly(step: Decimal, count: int) -> None:
    grid = Grid(step)
    assert Fraction(grid.decimal(count)) == count * Fraction(step)
    assert grid.count(grid.text(count)) == count
    assert "E" not in grid.text(count).upper()


@given(step=STEPS, count=st.integers(-(10**9), 10**9), part=st.integers(1, 999))
def test_what_lies_off_a_grid_is_refused(step: Decimal, count: int, part: int) -> None:
    value = count * step + step * part / 1000
    with pytest.raises(GridError, match="is not a whole multiple of"):
        Grid(step).count(value)


@given(step=STEPS, value=st.floats(0, 1e9))
def test_floor_is_the_step_at_or_below_as_floats_see_it(step: Decimal, value: float) -> None:
    assert Grid(step).floor(value) == pytest.approx(value / float(step), rel=1e-9, abs=1.001)


def test_grids_in_numbers() -> None:
    grid = Grid("0.01", "price")
    assert grid.count("101.25") == grid.count(Decimal("101.250")) == 10125
    assert grid.count(7) == 700
    assert (grid.text(10125), grid.text(100), grid.text(0), grid.text(-5)) == ("101.25", "1.00", "0.00", "-0.05")
    assert grid.decimal(1) == Decimal("0.01")
    assert (grid.places, grid.step, grid.name) == (2, Decimal("0.01"), "price")
    assert grid.floor(101.259) == 10125
    assert (Grid("5").text(3), Grid("5").places, Grid("0.25").text(3), Grid("10").text(2)) == ("15", 0, "0.75", "20")
    assert Grid("1e3").text(2) == "2000"
    assert Grid("0.10").places == 1
    assert Grid("1").name == "value"


def test_grid_messages_name_what_and_where() -> None:
    with pytest.raises(GridError, match=r"^price: 0\.005 is not a whole multiple of 0\.01$"):
        Grid("0.01", "price").count("0.005")
    with pytest.raises(GridError, match=r"^price step: '0' must be greater than 0$"):
        Grid("0", "price")
    with pytest.raises(GridError, match=r"^price: 'x' is not a decimal number"):
        Grid("1", "price").count("x")


@pytest.mark.parametrize("step", ["-1", "0", "0.0", "NaN", "inf", "", "1,5", True, 0.1, None])
def test_steps_must_be_positive_decimals(step: object) -> None:
    with pytest.raises(GridError):
        Grid(step)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.1, "0.1 is a float"),
        (True, "True is a bool"),
        (None, "None is a NoneType"),
        ("", "'' is not a decimal number"),
        ("12abc", "'12abc' is not a decimal number"),
        ("NaN", "'NaN' is not finite"),
        ("-Infinity", "'-Infinity' is not finite"),
        ("1" * 41, "more than 40 digits"),
        ("1" * 81, "text of 81 characters"),
        ("1e41", "more than 40 digits"),
        ("1e-41", "more than 40 digits"),
        (10**41, "more than 40 digits"),
        (Decimal("1e99"), "more than 40 digits"),
    ],
)
def test_what_is_no_decimal_is_refused_with_a_reason(value: object, words: str) -> None:
    with pytest.raises(GridError, match=f"^amount: .*{words}"):
        parse_decimal(value, "amount")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["1" * 40, "1e40", "1e-40", "-0", " 12 ", "1_000", 10**39, Decimal("1.5"), "+3"])
def test_decimals_of_up_to_40_digits_are_exact(value: str | int | Decimal) -> None:
    assert parse_decimal(value) == Decimal(value)


def test_a_number_without_a_name_is_called_number() -> None:
    with pytest.raises(GridError, match=r"^number: "):
        parse_decimal("x")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0s", 0),
        ("1ns", 1),
        ("2us", 2_000),
        ("250ms", 250_000_000),
        ("1.5s", 1_500_000_000),
        ("0.000000001s", 1),
        ("45m", 45 * NS_PER_MINUTE),
        ("2h", 2 * NS_PER_HOUR),
        ("3d", 3 * NS_PER_DAY),
        (" 7s ", 7 * NS_PER_S),
        ("999999999999s", 999_999_999_999 * NS_PER_S),
    ],
)
def test_durations(text: str, ns: int) -> None:
    assert parse_duration(text) == ns
    assert type(parse_duration(text)) is int


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        "-1s",
        "1.s",
        "1,5s",
        "1 s",
        "1e3s",
        "5w",
        "1S",
        "1234567890123s",
        "1.0123456789s",
        "x" * 99,
        5,
        None,
    ],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(InputError, match=r"^wait: .* is not a duration; write e.g. '250ms'"):
        parse_duration(text, "wait")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["0.5ns", "1.0001us", "0.0000001ms"])
def test_parts_of_a_nanosecond_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"^duration: '{text}' is not a whole number of nanoseconds$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "start", "ns"),
    [
        ("21:15:00Z", 21 * NS_PER_HOUR, 15 * NS_PER_MINUTE),
        ("21:15Z", 21 * NS_PER_HOUR, 15 * NS_PER_MINUTE),
        ("00:00:00Z", 23 * NS_PER_HOUR, NS_PER_HOUR),
        ("23:59:59.5Z", 0, NS_PER_DAY - NS_PER_S // 2),
        ("00:00:00.000000001Z", 0, 1),
        ("01:02:03.25Z", 0, 3723 * NS_PER_S + 250 * NS_PER_MS),
        ("05:00Z", 5 * NS_PER_HOUR, 0),
        ("45m", 5 * NS_PER_HOUR, 45 * NS_PER_MINUTE),
    ],
)
def test_times(text: str, start: int, ns: int) -> None:
    assert parse_time(text, start) == ns


@pytest.mark.parametrize(
    "text", ["24:00Z", "12:60Z", "12:00:60Z", "12:00", "noon", "", "1:00Z", "12:00:00.1234567890Z", 7]
)
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(InputError, match=r"^at: .* is neither a UTC clock time such as '21:15:00Z' nor a duration"):
        parse_time(text, 0, "at")  # type: ignore[arg-type]


def test_clocks_wrap_at_midnight_and_show_milliseconds() -> None:
    assert format_clock(0) == "00:00:00.000Z"
    assert format_clock(250 * NS_PER_MS + 999_999, 21 * NS_PER_HOUR + 15 * NS_PER_MINUTE) == "21:15:00.250Z"
    assert format_clock(NS_PER_DAY - 1) == "23:59:59.999Z"
    assert format_clock(NS_PER_DAY + 61 * NS_PER_S) == "00:01:01.000Z"


@given(start=st.integers(0, NS_PER_DAY - 1), ms=st.integers(0, 86_400_000 - 1))
def test_clock_and_time_undo_each_other(start: int, ms: int) -> None:
    start -= start % NS_PER_MS
    assert parse_time(format_clock(ms * NS_PER_MS, start), start) == ms * NS_PER_MS


@given(st.integers(0, 10**30), st.integers(0, 10**12), st.integers(1, 10**12))
def test_mul_div_floor_never_makes_money(value: int, numerator: int, denominator: int) -> None:
    result = mul_div_floor(value, numerator, denominator)
    assert result * denominator <= value * numerator < (result + 1) * denominator


def test_every_error_is_lobsims_and_bad_input_is_told_from_bugs() -> None:
    for error in (GridError, ScenarioError, TapeError, RunError):
        assert issubclass(error, InputError)
    assert issubclass(InputError, LobsimError)
    assert issubclass(CheckError, LobsimError)
    assert not issubclass(CheckError, InputError)
