"""A text planted in every corner of every kind of photo is in no object that the system stores."""

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from dermis.data.generated.skin import scene
from dermis.shared.vocabulary import MonkSkinTone
from tests.e2e.conftest import System, files, finish
from tests.support import planted

TEXT = "Erika-Mustermann-of-Musterstadt"
SCENE = scene("Eczema", tone=MonkSkinTone.MST5, seed=1, size=(480, 360))
PHOTOS = planted.photos(TEXT, SCENE)
WITH_TABLES = planted.photos_with_tables(TEXT, SCENE)


@pytest.fixture(scope="module")
def objects(system: System, client: httpx.Client) -> dict[str, bytes]:
    """Every stored object after a case of each photo, each photo judged at once, and one that is damaged."""
    for photo in (*PHOTOS, *WITH_TABLES):
        case = finish(client, client.post("/v1/cases", files=files(photo)))
        assert case["outcome"]["kind"] in ("DIFFERENTIAL", "ABSTENTION")
        name, data, kind = photo
        assert client.post("/v1/images:assess", files={"image": photo}).status_code == 200
        assert client.post("/v1/cases", files=files((name, data[:300], kind))).status_code == 422
    return system.objects()


def test_every_photo_carries_the_text() -> None:
    assert all(sum(data.count(form) for form in planted.forms(TEXT)) >= 9 for _, data, _ in PHOTOS)


def test_no_stored_object_holds_the_text(objects: dict[str, bytes]) -> None:
    assert sum(key.endswith("/original") for key in objects) >= len(PHOTOS)
    assert sum(key.endswith("/prepared") for key in objects) >= len(PHOTOS) + len(WITH_TABLES)
    for key, data in objects.items():
        for form in planted.forms(TEXT):
            assert form not in data, key


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
def test_exiftool_reads_the_text_in_the_photos_and_in_no_stored_object(
    objects: dict[str, bytes], tmp_path: Path
) -> None:
    def tags(folder: Path) -> str:
        command = ["exiftool", "-r", "-a", "-u", "-U", "-G1", "-ee3", "-ext", "*", str(folder)]
        return subprocess.run(command, capture_output=True, check=False, text=True).stdout

    for n, (_, data, _) in enumerate(PHOTOS):
        (tmp_path / "sent" / str(n)).mkdir(parents=True)
        (tmp_path / "sent" / str(n) / "photo").write_bytes(data)
        assert TEXT in tags(tmp_path / "sent" / str(n))
    for n, data in enumerate(objects.values()):
        (tmp_path / "stored").mkdir(exist_ok=True)
        (tmp_path / "stored" / str(n)).write_bytes(data)
    stored = tags(tmp_path / "stored")
    assert "image/heic" in stored
    assert TEXT not in stored
