"""A rule machine over one contract: trades, isolated positions, funding, take-overs, ADL, against brute force."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from lobsim.credit import ContractBook, ContractTerms, Flow, InsufficientFunds, Ledger, LedgerError, Tier
from lobsim.events import Side
from tests.credit.contract_reference import PPM, Holding, maintenance

USDT = 0
UNIT = 3
TIERS = (Tier(0, 20_000), Tier(600, 50_000), Tier(2_000, 200_000))
TERMS = ContractTerms(TIERS, liquidation_fee_ppm=5_000)
qtys = st.one_of(st.integers(1, 5), st.integers(1, 40))
prices = st.integers(1, 60)


class ContractMachine(RuleBasedStateMachine):
    position_ids = Bundle("position_ids")

    def __init__(self):
        super().__init__()
        self.ledger = ledger = Ledger()
        ledger.add_asset("USDT", "0.01")
        self.fund = ledger.open_account("fund")
        self.crowd = [ledger.open_account(name, overdraft=True) for name in ("crowd", "outside")]
        self.plain = [ledger.open_account(name) for name in ("ann", "ben")]
        self.book = ContractBook("X-PERP", ledger, USDT, TERMS, UNIT, self.fund)
        self.people = [*self.crowd, *self.plain]
        self.mark = self.book.mark_price = 20
        self.cash = dict.fromkeys([*self.people, self.fund, self.book.liquidation], 0)
        self.cross = {}
        self.isolated = {}
        self.age = 0
        for account, amount in ((self.fund, 300), (self.plain[0], 2_000), (self.plain[1], 500)):
            ledger.issue(account, USDT, amount, Flow.DEPOSIT)
            self.cash[account] = amount

    # --- reference --------------------------------------------------------------------------------------------------

    def peek(self, account, qty, value):
        """What the cross position would gain."""
        held = self.cross.get(account)
        probe = Holding(account, held.lots, held.cost) if held else Holding(account)
        return probe.trade(qty, value)

    def move(self, account, qty, value):
        if account not in self.cross:
            self.age += 1
            self.cross[account] = Holding(account, age=self.age)
        held = self.cross[account]
        self.cash[account] += held.trade(qty, value)
        if not held.lots:
            del self.cross[account]

    def can_pay(self, account, amount):
        return account in self.crowd or account == self.book.liquidation or self.cash[account] >= amount

    def line(self, holding):
        """(rate, deduction) of the bracket in which the liquidation value lies, when the position was last changed."""
        rates = [Fraction(tier.maintenance_ppm, PPM) for tier in TIERS]
        cuts = [maintenance(TIERS, tier.notional_from) for tier in TIERS]
        lines = [(r, r * tier.notional_from - cut) for r, tier, cut in zip(rates, TIERS, cuts, strict=True)]
        cost, margin = holding.cost, holding.margin
        if holding.lots > 0:
            value = max((cost - margin - d) / (1 - r) for r, d in lines)
        else:
            value = min((margin - cost + d) / (1 + r) for r, d in lines)
        return [line for line, tier in zip(lines, TIERS, strict=True) if tier.notional_from <= max(value, 0)][-1]

    def left(self, holding):
        return holding.margin + holding.lots * self.mark * UNIT - holding.cost - holding.funding

    def is_breached(self, holding):
        rate, deduction = holding.line
        value = abs(holding.lots) * self.mark * UNIT
        breached = self.left(holding) <= value * rate - deduction
        if not holding.funding:
            assert breached == (self.left(holding) <= maintenance(TIERS, value))
        return breached

    def distance(self, holding):
        rate, deduction = holding.line
        side = 1 if holding.lots > 0 else -1
        value = (holding.cost + holding.funding - holding.margin - deduction) / (side - rate)
        return side * (value / (abs(holding.lots) * UNIT) - self.mark)

    # --- rules ------------------------------------------------------------------------------------------------------

    @rule(data=st.data(), qty=qtys, price=prices)
    def trade(self, data, qty, price):
        buyer = data.draw(st.sampled_from([*self.people, self.book.liquidation]))
        seller = data.draw(st.sampled_from([*self.people, self.book.liquidation]))
        value = qty * price * UNIT
        if buyer == seller:
            self.book.trade(buyer, seller, qty, price)
            return
        gains = [(buyer, self.peek(buyer, qty, value)), (seller, self.peek(seller, -qty, -value))]
        if all(self.can_pay(account, -gain) for account, gain in gains):
            self.book.trade(buyer, seller, qty, price)
            self.move(buyer, qty, value)
            self.move(seller, -qty, -value)
        else:
            with pytest.raises(InsufficientFunds):
                self.book.trade(buyer, seller, qty, price)

    @rule(
        target=position_ids,
        data=st.data(),
        qty=qtys,
        sign=st.sampled_from((1, -1)),
        price=prices,
        share=st.integers(1, 60),
    )
    def open_isolated(self, data, qty, sign, price, share):
        account, opposite = data.draw(st.sampled_from(self.people)), data.draw(st.sampled_from(self.people))
        lots, value = sign * qty, sign * qty * price * UNIT
        margin = abs(value) * share // 60 + 1
        loss = max(0, -self.peek(opposite, -lots, -value))
        needed = margin + loss * (account == opposite)
        if not self.can_pay(account, needed) or not self.can_pay(opposite, loss):
            with pytest.raises(InsufficientFunds):
                self.book.open_isolated(account, lots, price, margin, opposite)
            return None
        position_id = self.book.open_isolated(account, lots, price, margin, opposite)
        self.move(opposite, -lots, -value)
        self.cash[account] -= margin
        self.age += 1
        holding = self.isolated[position_id] = Holding(account, lots, value, margin, self.age)
        holding.line = self.line(holding)
        return position_id

    @rule(data=st.data(), position_id=position_ids, price=prices, part=st.fractions(0, 1, max_denominator=3))
    def close_isolated(self, data, position_id, price, part):
        opposite = data.draw(st.sampled_from(self.people))
        holding = self.isolated.get(position_id)
        if holding is None:
            with pytest.raises(LedgerError):
                self.book.close_isolated(position_id or 0, 1, price, opposite)
            return
        lots = max(1, int(abs(holding.lots) * part))
        qty = -lots if holding.lots > 0 else lots
        value = qty * price * UNIT
        probe = Holding(0, holding.lots, holding.whole_cost)
        gain = probe.trade(qty, value)
        share = holding.margin - Fraction(holding.margin * probe.lots, holding.lots) // 1
        short = max(0, -gain - holding.margin)
        loss = max(0, -self.peek(opposite, -qty, -value))
        needed = short + loss * (opposite == holding.account) if short else 0
        if (short and probe.lots) or not self.can_pay(holding.account, needed) or not self.can_pay(opposite, loss):
            with pytest.raises(InsufficientFunds):
                self.book.close_isolated(position_id, lots, price, opposite)
            return
        back = max(0, share + gain) - short
        assert self.book.close_isolated(position_id, lots, price, opposite) == back
        self.move(opposite, -qty, -value)
        self.cash[holding.account] += back
        holding.margin += gain - back
        holding.lots, holding.cost, holding.funding = probe.lots, probe.cost, Fraction(0)
        if not holding.lots:
            assert not holding.margin
            del self.isolated[position_id]
        else:
            holding.line = self.line(holding)

    @rule(mark=prices)
    def move_mark(self, mark):
        self.mark = self.book.mark_price = mark

    @rule(ppm=st.integers(-20_000, 20_000))
    def pay_funding(self, ppm):
        rate = Fraction(ppm, PPM)
        per_lot = rate * self.mark * UNIT * 10**9 // 1 / Fraction(10**9)
        told = self.book.apply_funding(rate, self.mark)
        paid = deferred = 0
        for account, held in self.cross.items():
            amount = -(-held.lots * per_lot // 1)
            cash = amount
            if amount > 0:
                cash = amount if self.can_pay(account, amount) else self.cash[account]
                paid += amount
                deferred += amount - cash
            self.cash[account] -= cash
            held.cost += amount - cash
        for holding in self.isolated.values():
            holding.funding += holding.lots * per_lot
        assert told[1] == paid
        assert told[3] == deferred

    @precondition(lambda self: self.isolated)
    @rule()
    def liquidate(self):
        for position_id in self.book.breached(self.mark):
            holding = self.isolated.pop(position_id)
            fee = min(holding.margin, abs(holding.lots) * self.mark * UNIT * 5_000 // PPM)
            taken = self.book.take_over(position_id)
            value = holding.whole_cost - holding.margin + fee
            assert taken == (position_id, holding.account, holding.lots, value, holding.margin, fee)
            self.cash[self.fund] += fee
            self.move(self.book.liquidation, holding.lots, value)

    @rule()
    def settle_with_the_fund(self):
        balance = self.cash[self.book.liquidation]
        paid = min(max(0, -balance), self.cash[self.fund])
        earned = max(0, balance)
        assert self.book.settle_takeover() == (earned, paid, max(0, -balance) - paid)
        self.cash[self.book.liquidation] += paid - earned
        self.cash[self.fund] += earned - paid

    @precondition(lambda self: self.book.liquidation in self.cross)
    @rule(part=st.fractions(0, 1, max_denominator=3), price=st.one_of(st.none(), prices))
    def deleverage(self, part, price):
        account = self.book.liquidation
        lots = max(1, int(abs(self.cross[account].lots) * part))
        line = self.in_line(Side.SELL if self.cross[account].lots > 0 else Side.BUY)
        fills = self.book.deleverage(lots, price)
        assert sum(fill.lots for fill in fills) == lots
        for fill, (_, kind, key, holding) in zip(fills, line, strict=False):
            assert (fill.kind, fill.id, fill.account) == (kind, key, holding.account)
            take = min(lots, abs(holding.lots))
            assert fill.lots == take
            lots -= take
            qty = take if holding.lots < 0 else -take
            given = self.cross[account]
            rest = Fraction(given.cost * (given.lots - qty), given.lots) // 1
            value = given.cost - rest if price is None else qty * price * UNIT
            probe = Holding(0, holding.lots, holding.whole_cost)
            gain = probe.trade(qty, value)
            if kind == "isolated":
                lost = max(0, -gain - holding.margin)
                value -= lost
                share = holding.margin - Fraction(holding.margin * probe.lots, holding.lots) // 1
                back = max(0, share + gain + lost)
                self.cash[holding.account] += back
                holding.margin += gain + lost - back
                holding.lots, holding.cost, holding.funding = probe.lots, probe.cost, Fraction(0)
                if not holding.lots:
                    del self.isolated[key]
                else:
                    holding.line = self.line(holding)
            else:
                if holding.account in self.plain:
                    value -= max(0, -gain - self.cash[holding.account])
                self.move(holding.account, qty, value)
            self.move(account, -qty, -value)
            assert fill.value == abs(value)
            assert fill.price_ticks == value // (qty * UNIT)
        assert not lots

    def in_line(self, side):
        line = []
        for kind, holdings in (("cross", self.cross), ("isolated", self.isolated)):
            for key, holding in holdings.items():
                if (holding.lots > 0) != (side == Side.BUY) or (key == self.book.liquidation and kind == "cross"):
                    continue
                value = holding.lots * self.mark * UNIT
                profit = value - holding.whole_cost
                if kind == "isolated":
                    equity = holding.margin + profit
                elif key in self.crowd:
                    equity = None
                else:
                    equity = self.cash[key] + profit
                group, score = holding.score(value, equity)
                line.append(((group, -score, holding.age), kind, key, holding))
        return sorted(line, key=lambda row: row[0])

    # --- invariants -------------------------------------------------------------------------------------------------

    @invariant()
    def everything_adds_up(self):
        self.book.check()
        self.ledger.check()

    @invariant()
    def cash_and_positions_are_those_of_the_reference(self):
        for account, amount in self.cash.items():
            assert self.ledger.balance(account, USDT) == amount, self.ledger.account_name(account)
        assert {account: (held.lots, held.cost) for account, held in self.cross.items()} == self.book.cross_positions
        assert list(self.book) == list(self.isolated)
        for position_id, holding in self.isolated.items():
            view = self.book.isolated(position_id)
            assert view[:6] == (
                position_id,
                holding.account,
                holding.lots,
                holding.whole_cost,
                holding.cost,
                holding.margin,
            )
            liquidation = Fraction(*view.liquidation_price)
            assert liquidation - self.mark == self.distance(holding) * (1 if holding.lots > 0 else -1)
            bankruptcy = Fraction(*view.bankruptcy_price)
            assert holding.margin + holding.lots * bankruptcy * UNIT - holding.whole_cost == 0
        longs = [h.lots for h in (*self.cross.values(), *self.isolated.values()) if h.lots > 0]
        assert self.book.open_interest() == sum(longs) == self.book.short_lots

    @invariant()
    def the_waiting_order_equals_a_full_scan(self):
        scan = [(-self.distance(h) * 2**64 // 1, key) for key, h in self.isolated.items() if self.is_breached(h)]
        told = self.book.breached(self.mark)
        assert sorted(told) == sorted(key for _, key in scan)
        distances = [self.distance(self.isolated[key]) for key in told]
        assert all(a >= b - Fraction(1, 2**60) for a, b in pairwise(distances))

    @invariant()
    def adl_stands_in_the_order_of_all_exact_scores(self):
        for side in Side:
            wanted = [(kind, key) for _, kind, key, _ in self.in_line(side)]
            assert [(rank.kind, rank.id) for rank in self.book.adl_ranking(side)] == wanted


TestContractMachine = ContractMachine.TestCase
TestContractMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
