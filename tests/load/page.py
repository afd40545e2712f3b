"""What the page costs: weight, requests and time to interactive of a first visit, and what it adds to the gateway's own time.

    .venv/bin/python -m tests.load.page [--taps 10]

Starts a system of its own and drives Chromium with a phone's screen. "Slow phone": 1.6 Mbit/s down, 750 kbit/s up, 150 ms, a processor four
times as slow (Lighthouse's "slow 4G"). "Last tap to result": from the tap on the button until the result is drawn, against one HTTP call
with `Prefer: wait` that sends the same bytes; the two take turns. Exit code 1 if an aim is missed.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, Request, Route, sync_playwright

from tests.e2e import pages
from tests.load import stack

MOST_BYTES = 150_000
MOST_MORE_MS = 150
_SLOW = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 750e3 / 8}
_SLOWER_PROCESSOR = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    requests: int
    bytes: int
    interactive_ms: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--taps", type=int, default=10, help="cases sent from the page, and as many by HTTP (default 10)")
    taps = parser.parse_args().taps
    folder = Path(tempfile.mkdtemp(prefix="dermis-page-"))
    try:
        with stack.running(folder, quick=True, own_mount=False) as parts, sync_playwright() as playwright:
            browser = pages.launch(playwright, os.environ.get("CHROMIUM", "/usr/bin/chromium"))
            visits = {
                f"{name}, {language}": visit(browser, parts.url, language, slow=slow)
                for name, slow in (("this machine", False), ("slow phone", True))
                for language in ("en", "es")
            }
            page_ms, http_ms = tap(browser, parts.url, taps)
            browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report(visits, page_ms, http_ms)


def visit(browser: Browser, url: str, language: str, *, slow: bool) -> Visit:
    """Open the page with an empty cache, until a tap does something; bytes as they went over the wire, headers included."""
    with pages.opened(browser, "about:blank", size="phone", scheme="light", locale=language) as page:
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


def tap(browser: Browser, url: str, taps: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds from the last tap to the result on the page, and those of an HTTP call with the same bytes, in turns."""
    page_ms, http_ms, sent = [], [], {}

    def keep(route: Route) -> None:
        request = route.request
        sent.update(content=request.post_data_buffer, headers={"Content-Type": request.headers["content-type"], "Prefer": "wait=30"})
        route.continue_()

    with pages.opened(browser, url, size="phone", scheme="light") as page, httpx.Client(base_url=url, timeout=60) as client:
        page.route("**/v1/cases", keep)
        _tapped(page, url)  # warms up, and shows what is sent
        page.unroute("**/v1/cases")
        for _ in range(taps):
            page_ms.append(_tapped(page, url))
            start = time.perf_counter()
            client.post("/v1/cases", **sent).raise_for_status()
            http_ms.append(1000 * (time.perf_counter() - start))
    return page_ms, http_ms


def _tapped(page: Page, url: str) -> float:
    page.goto(url)
    pages.choose(page, *pages.IMAGES)
    page.wait_for_function("() => document.querySelectorAll('.slot .mark').length === 3")
    pages.answer(page, related_category="RASH", body_parts="ARM", fitzpatrick_skin_type="FST5")
    pages.send(page)
    pages.wait_for_result(page)
    return page.evaluate("performance.measure('tap', 'tapped', 'shown').duration")


def report(visits: dict[str, Visit], page_ms: list[float], http_ms: list[float]) -> int:
    print(f"{'first visit':24} {'requests':>8} {'kB':>8} {'interactive ms':>14}")
    for name, each in visits.items():
        print(f"{name:24} {each.requests:8} {each.bytes / 1000:8.1f} {each.interactive_ms:14.0f}")
    page, http = statistics.median(page_ms), statistics.median(http_ms)
    print(f"\nlast tap to result, median of {len(page_ms)}: page {page:.0f} ms, HTTP alone {http:.0f} ms, {page - http:+.0f} ms")
    print("page ms:", *(f"{each:.0f}" for each in page_ms), " HTTP ms:", *(f"{each:.0f}" for each in http_ms))
    faults = []
    if max(each.bytes for each in visits.values()) > MOST_BYTES:
        faults.append(f"the first page weighs more than {MOST_BYTES / 1000:.0f} kB")
    if page - http > MOST_MORE_MS:
        faults.append(f"the page adds more than {MOST_MORE_MS} ms")
    print("missed: " + "; ".join(faults) if faults else f"held: at most {MOST_BYTES / 1000:.0f} kB and {MOST_MORE_MS} ms")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
