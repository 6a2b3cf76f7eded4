"""Scenario files: their format, their checks, and the one place where a simulation is put together."""

from __future__ import annotations

from lobsim.scenario.load import Scenario, load_scenario
from lobsim.scenario.schema import ScenarioFile

__all__ = ["Scenario", "ScenarioFile", "load_scenario"]
