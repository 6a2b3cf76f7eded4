"""Sizes that exact arithmetic, a book and a day's patience can bear: what lies outside is refused before anything runs.

The limits are far outside of what markets do; they keep every number of a run inside the columns it is recorded in, and
a slip of the pen from costing hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from math import log, sqrt

from pydantic import BaseModel

from lobsim.agents import AgentParams
from lobsim.agents.base import AccountParams
from lobsim.scenario.happenings import Shock
from lobsim.scenario.markets import Instrument
from lobsim.scenario.schema import Reference, ScenarioFile
from lobsim.scenario.windows import MintBurnWindow
from lobsim.units import NS_PER_DAY, NS_PER_MINUTE, NS_PER_S

MAX_DURATION = 30 * NS_PER_DAY
MAX_EVENTS = 10**9
MAX_EVENTS_PER_S = 10**6
MAX_ACCOUNTS = 1_100_000
MAX_BALANCES = 50_000_000
MAX_MEMBERS = 2_000_000
"""Most members that all crowds together may have: each is kept in memory."""

MAX_QUANTA = 10**30
MAX_LOTS = 2**40
MAX_TICKS = 2**45
MAX_DRIFT = 5.0
"""Standard deviations of the logarithm that a reference may wander over a whole run."""

MAX_JUMPS = 1e6
"""Factor by which all shocks together may move a reference, up or down."""

_LEAST = 1e-12
_LEAST_QUANTUM = Decimal("1e-18")
_YEAR_NS = 365 * NS_PER_DAY
_LEVERAGE = (0.01, 100.0)
_SHAPE = (0.01, 1e4)
_HEAVIEST = 1e6


def limits(file: ScenarioFile) -> Iterator[str]:
    """Faults of size, of a file whose names all lead somewhere."""
    yield from _numbers("", file)
    yield from _assets(file)
    yield from _references(file)
    yield from _accounts(file)
    yield from _marks(file)
    for name, lender in file.lenders.items():
        yield from _loans(file, name)
        yield from _shape(f"lenders.{name}.loans.ltv_shape", lender.loans.ltv_shape)
    for name, positions in file.positions.items():
        instrument = file.instruments[positions.instrument]
        yield from _amount(file, f"positions.{name}.notional", instrument.quote, positions.notional)
        lots = positions.notional / float(file.references[instrument.base].start) / float(instrument.lot)
        said = f"{positions.notional:g} {instrument.quote}"
        yield from _lots(f"positions.{name}.notional", lots, said, instrument)
        yield from _shape(f"positions.{name}.leverage_shape", positions.leverage_shape)
    for name, whales in file.whales.items():
        yield from _amount(file, f"whales.{name}.value", file.scenario.numeraire, whales.value)
        yield from _shape(f"whales.{name}.leverage_shape", whales.leverage_shape)
        yield from _shape(f"whales.{name}.diversity", (whales.diversity,))
        for key in ("mix", "borrowed_into", "debts"):
            yield from _weights(f"whales.{name}.{key}", getattr(whales, key))
    for name, agent in file.agents.items():
        yield from _orders(file, f"agents.{name}", agent)
        yield from _holdings(file, f"agents.{name}", agent)
        yield from _shape(f"agents.{name}.leverage_shape", getattr(agent, "leverage_shape", ()))
    yield from _pace(file)


def _shape(where: str, bounds: tuple[float, ...]) -> Iterator[str]:
    """Parameters of a distribution that its generator can draw from."""
    for bound in bounds:
        if not _SHAPE[0] <= bound <= _SHAPE[1]:
            yield f"{where}: {bound} must lie between {_SHAPE[0]} and {_SHAPE[1]:g}"


def _weights(where: str, weights: dict[str, float]) -> Iterator[str]:
    """Weights of which none vanishes beside the others."""
    heaviest = max(weights.values(), default=0.0)
    for name, weight in weights.items():
        if weight * _HEAVIEST < heaviest:
            yield f"{where}.{name}: {weight:g} is less than 1/{_HEAVIEST:g} of the largest weight, {heaviest:g}"


def _marks(file: ScenarioFile) -> Iterator[str]:
    """Constant marks on the grid of what they value."""
    marks = [(f"instruments.{name}.mark", table.mark, table) for name, table in file.instruments.items()]
    for name, lender in file.lenders.items():
        marks.append((f"lenders.{name}.oracle", lender.oracle, file.instruments[lender.instrument]))
    for name, window in file.windows.items():
        if isinstance(window, MintBurnWindow):
            marks.append((f"windows.{name}.oracle", window.oracle, file.instruments[window.instrument]))
    for where, mark, instrument in marks:
        ticks = 1 if mark.price is None else mark.price / instrument.tick
        if not 1 <= ticks <= MAX_TICKS:
            yield f"{where}.price: {mark.price} is {float(ticks):.3g} ticks; it must be 1 to {MAX_TICKS:.3g}"


def _holdings(file: ScenarioFile, where: str, agent: AgentParams) -> Iterator[str]:
    """What an agent starts with, in amounts that the ledger's columns hold."""
    if not isinstance(agent, AccountParams):
        return
    for key, amounts in (("balances", agent.balances), ("debts", agent.debts)):
        for asset, amount in amounts.items():
            yield from _amount(file, f"{where}.{key}.{asset}", asset, amount * agent.count)
    for venue, amounts in agent.elsewhere.items():
        for asset, amount in amounts.items():
            yield from _amount(file, f"{where}.elsewhere.{venue}.{asset}", asset, amount * agent.count)
    for name, qty in agent.contracts.items():
        instrument = file.instruments[name]
        lots = abs(qty) / float(instrument.lot)
        if lots > MAX_LOTS:
            yield f"{where}.contracts.{name}: {qty:g} {instrument.base} are {lots:.3g} lots; at most {MAX_LOTS:.3g}"


