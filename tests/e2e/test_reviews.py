"""Second reads in browsers: two clinicians, an adjudicator, a case that is erased in the midst of its reading."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from dermis.standalone import demo
from tests.e2e.conftest import System, files, finish, running
from tests.e2e.pages import SIZES, choose, opened, send, step, wait_for_result
from tests.e2e.test_page_access import faults
from tests.support import oidc

pytestmark = pytest.mark.browser
MOST_SECONDS = 15
"""In which a case should be read by keys; a script is faster than a person, so this bounds the page's own part."""
FIRST, SECOND = "Eczema", "Psoriasis"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with oidc.provider() as issuer:
        variables = oidc.variables(issuer, tmp_path_factory.mktemp("oidc"))
        with running(tmp_path_factory.mktemp("clinic"), **variables) as system:
            yield system


@contextmanager
def signed_in(browser: Browser, clinic: System, who: str) -> Iterator[Page]:
    context = browser.new_context(viewport=SIZES["desktop"], locale="en-GB")
    page = context.new_page()
    page.goto(f"{clinic.url}/ops/reviews")
    assert faults(page) == []
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("button", name=who, exact=True).click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    yield page
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    context.close()


def submit(clinic: System, **fields: str) -> str:
    with httpx.Client(base_url=clinic.url, timeout=30) as client:
        image = min(demo.CASE.glob("*.jpg"))
        data = {"self_report": '{"body_parts": ["ARM"]}', "second_read": "true"} | fields
        return str(finish(client, client.post("/v1/cases", files=files(image), data=data))["id"])


def read_by_keys(page: Page, label: str, confidence: int) -> float:
    """Read the case in view without a mouse and return the seconds from the photos to the model's answer."""
    expect(page.locator("#reading[data-ready]")).to_be_attached()
    start = time.monotonic()
    expect(page.locator("#search")).to_be_focused()
    for key in (*label[:6].lower(), "Enter", str(confidence), "Enter", "3", "6", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="The model's answer")).to_be_visible()
    expect(page.get_by_role("region", name="Your reading")).to_contain_text(label)
    return time.monotonic() - start


def test_two_readers_and_an_adjudicator_read_settle_and_lose_a_case(browser: Browser, clinic: System) -> None:
    cases = sorted(submit(clinic) for _ in range(3))
    hidden = submit(clinic, second_read="false")
    seconds = []
    with signed_in(browser, clinic, "ann") as ann, signed_in(browser, clinic, "bea") as bea:
        for page in (ann, bea):
            expect(page.locator("table a")).to_have_count(3)
            assert hidden not in page.content()
        assert faults(ann) == []
        blind = heard(ann)
        ann.get_by_role("link", name="Read the next case").focus()
        ann.keyboard.press("Enter")
        for n in range(3):
            expect(ann.locator(".photos img")).to_have_count(1)
            assert ann.evaluate("document.querySelector('.photos img').decode().then(() => true)")
            if n == 0:
                assert "demo" not in ann.locator("main").inner_text().lower()
                assert not [url for url in blind if "/v1/" in url]
                assert faults(ann) == []
                ann.reload()
            seconds.append(read_by_keys(ann, FIRST, 4))
            if n == 0:
                assert faults(ann) == []
            expect(ann.get_by_role("link", name="Next case")).to_be_focused()
            ann.keyboard.press("Enter")
        expect(ann.get_by_text("There is nothing to read now.")).to_be_visible()

        bea.goto(f"{clinic.url}/ops/reviews/{cases[0]}")
        seconds.append(read_by_keys(bea, SECOND, 5))
        bea.goto(f"{clinic.url}/ops/reviews/{cases[1]}")
        seconds.append(read_by_keys(bea, FIRST, 2))
        bea.goto(f"{clinic.url}/ops/reviews/{cases[2]}")
        expect(bea.locator("#reading[data-ready]")).to_be_attached()
        httpx.delete(f"{clinic.url}/v1/cases/{cases[2]}").raise_for_status()
        bea.get_by_role("radio", name="No, the photos are not good enough").check()
        bea.get_by_role("button", name="Save the reading").click()
        expect(bea.get_by_role("heading", name="This case is gone")).to_be_visible()
        assert faults(bea) == []
        assert set(clinic.case(cases[2])) == {"erased.json"}

    with signed_in(browser, clinic, "adj") as adj:
        expect(adj.get_by_role("link", name=cases[0])).to_be_visible()
        expect(adj.get_by_role("link", name=cases[1])).to_have_count(0)
        assert faults(adj) == []
        adj.get_by_role("link", name=cases[0]).click()
        for label in (FIRST, SECOND):
            expect(adj.locator("main")).to_contain_text(label)
        assert faults(adj) == []
        expect(adj.locator("#reading[data-ready]")).to_be_attached()
        adj.locator("#search").focus()
        for key in (*SECOND[:6].lower(), "Enter", "5", "Enter", "3", "6", "Enter"):
            adj.keyboard.press(key)
        expect(adj.get_by_role("heading", name="This is what stands now")).to_be_visible()
        assert faults(adj) == []
        adj.goto(f"{clinic.url}/ops/reviews/agreement")
        expect(adj.locator("dd")).to_have_text(["0", "0", "1", "1", "4"])
        assert faults(adj) == []
    facts = {name for case in cases[:2] for name in clinic.case(case) if name.startswith(("reviews/", "adjudication"))}
    assert len([name for name in facts if name.startswith("reviews/")]) == 2
    assert "adjudication.json" in facts
    print(f"seconds a case by keys alone: {', '.join(f'{each:.1f}' for each in seconds)}")
    assert max(seconds) < MOST_SECONDS


