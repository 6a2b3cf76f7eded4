"""Brute force: the same economy in dictionaries and fractions, without indices, scaled debts or sorted orders.

A debt grows as an exact fraction. The code under test scales what is drawn or paid to 10**-9 quanta, so what it says is
owed may differ from the reference by one quantum where the fraction comes within `SLACK` of a whole one; both answers
are then right, and `owed` takes the one that was given.
"""

from collections import Counter
from fractions import Fraction

from lobsim.credit import Flow

PPM = 1_000_000
YEAR_NS = 365 * 24 * 3600 * 10**9
SLACK = Fraction(1, 10**6)


class ReferenceDebt:
    def __init__(self, rate_ppm):
        self.rate_ppm = rate_ppm
        self.share = Fraction(0)  # of a debt that was 1 at time 0
        self.principal = 0

    def exact(self, now):
        return self.share * self.growth(now)

    def growth(self, now):
        return 1 + Fraction(self.rate_ppm * now, PPM * YEAR_NS)

    def owed(self, now, told):
        """Whole quanta owed; `told` is what the code under test says."""
        exact = self.exact(now)
        assert told in {exact // 1, (exact + SLACK) // 1, (exact - SLACK) // 1}, (told, exact)
        return told

    def draw(self, amount, now):
        self.share += amount / self.growth(now)
        self.principal += amount

    def pay(self, amount, owed, now):
        """Interest first; returns (interest, principal)."""
        interest = min(amount, owed - self.principal)
        self.principal -= amount - interest
        self.share = Fraction(0) if amount == owed else self.share - amount / self.growth(now)
        return interest, amount - interest


class ReferenceEconomy:
    """Balances, holds and debts, with the totals moved by reason."""

    def __init__(self, treasury, pool, lender, custody, rates_ppm):
        self.now = 0
        self.overdrafts = {treasury}
        self.pool = pool
        self.lender = lender
        self.custody = custody
        self.balance = Counter()
        self.held = Counter()
        self.moved = Counter()
        self.debts = {key: ReferenceDebt(rate_ppm) for key, rate_ppm in rates_ppm.items()}
        self.loans = {}  # loan id -> [account, collateral, ReferenceDebt]

    def free(self, account, asset):
        return 10**60 if account in self.overdrafts else self.balance[account, asset] - self.held[account, asset]

    def move(self, src, dst, asset, amount, reason):
        assert self.free(src, asset) >= amount
        self.balance[src, asset] -= amount
        self.balance[dst, asset] += amount
        self.moved[asset, reason] += amount

    # unified accounts

    def borrow(self, account, asset, amount):
        self.move(self.pool, account, asset, amount, Flow.BORROW)
        self.debts[account, asset].draw(amount, self.now)

    def repay(self, account, asset, amount, owed):
        self._pay(account, self.pool, asset, self.debts[account, asset], amount, owed)

    def sweep(self, account, asset):
        if (account, asset) in self.debts:
            owed = self.debts[account, asset].exact(self.now) // 1
            amount = min(owed, self.free(account, asset))
            if amount:
                self.repay(account, asset, amount, owed)

    # loans

    def loan_payment(self, payer, asset, debt, amount, owed):
        self._pay(payer, self.lender, asset, debt, amount, owed)

    def close(self, loan_id, asset):
        account, collateral, _ = self.loans.pop(loan_id)
        self.move(self.custody, account, asset, collateral, Flow.RELEASE)

    # both

    def _pay(self, payer, creditor, asset, debt, amount, owed):
        interest, principal = debt.pay(amount, owed, self.now)
        self.move(payer, creditor, asset, interest, Flow.INTEREST)
        self.move(payer, creditor, asset, principal, Flow.REPAY)

    def write_off(self, debt, asset, amount):
        interest, principal = debt.pay(amount, amount, self.now)
        self.moved[asset, Flow.BAD_DEBT] += amount
        self.moved[asset, Flow.INTEREST] += interest
        self.moved[asset, Flow.REPAY] += principal


def liquidation(collateral, debt, exact_debt, mark, terms, wish):
    """(repaid, seized, bonus) of one liquidation, or None when the loan is safe; textbook formulas in fractions."""
    price = Fraction(*mark)
    health = collateral * price * Fraction(terms.liquidation_ltv_ppm, PPM) / exact_debt
    if health > 1:
        return None
    everything = health <= Fraction(terms.full_close_hf_ppm, PPM) or debt <= terms.small_debt
    share = Fraction(1) if everything else Fraction(terms.close_factor_ppm, PPM)
    repaid = min(wish, -(-debt * share // 1))
    gain = 1 + Fraction(terms.liquidation_bonus_ppm, PPM)
    seized = repaid * gain / price // 1
    if seized >= collateral:
        seized = collateral
        repaid = min(repaid, collateral * price / gain // 1)
    return repaid, seized, seized - min(seized, repaid / price // 1)


def margin_level(nets, liabilities, marks, terms):
    """(equity, maintenance) of model.md: the sum of min(net * P * c, net * P), and of liability * P * rate."""
    equity = maintenance = Fraction(0)
    for asset, given in terms.items():
        price = Fraction(*marks[asset])
        full = nets[asset] * price
        equity += min(full * given.collateral_ratio_ppm / PPM, full)
        maintenance += liabilities[asset] * price * given.maintenance_rate_ppm / PPM
    return equity, maintenance
