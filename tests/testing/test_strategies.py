from __future__ import annotations

from hypothesis import find, given, settings

from lobsim import events
from lobsim.events import Advance, CancelOrder, EventKind, ReplaceOrder, Side, SubmitOrder, TimeInForce
from lobsim.testing import Feature, Range, ReferenceBook, command_lists, commands, orders, replay
from tests.testing.adapters import LobsimEngine

QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@QUICK
@given(command_lists(max_size=30))
def test_lists_of_commands_run_through_both_engines(steps) -> None:
    replay(LobsimEngine, steps)


@QUICK
@given(command_lists(max_size=30))
def test_their_times_never_go_back(steps) -> None:
    book = ReferenceBook()
    for step in steps:
        book.apply(step)  # would raise ValueError


@QUICK
@given(orders([Feature.IOC, "market"], span=Range(centre=50, spread=2, max_qty=3, order_ids=2)))
def test_orders_keep_to_features_and_range(order) -> None:
    assert order.price is None or 48 <= order.price <= 52
    assert 1 <= order.qty <= 3
    assert 1 <= order.order_id <= 2
    assert order.tif in (TimeInForce.GTC, TimeInForce.IOC)
    assert (order.owner, order.trigger_price, order.expire_ns, order.display_qty) == (0, None, None, 0)
    assert order.time_ns is not None


def test_the_simplest_order_is_a_plain_one() -> None:
    assert find(orders(()), lambda _: True) == SubmitOrder(1, Side.BUY, 1, 100, 0)


def test_every_command_can_be_drawn() -> None:
    for kind in (SubmitOrder, CancelOrder, ReplaceOrder, Advance):
        assert isinstance(find(commands(), lambda command, kind=kind: isinstance(command, kind)), kind)


def test_commands_print_as_python_that_pastes_back() -> None:
    order = SubmitOrder(1, Side.SELL, 5, None, tif=TimeInForce.IOC)
    namespace = vars(events)
    assert eval(repr(order), namespace) == order
    event = ReferenceBook().apply(order)[0]
    assert eval(repr(event), namespace) == event
    assert repr(EventKind.TRADE) == "EventKind.TRADE"
