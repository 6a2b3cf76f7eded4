"""A stage with a lender whose loans belong to one crowd of borrowers."""

from lobsim.agents import Context, agent_kinds
from lobsim.agents.base import Connections
from lobsim.credit import Flow, LoanBook, LoanTerms
from lobsim.events import EventKind
from lobsim.sim.feed import Feed
from lobsim.sim.gateway import LenderGateway
from lobsim.sim.latency import ConstantLatency
from lobsim.units import NS_PER_MS
from lobsim.venue.lender import Lender
from lobsim.venue.market import LastPriceMark
from tests.agents.stage import Stage
from tests.venue.builders import ALT, BASE, TICK_LOT, USDT

EXCHANGE = LoanTerms(780_000, 850_000, 910_000, close_factor_ppm=1_000_000, liquidation_bonus_ppm=20_000)
CHAIN = LoanTerms(900_000, 920_000, 930_000, close_factor_ppm=500_000, liquidation_bonus_ppm=20_000)


class Peg:
    """An oracle that knows only one price."""

    def __init__(self, ticks):
        self.ticks = ticks

    def update(self, book, time_ns):
        return self.ticks


class Lending(Stage):
    """Loans of `collateral` ALT quanta at 1.00 (100 USDT quanta each); `pegged`: the lender goes on believing that."""

    def __init__(self, *debts, terms=CHAIN, pegged=True, collateral=10_000, seed=1):
        super().__init__(seed=seed)
        self.account = self.ledger.open_account("borrowers", overdraft=True)
        cash = self.ledger.open_account("lender.cash", overdraft=True)
        loans = LoanBook("lender", self.ledger, ALT, USDT, terms, cash)
        for debt in debts:
            self.ledger.issue(self.account, ALT, collateral, Flow.DEPOSIT)
            loans.open(self.account, collateral, debt, (100 * TICK_LOT, BASE))
            self.ledger.burn(self.account, USDT, debt, Flow.WITHDRAW)
        oracle = Peg(100) if pegged else LastPriceMark()
        self.lender = Lender("lender", self.clock, self.log, self.ledger, loans, self.market, oracle)
        self.feeds.breached["lender"], self.feeds.called["lender"] = Feed(), Feed()
        self.lender.publish = lambda ids: self.feeds.breached["lender"].publish(self.clock.now, ids)
        self.lender.publish_called = lambda ids: self.feeds.called["lender"].publish(self.clock.now, ids)
        self.trade(100)
        self.lender.update()
        self.publish()

    def borrowers(self, kind, latency_ms=10, **values):
        """The crowd that has all loans."""
        latency = {"order_latency": f"{latency_ms}ms", "feed_latency": f"{latency_ms}ms"}
        params = self.params(kind, lender="lender", **{**latency, **values})
        crowd = self.crowd_gateway("elsewhere", params.order_latency, params.feed_latency)
        crowd.account_id = self.account
        delay = ConstantLatency(latency_ms * NS_PER_MS)
        door = LenderGateway(self.clock, self.lender, self.feeds, kind, self.account, delay, delay)
        connections = Connections(lenders={"lender": door})
        stream = self.streams.stream(kind)
        context = Context(self.clock, kind, 0, self.spec, stream, None, crowd, connections=connections)
        context.note = lambda *note: self.notes.append((self.clock.now, *note))
        agent = agent_kinds()[kind](params, context)
        agent.start()
        return agent

    def price(self, second, ticks):
        """A print of the crowd's, at that moment; everybody is told."""
        self.seconds(second)
        self.trade(ticks)
        self.lender.update()
        self.publish()

    def bid(self, ticks, lots=1_000_000):
        self.order(self.pool, 0, lots, ticks)
        self.publish()

    def wait(self, *seconds):
        """Let time pass; the lender and the exchange publish at each of these moments."""
        for second in seconds:
            self.seconds(second)
            self.lender.update()
            self.publish()

    def sold(self, purpose):
        """(second, lots, price) of own sales."""
        return [
            (event[1] / 10**9, event[6], event[5])
            for event in self.log.of(EventKind.TRADE)
            if event[7] == purpose and event[9] == self.account
        ]

    def debts(self):
        return [view.debt for view in self.lender.loans_of(self.account)]

    def pledged(self):
        return [view.collateral for view in self.lender.loans_of(self.account)]

    def prove(self):
        """Everything adds up, and what was taken out or brought is where it should be."""
        self.check()
        self.lender.check()
