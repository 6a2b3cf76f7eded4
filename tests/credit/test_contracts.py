"""Perpetual contracts by hand: clearing, bankruptcy price, funding, the fund's limit, and what is refused."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.credit import (
    ContractBook,
    ContractTerms,
    CrossMargin,
    Flow,
    InsufficientFunds,
    LedgerError,
    PositionRefused,
    TermsError,
    Tier,
    funding_rate_ppb,
    premium_ppb,
)
from lobsim.errors import CheckError
from lobsim.events import Side
from tests.credit.contract_reference import maintenance
from tests.credit.test_adl import ALT, USDT, Perp

BASIS = Fraction(1, 10_000)


# --- clearing -------------------------------------------------------------------------------------------------------


def test_a_round_trip_pays_the_difference_and_leaves_clearing_empty():
    perp = Perp()
    perp.book.trade(perp.crowd, perp.mia, 7, 100)
    assert perp.book.position(perp.mia) == (-7, -700)
    assert perp.book.unrealised(perp.mia, 90) == 70
    assert perp.book.open_interest() == 7
    perp.book.trade(perp.mia, perp.crowd, 7, 90)
    assert perp.ledger.balance(perp.mia, USDT) == 70
    assert perp.ledger.balance(perp.crowd, USDT) == -70
    assert perp.ledger.balance(perp.book.clearing, USDT) == 0
    assert perp.book.accounts() == ()
    assert perp.ledger.moved(USDT, Flow.PNL) == 140
    perp.check()


def test_a_trade_beyond_flat_opens_at_its_own_price():
    perp = Perp()
    perp.book.trade(perp.mia, perp.crowd, 3, 100)
    perp.book.trade(perp.crowd, perp.mia, 5, 110)
    assert perp.book.position(perp.mia) == (-2, -220)
    assert perp.ledger.balance(perp.mia, USDT) == 30
    perp.check()


def test_part_of_a_position_takes_its_part_of_the_cost_and_the_fraction_stays():
    perp = Perp()
    perp.book.trade(perp.mia, perp.crowd, 1, 100)
    perp.book.trade(perp.mia, perp.crowd, 2, 101)  # 302 for 3
    perp.book.trade(perp.crowd, perp.mia, 1, 100)
    assert perp.book.position(perp.mia) == (2, 201)  # 201.33 rounded down
    assert perp.margin.liability(perp.mia, USDT) == 1
    perp.check()


def test_a_unified_account_borrows_a_loss_and_repays_from_a_gain():
    perp = Perp()
    perp.book.trade(perp.mia, perp.crowd, 10, 100)
    perp.book.trade(perp.crowd, perp.mia, 5, 80)
    assert perp.margin.liability(perp.mia, USDT) == 100
    perp.book.trade(perp.crowd, perp.mia, 5, 130)
    assert perp.margin.liability(perp.mia, USDT) == 0
    assert perp.ledger.balance(perp.mia, USDT) == 50
    perp.check()


def test_a_plain_account_without_funds_is_refused_and_nothing_changes():
    perp = Perp()
    perp.ledger.issue(perp.ann, USDT, 49, Flow.DEPOSIT)
    perp.book.trade(perp.ann, perp.mia, 5, 100)
    with pytest.raises(InsufficientFunds, match="ann has 49 free quanta of USDT and loses 50"):
        perp.book.trade(perp.mia, perp.ann, 5, 90)
    assert perp.book.position(perp.ann) == (5, 500)
    assert perp.ledger.balance(perp.mia, USDT) == 0
    perp.ledger.issue(perp.ann, USDT, 1, Flow.DEPOSIT)
    perp.book.trade(perp.mia, perp.ann, 5, 90)
    assert perp.ledger.balance(perp.mia, USDT) == 50
    perp.check()


def test_an_empty_pool_refuses_before_anything_moves():
    perp = Perp()
    pool = perp.ledger.open_account("small pool")
    margin = CrossMargin(perp.ledger, pool, USDT, perp.margin._terms)
    bob = perp.ledger.open_account("bob")
    margin.enroll(bob)
    perp.book.trade(bob, perp.crowd, 1, 100)
    with pytest.raises(InsufficientFunds, match="small pool cannot lend"):
        perp.book.trade(perp.crowd, bob, 1, 90, margin)
    assert perp.book.position(bob) == (1, 100)
    assert perp.ledger.balance(perp.crowd, USDT) == 0


def test_a_trade_with_oneself_changes_nothing():
    perp = Perp()
    perp.book.trade(perp.ann, perp.ann, 5, 100)
    assert perp.book.accounts() == ()


@pytest.mark.parametrize(
    "call",
    [
        lambda perp: perp.book.trade(perp.mia, perp.crowd, 0, 100),
        lambda perp: perp.book.trade(perp.mia, perp.crowd, 1, 0),
        lambda perp: perp.book.trade(perp.mia, perp.crowd, 1.0, 100),
        lambda perp: perp.book.trade(99, perp.crowd, 1, 100),
        lambda perp: perp.book.trade(perp.crowd, 0, 1, 100),
        lambda perp: perp.book.trade(99, 99, 1, 100),
        lambda perp: perp.book.open_isolated(perp.crowd, 0, 100, 10, perp.crowd),
        lambda perp: perp.book.open_isolated(perp.crowd, 1, 0, 10, perp.crowd),
        lambda perp: perp.book.open_isolated(perp.crowd, 1, 100, 0, perp.crowd),
        lambda perp: perp.book.open_isolated(perp.crowd, 1.5, 100, 10, perp.crowd),
        lambda perp: perp.book.open_isolated(99, 1, 100, 10, perp.crowd),
        lambda perp: perp.book.open_isolated(perp.crowd, 1, 100, 10, 99),
        lambda perp: perp.book.close_isolated(1, 1, 100, perp.crowd),
        lambda perp: perp.book.close_isolated(perp.open(2, 100, 10), 3, 100, perp.crowd),
        lambda perp: perp.book.close_isolated(perp.open(2, 100, 10), 1, 0, perp.crowd),
        lambda perp: perp.book.take_over(1),
        lambda perp: perp.book.take_over_cross(perp.ann, 5),
        lambda perp: perp.book.fund_limit_price(Side.SELL, 1),
        lambda perp: ContractBook("Y", perp.ledger, USDT, ContractTerms((Tier(0, 1),)), 0, perp.fund),
        lambda perp: ContractBook("Y", perp.ledger, 9, ContractTerms((Tier(0, 1),)), 1, perp.fund),
    ],
)
def test_nonsense_is_refused_and_nothing_changes(call):
    perp = Perp()
    with pytest.raises(LedgerError):
        call(perp)
    assert perp.book.position(perp.mia) == (0, 0)
    perp.check()


def test_check_shows_what_does_not_add_up():
    perp = Perp()
    perp.book.trade(perp.mia, perp.crowd, 3, 100)
    perp.book.cross_positions[perp.mia] = (3, 299)
    with pytest.raises(CheckError, match="clearing has 0, positions cost -1"):
        perp.book.check()
    perp.book.cross_positions[perp.mia] = (2, 300)
    with pytest.raises(CheckError, match="2 lots are held long, 3 short"):
        perp.book.check()


# --- isolated positions ---------------------------------------------------------------------------------------------


def test_liquidation_and_bankruptcy_price_by_hand():
    perp = Perp()
    long_view = perp.book.isolated(perp.open(10, 100, 100))
    assert Fraction(*long_view.bankruptcy_price) == 90
    assert Fraction(*long_view.liquidation_price) == Fraction(90) / Fraction(99, 100)  # margin 1 % of the mark value
    short_view = perp.book.isolated(perp.open(-10, 100, 100))
    assert Fraction(*short_view.bankruptcy_price) == 110
    assert Fraction(*short_view.liquidation_price) == Fraction(110) / Fraction(101, 100)
    assert perp.book.breached(91) == []
    assert perp.book.breached(90) == [1]
    assert perp.book.breached(108) == []
    assert perp.book.breached(109) == [2]
    with pytest.raises(ValueError, match="a mark of 0"):
        perp.book.breached(0)


def test_a_mark_exactly_on_the_liquidation_price_breaches():
    perp = Perp(tiers=((0, 100_000),))
    position_id = perp.open(10, 100, 190)  # 810 = 900 * 0.9
    assert Fraction(*perp.book.isolated(position_id).liquidation_price) == 90
    assert (perp.book.breached(91), perp.book.breached(90)) == ([], [position_id])


def test_the_bracket_is_that_of_the_liquidation_value():
    tiers = ((0, 10_000), (1_000, 100_000))
    perp = Perp(tiers=tiers)
    long_id, short_id = perp.open(20, 100, 1_300), perp.open(-9, 100, 800)
    # long: 700 + 0.01 V = V at 707, below 1000, though it was opened at 2000; short: 1700 = V + 10 + (V - 1000) / 10
    long_view, short_view = perp.book.isolated(long_id), perp.book.isolated(short_id)
    assert Fraction(*long_view.liquidation_price) * 20 == Fraction(700 * 100, 99)
    assert Fraction(*short_view.liquidation_price) * 9 == Fraction(1_700 - 10 + 100) / Fraction(11, 10)


def test_the_worst_stand_first():
    perp = Perp()
    ids = [perp.open(10, 100, margin) for margin in (30, 10, 20, 10)]
    assert perp.book.breached(97) == [ids[1], ids[3], ids[2], ids[0]]
    assert perp.book.breached(98) == [ids[1], ids[3], ids[2]]


def test_closing_returns_the_margin_and_the_gain():
    perp = Perp()
    perp.ledger.issue(perp.ann, USDT, 100, Flow.DEPOSIT)
    position_id = perp.book.open_isolated(perp.ann, 10, 100, 99, perp.crowd)
    assert perp.ledger.balance(perp.ann, USDT) == 1
    assert perp.ledger.balance(perp.book.custody, USDT) == 99
    assert perp.book.isolated_open_interest == 10
    assert perp.book.close_isolated(position_id, 3, 110, perp.crowd) == 30 + 30  # 99 - floor(99 * 0.7) of margin
    assert perp.book.close_isolated(position_id, 7, 95, perp.crowd) == 69 - 35
    assert perp.ledger.balance(perp.ann, USDT) == 95
    assert perp.book.isolated(position_id) is None
    assert position_id not in list(perp.book)
    perp.check()


def test_a_loss_beyond_the_margin_is_the_accounts_own():
    perp = Perp()
    perp.ledger.issue(perp.ann, USDT, 120, Flow.DEPOSIT)
    position_id = perp.book.open_isolated(perp.ann, 10, 100, 100, perp.crowd)
    with pytest.raises(InsufficientFunds, match="only a take-over can end it"):
        perp.book.close_isolated(position_id, 10, 87, perp.crowd)
    with pytest.raises(InsufficientFunds, match="only a take-over can end it"):
        perp.book.close_isolated(position_id, 9, 88, perp.crowd)
    assert perp.book.close_isolated(position_id, 10, 88, perp.crowd) == -20
    assert perp.ledger.balance(perp.ann, USDT) == 0
    perp.check()


def test_a_loss_on_a_part_may_take_more_than_the_parts_margin():
    perp = Perp()
    position_id = perp.open(10, 100, 100)
    assert perp.book.close_isolated(position_id, 5, 85, perp.crowd) == 0
    assert perp.book.isolated(position_id)[2:6] == (5, 500, 500, 25)
    perp.check()


def test_more_leverage_than_allowed_is_refused():
    perp = Perp(max_leverage=20)
    perp.open(10, 100, 50)
    with pytest.raises(PositionRefused, match=r"leverage of 20\.41, above the most of 20"):
        perp.open(-10, 100, 49)
    perp.ledger.issue(perp.ann, USDT, 49, Flow.DEPOSIT)
    with pytest.raises(InsufficientFunds, match="ann has 49"):
        perp.book.open_isolated(perp.ann, 10, 100, 50, perp.crowd)


def test_an_account_on_both_sides_needs_funds_for_both():
    perp = Perp()
    perp.ledger.issue(perp.ann, USDT, 149, Flow.DEPOSIT)
    perp.book.trade(perp.ann, perp.crowd, 10, 105)
    with pytest.raises(InsufficientFunds, match="takes 150"):
        perp.book.open_isolated(perp.ann, 10, 100, 100, perp.ann)  # realises a loss of 50 on the other side
    perp.ledger.issue(perp.ann, USDT, 1, Flow.DEPOSIT)
    position_id = perp.book.open_isolated(perp.ann, 10, 100, 100, perp.ann)
    assert perp.ledger.balance(perp.ann, USDT) == 0
    perp.book.trade(perp.crowd, perp.ann, 10, 87)
    perp.ledger.issue(perp.ann, USDT, 29, Flow.DEPOSIT)
    with pytest.raises(InsufficientFunds):  # 10 for the loss beyond the margin, 20 on the other side
        perp.book.close_isolated(position_id, 10, 89, perp.ann)
    perp.ledger.issue(perp.ann, USDT, 1, Flow.DEPOSIT)
    assert perp.book.close_isolated(position_id, 10, 89, perp.ann) == -10
    assert perp.ledger.balance(perp.ann, USDT) == 0
    perp.check()


# --- take-over and insurance ----------------------------------------------------------------------------------------


def test_taking_over_costs_the_holder_exactly_the_margin():
    perp = Perp(fund=5, liquidation_fee_ppm=5_000)
    position_id = perp.open(10, 100, 100)
    perp.book.mark_price = 91
    assert perp.book.take_over(position_id) == (position_id, perp.crowd, 10, 904, 100, 4)  # 0.5 % of 910
    assert perp.ledger.balance(perp.fund, USDT) == 9
    assert perp.book.position(perp.book.liquidation) == (10, 904)
    perp.book.trade(perp.mia, perp.book.liquidation, 4, 92)
    perp.book.trade(perp.mia, perp.book.liquidation, 6, 90)
    assert perp.book.settle_takeover() == (4, 0, 0)
    assert perp.ledger.balance(perp.fund, USDT) == 13
    perp.check()


def test_the_fee_takes_no_more_than_the_margin():
    perp = Perp(liquidation_fee_ppm=200_000)
    position_id = perp.open(-10, 100, 50)
    perp.book.mark_price = None  # the fee is then on the entry value
    assert perp.book.take_over(position_id) == (position_id, perp.crowd, -10, -1_000, 50, 50)
    perp.check()


@pytest.mark.parametrize("sign", [1, -1])
def test_at_the_funds_limit_the_fund_is_just_enough(sign):
    perp = Perp(fund=35)
    position_id = perp.open(10 * sign, 100, 100)
    perp.book.take_over(position_id)  # bankrupt at 90 or 110
    side = Side.SELL if sign > 0 else Side.BUY
    assert perp.book.fund_limit_price(side, 10) == (87 if sign > 0 else 113)
    assert perp.book.fund_limit_price(side, 1) == (55 if sign > 0 else 145)
    with pytest.raises(LedgerError, match="cannot be"):
        perp.book.fund_limit_price(side, 11)
    with pytest.raises(LedgerError, match="cannot be"):
        perp.book.fund_limit_price(Side(1 - side), 1)
    liquidation = perp.book.liquidation
    parties = (perp.mia, liquidation) if sign > 0 else (liquidation, perp.mia)
    perp.book.trade(*parties, 10, 87 if sign > 0 else 113)
    assert perp.book.settle_takeover() == (0, 30, 0)
    perp.check()


def test_the_limit_is_at_least_one_tick_and_none_when_the_fund_is_endless():
    perp = Perp(fund=10**6)
    perp.book.take_over(perp.open(10, 100, 100))
    assert perp.book.fund_limit_price(Side.SELL, 10) == 1
    endless = ContractBook("Y", perp.ledger, USDT, ContractTerms((Tier(0, 1),)), 1, perp.crowd)
    endless.take_over(endless.open_isolated(perp.crowd, 10, 100, 100, perp.crowd))
    assert endless.fund_limit_price(Side.SELL, 10) is None


def test_what_the_fund_cannot_pay_waits_for_later_gains():
    perp = Perp(fund=10)
    perp.book.take_over(perp.open(10, 100, 100))
    perp.book.trade(perp.mia, perp.book.liquidation, 10, 80)
    assert perp.book.settle_takeover() == (0, 10, 90)
    perp.book.take_over(perp.open(10, 100, 100))
    assert perp.book.fund_limit_price(Side.SELL, 10) == 90  # nothing to lose any more
    perp.book.trade(perp.mia, perp.book.liquidation, 10, 100)
    assert perp.book.settle_takeover() == (10, 0, 0)
    perp.check()


# --- funding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("premium", "rate"),
    [(0, 1), (1, 1), (6, 1), (7, 2), (-4, 1), (-5, 0), (50, 45), (-50, -45)],
)
def test_the_funding_formula_in_basis_points(premium, rate):
    assert funding_rate_ppb(premium * 100_000, 1) == rate * 100_000  # P + clamp(1 - P, -5, 5)
    assert funding_rate_ppb(3 * premium * 100_000, 3) == rate * 100_000


def test_premiums_are_those_of_the_impact_prices():
    assert premium_ppb(102, 103, 100) == 20_000_000
    assert premium_ppb(97, 98, 100) == -20_000_000
    assert premium_ppb(99, 101, 100) == 0
    assert premium_ppb(None, None, 100) == 0
    assert premium_ppb(None, 98, 100) == -20_000_000
    assert premium_ppb(301, None, 300) == 3_333_333
    assert premium_ppb(None, 299, 300) == -3_333_334
    with pytest.raises(ValueError, match="above 0"):
        premium_ppb(1, 2, 0)
    with pytest.raises(ValueError, match="clamp"):
        funding_rate_ppb(100_000, 1, clamp_ppb=-1)
    with pytest.raises(ValueError, match="a sample"):
        funding_rate_ppb(0, 0)


def test_longs_pay_shorts_in_cash_and_isolated_positions_in_their_margin():
    perp = Perp()
    perp.book.trade(perp.mia, perp.crowd, 10, 100)
    position_id = perp.open(-5, 100, 200)  # crowd is long these 5: short 5 in all
    assert perp.book.apply_funding(Fraction(1, 100), 110) == (1_100_000_000, 11, 0, 0)
    assert perp.margin.liability(perp.mia, USDT) == 11
    assert perp.ledger.balance(perp.crowd, USDT) == -200 + 5
    view = perp.book.isolated(position_id)
    assert (view.cost, view.entry_value) == (-505, -500)  # receives 5.5, rounded down
    assert Fraction(*view.liquidation_price) == (Fraction(700) + Fraction(11, 2)) / 5 / Fraction(101, 100)
    perp.check()
    assert perp.book.close_isolated(position_id, 5, 100, perp.crowd) == 205
    perp.book.trade(perp.crowd, perp.mia, 10, 100)
    assert perp.book.accounts() == ()
    assert perp.ledger.balance(perp.ledger.rounding, USDT) == 1
    assert perp.ledger.balance(perp.book.clearing, USDT) == 0
    perp.check()


def test_shorts_pay_longs_when_the_rate_is_negative():
    perp = Perp()
    perp.book.trade(perp.mia, perp.crowd, 10, 100)
    assert perp.book.apply_funding(Fraction(-1, 100), 100) == (-1_000_000_000, 10, 0, 0)
    assert perp.ledger.balance(perp.mia, USDT) == 10
    assert perp.ledger.moved(USDT, Flow.FUNDING) == 20
    perp.check()


def test_an_account_that_cannot_pay_owes_it_in_its_position():
    perp = Perp()
    perp.ledger.issue(perp.ann, USDT, 3, Flow.DEPOSIT)
    perp.book.trade(perp.ann, perp.crowd, 10, 100)
    assert perp.book.apply_funding(Fraction(1, 100), 100).deferred == 7
    assert perp.book.position(perp.ann) == (10, 1_007)
    perp.check()
    assert perp.book.apply_funding(Fraction(0), 100) == (0, 0, 0, 0)
    with pytest.raises(ValueError, match="at a mark of 0"):
        perp.book.apply_funding(BASIS, 0)


# --- terms ----------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(
    steps=st.lists(st.tuples(st.integers(1, 1_000), st.integers(0, 100_000)), max_size=4),
    notional=st.integers(0, 5_000),
)
def test_marginal_brackets(steps, notional):
    tiers = [Tier(0, 10_000)]
    for width, more in steps:
        tiers.append(Tier(tiers[-1].notional_from + width, tiers[-1].maintenance_ppm + more))
    terms = ContractTerms(tuple(tiers))
    terms.check()
    assert Fraction(terms.maintenance(notional), 1_000_000) == maintenance(tiers, notional)


@pytest.mark.parametrize(
    "terms",
    [
        ContractTerms(()),
        ContractTerms((Tier(1, 10),)),
        ContractTerms((Tier(0, -1),)),
        ContractTerms((Tier(0, 1_000_000),)),
        ContractTerms((Tier(0, 10), Tier(0, 20))),
        ContractTerms((Tier(0, 10), Tier(5, 9))),
        ContractTerms((Tier(0, 10),), liquidation_fee_ppm=-1),
        ContractTerms((Tier(0, 10),), liquidation_fee_ppm=1_000_000),
        ContractTerms((Tier(0, 10),), max_leverage=0),
    ],
)
def test_terms_that_contradict_themselves(terms):
    with pytest.raises(TermsError):
        terms.check()
    perp = Perp()
    with pytest.raises(TermsError):
        ContractBook("Y", perp.ledger, ALT, terms, 1, perp.fund)
