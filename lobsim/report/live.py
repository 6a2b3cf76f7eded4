"""What can be seen of a simulation while it runs: prices, books, margin levels, what happened last.

It only reads: nothing here schedules, draws, cancels or posts, so a run that is watched is the same run. What a sight
shows depends on when it was taken; nothing of it reaches a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lobsim.events import Side
from lobsim.measure.ladders import ALL_KINDS, KINDS
from lobsim.report.wording import percent
from lobsim.scenario.build import Simulation
from lobsim.scenario.schema import ScenarioFile
from lobsim.venue.market import Market

NEAR_PPM = 10_000
"""How far from the mid price an order may be to count as near, in millionths: 1 %."""

_PPM = 1_000_000
_MOST_KEPT = 200
_MOST_MAKERS = 500
QUOTING, AWAY, TAKEN = "quoting", "withdrawn", "in liquidation"
_WITHDREW, _RETURNED = "maker_withdrew", "maker_returned"

_NOTES = {
    _WITHDREW: "{} pulls its quotes",
    _RETURNED: "{} quotes again",
    "feed_stalled": "market data of {} stall",
    "withdrawals_halted": "withdrawals from {} halted",
    "withdrawals_resumed": "withdrawals from {} resumed",
    "loop_unwind_began": "{} unwind their loops",
    "run_began": "{} run for the exit",
    "arbitrage_ran_out": "{} has run out of means",
    "redeemer_ran_out": "{} has run out of means",
    "metaorder_began": "{} begins its order",
    "metaorder_ended": "{} has done its order",
}
_FIRSTS = {
    "loan_liquidation": "first loan liquidated",
    "loan_bad_debt": "first loan under water",
    "account_liquidation_started": "first margin account taken over",
    "account_bankrupt": "first margin account under water",
    "contract_liquidation_long": "first long contract liquidated",
    "contract_liquidation_short": "first short contract liquidated",
    "contract_insurance_paid": "insurance fund pays for the first time",
    "adl": "first auto-deleveraging",
}


class MarketSight(NamedTuple):
    """One book: texts in quote currency ("" where there is nothing), numbers in quote currency, shares as fractions.

    change: of the last trade's price since the shock, or since the first one before there was a shock. bids, asks:
    displayed within 1 % of the mid price, None where there is no mid. bids_left: share of what they were at the shock.
    """

    name: str
    price: str
    change: float | None
    best_bid: str
    best_ask: str
    bids: float | None
    asks: float | None
    bids_left: float | None
    halted: bool


class MakerSight(NamedTuple):
    """One margin account of a market maker at the last mark; level: equity over maintenance margin, None: no debt."""

    name: str
    level: float | None
    leverage: float | None
    state: str


class Rung(NamedTuple):
    """A price level as text and its displayed quantity in quote currency."""

    price: str
    size: float


class Happening(NamedTuple):
    """Something worth a line, at a moment of the run."""

    time_ns: int
    text: str


class Liquidated(NamedTuple):
    """Number and value (numeraire) of forced sales so far."""

    sales: int
    value: float


class Sight(NamedTuple):
    """The run at one moment. `makers` holds the worst margin levels first; `makers_away` and `makers_taken` all.

    liquidated: of loans, accounts and contracts. events: of all books so far.
    """

    time_ns: int
    markets: tuple[MarketSight, ...]
    deepest: str
    bids: tuple[Rung, ...]
    asks: tuple[Rung, ...]
    makers: tuple[MakerSight, ...]
    makers_count: int
    makers_away: int
    makers_taken: int
    happenings: tuple[Happening, ...]
    liquidated: Mapping[str, Liquidated]
    events: int
    shocked: bool


class Watch:
    """Watches one simulation; make it when the recorder is attached and nothing has happened (`replay(on_start=...)`).

    It hears of milestones and credit rows as they are recorded, and looks at books and accounts when asked.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._sim = simulation
        self._references: dict[str, int] = {}
        self._usual: dict[str, float | None] = {}
        self._away: set[str] = set()
        self._happenings: list[Happening] = []
        self._seen: set[str] = set()
        self._sums: dict[str, list[int]] = {}
        self._shocked = False
        quantum = simulation.ledger.quantum(simulation.ledger.asset(simulation.file.scenario.numeraire))
        self._money = float(quantum)
        self._markets = {name: simulation.market(name)[1] for name in simulation.file.instruments}
        names = simulation.ledger.accounts
        makers = [account for account, kind in simulation.kinds.items() if kind == "market-maker"]
        watched = [account for account in makers if account in simulation.feeds.accounts]
        self._makers = {account: names[account - 1] for account in watched[:_MOST_MAKERS]}
        self._order = _in_order(simulation.file)
        simulation.proxy.overhear(self._milestone, self._credit)

    @property
    def markets_count(self) -> int:
        """Instruments of the run."""
        return len(self._markets)

    @property
    def makers_count(self) -> int:
        """Market makers' margin accounts of the run (at most 500 are looked at)."""
        return len(self._makers)

    # --- what it hears ------------------------------------------------------------------------------------------------

    def _milestone(self, time_ns: int, name: str, amount: int | None = None, unit: str = "") -> None:
        verb, _, who = name.partition(" ")
        if verb == "shock":
            self._note_prices()
            fell = "falls" if (amount or 0) < 0 else "rises"
            size = f" by {percent(abs(amount) / _PPM)}" if amount is not None and unit == "ppm" else ""
            self._add(time_ns, f"SHOCK: outside value of {who} {fell}{size}")
            return
        if verb == _WITHDREW:
            self._away.add(who)
        elif verb == _RETURNED:
            self._away.discard(who)
        if verb in _NOTES:
            self._add(time_ns, _NOTES[verb].format(who))

    def _credit(  # the arguments are those of a recorder's row
        self,
        time_ns: int,
        kind: str,
        account_id: int,
        _counterparty_id: int | None,
        asset: str,
        amount: int,
        value: int | None,
        ref_id: int | None,
    ) -> None:
        if kind in ALL_KINDS:
            if value is None:
                value = amount if asset == self._sim.file.scenario.numeraire else 0
            sums = self._sums.setdefault(kind, [0, 0])
            sums[0] += 1
            sums[1] += abs(value)
        if kind == "trading_halted":
            names = [name for name, market in self._markets.items() if market.instrument_id == ref_id]
            self._add(time_ns, f"trading in {names[0] if names else asset} halted")
        elif kind in _FIRSTS and kind not in self._seen:
            self._seen.add(kind)
            self._add(time_ns, _FIRSTS[kind])
        name = self._makers.get(account_id)
        if kind == "account_liquidation_started" and name is not None and name not in self._seen:
            self._seen.add(name)
            self._add(time_ns, f"{name} is taken over")

    def _add(self, time_ns: int, text: str) -> None:
        self._happenings.append(Happening(time_ns, text))
        if len(self._happenings) > _MOST_KEPT:
            del self._happenings[0]

    def _note_prices(self) -> None:
        """From the first shock on, prices and depths are compared with those of its moment."""
        if self._shocked:
            return
        self._shocked = True
        for name, market in self._markets.items():
            price = market.book.last_price
            if price is not None:
                self._references[name] = price
            self._usual[name] = _near(market, Side.BUY)

    # --- what it sees -------------------------------------------------------------------------------------------------

    def look(self, *, markets: int = 6, makers: int = 6, rungs: int = 5, happenings: int = 8) -> Sight:
        """The run now, with so many rows of each kind at most. Cost: the orders near the price of what is shown."""
        sim = self._sim
        seen = [self._market(name) for name in _chosen(self._order, markets)]
        worst = min(seen, key=lambda one: (one.change or 0.0, one.bids_left or 0.0), default=None)
        own = None if worst is None else self._markets[worst.name]
        states = [self._maker(account, name) for account, name in self._makers.items()]
        states.sort(key=lambda one: float("inf") if one.level is None else one.level)
        return Sight(
            sim.clock.now,
            tuple(seen),
            "" if worst is None else worst.name,
            () if own is None else _rungs(own, own.book.bids(rungs)),
            () if own is None else _rungs(own, own.book.asks(rungs)),
            tuple(states[:makers]),
            len(states),
            len(self._away),
            sum(one.state == TAKEN for one in states),
            tuple(self._happenings[-happenings:]) if happenings > 0 else (),
            self._liquidated(),
            sim.proxy.recorder.counts["orders"],
            self._shocked,
        )

    def _market(self, name: str) -> MarketSight:
        market = self._markets[name]
        book = market.book
        last = book.last_price
        reference = self._references.get(name)
        if reference is None and last is not None:
            reference = self._references[name] = last
        bid, _, ask, _ = book.quotes()
        bids = _near(market, Side.BUY)
        usual = self._usual.get(name)
        text = book.tick_grid.text
        return MarketSight(
            name,
            "" if last is None else text(last),
            None if last is None or not reference else last / reference - 1,
            "" if bid is None else text(bid),
            "" if ask is None else text(ask),
            bids,
            _near(market, Side.SELL),
            bids / usual if usual and bids is not None else (0.0 if usual and bid is None else None),
            market.halted(self._sim.clock.now),
        )

    def _maker(self, account: int, name: str) -> MakerSight:
        items = self._sim.feeds.accounts[account].items
        if not items:
            return MakerSight(name, None, None, "")
        view = items[-1][1]
        level, leverage = view.margin_level_ppm, view.leverage_ppm
        state = TAKEN if view.in_liquidation else AWAY if name in self._away else QUOTING
        return MakerSight(
            name, None if level is None else level / _PPM, None if leverage is None else leverage / _PPM, state
        )

    def _liquidated(self) -> dict[str, Liquidated]:
        found = {}
        for label, kinds in KINDS.items():
            rows = [self._sums[kind] for kind in kinds if kind in self._sums]
            if rows:
                found[label] = Liquidated(sum(row[0] for row in rows), sum(row[1] for row in rows) * self._money)
        return found


