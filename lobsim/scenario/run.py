"""Replay a scenario: build it, run the clock, record, prove what must hold, close the run folder."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lobsim.errors import InputError, ScenarioError
from lobsim.measure import Run, read_run
from lobsim.scenario.build import Simulation
from lobsim.scenario.load import Scenario
from lobsim.scenario.tapes import TapePlayer
from lobsim.sim.recorder import Recorder

_PROGRESS_STEPS = 20_000  # a crash packs minutes of work into simulated seconds; who shows progress picks from these


def replay(
    scenario: Scenario,
    *,
    seed: int | None = None,
    out: str | Path | None = None,
    until_ns: int | None = None,
    overwrite: bool = False,
    allow_path: bool = False,
    on_progress: Callable[[int], None] | None = None,
    on_start: Callable[[Simulation], None] | None = None,
) -> Run:
    """Run `scenario` and return the finished run; see `Scenario.replay`.

    on_start: called with the simulation once all is armed and before anything happens, for those who watch: it must
    change nothing. A KeyboardInterrupt leaves an unfinished run that holds everything up to that moment.

    Raises `CheckError` when a book, the ledger or a loan book does not add up at the end, `TapeError` for a damaged
    tape; the folder then holds what was recorded and does not say complete.
    """
    header = scenario.file.scenario
    end_ns = header.duration if until_ns is None else min(until_ns, header.duration)
    if end_ns <= 0:
        raise ScenarioError(f"--until: {until_ns} ns leaves nothing to run")
    simulation, tapes = rehearse(scenario, seed=seed, allow_path=allow_path)
    temporary = None
    if out is None:
        temporary = TemporaryDirectory(prefix="lobsim-")
        out = Path(temporary.name) / "run"
    with Recorder(out, simulation.header(scenario), overwrite=overwrite) as recorder, _quiet_collector():
        simulation.start(recorder)
        for tape in tapes:
            tape.start()
        if on_start is not None:
            on_start(simulation)
        try:
            simulation.clock.run_until(end_ns, max(1, end_ns // _PROGRESS_STEPS), on_progress)
        except KeyboardInterrupt:
            recorder.abort("interrupted", end_ns=simulation.clock.now)
            raise
        imbalance = simulation.check()
        summary = {
            "duration_ns": header.duration,
            "messages": simulation.messages,
            "clock_events": simulation.clock.events_run,
            "shock_ns": simulation.shock_ns,
            "ledger": imbalance,
            "tape_records_skipped": {tape.name: tape.skipped for tape in tapes},
        }
        recorder.close(end_ns=end_ns, summary=summary)
    run = read_run(out)
    if temporary is not None:
        run.keep(temporary)
    return run


def rehearse(
    scenario: Scenario, *, seed: int | None = None, allow_path: bool = False
) -> tuple[Simulation, list[TapePlayer]]:
    """Put everything together without starting it: what still can be wrong with a scenario shows here.

    Raises `ScenarioError` for an economy that cannot be built and for a tape that cannot be opened.
    """
    simulation = Simulation(scenario, scenario.file.scenario.seed if seed is None else seed)
    tapes = []
    for number, tape in enumerate(scenario.file.tapes):
        try:
            tapes.append(TapePlayer(simulation, tape, scenario.folder, allow_path=allow_path))
        except InputError as error:
            raise ScenarioError(f"{scenario.path}: tapes[{number}]: {error}") from None
    return simulation, tapes


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """Collect cyclic garbage rarely: a run makes millions of tuples and hardly any cycles."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
