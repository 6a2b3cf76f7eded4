"""The matching engine: one instrument's limit order book with price-time priority.

`OrderBook` needs sortedcontainers and nothing else: no clock, no chance, no SimPy, no numpy. Commands carry `time_ns`;
outcomes are the events of `lobsim.events`.

What happens where a reader might wonder:

| situation | what the book does |
|---|---|
| market order, empty side | accepted, then cancelled: NO_LIQUIDITY (whatever could not trade, always) |
| market order with GTC or GTD | acts as IOC; it never rests |
| level emptied and refilled | the new order is first there; nothing is remembered of the old ones |
| id of a live order (a sleeping stop is live) | rejected: DUPLICATE_ID |
| id of an order that is done | free to be used again |
| smaller quantity, same price (replace) | keeps its place, unless the venue says otherwise; hidden lots go first |
| any other replace | goes to the back and may trade; a post-only order that would cross stays as it was |
| iceberg slice used up | the next slice goes to the back of its level, and may trade in the same walk |
| own order met (owner not 0) | the incoming order's `SelfTrade` decides; a decrement moves no last price |
| FOK | killed unless orders ahead of the first own order cover it, hidden lots of whole levels counted |
| post-only that crosses | rejected, not repriced |
| stop | sleeps until the last trade is at or beyond its trigger; already there: acts at once |
| several stops wake | sells by falling, buys by rising trigger, then by acceptance; each acts alone, in turn |
| replace of a sleeping stop | rejected: DORMANT_STOP (cancel it and send a new one) |
| GTD | gone at ``time_ns >= expire_ns``, before the command of that moment acts; the event carries `expire_ns` |
| best price of an empty side | None; displayed quantity there 0 |
| command from the book's past | ValueError: the caller is broken |
"""

from __future__ import annotations

from lobsim.book.matching import MAX_QTY, OrderBook
from lobsim.book.queries import OrderView, Snapshot, Walk
from lobsim.book.side import MAX_PRICE

__all__ = ["MAX_PRICE", "MAX_QTY", "OrderBook", "OrderView", "Snapshot", "Walk"]
