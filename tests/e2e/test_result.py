"""What a person reads of a result: photos, how soon and why, what it may be; a demo can't be mistaken for an answer."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from dermis.gateway.web.languages import texts
from dermis.shared.manifest import MANIFEST_FILE, Manifest
from dermis.standalone import demo
from tests.e2e import pages
from tests.e2e.conftest import System, files, finish, running
from tests.e2e.pages import IMAGES, wait_for_result
from tests.e2e.test_page_access import faults
from tests.support.research_bundle import publish_research

pytestmark = pytest.mark.browser
NAMES = [each.name for each in Manifest.model_validate_json((demo.BUNDLE / MANIFEST_FILE).read_bytes()).conditions]
GROWTH = {"related_category": "GROWTH_OR_MOLE", "body_parts": ["LEG"]}
RASH = {
    "related_category": "RASH",
    "body_parts": ["ARM"],
    "condition_duration": "ONE_TO_FOUR_WEEKS",
    "condition_symptoms": ["ITCHING", "PAIN"],
    "textures": ["RAISED_OR_BUMPY"],
    "age_group": "AGE_30_TO_39",
    "fitzpatrick_skin_type": "FST5",
}
NOT_HARMLESS = "does not mean it's harmless"


@pytest.fixture(scope="module")
def research(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that answers as a research model."""
    state = tmp_path_factory.mktemp("research")
    (state / "store").mkdir()
    publish_research(state / "store", tmp_path_factory.mktemp("bundle"))
    with running(state) as started:
        yield started


def submit(system: System, *images: Path | tuple[str, bytes, str], **report: Any) -> dict[str, Any]:
    with httpx.Client(base_url=system.url, timeout=60) as client:
        sent = client.post("/v1/cases", files=files(*images), data={"self_report": json.dumps(report)})
        return finish(client, sent)


@pytest.fixture
def look(browser: Browser) -> Iterator[Any]:
    """Open a case's page, of a system and in a language."""
    opened = []

    def show(system: System, case: dict[str, Any], *, size: str = "phone", lang: str = "en") -> Page:
        context = pages.opened(browser, system.url, size=size, scheme="light")
        page = context.__enter__()
        opened.append(context)
        page.goto(f"{system.url}/cases/{case['id']}?lang={lang}")
        wait_for_result(page, texts(lang)["result.title"])
        return page

    yield show
    for context in opened:
        context.__exit__(None, None, None)