def _numbers(path: str, value: object) -> Iterator[str]:
    """Numbers so close to 0 that their inverse is none, and empty lists where values are wanted."""
    if isinstance(value, BaseModel):
        for key in type(value).model_fields:
            yield from _numbers(f"{path}.{key}" if path else key, getattr(value, key))
    elif isinstance(value, dict) and path != "variants":
        for key, item in value.items():
            yield from _numbers(f"{path}.{key}", item)
    elif isinstance(value, tuple):
        if not value and path not in ("exogenous", "tapes"):
            yield f"{path}: must not be empty"
        for number, item in enumerate(value):
            yield from _numbers(f"{path}[{number}]", item)
    elif isinstance(value, float) and 0 < abs(value) < _LEAST:
        yield f"{path}: {value} is neither 0 nor at least {_LEAST}"


def _assets(file: ScenarioFile) -> Iterator[str]:
    for name, asset in file.assets.items():
        if not _LEAST_QUANTUM <= asset.quantum <= 1 or asset.quantum.normalize().as_tuple().digits != (1,):
            yield f"assets.{name}.quantum: {asset.quantum} must be a power of ten from 1e-18 to 1"
    for name, venue in file.venues.items():
        for asset_name, amount in venue.insurance.items():
            yield from _amount(file, f"venues.{name}.insurance.{asset_name}", asset_name, amount)


def _amount(file: ScenarioFile, path: str, asset: str, amount: float) -> Iterator[str]:
    if amount / float(file.assets[asset].quantum) > MAX_QUANTA:
        yield f"{path}: {amount:g} {asset} are more than {MAX_QUANTA:g} quanta"


