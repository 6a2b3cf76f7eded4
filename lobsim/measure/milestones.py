"""The links of the published chain of 10 October 2025, each with the moment at which it had happened and its size.

A milestone is the moment at which 10 % of its link's total (from the shock to the end of the run) has happened: of
what was sold, unwound, liquidated, or of how far a price fell on its trailing 60 s VWAP. Two links have no total:
makers have withdrawn when the median market shows less than 20 % of their usual bids, and auto-deleveraging begins with
the first one. Lows and the recovery stand with the moment itself. A link that never happened is missing.

The order is an outcome. `chain_order` counts how many neighbours of the published chain came in its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl

from lobsim.events import Purpose
from lobsim.measure import ladders
from lobsim.measure.flows import RISK_OFF, sales
from lobsim.measure.maker_depth import maker_depth_left
from lobsim.measure.run import Run
from lobsim.measure.study import STABLECOIN, Path, Study
from lobsim.units import NS_PER_S

SHARE = 0.10
"""Share of a link's total that makes its milestone."""

WITHDRAWN = 0.20
"""Share of their usual bids below which makers count as gone."""

TIE_NS = 5 * NS_PER_S
"""Two milestones this close count as in order."""

LEAST_FALL = 0.01
"""A price that fell less than this has no milestone."""

TITLES: Mapping[str, str] = {
    "shock": "the shock",
    "selling": "risk-off selling (shock and momentum sellers)",
    "loops_unwound": "loop positions unwound",
    "stablecoin_falls": "the stablecoin falls on the exchange",
    "loop_loans_liquidated": "loans on the stablecoin liquidated",
    "makers_leverage": "market makers' leverage rises",
    "makers_liquidated": "market makers' accounts liquidated",
    "withdrawal": "market makers withdraw their bids",
    "focus_falls": "the coins fall",
    "bots_sell": "liquidation bots sell what they seized",
    "contracts_liquidated": "contracts liquidated",
    "first_adl": "first auto-deleveraging",
    "focus_low": "low of the coins (median)",
    "stablecoin_low": "low of the stablecoin",
    "half_recovered": "half of the fall made up (median)",
}
"""Every milestone there is, in the order of the published account."""

CHAIN = (
    "shock",
    "selling",
    "loops_unwound",
    "stablecoin_falls",
    "loop_loans_liquidated",
    "makers_liquidated",
    "withdrawal",
    "focus_falls",
)
"""The published chain: seven adjacent links."""


class Milestone(NamedTuple):
    """One link: when it had happened and its size in `unit` (an asset, "fraction" or "x"; None: no size)."""

    name: str
    time_ns: int
    amount: float | None
    unit: str


def milestones(run: Run | Study) -> list[Milestone]:
    """The milestones that were reached, in order of time (ties in the order of the published account)."""
    study = Study.of(run)
    found = [
        *_shock(study),
        *_sold(study),
        *_liquidated(study),
        *_prices(study),
        *_makers(study),
    ]
    rank = {name: number for number, name in enumerate(TITLES)}
    return sorted(found, key=lambda one: (one.time_ns, rank[one.name]))


def chain_order(found: Iterable[Milestone]) -> tuple[int, int]:
    """(neighbours of `CHAIN` in order, neighbours that both happened); ties within 5 s count as in order."""
    times = {milestone.name: milestone.time_ns for milestone in found}
    pairs = [(times[a], times[b]) for a, b in pairwise(CHAIN) if a in times and b in times]
    return sum(first <= then + TIE_NS for first, then in pairs), len(pairs)


def tenth(flow: pl.DataFrame) -> tuple[int, float] | None:
    """When `SHARE` of the total ``value`` of a flow (in order of ``time_ns``) had come, and the total; None when 0."""
    total = float(flow["value"].sum() or 0.0)
    if total <= 0:
        return None
    reached = flow["value"].cum_sum() >= SHARE * total
    return int(flow["time_ns"][int(reached.arg_max() or 0)]), total


def _shock(study: Study) -> list[Milestone]:
    if study.shock_ns is None:
        return []
    notes = study.run.collect(study.run.scan("milestones").filter(pl.col("name").str.starts_with("shock ")))
    jumps = notes.filter(pl.col("amount").is_not_null() & (pl.col("unit") == "ppm"))["amount"].to_list()
    largest = max((abs(int(jump)) for jump in jumps), default=None)
    return [Milestone("shock", study.shock_ns, None if largest is None else largest / 1e6, "fraction")]


def _flow(name: str, study: Study, flow: pl.DataFrame) -> list[Milestone]:
    reached = tenth(flow)
    return [] if reached is None else [Milestone(name, *reached, study.run.numeraire)]


def _sold(study: Study) -> list[Milestone]:
    sold = sales(study)
    purposes = {
        "selling": RISK_OFF,
        "loops_unwound": (Purpose.LOOP_UNWIND,),
        "bots_sell": (Purpose.LOAN_LIQUIDATION,),
    }
    return [
        milestone
        for name, kinds in purposes.items()
        for milestone in _flow(name, study, sold.filter(pl.col("purpose").is_in([int(kind) for kind in kinds])))
    ]


