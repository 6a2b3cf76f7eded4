"""Order events as signed changes of price levels, so that a book at any time is a sum.

A level's quantity is changed by nothing but events. For each event of one instrument:

* accepted (no trigger), triggered, replaced, with a limit price: ``+qty`` at that price. The order may trade in the
  same instant; that is taken off again below, so only states between commands mean anything.
* trade and decrement: ``-qty`` at the trade's price on the resting side, and ``-qty`` at the incoming order's own limit
  (nothing for a market order). While an order is incoming no other one comes in, so its limit is that of the last
  accepted, triggered or replaced event before.
* canceled, unless it was a sleeping stop or has no limit: ``-qty`` at its price.
* replaced: in addition, what was still open of the order leaves the price where it stood. The event does not tell, so
  the orders that were ever replaced are followed through all their events.

Hidden quantity is followed in the same way, for the icebergs only: an order with slice d that rests with q open lots
hides ``max(0, q - d)``; a refresh says what is left; a replace that keeps its place hides that much less; a cancel
ends it.
"""

from __future__ import annotations

import polars as pl

from lobsim.errors import RunError
from lobsim.events import EventKind

NEEDED = (
    "seq",
    "time_ns",
    "event",
    "order_id",
    "side",
    "price_ticks",
    "qty_lots",
    "display_lots",
    "hidden_lots",
    "trigger_ticks",
    "kept_priority",
    "counter_order_id",
)
"""Columns of `orders` that the changes are computed from."""

_kind = pl.col("event")
OPENS = (
    ((_kind == int(EventKind.ACCEPTED)) & pl.col("trigger_ticks").is_null())
    | (_kind == int(EventKind.TRIGGERED))
    | (_kind == int(EventKind.REPLACED))
)
MEETS = _kind.is_in([int(EventKind.TRADE), int(EventKind.DECREMENTED)])
LEAVES = (_kind == int(EventKind.CANCELED)) & pl.col("trigger_ticks").is_null()
_REFRESHES = _kind == int(EventKind.REFRESHED)
_KEEPS = (_kind == int(EventKind.REPLACED)) & (pl.col("kept_priority") == 1)
SHOWS_A_SLICE = _kind.is_in([int(EventKind.ACCEPTED), int(EventKind.REFRESHED)]) & (pl.col("display_lots") > 0)
"""Events that tell an iceberg."""

_OTHER_SIDE = (1 - pl.col("side").cast(pl.Int64)).cast(pl.UInt8)


def level_changes(orders: pl.DataFrame, start_seq: int = 0) -> pl.DataFrame:
    """Changes of one instrument's levels: ``seq time_ns side price_ticks lots hidden_lots`` (all of them, and hidden),
    in no particular order.

    orders: the instrument's events in order, at least `NEEDED`. With `start_seq` the changes of ``lots`` before that
    event are left out (a keyframe stands for them) but those of ``hidden_lots`` are not; then `orders` needs, from
    before `start_seq`, only the events of icebergs and of orders that are replaced later. Raises `RunError` when a
    trade's aggressor is not the order that came in last. Complexity: O(n log n) in the events of replaced and iceberg
    orders, O(n) in all others.
    """
    in_order = orders if orders["seq"].is_sorted() else orders.sort("seq")
    events = in_order.with_columns(
        taker_limit=pl.when(OPENS).then(pl.col("price_ticks").fill_null(0)).forward_fill(),
        taker_id=pl.when(OPENS).then(pl.col("order_id")).forward_fill(),
    )
    window = events.lazy().filter(pl.col("seq") >= start_seq) if start_seq else events.lazy()
    limited = pl.col("price_ticks").is_not_null()
    changes = [
        _change(window.filter(OPENS & limited), pl.col("qty_lots")),
        _change(window.filter(MEETS), -pl.col("qty_lots"), side=_OTHER_SIDE),
        _change(window.filter(MEETS & (pl.col("taker_limit") > 0)), -pl.col("qty_lots"), price=pl.col("taker_limit")),
        _change(window.filter(LEAVES & limited), -pl.col("qty_lots")),
    ]
    followed = _followed(events)
    if followed is not None:
        moved = followed.lazy().filter((_kind == int(EventKind.REPLACED)) & (pl.col("seq") >= start_seq))
        changes.append(_change(moved, -pl.col("open_before"), price=pl.col("price_before")))
        changes += _hidden_changes(followed.lazy())
    stray = window.filter(MEETS & (pl.col("taker_id") != pl.col("counter_order_id")).fill_null(True))
    wrong, result = pl.collect_all([stray.select("seq", "counter_order_id", "taker_id").head(1), pl.concat(changes)])
    if wrong.height:
        seq, named, came = wrong.row(0)
        raise RunError(f"orders, seq {seq}: trade with order {named}, but order {came} came in last")
    return result