def _references(file: ScenarioFile) -> Iterator[str]:
    """Prices on the grid at the start, and a path that stays a price."""
    end = file.scenario.duration
    if file.scenario.duration > MAX_DURATION:
        yield f"scenario.duration: a run lasts at most {MAX_DURATION // NS_PER_DAY}d"
    for name, reference in file.references.items():
        parts = [(reference.volatility, reference.until)]
        parts += [
            (beta * file.factors[factor].volatility, file.factors[factor].until)
            for factor, beta in reference.betas.items()
        ]
        drift = sqrt(sum(sigma**2 * min(end, end if until is None else until) / _YEAR_NS for sigma, until in parts))
        if drift > MAX_DRIFT:
            yield (
                f"references.{name}.volatility: with its factors, over the run, it makes e^+-{drift:.3g} of the price; "
                f"at most e^+-{MAX_DRIFT:g}"
            )
        jump = _jump(file, name, reference)
        if abs(jump) > log(MAX_JUMPS):
            yield (
                f"exogenous: all shocks together move {name} by a factor of e^{jump:.3g}; "
                f"at most {MAX_JUMPS:g} up or down"
            )
    for where, instrument, name in _valued(file):
        ticks = file.references[name].start / instrument.tick
        if not 1 <= ticks <= MAX_TICKS:
            yield (
                f"references.{name}.start: {file.references[name].start} is {float(ticks):.3g} ticks of {where}; "
                f"it must be 1 to {MAX_TICKS:.3g}"
            )


def _jump(file: ScenarioFile, name: str, reference: Reference) -> float:
    """Logarithm of what all shocks together, its own and those of its factors, make of a reference."""
    total = 0.0
    for event in file.exogenous:
        if isinstance(event, Shock):
            beta = 1.0 if event.reference == name else reference.betas.get(event.factor or "", 0.0)
            total += beta * log(max(1 + event.change, _LEAST))
    return total


def _valued(file: ScenarioFile) -> Iterator[tuple[str, Instrument, str]]:
    """Each (instrument, reference) of which one is a price on the other's grid, once."""
    seen: set[tuple[str, str]] = set()
    pairs = [(name, instrument.base) for name, instrument in file.instruments.items()]
    pairs += [(name, instrument.mark.reference or "") for name, instrument in file.instruments.items()]
    pairs += [(lender.instrument, lender.oracle.reference or "") for lender in file.lenders.values()]
    pairs += [(agent.instrument, getattr(agent, "reference", "")) for agent in file.agents.values()]
    for agent in file.agents.values():
        pairs += [(pair.instrument, pair.reference) for pair in getattr(agent, "pair_keys", tuple)()]
    for name, reference in pairs:
        if reference in file.references and (name, reference) not in seen:
            seen.add((name, reference))
            yield name, file.instruments[name], reference


def _accounts(file: ScenarioFile) -> Iterator[str]:
    loans = sum(lender.loans.count for lender in file.lenders.values())
    agents = sum(agent.count for agent in file.agents.values()) * len(file.venues)
    whales = sum(population.count for population in file.whales.values())
    accounts = loans + agents + whales + 4 * (len(file.venues) + len(file.lenders) + len(file.instruments))
    positions = sum(population.count for population in file.positions.values())
    crowds = {name: getattr(agent, "orders", 0) * agent.count for name, agent in file.agents.items()}
    members = sum(crowds.values())
    if accounts > MAX_ACCOUNTS:
        yield (
            f"agents, lenders, whales: {agents:,} accounts of agents, {loans:,} of loans and {whales:,} of whales are "
            f"more than {MAX_ACCOUNTS:,} accounts"
        )
    elif members > MAX_MEMBERS:
        most = max(crowds, key=crowds.__getitem__)
        yield (
            f"agents.{most}.orders: makes {crowds[most]:,} orders, or members with one each; "
            f"all agents together may have {MAX_MEMBERS:,}"
        )
    elif positions > MAX_ACCOUNTS:
        yield f"positions: {positions:,} perpetual positions are more than {MAX_ACCOUNTS:,}"
    elif accounts * len(file.assets) > MAX_BALANCES:
        yield (f"assets: {accounts:,} accounts in {len(file.assets)} assets are more than {MAX_BALANCES:,} balances")


