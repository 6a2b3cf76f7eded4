"""One real market order that walked an empty book: rebuild the book it met, send it again, get the same fills.

    python tools/verify_sweep.py [FILE] [--timestamp US] [--out DIR]

FILE is a trades file of tardis.dev (default: TRXUSDT of 10 October 2025 in LOBSIM_DATA or ../shared/data). The sweep
is the largest one at that exchange time (default 1760131685935999: 1,125 fills over 196 prices, VWAP 0.306665). The
book must answer with the recorded fills in the recorded order; `book.walk` and `slippage` must have told the same
before the order was sent. --out keeps that as a run: the book that the order met stands from the second before it on.

    python tools/verify_sweep.py --out runs/sweep
    lobsim slippage runs/sweep --at 0s --ref best
    lobsim depth runs/sweep --at 0s --ref best

Exit code 0: all the same, 1: not, 2: bad input.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from lobsim import OrderBook
from lobsim.errors import InputError
from lobsim.events import Event, Side, Trade
from lobsim.measure import Run, read_run, slippage, slippage_of
from lobsim.records import InstrumentInfo, RunHeader
from lobsim.sim.recorder import Recorder
from lobsim.sim.tapes.base import FIRST_TAKER_ID, apply_command, utc_text, whole_second
from lobsim.sim.tapes.lines import printable
from lobsim.sim.tapes.tardis import Fill, TardisTradesTape, implied_book
from lobsim.units import NS_PER_S, NS_PER_US

FILE = "oct10-trades-tardis/binance_trades_2025-10-10_TRXUSDT.csv.xz"
TIMESTAMP_US = 1760131685935999
PUBLISHED = ("1,125", "196", "0.306665", "1099881.7")
"""What the recording's own README says of that sweep: fills, prices, VWAP to six places, TRX."""
_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")
_QUOTES = ("USDT", "USDC", "FDUSD", "USD", "EUR", "BTC", "ETH")


def default_file() -> Path:
    """The recording that this check was made for."""
    root = Path(os.environ.get("LOBSIM_DATA") or Path(__file__).resolve().parents[1] / "../shared/data")
    return root / FILE


def record(folder: Path, tape: TardisTradesTape, start_utc: str, events: list[list[Event]], end_ns: int) -> Run:
    """The book and its order as a run folder."""
    symbol = tape.symbol if _NAME.fullmatch(tape.symbol) else "swept"
    quote = next((quote for quote in _QUOTES if symbol.endswith(quote)), "quote")
    base = symbol.removesuffix(quote).rstrip("-_") or "base"
    quantum = f"{Decimal(tape.tick) * Decimal(tape.lot):f}"
    instrument = InstrumentInfo(1, symbol, base, quote, tape.tick, tape.lot, quantum)
    assets = {base: tape.lot, quote: quantum}
    header = RunHeader(f"sweep-{symbol}", "", 0, start_utc, [instrument], assets=assets, numeraire=quote)
    with Recorder(folder, header) as recorder:
        for batch in events:
            recorder.events(1, batch)
        recorder.close(end_ns=end_ns)
    return read_run(folder)


def moment(timestamp_us: int) -> tuple[str, int]:
    """(start of a run that has this moment in its second second, nanoseconds from there to the moment)."""
    start_ns = max(whole_second(timestamp_us * NS_PER_US) - NS_PER_S, 0)
    return utc_text(start_ns // NS_PER_S) or "1970-01-01T00:00:00Z", timestamp_us * NS_PER_US - start_ns


def verify(path: Path, timestamp_us: int, out: Path | None) -> bool:
    start = perf_counter()
    tape = TardisTradesTape(path)
    side, recorded = tape.sweep_at(timestamp_us)
    total = sum(fill.qty for fill in recorded)

    book = OrderBook(tape.tick, tape.lot)
    log = [apply_command(book, command) for command in implied_book(side, recorded, 0)]
    book.check()
    walk = book.walk(side, total)
    levels = book.bids() if side is Side.SELL else book.asks()

    start_utc, order_ns = moment(timestamp_us)
    log.append(book.submit(FIRST_TAKER_ID, side, total, None, order_ns))
    book.check()
    trades = [event for event in log[-1] if isinstance(event, Trade)]
    fills = [Fill(trade.price, trade.qty) for trade in trades]

    lots = sum(fill.qty for fill in fills)
    notional = sum(fill.price * fill.qty for fill in fills)
    tick, lot = Decimal(tape.tick), Decimal(tape.lot)
    vwap = notional * tick / lots
    shown = (f"{len(fills):,}", f"{len({fill.price for fill in fills}):,}", f"{vwap:.6f}", f"{lots * lot:f}")
    print(f"{printable(tape.symbol)} at {timestamp_us}: market {side.name.lower()} of {shown[3]}")
    first, last = (book.tick_grid.text(fills[i].price) for i in (0, -1))
    print(f"  {shown[0]} fills over {shown[1]} prices, {first} -> {last}, VWAP {shown[2]}; tick {tick}, lot {lot}")

    spent = slippage_of(levels, notional)
    with TemporaryDirectory() as temporary:
        run = record(out or Path(temporary) / "run", tape, start_utc, log, order_ns)
        told = slippage(run, side=side, notionals=[notional * tick * lot], at=order_ns - 1, ref="best").row(
            0, named=True
        )
    print(f"  slippage on the book before it: {told['slippage']:.4%} from the best price, VWAP {told['vwap']:.6f}")
    checks = {
        "the recorded fills in the recorded order": fills == recorded,
        "makers hit in time priority": [trade.maker_id for trade in trades] == list(range(1, len(recorded) + 1)),
        "nothing left over": len(book) == 0 and lots == total,
        "book.walk said so before": walk[:3] == (lots, notional, fills[-1].price),
        "slippage_of its levels says so": spent == (lots, notional, fills[-1].price, True),
        "slippage of the recorded run says so": told["filled_lots"] == lots
        and f"{told['vwap']:.6f}" == shown[2]
        and abs(told["slippage"] - abs(float(vwap / (fills[0].price * tick)) - 1)) < 1e-12,
    }
    if timestamp_us == TIMESTAMP_US:
        checks[f"as published: {', '.join(PUBLISHED)}"] = shown == PUBLISHED
    for name, passed in checks.items():
        print(f"  {'ok ' if passed else 'NOT'} {name}")
    if out is not None:
        print(
            f"  {printable(str(out))}: the book from 0s on, the order at {order_ns / NS_PER_S:.6f} s after {start_utc}"
        )
    print(f"  {perf_counter() - start:.1f} s")
    return all(checks.values())


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", nargs="?", default=None)
    parser.add_argument("--timestamp", type=int, default=TIMESTAMP_US, metavar="US", help="exchange time of the sweep")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the book and the order as a run")
    options = parser.parse_args(argv)
    try:
        return 0 if verify(options.file or default_file(), options.timestamp, options.out) else 1
    except InputError as error:
        print(f"verify_sweep: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
