"""A rule machine over ledger, unified accounts and loans together, against the brute-force reference."""

from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from lobsim.credit import (
    AssetTerms,
    CrossMargin,
    Flow,
    InsufficientFunds,
    Ledger,
    LiquidationOutcome,
    LoanBook,
    LoanRefused,
    LoanTerms,
    MarginStatus,
    bankrupt,
)
from tests.credit.reference import PPM, SLACK, YEAR_NS, ReferenceDebt, ReferenceEconomy, liquidation, margin_level

USDT, ALT, WBETH = range(3)
ASSETS = (USDT, ALT, WBETH)
MARGIN_TERMS = {
    USDT: AssetTerms(1_000_000, 100_000, 300_000),
    ALT: AssetTerms(500_000, 150_000, 50_000),
    WBETH: AssetTerms(900_000, 50_000),
}
LOAN_TERMS = LoanTerms(780_000, 850_000, 910_000, 500_000, 950_000, 20, 60_000, 400_000)

amounts = st.one_of(st.integers(0, 50), st.integers(0, 3000))
assets = st.sampled_from(ASSETS)
prices = st.tuples(st.integers(1, 300), st.sampled_from([1, 7, 100]))


class CreditMachine(RuleBasedStateMachine):
    loan_ids = Bundle("loan_ids")

    def __init__(self):
        super().__init__()
        self.ledger = ledger = Ledger()
        for name in ("USDT", "ALT", "WBETH"):
            ledger.add_asset(name, "0.01")
        self.pool = ledger.open_account("pool")  # limited: an empty pool is one of the cases
        self.lender = ledger.open_account("lender")
        self.fund = ledger.open_account("fund")
        self.treasury = ledger.open_account("treasury", overdraft=True)
        self.plain = [ledger.open_account(name) for name in ("ann", "ben")]
        self.unified = [ledger.open_account(name) for name in ("max", "mia")]
        self.margin = CrossMargin(ledger, self.pool, USDT, MARGIN_TERMS)
        for account in self.unified:
            self.margin.enroll(account)
        self.loans = LoanBook("loans", ledger, ALT, USDT, LOAN_TERMS, self.lender, self.fund)
        self.people = [*self.plain, *self.unified]
        self.everybody = [*self.people, self.pool, self.lender, self.fund, self.treasury, self.loans.custody, 1]
        self.mark = (1, 1)
        rates = {(a, s): MARGIN_TERMS[s].interest_ppm for a in self.unified for s in ASSETS}
        self.wanted = ReferenceEconomy(self.treasury, self.pool, self.lender, self.loans.custody, rates)
        for account in (*self.people, self.pool, self.lender):
            for asset in ASSETS:
                self.give(account, asset, 2000)

    def give(self, account, asset, amount):
        self.ledger.issue(account, asset, amount, Flow.DEPOSIT)
        self.wanted.balance[account, asset] += amount

    def who(self, data, among=None):
        return data.draw(st.sampled_from(among or self.people))

    # --- ledger -----------------------------------------------------------------------------------------------------

    @rule(data=st.data(), asset=assets, amount=amounts)
    def deposit(self, data, asset, amount):
        self.give(self.who(data, self.everybody[:8]), asset, amount)

    @rule(data=st.data(), asset=assets, amount=amounts)
    def transfer(self, data, asset, amount):
        src, dst = self.who(data, self.everybody[:8]), self.who(data, self.everybody[:8])
        if self.wanted.free(src, asset) >= amount:
            self.ledger.transfer(src, dst, asset, amount, Flow.TRANSFER)
            self.wanted.move(src, dst, asset, amount, Flow.TRANSFER)
        else:
            with pytest.raises(InsufficientFunds):
                self.ledger.transfer(src, dst, asset, amount, Flow.TRANSFER)

    @rule(data=st.data(), asset=assets, amount=amounts)
    def burn(self, data, asset, amount):
        account = self.who(data)
        if self.wanted.free(account, asset) >= amount:
            self.ledger.burn(account, asset, amount, Flow.WITHDRAW)
            self.wanted.balance[account, asset] -= amount
        else:
            with pytest.raises(InsufficientFunds):
                self.ledger.burn(account, asset, amount, Flow.WITHDRAW)

    @rule(data=st.data(), asset=assets, amount=amounts)
    def hold(self, data, asset, amount):
        account = self.who(data)
        if self.wanted.free(account, asset) >= amount:
            self.ledger.hold(account, asset, amount)
            self.wanted.held[account, asset] += amount
        else:
            with pytest.raises(InsufficientFunds):
                self.ledger.hold(account, asset, amount)

    @rule(data=st.data(), asset=assets, share=st.fractions(0, 1, max_denominator=4))
    def release(self, data, asset, share):
        account = self.who(data)
        amount = int(self.wanted.held[account, asset] * share)
        self.ledger.release(account, asset, amount)
        self.wanted.held[account, asset] -= amount

    # --- unified accounts -------------------------------------------------------------------------------------------

    def owed(self, account, asset):
        return self.wanted.debts[account, asset].owed(self.wanted.now, self.margin.liability(account, asset))

    @rule(data=st.data(), asset=assets, amount=amounts)
    def borrow(self, data, asset, amount):
        account = self.who(data, self.unified)
        if self.wanted.free(self.pool, asset) >= amount:
            self.margin.borrow(account, asset, amount)
            self.wanted.borrow(account, asset, amount)
        else:
            with pytest.raises(InsufficientFunds):
                self.margin.borrow(account, asset, amount)

    @rule(data=st.data(), asset=assets, amount=amounts)
    def repay(self, data, asset, amount):
        account = self.who(data, self.unified)
        owed = self.owed(account, asset)
        amount = min(amount, owed)
        if self.wanted.free(account, asset) >= amount:
            assert self.margin.repay(account, asset, amount) == amount
            self.wanted.repay(account, asset, amount, owed)
        else:
            with pytest.raises(InsufficientFunds):
                self.margin.repay(account, asset, amount)

    @rule(data=st.data(), assets=st.permutations(ASSETS), base_amount=amounts, quote_amount=amounts)
    def trade(self, data, assets, base_amount, quote_amount):
        base, quote, _ = assets
        buyer, seller = self.who(data), self.who(data)
        buyer_release = data.draw(st.integers(0, self.wanted.held[buyer, quote]))
        seller_release = data.draw(st.integers(0, self.wanted.held[seller, base]))
        legs = ((buyer, quote, quote_amount, buyer_release), (seller, base, base_amount, seller_release))
        missing = [max(0, amount - freed - self.wanted.free(who, what)) for who, what, amount, freed in legs]
        arguments = (buyer, seller, base, base_amount, quote, quote_amount, buyer_release, seller_release)
        if any(
            short and (who not in self.unified or self.wanted.free(self.pool, what) < short)
            for short, (who, what, _, _) in zip(missing, legs, strict=True)
        ):
            with pytest.raises(InsufficientFunds):
                self.margin.settle_trade(*arguments)
            return
        self.margin.settle_trade(*arguments)
        for short, (who, what, _, freed) in zip(missing, legs, strict=True):
            if short:
                self.wanted.borrow(who, what, short)
            self.wanted.held[who, what] -= freed
        self.wanted.move(seller, buyer, base, base_amount, Flow.TRADE)
        self.wanted.move(buyer, seller, quote, quote_amount, Flow.TRADE)
        self.wanted.sweep(buyer, base)
        self.wanted.sweep(seller, quote)

    @rule(data=st.data())
    def go_bankrupt(self, data):
        self.end(self.who(data, self.unified))

    def end(self, account):
        for asset in ASSETS:
            self.ledger.release(account, asset, self.wanted.held.pop((account, asset), 0))
        told = bankrupt(self.margin, account, self.fund, self.marks)
        for asset in ASSETS:
            self.wanted.sweep(account, asset)
        self.hand_over(account)
        left = {s: owed for s in ASSETS if (owed := self.wanted.debts[account, s].exact(self.wanted.now) // 1)}
        seized, insured, written_off = {}, {}, {}
        if left:
            for asset in ASSETS:
                if amount := self.wanted.balance[account, asset]:
                    self.wanted.move(account, self.fund, asset, amount, Flow.SEIZE)
                    seized[asset] = amount
        for asset, owed in left.items():
            paid = min(owed, self.wanted.free(self.fund, asset))
            if paid:
                self.wanted.move(self.fund, account, asset, paid, Flow.INSURANCE)
                self.wanted.repay(account, asset, paid, owed)
                insured[asset] = paid
            if paid < owed:
                self.wanted.write_off(self.wanted.debts[account, asset], asset, owed - paid)
                written_off[asset] = owed - paid
        assert told[:3] == (seized, insured, written_off)

    def hand_over(self, account):
        """What becomes of contracts: none here."""

    @property
    def marks(self):
        return {USDT: (1, 1), ALT: self.mark, WBETH: (1234, 567)}

    # --- loans ------------------------------------------------------------------------------------------------------

    def within_limit(self, exact_debt, collateral):
        return exact_debt * PPM <= collateral * Fraction(*self.mark) * LOAN_TERMS.max_ltv_ppm

    @rule(
        target=loan_ids,
        data=st.data(),
        collateral=st.integers(1, 500),
        principal=st.integers(1, 500),
        bold=st.booleans(),
    )
    def open_loan(self, data, collateral, principal, bold):
        account = self.who(data)
        refused = None
        if not bold and not self.within_limit(principal, collateral):
            refused = LoanRefused
        elif self.wanted.free(account, ALT) < collateral or self.wanted.free(self.lender, USDT) < principal:
            refused = InsufficientFunds
        if refused:
            with pytest.raises(refused):
                self.loans.open(account, collateral, principal, self.mark, over_limit=bold)
            return 0
        loan_id = self.loans.open(account, collateral, principal, self.mark, over_limit=bold)
        assert loan_id not in self.wanted.loans
        debt = ReferenceDebt(LOAN_TERMS.interest_ppm)
        debt.draw(principal, self.wanted.now)
        self.wanted.loans[loan_id] = [account, collateral, debt]
        self.wanted.move(account, self.loans.custody, ALT, collateral, Flow.PLEDGE)
        self.wanted.move(self.lender, account, USDT, principal, Flow.BORROW)
        return loan_id

    @rule(loan_id=loan_ids, amount=amounts)
    def top_up(self, loan_id, amount):
        if loan_id not in self.wanted.loans:
            return
        account, _, _ = self.wanted.loans[loan_id]
        if self.wanted.free(account, ALT) < amount:
            with pytest.raises(InsufficientFunds):
                self.loans.top_up(loan_id, amount)
            return
        self.loans.top_up(loan_id, amount)
        self.wanted.move(account, self.loans.custody, ALT, amount, Flow.PLEDGE)
        self.wanted.loans[loan_id][1] += amount

    @rule(loan_id=loan_ids, amount=st.integers(0, 100))
    def withdraw(self, loan_id, amount):
        if loan_id not in self.wanted.loans:
            return
        account, collateral, debt = self.wanted.loans[loan_id]
        if amount >= collateral or not self.within_limit(debt.exact(self.wanted.now), collateral - amount):
            with pytest.raises(LoanRefused):
                self.loans.withdraw(loan_id, amount, self.mark)
            return
        self.loans.withdraw(loan_id, amount, self.mark)
        self.wanted.move(self.loans.custody, account, ALT, amount, Flow.RELEASE)
        self.wanted.loans[loan_id][1] -= amount

    @rule(loan_id=loan_ids, amount=st.integers(0, 100))
    def draw_more(self, loan_id, amount):
        if loan_id not in self.wanted.loans:
            return
        account, collateral, debt = self.wanted.loans[loan_id]
        refused = None
        if not self.within_limit(debt.exact(self.wanted.now) + amount, collateral):
            refused = LoanRefused
        elif self.wanted.free(self.lender, USDT) < amount:
            refused = InsufficientFunds
        if refused:
            with pytest.raises(refused):
                self.loans.draw(loan_id, amount, self.mark)
            return
        self.loans.draw(loan_id, amount, self.mark)
        debt.draw(amount, self.wanted.now)
        self.wanted.move(self.lender, account, USDT, amount, Flow.BORROW)

    @rule(loan_id=loan_ids, amount=amounts)
    def repay_loan(self, loan_id, amount):
        if loan_id not in self.wanted.loans:
            assert self.loans.loan(loan_id) is None
            return
        account, _, debt = self.wanted.loans[loan_id]
        owed = debt.owed(self.wanted.now, self.loans.debt(loan_id))
        amount = min(amount, owed)
        if self.wanted.free(account, USDT) < amount:
            with pytest.raises(InsufficientFunds):
                self.loans.repay(loan_id, amount)
            return
        assert self.loans.repay(loan_id, amount) == amount
        self.wanted.loan_payment(account, USDT, debt, amount, owed)
        if amount == owed:
            self.wanted.close(loan_id, ALT)

    def exact_debt(self, loan_id):
        """The debt on which the loan book decides; `loans_agree` holds it to the reference's."""
        price = Fraction(*self.loans.liquidation_price(loan_id))
        return price * LOAN_TERMS.liquidation_ltv_ppm / PPM * self.wanted.loans[loan_id][1]

    @precondition(lambda self: self.wanted.loans)
    @rule(data=st.data(), wish=st.integers(0, 600), hunt=st.booleans())
    def liquidate(self, data, wish, hunt):
        prey = hunt and self.loans.breached(self.mark)
        loan_id = data.draw(st.sampled_from(prey or list(self.wanted.loans)))
        liquidator = self.who(data)
        account, collateral, debt = self.wanted.loans[loan_id]
        owed = debt.owed(self.wanted.now, self.loans.debt(loan_id))
        wanted = liquidation(collateral, owed, self.exact_debt(loan_id), self.mark, LOAN_TERMS, wish)
        result = self.loans.liquidate(loan_id, liquidator, wish, self.mark)
        if wanted is None:
            assert result.outcome == LiquidationOutcome.SAFE
            return
        repaid, seized, bonus = wanted
        if not seized:
            assert result.outcome == LiquidationOutcome.TOO_SMALL
            return
        if self.wanted.free(liquidator, USDT) < repaid:
            assert result.outcome == LiquidationOutcome.UNFUNDED
            return
        self.wanted.loan_payment(liquidator, USDT, debt, repaid, owed)
        owed -= repaid
        self.wanted.move(self.loans.custody, liquidator, ALT, seized - bonus, Flow.SEIZE)
        self.wanted.move(self.loans.custody, liquidator, ALT, bonus, Flow.BONUS)
        self.wanted.loans[loan_id][1] -= seized
        insured = written_off = 0
        if seized == collateral and owed:
            insured = min(owed, self.wanted.free(self.fund, USDT))
            self.wanted.move(self.fund, account, USDT, insured, Flow.INSURANCE)
            self.wanted.loan_payment(account, USDT, debt, insured, owed)
            written_off = owed - insured
            self.wanted.write_off(debt, USDT, written_off)
            owed = 0
        left = 0 if not owed else collateral - seized
        assert result == (
            LiquidationOutcome.LIQUIDATED,
            loan_id,
            account,
            repaid,
            seized,
            bonus,
            insured + written_off,
            insured,
            written_off,
            collateral - seized - left,
            owed,
            left,
            not owed,
        )
        if not owed:
            self.wanted.close(loan_id, ALT)

    # --- time and marks ---------------------------------------------------------------------------------------------

    @rule(elapsed=st.one_of(st.integers(0, 10**10), st.integers(0, YEAR_NS)))
    def wait(self, elapsed):
        self.wanted.now += elapsed
        self.margin.accrue(self.wanted.now)
        self.loans.accrue(self.wanted.now)

    @rule(price=prices)
    def move_price(self, price):
        self.mark = price

    @precondition(lambda self: self.wanted.loans)
    @rule(data=st.data())
    def move_price_onto_a_liquidation_price(self, data):
        self.mark = self.loans.liquidation_price(data.draw(st.sampled_from(list(self.wanted.loans))))

    # --- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def everything_adds_up(self):
        self.ledger.check()
        self.margin.check()
        self.loans.check()
        assert self.ledger.imbalance() == {"USDT": 0, "ALT": 0, "WBETH": 0}
        for asset in ASSETS:
            for account in self.everybody:
                assert self.ledger.balance(account, asset) == self.wanted.balance[account, asset]
                assert self.ledger.held(account, asset) == self.wanted.held[account, asset]
                assert account in self.wanted.overdrafts or self.ledger.balance(account, asset) >= 0
            for reason in Flow:
                assert self.ledger.moved(asset, reason) == self.wanted.moved[asset, reason]

    @invariant()
    def margin_agrees(self):
        marks = self.marks
        for account in self.unified:
            owed = {asset: self.owed(account, asset) for asset in ASSETS}
            nets = {asset: self.wanted.balance[account, asset] - owed[asset] for asset in ASSETS}
            equity, maintenance = margin_level(nets, owed, marks, MARGIN_TERMS)
            equity, maintenance = equity + self.contract_profit(account), maintenance + self.contract_margin(account)
            assert self.margin.equity(account, marks) == equity
            assert self.margin.maintenance(account, marks) == maintenance
            status = MarginStatus(sum(equity <= maintenance * Fraction(t, 100) for t in (150, 120, 105)))
            if not maintenance:
                status = MarginStatus.FREE if equity >= 0 else MarginStatus.LIQUIDATION
            assert self.margin.status(account, marks) == status
            assert (account in self.margin.breached(marks, status)) is True

    def contract_profit(self, account):
        return 0

    def contract_margin(self, account):
        return 0

    @invariant()
    def loans_agree(self):
        assert sorted(self.loans) == sorted(self.wanted.loans)
        price = Fraction(*self.mark)
        breached, called = [], []
        for loan_id, (account, collateral, debt) in self.wanted.loans.items():
            owed = debt.owed(self.wanted.now, self.loans.debt(loan_id))
            assert self.loans.loan(loan_id) == (
                loan_id,
                account,
                collateral,
                debt.principal,
                owed - debt.principal,
                owed,
            )
            assert abs(self.exact_debt(loan_id) - debt.exact(self.wanted.now)) < SLACK
            ltv = self.exact_debt(loan_id) / (collateral * price)
            if ltv * PPM >= LOAN_TERMS.liquidation_ltv_ppm:
                breached.append((-ltv, loan_id))
            elif ltv * PPM >= LOAN_TERMS.margin_call_ltv_ppm:
                called.append((-ltv, loan_id))
        assert self.loans.breached(self.mark) == [loan_id for _, loan_id in sorted(breached)]
        assert self.loans.called(self.mark) == [loan_id for _, loan_id in sorted(called)]


CreditMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestCredit = CreditMachine.TestCase
