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

from lobsim.agents import AgentParams, agent_kinds
from lobsim.agents.base import AccountParams
from lobsim.scenario.economies import economies
from lobsim.scenario.happenings import FeedStall, Shock, SlowNetwork, WithdrawalHalt
from lobsim.scenario.limits import limits
from lobsim.scenario.markets import Instrument, Mark
from lobsim.scenario.schema import ScenarioFile
from lobsim.scenario.windows import Window, named_windows
from lobsim.sim.purse import CHAIN
from lobsim.units import NS_PER_MINUTE

_NUMBERED = re.compile(r"(.+)-([1-9]\d*)")
_VENUE_ACCOUNTS = ("pool", "fees", "insurance", "outside")
_LENDER_ACCOUNTS = ("cash", "insurance", "custody")
_CONTRACT_ACCOUNTS = ("insurance", "clearing", "liquidation", "custody")
_WINDOW_ACCOUNTS = ("reserve", "custody")


def faults(file: ScenarioFile) -> list[str]:
    """All faults of a file; what depends on a name that leads nowhere is only judged once the name is right."""
    broken = list(_references(file)) or list(_markets(file)) or list(economies(file))
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
    yield from _known("scenario.focus", file.scenario.focus, file.groups, "group")
    for name, reference in file.references.items():
        for factor in reference.betas:
            yield from _known(f"references.{name}.betas.{factor}", factor, file.factors, "factor")
    for name, venue in file.venues.items():
        for asset in venue.insurance:
            yield from _known(f"venues.{name}.insurance.{asset}", asset, file.assets, "asset")
        for listed in venue.liquidation_order or ():
            yield from _known(f"venues.{name}.liquidation_order", listed, file.assets, "asset")
    for name, instrument in file.instruments.items():
        where = f"instruments.{name}"
        yield from _known(f"{where}.venue", instrument.venue, file.venues, "venue")
        if instrument.venue is None and len(file.venues) > 1:
            yield f"{where}.venue: must be given, there are {len(file.venues)} venues"
        yield from _known(f"{where}.base", instrument.base, file.assets, "asset")
        yield from _known(f"{where}.quote", instrument.quote, file.assets, "asset")
        yield from _mark_names(file, f"{where}.mark", instrument.mark, instrument)
    for name, lender in file.lenders.items():
        where = f"lenders.{name}"
        yield from _known(f"{where}.instrument", lender.instrument, file.instruments, "instrument")
        yield from _mark_names(file, f"{where}.oracle", lender.oracle, file.instruments.get(lender.instrument))
    for name, positions in file.positions.items():
        yield from _known(f"positions.{name}.instrument", positions.instrument, file.instruments, "instrument")
    for name, whales in file.whales.items():
        yield from _known(f"whales.{name}.venue", whales.venue, file.venues, "venue")
        for key in ("mix", "borrowed_into", "debts"):
            for asset in getattr(whales, key):
                yield from _known(f"whales.{name}.{key}.{asset}", asset, file.assets, "asset")
    for name, window in file.windows.items():
        yield from _window_names(file, f"windows.{name}", window)
    for name, agent in file.agents.items():
        yield from _agent_names(file, f"agents.{name}", agent)
    for number, event in enumerate(file.exogenous):
        yield from _event_names(file, f"exogenous[{number}]", event)
    for number, tape in enumerate(file.tapes):
        yield from _known(f"tapes[{number}].instrument", tape.instrument, file.instruments, "instrument")
    for name, members in file.groups.items():
        for member in members:
            yield from _known(f"groups.{name}", member, file.instruments, "instrument")


def _mark_names(file: ScenarioFile, where: str, mark: Mark, of: Instrument | None) -> Iterator[str]:
    yield from _known(f"{where}.reference", mark.reference, file.references, "reference")
    yield from _known(f"{where}.underlying", mark.underlying, file.instruments, "instrument")
    for source in mark.sources or ():
        yield from _known(f"{where}.sources", source, file.instruments, "instrument")
        other = file.instruments.get(source)
        if other is not None and of is not None and (other.base, other.quote) != (of.base, of.quote):
            yield f"{where}.sources: {source!r} trades {other.base}/{other.quote}, not {of.base}/{of.quote}"


def _window_names(file: ScenarioFile, where: str, window: Window) -> Iterator[str]:
    for key in ("asset", "reserve_asset", "wrapped", "underlying", "stable", "coin"):
        yield from _known(f"{where}.{key}", getattr(window, key, None), file.assets, "asset")
    yield from _known(f"{where}.rate", getattr(window, "rate", None), file.references, "reference")
    instrument = getattr(window, "instrument", None)
    yield from _known(f"{where}.instrument", instrument, file.instruments, "instrument")
    oracle = getattr(window, "oracle", None)
    if oracle is not None and instrument in file.instruments:
        yield from _mark_names(file, f"{where}.oracle", oracle, file.instruments[instrument])


