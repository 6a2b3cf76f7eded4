"""Measures of market quality against closed forms and cases worked out by hand, also where nothing can be measured."""

from __future__ import annotations

from math import log, sqrt

import polars as pl
import pytest

from lobsim.errors import InputError, RunError
from lobsim.events import Purpose, Side, SubmitOrder
from lobsim.measure import (
    QUALITY,
    Run,
    amihud,
    amplification,
    best_imbalance,
    drawdown,
    forced_flow,
    illiquidity,
    imbalance,
    market_quality,
    order_flow,
    order_flow_fit,
    quoted_spread,
    realised_volatility,
    recovery_profile,
    resiliency,
    spreads,
    trade_costs,
)
from lobsim.measure.intervals import MAX_INTERVALS
from lobsim.measure.resiliency import return_rate
from lobsim.records import polars_schema
from tests.measure.recording import HEADER, MemoryRecorder, drive
from tests.measure.worlds import World

BUY, SELL = Side
S = 10**9
BOOK = "ALT-USDT"  # tick 0.01, lot 0.1


def market(quotes=(), trades=(), end_s=0):
    """A run out of quotes (second, bid, lots, ask, lots) and trades (second, side, ticks, lots, purpose)."""
    quoted = [(int(second * S), 0, *rest) for second, *rest in quotes]
    traded = [
        (number, int(second * S), 0, price, qty, side, purpose, number, 1, 1000 + number, 2)
        for number, (second, side, price, qty, purpose) in enumerate(trades)
    ]
    frames = {"quotes": quoted, "trades": traded, "milestones": [(int(end_s * S), "end", None, "")]}
    return Run.from_frames(
        HEADER, {name: pl.DataFrame(rows, schema=polars_schema(name), orient="row") for name, rows in frames.items()}
    )


# --- spreads ----------------------------------------------------------------------------------------------------------


def test_spreads_by_hand():
    quotes = [(0, 998, 5, 1002, 5), (10, 1000, 5, 1004, 5), (15, 1001, 5, 1009, 5)]
    trades = [
        (10, BUY, 1002, 30, Purpose.NOISE),
        (12, SELL, 1000, 10, Purpose.NOISE),
        (16, BUY, 1009, 1, Purpose.NOISE),
    ]
    run = market(quotes, trades, end_s=20)
    # mid: 10.00 before the first trade, 10.02 before the second, 10.05 five seconds after both and before the third
    frame = trade_costs(run, BOOK, ["5s"])
    assert frame["effective_ticks"].to_list() == [4, 4, 8]
    assert frame["realised_ticks"].to_list() == [-6, 10, None]  # 2 (1002 - 1005), -2 (1000 - 1005); ends before 21 s
    assert frame["impact_ticks"].to_list() == [10, -6, None]
    assert frame["effective_bps"].to_list() == pytest.approx([40, 40_000 / 1002, 80_000 / 1005])
    assert frame["mid_price"].to_list() == [10.0, 10.02, 10.05]
    assert frame["notional_quote"].to_list() == pytest.approx([30.06, 10.0, 1.009])
    row = spreads(run, BOOK, ["5s"]).row(0, named=True)
    assert (row["trades"], row["measured_trades"]) == (3, 2)
    assert row["effective_bps"] == pytest.approx((30.06 * 40 + 10 * 40_000 / 1002) / 40.06)
    assert row["realised_bps"] == pytest.approx((30.06 * -60 + 10 * 100_000 / 1002) / 40.06)
    assert row["effective_bps"] == pytest.approx(row["realised_bps"] + row["impact_bps"])
    # 10 s of 4 ticks on 1000, 5 s of 4 on 1002, 5 s of 8 on 1005
    assert row["quoted_bps"] == pytest.approx((10 * 40 + 5 * 40_000 / 1002 + 5 * 80_000 / 1005) / 20)
    assert quoted_spread(run, BOOK)["quoted_price"].to_list() == pytest.approx([(10 * 4 + 5 * 4 + 5 * 8) / 20 / 100])


