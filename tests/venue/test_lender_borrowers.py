"""What borrowers may do at a lender, the margin calls they hear, and oracles without a market."""

import pytest

from lobsim.credit import Flow, Ledger, LoanBook
from lobsim.errors import InputError
from lobsim.sim.clock import Clock
from lobsim.venue.lender import Lender
from lobsim.venue.marks import ConstantMark
from tests.venue.builders import LOAN_TERMS, USDT, Desk, Log


class Credit(Desk):
    """A desk with a lender; each loan pledges 1,000 ALT quanta at 1.00 (value 100,000); called at 85 %, out at 91 %."""

    def __init__(self, *debts):
        super().__init__()
        self.lender = self.lend(*debts)
        self.called = []
        self.lender.publish_called = self.called.append
        self.borrower = self.ledger.account("lender.borrower-1")

    def price(self, ticks):
        self.trade(ticks)
        self.lender.update()
        return self

    def give(self, usdt=0, alt=0):
        self.ledger.issue(self.borrower, USDT, usdt, Flow.DEPOSIT)
        self.ledger.issue(self.borrower, 1, alt, Flow.DEPOSIT)

    def check(self):
        self.lender.check()
        super().check()


def test_loans_between_margin_call_and_liquidation_are_called_on_change():
    credit = Credit(68_000, 70_000)
    for ticks in (100, 83, 82, 82, 77, 76, 100):
        credit.price(ticks)
    # 70,000 is called from 82.35 on and out at 76.92; 68,000 from 80 on, out at 74.7
    assert credit.called == [(2,), (2, 1), (1,), ()]


def test_a_borrower_repays_tops_up_and_withdraws():
    credit = Credit(70_000).price(82)
    credit.give(usdt=30_000, alt=100)
    assert credit.lender.repay(1, 20_000) == 20_000
    assert credit.lender.top_up(1, 40) == 40
    assert credit.lender.withdraw(1, 500) == 0  # 50,000 on 540 * 82 = 44,280
    assert credit.lender.withdraw(1, 200) == 200  # 50,000 on 840 * 82 = 68,880: 72.6 %
    (loan,) = credit.lender.loans_of(credit.borrower)
    assert (loan.debt, loan.collateral) == (50_000, 840)
    assert (credit.usdt(credit.borrower), credit.alt(credit.borrower)) == (10_000, 260)
    assert [(row[1], row[5]) for row in credit.log.credits] == [
        ("loan_repaid", 20_000),
        ("loan_topped_up", 40),
        ("loan_withdrawn", 200),
    ]
    credit.check()


def test_no_more_than_what_is_there_moves():
    credit = Credit(70_000).price(100)
    credit.give(usdt=30_000, alt=100)
    assert credit.lender.top_up(1, 101) == 100
    assert credit.lender.top_up(1, 5) == 0
    assert credit.lender.repay(1, 50_000) == 30_000
    assert credit.lender.repay(1, 1) == 0
    assert credit.lender.withdraw(1, 10_000) == 0
    assert credit.lender.withdraw(1, 1_101) == 0
    for amount in (0, -3):
        assert (
            credit.lender.repay(1, amount) == credit.lender.top_up(1, amount) == credit.lender.withdraw(1, amount) == 0
        )
    credit.check()


def test_paying_all_back_closes_the_loan():
    credit = Credit(70_000).price(100)
    credit.give(usdt=100_000)
    assert credit.lender.repay(1, 100_000) == 70_000
    assert credit.lender.loans_of(credit.borrower) == ()
    assert credit.alt(credit.borrower) == 1_000
    assert credit.lender.repay(1, 1) == credit.lender.top_up(1, 1) == credit.lender.withdraw(1, 1) == 0
    credit.check()


def test_loans_opened_later_are_found_by_their_owner():
    credit = Credit(50_000, 60_000).price(100)
    assert [loan.loan_id for loan in credit.lender.loans_of(credit.borrower)] == [1]
    credit.give(alt=1_000)
    credit.lender.loans.open(credit.borrower, 1_000, 10_000, credit.lender.mark())
    assert [loan.loan_id for loan in credit.lender.loans_of(credit.borrower)] == [1, 3]
    assert credit.lender.loans_of(credit.crowd) == ()


def test_before_the_oracle_speaks_nothing_is_withdrawn():
    assert Credit(50_000).lender.withdraw(1, 1) == 0


def test_a_lender_without_a_market_values_by_its_scale():
    ledger, log, clock = Ledger(), Log(), Clock(1)
    usde, usdt = ledger.add_asset("USDE", "0.001"), ledger.add_asset("USDT", "0.01")
    cash, account = ledger.open_account("cash", overdraft=True), ledger.open_account("looper")
    ledger.issue(account, usde, 1_000_000, Flow.DEPOSIT)
    loans = LoanBook("lender", ledger, usde, usdt, LOAN_TERMS, cash)
    lender = Lender("lender", clock, log, ledger, loans, None, ConstantMark(1), scale=(1, 10))  # 1 USDE is 1 USDT
    lender.update()
    loans.open(account, 1_000_000, 78_000, lender.mark())
    assert lender.max_repay(1) == 0
    lender.check()
    with pytest.raises(InputError, match="lender: a lender without a market needs a scale"):
        Lender("lender", clock, log, ledger, loans, None, ConstantMark(1))
