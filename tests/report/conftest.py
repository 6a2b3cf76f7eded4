"""A browser for the tests of pages, and small runs to make pages of."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lobsim.cli import main

ARGUMENTS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync"),
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Opened(NamedTuple):
    """A page in the browser, and what went wrong or out while it was open."""

    tab: Any
    problems: list[str]
    requests: list[str]


def wait_until(tab: Any, expression: str) -> None:
    """Ask until it is true; playwright's own `wait_for_function` evaluates text, which the page's policy forbids."""
    for _ in range(200):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"never became true: {expression}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium, or the tests that need one are skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'lobsim[dev]'")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no browser: install Chromium (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Opened]]:
    """`opened(path, width, height)`: a page that is loaded and has drawn all its charts."""
    contexts = []

    def show(path: Path, width: int = 1440, height: int = 900, scheme: str = "light") -> Opened:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        page = Opened(tab, [], [])
        tab.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: page.problems.append(str(error)))
        tab.on("request", lambda request: page.requests.append(request.url))
        tab.goto(path.resolve().as_uri())
        tab.evaluate("lobsim.drawAll()")
        return page

    yield show
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run with a shock and a page."""
    out = tmp_path_factory.mktemp("crashed") / "run"
    settings = ["--set", "exogenous[0].at=20s", "--until", "90s"]
    assert main(["replay", "liquidity-vacuum", *settings, "--out", str(out), "--quiet"]) == 0
    return out


@pytest.fixture(scope="session")
def taped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a recorded market and a page."""
    out = tmp_path_factory.mktemp("taped") / "run"
    assert main(["replay", "tape-lobster", "--out", str(out), "--quiet"]) == 0
    return out
