"""Who took prices down: the fall of one instrument or of many taken apart by the aggressors' reasons, exactly.

Along one book each trade moves the last price by so many ticks for its aggressor's reason; the moves from the
reference to the low sum to the fall, tick for tick. The same holds for the new lows alone, without the bounces between
them. Over a group each instrument's ticks are divided by its reference, as exact fractions, and averaged: the shares
sum to the mean fall of the group, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import polars as pl

from lobsim.measure.run import Run
from lobsim.measure.study import Path, Study
from lobsim.measure.summary import fall_by_purpose, new_lows_by_purpose


class Attribution(NamedTuple):
    """Mean fall of `instruments` (as a fraction of their references) and its parts by purpose; the parts sum to it.

    moves: every move of the last price counts, bounces too. new_lows: only what took a price below all before it.
    """

    instruments: tuple[str, ...]
    fall: Fraction
    moves: Mapping[str, Fraction]
    new_lows: Mapping[str, Fraction]


def attribution(run: Run | Study, instruments: Sequence[str] | None = None) -> Attribution:
    """Take the fall of these instruments apart (default: the focus group); those that did not fall are left out.

    Complexity: O(trades).
    """
    study = Study.of(run)
    fell = [
        path for path in study.paths_of(study.focus if instruments is None else instruments) if (path.fall or 0) > 0
    ]
    legs = [(path, _leg(study, path)) for path in fell]
    falls = [Fraction(_ticks(path), path.reference or 1) for path in fell]
    return Attribution(
        tuple(path.instrument.name for path in fell),
        sum(falls, Fraction(0)) / max(1, len(falls)),
        _mean(legs, fall_by_purpose),
        _mean(legs, new_lows_by_purpose),
    )


def _ticks(path: Path) -> int:
    return (path.reference or 0) - (path.low or 0)


def _leg(study: Study, path: Path) -> pl.DataFrame:
    """The trades from the reference to the low, both included."""
    trades = study.trades_of[path.instrument.name]
    earlier = 0 if study.shock_ns is None else int((trades["time_ns"] < study.shock_ns).sum())
    low = earlier + int(trades["price_ticks"].slice(earlier).arg_min() or 0)
    first = max(earlier - 1, 0)
    return trades.slice(first, low - first + 1)


def _mean(
    legs: Sequence[tuple[Path, pl.DataFrame]], by_purpose: Callable[[pl.DataFrame], dict[str, int]]
) -> dict[str, Fraction]:
    sums: dict[str, Fraction] = {}
    for path, leg in legs:
        for purpose, ticks in by_purpose(leg).items():
            sums[purpose] = sums.get(purpose, Fraction(0)) + Fraction(ticks, path.reference or 1)
    return {purpose: share / len(legs) for purpose, share in sums.items() if share}
