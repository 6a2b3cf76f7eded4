"""What is wrong with a scenario whose tables are all well-formed: names that lead nowhere, markets that cannot be.

Every fault is one line, ``key path: what is wrong``. Sizes and paces are judged in `lobsim.scenario.limits`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import get_args

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from lobsim.agents import agent_kinds
from lobsim.scenario.happenings import Shock, SlowNetwork
from lobsim.scenario.limits import limits
from lobsim.scenario.markets import Instrument
from lobsim.scenario.schema import ScenarioFile
from lobsim.units import NS_PER_MINUTE

_NUMBERED = re.compile(r"(.+)-([1-9]\d*)")
_VENUE_ACCOUNTS = ("pool", "fees", "insurance", "outside")
_LENDER_ACCOUNTS = ("cash", "insurance", "custody")


def faults(file: ScenarioFile) -> list[str]:
    """All faults of a file; what depends on a name that leads nowhere is only judged once the name is right."""
    broken = list(_references(file)) or list(_markets(file))
    return broken or [*_events(file), *_accounts(file), *limits(file)]


def conversions(model: BaseModel, written: Mapping[str, object], path: str = "") -> Iterator[str]:
    """Values that pydantic took for what they are not: "0.5" is no number, `true` no 1 and "false" no truth value."""
    for key, raw in written.items():
        value = getattr(model, key, None)
        where = f"{path}.{key}" if path else key
        if not _reads_another_form(type(model).model_fields[key]):
            yield from _conversion(where, value, raw)


def _reads_another_form(field: FieldInfo) -> bool:
    """Whether the field has a reader of its own, as durations do."""
    inner = [part for kind in get_args(field.annotation) for part in get_args(kind)]
    return any(isinstance(part, BeforeValidator) for part in (*field.metadata, *inner))


def _conversion(where: str, value: object, raw: object) -> Iterator[str]:
    if isinstance(value, BaseModel) and isinstance(raw, dict):
        yield from conversions(value, raw, where)
    elif isinstance(value, dict) and isinstance(raw, dict):
        for key, item in raw.items():
            yield from _conversion(f"{where}.{key}", value[key], item)
    elif isinstance(value, tuple) and isinstance(raw, list | tuple):
        for number, item in enumerate(raw):
            yield from _conversion(f"{where}[{number}]", value[number], item)
    elif isinstance(value, bool) != isinstance(raw, bool):
        wanted = "true or false" if isinstance(value, bool) else "a number"
        yield f"{where}: {raw!r:.60}: {wanted} is wanted, without quotes"
    elif type(value) is float and isinstance(raw, str):
        yield f"{where}: {raw!r:.60}: a number is wanted, without quotes"
    elif type(value) is int and isinstance(raw, Decimal):
        yield f"{where}: {raw}: a whole number is wanted"
    elif type(value) is int and isinstance(raw, str):
        yield f"{where}: {raw!r:.60}: a whole number is wanted, without quotes"


def _known(where: str, name: str | None, table: Mapping[str, object], what: str) -> Iterator[str]:
    if name is not None and name not in table:
        choices = ", ".join(sorted(table)[:10]) or "none is defined"
        yield f"{where}: {what} {name!r} is not defined (known: {choices})"


def _references(file: ScenarioFile) -> Iterator[str]:
    yield from _known("scenario.numeraire", file.scenario.numeraire, file.assets, "asset")
    for name, venue in file.venues.items():
        for asset in venue.insurance:
            yield from _known(f"venues.{name}.insurance.{asset}", asset, file.assets, "asset")
    for name, instrument in file.instruments.items():
        where = f"instruments.{name}"
        yield from _known(f"{where}.venue", instrument.venue, file.venues, "venue")
        if instrument.venue is None and len(file.venues) > 1:
            yield f"{where}.venue: must be given, there are {len(file.venues)} venues"
        yield from _known(f"{where}.base", instrument.base, file.assets, "asset")
        yield from _known(f"{where}.quote", instrument.quote, file.assets, "asset")
        yield from _known(f"{where}.mark.reference", instrument.mark.reference, file.references, "reference")
    for name, lender in file.lenders.items():
        yield from _known(f"lenders.{name}.instrument", lender.instrument, file.instruments, "instrument")
        yield from _known(f"lenders.{name}.oracle.reference", lender.oracle.reference, file.references, "reference")
    for name, agent in file.agents.items():
        where = f"agents.{name}"
        yield from _known(f"{where}.venue", agent.venue, file.venues, "venue")
        yield from _known(f"{where}.instrument", agent.instrument, file.instruments, "instrument")
        yield from _known(f"{where}.reference", getattr(agent, "reference", None), file.references, "reference")
    for number, event in enumerate(file.exogenous):
        where = f"exogenous[{number}]"
        if isinstance(event, Shock):
            yield from _known(f"{where}.reference", event.reference, file.references, "reference")
            yield from _known(f"{where}.factor", event.factor, file.factors, "factor")
        elif not isinstance(event, SlowNetwork):
            yield from _known(f"{where}.venue", event.venue, file.venues, "venue")
            for asset in getattr(event, "assets", None) or ():
                yield from _known(f"{where}.assets", asset, file.assets, "asset")
        else:
            for agent_name in event.agents:
                yield from _known(f"{where}.agents", agent_name, file.agents, "agent")
                if agent_name in file.agents and agent_kinds()[file.agents[agent_name].kind].is_crowd:
                    yield f"{where}.agents: {agent_name!r} is a crowd, whose latency is constant; name other agents"
    for number, tape in enumerate(file.tapes):
        yield from _known(f"tapes[{number}].instrument", tape.instrument, file.instruments, "instrument")


def _markets(file: ScenarioFile) -> Iterator[str]:
    """Instruments whose grids do not fit, or along which nothing can be valued."""
    listed: dict[tuple[str, str], str] = {}
    for name, instrument in file.instruments.items():
        where = f"instruments.{name}"
        if instrument.base == instrument.quote:
            yield f"{where}: base and quote are the same asset {instrument.base!r}"
            continue
        yield from _grid_faults(file, where, instrument)
        venue = instrument.venue or next(iter(file.venues))
        other = listed.setdefault((venue, instrument.base), name)
        if other != name:
            yield (
                f"{where}.base: {other!r} trades {instrument.base!r} on {venue!r} already, "
                "and one asset can have only one mark price there"
            )
    circle = _circle({instrument.base: instrument.quote for instrument in file.instruments.values()})
    if circle:
        yield f"instruments: assets are valued in a circle: {' in '.join(circle)}"
    for name, lender in file.lenders.items():
        yield from _needs_value(file, f"lenders.{name}.instrument", lender.instrument)
    for name, agent in file.agents.items():
        where, instrument = f"agents.{name}", file.instruments[agent.instrument]
        if agent.venue is not None and instrument.venue not in (None, agent.venue):
            yield f"{where}.venue: {agent.instrument!r} is traded on {instrument.venue!r}, not {agent.venue!r}"
        if agent.kind == "market-maker":
            yield from _needs_value(file, f"{where}.instrument", agent.instrument)
            if instrument.quote != file.scenario.numeraire:
                yield (
                    f"{where}.instrument: margin accounts need an instrument quoted in the numeraire "
                    f"{file.scenario.numeraire!r}; {agent.instrument!r} is quoted in {instrument.quote!r}"
                )
        if agent.latency_sigma and agent_kinds()[agent.kind].is_crowd:
            yield f"{where}.latency_sigma: {agent.kind} stands for a crowd, whose latency is constant; leave it out"
        if agent.kind == "liquidation-bot" and not any(
            lender.instrument == agent.instrument for lender in file.lenders.values()
        ):
            yield f"{where}.instrument: no lender lends on {agent.instrument!r}, so there is no work"


def _grid_faults(file: ScenarioFile, where: str, instrument: Instrument) -> Iterator[str]:
    base, quote = file.assets[instrument.base].quantum, file.assets[instrument.quote].quantum
    if Fraction(instrument.lot) % Fraction(base):
        yield f"{where}.lot: {instrument.lot} is not a whole number of {instrument.base} quanta ({base})"
    if Fraction(instrument.tick) * Fraction(instrument.lot) % Fraction(quote):
        yield (
            f"{where}.tick: tick x lot = {instrument.tick * instrument.lot} is not a whole number of "
            f"{instrument.quote} quanta ({quote})"
        )


def _circle(quoted_in: Mapping[str, str]) -> list[str]:
    """Assets of the first circle of base -> quote, the first one repeated at its end; [] when there is none."""
    clear: set[str] = set()
    for start in quoted_in:
        path: list[str] = []
        asset: str | None = start
        while asset is not None and asset not in clear:
            if asset in path:
                return [*path[path.index(asset) :], asset]
            path.append(asset)
            asset = quoted_in.get(asset)
        clear.update(path)
    return []


def _needs_value(file: ScenarioFile, where: str, instrument: str) -> Iterator[str]:
    base = file.instruments[instrument].base
    if base not in file.references:
        yield f"{where}: the value of {base!r} at the start is not known: define [references.{base}]"


def _events(file: ScenarioFile) -> Iterator[str]:
    end = file.scenario.duration
    for number, event in enumerate(file.exogenous):
        if event.at > end:
            yield f"exogenous[{number}].at: is after the end of the run ({end / NS_PER_MINUTE:g}m)"
    for number, tape in enumerate(file.tapes):
        if tape.book is not None and tape.kind != "lobster":
            yield f"tapes[{number}].book: only a tape of kind 'lobster' takes it"


def _accounts(file: ScenarioFile) -> Iterator[str]:
    """Two parties whose ledger accounts would have the same name."""
    owners = {"rounding": "the ledger itself"}
    populations: dict[str, tuple[str, int]] = {}
    for path, names in (
        *((f"venues.{name}", [f"{name}.{part}" for part in _VENUE_ACCOUNTS]) for name in file.venues),
        *((f"lenders.{name}", [f"{name}.{part}" for part in _LENDER_ACCOUNTS]) for name in file.lenders),
        *((f"agents.{name}", [name]) for name, agent in file.agents.items() if agent.count == 1),
    ):
        for name in names:
            other = owners.setdefault(name, path)
            if other != path:
                yield f"{path}: its account would be called {name!r}, as that of {other} is"
    for path, name, count in (
        *((f"lenders.{name}", name, lender.loans.count) for name, lender in file.lenders.items()),
        *((f"agents.{name}", name, agent.count) for name, agent in file.agents.items() if agent.count > 1),
    ):
        other, _ = populations.setdefault(name, (path, count))
        if other != path:
            yield f"{path}: its accounts would be called {name}-1, {name}-2, ..., as those of {other} are"
    for name, path in owners.items():
        match = _NUMBERED.fullmatch(name)
        if match and match[1] in populations and int(match[2]) <= populations[match[1]][1]:
            yield f"{path}: its account would be called {name!r}, as one of {populations[match[1]][0]} is"
