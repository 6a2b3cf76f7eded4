"""A pseudo terminal with a program in it, for tests; skipped where the platform has none."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="this platform has no pseudo terminals")

TIMEOUT_S = 90.0


class Terminal:
    """Runs `python -m lobsim ARGUMENTS` with stdin, stdout and stderr on a terminal of its own; keys go to its group.

    `text` is all that the program has sent.
    """

    def __init__(
        self, *arguments: str, width: int = 100, height: int = 30, cwd: Path | None = None, **environment: str
    ) -> None:
        import fcntl  # noqa: PLC0415 - not on every platform
        import termios  # noqa: PLC0415

        try:
            self._master, slave = pty.openpty()
        except OSError as error:
            pytest.skip(f"no pseudo terminal to be had: {error}")
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
        root = str(Path(__file__).resolve().parents[2])
        kept |= {"TERM": "xterm-256color", "PYTHONPATH": root, "PYTHONIOENCODING": "utf-8", **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CONTROLLED, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=kept,
            cwd=cwd,
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""

    def press(self, key: str) -> None:
        r"""Send a key; "\x03" is Ctrl-C."""
        os.write(self._master, key.encode())

    def wait_for(self, done: Callable[[str], object]) -> str:
        """Read until `done(text)`, or until the program ends."""
        deadline = time.monotonic() + TIMEOUT_S
        while not done(self.text):
            assert time.monotonic() < deadline, self.text[-2000:]
            if select.select([self._master], [], [], 0.2)[0]:
                try:
                    piece = os.read(self._master, 65536)
                except OSError:  # Linux says so when the other end is closed
                    piece = b""
                if not piece:
                    break
                self.text += piece.decode("utf-8", "replace")
            elif self.process.poll() is not None:
                break
        return self.text

    def finish(self) -> int:
        """Read to the end; the exit code."""
        self.wait_for(lambda _: False)
        code = self.process.wait(timeout=TIMEOUT_S)
        os.close(self._master)
        return code


# the terminal becomes the controlling one of the new session: only then Ctrl-C is a signal
_CONTROLLED = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from lobsim.cli import main
sys.exit(main())
"""
