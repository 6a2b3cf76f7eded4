"""The result of an ablation: effects, interactions and shares with their intervals, from a finished study."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lobsim.errors import RunError
from lobsim.sweep.ablation import Plan
from lobsim.sweep.cells import is_flag, require
from lobsim.sweep.shapley import exact_shares, sampled_shares
from lobsim.sweep.statistics import (
    Interval,
    Quartiles,
    mean_interval,
    paired_share_difference,
    quartiles,
    share_interval,
    two_way_interval,
)
from lobsim.sweep.study import Study

Array = NDArray[np.float64]

FLAG = "crashed"


class Level(NamedTuple):
    """An outcome with some mechanisms left out; `crashed` is the share of runs that crashed, where runs say so."""

    off: tuple[str, ...]
    mean: Interval
    quartiles: Quartiles
    crashed: Interval | None


class Effect(NamedTuple):
    """What is missing with these left out: v(all) - v(without); `crashed` the same of P(crash)."""

    level: Level
    lost: Interval
    crashed: Interval | None


class Pair(NamedTuple):
    """Two left out together; interaction above zero: together they do more than each without the other."""

    effect: Effect
    interaction: Interval


class Share(NamedTuple):
    """A mechanism's Shapley share of the outcome; `of_whole` is its part of v(all), None where v(all) is zero."""

    name: str
    share: Interval
    of_whole: float | None


class TwoByTwo(NamedTuple):
    """One mechanism (`factor`) against others together, the rest on.

    Levels with both on, the factor alone, the others alone, neither. alone and joint are rises over neither;
    interaction = joint - factor_alone - against_alone.
    """

    factor: str
    against: tuple[str, ...]
    both: Level
    factor_only: Level
    against_only: Level
    neither: Level
    factor_alone: Interval
    against_alone: Interval
    joint: Interval
    interaction: Interval


@dataclass(frozen=True, slots=True)
class Ablation:
    """Everything that an ablation says about one outcome, over the seeds whose runs all have it.

    method: how shares were computed, or why they were not. shock: v(none), which the shock does without any mechanism.
    """

    outcome: str
    seeds: tuple[int, ...]
    dropped: tuple[int, ...]
    runs: int
    everything: Level
    singles: tuple[Effect, ...]
    pairs: tuple[Pair, ...]
    shares: tuple[Share, ...]
    shock: Level | None
    method: str
    cross: TwoByTwo | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain: dict[str, Any] = _plain({name: getattr(self, name) for name in self.__slots__})
        return plain


def read_ablation(plan: Plan, study: Study, outcome: str) -> Ablation:
    """Take a study of the plan's cells apart.

    Raises `InputError` for an outcome that no run has, `RunError` when no seed has it in every combination.
    """
    require(study, outcome)
    return _Reading(plan, study, outcome).result()