def unlike() -> tuple[str, bytes, str]:
    """Return a drawing under a grain that no drawing has: skin, but like nothing that the model learned from."""
    drawing = cv2.imread(str(IMAGES[0]))
    drawing = cv2.resize(drawing, (800, 800 * drawing.shape[0] // drawing.shape[1]), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(1).normal(0, 30, drawing.shape)
    png = cv2.imencode(".png", (drawing + grain).clip(0, 255).astype(np.uint8))[1].tobytes()
    return ("unlike.png", png, "image/png")


def black() -> tuple[str, bytes, str]:
    return ("black.png", cv2.imencode(".png", np.zeros((300, 300, 3), np.uint8))[1].tobytes(), "image/png")


def text_of(page: Page) -> str:
    return page.locator("#answer").inner_text()


def expect_photos(page: Page, n: int) -> None:
    expect(page.locator("#answer > .photos img")).to_have_count(n)
    page.wait_for_function(  # a function: to look at an expression again, the page would have to eval, which it may not
        "() => [...document.querySelectorAll('#answer > .photos img')].every((img) => img.complete && img.naturalWidth)"
    )
    assert page.locator("#answer > *").first.evaluate("each => each.className") == "photos", "the photos don't lead"


def test_a_demo_says_so_before_the_first_tap_and_keeps_saying_it(page: Page, system: System) -> None:
    banner = page.locator("#demo-banner")
    expect(banner).to_have_text("DEMO. Not a medical answer.")
    page.goto(f"{system.url}/cases/{submit(system, IMAGES[0])['id']}")
    wait_for_result(page)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(banner).to_be_in_viewport()
    page.emulate_media(media="print")
    expect(banner).to_be_visible()


def test_a_demo_names_no_condition_and_gives_neither_urgency_nor_accuracy(system: System, look: Any) -> None:
    case = submit(system, *IMAGES, **RASH)
    assert case["outcome"]["kind"] == "DIFFERENTIAL", "the model itself answered"
    assert (case["guidance"]["urgency"], case["guidance"]["conditions"]) == (None, [])
    page = look(system, case)
    expect_photos(page, 3)
    page_text = text_of(page)
    assert [name for name in NAMES if name in page_text] == []
    assert "This demo has only ever seen drawings. It can't judge a photo of a person." in page_text
    assert "It was never tested on people." in page_text
    assert "test cases of people" not in page_text
    assert "How soon" not in page_text
    assert re.findall(r"\d+ ?%|\d in 10", page_text) == []
    expect(page.locator("#doctor")).to_have_count(0)
    page.get_by_text("See what a real result looks like").click()
    sample = page.locator(".sample")
    expect(sample).to_contain_text("SAMPLE. Made up, about nobody.")
    expect(sample).to_contain_text("Tested on 41 people with skin like yours: right 30 times.")


@pytest.mark.parametrize("image", [IMAGES[0], unlike(), black()], ids=["drawing", "unlike", "black"])
def test_a_reported_growth_stands_in_every_outcome_of_a_demo(
    system: System, look: Any, image: Path | tuple[str, bytes, str]
) -> None:
    page = look(system, submit(system, image, **GROWTH))
    card = page.locator(".card.urgency")
    expect(card).to_contain_text("In the next few days")
    expect(card).to_contain_text("You told us it's a growth or mole. A photo can't rule out skin cancer.")


def test_a_research_model_says_how_soon_and_why_then_what_in_words(research: System, look: Any) -> None:
    page = look(research, submit(research, *IMAGES, **RASH))
    expect(page.locator("#demo-banner")).to_be_hidden()
    expect_photos(page, 3)
    headings = page.locator("#answer > .card > h2").all_inner_texts()
    assert headings[:2] == ["How soon to get it checked", "It could be"]
    expect(page.locator(".urgency")).to_contain_text(re.compile(r"It may be \w+ \(about \d in 10\)"))
    page_text = text_of(page)
    assert "about 9 in 10" in page_text
    assert re.search(r"Tested on 248 people with skin like yours: right 20\d times\.", page_text)
    assert "It knows only 8 conditions." in page_text
    assert "it can't rule out skin cancer" in page_text
    for jargon in ("prediction set", "logits", "95 %", "%"):
        assert jargon not in page_text, jargon
    page.get_by_text("Details for your doctor").click()
    for word in ("prediction set", "logits", "95 % interval"):
        expect(page.locator("#doctor")).to_contain_text(word)
    page.get_by_role("button", name=re.compile("^Show it for")).first.click()
    expect(page.locator(".over img[alt^=Photo]")).to_have_count(3)
    height = "each => each.getBoundingClientRect().height"
    assert page.locator(".over").first.evaluate(height) < 400, "the photo below a heatmap is stretched"
    assert page.locator(".probability").first.evaluate(height) < 20


@pytest.mark.parametrize(("lang", "spanish"), [("en", False), ("es", True)])
def test_self_care_is_said_with_its_sources_and_a_growth_has_none(
    research: System, look: Any, lang: str, spanish: bool
) -> None:
    page = look(research, submit(research, *IMAGES, **RASH), lang=lang)
    routine = page.get_by_role("heading", name=texts(lang)["care.routine"])
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    expect(routine.first).to_be_visible()
    addresses = page.locator("#answer .sources a").evaluate_all("links => links.map((each) => each.href)")
    assert all(address.startswith("https://") for address in addresses)
    assert any("/spanish/" in address for address in addresses) is spanish
    assert texts(lang)["guidance.unreviewed"] in text_of(page)
    growth = look(research, submit(research, *IMAGES, **GROWTH), lang=lang)
    expect(growth.get_by_role("heading", name=texts(lang)["care.routine"])).to_have_count(0)


def test_an_abstention_soothes_nobody_and_keeps_its_guesses_for_the_doctor(research: System, look: Any) -> None:
    case = submit(research, unlike())
    assert (case["outcome"]["kind"], case["guidance"]["urgency"]) == ("ABSTENTION", None)
    page = look(research, case)
    expect_photos(page, 1)
    expect(page.get_by_role("heading", name="We can't tell")).to_be_visible()
    page_text = text_of(page)
    assert NOT_HARMLESS in page_text
    assert [name for name in NAMES if name in page_text] == []
    page.get_by_text("Details for your doctor").click()
    expect(page.get_by_text(texts("en")["abstention.ranking"])).to_be_visible()


def test_a_rejection_soothes_nobody_either(research: System, look: Any) -> None:
    page = look(research, submit(research, black()))
    assert NOT_HARMLESS in text_of(page)
    expect(page.locator(".urgency")).to_have_count(0)
    expect(page.locator("#doctor")).to_have_count(0)


def test_an_emergency_leads_and_dials(research: System, look: Any) -> None:
    page = look(research, submit(research, IMAGES[0], warning_signs=["SHORTNESS_OF_BREATH"]))
    expect(page.locator("#status")).to_have_text("Now: this is an emergency")
    card = page.locator("#answer > .card").first
    expect(card).to_contain_text("Now: this is an emergency")
    expect(page.get_by_role("link", name="Try with other photos")).to_have_count(0)
    expect(card).to_contain_text("you report shortness of breath")
    expect(card.get_by_role("link", name="Call 112")).to_have_attribute("href", "tel:112")


def test_a_failure_keeps_what_the_answers_call_for(research: System, browser: Browser) -> None:
    case = submit(research, IMAGES[0], warning_signs=["SHORTNESS_OF_BREATH"])
    failed = case | {
        "status": "FAILED",
        "outcome": None,
        "failure": {"reason": "SERVING_UNAVAILABLE", "detail": "no model", "attempt": 1},
    }

    def answer(route: Route) -> None:
        route.fulfill(json=failed)

    with pages.opened(browser, research.url, size="phone", scheme="light") as page:
        page.route(f"**/v1/cases/{case['id']}", answer)
        page.goto(f"{research.url}/cases/{case['id']}")
        wait_for_result(page)
        expect(page.get_by_role("heading", name="Something went wrong on our side")).to_be_visible()
        expect(page.locator(".urgency")).to_contain_text("Now: this is an emergency")


def test_spanish_says_the_same_and_nothing_in_english(research: System, look: Any) -> None:
    page = look(research, submit(research, *IMAGES, **RASH), lang="es")
    page_text = text_of(page)
    assert "Se probó con 248 personas con piel como la suya" in page_text
    assert "puede descartar un cáncer de piel" in page_text
    english = [text for text in texts("en").values() if len(text) > 20 and "{" not in text]
    assert [text for text in english if text in page_text] == []


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_the_print_is_one_page_with_the_photos_in_it(research: System, look: Any, paper: str) -> None:
    everything = RASH | {
        "other_symptoms": ["FEVER", "JOINT_PAIN", "FATIGUE"],
        "body_parts": ["ARM", "LEG", "TORSO_FRONT", "TORSO_BACK", "HEAD_OR_NECK"],
        "condition_symptoms": ["ITCHING", "PAIN", "BLEEDING", "INCREASING_SIZE"],
        "sex_at_birth": "FEMALE",
    }
    page = look(research, submit(research, *IMAGES, **everything), size="desktop")
    pdf = page.pdf(format=paper)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    assert pdf.count(b"/Subtype /Image") >= 3
    page.emulate_media(media="print")
    printed = page.locator("main").inner_text()
    itching = texts("en")["answer.condition_symptoms.ITCHING"]
    for text in ("When it began", "1 to 4 weeks", itching, "fever or chills", "lists:", "Tested on 248 people"):
        assert text.casefold() in printed.casefold(), text


def test_the_print_of_a_demo_is_marked_and_lists_nothing(system: System, look: Any) -> None:
    page = look(system, submit(system, *IMAGES, **RASH), size="desktop")
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) == 1
    page.emulate_media(media="print")
    printed = page.locator("main").inner_text()
    assert "DEMO. Not a medical answer." in printed
    assert [name for name in NAMES if name in printed] == []


def test_what_it_turned_out_to_be_can_be_said(research: System, look: Any) -> None:
    page = look(research, submit(research, IMAGES[0]))
    page.get_by_text("Do you know what it was?").click()
    page.get_by_label("It was").select_option("OTHER")
    page.get_by_label("Who says so?").select_option("DOCTOR")
    with page.expect_response("**/feedback") as kept:
        page.get_by_role("button", name="Send", exact=True).click()
    assert kept.value.status == 201
    expect(page.get_by_text("Thank you. It is kept with the case")).to_be_visible()


def test_no_screen_of_a_research_models_answer_has_a_fault(research: System, look: Any) -> None:
    for image in (IMAGES[0], unlike(), black()):
        page = look(research, submit(research, image, **RASH | {"other_symptoms": ["JOINT_PAIN"]}))
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        if page.locator("#doctor").count():
            expect(page.locator("#doctor")).to_contain_text("dermis 1")
            page.locator("button[aria-pressed]").first.click()
            expect(page.locator(".over").first).to_be_visible()
        assert faults(page) == []
