"""lobsim: a discrete-event limit-order-book simulator whose flash crashes emerge.

Names are loaded on first use, so that ``import lobsim.book`` costs neither SimPy nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lobsim.book import OrderBook
    from lobsim.measure import Run, read_run
    from lobsim.scenario import Scenario, load_scenario

__version__ = "0.1.0"

__all__ = ["OrderBook", "Run", "Scenario", "__version__", "load_scenario", "read_run"]

_HOMES = {
    "OrderBook": "lobsim.book",
    "Run": "lobsim.measure",
    "Scenario": "lobsim.scenario",
    "load_scenario": "lobsim.scenario",
    "read_run": "lobsim.measure",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in ("measure", "sweep", "testing"):
        return import_module(f"lobsim.{name}")
    raise AttributeError(f"module 'lobsim' has no attribute {name!r}")
