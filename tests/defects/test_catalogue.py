"""The kit must find every planted defect; that it passes the sound engine is tested in tests/testing."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from lobsim.book import OrderBook
from lobsim.events import Command, Event
from lobsim.testing import Engine, MismatchError, machine_for
from tests.defects.catalogue import DEFECTS
from tests.defects.planting import Defect, patched, planted
from tests.testing.adapters import LobsimEngine

# Enough for the shyest defect several times over, whatever the version of Hypothesis makes of the seed.
BUDGET = settings(
    max_examples=1000,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
)


class BareEngine:
    """An engine that shows its events and its visible book and nothing else: no check(), no questions."""

    def __init__(self, book: OrderBook) -> None:
        self._full = LobsimEngine()
        self._full.book = book
        self.bids = book.bids
        self.asks = book.asks

    def apply(self, command: Command) -> list[Event]:
        return self._full.apply(command)


class OutOfTime(BaseException):
    """Not an Exception, because the kit takes those for the engine's fault."""


@contextmanager
def out_of_time_after(seconds: int) -> Iterator[None]:
    """A defect may make an engine run in circles; that is not how the kit is meant to find it."""

    def stop(*_: object) -> None:
        raise OutOfTime(f"not found within {seconds} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def make_engine_of(order_book: Any, defect: Defect) -> Callable[[], Engine]:
    def make_engine() -> Engine:
        if not defect.questions:
            return BareEngine(order_book())
        engine = LobsimEngine()
        engine.book = order_book()
        return engine

    return make_engine


@pytest.mark.parametrize("defect", DEFECTS, ids=[defect.name for defect in DEFECTS])
def test_the_kit_finds(defect: Defect) -> None:
    with planted(defect) as order_book, out_of_time_after(60), pytest.raises(MismatchError):
        run_state_machine_as_test(machine_for(make_engine_of(order_book, defect)), settings=BUDGET)


def test_the_catalogue_is_no_smaller_than_promised_and_every_patch_is_another() -> None:
    assert (
        len({defect.name for defect in DEFECTS}) == len({patched(defect) for defect in DEFECTS}) == len(DEFECTS) >= 30
    )
