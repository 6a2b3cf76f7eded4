"""Jobs for worker processes: functions of a module's own, as the pool wants them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def double(number: int) -> int:
    return 2 * number


def fail_on_three(number: int) -> int:
    if number == 3:
        raise ValueError("three is too many")
    return number


def die_once(marker: str) -> str:
    """Kill -9 of its own process, the first time."""
    path = Path(marker)
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def die_always(_: str) -> None:
    os._exit(7)


def sleep_beside(marker: str) -> None:
    """Write down who sleeps, then sleep for long."""
    Path(marker).write_text(str(os.getpid()))
    time.sleep(60)