def _agent_names(file: ScenarioFile, where: str, agent: AgentParams) -> Iterator[str]:
    yield from _known(f"{where}.venue", agent.venue, file.venues, "venue")
    yield from _known(f"{where}.instrument", agent.instrument, file.instruments, "instrument")
    for instrument in agent.uses()[1:]:
        yield from _known(where, instrument, file.instruments, "instrument")
    for reference in agent.references():
        yield from _known(f"{where}.reference", reference, file.references, "reference")
    yield from _known(f"{where}.lender", getattr(agent, "lender", None), file.lenders, "lender")
    for population in getattr(agent, "positions", None) or ():
        yield from _known(f"{where}.positions", population, file.positions, "population")
    for key, window in named_windows(agent):
        yield from _known(f"{where}.{key}", window, file.windows, "window")
    if isinstance(agent, AccountParams):
        for key in ("balances", "debts"):
            for asset in getattr(agent, key):
                yield from _known(f"{where}.{key}.{asset}", asset, file.assets, "asset")
        for venue, amounts in agent.elsewhere.items():
            yield from _known(f"{where}.elsewhere.{venue}", venue, {**file.venues, CHAIN: None}, "venue")
            for asset in amounts:
                yield from _known(f"{where}.elsewhere.{venue}.{asset}", asset, file.assets, "asset")
        for instrument in agent.contracts:
            yield from _known(f"{where}.contracts.{instrument}", instrument, file.instruments, "instrument")


def _event_names(file: ScenarioFile, where: str, event: object) -> Iterator[str]:
    if isinstance(event, Shock):
        yield from _known(f"{where}.reference", event.reference, file.references, "reference")
        yield from _known(f"{where}.factor", event.factor, file.factors, "factor")
    elif isinstance(event, SlowNetwork):
        for agent_name in event.agents:
            yield from _known(f"{where}.agents", agent_name, file.agents, "agent")
            if agent_name in file.agents and agent_kinds()[file.agents[agent_name].kind].is_crowd:
                yield f"{where}.agents: {agent_name!r} is a crowd, whose latency is constant; name other agents"
    elif isinstance(event, FeedStall | WithdrawalHalt):
        yield from _known(f"{where}.venue", event.venue, file.venues, "venue")
        for asset in getattr(event, "assets", None) or ():
            yield from _known(f"{where}.assets", asset, file.assets, "asset")


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
        if instrument.kind == "spot":
            other = listed.setdefault((venue, instrument.base), name)
            if other != name:
                yield (
                    f"{where}.base: {other!r} trades {instrument.base!r} on {venue!r} already, "
                    "and one asset can have only one mark price there"
                )
    spot = [instrument for instrument in file.instruments.values() if instrument.kind == "spot"]
    circle = _circle({instrument.base: instrument.quote for instrument in spot})
    if circle:
        yield f"instruments: assets are valued in a circle: {' in '.join(circle)}"
    for name, lender in file.lenders.items():
        yield from _needs_value(file, f"lenders.{name}.instrument", lender.instrument)
    for name, positions in file.positions.items():
        if file.instruments[positions.instrument].kind != "perpetual":
            yield f"positions.{name}.instrument: {positions.instrument!r} is a spot instrument, not a perpetual"
    for name, whales in file.whales.items():
        venue = whales.venue or next(iter(file.venues))
        for asset in dict.fromkeys((*whales.mix, *whales.borrowed_into, *whales.debts)):
            if not _valued_on(file, venue, asset):
                yield f"whales.{name}: no spot book of {venue!r} values {asset!r}, or [references.{asset}] is missing"
    for name, agent in file.agents.items():
        where, instrument = f"agents.{name}", file.instruments[agent.instrument]
        if agent.venue is not None and instrument.venue not in (None, agent.venue):
            yield f"{where}.venue: {agent.instrument!r} is traded on {instrument.venue!r}, not {agent.venue!r}"
        if isinstance(agent, AccountParams):
            yield from _economy(file, where, agent)
        if agent.latency_sigma and agent_kinds()[agent.kind].is_crowd:
            yield f"{where}.latency_sigma: {agent.kind} stands for a crowd, whose latency is constant; leave it out"
        if hasattr(agent, "positions"):
            yield from _positions(file, name, agent)
        if agent.kind == "liquidation-bot" and not any(
            lender.instrument == agent.instrument for lender in file.lenders.values()
        ):
            yield f"{where}.instrument: no lender lends on {agent.instrument!r}, so there is no work"


