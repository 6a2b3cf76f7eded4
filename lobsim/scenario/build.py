"""Put a simulation together from a checked scenario: assets, accounts, books, loans, agents, shocks, timers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from math import exp

from lobsim.agents import Agent, AgentParams, Context, agent_kinds
from lobsim.agents.market_maker import MarketMakerParams
from lobsim.credit import AssetTerms, CrossMargin, Flow, Ledger, LoanBook, LoanTerms, MarginStatus, SalePolicy
from lobsim.errors import LobsimError, ScenarioError
from lobsim.records import AccountInfo, InstrumentInfo, RunHeader
from lobsim.scenario.happenings import Shock, SlowNetwork
from lobsim.scenario.load import Scenario
from lobsim.scenario.markets import Mark, Venue
from lobsim.scenario.schema import Lender as LenderTable
from lobsim.scenario.wiring import PPM, Marker, Notes, RecorderProxy, ppm
from lobsim.sim.clock import Clock, EventClass, every, session_key
from lobsim.sim.feed import Feed
from lobsim.sim.gateway import CrowdGateway, Feeds, Gateway, InstrumentSpec, LenderGateway
from lobsim.sim.latency import ConstantLatency, DegradedLatency, LatencyModel, LognormalLatency
from lobsim.sim.recorder import Recorder
from lobsim.sim.reference import ReferenceValue
from lobsim.sim.streams import Stream, Streams
from lobsim.sim.tapes import FIRST_FOREIGN_ID
from lobsim.venue.exchange import Exchange, FeeModel
from lobsim.venue.lender import Lender
from lobsim.venue.market import (
    AverageLastMark,
    LastPriceMark,
    Market,
    MarkPriceModel,
    MidPriceMark,
    ReferenceMark,
)
from lobsim.venue.ports import AccountView


class Simulation:
    """Everything of one run. `recorder` is attached last, when all accounts exist, and before anything happens."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        file = scenario.file
        self.file = file
        self.seed = seed
        self.clock = Clock(seed)
        self.streams = Streams(seed)
        self.feeds = Feeds()
        self.ledger = Ledger()
        self.references: dict[str, ReferenceValue] = {}
        self.exchanges: dict[str, Exchange] = {}
        self.lenders: dict[str, Lender] = {}
        self.agents: list[Agent] = []
        self.shock_ns = min((event.at for event in file.exogenous if isinstance(event, Shock)), default=None)
        self._kinds: dict[int, str] = {}
        self._slow = [event for event in file.exogenous if isinstance(event, SlowNetwork)]
        self._proxy = RecorderProxy()
        for name, asset in file.assets.items():
            self.ledger.add_asset(name, asset.quantum)
        self._build_references()
        for name, venue in file.venues.items():
            self._build_exchange(name, venue)
        self._build_markets()
        for name, lender in file.lenders.items():
            with _blamed(scenario, f"lenders.{name}"):
                self._build_lender(name, lender)
        for name, params in file.agents.items():
            if params.enabled:
                with _blamed(scenario, f"agents.{name}"):
                    for number in range(params.count):
                        self._build_agent(name if params.count == 1 else f"{name}-{number + 1}", number, params, name)

    # --- parts ------------------------------------------------------------------------------------------------------

    def _build_references(self) -> None:
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
            )

    def _build_exchange(self, name: str, venue: Venue) -> None:
        ledger = self.ledger
        pool = self._account(f"{name}.pool", "system", overdraft=True)
        fees = self._account(f"{name}.fees", "system")
        insurance = self._account(f"{name}.insurance", "system")
        for asset, amount in venue.insurance.items():
            self._issue(insurance, asset, amount)
        terms = {
            ledger.asset(asset): AssetTerms(
                ppm(table.collateral_ratio), ppm(table.maintenance_rate), ppm(table.interest_rate)
            )
            for asset, table in self.file.assets.items()
        }
        margin = CrossMargin(ledger, pool, ledger.asset(self.file.scenario.numeraire), terms)
        sale = venue.account_liquidation
        policy = SalePolicy("slices", ppm(sale.fraction), sale.pause, ppm(sale.target_level)) if sale.enabled else None
        self.exchanges[name] = Exchange(
            name,
            self.clock,
            ledger,
            margin,
            self._proxy,
            fee_account=fees,
            insurance_account=insurance,
            outside_account=self._account(f"{name}.outside", "system", overdraft=True),
            fees=FeeModel(ppm(venue.maker_fee_bps / 10_000), ppm(venue.taker_fee_bps / 10_000)),
            sale_policy=policy,
            first_order_id=FIRST_FOREIGN_ID if self.file.tapes else 1,  # a tape's orders keep their recorded ids
        )

    def _build_markets(self) -> None:
        for number, (name, table) in enumerate(self.file.instruments.items()):
            exchange = self._exchange(table.venue)
            feed = self.feeds.markets[number] = Feed()
            market = Market(
                number,
                name,
                table.base,
                table.quote,
                Decimal(table.tick),
                Decimal(table.lot),
                self.ledger,
                self._mark_model(table.mark, table.tick),
            )
            exchange.add_market(market, feed.publish)

    def _build_lender(self, name: str, table: LenderTable) -> None:
        ledger = self.ledger
        _, market = self.market(table.instrument)
        cash = self._account(f"{name}.cash", "system", overdraft=True)
        insurance = self._account(f"{name}.insurance", "system")
        quote = ledger.asset_name(market.quote)
        if table.insurance:
            self._issue(insurance, quote, table.insurance)
        terms = LoanTerms(
            ppm(table.max_ltv),
            ppm(table.margin_call_ltv),
            ppm(table.liquidation_ltv),
            close_factor_ppm=ppm(table.close_factor),
            liquidation_bonus_ppm=ppm(table.bonus),
            interest_ppm=ppm(table.interest_rate),
        )
        loans = LoanBook(name, ledger, market.base, market.quote, terms, cash, insurance)
        self._kinds[loans.custody] = "system"
        feed: Feed[tuple[int, ...]] = Feed()
        self.feeds.breached[name] = feed
        lender = Lender(
            name, self.clock, self._proxy, ledger, loans, market, self._mark_model(table.oracle, market.tick)
        )
        lender.publish = lambda breached: feed.publish(self.clock.now, breached)
        self.lenders[name] = lender
        self._open_loans(name, table, lender, self._start_price(table.instrument))

    def _open_loans(self, name: str, table: LenderTable, lender: Lender, price: float) -> None:
        population = table.loans
        stream = self.streams.stream(f"loans/{name}")
        sizes = [exp(population.size_sigma * stream.normal()) for _ in range(population.count)]
        scale = population.collateral / sum(sizes)
        shares = stream.generator("ltv").beta(*population.ltv_shape, size=population.count).tolist()
        market = lender.market
        ticks = market.book.tick_grid.floor(price)
        mark = (ticks * market.quote_per_tick_lot, market.base_per_lot)
        base, quote = self.ledger.asset_name(market.base), self.ledger.asset_name(market.quote)
        for number in range(population.count):
            account = self._account(f"{name}-{number + 1}", "borrower")
            ltv = population.ltv_low + (population.ltv_high - population.ltv_low) * shares[number]
            collateral = self._issue(account, base, sizes[number] * scale)
            principal = collateral * mark[0] // mark[1] * ppm(ltv) // PPM
            if principal:
                lender.loans.open(account, collateral, principal, mark)
                self.ledger.burn(account, self.ledger.asset(quote), principal, Flow.WITHDRAW)  # spent elsewhere

    def _build_agent(self, name: str, number: int, params: AgentParams, table: str) -> None:
        agent_class = agent_kinds()[params.kind]
        exchange, market = self.market(params.instrument)
        stream = self.streams.stream(f"agents/{name}")
        account = self._account(name, params.kind, overdraft=agent_class.is_crowd)
        orders, feed = self._latencies(params, stream, table)
        gateway = crowd = None
        lenders: tuple[LenderGateway, ...] = ()
        if agent_class.is_crowd:
            crowd = CrowdGateway(
                self.clock,
                exchange,
                self.feeds,
                name,
                account,
                params.order_latency,
                ConstantLatency(params.feed_latency),
            )
        else:
            gateway = Gateway(self.clock, exchange, self.feeds, name, account, orders, feed)
            lenders = tuple(
                LenderGateway(self.clock, lender, self.feeds, name, account, orders, feed)
                for lender in self.lenders.values()
                if lender.market is market
            )
        context = Context(self.clock, name, number, self._spec(market), stream, gateway, crowd, lenders)
        context.note = Notes(self._proxy, self.clock, name)
        if isinstance(params, MarketMakerParams):
            self._fund_maker(exchange, market, account, number, params)
        elif params.kind == "liquidation-bot":
            self._issue(account, self.ledger.asset_name(market.quote), params.capital)  # type: ignore[attr-defined]
            exchange.require_funds(account)
        self.agents.append(agent_class(params, context))

    def _fund_maker(
        self, exchange: Exchange, market: Market, account: int, number: int, params: MarketMakerParams
    ) -> None:
        """Holdings and cash or debt such that collateral value over equity is the wanted leverage at the start."""
        holdings = params.holdings[min(number, len(params.holdings) - 1)]
        leverage = params.leverage[min(number, len(params.leverage) - 1)]
        ledger = self.ledger
        value = holdings * self._start_price(market.name)
        cash = value / leverage - value
        self._issue(account, ledger.asset_name(market.base), holdings)
        exchange.margin.enroll(account)
        if cash >= 0:
            self._issue(account, ledger.asset_name(market.quote), cash)
        else:
            debt = int(-cash / float(ledger.quantum(market.quote)))
            exchange.margin.borrow(account, market.quote, debt)
            ledger.burn(account, market.quote, debt, Flow.WITHDRAW)  # it bought its holdings with it
        ticks = market.book.tick_grid.floor(self._start_price(market.name))
        view = exchange.margin.view(account, {market.base: (ticks * market.quote_per_tick_lot, market.base_per_lot)})
        if view.status == MarginStatus.LIQUIDATION:
            level = "below 0" if view.margin_level_ppm is None else f"{view.margin_level_ppm / PPM:.3f}"
            raise ScenarioError(
                f"leverage: {leverage} puts the account at a margin level of {level} when the run begins, "
                "where the exchange would liquidate it at once"
            )
        accounts: Feed[AccountView] = Feed()
        self.feeds.accounts[account] = accounts
        exchange.watch_account(account, lambda view: accounts.publish(view.time_ns, view))

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _account(self, name: str, kind: str, *, overdraft: bool = False) -> int:
        account = self.ledger.open_account(name, overdraft=overdraft)
        self._kinds[account] = kind
        return account

    def _issue(self, account: int, asset: str, amount: float) -> int:
        number = self.ledger.asset(asset)
        quanta = int(amount / float(self.ledger.quantum(number)))
        self.ledger.issue(account, number, quanta, Flow.DEPOSIT)
        return quanta

    def _exchange(self, name: str | None) -> Exchange:
        return self.exchanges[name] if name is not None else next(iter(self.exchanges.values()))

    def market(self, instrument: str) -> tuple[Exchange, Market]:
        """The exchange and the book of a named instrument."""
        exchange = self._exchange(self.file.instruments[instrument].venue)
        return exchange, next(market for market in exchange.markets if market.name == instrument)

    def _start_price(self, instrument: str) -> float:
        """What the base asset is worth at the start: the reference of that name."""
        table = self.file.instruments[instrument]
        reference = self.file.references.get(table.base)
        return float(reference.start) if reference is not None else 1.0

    def _mark_model(self, mark: Mark, tick: Decimal) -> MarkPriceModel:
        if mark.model == "last":
            return LastPriceMark()
        if mark.model == "mid":
            return MidPriceMark()
        if mark.model == "reference":
            assert mark.reference is not None
            return ReferenceMark(self.references[mark.reference].in_ticks(float(tick)))
        return AverageLastMark(mark.window)

    def _spec(self, market: Market) -> InstrumentSpec:
        return InstrumentSpec(
            market.instrument_id,
            market.name,
            self.ledger.asset_name(market.base),
            self.ledger.asset_name(market.quote),
            float(market.tick),
            float(market.lot),
            market.base_per_lot,
            market.quote_per_tick_lot,
            self.ledger.quantum(market.quote),
        )

    def _latencies(self, params: AgentParams, stream: Stream, table: str) -> tuple[LatencyModel, LatencyModel]:
        models: list[LatencyModel] = []
        for kind, ns in (("order", params.order_latency), ("feed", params.feed_latency)):
            model: LatencyModel = ConstantLatency(ns)
            if params.latency_sigma and ns:
                model = LognormalLatency(ns, params.latency_sigma, self.streams.stream(f"{stream.name}/{kind}-latency"))
            for window in self._slow:
                if table in window.agents:
                    model = DegradedLatency(model, window.at, window.until, window.factor)
            models.append(model)
        return models[0], models[1]

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
            )
            for exchange in self.exchanges.values()
            for market in exchange.markets
        ]
        accounts = [
            AccountInfo(number, name, self._kinds.get(number, "system"))
            for number, name in enumerate(self.ledger.accounts, start=1)
        ]
        assets = {name: f"{table.quantum:f}" for name, table in file.assets.items()}
        return RunHeader(
            scenario=file.scenario.name,
            scenario_toml=scenario.text,
            seed=self.seed,
            start_utc=file.scenario.start_utc,
            instruments=instruments,
            accounts=accounts,
            assets=assets,
            numeraire=file.scenario.numeraire,
        )

    def start(self, recorder: Recorder) -> None:
        """Attach the recorder, arm all timers and shocks, start the agents."""
        self._proxy.attach(recorder)
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
        for event in self.file.exogenous:
            if isinstance(event, Shock):
                key = session_key(self.seed, "exogenous")
                clock.call_at(event.at, EventClass.EXOGENOUS, key, self._shock, event)
        for agent in self.agents:
            agent.start()

    def _shock(self, event: Shock) -> None:
        self.references[event.reference].jump(event.change)
        self._proxy.milestone(self.clock.now, f"shock {event.reference}", ppm(event.change), "ppm")

    @property
    def messages(self) -> int:
        """Order messages that reached the exchanges."""
        return sum(exchange.messages for exchange in self.exchanges.values())

    def check(self) -> dict[str, int]:
        """Prove books, ledger, margin and loans; returns the imbalance per asset (all 0)."""
        for exchange in self.exchanges.values():
            exchange.check()
        for lender in self.lenders.values():
            lender.check()
        return self.ledger.imbalance()


@contextmanager
def _blamed(scenario: Scenario, key: str) -> Iterator[None]:
    """Say which table of which file an economy fails at."""
    try:
        yield
    except LobsimError as error:
        raise ScenarioError(f"{scenario.path}: {key}: {error}") from None
