"""Which mechanism did how much: each left out in turn, pairs left out together, Shapley shares, a two by two table.

A scenario lists its mechanisms (``[mechanisms.NAME] title, off``); leaving one out applies its `off` settings after the
variant. Runs are paired: a seed gives every part its own random numbers, whatever else is switched off. v(S) is the
mean outcome over seeds with the mechanisms S on.

* off alone: v(all) - v(all but i): what is missing without i, given all others.
* pair: v(all) - v(all but i, j), and the interaction v(all) - v(all but i) - v(all but j) + v(all but i, j): above zero
  where the two together do more than the sum of what each does without the other.
* share: `lobsim.sweep.shapley`; shares and v(none), the shock alone, sum to v(all).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from lobsim.errors import InputError
from lobsim.scenario import load_scenario
from lobsim.sweep.differences import written
from lobsim.sweep.files import AblationEntry, MechanismEntry
from lobsim.sweep.plan import Cell, make_cell
from lobsim.sweep.shapley import MOST_EXACT, coalitions, draw_orders

BUDGET = 2000
"""Runs that an ablation makes at most unless told otherwise."""

LEAST_ORDERS = 4
"""Fewer sampled orders than this say nothing about shares."""

_MOST_ORDERS = 2000


class Mechanism(NamedTuple):
    """A part of the scenario that can be left out: `off` are the settings that do it."""

    name: str
    title: str
    off: Mapping[str, object]


class Cross(NamedTuple):
    """The two by two table asked for: one mechanism against several together, as bit masks."""

    factor: int
    against: int


class Plan(NamedTuple):
    """Combinations to be run, by the bit mask of what is on (bit i: mechanism i), and their labels in the study.

    cells: {} in a plan that was read from a study's folder (`plan_of`). orders: the orders of switching on that shares
    are averaged over; None where the whole lattice is run (`exact`) or where the budget does not reach
    (`why_no_shares`).
    """

    mechanisms: tuple[Mechanism, ...]
    cells: Mapping[int, Cell]
    labels: Mapping[int, str]
    singles: bool
    pairs: bool
    exact: bool
    orders: tuple[tuple[int, ...], ...] | None
    why_no_shares: str
    cross: Cross | None

    @property
    def everything(self) -> int:
        """The mask of all mechanisms on."""
        return (1 << len(self.mechanisms)) - 1

    def names(self, mask: int) -> tuple[str, ...]:
        """The mechanisms of a mask."""
        return tuple(one.name for place, one in enumerate(self.mechanisms) if mask >> place & 1)


def mechanisms_of(path: Path, variant: str | None = None, names: Sequence[str] | None = None) -> list[Mechanism]:
    """The scenario's mechanisms, or those named, in its order; raises `InputError` for none or unknown ones."""
    tables = load_scenario(path, variant=variant).file.mechanisms
    if not tables:
        raise InputError(
            f'{path}: lists no mechanisms; write [mechanisms.NAME] title = "...", off = {{ "key" = value }}'
        )
    unknown = sorted(set(names or ()) - set(tables))
    if unknown:
        raise InputError(f"{path}: no mechanism is called {unknown[0][:60]!r}; there are {', '.join(tables)}")
    chosen = [name for name in tables if names is None or name in names]
    return [Mechanism(name, tables[name].title, dict(_flat(tables[name].off))) for name in chosen]


def plan_ablation(
    path: Path,
    mechanisms: Sequence[Mechanism],
    seeds: int,
    *,
    variant: str | None = None,
    budget: int = BUDGET,
    factor: str | None = None,
    against: Sequence[str] = (),
) -> Plan:
    """Choose the combinations: what is asked for first, then as much as `budget` runs allow.

    Without a two by two table: all on, none on and each off alone are a must; then pairs; then the whole lattice, or
    else sampled orders. With one, its four cells are a must. Raises `InputError` when the budget does not reach for
    those, and `ScenarioError` for a combination that breaks a rule.
    """
    count = len(mechanisms)
    everything = (1 << count) - 1
    cross = _cross(mechanisms, factor, against)
    alone = [everything, 0, *(everything ^ 1 << one for one in range(count))]
    two = [everything ^ (1 << one | 1 << other) for one, other in combinations(range(count), 2)]
    room = budget // max(1, seeds)
    wanted = dict.fromkeys(_four(cross, everything) if cross else alone)
    if len(wanted) > room:
        what = "the two by two table" if cross else "all on, none on and each off alone"
        raise InputError(
            f"--budget {budget}: {what} takes {len(wanted)} combinations x {seeds} seeds = {len(wanted) * seeds} runs"
        )
    singles = len(wanted | dict.fromkeys(alone)) <= room
    wanted |= dict.fromkeys(alone if singles else ())
    pairs = singles and count > 1 and len(wanted | dict.fromkeys(two)) <= room
    wanted |= dict.fromkeys(two if pairs else ())
    exact = singles and count <= MOST_EXACT and 1 << count <= room
    orders: tuple[tuple[int, ...], ...] | None = None
    why = ""
    if exact:
        wanted |= dict.fromkeys(range(1 << count))
    else:
        orders = _orders(count, room - len(wanted), pairs=pairs) if singles else None
        if orders:
            wanted |= dict.fromkeys(coalitions(orders))
        else:
            singly, in_pairs = (len(wanted | dict.fromkeys(more)) for more in (alone, alone + two))
            least = _room_for_shares(count, singly, in_pairs, pairs=pairs)
            why = f"the budget of {budget} runs is too small (about {least * seeds} would do)"
    cells = {mask: _cell(path, variant, mechanisms, everything ^ mask) for mask in wanted}
    labels = {mask: cell.label for mask, cell in cells.items()}
    return Plan(tuple(mechanisms), cells, labels, singles, pairs, exact, orders, why, cross)


