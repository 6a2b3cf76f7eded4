"""Write the digests that the golden test expects: ``python -m tests.golden.update``.

Run it when a change is meant to alter what a run does, and say in the commit why.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from lobsim import load_scenario

HERE = Path(__file__).resolve().parent
DIGESTS = HERE / "digests.json"


def digests() -> dict[str, str | None]:
    """Digest of every scenario of this folder, each run with its own seed."""
    found: dict[str, str | None] = {}
    for file in sorted(HERE.glob("*.toml")):
        with TemporaryDirectory() as folder:
            found[file.stem] = load_scenario(file).replay(out=Path(folder) / "run").digest
    return found


if __name__ == "__main__":
    DIGESTS.write_text(json.dumps(digests(), indent=1) + "\n")
