"""A small exchange by hand: one market, a ledger with system accounts, and a record of everything that was recorded."""

from decimal import Decimal

from lobsim.credit import ALL_AT_ONCE, AssetTerms, CrossMargin, Flow, Ledger, LoanBook, LoanTerms
from lobsim.events import CancelAll, CancelOrder, EventKind, ReplaceOrder, SelfTrade, Side, SubmitOrder, TimeInForce
from lobsim.sim.clock import Clock
from lobsim.venue.exchange import Exchange, FeeModel
from lobsim.venue.lender import Lender
from lobsim.venue.market import Market
from lobsim.venue.marks import LastPriceMark

USDT, ALT = 0, 1
BASE, TICK_LOT = 10, 10  # quanta of ALT in a lot; quanta of USDT that one lot costs per tick
BUY, SELL = Side.BUY, Side.SELL
IOC = TimeInForce.IOC
LOAN_TERMS = LoanTerms(780_000, 850_000, 910_000, close_factor_ppm=1_000_000, liquidation_bonus_ppm=20_000)
TERMS = {USDT: AssetTerms(1_000_000, 100_000), ALT: AssetTerms(800_000, 100_000)}


class Log:
    """Takes what an exchange records, and keeps it."""

    def __init__(self):
        self.seen, self.quotes, self.keyframes, self.states, self.credits = [], [], [], [], []

    def events(self, instrument_id, events):
        self.seen.extend(events)

    def quote(self, *quote):
        self.quotes.append(quote)

    def depth(self, *keyframe):
        self.keyframes.append(keyframe)

    def account(self, *state):
        self.states.append(state)

    def credit(self, *row):
        self.credits.append(row)

    def credit_kinds(self):
        return [row[1] for row in self.credits]

    def of(self, kind):
        return [event for event in self.seen if event[0] == kind]


class Session:
    """Reports arrive at once."""

    def __init__(self, account_id):
        self.account_id = account_id
        self.reports = []

    def report(self, instrument_id, events):
        self.reports.extend(events)


class Desk:
    """One exchange with ALT-USDT: tick 0.01 USDT, lot 1 ALT."""

    def __init__(
        self, *, maker_ppm=0, taker_ppm=0, policy=ALL_AT_ONCE, insurance=0, mark=None, seed=1, first_order_id=1
    ):
        self.clock = Clock(seed)
        self.log = Log()
        self.ledger = ledger = Ledger()
        ledger.add_asset("USDT", "0.001")
        ledger.add_asset("ALT", "0.1")
        self.pool = ledger.open_account("pool", overdraft=True)
        self.fees = ledger.open_account("fees")
        self.fund = ledger.open_account("insurance")
        self.outside = ledger.open_account("outside", overdraft=True)
        self.margin = CrossMargin(ledger, self.pool, USDT, TERMS)
        self.exchange = Exchange(
            "exchange",
            self.clock,
            ledger,
            self.margin,
            self.log,
            fee_account=self.fees,
            insurance_account=self.fund,
            outside_account=self.outside,
            fees=FeeModel(maker_ppm, taker_ppm),
            sale_policy=policy,
            first_order_id=first_order_id,
        )
        self.market = Market(0, "ALT-USDT", "ALT", "USDT", Decimal("0.01"), Decimal(1), ledger, mark or LastPriceMark())
        self.book = self.market.book
        self.views = []
        self.states = []  # what margin accounts are told
        self.exchange.add_market(self.market, lambda time_ns, view: self.views.append((time_ns, view)))
        self.crowd = ledger.open_account("crowd", overdraft=True)
        if insurance:
            ledger.issue(self.fund, USDT, insurance, Flow.DEPOSIT)

    def lend(self, *debts, insurance=0, terms=LOAN_TERMS, name="lender", collateral=1_000):
        """A lender of this market; each loan pledges `collateral` ALT quanta at 1.00 (100 USDT quanta each)."""
        cash = self.ledger.open_account(f"{name}.cash", overdraft=True)
        reserve = self.ledger.open_account(f"{name}.insurance")
        self.ledger.issue(reserve, USDT, insurance, Flow.DEPOSIT)
        loans = LoanBook(name, self.ledger, ALT, USDT, terms, cash, reserve)
        for number, debt in enumerate(debts):
            account = self.ledger.open_account(f"{name}.borrower-{number + 1}")
            self.ledger.issue(account, ALT, collateral, Flow.DEPOSIT)
            loans.open(account, collateral, debt, (100 * TICK_LOT, BASE))
            self.ledger.burn(account, USDT, debt, Flow.WITHDRAW)
        return Lender(name, self.clock, self.log, self.ledger, loans, self.market, LastPriceMark())

    def spot(self, name, usdt=0, alt=0):
        account = self._account(name, usdt, alt)
        self.exchange.require_funds(account)
        return account

    def unified(self, name, usdt=0, alt=0, debt=0):
        """A margin account; `debt` USDT quanta were borrowed and spent."""
        account = self._account(name, usdt, alt)
        self.margin.enroll(account)
        self.exchange.watch_account(account, self.states.append)
        if debt:
            self.margin.borrow(account, USDT, debt)
            self.ledger.burn(account, USDT, debt, Flow.WITHDRAW)
        return account

    def _account(self, name, usdt, alt):
        account = self.ledger.open_account(name)
        self.ledger.issue(account, USDT, usdt, Flow.DEPOSIT)
        self.ledger.issue(account, ALT, alt, Flow.DEPOSIT)
        return account

    def order(self, account, side, qty, price=None, tif=TimeInForce.GTC, *, order_id=None, self_trade=None, **terms):
        """Send an order as a session's command; its id."""
        order_id = order_id if order_id is not None else self.exchange.next_order_id()
        command = SubmitOrder(
            order_id,
            side,
            qty,
            price,
            tif=tif,
            owner=account,
            self_trade=SelfTrade.CANCEL_NEWEST if self_trade is None else self_trade,
            **terms,
        )
        self.exchange.handle(account, 0, [command])
        return order_id

    def cancel(self, account, order_id):
        self.exchange.handle(account, 0, [CancelOrder(order_id)])

    def cancel_all(self, account):
        self.exchange.handle(account, 0, [CancelAll(account)])

    def replace(self, account, order_id, qty, price):
        self.exchange.handle(account, 0, [ReplaceOrder(order_id, qty, price)])

    def trade(self, price, qty=1):
        """Let the crowd print a price with itself; nobody else's orders may lie in between."""
        self.order(self.crowd, BUY, qty, price, self_trade=SelfTrade.ALLOW)
        self.order(self.crowd, SELL, qty, price, IOC, self_trade=SelfTrade.ALLOW)

    def mark(self):
        self.exchange.mark(record=True)

    def at(self, time_ns):
        self.clock.run_until(time_ns)
        return self

    def usdt(self, account):
        return self.ledger.balance(account, USDT)

    def alt(self, account):
        return self.ledger.balance(account, ALT)

    def held(self, account):
        return self.ledger.held(account, USDT), self.ledger.held(account, ALT)

    def reasons(self):
        """Reasons of all rejections so far."""
        kinds = (EventKind.REJECTED, EventKind.REPLACE_REJECTED)
        return [event[7] for event in self.log.seen if event[0] in kinds]

    def check(self):
        self.exchange.check()
        assert set(self.ledger.imbalance().values()) == {0}
