"""The error tree. Everything that lobsim raises on purpose derives from `LobsimError`.

Outcomes of a command (a rejected order, a cancel that came too late) are events, never exceptions. Exceptions mean bad
input at an edge (`InputError` and its children: exit code 2 at the command line, no traceback) or a bug that a
`check()` found (`CheckError`).
"""

from __future__ import annotations


class LobsimError(Exception):
    """Base of every error that lobsim raises on purpose."""


class InputError(LobsimError):
    """Something a person gave is wrong: the message says what, where, which value, and what would be right."""


class GridError(InputError):
    """A price off the tick grid, a quantity off the lot grid, or a number that is no finite decimal."""


class ScenarioError(InputError):
    """A scenario file is unreadable or breaks a rule; the message lists every fault with its key path."""


class TapeError(InputError):
    """A tape file is damaged: the message names file, line and rule."""


class RunError(InputError):
    """A run folder is missing, unfinished or damaged."""


class CheckError(LobsimError):
    """An invariant does not hold. This is a bug in lobsim; the message carries the state that shows it."""
