"""Reading scenario files: what they may say, what a setting or a variant changes, and how faults are told."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lobsim import load_scenario
from lobsim.errors import InputError, ScenarioError
from lobsim.scenario.lines import line_of, lines_of
from lobsim.scenario.load import apply_setting, parse_setting
from lobsim.scenario.run import rehearse
from lobsim.scenario.shipped import locate, shipped

GOOD = Path(__file__).resolve().parents[1] / "golden" / "every-kind.toml"


def faults_of(path: Path = GOOD, **arguments: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, **arguments)
    return str(caught.value)


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = GOOD.read_text()
    assert text.count(old) == 1, old
    file = tmp_path / "edited.toml"
    file.write_text(text.replace(old, new))
    return file


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_scenarios_are_good(name: str) -> None:
    scenario = load_scenario(locate(name))
    assert scenario.file.scenario.name == name
    for variant in scenario.file.variants:
        load_scenario(locate(name), variant=variant)


def test_numbers_keep_every_digit(tmp_path: Path) -> None:
    file = edited(tmp_path, 'start = "1.00"', "start = 1.000000000000000000001")
    assert load_scenario(file).file.references["ALT"].start == Decimal("1.000000000000000000001")


def test_the_stored_text_says_the_same(tmp_path: Path) -> None:
    scenario = load_scenario(GOOD, variant="no-bots", settings=["market_makers.levels=3"])
    file = tmp_path / "stored.toml"
    file.write_text(scenario.text)
    assert load_scenario(file).file == scenario.file


# --- settings and variants --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("agents.market_makers.withdrawal=false", "agents.market_makers.withdrawal", False),
        ("market_makers.withdrawal=false", "agents.market_makers.withdrawal", False),
        ("withdrawal_rules.margin_level=1.25", "agents.market_makers.withdrawal_rules.margin_level", Decimal("1.25")),
        ("exogenous[0].change=-0.3", "exogenous[0].change", Decimal("-0.3")),
        ("scenario.name=other", "scenario.name", "other"),
        ("scenario.start_utc=2012-06-21T13:30:00Z", "scenario.start_utc", "2012-06-21T13:30:00Z"),
        ("market_makers.holdings=[5, 6]", "agents.market_makers.holdings", [5, 6]),
        ("market_makers.requote='1s'", "agents.market_makers.requote", "1s"),
        ("lenders.lender.oracle={model='last'}", "lenders.lender.oracle", {"model": "last"}),
        ("depth_interval=5s", "scenario.depth_interval", "5s"),
    ],
)
def test_settings(setting: str, path: str, value: object) -> None:
    key, read = parse_setting(setting)
    assert read == value
    document = load_scenario(GOOD).document
    assert apply_setting(document, key, read) == path
    load_scenario(GOOD, settings=[setting])


@pytest.mark.parametrize(
    "setting",
    [
        *["nothing", "=5", "a.b.c=1", "exogenous[9].at=1s", "exogenous.at=1s", "[0]=1", "..=1", "a[b]=1"],
        *["reference=ALT", "scenario.name.first=x", "x" * 100 + "=1", ".".join("a" * 60) + "=1", "a=" + "9" * 20_000],
    ],
    ids=lambda text: text[:20],
)
def test_settings_that_lead_nowhere(setting: str) -> None:
    assert "--set" in faults_of(settings=[setting])


def test_settings_may_be_a_mapping() -> None:
    scenario = load_scenario(GOOD, settings={"liquidation_bots.enabled": False, "seed": 9})
    assert scenario.file.scenario.seed == 9
    assert scenario.file.agents["liquidation_bots"].enabled is False


def test_variants_change_what_they_name() -> None:
    assert load_scenario(GOOD, variant="no-bots").file.agents["liquidation_bots"].enabled is False
    assert load_scenario(GOOD).file.agents["liquidation_bots"].enabled is True
    assert "no variant 'nix' (known: no-bots, no-withdrawal)" in faults_of(variant="nix")


def test_a_setting_comes_after_the_variant() -> None:
    scenario = load_scenario(GOOD, variant="no-bots", settings=["liquidation_bots.enabled=true"])
    assert scenario.file.agents["liquidation_bots"].enabled is True


def test_times() -> None:
    scenario = load_scenario(GOOD)
    assert scenario.time_ns("20:31:00Z") == scenario.time_ns("1m") == 60 * 10**9
    with pytest.raises(InputError):
        scenario.time_ns("soon")


# --- faults -----------------------------------------------------------------------------------------------------------


def test_all_faults_are_told_at_once_with_line_and_key(tmp_path: Path) -> None:
    file = edited(tmp_path, "limit_rate = 5.0", "limit_rate = -5.0")
    file.write_text(file.read_text().replace("gamma = 147", "gama = 147"))
    said = faults_of(file)
    lines = file.read_text().splitlines()
    assert said.splitlines()[0] == f"{file}: 3 faults"
    assert f"line {lines.index('limit_rate = -5.0') + 1}: agents.background.limit_rate: -5.0: should be" in said
    assert f"line {lines.index('gama = 147') + 1}: agents.market_makers.gama: unknown key" in said
    assert "agents.market_makers.gamma: is missing" in said


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('kind = "background"', 'kind = "backgroud"', "agents.background.kind: 'backgroud' is none of "),
        ('kind = "background"', "", "agents.background.kind: is missing"),
        ('kind = "shock"', 'kind = "quake"', "exogenous[0].kind: 'quake' is none of "),
        (
            'agents = ["liquidation_bots"]',
            'agents = ["background"]',
            "exogenous[1].agents: 'background' is a crowd, whose latency is constant",
        ),
        (
            'kind = "background"',
            'kind = "background"\nlatency_sigma = 0.5',
            "agents.background.latency_sigma: background stands for a crowd",
        ),
        ("change = -0.17", "change = -1.5", "exogenous[0].change: -1.5: should be greater than -1"),
        ("change = -0.17", 'change = "-0.17"', "exogenous[0].change: '-0.17': a number is wanted, without quotes"),
        ("count = 3", "count = 3.0", "agents.market_makers.count: 3.0: a whole number is wanted"),
        ("count = 3", "count = true", "agents.market_makers.count: True: a number is wanted"),
        ('requote = "500ms"', "requote = 500", "agents.market_makers.requote: 500: a duration is text"),
        ('at = "90s"', 'at = "90"', "exogenous[0].at: '90': duration: '90' is not a duration"),
        ('tick = "0.0001"', 'tick = "0.000133"', "instruments.ALT-USDT.tick: tick x lot = 0.0000133 is not a whole"),
        (
            'numeraire = "USDT"',
            'numeraire = "USD"',
            "scenario.numeraire: asset 'USD' is not defined (known: ALT, USDT)",
        ),
        ('start_utc = "2025-10-10T20:30:00Z"', 'start_utc = "2025-02-30T20:30:00Z"', "no such moment"),
        ("[agents.stray_bids]", "[agents.lender-7]", "agents.lender-7: its account would be called 'lender-7'"),
        ("leverage = [2.7, 0.8]", "leverage = []", "agents.market_makers.leverage: must not be empty"),
        ("limit_qty = 200", "limit_qty = 0.01", "0.01 ALT are less than one lot (0.1 ALT)"),
        ("limit_rate = 5.0", "limit_rate = 1e12", "agents.background: would make about"),
        ("limit_rate = 5.0", "limit_rate = 3e5", "events a second; at most 1e+06"),
        ("collateral = 400_000", "collateral = 1", "lenders.lender.loans.collateral: 0.025 ALT a loan are less than"),
        ("seed = 42", "seed = 42\nseed = 43", "Cannot overwrite a value (at line 9"),
        ("clustering = 0.4", "clustering = 1e99", "more than 40 digits (at line "),
    ],
)
def test_faults_say_what_is_wrong_and_where(old: str, new: str, fault: str, tmp_path: Path) -> None:
    said = faults_of(edited(tmp_path, old, new))
    assert fault in said
    assert "line " in said


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("agents.market_makers.gama", 147, "agents.market_makers.gama: unknown key; did you mean 'gamma'?"),
        (
            "agents.market_makers.withdrawal_rules.margin_levle",
            1,
            "agents.market_makers.withdrawal_rules.margin_levle: unknown key; did you mean 'margin_level'?",
        ),
        ("exogenous[0].reverence", "ALT", "exogenous[0].reverence: unknown key; did you mean 'reference'?"),
        ("lenders.lender.oracle.refrence", "ALT", "lenders.lender.oracle.refrence: unknown key; did you mean"),
        ("lenders.lender.loans.ltv_hihg", 1, "lenders.lender.loans.ltv_hihg: unknown key; did you mean 'ltv_high'?"),
        ("scenario.nonsense", 1, "scenario.nonsense: unknown key"),
        ("scenario.durations", "9s", "scenario.durations: unknown key; did you mean 'duration'?"),
        ("agents.background.gamma", 1, "agents.background.gamma: unknown key"),
    ],
)
def test_the_key_that_was_meant_is_named(key: str, value: object, fault: str) -> None:
    said = faults_of(settings={key: value}).splitlines()[1]
    assert said.startswith(f"  {fault}")
    assert ("did you mean" in said) == ("did you mean" in fault)
    assert said.endswith("(changed by a variant or --set)")


def test_a_table_that_was_meant_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    file.write_text(GOOD.read_text() + "\n[instrument.X]\ntick = 1\n")
    assert "instrument: unknown key; did you mean 'instruments'?" in faults_of(file)


def test_the_first_of_many_faults_are_told_and_the_others_counted() -> None:
    said = faults_of(settings={f"scenario.duration{number}": 1 for number in range(60)}).splitlines()
    assert said[0] == f"{GOOD}: 60 faults"
    assert all("did you mean 'duration'?" in line for line in said[1:51])
    assert said[51:] == ["  ... and 10 more"]


def test_a_fault_that_a_setting_made_is_told_as_such() -> None:
    said = faults_of(settings=["background.limit_rate=-1"])
    assert "agents.background.limit_rate: -1: should be greater than 0 (changed by a variant or --set)" in said


def test_makers_that_would_be_liquidated_at_once_are_refused(tmp_path: Path) -> None:
    scenario = load_scenario(edited(tmp_path, "leverage = [2.7, 0.8]", "leverage = [0.8, 5.5]"))
    with pytest.raises(ScenarioError, match=r"edited.toml: agents.market_makers: leverage: 5.5 puts the account"):
        rehearse(scenario)


def test_a_circle_of_quotes_is_refused(tmp_path: Path) -> None:
    circle = '[instruments.USDT-ALT]\nbase = "USDT"\nquote = "ALT"\ntick = "0.001"\nlot = "1"\n\n[lenders.lender]'
    assert "assets are valued in a circle: ALT in USDT in ALT" in faults_of(
        edited(tmp_path, "[lenders.lender]", circle)
    )


# --- lines ------------------------------------------------------------------------------------------------------------


def test_lines_of_keys() -> None:
    text = '''a = 1
[one."two three"]   # comment
b.c = 2
notes = """
d = 3
[not.a.table]
"""
e = { f = 5 }

[[list]]
g = 6
[list.inner]
h = 7
[[list]]
g = 8
'single' = """one line"""
i = 9
'''
    lines = lines_of(text)
    assert lines == {
        "a": 1,
        "one.two three": 2,
        "one.two three.b.c": 3,
        "one.two three.notes": 4,
        "one.two three.e": 8,
        "list[0]": 10,
        "list[0].g": 11,
        "list[0].inner": 12,
        "list[0].inner.h": 13,
        "list[1]": 14,
        "list[1].g": 15,
        "list[1].single": 16,
        "list[1].i": 17,
    }
    assert line_of("one.two three.e.f", lines) == 8
    assert line_of("list[1].nothing.here", lines) == 14
    assert line_of("nowhere", lines) is None
