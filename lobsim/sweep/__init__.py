"""Many runs: seeds, settings, variants, ablation and Shapley shares, with intervals; on all cores of this machine.

A study lives in a folder, one small file per finished run, and goes on where it stopped.
"""

from __future__ import annotations

from lobsim.sweep.ablation import Mechanism, Plan, entry_of, mechanisms_of, plan_ablation, plan_of
from lobsim.sweep.cells import CellSummary, cell_summaries
from lobsim.sweep.comparison import Comparison, compare
from lobsim.sweep.effects import Ablation, read_ablation
from lobsim.sweep.plan import Axis, Cell, grid, make_cell, parse_axis, parse_seeds, parse_variants
from lobsim.sweep.study import Progress, Study, cores, read_study, run_study

__all__ = [
    "Ablation",
    "Axis",
    "Cell",
    "CellSummary",
    "Comparison",
    "Mechanism",
    "Plan",
    "Progress",
    "Study",
    "cell_summaries",
    "compare",
    "cores",
    "entry_of",
    "grid",
    "make_cell",
    "mechanisms_of",
    "parse_axis",
    "parse_seeds",
    "parse_variants",
    "plan_ablation",
    "plan_of",
    "read_ablation",
    "read_study",
    "run_study",
]
