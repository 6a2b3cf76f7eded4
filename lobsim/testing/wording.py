"""How a disagreement is told: what differs, the book before it, and a script that shows it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

from lobsim.events import (
    CancelRejected,
    Command,
    Event,
    EventKind,
    OrderAccepted,
    OrderCanceled,
    OrderDecremented,
    OrderRefreshed,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
    ReplaceRejected,
    Trade,
)
from lobsim.testing.reference import ReferenceBook

EVENT_TYPES: dict[EventKind, Any] = {
    EventKind.ACCEPTED: OrderAccepted,
    EventKind.TRADE: Trade,
    EventKind.CANCELED: OrderCanceled,
    EventKind.REPLACED: OrderReplaced,
    EventKind.REJECTED: OrderRejected,
    EventKind.CANCEL_REJECTED: CancelRejected,
    EventKind.REPLACE_REJECTED: ReplaceRejected,
    EventKind.TRIGGERED: OrderTriggered,
    EventKind.REFRESHED: OrderRefreshed,
    EventKind.DECREMENTED: OrderDecremented,
}


def describe_command(command: Command) -> str:
    """A command as Python, fields at their defaults left out."""
    defaults = command._field_defaults
    pairs = zip(command._fields, command, strict=True)
    told = [f"{name}={value!r}" for name, value in pairs if name not in defaults or value != defaults[name]]
    return f"{type(command).__name__}({', '.join(told)})"


def describe_event(event: Sequence[Any] | None) -> str:
    """An event with its field names, even where an engine built a bare tuple."""
    if event is None:
        return "nothing"
    if len(event) == 10 and event[0] in EVENT_TYPES:
        return repr(EVENT_TYPES[EventKind(event[0])]._make(event))
    return repr(event)


def named_fields(event: Sequence[Any]) -> list[tuple[str, Any]]:
    """(name, value) of every slot of an event; an engine's events may be longer or shorter than they should be."""
    names = getattr(EVENT_TYPES.get(event[0]), "_fields", ())
    return [(names[slot] if slot < len(names) else f"slot {slot}", value) for slot, value in enumerate(event)]


def describe_events(actual: Sequence[Event], expected: Sequence[Event], ignore: frozenset[str]) -> str:
    """Both lists of events, those that agree once, those that do not side by side with the fields that differ."""
    lines = ["Its events differ:", ""]
    for ours, theirs in zip_longest(actual, expected):
        both = ours is not None and theirs is not None and ours[0] == theirs[0] and len(ours) == len(theirs)
        pairs = zip(named_fields(ours), named_fields(theirs), strict=True) if both else ()
        faults = [
            f"{name} is {mine!r}, should be {right!r}"
            for (name, mine), (_, right) in pairs
            if mine != right and name not in ignore
        ]
        if both and not faults:
            lines.append(f"    both       {describe_event(ours)}")
            continue
        lines += [f"    engine     {describe_event(ours)}", f"    reference  {describe_event(theirs)}"]
        if faults:
            lines.append(f"               ^ {'; '.join(faults)}")
    return "\n".join(lines)


def describe_views(actual: dict[str, object], expected: dict[str, object]) -> str:
    """The questions whose answers differ; the events of the command agreed."""
    lines = ["Its events agree, but afterwards these answers differ:", ""]
    for question, right in expected.items():
        answer = actual[question]
        if answer != right:
            lines += [f"    {question}", f"        engine     {answer!r}", f"        reference  {right!r}"]
    return "\n".join(lines)


def ladder(book: ReferenceBook) -> str:
    """The whole book as a table, best prices in the middle: side, price, then orders in queue order."""
    _, last_price, bids, asks, stops = book.snapshot()
    lines = [f"    time {book.time_ns} ns, last trade {last_price}"]
    for name, levels in (("ask", reversed(asks)), ("bid", iter(bids))):
        for price, orders in levels:
            queue = ", ".join(
                f"#{order_id} {qty}" + (f" (+{more} hidden)" * (more > 0)) for order_id, qty, more in orders
            )
            lines.append(f"    {name} {price:>6}: {queue}")
    for order_id, side, trigger_price, price, qty in stops:
        lines.append(f"    stop #{order_id} {side.name} {qty} at {price or 'market'}, trigger {trigger_price}")
    if len(lines) == 1:
        lines.append("    empty")
    return "\n".join(lines)


def script(make_engine: Callable[[], object], commands: Sequence[Command], given: dict[str, Any]) -> str:
    """Python that replays `commands` and fails the same way."""
    body = "".join(f"        {describe_command(command)},\n" for command in commands)
    arguments = "".join(f"    {name}={value!r},\n" for name, value in given.items())
    module, name = getattr(make_engine, "__module__", None), getattr(make_engine, "__qualname__", "<unnamed>")
    if module is None or module == "__main__" or not name.isidentifier():
        engine, name = "make_engine = ...  # what was given to machine_for or replay", "make_engine"
    else:
        engine = f"from {module} import {name}"
    words = {
        word for word in ("Side", "TimeInForce", "Purpose", "SelfTrade", "EventKind") if f"{word}." in body + arguments
    }
    events = ", ".join(sorted({type(command).__name__ for command in commands} | words))
    return (
        f"from lobsim.events import {events}\nfrom lobsim.testing import replay\n\n{engine}\n\n"
        f"replay(\n    {name},\n    [\n{body}    ],\n{arguments})\n"
    )
