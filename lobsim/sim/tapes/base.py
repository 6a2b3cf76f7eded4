"""What every tape gives: instrument facts and a lazy sequence of timed command batches for one order book.

A tape is real market data replayed through the matching engine. Everything it knows becomes orders: recorded orders
under their recorded ids, price levels of which only the total is known as one anonymous order each, and executions as
marketable orders (immediate-or-cancel at the recorded price). A tape keeps no book of its own. It *looks at* the
engine's book instead, hence the one rule for whoever drives it: apply a batch before asking for the next.

Order ids (all below 2**62, so that they fit a signed 64-bit column and leave room for agents in the same book):

======================================  ======================================================
recorded orders                         the recorded id, 1 .. 2**60 - 1
anonymous volume of one price level     2**60 + 2 * price in ticks + side
takers that the tape sends              2**61 + a counter
======================================  ======================================================

Agents that trade in a tape's book must use ids from `FIRST_FOREIGN_ID` on; a tape never cancels or replaces theirs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from lobsim.errors import GridError, InputError
from lobsim.events import (
    Advance,
    CancelAll,
    CancelOrder,
    Command,
    Event,
    Purpose,
    ReplaceOrder,
    Side,
    SubmitOrder,
    TimeInForce,
)
from lobsim.sim.tapes.lines import MAX_BYTES, fault
from lobsim.units import NS_PER_S, Grid

if TYPE_CHECKING:
    from lobsim.book import OrderBook, OrderView, Snapshot

FIRST_LEVEL_ID = 1 << 60
FIRST_TAKER_ID = 1 << 61
FIRST_FOREIGN_ID = 1 << 62
MAX_PRICE_TICKS = 1 << 53
MAX_QTY_LOTS = 1 << 53
MAX_LIVE_ORDERS = 2_000_000
"""A tape that leaves more orders than this resting is refused: the book is the only thing that grows with it."""


class TapeNote(NamedTuple):
    """Something a tape tells that is no command: a hidden execution, a halt, a gap in the feed.

    `kind` is one of the words that the reader's module documents; side, price (ticks) and qty (lots) where they make
    sense.
    """

    time_ns: int
    kind: str
    side: Side | None = None
    price: int | None = None
    qty: int = 0


class TapeBatch(NamedTuple):
    """Commands of one record, all at `time_ns` (nanoseconds since the tape's start); `line` is the record's line."""

    time_ns: int
    commands: Sequence[Command]
    notes: tuple[TapeNote, ...] = ()
    line: int = 0


class BookView(Protocol):
    """The part of `OrderBook` that a tape looks at; see there for what each question means."""

    @property
    def best_bid(self) -> int | None: ...  # noqa: D102
    @property
    def best_ask(self) -> int | None: ...  # noqa: D102
    def __len__(self) -> int: ...
    def order(self, order_id: int) -> OrderView | None: ...  # noqa: D102
    def queue_position(self, order_id: int) -> int | None: ...  # noqa: D102
    def bids(self, limit: int | None = None) -> list[tuple[int, int]]: ...  # noqa: D102
    def asks(self, limit: int | None = None) -> list[tuple[int, int]]: ...  # noqa: D102
    def snapshot(self) -> Snapshot: ...  # noqa: D102


class Tape(ABC):
    """A recorded market. `batches` may be called again to start over; `counts` and `skipped` then start over too.

    tick, lot: decimal text. start_utc: ISO text of the whole second at or before the first record, which is time 0,
    or None where the file does not say. symbol: from the file or its name; a stranger's text, escape it where it is
    shown. counts: records by kind, and what the reader did to keep in step. skipped: records that were refused, by
    reason.
    """

    kind: ClassVar[str]

    def __init__(self, path: str | Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = Path(path)
        self.max_bytes = max_bytes
        self.tick = "1"
        self.lot = "1"
        self.symbol = ""
        self.start_utc: str | None = None
        self.counts: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self._takers = 0

    @abstractmethod
    def batches(self, book: BookView) -> Iterator[TapeBatch]:
        """Timed commands, lazily, in bounded memory; times never go back. Apply each batch before asking for the next.

        Raises `TapeError` at the first damaged line, naming file, line, rule and value.
        """

    def _restart(self) -> None:
        self.counts.clear()
        self.skipped.clear()
        self._takers = 0

    def _taker(self, side: Side, qty: int, price: int, time_ns: int) -> SubmitOrder:
        """A marketable order: immediate-or-cancel at the recorded price, under an id of its own."""
        self._takers += 1
        return SubmitOrder(
            FIRST_TAKER_ID + self._takers, side, qty, price, time_ns, TimeInForce.IOC, purpose=Purpose.TAPE
        )

    def _check_size(self, book: BookView, line: int) -> None:
        if len(book) > MAX_LIVE_ORDERS:
            raise fault(self.path, line, f"a tape may leave at most {MAX_LIVE_ORDERS} orders resting", len(book))


def level_id(side: Side, price: int) -> int:
    """Id of the order that stands for a level's anonymous volume."""
    return FIRST_LEVEL_ID + 2 * price + side


def set_level(book: BookView, side: Side, price: int, qty: int, time_ns: int) -> Command | None:
    """The command that makes the level's anonymous order `qty` lots (0: gone), or None where nothing is to be done."""
    order_id = level_id(side, price)
    order = book.order(order_id)
    if order is None:
        if qty == 0:
            return None
        return SubmitOrder(order_id, side, qty, price, time_ns, purpose=Purpose.TAPE)
    if qty == 0:
        return CancelOrder(order_id, time_ns)
    return None if order.qty == qty else ReplaceOrder(order_id, qty, price, time_ns)


def stale_orders(book: BookView, side: Side, bound: int, *, bound_too: bool) -> list[tuple[int, int, int]]:
    """(id, price, qty) of the tape's own orders on `side` at prices better than `bound` (or equal, with `bound_too`).

    A print proves that no such order is left. Costs O(1) when there is none, a snapshot of the book when there is.
    """
    best = book.best_bid if side is Side.BUY else book.best_ask
    if best is None or not _beats(side, best, bound, bound_too):
        return []
    snapshot = book.snapshot()
    found: list[tuple[int, int, int]] = []
    for price, queue in snapshot.bids if side is Side.BUY else snapshot.asks:
        if not _beats(side, price, bound, bound_too):
            break
        found.extend((order_id, price, shown + hidden) for order_id, shown, hidden in queue if is_tape_id(order_id))
    return found


def _beats(side: Side, price: int, bound: int, bound_too: bool) -> bool:
    if price == bound:
        return bound_too
    return price > bound if side is Side.BUY else price < bound


def grid_of(path: Path, step: str, name: str) -> Grid:
    """The grid of a tape's prices or quantities; raises `TapeError` when `step` is none."""
    try:
        return Grid(step, name)
    except GridError as error:
        raise fault(path, 0, str(error)) from None


def is_tape_id(order_id: int) -> bool:
    """Whether an order is a tape's, not an agent's."""
    return 0 < order_id < FIRST_FOREIGN_ID


def utc_text(epoch_s: int) -> str | None:
    """ISO text of a Unix time in whole seconds; None outside the years 1970 to 9999."""
    try:
        return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if epoch_s >= 0 else None
    except (OverflowError, ValueError, OSError):
        return None


def whole_second(time_ns: int) -> int:
    """The last whole second at or before `time_ns`, in nanoseconds."""
    return time_ns - time_ns % NS_PER_S


def apply_command(book: OrderBook, command: Command) -> list[Event]:
    """Hand any command to a book; returns its events."""
    if isinstance(command, SubmitOrder):
        return book.submit(*command)
    if isinstance(command, ReplaceOrder):
        return book.replace(*command)
    if isinstance(command, CancelOrder):
        return book.cancel(*command)
    if isinstance(command, CancelAll):
        return book.cancel_all(*command)
    if isinstance(command, Advance):
        return book.advance(command.time_ns)
    raise InputError(f"{command!r} is no command")


def replay_tape(tape: Tape, book: OrderBook) -> Iterator[tuple[TapeBatch, list[Event]]]:
    """Drive `book` through the whole tape, without an event loop; yields each batch with the events it caused."""
    for batch in tape.batches(book):
        events: list[Event] = []
        for command in batch.commands:
            events.extend(apply_command(book, command))
        yield batch, events