def test_a_horizon_may_end_with_the_run():
    run = market([(0, 998, 5, 1002, 5)], [(10, BUY, 1002, 1, Purpose.NOISE)], end_s=20)
    assert trade_costs(run, BOOK, ["10s"])["realised_ticks"].to_list() == [4]
    assert trade_costs(run, BOOK, [10 * S + 1])["realised_ticks"].to_list() == [None]


def test_a_side_that_is_empty_leaves_costs_unknown():
    quotes = [(0, 998, 5, 1002, 5), (10, None, 0, 1002, 5), (14, 998, 5, 1002, 5)]
    trades = [(5, BUY, 1002, 1, Purpose.NOISE), (12, BUY, 1002, 1, Purpose.NOISE), (17, BUY, 1002, 1, Purpose.NOISE)]
    run = market(quotes, trades, end_s=20)
    frame = trade_costs(run, BOOK, ["5s"])
    assert frame["effective_ticks"].to_list() == [4, None, 4]
    assert frame["realised_ticks"].to_list() == [None, None, None]
    assert frame["realised_bps"].null_count() == 3
    whole = quoted_spread(run, BOOK).row(0, named=True)
    assert (whole["quoted_bps"], whole["two_sided_share"]) == (pytest.approx(40), pytest.approx(0.8))
    assert (
        quoted_spread(run, BOOK, every="2s")["quoted_bps"].to_list()
        == [pytest.approx(40)] * 5 + [None] * 2 + [pytest.approx(40)] * 3
    )


# --- imbalance, order flow --------------------------------------------------------------------------------------------


def test_imbalance_by_hand():
    recorder = MemoryRecorder()
    orders = [SubmitOrder(n, BUY, qty, price) for n, (price, qty) in enumerate([(1000, 1), (990, 10), (900, 40)])]
    orders += [SubmitOrder(10 + n, SELL, qty, price) for n, (price, qty) in enumerate([(1002, 2), (1100, 8)])]
    drive(orders, recorder)
    frame = imbalance(recorder.run(), BOOK, (1, 2, 3), ("1.2", "20"), at=0)
    assert frame["levels"].to_list() == [1, 2, 3, None, None]
    assert frame["bid_qty"].to_list() == pytest.approx([0.1, 1.1, 5.1, 1.1, 5.1])
    assert frame["ask_qty"].to_list() == pytest.approx([0.2, 1.0, 1.0, 0.2, 1.0])
    assert frame["imbalance"].to_list() == pytest.approx([-1 / 3, 1 / 21, 41 / 61, 9 / 13, 41 / 61])


def test_imbalance_of_a_book_with_one_side_or_none():
    recorder = MemoryRecorder()
    drive([SubmitOrder(1, SELL, 2, 1000, 5 * S), SubmitOrder(2, SELL, 1, 1001, 9 * S)], recorder)
    frame = imbalance(recorder.run(), BOOK, (1,), ("1",), at=[0, 9 * S])
    assert frame["imbalance"].to_list() == [None, None, -1.0, None]
    best = best_imbalance(recorder.run(), BOOK).row(0, named=True)
    assert (best["imbalance"], best["absolute_imbalance"]) == (-1.0, 1.0)


def test_order_flow_by_hand():
    quotes = [
        (0, 100, 10, 102, 10),
        (1, 100, 15, 102, 10),  # + 5 at the bid
        (2, 101, 4, 102, 10),  # a better bid: + 4
        (3, 101, 4, 102, 7),  # 3 taken at the ask: + 3
        (4, 101, 4, 103, 9),  # the ask steps back: + 7
        (12, 100, 15, 103, 9),  # the bid steps back: - 4
        (13, None, 0, 103, 9),  # and is gone: - 15
        (14, 99, 2, 103, 9),  # and there again: + 2
        (24, 99, 2, None, 0),  # the ask is gone: + 9
        (25, 99, 2, 104, 5),  # and there again: - 5
    ]
    run = market(quotes, end_s=30)
    frame = order_flow(run, BOOK, every="10s")
    assert frame["ofi_lots"].to_list() == [5 + 4 + 3 + 7, -4 - 15 + 2, 9 - 5]
    assert frame["ofi_qty"].to_list() == pytest.approx([1.9, -1.7, 0.4])
    assert frame["mid_move_ticks"].to_list() == [1.0, -1.0, 0.5]


