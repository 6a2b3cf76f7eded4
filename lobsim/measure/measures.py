"""The named figures of a run that outcomes and scorecards are made of.

Three kinds: of one instrument (`INSTRUMENT_MEASURES`), of a group of instruments together (`GROUP_MEASURES`), of the
whole run (`RUN_MEASURES`). Every one is a float, or None where there is nothing to measure. Fractions are fractions
(0.81 for 81 %), times seconds, prices quote currency per base, money the run's numeraire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import ceil
from typing import NamedTuple

import numpy as np

from lobsim.measure import ladders, stress
from lobsim.measure.flows import forced_share
from lobsim.measure.maker_depth import maker_depth_left
from lobsim.measure.milestones import Milestone, chain_order, milestones
from lobsim.measure.run import Run
from lobsim.measure.study import STABLECOIN, Floats, Path, Study
from lobsim.units import NS_PER_S

CROSSING = 0.10
"""The fall at which a coin counts as having been caught by the crash."""

SYNCHRONOUS = 0.8
"""Share of a group that `synchrony` looks for."""

PEG_LEFT = 0.03
"""A stablecoin has left its peg when its trailing VWAP is this far below 1."""

CRASH = 0.5
"""Median fall from which on a run counts as a crash."""


class Figures(Study):
    """A study with the figures that several measures share."""

    @classmethod
    def of(cls, run: Run | Study) -> Figures:
        """`run` itself when it is one already."""
        return run if isinstance(run, Figures) else cls(run.run if isinstance(run, Study) else run)

    @cached_property
    def depth_lost(self) -> dict[str, float | None]:
        """`stress.depth_lost`."""
        return stress.depth_lost(self)

    @cached_property
    def impact(self) -> dict[str, tuple[float | None, float | None]]:
        """`stress.impact_ratios` by instrument."""
        return {name: stress.impact_ratios(self, path) for name, path in self.paths.items()}

    @cached_property
    def milestones(self) -> list[Milestone]:
        """`milestones.milestones`."""
        return milestones(self)

    @cached_property
    def supplies(self) -> dict[str, tuple[int, ...]]:
        """Quanta in existence of every asset that is issued and redeemed in the run, record by record."""
        rows = self.events(("supply",))
        found: dict[str, list[int]] = {}
        for asset, amount in zip(rows["asset"], rows["amount_quanta"], strict=True):
            found.setdefault(asset, []).append(int(amount))
        return {asset: tuple(amounts) for asset, amounts in found.items()}

    @cached_property
    def maker_leverage(self) -> tuple[float | None, float | None]:
        """`ladders.maker_leverage`."""
        return ladders.maker_leverage(self)


class Measure(NamedTuple):
    """A figure of one instrument: its meaning for people, its unit, and how it is computed."""

    title: str
    unit: str
    compute: Callable[[Figures, Path], float | None]


class GroupMeasure(NamedTuple):
    """A figure of several instruments together."""

    title: str
    unit: str
    compute: Callable[[Figures, Sequence[str]], float | None]


class RunMeasure(NamedTuple):
    """A figure of the whole run."""

    title: str
    unit: str
    compute: Callable[[Figures], float | None]


# --- one instrument -------------------------------------------------------------------------------------------------


def _since_shock(path: Path, when_ns: int | None) -> float | None:
    return None if when_ns is None else (when_ns - path.from_ns) / NS_PER_S


def _to_low(_: Figures, path: Path) -> float | None:
    crossing, low = path.crossing_ns(CROSSING), path.low_ns
    return None if crossing is None or low is None else (low - crossing) / NS_PER_S


def _half_recovery(_: Figures, path: Path) -> float | None:
    low, half = path.low_ns, path.half_recovered_ns
    return None if low is None or half is None else (half - low) / NS_PER_S


def supply_growth(study: Figures, path: Path) -> float | None:
    """How many times as much there is of the base asset at the end as at the start; None for what nobody issues."""
    amounts = study.supplies.get(path.instrument.base, ())
    return amounts[-1] / amounts[0] if amounts and amounts[0] else None


INSTRUMENT_MEASURES: Mapping[str, Measure] = {
    "fall": Measure("fall by the lowest trade", "fraction", lambda _, path: path.fall),
    "low": Measure("lowest trade", "price", lambda _, path: path.price(path.low)),
    "end_over_start": Measure("last price over the reference", "fraction", lambda _, path: path.end_over_start),
    "crossing": Measure("shock until 10 % down", "s", lambda _, path: _since_shock(path, path.crossing_ns(CROSSING))),
    "low_after": Measure("shock until the low", "s", lambda _, path: _since_shock(path, path.low_ns)),
    "to_low": Measure("10 % down until the low", "s", _to_low),
    "half_recovery": Measure("low until half of the fall is made up", "s", _half_recovery),
    "half_recovery_after": Measure(
        "shock until half of the fall is made up", "s", lambda _, path: _since_shock(path, path.half_recovered_ns)
    ),
    "depth_lost": Measure(
        "bids within 1 % lost, worst minute", "fraction", lambda study, path: study.depth_lost[path.instrument.name]
    ),
    "impact_ratio": Measure(
        "move per $M traded, vacuum over calm", "x", lambda study, path: study.impact[path.instrument.name][0]
    ),
    "worst_impact_ratio": Measure(
        "move per $M traded, worst minute over calm", "x", lambda study, path: study.impact[path.instrument.name][1]
    ),
    "supply_growth": Measure("supply of the coin, end over start", "x", supply_growth),
}


# --- groups ---------------------------------------------------------------------------------------------------------


def synchrony(study: Figures, names: Sequence[str]) -> float | None:
    """Length in seconds of the shortest time within which 80 % of the instruments (rounded up) cross -10 %."""
    paths = study.paths_of(names)
    crossings = sorted(when for path in paths if (when := path.crossing_ns(CROSSING)) is not None)
    wanted = ceil(SYNCHRONOUS * len(names))
    if not wanted or len(crossings) < wanted:
        return None
    return min(last - first for first, last in zip(crossings, crossings[wanted - 1 :], strict=False)) / NS_PER_S


def volume_fall_correlation(study: Figures, names: Sequence[str]) -> float | None:
    """Spearman's rank correlation of volume and depth of fall; None for fewer than three instruments.

    Volume is the daily volume that the scenario gives, where it gives one for all; else the turnover before the shock.
    """
    paths = study.paths_of(names)
    if len(paths) < 3:
        return None
    given = study.run.volumes
    shock_s = study.from_ns // NS_PER_S
    members = [path.instrument.name for path in paths]
    if all(name in given for name in members):
        volumes = [given[name] for name in members]
    else:
        volumes = [study.turnover(name, 0, shock_s) for name in members]
    return spearman(volumes, [path.fall or 0.0 for path in paths])


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Rank correlation of two series, ties sharing their mean rank; None when one of them is constant."""
    ranks = [_ranks(np.asarray(series, dtype=np.float64)) for series in (first, second)]
    if any(float(np.ptp(rank)) == 0 for rank in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return np.asarray((last - (counts - 1) / 2)[inverse], dtype=np.float64)


GROUP_MEASURES: Mapping[str, GroupMeasure] = {
    "synchrony": GroupMeasure("shortest time in which 80 % cross -10 %", "s", synchrony),
    "volume_fall_correlation": GroupMeasure(
        "rank correlation of volume and fall", "correlation", volume_fall_correlation
    ),
}


# --- the run --------------------------------------------------------------------------------------------------------


def peg_left_ns(study: Figures) -> int | None:
    """When the stablecoin's trailing VWAP first was below 0.97 (the first instrument of the group `stablecoin`)."""
    names = study.group(STABLECOIN)
    if not names:
        return None
    path = study.paths[names[0]]
    return path.crossing_ns(PEG_LEFT, 1 / float(path.instrument.tick.step))


def liquidated_before_depeg(study: Figures) -> float | None:
    """Share of all liquidated value that came before the stablecoin left its peg (1 when it never did)."""
    everything = ladders.total(study, ladders.ALL_KINDS)
    if not study.group(STABLECOIN) or everything <= 0:
        return None
    left = peg_left_ns(study)
    return 1.0 if left is None else ladders.total(study, ladders.ALL_KINDS, left) / everything


def low_before_stablecoin(study: Figures) -> float | None:
    """Seconds by which the focus group's median low came before the stablecoin's; negative when it came after."""
    names = study.group(STABLECOIN)
    lows = [low for path in study.paths_of(study.focus) if (low := path.low_ns) is not None]
    own = study.paths[names[0]].low_ns if names else None
    return None if own is None or not lows else (own - float(np.median(lows))) / NS_PER_S


def crashed(study: Figures) -> float | None:
    """1 when the focus group's median fall is at least one half, else 0."""
    fall = median([path.fall for path in study.paths_of(study.focus)])
    return None if fall is None else float(fall >= CRASH)


def links_in_order(study: Figures) -> float | None:
    """How many adjacent links of the published chain came in order; None where none could be judged."""
    in_order, judged = chain_order(study.milestones)
    return float(in_order) if judged else None


def worst_bid_loss(study: Figures) -> float | None:
    """Share of the makers' usual bids that the focus group's median market had left at the worst moment."""
    left = maker_depth_left(study)
    return None if left is None or left.height == 0 else float(left["left"].min())  # type: ignore[arg-type]


def median(values: Sequence[float | None]) -> float | None:
    """Median of the numbers among `values`; None without any."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _total(*kinds: str) -> Callable[[Figures], float]:
    return lambda study: ladders.total(study, kinds)


RUN_MEASURES: Mapping[str, RunMeasure] = {
    "crashed": RunMeasure("1 when the median fall is at least one half", "0 or 1", crashed),
    "links_in_order": RunMeasure("links of the published chain in order", "links", links_in_order),
    "makers_left": RunMeasure("makers' bids left at the worst moment, median market", "fraction", worst_bid_loss),
    "forced_share": RunMeasure("forced sales in all market sells since the shock", "fraction", forced_share),
    "liquidated": RunMeasure("value of all liquidations", "money", _total(*ladders.ALL_KINDS)),
    **{
        f"liquidated_{name}": RunMeasure(f"value of liquidated {name}", "money", _total(*kinds))
        for name, kinds in ladders.KINDS.items()
    },
    "bad_debt": RunMeasure(
        "debt that nothing covered", "money", lambda study: ladders.amounts(study, ladders.BAD_DEBT)
    ),
    "adl": RunMeasure("value that was auto-deleveraged", "money", _total("adl")),
    "first_adl_delay": RunMeasure("first contract liquidation until the first ADL", "s", ladders.first_adl_delay_s),
    "long_share": RunMeasure("longs in the value of contract liquidations", "fraction", ladders.long_share),
    "open_interest_change": RunMeasure("change of open interest", "fraction", ladders.open_interest_change),
    "insurance_change": RunMeasure("change of the insurance funds together", "fraction", ladders.insurance_change),
    "maker_leverage_before": RunMeasure(
        "effective leverage before the shock of makers that were liquidated", "x", lambda study: study.maker_leverage[0]
    ),
    "maker_leverage_liquidated": RunMeasure(
        "effective leverage of makers when first liquidated", "x", lambda study: study.maker_leverage[1]
    ),
    "liquidated_before_depeg": RunMeasure(
        "liquidated before the stablecoin left 0.97", "fraction", liquidated_before_depeg
    ),
    "low_before_stablecoin": RunMeasure(
        "low of the focus group before that of the stablecoin", "s", low_before_stablecoin
    ),
}
