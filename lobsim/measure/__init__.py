"""What a run's records say: tables, books at any time, depth, slippage, the fall and what caused it."""

from __future__ import annotations

from lobsim.measure.run import Instrument, Run, read_run, verify_digest

__all__ = ["Instrument", "Run", "read_run", "verify_digest"]
