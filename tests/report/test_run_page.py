"""The page of a run in a browser, as a reader has it; the command that makes it; and runs that lack things."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from lobsim.cli import main, reporting
from lobsim.measure import Run, read_run
from lobsim.measure.measures import Figures
from lobsim.report.page import Chart, Headline, Page, Provenance, Section, charts, pack, render
from lobsim.report.page.provenance import provenance, remake
from lobsim.report.page.run_page import run_page
from lobsim.report.page.text import visible
from tests.cli.conftest import SCENARIO
from tests.report.conftest import wait_until

HOSTILE = "<script>hacked=1</script></title><b>\"x'</b> {a|b} =cmd() \x1b[31m"
SIZES = [(1440, 900), (390, 844)]


@pytest.mark.parametrize(("width", "height", "scheme"), [(*SIZES[0], "light"), (*SIZES[1], "dark")])
def test_the_page_of_a_crash(crashed, opened, width, height, scheme):
    tab, problems, requests = opened(crashed / "report.html", width, height, scheme)
    assert not problems
    assert requests == [(crashed / "report.html").resolve().as_uri()], "no request leaves the page"
    sections = tab.eval_on_selector_all("main > section", "found => found.map(one => one.id)")
    assert sections[:3] == ["headline", "prices", "book-picture"]
    assert sections[-2:] == ["instruments", "provenance"]
    assert "ALT-USDT fell" in tab.inner_text(".sentence")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    undrawn = "found => found.filter(one => one.offsetParent && !one.querySelector('canvas')).map(one => one.id)"
    assert tab.eval_on_selector_all("[data-part=chart], [data-part=widget]", undrawn) == []


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_page_of_a_tape(taped, opened, width, height):
    tab, problems, requests = opened(taped / "report.html", width, height)
    assert not problems
    assert len(requests) == 1
    sections = tab.eval_on_selector_all("main > section", "found => found.map(one => one.id)")
    assert {"headline", "prices", "book-picture", "instruments", "provenance"} <= set(sections)
    assert "scorecard" not in sections
    assert "5 trades of STOCK-USD" in tab.inner_text(".sentence")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_switch_paints_everything_anew(crashed, opened):
    tab, problems, _ = opened(crashed / "report.html")
    pixel = "document.querySelector('#prices canvas').toDataURL()"
    page, picture = tab.evaluate("getComputedStyle(document.body).backgroundColor"), tab.evaluate(pixel)
    tab.click("#theme")
    wait_until(tab, f"{pixel} !== {json.dumps(picture)}")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != page
    assert tab.inner_text("#theme") == "Light"
    tab.reload()
    assert tab.inner_text("#theme") == "Light", "it is remembered"
    assert not problems


def test_charts_zoom_together(crashed, opened):
    tab, problems, _ = opened(crashed / "report.html")
    zooms = (
        "() => [...document.querySelectorAll('[data-part=chart]')].map(one => echarts.getInstanceByDom(one))"
        ".filter(one => one && one.getOption().dataZoom.length)"
        ".map(one => [one.getOption().dataZoom[0].start, one.getOption().dataZoom[0].end])"
    )
    assert len(tab.evaluate(zooms)) > 2
    tab.evaluate("lobsim.setRange('time', [25, 50])")
    assert {tuple(one) for one in tab.evaluate(zooms)} == {(25, 50)}
    assert not problems


def test_tables_sort_by_number_and_stay_complete(tmp_path, opened):
    from lobsim.report.page import Table  # noqa: PLC0415

    rows = [("b", "9 %"), ("a", "1,000 %"), ("c", "-"), ("d", "-20.5 %")]
    section = Section("s", "S", "", [Table(("name", "n"), rows, sortable=True)])
    path = tmp_path / "page.html"
    path.write_text(render(Page("t", "", Headline("s"), [section], Provenance())))
    tab, problems, _ = opened(path)
    names = "found => found.map(one => one.textContent).join('')"
    tab.click("th:nth-child(2) button")
    assert tab.eval_on_selector_all("td:first-child", names) == "abdc"
    tab.click("th:nth-child(2) button")
    assert tab.eval_on_selector_all("td:first-child", names) == "dbac"
    assert tab.get_attribute("th:nth-child(2)", "aria-sort") == "ascending"
    tab.click("th:nth-child(1) button")
    assert tab.eval_on_selector_all("td:first-child", names) in ("abcd", "dcba")
    assert not problems


def test_the_script_unpacks_what_was_packed(tmp_path, opened):
    path = tmp_path / "page.html"
    path.write_text(render(Page("t", "", Headline("s"), [], Provenance())))
    tab, _, _ = opened(path)
    scattered = np.arange(300, dtype=np.int64) * 982_451_653 * 7919 % (1 << 51) - (1 << 50)
    cases = [
        pack.pack_ints([]),
        pack.pack_ints([pack.LIMIT - 1, -pack.LIMIT + 1, 0, pack.LIMIT - 1]),
        pack.pack_ints([5, 0, -7], [True, False, True], step=3),
        pack.pack(100 * np.sin(np.arange(500)), pack.fitting_step([[1.0, 100.0]])),
        pack.pack_ints(scattered, scattered % 5 > 0),
    ]
    for case in cases:
        found = tab.evaluate("async one => Array.from(await lobsim.unpack(one), x => Number.isNaN(x) ? null : x)", case)
        assert found == [None if np.isnan(one) else one for one in pack.unpack(case).tolist()]


TEXTS = ["{a|b}", "}{x|y}{", "{{a|b}}", "{", "a}b", "<b>", "{c0|\n}", "plain"]


def test_markup_in_tooltips_is_text(tmp_path, opened):
    clock = charts.Clock(1_760_000_000_000, 60 * 10**9)
    lines = [charts.Line(text, [0, 60 * 10**9], [place, place]) for place, text in enumerate(TEXTS)]
    chart = Chart("c", charts.time_lines(clock, lines, charts.Axis()), 400)
    path = tmp_path / "page.html"
    path.write_text(render(Page("t", "", Headline("s"), [Section("s", "S", "", [chart])], Provenance())))
    tab, problems, _ = opened(path)
    drawn = "echarts.getInstanceByDom(document.getElementById('c'))"
    painted = f"() => {drawn}.getZr().storage.getDisplayList(true)"
    shown = f"({painted})().some(one => one.style.text && String(one.style.text).includes('UTC'))"
    # asked for again and again: a chart that is still being laid out forgets it
    wait_until(tab, f"{drawn}.dispatchAction({{type: 'showTip', x: 300, y: 200}}), {shown}")
    pieces = tab.evaluate(f"({painted})().map(one => one.style.text).filter(one => one !== undefined && one !== null)")
    said = "".join(str(piece) for piece in pieces)
    for text in TEXTS:
        assert said.count(visible(text)) >= 2, f"{text!r} in the legend and in the tooltip"
    assert not problems


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A run whose scenario and manifest say hostile things wherever they may."""
    home = tmp_path_factory.mktemp("hostile")
    document = tomllib.loads(SCENARIO.read_text())
    document["scenario"] |= {"title": HOSTILE, "notes": HOSTILE}
    (home / "hostile.toml").write_text(tomli_w.dumps(document))
    out = home / "run"
    assert (
        main(["replay", str(home / "hostile.toml"), "--out", str(out), "--until", "20s", "--quiet", "--no-report"]) == 0
    )
    assert not (out / "report.html").exists()
    file = out / "manifest.json"
    manifest = json.loads(file.read_text())
    printable = HOSTILE.replace("\x1b", "")
    names = [one["name"] for one in manifest["instruments"]]
    manifest |= {"scenario": printable, "groups": {printable: names, "{a|b}": names[:1]}, "focus": printable}
    manifest |= {"numeraire": manifest["numeraire"], "platform": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    manifest["summary"]["tape_records_skipped"] = {HOSTILE: {HOSTILE: 3}}
    for account in manifest["accounts"]:
        account["name"] = (account["name"] + " " + printable)[:128]
    file.write_text(json.dumps(manifest))
    assert main(["report", str(out)]) == 0
    return out


def test_hostile_text_of_a_run_is_text_on_its_page(hostile, opened):
    tab, problems, requests = opened(hostile / "report.html")
    assert not problems
    assert len(requests) == 1
    assert tab.evaluate("window.hacked") is None
    assert tab.inner_text("h1") == visible(HOSTILE)
    assert tab.inner_text(".about") == visible(HOSTILE)
    assert tab.title() == visible(HOSTILE)
    assert tab.evaluate("document.querySelectorAll('main b').length") == 0
    said = tab.inner_text("main")
    assert "{a|b}" in said
    assert "\x1b" not in said


# --- the command ----------------------------------------------------------------------------------------------------


def test_replay_leaves_a_page_and_says_so(tmp_path, capsys):
    arguments = ["replay", "tape-lobster", "--out", str(tmp_path / "run")]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(tmp_path / "run" / "report.html")
    first = (tmp_path / "run" / "report.html").read_bytes()
    assert main([*arguments, "--overwrite"]) == 0
    assert "report.html" in capsys.readouterr().out
    assert (tmp_path / "run" / "report.html").read_bytes() == first, "same run, same page"
    assert main([*arguments, "--overwrite", "--no-report", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"] is None
    assert not (tmp_path / "run" / "report.html").exists(), "the page of the run before would tell of another run"


def test_report(taped, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["report", str(taped), "--out", str(page)]) == 0
    assert capsys.readouterr().out.startswith(str(page))
    assert page.read_bytes() == (taped / "report.html").read_bytes()
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"], "no temporary file stays"
    assert page.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_report_opens_a_browser_when_asked(taped, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(reporting.webbrowser, "open", lambda address: asked.append(address) or False)
    assert main(["report", str(taped), "--out", str(tmp_path / "a b.html"), "--open"]) == 0
    assert asked == [(tmp_path / "a b.html").as_uri()]
    assert "open the file yourself" in capsys.readouterr().err


@pytest.mark.parametrize(("out", "why"), [("", "is a folder"), ("missing/page.html", "cannot be written")])
def test_a_page_that_cannot_be_written(taped, tmp_path, out, why, capsys):
    assert main(["report", str(taped), "--out", str(tmp_path / out)]) == 2
    assert why in capsys.readouterr().err


def test_no_run(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "manifest.json" in capsys.readouterr().err


def test_a_page_that_fails_does_not_fail_the_run(tmp_path, monkeypatch, capsys):
    def fail(run, target):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(reporting, "_write", fail)
    assert main(["replay", "tape-lobster", "--out", str(tmp_path / "run"), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["complete"] is True
    assert "its page could not be made: ZeroDivisionError: oh" in told.err


def test_a_strangers_files_are_not_taken_away(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "report.html").write_text("mine")
    assert main(["replay", "tape-lobster", "--out", str(tmp_path), "--overwrite", "--quiet"]) == 2
    assert (tmp_path / "report.html").read_text() == "mine"


# --- runs that lack things ------------------------------------------------------------------------------------------


def test_an_unfinished_run_says_so_at_the_top(crashed, tmp_path, capsys):
    folder = shutil.copytree(crashed, tmp_path / "run")
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    for key in ("digest", "digests", "end_ns", "summary", "tables"):
        del manifest[key]
    file.write_text(json.dumps(manifest | {"complete": False}))
    assert main(["report", str(folder)]) == 0
    assert "UNFINISHED RUN" in capsys.readouterr().err
    page = (folder / "report.html").read_text()
    assert page.index('<p class="warning" role="alert">UNFINISHED RUN') < page.index("<h1>")


def test_a_run_that_stopped_before_anything_happened(taped, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    manifest = json.loads((taped / "manifest.json").read_text())
    for key in ("digest", "digests", "end_ns", "summary", "tables"):
        del manifest[key]
    (folder / "manifest.json").write_text(json.dumps(manifest | {"complete": False, "stopped": "disk full"}))
    page = run_page(read_run(folder))
    assert "it stopped: disk full" in page
    assert "Nothing was traded." in page


def test_the_commands_make_the_page_again(taped, crashed):
    assert "lobsim replay tape-lobster --seed 1 --out runs/run" in run_page(read_run(taped))
    run = read_run(crashed)
    told, shipped_one = remake(run)
    assert (told, shipped_one) == (
        "lobsim replay liquidity-vacuum --set 'exogenous[0].at=20s' --seed 1 --until 90s",
        True,
    )
    changed = Run(run.path, {**run.manifest, "end_ns": 20 * 60 * 10**9})
    assert remake(changed)[0].endswith(" --until 20m")
    mine = Run(run.path, {**run.manifest, "scenario": "mine"})
    assert remake(mine) == ("lobsim replay scenario.toml --seed 1 --until 90s", False)


def test_the_folder_is_the_one_that_was_used(crashed, monkeypatch):
    monkeypatch.chdir(crashed.parent)
    folder = crashed.with_name("run-2")
    folder.symlink_to(crashed, target_is_directory=True)
    assert "--out run-2\n" in "\n".join([*provenance(Figures.of(read_run("run-2"))).commands, ""])
    folder.unlink()


@pytest.mark.parametrize(
    "text", ["", "not = [toml", "[scenario]\ntitle = 3\n", "scenario = 5\n", "\x00", f"a = {'9' * 5000}"]
)
def test_a_scenario_that_is_missing_or_broken(taped, tmp_path, text):
    folder = shutil.copytree(taped, tmp_path / "run")
    (folder / "scenario.toml").unlink()
    if text:
        (folder / "scenario.toml").write_text(text)
    assert "tape-lobster" in run_page(read_run(folder))


def test_a_scenario_that_is_a_link_is_not_followed(taped, tmp_path):
    secret = Path(shutil.copy(taped / "scenario.toml", tmp_path / "secret"))
    secret.write_text("[scenario]\ntitle = 'SECRET'\n")
    folder = shutil.copytree(taped, tmp_path / "run")
    (folder / "scenario.toml").unlink()
    (folder / "scenario.toml").symlink_to(secret)
    assert "SECRET" not in run_page(read_run(folder))
