"""``python -m lobsim``: the same as the command ``lobsim``."""

from __future__ import annotations

import sys

from lobsim.cli import main

if __name__ == "__main__":
    sys.exit(main())
