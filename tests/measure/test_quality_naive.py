"""Every measure of market quality against its plain definition (`naive`), on random markets of one book."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import log, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.events import Purpose, Side
from lobsim.measure import (
    amihud,
    best_imbalance,
    drawdown,
    forced_flow,
    illiquidity,
    imbalance,
    order_flow,
    order_flow_fit,
    quoted_spread,
    realised_volatility,
    recovery_profile,
    resiliency,
    spreads,
    trade_costs,
)
from lobsim.measure.flows import FORCED, SILENT
from lobsim.testing.strategies import Range, command_lists
from tests.measure import naive
from tests.measure.naive import Witness

BOOK = "ALT-USDT"
TICK, LOT = Fraction("0.01"), Fraction("0.1")
markets = command_lists(span=Range(spread=6, max_qty=30, order_ids=25, owners=3), max_size=60).map(Witness)
steps = st.integers(3, 40)
close = {"rel": 1e-9, "abs": 1e-9}
each = settings(deadline=None, max_examples=40)


def agree(measured, exact):
    """Null exactly where the definition has nothing, else the same number."""
    if exact is None:
        assert measured is None
    else:
        assert measured == pytest.approx(float(exact), **close)


@each
@given(seen=markets, horizon=st.integers(1, 40))
def test_costs_of_trades(seen, horizon):
    frame = trade_costs(seen.run, BOOK, [horizon])
    assert frame.height == len(seen.trades)
    for row, trade, (effective, realised, mid) in zip(
        frame.rows(named=True), seen.trades, naive.costs(seen, horizon), strict=True
    ):
        assert (row["time_ns"], row["side"]) == (trade.time_ns, trade.side.name.lower())
        assert (row["effective_ticks"], row["realised_ticks"]) == (effective, realised)
        impact = None if realised is None else effective - realised
        assert row["impact_ticks"] == impact
        for name, ticks in (("effective", effective), ("realised", realised), ("impact", impact)):
            agree(row[f"{name}_bps"], None if ticks is None else 10_000 * ticks / mid)
        agree(row["mid_price"], None if mid is None else mid * TICK)
        agree(row["notional_quote"], trade.price * trade.qty * TICK * LOT)


@each
@given(seen=markets, horizon=st.integers(1, 40), every=st.none() | steps)
def test_mean_spreads(seen, horizon, every):
    spans = [(0, seen.end_ns)][: seen.end_ns] if every is None else seen.intervals(every)
    frame = spreads(seen.run, BOOK, [horizon], every=every)
    assert frame.select("from_ns", "time_ns").rows() == spans
    found = naive.costs(seen, horizon)
    for row, (begin, end) in zip(frame.rows(named=True), spans, strict=True):
        inside = [number for number, trade in enumerate(seen.trades) if begin < trade.time_ns <= end]
        known = [number for number in inside if found[number][1] is not None]
        assert (row["trades"], row["measured_trades"]) == (len(inside), len(known))
        weights = [seen.trades[number].price * seen.trades[number].qty for number in known]
        for column, pick in (
            ("effective", lambda e, r: e),
            ("realised", lambda e, r: r),
            ("impact", lambda e, r: e - r),
        ):
            parts = [
                10_000 * pick(found[n][0], found[n][1]) / found[n][2] * w for n, w in zip(known, weights, strict=True)
            ]
            agree(row[f"{column}_bps"], sum(parts, Fraction(0)) / sum(weights) if known else None)
        if known:
            assert row["effective_bps"] == pytest.approx(row["realised_bps"] + row["impact_bps"], rel=1e-9, abs=1e-6)


@each
@given(seen=markets, every=st.none() | steps)
def test_what_stands_is_weighted_by_time(seen, every):
    spans = [(0, seen.end_ns)][: seen.end_ns] if every is None else seen.intervals(every)
    quoted, best = quoted_spread(seen.run, BOOK, every=every), best_imbalance(seen.run, BOOK, every=every)
    for row, other, (begin, end) in zip(quoted.rows(named=True), best.rows(named=True), spans, strict=True):
        states = [seen.at(time_ns) for time_ns in range(begin, end)]
        wide = [None if state.spread is None else Fraction(state.spread) for state in states]
        price, share = naive.mean_over_time(wide)
        agree(row["quoted_price"], None if price is None else price * TICK)
        relative, _ = naive.mean_over_time([None if s.mid is None else 10_000 * s.spread / s.mid for s in states])
        agree(row["quoted_bps"], relative)
        agree(row["two_sided_share"], share)
        values = [naive.best_imbalance(state) for state in states]
        agree(other["imbalance"], naive.mean_over_time(values)[0])
        agree(other["absolute_imbalance"], naive.mean_over_time([None if v is None else abs(v) for v in values])[0])


@each
@given(seen=markets, every=steps, levels=st.sets(st.integers(1, 7), min_size=1))
def test_imbalance_of_levels_and_bands(seen, every, levels):
    frame = imbalance(seen.run, BOOK, tuple(levels), ("2", "9"), every=every)
    rows = frame.rows(named=True)
    assert [row["time_ns"] for row in rows] == [
        t for t in range(0, seen.end_ns + 1, every) for _ in range(len(levels) + 2)
    ]
    for row in rows:
        state = seen.at(row["time_ns"])
        if row["levels"] is not None:
            bids, asks = state.bids[: row["levels"]], state.asks[: row["levels"]]
            agree(row["imbalance"], naive.imbalance(bids, asks))
            agree(row["bid_qty"], sum(qty for _, qty in bids) * LOT)
            agree(row["ask_qty"], sum(qty for _, qty in asks) * LOT)
        else:
            bid, ask = (naive.depth(state, side, Fraction(row["band_pct"])) for side in Side)
            known = bid is not None and ask is not None and bid + ask > 0
            agree(row["imbalance"], Fraction(bid - ask, bid + ask) if known else None)


@each
@given(seen=markets, every=steps)
def test_order_flow(seen, every):
    wanted = naive.order_flow(seen, every)
    frame = order_flow(seen.run, BOOK, every=every)
    assert frame["ofi_lots"].to_list() == [total for total, _ in wanted]
    assert frame["mid_move_ticks"].to_list() == [None if move is None else float(move) for _, move in wanted]
    fit = order_flow_fit(seen.run, BOOK, every=every).row(0, named=True)
    points = [(Fraction(total), move) for total, move in wanted if move is not None]
    assert fit["intervals"] == len(points)
    found = naive.regression(points)
    slope, intercept, r_squared = found or (None, None, None)
    agree(fit["slope_ticks_per_lot"], slope)
    agree(fit["slope_price_per_qty"], None if slope is None else slope * TICK / LOT)
    agree(fit["intercept_ticks"], intercept)
    agree(fit["r_squared"], r_squared)


@each
@given(seen=markets, every=steps, together=st.integers(1, 4))
def test_volatility_and_illiquidity(seen, every, together):
    count, squares = naive.volatility(seen, every)
    whole = realised_volatility(seen.run, BOOK, every=every)
    if seen.end_ns >= every:
        row = whole.row(0, named=True)
        assert row["returns"] == count
        agree(row["volatility"], sqrt(squares) if count else None)
        year = 365 * 86_400 * 10**9
        agree(row["volatility_annualised"], sqrt(squares * year / (count * every)) if count else None)
    else:
        assert whole.height == 0
    windows = realised_volatility(seen.run, BOOK, every=every, window=every * together)
    assert windows.height == seen.end_ns // every // together
    for number, row in enumerate(windows.rows(named=True)):
        count, squares = naive.volatility(seen, every, number * together, (number + 1) * together)
        assert row["returns"] == count
        agree(row["volatility"], sqrt(squares) if count else None)
    wanted = naive.illiquidity(seen, every)
    per_interval = illiquidity(seen.run, BOOK, every=every)["percent_per_million"].drop_nulls().to_list()
    scale = float(100 * 10**6 / (TICK * LOT))
    assert per_interval == pytest.approx([value * scale for value in wanted])
    row = amihud(seen.run, BOOK, every=every).row(0, named=True)
    assert row["intervals"] == len(wanted)
    agree(row["percent_per_million"], sum(wanted) / len(wanted) * scale if wanted else None)


@each
@given(seen=markets)
def test_drawdown(seen):
    row = drawdown(seen.run, BOOK).row(0, named=True)
    prices = [trade.price for trade in seen.trades]
    if not prices:
        assert set(row.values()) == {BOOK, None}
        return
    largest = naive.drawdown(prices)
    agree(row["drawdown"], largest)
    if not largest:
        assert {name for name, value in row.items() if value is not None} == {"instrument", "drawdown"}
        return
    high, low = (round(Fraction(row[name]) / TICK) for name in ("peak_price", "trough_price"))
    assert 1 - Fraction(low, high) == largest
    peak = next(number for number, trade in enumerate(seen.trades) if trade.price == high)
    trough = next(n for n, p in enumerate(prices) if n > 0 and 1 - Fraction(p, max(prices[: n + 1])) == largest)
    assert row["peak_time_ns"] == seen.trades[peak].time_ns
    assert row["trough_time_ns"] == seen.trades[trough].time_ns
    agree(row["recovered_share"], Fraction(prices[-1] - low, high - low))
    for name, level in (("half_recovery_s", Fraction(high + low, 2)), ("full_recovery_s", high)):
        after = [trade.time_ns for trade in seen.trades[trough:] if trade.price >= level]
        agree(row[name], Fraction(after[0] - seen.trades[trough].time_ns, 10**9) if after else None)


@each
@given(seen=markets, every=steps)
def test_forced_share(seen, every):
    for row, (begin, end) in zip(
        forced_flow(seen.run, BOOK, every=every).rows(named=True), seen.intervals(every), strict=True
    ):
        inside = [trade for trade in seen.trades if begin < trade.time_ns <= end]
        value = dict.fromkeys(Purpose, 0)
        for trade in inside:
            value[trade.purpose] += trade.price * trade.qty
        forced, everything = sum(value[purpose] for purpose in FORCED), sum(value.values())
        told = everything - sum(value[purpose] for purpose in SILENT)
        agree(row["traded_quote"], everything * TICK * LOT)
        agree(row["forced_share"], Fraction(forced, everything) if told else None)


@settings(deadline=None, max_examples=80)
@given(
    seen=markets, quantile=st.sampled_from(["0", "0.5", "0.9"]), lag=st.integers(1, 8), band=st.sampled_from(["1", "4"])
)
def test_resiliency(seen, quantile, lag, band):
    window = 5 * lag
    wanted = naive.recoveries(seen, Fraction(quantile), window, 5, Fraction(band))
    asked = {"quantile": float(quantile), "window": window, "steps": 5, "band": band}
    profile = recovery_profile(seen.run, BOOK, **asked)
    row = resiliency(seen.run, BOOK, **asked).row(0, named=True)
    assert row["large_trades"] == len(wanted)
    if not wanted:
        assert profile.height == 0
        assert [row[name] for name in ("spread_rate_per_s", "depth_rate_per_s", "replenished_share")] == [None] * 3
        return
    excess, missing = (
        [naive.mean(lags) for lags in zip(*(one[pick] for one in wanted), strict=True)] for pick in (0, 1)
    )
    for measured, exact in zip(profile["excess_spread_ticks"], excess, strict=True):
        agree(measured, exact)
    for measured, exact in zip(profile["missing_lots"], missing, strict=True):
        agree(measured, exact)
    for name, values in (("spread", excess), ("depth", missing)):
        fit = None if None in values else naive.regression(list(pairwise(values)))
        rate = None
        if fit is not None and 2 / sqrt(5) < fit[0] < 1:
            rate = -log(fit[0]) / (lag / 10**9)
        agree(row[f"{name}_rate_per_s"], rate)
        agree(row[f"{name}_r_squared"], None if rate is None else fit[2])
        agree(row[f"{name}_half_life_s"], None if rate is None else log(2) / rate)
    widened = [reverted for lags, _, reverted in wanted if lags[0] is None or lags[0] > 0]
    agree(row["reverted_share"], Fraction(sum(widened), len(widened)) if widened else None)
    taken = [lags for _, lags, _ in wanted if lags[0] is not None and lags[0] > 0]
    back = sum(any(lots is not None and lots <= 0 for lots in lags) for lags in taken)
    agree(row["replenished_share"], Fraction(back, len(taken)) if taken else None)