def test_the_form_says_what_is_missing_and_lets_a_choice_be_taken_back(browser: Browser, clinic: System) -> None:
    case_id = submit(clinic)
    with signed_in(browser, clinic, "ann") as page:
        page.goto(f"{clinic.url}/ops/reviews/{case_id}")
        expect(page.locator("#reading[data-ready]")).to_be_attached()
        page.get_by_role("button", name="Save the reading").click()
        expect(page.get_by_role("alert")).to_have_text("Choose a condition first.")
        page.locator("#search").fill("zzzz")
        expect(page.get_by_role("alert")).to_have_text("No condition has these letters.")
        page.locator("#search").fill(FIRST[:4])
        page.get_by_role("option", name=FIRST, exact=True).click()
        page.get_by_role("button", name="Save the reading").click()
        expect(page.get_by_role("alert")).to_contain_text(f"Say how sure you are of {FIRST}")
        page.get_by_role("button", name=f"Remove {FIRST}").click()
        expect(page.locator("#chosen li")).to_have_count(0)
        page.get_by_role("radio", name="Yes, but nothing is to be seen").check()
        expect(page.locator("#search")).to_be_disabled()
        page.get_by_role("button", name="Save the reading").click()
        expect(page.get_by_role("heading", name="The model's answer")).to_be_visible()


@pytest.mark.parametrize("agreed", [True, False])
def test_the_page_asks_and_keeps_the_word(browser: Browser, clinic: System, *, agreed: bool) -> None:
    with opened(browser, clinic.url, size="phone", scheme="light") as page:
        choose(page, min(demo.CASE.glob("*.jpg")))
        step(page, "send")
        box = page.get_by_role("checkbox", name="A clinician may look at my photos")
        expect(box).not_to_be_checked()
        box.set_checked(agreed)
        assert faults(page) == []
        page.reload()
        expect(box).to_be_checked(checked=agreed)
        send(page)
        wait_for_result(page)
        case_id = page.url.rpartition("/")[2].partition("?")[0]
    assert json.loads(clinic.case(case_id)["received.json"])["second_read"] is agreed
    assert (f"second-read/{case_id}" in clinic.objects()) is agreed


@pytest.mark.parametrize("size", SIZES)
def test_nothing_sticks_out_and_no_script_complains(browser: Browser, clinic: System, size: str) -> None:
    case_id = submit(clinic)
    complaints: list[str] = []
    with signed_in(browser, clinic, "bea") as page:
        page.wait_for_load_state()
        page.set_viewport_size(SIZES[size])
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        for path in ("", f"/{case_id}", "/agreement"):
            page.goto(f"{clinic.url}/ops/reviews{path}")
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
            if folder := os.environ.get("DERMIS_SCREENSHOTS"):
                page.screenshot(path=f"{folder}/reviews{path.replace('/', '-')[:6]}-{size}.png", full_page=True)
        assert complaints == []


def heard(page: Page) -> list[str]:
    """Return a list to which the address of each response is added that the page gets."""
    urls: list[str] = []

    def note(response: Any) -> None:
        urls.append(response.url)

    page.on("response", note)
    return urls
