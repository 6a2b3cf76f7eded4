"""The book picture in a browser: its slider, keys and buttons move a ladder that says what `book_at` says."""

from __future__ import annotations

import numpy as np
import pytest

from lobsim.measure import book_at
from lobsim.measure.measures import Figures
from lobsim.report.page import book_picture
from lobsim.report.page.book_picture import section
from lobsim.report.page.pack import unpack
from lobsim.report.page.render import render
from tests.report.conftest import wait_until
from tests.report.test_book_picture import SHOCK_S, crash, data_of, page


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A run with a crash, and the file of its page."""
    run = crash(levels=20, every=4)
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(render(page(section(Figures(run)))), encoding="utf-8")
    return run, file


@pytest.fixture
def shown(drawn, opened):
    """The run and an opener for its page: `open(width, height)` gives playwright's page and what failed."""
    run, file = drawn

    def start(width, height, scheme="light"):
        tab, problems, requests = opened(file, width, height, scheme)
        assert requests == [file.resolve().as_uri()]
        wait_until(tab, "document.querySelector('#book').dataset.state === 'drawn'")
        return tab, problems

    return run, start


def fact(tab, name):
    return tab.text_content(f"[data-fact={name}]")


def rows_shown(tab, side):
    """Prices of a side of the ladder that can be seen, best first."""
    rows = tab.eval_on_selector_all(
        f".book-row.{side}",
        "rows => rows.filter(r => r.style.visibility === 'visible').map(r => r.children[0].innerText)",
    )
    return [float(text) for text in (rows if side == "bid" else reversed(rows))]


def set_slider(tab, place):
    tab.eval_on_selector(
        ".book input[type=range]",
        "(slider, place) => { slider.value = place; slider.dispatchEvent(new Event('input', {bubbles: true})); }",
        str(place),
    )


@pytest.mark.parametrize(("width", "height", "scheme"), [(1440, 900, "light"), (390, 844, "dark")])
def test_the_slider_moves_the_ladder(shown, width, height, scheme):
    run, start = shown
    tab, failed = start(width, height, scheme)
    frames = int(tab.get_attribute(".book input[type=range]", "max")) + 1
    seen = set()
    times = unpack(data_of(run)["times"])
    moved = [int(np.searchsorted(times, second * 1000)) for second in (576, 578, 580, 583, 585, 587)]
    for place in (1, *moved, frames // 2, frames - 1):
        set_slider(tab, place)
        time_ns = round(float(tab.get_attribute("#book", "data-ms")) * 1e6)
        rebuilt = book_at(run, "ALT-USDT", time_ns)
        for side, levels in (("bid", rebuilt.bids), ("ask", rebuilt.asks)):
            best = fact(tab, side)
            seen.add(best)
            assert best == (f"{levels.price[0] / 100:.2f} USDT" if len(levels.price) else f"no {side}s")
            assert rows_shown(tab, side) == [price / 100 for price in levels.price[: book_picture.LEVELS].tolist()]
    assert len(seen) > 2  # the ladder did move
    assert failed == []
    # nothing sticks out of the screen
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_keys_play_milestones_picture_and_theme(shown):
    _, start = shown
    tab, failed = start(1440, 900)
    moment = lambda: float(tab.get_attribute("#book", "data-ms"))  # noqa: E731
    set_slider(tab, 10)
    before = moment()
    tab.focus(".book input[type=range]")
    tab.keyboard.press("ArrowRight")
    assert moment() > before
    tab.keyboard.press("ArrowLeft")
    assert moment() == before
    tab.click(".book-play")
    assert tab.text_content(".book-play") == "Pause"
    wait_until(tab, f"Number(document.querySelector('#book').dataset.ms) > {before}")
    tab.click(".book-play")
    stopped = moment()
    tab.wait_for_timeout(250)
    assert moment() == stopped
    tab.select_option(".book-time select", index=1)
    assert moment() == SHOCK_S * 1000
    assert "the shock (0 s ago)" in tab.text_content(".book-near")
    heat = tab.locator(".book-heat").bounding_box()
    tab.mouse.click(heat["x"] + heat["width"] * 0.9, heat["y"] + heat["height"] / 2)
    assert moment() > SHOCK_S * 1000
    tab.get_by_role("button", name="Whole run").click()
    assert tab.get_attribute(".book-bar .ranges button:nth-child(2)", "aria-pressed") == "true"
    tab.click("#theme")
    tab.select_option(".book-bar select", label="BTC-USDT")
    wait_until(tab, "document.querySelector('[data-fact=bid]').textContent === 'no bids'")
    wait_until(tab, "document.querySelector('[data-fact=ask]').textContent === 'no asks'")
    assert fact(tab, "last") == "none yet"
    assert failed == []


def test_the_hole_is_a_hole(shown):
    """Where a bid stood there is nothing once it is gone."""
    _, start = shown
    tab, _ = start(1440, 900)
    painted = tab.evaluate(
        """() => {
            const chart = echarts.getInstanceByDom(document.querySelector('.book-canvas'));
            const at = (second, price) => {
                const start = chart.getOption().xAxis[0].min;
                const [x, y] = chart.convertToPixel({gridIndex: 0}, [start + second * 1000, Math.log(price)]);
                const canvas = document.querySelector('.book-canvas canvas');
                const scale = canvas.width / canvas.clientWidth;
                return [...canvas.getContext('2d').getImageData(x * scale, y * scale, 1, 1).data].slice(0, 4);
            };
            return [at(550, 3.005), at(900, 3.005), at(550, 5)];
        }"""
    )
    bids, hole, never = painted
    assert bids[3] == 255
    assert bids[1] > bids[0]  # green
    assert hole[3] == never[3] == 0
