"""Quote a run in the README: what `lobsim explain` says of it, in the rows that fit there.

    lobsim replay oct-2025-small --out runs/readme
    python tools/readme.py runs/readme
    python tools/picture.py runs/readme .github/oct-2025-small.png

Rows are left out and counted, never altered.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from lobsim.cli import main

PAGE = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- output of: ", "![Prices"
PUSHERS = 5
SCORES = (
    "BTC fall",
    "altcoins' fall on the exchange",
    "altcoins' fall elsewhere",
    "altcoins, 10 % down to the low",
    "USDe low",
    "makers' leverage when liquidated",
    "open interest",
    "links of the chain in order",
)


def quoted(said: str) -> str:
    """The title, the chain, the first of those who pushed, and some of the scorecard, indented as code."""
    title, *sections = said.strip("\n").split("\n\n")
    found = {section.partition("\n")[0].split()[0]: section.splitlines() for section in sections}
    chain, pushers, scores = found["What"], found["Whose"], found["Against"]
    rows = [line for line in scores[2:] if line.strip().startswith(SCORES)]
    lines = [
        title,
        "",
        *chain,
        "",
        *_cut(pushers[:2], pushers[2 : 2 + PUSHERS], len(pushers) - 2),
        "",
        *_cut(scores[:2], rows, len(scores) - 2),
    ]
    return "\n".join(f"    {line}".rstrip() for line in lines)


def _cut(head: list[str], rows: list[str], count: int) -> list[str]:
    more = count - len(rows)
    return [*head, *rows, *([f"  (and {more} rows more)"] if more else [])]


def explained(run: str) -> str:
    """What the command prints."""
    with redirect_stdout(StringIO()) as said:
        code = main(["explain", run])
    if code:
        sys.exit(code)
    return said.getvalue()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    page = PAGE.read_text(encoding="utf-8")
    block = quoted(explained(parser.parse_args().run))
    begin = page.index("\n", page.index(BEGIN))
    PAGE.write_text(f"{page[:begin]}\n\n{block}\n\n{page[page.index(END) :]}", encoding="utf-8")
    print(f"{PAGE.name}: {block.splitlines()[0].strip()}")
