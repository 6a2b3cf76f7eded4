"""Test any matching engine against a naive reference, with Hypothesis inventing the orders.

``machine_for(make_engine)`` returns a Hypothesis rule machine; its ``TestCase`` is a test for pytest or unittest:

    from lobsim.testing import machine_for

    TestMyEngine = machine_for(MyAdapter).TestCase

`Engine` is what an adapter must offer (three methods), `Feature` what an engine may lack, `ReferenceBook` the
specification in code, `replay` runs a fixed list of commands, which is what a shrunk failure prints. The strategies
`orders`, `commands` and `command_lists` can be used by themselves.

Only the machine and the strategies need Hypothesis (``pip install 'lobsim[testing]'``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lobsim.testing.comparison import MismatchError, replay
from lobsim.testing.engine import ALL_FEATURES, Engine, Feature
from lobsim.testing.reference import ReferenceBook

if TYPE_CHECKING:
    from lobsim.testing.machine import machine_for
    from lobsim.testing.strategies import Range, command_lists, commands, orders

__all__ = [
    "ALL_FEATURES",
    "Engine",
    "Feature",
    "MismatchError",
    "Range",
    "ReferenceBook",
    "command_lists",
    "commands",
    "machine_for",
    "orders",
    "replay",
]

_NEED_HYPOTHESIS = {
    "Range": "lobsim.testing.strategies",
    "machine_for": "lobsim.testing.machine",
    "command_lists": "lobsim.testing.strategies",
    "commands": "lobsim.testing.strategies",
    "orders": "lobsim.testing.strategies",
}


def __getattr__(name: str) -> Any:
    home = _NEED_HYPOTHESIS.get(name)
    if home is None:
        raise AttributeError(f"module 'lobsim.testing' has no attribute {name!r}")
    try:
        return getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "hypothesis":
            raise
        message = f"lobsim.testing.{name} needs Hypothesis: pip install 'lobsim[testing]'"
        raise ModuleNotFoundError(message, name="hypothesis") from error
