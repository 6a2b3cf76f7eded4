"""The live view of `lobsim replay`: what it shows, on which terminals, and that it changes nothing."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions
from rich.live import Live

from lobsim.cli.frame import LEAST_HEIGHT, LEAST_WIDTH, Head, budget, frame
from lobsim.cli.live import View
from lobsim.measure import read_run
from lobsim.report.live import AWAY, TAKEN, Happening, Liquidated, MakerSight, MarketSight, Rung, Sight, Watch
from lobsim.scenario import load_scenario
from lobsim.scenario.build import Simulation
from lobsim.units import NS_PER_S
from tests.cli.conftest import SCENARIO
from tests.cli.terminal import Terminal

HEAD = Head("a run", 90 * NS_PER_S, 180 * NS_PER_S, 0, 12_345.0, 65.0)
EMPTY = Sight(0, (), "", (), (), (), 0, 0, 0, (), {}, 0, shocked=False)
HOSTILE = "[red]x[/] \x1b[2J\x07\u202eevil\nline"


def drawn(sight: Sight, head: Head = HEAD, *, width: int = 100, height: int = 30, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    screen = Console(file=file, width=width, height=height, force_terminal=True, color_system=None)
    screen.print(frame(sight, head, screen.options))
    return file.buffer.getvalue().decode(encoding).splitlines()  # type: ignore[attr-defined]


def market(name: str = "ALT-USDT", **changes: object) -> MarketSight:
    return MarketSight(name, "0.2312", -0.768, "0.2310", "0.2400", 12_345.0, 1_500_000.0, 0.03, False)._replace(
        **changes
    )


def crash(**changes: object) -> Sight:
    return Sight(
        90 * NS_PER_S,
        (market(),),
        "ALT-USDT",
        (Rung("0.2310", 5e4), Rung("0.2300", 1e3)),
        (Rung("0.2400", 2e6),),
        (MakerSight("mm-1", 1.234, 3.42, TAKEN), MakerSight("mm-2", None, 1.0, AWAY)),
        5,
        4,
        1,
        (Happening(30 * NS_PER_S, "SHOCK: outside value of ALT falls by 17.0 %"),),
        {"loans": Liquidated(748, 4.46e6)},
        123_456,
        True,
    )._replace(**changes)


def test_a_wide_frame_shows_price_book_makers_and_events() -> None:
    text = "\n".join(drawn(crash()))
    for words in (
        "a run",
        "00:01:30Z",
        "1 min 30 s of 3 min",
        "50 %",
        "12,345 events/s",
        "about 1 min 5 s left",
        "since shock",
        "0.2312",
        "-76.8 %",
        "bids in 1 %",
        "3 %",
        "1.5M",
        "Book of ALT-USDT",
        "5 market makers: 4 withdrawn, 1 in liquidation",
        "1.23",
        "3.4 x",
        "Liquidated: loans 4.46M in 748 sales",
        "00:00:30Z  SHOCK: outside value of ALT falls by 17.0 %",
    ):
        assert words in text, words
    assert "…" not in text


def test_an_empty_side_is_named() -> None:
    empty = market(best_bid="", bids=None, bids_left=0.0)
    for width in (40, 100):
        text = "\n".join(drawn(crash(markets=(empty,), bids=()), width=width))
        assert "no bids" in text
        assert "no asks" not in text
        text = "\n".join(drawn(crash(markets=(market(best_ask="", asks=None),), asks=()), width=width))
        assert "no asks" in text
        assert "no bids" not in text


def test_what_a_run_lacks_leaves_no_trace() -> None:
    for width in (40, 100):
        text = "\n".join(drawn(crash(makers=(), makers_count=0, makers_away=0, makers_taken=0), width=width))
        assert "maker" not in text
        assert "margin" not in text
        assert drawn(EMPTY, Head("t", 0, 1, 0, None, None), width=width)[0].startswith("t")


def test_text_of_strangers_is_shown_not_obeyed() -> None:
    sight = crash(
        happenings=(Happening(0, HOSTILE),),
        makers=(MakerSight(HOSTILE, 1.0, 1.0, AWAY),),
        liquidated={"x": Liquidated(1, 1)},
    )
    text = "\n".join(drawn(sight, HEAD._replace(title=HOSTILE), width=120))
    assert text.count("[red]x[/] \\x1b[2J\\x07\\u202eevil line") >= 2
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_ascii_terminals_get_ascii() -> None:
    for width in (40, 100):
        "\n".join(drawn(crash(), width=width, encoding="ascii")).encode("ascii")


names = st.from_regex(r"[A-Za-z0-9._-]{1,32}", fullmatch=True)
amounts = st.floats(0, 1e15)
shares = st.none() | st.floats(-1, 1e6)
prices = st.sampled_from(["", "0.001", "112345.67", "0.00000001", "99999999999.99"])
markets = st.builds(
    MarketSight, names, prices, shares, prices, prices, st.none() | amounts, st.none() | amounts, shares, st.booleans()
)
rungs = st.lists(st.builds(Rung, prices, amounts), max_size=8).map(tuple)
makers = st.builds(
    MakerSight, names, st.none() | st.floats(-1e9, 1e9), shares, st.sampled_from([AWAY, TAKEN, "quoting", ""])
)
happenings = st.builds(Happening, st.integers(0, 86400 * NS_PER_S), st.text(max_size=200))
sights = st.builds(
    Sight,
    st.integers(0, 86400 * NS_PER_S),
    st.lists(markets, max_size=8).map(tuple),
    names,
    rungs,
    rungs,
    st.lists(makers, max_size=8).map(tuple),
    st.integers(0, 500),
    st.integers(0, 500),
    st.integers(0, 500),
    st.lists(happenings, max_size=10).map(tuple),
    st.dictionaries(
        st.sampled_from(["loans", "accounts", "contracts"]), st.builds(Liquidated, st.integers(0, 10**9), amounts)
    ),
    st.integers(0, 10**12),
    shocked=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(sights, st.integers(LEAST_WIDTH, 200), st.sampled_from(["utf-8", "ascii"]), st.text(max_size=100))
def test_no_frame_is_wider_than_its_window(sight: Sight, width: int, encoding: str, title: str) -> None:
    lines = drawn(sight, HEAD._replace(title=title), width=width, encoding=encoding)
    assert all(cell_len(line.rstrip()) <= width for line in lines)
    assert all(line.isprintable() for line in lines)


@given(st.integers(LEAST_WIDTH, 200), st.integers(LEAST_HEIGHT, 80), st.integers(0, 60), st.integers(0, 500))
@settings(deadline=None)
def test_a_frame_is_not_higher_than_its_window(width: int, height: int, books: int, accounts: int) -> None:
    rows = budget(ConsoleDimensions(width, height), books, accounts)
    sight = crash(
        markets=tuple(market(f"M{number}") for number in range(min(books, rows["markets"]))),
        deepest="M0",
        bids=(Rung("1", 1.0),) * rows["rungs"],
        makers=(MakerSight("m", 1.0, 1.0, AWAY),) * min(accounts, rows["makers"]),
        makers_count=accounts,
        happenings=(Happening(0, "x"),) * rows["happenings"],
    )
    lines = drawn(sight, width=width, height=height)
    assert len(lines) < height or height < LEAST_HEIGHT + 4  # in the lowest windows the oldest events are cut off


# --- what is watched ------------------------------------------------------------------------------------------------


def test_the_sights_of_a_run_are_those_of_its_records(tmp_path: Path) -> None:
    """Prices, quotes, makers' levels, liquidations and milestones at the end, against what was recorded."""
    watched: list[Watch] = []
    scenario = load_scenario(SCENARIO)
    run = scenario.replay(out=tmp_path / "run", on_start=lambda simulation: watched.append(Watch(simulation)))
    sight = watched[0].look(happenings=200)
    (seen,) = sight.markets
    last = run.quotes.row(-1, named=True)
    tick = run.instruments["ALT-USDT"].tick
    assert seen.best_bid == ("" if last["bid_ticks"] is None else tick.text(last["bid_ticks"]))
    assert seen.best_ask == ("" if last["ask_ticks"] is None else tick.text(last["ask_ticks"]))
    trades = run.trades
    assert seen.price == tick.text(trades["price_ticks"][-1])
    before = trades.filter(trades["time_ns"] < 90 * NS_PER_S)["price_ticks"][-1]
    assert seen.change == pytest.approx(trades["price_ticks"][-1] / before - 1)
    assert sight.shocked
    assert sight.events == run.rows("orders")
    loans = run.credit.filter(run.credit["kind"] == "loan_liquidation")
    assert sight.liquidated["loans"].sales == loans.height
    assert sight.liquidated["loans"].value == pytest.approx(float(loans["value"].sum()))
    times = [one.time_ns for one in sight.happenings]
    assert times == sorted(times)
    assert sight.happenings[0].text == "SHOCK: outside value of ALT falls by 17.0 %"
    assert sum("first loan liquidated" in one.text for one in sight.happenings) == 1
    withdrawals = run.milestones["name"].str.starts_with("maker_withdrew").sum()
    assert sum("pulls its quotes" in one.text for one in sight.happenings) == withdrawals > 0
    levels = {row["account_id"]: row["margin_level_ppm"] for row in run.accounts.iter_rows(named=True)}
    by_name = {info.name: account for account, info in run.accounts_info.items()}
    for maker in sight.makers:
        level = levels[by_name[maker.name]]
        assert (maker.level is None) == (level is None)