def test_order_flow_slope_is_one_over_twice_the_depth():
    """The stylised book of Cont, Kukanov and Stoikov: D lots at every price, so that D lots move a side by a tick."""
    depth, bid, quotes = 8, 1000, [(0, 1000, 8, 1002, 8)]
    for second, ticks in enumerate([0, 3, -1, 0, 2, -5, 4, 1, -2]):
        for part in range(abs(ticks)):  # one tick after the other, bid and ask together
            bid += 1 if ticks > 0 else -1
            quotes.append((second + 0.1 + part / 100, bid, depth, bid + 2, depth))
    row = order_flow_fit(market(quotes, end_s=9), BOOK, every="1s").row(0, named=True)
    assert row["slope_ticks_per_lot"] == pytest.approx(1 / (2 * depth))
    assert row["slope_price_per_qty"] == pytest.approx(1 / (2 * depth) * 0.01 / 0.1)
    assert row["intercept_ticks"] == pytest.approx(0, abs=1e-12)
    assert row["r_squared"] == pytest.approx(1)


def test_order_flow_without_a_fit():
    still = order_flow_fit(market([(0, 100, 5, 102, 5)], end_s=60), BOOK).row(0, named=True)
    assert (still["intervals"], still["slope_ticks_per_lot"], still["r_squared"]) == (6, None, None)
    two = order_flow_fit(market([(0, 100, 5, 102, 5), (15, 101, 7, 102, 5)], end_s=20), BOOK).row(0, named=True)
    assert (two["intervals"], two["slope_ticks_per_lot"]) == (2, None)
    growing = [(second, 100, 5 + second**2, 102, 5) for second in range(0, 60, 10)]
    flat = order_flow_fit(market(growing, end_s=60), BOOK).row(0, named=True)
    assert (flat["slope_ticks_per_lot"], flat["intercept_ticks"], flat["r_squared"]) == (0, 0, None)


# --- volatility, illiquidity ------------------------------------------------------------------------------------------


def test_volatility_of_a_mid_that_doubles_and_halves():
    quotes = [(n, 100 * (1 + n % 2) - 1, 1, 100 * (1 + n % 2) + 1, 1) for n in range(0, 101)]
    run = market(quotes, end_s=100)
    row = realised_volatility(run, BOOK, every="1s").row(0, named=True)
    assert (row["returns"], row["step_s"]) == (100, 1.0)
    assert row["volatility"] == pytest.approx(log(2) * sqrt(100))
    assert row["volatility_annualised"] == pytest.approx(log(2) * sqrt(365 * 86_400))
    assert realised_volatility(run, BOOK, every="2s")["volatility"].to_list() == [0.0]  # sampled where it is the same
    windows = realised_volatility(run, BOOK, every="1s", window="30s")
    assert windows["volatility"].to_list() == pytest.approx([log(2) * sqrt(30)] * 3)
    assert windows["time_ns"].to_list() == [30 * S, 60 * S, 90 * S]


def test_volatility_takes_the_last_mid_there_was():
    quotes = [(3, 99, 1, 101, 1), (11, None, 0, 101, 1), (25, 199, 1, 201, 1)]
    row = realised_volatility(market(quotes, end_s=40), BOOK).row(0, named=True)
    assert (row["returns"], row["volatility"]) == (3, pytest.approx(log(2)))  # 10-20 s: 0, 20-30 s: ln 2, 30-40 s: 0
    assert row["volatility_annualised"] == pytest.approx(log(2) * sqrt(365 * 86_400 / 30))
    trades = [(5, BUY, 100, 1, Purpose.NOISE), (35, SELL, 50, 1, Purpose.NOISE)]
    by_trades = realised_volatility(market(quotes, trades, end_s=40), BOOK, price="trade").row(0, named=True)
    assert (by_trades["returns"], by_trades["volatility"]) == (3, pytest.approx(log(2)))