def _loans(file: ScenarioFile, name: str) -> Iterator[str]:
    """A population whose loans are all of a size that exists."""
    lender = file.lenders[name]
    instrument = file.instruments[lender.instrument]
    population = lender.loans
    path = f"lenders.{name}.loans.collateral"
    yield from _amount(file, path, instrument.base, population.collateral)
    yield from _amount(file, f"lenders.{name}.insurance", instrument.quote, lender.insurance)
    value = population.collateral * float(file.references[instrument.base].start)
    yield from _amount(file, path, instrument.quote, value)
    each = population.collateral / population.count
    if each < float(instrument.lot):
        yield f"{path}: {each:.3g} {instrument.base} a loan are less than one lot ({instrument.lot})"
    debt = value / population.count * population.ltv_high
    quantum = file.assets[instrument.quote].quantum
    if debt < float(quantum):
        yield f"{path}: {debt:.3g} {instrument.quote} of debt a loan are less than one quantum ({quantum})"


def _orders(file: ScenarioFile, where: str, agent: AgentParams) -> Iterator[str]:
    """Orders of at least one lot, and of no more lots than a book counts."""
    instrument = file.instruments[agent.instrument]
    lot = float(instrument.lot)
    reference = file.references.get(getattr(agent, "reference", instrument.base))
    price = float(instrument.tick if reference is None else reference.start)
    for key in ("limit_qty", "market_qty", "order_qty", "smallest_qty", "largest_qty"):
        qty = getattr(agent, key, None)
        if qty is not None:
            yield from _lots(f"{where}.{key}", qty / lot, f"{qty:g} {instrument.base}", instrument)
    orders = getattr(agent, "orders", 1)
    for key in ("pool", "notional", "quote_notional", "purse", "budget", "capital"):
        notional = getattr(agent, key, None)
        if notional:
            yield from _amount(file, f"{where}.{key}", instrument.quote, notional)
            if reference is not None and key not in ("budget", "capital"):
                said = f"{notional / orders:g} {instrument.quote} an order"
                yield from _lots(f"{where}.{key}", notional / orders / price / lot, said, instrument)
    for number, qty in enumerate(getattr(agent, "holdings", None) or ()):
        path = f"{where}.holdings[{number}]"
        yield from _amount(file, path, instrument.base, qty * agent.count)
        yield from _amount(file, path, instrument.quote, qty * price * agent.count)
        yield from _lots(path, qty / lot, f"{qty:g} {instrument.base}", instrument)
    for number, leverage in enumerate(getattr(agent, "leverage", None) or ()):
        if not _LEVERAGE[0] <= leverage <= _LEVERAGE[1]:
            yield f"{where}.leverage[{number}]: {leverage} must lie between {_LEVERAGE[0]} and {_LEVERAGE[1]:g}"
    capacity = getattr(agent, "capacity", None)
    if capacity is not None and agent.kind == "liquidation-bot":
        quantum = file.assets[instrument.quote].quantum
        if capacity * min(1.0, getattr(agent, "poll", NS_PER_S) / NS_PER_S) < float(quantum):
            yield f"{where}.capacity: is less than one quantum of {instrument.quote} ({quantum}) a poll"


def _lots(path: str, lots: float, said: str, instrument: Instrument) -> Iterator[str]:
    if lots < 1:
        yield f"{path}: {said} are less than one lot ({instrument.lot} {instrument.base})"
    elif lots > MAX_LOTS:
        yield f"{path}: {said} are {lots:.3g} lots ({instrument.lot} {instrument.base}); at most {MAX_LOTS:.3g}"


# --- pace ---------------------------------------------------------------------------------------------------------


