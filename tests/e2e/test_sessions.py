"""Two people's browsers: a case is its sender's alone, a link shows it until it is ended, and changes nothing."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e import pages
from tests.e2e.conftest import System
from tests.e2e.pages import IMAGES, choose, send, wait_for_result
from tests.e2e.test_page_access import faults

pytestmark = pytest.mark.browser


@pytest.fixture
def other(browser: Browser, system: System) -> Iterator[Page]:
    """Somebody else's browser."""
    with pages.opened(browser, system.url, size="desktop", scheme="light") as page:
        yield page


def link_of(page: Page, button: str) -> str:
    """Make a link in the open dialog and return it."""
    page.get_by_role("button", name=button).click()
    field = page.locator("#share input")
    expect(field).to_have_value(re.compile("/shared/share_"))
    return field.input_value()


def sent(page: Page) -> str:
    """Send a case and return the address of its result."""
    choose(page, IMAGES[0])
    expect(page.locator(".mark").first).to_be_visible()
    send(page)
    wait_for_result(page)
    return page.url


def test_a_result_opens_in_the_browser_that_sent_it_and_by_a_link_until_that_is_ended(
    page: Page, other: Page, client: httpx.Client
) -> None:
    address = sent(page)
    case_id = address.rpartition("/")[2]
    cookies = {each["name"]: each for each in page.context.cookies()}
    assert cookies["dermis_session"]["httpOnly"]
    assert "dermis_session" not in page.evaluate("document.cookie")
    other.goto(address)
    expect(other.get_by_text("There is no such case here")).to_be_visible()
    assert client.get(f"/v1/cases/{case_id}").status_code == 404

    page.get_by_role("button", name="Share", exact=True).click()
    link = link_of(page, "Make a link to show it")
    assert faults(page) == []
    other.goto(link)
    wait_for_result(other)
    assert other.url == address
    expect(other.get_by_text("Someone shared this result with you")).to_be_visible()
    for name in ("Erase this case", "Share"):
        expect(other.get_by_role("button", name=name, exact=True)).to_have_count(0)
    assert faults(other) == []

    page.get_by_role("button", name="End now").click()
    expect(page.locator("#share [role=status]")).to_have_text("This link opens nothing any more.")
    other.reload()
    expect(other.get_by_role("heading", level=1)).not_to_have_text("Your result")
    assert other.goto(link).status == 404  # type: ignore[union-attr]


def test_ones_own_link_opens_it_on_another_device_and_erases_it(page: Page, other: Page) -> None:
    sent(page)
    page.get_by_role("button", name="Share", exact=True).click()
    other.goto(link_of(page, "Make a link for myself"))
    wait_for_result(other)
    other.get_by_role("button", name="Erase this case").click()
    other.get_by_role("button", name="Erase it for good").click()
    expect(other.get_by_role("heading", name="Erased", level=1)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Erased", level=1)).to_be_visible()
