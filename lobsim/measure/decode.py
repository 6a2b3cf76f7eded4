"""Decoded columns beside the integers: time, names, prices, quantities and amounts of money.

Prices and quantities become the float nearest to their decimal value (ticks times numerator, divided by denominator of
the tick); exact work belongs on the integer columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import IntEnum
from typing import TYPE_CHECKING

import polars as pl

from lobsim.events import EventKind, Purpose, Reason, Side

if TYPE_CHECKING:
    from lobsim.measure.run import Run

_ENUMS: dict[str, type[IntEnum]] = {
    "event": EventKind,
    "side": Side,
    "aggressor_side": Side,
    "purpose": Purpose,
    "reason": Reason,
}
_PRICES = {"price_ticks": "price", "bid_ticks": "bid", "ask_ticks": "ask", "trigger_ticks": "trigger_price"}
_QUANTITIES = {
    "qty_lots": "qty",
    "bid_lots": "bid_qty",
    "ask_lots": "ask_qty",
    "display_lots": "display_qty",
    "hidden_lots": "hidden_qty",
}
_VALUES = {
    "equity_quanta": "equity",
    "maintenance_quanta": "maintenance",
    "debt_quanta": "debt",
    "collateral_value_quanta": "collateral_value",
    "value_quanta": "value",
}
_MILLIONTHS = {"margin_level_ppm": "margin_level", "leverage_ppm": "leverage"}


def decoded(run: Run, table: str, raw: pl.LazyFrame) -> pl.LazyFrame:
    """`raw` with decoded columns after its own; null stays null."""
    names = raw.collect_schema().names()
    columns = [time_column(run)]
    for column in names:
        if column in _ENUMS:
            columns.append(_named(column, _ENUMS[column]))
        elif column in _MILLIONTHS:
            columns.append((pl.col(column) / 1_000_000).alias(_MILLIONTHS[column]))
        elif column in _VALUES:
            quantum = run.assets.get(run.numeraire, Decimal(1))
            columns.append(_scaled(pl.col(column).cast(pl.Float64), quantum).alias(_VALUES[column]))
        elif column in ("account_id", "counterparty_id"):
            accounts = {account_id: info.name for account_id, info in run.accounts_info.items()}
            columns.append(_lookup(column, accounts, pl.String()).alias(column.removesuffix("_id")))
    if "instrument_id" in names:
        columns += _instrument_columns(run, names)
    if table == "credit":
        columns.append((pl.col("amount_quanta").cast(pl.Float64) * _quantum(run, "asset")).alias("amount"))
    if table == "milestones":
        columns.append((pl.col("amount").cast(pl.Float64) * _quantum(run, "unit")).alias("size"))
    frame = raw.with_columns(columns)
    if table == "quotes":
        frame = frame.with_columns(mid=(pl.col("bid") + pl.col("ask")) / 2, spread=pl.col("ask") - pl.col("bid"))
    return frame


def time_column(run: Run) -> pl.Expr:
    """``time_ns`` as a UTC wall clock."""
    return (pl.lit(run.start_utc).cast(pl.Datetime("ns", "UTC")) + pl.col("time_ns").cast(pl.Duration("ns"))).alias(
        "time"
    )


def _instrument_columns(run: Run, names: list[str]) -> list[pl.Expr]:
    instruments = run.instruments.values()
    categories = pl.Enum([instrument.name for instrument in instruments])
    by_id = {instrument.instrument_id: instrument.name for instrument in instruments}
    columns = [_lookup("instrument_id", by_id, categories).alias("instrument")]
    for grid, decodings in (("tick", _PRICES), ("lot", _QUANTITIES)):
        ratios = {
            instrument.instrument_id: getattr(instrument, grid).step.as_integer_ratio() for instrument in instruments
        }
        for column, name in decodings.items():
            if column in names:
                columns.append(_scaled_by_instrument(column, ratios).alias(name))
    return columns


def _scaled_by_instrument(column: str, ratios: Mapping[int, tuple[int, int]]) -> pl.Expr:
    up = {instrument_id: float(numerator) for instrument_id, (numerator, _) in ratios.items()}
    down = {instrument_id: float(denominator) for instrument_id, (_, denominator) in ratios.items()}
    value = pl.col(column).cast(pl.Float64)
    return value * _lookup("instrument_id", up, pl.Float64()) / _lookup("instrument_id", down, pl.Float64())


def _scaled(value: pl.Expr, step: Decimal) -> pl.Expr:
    numerator, denominator = step.as_integer_ratio()
    return value * float(numerator) / float(denominator)


def _quantum(run: Run, column: str) -> pl.Expr:
    return pl.col(column).replace_strict(
        list(run.assets), [float(quantum) for quantum in run.assets.values()], default=1.0, return_dtype=pl.Float64
    )


def _named(column: str, enum: type[IntEnum]) -> pl.Expr:
    names = [member.name for member in enum]
    values = pl.Series([member.value for member in enum], dtype=pl.UInt8)
    return (
        pl.col(column).replace_strict(values, names, default=None, return_dtype=pl.Enum(names)).alias(f"{column}_name")
    )


def _lookup(column: str, values: Mapping[int, object], dtype: pl.DataType) -> pl.Expr:
    keys = pl.Series(list(values), dtype=pl.Int64)
    return (
        pl.col(column)
        .cast(pl.Int64)
        .replace_strict(keys, pl.Series(list(values.values()), dtype=dtype), default=None, return_dtype=dtype)
    )
