"""Write the digests and the text that the golden tests expect: ``python -m tests.golden.update``.

Run it when a change is meant to alter what a run does, and say in the commit why.
"""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from lobsim import load_scenario
from lobsim.cli import main

HERE = Path(__file__).resolve().parent
DIGESTS = HERE / "digests.json"
EXPLAINED = HERE / "explained.txt"
VACUUM = HERE.parents[1] / "scenarios" / "liquidity-vacuum.toml"


def digests() -> dict[str, str | None]:
    """Digest of every scenario of this folder, each run with its own seed."""
    found: dict[str, str | None] = {}
    for file in sorted(HERE.glob("*.toml")):
        with TemporaryDirectory() as folder:
            found[file.stem] = load_scenario(file).replay(out=Path(folder) / "run").digest
    return found


def explained() -> str:
    """What `lobsim explain` says about the first 34 minutes and 15 seconds of the one-pair crash."""
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()) as said:
        main(["replay", str(VACUUM), "--until", "20:54:15Z", "--out", f"{folder}/run", "--quiet"])
        said.truncate(0)
        said.seek(0)
        main(["explain", f"{folder}/run"])
        return said.getvalue()


if __name__ == "__main__":
    EXPLAINED.write_text(explained(), encoding="utf-8")
    DIGESTS.write_text(json.dumps(digests(), indent=1) + "\n")
