"""Economies that make no sense though every name in them leads somewhere: who borrows from whom, what is worth what.

Every fault is one line, ``key path: what is wrong``, as in `lobsim.scenario.faults`, which asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from lobsim.agents import AgentParams
from lobsim.agents.maker_params import MarketMakerParams
from lobsim.scenario.markets import Contract, Instrument, Mark
from lobsim.scenario.schema import ScenarioFile
from lobsim.scenario.windows import ConverterWindow, IssuerWindow, MintBurnWindow, named_windows
from lobsim.sim.purse import CHAIN

_LEAST_SHARE, _MOST_SHARE = 1e-6, 1 - 1e-6
_SPOT_ONLY = ("borrowers", "depositors", "liquidation-bot", "loopers", "mint-burn-arbitrageur", "redeemer")


def economies(file: ScenarioFile) -> Iterator[str]:
    """Faults of a file whose names all lead somewhere and whose markets can be."""
    for name, venue in file.venues.items():
        where = f"venues.{name}"
        if name == CHAIN:
            yield f"{where}: {CHAIN!r} is the place outside all venues; another name is wanted"
        if venue.price_band is not None:
            yield from _share(f"{where}.price_band", venue.price_band)
        if venue.halt is not None:
            yield from _share(f"{where}.halt.fall", venue.halt.fall)
        yield from _twice(f"{where}.liquidation_order", venue.liquidation_order or ())
    for name, members in file.groups.items():
        yield from _twice(f"groups.{name}", members)
    for name, instrument in file.instruments.items():
        yield from _mark(file, f"instruments.{name}.mark", instrument.mark, instrument)
        yield from _contract(file, f"instruments.{name}.contract", instrument)
    for name, lender in file.lenders.items():
        where = f"lenders.{name}"
        instrument = file.instruments[lender.instrument]
        yield from _spot(f"{where}.instrument", lender.instrument, instrument, "what is pledged")
        yield from _mark(file, f"{where}.oracle", lender.oracle, instrument)
    for name, window in file.windows.items():
        yield from _window(file, f"windows.{name}", window)
    for name, agent in file.agents.items():
        where = f"agents.{name}"
        if agent.kind in _SPOT_ONLY:
            yield from _spot(f"{where}.instrument", agent.instrument, file.instruments[agent.instrument], "what it has")
        yield from _borrowing(file, name, agent)
        yield from _redeeming(file, where, agent)
        if isinstance(agent, MarketMakerParams):
            yield from _accounts(file, where, agent)


def _share(where: str, share: float) -> Iterator[str]:
    if not _LEAST_SHARE <= share <= _MOST_SHARE:
        yield f"{where}: {share:g} must lie between {_LEAST_SHARE:g} and {_MOST_SHARE}"


def _twice(where: str, names: tuple[str, ...]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"{where}: {name!r} is named twice"


def _spot(where: str, name: str, instrument: Instrument, what: str) -> Iterator[str]:
    if instrument.kind != "spot":
        yield f"{where}: {name!r} is a perpetual, and {what} is an asset; name a spot instrument"


def _mark(file: ScenarioFile, where: str, mark: Mark, of: Instrument) -> Iterator[str]:
    sources = mark.sources or ()
    yield from _twice(f"{where}.sources", sources)
    for source in sources:
        if file.instruments[source].kind != "spot":
            yield f"{where}.sources: {source!r} is a perpetual; an index is made of spot instruments"
    if mark.underlying is not None:
        other = file.instruments[mark.underlying]
        if other.kind != "spot" or other.quote != of.quote or other.base == of.base:
            yield (
                f"{where}.underlying: {mark.underlying!r} trades {other.base}/{other.quote}; wanted is a spot "
                f"instrument of what {of.base!r} is converted into, quoted in {of.quote!r}"
            )


def _contract(file: ScenarioFile, where: str, instrument: Instrument) -> Iterator[str]:
    if instrument.kind != "perpetual":
        return
    if instrument.base not in file.references:
        base = instrument.base
        yield f"{where}: the value of {base!r} at the start is not known: define [references.{base}]"
    terms = instrument.contract or Contract()
    for number, tier in enumerate(terms.tiers):
        if tier.rate > _MOST_SHARE:
            yield f"{where}.tiers[{number}].rate: {tier.rate:g} must be below 1"
    if terms.tiers and terms.tiers[0].above:
        yield f"{where}.tiers[0].above: {terms.tiers[0].above:g}: the first bracket begins at 0"
    quantum = float(file.assets[instrument.quote].quantum)
    for number, (lower, upper) in enumerate(pairwise(terms.tiers), start=1):
        if int(lower.above / quantum) >= int(upper.above / quantum):
            yield f"{where}.tiers[{number}].above: {upper.above:g} must be larger than that before, {lower.above:g}"
        if lower.rate > upper.rate:
            yield f"{where}.tiers[{number}].rate: {upper.rate:g} must not be smaller than that before, {lower.rate:g}"
    if terms.liquidation_fee > _MOST_SHARE:
        yield f"{where}.liquidation_fee: {terms.liquidation_fee:g} must be below 1"


def _window(file: ScenarioFile, where: str, window: IssuerWindow | ConverterWindow | MintBurnWindow) -> Iterator[str]:
    given, taken = _exchanged(window)
    if isinstance(window, IssuerWindow) and window.fee > _MOST_SHARE:
        yield f"{where}.fee: {window.fee:g} must be below 1"
    if isinstance(window, MintBurnWindow):
        instrument = file.instruments[window.instrument]
        yield from _spot(f"{where}.instrument", window.instrument, instrument, "what is burned")
        if instrument.base != window.coin:
            base = instrument.base
            yield f"{where}.instrument: {window.instrument!r} is a market of {base!r}, not of {window.coin!r}"
        yield from _mark(file, f"{where}.oracle", window.oracle, instrument)
        if window.spread > _MOST_SHARE:
            yield f"{where}.spread: {window.spread:g} must be below 1"
    if given == taken:
        yield f"{where}: {given!r} cannot be exchanged for itself; name two assets"


def _exchanged(window: IssuerWindow | ConverterWindow | MintBurnWindow) -> tuple[str, str]:
    if isinstance(window, IssuerWindow):
        return window.asset, window.reserve_asset
    if isinstance(window, ConverterWindow):
        return window.wrapped, window.underlying
    return window.stable, window.coin


def _borrowing(file: ScenarioFile, name: str, agent: AgentParams) -> Iterator[str]:
    """Holders of loans on something they do not trade, or that somebody else holds already."""
    lender = getattr(agent, "lender", None)
    if lender is None:
        return
    where = f"agents.{name}"
    own, pledged = file.instruments[agent.instrument], file.instruments[file.lenders[lender].instrument]
    if (own.base, own.quote) != (pledged.base, pledged.quote):
        yield (
            f"{where}.lender: {lender!r} lends {pledged.quote} on {pledged.base}, "
            f"but {agent.instrument!r} trades {own.base} in {own.quote}"
        )
    first = next(other for other, one in file.agents.items() if getattr(one, "lender", None) == lender)
    if first != name:
        yield f"{where}.lender: the loans of {lender!r} are held by agents.{first} already"
    if agent.count > 1:
        yield f"{where}.count: the loans of a lender belong to one agent; it must be 1, not {agent.count}"


def _redeeming(file: ScenarioFile, where: str, agent: AgentParams) -> Iterator[str]:
    """Agents that carry to a window what it does not take."""
    own = file.instruments[agent.instrument]
    for key, name in named_windows(agent):
        window = file.windows[name]
        if agent.kind == "redeemer" and not isinstance(window, MintBurnWindow):
            traded = (own.base, own.quote)
        elif agent.kind == "mint-burn-arbitrageur" and isinstance(window, MintBurnWindow):
            traded = (own.base, file.instruments[agent.uses()[1]].base)
        else:
            continue
        assets = _exchanged(window)
        if assets != traded:
            yield f"{where}.{key}: {name!r} exchanges {' and '.join(assets)}, but it trades {' and '.join(traded)}"


def _accounts(file: ScenarioFile, where: str, agent: MarketMakerParams) -> Iterator[str]:
    """Makers with pairs on further venues: what they have there must be written there."""
    first = next(iter(file.venues))
    primary = file.instruments[agent.instrument].venue or first
    for instrument in agent.uses():
        venue = file.instruments[instrument].venue or first
        if venue not in (primary, *agent.elsewhere):
            yield (
                f"{where}.elsewhere.{venue}: is missing: {instrument!r} is traded there, and a margin account begins "
                "with what its table says"
            )
