"""Binance websocket recordings, line by line. What the records mean: `lobsim.sim.tapes.binance_l2`.

A line is ``<local receive time, ns> <json>``. The JSON is a combined-stream message (``{"stream": ..., "data":
{...}}``), its data alone, or the answer of the REST depth snapshot (``lastUpdateId``, ``bids``, ``asks``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeAlias

from lobsim.events import Side
from lobsim.sim.tapes.lines import MAX_BYTES, fault, read_lines

MAX_LINE = 8 << 20
_MAX_ID = 1 << 63
_KEPT_TEXTS = 100_000
_LINE = re.compile(rb"(\d{1,19}) (\{.*\})", re.ASCII)
_DECIMAL = re.compile(r"\d{1,24}(?:\.\d{1,24})?", re.ASCII)

LevelTexts: TypeAlias = list[tuple[str, str]]
"""(price, quantity) as the decimal text that was sent."""


class DepthSnapshot(NamedTuple):
    """The REST answer: the whole book (as many levels as were asked for) at update `last_id`."""

    line: int
    time_ns: int
    last_id: int
    bids: LevelTexts
    asks: LevelTexts


class DepthDiff(NamedTuple):
    """Absolute quantities of the levels that changed in updates `first_id` to `last_id`; 0 = gone.

    previous_id: on futures, the `last_id` of the diff before; None on spot. event_ms: exchange's clock.
    """

    line: int
    time_ns: int
    symbol: str
    first_id: int
    last_id: int
    previous_id: int | None
    event_ms: int
    bids: LevelTexts
    asks: LevelTexts


class Print(NamedTuple):
    """A trade. `trade_ms` is the exchange's clock."""

    line: int
    time_ns: int
    symbol: str
    trade_ms: int
    aggressor_side: Side
    price: str
    qty: str


class BestQuote(NamedTuple):
    """Best bid and ask, with their quantities, after update `update_id`."""

    line: int
    time_ns: int
    symbol: str
    update_id: int
    bid: str
    bid_qty: str
    ask: str
    ask_qty: str


class Other(NamedTuple):
    """A message of a kind that no tape needs."""

    line: int
    time_ns: int


Record: TypeAlias = DepthSnapshot | DepthDiff | Print | BestQuote | Other


class _Fields:
    """Reads typed fields of one JSON object; whatever is wrong becomes a `TapeError` with the line."""

    def __init__(self, path: Path, line: int, data: dict[str, Any]) -> None:
        self._path, self._line, self._data = path, line, data

    def fail(self, key: str, rule: str) -> NoReturn:
        found = self._data.get(key, "nothing")
        raise fault(self._path, self._line, f"'{key}' must be {rule}", found)

    def whole(self, key: str) -> int:
        value = self._data.get(key)
        if type(value) is not int or not 0 <= value < _MAX_ID:
            self.fail(key, "a whole number from 0 to 2**63 - 1")
        return value

    def flag(self, key: str) -> bool:
        value = self._data.get(key)
        if type(value) is not bool:
            self.fail(key, "true or false")
        return value

    def symbol(self) -> str:
        value = self._data.get("s", "")
        if not isinstance(value, str) or len(value) > 32:
            self.fail("s", "a symbol of at most 32 characters")
        return value

    def decimal(self, key: str) -> str:
        value = self._data.get(key)
        if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
            self.fail(key, 'a decimal number as text, such as "2683.80"')
        return value

    def levels(self, key: str) -> LevelTexts:
        value = self._data.get(key)
        if not isinstance(value, list):
            self.fail(key, 'a list of ["price", "quantity"]')
        found: LevelTexts = []
        for level in value:
            if not isinstance(level, list) or len(level) < 2:
                raise fault(self._path, self._line, f'\'{key}\' must be a list of ["price", "quantity"]', level)
            price, qty = level[:2]
            for text in (price, qty):
                if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
                    raise fault(self._path, self._line, f"'{key}' must hold decimal numbers as text", text)
            found.append((price, qty))
        return found


def read_records(path: Path, max_bytes: int = MAX_BYTES) -> Iterator[Record]:
    """Records of a file, lazily; raises `TapeError` at the first damaged line."""
    before = 0
    for number, line in read_lines(path, max_line=MAX_LINE, max_bytes=max_bytes):
        found = _LINE.fullmatch(line)
        if found is None:
            raise fault(path, number, "a line is '<receive time in ns> {json}'", line)
        time_ns = int(found[1])
        if time_ns < before:
            raise fault(path, number, f"time goes back from {before}", time_ns)
        before = time_ns
        yield _record(path, number, time_ns, found[2])


def _record(path: Path, number: int, time_ns: int, text: bytes) -> Record:
    try:
        message = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # wrong encodings and endless digits are ValueErrors too
        raise fault(path, number, f"no valid JSON ({error})", text) from None
    data = message.get("data", message)
    if not isinstance(data, dict):
        raise fault(path, number, "'data' must be an object", data)
    get = _Fields(path, number, data)
    kind = data.get("e")
    if kind == "depthUpdate":
        previous = get.whole("pu") if "pu" in data else None
        diff = DepthDiff(
            number,
            time_ns,
            get.symbol(),
            get.whole("U"),
            get.whole("u"),
            previous,
            get.whole("E"),
            get.levels("b"),
            get.levels("a"),
        )
        if diff.first_id > diff.last_id:
            raise fault(path, number, "'U' must not be greater than 'u'", f"{diff.first_id}, {diff.last_id}")
        return diff
    if kind == "trade":
        side = Side.SELL if get.flag("m") else Side.BUY
        return Print(number, time_ns, get.symbol(), get.whole("T"), side, get.decimal("p"), get.decimal("q"))
    if kind is None and "lastUpdateId" in data:
        return DepthSnapshot(number, time_ns, get.whole("lastUpdateId"), get.levels("bids"), get.levels("asks"))
    if kind == "bookTicker" or (kind is None and data.keys() >= {"u", "b", "B", "a", "A"}):
        bid, bid_qty, ask, ask_qty = (get.decimal(key) for key in "bBaA")
        return BestQuote(number, time_ns, get.symbol(), get.whole("u"), bid, bid_qty, ask, ask_qty)
    return Other(number, time_ns)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def coarsest_step(texts: Iterable[str]) -> str:
    """The largest power of ten, at most 1, that all these decimal texts are whole multiples of: "0.01"."""
    places = max((-int(Decimal(text).normalize().as_tuple().exponent) for text in texts), default=0)
    return "0." + "0" * (places - 1) + "1" if places > 0 else "1"


def infer_grid(path: Path, max_records: int = 2_000_000, max_bytes: int = MAX_BYTES) -> tuple[str, str]:
    """(tick, lot): the coarsest powers of ten that fit every price and quantity in the first `max_records` records.

    A sample will not do: level quantities off the exchange's own lot turn up in real recordings (2292.22972 ETH where
    the lot is 0.0001). For longer files give tick and lot.
    """
    prices: set[str] = set()
    qtys: set[str] = set()
    tick = lot = "1"
    for record in islice(read_records(path, max_bytes), max_records):
        if isinstance(record, DepthSnapshot | DepthDiff):
            for price, qty in (*record.bids, *record.asks):
                prices.add(price)
                qtys.add(qty)
        elif isinstance(record, Print):
            prices.add(record.price)
            qtys.add(record.qty)
        if len(prices) + len(qtys) > _KEPT_TEXTS:
            tick, lot = coarsest_step([tick, *prices]), coarsest_step([lot, *qtys])
            prices.clear()
            qtys.clear()
    return coarsest_step([tick, *prices]), coarsest_step([lot, *qtys])
