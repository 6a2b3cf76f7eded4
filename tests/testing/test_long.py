"""The long run: 1,000 examples of 60 steps with a new seed each time. `LOBSIM_SLOW=1 pytest -m slow tests/testing`."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from lobsim.testing import machine_for
from tests.testing.adapters import LobsimEngine


@pytest.mark.slow
@pytest.mark.skipif("LOBSIM_SLOW" not in os.environ, reason="a minute; set LOBSIM_SLOW=1")
def test_our_engine_agrees_with_the_reference_for_long() -> None:
    long = settings(max_examples=1000, stateful_step_count=60, deadline=None, database=None)
    run_state_machine_as_test(machine_for(LobsimEngine), settings=long)
