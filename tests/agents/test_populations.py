"""Populations of perpetual positions and of unified accounts, drawn before a run."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.agents.retail import RetailParams, draw_population
from lobsim.agents.whales import WhaleParams, draw_accounts
from lobsim.errors import InputError
from lobsim.sim.streams import Stream

PRICES = {"ALT": 2.0, "ETH": 4_000.0, "WBETH": 4_300.0, "USDE": 1.0, "USDT": 1.0}


def retail(seed=1, price=50.0, maintenance=0.0, **values):
    params = RetailParams.model_validate({"count": 1_000, "notional": 1e7, **values})
    return draw_population(params, price, Stream(seed, "retail"), maintenance)


def whales(seed=1, **values):
    given_values = {"count": 200, "value": 1e8, "mix": {"ALT": 1.0}, "debts": {"USDT": 1.0}, **values}
    return draw_accounts(WhaleParams.model_validate(given_values), PRICES, Stream(seed, "whales"))


def worth(amounts):
    return sum(amount * PRICES[asset] for asset, amount in amounts.items())


@given(
    count=st.integers(2, 300),
    long_share=st.sampled_from([0.0, 0.001, 0.3, 0.5, 0.84, 0.999, 1.0]),
    leverages=st.sampled_from([(3.0, 75.0), (1.0, 1.0), (1.0, 1000.0), (20.0, 20.0)]),
    sigma=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    worst=st.sampled_from([0.0, 0.1, 0.5, 0.99]),
    seed=st.integers(0, 1000),
)
def test_notional_bounds_and_losses(count, long_share, leverages, sigma, worst, seed):
    low, high = leverages
    values = {"long_share": long_share, "leverage_low": low, "leverage_high": high}
    positions = retail(seed, count=count, **values, entry_sigma=sigma, worst=worst)
    assert len(positions) == count
    longs = math.fsum(position.qty for position in positions if position.qty > 0)
    shorts = -math.fsum(position.qty for position in positions if position.qty < 0)
    assert longs * 50 == pytest.approx(1e7 * long_share, abs=1e-3)
    assert shorts * 50 == pytest.approx(1e7 * (1 - long_share), abs=1e-3)
    for qty, leverage, offset in positions:
        assert qty
        assert low <= leverage <= high
        entry = 50 * (1 + offset)
        margin = abs(qty) * entry / leverage
        assert qty * (entry - 50) <= worst * margin + 1e-6 * margin
        assert entry > 0


def test_leverage_is_a_beta_variate_of_its_logarithm():
    positions = retail(count=20_000, leverage_shape=(1.5, 3.0))
    levels = [math.log(position.leverage / 3) / math.log(25) for position in positions]
    assert np.mean(levels) == pytest.approx(1.5 / 4.5, abs=0.006)
    assert np.std(levels) == pytest.approx(math.sqrt(1.5 * 3.0 / (4.5**2 * 5.5)), abs=0.005)


def test_entries_spread_around_the_price_as_far_as_the_margin_bears():
    positions = retail(count=20_000, leverage_low=2.0, leverage_high=2.0, entry_sigma=0.05)
    logs = [math.log1p(position.entry_offset) for position in positions]
    assert np.mean(logs) == pytest.approx(0.0, abs=0.002)
    assert np.std(logs) == pytest.approx(0.05, rel=0.03)
    daring = retail(count=20_000, leverage_low=75.0, leverage_high=75.0, entry_sigma=0.05, long_share=1.0)
    assert np.mean([position.entry_offset for position in daring]) < -0.03  # most of them are in profit
    assert {position.entry_offset for position in retail(entry_sigma=0.0)} == {0.0}


def test_nobody_begins_below_maintenance():
    for qty, leverage, offset in retail(maintenance=0.01, entry_sigma=0.05, worst=0.9):
        entry = 50 * (1 + offset)
        equity = abs(qty) * entry / leverage - qty * (entry - 50)
        assert equity > 0.01 * abs(qty) * min(entry, 50)
    with pytest.raises(InputError, match=r"leverage_high: 75 at a maintenance margin of 0.02 .* it must be below 50"):
        retail(maintenance=0.02)


def test_sizes_are_lognormal_on_each_side():
    positions = retail(count=20_000, size_sigma=0.7, long_share=0.8)
    for sign in (1, -1):
        logs = [math.log(sign * position.qty) for position in positions if sign * position.qty > 0]
        assert np.std(logs) == pytest.approx(0.7, rel=0.04)
    assert sum(position.qty > 0 for position in positions) == 16_000


def test_the_same_stream_gives_the_same_population():
    assert retail() == retail() != retail(seed=2)
    assert whales() == whales() != whales(seed=2)


def test_one_position_cannot_be_long_and_short():
    assert [position.qty > 0 for position in retail(count=1, long_share=1.0)] == [True]
    assert [position.qty > 0 for position in retail(count=1, long_share=0.0)] == [False]
    with pytest.raises(InputError, match=r"long_share: 0.5 of 1 position is no position; count must be at least 2"):
        retail(count=1)


@given(
    count=st.integers(1, 100),
    second=st.sampled_from([{}, {"USDE": 1.0}, {"USDE": 3.0, "ALT": 1.0}]),
    leverages=st.sampled_from([(1.0, 1.0), (1.5, 2.5), (3.0, 3.0)]),
    diversity=st.sampled_from([0.1, 10.0, 1e6]),
    seed=st.integers(0, 1000),
)
def test_worth_and_leverage_of_accounts(count, second, leverages, diversity, seed):
    low, high = leverages
    accounts = whales(
        seed,
        count=count,
        mix={"ALT": 2.0, "ETH": 1.0, "WBETH": 1.0},
        borrowed_into=second,
        leverage_low=low,
        leverage_high=high,
        diversity=diversity,
    )
    assert len(accounts) == count
    assert math.fsum(worth(holdings) for holdings, _ in accounts) == pytest.approx(1e8)
    for holdings, debts in accounts:
        assert min(holdings.values()) >= 0
        assert set(debts) == {"USDT"}
        equity = worth(holdings) - worth(debts)
        assert low * (1 - 1e-9) <= worth(holdings) / equity <= high * (1 + 1e-9)
        if second == {"USDE": 1.0}:
            assert holdings["USDE"] == pytest.approx(debts["USDT"])


def test_mixes_are_those_of_the_population_on_average():
    accounts = whales(count=3_000, size_sigma=0.0, mix={"ALT": 3.0, "ETH": 1.0}, diversity=2.0)
    alt = [holdings["ALT"] * 2.0 / worth(holdings) for holdings, _ in accounts]
    assert np.mean(alt) == pytest.approx(0.75, abs=0.02)
    assert np.std(alt) == pytest.approx(math.sqrt(0.75 * 0.25 / 3.0), abs=0.02)
    leverage = [worth(holdings) / (worth(holdings) - worth(debts)) for holdings, debts in accounts]
    assert np.mean(leverage) == pytest.approx(2.0, abs=0.02)


def test_debts_in_several_assets():
    for _, debts in whales(debts={"USDT": 1.0, "USDE": 3.0}):
        assert debts["USDE"] == pytest.approx(3 * debts["USDT"])


def test_what_has_no_price_cannot_be_held():
    with pytest.raises(InputError, match="DOGE: no price, so nothing can be held or owed in it"):
        whales(mix={"DOGE": 1.0})


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"leverage_low": 3.0}, r"leverage_low \(3\) must not be larger than leverage_high \(2.5\)"),
        ({"mix": {}}, "mix"),
        ({"mix": {"USDT": 1.0}}, "USDT: held and owed at once"),
        ({"borrowed_into": {"USDT": 1.0}}, "USDT: held and owed at once"),
        ({"leverage_low": 0.5}, "leverage_low"),
    ],
)
def test_nonsensical_whales_are_refused(bad, said):
    with pytest.raises(ValueError, match=said):
        whales(**bad)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"leverage_low": 80.0}, r"leverage_low \(80\) must not be larger than leverage_high \(75\)"),
        ({"worst": 1.0}, "worst"),
        ({"long_share": 1.1}, "long_share"),
        ({"notional": 0.0}, "notional"),
    ],
)
def test_nonsensical_positions_are_refused(bad, said):
    with pytest.raises(ValueError, match=said):
        retail(**bad)
