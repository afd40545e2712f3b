"""Puts cases through a running system and shows their ends side by side, as the page shows them.

`python -m tests.e2e.ends --help`

python -m tests.e2e.ends --out ends.webp --case near.png,far.png,side.png+answers.json --case other.png --case dark.png

For the eye alone: where the photos are somebody's, the picture is not to be passed on.
"""

import argparse
import io
import json
import os
import sys
from pathlib import Path

from PIL import Image, ImageOps
from playwright.sync_api import Browser, expect, sync_playwright

from dermis.client import Client
from tests.e2e import pages

ROOT = Path(__file__).parents[2]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.ends", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="where the gateway is")
    parser.add_argument("--case", action="append", required=True, metavar="IMAGE[,IMAGE][+ANSWERS.json]")
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    options = parser.parse_args(argv)
    if options.out.resolve().is_relative_to(ROOT):
        parser.error(
            f"--out {options.out} is inside the repository, and a photo of a person must never be committed: "
            "name another place"
        )
    with Client(options.url) as client, sync_playwright() as playwright:
        browser = pages.launch(playwright, os.environ.get("CHROMIUM", "/usr/bin/chromium"))
        shots = [_shoot(browser, options.url, _assess(client, case)) for case in options.case]
        browser.close()
    whole = (sum(shot.width for shot in shots), max(shot.height for shot in shots))
    side_by_side = Image.new("RGB", whole, "white")
    left = 0
    for shot in shots:
        side_by_side.paste(shot, (left, 0))
        left += shot.width
    side_by_side.save(options.out)
    return 0


def _assess(client: Client, text: str) -> str:
    images, _, answers = text.partition("+")
    report = json.loads(Path(answers).read_bytes()) if answers else None
    case = client.assess([Path(image) for image in images.split(",")], report=report)
    end = case.outcome.kind if case.outcome else case.status
    print(f"{case.id}  {end}  {images}")
    return case.id


def _shoot(browser: Browser, url: str, case_id: str) -> Image.Image:
    with pages.opened(browser, url, size="phone", scheme="light") as page:
        page.goto(f"{url}/cases/{case_id}")
        expect(page.locator("#after")).to_be_visible(timeout=30_000)
        page.wait_for_timeout(500)
        return ImageOps.expand(Image.open(io.BytesIO(page.screenshot(full_page=True))), border=8, fill="white")


if __name__ == "__main__":
    sys.exit(main())
