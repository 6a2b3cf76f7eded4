"""Ctrl-C and SIGTERM: the run stops between two events, is readable, and never looks finished."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from lobsim.cli import main
from lobsim.cli.stopping import stoppable
from lobsim.events import Event
from lobsim.measure import read_run
from lobsim.scenario import load_scenario
from lobsim.scenario.build import Simulation
from lobsim.units import NS_PER_S
from tests.cli.conftest import SCENARIO
from tests.cli.terminal import Terminal

LONG = ["--set", "scenario.duration=5h", "--set", "background.limit_rate=100", "--no-report"]


@pytest.mark.parametrize("how", ["key", "SIGTERM"])
def test_stopped_on_a_terminal(how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal("replay", str(SCENARIO), "--out", "run", *LONG, cwd=tmp_path)
    terminal.wait_for(lambda text: "events/s" in text)
    for _ in range(2):  # the second one does no harm
        if how == "key":
            terminal.press("\x03")
        else:
            terminal.process.send_signal(signal.SIGTERM)
    assert terminal.finish() == 130
    said = terminal.text.rpartition("\x1b[?25h")[2]  # after the view went and the cursor came back
    assert "interrupted: UNFINISHED RUN in run" in said
    assert "It ends at 2" in said
    assert "of 5 h" in said
    for command in ("explain", "depth", "slippage"):
        assert f"lobsim {command} run" in said
    assert "Traceback" not in terminal.text

    run = read_run(tmp_path / "run")
    assert not run.complete
    assert run.digest is None
    assert "interrupted" in run.status
    assert 0 < run.end_ns < 18_000 * NS_PER_S
    for command in ("explain", "depth", "slippage"):
        assert main([command, str(tmp_path / "run")]) == 0
        assert "UNFINISHED RUN" in capsys.readouterr().err
        assert main([command, str(tmp_path / "run"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["complete"] is False


def test_an_interrupted_run_holds_what_the_whole_one_has_until_then(tmp_path: Path, recorded: Path) -> None:
    """Nothing is lost, repeated or recorded half: the tables are the beginning of those of the finished run."""
    scenario = load_scenario(SCENARIO)
    with stoppable() as stopper:

        def advance(now_ns: int) -> None:
            if now_ns > 100 * NS_PER_S:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            scenario.replay(out=tmp_path / "run", on_progress=advance, on_start=stopper.watch)
    part, whole = read_run(tmp_path / "run"), read_run(recorded)
    assert 100 * NS_PER_S < part.end_ns < 101 * NS_PER_S
    for table in ("orders", "trades", "quotes", "accounts", "credit", "milestones"):
        rows = part.table(table)
        assert rows.equals(whole.table(table).head(rows.height))
        if table == "orders":
            assert rows.height == whole.orders.filter(whole.orders["time_ns"] <= part.end_ns).height


def test_a_signal_within_an_event_waits_until_it_is_recorded(tmp_path: Path) -> None:
    with stoppable() as stopper:
        recorded_at: list[int] = []

        def begin(simulation: Simulation) -> None:
            stopper.watch(simulation)
            record = simulation.proxy.events

            def interrupted(instrument_id: int, events: Sequence[Event]) -> None:
                if simulation.clock.now > NS_PER_S and not recorded_at:
                    recorded_at.append(simulation.clock.now)
                    signal.raise_signal(signal.SIGINT)
                record(instrument_id, events)

            simulation.proxy.events = interrupted

        with pytest.raises(KeyboardInterrupt):
            load_scenario(SCENARIO).replay(out=tmp_path / "run", on_start=begin)
    run = read_run(tmp_path / "run")
    assert [run.end_ns] == recorded_at
    assert run.orders["time_ns"].max() == run.end_ns


def test_a_signal_before_the_clock_starts_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lobsim.cli.stopping._PATIENCE_S", -1.0)
    with stoppable() as stopper:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert stopper.asked
        signal.raise_signal(signal.SIGTERM)  # later ones, however late, do nothing: all is being closed


def test_a_signal_when_only_the_closing_is_left_lets_it_finish(tmp_path: Path) -> None:
    scenario = load_scenario(SCENARIO)
    simulations: list[Simulation] = []
    with stoppable() as stopper:

        def begin(simulation: Simulation) -> None:
            simulations.append(simulation)
            stopper.watch(simulation)
            check = simulation.check

            def check_and_signal() -> dict[str, int]:
                signal.raise_signal(signal.SIGINT)
                return check()

            simulation.check = check_and_signal  # type: ignore[method-assign]

        run = scenario.replay(out=tmp_path / "run", until_ns=NS_PER_S, on_start=begin)
    assert run.complete
    assert stopper.asked


def test_a_run_that_hangs_in_one_event_can_still_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lobsim.cli.stopping._PATIENCE_S", -1.0)

    def hang(_now_ns: int) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # no event ended in between
        raise AssertionError("not reached")

    with stoppable() as stopper, pytest.raises(KeyboardInterrupt):
        load_scenario(SCENARIO).replay(until_ns=NS_PER_S, on_progress=hang, on_start=stopper.watch)


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stoppable():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_threads_without_signals_run_as_before() -> None:
    asked: list[bool] = []

    def work() -> None:
        with stoppable() as stopper:
            asked.append(stopper.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert asked == [False]
