"""Worker processes: every job is answered once, deaths are blamed on the right job, nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lobsim.sweep.pool import ATTEMPTS, run_jobs
from tests.sweep import jobs

posix = pytest.mark.skipif(os.name != "posix", reason="kill -9 is a thing of POSIX")


@pytest.mark.parametrize("workers", [0, 2])
def test_every_job_is_answered_once(workers: int) -> None:
    answers = list(run_jobs(jobs.double, range(7), workers))
    assert sorted((answer.job, answer.value) for answer in answers) == [(number, 2 * number) for number in range(7)]
    assert all(answer.failure is None and answer.attempts == 1 for answer in answers)


def test_an_exception_is_an_answer_and_not_tried_again() -> None:
    answers = {answer.job: answer for answer in run_jobs(jobs.fail_on_three, [2, 3, 4], 1)}
    assert answers[3].value is None
    assert answers[3].failure is not None
    assert answers[3].failure.startswith("ValueError: three is too many (jobs.py, line ")
    assert answers[3].attempts == 1
    assert [answers[2].value, answers[4].value] == [2, 4]


@posix
def test_the_job_of_a_killed_worker_is_done_again(tmp_path: Path) -> None:
    deaths: list[tuple[str, str, int]] = []
    markers = [str(tmp_path / name) for name in "abc"]
    (tmp_path / "a").touch()
    (tmp_path / "c").touch()
    answers = run_jobs(jobs.die_once, markers, 2, on_death=lambda *death: deaths.append(death))
    assert {answer.value: answer.attempts for answer in answers} == {"a": 1, "b": 2, "c": 1}
    assert deaths == [(markers[1], "its worker process was killed by SIGKILL", 1)]


@posix
def test_a_job_that_kills_every_worker_fails_with_the_reason(tmp_path: Path) -> None:
    deaths: list[int] = []
    (answer,) = run_jobs(jobs.die_always, ["x"], 1, on_death=lambda _, __, attempt: deaths.append(attempt))
    assert (answer.value, answer.attempts) == (None, ATTEMPTS)
    assert answer.failure == f"its worker process ended with exit code 7, {ATTEMPTS} times over"
    assert deaths == [1, 2, 3]


@posix
def test_leaving_early_stops_the_workers(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    answers = run_jobs(_first_quick, [str(tmp_path / "quick"), str(marker)], 2)
    assert next(answers).value == "quick"
    _wait_for(marker.exists)
    _wait_for(marker.read_text)
    answers.close()  # type: ignore[attr-defined]
    _wait_for(lambda: not _alive(int(marker.read_text())))


def _first_quick(marker: str) -> str:
    """A job that ends and one that does not."""
    if Path(marker).name != "quick":
        jobs.sleep_beside(marker)
    return "quick"


@posix
def test_workers_leave_when_their_parent_is_killed(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    code = (
        "from lobsim.sweep.pool import run_jobs\nfrom tests.sweep import jobs\n"
        f"if __name__ == '__main__':\n    list(run_jobs(jobs.sleep_beside, [{str(marker)!r}], 1))\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.PIPE, text=True)
    _wait_for(lambda: marker.exists() and marker.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.communicate(timeout=60)
    _wait_for(lambda: not _alive(int(marker.read_text())))


def _alive(pid: int) -> bool:
    """A zombie that nobody has collected yet is as dead as can be."""
    stat = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def _wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