def test_amihud_by_hand():
    trades = [(1, BUY, 100, 10, Purpose.NOISE), (15, BUY, 100, 10, Purpose.NOISE), (19, BUY, 110, 20, Purpose.NOISE)]
    trades += [(35, SELL, 99, 50, Purpose.NOISE)]
    run = market(trades=trades, end_s=40)
    frame = illiquidity(run, BOOK)
    assert frame["turnover_quote"].to_list() == pytest.approx([1.0, 3.2, 0, 4.95])
    wanted = [1e8 * log(1.1) / 3.2, 1e8 * log(110 / 99) / 4.95]
    assert frame["percent_per_million"].to_list() == [None, pytest.approx(wanted[0]), None, pytest.approx(wanted[1])]
    assert amihud(run, BOOK).row(0) == (BOOK, 2, pytest.approx(sum(wanted) / 2))


# --- resiliency -------------------------------------------------------------------------------------------------------


def recovering(rate=0.1, level=20.0, seconds=60):
    """A large sale at 100 s widens the spread by 100,000 ticks, which then return; `level` more than before remain."""
    quotes = [(0, 1_000_000, 100, 1_000_100, 100)]
    for second in range(seconds + 1):
        excess = round(level + 100_000 * 2.718281828459045 ** (-rate * second))
        quotes.append((100 + second, 1_000_000 - excess, 100, 1_000_100, 100))
    trades = [(100, SELL, 1_000_000, 500, Purpose.SHOCK)]
    return market(quotes, trades, end_s=200)


def test_spread_that_returns_exponentially_is_fitted_exactly():
    row = resiliency(recovering(), BOOK).row(0, named=True)
    assert row["large_trades"] == 1
    assert row["large_quote"] == pytest.approx(500_000)
    assert row["spread_rate_per_s"] == pytest.approx(0.1, rel=1e-4)
    assert row["spread_half_life_s"] == pytest.approx(log(2) / 0.1, rel=1e-4)
    assert row["spread_r_squared"] == pytest.approx(1)
    assert row["reverted_share"] == 0  # it returns to 20 ticks more than it was
    slower = resiliency(recovering(rate=0.02), BOOK, steps=30).row(0, named=True)
    assert slower["spread_rate_per_s"] == pytest.approx(0.02, rel=1e-3)
    profile = recovery_profile(recovering(), BOOK)
    assert profile["lag_s"].to_list() == pytest.approx(list(range(61)))
    assert profile["excess_spread_ticks"][0] == 100_020


def test_no_return_has_no_rate():
    assert return_rate(pl.Series([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]).to_numpy(), 1.0) == (None, None)  # ever wider
    assert return_rate(pl.Series([5.0] * 9).to_numpy(), 1.0) == (None, None)  # stays
    assert return_rate(pl.Series([8.0, -4, 2, -1, 0.5, -0.25]).to_numpy(), 1.0) == (None, None)  # overshoots
    assert return_rate(pl.Series([1.0, 0.5, float("nan"), 0.1, 0.1, 0.1]).to_numpy(), 1.0) == (None, None)
    rate, fit = return_rate(pl.Series([0.9**k for k in range(9)]).to_numpy(), 0.5)
    assert (rate, fit) == (pytest.approx(-log(0.9) / 0.5), pytest.approx(1))
    # a return within the first lag cannot be told from noise
    assert return_rate(pl.Series([0.1**k for k in range(9)]).to_numpy(), 1.0) == (None, None)


def replenished():
    """40 of 50 lots are sold into at 10 s; 10 lots come back every 5 s, the last at 30 s."""
    orders = [SubmitOrder(1, BUY, 50, 1000), SubmitOrder(2, SELL, 99, 1002), SubmitOrder(3, SELL, 40, None, 10 * S)]
    orders += [SubmitOrder(4 + n, BUY, 10, 1000, (15 + 5 * n) * S) for n in range(4)]
    orders += [SubmitOrder(20, BUY, 1, 900, 100 * S)]
    recorder = MemoryRecorder()
    drive(orders, recorder)
    return recorder.run()


def test_depth_that_comes_back():
    run = replenished()
    profile = recovery_profile(run, BOOK, window="30s", steps=6)
    assert profile["missing_lots"].to_list() == [40, 30, 20, 10, 0, 0, 0]
    assert profile["missing_qty"].to_list() == pytest.approx([4, 3, 2, 1, 0, 0, 0])
    row = resiliency(run, BOOK, window="30s", steps=6).row(0, named=True)
    assert row["replenished_share"] == 1
    assert resiliency(run, BOOK, window="15s", steps=5)["replenished_share"].to_list() == [0]
    assert row["reverted_share"] is None  # the spread never widened
    assert resiliency(run, BOOK, window="100s", steps=10)["large_trades"].to_list() == [0]  # not seen to the end


