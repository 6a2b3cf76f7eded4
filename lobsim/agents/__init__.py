"""Who trades. Each module declares an agent class and the parameters it takes from a scenario file.

A new agent is one new module: it subclasses `Agent` (or `CrowdAgent`), names its `kind`, and is found by `agent_kinds`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from lobsim.agents.base import Agent, AgentParams, Context, CrowdAgent

__all__ = ["Agent", "AgentParams", "Context", "CrowdAgent", "agent_kinds"]


@cache
def agent_kinds() -> dict[str, type[Agent]]:
    """Every agent class of this package by its kind, in alphabetical order."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    found: dict[str, type[Agent]] = {}
    waiting: list[type[Agent]] = [Agent]
    while waiting:
        for child in waiting.pop().__subclasses__():
            waiting.append(child)
            if child.kind:
                found[child.kind] = child
    return dict(sorted(found.items()))
