"""One real market order that walked an empty book: rebuild the book it met, send it again, get the same fills.

    python tools/verify_sweep.py [FILE] [--timestamp US]

FILE is a trades file of tardis.dev (default: TRXUSDT of 10 October 2025 in LOBSIM_DATA or ../shared/data). The sweep
is the largest one at that exchange time (default 1760131685935999: 1,125 fills over 196 prices, VWAP 0.306665). The
book must answer with the recorded fills in the recorded order; `book.walk` and `slippage` must have told the same
before the order was sent.

Exit code 0: all the same, 1: not, 2: bad input.
"""

from __future__ import annotations

import argparse
import os
import sys
from decimal import Decimal
from pathlib import Path
from time import perf_counter

from lobsim import OrderBook
from lobsim.errors import InputError
from lobsim.events import EventKind, Side
from lobsim.sim.tapes.base import FIRST_TAKER_ID, apply_command
from lobsim.sim.tapes.lines import printable
from lobsim.sim.tapes.tardis import Fill, TardisTradesTape, implied_book

FILE = "oct10-trades-tardis/binance_trades_2025-10-10_TRXUSDT.csv.xz"
TIMESTAMP_US = 1760131685935999
PUBLISHED = ("1,125", "196", "0.306665", "1099881.7")
"""What the recording's own README says of that sweep: fills, prices, VWAP to six places, TRX."""


def default_file() -> Path:
    """The recording that this check was made for."""
    root = Path(os.environ.get("LOBSIM_DATA") or Path(__file__).resolve().parents[1] / "../shared/data")
    return root / FILE


def verify(path: Path, timestamp_us: int) -> bool:
    start = perf_counter()
    tape = TardisTradesTape(path)
    side, recorded = tape.sweep_at(timestamp_us)
    book = OrderBook(tape.tick, tape.lot)
    for command in implied_book(side, recorded, 0):
        apply_command(book, command)
    book.check()
    total = sum(fill.qty for fill in recorded)
    walk = book.walk(side, total)
    levels = book.bids() if side is Side.SELL else book.asks()

    events = book.submit(FIRST_TAKER_ID, side, total, None, 1)
    book.check()
    fills = [Fill(event[5], event[6]) for event in events if event[0] == EventKind.TRADE]
    makers = [event[2] for event in events if event[0] == EventKind.TRADE]

    unit = Decimal(tape.tick) * Decimal(tape.lot)
    lots = sum(fill.qty for fill in fills)
    vwap = Decimal(sum(fill.price * fill.qty for fill in fills)) * unit / (lots * Decimal(tape.lot))
    shown = (
        f"{len(fills):,}",
        f"{len({fill.price for fill in fills}):,}",
        f"{vwap:.6f}",
        f"{(lots * Decimal(tape.lot)):f}",
    )
    print(
        f"{printable(tape.symbol)} at {timestamp_us}: market {side.name.lower()} of {shown[3]} (tick {tape.tick}, lot {tape.lot})"
    )
    print(
        f"  {shown[0]} fills over {shown[1]} prices, {book.tick_grid.text(fills[0].price)} -> "
        f"{book.tick_grid.text(fills[-1].price)}, VWAP {shown[2]}; left in the book: {len(book)}"
    )
    checks = {
        "the recorded fills in the recorded order": fills == recorded,
        "makers hit in time priority": makers == list(range(1, len(recorded) + 1)),
        "nothing left over": len(book) == 0 and lots == total,
        "book.walk said so before": (walk.filled_qty, walk.notional, walk.worst_price)
        == (lots, sum(fill.price * fill.qty for fill in fills), fills[-1].price),
        "levels before add up": sum(qty for _, qty in levels) == total and len(levels) == len({f.price for f in fills}),
    }
    if timestamp_us == TIMESTAMP_US:
        checks[f"as published: {', '.join(PUBLISHED)}"] = shown == PUBLISHED
    for name, passed in checks.items():
        print(f"  {'ok ' if passed else 'NOT'} {name}")
    print(f"  {perf_counter() - start:.1f} s")
    return all(checks.values())


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", nargs="?", default=None)
    parser.add_argument("--timestamp", type=int, default=TIMESTAMP_US, metavar="US", help="exchange time of the sweep")
    options = parser.parse_args(argv)
    try:
        return 0 if verify(options.file or default_file(), options.timestamp) else 1
    except InputError as error:
        print(f"verify_sweep: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
