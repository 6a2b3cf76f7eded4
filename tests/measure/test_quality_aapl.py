"""AAPL, NASDAQ, 21 June 2012, 09:30 to 09:40: the figures that README documents, and the same from LOBSTER's own book.

The run comes from messages through the matching engine; LOBSTER's order book file says independently what the best
quotes were after each message. What can be told from that file is computed here from it alone, in plain loops.
"""

from __future__ import annotations

import csv
import lzma
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from lobsim.cli import main
from lobsim.measure import (
    Run,
    best_imbalance,
    depth,
    market_quality,
    order_flow,
    order_flow_fit,
    quoted_spread,
    read_run,
    slippage,
    trade_costs,
)
from lobsim.units import Grid
from tests.measure import naive
from tests.measure.naive import State

S = 10**9
LAST_NS = 600 * S
MESSAGES = "AAPL_2012-06-21_34200000_37800000_message_50.csv.xz"
BOOK = "AAPL_2012-06-21_34200000_34210047_orderbook_50_first672.csv.xz"
BEST = "AAPL_2012-06-21_34200000_37800000_orderbook_top1of50.csv.xz"

DOCUMENTED = {
    "quoted_spread": 4.46,
    "two_sided_share": 1.00,
    "effective_spread": 2.87,
    "realised_spread": -1.01,
    "price_impact": 3.88,
    "imbalance_best": -0.01814,
    "imbalance_5_levels": -0.0927,
    "imbalance_1_pct": -0.0587,
    "order_flow_slope": 0.002451,
    "order_flow_r_squared": 0.1107,
    "amihud": 0.3556,
    "spread_half_life": 3.428,
    "spread_r_squared": 0.7334,
    "depth_half_life": 2.17,
    "depth_r_squared": 0.596,
    "replenished_share": 0.5778,
    "reverted_share": 0.6207,
    "forced_share": None,  # a tape does not tell why anybody traded, and has no shock
    "amplification": None,
    "selling_multiple": None,
    "drawdown": 0.003675,
    "recovered_share": 0.2361,
    "half_recovery": None,  # not within these ten minutes
    "volatility": 0.003557,
    "volatility_annualised": 0.8224,
}


class Row(NamedTuple):
    """One message and the best quotes after it; prices in cents."""

    state: State
    kind: int
    qty: int
    price: int
    resting: int


@pytest.fixture(scope="module")
def folder(data_folder: Callable[[str], Path]) -> Path:
    return data_folder("lobster-2012-06-21")


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("aapl") / "run"
    settings = {
        "tapes[0].path": folder / MESSAGES,
        "tapes[0].book": folder / BOOK,
        "scenario.start_utc": "2012-06-21T13:30:00Z",
        "scenario.duration": "10m",
        "instruments.STOCK-USD.tick": "0.01",
    }
    arguments = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    assert main(["replay", "tape-lobster", "--allow-path", "--quiet", "--out", str(out), *arguments]) == 0
    return read_run(out)


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[Row]:
    found = []
    nanoseconds = Grid("0.000000001", "time")
    with lzma.open(folder / MESSAGES, "rt") as messages, lzma.open(folder / BEST, "rt") as books:
        for message, book in zip(csv.reader(messages), csv.reader(books), strict=False):
            time_ns = nanoseconds.count(message[0]) - 34_200 * S
            if time_ns > LAST_NS:
                break
            ask, ask_lots, bid, bid_lots = (int(cell) for cell in book)
            state = State(time_ns, [(bid // 100, bid_lots)], [(ask // 100, ask_lots)])
            kind, _, qty, price, resting = (int(cell) for cell in message[1:6])
            found.append(Row(state, kind, qty, price // 100, resting))
    return found


def test_documented_figures(run):
    found = dict(market_quality(run).select("measure", "value").rows())
    assert found.keys() == DOCUMENTED.keys()
    for name, value in DOCUMENTED.items():
        digits = 5e-3 if value is not None and abs(value) > 1 else 0
        assert found[name] == (None if value is None else pytest.approx(value, rel=5e-4, abs=digits)), name


def test_documented_depth_and_slippage(run):
    bid, ask = depth(run, bands=["0.1"], at="10m")["depth_quote"]
    assert (bid, ask) == (pytest.approx(351_506), pytest.approx(449_277))
    assert slippage(run, notionals=["100000"], at="10m")["slippage"][0] * 10_000 == pytest.approx(2.99, abs=0.005)


def test_quotes_are_those_of_the_book_file(run, rows):
    """Quoted spread and imbalance, weighted by time, from the file's rows."""
    spread = bps = imbalance = Fraction(0)
    held = 0
    for row, following in pairwise([*rows, None]):
        until = LAST_NS if following is None else following.state.time_ns
        length = until - row.state.time_ns
        spread += row.state.spread * length
        bps += 10_000 * row.state.spread / row.state.mid * length
        imbalance += naive.best_imbalance(row.state) * length
        held += length
    assert quoted_spread(run)["quoted_price"][0] == pytest.approx(float(spread / held) / 100)
    assert quoted_spread(run)["quoted_bps"][0] == pytest.approx(float(bps / held))
    assert best_imbalance(run)["imbalance"][0] == pytest.approx(float(imbalance / held))


def test_effective_spread_is_that_of_the_files_executions(run, rows):
    total = value = Fraction(0)
    before = None  # the state before the present instant
    last = rows[0].state
    for row in rows:
        if row.state.time_ns != last.time_ns:
            before = last
        if row.kind == 4:
            sign = -row.resting  # a resting sell order is hit by a buyer
            cost = 2 * sign * (row.price - before.mid) / before.mid
            total += cost * row.price * row.qty
            value += row.price * row.qty
        last = row.state
    costs = trade_costs(run, horizons=["1s"]).drop_nulls("effective_bps")
    weighted = (costs["effective_bps"] * costs["notional_quote"]).sum() / costs["notional_quote"].sum()
    assert costs["notional_quote"].sum() == pytest.approx(float(value) / 100)
    assert weighted == pytest.approx(float(10_000 * total / value))


def test_order_flow_is_that_of_the_book_file(run, rows):
    flows = [0] * 60
    for before, after in pairwise(rows):
        if 0 < after.state.time_ns <= LAST_NS:
            flows[(after.state.time_ns - 1) // (10 * S)] += naive.flow(before.state, after.state)
    assert order_flow(run)["ofi_lots"].to_list() == flows
    mids = [next((r.state.mid for r in reversed(rows) if r.state.time_ns <= k * 10 * S), None) for k in range(61)]
    points = [(Fraction(flow), b - a) for flow, (a, b) in zip(flows, pairwise(mids), strict=True) if a is not None]
    slope, _, r_squared = naive.regression(points)
    fit = order_flow_fit(run).row(0, named=True)
    assert fit["slope_ticks_per_lot"] == pytest.approx(float(slope))
    assert fit["r_squared"] == pytest.approx(float(r_squared))
