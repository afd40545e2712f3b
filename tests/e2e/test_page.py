"""The page in a real Chromium, on a desktop and a phone, in light and dark: from the first tap to an erased case."""

import csv
import io
import json
import os
import re
from pathlib import Path

import cv2
import httpx
import numpy as np
import piexif
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Route, TimeoutError, expect

from dermis.gateway.web.languages import texts
from tests.e2e.conftest import System
from tests.e2e.pages import IMAGES, answer, choose, send, step, wait_for_result

pytestmark = pytest.mark.browser


def test_three_images_and_answers_become_a_result(every_page: Page) -> None:
    page = every_page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url.rpartition('/v1/cases')[2]}"))
    choose(page, *IMAGES)
    expect(page.locator(".slot .mark.USABLE")).to_have_count(3)
    answer(page, related_category="RASH", body_parts="ARM", fitzpatrick_skin_type="FST5", other_symptoms="FEVER")
    send(page)
    wait_for_result(page)
    case_id = page.url.rpartition("/")[2]
    assert f"GET /{case_id}/events?lang=en" in asked
    assert f"GET /{case_id}" not in asked, "it asked again though events came"
    first = page.locator("#answer > *").first
    expect(first).to_contain_text("How soon to get it checked")
    expect(first).to_contain_text("fever or chills")
    expect(page.get_by_role("heading", name="This is a demo")).to_be_visible()
    expect(page.get_by_text("not a medical device").first).to_be_visible()
    expect(page.locator("#answer > .photos img")).to_have_count(3)


def test_a_case_that_was_followed_leaves_no_listener_behind(page: Page) -> None:
    choose(page, *IMAGES)
    send(page)
    wait_for_result(page)
    session = page.context.new_cdp_session(page)
    window = session.send("Runtime.evaluate", {"expression": "window"})["result"]["objectId"]
    listeners = session.send("DOMDebugger.getEventListeners", {"objectId": window})["listeners"]
    assert [each for each in listeners if each["type"] == "offline"] == []


def test_nothing_can_be_tapped_that_would_be_lost(page: Page, system: System) -> None:
    waiting: list[Route] = []
    page.route("**/assets/app.js", lambda route: waiting.append(route))
    page.goto(system.url, wait_until="commit")
    button, box = page.locator("#next"), page.locator("[name=warning_signs][value=VERY_ILL]")
    expect(button).to_be_visible()
    for each in (button, box):
        with pytest.raises(TimeoutError):
            each.click(trial=True, timeout=500)
    waiting[0].continue_()
    box.check()
    expect(page.locator("#alarm")).to_be_visible()
    expect(page.locator("#draft")).to_contain_text("24 hours at most")
    expect(box).to_be_checked()


@pytest.mark.parametrize("lost", ["app.js", "result/sheet.js"])
def test_a_page_that_lost_a_script_on_its_way_is_loaded_again(page: Page, system: System, lost: str) -> None:
    asked: list[Route] = []

    def answer_the_second(route: Route) -> None:
        asked.append(route)
        route.abort("connectionreset") if len(asked) < 2 else route.continue_()

    page.route(f"**/assets/{lost}", answer_the_second)
    page.goto(system.url, wait_until="commit")
    expect(page.locator("#case:not(.waiting)")).to_be_attached()
    assert len(asked) == 2
    assert page.evaluate("sessionStorage.getItem('reloads')") is None


def test_a_page_whose_script_never_comes_is_not_loaded_for_ever(page: Page, system: System) -> None:
    asked: list[Route] = []

    def refuse(route: Route) -> None:
        asked.append(route)
        route.abort("connectionreset")

    page.route("**/assets/app.js", refuse)
    page.goto(system.url, wait_until="commit")
    for _ in range(60):
        if len(asked) < 4:
            page.wait_for_timeout(1000)
    page.wait_for_timeout(5000)  # longer than it waited before the last time
    assert len(asked) == 4