def _positions(file: ScenarioFile, name: str, agent: AgentParams) -> Iterator[str]:
    """Managers of positions that they could not have, or that somebody else manages already."""
    where = f"agents.{name}"
    if file.instruments[agent.instrument].kind != "perpetual":
        yield f"{where}.instrument: {agent.instrument!r} is a spot instrument, not a perpetual"
    populations = getattr(agent, "positions", None) or ()
    if populations and agent.count > 1:
        yield f"{where}.count: positions belong to one agent; write one table for each of {agent.count}"
    for population in populations:
        instrument = file.positions[population].instrument
        if instrument != agent.instrument:
            yield f"{where}.positions: {population!r} are positions in {instrument!r}, not in {agent.instrument!r}"
        managers = (other for other, one in file.agents.items() if population in (getattr(one, "positions", ()) or ()))
        first = next(managers)
        if first != name:
            yield f"{where}.positions: {population!r} are managed by agents.{first} already"


def _economy(file: ScenarioFile, where: str, agent: AccountParams) -> Iterator[str]:
    """Accounts whose holdings, debts or positions nothing could value, or nobody would keep."""
    margin = agent.margin or bool(getattr(agent, "holdings", None))
    held = {*agent.balances, *agent.debts}
    for other, amounts in agent.elsewhere.items():
        for asset in sorted(amounts if margin and other != CHAIN else ()):
            if not _valued_on(file, other, asset):
                yield (
                    f"{where}.elsewhere.{other}.{asset}: a margin account needs a mark for it, but no spot instrument "
                    f"of {other!r} leads from it to the numeraire {file.scenario.numeraire!r}"
                )
    if getattr(agent, "holdings", None):
        held.add(file.instruments[agent.instrument].base)
    if margin:
        venue = file.instruments[agent.instrument].venue or next(iter(file.venues))
        for asset in sorted(held):
            if not _valued_on(file, venue, asset):
                yield (
                    f"{where}: a margin account needs a mark for {asset!r}, but no spot instrument of {venue!r} leads "
                    f"from it to the numeraire {file.scenario.numeraire!r}, or its start price is not known: "
                    f"define [references.{asset}]"
                )
    elif agent.debts:
        yield f"{where}.debts: only a margin account can owe its venue; write margin = true"
    for name in agent.contracts:
        instrument = file.instruments[name]
        if instrument.kind != "perpetual":
            yield f"{where}.contracts.{name}: is a spot instrument; a position needs one of kind 'perpetual'"
        elif not margin:
            yield f"{where}.contracts.{name}: only a margin account has positions; write margin = true"


def _valued_on(file: ScenarioFile, venue: str, asset: str) -> bool:
    """Whether spot instruments of a venue, with known start prices, lead from an asset to the numeraire."""
    for _ in range(len(file.assets) + 1):
        if asset == file.scenario.numeraire:
            return True
        steps = (
            table
            for table in file.instruments.values()
            if table.kind == "spot" and table.base == asset and (table.venue or next(iter(file.venues))) == venue
        )
        step = next(steps, None)
        if step is None or asset not in file.references:
            return False
        asset = step.quote
    return False


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
    owners = {"rounding": "the ledger itself", "in-transit": "transfers between venues"}
    populations: dict[str, tuple[str, int]] = {}
    for path, names in (
        *((f"venues.{name}", [f"{name}.{part}" for part in _VENUE_ACCOUNTS]) for name in file.venues),
        *((f"lenders.{name}", [f"{name}.{part}" for part in _LENDER_ACCOUNTS]) for name in file.lenders),
        *(
            (f"instruments.{name}", [f"{name}.{part}" for part in _CONTRACT_ACCOUNTS])
            for name, instrument in file.instruments.items()
            if instrument.kind == "perpetual"
        ),
        *((f"windows.{name}", [f"{name}.{part}" for part in _WINDOW_ACCOUNTS]) for name in file.windows),
        *((f"positions.{name}", [name]) for name in file.positions),
        *((f"agents.{name}", [name]) for name, agent in file.agents.items() if agent.count == 1),
    ):
        for name in names:
            other = owners.setdefault(name, path)
            if other != path:
                yield f"{path}: its account would be called {name!r}, as that of {other} is"
    for path, name, count in (
        *((f"lenders.{name}", name, lender.loans.count) for name, lender in file.lenders.items()),
        *((f"whales.{name}", name, whales.count) for name, whales in file.whales.items()),
        *((f"agents.{name}", name, agent.count) for name, agent in file.agents.items() if agent.count > 1),
    ):
        other, _ = populations.setdefault(name, (path, count))
        if other != path:
            yield f"{path}: its accounts would be called {name}-1, {name}-2, ..., as those of {other} are"
    for name, path in owners.items():
        match = _NUMBERED.fullmatch(name)
        if match and match[1] in populations and int(match[2]) <= populations[match[1]][1]:
            yield f"{path}: its account would be called {name!r}, as one of {populations[match[1]][0]} is"