def _pace(file: ScenarioFile) -> Iterator[str]:
    """Refuse a run that would not end: more events than a day of computing handles."""
    duration = file.scenario.duration
    seconds = duration / NS_PER_S
    makers = sum(agent.count for agent in file.agents.values() if hasattr(agent, "holdings"))
    counts = {
        "scenario.depth_interval": duration / file.scenario.depth_interval * 100 * len(file.instruments),
        "scenario.account_interval": duration / file.scenario.account_interval * (1 + makers),
    }
    for name, venue in file.venues.items():
        counts[f"venues.{name}.feed_interval"] = duration / venue.feed_interval * len(file.instruments)
        counts[f"venues.{name}.mark_interval"] = duration / venue.mark_interval * (len(file.instruments) + makers)
    for name, instrument in file.instruments.items():
        if instrument.contract is not None:
            counts[f"instruments.{name}.contract.funding_interval"] = duration / instrument.contract.funding_interval
    for name, lender in file.lenders.items():
        counts[f"lenders.{name}.update_interval"] = duration / lender.update_interval
    for name, factor in file.factors.items():
        followers = sum(name in reference.betas for reference in file.references.values())
        counts[f"factors.{name}.interval"] = duration / factor.interval * (1 + followers) if factor.volatility else 0
    for name, reference in file.references.items():
        counts[f"references.{name}.interval"] = duration / reference.interval if reference.volatility else 0
    for name, agent in file.agents.items():
        if (
            agent.kind == "depositors"
            and getattr(agent, "rate", 0) * getattr(agent, "look", 0) > MAX_MEMBERS * NS_PER_S
        ):
            yield f"agents.{name}.look: at most {MAX_MEMBERS:,} orders may come between two looks (rate x look)"
        if agent.enabled:
            each = _messages_per_second(agent) * seconds + _messages_once(file, agent)
            counts[f"agents.{name}"] = agent.count * each
    for path, count in counts.items():
        if count > MAX_EVENTS:
            yield f"{path}: would make about {count:.2g} events in this run; at most {MAX_EVENTS:.0e}"
        elif count > MAX_EVENTS_PER_S * max(seconds, 1.0):
            yield f"{path}: would make about {count / seconds:.2g} events a second; at most {MAX_EVENTS_PER_S:.0e}"
    total = sum(counts.values())
    if total > MAX_EVENTS >= max(counts.values()):
        yield f"scenario.duration: about {total:.2g} events in this run; at most {MAX_EVENTS:.0e}"


def _messages_per_second(agent: AgentParams) -> float:
    """Events an agent makes in a second of calm, from the keys by which agents set their pace."""

    def key(name: str) -> float:
        return float(getattr(agent, name, 0) or 0)

    pace = 4 * key("limit_rate") + key("market_rate") / (1 - key("clustering")) + 2 * key("rate")
    pace += key("refill_per_minute") * key("orders") / (NS_PER_MINUTE / NS_PER_S)
    for pair in getattr(agent, "pair_keys", tuple)():  # a maker's, with its own first
        pace += (2 * pair.levels + 2) * NS_PER_S / pair.requote
    for name, events in (("poll", 2 * len(agent.uses())), ("look", 1), ("slice", 1)):
        interval = key(name)
        if interval:
            pace += events * NS_PER_S / interval
    for name in _PAUSES.get(agent.kind, ()):
        pace += NS_PER_S / key(name)
    hedge = getattr(agent, "hedge", None)
    if hedge is not None:
        pace += NS_PER_S / hedge.interval
    return pace


_PAUSES = {
    "borrowers": ("pause",),
    "loopers": ("pause", "retry"),
    "metaorders": ("rest",),
    "perp-traders": ("retry",),
}
"""Keys of pauses after which somebody tries again, whatever came of it."""


def _messages_once(file: ScenarioFile, agent: AgentParams) -> float:
    """Orders placed once, and those that shocks set off."""
    jumps = sum(
        abs(event.change)
        for event in file.exogenous
        if isinstance(event, Shock) and event.reference == getattr(agent, "reference", None)
    )
    once = float(getattr(agent, "orders", 0))
    unit = getattr(agent, "jump_unit", None)
    if unit is not None:
        once += jumps / unit * getattr(agent, "qty", 0) / getattr(agent, "order_qty", 1)
    return once
