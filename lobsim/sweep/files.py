"""What a study's files say, as models that are checked when read: they may come from anyone."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORMAT: Final = 1

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Result(_Model):
    """One finished run: done with its outcomes, or failed with the reason. ledger: imbalance per asset, all zero.

    scores: by name of each target row its band (low, high), real figure (real, or real_low and real_high), its unit and
    what was simulated.
    """

    status: Literal["done", "failed"]
    cell: str
    seed: Seed
    attempts: int
    reason: str | None = None
    digest: str | None = None
    ledger: dict[str, int] = {}
    outcomes: dict[str, float | None] = {}
    scores: dict[str, dict[str, float | str | None]] = {}
    messages: int | None = None
    seconds: float | None = None


class CellEntry(_Model):
    """A cell: its settings as given, and every value in which its scenario differs from the base (None: gone)."""

    key: Key
    variant: str | None
    settings: dict[str, str]
    changes: dict[str, str | None]


class Header(_Model):
    """What is studied: the scenario without variant and settings, value by value, and what was asked for last."""

    lobsim: str
    scenario: str
    file: str
    fingerprint: str
    document: dict[str, str]
    until_ns: int | None
    seeds: tuple[Seed, ...]
    labels: tuple[str, ...]


class StudyFile(_Model):
    """``study.json``."""

    lobsim_study: Literal[1]
    complete: bool
    header: Header
    cells: dict[str, CellEntry]

    @model_validator(mode="after")
    def _known(self) -> StudyFile:
        missing = set(self.header.labels) - set(self.cells)
        if missing:
            raise ValueError(f"no cell is called {min(missing)[:60]!r}")
        return self
