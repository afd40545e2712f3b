"""The built documentation site in a real Chromium: it asks no other host, breaks nowhere, and fits a phone."""

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

pytestmark = pytest.mark.site
SITE = Path(__file__).parents[2] / "build" / "docs" / "site"
PHONE, DESKTOP = (390, 844), (1280, 800)
PAGES = [
    "",
    "tutorial/first-case/",
    "how-to/",
    "reference/settings/",
    "reference/python/",
    "reference/python/dermis.worker.core.differential/",
    "reference/openapi/",
    "assets/openapi.html",
    "decisions/",
    "glossary/",
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    assert (SITE / "index.html").exists(), "no site is built: make docs"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    yield page
    page.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_no_other_host_and_breaks_nowhere(page: Page, address: str, path: str) -> None:
    foreign: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: foreign.append(request.url) if request.url.startswith("http") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("response", lambda response: faults.append(response.url) if response.status >= 400 else None)
    page.goto(address + path, wait_until="networkidle")
    assert [url for url in foreign if not url.startswith(address)] == []
    assert faults == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than its window"


def test_the_overview_is_drawn(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector(".diagram svg")


def test_the_openapi_file_is_rendered(page: Page, address: str) -> None:
    page.goto(address + "assets/openapi.html")
    page.wait_for_selector(".opblock-summary-path[data-path='/v1/cases']")


def test_a_functions_docstring_is_there(page: Page, address: str) -> None:
    page.goto(address + "reference/python/dermis.worker.core.differential/")
    assert page.locator(".doc-function").count() >= 3


def test_search_finds_a_setting(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
    page.goto(address, wait_until="networkidle")
    page.keyboard.press("Control+k")
    page.keyboard.type("DERMIS_GATEWAY_KEYLESS", delay=5)
    page.wait_for_selector("a[href*='reference/settings']:visible")
    page.close()
