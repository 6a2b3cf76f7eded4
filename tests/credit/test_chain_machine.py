"""The rule machine of ledger, unified accounts and loans with a perpetual contract on top: the whole chain at once."""

from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from lobsim.credit import ContractBook, ContractTerms, Flow, InsufficientFunds, Tier
from tests.credit.contract_reference import Holding, maintenance
from tests.credit.test_machine import PPM, USDT, CreditMachine

UNIT = 2
TIERS = (Tier(0, 50_000), Tier(500, 100_000), Tier(2_000, 250_000))
qtys = st.one_of(st.integers(1, 9), st.integers(1, 90))
ticks = st.integers(1, 40)


class ChainMachine(CreditMachine):
    def __init__(self):
        super().__init__()
        self.book = book = ContractBook("X-PERP", self.ledger, USDT, ContractTerms(TIERS), UNIT, self.fund)
        self.margin.add_contract(book)
        book.mark_price = 20
        self.wanted.overdrafts |= {book.clearing, book.liquidation}
        self.everybody += [book.clearing, book.liquidation, book.custody]
        self.holdings = {}
        self.isolated = {}

    # --- reference --------------------------------------------------------------------------------------------------

    def peek(self, account, qty, value):
        held = self.holdings.get(account, Holding(account))
        return Holding(account, held.lots, held.cost).trade(qty, value)

    def affordable(self, gains):
        borrowed = 0
        for account, gain in gains:
            missing = max(0, -gain - self.wanted.free(account, USDT)) if gain < 0 else 0
            if missing and account not in self.unified:
                return False
            borrowed += missing
        return borrowed <= self.wanted.free(self.pool, USDT)

    def pay(self, gains, reason=Flow.PNL):
        for account, gain in gains:
            if gain < 0:
                if account in self.unified:
                    self.cover(account, -gain)
                self.wanted.move(account, self.book.clearing, USDT, -gain, reason)
        for account, gain in gains:
            if gain > 0:
                self.wanted.move(self.book.clearing, account, USDT, gain, reason)
                self.wanted.sweep(account, USDT)

    def cover(self, account, amount):
        missing = amount - self.wanted.free(account, USDT)
        if missing > 0:
            self.wanted.borrow(account, USDT, missing)

    def book_trade(self, account, qty, value):
        held = self.holdings.setdefault(account, Holding(account))
        held.trade(qty, value)
        if not held.lots:
            del self.holdings[account]

    # --- rules ------------------------------------------------------------------------------------------------------

    @rule(data=st.data(), qty=qtys, price=ticks)
    def trade_contract(self, data, qty, price):
        among = [*self.people, self.treasury, self.book.liquidation]
        buyer, seller = data.draw(st.sampled_from(among)), data.draw(st.sampled_from(among))
        if buyer != seller:
            self.settle(buyer, seller, qty, price)

    @rule(data=st.data(), qty=qtys, price=ticks, buys=st.booleans())
    def trade_with_the_street(self, data, qty, price, buys):
        account = self.who(data, self.unified)
        self.settle(*((account, self.treasury) if buys else (self.treasury, account)), qty, price)

    @precondition(lambda self: self.holdings)
    @rule(data=st.data(), price=ticks, more=st.sampled_from((0, 0, 1, 5)))
    def close_contract(self, data, price, more):
        account = data.draw(st.sampled_from(sorted(self.holdings)))
        lots = self.holdings[account].lots
        other = self.plain[0] if account == self.treasury else self.treasury
        self.settle(*((other, account) if lots > 0 else (account, other)), abs(lots) + more, price)

    def settle(self, buyer, seller, qty, price):
        value = qty * price * UNIT
        gains = [(buyer, self.peek(buyer, qty, value)), (seller, self.peek(seller, -qty, -value))]
        if not self.affordable(gains):
            with pytest.raises(InsufficientFunds):
                self.book.trade(buyer, seller, qty, price, self.margin)
            return
        self.book.trade(buyer, seller, qty, price, self.margin)
        self.pay(gains)
        self.book_trade(buyer, qty, value)
        self.book_trade(seller, -qty, -value)

    @rule(data=st.data(), lots=st.integers(-60, 60).filter(bool), price=ticks, margin=st.integers(1, 500))
    def open_isolated(self, data, lots, price, margin):
        account, opposite = self.who(data), self.treasury
        if self.wanted.free(account, USDT) < margin:
            with pytest.raises(InsufficientFunds):
                self.book.open_isolated(account, lots, price, margin, opposite)
            return
        position_id = self.book.open_isolated(account, lots, price, margin, opposite)
        value = lots * price * UNIT
        self.pay([(opposite, self.peek(opposite, -lots, -value))])
        self.book_trade(opposite, -lots, -value)
        self.wanted.move(account, self.book.custody, USDT, margin, Flow.PLEDGE)
        self.isolated[position_id] = Holding(account, lots, value, margin)

    @precondition(lambda self: self.isolated)
    @rule()
    def take_over(self):
        value = self.book.mark_price * UNIT
        for position_id, one in list(self.isolated.items()):
            left = one.margin + one.lots * value - one.cost - one.funding
            if one.funding or left > maintenance(TIERS, abs(one.lots) * value):
                continue
            assert position_id in self.book.breached(self.book.mark_price)
            taken = self.book.take_over(position_id)
            assert taken[1:5] == (one.account, one.lots, one.cost - one.margin, one.margin)
            self.wanted.move(self.book.custody, self.book.clearing, USDT, one.margin, Flow.PNL)
            self.pay([(self.book.liquidation, self.peek(self.book.liquidation, one.lots, one.cost - one.margin))])
            self.book_trade(self.book.liquidation, one.lots, one.cost - one.margin)
            del self.isolated[position_id]

    @rule()
    def settle_with_the_fund(self):
        balance = self.wanted.balance[self.book.liquidation, USDT]
        told = self.book.settle_takeover()
        if balance > 0:
            self.wanted.move(self.book.liquidation, self.fund, USDT, balance, Flow.INSURANCE)
        paid = min(max(0, -balance), self.wanted.free(self.fund, USDT)) if balance < 0 else 0
        self.wanted.move(self.fund, self.book.liquidation, USDT, paid, Flow.INSURANCE)
        assert told == (max(0, balance), paid, max(0, -balance) - paid)

    @rule(ppm=st.integers(-30_000, 30_000))
    def pay_funding(self, ppm):
        per_lot = Fraction(ppm * self.book.mark_price * UNIT, PPM)  # at most six digits: exact in the book's units
        rounding = self.ledger.balance(self.ledger.rounding, USDT)
        self.book.apply_funding(Fraction(ppm, PPM), self.book.mark_price)
        received = []
        for account, held in self.holdings.items():
            amount = -(-held.lots * per_lot // 1)
            if amount > 0:
                cash = amount
                if account in self.unified:
                    cash = min(amount, self.wanted.free(account, USDT) + self.wanted.free(self.pool, USDT))
                    self.cover(account, cash)
                elif account not in self.wanted.overdrafts:
                    cash = min(amount, self.wanted.free(account, USDT))
                self.wanted.move(account, self.book.clearing, USDT, cash, Flow.FUNDING)
                held.cost += amount - cash
            else:
                received.append((account, -amount))
        self.pay(received, Flow.FUNDING)
        for one in self.isolated.values():
            one.funding += one.lots * per_lot
        # whole quanta that rounding left over; what they are is `check`'s to prove
        left_over = self.ledger.balance(self.ledger.rounding, USDT) - rounding
        assert 0 <= left_over <= len(self.holdings) + 1
        self.wanted.move(self.book.clearing, self.ledger.rounding, USDT, left_over, Flow.ROUNDING)

    @rule(mark=ticks)
    def move_contract_mark(self, mark):
        self.book.mark_price = mark

    @rule(data=st.data())
    def go_bankrupt(self, data):
        account = data.draw(st.sampled_from([who for who in self.unified if who in self.holdings] or self.unified))
        if account in self.holdings:
            loss = self.holdings[account].cost - self.bankruptcy_value(account)
            if loss > self.wanted.free(self.pool, USDT):
                return
        self.end(account)

    def bankruptcy_value(self, account):
        held = self.holdings[account]
        worth = held.lots * self.book.mark_price * UNIT
        lacking = 0
        for asset, mark in self.marks.items():
            owed = self.wanted.debts[account, asset].exact(self.wanted.now) // 1
            lacking -= (self.wanted.balance[account, asset] - owed) * Fraction(*mark)
        return worth - (-max(0, lacking - (worth - held.cost)) // 1)

    def hand_over(self, account):
        if account not in self.holdings:
            return
        lots, value = self.holdings[account].lots, self.bankruptcy_value(account)
        liquidation = self.book.liquidation
        self.pay([(liquidation, self.peek(liquidation, lots, value)), (account, self.peek(account, -lots, -value))])
        self.book_trade(liquidation, lots, value)
        self.book_trade(account, -lots, -value)

    # --- what always holds ------------------------------------------------------------------------------------------

    def contract_profit(self, account):
        held = self.holdings.get(account)
        return held.lots * self.book.mark_price * UNIT - held.cost if held else 0

    def contract_margin(self, account):
        held = self.holdings.get(account)
        return maintenance(TIERS, abs(held.lots) * self.book.mark_price * UNIT) if held else 0

    @invariant()
    def contracts_agree(self):
        self.book.check()
        assert {key: (held.lots, held.cost) for key, held in self.holdings.items()} == self.book.cross_positions
        assert set(self.book) == set(self.isolated)


ChainMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
TestChain = ChainMachine.TestCase