def _liquidated(study: Study) -> list[Milestone]:
    credit = study.credit.filter(pl.col("time_ns") >= study.from_ns).select(
        "time_ns", "kind", "account_id", "asset", value=ladders.worth(study)
    )
    stablecoins = {study.run.instruments[name].base for name in study.group(STABLECOIN)}
    loans, sold = ladders.KINDS["loans"], ladders.KINDS["accounts"]
    found = [
        *_flow(
            "loop_loans_liquidated",
            study,
            credit.filter(pl.col("kind").is_in(loans) & pl.col("asset").is_in(stablecoins)),
        ),
        *_flow(
            "makers_liquidated",
            study,
            credit.filter(
                pl.col("kind").is_in(sold) & pl.col("account_id").is_in(study.accounts_of_kind("market-maker"))
            ),
        ),
        *_flow("contracts_liquidated", study, credit.filter(pl.col("kind").is_in(ladders.KINDS["contracts"]))),
    ]
    adl = credit.filter(pl.col("kind") == "adl")
    if adl.height:
        found.append(Milestone("first_adl", int(adl["time_ns"][0]), float(adl["value"].sum()), study.run.numeraire))
    return found


def _prices(study: Study) -> list[Milestone]:
    found = []
    names = study.group(STABLECOIN)
    if names and study.paths[names[0]].fall is not None:
        found += _stablecoin(study.paths[names[0]])
    paths = study.paths_of(study.focus)
    if not paths:
        return found
    from_s = study.from_ns // NS_PER_S
    relative = np.stack([path.vwap[from_s:] / (path.reference or 1) for path in paths])
    known = ~np.isnan(relative).all(axis=0)
    middle = np.ones(relative.shape[1])
    middle[known] = np.nanmedian(relative[:, known], axis=0)
    fall = 1 - float(middle.min())
    if fall < LEAST_FALL:
        return found
    reached = int(np.argmax(middle <= 1 - SHARE * fall))
    found.append(Milestone("focus_falls", (from_s + reached + 1) * NS_PER_S, fall, "fraction"))
    lows = [low for path in paths if (low := path.low_ns) is not None]
    falls = [path.fall for path in paths if path.fall is not None]
    found.append(Milestone("focus_low", int(np.median(lows)), float(np.median(falls)), "fraction"))
    halves = sorted(half for path in paths if (half := path.half_recovered_ns) is not None)
    if 2 * len(halves) > len(paths):
        found.append(Milestone("half_recovered", halves[(len(paths) - 1) // 2], len(halves) / len(paths), "fraction"))
    return found


def _stablecoin(path: Path) -> list[Milestone]:
    low_ns, reference = path.low_ns, path.reference
    if low_ns is None or reference is None:
        return []
    fall = 1 - float(path.vwap[low_ns // NS_PER_S - 1]) / reference
    begun = path.crossing_ns(SHARE * fall)
    if fall < LEAST_FALL or begun is None:
        return []
    return [
        Milestone("stablecoin_falls", begun, fall, "fraction"),
        Milestone("stablecoin_low", low_ns, path.fall, "fraction"),
    ]


def _makers(study: Study) -> list[Milestone]:
    found = _leverage(study)
    left = maker_depth_left(study)
    if left is not None:
        gone = left.filter(pl.col("left") < WITHDRAWN)
        if gone.height:
            lowest = float(left["left"].min())  # type: ignore[arg-type]
            found.append(Milestone("withdrawal", int(gone["time_ns"][0]), 1 - lowest, "fraction"))
    return found


def _leverage(study: Study) -> list[Milestone]:
    """Median leverage of the makers that owe anything: 10 % of its rise from the last record before the shock.

    A maker counts until its account is taken over: what is under water afterwards has no leverage worth a median.
    """
    makers = study.accounts_of_kind("market-maker")
    begun = study.events(("account_liquidation_started",)).group_by("account_id").agg(begun_ns=pl.col("time_ns").min())
    rows = study.run.collect(
        study.run.scan("accounts")
        .filter(pl.col("account_id").is_in(makers) & (pl.col("leverage_ppm") > 10**6))
        .join(begun.lazy(), on="account_id", how="left")
        .filter(pl.col("begun_ns").is_null() | (pl.col("time_ns") <= pl.col("begun_ns")))
        .group_by("time_ns")
        .agg(pl.col("leverage_ppm").median().alias("leverage"))
        .sort("time_ns")
    )
    before = rows.filter(pl.col("time_ns") <= study.from_ns)
    after = rows.filter(pl.col("time_ns") >= study.from_ns)
    if study.shock_ns is None or not before.height or not after.height:
        return []
    usual, most = float(before["leverage"][-1]), float(after["leverage"].max())  # type: ignore[arg-type]
    if most < usual * (1 + LEAST_FALL):
        return []
    risen = after.filter(pl.col("leverage") >= usual + SHARE * (most - usual))
    return [Milestone("makers_leverage", int(risen["time_ns"][0]), most / 1e6, "x")]