def _near(market: Market, side: Side) -> float | None:
    """Displayed quote currency of one side within 1 % of the mid price; None where there is no mid price."""
    bid, _, ask, _ = market.book.quotes()
    if bid is None or ask is None:
        return None
    if side is Side.BUY:
        limit = -(-(bid + ask) * (_PPM - NEAR_PPM) // (2 * _PPM))
    else:
        limit = (bid + ask) * (_PPM + NEAR_PPM) // (2 * _PPM)
    return market.book.depth(side, limit)[1] * float(market.tick * market.lot)


def _rungs(market: Market, levels: Sequence[tuple[int, int]]) -> tuple[Rung, ...]:
    unit = float(market.tick * market.lot)
    return tuple(Rung(market.book.tick_grid.text(price), price * lots * unit) for price, lots in levels)


def _in_order(file: ScenarioFile) -> tuple[list[str], list[str]]:
    """Names of the focus group (else of all spot instruments), and all others: one of each group, then the rest."""
    focus = list(file.groups.get(file.scenario.focus or "", ()))
    focus = focus or [name for name, table in file.instruments.items() if table.kind == "spot"]
    firsts = [members[0] for name, members in file.groups.items() if members and name != file.scenario.focus]
    return focus, [name for name in dict.fromkeys([*firsts, *file.instruments]) if name not in focus]


def _chosen(order: tuple[list[str], list[str]], count: int) -> list[str]:
    """So many names, at least two thirds of them from the focus group as far as it goes."""
    focus, others = order
    own = max(count - len(others), -(-2 * count // 3))
    shown = focus[:own]
    return shown + others[: count - len(shown)]
