"""`lobsim check`, `schema` and `scenarios`: what can be said of scenario files without running them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from lobsim.cli.console import say, show_table
from lobsim.errors import ScenarioError
from lobsim.report.wording import span
from lobsim.scenario import Scenario, ScenarioFile, load_scenario
from lobsim.scenario.shipped import locate, shipped

_MOST_NAMES = 20


def check_and_show(name: str, settings: Sequence[str], variant: str | None, *, allow_path: bool) -> None:
    """Load and put together the scenario and all its variants; raises `ScenarioError` with all faults."""
    from lobsim.scenario.run import rehearse  # noqa: PLC0415 - only building needs SimPy

    path = locate(name)
    scenario = load_scenario(path, variant=variant, settings=settings)
    rehearse(scenario, allow_path=allow_path)
    variants = [] if variant is not None else list(scenario.file.variants)
    for other in variants:
        try:
            rehearse(load_scenario(path, variant=other, settings=settings), allow_path=allow_path)
        except ScenarioError as error:
            raise ScenarioError(f"variant {other}: {error}") from None
    say(f"{path}: no faults")
    show_table(("", ""), _facts(scenario), left=2)


def _facts(scenario: Scenario) -> list[tuple[str, str]]:
    file = scenario.file
    header = file.scenario
    loans = sum(lender.loans.count for lender in file.lenders.values())
    kinds: Counter[str] = Counter()
    for agent in file.agents.values():
        if agent.enabled:
            kinds[agent.kind] += agent.count
    facts = [
        ("name", header.name),
        ("title", header.title),
        ("runs", f"{span(header.duration)} from {header.start_utc}, seed {header.seed}"),
        ("instruments", _listed(list(file.instruments))),
        ("agents", ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()) or "none"),
        ("loans", f"{loans:,}" if loans else "none"),
        ("tapes", _listed([tape.path for tape in file.tapes])),
        ("variants", ", ".join(file.variants)),
    ]
    return [(label, text) for label, text in facts if text]


def _listed(names: Sequence[str]) -> str:
    """All names, or how many there are, the first ones and how many are left."""
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    return f"{len(names)}: {', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more"


def show_schema() -> None:
    """Print the JSON Schema of the scenario format."""
    print(json.dumps(ScenarioFile.model_json_schema(), indent=1))  # noqa: T201


def show_scenarios() -> None:
    """Print a table of the scenarios that ship with lobsim."""
    rows = []
    for name, path in shipped().items():
        header = load_scenario(path).file.scenario
        rows.append((name, header.title, span(header.duration), str(path)))
    show_table(("name", "", "lasts", "file"), rows, left=4, indent=0)
