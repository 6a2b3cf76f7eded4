"""Make the sample tapes in scenarios/tapes: up to a minute of the calm scenario, written as three kinds of recording.

    python tools/sample_tapes.py [--out scenarios/tapes]

Nothing in them comes from a real market. They show what the formats look like and let the tape scenarios run anywhere.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from lobsim import Run, load_scenario
from lobsim.events import EventKind, Side
from lobsim.measure import book_at
from lobsim.units import NS_PER_MS, NS_PER_S

START_S = 1_760_011_200  # 2025-10-09T12:00:00Z
FIRST_NS, LAST_NS = 40 * NS_PER_S, 60 * NS_PER_S
MESSAGES_NS = 6 * NS_PER_S
OPENING_S = 34_200  # LOBSTER counts from midnight in New York; 9:30
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "scenarios" / "tapes")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        run = load_scenario(ROOT / "scenarios" / "calm.toml").replay(out=Path(folder) / "run", until_ns=LAST_NS)
        for name, lines in (
            ("sample-message.csv", lobster(run)),
            ("sample-depth.jsonl", binance(run)),
            ("sample-trades.csv", tardis(run)),
        ):
            text = "".join(f"{line}\n" for line in lines)
            (out / name).write_text(text, encoding="ascii", newline="\n")
            print(f"{out / name}: {text.count(chr(10)):,} lines, {len(text):,} bytes")


def lobster(run: Run) -> Iterator[str]:
    """Messages time,type,order id,size,price,direction; prices in 0.0001, sizes in lots, from the run's first order."""
    resting: dict[int, tuple[int, int]] = {}  # order id -> (side, lots)
    coming: tuple[int, int, int, int, int] | None = None  # an accepted order whose fate is not known yet

    def message(time_ns: int, kind: int, order_id: int, lots: int, price: int, side: int) -> str:
        seconds, rest = divmod(time_ns, NS_PER_S)
        return f"{OPENING_S + seconds}.{rest:09},{kind},{order_id},{lots},{price},{-1 if side else 1}"

    names = ("event", "time_ns", "order_id", "side", "price_ticks", "qty_lots", "counter_order_id")
    orders = run.orders.filter(pl.col("time_ns") <= MESSAGES_NS).select(names)
    for event, time_ns, order_id, side, price, lots, counter in orders.iter_rows():
        taken = event == EventKind.TRADE and coming is not None and counter == coming[1]
        stopped = event == EventKind.CANCELED and coming is not None and order_id == coming[1]
        if coming is not None and not taken and not stopped:
            when, new_id, new_side, new_price, rest = coming
            if rest and new_price:
                resting[new_id] = (new_side, rest)
                yield message(when, 1, new_id, rest, new_price, new_side)
            coming = None
        if event == EventKind.ACCEPTED:
            coming = (time_ns, order_id, side, price or 0, lots)
        elif event == EventKind.TRADE:
            maker_side, left = resting[order_id]
            resting[order_id] = (maker_side, left - lots)
            yield message(time_ns, 4, order_id, lots, price, maker_side)
            if coming is not None:
                coming = (*coming[:4], coming[4] - lots)
        elif event == EventKind.CANCELED and stopped:
            coming = None
        elif event == EventKind.CANCELED:
            maker_side, left = resting.pop(order_id)
            yield message(time_ns, 3, order_id, left, price, maker_side)


def binance(run: Run) -> Iterator[str]:
    """A depth snapshot, then differences every 100 ms with the trades between them."""
    one = run.instrument()

    def levels(time_ns: int) -> tuple[dict[int, int], dict[int, int]]:
        book = book_at(run, one.name, time_ns)
        bids, asks = (dict(zip(side.price.tolist(), side.visible.tolist(), strict=True)) for side in book[1:3])
        return bids, asks

    def texts(side: dict[int, int]) -> list[list[str]]:
        return [[one.tick.text(price), one.lot.text(lots)] for price, lots in side.items()]

    before = levels(FIRST_NS)
    snapshot = {"lastUpdateId": 1000, "bids": texts(before[0]), "asks": texts(before[1])}
    yield f"{START_S * NS_PER_S + FIRST_NS} {json.dumps(snapshot)}"
    update = 1000
    for time_ns in range(FIRST_NS + 100 * NS_PER_MS, LAST_NS + 1, 100 * NS_PER_MS):
        inside = (pl.col("time_ns") > time_ns - 100 * NS_PER_MS) & (pl.col("time_ns") <= time_ns)
        for at, price, lots, side in (
            run.trades.filter(inside).select("time_ns", "price_ticks", "qty_lots", "aggressor_side").iter_rows()
        ):
            trade = {"e": "trade", "E": (START_S * NS_PER_S + at) // NS_PER_MS, "s": "ALTUSDT", "t": update}
            trade |= {"p": one.tick.text(price), "q": one.lot.text(lots), "T": trade["E"], "m": side == Side.SELL}
            yield f"{START_S * NS_PER_S + at} {json.dumps({'stream': 'altusdt@trade', 'data': trade})}"
        after = levels(time_ns)
        changes = [
            {price: new.get(price, 0) for price in old.keys() | new.keys() if old.get(price) != new.get(price)}
            for old, new in zip(before, after, strict=True)
        ]
        event = {"e": "depthUpdate", "E": (START_S * NS_PER_S + time_ns) // NS_PER_MS, "s": "ALTUSDT"}
        event |= {"U": update + 1, "u": update + 1}
        event |= {key: texts(dict(sorted(change.items()))) for key, change in zip("ba", changes, strict=True)}
        update += 1
        before = after
        yield f"{START_S * NS_PER_S + time_ns} {json.dumps({'stream': 'altusdt@depth@100ms', 'data': event})}"


def tardis(run: Run) -> Iterator[str]:
    """Trades as tardis.dev lists them, times in microseconds."""
    one = run.instrument()
    yield "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
    names = ("time_ns", "price_ticks", "qty_lots", "aggressor_side")
    for number, (time_ns, price, lots, side) in enumerate(run.trades.select(names).iter_rows()):
        us = START_S * 10**6 + time_ns // 1000
        word = "sell" if side else "buy"
        yield f"lobsim,ALT-USDT,{us},{us + 2000},{number},{word},{one.tick.text(price)},{one.lot.text(lots)}"


if __name__ == "__main__":
    main()
