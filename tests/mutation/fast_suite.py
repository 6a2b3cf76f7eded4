"""The suite that a mutant of lobsim.book has to survive: unit tests first, then a short property machine.

Runs from the root of a copy of the tree (tools/mutation.py makes one). Exit code 0 means that the mutant survived. Most
mutants die in the unit tests, which need no Hypothesis and start in half a second; what is left meets the machine, with
a fixed seed, so that a mutant that survives once survives always. Memory and time are limited, for mutants run in
circles.
"""

from __future__ import annotations

import resource
import sys

import pytest

MEMORY_BYTES = 2 * 10**9
UNIT_SECONDS, ALL_SECONDS = 8, 25  # of processor time; a healthy engine needs 1 and 4


def unit_tests() -> int:
    """Without plugins and configuration, whose import would cost more than the tests."""
    plain = ["-c", "/dev/null", "--rootdir", ".", "-p", "no:cacheprovider", "-x", "-q", "--tb=no", "--assert=plain"]
    return int(pytest.main([*plain, "tests/book"]))


def property_tests() -> int:
    from hypothesis import Phase, settings  # noqa: PLC0415 - only where the unit tests found nothing
    from hypothesis.stateful import run_state_machine_as_test  # noqa: PLC0415

    from lobsim.testing import machine_for  # noqa: PLC0415
    from tests.testing.adapters import LobsimEngine  # noqa: PLC0415

    fixed = settings(
        max_examples=40,
        stateful_step_count=60,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    try:
        run_state_machine_as_test(machine_for(LobsimEngine), settings=fixed)
    except Exception:
        return 1
    return 0


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (UNIT_SECONDS, ALL_SECONDS))
    failed = unit_tests()
    resource.setrlimit(resource.RLIMIT_CPU, (ALL_SECONDS, ALL_SECONDS))
    sys.exit(failed or property_tests())
