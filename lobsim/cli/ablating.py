"""`lobsim ablate`: plan the combinations, run them as a study, print effects, interactions and shares."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lobsim.cli.console import console, say, show_table
from lobsim.cli.sweeping import (
    SweepRequest,
    difference,
    figure,
    leave_unfinished,
    page_of,
    say_where,
    signed,
    spread,
    study_of,
)
from lobsim.report.wording import NOTHING, percent
from lobsim.scenario.shipped import locate
from lobsim.sweep import make_cell, parse_seeds
from lobsim.sweep.ablation import BUDGET, Mechanism, Plan, entry_of, mechanisms_of, plan_ablation
from lobsim.sweep.cells import is_flag
from lobsim.sweep.effects import Ablation, Level, TwoByTwo, read_ablation
from lobsim.sweep.statistics import Interval

_AND = " + "


@dataclass(frozen=True, slots=True)
class AblateRequest:
    """What was asked for beyond what every study is asked."""

    study: SweepRequest
    budget: int | None
    variant: str | None
    outcome: str
    mechanisms: str | None
    factor: str | None
    against: str | None


def ablate_and_show(request: AblateRequest) -> None:
    """Run what is missing and print. Raises `LobsimError`; exit code 1 when runs failed, 130 on Ctrl-C."""
    path = locate(request.study.scenario)
    names = None if request.mechanisms is None else _names(request.mechanisms)
    mechanisms = mechanisms_of(path, request.variant, names)
    seeds = parse_seeds(request.study.seeds)
    plan = plan_ablation(
        path,
        mechanisms,
        len(seeds),
        variant=request.variant,
        budget=BUDGET if request.budget is None else request.budget,
        factor=request.factor,
        against=_names(request.against or ""),
    )
    base = make_cell(path, "base", None, {})
    if not request.study.as_json and not request.study.quiet:
        say(_planned(plan, len(seeds)), stderr=True)
    variant = f"-{request.variant}" if request.variant else ""
    out = request.study.out or Path("studies") / f"{base.scenario.file.scenario.name}{variant}-ablation"
    study = study_of(
        request.study, base, list(plan.cells.values()), seeds, out, entry_of(plan, request.outcome, request.budget)
    )
    page = page_of(request.study, study, [request.outcome])
    found = None if study.failures and not study.outcomes else read_ablation(plan, study, request.outcome)
    if request.study.as_json:
        titles = {one.name: one.title for one in mechanisms}
        told: dict[str, Any] = {"study": str(study.folder), "scenario": study.scenario, "variant": request.variant}
        told |= {"complete": study.complete, "mechanisms": titles, **(found.as_dict() if found else {})}
        told["html"] = None if page is None else str(page)
        print(json.dumps(told, allow_nan=False))  # noqa: T201
    elif found is not None:
        _show(found, mechanisms, study.scenario)
        say_where(study, page)
    leave_unfinished(study, as_json=request.study.as_json)


def _planned(plan: Plan, seeds: int) -> str:
    shares = "exact shares" if plan.exact else f"shares from {len(plan.orders)} orders" if plan.orders else "no shares"
    return (
        f"{len(plan.mechanisms)} mechanisms: {len(plan.cells)} combinations x {seeds} seeds = "
        f"{len(plan.cells) * seeds:,} runs ({shares})"
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _show(found: Ablation, mechanisms: Sequence[Mechanism], scenario: str) -> None:
    key = found.outcome
    titles = {one.name: one.title for one in mechanisms}
    say(f"{scenario}: what makes up {key!r}, {len(found.seeds)} seeds", style="bold")
    if found.dropped:
        say(f"{len(found.dropped)} seeds are left out: some of their runs failed or have no {key!r}", style="yellow")
    say("Means over seeds; 95 % intervals of differences over the same seeds, * where they do not contain zero.")
    if found.singles:
        _show_singles(found, titles)
    if found.pairs:
        _title("Pairs left out (interaction: how much more the two do together than each without the other)")
        rows = [
            (
                _AND.join(pair.effect.level.off),
                figure(pair.effect.level.mean.value, key),
                difference(pair.effect.lost, key),
                difference(pair.interaction, key),
            )
            for pair in found.pairs
        ]
        show_table(("", "mean", "less by", "interaction"), rows)
    _show_shares(found)
    if found.cross is not None:
        _show_cross(found.cross, key)
    console().print()


def _show_singles(found: Ablation, titles: Mapping[str, str]) -> None:
    key = found.outcome
    _title("Each left out alone")
    rows = [("everything on", "", *_level(found.everything, key), "")]
    rows += [
        (effect.level.off[0], titles[effect.level.off[0]], *_level(effect.level, key), difference(effect.lost, key))
        for effect in found.singles
    ]
    if found.shock is not None:
        rows.append(("all of them", "the shock alone", *_level(found.shock, key), ""))
    show_table(("without", "", "mean", "median (quartiles)", "crashed", "less by"), rows, left=2)


def _show_shares(found: Ablation) -> None:
    key = found.outcome
    if not found.shares or found.shock is None:
        if found.singles:
            console().print()
            say(f"No Shapley shares: {found.method}.")
        return
    _title(f"Shapley shares, {found.method}")
    whole = found.everything.mean.value
    rows = [
        (one.name, difference(one.share, key), NOTHING if one.of_whole is None else percent(one.of_whole))
        for one in sorted(found.shares, key=lambda one: -one.share.value)
    ]
    shock = found.shock.mean
    rows.append(("the shock alone", difference(shock, key), percent(shock.value / whole) if whole else NOTHING))
    rows.append(("sum = everything on", f"{signed(whole, key)}", percent(1.0) if whole else NOTHING))
    show_table(("", "share", "of the whole"), rows)


def _show_cross(cross: TwoByTwo, key: str) -> None:
    others = _AND.join(cross.against)
    _title(f"{cross.factor} against {others}")
    levels = (
        ("both", cross.both),
        (f"{cross.factor} only", cross.factor_only),
        (f"{others} only", cross.against_only),
        ("neither", cross.neither),
    )
    show_table(("", "mean", "median (quartiles)", "crashed"), [(name, *_level(level, key)) for name, level in levels])
    console().print()
    effects: tuple[tuple[str, Interval], ...] = (
        (f"{cross.factor} adds alone", cross.factor_alone),
        (f"{others} add alone" if len(cross.against) > 1 else f"{others} adds alone", cross.against_alone),
        ("both add together", cross.joint),
        ("more than the sum", cross.interaction),
    )
    show_table(("", ""), [(name, difference(effect, key)) for name, effect in effects])


def _level(level: Level, key: str) -> tuple[str, str, str]:
    crashed = NOTHING if level.crashed is None else percent(level.crashed.value, 0)
    middle = NOTHING if is_flag(key) else spread(level.quartiles, key)
    return figure(level.mean.value, key), middle, crashed


def _title(text: str) -> None:
    console().print()
    say(text, style="bold cyan")
