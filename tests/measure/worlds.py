"""Runs of several books made by hand: prints at given times, credit rows, account rows, a shock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lobsim.events import EventKind, Purpose, Side, Trade
from lobsim.measure import Run
from lobsim.records import AccountInfo, InstrumentInfo, RunHeader
from tests.measure.recording import MemoryRecorder

S = 10**9
SHOCK_S = 600
CENT = 1_000_000  # quanta of USDT per unit

BOOKS = ("A-USDT", "B-USDT", "C-USDT", "USDE-USDT", "A-USDT-OTHER")
ACCOUNTS = [
    AccountInfo(1, "maker-1", "market-maker"),
    AccountInfo(2, "maker-2", "market-maker"),
    AccountInfo(3, "loop-1", "borrower"),
    AccountInfo(4, "bot", "liquidation-bot"),
    AccountInfo(5, "fund-a", "system"),
    AccountInfo(6, "fund-b", "system"),
]


def header(**changes: Any) -> RunHeader:
    """Five books with a tick of 0.01 USDT and a lot of 1: three coins, one of them elsewhere too, and a stablecoin."""
    books = [
        InstrumentInfo(number, name, name.split("-")[0], "USDT", "0.01", "1", "0.000001")
        for number, name in enumerate(BOOKS)
    ]
    plain: dict[str, Any] = {
        "scenario": "world",
        "scenario_toml": "#\n",
        "seed": 1,
        "start_utc": "2025-10-10T20:40:00Z",
        "instruments": books,
        "accounts": ACCOUNTS,
        "assets": {"USDT": "0.000001", "A": "1", "USDE": "1"},
        "numeraire": "USDT",
        "groups": {"coins": ["A-USDT", "B-USDT", "C-USDT"], "elsewhere": ["A-USDT-OTHER"], "stablecoin": ["USDE-USDT"]},
        "focus": "coins",
    }
    return RunHeader(**{**plain, **changes})


class World:
    """Collects what happens and plays it to a recorder in order of time."""

    def __init__(self, **changes: Any) -> None:
        self.recorder = MemoryRecorder(header(**changes))
        self._trades: list[tuple[float, int, int, int, Side, Purpose]] = []

    def trade(
        self,
        second: float,
        book: str,
        price: int,
        qty: int = 1,
        purpose: Purpose = Purpose.NOISE,
        side: Side = Side.SELL,
    ) -> None:
        self.trade_in(second, BOOKS.index(book), price, qty, purpose, side)

    def trade_in(
        self,
        second: float,
        instrument_id: int,
        price: int,
        qty: int = 1,
        purpose: Purpose = Purpose.NOISE,
        side: Side = Side.SELL,
    ) -> None:
        self._trades.append((second, instrument_id, price, qty, side, purpose))

    def path(self, book: str, prices: Mapping[float, int], until: int) -> None:
        """One lot a second at the price last given."""
        price = None
        for second in range(until):
            price = prices.get(second, price)
            if price is not None:
                self.trade(second, book, price)

    def credit(
        self, second: float, kind: str, account: int, asset: str, amount: int, value: float, ref: int = 1
    ) -> None:
        self.recorder.credit(int(second * S), kind, account, 4, asset, amount, int(value * CENT), ref)

    def leverage(self, second: float, account: int, leverage: float) -> None:
        self.recorder.account(int(second * S), account, 1, 1, 2_000_000, int(leverage * 1e6), 1, 1)

    def keyframe(self, second: float, book: str, bids: Sequence[tuple[int, int]], ask: int) -> None:
        self.recorder.depth(BOOKS.index(book), int(second * S), bids, [(ask, 1)])

    def run(self, *, shock_s: int | None = SHOCK_S) -> Run:
        if shock_s is not None:
            self.recorder.milestone(shock_s * S, "shock A", -170_000, "ppm")
        for number, (second, book, price, qty, side, purpose) in enumerate(sorted(self._trades, key=lambda t: t[0])):
            trade = Trade(EventKind.TRADE, int(second * S), 2 * number, 8, side, price, qty, purpose, 2 * number + 1, 9)
            self.recorder.events(book, [trade])
        return self.recorder.run()
