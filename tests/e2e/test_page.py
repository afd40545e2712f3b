"""The page in a real Chromium, on a desktop and a phone, in light and dark."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dermis.standalone import demo
from tests.e2e.conftest import System

pytestmark = pytest.mark.browser
QUIET = ("quic", "extensions", "background-networking", "component-update", "sync", "dev-shm-usage", "gpu")
SCREENSHOTS = os.environ.get("DERMIS_TEST_SCREENSHOTS")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in QUIET)]
        yield playwright.chromium.launch(executable_path=path, args=arguments)


@pytest.fixture(params=[("desktop", "light"), ("phone", "dark")], ids=lambda look: "-".join(look))
def page(request: pytest.FixtureRequest, browser: Browser, system: System) -> Iterator[Page]:
    size, scheme = request.param
    viewport = {"width": 1280, "height": 900} if size == "desktop" else {"width": 390, "height": 844}
    context = browser.new_context(viewport=viewport, color_scheme=scheme, has_touch=size == "phone")
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda made: faults.append(made.url) if not made.url.startswith((system.url, "blob:", "data:")) else None)
    page.goto(system.url)
    yield page
    if SCREENSHOTS:
        page.screenshot(path=str(Path(SCREENSHOTS) / f"{request.node.name}.png"), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), "the page scrolls sideways"
    assert faults == []
    context.close()


def test_three_images_and_an_answer_become_a_differential(page: Page) -> None:
    page.get_by_label("1 to 3 images").set_input_files(sorted(demo.CASE.glob("*.jpg")))
    page.get_by_text("Questions").click()
    page.get_by_label("Head or neck").check()
    page.get_by_role("button", name="Assess").click()
    expect(page.get_by_text("Conditions, most probable first")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Demonstration model")).to_be_visible()
    expect(page.get_by_text("not a medical device").first).to_be_visible()
    expect(page.get_by_text("Image 3:")).to_be_visible()
    expect(page.get_by_text("What to do:")).to_be_visible()
    expect(page.get_by_text("No clinician has reviewed these texts.")).to_be_visible()
    expect(page.get_by_text("the reference condition came first in")).to_be_visible()
    overlays = page.locator(".over img + img")
    expect(overlays).to_have_count(3)
    assert overlays.evaluate_all("images => Promise.all(images.map(image => image.decode().then(() => image.naturalWidth)))") == [192] * 3
    page.locator("#answer summary").first.click()
    expect(page.get_by_text("On darker skin:").first).to_be_visible()


def test_a_black_image_is_rejected_with_advice(page: Page, tmp_path: Path) -> None:
    dark = tmp_path / "dark.png"
    cv2.imwrite(str(dark), np.zeros((300, 300, 3), np.uint8))
    page.get_by_label("1 to 3 images").set_input_files(dark)
    page.get_by_role("button", name="Assess").click()
    expect(page.locator("li.UNUSABLE")).to_be_visible(timeout=30_000)
    expect(page.locator("li.UNUSABLE li").first).to_be_visible()
    page.get_by_role("button", name="Another case").click()
    expect(page.get_by_role("button", name="Assess")).to_be_visible()


def test_a_fourth_image_is_refused_on_the_page(page: Page) -> None:
    images = sorted(demo.CASE.glob("*.jpg"))
    page.get_by_label("1 to 3 images").set_input_files([*images, images[0]])
    expect(page.locator("#images-fault")).to_be_visible()
