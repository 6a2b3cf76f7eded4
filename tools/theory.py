"""Where theory and the simulator meet, as tables.

    python tools/theory.py cst                up-move probabilities of Cont, Stoikov and Talreja against `OrderBook`
    python tools/theory.py strategies         the two strategies of Avellaneda and Stoikov
    python tools/theory.py facts              stylised facts of the calm scenario
    python tools/theory.py impact             what metaorders move the calm scenario's price by

``--paths 100000`` for the first two, ``--seeds 1:5`` (first and one past the last) and ``--minutes 60`` for the others.
The tests in tests/theory ask the same questions with fewer paths and seeds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.theory import calm
from tests.theory.avellaneda import experiment
from tests.theory.queues import simulate, up_probability

LAGS = (1, 2, 3, 5, 10, 20, 30, 60)


def print_queues(paths: int) -> None:
    print(f"P(mid goes up next), {paths:,} paths a pair; queues in orders at the best bid and ask")
    print(" bid  ask   Laplace   engine   difference   std. error")
    worst = 0.0
    for bid in (1, 2, 3):
        for ask in (1, 2, 3):
            theory, found = up_probability(bid, ask), simulate(bid, ask, paths)
            worst = max(worst, abs(found.probability - theory))
            error = (theory * (1 - theory) / paths) ** 0.5
            line = f"{theory:9.4f}{found.probability:9.4f}{found.probability - theory:+13.4f}{error:13.4f}"
            print(f"{bid:4d}{ask:5d} {line}")
    print(f"largest difference {worst:.4f}")


def print_strategies(paths: int) -> None:
    print(f"Avellaneda and Stoikov's two strategies, {paths:,} paths")
    print(" gamma  strategy    spread   profit   sd(profit)   final q   sd(final q)")
    for gamma in (0.01, 0.1, 0.5):
        for strategy, row in experiment(gamma, paths).items():
            figures = f"{row.spread:7.2f}{row.profit:9.1f}{row.profit_sd:13.1f}{row.inventory:10.2f}"
            print(f"{gamma:6.2f}  {strategy:10s}{figures}{row.inventory_sd:14.1f}")


def print_facts(seeds: range, minutes: float) -> None:
    for seed in seeds:
        run = calm.replay(seed, minutes, metaorders=False)
        returns = calm.Mids(run).returns(1, 120, minutes * 60)
        sizes = np.abs(returns)
        book = calm.average_book(run, 100)
        print(f"seed {seed}: {minutes:g} minutes, returns of one second, {returns.std() * 1e4:.2f} bp")
        print(f"    excess kurtosis        {calm.excess_kurtosis(returns):.2f}")
        print("    lag                    " + "".join(f"{lag:8d}" for lag in LAGS))
        for name, series in (("signed", returns), ("sizes", sizes)):
            figures = "".join(f"{calm.autocorrelation(series, lag):8.3f}" for lag in LAGS)
            print(f"    autocorrelation {name:7s}{figures}")
        print("    its standard error     " + "".join(f"{calm.standard_error(returns, lag):8.3f}" for lag in LAGS))
        at = "".join(f"{book[ticks]:8.0f}" for ticks in (0, 1, 2, 5, 10, 20, 50))
        print(f"    lots 0, 1, 2, 5, 10, 20 and 50 ticks behind the best{at}; most at {book.argmax()}")


def print_impact(seeds: range, minutes: float) -> None:
    found: list[calm.Metaorder] = []
    for seed in seeds:
        without = calm.replay(seed, minutes, metaorders=False)
        found += calm.metaorders_of(calm.replay(seed, minutes, metaorders=True), without)
    law = calm.impact_law(found)
    print(f"{len(found)} metaorders in {len(seeds)} runs of {minutes:g} minutes, against the same runs without them")
    print("  mean size   impact, bp   std. error   count")
    for size, impact, error, count in law.points:
        print(f"{size:11,.0f}{impact * 1e4:13.2f}{error * 1e4:13.2f}{count:8d}")
    print(f"impact grows as size to the power {law.exponent:.2f} +- {law.error:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["cst", "strategies", "facts", "impact"])
    parser.add_argument("--paths", type=int, help="default: 100,000 for cst, 5,000 for strategies")
    parser.add_argument("--seeds", default="1:5", help="first:one past the last")
    parser.add_argument("--minutes", type=float, default=60.0)
    arguments = parser.parse_args()
    first, last = (int(part) for part in arguments.seeds.split(":"))
    if arguments.part == "cst":
        print_queues(arguments.paths or 100_000)
    elif arguments.part == "strategies":
        print_strategies(arguments.paths or 5_000)
    elif arguments.part == "facts":
        print_facts(range(first, last), arguments.minutes)
    else:
        print_impact(range(first, last), arguments.minutes)


if __name__ == "__main__":
    main()
