"""What a run's records say: tables, books at any time, depth, slippage, the fall and what caused it.

Everything here reads records only; nothing knows the simulator. Times are nanoseconds since the run's start or texts
such as "21:15:00Z" and "45m"; frames are polars.
"""

from __future__ import annotations

from lobsim.measure.attribution import Attribution, attribution
from lobsim.measure.books import Book, Levels, book_at
from lobsim.measure.liquidity import BANDS, NOTIONALS, Fill, depth, depth_at, slippage, slippage_of
from lobsim.measure.milestones import CHAIN, TITLES, Milestone, chain_order, milestones
from lobsim.measure.outcomes import OUTCOMES, outcomes
from lobsim.measure.run import Instrument, Run, read_run, verify_digest
from lobsim.measure.scorecard import Score, Target, scorecard
from lobsim.measure.summary import InstrumentSummary, fall_by_purpose, new_lows_by_purpose, summary

__all__ = [
    "BANDS",
    "CHAIN",
    "NOTIONALS",
    "OUTCOMES",
    "TITLES",
    "Attribution",
    "Book",
    "Fill",
    "Instrument",
    "InstrumentSummary",
    "Levels",
    "Milestone",
    "Run",
    "Score",
    "Target",
    "attribution",
    "book_at",
    "chain_order",
    "depth",
    "depth_at",
    "fall_by_purpose",
    "milestones",
    "new_lows_by_purpose",
    "outcomes",
    "read_run",
    "scorecard",
    "slippage",
    "slippage_of",
    "summary",
    "verify_digest",
]
