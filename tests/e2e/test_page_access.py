"""No screen has a fault that axe-core finds by WCAG 2.2 A and AA or best practice.

Each is looked at in light and dark, on a desktop and a phone.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Route, expect

from dermis.shared.bundles import point, publish
from dermis.shared.manifest import EVALUATION_FILE, VersionRef
from dermis.standalone import demo
from tests.e2e.conftest import System
from tests.e2e.pages import IMAGES, SIZES, answer, choose, send, step, wait_for_result
from tests.unit.gateway.conftest import Gateway

pytestmark = pytest.mark.browser
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LEAST_TARGET = 24
TESTS = Path(__file__).parents[1]


def faults(page: Page) -> list[str]:
    """Return what axe-core finds on a screen in each look, which changes without a new page."""
    known, found = page.viewport_size, []
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            page.evaluate("scrollTo(0, document.body.scrollHeight)")  # till then the bar may cover half a button
            said = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]}).response
            assert "color-contrast" in {each["id"] for each in said["passes"]}, "axe-core looked at nothing"
            found += [
                f"{size} {scheme} {each['id']}: {node['html'][:150]} {node['failureSummary'][:300]}"
                for each in said["violations"]
                for node in each["nodes"]
            ]
    assert known
    page.set_viewport_size(known)
    return found


def test_no_screen_of_a_case_has_a_fault(page: Page, context: BrowserContext, dark: Path) -> None:
    assert faults(page) == []
    answer(page, warning_signs="VERY_ILL")
    assert faults(page) == []
    choose(page, IMAGES[0])
    choose(page, dark, slot="AT_DISTANCE")
    expect(page.locator(".mark.UNUSABLE")).to_be_visible()
    assert faults(page) == []
    answer(page, body_parts="ARM", related_category="RASH", fitzpatrick_skin_type="FST6", other_symptoms="FEVER")
    for name in ("age_group", "related_category", "body_parts", "other_symptoms", "fitzpatrick_skin_type"):
        step(page, name)
        assert faults(page) == [], name
    step(page, "send")
    page.locator("#send").click()
    expect(page.locator("#agree-fault")).not_to_be_empty()
    assert faults(page) == []
    context.set_offline(True)
    send(page)
    expect(page.locator("#send-status")).to_contain_text("offline")
    assert faults(page) == []
    context.set_offline(False)
    wait_for_result(page)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    expect(page.locator(".sample")).to_be_visible()
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


def working(case: dict[str, Any]) -> None:
    case |= {"status": "ASSESSED", "outcome": None}


def abstained(case: dict[str, Any]) -> None:
    case["outcome"] |= {"kind": "ABSTENTION", "reason": "LOW_PROBABILITY", "coverage": None}
    case["outcome"]["model"]["purpose"] = "research"


def failed(case: dict[str, Any]) -> None:
    case |= {
        "status": "FAILED",
        "outcome": None,
        "failure": {"reason": "SERVING_UNAVAILABLE", "detail": "no model", "attempt": 1},
    }


def told_as(case: dict[str, Any]) -> Callable[[Route], None]:
    return lambda route: route.fulfill(json=case)


def test_no_other_end_of_a_case_has_a_fault(page: Page, client: httpx.Client, system: System) -> None:
    image = {"images": ("image", IMAGES[0].read_bytes(), "image/jpeg")}
    case = client.post("/v1/cases", files=image, headers={"Prefer": "wait=20"}).raise_for_status().json()
    page.route("**/events*", lambda _: None)  # nothing more is told of a case that is worked on
    ends: dict[str, Callable[[dict[str, Any]], None]] = {
        "#stages .now": working,
        ".declined": abstained,
        ".problem": failed,
    }
    for shown, change in ends.items():
        told = json.loads(json.dumps(case))
        change(told)
        page.route("**/v1/cases/*", told_as(told))
        page.goto(f"{system.url}/cases/{case['id']}")
        expect(page.locator(shown).first).to_be_visible()
        assert faults(page) == [], change.__name__
        page.unroute("**/v1/cases/*")
    page.goto(f"{system.url}/cases/case_01k9x4q7e8f3rtw5m2c6b0dvza")
    expect(page.get_by_text("There is no such case here")).to_be_visible()
    assert faults(page) == []


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[..., httpx.Response]]:
    """Ask a gateway whose store holds a model, promotions and a data report.

    In a thread, as a loop runs in this one.
    """
    record = json.loads((TESTS / "contract/facts/PromotionFact.json").read_text())
    with ThreadPoolExecutor(1) as thread:
        runner = thread.submit(asyncio.Runner).result()
        gateway = Gateway(runner)
        publish(gateway.store, demo.BUNDLE)
        point(gateway.store, VersionRef(name="dermis", version=1))
        seen = {"cases": 3, "of": 1400, "how": "by the record of run_1"}
        evaluation = json.loads((demo.BUNDLE / EVALUATION_FILE).read_bytes()) | {"seen_in_training": seen}
        for ref in ("dermis/1", "dermis/3"):
            gateway.store.put_once(f"evaluations/{'ab' * 8}/{ref}/evaluation.json", json.dumps(evaluation).encode())
        for n, more in enumerate(
            [{}, {"action": "ROLLED_BACK", "overall": None, "tones": []}, {"action": "REFUSED", "reasons": ["worse"]}]
            * 5
        ):
            promotion = record | {"id": f"promotion_01k{n:023d}"} | more
            gateway.store.put_once(f"promotions/{promotion['id']}.json", json.dumps(promotion).encode())

        def get(path: str, *, report: bool = True, keyless: bool = True) -> httpx.Response:
            if report:
                gateway.store.put_once(
                    f"reports/{'0' * 16}/report.json", (TESTS / "support/data_report.json").read_bytes()
                )
            gateway.settings["keyless"] = keyless
            return thread.submit(gateway.get, path, headers={"Accept": "text/html"}).result()

        yield get
        thread.submit(runner.close).result()


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/privacy", {}),
        ("/nothing", {}),
        ("/ops", {}),
        ("/ops/data", {"report": False}),
        ("/ops/data", {}),
        ("/ops/data?report=x", {}),
        ("/ops/models", {}),
        ("/ops/models?before=promotion_01k00000000000000000000004", {}),
        (f"/ops/models/dermis/1?data={'ab' * 8}", {}),
        ("/ops/models/dermis/7", {}),
        ("/ops/models/dermis/abc", {}),
        ("/ops/compare?first=dermis/1&second=dermis/1", {}),
        ("/ops/compare", {}),
        ("/ops/system", {}),
        ("/", {"keyless": False}),
    ],
    ids=str,
)
def test_no_page_beside_the_form_and_the_result_has_a_fault(
    page: Page, system: System, ask: Callable[..., httpx.Response], path: str, asked: dict[str, Any]
) -> None:
    answered = ask(path, **asked)

    def fulfil(route: Route) -> None:
        route.fulfill(status=answered.status_code, headers=dict(answered.headers), body=answered.text)

    page.route(system.url + path, fulfil)
    page.goto(system.url + path)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert faults(page) == []


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
