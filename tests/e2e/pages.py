"""What tests do on the page, as a person would."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Playwright, expect

from dermis.standalone import demo

IMAGES = [demo.CASE / f"{name}.jpg" for name in ("close_up", "at_an_angle", "at_distance")]
SIZES: dict[str, Any] = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
SMALL: Any = {"width": 390, "height": 664}
"""What a phone of 390 x 844 shows below its browser's own bars."""
expect.set_options(timeout=20_000)  # for what is slow on a busy machine; what is wrong fails all the same
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
_QUIET = ("quic", "extensions", "background-networking", "component-update", "sync", "dev-shm-usage", "gpu")
_CUT = re.compile(r"net::ERR_|Failed to load resource|the server responded with a status of")


def launch(playwright: Playwright, path: str) -> Browser:
    return playwright.chromium.launch(
        executable_path=path, args=["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in _QUIET)]
    )


@contextmanager
def opened(
    browser: Browser, url: str, *, size: str, scheme: Any, locale: str = "en-GB", scale: float = 1
) -> Iterator[Page]:
    """Open the page and close it again.

    What its scripts complain of, what it fetches from elsewhere and what sticks out is a fault.
    """
    phone = size == "phone"
    context = browser.new_context(
        viewport=SIZES[size],
        color_scheme=scheme,
        locale=locale,
        has_touch=phone,
        is_mobile=phone,
        device_scale_factor=scale,
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda said: faults.append(said.text) if said.type == "error" and not _CUT.search(said.text) else None,
    )
    origin = url if url.startswith("http") else "http://127.0.0.1"
    page.on(
        "request", lambda made: faults.append(made.url) if not made.url.startswith((origin, "blob:", "data:")) else None
    )
    page.goto(url)
    wait_until_it_works(page)
    yield page
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), (
        "the page scrolls sideways"
    )
    assert faults == []
    context.close()


def wait_until_it_works(page: Page) -> None:
    """Wait until the form, where there is one, takes what is tapped.

    Files can be set on it before, unlike a person's.
    """
    expect(page.locator("#case.waiting")).to_have_count(0)


def step(page: Page, name: str) -> None:
    """Go to a step of the form by its address; whoever has not answered the first one has none of its signs."""
    wait_until_it_works(page)
    if name != "warning_signs" and page.locator("[name=warning_signs]:checked").count() == 0:
        page.locator("#next").click()
    page.evaluate("name => { location.hash = name; }", name)
    expect(page.locator(f".step.now[data-step={name}]")).to_be_visible()


def choose(page: Page, *images: Path, slot: str = "CLOSE_UP") -> None:
    step(page, "photo")
    page.locator(f"#slot-{slot} .from-files").set_input_files(images)


def answer(page: Page, **answers: str) -> None:
    for field, value in answers.items():
        step(page, field)
        if field == "body_parts":
            page.evaluate("document.getElementById('parts').open = true")
        page.locator(f"[name={field}][value={value}]").check()


def send(page: Page) -> None:
    step(page, "send")
    page.locator("#agree").check()
    page.locator("#send").click()


def wait_for_result(page: Page, title: str = "Your result") -> None:
    expect(page.get_by_role("heading", name=title, level=1)).to_be_visible(timeout=30_000)
    expect(page.locator("#after")).to_be_visible()
