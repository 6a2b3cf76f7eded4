"""Replay a recording of Binance's depth stream through `lobsim.OrderBook` and compare it with the best-quote stream.

    python tools/verify_binance_l2.py FILE [--symbol S] [--tick T] [--lot L]

After every applied diff (last update id u) the best bid's and best ask's price and quantity must equal the bookTicker
with the largest update id u' <= u. This is done twice: with depth alone, and with the trades entering as marketable
orders between the diffs, where each print must also become trades of exactly its price and quantity.

Exit code 0: everything equal, 1: not, 2: bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from pathlib import Path
from time import perf_counter

from lobsim import OrderBook
from lobsim.errors import InputError
from lobsim.events import Event, EventKind, SubmitOrder, TimeInForce
from lobsim.sim.tapes.base import TapeBatch, apply_command
from lobsim.sim.tapes.binance_files import BestQuote, DepthDiff, DepthSnapshot
from lobsim.sim.tapes.binance_l2 import BinanceL2Tape
from lobsim.sim.tapes.lines import printable
from lobsim.units import Grid

Quote = tuple[int | None, int, int | None, int]
"""Best bid in ticks, its lots, best ask, its lots."""


class QuoteCheck:
    """Pairs the book after each diff with the best quote told for it. The two streams may run ahead of each other."""

    def __init__(self, tick: str, lot: str) -> None:
        self.checks = self.wrong = self.unpaired = 0
        self.first_wrong: str | None = None
        self._ticks, self._lots = Grid(tick, "price"), Grid(lot, "quantity")
        self._told: deque[BestQuote] = deque()
        self._ours: deque[tuple[int, int, Quote]] = deque()

    def told(self, quote: BestQuote) -> None:
        """The exchange's best quote after update `quote.update_id`; ids must rise."""
        if self._told and quote.update_id <= self._told[-1].update_id:
            return
        self._told.append(quote)
        self._pair(at_end=False)

    def ours(self, update_id: int, line: int, quote: Quote) -> None:
        """The book's best quote after the diff that ends with `update_id`."""
        self._ours.append((update_id, line, quote))
        self._pair(at_end=False)

    def finish(self) -> None:
        """Pair what is left, when no later quote can come any more."""
        self._pair(at_end=True)

    def _pair(self, *, at_end: bool) -> None:
        while self._ours and self._told and (at_end or self._told[-1].update_id > self._ours[0][0]):
            update_id, line, quote = self._ours.popleft()
            while len(self._told) > 1 and self._told[1].update_id <= update_id:
                self._told.popleft()
            if self._told[0].update_id > update_id:
                self.unpaired += 1
            else:
                self._compare(self._told[0], line, quote)

    def _compare(self, told: BestQuote, line: int, ours: Quote) -> None:
        expected = (
            self._ticks.count(told.bid),
            self._lots.count(told.bid_qty),
            self._ticks.count(told.ask),
            self._lots.count(told.ask_qty),
        )
        self.checks += 1
        if expected != ours:
            self.wrong += 1
            self.first_wrong = (
                self.first_wrong or f"diff in line {line}: quote of line {told.line} {expected}, book {ours}"
            )


class PrintCheck:
    """Counts prints that became trades of exactly their price and quantity."""

    def __init__(self) -> None:
        self.prints = self.exact = 0

    def take(self, batch: TapeBatch, events: list[Event]) -> None:
        """Look at one batch: a print's marketable order is the immediate-or-cancel one."""
        for command in batch.commands:
            if isinstance(command, SubmitOrder) and command.tif is TimeInForce.IOC:
                trades = [(event[5], event[6]) for event in events if event[0] == EventKind.TRADE]
                self.prints += 1
                self.exact += trades == [(command.price, command.qty)]


def run(tape: BinanceL2Tape) -> bool:
    """One replay with its report; whether everything was equal."""
    book = OrderBook(tape.tick, tape.lot)
    quotes, prints = QuoteCheck(tape.tick, tape.lot), PrintCheck()
    crossed = 0
    start = perf_counter()
    for record in tape.records():
        if isinstance(record, BestQuote) and record.symbol == tape.symbol:
            quotes.told(record)
        diffs = tape.counts["diffs"]
        for batch in tape.enter(record, book):
            events = [event for command in batch.commands for event in apply_command(book, command)]
            prints.take(batch, events)
            if not isinstance(record, DepthDiff | DepthSnapshot):
                continue
            crossed += any(event[0] == EventKind.TRADE for event in events)
            if isinstance(record, DepthDiff) and tape.counts["diffs"] > diffs:
                diffs = tape.counts["diffs"]
                ours = (book.best_bid, book.best_bid_qty, book.best_ask, book.best_ask_qty)
                quotes.ours(record.last_id, record.line, ours)
    tape.finish()
    quotes.finish()
    seconds = perf_counter() - start
    book.check()
    print(f"{'trades enter as marketable orders' if tape.trades else 'depth alone'} ({seconds:.1f} s)")
    equal = quotes.checks - quotes.wrong
    print(f"  best bid and ask, price and quantity, equal after {equal:,} of {quotes.checks:,} diffs")
    if quotes.first_wrong:
        print(f"  first difference: {quotes.first_wrong}")
    if quotes.unpaired:
        print(f"  diffs without a best quote to compare with: {quotes.unpaired:,}")
    if tape.trades:
        print(f"  prints that became trades of their price and quantity: {prints.exact:,} of {prints.prints:,}")
    print(f"  accidental trades from depth: {crossed}; live levels at the end: {len(book):,}")
    for title, counter in (("did", tape.counts), ("refused", tape.skipped)):
        print(f"  {title}: " + (", ".join(f"{name} {n:,}" for name, n in sorted(counter.items()) if n) or "nothing"))
    return not quotes.wrong and quotes.checks > 0 and not crossed and prints.exact == prints.prints


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--symbol", help="which symbol (default: the first in the file)")
    parser.add_argument("--tick", help="tick, decimal text (default: the coarsest power of ten that fits the file)")
    parser.add_argument("--lot", help="lot, as tick")
    options = parser.parse_args(argv)
    try:
        tape = BinanceL2Tape(options.file, symbol=options.symbol, tick=options.tick, lot=options.lot, trades=False)
        print(f"{options.file.name}: {printable(tape.symbol)}, tick {tape.tick}, lot {tape.lot}, from {tape.start_utc}")
        passed = run(tape)
        again = BinanceL2Tape(options.file, symbol=options.symbol, tick=tape.tick, lot=tape.lot)
        return 0 if run(again) and passed else 1
    except InputError as error:
        print(f"verify_binance_l2: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
