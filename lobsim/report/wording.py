"""Numbers and spans of time as people write them. For reading only: every function rounds."""

from __future__ import annotations

from decimal import Decimal

from lobsim.units import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_MS, NS_PER_S

NOTHING = "-"
_WHOLE_FROM = 1000
_PERCENT_FROM = 0.01
_WHOLE_MULTIPLE = 10


def amount(value: float | None) -> str:
    """1,234,567 above a thousand, four significant digits below it, "-" for None."""
    if value is None:
        return NOTHING
    if abs(value) >= _WHOLE_FROM:
        return f"{value:,.0f}"
    if value == int(value):
        return f"{value:.0f}"
    text = f"{value:.4g}"
    return text if "e" not in text else f"{Decimal(text):f}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """0.8123 as "81.2 %", "-" for None."""
    return NOTHING if fraction is None else f"{fraction * 100:.{digits}f} %"


def basis_points(fraction: float | None) -> str:
    """0.0012 as "12.0 bp", from a hundredth on in percent."""
    if fraction is None:
        return NOTHING
    return f"{fraction * 10_000:.1f} bp" if fraction < _PERCENT_FROM else percent(fraction)


def span(ns: int) -> str:
    """ "250 ms", "4.5 s", "4 min 31 s", "1 h 15 min"."""
    if ns < NS_PER_S:
        return f"{ns / NS_PER_MS:.3g} ms"
    if ns < NS_PER_MINUTE:
        return f"{ns / NS_PER_S:.3g} s"
    if ns < NS_PER_HOUR:
        minutes, rest = divmod(round(ns / NS_PER_S), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(round(ns / NS_PER_MINUTE), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def seconds(value: float | None) -> str:
    """63.2 as "1 min 3 s", "-" for None; negative spans keep their sign."""
    if value is None:
        return NOTHING
    return f"{'-' if value < 0 else ''}{span(round(abs(value) * NS_PER_S)) if value else '0 s'}"


def multiple(value: float | None) -> str:
    """3.39 as "3.4 x", "-" for None."""
    if value is None:
        return NOTHING
    return f"{value:,.0f} x" if abs(value) >= _WHOLE_MULTIPLE else f"{value:.2g} x"


def words(name: str) -> str:
    """LOAN_LIQUIDATION as "loan liquidation"."""
    return name.lower().replace("_", " ")
