"""Transfers between venues: in transit they are nobody's, halts stop what has not left, every quantum arrives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.credit import CreditError
from lobsim.errors import CheckError, InputError
from lobsim.venue.transfers import TransferDesk
from tests.venue.builders import ALT, USDT, Desk


class Carrier(Desk):
    def __init__(self, **options):
        super().__init__()
        self.published = []
        self.transfers = TransferDesk(
            self.clock, self.ledger, self.log, delay_ns=100, publish=self.published.append, **options
        )
        self.transfers.add_venue("exchange", self.exchange)

    def send(self, src, dst, amount, asset=USDT, venue="exchange"):
        return self.transfers.send(src, dst, asset, amount, venue, "chain")

    def check(self):
        self.transfers.check()
        super().check()


def test_taken_at_once_delivered_after_the_delay():
    desk = Carrier(delays={ALT: 30})
    src, dst = desk.spot("here", usdt=500, alt=70), desk.spot("there")
    arrived = []
    desk.transfers.watch(dst, lambda asset, amount: arrived.append((desk.clock.now, asset, amount)))
    assert desk.send(src, dst, 400)
    assert desk.send(src, dst, 70, ALT)
    assert (desk.usdt(src), desk.usdt(dst), desk.usdt(desk.transfers.account)) == (100, 0, 400)
    desk.check()
    desk.at(99)
    assert arrived == [(30, ALT, 70)]
    desk.at(100)
    assert arrived == [(30, ALT, 70), (100, USDT, 400)]
    assert (desk.usdt(dst), desk.alt(dst)) == (400, 70)
    assert [(row[0], row[1], row[2], row[3], *row[4:]) for row in desk.log.credits] == [
        (0, "transfer_sent", src, dst, "USDT", 400, 400, 1),
        (0, "transfer_sent", src, dst, "ALT", 70, 70, 2),
        (30, "transfer_arrived", dst, src, "ALT", 70, 70, 2),
        (100, "transfer_arrived", dst, src, "USDT", 400, 400, 1),
    ]
    desk.check()


def test_only_what_is_free_can_be_sent():
    desk = Carrier()
    src, dst = desk.spot("here", usdt=1_000), desk.spot("there")
    desk.order(src, 0, 1, 60)  # holds 600
    assert not desk.send(src, dst, 401)
    assert not desk.send(src, dst, 0)
    assert not desk.send(src, dst, -5)
    assert desk.send(src, dst, 400)
    desk.check()


def test_a_halt_stops_withdrawals_and_not_what_is_under_way():
    desk = Carrier()
    src, dst = desk.spot("here", usdt=1_000, alt=10), desk.spot("there")
    assert desk.send(src, dst, 100)
    desk.transfers.halt("exchange", ["USDT"])
    assert not desk.send(src, dst, 100)
    assert desk.send(src, dst, 1, ALT)
    assert desk.send(src, dst, 100, venue="elsewhere")
    desk.transfers.halt("exchange")
    assert not desk.send(src, dst, 1, ALT)
    desk.transfers.resume("exchange", ["ALT"])
    assert (desk.transfers.open("exchange", "ALT"), desk.transfers.open("exchange", "USDT")) == (True, False)
    desk.transfers.resume("exchange")
    assert desk.send(src, dst, 100)
    desk.at(1_000)
    assert desk.usdt(dst) == 300
    assert desk.published == [
        {("exchange", "USDT"): False, ("exchange", "ALT"): True},
        {("exchange", "USDT"): False, ("exchange", "ALT"): False},
        {("exchange", "USDT"): False, ("exchange", "ALT"): True},
        {},
    ]
    desk.check()


def test_a_slowed_venue_takes_longer_from_then_on():
    desk = Carrier()
    src, dst = desk.spot("here", usdt=3), desk.spot("there")
    desk.send(src, dst, 1)
    desk.transfers.slow("exchange", 3_000_000)
    desk.send(src, dst, 1)
    assert desk.at(299).usdt(dst) == 1
    assert desk.at(300).usdt(dst) == 2
    desk.transfers.slow("exchange")
    desk.send(src, dst, 1)
    assert desk.at(400).usdt(dst) == 3


def test_a_margin_account_must_stay_free():
    # 1,000 lots of ALT at 1.00 count 800,000; 500,000 owed take 50,000 of margin: 1.5 of that must stay
    desk = Carrier()
    account, dst = desk.unified("maker", alt=10_000, debt=500_000), desk.spot("there")
    assert not desk.send(account, dst, 1, ALT)  # it cannot be valued yet
    desk.trade(100)
    desk.mark()
    assert not desk.send(account, dst, 2_813, ALT)  # equity 800,000 - 225,040 - 500,000 = 74,960
    assert desk.send(account, dst, 2_812, ALT)  # 75,040, above 1.5 times 50,000
    assert desk.alt(account) == 10_000 - 2_812
    desk.check()


def test_what_arrives_on_a_margin_account_repays_its_debt():
    desk = Carrier()
    account, src = desk.unified("maker", alt=10_000, debt=500), desk.spot("from", usdt=800)
    desk.transfers.send(src, account, USDT, 800, "chain", "exchange")
    desk.at(100)
    assert desk.margin.liability(account, USDT) == 0
    assert desk.usdt(account) == 300
    desk.check()


def test_bad_input_is_named():
    desk = Carrier()
    with pytest.raises(InputError, match="at least 0 ns, not -1"):
        TransferDesk(desk.clock, desk.ledger, desk.log, delay_ns=-1)
    with pytest.raises(InputError, match="transfers out of exchange"):
        desk.transfers.slow("exchange", -1)
    with pytest.raises(CreditError, match="no asset 'BTC'"):
        desk.transfers.halt("exchange", ["BTC"])
    src = desk.spot("here", usdt=3)
    with pytest.raises(CreditError, match="no account 999"):
        desk.send(src, 999, 1)
    assert desk.usdt(src) == 3


def test_check_notices_money_in_transit_that_nobody_sent():
    desk = Carrier()
    desk.ledger.issue(desk.transfers.account, USDT, 5, 0)
    with pytest.raises(CheckError, match="in-transit holds"):
        desk.transfers.check()


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 600), st.integers(0, 60), st.booleans()),
        max_size=20,
    )
)
def test_nothing_is_lost_on_any_way(moves):
    desk = Carrier()
    accounts = [desk.spot(f"account-{number}", usdt=500) for number in range(3)]
    for src, dst, amount, wait, halted in moves:
        if halted:
            desk.transfers.halt("exchange")
        else:
            desk.transfers.resume("exchange")
        before = desk.usdt(accounts[src])
        sent = desk.send(accounts[src], accounts[dst], amount)
        assert sent == (not halted and 0 < amount <= before)
        desk.check()
        desk.at(desk.clock.now + wait)
    desk.at(desk.clock.now + 100)
    assert sum(desk.usdt(account) for account in accounts) == 1_500
    desk.check()
