"""Studies: finished runs are kept, never computed twice, never mixed with those of another scenario."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import polars as pl
import pytest

from lobsim.errors import InputError, RunError
from lobsim.sweep import Progress, Study, grid, make_cell, parse_axis, read_study, run_study
from lobsim.sweep.cells import cell_summaries, headlines, is_flag, unit_of
from lobsim.sweep.store import Store
from lobsim.units import NS_PER_S
from tests.cli.conftest import SCENARIO

SHORT = 3 * NS_PER_S


def _run(
    folder: Path, seeds: list[int], axis: str = "patient_bids.pool=1e5,5e4", path: Path = SCENARIO, **options: object
) -> Study:
    cells = grid(path, [None], [parse_axis(axis)])
    options = {"workers": 0, "until_ns": SHORT, **options}
    return run_study(make_cell(path, "base", None, {}), cells, seeds, folder, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return _run(tmp_path_factory.mktemp("finished") / "study", [1, 2])


def test_a_study_as_a_frame(finished: Study) -> None:
    frame = finished.frame()
    assert finished.complete
    assert frame.select("cell", "seed", "set patient_bids.pool").rows() == [
        (f"patient_bids.pool={text}", seed, value)
        for text, value in (("1e5", "100000"), ("5e4", "50000"))
        for seed in (1, 2)
    ]
    assert frame["status"].unique().to_list() == ["done"]
    assert frame["digest"].n_unique() == 4
    assert frame.schema["fall"] == pl.Float64
    assert pl.read_parquet(finished.folder / "results.parquet").equals(frame)


def test_a_finished_study_says_so_and_reads_back(finished: Study) -> None:
    assert json.loads((finished.folder / "study.json").read_text())["complete"] is True
    assert read_study(finished.folder) == finished
    assert not list(finished.folder.glob("work/*"))
    assert len(list((finished.folder / "results").iterdir())) == 4
    assert all(not any(one.ledger.values()) and one.ledger for one in finished.records.values())


def test_a_run_of_a_study_is_the_run_that_replay_makes(finished: Study, tmp_path: Path) -> None:
    cell = make_cell(SCENARIO, "", None, {"patient_bids.pool": 50_000})
    run = cell.scenario.replay(seed=2, until_ns=SHORT, out=tmp_path / "run")
    assert run.digest == finished.records["patient_bids.pool=5e4", 2].digest


def test_nothing_is_computed_twice(tmp_path: Path) -> None:
    _run(tmp_path, [1])
    told: list[Progress] = []
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "results").iterdir()}
    study = _run(tmp_path, [1, 2], "patient_bids.pool=1e5,5e4,2e4", on_progress=told.append)
    assert (told[0].done, told[0].found, told[0].total, told[-1].done) == (2, 2, 6, 6)
    assert study.complete
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    fewer = _run(tmp_path, [2], "patient_bids.pool=5e4", on_progress=told.append)
    assert told[-1].found == told[-1].total == 1
    assert fewer.labels == ("patient_bids.pool=5e4",)


def test_what_was_begun_looks_unfinished_and_goes_on(tmp_path: Path) -> None:
    def stop(step: Progress) -> None:
        if step.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path, [1, 2], on_progress=stop)
    begun = read_study(tmp_path)
    assert not begun.complete
    assert json.loads((tmp_path / "study.json").read_text())["complete"] is False
    assert len(begun.records) == 3
    assert begun.frame().height == 3
    assert not (tmp_path / "results.parquet").exists()
    (tmp_path / "results" / "half.json.tmp").write_text("{")  # of a run that a power cut stopped
    assert _run(tmp_path, [1, 2]).complete


def test_seeds_come_first(tmp_path: Path) -> None:
    def stop(step: Progress) -> None:
        if step.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path, [5, 6, 7], on_progress=stop)
    assert sorted(seed for _, seed in read_study(tmp_path).records) == [5, 5]


def test_a_changed_scenario_is_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = SCENARIO.read_text()
    path.write_text(text)
    study = tmp_path / "study"
    _run(study, [1], path=path)
    path.write_text(text.replace("quote_notional = 10_000", "quote_notional = 9_000").replace("orders = 20\n", ""))
    with pytest.raises(RunError, match="scenario that has changed since") as caught:
        _run(study, [1, 2], path=path)
    assert "agents.market_makers.quote_notional: 10000 is now 9000" in str(caught.value)
    assert "agents.stray_bids.orders (was 20) is gone" in str(caught.value)
    path.write_text(text.replace("Every kind of agent, three", "Another title, three"))
    assert _run(study, [1, 2], path=path).complete
    first, _, rest = text.partition("[references.ALT]")
    references, _, rest = rest.partition("[venues.exchange]")
    path.write_text(f"{first}[venues.exchange]{rest}\n[references.ALT]{references}")
    with pytest.raises(RunError, match="the order of its tables"):
        _run(study, [1], path=path)


def test_a_changed_variant_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SCENARIO.read_text())
    base = make_cell(path, "base", None, {})
    run_study(base, grid(path, ["no-bots"]), [1], tmp_path / "study", workers=0, until_ns=SHORT)
    path.write_text(SCENARIO.read_text() + "agents.market_makers.levels = 3\n")
    with pytest.raises(
        RunError, match=r"no-bots: agents.market_makers.levels(.*) is new|levels: 5 is now 3|= 3 is new"
    ):
        run_study(
            make_cell(path, "base", None, {}),
            grid(path, ["no-bots"]),
            [1],
            tmp_path / "study",
            workers=0,
            until_ns=SHORT,
        )


def test_another_length_and_another_version_are_refused(tmp_path: Path) -> None:
    _run(tmp_path, [1])
    with pytest.raises(RunError, match="another length"):
        _run(tmp_path, [1], until_ns=2 * NS_PER_S)
    file = tmp_path / "study.json"
    study = json.loads(file.read_text())
    study["header"]["lobsim"] = "0.0.1"
    file.write_text(json.dumps(study))
    with pytest.raises(RunError, match=r"results of lobsim 0\.0\.1"):
        _run(tmp_path, [1])


def test_foreign_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(RunError, match="holds no study"):
        _run(tmp_path, [1])
    assert [file.name for file in tmp_path.iterdir()] == ["precious.txt"]
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        _run(tmp_path / "file", [1])


def test_two_sweeps_never_share_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")

    def begin_another(_: Progress) -> None:
        with pytest.raises(RunError, match="another sweep is writing there"):
            _run(tmp_path, [1])

    assert _run(tmp_path, [1], "patient_bids.pool=1e5", on_progress=begin_another).complete


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("study.json", "{", "Invalid JSON"),
        ("study.json", "{}", "lobsim_study"),
        ("study.json", '{"lobsim_study": 1, "complete": "yes"}', "bool"),
        ("results/" + "a" * 32 + "-1.json", '{"status": "done"}', "cell"),
        ("results/" + "a" * 32 + "-1.json", "[]", "damaged"),
        (
            "results/" + "a" * 32 + "-1.json",
            '{"status": "done", "cell": "x", "seed": 1, "attempts": 1, "outcomes": {"fall": NaN}}',
            "finite",
        ),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: str, words: str) -> None:
    _run(tmp_path, [1], "patient_bids.pool=1e5")
    (tmp_path / name).write_text(content)
    with pytest.raises(RunError, match=words) as caught:
        read_study(tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_links_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such file"):
        read_study(tmp_path)
    (tmp_path / "elsewhere.json").write_text("{}")
    (tmp_path / "study.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(RunError, match="no such file"):
        read_study(tmp_path)


def test_a_run_that_cannot_be_built_fails_with_the_reason_and_is_tried_again(tmp_path: Path) -> None:
    tape = '[[tapes]]\nkind = "lobster"\ninstrument = "ALT-USDT"\npath = "tape.csv"\n'
    path = tmp_path / "mine.toml"
    path.write_text(SCENARIO.read_text() + tape)
    study = _run(tmp_path / "study", [1], "patient_bids.pool=1e5", path=path)
    assert not study.complete
    (reason,) = study.failures.values()
    assert "tape.csv" in reason
    assert study.frame()["status"].to_list() == ["failed"]
    assert json.loads((study.folder / "study.json").read_text())["complete"] is False
    told: list[Progress] = []
    _run(tmp_path / "study", [1], "patient_bids.pool=1e5", path=path, on_progress=told.append)
    assert (told[0].found, told[-1].failed) == (0, 1)


def test_a_run_that_loses_money_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lobsim.scenario.build.Simulation.check", lambda _: {"USDT": 1})
    study = _run(tmp_path, [1], "patient_bids.pool=1e5")
    assert list(study.failures.values()) == ["seed 1: not conserved: {'USDT': 1} quanta"]


def test_runs_are_kept_when_asked(tmp_path: Path) -> None:
    study = _run(tmp_path, [1], "patient_bids.pool=1e5", keep_runs=True)
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "manifest.json").read_text())["digest"] == study.frame()["digest"][0]


def test_run_folders_go_as_soon_as_they_are_measured(tmp_path: Path) -> None:
    left: list[Path] = []
    assert _run(tmp_path, [1, 2], on_progress=lambda _: left.extend(tmp_path.glob("work/*"))).complete
    assert left == []


def test_an_interrupt_between_two_answers_stops_the_workers_before_their_folders_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work = []
    clean = Store.clean
    monkeypatch.setattr(Store, "clean", lambda store: at_work.append(multiprocessing.active_children()) or clean(store))

    def interrupt(step: Progress) -> None:
        if step.done == 1:
            assert len(multiprocessing.active_children()) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path, [1, 2, 3], workers=1, on_progress=interrupt)
    assert at_work == [[], []]
    assert not list(tmp_path.glob("work/*"))
    assert len(list((tmp_path / "results").iterdir())) == 1


def test_numbers_of_workers_and_runs_are_bounded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--workers -1"):
        _run(tmp_path, [1], workers=-1)
    with pytest.raises(InputError, match="at most 1,000,000 runs"):
        _run(tmp_path, list(range(600_000)))
    assert not list(tmp_path.iterdir())


def test_summaries_compare_with_the_first_cell(finished: Study) -> None:
    first, second = cell_summaries(finished, "fall")
    assert first.difference is None
    assert second.difference is not None
    assert first.mean is not None
    assert second.mean is not None
    assert second.difference.value == pytest.approx(second.mean.value - first.mean.value)
    assert (first.known, first.runs) == (2, 2)
    flag = cell_summaries(finished, "crashed")[1]
    assert flag.mean is not None
    assert flag.mean.value == 0
    assert flag.mean.high == pytest.approx(0.658, abs=1e-3)  # two runs without a crash prove little
    with pytest.raises(InputError, match="no such outcome; there are fall, "):
        cell_summaries(finished, "fal")


def test_names_leave_out_what_all_cells_share(finished: Study, tmp_path: Path) -> None:
    assert finished.shared_settings == {}
    assert list(finished.names) == list(finished.names.values()) == list(finished.labels)
    axes = [parse_axis("patient_bids.pool=1e5,5e4"), parse_axis("scenario.duration=2m")]
    cells = grid(SCENARIO, [None, "no-bots"], axes)
    study = run_study(make_cell(SCENARIO, "base", None, {}), cells, [1], tmp_path, workers=0, until_ns=SHORT)
    assert study.shared_settings == {"scenario.duration": "2m"}
    assert list(study.names) == [cell.label for cell in cells]
    assert list(study.names.values()) == [
        f"{variant}, patient_bids.pool={pool}" for variant in ("base", "no-bots") for pool in ("1e5", "5e4")
    ]
    assert [row.name for row in cell_summaries(study, "fall")] == list(study.names.values())
    alone = grid(SCENARIO, [None], axes[1:])
    single = run_study(make_cell(SCENARIO, "base", None, {}), alone, [1], tmp_path, workers=0, until_ns=SHORT)
    assert single.names == {"scenario.duration=2m": "scenario.duration=2m"}


def test_outcomes_have_units(finished: Study) -> None:
    assert is_flag("crashed")
    assert not is_flag("fall")
    assert [unit_of(name) for name in ("fall", "fall.ALT-USDT", "at.shock", "synchrony", "x")] == [
        "fraction",
        "fraction",
        "s",
        "s",
        "",
    ]
    assert headlines(finished)[0] == "fall"
