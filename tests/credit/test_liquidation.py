"""Account liquidation: what each policy sells when, where it stops, and how a bankruptcy is paid for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.credit import (
    ALL_AT_ONCE,
    PARTIAL,
    TIME_SLICED,
    AssetTerms,
    CrossMargin,
    Flow,
    Ledger,
    LedgerError,
    SalePolicy,
    Slice,
    StepState,
    bankrupt,
    begin_liquidation,
    next_step,
)
from lobsim.events import Side
from lobsim.units import NS_PER_S

USDT, ALT, SOL, ETH = 0, 1, 2, 3


class Desk:
    """One unified account, its insurance fund, and a market that buys and sells anything at the mark."""

    def __init__(self):
        self.ledger = Ledger()
        for name in ("USDT", "ALT", "SOL", "ETH"):
            self.ledger.add_asset(name, "0.01")
        self.pool = self.ledger.open_account("pool", overdraft=True)
        self.fund = self.ledger.open_account("insurance")
        self.maker = self.ledger.open_account("maker")
        self.street = self.ledger.open_account("street", overdraft=True)
        terms = {asset: AssetTerms(800_000, 100_000, 200_000) for asset in (USDT, ALT, SOL, ETH)}
        self.margin = CrossMargin(self.ledger, self.pool, USDT, terms)
        self.margin.enroll(self.maker)

    def have(self, asset, amount):
        self.ledger.issue(self.maker, asset, amount, Flow.DEPOSIT)

    def owe(self, asset, amount):
        self.margin.borrow(self.maker, asset, amount)
        self.ledger.transfer(self.maker, self.street, asset, amount, Flow.WITHDRAW)

    def trade(self, slices, marks):
        for asset, side, amount, _ in slices:
            parties = (self.maker, self.street) if side == Side.BUY else (self.street, self.maker)
            self.margin.settle_trade(*parties, asset, amount, USDT, amount * marks[asset][0] // marks[asset][1])

    def run(self, policy, marks, ranking, *, limit=50):
        """Follow a policy to its end; returns all slices and the last step's state."""
        case = begin_liquidation(self.margin, self.maker, marks)
        sold = []
        for _ in range(limit):
            step = next_step(policy, case, self.margin, marks, ranking)
            if step.state != StepState.SELL:
                assert (step.slices, step.delay_ns) == ((), None)
                break
            assert step.delay_ns == policy.pause_ns
            sold.append(step.slices)
            self.trade(step.slices, marks)
        else:
            raise AssertionError(f"no end after {limit} steps")
        self.ledger.check()
        self.margin.check()
        return sold, step.state


@pytest.fixture
def desk():
    return Desk()


MARKS = {ALT: (1, 1), SOL: (2, 1), ETH: (3, 1)}


def test_the_shipped_policies():
    assert ALL_AT_ONCE[1:4] == (1_000_000, 0, 1_500_000)
    assert PARTIAL[1:4] == (200_000, 30 * NS_PER_S, 1_500_000)
    assert TIME_SLICED[1:4] == (100_000, 5 * NS_PER_S, 1_500_000)


def test_all_at_once_sells_everything_most_liquid_first(desk):
    desk.have(ALT, 1000)
    desk.have(SOL, 300)
    desk.have(ETH, 10)
    desk.owe(USDT, 1500)
    sold, state = desk.run(ALL_AT_ONCE, MARKS, [SOL, ALT])
    assert sold == [(Slice(SOL, Side.SELL, 300), Slice(ALT, Side.SELL, 1000), Slice(ETH, Side.SELL, 10))]
    assert state == StepState.SAFE
    assert desk.margin.positions(desk.maker) == {USDT: 130}


@pytest.mark.parametrize(("policy", "count", "each"), [(TIME_SLICED, 10, 100), (PARTIAL, 5, 200)])
def test_slices_are_a_share_of_what_the_account_began_with(desk, policy, count, each):
    desk.have(ALT, 1000)
    desk.owe(USDT, 2000)
    sold, state = desk.run(policy, MARKS, [ALT])
    assert sold == [(Slice(ALT, Side.SELL, each),)] * count
    assert state == StepState.EMPTY
    assert desk.margin.positions(desk.maker) == {USDT: -1000}


