"""The other commands, help, and what every command promises about the terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lobsim import __version__
from lobsim.cli import main
from lobsim.cli.console import plain
from lobsim.report.wording import amount, basis_points, percent, span
from lobsim.scenario.shipped import shipped
from tests.cli.conftest import SCENARIO

PANELS = {
    "Run": ["scenarios", "replay"],
    "Look at a run": ["explain", "report", "depth", "slippage", "measures", "compare"],
    "Study many runs": ["sweep", "ablate"],
    "Check and calculate": ["check", "schema", "loop"],
}
COMMANDS = [name for names in PANELS.values() for name in names]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lobsim {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out.partition("Usage:")[2].partition("\n")[2]
    example = "lobsim replay NAME" if command == "scenarios" else f"lobsim {command}"
    assert example in text


def test_all_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    said = capsys.readouterr().out
    assert all(command in said for command in COMMANDS)


def test_commands_stand_under_what_one_wants(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    rest = capsys.readouterr().out.partition("Options")[2]
    for panel, names in PANELS.items():
        rest = rest.partition(f" {panel} ")[2]
        assert rest
        body = rest.partition("╰")[0]
        found = [
            words[1] for line in body.splitlines() if len(words := line.split()) > 1 and not line.startswith("│   ")
        ]
        assert [word for word in found if word in COMMANDS] == names


def test_help_is_quick() -> None:
    """Help loads neither polars nor SimPy nor pydantic: nobody waits for it."""
    code = "import sys; from lobsim.cli import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    assert not {"'polars'", "'simpy'", "'pydantic'", "'numpy'"} & set(loaded.strip("[]\n").split(", "))


def test_unknown_commands_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frobnicate"]) == 2
    assert main(["replay"]) == 2
    assert main(["replay", "x", "--sped"]) == 2
    assert main(["replay", "x", "--seed", "-1"]) == 2
    said = capsys.readouterr()
    assert "frobnicate" in said.err
    assert "Traceback" not in said.err


def test_schema_is_json_and_knows_every_kind_of_agent(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    text = json.dumps(schema)
    assert schema["additionalProperties"] is False
    assert all(kind in text for kind in ("market-maker", "liquidation-bot", "background", "panic-sellers"))


def test_shipped_scenarios_are_listed_and_found_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert "liquidity-vacuum" in shipped()
    assert main(["scenarios"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in shipped())
    assert main(["check", "calm"]) == 0
    assert "calm.toml: no faults" in capsys.readouterr().out
    assert main(["check", "nobody-wrote-this"]) == 2
    assert "there are: " in capsys.readouterr().err


def test_a_file_comes_before_a_shipped_scenario_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calm").write_text("[scenario]\n")
    assert main(["check", "calm"]) == 2
    assert capsys.readouterr().err.startswith("lobsim: calm: ")


def test_check_looks_into_every_variant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(SCENARIO)]) == 0
    assert "no-withdrawal, no-bots" in capsys.readouterr().out
    broken = tmp_path / "broken.toml"
    broken.write_text(SCENARIO.read_text() + "\n[variants.bad]\nagents.background.limit_rate = -1\n")
    assert main(["check", str(broken)]) == 2
    said = capsys.readouterr().err
    assert "variant bad" in said
    assert "agents.background.limit_rate: -1" in said


def test_text_from_files_cannot_reach_the_terminal_raw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = tmp_path / "evil.toml"
    text = SCENARIO.read_text().replace("Every kind of agent", "[bold red]\\u001b[31m\\u202eEvil[/]")
    evil.write_text(text)
    assert main(["check", str(evil)]) == 0
    said = capsys.readouterr().out
    assert "[bold red]\\x1b[31m\\u202eEvil[/]" in said
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_plain_spells_out_what_a_terminal_must_not_get() -> None:
    assert plain("a\x1b[2J\u202eb\tc\x00\x9b") == "a\\x1b[2J\\u202eb\\tc\\x00\\x9b"
    assert plain("Zürich 20 % -> €\nnext") == "Zürich 20 % -> €\nnext"


@pytest.mark.parametrize(("no_color", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_only_where_they_are_wanted(no_color: dict[str, str], coloured: bool, recorded: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    environment |= {"FORCE_COLOR": "1", "TERM": "xterm-256color", **no_color}
    command = [sys.executable, "-m", "lobsim", "depth", str(recorded)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert ("\x1b[1;36m" in said) is coloured


def test_output_survives_a_terminal_without_unicode(recorded: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "lobsim", "depth", str(recorded), "--instrument", "é→"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_early_is_no_error(recorded: Path) -> None:
    command = f"{sys.executable} -m lobsim slippage {recorded} --every 250ms | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1)
    assert done.stderr == ""


def test_a_narrow_window_costs_no_digits(
    recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = ["depth", str(recorded), "--every", "1m"]
    assert main(wide) == 0
    expected = capsys.readouterr().out
    for name, value in (("COLUMNS", "40"), ("FORCE_COLOR", "1"), ("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    assert main(wide) == 0
    narrow = capsys.readouterr().out
    tables = [[line.split() for line in said.splitlines()[1:] if line.startswith("  ")] for said in (narrow, expected)]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 10  # two lines of header, four moments, two sides


def test_numbers_for_people() -> None:
    assert [amount(value) for value in (1.23456e-7, -3.2e-9)] == ["0.0000001235", "-0.0000000032"]
    assert [amount(value) for value in (1234567.8, 999.96, 12.0, 0.00012345, 0, None)] == [
        "1,234,568",
        "1000",
        "12",
        "0.0001234",
        "0",
        "-",
    ]
    assert percent(0.8123) == "81.2 %"
    assert [basis_points(value) for value in (0.0012, 0.05, None)] == ["12.0 bp", "5.0 %", "-"]
    assert [span(ns) for ns in (250_000_000, 4_500_000_000, 271 * 10**9, 4500 * 10**9)] == [
        "250 ms",
        "4.5 s",
        "4 min 31 s",
        "1 h 15 min",
    ]


def test_check_counts_what_it_does_not_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "oct-2025"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line == line.rstrip() for line in lines)
    facts = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines[1:]}
    assert facts["instruments"].startswith("46: BTC-USDT, ETH-USDT, ")
    assert facts["instruments"].endswith(" and 26 more")
    assert "9 market-maker, " in facts["agents"]
    assert "noise-XRP" not in facts["agents"]
