"""Issuers and converters: one for one less the fee, within caps and reserves, and every quantum is accounted for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.credit import Flow
from lobsim.errors import InputError
from lobsim.venue.issuer import Converter, Issuer, WindowTerms
from tests.venue.builders import ALT, USDT, Desk


class Bank(Desk):
    """A desk with an issuer of USDE (quantum 0.01) against USDT (quantum 0.001), reserve 1,000 USDT."""

    def __init__(self, reserve=1_000_000, whitelist=None, **terms):
        super().__init__()
        self.usde = self.ledger.add_asset("USDE", "0.01")
        self.reserve = self.ledger.open_account("reserve")
        self.ledger.issue(self.reserve, USDT, reserve, Flow.DEPOSIT)
        self.ledger.issue(self.ledger.open_account("holders"), self.usde, reserve // 10, Flow.DEPOSIT)
        self.issuer = Issuer(
            "issuer",
            self.clock,
            self.ledger,
            self.log,
            asset=self.usde,
            reserve_asset=USDT,
            reserve=self.reserve,
            terms=WindowTerms(**terms),
            whitelist=whitelist,
        )
        self.answers = []

    def done(self, paid, got):
        self.answers.append((self.clock.now, paid, got))

    def holder(self, name, usdt=0, usde=0):
        account = self.spot(name, usdt=usdt)
        self.ledger.issue(account, self.usde, usde, Flow.DEPOSIT)
        return account

    def usde_of(self, account):
        return self.ledger.balance(account, self.usde)

    def check(self):
        self.issuer.check()
        super().check()


def test_minting_pays_at_once_and_receives_after_the_delay():
    bank = Bank(fee_ppm=1_000, delay_ns=50)
    account = bank.holder("arbitrageur", usdt=100_000)
    bank.issuer.mint(account, 100_000, bank.done)
    bank.check()
    assert (bank.usdt(account), bank.usde_of(account), bank.answers) == (0, 0, [])
    assert bank.usdt(bank.reserve) == 1_000_000
    bank.at(50)
    assert bank.answers == [(50, 100_000, 9_990)]
    assert bank.usde_of(account) == 9_990
    assert bank.usdt(bank.reserve) == 1_100_000
    assert bank.ledger.issued(bank.usde, Flow.MINT) == 9_990
    assert [row[1:2] + row[4:] for row in bank.log.credits] == [("minted", "USDE", 9_990, 100_000, 1)]
    bank.check()


def test_only_what_the_whole_quanta_cost_is_taken():
    bank = Bank()
    account = bank.holder("arbitrageur", usdt=1_009)
    bank.issuer.mint(account, 1_009, bank.done)
    bank.at(0)
    assert bank.answers == [(0, 1_000, 100)]
    assert bank.usdt(account) == 9


def test_redeeming_burns_and_pays_the_reserve_out():
    bank = Bank(fee_ppm=1_000, delay_back_ns=70)
    account = bank.holder("arbitrageur", usde=10_000)
    bank.issuer.redeem(account, 10_000, bank.done)
    assert (bank.usde_of(account), bank.usdt(account)) == (0, 0)
    assert bank.usdt(bank.reserve) == 1_000_000 - 99_900  # set aside at once: nobody is promised it twice
    bank.check()
    bank.at(70)
    assert bank.answers == [(70, 10_000, 99_900)]
    assert bank.ledger.burned(bank.usde, Flow.REDEEM) == 10_000
    assert bank.usdt(account) == 99_900
    bank.check()


def test_a_cap_lasts_for_an_interval_and_counts_each_way_alone():
    bank = Bank(cap=300, cap_back=200, interval_ns=1_000)
    account = bank.holder("arbitrageur", usdt=100_000, usde=1_000)
    for _ in range(3):
        bank.issuer.mint(account, 2_000, bank.done)
        bank.issuer.redeem(account, 150, bank.done)
    bank.at(999)
    assert [answer[1:] for answer in bank.answers] == [
        (0, 0),  # the third of each is refused at once
        (0, 0),
        (2_000, 200),
        (150, 1_500),
        (1_000, 100),
        (50, 500),
    ]
    bank.at(1_000)
    bank.issuer.redeem(account, 500, bank.done)
    bank.at(1_001)
    assert bank.answers[-1] == (1_000, 200, 2_000)
    bank.at(2_000)
    bank.issuer.redeem(account, 300, bank.done)
    bank.at(2_001)
    assert bank.answers[-1] == (2_000, 200, 2_000)
    bank.check()


def test_redemption_ends_where_the_reserve_does():
    bank = Bank(reserve=50_000, fee_ppm=1_000)
    account = bank.holder("arbitrageur", usde=100_000)
    bank.issuer.redeem(account, 100_000, bank.done)
    bank.at(0)
    _, given_back, got = bank.answers[0]
    assert 49_990 <= got <= 50_000
    assert got == given_back * 10 * 999 // 1_000
    bank.issuer.redeem(account, 1_000, bank.done)
    assert bank.answers[-1] == (0, 0, 0)
    bank.ledger.issue(bank.reserve, USDT, 9_990, Flow.DEPOSIT)  # the hedge is unwound
    bank.issuer.redeem(account, 1_000, bank.done)
    bank.at(1)
    assert bank.answers[-1] == (0, 1_000, 9_990)
    bank.check()


def test_a_reserve_that_ends_within_a_quantum_pays_whole_quanta_only():
    bank = Bank(reserve=9_995)
    bank.issuer.redeem(bank.holder("arbitrageur", usde=1_000), 1_000, bank.done)
    bank.at(0)
    assert bank.answers == [(0, 999, 9_990)]
    bank.check()


def test_strangers_halts_and_empty_pockets_are_refused():
    bank = Bank(whitelist=[])
    account = bank.holder("arbitrageur", usdt=10_000)
    bank.issuer.mint(account, 10_000, bank.done)
    bank.issuer.admit(account)
    bank.issuer.mint(account, 10_001, bank.done)  # 1,000 quanta cost 10,000: it has that
    bank.issuer.halt()
    bank.issuer.redeem(account, 100, bank.done)
    bank.at(0)  # what was asked before the halt arrives
    bank.issuer.resume()
    for amount in (0, -100, 1_001):
        bank.issuer.redeem(account, amount, bank.done)
    bank.issuer.mint(account, -100, bank.done)
    assert bank.answers == [(0, 0, 0), (0, 0, 0), (0, 10_000, 1_000)] + [(0, 0, 0)] * 4
    bank.check()


def test_a_reserve_in_a_margin_account_must_leave_it_free():
    desk = Desk()
    reserve = desk.unified("hedge", usdt=600_000)
    desk.margin.borrow(reserve, ALT, 5_000)
    desk.ledger.burn(reserve, ALT, 5_000, Flow.WITHDRAW)
    desk.trade(100)
    desk.mark()  # owes 500,000, which take 50,000 of margin; has 100,000 of equity; 75,000 must stay
    usde = desk.ledger.add_asset("USDE", "0.001")
    terms = {"asset": usde, "reserve_asset": USDT, "reserve": reserve, "custodian": desk.exchange}
    issuer = Issuer("issuer", desk.clock, desk.ledger, desk.log, **terms)
    holder = desk.spot("holder")
    desk.ledger.issue(holder, usde, 100_000, Flow.DEPOSIT)
    answers = []
    for amount in (25_000, 24_999, 1):
        issuer.redeem(holder, amount, lambda *answer: answers.append(answer))
    desk.at(0)
    assert answers == [(0, 0), (0, 0), (24_999, 24_999)]
    desk.check()


def test_a_converter_wraps_at_its_rate_and_unwraps_after_its_delay():
    desk = Desk()
    wrapped = desk.ledger.add_asset("WALT", "0.01")
    reserve = desk.ledger.open_account("staked")
    rate = [(5, 4)]
    converter = Converter(
        "staking",
        desk.clock,
        desk.ledger,
        desk.log,
        wrapped=wrapped,
        underlying=ALT,
        reserve=reserve,
        rate=lambda: rate[0],
        terms=WindowTerms(delay_back_ns=1_000),
    )
    account = desk.spot("staker", alt=1_000)  # 100 ALT
    answers = []
    converter.wrap(account, 1_000, lambda *answer: answers.append(answer))
    desk.at(0)
    assert answers == [(1_000, 8_000)]  # 80 WALT
    rate[0] = (6, 5)
    converter.unwrap(account, 4_000, lambda *answer: answers.append(answer))
    rate[0] = (9, 1)  # what was asked keeps its rate
    converter.check()
    desk.at(1_000)
    assert answers[1:] == [(4_000, 480)]
    assert (desk.alt(account), desk.ledger.balance(account, wrapped), desk.alt(reserve)) == (480, 4_000, 520)
    assert desk.log.credit_kinds() == ["converted", "converted_back"]
    converter.check()
    desk.check()


@pytest.mark.parametrize("terms", [{"fee_ppm": 1_000_000}, {"cap": -1}, {"delay_ns": -1}, {"interval_ns": 0}])
def test_terms_that_make_no_sense_are_refused(terms):
    with pytest.raises(InputError, match="issuer: caps and delays must be at least 0"):
        Bank(**terms)


def test_an_asset_cannot_back_itself():
    desk = Desk()
    with pytest.raises(InputError, match="USDT cannot be issued against itself"):
        Issuer("i", desk.clock, desk.ledger, desk.log, asset=USDT, reserve_asset=USDT, reserve=desk.pool)


@given(
    asks=st.lists(st.tuples(st.booleans(), st.integers(-5, 40_000), st.integers(0, 60)), max_size=15),
    fee_ppm=st.sampled_from([0, 1_000, 333_333]),
    cap=st.sampled_from([None, 500]),
    reserve=st.sampled_from([0, 10_000, 10**6]),
)
def test_supply_stays_backed_whatever_is_asked(asks, fee_ppm, cap, reserve):
    bank = Bank(reserve=reserve, fee_ppm=fee_ppm, cap=cap, cap_back=cap, interval_ns=50, delay_ns=20, delay_back_ns=30)
    account = bank.holder("arbitrageur", usdt=100_000)
    for mint, amount, wait in asks:
        (bank.issuer.mint if mint else bank.issuer.redeem)(account, amount, bank.done)
        bank.check()
        bank.at(bank.clock.now + wait)
    bank.at(bank.clock.now + 30)
    bank.check()
    assert len(bank.answers) == len(asks)
    supply = bank.ledger.issued(bank.usde) - bank.ledger.burned(bank.usde)
    assert supply * 10 <= bank.usdt(bank.reserve) + 9  # the initial holders' part was rounded down
    assert bank.usdt(account) + bank.usde_of(account) * 10 <= 100_000  # nobody wins at the window itself
