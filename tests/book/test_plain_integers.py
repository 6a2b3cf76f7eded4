"""Side.SELL or 1, TimeInForce.IOC or 2: whoever reads orders from a file need not build enums first."""

from __future__ import annotations

import pytest

from lobsim.book import OrderBook
from lobsim.events import Command, Purpose, SelfTrade, SubmitOrder, TimeInForce
from tests.book.expect import BUY, SELL
from tests.book.test_many_levels import flow, numbers
from tests.testing.adapters import LobsimEngine


def as_plain(command: Command) -> Command:
    """Every number a new plain integer, so that nothing can be told by identity."""
    return command._replace(
        **{
            name: int(str(int(value)))
            for name, value in zip(command._fields, command, strict=True)
            if value is not None
        }
    )


def special_orders(seed: int, count: int) -> list[SubmitOrder]:
    """Orders of every kind around one price, large numbers throughout."""
    draw = numbers(seed)
    orders = []
    for number in range(count):
        kind = next(draw) % 16
        side = (BUY, SELL)[next(draw) % 2]
        distance = next(draw) % 6 - 2
        price = 5000 - distance if side == BUY else 5000 + distance
        qty = 1000 + next(draw) % 900
        time_ns = 1000 * number
        tif = list(TimeInForce)[next(draw) % 4] if kind < 6 else TimeInForce.GTC
        expire_ns = time_ns + 1000 * (1 + next(draw) % 20) if tif == TimeInForce.GTD else None
        order = SubmitOrder(
            order_id=1000 + next(draw) % 40,
            side=side,
            qty=qty,
            price=None if kind == 15 else price,
            time_ns=time_ns,
            tif=tif,
            owner=(0, 1001, 1002)[next(draw) % 3],
            purpose=list(Purpose)[next(draw) % len(Purpose)],
            post_only=kind == 6,
            display_qty=300 + next(draw) % 900 if 6 < kind < 10 else 0,
            trigger_price=5000 + next(draw) % 9 - 4 if 9 < kind < 13 else None,
            expire_ns=expire_ns,
            self_trade=list(SelfTrade)[next(draw) % 5],
        )
        orders.append(order)
    return orders


@pytest.mark.parametrize("commands", [list(flow(5, 500, 40)), special_orders(7, 700)], ids=["flow", "special"])
def test_plain_integers_do_as_well(commands: list[Command]) -> None:
    ours, plain = LobsimEngine(), LobsimEngine()
    for command in commands:
        assert plain.apply(as_plain(command)) == ours.apply(command)
        plain.check()
        assert plain.quotes() == ours.quotes()
    assert plain.snapshot() == ours.snapshot()
    for price in range(4990, 5010):
        for side in (0, 1):
            assert plain.depth(side, price) == ours.depth(side, price)
            assert plain.walk(side, 5000, price) == ours.walk(side, 5000, price)


def test_sides_and_owners_are_told_by_value() -> None:
    book = OrderBook()
    book.submit(1, BUY, 5, 100, owner=int("1234"))
    book.submit(2, SELL, 5, 101, owner=int("1234"))
    assert [event.order_id for event in book.cancel_all(int("1234"), 1)] == [2]
    assert [event.order_id for event in book.cancel_all(int("1234"))] == [1]
    book.submit(1, BUY, int("1000"), int("5000"), display_qty=int("1000"), owner=int("1234"))
    assert book.order(1).display_qty == 0
    assert book.replace(1, int("900"), int("5000"))[0].kept_priority == 1
    fok, allow = int(TimeInForce.FOK), int(SelfTrade.ALLOW)
    assert len(book.submit(2, SELL, 900, tif=fok, owner=int("1234"), self_trade=allow)) == 2
