"""How fast lobsim is, and how much memory a run takes. Medians of interleaved rounds; compare ratios, not seconds.

    python tools/bench.py engine [WORKLOAD.npz ...]   messages/s through OrderBook, beside a plain SortedDict engine
    python tools/bench.py run [SCENARIO]              order messages/s of a whole recorded run (default: calm)
    python tools/bench.py memory                      peak memory of two runs, one four times as long as the other
    python tools/bench.py marks                       a mark update with 10,000 and with 1,000,000 loans, and positions
    python tools/bench.py depth RUN [--books 18]      depth every second of so many books of a recorded run

Without files, `engine` takes the published workloads of LOBSIM_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from plain_engine import PlainBook

from lobsim.book import OrderBook
from lobsim.credit import ContractBook, ContractTerms, Ledger, LoanBook, LoanTerms, Tier
from lobsim.measure import depth, read_run
from lobsim.scenario import load_scenario
from lobsim.sim.tapes.oracle import drive, load_workload
from lobsim.units import NS_PER_S, parse_duration

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["engine", "run", "memory", "marks", "depth", "peak"])
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--until", default="30m", help="simulated time of `run`")
    parser.add_argument("--books", type=int, default=18, help="how many books `depth` measures")
    arguments = parser.parse_intermixed_args()
    if arguments.what == "depth" and len(arguments.paths) != 1:
        parser.error("depth: name one run folder, such as runs/oct-2025-seed1")
    if arguments.what == "engine":
        bench_engine([Path(path) for path in arguments.paths] or published_workloads(), arguments.rounds)
    elif arguments.what == "run":
        bench_run(arguments.paths[0] if arguments.paths else "calm", arguments.until, arguments.rounds)
    elif arguments.what == "memory":
        bench_memory()
    elif arguments.what == "marks":
        bench_marks(arguments.rounds)
    elif arguments.what == "depth":
        bench_depth(Path(arguments.paths[0]), arguments.books, arguments.rounds)
    else:
        print(peak_of_run(arguments.until))


def published_workloads() -> list[Path]:
    folder = Path(os.environ.get("LOBSIM_DATA", ROOT.parent / "shared/data")) / "matching-oracle"
    found = sorted(folder.glob("*.npz"))
    if not found:
        sys.exit(f"no workloads in {folder}: name a file, or set LOBSIM_DATA")
    return found


def bench_engine(paths: list[Path], rounds: int) -> None:
    for path in paths:
        workload = load_workload(path)
        ours: list[float] = []
        plain: list[float] = []
        for _ in range(rounds):
            ours.append(rate(partial(drive, OrderBook(replace_keeps_priority=False), workload)))
            plain.append(rate(partial(PlainBook().drive, workload)))
        ratio = statistics.median(a / b for a, b in zip(ours, plain, strict=True))
        print(
            f"{path.stem:22s} OrderBook {statistics.median(ours):>9,.0f} messages/s (best {max(ours):,.0f})   "
            f"plain {statistics.median(plain):>9,.0f}   ratio {ratio:.2f}"
        )


def rate(work: Callable[[], int]) -> float:
    """Messages per second of this process's own processor time, so that neighbours on the machine count less."""
    gc.collect()
    gc.disable()
    start = time.process_time()
    count = work()
    seconds = time.process_time() - start
    gc.enable()
    return count / seconds


def bench_run(scenario: str, until: str, rounds: int) -> None:
    path = Path(scenario) if Path(scenario).exists() else ROOT / "scenarios" / f"{scenario}.toml"
    until_ns = parse_duration(until)
    rates = []
    by_processor = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            loaded = load_scenario(path)
            wall, processor = time.perf_counter(), time.process_time()
            run = loaded.replay(out=Path(folder) / "run", until_ns=until_ns)
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            messages = run.manifest["summary"]["messages"]
        rates.append(messages / wall)
        by_processor.append(messages / processor)
        print(f"round {number + 1}: {messages:,} order messages in {wall:.2f} s ({processor:.2f} s of processor)")
    print(
        f"{path.stem}: median {statistics.median(rates):,.0f} order messages/s by the clock, "
        f"{statistics.median(by_processor):,.0f} by processor time; built, run, recorded to disk and checked"
    )


