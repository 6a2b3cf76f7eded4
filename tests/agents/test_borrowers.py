"""Borrowers who answer margin calls."""

import pytest

from lobsim.events import Purpose
from tests.agents.lending import EXCHANGE, Lending
from tests.venue.builders import ALT, USDT

ANSWER = {
    "top_up": 0.0,
    "repay": 0.0,
    "delay": "0s",
    "target_ltv": 0.7,
    "means": 1.0,
    "order_qty": 50.0,
    "pause": "1s",
}
CALL = Purpose.MARGIN_CALL


def called(*debts, seed=1, bid=100, latency_ms=10, **agent):
    """Loans at 0.70, which a price of 82 brings above the margin call's 0.85."""
    street = Lending(*debts, terms=EXCHANGE, pegged=False, seed=seed)
    if bid:
        street.bid(bid - 20)
    street.agent_ = street.borrowers("borrowers", latency_ms, **{**ANSWER, **agent})
    return street


def test_nobody_answers_before_being_called():
    street = called(700_000, top_up=1.0)
    street.price(100, 83)
    street.wait(200, 400)
    assert (street.debts(), street.pledged()) == ([700_000], [10_000])


def test_those_who_top_up_restore_the_target_with_coins_from_elsewhere():
    street = called(700_000, 500_000, top_up=1.0)
    street.price(100, 82)
    street.wait(102)
    assert street.pledged()[1] == 10_000
    coins = street.pledged()[0]
    assert 700_000 / (coins * 82) <= 0.7 < 700_000 / ((coins - 1) * 82)
    assert street.ledger.balance(street.account, ALT) == 10_000 - coins
    assert street.debts() == [700_000, 500_000]
    street.prove()


def test_those_who_repay_sell_piece_by_piece_for_it():
    street = called(700_000, repay=1.0)
    street.price(100, 82)
    street.wait(*range(101, 140, 2))
    sold = street.sold(CALL)
    assert [lots for _, lots, _ in sold] == [50, 50, 50, 25]  # 140,000, since its sales make the mark 0.80
    assert street.debts()[0] / (10_000 * 80) == 0.7
    assert street.pledged() == [10_000]
    assert street.ledger.balance(street.account, ALT) == -1_750
    assert street.ledger.balance(street.account, USDT) == 0
    street.prove()


def test_defaulters_wait_for_the_liquidator():
    street = called(700_000)
    street.price(100, 82)
    street.wait(200, 400)
    assert (street.debts(), street.pledged(), street.sold(CALL)) == ([700_000], [10_000], [])


def test_shares_are_shares_of_the_borrowers():
    street = called(*[700_000] * 400, top_up=0.5, repay=0.25, order_qty=1_000.0)
    street.bid(80, 10**9)
    street.price(100, 82)
    street.wait(101, 105, 110)
    more = sum(coins > 10_000 for coins in street.pledged())
    less = sum(debt < 700_000 for debt in street.debts())
    assert 160 < more < 240
    assert 65 < less < 135
    street.prove()


def test_answers_take_their_time():
    street = called(*[700_000] * 200, top_up=1.0, delay="60s")
    street.price(100, 82)
    street.wait(*range(101, 600, 5))
    answers = [row[0] / 10**9 - 100 for row in street.log.credits if row[1] == "loan_topped_up"]
    assert len(answers) == 200
    assert 50 < sum(answers) / 200 < 72
    assert min(answers) > 0.02  # the call and the answer travel


def test_means_are_limited():
    street = called(700_000, 700_000, top_up=1.0, means=0.1, bid=0)
    street.price(100, 82)
    street.wait(101, 200, 300)
    assert street.pledged() == [10_000 + 854] * 2  # 70,000 at 0.82
    street.price(400, 75)
    street.wait(401, 500)
    assert street.pledged() == [10_000 + 854] * 2  # there is no more
    street = called(700_000, repay=1.0, means=0.05)
    street.price(100, 82)
    street.wait(101, 200, 300)
    assert sum(lots for _, lots, _ in street.sold(CALL)) == 44  # 35,000 at 0.80
    assert street.debts() == [700_000 - 44 * 800]
    street.prove()


def test_a_price_that_comes_back_in_time_needs_no_answer():
    street = called(700_000, top_up=1.0, delay="1000s", bid=0)
    street.price(100, 82)
    street.price(102, 101)
    street.wait(2_000, 10_000)
    assert street.pledged() == [10_000]


def test_a_loan_that_is_gone_needs_none_either():
    street = called(700_000, 500_000, repay=1.0, delay="100s")
    street.price(100, 82)
    bot = street.spot("bot", usdt=10**9)
    street.lender.loans.liquidate(1, bot, 10**9, (60 * 10, 10))
    street.wait(101, 2_000)
    assert street.sold(CALL) == []
    street.prove()


def test_without_bids_they_try_again():
    street = called(700_000, repay=1.0, bid=0)
    street.price(100, 82)
    street.wait(101, 200)
    assert street.debts() == [700_000]
    street.bid(80)
    street.wait(230, 260)
    assert street.debts()[0] < 600_000
    street.prove()


def test_shares_beyond_one_are_refused():
    with pytest.raises(ValueError, match=r"top_up \(0.6\) and repay \(0.6\) are shares: together at most 1"):
        Lending().params("borrowers", lender="lender", order_qty=1.0, top_up=0.6, repay=0.6)
