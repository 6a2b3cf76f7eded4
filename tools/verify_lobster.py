"""Replay LOBSTER messages through `lobsim.OrderBook` and compare the book with LOBSTER's own after every message.

    python tools/verify_lobster.py MESSAGES BOOK [BOOK ...] --levels L [--book-levels K] [--seed BOOK]

Any symbol, any number of levels, plain or packed. L is the number of levels that the message file was made with (the
number in LOBSTER's file names). A BOOK may have fewer rows than there are messages and fewer levels than L; each row
is compared with the book after the message of that row: best quotes on both sides, and every level that the BOOK has.

Levels are seeded from row 0 of the --seed file; without one from the BOOK with the most levels, or from a file of the
same recording beside it that has all L levels and the same best quotes (it is named in the output).

Exit code 0: no mismatch inside the known horizon (see `KnownHorizon`), 1: some, 2: bad input.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from lobsim import OrderBook
from lobsim.errors import InputError, TapeError
from lobsim.events import Event, EventKind, Side
from lobsim.sim.tapes.base import apply_command
from lobsim.sim.tapes.lobster import PRICE_UNIT, KnownHorizon, LobsterTape
from lobsim.sim.tapes.lobster_files import EXECUTE, BookRow, Levels, LobsterMessage, read_book_rows

_RECORDING = re.compile(r"(.+_\d{4}-\d{2}-\d{2}_\d+)_.*orderbook")


class BookCheck:
    """Compares one order book file, row by row."""

    def __init__(self, path: Path, most_levels: int | None) -> None:
        self.path = path
        self.rows = 0
        self.levels = 0
        self.inside = self.inside_wrong = self.outside = self.outside_wrong = 0
        self.level_wrong: Counter[int] = Counter()
        self.level_wrong_inside = 0
        self.first_wrong: str | None = None
        self._most_levels = most_levels
        self._file: Iterator[tuple[int, BookRow]] | None = read_book_rows(path)

    def compare(self, horizon: KnownHorizon, bids: Levels, asks: Levels, is_seed: bool) -> None:
        """Take the file's next row, if there is one, and compare it with the book's levels."""
        row = next(self._file, None) if self._file is not None else None
        if row is None:
            self._file = None
            return
        self.levels = min(row[0], self._most_levels or row[0])
        self.rows += 1
        for side, told, ours in ((Side.SELL, row[1].asks, asks), (Side.BUY, row[1].bids, bids)):
            if not is_seed:
                self._compare_best(horizon, side, told, ours)
            if tuple(told[: self.levels]) == tuple(ours[: self.levels]):
                continue
            for level in range(self.levels):
                if told[level : level + 1] != tuple(ours[level : level + 1]):
                    self.level_wrong[level + 1] += 1
                    self.level_wrong_inside += level < len(told) and horizon.covers(side, told[level][0])

    def _compare_best(self, horizon: KnownHorizon, side: Side, told: Levels, ours: Levels) -> None:
        equal = told[:1] == tuple(ours[:1])
        if horizon.covers(side, told[0][0]) if told else horizon.covers_all(side):
            self.inside += 1
            self.inside_wrong += not equal
            if not equal and self.first_wrong is None:
                self.first_wrong = f"row {self.rows}, {side.name}: file {told[:1]}, book {tuple(ours[:1])}"
        else:
            self.outside += 1
            self.outside_wrong += not equal

    def finish(self) -> None:
        """Refuse a file that goes on after the last message: then the two do not belong together."""
        if self._file is not None and next(self._file, None) is not None:
            raise TapeError(f"{self.path}, line {self.rows + 1}: there are more rows than messages ({self.rows})")

    def report(self) -> None:
        """Print what came out."""
        print(f"{self.path.name}: {self.rows:,} rows, {self.levels} level(s)")
        print(f"  best quotes inside the known horizon: {self.inside:,} checks, {self.inside_wrong:,} mismatches")
        print(f"  best quotes beyond it:                {self.outside:,} checks, {self.outside_wrong:,} mismatches")
        if self.first_wrong:
            print(f"  first mismatch inside: {self.first_wrong}")
        if self.levels > 1:
            exact = min(self.level_wrong, default=self.levels + 1) - 1
            print(f"  levels 1-{exact} exact in all {self.rows:,} rows")
            print(f"  mismatches of levels inside the horizon: {self.level_wrong_inside:,}")
            for level, wrong in sorted(self.level_wrong.items()):
                print(f"    level {level}: {wrong:,} of {2 * self.rows:,} (row, side) differ")

    @property
    def passed(self) -> bool:
        return not self.inside_wrong and not self.level_wrong_inside


class ExecutionCheck:
    """Counts visible executions inside the horizon, and how many hit the order that the exchange recorded."""

    def __init__(self) -> None:
        self.inside = self.known = self.hit = self.at_best = 0

    def before(self, message: LobsterMessage, book: OrderBook, horizon: KnownHorizon) -> bool:
        """Whether the message is an execution of a known order inside the horizon."""
        if message.type != EXECUTE or not horizon.covers(message.side, message.price):
            return False
        self.inside += 1
        self.at_best += message.price == (book.best_bid if message.side is Side.BUY else book.best_ask)
        order = book.order(message.order_id)
        known = order is not None and order.side is message.side and order.price == message.price
        self.known += known
        return known

    def after(self, message: LobsterMessage, events: list[Event]) -> None:
        """Count a hit when the engine matched the recorded order and no other."""
        makers = {event[2] for event in events if event[0] == EventKind.TRADE}
        self.hit += makers == {message.order_id}

    def report(self) -> None:
        """Print what came out."""
        share = f"{self.hit / self.known:.2%}" if self.known else "none"
        print(f"visible executions inside the horizon: {self.inside:,}, at the best price {self.at_best:,}")
        print(f"  of known orders {self.known:,}; the engine hit the recorded order in {self.hit:,} ({share})")


def find_seed(books: list[Path], levels: int) -> Path:
    """The file to seed from: see the module's text."""
    heads = {path: _head(path) for path in books}
    best = max(books, key=lambda path: heads[path][0])
    recording = _RECORDING.match(best.name)
    if heads[best][0] >= levels or recording is None:
        return best
    for path in sorted(best.parent.glob("*orderbook*")):
        other = _RECORDING.match(path.name)
        if other is None or other[1] != recording[1]:
            continue
        try:
            columns, row = _head(path)
        except TapeError:
            continue  # somebody else's file: not asked for, so not worth an error
        if columns >= levels and (row.asks[:1], row.bids[:1]) == (heads[best][1].asks[:1], heads[best][1].bids[:1]):
            return path
    return best


