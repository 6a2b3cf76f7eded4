"""Brute force for one contract: cash per holder in fractions, positions as lists of numbers, scans over everything."""

from fractions import Fraction

PPM = 1_000_000


def maintenance(tiers, notional):
    """Marginal brackets, added up one by one."""
    total = Fraction(0)
    ends = [tier.notional_from for tier in tiers[1:]] + [None]
    for tier, end in zip(tiers, ends, strict=True):
        if notional > tier.notional_from:
            top = notional if end is None else min(notional, end)
            total += (top - tier.notional_from) * Fraction(tier.maintenance_ppm, PPM)
    return total


class Holding:
    """Signed lots, their cost, and (isolated) the margin; cost grows by funding as an exact fraction."""

    def __init__(self, account, lots=0, cost=0, margin=None, age=0):
        self.account = account
        self.lots = lots
        self.cost = cost
        self.funding = Fraction(0)
        self.margin = margin
        self.age = age

    @property
    def whole_cost(self):
        return self.cost + -(-self.funding // 1)

    def trade(self, qty, value):
        """Cash it gets; what is left of the cost is rounded down."""
        opening = self.lots * qty >= 0
        closing = abs(qty) <= abs(self.lots)
        if opening:
            left, rest = self.lots + qty, self.cost + value
        elif closing:
            left = self.lots + qty
            rest = Fraction(self.cost * left, self.lots) // 1
        else:
            left = self.lots + qty
            rest = Fraction(value * left, qty) // 1
        gain = rest - self.cost - value
        self.lots, self.cost = left, rest
        return gain

    def score(self, mark_value, equity):
        """(class, score): 0 in profit without equity, 1 in profit, 2 in loss, 3 in loss without equity."""
        profit = mark_value - self.whole_cost
        if equity is not None and equity <= 0:
            return (0, 0) if profit > 0 else (3, 0)
        share = Fraction(profit, abs(self.cost) or 1)
        leverage = 1 if equity is None else Fraction(abs(mark_value)) / equity
        return (1, share * leverage) if profit > 0 else (2, share / leverage)