def test_a_watched_run_is_the_same_run(tmp_path: Path, recorded: Path) -> None:
    """A look at every step of the clock, all of it drawn, leaves the digest as it was."""
    screen = Console(file=io.StringIO(), width=100, height=30, force_terminal=True)
    scenario = load_scenario(SCENARIO)
    looks = 0
    with Live(console=screen, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        view = View(live, "t", scenario.file.scenario.duration, 0)

        def advance(now_ns: int) -> None:
            nonlocal looks
            looks += 1
            if looks % 1000 == 0:
                view._next_s = view._next_worked_s = 0.0  # draw, whatever it costs
                view.advance(now_ns)
            if looks % 10 == 0 and view._watch is not None:
                view._watch.look(markets=50, makers=50, rungs=50, happenings=50)

        run = scenario.replay(out=tmp_path / "run", on_progress=advance, on_start=view.begin)
    assert looks > 5000
    assert run.digest == read_run(recorded).digest


def test_drawing_costs_little_of_a_run(tmp_path: Path) -> None:
    """Frames after the first take less than 2 % of the thread's processor time, and there are some."""
    screen = Console(file=io.StringIO(), width=100, height=30, force_terminal=True)
    scenario = load_scenario(SCENARIO, settings={"scenario.duration": "20m"})
    costs: list[float] = []
    with Live(console=screen, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        view = View(live, "t", scenario.file.scenario.duration, 0)
        draw = view._draw

        def timed(watch: Watch) -> None:
            begun = thread_time()
            draw(watch)
            costs.append(thread_time() - begun)

        view._draw = timed  # type: ignore[method-assign]
        begun = thread_time()
        scenario.replay(out=tmp_path / "run", on_progress=view.advance, on_start=view.begin)
        took = thread_time() - begun
    assert len(costs) > 1
    assert sum(costs[1:-1]) < 0.02 * took  # the last one has not been followed by its rest yet


# --- in a terminal --------------------------------------------------------------------------------------------------


def _simulating(text: str) -> bool:
    return "events/s" in text


def test_on_a_terminal_there_is_a_view_and_it_goes(tmp_path: Path) -> None:
    terminal = Terminal("replay", str(SCENARIO), "--out", str(tmp_path / "run"), "--no-report")
    assert terminal.finish() == 0
    assert "ALT-USDT" in terminal.text
    assert "Book of ALT-USDT" in terminal.text
    assert "\x1b[?25l" in terminal.text  # the cursor is hidden,
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")  # and comes back
    assert read_run(tmp_path / "run").complete


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_it_is_not_wanted(environment: dict[str, str], tmp_path: Path) -> None:
    terminal = Terminal(
        "replay", str(SCENARIO), "--until", "2m", "--out", str(tmp_path / "run"), "--no-report", **environment
    )
    assert terminal.finish() == 0
    assert not re.search(r"\x1b\[[0-9;]*(3[0-9]|9[0-7]|48)[;m]", terminal.text)
    if "TERM" in environment:
        assert "\x1b" not in terminal.text
        assert "  50%  1 min of 2 min  ALT-USDT" in terminal.text


def test_a_tiny_window_gets_lines(tmp_path: Path) -> None:
    loud = Terminal("replay", str(SCENARIO), "--until", "1m", "--no-report", width=20, height=5, cwd=tmp_path)
    loud.wait_for(lambda text: "fell" in text)
    assert loud.finish() == 0
    lines = loud.text.partition("every-kind, seed")[0].replace("\x1b[1m", "").splitlines()
    assert len([line for line in lines if line]) == 10
    assert all(len(line) < 20 for line in lines)


def test_quiet_and_json_show_nothing_else_even_on_a_terminal(tmp_path: Path) -> None:
    terminal = Terminal("replay", str(SCENARIO), "--until", "2s", "--out", "quiet", "-q", "--no-report", cwd=tmp_path)
    assert terminal.finish() == 0
    assert terminal.text.strip() == "quiet"
    terminal = Terminal(
        "replay", str(SCENARIO), "--until", "2s", "--out", "as-json", "--json", "--no-report", cwd=tmp_path
    )
    assert terminal.finish() == 0
    assert json.loads(terminal.text)["complete"] is True


def test_lines_into_a_log_are_short_and_few(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lobsim", "replay", str(SCENARIO), "--out", str(tmp_path / "run"), "--no-report"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
    assert len(said) == 10
    assert all(len(line) < 120 for line in said)
    assert said[0].startswith("20:30:18Z   10%  18")
    assert "SHOCK" in said[4] or "pulls its quotes" in "".join(said)


def test_hostile_titles_reach_the_view_as_text(tmp_path: Path) -> None:
    evil = tmp_path / "evil.toml"
    evil.write_text(
        SCENARIO.read_text().replace("Every kind of agent", "[bold red]\\u001b]0;owned\\u0007\\u202eEvil[/]")
    )
    terminal = Terminal("replay", str(evil), "--until", "5s", "--out", str(tmp_path / "run"), "--no-report", width=120)
    assert terminal.finish() == 0
    assert "[bold red]\\x1b]0;owned\\x07\\u202eEvil[/]" in terminal.text
    assert "\x1b]0" not in terminal.text
    assert "\u202e" not in terminal.text


def test_watching_is_refused_nothing_by_an_empty_simulation() -> None:
    """Before anything happens there are neither trades nor account states."""
    scenario = load_scenario(SCENARIO)
    seen: list[Sight] = []

    def begin(simulation: Simulation) -> None:
        seen.append(Watch(simulation).look())

    scenario.replay(until_ns=1, on_start=begin)
    assert seen[0].markets[0].price == ""
    assert seen[0].markets[0].change is None
    assert all(maker.level is None for maker in seen[0].makers)
    assert drawn(seen[0])
