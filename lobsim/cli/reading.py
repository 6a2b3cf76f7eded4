"""`lobsim depth` and `lobsim slippage`: open a run, measure it, print a table, JSON or CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from lobsim.cli.console import console, plain, say, show_table
from lobsim.cli.output import Form, open_run, sent
from lobsim.errors import InputError
from lobsim.measure import Instrument, Run, depth, slippage
from lobsim.report.wording import NOTHING, percent
from lobsim.units import NS_PER_DAY, NS_PER_S, NS_PER_US, format_clock, parse_decimal

_MAX_LIST = 50
_MAX_SHOWN = 1000
_DIGITS = 4
_CSV_DIGITS = 15  # all that a float is sure of: 13545.9, not 13545.900000000001
_MOST_DECIMALS = 12
_QUOTE = "quote"
_WHOLE_FROM = 1000


def show_depth(
    folder: Path,
    instrument: str | None,
    bands: str,
    at: Sequence[str] | None,
    every: str | None,
    ref: str,
    form: Form,
) -> None:
    """Print depth: one row per moment and side, one column per band."""
    run = open_run(folder, form)
    widths = _numbers(bands, "--bands")
    frame = depth(run, instrument, widths, at=list(at) if at else None, every=every, ref=ref)  # type: ignore[arg-type]
    if sent(run, form, {"ref": ref}, frame.drop("time"), lambda: _tidy(run, frame, ref)):
        return
    chosen = _chosen(run, instrument)
    unit, scale = _scaled_unit(chosen, frame["depth_quote"].max())
    head = _head(chosen, "side", ref)
    clock = _Clock(run, frame)
    decimals = {
        str(name): 1 if scale > 1 else _decimals(group["depth_quote"].max())
        for (name,), group in frame.group_by("instrument")
    }
    rows = [
        (
            clock(group["time_ns"][0]),
            *((name,) if len(chosen) > 1 else ()),
            "bids" if group["side"][0] == "bid" else "asks",
            _price(run.instruments[name], group["ref_price"][0], ref),
            *(_fixed(value if value is None else value / scale, decimals[name]) for value in group["depth_quote"]),
        )
        for name, group in _groups(frame, len(widths))
    ]
    _show(
        f"Depth of {_names(chosen)} within so much of the {_ref_words(ref)}",
        (*head, *(f"{_text(width)} %\n{unit}" for width in widths)),
        rows,
        frame.height // len(widths),
    )
    said = [f"{_source(run)}, {clock.said}.", "Price times quantity of displayed orders, the edge included."]
    if scale > 1:
        said.append(f"{unit}: {scale:,} {unit[2:]}.")
    if frame["depth_quote"].null_count():
        said.append(f"{NOTHING}: the other side is empty, so that there is no {_ref_words(ref)}.")
    _caption(said)


def show_slippage(
    folder: Path,
    instrument: str | None,
    side: str,
    notional: str,
    at: Sequence[str] | None,
    every: str | None,
    ref: str,
    form: Form,
) -> None:
    """Print slippage in basis points: one row per moment, one column per order size."""
    run = open_run(folder, form)
    sizes = _numbers(notional, "--notional")
    frame = slippage(run, instrument, side, sizes, at=list(at) if at else None, every=every, ref=ref)  # type: ignore[arg-type]
    if sent(run, form, {"ref": ref}, frame.drop("time"), lambda: _tidy(run, frame, ref)):
        return
    chosen = _chosen(run, instrument)
    head = _head(chosen, "", ref)
    clock = _Clock(run, frame)
    rows = [
        (
            clock(group["time_ns"][0]),
            *((name,) if len(chosen) > 1 else ()),
            _price(run.instruments[name], group["ref_price"][0], ref),
            *(_cost(*cell) for cell in group.select("slippage", "filled_share").rows()),
        )
        for name, group in _groups(frame, len(sizes))
    ]
    unit = _unit(chosen)
    _show(
        f"Slippage of market {side.lower()} orders in {_names(chosen)} against the {_ref_words(ref)}",
        (*head, *(f"{_text(size)} {unit}\nbps" for size in sizes)),
        rows,
        frame.height // len(sizes),
    )
    said = [f"{_source(run)}, {clock.said}.", "VWAP of whole lots, hidden orders included, fees not."]
    missing = frame["slippage"].null_count()
    if missing:
        said.append(f"{NOTHING}: {missing} of {frame.height} have none: {_reasons(frame, ref)}.")
    _caption(said)


# --- where it goes ----------------------------------------------------------------------------------------------------


def _tidy(run: Run, frame: pl.DataFrame, ref: str) -> pl.DataFrame:
    """One measurement a row, with all that a caption would say in columns of its own; units in their names."""
    quotes = {name: one.quote for name, one in run.instruments.items()}
    quote = pl.col("instrument").cast(pl.String).replace_strict(quotes, return_dtype=pl.String)
    if "slippage" in frame.columns:
        frame = frame.with_columns(pl.col("slippage") * 10_000)
    names = {
        "time": "time_utc",
        "ref_price": "ref_price_quote",
        "depth_qty": "depth_base",
        "filled_share": "filled_fraction",
        "worst_price": "worst_price_quote",
        "vwap": "vwap_quote",
        "slippage": "slippage_bps",
    }
    return (
        frame.select(
            pl.lit(run.scenario).alias("scenario"),
            pl.lit(str(run.seed)).cast(pl.Int128).alias("seed"),
            pl.lit(run.complete).alias("run_complete"),
            "time",
            "time_ns",
            "instrument",
            quote.alias("quote"),
            pl.lit(ref).alias("ref"),
            pl.exclude("time", "time_ns", "instrument"),
        )
        .with_columns(pl.col(pl.Float64).round_sig_figs(_CSV_DIGITS))
        .rename(names, strict=False)
    )


def _show(title: str, header: Sequence[str], rows: list[tuple[str, ...]], there_are: int) -> None:
    """Title and table; the columns up to the price are text."""
    say(title, style="bold cyan")
    left = next(number for number, name in enumerate(header) if name.startswith(("mid", "best")))
    show_table(header, rows, left=left)
    if there_are > len(rows):
        say(f"... and {there_are - len(rows):,} more rows; take a longer step, or --csv FILE")


def _caption(sentences: Sequence[str]) -> None:
    """One paragraph below a table: broken between words on a terminal, one line elsewhere."""
    from rich.text import Text  # noqa: PLC0415

    screen = console()
    screen.print()
    screen.print(Text(plain(" ".join(sentences))), soft_wrap=not screen.is_terminal)


# --- words and digits -------------------------------------------------------------------------------------------------


def _numbers(text: str, option: str) -> list[str]:
    numbers = [part.strip() for part in text.split(",") if part.strip()]
    if not numbers or len(numbers) > _MAX_LIST:
        raise InputError(f"{option} {text[:60]!r}: write 1 to {_MAX_LIST} numbers with commas between, e.g. 1,2,5")
    return numbers


def _groups(frame: pl.DataFrame, size: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """(instrument, `size` rows of the frame) of each row of the table, as many as are shown."""
    for group in frame.head(_MAX_SHOWN * size).iter_slices(size):
        yield str(group["instrument"][0]), group


def _chosen(run: Run, instrument: str | None) -> list[Instrument]:
    return list(run.instruments.values()) if instrument is None else [run.instrument(instrument)]


def _names(chosen: Sequence[Instrument]) -> str:
    return chosen[0].name if len(chosen) == 1 else f"{len(chosen)} instruments"


def _unit(chosen: Sequence[Instrument]) -> str:
    quotes = {one.quote for one in chosen}
    return quotes.pop() if len(quotes) == 1 else _QUOTE


def _scaled_unit(chosen: Sequence[Instrument], largest: Any) -> tuple[str, int]:
    """(unit, how much of the quote currency it is). Instruments that share a table may differ by far: never scaled."""
    unit = _unit(chosen)
    for prefix, scale in (("M", 10**6), ("k", 10**3)):
        if len(chosen) == 1 and largest is not None and largest >= scale * _WHOLE_FROM:
            return f"{prefix} {unit}", scale
    return unit, 1


def _head(chosen: Sequence[Instrument], side: str, ref: str) -> tuple[str, ...]:
    """Titles of the columns before the measured ones, units below them."""
    optional = (*(("instrument",) if len(chosen) > 1 else ()), *((side,) if side else ()))
    return ("time\nUTC", *optional, f"{ref}\n{_unit(chosen)}")


def _source(run: Run) -> str:
    return f"{'Run' if run.complete else 'UNFINISHED run'} {run.scenario}, seed {run.seed} ({run.path})"


def _reasons(frame: pl.DataFrame, ref: str) -> str:
    """Why slippages are missing, of all reasons those that hold."""
    none = frame.filter(pl.col("slippage").is_null())
    known = pl.col("ref_price").is_not_null()
    reasons = []
    if none.filter(pl.col("filled_share") < 1).height:
        reasons.append("the book could not fill the order (in brackets the share that it could)")
    if none.filter(~known).height:
        reasons.append(f"there was no {_ref_words(ref)}")
    if none.filter(known & (pl.col("filled_share") >= 1)).height:
        reasons.append("the order did not pay for one lot")
    return " or ".join(reasons)


class _Clock:
    """Moments as one would give them to --at, with the day where there are several; `said` names them in a caption."""

    def __init__(self, run: Run, frame: pl.DataFrame) -> None:
        self._run = run
        first, last = int(frame["time_ns"].min()), int(frame["time_ns"].max())  # type: ignore[arg-type]
        self._dated = self._day(first) != self._day(last)
        said = f"{self._day(first)} {self._time(first)}"
        if last != first:
            said += f" to {f'{self._day(last)} ' if self._dated else ''}{self._time(last)}"
        self.said = said

    def __call__(self, time_ns: int) -> str:
        return f"{self._day(time_ns)} {self._time(time_ns)}" if self._dated else self._time(time_ns)

    def _day(self, time_ns: int) -> str:
        return (self._run.start_utc + timedelta(microseconds=time_ns // NS_PER_US)).date().isoformat()

    def _time(self, time_ns: int) -> str:
        seconds = format_clock(time_ns, self._run.start_ns_of_day)[:8]
        rest = (self._run.start_ns_of_day + time_ns) % NS_PER_DAY % NS_PER_S
        return f"{seconds}{f'.{rest:09}'.rstrip('0') if rest else ''}Z"


def _text(number: str) -> str:
    """A number of the command line with all its digits, without exponent."""
    exact: Decimal = parse_decimal(number)
    return f"{exact.to_integral_value() if exact == exact.to_integral_value() else exact.normalize():,f}"


def _decimals(largest: Any) -> int:
    """Decimals for a column whose largest number is this: none from a thousand on, else four significant digits."""
    if not largest:
        return 0
    whole = Decimal(largest).adjusted() + 1
    return min(max(_DIGITS - whole, 0), _MOST_DECIMALS)


def _fixed(value: float | None, decimals: int) -> str:
    """Nothing at all is "0", what only rounds to it "0.0"."""
    if not value:
        return NOTHING if value is None else "0"
    return f"{value:,.{decimals}f}"


def _price(instrument: Instrument, price: float | None, ref: str) -> str:
    """A mid price may lie between two ticks."""
    return _fixed(price, instrument.tick.places + (ref == "mid"))


def _cost(cost: float | None, share: float) -> str:
    if cost is not None:
        return f"{cost * 10_000:,.1f}"
    return NOTHING if share in (0, 1) else f"{NOTHING} ({percent(share)})"


def _ref_words(ref: str) -> str:
    return "mid price" if ref == "mid" else "best price"