# --- falls and who was forced -----------------------------------------------------------------------------------------


def test_drawdown_by_hand():
    prices = [(0, 90), (1, 100), (2, 80), (3, 120), (4, 60), (9, 89), (11, 90), (12, 84)]
    run = market(trades=[(second, SELL, price, 1, Purpose.NOISE) for second, price in prices], end_s=20)
    assert drawdown(run, BOOK).row(0, named=True) == {
        "instrument": BOOK,
        "drawdown": 0.5,
        "peak_price": pytest.approx(1.2),
        "peak_time_ns": 3 * S,
        "trough_price": pytest.approx(0.6),
        "trough_time_ns": 4 * S,
        "fall_s": 1.0,
        "recovered_share": pytest.approx(24 / 60),
        "half_recovery_s": 7.0,
        "full_recovery_s": None,
    }
    higher = [(0, 100), (1, 50), (2, 200), (3, 150)]
    row = drawdown(market(trades=[(n, SELL, price, 1, Purpose.NOISE) for n, price in higher]), BOOK).row(0, named=True)
    assert (row["drawdown"], row["peak_price"], row["peak_time_ns"], row["trough_price"]) == (0.5, 1.0, 0, 0.5)
    assert (row["recovered_share"], row["half_recovery_s"], row["full_recovery_s"]) == (2.0, 1.0, 1.0)
    rising = market(trades=[(0, BUY, 90, 1, Purpose.NOISE), (1, BUY, 100, 1, Purpose.NOISE)], end_s=20)
    assert drawdown(rising, BOOK).row(0)[1:3] == (0.0, None)


def test_forced_share_and_amplification_by_hand():
    world = World()
    for second, price, qty, purpose, side in [
        (599, 1000, 1, Purpose.NOISE, SELL),
        (601, 900, 10, Purpose.SHOCK, SELL),
        (602, 800, 20, Purpose.LOAN_LIQUIDATION, SELL),
        (603, 490, 10, Purpose.STOP_OUT, SELL),
        (604, 700, 10, Purpose.CONTRACT_LIQUIDATION, BUY),  # a short that had to buy: forced, but no sale
    ]:
        world.trade(second, "A-USDT", price, qty, purpose, side)
    run = world.run()
    row = amplification(run, "A-USDT").row(0, named=True)
    assert (row["shock_fall"], row["fall"]) == (0.17, pytest.approx(0.51))
    assert row["amplification"] == pytest.approx(0.51 / 0.17)
    assert (row["exogenous_quote"], row["forced_quote"]) == (pytest.approx(90), pytest.approx(160 + 49))
    assert row["selling_multiple"] == pytest.approx(209 / 90)
    share = forced_flow(run, "A-USDT").row(0, named=True)
    assert share["traded_quote"] == pytest.approx(10 + 90 + 160 + 49 + 70)
    assert share["forced_share"] == pytest.approx((160 + 49 + 70) / 379)
    quiet = amplification(run, "B-USDT").row(0, named=True)
    assert (quiet["fall"], quiet["amplification"], quiet["selling_multiple"]) == (None, None, None)
    unshaken = World()
    unshaken.trade(1, "A-USDT", 100, 1, Purpose.TAPE)
    found = unshaken.run(shock_s=None)
    assert set(amplification(found, "A-USDT").row(0)[1:]) == {None}
    assert forced_flow(found, "A-USDT")["forced_share"].to_list() == [None]  # a tape does not tell


# --- all together -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end_s", [0, 1, 100])
def test_nothing_to_measure_is_null_everywhere(end_s):
    frame = market_quality(market(end_s=end_s))
    assert frame["instrument"].unique(maintain_order=True).to_list() == ["ALT-USDT", "BTC-USDT"]
    assert frame.filter(pl.col("instrument") == BOOK)["measure"].to_list() == list(QUALITY)
    known = frame.drop_nulls("value").select("measure", "value").unique().rows()
    assert known == ([("two_sided_share", 0.0)] if end_s else [])


