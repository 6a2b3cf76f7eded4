"""Build agents: their accounts on every venue they use, what these hold and owe, and their connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lobsim.agents import AgentParams, Context, agent_kinds
from lobsim.agents.base import AccountParams, Connections
from lobsim.agents.issuer_hedge import IssuerHedgeParams
from lobsim.errors import ScenarioError
from lobsim.scenario.happenings import SlowNetwork
from lobsim.scenario.parts_credit import owe, refuse_doomed
from lobsim.scenario.windows import named_windows
from lobsim.scenario.wiring import Notes
from lobsim.sim.contracts import ContractGateway
from lobsim.sim.feed import Feed
from lobsim.sim.gateway import CrowdGateway, Gateway, InstrumentSpec, LenderGateway
from lobsim.sim.latency import ConstantLatency, DegradedLatency, LatencyModel, LognormalLatency
from lobsim.sim.purse import CHAIN, Purse
from lobsim.sim.streams import Stream
from lobsim.sim.window import WindowGateway
from lobsim.venue.exchange import Exchange
from lobsim.venue.issuer import Issuer
from lobsim.venue.market import Market
from lobsim.venue.ports import AccountView

if TYPE_CHECKING:
    from lobsim.scenario.build import Simulation


class _Latencies(NamedTuple):
    orders: LatencyModel
    feed: LatencyModel


class AgentBuilder:
    """One agent at a time: number `number` of the table `table`, called `name`."""

    def __init__(self, sim: Simulation, name: str, number: int, params: AgentParams, table: str) -> None:
        self._sim = sim
        self._name = name
        self._number = number
        self._params = params
        self._table = table
        self._class = agent_kinds()[params.kind]
        self._stream = sim.streams.stream(f"agents/{name}")
        self._latency = self._latencies()
        self._accounts: dict[str, int] = {}

    def build(self) -> None:
        """Open and fill its accounts, connect it, add it to the simulation."""
        sim, params = self._sim, self._params
        exchange, market = sim.market(params.instrument)
        markets = [sim.market(instrument) for instrument in params.uses()]
        primary = self._open(exchange, self._name)
        venues = {exchange.name: exchange} | {other.name: other for other, _ in markets}
        for venue, other in venues.items():
            if venue not in self._accounts:
                self._open(other, f"{self._name}@{venue}")
        gateways: dict[str, Gateway] = {}
        crowds: dict[str, CrowdGateway] = {}
        for venue, other in venues.items():
            suffix = "" if other is exchange else f"@{venue}"
            if self._class.is_crowd:
                crowds[venue] = CrowdGateway(
                    sim.clock,
                    other,
                    sim.feeds,
                    self._name + suffix,
                    self._accounts[venue],
                    params.order_latency,
                    ConstantLatency(params.feed_latency),
                )
            else:
                gateways[venue] = Gateway(
                    sim.clock,
                    other,
                    sim.feeds,
                    self._name + suffix,
                    self._accounts[venue],
                    *self._latency,
                    purse=self._purse(venue, self._name + suffix),
                )
        chain, windows = self._windows()
        connections = Connections(
            specs={spec.name: spec for spec in (spec_of(sim, *pair) for pair in markets)},
            gateways=gateways,
            lenders=self._own_lender(primary),
            windows=windows,
            chain=chain,
            contracts={
                market.name: ContractGateway(crowds[other.name], market.instrument_id, market.contract)
                for other, market in markets
                if market.contract is not None and self._class.is_crowd
            },
        )
        context = Context(
            sim.clock,
            self._name,
            self._number,
            spec_of(sim, exchange, market),
            self._stream,
            gateways.get(exchange.name),
            crowds.get(exchange.name),
            self._lenders_on(market, primary),
            connections,
        )
        context.note = Notes(sim.proxy, sim.clock, self._name)
        self._fill(exchange, market, primary)
        if isinstance(params, IssuerHedgeParams):
            self._back(params.window, primary, exchange)
        sim.agents.append(self._class(params, context))

    # --- accounts ---------------------------------------------------------------------------------------------------

    def _open(self, exchange: Exchange, name: str) -> int:
        """A ledger account at a venue; the one of a borrower may be there already, with its loans."""
        held = self._sim.borrowers.get(name)
        account = held or self._sim.account(name, self._params.kind, overdraft=self._class.is_crowd)
        self._accounts[exchange.name] = account
        return account

    def _fill(self, exchange: Exchange, market: Market, primary: int) -> None:
        sim, params = self._sim, self._params
        if self._class.is_crowd:
            return
        if not isinstance(params, AccountParams):
            capital = getattr(params, "capital", None)
            if capital is not None:
                sim.issue(primary, sim.ledger.asset_name(market.quote), capital)
            exchange.require_funds(primary)
            return
        balances = dict(params.balances)
        holdings: tuple[float, ...] = getattr(params, "holdings", None) or ()
        if holdings:
            base = sim.ledger.asset_name(market.base)
            balances[base] = balances.get(base, 0.0) + holdings[min(self._number, len(holdings) - 1)]
        for asset, amount in balances.items():
            sim.issue(primary, asset, amount)
        margin = params.margin or bool(holdings)
        if not margin:
            exchange.require_funds(primary)
        else:
            exchange.margin.enroll(primary)
            self._borrow(exchange, primary, balances)
            self._watch(exchange, primary)
        for venue, amounts in params.elsewhere.items():
            self._fill_elsewhere(venue, amounts)
        for instrument, amount in params.contracts.items():
            self._take_position(instrument, amount)
        if margin:
            leverages: tuple[float, ...] = getattr(params, "leverage", None) or ()
            what = "balances, debts and contracts: they put"
            if leverages:
                what = f"leverage: {leverages[min(self._number, len(leverages) - 1)]} puts"
            refuse_doomed(sim, exchange, primary, what)

    def _back(self, name: str, account: int, exchange: Exchange) -> None:
        """The hedge's account is the issuer's reserve."""
        window = self._sim.windows[name].window
        if not isinstance(window, Issuer):
            raise ScenarioError(f"window: {name!r} is no issuer, whose supply could be hedged")
        if window.custodian is not None:
            raise ScenarioError(f"window: {name!r} has its reserve with another hedge already; one agent backs it")
        if window.paid_asset != self._sim.market(self._params.instrument)[1].quote:
            raise ScenarioError(f"window: the reserve of {name!r} is not what {self._params.instrument!r} is quoted in")
        window.back(account, exchange)

    def _borrow(self, exchange: Exchange, account: int, balances: dict[str, float]) -> None:
        """The debts of its table, or what makes collateral value over equity its wanted leverage (below 1: cash)."""
        sim, params = self._sim, self._params
        assert isinstance(params, AccountParams)
        for asset, amount in params.debts.items():
            owe(sim, exchange, account, asset, amount)
        leverages: tuple[float, ...] = getattr(params, "leverage", None) or ()
        if not leverages:
            return
        leverage = leverages[min(self._number, len(leverages) - 1)]
        numeraire = sim.file.scenario.numeraire
        value = sum(amount * sim.asset_value(asset) for asset, amount in balances.items() if asset != numeraire)
        cash = value / leverage - value
        if cash >= 0:
            sim.issue(account, numeraire, cash)
        else:
            owe(sim, exchange, account, numeraire, -cash)

    def _watch(self, exchange: Exchange, account: int) -> None:
        accounts: Feed[AccountView] = Feed()
        self._sim.feeds.accounts[account] = accounts
        exchange.watch_account(account, lambda view: accounts.publish(view.time_ns, view))

    def _fill_elsewhere(self, venue: str, amounts: dict[str, float]) -> None:
        sim, params = self._sim, self._params
        if venue == CHAIN:
            account = self._chain_account()
        else:
            exchange = sim.exchanges[venue]
            account = self._accounts.get(venue) or self._open(exchange, f"{self._name}@{venue}")
        for asset, amount in amounts.items():
            sim.issue(account, asset, amount)
        if venue != CHAIN:
            assert isinstance(params, AccountParams)
            if params.margin and account not in exchange.margin:
                exchange.margin.enroll(account)
                self._watch(exchange, account)
            elif not params.margin:
                exchange.require_funds(account)

    def _take_position(self, instrument: str, amount: float) -> None:
        """A perpetual position at the start price, the world outside on the other side."""
        sim = self._sim
        exchange, market = sim.market(instrument)
        contract = market.contract
        if contract is None:
            raise ScenarioError(f"contracts.{instrument}: is no perpetual")
        account = self._accounts.get(exchange.name)
        if account is None or account not in exchange.margin:
            raise ScenarioError(f"contracts.{instrument}: a position needs a margin account on {exchange.name!r}")
        lots = round(abs(amount) / float(market.lot))
        if lots:
            ticks = market.book.tick_grid.floor(sim.start_price(instrument))
            outside = sim.ledger.account(f"{exchange.name}.outside")
            buyer, seller = (account, outside) if amount > 0 else (outside, account)
            contract.trade(buyer, seller, lots, ticks, exchange.margin)

    # --- connections ------------------------------------------------------------------------------------------------

    def _purse(self, venue: str, name: str) -> Purse | None:
        sim = self._sim
        if sim.desk is None:
            return None
        account = self._accounts[venue]
        return Purse(sim.clock, sim.ledger, sim.desk, name, account, venue, *self._latency, sim.withdrawals)

    def _chain_account(self) -> int:
        if CHAIN not in self._accounts:
            self._accounts[CHAIN] = self._sim.account(f"{self._name}@{CHAIN}", self._params.kind)
        return self._accounts[CHAIN]

    def _windows(self) -> tuple[Purse | None, dict[str, WindowGateway]]:
        sim, params = self._sim, self._params
        names = [name for _, name in named_windows(params)]
        on_chain = CHAIN in getattr(params, "elsewhere", {})
        if not names and not on_chain:
            return None, {}
        self._chain_account()
        purse = self._purse(CHAIN, f"{self._name}@{CHAIN}")
        assert purse is not None
        windows = {
            name: WindowGateway(
                sim.clock,
                f"{self._name}@{name}",
                purse,
                sim.windows[name].actions,
                sim.windows[name].is_open,
                *self._latency,
                figures=sim.windows[name].figures,
            )
            for name in names
        }
        return purse, windows

    def _lenders_on(self, market: Market, account: int) -> tuple[LenderGateway, ...]:
        if self._class.is_crowd:
            return ()
        return tuple(
            self._lender(name, account) for name, lender in self._sim.lenders.items() if lender.market is market
        )

    def _own_lender(self, account: int) -> dict[str, LenderGateway]:
        name = getattr(self._params, "lender", None)
        return {} if name is None else {name: self._lender(name, account)}

    def _lender(self, name: str, account: int) -> LenderGateway:
        sim = self._sim
        return LenderGateway(sim.clock, sim.lenders[name], sim.feeds, self._name, account, *self._latency)

    def _latencies(self) -> _Latencies:
        sim, params = self._sim, self._params
        models: list[LatencyModel] = []
        for kind, ns in (("order", params.order_latency), ("feed", params.feed_latency)):
            model: LatencyModel = ConstantLatency(ns)
            if params.latency_sigma and ns:
                stream: Stream = sim.streams.stream(f"{self._stream.name}/{kind}-latency")
                model = LognormalLatency(ns, params.latency_sigma, stream)
            for window in sim.file.exogenous:
                if isinstance(window, SlowNetwork) and self._table in window.agents:
                    model = DegradedLatency(model, window.at, window.until, window.factor)
            models.append(model)
        return _Latencies(*models)


def spec_of(sim: Simulation, exchange: Exchange, market: Market) -> InstrumentSpec:
    """Public facts of an instrument."""
    return InstrumentSpec(
        market.instrument_id,
        market.name,
        sim.ledger.asset_name(market.base),
        sim.ledger.asset_name(market.quote),
        float(market.tick),
        float(market.lot),
        market.base_per_lot,
        market.quote_per_tick_lot,
        sim.ledger.quantum(market.quote),
        sim.ledger.quantum(market.base),
        market.kind,
        exchange.name,
        sim.file.venues[exchange.name].taker_fee_bps / 10_000,
    )
