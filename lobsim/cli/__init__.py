"""The command line: parse, call, print. What a command does lives in the rooms below."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]

BAD_INPUT, BUG, INTERRUPTED = 2, 3, 130
"""Exit codes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `argv` defaults to the arguments of this process.

    0: done. 2: bad input, said on stderr. 3: lobsim found itself wrong (`CheckError`). 130: interrupted.
    """
    from lobsim.cli.app import run  # noqa: PLC0415 - `import lobsim.cli` stays cheap

    return run(argv)
