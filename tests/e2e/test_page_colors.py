"""The page sends what was photographed: in the same colours as the file itself, and never what a browser makes up."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from dermis.worker.core.decode import decode
from tests.e2e.conftest import System
from tests.e2e.pages import IMAGES, choose, send, wait_for_result, wait_until_it_works
from tests.support.colors import CONTAINERS, SPACES, delta_e, in_container, lab, patches

# What resistFingerprinting does: the read-back is noise that looks like stripes, whatever was drawn.
FALSIFIED = {
    "getImageData": """
        const real = CanvasRenderingContext2D.prototype.getImageData;
        CanvasRenderingContext2D.prototype.getImageData = function (...place) {
          const image = real.apply(this, place);
          image.data.forEach((_, at) => { image.data[at] = at % 4 === 3 ? 255 : (at * 97) % 256; });
          return image;
        };""",
    "toBlob": """
        const real = HTMLCanvasElement.prototype.toBlob;
        HTMLCanvasElement.prototype.toBlob = function (done, ...form) {
          const other = Object.assign(document.createElement("canvas"), { width: this.width, height: this.height });
          const context = other.getContext("2d");
          for (let x = 0; x < this.width; x += 1) {
            context.fillStyle = x % 2 ? "#fff" : "#000";
            context.fillRect(x, 0, 1, this.height);
          }
          real.call(other, done, ...form);
        };""",
}


pytestmark = pytest.mark.browser


def judged(page: Page, image: Path) -> bytes:
    """Put an image into the form and return the copy that is sent to be judged; nothing where it is the file itself."""
    bodies: list[bytes] = []

    def keep(route: Route) -> None:
        bodies.append(route.request.post_data_buffer or b"")
        route.continue_()

    page.route(re.compile(r"/v1/uploads$"), keep)
    choose(page, image)
    expect(page.locator("#slot-CLOSE_UP .mark")).to_be_visible()
    return bodies[0]


@pytest.mark.parametrize("way", FALSIFIED)
def test_where_the_canvas_is_falsified_the_file_itself_is_sent(page: Page, system: System, way: str) -> None:
    page.add_init_script(FALSIFIED[way])
    page.reload()
    choose(page, IMAGES[0])
    for _ in range(2):
        expect(page.locator("#slot-CLOSE_UP .mark")).to_be_visible()
        expect(page.locator("#slot-CLOSE_UP .picture img")).to_be_visible()
        expect(page.locator("#slot-CLOSE_UP .rotate")).to_be_hidden()
        page.reload()  # the draft comes back as it was
        wait_until_it_works(page)
    send(page)
    wait_for_result(page)
    stored = system.case(page.url.split("/cases/")[1].split("?")[0])["images/1/original"]
    assert np.array_equal(decode(stored).image, decode(IMAGES[0].read_bytes()).image)


def test_where_the_canvas_is_true_a_small_copy_is_sent_that_can_be_turned(page: Page) -> None:
    assert judged(page, IMAGES[0]).startswith(b"\xff\xd8\xff")
    expect(page.locator("#slot-CLOSE_UP .rotate")).to_be_visible()
    page.reload()
    wait_until_it_works(page)
    expect(page.locator("#slot-CLOSE_UP .rotate")).to_be_visible()


@pytest.mark.parametrize("container", [name for name in CONTAINERS if "16" not in name])
@pytest.mark.parametrize("space", ["Display P3", "Adobe RGB"])
def test_the_page_and_the_api_have_the_same_colours(page: Page, tmp_path: Path, container: str, space: str) -> None:
    with Image.open(IMAGES[0]) as image:
        scene = np.asarray(image.convert("RGB"))
    data = in_container(scene, SPACES[space], container)
    path = tmp_path / f"scene.{Image.open(io.BytesIO(data)).format.lower()}"
    path.write_bytes(data)
    by_page, by_api = (lab(patches(decode(each).image)) for each in (judged(page, path), data))
    difference = delta_e(by_page, by_api)
    assert np.median(difference) < 0.5
    assert difference.max() < 1.5  # the page's JPEG is lossy
