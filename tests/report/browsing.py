"""A page in headless Chromium: what it draws, what it complains about, what it asks for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


class Opened(NamedTuple):
    """playwright's page, and everything that should not have happened: console lines, errors, requests elsewhere."""

    tab: Any
    failed: list[str]


@contextmanager
def opened(file: Path, width: int = 1440, height: int = 900, scheme: str = "light") -> Iterator[Opened]:
    """Open a page and draw all that is not hidden; the test is skipped where no browser is."""
    browsers = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    path = os.environ.get("LOBSIM_BROWSER") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if path is None:
        pytest.skip("no browser: install chromium, or set LOBSIM_BROWSER to its program")
    with browsers.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        failed: list[str] = []
        tab.on("console", lambda message: failed.append(message.text))
        tab.on("pageerror", lambda error: failed.append(str(error)))
        tab.on("request", lambda request: None if request.url == file.as_uri() else failed.append(request.url))
        tab.goto(file.as_uri())
        tab.evaluate("lobsim.drawAll()")
        yield Opened(tab, failed)
        browser.close()
