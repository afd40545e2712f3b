"""Makes the README's pictures of the page, of generated images alone: `make screenshots`."""

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e import pages
from tests.system import stack

MOST_BYTES = 150_000


def main(out: Path) -> int:
    folder = Path(tempfile.mkdtemp(prefix="dermis-screenshots-"))
    out.mkdir(parents=True, exist_ok=True)
    try:
        with stack.running(folder, quick=True, own_mount=False) as parts, sync_playwright() as playwright:
            browser = pages.launch(playwright, os.environ.get("CHROMIUM", "/usr/bin/chromium"))
            _case(browser, parts.url, out, scheme="light", names=("assess", "", "result"))
            _case(browser, parts.url, out, scheme="dark", names=("", "questions-dark", ""))
            with pages.opened(browser, parts.url, size="phone", scheme="light", scale=2) as page:
                page.locator("[name=warning_signs][value=SWOLLEN_FACE_OR_TONGUE]").check()
                _shoot(page, out / "warning", height=844)
            with pages.opened(browser, parts.url, size="desktop", scheme="light") as page:
                page.goto(f"{parts.url}/ops/models/dermis/1")
                _shoot(page, out / "model", height=860, top="main section:nth-of-type(2)", above=120)
            browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _case(browser: Browser, url: str, out: Path, *, scheme: str, names: tuple[str, str, str]) -> None:
    assess, questions, result = (out / name if name else None for name in names)
    with pages.opened(browser, url, size="phone", scheme=scheme, scale=2) as page:
        pages.step(page, "photo")
        dark = page.locator("#slot-AT_AN_ANGLE .from-files")
        dark.set_input_files({"name": "dark.png", "mimeType": "image/png", "buffer": _black()})
        pages.choose(page, pages.IMAGES[0])
        page.wait_for_function("() => document.querySelectorAll('.slot .mark').length === 2")
        _shoot(page, assess, height=844, top="#slot-AT_AN_ANGLE", above=72)
        page.locator("#slot-AT_AN_ANGLE .remove").click()
        pages.answer(
            page, related_category="RASH", body_parts="ARM", condition_symptoms="ITCHING", age_group="AGE_30_TO_39"
        )
        pages.answer(page, fitzpatrick_skin_type="FST5", other_symptoms="JOINT_PAIN")
        pages.step(page, "body_parts")
        _shoot(page, questions, height=844)
        pages.send(page)
        pages.wait_for_result(page)
        _shoot(page, result, height=844)


def _shoot(page: Page, stem: Path | None, *, height: int, top: str = "body", above: int = 16) -> None:
    if not stem:
        return
    size = page.viewport_size
    assert size
    page.set_viewport_size({**size, "height": height})
    page.evaluate(
        "([top, above]) => { document.activeElement.blur(); scrollTo(0, "
        "document.querySelector(top).getBoundingClientRect().top + scrollY - above); }",
        [top, above],
    )
    page.wait_for_timeout(300)
    shot, target = stem.with_suffix(".png"), stem.with_suffix(".webp")
    page.screenshot(path=str(shot))
    page.set_viewport_size(size)
    with Image.open(shot) as image:
        image.save(target, quality=76, method=6)
    shot.unlink()
    print(f"{target.name}: {target.stat().st_size / 1000:.0f} kB")
    assert target.stat().st_size < MOST_BYTES, f"{target.name} is too large"


def _black() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (600, 450)).save(data, "png")
    return data.getvalue()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