@pytest.mark.parametrize("database", ["{ open: () => ({}) }", "undefined"], ids=["never opens", "is not there"])
def test_without_a_place_for_a_draft_a_case_is_sent_all_the_same(page: Page, system: System, database: str) -> None:
    page.add_init_script(f"Object.defineProperty(window, 'indexedDB', {{ value: {database} }})")
    page.goto(system.url)
    choose(page, IMAGES[0])
    expect(page.locator(".mark.USABLE")).to_be_visible()
    send(page)
    wait_for_result(page)


def test_a_dark_image_is_told_and_taken_again(page: Page, dark: Path) -> None:
    choose(page, dark)
    slot = page.locator("#slot-CLOSE_UP")
    expect(slot.locator(".mark.UNUSABLE")).to_contain_text("Can't be used")
    expect(slot).to_contain_text("Too dark")
    expect(slot.locator(".pair svg")).to_have_count(2)
    button = slot.get_by_role("button", name="Retake").or_(slot.get_by_role("button", name="Choose from gallery")).first
    with page.expect_file_chooser() as chooser:
        button.click()  # one tap
    chooser.value.set_files(IMAGES[0])
    expect(slot.locator(".mark.USABLE")).to_contain_text("Good")
    expect(page.locator(".slot.filled")).to_have_count(1)


def test_dark_images_alone_are_a_rejection_that_says_what_to_do(page: Page, dark: Path) -> None:
    answer(page, warning_signs="SHORTNESS_OF_BREATH")
    choose(page, dark)
    expect(page.locator(".mark.UNUSABLE")).to_be_visible()
    send(page)
    expect(page.locator("#send-status")).to_contain_text("None of your photos can be used")
    page.locator("#send").click()
    wait_for_result(page)
    expect(page.locator("#answer > *").first).to_contain_text("call the emergency number now")
    expect(page.get_by_role("heading", name="The photos can't be used")).to_be_visible()
    expect(page.locator("#answer")).to_contain_text("Turn towards a window or a lamp")
    expect(page.get_by_role("heading", name="This is a demo")).to_have_count(0)
    page.get_by_role("link", name="Take new photos").click()
    expect(page.get_by_role("button", name="None of these")).to_be_visible()


def test_documents_alone_are_a_rejection_that_may_be_wrong(page: Page, document: Path) -> None:
    choose(page, document)
    expect(page.locator("#slot-CLOSE_UP")).to_contain_text("Doesn't look like skin")
    answer(page, other_symptoms="FEVER")
    send(page)
    expect(page.locator("#send-status")).to_contain_text("None of your photos can be used")
    page.locator("#send").click()
    wait_for_result(page)
    expect(page.locator("#answer")).to_contain_text("None of the photos looks like skin")
    expect(page.locator("#answer")).to_contain_text("the check was wrong")
    expect(page.locator("#answer")).not_to_contain_text("No photo showed enough")


