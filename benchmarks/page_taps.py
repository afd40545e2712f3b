"""Taps and seconds on a phone's screen of 390 x 664: to the first verdict, to the result, and until told to call.

    make page-taps SYSTEMS="before=http://127.0.0.1:8081 after=http://127.0.0.1:8080" [OUT=page-taps.md]

Walks through a running page as a hurried person does, who reads nothing and taps at once: the seconds are the page's,
not the person's. `--system NAME=URL`, repeated, walks through several systems, of this form or of the one before it,
which had everything on one page. "Slow 3G": 400 kbit/s each way, 400 ms (WebPageTest's profile).
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from benchmarks.machine import about
from dermis.data.report.markdown import markdown_table
from tests.e2e import pages

SLOW_3G = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
ANSWERS = {
    "related_category": "RASH",
    "body_parts": "ARM",
    "condition_duration": "ONE_DAY",
    "condition_symptoms": "ITCHING",
    "textures": "FLAT",
    "other_symptoms": "FATIGUE",
    "age_group": "AGE_30_TO_39",
    "sex_at_birth": "FEMALE",
    "fitzpatrick_skin_type": "FST4",
}
HEAD = """# How many taps the page takes

Taps and seconds on a phone's screen of 390 x 664, by a hurried person who reads nothing: the seconds are the page's,
medians of several walks. A photo of 12 megapixels is chosen from the gallery, one tap of the page's own.
"""


@dataclass
class PageWalk:
    """One way through the form; `stops` has taps and seconds at each place that is asked about."""

    page: Page
    photo: Path
    taps: int = 0
    begun: float = field(default_factory=time.perf_counter)
    stops: dict[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def steps(self) -> bool:
        return self.page.locator(".step[data-step]").count() > 0

    def tap(self, what: str | Locator) -> None:
        (self.page.locator(what) if isinstance(what, str) else what).first.click()
        self.taps += 1

    def stop(self, name: str) -> None:
        self.stops[name] = (self.taps, time.perf_counter() - self.begun)

    def choose(self) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.tap("#slot-CLOSE_UP .choose")
        chooser.value.set_files(self.photo)
        self.page.locator("#slot-CLOSE_UP .mark").wait_for(timeout=180_000)
        self.stop("verdict")

    def answer(self, name: str, value: str) -> None:
        box = self.page.locator(f"[name={name}][value={value}]")
        if self.steps:
            self.page.locator(f".step.now[data-step={name}]").wait_for()
            if name == "body_parts":
                return self._point(value)
        self.tap(box)
        if self.steps and box.get_attribute("type") == "checkbox":
            self.tap("#next")
        return None

    def _point(self, part: str) -> None:
        shape = self.page.locator(f".part[data-part={part}] path").first
        box = shape.bounding_box()
        assert box
        self.page.mouse.click(box["x"] + box["width"] * 0.12, box["y"] + box["height"] * 0.4)
        self.taps += 1
        self.tap("#next")

    def send(self) -> None:
        self.tap("#agree")
        self.tap("#send")
        self.page.locator("#after").wait_for(timeout=180_000)
        self.stop("result")


def photo_alone(walk: PageWalk) -> None:
    if walk.steps:
        walk.tap("#next")
        walk.tap("[name=age_group][value=AGE_30_TO_39]")
    walk.choose()
    if walk.steps:
        walk.tap("#next")
        walk.tap("#skip-all")
    walk.send()


def all_answers(walk: PageWalk) -> None:
    if walk.steps:
        walk.tap("#next")
        walk.answer("age_group", ANSWERS["age_group"])
    walk.choose()
    if walk.steps:
        walk.tap("#next")
    for name, value in ANSWERS.items():
        if not (walk.steps and name == "age_group"):
            walk.answer(name, value)
    walk.send()


def emergency(walk: PageWalk) -> None:
    if walk.steps:
        walk.tap("[name=warning_signs][value=SHORTNESS_OF_BREATH]")
        walk.page.locator("#alarm a[href^=tel]").wait_for()
        return walk.stop("told")
    walk.choose()
    walk.tap("[name=other_symptoms][value=SHORTNESS_OF_BREATH]")
    walk.send()
    return walk.stop("told")


JOURNEYS: dict[str, Callable[[PageWalk], None]] = {
    "emergency": emergency,
    "one photo, no answer": photo_alone,
    "one photo, all answers": all_answers,
}
STOPS = {"told": "told to call", "verdict": "first verdict", "result": "result"}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--system", action="append", required=True, metavar="NAME=URL", help="a running page")
    parser.add_argument("--walks", type=int, default=3, help="walks of each journey (default 3)")
    parser.add_argument("--write", type=Path, help="write the result, Markdown, here")
    options = parser.parse_args()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="dermis-taps-") as folder, sync_playwright() as playwright:
        photo = Path(folder) / "photo.jpg"
        photo.write_bytes(_photo())
        browser = pages.launch(playwright, pages.CHROMIUM)
        rows = [
            row
            for slow in (False, True)
            for name, journey in JOURNEYS.items()
            for system in options.system
            for row in _rows(browser, system, photo, name, journey, slow=slow, walks=options.walks)
        ]
        facts = about("benchmarks.page_taps", load, Chromium=browser.version)
        browser.close()
    head = ["journey", "network", "page", "until", "taps", "seconds"]
    text = "\n".join((HEAD, facts, markdown_table(head, rows)))
    print(text)
    if options.write:
        options.write.write_text(f"{text}\n", encoding="utf-8")
    return 0


def _rows(
    browser: Browser,
    system: str,
    photo: Path,
    name: str,
    journey: Callable[[PageWalk], None],
    *,
    slow: bool,
    walks: int,
) -> list[tuple[str, ...]]:
    label, _, url = system.partition("=")
    stops = [_walk(browser, url, photo, journey, slow=slow) for _ in range(1 if slow else walks)]
    return [
        (
            name,
            "slow 3G" if slow else "local",
            label,
            text,
            str(stops[0][stop][0]),
            f"{statistics.median(each[stop][1] for each in stops):.1f}",
        )
        for stop, text in STOPS.items()
        if stop in stops[0] and (name != "emergency" or stop == "told")
    ]


def _walk(
    browser: Browser, url: str, photo: Path, journey: Callable[[PageWalk], None], *, slow: bool
) -> dict[str, tuple[int, float]]:
    context = browser.new_context(viewport=pages.SMALL, is_mobile=True, has_touch=True, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(60_000)
    if slow:
        devtools = context.new_cdp_session(page)
        devtools.send("Network.enable")
        devtools.send("Network.emulateNetworkConditions", SLOW_3G)
    walk = PageWalk(page, photo)
    page.goto(url)
    page.locator("#case:not(.waiting):not([inert])").wait_for()
    journey(walk)
    context.close()
    return walk.stops


def _photo() -> bytes:
    """Return a drawing of the demo as a camera's 12 megapixels, with grain."""
    with Image.open(pages.IMAGES[0]) as image:
        scene = np.asarray(image.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC), float)
    grain = np.random.default_rng(0).normal(0, 4, scene.shape)
    out = io.BytesIO()
    Image.fromarray((scene + grain).clip(0, 255).astype(np.uint8)).save(out, "jpeg", quality=90)
    return out.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
