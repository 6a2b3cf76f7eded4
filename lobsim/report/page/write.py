"""A page on disk: complete, or not there."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from lobsim.errors import RunError
from lobsim.sim.run_folder import publish_file

REPORT = "report.html"
"""Name of the page in a run's folder."""


def write_page(text: str, target: Path) -> None:
    """Write the page under a temporary name beside `target`, then rename: a reader sees the old page or the new one.

    Raises `RunError` naming the file when the disk refuses.
    """
    temporary = None
    try:
        with NamedTemporaryFile("wb", dir=target.parent, prefix=f".{target.name}-", delete=False) as file:
            temporary = Path(file.name)
            file.write(text.encode("utf-8"))
        temporary.chmod(0o666 & ~_umask())  # temporary files are made for their owner alone, pages are not
        publish_file(temporary, target)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise RunError(f"{target}: cannot be written: {error.strerror or error}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
