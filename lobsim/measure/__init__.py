"""What a run's records say: tables, books at any time, depth, slippage, the fall and what caused it.

Everything here reads records only; nothing knows the simulator. Times are nanoseconds since the run's start or texts
such as "21:15:00Z" and "45m"; frames are polars.
"""

from __future__ import annotations

from lobsim.measure.attribution import Attribution, attribution
from lobsim.measure.books import Book, Levels, book_at
from lobsim.measure.drawdown import amplification, drawdown
from lobsim.measure.flows import forced_flow
from lobsim.measure.imbalance import best_imbalance, imbalance
from lobsim.measure.liquidity import BANDS, NOTIONALS, Fill, depth, depth_at, slippage, slippage_of
from lobsim.measure.manifest import Instrument
from lobsim.measure.milestones import CHAIN, TITLES, Milestone, chain_order, milestones
from lobsim.measure.order_flow import order_flow, order_flow_fit
from lobsim.measure.outcomes import OUTCOMES, outcomes
from lobsim.measure.quality import QUALITY, market_quality
from lobsim.measure.resiliency import recovery_profile, resiliency
from lobsim.measure.run import Run, read_run, verify_digest
from lobsim.measure.scorecard import Score, Target, scorecard
from lobsim.measure.spreads import quoted_spread, spreads, trade_costs
from lobsim.measure.summary import InstrumentSummary, fall_by_purpose, new_lows_by_purpose, summary
from lobsim.measure.volatility import amihud, illiquidity, realised_volatility

__all__ = [
    "BANDS",
    "CHAIN",
    "NOTIONALS",
    "OUTCOMES",
    "QUALITY",
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
    "amihud",
    "amplification",
    "attribution",
    "best_imbalance",
    "book_at",
    "chain_order",
    "depth",
    "depth_at",
    "drawdown",
    "fall_by_purpose",
    "forced_flow",
    "illiquidity",
    "imbalance",
    "market_quality",
    "milestones",
    "new_lows_by_purpose",
    "order_flow",
    "order_flow_fit",
    "outcomes",
    "quoted_spread",
    "read_run",
    "realised_volatility",
    "recovery_profile",
    "resiliency",
    "scorecard",
    "slippage",
    "slippage_of",
    "spreads",
    "summary",
    "trade_costs",
    "verify_digest",
]
