"""A study's folder: what was asked, and one small file per finished run. A kill at any moment loses no finished run.

``study.json`` says what is studied and ``"complete": false`` until the last file is there; ``results/KEY-SEED.json`` is
one run, written under a temporary name, synced and renamed; ``results.parquet`` comes with completion. A folder that
already holds a study is taken up where it stopped, if it is about the same scenario; one that holds anything else is
left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from lobsim import __version__
from lobsim.errors import RunError
from lobsim.sim.run_folder import publish_file
from lobsim.sweep.differences import Leaves, differences, essence, fingerprint, leaves, listed, written
from lobsim.sweep.files import FORMAT, AblationEntry, CellEntry, Header, Result, StudyFile
from lobsim.sweep.plan import Cell

if TYPE_CHECKING:
    import polars as pl

STUDY = "study.json"
TABLE = "results.parquet"
_RESULTS, _WORK, _LOCK = "results", "work", "study.lock"
_RESULT_NAME = re.compile(r"([0-9a-f]{32})-(\d{1,19})\.json")
_MOST_BYTES = 1 << 26
_MOST_RESULT_BYTES = 1 << 20

M = TypeVar("M", bound=BaseModel)


class Store:
    """A study's folder, open for writing inside of a ``with store.opened()`` block. `results` are by (cell key, seed).

    base: the scenario without variant and settings. ablation: the plan that the cells belong to. Raises `RunError` when
    the folder holds something else, a study of another scenario or version (saying what differs), or is being written
    by another process.
    """

    def __init__(
        self,
        folder: Path,
        base: Cell,
        cells: Sequence[Cell],
        seeds: Sequence[int],
        until_ns: int | None,
        ablation: AblationEntry | None = None,
    ) -> None:
        self.folder = folder
        document = essence(base.document)
        self.header = Header(
            lobsim=__version__,
            scenario=document["scenario"]["name"],
            file=str(base.path),
            fingerprint=fingerprint(document),
            document=leaves(document),
            until_ns=until_ns,
            seeds=tuple(seeds),
            labels=tuple(cell.label for cell in cells),
        )
        self.cells = {cell.label: _entry(cell, self.header.document) for cell in cells}
        self.ablation = ablation
        self.results: dict[tuple[str, int], Result] = {}

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """Claim the folder for as long as the block lasts."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            names = {entry.name for entry in self.folder.iterdir()} - {_LOCK}
            if names and STUDY not in names:
                raise RunError(f"{self.folder}: not empty and holds no study; choose a new or an empty folder")
            with _locked(self.folder / _LOCK):
                if names:
                    self._take_up(read_study_file(self.folder))
                (self.folder / _RESULTS).mkdir(exist_ok=True)
                self.clean()
                self._write_study(complete=False)
                yield self
        except OSError as error:
            raise RunError(f"{self.folder}: cannot write: {error.strerror or error}") from None

    def _take_up(self, old: StudyFile) -> None:
        """Compare with what is there already, keep its cells and results."""
        theirs, ours = old.header, self.header
        if theirs.lobsim != ours.lobsim:
            raise RunError(
                f"{self.folder}: holds results of lobsim {theirs.lobsim[:20]}, this is {ours.lobsim}; "
                "their runs may differ. Choose another folder"
            )
        if theirs.until_ns != ours.until_ns:
            raise RunError(f"{self.folder}: holds runs of another length (--until); choose another folder")
        changed = differences(theirs.document, ours.document)
        for label, cell in old.cells.items():
            mine = self.cells.get(label)
            if mine is not None and mine.key != cell.key and not changed:
                found = differences(cell.changes, mine.changes)
                changed = [one._replace(key=f"{label}: {one.key}") for one in found]
        if changed or theirs.fingerprint != ours.fingerprint:
            said = listed(changed) or "  the order of its tables"
            raise RunError(
                f"{self.folder}: holds results of a scenario that has changed since:\n{said}\n"
                "Choose another folder, or change the scenario back"
            )
        self.cells = {**old.cells, **self.cells}
        self.results = read_results(self.folder)

    def clean(self) -> None:
        """Take away the folders of runs that were not finished."""
        work = self.folder / _WORK
        if work.is_dir() and not work.is_symlink():
            rmtree(work, ignore_errors=True)

    def add(self, key: str, result: Result) -> None:
        """Make one result durable."""
        publish(self.folder / _RESULTS / f"{key}-{result.seed}.json", result.model_dump_json() + "\n")
        self.results[key, result.seed] = result

    def finish(self, frame: pl.DataFrame) -> None:
        """Write the table and say complete, as the very last thing."""
        temporary = self.folder / f"{TABLE}.tmp"
        frame.write_parquet(temporary)
        publish_file(temporary, self.folder / TABLE)
        self._write_study(complete=True)

    def _write_study(self, *, complete: bool) -> None:
        study = StudyFile(
            lobsim_study=FORMAT, complete=complete, header=self.header, cells=self.cells, ablation=self.ablation
        )
        publish(self.folder / STUDY, study.model_dump_json(indent=1) + "\n")


def read_study_file(folder: Path) -> StudyFile:
    """``study.json``, checked; raises `RunError`."""
    return _read(StudyFile, folder / STUDY, _MOST_BYTES)


def read_results(folder: Path) -> dict[tuple[str, int], Result]:
    """Every finished run by (cell key, seed); raises `RunError` naming a damaged file."""
    home = folder / _RESULTS
    found: dict[tuple[str, int], Result] = {}
    for file in sorted(home.iterdir()) if home.is_dir() else []:
        match = _RESULT_NAME.fullmatch(file.name)
        if match is not None:  # else a temporary file of a run that was never finished
            found[match[1], int(match[2])] = _read(Result, file, _MOST_RESULT_BYTES)
    return found


def publish(target: Path, text: str) -> None:
    """Write under a temporary name, sync, rename, sync the folder: a power cut leaves the old file or the new."""
    temporary = target.with_name(target.name + ".tmp")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    publish_file(temporary, target)


def _entry(cell: Cell, base: Leaves) -> CellEntry:
    changed = differences(base, leaves(essence(cell.document)))
    return CellEntry(
        key=cell.key,
        variant=cell.variant,
        settings={key: written(value) for key, value in cell.settings.items()},
        changes={one.key: one.new for one in changed},
    )


def _read(model: type[M], path: Path, most: int) -> M:
    try:
        if path.is_symlink() or not path.is_file():
            raise RunError(f"{path}: no such file; a study's folder holds one")
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(raw) > most:
        raise RunError(f"{path}: larger than {most} bytes")
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:60] for part in first["loc"])
        raise RunError(f"{path}: not written by this version of lobsim, or damaged: {where}: {first['msg']}") from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the folder for this process; a lock of a process that died is no lock. Only where the system has flock."""
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        yield
        return
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"{path.parent}: another sweep is writing there") from None
        yield
