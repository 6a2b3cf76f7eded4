"""Small economies for the tests: a unified account beside a plain one, and a lending market."""

from lobsim.credit import AssetTerms, CrossMargin, Flow, Ledger, LoanBook, LoanTerms
from lobsim.units import NS_PER_DAY

USDT, ALT, WBETH = 0, 1, 2
MARGIN_TERMS = {
    USDT: AssetTerms(1_000_000, 100_000, 200_000),
    ALT: AssetTerms(800_000, 100_000),
    WBETH: AssetTerms(950_000, 50_000),
}
LOAN_TERMS = LoanTerms(780_000, 850_000, 910_000)
YEAR_NS = 365 * NS_PER_DAY
PAR = (1, 1)


class Bench:
    """A ledger with a pool, a unified account, and a plain one that has everything."""

    def __init__(self, terms=MARGIN_TERMS, *, overdraft=True, pool_cash=0):
        self.ledger = Ledger()
        for name in ("USDT", "ALT", "WBETH"):
            self.ledger.add_asset(name, "0.01")
        self.pool = self.ledger.open_account("pool", overdraft=overdraft)
        self.maker = self.ledger.open_account("maker")
        self.plain = self.ledger.open_account("plain")
        self.margin = CrossMargin(self.ledger, self.pool, USDT, terms)
        self.margin.enroll(self.maker)
        for asset in (USDT, ALT, WBETH):
            self.ledger.issue(self.plain, asset, 10**15, Flow.DEPOSIT)
            if pool_cash:
                self.ledger.issue(self.pool, asset, pool_cash, Flow.DEPOSIT)

    def owe(self, asset, amount):
        """Borrow and take it out of the account: a liability without the cash."""
        self.margin.borrow(self.maker, asset, amount)
        self.ledger.transfer(self.maker, self.plain, asset, amount, Flow.WITHDRAW)

    def have(self, asset, amount):
        self.ledger.issue(self.maker, asset, amount, Flow.DEPOSIT)

    def check(self):
        self.ledger.check()
        self.margin.check()


class Market:
    """A loan book with a rich lender, borrower and bot, and an insurance account."""

    def __init__(self, terms=LOAN_TERMS, *, insurance=0, cash=10**30):
        self.ledger = Ledger()
        for name in ("USDT", "ALT"):
            self.ledger.add_asset(name, "0.01")
        self.lender = self.ledger.open_account("lender")
        self.fund = self.ledger.open_account("insurance")
        self.whale = self.ledger.open_account("whale")
        self.bot = self.ledger.open_account("bot")
        self.loans = LoanBook("alt-loans", self.ledger, ALT, USDT, terms, self.lender, self.fund)
        self.ledger.issue(self.lender, USDT, cash, Flow.DEPOSIT)
        self.ledger.issue(self.fund, USDT, insurance, Flow.DEPOSIT)
        self.ledger.issue(self.whale, ALT, 10**30, Flow.DEPOSIT)
        self.ledger.issue(self.bot, USDT, 10**30, Flow.DEPOSIT)

    def open(self, collateral, principal, mark=PAR, *, over_limit=True):
        return self.loans.open(self.whale, collateral, principal, mark, over_limit=over_limit)

    def owns(self, account):
        return self.ledger.balance(account, ALT), self.ledger.balance(account, USDT)

    def check(self):
        self.ledger.check()
        self.loans.check()
        assert self.ledger.imbalance() == {"ALT": 0, "USDT": 0}


def at_ltv(percent, terms=LOAN_TERMS, **keys):
    """A market with one loan of 1,000,000 against collateral of 1,000,000, and the mark at which it has that LTV."""
    market = Market(terms, **keys)
    loan_id = market.open(1_000_000, 1_000_000)
    return market, loan_id, (100, percent)
