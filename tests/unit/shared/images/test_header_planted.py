"""No text that a photo's container carries is left in its clean copy, and its pixels are."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dermis.data.generated.skin import scene
from dermis.shared.images.header import clean
from dermis.shared.vocabulary import MonkSkinTone
from dermis.worker.core.decode import decode
from tests.support import planted

TEXT = "Erika-Mustermann-of-Musterstadt"
PHOTOS = planted.photos(TEXT, scene("Eczema", tone=MonkSkinTone.MST5, seed=1, size=(120, 90)))


@pytest.mark.parametrize(("name", "data", "kind"), PHOTOS, ids=[kind for *_, kind in PHOTOS])
def test_the_text_is_gone_and_the_pixels_stay(name: str, data: bytes, kind: str) -> None:  # noqa: ARG001
    assert sum(data.count(form) for form in planted.forms(TEXT)) >= 9, "the text was not planted"
    image = clean(data)
    assert image.header.format == kind
    for form in planted.forms(TEXT):
        assert form not in image.data
    np.testing.assert_array_equal(decode(image.data, color=image.header.color).image, decode(data).image)


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
@pytest.mark.parametrize(("name", "data", "kind"), PHOTOS, ids=[kind for *_, kind in PHOTOS])
def test_exiftool_sees_the_text_before_and_not_after(name: str, data: bytes, kind: str, tmp_path: Path) -> None:  # noqa: ARG001
    def tags(content: bytes) -> str:
        path = tmp_path / "photo"
        path.write_bytes(content)
        return subprocess.run(
            ["exiftool", "-a", "-u", "-U", "-G1", "-ee3", path], capture_output=True, check=False, text=True
        ).stdout

    assert TEXT in tags(data)
    assert TEXT not in tags(clean(data).data)
