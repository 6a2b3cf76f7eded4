"""The mint-and-burn market: a dollar's worth each way less the spread, and a pool that heals with time."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.credit import Flow, Ledger
from lobsim.errors import InputError
from lobsim.sim.clock import Clock
from lobsim.venue.mint_burn import MintBurn
from tests.venue.builders import Log

UNIT = 1_000_000


class Chain:
    """UST and LUNA, both with a quantum of a millionth; the pool holds 1,000 UST a side."""

    def __init__(self, price=(80, 1), **options):
        self.clock, self.log, self.ledger = Clock(1), Log(), Ledger()
        self.ust, self.luna = (self.ledger.add_asset(name, "0.000001") for name in ("UST", "LUNA"))
        self.price = price
        self.account = self.ledger.open_account("holder")
        self.ledger.issue(self.account, self.ust, 10**6 * UNIT, Flow.DEPOSIT)
        self.ledger.issue(self.account, self.luna, 10**6 * UNIT, Flow.DEPOSIT)
        self.answers = []
        options = {"capacity": 1_000 * UNIT, "spread_floor_ppm": 5_000, "recovery_ns": 1_000, "delay_ns": 10} | options
        self.market = MintBurn(
            "market",
            self.clock,
            self.ledger,
            self.log,
            stable=self.ust,
            volatile=self.luna,
            price=lambda: self.price,
            **options,
        )

    def done(self, *answer):
        self.answers.append((self.clock.now, *answer))

    def burn_stable(self, amount):
        self.market.burn_stable(self.account, amount, self.done)

    def burn_volatile(self, amount):
        self.market.burn_volatile(self.account, amount, self.done)

    def settle(self, time_ns=10):
        self.clock.run_until(self.clock.now + time_ns)
        self.market.check()
        self.ledger.check()
        return self.answers[-1][1:]


def test_a_small_swap_pays_the_floor_each_way():
    chain = Chain()
    chain.burn_stable(UNIT)  # of a pool of 1,000: constant product would charge 0.1 %, the floor is 0.5 %
    assert chain.answers == []
    assert chain.settle() == (UNIT, 995_000 // 80)
    chain.burn_volatile(UNIT // 80)
    assert chain.settle() == (UNIT // 80, 995_000)
    assert chain.ledger.burned(chain.ust, Flow.REDEEM) == UNIT
    assert chain.ledger.issued(chain.ust, Flow.MINT) == 995_000
    assert [row[1] for row in chain.log.credits] == ["stable_burned", "volatile_burned"]


def test_a_run_pays_a_spread_that_grows_with_the_pools_imbalance():
    chain = Chain()
    chain.burn_stable(1_000 * UNIT)  # doubles the stable side: the other gives up half of its 1,000
    assert chain.settle() == (1_000 * UNIT, 500 * UNIT // 80)
    chain.burn_stable(1_000 * UNIT)  # recovered by 1 % meanwhile: 1,000,000 / 1,990 - 1,000,000 / 2,990
    assert chain.settle()[1] == (10**12 * UNIT * 1_000 // (1_990 * 2_990)) // 10**6 // 80
    assert chain.market.quote_ppm(UNIT) < 120_000
    chain.clock.run_until(5_000)
    assert chain.market.imbalance == 0
    assert chain.market.quote_ppm(UNIT) == 995_000


def test_burning_the_volatile_coin_pushes_the_pool_the_other_way():
    chain = Chain(price=(1, 1))
    chain.burn_volatile(1_000 * UNIT)  # doubles the volatile side: the stable one gives up half of its 1,000
    assert chain.market.imbalance == -500 * UNIT
    assert chain.settle() == (1_000 * UNIT, 500 * UNIT)
    chain.burn_stable(500 * UNIT)
    assert chain.market.imbalance == -495 * UNIT + 500 * UNIT  # 1 % had recovered
    chain.clock.run_until(10_000)
    assert chain.market.imbalance == 0


def test_the_price_may_fall_to_nothing_and_supply_outgrow_64_bits():
    chain = Chain(price=(1, 10**13))
    chain.burn_stable(500 * UNIT)
    paid, got = chain.settle()
    assert paid == 500 * UNIT
    assert got > 2**64
    assert got == 500 * UNIT * 1_000 // 1_500 * 10**13
    chain.price = (1, 10**16)
    chain.burn_volatile(10**15)  # worth less than a quantum
    assert chain.answers[-1][1:] == (0, 0)


def test_a_halted_chain_and_an_empty_pocket_answer_with_nothing():
    chain = Chain()
    chain.burn_stable(UNIT)
    chain.market.halt()
    chain.burn_stable(UNIT)
    chain.market.resume()
    chain.burn_stable(10**6 * UNIT)
    chain.burn_volatile(10**6 * UNIT + 1)
    chain.burn_stable(0)
    chain.burn_stable(-UNIT)
    assert chain.answers == [(0, 0, 0)] * 5
    assert chain.settle() == (UNIT, 995_000 // 80)


@pytest.mark.parametrize(
    "options", [{"capacity": 0}, {"spread_floor_ppm": 10**6}, {"recovery_ns": 0}, {"delay_ns": -1}]
)
def test_terms_that_make_no_sense_are_refused(options):
    with pytest.raises(InputError, match="market: needs two assets"):
        Chain(**options)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 3_000 * UNIT), st.integers(0, 400)), max_size=12),
    st.sampled_from([(80, 1), (1, 3), (7, 10**9)]),
)
def test_no_round_trip_at_a_constant_price_wins(swaps, price):
    chain = Chain(price)
    rate = Fraction(*price)
    worth = [chain.ledger.balance(chain.account, asset) for asset in (chain.ust, chain.luna)]
    before = worth[0] + worth[1] * rate
    for stable, amount, wait in swaps:
        (chain.burn_stable if stable else chain.burn_volatile)(amount)
        assert abs(chain.market.imbalance) <= sum(max(amount, amount * rate) for _, amount, _ in swaps)
        chain.clock.run_until(chain.clock.now + wait)
        chain.market.check()
    chain.clock.run_until(chain.clock.now + 10)
    worth = [chain.ledger.balance(chain.account, asset) for asset in (chain.ust, chain.luna)]
    assert worth[0] + worth[1] * rate <= before
    chain.ledger.check()
