"""No page has a fault that axe-core finds by WCAG 2.2 A and AA or best practice, in light and dark, on a desktop and a phone."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.conftest import System
from tests.e2e.pages import IMAGES, answer, choose, send, wait_for_result

pytestmark = pytest.mark.browser
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = {"type": "rule", "values": ["color-contrast", "target-size", "link-in-text-block", "scrollable-region-focusable"]}
"""What may differ by size and scheme alone: whole runs of axe-core are dear, so half of the looks get these."""
LEAST_TARGET = 24


def faults(page: Page) -> list[str]:
    dark, wide = page.evaluate("() => [matchMedia('(prefers-color-scheme: dark)').matches, innerWidth > 600]")
    found = Axe().run(page, options={"runOnly": LOOKS if dark == wide else RULES}).response
    assert "color-contrast" in {each["id"] for each in found["passes"]}, "axe-core looked at nothing"
    return [f"{each['id']}: {node['html'][:150]} {node['failureSummary'][:300]}" for each in found["violations"] for node in each["nodes"]]


def test_no_screen_of_a_case_has_a_fault(every_page: Page, dark: Path) -> None:
    page = every_page
    page.emulate_media(reduced_motion="reduce")
    assert faults(page) == []
    choose(page, IMAGES[0])
    choose(page, dark, slot="AT_DISTANCE")
    answer(page, body_parts="ARM", related_category="RASH", fitzpatrick_skin_type="FST6", other_symptoms="FEVER")
    expect(page.locator(".mark.UNUSABLE")).to_be_visible()
    page.locator("#send").click()
    expect(page.locator("#agree-fault")).not_to_be_empty()
    assert faults(page) == []
    send(page)
    wait_for_result(page)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.locator("button[aria-pressed]").first.click()
    expect(page.locator(".over").first).to_be_visible()
    assert faults(page) == []
    page.get_by_role("button", name="Erase this case").click()
    assert faults(page) == []
    page.get_by_role("button", name="Erase it for good").click()
    expect(page.get_by_role("heading", name="Erased", level=1)).to_be_visible()
    assert faults(page) == []


def test_a_rejection_has_no_fault(page: Page, dark: Path) -> None:
    choose(page, dark)
    expect(page.locator(".mark.UNUSABLE")).to_be_visible()
    send(page)
    page.locator("#send").click()
    wait_for_result(page)
    assert faults(page) == []


def test_no_page_of_researchers_and_operators_has_a_fault(every_page: Page, system: System) -> None:
    for path in ("/models", "/models/dermis/1", "/models/dermis/7", "/compare?first=dermis/1&second=dermis/1", "/system"):
        every_page.goto(system.url + path)
        assert faults(every_page) == [], path


def test_what_can_be_tapped_is_large_enough(page: Page) -> None:
    choose(page, IMAGES[0])
    expect(page.locator(".mark")).to_have_count(1)
    small = page.evaluate(
        """least => [...document.querySelectorAll("a, button, summary, select, .pill, .part, .agree input")]
          .filter((each) => each.checkVisibility() && !each.closest("p:not(.buttons)") && !each.matches(".skip"))
          .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect()])
          .filter(([, { width, height }]) => Math.min(width, height) < least).map(([html]) => html)""",
        LEAST_TARGET,
    )
    assert small == []
