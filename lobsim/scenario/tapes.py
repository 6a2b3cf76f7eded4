"""Recorded markets inside a simulation: a tape's commands reach a book at the moments at which they were recorded."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from simpy.events import Event as SimEvent

from lobsim.errors import ScenarioError
from lobsim.scenario.build import Simulation
from lobsim.scenario.schema import TapeSource
from lobsim.sim.tapes import open_tape


class TapePlayer:
    """Plays one tape into one instrument's book as orders of nobody (owner 0)."""

    def __init__(self, simulation: Simulation, source: TapeSource, folder: Path, *, allow_path: bool) -> None:
        """Raises `ScenarioError` for a path or a start that does not fit, `TapeError` for a tape that is none."""
        self.name = source.path
        self._simulation = simulation
        self._exchange, self._market = simulation.market(source.instrument)
        options: dict[str, Any] = {"tick": f"{self._market.tick:f}", "lot": f"{self._market.lot:f}"}
        if source.book is not None:
            options["book"] = resolve(folder, "book", source.book, allow_path=allow_path)
        self._tape = open_tape(source.kind, resolve(folder, "path", source.path, allow_path=allow_path), **options)
        begins, start = self._tape.start_utc, simulation.file.scenario.start_utc
        if begins is not None and begins != start:
            raise ScenarioError(
                f"path: the tape {source.path!r} begins at {begins}, but scenario.start_utc is {start}; "
                f'write start_utc = "{begins}" (or --set scenario.start_utc={begins})'
            )

    @property
    def skipped(self) -> dict[str, int]:
        """Records of the tape that were refused, by reason."""
        return dict(sorted(self._tape.skipped.items()))

    def start(self) -> None:
        """Begin to play."""
        self._simulation.clock.process(self._play())

    def _play(self) -> Generator[SimEvent, None, None]:
        clock = self._simulation.clock
        for batch in self._tape.batches(self._market.book):
            if batch.time_ns > clock.now:
                yield clock.timeout(batch.time_ns - clock.now)
            if batch.commands:
                self._exchange.handle(0, self._market.instrument_id, batch.commands)


def resolve(folder: Path, key: str, path: str, *, allow_path: bool) -> Path:
    """A tape's path below the scenario's folder; anything else only with --allow-path. Raises `ScenarioError`."""
    try:
        target = (folder / path).resolve()
    except (OSError, ValueError) as error:  # a null character, a circle of links
        raise ScenarioError(f"{key}: {path!r}: {error}") from None
    if not allow_path and not target.is_relative_to(folder):
        raise ScenarioError(
            f"{key}: {path!r} leads out of the scenario's folder {str(folder)!r}; say --allow-path to read it"
        )
    return target