def bench_memory() -> None:
    for until in ("15m", "60m"):
        command = [sys.executable, __file__, "peak", "--until", until]
        peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        print(f"calm for {until}: {peak}")


def bench_depth(path: Path, books: int, rounds: int) -> None:
    """Seconds to measure depth from records at every second, files read anew in each round."""
    hours, count = 0.0, 0
    by_clock, by_processor = [], []
    for number in range(rounds):
        wall, processor = time.perf_counter(), time.process_time()
        run = read_run(path)
        names = list(run.instruments)[:books]
        rows = depth(run, names, every="1s").height
        by_clock.append(time.perf_counter() - wall)
        by_processor.append(time.process_time() - processor)
        hours, count = run.end_ns / NS_PER_S / 3600, len(names)
        print(f"round {number + 1}: {rows:,} rows in {by_clock[-1]:.2f} s ({by_processor[-1]:.2f} s of processor)")
    print(
        f"{path.name}: depth of {count} books, every second of {hours:.2f} h: median {statistics.median(by_clock):.2f} "
        f"s by the clock, {statistics.median(by_processor):.2f} s of processor; "
        f"4 h at this rate: {statistics.median(by_clock) * 4 / hours:.2f} s"
    )


def bench_marks(rounds: int) -> None:
    """Seconds of a mark that a hundred breach, however many wait. Interleaved; the fastest of many calls a round."""
    sizes = (10_000, 1_000_000)
    worlds = {count: (_loans(count), _positions(count // 10)) for count in sizes}
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for count, ((loans, mark), (contract, price)) in worlds.items():
            found.setdefault(("loans", count), []).append(_fastest(lambda: list(loans.breached(mark))))  # noqa: B023
            found.setdefault(("positions", count // 10), []).append(_fastest(lambda: contract.breached(price)))  # noqa: B023
    for (what, count), times in found.items():
        print(f"a mark that 100 of {count:,} {what} breach: median {statistics.median(times) * 1e6:.1f} us")


def _fastest(work: Callable[[], list[int]], calls: int = 200) -> float:
    assert len(work()) == _BREACHING
    best = float("inf")
    for _ in range(calls):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


_BREACHING = 100


def _ledger() -> tuple[Ledger, int, int]:
    ledger = Ledger()
    base, quote = ledger.add_asset("ALT", "0.0001"), ledger.add_asset("USDT", "0.0001")
    return ledger, base, quote


def _loans(count: int) -> tuple[LoanBook, tuple[int, int]]:
    ledger, base, quote = _ledger()
    lender = ledger.open_account("lender", overdraft=True)
    borrower = ledger.open_account("borrower", overdraft=True)
    terms = LoanTerms(780_000, 850_000, 910_000)
    loans = LoanBook("loans", ledger, base, quote, terms, lender)
    for number in range(count):  # the first hundred are close to the limit
        loans.open(borrower, 1_000_000, 770_000 if number < _BREACHING else 100_000 + 600_000 * number // count, (1, 1))
    return loans, (820_000, 1_000_000)


def _positions(count: int) -> tuple[ContractBook, int]:
    ledger, _, quote = _ledger()
    insurance, outside = ledger.open_account("fund"), ledger.open_account("outside", overdraft=True)
    holder = ledger.open_account("holder", overdraft=True)
    contract = ContractBook("PERP", ledger, quote, ContractTerms((Tier(0, 10_000),)), 10, insurance)
    for number in range(count):  # the first hundred have 10x, the others 2x to 5x
        margin = 100_000 if number < _BREACHING else 200_000 + 300_000 * number // count
        contract.open_isolated(holder, 10, 10_000, margin, outside)
    return contract, 9_000


def peak_of_run(until: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        scenario = load_scenario(ROOT / "scenarios/calm.toml")
        run = scenario.replay(out=Path(folder) / "run", until_ns=parse_duration(until))
        messages = run.manifest["summary"]["messages"]
    return f"{messages:,} order messages, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB"


if __name__ == "__main__":
    main()
