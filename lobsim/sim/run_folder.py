"""Files of a run that is being written: nothing unfinished ever looks finished.

Every file is written under a temporary name, synced and renamed; ``manifest.json`` says ``"complete": false`` until the
very last rename. A process killed at any moment leaves whole parts and a manifest that says the run is unfinished.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lobsim.errors import RunError
from lobsim.records import MANIFEST, PART_NAME, SCENARIO, TABLES

if TYPE_CHECKING:
    import polars as pl

_TEMPORARY = ".tmp"


class RunFolder:
    """One run's folder; creating the object claims it and writes the first, unfinished manifest.

    Raises `RunError` when the folder holds a run and `overwrite` is not set, or holds anything else: files of strangers
    are never deleted. Replacing a run first marks the old one unfinished.
    """

    def __init__(
        self, path: Path, manifest: Mapping[str, object], scenario_toml: str, *, overwrite: bool = False
    ) -> None:
        self.path = path
        self.parts = dict.fromkeys(TABLES, 0)
        try:
            self._claim(overwrite)
            self.write_manifest(manifest)
            self._remove_parts()
            self._write_text(SCENARIO, scenario_toml)
        except OSError as error:
            raise RunError(f"{path}: cannot prepare the run folder: {error.strerror or error}") from error

    def write_part(self, table: str, frame: pl.DataFrame) -> None:
        """Add the table's next part; raises `RunError` when the disk refuses."""
        folder = self.path / table
        target = folder / f"part-{self.parts[table]:05}.parquet"
        try:
            folder.mkdir(exist_ok=True)
            temporary = target.with_name(target.name + _TEMPORARY)
            frame.write_parquet(temporary, compression="zstd", compression_level=1)
            publish_file(temporary, target)
        except OSError as error:
            raise RunError(f"{target}: cannot write: {error.strerror or error}") from error
        self.parts[table] += 1

    def write_manifest(self, manifest: Mapping[str, object]) -> None:
        """Replace ``manifest.json`` in one step."""
        self._write_text(MANIFEST, json.dumps(manifest, indent=1, default=str, allow_nan=False) + "\n")

    def _write_text(self, name: str, text: str) -> None:
        temporary = self.path / (name + _TEMPORARY)
        try:
            temporary.write_text(text, encoding="utf-8", newline="\n")
            publish_file(temporary, self.path / name)
        except OSError as error:
            raise RunError(f"{self.path / name}: cannot write: {error.strerror or error}") from error

    def _claim(self, overwrite: bool) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        names = {entry.name for entry in self.path.iterdir()}
        if not names:
            return
        if MANIFEST not in names:
            raise RunError(f"{self.path}: the folder is not empty and holds no run; choose a new or an empty folder")
        if not overwrite:
            raise RunError(f"{self.path}: already holds a run; choose another folder, or replace it (--overwrite)")
        try:
            with (self.path / MANIFEST).open("rb") as file:
                known = "lobsim_format" in json.loads(file.read(1 << 26))
        except (ValueError, TypeError):
            known = False
        if not known or any((self.path / table).is_symlink() for table in TABLES):
            raise RunError(f"{self.path / MANIFEST}: not written by lobsim; the folder is left alone")

    def _remove_parts(self) -> None:
        for table in TABLES:
            folder = self.path / table
            if folder.is_dir():
                for file in folder.iterdir():
                    if PART_NAME.fullmatch(file.name.removesuffix(_TEMPORARY)):
                        file.unlink()


def publish_file(temporary: Path, target: Path) -> None:
    """Rename once the bytes are on disk, then sync the folder: a power cut leaves the old file or the new."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(target)
    if os.name == "posix":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
