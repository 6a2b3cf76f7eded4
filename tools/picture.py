"""Draw a run: price and depth of one instrument over time, as the PNG in the README.

lobsim replay scenarios/liquidity-vacuum.toml --out runs/picture
python tools/picture.py runs/picture .github/liquidity-vacuum.png
"""

from __future__ import annotations

import argparse
from datetime import timedelta

import matplotlib as mpl
import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import polars as pl

from lobsim.events import Purpose
from lobsim.measure import depth, read_run, summary

mpl.use("Agg")

FORCED = (Purpose.LOAN_LIQUIDATION, Purpose.ACCOUNT_LIQUIDATION)


def draw(folder: str, target: str) -> None:
    run = read_run(folder)
    shock_ns = run.manifest["summary"]["shock_ns"]
    (result,) = summary(run, shock_ns).values()
    start = run.start_utc
    shock = start + timedelta(microseconds=shock_ns / 1000)
    trades = run.trades.filter(pl.col("time") >= shock - timedelta(minutes=10))
    bids = depth(run, bands=("1",), every="10s", ref="best").filter(
        (pl.col("side") == "bid") & (pl.col("time") >= shock - timedelta(minutes=10))
    )
    figure, (top, middle, bottom) = plt.subplots(
        3, 1, sharex=True, figsize=(9, 6), height_ratios=(3, 1.4, 1.2), constrained_layout=True
    )
    figure.patch.set_facecolor("white")
    top.plot(trades["time"], trades["price"], color="#1f3b57", linewidth=0.8)
    top.set_ylabel("price, USDT")
    top.set_ylim(bottom=0)
    top.set_title(
        f"{result.instrument}: {result.fall:.0%} down {result.ns_to_low / 60e9:.1f} minutes after the shock",
        loc="left",
    )
    top.annotate("shock", (shock, 1.0), xytext=(4, 2), textcoords="offset points", color="#8a1c1c")
    middle.fill_between(bids["time"], bids["depth_quote"].cast(pl.Float64) / 1e3, color="#4c8c6b", linewidth=0)
    middle.set_ylabel("bids within 1 %,\nthousand USDT")
    forced = (
        trades.filter(pl.col("purpose").is_in([int(purpose) for purpose in FORCED]))
        .group_by_dynamic("time", every="30s")
        .agg((pl.col("price") * pl.col("qty")).sum().cast(pl.Float64).alias("sold") / 1e3)
    )
    bottom.bar(forced["time"], forced["sold"], width=28 / 86_400, color="#c0562f")
    bottom.set_ylabel("forced sales,\nthousand per 30 s")
    for axes in (top, middle, bottom):
        axes.axvline(shock, color="#8a1c1c", linewidth=0.8, linestyle="--")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    bottom.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M", tz=start.tzinfo))
    bottom.set_xlabel("UTC")
    figure.savefig(target, dpi=90)
    print(f"{target}: {result.instrument}, seed {run.seed}, fall {result.fall:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("png")
    arguments = parser.parse_args()
    draw(arguments.run, arguments.png)


if __name__ == "__main__":
    main()
