"""Exact numbers: decimal text at the edges, integers inside.

Prices are counted in ticks, quantities in lots, time in nanoseconds since the start of the run, money in quanta of an
asset. A value that does not lie on its grid is refused (`GridError`), never rounded.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from lobsim.errors import GridError, InputError

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_S
NS_PER_HOUR = 60 * NS_PER_MINUTE
NS_PER_DAY = 24 * NS_PER_HOUR

_MAX_DIGITS = 40
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ns|us|ms|s|m|h|d)", re.ASCII)
_UNIT_NS = {
    "ns": 1,
    "us": NS_PER_US,
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": NS_PER_MINUTE,
    "h": NS_PER_HOUR,
    "d": NS_PER_DAY,
}
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,9}))?)?Z", re.ASCII)


def parse_decimal(value: str | int | Decimal, what: str = "number") -> Decimal:
    """Exact finite decimal of at most 40 digits; raises `GridError` for anything else (floats included)."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise GridError(f"{what}: {value!r} is a {type(value).__name__}; write a decimal number, e.g. '0.01'")
    if isinstance(value, str) and len(value) > 2 * _MAX_DIGITS:
        raise GridError(f"{what}: text of {len(value)} characters is no number of at most {_MAX_DIGITS} digits")
    try:
        if isinstance(value, str) and not value.isascii():
            raise ValueError
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        raise GridError(f"{what}: {value!r} is not a decimal number, e.g. '0.01'") from None
    if not number.is_finite():
        raise GridError(f"{what}: {value!r} is not finite")
    _, digits, exponent = number.as_tuple()
    if len(digits) > _MAX_DIGITS or abs(int(exponent)) > _MAX_DIGITS:
        raise GridError(f"{what}: {str(value)[:60]!r} has more than {_MAX_DIGITS} digits")
    return number


class Grid:
    """A grid of equally spaced decimals, such as prices on a tick or quantities on a lot.

    ``Grid("0.01", "price").count("101.25") == 10125`` and ``.text(10125) == "101.25"``, both exact.
    """

    __slots__ = ("_denominator", "_numerator", "name", "places", "step")

    def __init__(self, step: str | int | Decimal, name: str = "value") -> None:
        self.step = parse_decimal(step, f"{name} step")
        if self.step <= 0:
            raise GridError(f"{name} step: {step!r} must be greater than 0")
        self.name = name
        self.places = max(0, -int(self.step.normalize().as_tuple().exponent))
        self._numerator, self._denominator = self.step.as_integer_ratio()

    def count(self, value: str | int | Decimal) -> int:
        """How many steps `value` is; raises `GridError` when it is not a whole number of them."""
        numerator, denominator = parse_decimal(value, self.name).as_integer_ratio()
        steps, rest = divmod(numerator * self._denominator, denominator * self._numerator)
        if rest:
            raise GridError(f"{self.name}: {value} is not a whole multiple of {self.step}")
        return steps

    def decimal(self, steps: int) -> Decimal:
        """The exact value of `steps` steps, written with the step's own number of places."""
        value = steps * self._numerator * 10**self.places
        return Decimal(value // self._denominator).scaleb(-self.places)

    def text(self, steps: int) -> str:
        """`decimal` as plain text without an exponent."""
        return f"{self.decimal(steps):f}"

    def floor(self, value: float) -> int:
        """Largest step at or below a float: for agents' own arithmetic, never for input."""
        return int(value * self._denominator // self._numerator)


def parse_duration(text: str, what: str = "duration") -> int:
    """Nanoseconds of "250ms", "1.5s", "45m", "2h"; raises `InputError`."""
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) and len(text) <= 40 else None
    if match is None:
        raise InputError(f"{what}: {str(text)[:40]!r} is not a duration; write e.g. '250ms', '1.5s', '45m' or '2h'")
    value = Decimal(match[1]) * _UNIT_NS[match[2]]
    if value != value.to_integral_value():
        raise InputError(f"{what}: {text!r} is not a whole number of nanoseconds")
    return int(value)


def parse_time(text: str, start_ns_of_day: int, what: str = "time") -> int:
    """Nanoseconds since the run's start of "21:15:00Z" (the next such moment) or "45m" (after the start)."""
    match = _CLOCK.fullmatch(text.strip()) if isinstance(text, str) and len(text) <= 40 else None
    if match is None:
        try:
            return parse_duration(text, what)
        except InputError:
            raise InputError(
                f"{what}: {str(text)[:40]!r} is neither a UTC clock time such as '21:15:00Z' "
                "nor a duration such as '45m'"
            ) from None
    hours, minutes, seconds, fraction = match.groups()
    clock = (int(hours) * 60 + int(minutes)) * NS_PER_MINUTE + int(seconds or 0) * NS_PER_S
    clock += int((fraction or "").ljust(9, "0"))
    return (clock - start_ns_of_day) % NS_PER_DAY


def format_clock(time_ns: int, start_ns_of_day: int = 0) -> str:
    """UTC wall clock "21:15:00.250Z" of a moment of the run, to the millisecond."""
    ms = (start_ns_of_day + time_ns) // NS_PER_MS % (NS_PER_DAY // NS_PER_MS)
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z"


def mul_div_floor(value: int, numerator: int, denominator: int) -> int:
    """``floor(value * numerator / denominator)`` exactly: the one rounding rule of fees, interest and seizures.

    Who pays is rounded down to a whole quantum and who receives gets what was paid, so a transfer never makes money;
    where two sides are rounded apart, the difference goes to the ledger account ``rounding``.
    """
    return value * numerator // denominator
