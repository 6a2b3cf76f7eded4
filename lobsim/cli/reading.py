"""`lobsim depth` and `lobsim slippage`: open a run, measure it, print a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from lobsim.cli.console import console, say, show_table
from lobsim.errors import InputError
from lobsim.measure import Run, depth, read_run, slippage
from lobsim.report.wording import NOTHING, amount, basis_points, percent
from lobsim.units import format_clock

_MAX_LIST = 50
_MAX_SHOWN = 1000


def show_depth(
    folder: Path,
    instrument: str | None,
    bands: str,
    at: Sequence[str] | None,
    every: str | None,
    ref: str,
    *,
    as_json: bool,
) -> None:
    """Print depth: one row per moment and side, one column per band."""
    run = _open(folder, as_json=as_json)
    widths = _numbers(bands, "--bands")
    frame = depth(run, instrument, widths, at=_moments(at), every=every, ref=ref)  # type: ignore[arg-type]
    if as_json:
        _print_json(run, folder, frame)
        return
    columns = _distinct(frame["band_pct"])
    header = ("time", *_if_many(run, instrument, "instrument"), "price", "side", *(f"{band:g} %" for band in columns))
    rows = [
        (
            _clock(run, key[0]),
            *_if_many(run, instrument, str(key[1])),
            _price(run, str(key[1]), group["ref_price"][0]),
            "bids" if key[2] == "bid" else "asks",
            *(amount(value) for value in group["depth_quote"]),
        )
        for key, group in frame.group_by("time_ns", "instrument", "side", maintain_order=True)
    ]
    _show(
        f"Depth in {_quotes(run, instrument)}: displayed orders within so much of the {_ref_words(ref)}", header, rows
    )


def show_slippage(
    folder: Path,
    instrument: str | None,
    side: str,
    notional: str,
    at: Sequence[str] | None,
    every: str | None,
    ref: str,
    *,
    as_json: bool,
) -> None:
    """Print slippage: one row per moment, one column per order size."""
    run = _open(folder, as_json=as_json)
    sizes = _numbers(notional, "--notional")
    frame = slippage(run, instrument, side, sizes, at=_moments(at), every=every, ref=ref)  # type: ignore[arg-type]
    if as_json:
        _print_json(run, folder, frame)
        return
    columns = _distinct(frame["notional_quote"])
    header = ("time", *_if_many(run, instrument, "instrument"), "price", *(amount(size) for size in columns))
    rows = [
        (
            _clock(run, key[0]),
            *_if_many(run, instrument, str(key[1])),
            _price(run, str(key[1]), group["ref_price"][0]),
            *(_cost(*cell) for cell in group.select("slippage", "filled_share", "ref_price").rows()),
        )
        for key, group in frame.group_by("time_ns", "instrument", maintain_order=True)
    ]
    verb = "selling" if side.lower() == "sell" else "buying"
    _show(
        f"Cost of {verb} at market for so much {_quotes(run, instrument)}, against the {_ref_words(ref)}", header, rows
    )
    missing = frame["slippage"].null_count()
    if missing:
        say(f"{missing} of {frame.height} orders could not be filled, or there was no price to compare with.")


def _open(folder: Path, *, as_json: bool) -> Run:
    run = read_run(folder)
    if not run.complete and not as_json:
        say(run.status, style="yellow", stderr=True)
    return run


def _show(title: str, header: Sequence[str], rows: list[tuple[str, ...]]) -> None:
    say(title, style="bold cyan")
    show_table(header, rows[:_MAX_SHOWN])
    if len(rows) > _MAX_SHOWN:
        say(f"... and {len(rows) - _MAX_SHOWN:,} more rows; take a longer step, or --json")
    console().print()


def _print_json(run: Run, folder: Path, frame: pl.DataFrame) -> None:
    said = {"run": str(folder), "complete": run.complete, "rows": frame.drop("time").to_dicts()}
    print(json.dumps(said))  # noqa: T201


def _numbers(text: str, option: str) -> list[str]:
    numbers = [part.strip() for part in text.split(",") if part.strip()]
    if not numbers or len(numbers) > _MAX_LIST:
        raise InputError(f"{option} {text[:60]!r}: write 1 to {_MAX_LIST} numbers with commas between, e.g. 1,2,5")
    return numbers


def _moments(at: Sequence[str] | None) -> list[str | int] | None:
    return list(at) if at else None


def _distinct(column: pl.Series) -> list[Any]:
    return column.unique(maintain_order=True).to_list()


def _if_many(run: Run, instrument: str | None, text: str) -> tuple[str, ...]:
    return (text,) if instrument is None and len(run.instruments) > 1 else ()


def _quotes(run: Run, instrument: str | None) -> str:
    chosen = [run.instrument(instrument)] if instrument is not None else list(run.instruments.values())
    names = sorted({one.quote for one in chosen})
    return names[0] if len(names) == 1 else "quote currency"


def _clock(run: Run, time_ns: Any) -> str:
    return format_clock(int(time_ns), run.start_ns_of_day).replace(".000Z", "Z")


def _price(run: Run, instrument: str, price: float | None) -> str:
    places = run.instruments[instrument].tick.places
    return NOTHING if price is None else f"{price:.{places + 1}f}"


def _cost(cost: float | None, share: float, reference: float | None) -> str:
    if cost is not None:
        return basis_points(cost)
    return NOTHING if reference is None else f"{NOTHING} (filled {percent(share)})"


def _ref_words(ref: str) -> str:
    return "mid price" if ref == "mid" else "best price"
