"""The figures of a fall, against a market small enough to work out by hand, and against naive sums on random ones."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.book import OrderBook
from lobsim.events import Purpose, Side, SubmitOrder
from lobsim.measure import fall_by_purpose, new_lows_by_purpose, summary
from lobsim.testing.strategies import Range, command_lists
from tests.measure.recording import MemoryRecorder, drive

BUY, SELL = Side
S = 10**9


def crash(shocked=True):
    """Bids at 100, 90, 60 and 20 ticks (10 lots each) are sold through from 670 s to 703 s; a bid returns at 710 s."""
    orders = [SubmitOrder(number, BUY, 10, price, 0, owner=1) for number, price in enumerate((100, 90, 60, 20))]
    orders += [SubmitOrder(10, SELL, 50, 102, 0, owner=1)]
    sell = {"price": None, "owner": 2}
    orders += [
        SubmitOrder(20, BUY, 1, time_ns=5 * S, **sell | {"purpose": Purpose.NOISE}),
        SubmitOrder(21, SELL, 1, time_ns=600 * S, **sell | {"purpose": Purpose.NOISE}),
        SubmitOrder(22, SELL, 12, time_ns=670 * S, **sell | {"purpose": Purpose.SHOCK}),
        SubmitOrder(23, SELL, 10, time_ns=671 * S, **sell | {"purpose": Purpose.LOAN_LIQUIDATION}),
        SubmitOrder(24, SELL, 20, time_ns=703 * S, **sell | {"purpose": Purpose.ACCOUNT_LIQUIDATION}),
        SubmitOrder(30, BUY, 5, 50, 710 * S, owner=1),
        SubmitOrder(31, SELL, 1, time_ns=720 * S, **sell | {"purpose": Purpose.NOISE}),
    ]
    recorder = MemoryRecorder()
    drive(orders, recorder)
    return recorder.run()


def test_fall_by_hand():
    figures = summary(crash(), shock_ns=650 * S)["ALT-USDT"]
    assert (figures.open, figures.reference, figures.low, figures.close) == ("1.02", "1.00", "0.20", "0.50")
    assert (figures.low_time_ns, figures.ns_to_low, figures.trades) == (703 * S, 53 * S, 9)
    assert (figures.fall, figures.fall_ticks) == (0.8, 80)
    # the shock's 12 lots: 9 at 100 (0 ticks), 3 at 90 (10); the loans' 10: 7 at 90, 3 at 60 (30); the account: 60, 20
    assert figures.fall_by_purpose == {"SHOCK": 10, "LOAN_LIQUIDATION": 30, "ACCOUNT_LIQUIDATION": 40}
    assert figures.new_lows_by_purpose == figures.fall_by_purpose
    assert figures.volume_lots == 1 + 1 + 12 + 10 + 17 + 1
    assert figures.volume_by_purpose["SHOCK"] == pytest.approx(1.2)
    assert figures.low_vwap == pytest.approx((7 * 60 + 10 * 20) / 17 / 100)
    assert figures.low_vwap_time_ns == 703 * S
    # displayed within 1 % of the best bid: 10 lots at 100, 9 from 600 s on
    assert figures.bid_depth_before == pytest.approx(10 * 0.1 * 1.0)
    assert figures.spread_before == pytest.approx(2 / 101)
    assert figures.bid_depth_low == pytest.approx(7 * 0.1 * 0.6)  # 30 samples of 7 lots at 60, 7 of none, 11 later
    assert figures.bid_depth_after is None
    assert figures.no_bid_share == pytest.approx(7 / 70)
    json.dumps(figures.as_dict(), allow_nan=False)


def test_without_a_shock_the_first_trade_is_the_reference():
    figures = summary(crash())["ALT-USDT"]
    assert (figures.reference, figures.low, figures.ns_to_low) == ("1.02", "0.20", 698 * S)
    assert sum(figures.fall_by_purpose.values()) == figures.fall_ticks == 82
    assert figures.no_bid_share == pytest.approx(7 / 720)


def test_bounces_count_in_moves_but_not_in_new_lows():
    trades = pl.DataFrame(
        {"price_ticks": [100, 90, 98, 89, 80, 95], "purpose": [Purpose.NOISE, 7, 2, 7, 9, 2]},
        schema={"price_ticks": pl.Int64, "purpose": pl.UInt8},
    )
    assert fall_by_purpose(trades) == {"NOISE": -8 - 15, "SHOCK": 10 + 9, "LOAN_LIQUIDATION": 9}
    assert new_lows_by_purpose(trades) == {"NOISE": 0, "SHOCK": 11, "LOAN_LIQUIDATION": 9}


def test_instrument_without_trades_has_no_figures():
    figures = summary(crash(), shock_ns=650 * S)["BTC-USDT"]
    assert (figures.open, figures.low, figures.fall, figures.bid_depth_low, figures.no_bid_share) == (None,) * 5
    assert (figures.trades, figures.volume, figures.fall_by_purpose) == (0, 0, {})


def test_shock_after_the_last_trade_has_no_low():
    figures = summary(crash(), shock_ns=719 * S + 1 + S)["ALT-USDT"]
    assert (figures.reference, figures.low, figures.fall, figures.low_vwap) == ("0.50", None, None, None)


def test_a_trade_at_the_very_moment_of_the_shock_comes_after_it():
    assert summary(crash(), shock_ns=670 * S)["ALT-USDT"].reference == "1.00"
    assert summary(crash(), shock_ns=600 * S)["ALT-USDT"].reference == "1.02"


def test_time_without_a_bid_counts_from_the_shock():
    assert summary(crash(), shock_ns=706 * S)["ALT-USDT"].no_bid_share == pytest.approx(4 / 14)


def test_recovery_is_looked_at_forty_minutes_after_the_low():
    run = crash()
    recorder = MemoryRecorder()
    book = OrderBook()
    low = 10 * S
    drive([SubmitOrder(1, BUY, 10, 100, 0), SubmitOrder(2, SELL, 10, None, low)], recorder, book=book)
    drive([SubmitOrder(3, BUY, 30, 80, low + 2399 * S), SubmitOrder(4, BUY, 1, 1, low + 2500 * S)], recorder, book=book)
    figures = summary(recorder.run(), shock_ns=5 * S)["ALT-USDT"]
    assert figures.bid_depth_after == pytest.approx(30 * 0.1 * 0.8)
    assert run.end_ns == 720 * S


@settings(deadline=None, max_examples=40)
@given(
    commands=command_lists(span=Range(spread=9, max_qty=30, order_ids=25, owners=3), max_size=100),
    shock_ns=st.one_of(st.none(), st.integers(0, 300)),
)
def test_attribution_sums_to_the_fall_tick_for_tick(commands, shock_ns):
    recorder = MemoryRecorder()
    drive(commands, recorder)
    run = recorder.run()
    figures = summary(run, shock_ns)["ALT-USDT"]
    trades = run.trades.select("time_ns", "price_ticks", "qty_lots").rows()
    before = [price for time_ns, price, _ in trades if shock_ns is not None and time_ns < shock_ns]
    after = [price for time_ns, price, _ in trades if shock_ns is None or time_ns >= shock_ns]
    if not after:
        assert figures.fall_ticks is None
        return
    reference = before[-1] if before else after[0]
    assert figures.fall_ticks == reference - min(after)
    assert figures.fall == pytest.approx(1 - min(after) / reference)
    assert sum(figures.fall_by_purpose.values()) == figures.fall_ticks
    assert sum(figures.new_lows_by_purpose.values()) == max(figures.fall_ticks, 0)
    assert min(figures.new_lows_by_purpose.values(), default=0) >= 0
    assert sum(figures.volume_by_purpose.values()) == pytest.approx(figures.volume)
    assert figures.turnover_quote == pytest.approx(sum(price * qty for _, price, qty in trades) * 0.001)