def test_a_slice_flows_over_into_the_next_asset(desk):
    desk.have(ALT, 300)  # worth 300
    desk.have(SOL, 350)  # worth 700
    desk.owe(USDT, 5000)
    sold, _ = desk.run(PARTIAL, MARKS, [ALT, SOL])
    assert sold == [
        (Slice(ALT, Side.SELL, 200),),
        (Slice(ALT, Side.SELL, 100), Slice(SOL, Side.SELL, 50)),
        (Slice(SOL, Side.SELL, 100),),
        (Slice(SOL, Side.SELL, 100),),
        (Slice(SOL, Side.SELL, 100),),
    ]


def test_the_budget_keeps_to_the_starting_marks(desk):
    desk.have(ALT, 1000)
    desk.owe(USDT, 5000)
    case = begin_liquidation(desk.margin, desk.maker, MARKS)
    fallen = {ALT: (1, 1000)}
    assert next_step(TIME_SLICED, case, desk.margin, fallen, [ALT]).slices == (Slice(ALT, Side.SELL, 100),)
    desk.have(SOL, 30)  # came in later: counts at the present mark
    step = next_step(TIME_SLICED, case, desk.margin, fallen | {SOL: (4, 1)}, [SOL, ALT])
    assert step.slices == (Slice(SOL, Side.SELL, 25),)
    step = next_step(ALL_AT_ONCE, case, desk.margin, fallen | {SOL: (100, 1)}, [SOL, ALT])
    assert step.slices == (Slice(SOL, Side.SELL, 30), Slice(ALT, Side.SELL, 1000))


def test_it_stops_once_the_level_is_safe_and_not_before(desk):
    # equity = 0.8 x ALT - debt, maintenance = 0.1 x debt; target 150 %: equity >= 0.15 debt
    desk.have(ALT, 1000)
    desk.owe(USDT, 720)  # level 80/72 = 1.11
    sold, state = desk.run(TIME_SLICED, MARKS, [ALT])
    assert state == StepState.SAFE
    # each slice of 100 lowers the debt by 100 and collateral by 80: after one, (720 - 620) / 62 = 1.61
    assert len(sold) == 1
    tighter = TIME_SLICED._replace(target_ppm=1_612_903)
    case = begin_liquidation(desk.margin, desk.maker, MARKS)
    assert next_step(tighter, case, desk.margin, MARKS, [ALT]).state == StepState.SAFE
    tighter = TIME_SLICED._replace(target_ppm=1_612_904)
    assert next_step(tighter, case, desk.margin, MARKS, [ALT]).state == StepState.SELL


def test_debts_in_other_assets_are_bought_back_after_the_sales(desk):
    desk.have(USDT, 1000)
    desk.have(SOL, 50)
    desk.owe(ALT, 1200)
    desk.owe(ETH, 10)
    case = begin_liquidation(desk.margin, desk.maker, MARKS)
    step = next_step(ALL_AT_ONCE, case, desk.margin, MARKS, [ALT, SOL])
    assert step.slices == (Slice(SOL, Side.SELL, 50), Slice(ALT, Side.BUY, 1200), Slice(ETH, Side.BUY, 10))
    _, state = desk.run(PARTIAL, MARKS, [ALT, SOL])
    assert state == StepState.EMPTY
    assert desk.margin.positions(desk.maker) == {USDT: 1000 + 100 - 1200 - 30}


def test_planning_changes_nothing(desk):
    desk.have(ALT, 1000)
    desk.owe(USDT, 2000)
    case = begin_liquidation(desk.margin, desk.maker, MARKS)
    first = next_step(TIME_SLICED, case, desk.margin, MARKS, [ALT])
    assert next_step(TIME_SLICED, case, desk.margin, MARKS, [ALT]) == first
    assert desk.margin.positions(desk.maker) == {USDT: -2000, ALT: 1000}


