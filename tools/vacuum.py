"""What makes the crash: each mechanism off, over many seeds; and how it depends on the bids that are left.

    python tools/vacuum.py cells                 both, withdrawal alone, bots alone, neither, no account liquidation
    python tools/vacuum.py pool                  fall and P(fall > 60 %) against the pool of patient bids
    python tools/vacuum.py stray                 the crash with the range of the stray bids halved

All take ``--seeds 401:421`` (first and one past the last), ``--workers 2`` and ``--json FILE``. Seeds are paired: a
mechanism that is off shifts nobody else's draws. Medians come with quartiles. Every run's ledger is proved, account by
account, and every book checked: a run that does not add up stops the study.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from lobsim.measure import summary
from lobsim.scenario import load_scenario

ROOT = Path(__file__).resolve().parent.parent
SCENARIO = ROOT / "scenarios/liquidity-vacuum.toml"

CELLS = {
    "both": [],
    "withdrawal alone": ["liquidation_bots.enabled=false"],
    "bots alone": ["market_makers.withdrawal=false"],
    "neither": ["market_makers.withdrawal=false", "liquidation_bots.enabled=false"],
    "both, no account liquidation": ["account_liquidation.enabled=false"],
}
POOLS = [5_000_000, 7_000_000, 8_500_000, 10_000_000, 12_000_000, 17_000_000, 85_000_000]
STRAY = {"as it is": [], "half the range": ["stray_bids.nearest=0.2", "stray_bids.furthest=0.475"]}

Row = dict[str, Any]


def one_run(job: tuple[str, int, list[str]]) -> Row:
    """Replay one seed of one cell and measure it from its records."""
    cell, seed, settings = job
    run = load_scenario(SCENARIO, settings=settings).replay(seed=seed)  # replay() proves books, ledger and loans
    facts = run.manifest["summary"]
    (result,) = summary(run, facts["shock_ns"]).values()
    return {
        "cell": cell,
        "seed": seed,
        "fall": result.fall,
        "vwap_fall": result.vwap_fall,
        "minutes": None if result.ns_to_low is None else result.ns_to_low / 60e9,
        "depth_before": result.bid_depth_before,
        "depth_lost": lost(result.bid_depth_before, result.bid_depth_low),
        "depth_back": None if result.bid_depth_after is None else result.bid_depth_after / result.bid_depth_before,
        "close": float(result.close) / float(result.reference),
        "messages": facts["messages"],
        "imbalance": facts["ledger"],
        "digest": run.digest,
    }


def lost(before: float | None, after: float | None) -> float | None:
    return None if not before or after is None else 1 - after / before


def study(cells: dict[str, list[str]], seeds: range, workers: int) -> dict[str, list[Row]]:
    jobs = [(cell, seed, settings) for seed in seeds for cell, settings in cells.items()]
    rows: dict[str, list[Row]] = {cell: [] for cell in cells}
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done, row in enumerate(pool.map(one_run, jobs), start=1):
            rows[row["cell"]].append(row)
            if any(row["imbalance"].values()):
                sys.exit(f"seed {row['seed']} of {row['cell']!r}: the ledger does not add up: {row['imbalance']}")
            if sys.stderr.isatty():
                print(f"\r{done}/{len(jobs)} runs", end="", file=sys.stderr, flush=True)
    return rows


def spread(values: list[float | None], form: str = "{:.1%}") -> str:
    """Median and quartiles, as text."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return "-"
    if len(known) < 3:
        return " / ".join(form.format(value) for value in known)
    low, middle, high = statistics.quantiles(known, n=4, method="inclusive")
    return f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"


def print_cells(rows: dict[str, list[Row]]) -> None:
    columns = {
        "fall": ("fall to the lowest trade", "{:.1%}"),
        "vwap_fall": ("to the lowest 1 s VWAP", "{:.1%}"),
        "minutes": ("minutes to the low", "{:.1f}"),
        "depth_lost": ("1 % bid depth lost at the low", "{:.1%}"),
        "depth_back": ("back 40 minutes later", "{:.1%}"),
        "close": ("last price over reference", "{:.2f}"),
    }
    for cell, found in rows.items():
        print(f"{cell}: {len(found)} seeds")
        for key, (title, form) in columns.items():
            print(f"    {title:31s}{spread([row[key] for row in found], form)}")
        worst = max(found, key=lambda row: row["fall"])
        mildest = min(found, key=lambda row: row["fall"])
        print(f"    range of the fall              {mildest['fall']:.1%} to {worst['fall']:.1%}")
        print(f"    order messages a run           {spread([row['messages'] for row in found], '{:,.0f}')}")
    print_interaction(rows)
    count = sum(len(found) for found in rows.values())
    print(f"ledger: every account of all {count} runs adds up, imbalance 0 in every asset; all books checked")


def print_interaction(rows: dict[str, list[Row]]) -> None:
    falls = {cell: {row["seed"]: row["fall"] for row in found} for cell, found in rows.items()}
    neither = falls["neither"]
    joint = [falls["both"][seed] - neither[seed] for seed in neither]
    alone = [
        falls["withdrawal alone"][seed] - neither[seed] + falls["bots alone"][seed] - neither[seed] for seed in neither
    ]
    excess = [a - b for a, b in zip(joint, alone, strict=True)]
    print(f"both together add to 'neither'     {spread(joint)}")
    print(f"the two alone add up to            {spread(alone)}")
    positive = sum(value > 0 for value in excess)
    print(f"interaction, paired by seed        {spread(excess)}; above 0 in {positive} of {len(excess)}")


def print_curve(rows: dict[str, list[Row]]) -> None:
    print(f"{'':24s}{'fall, median (quartiles)':34s}{'P(fall > 60 %)':>16s}")
    for cell, found in rows.items():
        crashed = sum(row["fall"] > 0.6 for row in found)
        print(f"{cell:24s}{spread([row['fall'] for row in found]):34s}{crashed:>10d} of {len(found)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["cells", "pool", "stray"])
    parser.add_argument("--seeds", default="401:421", help="first:one past the last")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--json", type=Path, help="also write every run's figures here")
    arguments = parser.parse_args()
    first, last = (int(part) for part in arguments.seeds.split(":"))
    cells = {
        "cells": CELLS,
        "pool": {f"pool of {pool / 1e6:g} M USDT": [f"patient_bids.pool={pool}"] for pool in POOLS},
        "stray": STRAY,
    }[arguments.part]
    rows = study(cells, range(first, last), arguments.workers)
    if arguments.part == "cells":
        print_cells(rows)
    else:
        print_curve(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
