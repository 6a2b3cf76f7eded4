"""Put a simulation together from a checked scenario: assets, accounts, books, loans, agents, shocks, timers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lobsim.agents import Agent
from lobsim.credit import Flow, Ledger, Mark
from lobsim.errors import LobsimError, ScenarioError
from lobsim.records import AccountInfo, InstrumentInfo, RunHeader
from lobsim.scenario.happenings import FeedStall, Shock, WithdrawalHalt
from lobsim.scenario.load import Scenario
from lobsim.scenario.parts_agents import AgentBuilder
from lobsim.scenario.parts_credit import build_lender, open_positions, open_whales
from lobsim.scenario.parts_markets import (
    BuiltWindow,
    build_desk,
    build_exchange,
    build_mark,
    build_market,
    build_window,
    funding_terms,
)
from lobsim.scenario.wiring import Marker, RecorderProxy, ppm
from lobsim.sim.clock import Clock, EventClass, every, session_key
from lobsim.sim.feed import Feed
from lobsim.sim.gateway import Feeds
from lobsim.sim.recorder import Recorder
from lobsim.sim.reference import Factor, ReferenceValue
from lobsim.sim.streams import Streams
from lobsim.venue.exchange import Exchange
from lobsim.venue.lender import Lender
from lobsim.venue.market import Market
from lobsim.venue.transfers import TransferDesk


class Simulation:
    """Everything of one run. `recorder` is attached last, when all accounts exist, and before anything happens."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        file = scenario.file
        self.file = file
        self.seed = seed
        self.start_ns_of_day = scenario.start_ns_of_day
        self.clock = Clock(seed)
        self.streams = Streams(seed)
        self.feeds = Feeds()
        self.withdrawals: Feed[Mapping[tuple[str, str], bool]] = Feed()
        self.ledger = Ledger()
        self.proxy = RecorderProxy()
        self.factors: dict[str, Factor] = {}
        self.references: dict[str, ReferenceValue] = {}
        self.exchanges: dict[str, Exchange] = {}
        self.lenders: dict[str, Lender] = {}
        self.windows: dict[str, BuiltWindow] = {}
        self.borrowers: dict[str, int] = {}
        self.agents: list[Agent] = []
        self.kinds: dict[int, str] = {}
        self.shock_ns = min((event.at for event in file.exogenous if isinstance(event, Shock)), default=None)
        self._markets: dict[str, tuple[Exchange, Market]] = {}
        for name, asset in file.assets.items():
            self.ledger.add_asset(name, asset.quantum)
        self._build_references()
        for name, venue in file.venues.items():
            with _blamed(scenario, f"venues.{name}"):
                self.exchanges[name] = build_exchange(self, name, venue)
        self._build_markets(scenario)
        self.desk: TransferDesk | None = build_desk(self)
        for name, window in file.windows.items():
            with _blamed(scenario, f"windows.{name}"):
                self.windows[name] = build_window(self, name, window)
        for name, lender in file.lenders.items():
            with _blamed(scenario, f"lenders.{name}"):
                self.lenders[name] = build_lender(self, name, lender)
        for name, positions in file.positions.items():
            with _blamed(scenario, f"positions.{name}"):
                open_positions(self, name, positions)
        for name, whales in file.whales.items():
            with _blamed(scenario, f"whales.{name}"):
                open_whales(self, name, whales)
        for name, params in file.agents.items():
            if params.enabled:
                with _blamed(scenario, f"agents.{name}"):
                    for number in range(params.count):
                        own = name if params.count == 1 else f"{name}-{number + 1}"
                        AgentBuilder(self, own, number, params, name).build()

    # --- parts ------------------------------------------------------------------------------------------------------

    def _build_references(self) -> None:
        for name, factor in self.file.factors.items():
            stream = self.streams.stream(f"factor/{name}")
            self.factors[name] = Factor(self.clock, name, factor.volatility, factor.interval, stream, factor.until)
        for name, reference in self.file.references.items():
            feed: Feed[float] = Feed()
            self.feeds.references[name] = feed
            self.references[name] = ReferenceValue(
                self.clock,
                name,
                float(reference.start),
                reference.volatility,
                reference.interval,
                self.streams.stream(f"reference/{name}"),
                feed,
                [(self.factors[factor], beta) for factor, beta in reference.betas.items()],
                reference.until,
            )

    def _build_markets(self, scenario: Scenario) -> None:
        tables = self.file.instruments
        for number, (name, table) in enumerate(tables.items()):
            exchange = self.exchanges[table.venue] if table.venue else next(iter(self.exchanges.values()))
            feed = self.feeds.markets[number] = Feed()
            with _blamed(scenario, f"instruments.{name}"):
                market = build_market(self, number, name, table, exchange)
                exchange.add_market(market, feed.publish, funding_terms(self, table))
            self._markets[name] = (exchange, market)
        for name, (_, market) in self._markets.items():
            market.mark_model = build_mark(self, tables[name].mark, market.tick)

    # --- what the parts are built with --------------------------------------------------------------------------------

    def account(self, name: str, kind: str, *, overdraft: bool = False) -> int:
        """Open a ledger account; `kind` is what the manifest calls its owner."""
        account = self.ledger.open_account(name, overdraft=overdraft)
        self.kinds[account] = kind
        return account

    def issue(self, account: int, asset: str, amount: float) -> int:
        """Bring `amount` of an asset into being on an account; returns its quanta."""
        number = self.ledger.asset(asset)
        quanta = int(amount / float(self.ledger.quantum(number)))
        self.ledger.issue(account, number, quanta, Flow.DEPOSIT)
        return quanta

    def borrower(self, lender: str) -> int | None:
        """The account of the agent that manages a lender's loans, None where every loan has its own."""
        for name, params in self.file.agents.items():
            if getattr(params, "lender", None) == lender:
                return self._held_by(name)
        return None

    def position_holder(self, population: str) -> int | None:
        """The account of the agent that manages a population's positions, None where nobody does."""
        for name, params in self.file.agents.items():
            if population in (getattr(params, "positions", None) or ()):
                return self._held_by(name)
        return None

    def _held_by(self, agent: str) -> int:
        """An agent's account, opened before the agent is built because something belongs to it already."""
        if agent not in self.borrowers:
            self.borrowers[agent] = self.account(agent, self.file.agents[agent].kind, overdraft=True)
        return self.borrowers[agent]

    def market(self, instrument: str) -> tuple[Exchange, Market]:
        """The exchange and the book of a named instrument."""
        return self._markets[instrument]

    def start_price(self, instrument: str) -> float:
        """What the base asset is worth at the start, in the quote asset: the reference of that name."""
        reference = self.file.references.get(self.file.instruments[instrument].base)
        return float(reference.start) if reference is not None else 1.0

    def asset_value(self, asset: str) -> float:
        """What an asset is worth at the start in the numeraire, along its first spot instrument."""
        value = 1.0
        for _ in self.file.assets:
            if asset == self.file.scenario.numeraire:
                return value
            for name, table in self.file.instruments.items():
                if table.base == asset and table.kind == "spot":
                    value *= self.start_price(name)
                    asset = table.quote
                    break
        raise ScenarioError(f"{asset} has no spot instrument along which it could be valued")

    def start_marks(self, exchange: Exchange) -> dict[int, Mark]:
        """Marks of a venue's assets at the start prices; also sets those of its perpetuals."""
        before = {}
        for market in exchange.markets:
            before[market.name] = market.mark_price
            market.mark_price = max(1, market.book.tick_grid.floor(self.start_price(market.name)))
            if market.contract is not None:
                market.contract.mark_price = market.mark_price
        marks = exchange.marks()
        for market in exchange.markets:
            market.mark_price = before[market.name]
        return marks

    # --- running ----------------------------------------------------------------------------------------------------

    def header(self, scenario: Scenario) -> RunHeader:
        """What the manifest says before anything happens."""
        file = self.file
        instruments = [
            InstrumentInfo(
                market.instrument_id,
                market.name,
                self.ledger.asset_name(market.base),
                self.ledger.asset_name(market.quote),
                f"{market.tick:f}",
                f"{market.lot:f}",
                f"{self.ledger.quantum(market.quote):f}",
                market.kind,
                exchange.name,
            )
            for exchange, market in self._markets.values()
        ]
        accounts = [
            AccountInfo(number, name, self.kinds.get(number, "system"))
            for number, name in enumerate(self.ledger.accounts, start=1)
        ]
        assets = {name: f"{table.quantum:f}" for name, table in file.assets.items()}
        volumes = {name: table.daily_volume for name, table in file.instruments.items() if table.daily_volume}
        return RunHeader(
            scenario=file.scenario.name,
            scenario_toml=scenario.text,
            seed=self.seed,
            start_utc=file.scenario.start_utc,
            instruments=instruments,
            accounts=accounts,
            assets=assets,
            numeraire=file.scenario.numeraire,
            groups=file.groups,
            targets=scenario.targets(),
            mechanisms={name: table.model_dump() for name, table in file.mechanisms.items()},
            focus=file.scenario.focus or "",
            volumes=volumes,
        )

    def start(self, recorder: Recorder) -> None:
        """Attach the recorder, arm all timers and shocks, start the agents."""
        self.proxy.attach(recorder)
        clock = self.clock
        header = self.file.scenario
        for name, exchange in self.exchanges.items():
            venue = self.file.venues[name]
            every(clock, EventClass.DELIVERY, f"{name}/feed", venue.feed_interval, exchange.publish_views)
            marker = Marker(exchange, header.account_interval)
            every(clock, EventClass.MARK, f"{name}/mark", venue.mark_interval, marker.mark)
            every(clock, EventClass.RECORD, f"{name}/depth", header.depth_interval, exchange.keyframe)
        for name, lender in self.lenders.items():
            every(clock, EventClass.MARK, f"{name}/oracle", self.file.lenders[name].update_interval, lender.update)
        if any(window.supplies for window in self.windows.values()):
            self._record_supplies()
            every(clock, EventClass.RECORD, "supplies", header.account_interval, self._record_supplies)
        for event in self.file.exogenous:
            self._schedule(event)
        for agent in self.agents:
            agent.start()

    def _record_supplies(self) -> None:
        """How much there is of every asset that a window issues."""
        for window in self.windows.values():
            for asset, supply in window.supplies.items():
                self.proxy.credit(self.clock.now, "supply", 0, None, asset, supply(), None, None)

    def _schedule(self, event: object) -> None:
        clock, key = self.clock, session_key(self.seed, "exogenous")
        if isinstance(event, Shock):
            clock.call_at(event.at, EventClass.EXOGENOUS, key, self._shock, event)
        elif isinstance(event, FeedStall):
            clock.call_at(event.at, EventClass.EXOGENOUS, key, self._stall_feed, event)
        elif isinstance(event, WithdrawalHalt) and event.enabled and self.desk is not None:
            clock.call_at(event.at, EventClass.EXOGENOUS, key, self._halt_withdrawals, event)
            if event.until is not None:
                clock.call_at(event.until, EventClass.EXOGENOUS, key, self._resume_withdrawals, event)

    def _shock(self, event: Shock) -> None:
        if event.factor is not None:
            self.factors[event.factor].jump(event.change)
        else:
            assert event.reference is not None
            self.references[event.reference].jump(event.change)
        self.proxy.milestone(self.clock.now, f"shock {event.factor or event.reference}", ppm(event.change), "ppm")

    def _stall_feed(self, event: FeedStall) -> None:
        self.exchanges[event.venue].stall(event.until)
        self.proxy.milestone(self.clock.now, f"feed_stalled {event.venue}", event.until - event.at, "ns")

    def _halt_withdrawals(self, event: WithdrawalHalt) -> None:
        assert self.desk is not None
        self.desk.halt(event.venue, event.assets)
        self.proxy.milestone(self.clock.now, f"withdrawals_halted {event.venue}", None, "")

    def _resume_withdrawals(self, event: WithdrawalHalt) -> None:
        assert self.desk is not None
        self.desk.resume(event.venue, event.assets)
        self.proxy.milestone(self.clock.now, f"withdrawals_resumed {event.venue}", None, "")

    @property
    def messages(self) -> int:
        """Order messages that reached the exchanges."""
        return sum(exchange.messages for exchange in self.exchanges.values())

    def check(self) -> dict[str, int]:
        """Prove books, ledger, margin, contracts, loans, transfers and windows; returns the imbalance per asset."""
        for exchange in self.exchanges.values():
            exchange.check()
        for lender in self.lenders.values():
            lender.check()
        if self.desk is not None:
            self.desk.check()
        for window in self.windows.values():
            window.window.check()
        return self.ledger.imbalance()


@contextmanager
def _blamed(scenario: Scenario, key: str) -> Iterator[None]:
    """Say which table of which file an economy fails at."""
    try:
        yield
    except LobsimError as error:
        raise ScenarioError(f"{scenario.path}: {key}: {error}") from None
