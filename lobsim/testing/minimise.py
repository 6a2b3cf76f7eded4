"""Making a failing list of commands as short and plain as it gets.

Hypothesis shrinks what it drew; the commands that a machine then sends also hang on the state of the book, which leaves
more in a failure than it needs. Here whole commands are left out and single fields set back, as long as it still fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lobsim.events import Command, EventKind, Reason, SubmitOrder
from lobsim.testing.engine import Feature
from lobsim.testing.reference import ReferenceBook

Fails = Callable[[list[Command]], bool]

_MOST_TRIALS = 1500
_PLAIN_FIELDS = ("tif", "owner", "purpose", "post_only", "display_qty", "trigger_price", "expire_ns", "self_trade")


def minimised(commands: list[Command], fails: Fails, features: frozenset[Feature]) -> list[Command]:
    """The shortest list found for which `fails` still holds; `commands` itself if none is.

    Nothing is tried that an engine with these features need not understand. At most some 1,500 trials.
    """
    trials = 0
    best = list(commands)
    improved = True
    while improved:
        improved = False
        for candidate in _simpler(best):
            if trials >= _MOST_TRIALS:
                return best
            if not _is_fair(candidate, features):
                continue
            trials += 1
            if fails(candidate):
                best = candidate
                improved = True
                break
    return best


def _simpler(commands: list[Command]) -> Iterator[list[Command]]:
    """Lists with fewer commands, large pieces first, then lists with one field set back."""
    size = len(commands) // 2
    while size:
        for start in range(len(commands) - size, -1, -size):
            yield commands[:start] + commands[start + size :]
        size //= 2
    clock = 0
    for position, command in enumerate(commands):
        before, after = commands[:position], commands[position + 1 :]
        for plainer in _plainer(command):
            yield [*before, plainer, *after]
        if command.time_ns is not None and command.time_ns > clock:
            yield [*before, command._replace(time_ns=clock), *after]
            clock = command.time_ns


def _plainer(command: Command) -> Iterator[Command]:
    """The command with one thing simpler: a field at its default, its expiry with its kind, a quantity of 1."""
    if isinstance(command, SubmitOrder):
        defaults = command._field_defaults
        if command.expire_ns is not None:
            yield command._replace(tif=defaults["tif"], expire_ns=None)
        for name in _PLAIN_FIELDS:
            if getattr(command, name) != defaults[name]:
                yield command._replace(**{name: defaults[name]})
    qty = getattr(command, "qty", 1)
    if qty > 1:
        yield command._replace(qty=1)  # type: ignore[call-arg]
        yield command._replace(qty=qty - 1)  # type: ignore[call-arg]


def _is_fair(commands: list[Command], features: frozenset[Feature]) -> bool:
    """Whether the list has no bad input that an engine without that feature was promised never to see."""
    if Feature.BAD_INPUT in features:
        return True
    book = ReferenceBook()
    events = [event for command in commands for event in book.apply(command)]
    return not any(event[0] == EventKind.REJECTED and event[7] != Reason.POST_ONLY_CROSSES for event in events)
