"""The form as people in need meet it: stopped by a warning sign, under 18, without scripts, on a small screen."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from dermis.shared.vocabulary import SelfReport
from dermis.worker.core.red_flags import red_flags
from tests.e2e import pages
from tests.e2e.conftest import System
from tests.e2e.pages import IMAGES, SMALL, answer, choose, send, step, wait_for_result
from tests.support.reports import random_reports

pytestmark = pytest.mark.browser
STEPS = """[...document.querySelectorAll(".step")].map((each) => each.dataset.step)"""


def received(system: System, page: Page) -> Any:
    case_id = page.url.split("/cases/")[1].split("?")[0].split("/")[0]
    return json.loads(system.case(case_id)["received.json"])


@pytest.mark.parametrize("sign", ["SHORTNESS_OF_BREATH", "SWOLLEN_FACE_OR_TONGUE", "VERY_ILL"])
def test_an_emergency_is_stopped_in_one_tap(page: Page, sign: str) -> None:
    page.set_viewport_size(SMALL)
    page.locator(f"[value={sign}]").first.tap()
    call = page.get_by_role("link", name="Call 112")
    expect(call).to_be_in_viewport()
    expect(call).to_have_attribute("href", "tel:112")
    expect(page.get_by_role("heading", name="This is an emergency")).to_be_in_viewport()
    card, screen = (page.locator(each).bounding_box() for each in ("#alarm", "#assess"))
    assert card
    assert screen
    assert card["width"] == screen["width"]


def test_a_warning_sign_is_sent_and_answered_without_a_photo(page: Page, system: System) -> None:
    answer(page, warning_signs="FEVER_WITH_RASH")
    expect(page.get_by_role("heading", name="See a doctor today")).to_be_visible()
    page.get_by_role("button", name="Send my answers without a photo").click()
    page.locator("#agree").check()
    page.locator("#send").click()
    wait_for_result(page)
    expect(page.locator("#answer > *").first).to_contain_text("Today")
    expect(page.locator("#answer")).to_contain_text("fever or chills")
    stored = received(system, page)
    assert stored["images"] == []
    assert stored["self_report"]["warning_signs"] == ["FEVER_WITH_RASH"]
    assert stored["self_report"]["other_symptoms"] == ["FEVER"]


def test_nobody_under_18_is_asked_for_a_photo(page: Page, system: System) -> None:
    choose(page, IMAGES[0])
    expect(page.locator(".mark")).to_be_visible()
    answer(page, age_group="UNDER_18")
    expect(page.get_by_role("heading", name="Show it to a doctor in the next days")).to_be_visible()
    page.locator("#next").click()
    expect(page.locator(".step.now")).to_have_attribute("data-step", "related_category")
    send(page)
    wait_for_result(page)
    expect(page.locator("#answer")).to_contain_text("gives no answer for anyone under 18")
    expect(page.get_by_role("link", name="Try with other photos")).to_have_count(0)
    stored = received(system, page)
    assert (stored["images"], stored["self_report"]["under_18"]) == ([], True)
    assert stored["self_report"]["age_group"] is None


def test_the_page_and_the_worker_raise_the_same_flags(page: Page) -> None:
    reports = random_reports(400)
    by_page = page.evaluate(
        """async (reports) => {
          const { redFlags } = await import("/assets/red_flags.js");
          const rules = JSON.parse(document.getElementById("red-flags").textContent);
          return reports.map((report) => redFlags(rules, report).map(({ flag }) => flag));
        }""",
        [json.loads(report.model_dump_json(exclude_none=True)) for report in reports],
    )
    by_worker = [[flag.flag for flag in red_flags(report)] for report in reports]
    assert by_page == by_worker
    assert {flag for flags in by_worker for flag in flags} >= {"VERY_ILL", "CHANGING_GROWTH", "UNDER_18"}
    assert [] in by_worker


@pytest.mark.parametrize("size", [(390, 664), (320, 568)], ids=str)
def test_what_to_do_next_is_above_the_fold_on_every_step(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    for name in page.evaluate(STEPS):
        step(page, name)
        page.evaluate("scrollTo(0, 0)")
        action = page.locator(".step.now .take" if name == "photo" else "#send" if name == "send" else "#next").first
        if name != "photo" or size == tuple(SMALL.values()):  # on the smallest screens the camera is a swipe away
            expect(action, name).to_be_in_viewport(ratio=1)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0, name


def test_back_leads_one_step_back(page: Page) -> None:
    page.get_by_role("button", name="None of these").click()
    page.locator("[value=AGE_30_TO_39]").check()
    expect(page.locator(".step.now")).to_have_attribute("data-step", "photo")
    page.go_back()
    expect(page.locator(".step.now")).to_have_attribute("data-step", "age_group")
    page.get_by_role("button", name="Back", exact=True).click()
    expect(page.locator(".step.now")).to_have_attribute("data-step", "warning_signs")
    page.go_forward()
    expect(page.locator(".step.now")).to_have_attribute("data-step", "age_group")


def test_skipping_takes_an_answer_back(page: Page) -> None:
    answer(page, textures="FLAT")
    page.get_by_role("button", name="Skip", exact=True).click()
    step(page, "textures")
    expect(page.locator("[value=FLAT]")).not_to_be_checked()


@pytest.fixture
def with_camera(browser: Browser) -> Iterator[Browser]:
    """A browser whose camera shows a pattern of its own."""
    fakes = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    another = browser.browser_type.launch(executable_path=pages.CHROMIUM, args=fakes)
    yield another
    another.close()


def test_the_camera_opens_with_the_frame_of_the_shot(with_camera: Browser, system: System) -> None:
    with pages.opened(with_camera, system.url, size="phone", scheme="light") as page:
        step(page, "photo")
        page.locator("#slot-CLOSE_UP .take").click()
        finder = page.get_by_role("dialog", name="Close up")
        expect(finder.locator("svg .corners")).to_be_visible()
        page.wait_for_function("() => document.querySelector('video').videoWidth > 0")
        finder.get_by_role("button", name="Take it").click()
        expect(finder).to_be_hidden()
        expect(page.locator("#slot-CLOSE_UP.filled .mark")).to_be_visible()
        assert page.evaluate("document.querySelector('video').srcObject") is None


@pytest.fixture
def plain(browser: Browser, system: System) -> Iterator[Page]:
    """The page in a browser without scripts."""
    context = browser.new_context(java_script_enabled=False, viewport=SMALL, locale="en-GB")
    page = context.new_page()
    page.goto(system.url)
    yield page
    context.close()


def test_without_scripts_a_case_is_sent_and_answered(plain: Page, system: System) -> None:
    expect(plain.get_by_role("link", name="Call 112")).to_be_visible()
    plain.locator("[name=warning_signs][value=MOUTH_SORES]").check()
    plain.locator("[name=related_category][value=GROWTH_OR_MOLE]").check()
    plain.locator("#slot-CLOSE_UP .from-files").set_input_files(IMAGES[0])
    plain.locator("#agree").check()
    plain.get_by_role("button", name="Send").click()
    expect(plain.get_by_role("heading", name="Your result")).to_be_visible()
    expect(plain.locator(".alarm")).to_contain_text("mouth sores", timeout=30_000)
    expect(plain.locator(".alarm")).to_contain_text("mole or growth")
    stored = received(system, plain)
    assert len(stored["images"]) == 1
    assert stored["self_report"]["warning_signs"] == ["MOUTH_SORES"]
    plain.get_by_role("button", name="Erase this case").click()
    expect(plain.get_by_role("heading", name="Erased")).to_be_visible()


def test_without_scripts_under_18_gets_no_answer_of_the_models(plain: Page) -> None:
    plain.locator("[name=age_group][value=UNDER_18]").check()
    plain.locator("#agree").check()
    plain.get_by_role("button", name="Send").click()
    expect(plain.locator(".declined")).to_contain_text("gives no answer for anyone under 18", timeout=30_000)


def test_a_photo_is_sent_once(page: Page) -> None:
    sent: list[int] = []

    def count(route: Route) -> None:
        sent.append(len(route.request.post_data_buffer or b""))
        route.continue_()

    page.route("**/v1/**", count)
    choose(page, IMAGES[0])
    expect(page.locator(".mark.USABLE")).to_be_visible()
    photo = max(sent)
    send(page)
    wait_for_result(page)
    assert sum(size > photo / 2 for size in sent) == 1


def test_where_what_was_sent_ahead_is_gone_the_photos_come_with_the_case(page: Page, system: System) -> None:
    with page.expect_response("**/v1/uploads") as ahead:
        choose(page, IMAGES[0])
    expect(page.locator(".mark.USABLE")).to_be_visible()
    page.evaluate("id => fetch(`/v1/uploads/${id}`, { method: 'DELETE' })", ahead.value.json()["id"])
    send(page)
    wait_for_result(page)
    assert len(received(system, page)["images"]) == 1


def test_a_photo_that_is_removed_is_taken_back(page: Page) -> None:
    choose(page, IMAGES[0])
    expect(page.locator(".mark.USABLE")).to_be_visible()
    with page.expect_request(lambda request: request.method == "DELETE" and "/v1/uploads/" in request.url):
        page.locator("#slot-CLOSE_UP .remove").click()


def test_the_photos_of_anyone_under_18_are_taken_back(page: Page) -> None:
    choose(page, IMAGES[0])
    expect(page.locator(".mark.USABLE")).to_be_visible()
    with page.expect_request(lambda request: request.method == "DELETE" and "/v1/uploads/" in request.url):
        answer(page, age_group="UNDER_18")


def test_an_adult_says_so_and_a_report_of_the_form_is_one_of_the_vocabulary(page: Page, system: System) -> None:
    answer(page, warning_signs="FAST_SPREADING", body_parts="ARM", condition_duration="ONE_DAY")
    answer(page, age_group="AGE_40_TO_49")
    choose(page, IMAGES[0])
    expect(page.locator(".mark")).to_be_visible()
    step(page, "send")
    expect(page.locator("#agree-adult")).to_be_visible()
    send(page)
    wait_for_result(page)
    assert SelfReport.model_validate(received(system, page)["self_report"]).under_18 is False
    page.locator("details.card summary", has_text="What you told us").click()
    answers = page.locator("#answer > details dt")
    expect(answers.filter(has_text="How old are you?")).to_be_visible()
    expect(answers.filter(has_text="Under 18")).to_have_count(0)
