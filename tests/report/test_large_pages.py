"""The pages that people will make first: the large scenario's beginning and a real day, opened at both sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lobsim.cli import main

SIZES = [(1440, 900), (390, 844)]
ALWAYS = {"headline", "prices", "book-picture", "instruments", "provenance"}
LADDER = "document.querySelector('.book').innerText"


@pytest.fixture(scope="module")
def october(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first two minutes after the shock of oct-2025, brought forward so that this does not take long."""
    out = tmp_path_factory.mktemp("october") / "run"
    at = [part for number in (0, 1) for part in ("--set", f"exogenous[{number}].at=2m")]
    assert main(["replay", "oct-2025", *at, "--until", "4m", "--out", str(out), "--quiet"]) == 0
    return out / "report.html"


@pytest.fixture(scope="module")
def aapl(tmp_path_factory: pytest.TempPathFactory, data_folder) -> Path:
    """Ten minutes of AAPL from LOBSTER's messages."""
    data = data_folder("lobster-2012-06-21").resolve()
    out = tmp_path_factory.mktemp("aapl") / "run"
    settings = {
        "tapes[0].path": data / "AAPL_2012-06-21_34200000_37800000_message_50.csv.xz",
        "tapes[0].book": data / "AAPL_2012-06-21_34200000_34210047_orderbook_50_first672.csv.xz",
        "scenario.start_utc": "2012-06-21T13:30:00Z",
        "scenario.duration": "10m",
        "instruments.STOCK-USD.tick": "0.01",
    }
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    assert main(["replay", "tape-lobster", *words, "--allow-path", "--out", str(out), "--quiet"]) == 0
    return out / "report.html"


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    ("name", "also"),
    [("october", {"depth", "makers", "liquidations", "pegs", "causes", "scorecard"}), ("aapl", {"depth", "spreads"})],
)
def test_it_opens_complete_and_the_scrubber_moves_the_ladder(request, opened, name, also, width, height):
    file = request.getfixturevalue(name)
    tab, problems, requests = opened(file, width, height)
    assert not problems
    assert requests == [file.resolve().as_uri()], "no request leaves the page"
    sections = set(tab.eval_on_selector_all("main > section", "found => found.map(one => one.id)"))
    assert sections >= ALWAYS | also
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    before = tab.evaluate(LADDER)
    tab.eval_on_selector(
        ".book input[type=range]",
        "slider => { slider.value = 0; slider.dispatchEvent(new Event('input', {bubbles: true})); }",
    )
    assert tab.evaluate(LADDER) != before
