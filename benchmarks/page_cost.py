"""What the page costs: weight, requests and time to interactive of a first visit, and its share of a case's time.

    make page-cost [TAPS=10] [ARGS=--noisy] [OUT=page-cost.md]

Starts a system of its own and drives Chromium with a desktop's screen and a phone's. "Slow": 1.6 Mbit/s down,
750 kbit/s up, 150 ms, a processor four times as slow (Lighthouse's "slow 4G"). "Last tap to result": from the tap on
the button until the result is drawn, against one HTTP call with `Prefer: wait` of the same uploads and answers; the two
take turns. Exit code 1 if an aim is missed.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
from playwright.sync_api import Browser, Page, Request, Route, sync_playwright

from benchmarks.machine import about
from benchmarks.measure import Times
from dermis.data.report.markdown import markdown_table
from tests.e2e import pages
from tests.system import stack

MOST_BYTES = 150_000
MOST_MORE_MS = 150
_SLOW = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 750e3 / 8}
_SLOWER_PROCESSOR = 4
JPEG = {"Content-Type": "image/jpeg"}
ANSWERS = {"related_category": "RASH", "body_parts": ["ARM"], "fitzpatrick_skin_type": "FST5"}
HEAD = """# What the page costs

A first visit is one with an empty cache: bytes as they went over the wire, headers included, until nothing more is
loaded; "interactive" is when a tap does something. "Slow" is 1.6 Mbit/s down, 750 kbit/s up, 150 ms and a processor
four times as slow. "Last tap to result" is the time from the tap on the button until the result is drawn, beside an
HTTP call with `Prefer: wait` that sends the same photos and answers under a key of its own. The photos are uploaded
before either, as the page does while a person answers. The two take turns on one system, whose parts share the machine
with the browser. Medians, with the quartiles in parentheses.
Images and answers are generated, the model is the demo's. Aims: at most 150 kB, at most 150 ms more than HTTP alone.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    requests: int
    bytes: int
    interactive_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Taps:
    page: Times
    http: Times

    @property
    def more_ms(self) -> float:
        return self.page.p50 - self.http.p50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--taps", type=int, default=10, help="cases sent from the page on each screen, and as many by HTTP (default 10)"
    )
    parser.add_argument("--write", type=Path, help="write the result, Markdown, here")
    parser.add_argument(
        "--noisy",
        action="store_true",
        help="the machine does other work as well: times that are missed are told but fail nothing",
    )
    options = parser.parse_args()
    load = os.getloadavg()
    folder = Path(tempfile.mkdtemp(prefix="dermis-page-"))
    try:
        with stack.running(folder, quick=True, own_mount=False) as parts, sync_playwright() as playwright:
            browser = pages.launch(playwright, os.environ.get("CHROMIUM", "/usr/bin/chromium"))
            visits = {
                f"{size}{', slow' * slow}, {language}": visit(browser, parts.url, language, size=size, slow=slow)
                for size, slow in (("desktop", False), ("phone", False), ("phone", True))
                for language in ("en", "es")
            }
            taps = {size: tap(browser, parts.url, options.taps, size=size) for size in pages.SIZES}
            facts = about("benchmarks.page_cost", load, Chromium=browser.version)
            browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    heavy = [f"{name}: {each.bytes / 1000:.0f} kB" for name, each in visits.items() if each.bytes > MOST_BYTES]
    late = [f"{name}: {each.more_ms:+.0f} ms" for name, each in taps.items() if each.more_ms > MOST_MORE_MS]
    verdict = f"Missed: {'; '.join(heavy + late)}." if heavy or late else "Both aims are held."
    text = "\n".join((HEAD, facts, _visits(visits), _taps(taps), verdict))
    print(text)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(f"{text}\n", encoding="utf-8")
    return 1 if heavy or (late and not options.noisy) else 0


def visit(browser: Browser, url: str, language: str, *, size: str, slow: bool) -> Visit:
    """Open the page with an empty cache, until a tap does something."""
    with pages.opened(browser, "about:blank", size=size, scheme="light", locale=language) as page:
        devtools = page.context.new_cdp_session(page)
        if slow:
            devtools.send("Network.enable")
            devtools.send("Network.emulateNetworkConditions", _SLOW)
            devtools.send("Emulation.setCPUThrottlingRate", {"rate": _SLOWER_PROCESSOR})
        done: list[Request] = []
        page.on("requestfinished", lambda request: done.append(request))
        page.goto(url, wait_until="networkidle")
        page.wait_for_function("() => performance.getEntriesByName('interactive').length")
        sizes = [request.sizes() for request in done]
        return Visit(
            requests=len(done),
            bytes=sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes),
            interactive_ms=page.evaluate("performance.getEntriesByName('interactive')[0].startTime"),
        )


def tap(browser: Browser, url: str, taps: int, *, size: str) -> Taps:
    """Send cases from the page, and the same photos and answers by HTTP, in turns; photos are there before either."""
    page_ms, http_ms = [], []
    photos: list[bytes] = []

    def keep(route: Route) -> None:
        photos.append(route.request.post_data_buffer or b"")
        route.continue_()

    with (
        pages.opened(browser, url, size=size, scheme="light") as page,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        page.route("**/v1/uploads", keep)
        _tapped(page, url)  # warms up, and shows what is sent
        page.unroute("**/v1/uploads")
        for _ in range(taps):
            page_ms.append(_tapped(page, url))
            uploads = [
                client.post("/v1/uploads", content=photo, headers=JPEG).raise_for_status().json()["id"]
                for photo in photos
            ]
            form = [*(("uploads", each) for each in uploads), ("self_report", json.dumps(ANSWERS))]
            start = time.perf_counter()
            client.post(
                "/v1/cases",
                files=[(name, (None, value)) for name, value in form],
                headers={"Idempotency-Key": uuid4().hex, "Prefer": "wait=30"},
            ).raise_for_status()
            http_ms.append(1000 * (time.perf_counter() - start))
    return Taps(page=Times(ms=tuple(page_ms)), http=Times(ms=tuple(http_ms)))


def _tapped(page: Page, url: str) -> float:
    page.goto(url)
    pages.choose(page, *pages.IMAGES)
    page.wait_for_function("() => document.querySelectorAll('.slot .mark').length === 3")
    pages.answer(page, related_category="RASH", body_parts="ARM", fitzpatrick_skin_type="FST5")
    pages.send(page)
    pages.wait_for_result(page)
    return float(page.evaluate("performance.measure('tap', 'tapped', 'shown').duration"))


def _visits(visits: dict[str, Visit]) -> str:
    rows = (
        (name, each.requests, f"{each.bytes / 1000:.1f}", f"{each.interactive_ms:.0f}") for name, each in visits.items()
    )
    return _table(("first visit", "requests", "kB", "interactive, ms"), rows)


def _taps(taps: dict[str, Taps]) -> str:
    rows = ((name, each.page, each.http, f"{each.more_ms:+.0f}", len(each.page.ms)) for name, each in taps.items())
    return _table(("last tap to result", "on the page", "HTTP alone", "more, ms", "cases"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    return markdown_table(head, rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