def _head(path: Path) -> tuple[int, BookRow]:
    head = next(read_book_rows(path), None)
    if head is None:
        raise TapeError(f"{path}: the order book file is empty")
    return head


def verify(messages: Path, books: list[Path], levels: int, book_levels: int | None, seed: Path | None) -> int:
    seed = seed or find_seed(books, levels)
    seed_levels, row = _head(seed)
    tape = LobsterTape(messages, book=seed, tick=PRICE_UNIT)
    book = OrderBook(tape.tick, tape.lot)
    horizon = KnownHorizon(levels, seed_levels, row)
    checks = [BookCheck(path, book_levels) for path in books]
    executions = ExecutionCheck()
    start = perf_counter()
    count = 0
    for message in tape.messages():
        if count == 0:
            for command in tape.seed(message).commands:
                apply_command(book, command)
        else:
            counted = executions.before(message, book, horizon)
            for number, batch in enumerate(tape.enter(message, book)):
                events = [event for command in batch.commands for event in apply_command(book, command)]
                if counted and number == 0:
                    executions.after(message, events)
        bids, asks = book.bids(levels), book.asks(levels)
        horizon.observe(bids, asks)
        for check in checks:
            check.compare(horizon, bids, asks, is_seed=count == 0)
        count += 1
    for check in checks:
        check.finish()
    seconds = perf_counter() - start
    book.check()
    print(f"{messages.name}: {count:,} messages in {seconds:.1f} s; seeded from {seed.name} ({seed_levels} level(s))")
    for check in checks:
        check.report()
    executions.report()
    for title, counter in (("did", tape.counts), ("refused", tape.skipped)):
        print(f"{title}: " + (", ".join(f"{name} {n:,}" for name, n in sorted(counter.items()) if n) or "nothing"))
    return 0 if all(check.passed for check in checks) else 1


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("messages", type=Path, metavar="MESSAGES")
    parser.add_argument("books", type=Path, metavar="BOOK", nargs="+")
    parser.add_argument("--levels", type=int, required=True, metavar="L", help="levels of the recording")
    parser.add_argument("--book-levels", type=int, metavar="K", help="compare only the K best levels of each BOOK")
    parser.add_argument("--seed", type=Path, metavar="BOOK", help="order book file whose row 0 seeds the levels")
    options = parser.parse_args(argv)
    if options.levels < 1 or (options.book_levels is not None and options.book_levels < 1):
        parser.error("--levels and --book-levels must be at least 1")
    try:
        return verify(options.messages, options.books, options.levels, options.book_levels, options.seed)
    except InputError as error:
        print(f"verify_lobster: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