@given(
    st.dictionaries(st.sampled_from([ALT, SOL, ETH]), st.integers(-(10**6), 10**6), min_size=1),
    st.integers(0, 10**7),
    st.sampled_from([1, 7, 50_000, 100_000, 333_333, 999_999, 1_000_000]),
    st.permutations([ALT, SOL, ETH]),
)
def test_any_account_ends_safe_or_empty_after_the_expected_slices(positions, owed, fraction, ranking):
    desk = Desk()
    for asset, amount in positions.items():
        desk.have(asset, amount) if amount > 0 else desk.owe(asset, -amount)
    desk.owe(USDT, owed)
    policy = SalePolicy("some", max(fraction, 20_000), 7)
    sold, state = desk.run(policy, MARKS, ranking, limit=1_000_000 // policy.fraction_ppm + 2)
    if state == StepState.EMPTY:
        assert set(desk.margin.positions(desk.maker)) <= {USDT}
    traded = {}
    for asset, side, amount, _ in (slice_ for step in sold for slice_ in step):
        assert amount > 0
        traded[asset] = traded.get(asset, 0) + (amount if side == Side.SELL else -amount)
    for asset, amount in traded.items():
        assert abs(amount) <= abs(positions[asset])
        assert amount * positions[asset] > 0


def test_an_account_under_liquidation_needs_marks(desk):
    desk.have(ALT, 10)
    with pytest.raises(LedgerError, match="no mark for asset 1"):
        begin_liquidation(desk.margin, desk.maker, {SOL: (1, 1)})


# --- bankruptcy -----------------------------------------------------------------------------------------------------


def test_insurance_pays_and_the_pool_bears_the_rest(desk):
    desk.ledger.issue(desk.fund, USDT, 700, Flow.DEPOSIT)
    desk.have(SOL, 3)
    desk.owe(USDT, 1000)
    desk.owe(ALT, 40)
    desk.have(USDT, 100)
    assert bankrupt(desk.margin, desk.maker, desk.fund)[:3] == ({SOL: 3}, {USDT: 700}, {USDT: 200, ALT: 40})
    assert desk.margin.positions(desk.maker) == {}
    assert [desk.ledger.balance(desk.fund, asset) for asset in (USDT, SOL)] == [0, 3]
    assert desk.ledger.balance(desk.pool, USDT) == -1000 + 100 + 700
    assert (desk.ledger.moved(USDT, Flow.INSURANCE), desk.ledger.moved(USDT, Flow.BAD_DEBT)) == (700, 200)
    assert (desk.ledger.moved(SOL, Flow.SEIZE), desk.ledger.moved(ALT, Flow.BAD_DEBT)) == (3, 40)
    assert desk.ledger.moved(USDT, Flow.BORROW) == desk.ledger.moved(USDT, Flow.REPAY) == 1000
    desk.ledger.check()
    desk.margin.check()


def test_insurance_repays_with_what_it_took_over(desk):
    desk.owe(SOL, 10)
    desk.have(ALT, 5)
    desk.ledger.issue(desk.fund, SOL, 100, Flow.DEPOSIT)
    assert bankrupt(desk.margin, desk.maker, desk.fund)[:3] == ({ALT: 5}, {SOL: 10}, {})
    assert desk.ledger.balance(desk.fund, SOL) == 90


def test_unpaid_interest_is_bad_debt_too(desk):
    desk.owe(USDT, 1000)
    desk.margin.accrue(365 * 24 * 3600 * NS_PER_S)
    assert bankrupt(desk.margin, desk.maker, desk.fund)[:3] == ({}, {}, {USDT: 1200})
    assert (desk.ledger.moved(USDT, Flow.INTEREST), desk.ledger.moved(USDT, Flow.REPAY)) == (200, 1000)
    desk.margin.check()
    desk.ledger.check()


def test_an_account_without_debts_keeps_what_it_has(desk):
    desk.have(ALT, 10)
    desk.margin.borrow(desk.maker, USDT, 5)  # its own cash covers it
    assert bankrupt(desk.margin, desk.maker, desk.fund)[:3] == ({}, {}, {})
    assert desk.margin.positions(desk.maker) == {ALT: 10}


def test_open_orders_come_first(desk):
    desk.owe(USDT, 10)
    desk.have(ALT, 10)
    desk.ledger.hold(desk.maker, ALT, 4)
    with pytest.raises(LedgerError, match="maker still holds ALT for open orders"):
        bankrupt(desk.margin, desk.maker, desk.fund)
    assert desk.margin.positions(desk.maker) == {USDT: -10, ALT: 10}
