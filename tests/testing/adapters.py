"""Two adapters: for our own engine, and (in `toy_engine`) for one that knows nothing of lobsim."""

from __future__ import annotations

from typing import Any

from lobsim.book import OrderBook
from lobsim.events import Advance, CancelAll, CancelOrder, Command, Event, ReplaceOrder, SubmitOrder


class LobsimEngine:
    """`lobsim.OrderBook` as a `lobsim.testing.Engine`: one method per command; everything else is the book's own."""

    def __init__(self) -> None:
        self.book = OrderBook()

    def apply(self, command: Command) -> list[Event]:
        match command:
            case SubmitOrder():
                return self.book.submit(*command)
            case CancelOrder():
                return self.book.cancel(*command)
            case ReplaceOrder():
                return self.book.replace(*command)
            case CancelAll():
                return self.book.cancel_all(*command)
            case Advance():
                return self.book.advance(*command)

    def __getattr__(self, name: str) -> Any:  # bids, asks, check, walk, ...
        return getattr(self.book, name)
