from __future__ import annotations

import subprocess
import sys

import pytest

import lobsim.testing

HEAVY = {"simpy", "numpy", "polars", "pydantic", "hypothesis", "typer", "rich"}


def loaded_by(statement: str) -> set[str]:
    """Modules of `HEAVY` that a fresh interpreter has loaded after `statement`."""
    code = f"import sys\n{statement}\nprint(*sorted(set(sys.modules) & set({HEAVY!r})))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "statement", ["import lobsim", "import lobsim.events", "import lobsim.book", "from lobsim import OrderBook"]
)
def test_the_engine_loads_nothing_heavy(statement) -> None:
    assert loaded_by(statement) == set()


def test_only_the_machine_and_the_strategies_need_hypothesis() -> None:
    assert loaded_by("from lobsim.testing import replay, ReferenceBook, Engine, Feature") == set()
    assert "hypothesis" in loaded_by("from lobsim.testing import machine_for")


@pytest.mark.parametrize("name", ["machine_for", "orders", "commands", "command_lists", "Range"])
def test_without_hypothesis_the_message_says_what_to_install(name) -> None:
    code = f"import sys; sys.modules['hypothesis'] = None\nimport lobsim.testing\nlobsim.testing.{name}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert f"lobsim.testing.{name} needs Hypothesis: pip install 'lobsim[testing]'" in run.stderr
    assert "ModuleNotFoundError" in run.stderr


def test_the_kit_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'machine_of'"):
        _ = lobsim.testing.machine_of