def _change(
    rows: pl.LazyFrame,
    lots: pl.Expr,
    hidden: pl.Expr | None = None,
    *,
    side: pl.Expr | None = None,
    price: pl.Expr | None = None,
) -> pl.LazyFrame:
    return rows.select(
        "seq",
        "time_ns",
        (pl.col("side") if side is None else side).alias("side"),
        (pl.col("price_ticks") if price is None else price).alias("price_ticks"),
        lots.cast(pl.Int64).alias("lots"),
        (pl.lit(0) if hidden is None else hidden).cast(pl.Int64).alias("hidden_lots"),
    )


def _followed(events: pl.DataFrame) -> pl.DataFrame | None:
    """Every event of the special orders with what was open and where it stood before; None when there are none.

    A trade stands twice when both its orders are special. A *stay* of an order begins when it opens (again).
    """
    ids = events.lazy().filter((_kind == int(EventKind.REPLACED)) | SHOWS_A_SLICE).select("order_id").unique().collect()
    if ids.height == 0:
        return None
    mine = events.join(ids, on="order_id", how="semi")
    taking = events.filter(MEETS).join(ids, left_on="counter_order_id", right_on="order_id", how="semi")
    legs = pl.concat(
        [
            mine.filter(OPENS | LEAVES | _REFRESHES).with_columns(leg=pl.lit("own")),
            mine.filter(MEETS).with_columns(leg=pl.lit("maker"), side=_OTHER_SIDE),
            taking.with_columns(
                leg=pl.lit("taker"), order_id=pl.col("counter_order_id"), price_ticks=pl.col("taker_limit")
            ),
        ]
    ).sort("order_id", "seq")
    opens = OPENS & (pl.col("leg") == "own")
    signed = pl.when(opens).then(pl.col("qty_lots")).when(_REFRESHES).then(0).otherwise(-pl.col("qty_lots"))
    legs = legs.with_columns(opens=opens, signed=signed, stay=opens.cast(pl.Int64).cum_sum().over("order_id"))
    stays = legs.filter("opens").select(
        "order_id", "stay", stay_price="price_ticks", slice="display_lots", opened="qty_lots"
    )
    legs = legs.join(stays, on=["order_id", "stay"], how="left", maintain_order="left")
    before = pl.col("signed").cum_sum().over("order_id", "stay")
    return legs.with_columns(open_after=before).with_columns(
        open_before=pl.col("open_after").shift(1).over("order_id").fill_null(0),
        price_before=pl.col("stay_price").shift(1).over("order_id"),
    )


def _hidden_changes(legs: pl.LazyFrame) -> list[pl.LazyFrame]:
    """Per event: the order's hidden lots before it leave their price, those after it appear at theirs."""
    keeps = pl.col("opens") & _KEEPS
    sets = (pl.col("opens") & ~_KEEPS.fill_null(False)) | _REFRESHES | LEAVES
    taken = pl.when(pl.col("leg") == "taker").then(pl.col("qty_lots")).otherwise(0).sum().over("order_id", "stay")
    rests = pl.max_horizontal(pl.col("opened") - taken - pl.col("slice"), pl.lit(0))
    value = (
        pl.when(_REFRESHES)
        .then(pl.col("hidden_lots"))
        .when(pl.col("opens") & (pl.col("slice") > 0) & pl.col("price_ticks").is_not_null())
        .then(rests)
        .otherwise(0)
    )
    shrink = pl.when(keeps).then(pl.col("open_before") - pl.col("qty_lots")).otherwise(0)
    hidden = (
        legs.with_columns(value=value, sets=sets, shrink=shrink)
        .with_columns(era=pl.col("sets").cast(pl.Int64).cum_sum().over("order_id"))
        .with_columns(
            base=pl.col("value").first().over("order_id", "era"),
            shrunk=pl.col("shrink").cum_sum().over("order_id", "era"),
        )
        .with_columns(hidden_after=pl.max_horizontal(pl.col("base") - pl.col("shrunk"), pl.lit(0)))
        .with_columns(hidden_before=pl.col("hidden_after").shift(1).over("order_id").fill_null(0))
    )
    gone = hidden.filter(pl.col("hidden_before") > 0)
    here = hidden.filter(pl.col("hidden_after") > 0)
    zero = pl.lit(0)
    return [
        _change(gone, zero, -pl.col("hidden_before"), price=pl.col("price_before")),
        _change(here, zero, pl.col("hidden_after"), price=pl.col("stay_price")),
    ]
