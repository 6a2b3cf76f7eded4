"""Holders of loops: what alarms them, and how they unwind."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.events import Purpose
from tests.agents.lending import CHAIN, EXCHANGE, Lending
from tests.venue.builders import ALT, USDT

LOOP = {
    "watches": ["BTC"],
    "window": "600s",
    "tolerance": 0.08,
    "tolerance_sigma": 0.0,
    "discount": 0.02,
    "discount_sigma": 0.0,
    "delay": "0s",
    "order_qty": 100.0,
    "pause": "1s",
    "retry": "30s",
}
UNWIND = Purpose.LOOP_UNWIND


def loops(*debts, agent=None, **settings):
    street = Lending(*debts, **settings)
    street.tell("BTC", 100.0)
    street.loopers = street.borrowers("loopers", **{**LOOP, **(agent or {})})
    return street


def fall(street, second, value):
    street.seconds(second)
    street.tell("BTC", value)


def test_a_calm_market_leaves_them_alone():
    street = loops(800_000, 700_000)
    street.bid(99)
    fall(street, 100, 93.0)
    street.price(200, 99)
    street.wait(300, 2_000)
    assert street.sold(UNWIND) == []
    assert street.debts() == [800_000, 700_000]


def test_a_fall_of_what_they_watch_makes_them_unwind_round_by_round_until_nothing_is_owed():
    street = loops(800_000)  # LTV 0.80 where 0.90 is allowed: about a ninth of the collateral can go
    street.bid(100)
    fall(street, 100, 91.0)
    street.wait(200, 400)
    assert street.debts() == []
    assert [lots for _, lots, _ in street.sold(UNWIND)][:2] == [100, 11]  # the first round, in pieces of 100 lots
    total = sum(lots for _, lots, _ in street.sold(UNWIND))
    assert total == 800  # 800,000 at 1.00
    taken = [row for row in street.log.credits if row[1] == "loan_withdrawn"]
    assert [row[5] for row in taken][:2] == [1_111, 1_233]  # a tenth of it more than the debt carried away
    assert len(taken) == 6
    assert street.ledger.balance(street.account, ALT) == 2_000  # its own 20 %
    assert street.notes == [(street.notes[0][0], "loop_unwind_began", 800_000, "USDT quanta")]
    street.prove()


def test_the_share_that_is_to_be_repaid_is_repaid_to_the_lot():
    street = loops(800_000, 600_000, agent={"share": 0.25})
    street.bid(100)
    fall(street, 100, 91.0)
    street.wait(200, 400, 500)
    assert street.debts() == [600_000, 450_000]
    assert street.ledger.balance(street.account, ALT) == 0  # nothing taken out that was not sold
    street.prove()


def test_a_lower_price_takes_more_coins():
    street = loops(800_000, agent={"share": 0.5, "discount": None})
    street.bid(80)
    fall(street, 100, 91.0)
    street.wait(*range(200, 3_000, 100))
    assert 399_000 < street.debts()[0] <= 400_000
    assert sum(lots for _, lots, _ in street.sold(UNWIND)) == 500
    street.prove()


def test_a_discount_alarms_them_as_well():
    street = loops(500_000, agent={"watches": []})
    street.bid(97)
    street.price(100, 98)  # exactly at the tolerance
    street.wait(200, 400)
    assert street.debts() == []


@pytest.mark.parametrize("off", ["tolerance", "discount"])
def test_what_has_no_median_alarms_nobody(off):
    street = loops(500_000, agent={off: None})
    street.bid(50)
    if off == "tolerance":
        fall(street, 100, 10.0)
    else:
        street.price(100, 60)
    street.wait(200, 400)
    assert street.debts() == [500_000]


def test_each_has_a_tolerance_and_a_delay_of_its_own():
    street = loops(*[500_000] * 200, agent={"tolerance_sigma": 0.4, "delay": "60s", "order_qty": 10_000.0})
    street.bid(100, 10**9)
    fall(street, 100, 92.0)
    street.wait(*range(101, 700, 20))
    assert 70 < len(street.debts()) < 130
    firsts = {round(second) for second, _, _ in street.sold(UNWIND)}
    assert len(firsts) > 40
    assert min(firsts) >= 100
    street.prove()


def test_a_fall_is_measured_from_the_high_of_the_window():
    street = loops(500_000)
    street.bid(100)
    for number in range(1, 10):
        fall(street, 400 * number, 100.0 - 2 * number)
    street.wait(4_000)
    assert street.debts() == [500_000]  # 8 % never within ten minutes
    fall(street, 4_100, 75.0)
    street.wait(4_200)
    assert street.debts() == []


def test_without_bids_they_wait_and_try_again():
    street = loops(800_000)
    fall(street, 100, 91.0)
    street.wait(200, 300)
    assert street.debts() == [800_000]
    street.bid(100, 5)
    street.wait(400, 500)
    assert street.debts() == [795_000]
    street.bid(100)
    street.wait(600, 700, 800)
    assert street.debts() == []
    street.prove()


def test_who_is_at_the_maximum_can_take_nothing_out():
    street = loops(900_000)
    street.bid(99)
    fall(street, 100, 50.0)
    street.wait(200, 1_000)
    assert street.debts() == [900_000]
    assert street.sold(UNWIND) == []


def test_a_flash_needs_no_rounds():
    street = loops(800_000, agent={"flash": True, "order_qty": 10_000.0})
    street.bid(100)
    fall(street, 100, 91.0)
    street.wait(110, 120)
    assert street.debts() == []
    assert [lots for _, lots, _ in street.sold(UNWIND)] == [800]
    assert street.ledger.balance(street.account, ALT) == 2_000
    street.prove()


def test_a_flash_sells_no_lower_than_what_the_sale_releases():
    street = loops(800_000, agent={"flash": True, "share": 0.5, "order_qty": 10_000.0})
    street.bid(91, 200)
    street.bid(85)
    fall(street, 100, 91.0)
    street.wait(200, 400)
    assert {price for _, _, price in street.sold(UNWIND)} == {91}  # at the peg a coin carries 0.90
    assert sum(lots for _, lots, _ in street.sold(UNWIND)) == 200
    assert street.ledger.balance(street.account, ALT) == 0
    street.prove()


def test_an_exit_sells_what_comes_back():
    street = loops(800_000, agent={"flash": True, "exit": True, "order_qty": 300.0})
    street.bid(100)
    fall(street, 100, 91.0)
    street.wait(200, 400)
    assert sum(lots for _, lots, _ in street.sold(UNWIND)) == 1_000
    assert street.ledger.balance(street.account, ALT) == 0
    assert street.ledger.balance(street.account, USDT) == 1_000_000 - 800_000
    street.prove()


def test_a_margin_call_is_answered_with_collateral_down_to_the_target():
    street = loops(
        700_000, 500_000, terms=EXCHANGE, pegged=False, agent={"watches": [], "discount": None, "target_ltv": 0.7}
    )
    street.bid(81)
    street.price(100, 82)  # LTV 0.854 and 0.610
    street.wait(*range(110, 400, 20))
    (first, second), (coins, all_coins) = street.debts(), street.pledged()
    assert (second, all_coins) == (500_000, 10_000)
    assert 0.68 < first / (coins * 82) <= 0.70
    assert street.ledger.balance(street.account, ALT) == 0
    street.prove()


def test_calls_can_go_unanswered():
    agent = {"watches": [], "discount": None, "answer_calls": False}
    street = loops(700_000, terms=EXCHANGE, pegged=False, agent=agent)
    street.bid(81)
    street.price(100, 82)
    street.wait(200, 400)
    assert street.debts() == [700_000]


def test_a_call_that_selling_cannot_answer_is_left():
    street = loops(700_000, terms=EXCHANGE, pegged=False, agent={"watches": [], "discount": None, "target_ltv": 0.7})
    street.bid(60)
    street.price(100, 82)
    street.wait(200, 400)
    assert street.debts() == [700_000]
    assert street.sold(UNWIND) == []


def test_a_loan_above_the_maximum_is_brought_below_it_at_once_or_not_at_all():
    street = loops(700_000, terms=EXCHANGE, pegged=False, agent={"watches": [], "discount": None, "target_ltv": 0.7})
    street.bid(82, 10)
    street.bid(70)  # enough for the debt that a coin carries, too little for what is owed beyond
    street.price(100, 83)
    street.price(101, 82)
    street.wait(200, 400)
    assert street.sold(UNWIND) == []
    assert street.pledged() == [10_000]


def test_a_loan_liquidated_meanwhile_is_gone():
    street = loops(800_000, agent={"delay": "100s"})
    street.bid(100)
    fall(street, 100, 91.0)
    street.wait(101)
    bot = street.spot("bot", usdt=10**9)
    street.lender.oracle_price = 50
    for _ in range(30):
        street.lender.loans.liquidate(1, bot, 10**9, (50 * 10, 10))
    street.wait(500, 2_000)
    assert street.debts() == []
    assert street.sold(UNWIND) == []
    street.prove()


def test_nothing_to_do_without_loans():
    street = loops()
    assert street.clock._queue == []


@settings(max_examples=60, deadline=None)
@given(
    debts=st.lists(st.integers(100_000, 900_000), min_size=1, max_size=4),
    bids=st.lists(st.tuples(st.integers(1, 101), st.integers(1, 900)), max_size=6),
    flash=st.booleans(),
    leaves=st.booleans(),
    share=st.sampled_from([0.1, 0.5, 1.0]),
    order_qty=st.sampled_from([1.0, 37.0, 5_000.0]),
    terms=st.sampled_from([CHAIN, EXCHANGE]),
    pegged=st.booleans(),
    seed=st.integers(0, 5),
)
def test_no_coin_is_sold_twice_and_no_debt_is_repaid_that_was_not_earned(
    debts, bids, flash, leaves, share, order_qty, terms, pegged, seed
):
    """Whatever happens: assets add up, the crowd sells only what it took out, and repays only what it was paid."""
    debts = [min(debt, 780_000) if terms is EXCHANGE else debt for debt in debts]
    agent = {"flash": flash, "exit": leaves, "share": share, "order_qty": order_qty}
    street = loops(*debts, terms=terms, pegged=pegged, seed=seed, agent={**agent, "delay": "5s"})
    for number, (price, lots) in enumerate(bids):
        street.bid(price, lots)
        fall(street, 10 * number + 1, 100.0 - 5 * number)
    fall(street, 100, 60.0)
    street.wait(110, 130, 160)
    street.price(180, 90)
    street.wait(190, 230, 260, 300, 400)
    street.prove()
    sold = sum(lots for _, lots, _ in street.sold(UNWIND)) * 10
    earned = sum(lots * price * 10 for _, lots, price in street.sold(UNWIND))
    coins, cash = street.ledger.balance(street.account, ALT), street.ledger.balance(street.account, USDT)
    holders = street.loopers._holders
    assert coins == sum(holder.coins for holder in holders)
    assert cash == sum(holder.cash for holder in holders) >= 0
    assert coins >= 0  # a flash sale is always covered
    assert coins + sum(street.pledged()) == 10_000 * len(debts) - sold
    assert sum(debts) - sum(street.debts()) == earned - cash


@pytest.mark.parametrize(
    "bad", [{"share": 0.0}, {"tolerance": 1.0}, {"target_ltv": 1.0}, {"par": 0.0}, {"window": "0s"}]
)
def test_nonsense_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Lending().params("loopers", lender="lender", **{"order_qty": 1.0, **bad})