class _Reading:
    """Outcomes by mask, over the seeds that every combination knows."""

    def __init__(self, plan: Plan, study: Study, outcome: str) -> None:
        self.plan, self.study, self.outcome = plan, study, outcome
        columns = {mask: study.values(label, outcome) for mask, label in plan.labels.items()}
        kept = [
            place for place in range(len(study.seeds)) if all(column[place] is not None for column in columns.values())
        ]
        if not kept:
            raise RunError(f"{study.folder}: no seed has a value of {outcome!r} in every combination")
        self.seeds = tuple(study.seeds[place] for place in kept)
        self.values: dict[int, Array] = {
            mask: np.array([column[place] for place in kept], dtype=np.float64) for mask, column in columns.items()
        }
        self.flags: dict[int, list[float | None]] = {}
        if FLAG in study.outcomes and outcome != FLAG:
            flags = {mask: study.values(label, FLAG) for mask, label in plan.labels.items()}
            self.flags = {mask: [column[place] for place in kept] for mask, column in flags.items()}

    def result(self) -> Ablation:
        plan, full = self.plan, self.plan.everything
        count = len(plan.mechanisms)
        singles = [full ^ 1 << one for one in range(count)] if plan.singles else []
        pairs = list(combinations(range(count), 2)) if plan.pairs else []
        shares, method = self._shares()
        return Ablation(
            outcome=self.outcome,
            seeds=self.seeds,
            dropped=tuple(seed for seed in self.study.seeds if seed not in self.seeds),
            runs=len(plan.labels) * len(self.study.seeds),
            everything=self._level(full),
            singles=tuple(self._effect(mask) for mask in singles),
            pairs=tuple(self._pair(full ^ 1 << one, full ^ 1 << other) for one, other in pairs),
            shares=shares,
            shock=self._level(0) if 0 in self.values else None,
            method=method,
            cross=self._two_by_two(),
        )

    def _interval(self, values: Array, name: str) -> Interval:
        found = mean_interval(values, f"ablation.{self.outcome}.{name}")
        assert found is not None
        return found

    def _level(self, mask: int) -> Level:
        values = self.values[mask]
        found = quartiles(values)
        assert found is not None
        known = [flag for flag in self.flags.get(mask, ()) if flag is not None]
        off = self.plan.names(self.plan.everything ^ mask)
        mean = share_interval(values.tolist()) if is_flag(self.outcome) else None
        return Level(off, mean or self._interval(values, f"level {mask}"), found, share_interval(known))

    def _difference(self, mask: int, other: int) -> Interval:
        """Of one combination to another, over the same seeds."""
        ours, theirs = self.values[mask], self.values[other]
        if is_flag(self.outcome):
            found = paired_share_difference(ours.tolist(), theirs.tolist())
            assert found is not None
            return found
        return self._interval(ours - theirs, f"lost {mask} {other}")

    def _effect(self, mask: int) -> Effect:
        full = self.plan.everything
        lost = self._difference(full, mask)
        crashed = paired_share_difference(self.flags[full], self.flags[mask]) if self.flags else None
        return Effect(self._level(mask), lost, crashed)

    def _pair(self, one: int, other: int) -> Pair:
        values = self.values
        mask = one & other
        together = values[self.plan.everything] - values[one] - values[other] + values[mask]
        return Pair(self._effect(mask), self._interval(together, f"interaction {mask}"))

    def _shares(self) -> tuple[tuple[Share, ...], str]:
        plan = self.plan
        whole = float(self.values[plan.everything].mean())
        found: list[Interval] = []
        if plan.exact:
            exact = exact_shares(self.values, len(plan.mechanisms))
            found = [self._interval(exact[:, one], f"share {one}") for one in range(len(plan.mechanisms))]
            method = f"exact, from all {len(plan.labels)} combinations"
        elif plan.orders is not None:
            gains = sampled_shares(self.values, plan.orders)
            drawn = (gains[:, 0::2] + gains[:, 1::2]) / 2  # an order and its reverse are one draw
            names = [f"ablation.{self.outcome}.share {one}" for one in range(len(plan.mechanisms))]
            found = [two_way_interval(drawn[:, :, one], name) for one, name in enumerate(names)]
            method = f"from {len(plan.orders)} sampled orders; intervals cover seeds and orders"
        else:
            method = plan.why_no_shares
        shares = [
            Share(one.name, share, share.value / whole if whole else None)
            for one, share in zip(plan.mechanisms, found, strict=False)
        ]
        return tuple(shares), method

    def _two_by_two(self) -> TwoByTwo | None:
        cross = self.plan.cross
        if cross is None:
            return None
        full = self.plan.everything
        rest = full & ~(cross.factor | cross.against)
        both, factor, against, neither = (
            self.values[mask] for mask in (full, rest | cross.factor, rest | cross.against, rest)
        )
        return TwoByTwo(
            factor=self.plan.names(cross.factor)[0],
            against=self.plan.names(cross.against),
            both=self._level(full),
            factor_only=self._level(rest | cross.factor),
            against_only=self._level(rest | cross.against),
            neither=self._level(rest),
            factor_alone=self._difference(rest | cross.factor, rest),
            against_alone=self._difference(rest | cross.against, rest),
            joint=self._difference(full, rest),
            interaction=self._interval(both - factor - against + neither, "interaction"),
        )


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: _plain(item) for key, item in value._asdict().items()}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