def unlike() -> bytes:
    """Return a drawing under a grain that no drawing has: skin, but like nothing that the model learned from."""
    drawing = cv2.imread(str(IMAGES[0]))
    drawing = cv2.resize(drawing, (800, 800 * drawing.shape[0] // drawing.shape[1]), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(1).normal(0, 30, drawing.shape)
    return cv2.imencode(".png", (drawing + grain).clip(0, 255).astype(np.uint8))[1].tobytes()


def test_an_abstention_is_a_result_of_its_own(page: Page, tmp_path: Path) -> None:
    (tmp_path / "unlike.png").write_bytes(unlike())
    choose(page, tmp_path / "unlike.png")
    expect(page.locator(".mark")).to_have_count(1)
    send(page)
    wait_for_result(page)
    expect(page.get_by_role("heading", name="This is a demo")).to_be_visible()
    expect(page.locator("#answer .badge")).to_have_count(0)


def test_a_fourth_image_is_refused_and_an_unreadable_one_told(page: Page, tmp_path: Path) -> None:
    choose(page, *IMAGES, IMAGES[0])
    expect(page.locator("#images-fault")).to_contain_text("You chose 4 photos and 3 fit")
    expect(page.locator(".slot.filled")).to_have_count(3)
    page.locator("#slot-CLOSE_UP .remove").click()
    (tmp_path / "note.jpg").write_bytes(b"no image")
    choose(page, tmp_path / "note.jpg")
    expect(page.locator("#slot-CLOSE_UP")).to_contain_text("This can't be read as a photo")
    expect(page.locator(".slot.filled")).to_have_count(2)


def test_what_is_missing_is_said_and_focused(page: Page) -> None:
    step(page, "send")
    page.locator("#send").click()
    expect(page.locator("#images-fault")).to_contain_text("Add at least one photo")
    choose(page, IMAGES[0])
    expect(page.locator(".slot .mark")).to_be_visible()
    step(page, "send")
    page.locator("#send").click()
    expect(page.locator("#agree-fault")).to_contain_text("Tick the box")
    expect(page.locator("#agree")).to_be_focused()


def test_none_of_these_excludes_the_others_and_the_drawing_ticks_the_list(page: Page) -> None:
    answer(page, other_symptoms="FEVER")
    answer(page, other_symptoms="NO_RELEVANT_SYMPTOMS")
    expect(page.locator("[value=FEVER]")).not_to_be_checked()
    step(page, "body_parts")
    page.locator(".part[data-part=TORSO_BACK]").click()
    expect(page.locator("#where")).to_have_text("Back")
    page.get_by_text("Choose from a list").click()
    expect(page.get_by_label("Back", exact=True)).to_be_checked()
    page.get_by_label("Back", exact=True).uncheck()
    expect(page.locator(".part.on")).to_have_count(0)


def test_a_reload_loses_nothing_and_a_sent_draft_leaves_the_device(page: Page, system: System) -> None:
    choose(page, IMAGES[0])
    expect(page.locator(".mark.USABLE")).to_be_visible()
    answer(page, body_parts="LEG", age_group="AGE_40_TO_49")
    step(page, "send")
    page.get_by_label("Analyse it, and keep it").check()
    page.locator("#agree").check()
    page.reload()
    expect(page.locator(".step.now")).to_have_attribute("data-step", "send")
    expect(page.get_by_label("Analyse it, and keep it")).to_be_checked()
    expect(page.locator("#draft")).to_contain_text("We kept what you had begun")
    step(page, "photo")
    expect(page.locator(".mark.USABLE")).to_be_visible()
    expect(page.locator("[value=LEG]")).to_be_checked()
    expect(page.locator("[value=AGE_40_TO_49]")).to_be_checked()
    send(page)
    wait_for_result(page)
    assert page.evaluate(KEPT) == 0
    received = json.loads(system.case(page.url.rpartition("/")[2])["received.json"])
    assert received["consent"] == "KEEP_FOR_IMPROVEMENT"
    assert (received["self_report"]["body_parts"], received["self_report"]["age_group"]) == (["LEG"], "AGE_40_TO_49")
    assert received["images"][0]["shot_type"] == "CLOSE_UP"
    page.reload()  # the result has an address of its own
    wait_for_result(page)
    page.get_by_text("What you told us").click()
    expect(page.locator("#answer")).to_contain_text("40 to 49")
    expect(page.locator("#answer > .photos img")).to_have_count(1)


KEPT = """() => new Promise((done) => { indexedDB.open("dermis").onsuccess = ({ target }) => {
  target.result.transaction("draft").objectStore("draft").count().onsuccess = (event) =>
    done(event.target.result); }; })"""
AGED = """() => new Promise((done) => { indexedDB.open("dermis").onsuccess = ({ target }) => {
  const store = target.result.transaction("draft", "readwrite").objectStore("draft");
  store.get("case").onsuccess = ({ target: found }) => {
    store.put({ ...found.result, saved_at: Date.now() - 25 * 3600e3 }, "case").onsuccess = done; }; }; })"""


def test_a_draft_is_gone_after_a_day(page: Page) -> None:
    answer(page, body_parts="LEG")
    expect(page.locator("#draft")).to_contain_text("24 hours at most")
    page.wait_for_function(f"async () => (await ({KEPT})()) === 1")
    page.evaluate(f"async () => {{ await ({AGED})(); }}")
    page.reload()
    expect(page.locator("[value=LEG]")).not_to_be_checked()
    page.wait_for_function(f"async () => (await ({KEPT})()) === 0")


def test_the_network_is_cut_half_way_and_a_second_tap_makes_no_second_case(page: Page, context: BrowserContext) -> None:
    choose(page, *IMAGES)
    expect(page.locator(".mark")).to_have_count(3)
    accepted: list[str] = []

    def cut(route: Route) -> None:
        """Let the first case reach the gateway but not its answer the page."""
        response = route.fetch()
        accepted.append(response.json()["id"])
        if len(accepted) == 1:
            context.set_offline(True)
            route.abort("connectionreset")
        else:
            route.fulfill(response=response)

    page.route("**/v1/cases", cut)
    step(page, "send")
    page.locator("#agree").check()
    page.locator("#send").dblclick()
    expect(page.locator("#send-status")).to_contain_text(re.compile("offline|connection broke"))
    expect(page.locator("#send-status")).to_contain_text("offline")
    page.locator("#send").click(force=True)
    context.set_offline(False)
    wait_for_result(page)
    assert len(accepted) == 2
    assert len(set(accepted)) == 1
    assert accepted[0] in page.url


def test_a_reload_while_offline_sends_the_same_case(page: Page) -> None:
    choose(page, IMAGES[0])
    expect(page.locator(".mark")).to_have_count(1)
    step(page, "send")
    page.locator("#agree").check()
    page.route("**/v1/cases", lambda route: route.abort("connectionreset"))
    keys: list[str] = []
    page.on(
        "request",
        lambda request: (
            keys.append(request.headers["idempotency-key"])
            if request.method == "POST" and request.url.endswith("/v1/cases")
            else None
        ),
    )
    page.locator("#send").click()
    expect(page.locator("#send-status")).to_contain_text("connection broke")
    page.unroute("**/v1/cases")
    page.reload()
    wait_for_result(page)
    assert len(set(keys)) == 1


def test_the_result_comes_by_asking_again_where_events_do_not_come_through(page: Page) -> None:
    page.route("**/events*", lambda route: route.abort())
    choose(page, IMAGES[0])
    expect(page.locator(".mark")).to_have_count(1)
    send(page)
    wait_for_result(page)


def test_a_result_is_waited_for_without_a_connection(page: Page, context: BrowserContext) -> None:
    def cut(route: Route) -> None:
        context.set_offline(True)
        route.abort()

    page.route("**/events*", cut)
    choose(page, IMAGES[0])
    expect(page.locator(".mark")).to_have_count(1)
    send(page)
    expect(page.locator("#status")).to_contain_text("The connection is lost")
    context.set_offline(False)
    wait_for_result(page)


def test_back_leads_to_an_empty_form_and_forward_to_the_result(page: Page) -> None:
    choose(page, IMAGES[0])
    expect(page.locator(".mark")).to_have_count(1)
    send(page)
    wait_for_result(page)
    page.go_back()
    expect(page.get_by_role("button", name="None of these")).to_be_visible()
    expect(page.locator(".slot.filled")).to_have_count(0)
    page.get_by_role("link", name="Back to your result").click()
    wait_for_result(page)
    page.go_back()
    page.go_forward()
    wait_for_result(page)


def test_erase_really_erases(page: Page, system: System) -> None:
    choose(page, IMAGES[0])
    expect(page.locator(".mark")).to_have_count(1)
    send(page)
    wait_for_result(page)
    case_id = page.url.split("/cases/")[1].split("?")[0]
    assert "images/1/original" in system.case(case_id)
    page.get_by_role("button", name="Erase this case").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Erase this case").click()
    page.get_by_role("button", name="Erase it for good").click()
    expect(page.get_by_role("heading", name="Erased", level=1)).to_be_focused()
    assert set(system.case(case_id)) == {"erased.json"}
    page.reload()
    expect(page.get_by_role("heading", name="Erased", level=1)).to_be_visible()


def test_feedback_is_taken(page: Page) -> None:
    choose(page, IMAGES[0])
    expect(page.locator(".mark")).to_have_count(1)
    send(page)
    wait_for_result(page)
    with page.expect_response("**/feedback") as kept:
        page.get_by_role("button", name="Yes", exact=True).click()
    assert kept.value.status == 201
    expect(page.get_by_text("Thank you. It is kept with the case")).to_be_visible()
    expect(page.get_by_text("Do you know what it was?")).to_have_count(0)  # a demo's conditions are none of a person's


def test_no_camera_data_arrives_and_the_image_is_upright(page: Page, system: System, tmp_path: Path) -> None:
    secret = b"iPhone of Ada Lovelace"
    exif = piexif.dump(
        {
            "0th": {piexif.ImageIFD.Make: secret, piexif.ImageIFD.Orientation: 6},
            "GPS": {piexif.GPSIFD.GPSLatitudeRef: b"N"},
        }
    )
    with Image.open(IMAGES[0]) as image:
        stored = image.resize((3000, 2000))
        stored.save(tmp_path / "ada.jpg", exif=exif)
    sent: list[bytes] = []

    def keep(route: Route) -> None:
        sent.append(route.request.post_data_buffer or b"")
        route.continue_()

    page.route(re.compile(r"/v1/(cases|uploads)$"), keep)
    choose(page, tmp_path / "ada.jpg")
    expect(page.locator(".mark.USABLE")).to_be_visible()
    page.locator("#slot-CLOSE_UP .rotate").click()
    expect(page.locator("#slot-CLOSE_UP")).to_contain_text("rotated")
    send(page)
    wait_for_result(page)
    assert len(sent) == 2
    for body in sent:
        assert b"Exif" not in body
        assert b"Ada" not in body
        assert b"ada.jpg" not in body
    sizes = []
    for body in sent:
        start = body.index(b"\xff\xd8")
        with Image.open(io.BytesIO(body[start:])) as image:
            sizes.append(image.size)
    assert sizes == [(1365, 2048), (2048, 1365)]  # shrunk and upright; then turned by a quarter
    case_id = page.url.split("/cases/")[1].split("?")[0]
    assert b"Exif" not in system.case(case_id)["images/1/original"]


def photos(folder: Path) -> list[Path]:
    """Return images of all verdicts, larger than what is sent, and where REAL_DATA is set real ones."""
    sharp = cv2.resize(cv2.imread(str(IMAGES[0])), (2200, 1650), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(3).normal(0, 12, sharp.shape)
    scene = (sharp + cv2.GaussianBlur(grain, (0, 0), 3) * 3).clip(0, 255).astype(np.uint8)  # type: ignore[call-overload]
    scenes = {
        "sharp": scene,
        "dark": (scene * 0.02).astype(np.uint8),
        "bright": (scene * 0.2 + 252).clip(0, 255).astype(np.uint8),
    }
    scenes |= {f"blurred-{sigma}": cv2.GaussianBlur(scene, (0, 0), sigma) for sigma in (12, 60)} | {
        "small": cv2.resize(scene, (90, 70)),
        "tiny": cv2.resize(scene, (50, 40)),
    }
    for name, image in scenes.items():
        cv2.imwrite(str(folder / f"{name}.jpg"), image)
    real = Path(os.environ["REAL_DATA"]) / "photos/scin" if "REAL_DATA" in os.environ else folder / "none"
    return [folder / f"{name}.jpg" for name in scenes] + sorted(real.glob("*.png"))[::4]


def test_what_is_made_small_on_the_device_keeps_its_verdict(page: Page, client: httpx.Client, tmp_path: Path) -> None:
    marks, wanted = {}, {}
    for image in photos(tmp_path):
        report = client.post(
            "/v1/images:assess",
            files={"image": ("image", image.read_bytes(), "image/jpeg" if image.suffix == ".jpg" else "image/png")},
        )
        wanted[image.name] = report.raise_for_status().json()["verdict"]
        choose(page, image)
        page.locator("#slot-CLOSE_UP .mark").wait_for()
        marks[image.name] = page.locator("#slot-CLOSE_UP .mark").get_attribute("class").split()[1]  # type: ignore[union-attr]
    assert marks == wanted
    assert set(wanted.values()) == {"USABLE", "MARGINAL", "UNUSABLE"}


def test_an_image_that_the_browser_cannot_draw_is_sent_as_it_is(page: Page) -> None:
    choose(page, Path(__file__).parents[1] / "support/generated.heic")
    expect(page.locator("#slot-CLOSE_UP")).to_contain_text("This browser can't show its kind")
    expect(page.locator("#slot-CLOSE_UP .mark")).to_be_visible()
    expect(page.locator("#slot-CLOSE_UP .rotate")).to_be_hidden()
    send(page)
    wait_for_result(page)


def test_what_is_printed_holds_the_result_alone(page: Page) -> None:
    choose(page, IMAGES[0])
    expect(page.locator(".mark")).to_have_count(1)
    answer(page, other_symptoms="FEVER")
    send(page)
    wait_for_result(page)
    page.emulate_media(media="print")
    expect(page.locator(".sheet")).to_contain_text("fever or chills")
    for gone in ("header", "footer", "#after", "#answer > :not(.sheet)", ".skip"):
        assert not any(each.is_visible() for each in page.locator(gone).all()), gone


def test_the_whole_way_by_keyboard_alone(page: Page) -> None:
    def tab_to(name: str, *, most: int = 80) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate(
                "name => { const at = document.activeElement; return [at.id, at.className, at.value, "
                "at.textContent.trim(), at.dataset?.shot].some((each) => each === name); }",
                name,
            ):
                return
        raise AssertionError(f"{name} is not reached by Tab")

    page.on("filechooser", lambda chooser: chooser.set_files(IMAGES[0]))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to("next")
    page.keyboard.press("Enter")
    expect(page.locator("[data-step=age_group] legend")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    expect(page.locator("[value=AGE_18_TO_29]")).to_be_checked()
    tab_to("next")
    page.keyboard.press("Enter")
    tab_to("Choose from gallery")
    page.keyboard.press("Enter")
    expect(page.locator(".mark.USABLE")).to_be_visible()
    tab_to("Rotate")
    page.keyboard.press("Enter")
    tab_to("next")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("[name=related_category][value=RASH]")).to_be_checked()
    tab_to("next")
    page.keyboard.press("Enter")
    tab_to("Choose from a list")
    page.keyboard.press("Enter")
    tab_to("HEAD_OR_NECK")
    page.keyboard.press("Space")
    expect(page.locator("[value=HEAD_OR_NECK]")).to_be_checked()
    while not page.locator("#send").is_visible():
        tab_to("next")
        page.keyboard.press("Enter")
    tab_to("agree")
    page.keyboard.press("Space")
    tab_to("send")
    page.keyboard.press("Enter")
    wait_for_result(page)
    expect(page.locator("#result h1")).to_be_focused()
    tab_to("Erase this case")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Erased", level=1)).to_be_focused()


def test_it_speaks_spanish_to_whoever_reads_it(page: Page) -> None:
    page.get_by_role("link", name="Español").click()
    expect(page.locator("html")).to_have_attribute("lang", "es")
    answer(page, warning_signs="MOUTH_SORES")
    expect(page.locator("#alarm")).to_contain_text("Vea a un médico hoy")
    choose(page, IMAGES[0])
    expect(page.locator(".mark.USABLE")).to_contain_text("Buena")
    problem = {
        "title": "Content Too Large",
        "detail": "the body is said to hold too much",
        "reason": "BODY_TOO_LARGE",
        "status": 413,
    }
    page.route(
        "**/v1/cases",
        lambda route: route.fulfill(status=413, content_type="application/problem+json", body=json.dumps(problem)),
    )
    send(page)
    message = (
        "No funcionó: El servidor no pudo aceptarlo. Empiece de nuevo o elija otras fotos. No se pudo enviar. No se ha "
        "perdido nada: inténtelo de nuevo."
    )
    expect(page.locator("#send-status")).to_have_text(message)
    page.unroute("**/v1/cases")
    page.locator("#send").click()
    wait_for_result(page, "Su resultado")
    assert page.url.endswith("?lang=es")
    expect(page.locator("#answer > *").first).to_contain_text("Vea a un médico hoy")
    body = page.locator("body").inner_text()
    english = [text for text in texts("en").values() if len(text) > 20 and "{" not in text]
    assert [text for text in english if text in body] == []


def test_a_refusal_of_the_api_is_read_as_of_photos(page: Page) -> None:
    detail = "the image: An image of 1 pixel shows nothing; send images of at least 32"
    problem = {"title": "Unprocessable Content", "detail": detail, "reason": "IMAGE_DIMENSIONS", "status": 422}
    page.route(
        "**/v1/uploads",
        lambda route: route.fulfill(status=422, content_type="application/problem+json", body=json.dumps(problem)),
    )
    choose(page, IMAGES[0])
    expect(page.locator(".slot").first).to_contain_text("This photo is far too small or too large")


def test_a_case_that_never_was_is_told(page: Page, system: System) -> None:
    page.goto(f"{system.url}/cases/case_01k9x4q7e8f3rtw5m2c6b0dvza")
    expect(page.get_by_role("heading", name="It didn't work", level=1)).to_be_visible()
    expect(page.get_by_text("There is no such case here")).to_be_visible()


def test_models_their_figures_by_tone_and_the_system_are_shown(page: Page, system: System) -> None:
    page.goto(f"{system.url}/ops/models")
    expect(page.get_by_role("row", name=re.compile("dermis 1 current demo"))).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("Both were measured on the same data.")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("MST 10 .*n = 100.*intervals overlap"))).to_be_visible()
    page.get_by_role("link", name="All models").click()
    page.get_by_role("link", name="dermis 1").click()
    expect(page.get_by_role("heading", name="By Monk skin tone", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(r"^MST 10 100 \d+\.\d\s%"))).to_be_visible()
    page.get_by_role("link", name="Data").click()
    expect(page.get_by_role("heading", name="There is no data report yet")).to_be_visible()
    page.get_by_role("link", name="System", exact=True).click()
    expect(page.get_by_text("working")).to_have_count(2)


@pytest.mark.skipif("REAL_DATA" not in os.environ, reason="REAL_DATA is not set")
def test_the_three_real_images_of_one_case_get_a_result(page: Page) -> None:
    folder = Path(os.environ["REAL_DATA"]) / "photos/scin"
    with (folder / "manifest.csv").open(newline="") as rows:
        of_case = [row for row in csv.DictReader(rows) if row["case_id"] == "3700423038606474119"]
    real = {row["shot_type"]: folder / row["file"] for row in of_case}
    assert len(real) == 3
    for shot_type, image in real.items():
        choose(page, image, slot=shot_type)
    expect(page.locator(".mark")).to_have_count(3)
    answer(page, fitzpatrick_skin_type="FST4")
    send(page)
    wait_for_result(page)
    expect(page.locator("#answer > .photos img")).to_have_count(3)
    expect(page.get_by_role("heading", name="This is a demo")).to_be_visible()