def test_one_table_has_what_the_functions_say():
    run = recovering()
    frame = market_quality(run, BOOK, every="5s", horizon="2s")
    assert frame.columns == ["instrument", "measure", "title", "unit", "value"]
    found = dict(frame.select("measure", "value").rows())
    assert found["effective_spread"] == spreads(run, BOOK, ["2s"])["effective_bps"][0]
    assert found["price_impact"] == spreads(run, BOOK, ["2s"])["impact_bps"][0]
    assert found["quoted_spread"] == quoted_spread(run, BOOK)["quoted_bps"][0]
    assert found["order_flow_slope"] == order_flow_fit(run, BOOK, every="5s")["slope_ticks_per_lot"][0]
    assert found["volatility"] == realised_volatility(run, BOOK, every="5s")["volatility"][0]
    assert found["spread_half_life"] == resiliency(run, BOOK)["spread_half_life_s"][0]
    assert found["drawdown"] == 0
    run = replenished()
    found = dict(market_quality(run, BOOK, every="20s").select("measure", "value").rows())
    # 50, 30, 50, 50, 50 and 51 lots bid at 0, 20 ... 100 s, of which the last one is not within 1 %
    five = [(bid - 99) / (bid + 99) for bid in (50, 30, 50, 50, 50, 51)]
    near = [(bid - 99) / (bid + 99) for bid in (50, 30, 50, 50, 50, 50)]
    assert found["imbalance_5_levels"] == pytest.approx(sum(five) / 6)
    assert found["imbalance_1_pct"] == pytest.approx(sum(near) / 6)
    assert found["imbalance_best"] == best_imbalance(run, BOOK)["imbalance"][0]
    assert found["replenished_share"] == 1
    assert found["depth_half_life"] == resiliency(run, BOOK)["depth_half_life_s"][0]


def test_a_run_too_large_for_memory_is_read_instrument_by_instrument():
    whole, large = recovering(), recovering()
    large.max_rows = 0
    assert market_quality(large).equals(market_quality(whole))


def test_a_run_that_ends_with_its_only_trade():
    recorder = MemoryRecorder()
    drive(
        [SubmitOrder(1, BUY, 9, 100), SubmitOrder(2, SELL, 9, 102), SubmitOrder(3, BUY, 1, None, 7 * S)],
        recorder,
    )
    frame = market_quality(recorder.run(), BOOK, every="1s", horizon="1s")
    found = dict(frame.select("measure", "value").rows())
    assert found["quoted_spread"] == pytest.approx(20_000 / 101)
    assert (found["effective_spread"], found["amihud"]) == (None, None)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda run: spreads(run, BOOK, []), "horizons"),
        (lambda run: spreads(run, BOOK, ["0s"]), "horizon: '0s' must be longer than 0"),
        (lambda run: spreads(run, "NO"), "no instrument 'NO'"),
        (lambda run: quoted_spread(run, every="x"), "every: 'x' is not a duration"),
        (lambda run: order_flow(run, every=-5), "every: -5 must be longer than 0"),
        (lambda run: order_flow(run, every=1), f"more than {MAX_INTERVALS}"),
        (lambda run: realised_volatility(run, every="10s", window="15s"), "window: '15s' must be a whole number of st"),
        (lambda run: realised_volatility(run, price="last"), "neither 'mid' nor 'trade'"),
        (lambda run: imbalance(run, levels=(0,)), "levels"),
        (lambda run: imbalance(run, levels=(), bands=()), "levels"),
        (lambda run: imbalance(run, levels=(101,)), "levels"),
        (lambda run: resiliency(run, quantile=1.5), "quantile: 1.5 must be between 0 and 1"),
        (lambda run: resiliency(run, quantile=float("nan")), "quantile: nan"),
        (lambda run: resiliency(run, steps=4), "steps: 4 must be a whole number"),
        (lambda run: resiliency(run, window="7ns", steps=5), "window"),
        (lambda run: resiliency(run, band="0"), "bands"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(call, named):
    with pytest.raises((InputError, RunError), match=named.replace("(", r"\(")):
        call(market(end_s=100))