def entry_of(plan: Plan, outcome: str, budget: int | None = None) -> AblationEntry:
    """The plan as a study's folder keeps it, with the outcome that was asked about and the budget that was given."""
    return AblationEntry(
        outcome=outcome,
        budget=budget,
        mechanisms=tuple(
            MechanismEntry(name=one.name, title=one.title, off={key: written(value) for key, value in one.off.items()})
            for one in plan.mechanisms
        ),
        labels={str(mask): label for mask, label in plan.labels.items()},
        singles=plan.singles,
        pairs=plan.pairs,
        exact=plan.exact,
        orders=plan.orders,
        why_no_shares=plan.why_no_shares,
        cross=None if plan.cross is None else (plan.cross.factor, plan.cross.against),
    )


def plan_of(entry: AblationEntry) -> Plan:
    """The plan that a study's folder keeps, without its scenarios: enough for `read_ablation`."""
    return Plan(
        mechanisms=tuple(Mechanism(one.name, one.title, one.off) for one in entry.mechanisms),
        cells={},
        labels={int(mask): label for mask, label in entry.labels.items()},
        singles=entry.singles,
        pairs=entry.pairs,
        exact=entry.exact,
        orders=entry.orders,
        why_no_shares=entry.why_no_shares,
        cross=None if entry.cross is None else Cross(*entry.cross),
    )


def _room_for_shares(count: int, singly: int, in_pairs: int, *, pairs: bool) -> int:
    """Fewest combinations that bring shares: a budget that reaches for pairs spends on them first."""
    room = singly + LEAST_ORDERS * _new_in_an_order(count, pairs=False)
    if pairs or room >= in_pairs:
        room = in_pairs + LEAST_ORDERS * _new_in_an_order(count, pairs=True)
    return min(1 << count, room)


def _new_in_an_order(count: int, *, pairs: bool) -> int:
    """Combinations that one order of switching on asks for beyond its ends: they are run already."""
    return max(1, count - (3 if pairs else 2))


def _orders(count: int, room: int, *, pairs: bool) -> tuple[tuple[int, ...], ...] | None:
    """As many orders as surely fit. Their number does not depend on what they hit."""
    fit = min(room // _new_in_an_order(count, pairs=pairs), _MOST_ORDERS) // 2 * 2
    return tuple(draw_orders(count, fit)) if fit >= LEAST_ORDERS else None


def _cross(mechanisms: Sequence[Mechanism], factor: str | None, against: Sequence[str]) -> Cross | None:
    names = [one.name for one in mechanisms]
    if factor is None:
        if against:
            raise InputError("--against: say what is set against these, e.g. --factor withdrawal")
        return None
    others = list(against) or [name for name in names if name != factor]
    for option, name in [("--factor", factor), *(("--against", name) for name in others)]:
        if name not in names:
            raise InputError(f"{option} {name[:60]!r}: no such mechanism among those studied: {', '.join(names)}")
    if factor in others or not others:
        raise InputError(f"--factor {factor[:60]!r}: must be set against other mechanisms than itself")
    return Cross(1 << names.index(factor), sum(1 << names.index(name) for name in dict.fromkeys(others)))


def _four(cross: Cross, everything: int) -> list[int]:
    """Both on, factor alone, against alone, neither: whatever belongs to neither stays on."""
    rest = everything & ~(cross.factor | cross.against)
    return [everything, rest | cross.factor, rest | cross.against, rest]


def _cell(path: Path, variant: str | None, mechanisms: Sequence[Mechanism], off: int) -> Cell:
    left_out = [one for place, one in enumerate(mechanisms) if off >> place & 1]
    settings: dict[str, object] = {}
    for one in left_out:
        for key, value in one.off.items():
            if key in settings and settings[key] != value:
                raise InputError(f"mechanisms.{one.name}.off: {key} = {value}, another one says {settings[key]}")
            settings[key] = value
    label = "everything on" if not left_out else f"without {', '.join(one.name for one in left_out)}"
    return make_cell(path, label, variant, settings)


def _flat(table: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """Dotted keys of nested tables: ``off.agents.bots.enabled`` may be written with and without quotes."""
    found: list[tuple[str, object]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found
