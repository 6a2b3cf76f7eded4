"""`lobsim explain` and the scorecard of `replay`: their words, their JSON, and runs of many books."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lobsim.cli import main
from lobsim.cli.replaying import show_outcome
from lobsim.measure import CHAIN, Run, attribution, chain_order, milestones, read_run, scorecard, summary
from lobsim.measure.measures import Figures
from lobsim.records import InstrumentInfo
from lobsim.report.explain import explained, explanation, figure, score_section
from lobsim.report.outcome import outcome
from tests.golden.update import EXPLAINED
from tests.golden.update import explained as explained_vacuum
from tests.measure.recording import MemoryRecorder
from tests.measure.test_milestones import whole
from tests.measure.worlds import SHOCK_S, S, World, header


def test_text_of_a_short_crash_is_the_one_on_record() -> None:
    """After a change that is meant to alter runs or words: ``python -m tests.golden.update``."""
    assert explained_vacuum() == EXPLAINED.read_text(encoding="utf-8")


def test_json_says_what_is_measured(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(recorded), "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.count("\n") == 1
    told, run = json.loads(said.out), read_run(recorded)
    found = milestones(run)
    assert told["milestones"] == [one._asdict() for one in found]
    assert (told["links_in_order"], told["links_judged"]) == chain_order(found)
    fall = attribution(run)
    assert told["attribution"]["fall"] == float(fall.fall)
    assert sum(told["attribution"]["new_lows"].values()) == pytest.approx(float(fall.fall))
    loans = run.credit.filter(run.credit["kind"] == "loan_liquidation")
    assert sum(row["value"] for row in told["liquidations"]["rows"]) == pytest.approx(loans["value"].sum())
    assert told["scorecard"] == []


def test_replay_tells_milestones_and_scorecard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = Path(__file__).resolve().parents[1] / "golden" / "every-kind.toml"
    assert main(["replay", str(scenario), "--out", str(tmp_path / "run"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["milestones"][0]["name"] == "shock"
    assert set(told["milestones"][0]) == {"name", "time_ns", "amount", "unit"}
    assert told["scorecard"] == []


def test_sections_of_a_whole_chain() -> None:
    study = Figures.of(whole().run())
    sections = {section.title: section for section in explanation(study)}
    chain = sections["What happened, and when a tenth of it had"]
    assert chain.rows[1] == ("20:50:10Z", "10 s", "2", "risk-off selling (shock and momentum sellers)", "1,000 USDT")
    assert chain.note == "5 of the 5 steps from one number to the next came in order (ties within 5 s count)."
    assert sorted(row[2] for row in chain.rows if row[2]) == ["1", "2", "3", "4", "5", "6", "8"]
    ladder = sections["Liquidations every 5 s, USDT"]
    assert ladder.header == ("from", "loans", "accounts", "contracts", "together", "so far")
    assert ladder.rows[-1] == ("20:51:30Z", "-", "-", "400", "400", "100.0 %")
    assert ("longs in contract liquidations", "", "75.0 %") in sections["Contracts and insurance"].rows
    assert len(CHAIN) == 8
    json.dumps(explained(study), allow_nan=False)


def test_scorecard_lines() -> None:
    targets: list[dict[str, Any]] = [
        {"name": "fall", "measure": "fall", "group": "coins", "low": 0.5, "high": 0.7, "real": 0.765}
        | {"unit": "fraction"},
        {"name": "first", "measure": "crossing", "group": "coins", "statistic": "min", "low": 120, "unit": "s"},
        {"name": "left", "measure": "makers_left", "high": 0.2, "real_low": 0.01, "real_high": 0.1, "unit": "fraction"},
    ]
    world = whole()
    world.recorder.header = header(targets=targets)
    run = world.run()
    section = score_section(scorecard(run))
    assert section.title == "Against the real figures: 1 of 3 inside their bands"
    assert section.rows == [
        ("fall", "60.0 %", "76.5 %", "50.0 % to 70.0 %", "inside"),
        ("first", "1 min 20 s", "-", "at least 2 min", "OUTSIDE"),
        ("left", "-", "1.0 % to 10.0 %", "at most 20.0 %", "not measured"),
    ]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "-"),
        (-0.433, "fraction", "-43.3 %"),
        (0.99999, "fraction", "99.9990 %"),
        (1.0, "fraction", "100.0 %"),
        (-90.0, "s", "-1 min 30 s"),
        (0.0, "s", "0 s"),
        (2.345, "x", "2.3 x"),
        (162.3, "x", "162 x"),
        (-0.6, "correlation", "-0.60"),
        (0.65, "USDT", "0.65 USDT"),
        (5.0, "of 7", "5 of 7"),
    ],
)
def test_figures_in_their_units(value: float | None, unit: str, text: str) -> None:
    assert figure(value, unit) == text


def _many(count: int) -> Run:
    """A run of `count` books that all lose a half."""
    names = [f"C{number}-USDT" for number in range(count)]
    books = [
        InstrumentInfo(number, name, name[:-5], "USDT", "0.01", "1", "0.000001") for number, name in enumerate(names)
    ]
    world = World(instruments=books, groups={"altcoins": names[:-10], "elsewhere": names[-10:]}, focus="altcoins")
    assert isinstance(world.recorder, MemoryRecorder)
    for number in range(count):
        for second, price in ((1, 10_000), (SHOCK_S + 10 + number, 5_000), (SHOCK_S + 200, 8_000)):
            world.trade_in(second, number, price)
    return world.run()


def test_fifty_books_stay_readable(capsys: pytest.CaptureFixture[str]) -> None:
    run = _many(50)
    sections = outcome(run, summary(run, SHOCK_S * S, liquidity=False))
    assert sum(len(section.rows) for section in sections) < 40
    groups = sections[0]
    assert [row[0] for row in groups.rows] == ["altcoins", "elsewhere"]
    assert groups.rows[0][1:4] == ("40", "50.0 %", "50.0 % to 50.0 %")
    run.manifest["summary"] = {"shock_ns": SHOCK_S * S}
    show_outcome(run, Path("runs/many"), 1.0)
    said = capsys.readouterr().out
    assert len(said.splitlines()) < 70
    assert "C0-USDT" in said
    assert "lobsim explain runs/many" in said


def test_unfinished_and_empty_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(tmp_path)]) == 2
    assert "no such file" in capsys.readouterr().err
    assert explanation(Figures.of(World().run(shock_s=None))) == []
