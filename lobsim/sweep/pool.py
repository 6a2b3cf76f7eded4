"""Worker processes that each do one job at a time, and whose death is noticed, blamed on the right job and made good.

`concurrent.futures` cannot say which job a killed worker was at, and gives up on all of them. Here every worker has a
pipe of its own: when it dies (out of memory, `kill -9`) its job goes to a fresh worker, up to `ATTEMPTS` times. An
exception inside a job is its answer and is not tried again: the same job would fail the same way.

Workers are started with spawn, ignore Ctrl-C (their parent hears it and stops them) and leave when their parent is
gone. Polars runs one thread in each, which also makes its sums independent of the machine.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Thread
from traceback import extract_tb
from typing import Any, Generic, NamedTuple, TypeVar

from lobsim.errors import LobsimError

J = TypeVar("J")
R = TypeVar("R")

ATTEMPTS = 3
_GRACE_S = 5.0
_PACKAGE = Path(__file__).resolve().parents[1]
_ONE_THREAD = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Answer(NamedTuple, Generic[J, R]):
    """What became of a job: its value, or the reason why there is none, after so many attempts."""

    job: J
    value: R | None
    failure: str | None
    attempts: int


class _Worker(Generic[J, R]):
    """One process and the job that it is at."""

    def __init__(self, function: Callable[[J], R]) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function), daemon=True)
        with _spawning():
            self.process.start()
        theirs.close()
        self.job: J | None = None
        self.attempt = 0

    def give(self, job: J, attempt: int) -> None:
        self.job, self.attempt = job, attempt
        try:
            self.connection.send(job)
        except OSError:  # already dead: `take` finds out, like any other death
            return

    def take(self) -> tuple[R | None, str | None] | None:
        """The answer that has come, or None when the worker died over its job."""
        try:
            fine, value = self.connection.recv()
        except (EOFError, OSError):
            return None
        return (value, None) if fine else (None, str(value))

    def death(self) -> str:
        """How a worker ended whose pipe is closed."""
        self.process.join(_GRACE_S)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"its worker process was killed by {signal.Signals(-code).name}"
        return f"its worker process ended with exit code {code}"

    def stop(self) -> None:
        self.connection.close()
        if self.process.is_alive():
            self.process.terminate()
        self.process.join(_GRACE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def run_jobs(
    function: Callable[[J], R],
    jobs: Iterable[J],
    workers: int,
    *,
    on_death: Callable[[J, str, int], None] | None = None,
) -> Generator[Answer[J, R], None, None]:
    """Do all jobs on `workers` processes and yield their answers as they come.

    function: a module's own function, called as function(job); job and value are pickled. workers = 0 does all in
    this process. on_death: told (job, how, attempt) of each worker that died. Closing the iterator stops the workers.
    """
    if workers == 0:
        for one in jobs:
            fine, value = _attempt(function, one)
            yield Answer(one, value, None, 1) if fine else Answer(one, None, str(value), 1)
        return
    waiting = deque((job, 1) for job in jobs)
    team: list[_Worker[J, R]] = []
    try:
        while waiting or team:
            while waiting and len(team) < workers:
                team.append(_Worker(function))
                team[-1].give(*waiting.popleft())
            ready = wait([worker.connection for worker in team])
            for worker in [one for one in team if one.connection in ready]:
                job = worker.job
                assert job is not None
                answer = worker.take()
                if answer is None:
                    team.remove(worker)
                    how = worker.death()
                    worker.stop()
                    if on_death is not None:
                        on_death(job, how, worker.attempt)
                    if worker.attempt < ATTEMPTS:
                        waiting.appendleft((job, worker.attempt + 1))
                        continue
                    answer = (None, f"{how}, {ATTEMPTS} times over")
                elif waiting:
                    attempt = worker.attempt
                    worker.give(*waiting.popleft())
                    yield Answer(job, *answer, attempt)
                    continue
                else:
                    team.remove(worker)
                    worker.stop()
                yield Answer(job, *answer, worker.attempt)
    finally:
        for worker in team:
            worker.stop()


def _serve(connection: Connection[Any, Any], function: Callable[[Any], Any]) -> None:
    """A worker's life: take a job, answer, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    Thread(target=_leave_with_parent, daemon=True).start()
    while True:
        try:
            job = connection.recv()
            connection.send(_attempt(function, job))
        except (EOFError, OSError):
            return


def _attempt(function: Callable[[Any], Any], job: Any) -> tuple[bool, Any]:
    try:
        return True, function(job)
    except LobsimError as error:
        return False, str(error)
    except Exception as error:
        frames = extract_tb(error.__traceback__)
        ours = [frame for frame in frames[1:] if _PACKAGE in Path(frame.filename).parents]
        where = (ours or frames)[-1]
        return False, f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"


def _leave_with_parent() -> None:
    """End this process as soon as its parent is gone, in the middle of a job if need be."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _spawning() -> Iterator[None]:
    """Start a child that has one thread per library and that no Ctrl-C reaches before it can ignore it."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    masked = hasattr(signal, "pthread_sigmask")
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masked else None
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if old is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
