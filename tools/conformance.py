"""Drive `lobsim.OrderBook` with a published workload and print the SHA-256 of what came out.

    python tools/conformance.py FILE.npz [FILE.npz ...] [--expect HEX] [--time]

Exit code 0: the digest is the expected one (or none is known for that file's name), 1: it differs, 2: bad input.
The format stands in lobsim/sim/tapes/oracle.py. --time also prints the engine's messages per second: every event built,
nothing formatted, the first of two identical passes.
"""

from __future__ import annotations

import argparse
import gc
import sys
from time import perf_counter

from lobsim import OrderBook
from lobsim.errors import InputError
from lobsim.sim.tapes.oracle import PUBLISHED_SHA256, Workload, drive, load_workload, report_sha256


def new_book() -> OrderBook:
    """A book as the format wants it: one tick, one lot, and a modify always goes to the back."""
    return OrderBook(replace_keeps_priority=False)


def measure(workload: Workload) -> float:
    """Messages per second through a fresh book. The garbage collector stays on, as in any run."""
    book = new_book()
    gc.collect()
    start = perf_counter()
    messages = drive(book, workload)
    return messages / (perf_counter() - start)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", metavar="FILE.npz", nargs="+")
    parser.add_argument(
        "--expect", metavar="HEX", help="SHA-256 that must come out (default: the published one, by file name)"
    )
    parser.add_argument("--time", action="store_true", help="also print messages per second without report formatting")
    options = parser.parse_args(argv)
    code = 0
    for name in options.files:
        try:
            workload = load_workload(name)
            speed = measure(workload) if options.time else None
            book = new_book()
            digest = report_sha256(book, workload)
        except InputError as error:
            print(f"conformance: {error}", file=sys.stderr)
            return 2
        book.check()
        expected = options.expect or PUBLISHED_SHA256.get(workload.path.name)
        verdict = "no published digest for this name"
        if expected is not None:
            equal = digest == expected.strip().lower()
            verdict = "equal to the expected one" if equal else f"DIFFERENT: expected {expected}"
            code = code if equal else 1
        print(f"{digest}  {workload.path.name}  {workload.messages:,} messages, {verdict}")
        if speed is not None:
            print(f"    {speed:,.0f} messages/s, engine calls only")
    return code


if __name__ == "__main__":
    sys.exit(main())
