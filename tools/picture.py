"""Draw a run as a PNG: prices, what was bid, and who was sold out over time.

    lobsim replay oct-2025-small --out runs/picture
    python tools/picture.py runs/picture .github/oct-2025-small.png

A run of one instrument shows its trades and the bids within 1 % of the best one; a run of many the groups of its
scenario, each price as a share of what it was before the shock, and how much of their usual bids market makers show.
"""

from __future__ import annotations

import argparse
from datetime import timedelta

import matplotlib as mpl
import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from matplotlib.axes import Axes

from lobsim.events import Purpose
from lobsim.measure import Run, depth, read_run, summary
from lobsim.measure.ladders import KINDS, ladder
from lobsim.measure.maker_depth import maker_depth_left
from lobsim.measure.study import STABLECOIN, Study

mpl.use("Agg")

FORCED = (Purpose.LOAN_LIQUIDATION, Purpose.ACCOUNT_LIQUIDATION)
BLUE, LIGHT, GREEN, RED, ORANGE, YELLOW = "#1f3b57", "#9db4c8", "#4c8c6b", "#8a1c1c", "#c0562f", "#dfa83a"
STEP_S = 30


def draw(folder: str, target: str) -> None:
    run = read_run(folder)
    figure, axes = plt.subplots(3, 1, sharex=True, figsize=(9, 6), height_ratios=(3, 1.4, 1.2), constrained_layout=True)
    figure.patch.set_facecolor("white")
    shock = run.start_utc + timedelta(microseconds=run.manifest["summary"]["shock_ns"] / 1000)
    title = draw_one(run, axes) if len(run.instruments) == 1 else draw_many(run, axes)
    axes[0].set_title(title, loc="left")
    axes[0].annotate("shock", (shock, 1.0), xytext=(4, 2), textcoords="offset points", color=RED)
    for one in axes:
        one.axvline(shock, color=RED, linewidth=0.8, linestyle="--")
        one.spines[["top", "right"]].set_visible(False)
        one.grid(alpha=0.25)
    axes[2].xaxis.set_major_formatter(mdates.DateFormatter("%H:%M", tz=run.start_utc.tzinfo))
    axes[2].set_xlabel("UTC")
    figure.savefig(target, dpi=90)
    print(f"{target}: {title}, seed {run.seed}")


def draw_one(run: Run, axes: list[Axes]) -> str:
    shock_ns = run.manifest["summary"]["shock_ns"]
    (result,) = summary(run, shock_ns).values()
    begin = run.start_utc + timedelta(microseconds=shock_ns / 1000) - timedelta(minutes=10)
    trades = run.trades.filter(pl.col("time") >= begin)
    bids = depth(run, bands=("1",), every="10s", ref="best").filter(
        (pl.col("side") == "bid") & (pl.col("time") >= begin)
    )
    top, middle, bottom = axes
    top.plot(trades["time"], trades["price"], color=BLUE, linewidth=0.8)
    top.set_ylabel("price, USDT")
    top.set_ylim(bottom=0)
    middle.fill_between(bids["time"], bids["depth_quote"].cast(pl.Float64) / 1e3, color=GREEN, linewidth=0)
    middle.set_ylabel("bids within 1 %,\nthousand USDT")
    forced = (
        trades.filter(pl.col("purpose").is_in([int(purpose) for purpose in FORCED]))
        .group_by_dynamic("time", every=f"{STEP_S}s")
        .agg((pl.col("price") * pl.col("qty")).sum().cast(pl.Float64).alias("sold") / 1e3)
    )
    bottom.bar(forced["time"], forced["sold"], width=28 / 86_400, color=ORANGE)
    bottom.set_ylabel(f"forced sales,\nthousand per {STEP_S} s")
    return f"{result.instrument}: {result.fall:.0%} down {result.ns_to_low / 60e9:.1f} minutes after the shock"


def draw_many(run: Run, axes: list[Axes]) -> str:
    study = Study.of(run)
    start = run.start_utc
    first_s = max(0, study.from_ns // 10**9 - 600)
    top, middle, bottom = axes
    elsewhere = study.run.groups.get("elsewhere", ())
    stable = study.run.groups.get(STABLECOIN, ())
    for label, members, color, width in (
        ("elsewhere", elsewhere, LIGHT, 1.0),
        (run.focus or "instruments", study.focus, BLUE, 1.0),
        ("the stablecoin", stable, ORANGE, 1.6),
    ):
        for place, path in enumerate(study.paths_of(members)):
            if path.reference is None or path.low is None or path.low_trade_ns is None:
                continue
            prices = path.vwap[first_s:] / path.reference
            times = [start + timedelta(seconds=first_s + second) for second in range(len(prices))]
            top.plot(times, prices, color=color, linewidth=width, label=None if place else label)
            lowest = start + timedelta(microseconds=path.low_trade_ns / 1000)
            top.plot([lowest], [path.low / path.reference], marker=".", color=color)
    top.set_ylim(0, 1.1)
    top.set_ylabel("60 s average price, of that\nbefore the shock; dots: lowest trades")
    top.legend(loc="lower right", frameon=False)
    left = maker_depth_left(study)
    if left is not None:
        times = [start + timedelta(microseconds=time_ns / 1000) for time_ns in left["time_ns"]]
        before = [start + timedelta(seconds=first_s), times[0]]
        middle.fill_between([*before, *times], [1, 1, *left["left"]], color=GREEN, linewidth=0)
    middle.set_ylim(0, 1.2)
    middle.set_ylabel("makers' bids,\nof what is usual")
    table = ladder(study, STEP_S * 10**9)
    base: dict[int, float] = {}
    for what, color in zip(KINDS, (YELLOW, ORANGE, RED), strict=True):
        rows = table.filter(pl.col("what") == what)
        begins = rows["begin_ns"].to_list()
        below = [base.get(begin, 0.0) for begin in begins]
        heights = (rows["value"] / 1e6).to_list()
        times = [start + timedelta(microseconds=begin / 1000, seconds=STEP_S / 2) for begin in begins]
        bottom.bar(times, heights, bottom=below, width=28 / 86_400, color=color, label=what)
        base |= {begin: lower + height for begin, lower, height in zip(begins, below, heights, strict=True)}
    bottom.set_ylabel(f"liquidated,\nmillion per {STEP_S} s")
    bottom.legend(loc="upper right", frameon=False, ncols=3)
    falls = [path.fall for path in study.paths_of(study.focus) if path.fall is not None]
    return f"{run.scenario}: {run.focus or 'instruments'} {np.median(falls):.0%} down (median of {len(falls)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("png")
    arguments = parser.parse_args()
    draw(arguments.run, arguments.png)


if __name__ == "__main__":
    main()
