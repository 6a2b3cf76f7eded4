"""Auto-deleveraging: the order by hand, the caps, and the float preselection against all exact scores."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.credit import (
    AssetTerms,
    ContractBook,
    ContractTerms,
    CrossMargin,
    Flow,
    Ledger,
    LedgerError,
    Tier,
)
from lobsim.credit import adl as adl_module
from lobsim.events import Side

USDT, ALT = 0, 1


class Perp:
    """A contract of unit 1 with a rich crowd, a plain account and a unified one."""

    def __init__(self, fund=0, tiers=((0, 10_000),), **terms):
        self.ledger = ledger = Ledger()
        for name in ("USDT", "ALT"):
            ledger.add_asset(name, "0.01")
        self.fund = ledger.open_account("fund")
        self.pool = ledger.open_account("pool", overdraft=True)
        self.crowd = ledger.open_account("crowd", overdraft=True)
        self.ann = ledger.open_account("ann")
        self.mia = ledger.open_account("mia")
        ledger.issue(self.fund, USDT, fund, Flow.DEPOSIT)
        self.margin = CrossMargin(
            ledger, self.pool, USDT, {USDT: AssetTerms(1_000_000, 100_000), ALT: AssetTerms(500_000, 100_000)}
        )
        self.margin.enroll(self.mia)
        brackets = tuple(Tier(*tier) for tier in tiers)
        self.book = ContractBook("X-PERP", ledger, USDT, ContractTerms(brackets, **terms), 1, self.fund)
        self.margin.add_contract(self.book)
        self.book.mark_price = 100

    def open(self, lots, price, margin):
        return self.book.open_isolated(self.crowd, lots, price, margin, self.crowd)

    def check(self):
        self.ledger.check()
        self.margin.check()
        self.book.check()


def shares(line):
    return [(rank.kind, rank.id, rank.score) for rank in line]


def test_the_order_by_hand():
    perp = Perp()
    book, ledger = perp.book, perp.ledger
    ledger.issue(perp.ann, USDT, 400, Flow.DEPOSIT)
    ledger.issue(perp.mia, USDT, 100, Flow.DEPOSIT)
    little = perp.open(-10, 110, 900)  # P&L 100 of 1100, leverage 1000/1000
    much = perp.open(-10, 110, 100)  # leverage 1000/200
    later = perp.open(-10, 110, 100)  # the same, but younger
    loser = perp.open(-10, 90, 900)  # P&L -100 of 900, leverage 1000/800
    worse = perp.open(-10, 90, 1900)  # leverage 1000/1800: a loss over it counts more
    book.trade(perp.crowd, perp.ann, 10, 120)  # P&L 200 of 1200, equity 600
    book.trade(perp.crowd, perp.mia, 10, 110)  # P&L 100 of 1100, equity 200, as `much`, but the youngest
    wanted = [
        ("isolated", much, Fraction(100, 1100) * 5),
        ("isolated", later, Fraction(100, 1100) * 5),
        ("cross", perp.mia, Fraction(100, 1100) * 5),
        ("cross", perp.ann, Fraction(200, 1200) * Fraction(1000, 600)),
        ("isolated", little, Fraction(100, 1100)),
        ("isolated", loser, Fraction(-100, 900) * Fraction(800, 1000)),
        ("isolated", worse, Fraction(-100, 900) * Fraction(1800, 1000)),
    ]
    assert shares(book.adl_ranking(Side.SELL)) == wanted
    assert shares(book.adl_ranking(Side.BUY)) == [("cross", perp.crowd, Fraction(-400, 7400))]


def test_equity_of_a_unified_account_counts_all_its_collateral():
    perp = Perp()
    perp.ledger.issue(perp.mia, ALT, 1_000, Flow.DEPOSIT)
    perp.book.trade(perp.crowd, perp.mia, 10, 110)
    marks = {ALT: (1, 1), USDT: (1, 1)}
    assert perp.book.adl_ranking(Side.SELL, marks)[0].score == Fraction(100, 1100) * Fraction(1000, 600)
    assert perp.book.adl_ranking(Side.SELL)[0].score == Fraction(100, 1100) * Fraction(1000, 100)


def test_equity_is_counted_in_the_contracts_own_quote():
    perp = Perp()
    perp.ledger.issue(perp.mia, USDT, 300, Flow.DEPOSIT)
    book = ContractBook("X-ALT", perp.ledger, ALT, ContractTerms((Tier(0, 1),)), 1, perp.fund)
    perp.margin.add_contract(book)
    book.mark_price = 100
    book.trade(perp.crowd, perp.mia, 10, 110)
    line = book.adl_ranking(Side.SELL, {ALT: (3, 1), USDT: (1, 1)})  # 300 USDT are 100 ALT
    assert line[0].score == Fraction(100, 1100) * Fraction(1000, 200)


def test_profit_without_equity_comes_first_and_loss_without_equity_last():
    perp = Perp()
    book = perp.book
    good = perp.open(-10, 200, 1)
    perp.ledger.issue(perp.ann, USDT, 50, Flow.DEPOSIT)
    book.trade(perp.crowd, perp.ann, 10, 90)  # -100 with 50: nothing left
    perp.margin.borrow(perp.mia, USDT, 500)
    perp.ledger.transfer(perp.mia, perp.crowd, USDT, 500, Flow.WITHDRAW)
    book.trade(perp.crowd, perp.mia, 10, 110)  # +100 with -500
    bad = perp.open(-10, 60, 100)
    line = book.adl_ranking(Side.SELL)
    assert [(rank.id, rank.score is None) for rank in line] == [
        (perp.mia, True),
        (good, False),
        (perp.ann, True),
        (bad, True),
    ]


def test_deleveraging_closes_at_the_bankruptcy_price_of_what_was_taken_over():
    perp = Perp()
    book = perp.book
    victim = perp.open(30, 100, 600)  # bankrupt at 80
    first = perp.open(-20, 150, 100)
    second = perp.open(-20, 140, 300)
    book.mark_price = 70
    assert book.breached(70) == [victim]
    assert book.take_over(victim) == (victim, perp.crowd, 30, 2400, 600, 0)
    assert book.position(book.liquidation) == (30, 2400)
    fills = book.deleverage(30)
    assert [(fill.id, fill.lots, fill.price_ticks, fill.value) for fill in fills] == [
        (first, 20, 80, 1600),
        (second, 10, 80, 800),
    ]
    assert book.isolated(first) is None
    assert book.isolated(second)[2:6] == (-10, -1400, -1400, 150)
    assert book.position(book.liquidation) == (0, 0)
    assert perp.ledger.moved(USDT, Flow.ADL) == 20 * 70 + 10 * 60
    assert perp.book.settle_takeover() == (0, 0, 0)
    perp.check()


def test_nobody_loses_more_to_adl_than_it_has():
    perp = Perp(fund=10)
    book = perp.book
    victim = perp.open(30, 100, 300)  # bankrupt at 90
    poor = perp.open(-15, 70, 200)  # at 90 it would lose 300
    perp.ledger.issue(perp.ann, USDT, 40, Flow.DEPOSIT)
    book.trade(perp.crowd, perp.ann, 15, 85)  # at 90 it would lose 75
    book.trade(perp.ann, perp.crowd, 1, 85)
    perp.open(1, 75, 100)
    book.mark_price = 75
    book.take_over(victim)
    assert book.position(perp.crowd)[0] == -2
    fills = {fill.id: fill for fill in book.deleverage(30)}
    assert (fills[poor].lots, fills[poor].value) == (14, 70 * 14 + 200)
    assert (fills[perp.ann].lots, fills[perp.ann].value) == (14, 85 * 14 + 40)
    assert fills[perp.crowd].value == 90 * 2
    lost = 90 * 28 - (70 * 14 + 200) - (85 * 14 + 40)
    assert book.isolated(poor)[2:6] == (-1, -70, -70, 0)
    assert perp.ledger.balance(perp.ann, USDT) == 0
    assert book.settle_takeover() == (0, 10, lost - 10)
    perp.check()


def test_unified_accounts_borrow_what_adl_costs_them():
    perp = Perp()
    book = perp.book
    perp.ledger.issue(perp.mia, ALT, 10**6, Flow.DEPOSIT)
    victim = perp.open(10, 100, 100)
    book.trade(perp.crowd, perp.mia, 10, 80)
    book.mark_price = 70
    book.take_over(victim)
    fills = book.deleverage(10, price_ticks=85)
    assert [fill[:5] for fill in fills] == [("cross", perp.mia, perp.mia, 10, 85)]
    assert perp.margin.liability(perp.mia, USDT) == 50
    assert book.settle_takeover() == (0, 0, 50)  # taken over at 90
    perp.check()


def test_shorts_taken_over_are_closed_against_longs():
    perp = Perp()
    victim = perp.open(-10, 100, 100)  # bankrupt at 110
    long_id = perp.open(10, 60, 500)
    perp.book.mark_price = 120
    perp.book.take_over(victim)
    assert perp.book.position(perp.book.liquidation) == (-10, -1100)
    assert perp.book.deleverage(10) == [("isolated", long_id, perp.crowd, 10, 110, 1100)]
    perp.check()


def test_bad_requests_are_refused():
    perp = Perp()
    for lots, price in ((1, None), (0, None), (-1, None)):
        with pytest.raises(LedgerError, match="cannot deleverage"):
            perp.book.deleverage(lots, price)
    victim = perp.open(10, 100, 100)
    perp.book.take_over(victim)
    with pytest.raises(LedgerError, match="at 0 ticks"):
        perp.book.deleverage(10, 0)
    perp.book.mark_price = None
    with pytest.raises(LedgerError, match="no mark price"):
        perp.book.adl_ranking(Side.BUY)


positions = st.lists(
    st.tuples(
        st.sampled_from(("isolated", "ann", "mia")), st.integers(1, 9), st.integers(80, 120), st.integers(1, 400)
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(positions=positions, lots=st.integers(1, 30), rate=st.integers(-2_000, 2_000), mark=st.integers(80, 120))
def test_the_preselection_finds_the_first_in_line(positions, lots, rate, mark):
    perp = Perp()
    book = perp.book
    perp.ledger.issue(perp.ann, USDT, 500, Flow.DEPOSIT)
    perp.ledger.issue(perp.mia, ALT, 500, Flow.DEPOSIT)
    for kind, qty, price, margin in positions:
        if kind == "isolated":
            perp.open(-qty, price, margin)
        elif book.position(perp.ann if kind == "ann" else perp.mia)[0] <= 0:
            book.trade(perp.crowd, perp.ann if kind == "ann" else perp.mia, qty, price)
    book.apply_funding(Fraction(rate, 100_000), mark)
    book.mark_price = mark
    marks = {ALT: (3, 2)}
    whole = book.adl_ranking(Side.SELL, marks)
    before = adl_module._FIRST
    adl_module._FIRST = 2
    try:
        some = adl_module.ranking(book, Side.SELL, marks, lots)
        assert adl_module.ranking(book, Side.SELL, marks) == whole
    finally:
        adl_module._FIRST = before
    assert some == whole[: len(some)]
    assert sum(rank.lots for rank in some[:-1]) < lots
    assert sum(rank.lots for rank in some) >= lots or some == whole
