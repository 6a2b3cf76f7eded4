"""What a study's files say, as models that are checked when read: they may come from anyone."""

from __future__ import annotations

from itertools import accumulate, combinations
from operator import or_
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lobsim.sweep.shapley import MOST_EXACT

FORMAT: Final = 1
MOST_MECHANISMS: Final = 100

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Mask = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,30})$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Result(_Model):
    """One finished run: done with its outcomes, or failed with the reason. ledger: imbalance per asset, all zero.

    scores: by name of each target row its band (low, high), real figure (real, or real_low and real_high), its unit,
    what was simulated, and why nothing is judged (no_verdict, "" where it is).
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


class MechanismEntry(_Model):
    """A mechanism of an ablation: the settings that leave it out."""

    name: Name
    title: str
    off: dict[str, str]


class AblationEntry(_Model):
    """The plan of an ablation (`lobsim.sweep.ablation.Plan`): labels by the bit mask of what is on, as decimal text.

    outcome: what was asked about last. budget: how many runs were allowed (None: as many as usual). cross: bit masks of
    the two sides of a two by two table.
    """

    outcome: str
    budget: int | None = None
    mechanisms: Annotated[tuple[MechanismEntry, ...], Field(min_length=1, max_length=MOST_MECHANISMS)]
    labels: dict[Mask, str]
    singles: bool
    pairs: bool
    exact: bool
    orders: tuple[tuple[int, ...], ...] | None
    why_no_shares: str
    cross: tuple[int, int] | None

    @model_validator(mode="after")
    def _fits(self) -> AblationEntry:
        """Nobody who reads the plan has to look again: every combination that it speaks of has a label."""
        count = len(self.mechanisms)
        everything = (1 << count) - 1
        if len({one.name for one in self.mechanisms}) < count:
            raise ValueError("a mechanism stands there twice")
        if self.exact and count > MOST_EXACT:
            raise ValueError(f"exact shares of more than {MOST_EXACT} mechanisms")
        if any(sorted(order) != list(range(count)) for order in self.orders or ()):
            raise ValueError(f"an order must name each of the {count} mechanisms once")
        needed = {everything}
        if self.singles or self.exact or self.orders:
            needed |= {0, *(everything ^ 1 << one for one in range(count))}
        if self.pairs:
            needed |= {everything ^ (1 << one | 1 << other) for one, other in combinations(range(count), 2)}
        if self.exact:
            needed |= set(range(everything + 1))
        for order in self.orders or ():
            needed |= set(accumulate((1 << one for one in order), or_))
        if self.cross is not None:
            factor, against = self.cross
            if factor not in {1 << one for one in range(count)} or not 0 < against <= everything or factor & against:
                raise ValueError("cross must be one mechanism and others")
            rest = everything & ~(factor | against)
            needed |= {rest, rest | factor, rest | against}
        known = {int(mask) for mask in self.labels}
        if needed - known or max(known) > everything:
            raise ValueError("labels must name each combination of the plan, and no other")
        return self


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
    ablation: AblationEntry | None = None

    @model_validator(mode="after")
    def _known(self) -> StudyFile:
        shown = set(self.header.labels)
        missing = shown - set(self.cells)
        if missing:
            raise ValueError(f"no cell is called {min(missing)[:60]!r}")
        if self.ablation is not None and not shown.issuperset(self.ablation.labels.values()):
            raise ValueError("ablation.labels must be labels of the study")
        return self
