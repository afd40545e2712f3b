"""Real images and wrong input through the whole system."""

import csv
import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import piexif
import pytest

from tests.e2e.conftest import System, files, finish

CASE = "3700423038606474119"
PLANTED = b"planted-camera-name"


def photo_12mp() -> bytes:
    """A sideways 12-megapixel JPEG whose EXIF says how to turn it, where it was taken and by what."""
    scene = np.random.default_rng(1).normal(0, 1, (300, 400, 3))
    scene = cv2.resize(
        cv2.GaussianBlur(scene, (0, 0), 3) * 60 + np.array([150, 110, 90]), (4000, 3000), interpolation=cv2.INTER_CUBIC
    )
    cv2.circle(scene, (2000, 1500), 600, (160, 60, 60), -1)
    ok, data = cv2.imencode(".jpg", np.clip(scene[..., ::-1], 0, 255).astype(np.uint8))
    assert ok
    gps = {piexif.GPSIFD.GPSLatitudeRef: b"N", piexif.GPSIFD.GPSLatitude: ((48, 1), (51, 1), (30, 1))}
    exif = piexif.dump({"0th": {piexif.ImageIFD.Orientation: 6, piexif.ImageIFD.Make: PLANTED}, "GPS": gps})
    out = io.BytesIO()
    piexif.insert(exif, data.tobytes(), out)
    return out.getvalue()


def test_a_generated_case_by_the_command(system: System) -> None:
    folder = Path(
        subprocess.run(
            [sys.executable, "-m", "dermis.standalone", "demo", "--where"],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout.strip()
    )
    images = sorted(map(str, folder.glob("*.jpg")))
    command = [
        sys.executable,
        "-m",
        "dermis.standalone",
        "assess",
        *images,
        "--answers",
        str(folder / "answers.json"),
        "--url",
        system.url,
    ]
    run = subprocess.run([*command, "--json"], check=False, stdout=subprocess.PIPE, text=True)
    case = json.loads(run.stdout)
    assert run.returncode == 0
    assert case["outcome"]["kind"] == "DIFFERENTIAL"
    assert case["outcome"]["model"]["purpose"] == "demo"


def test_a_real_scin_case(system: System, client: httpx.Client, real_data: Path) -> None:
    with (real_data / "photos/scin/manifest.csv").open(newline="") as file:
        rows = sorted((row for row in csv.DictReader(file) if row["case_id"] == CASE), key=lambda row: row["slot"])
    command = [
        sys.executable,
        "-m",
        "dermis.standalone",
        "answers",
        "--scin-row",
        str(real_data / "scin/scin_cases.csv"),
        "--case-id",
        CASE,
    ]
    answers = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    response = client.post(
        "/v1/cases",
        files=files(*(real_data / "photos/scin" / row["file"] for row in rows)),
        data={"self_report": answers, "shot_types": [row["shot_type"] for row in rows]},
    )
    case = finish(client, response)
    assert [image["quality"]["verdict"] for image in case["images"]] != ["UNUSABLE"] * 3
    assert case["outcome"]["kind"] in ("DIFFERENTIAL", "ABSTENTION")
    assert abs(sum(c["probability"] for c in case["outcome"]["differential"]) - 1) < 1e-3
    stored = json.loads(system.case(case["id"])["received.json"])
    assert stored["self_report"]["body_parts"] == ["LEG"]
    assert stored["self_report"]["fitzpatrick_skin_type"] is None


def test_a_pad_ufes_photo(client: httpx.Client, real_data: Path) -> None:
    photo = min((real_data / "photos/pad_ufes_20").glob("*.jpg"))
    case = finish(client, client.post("/v1/cases", files=files(photo), data={"self_report": "{}"}))
    assert case["outcome"]["kind"] in ("DIFFERENTIAL", "ABSTENTION")


def test_the_mostly_black_photo_is_rejected_with_advice(client: httpx.Client, real_data: Path) -> None:
    case = finish(client, client.post("/v1/cases", files=files(real_data / "photos/scin/unmapped_mostly_black.png")))
    assert case["outcome"]["kind"] == "REJECTION"
    assert case["outcome"]["advice"]
    assert case["outcome"]["differential"] == []


def test_a_12_megapixel_photo_leaves_no_exif(system: System, client: httpx.Client) -> None:
    data = photo_12mp()
    assert b"Exif" in data
    assert PLANTED in data
    case = finish(client, client.post("/v1/cases", files=files(("photo.jpg", data, "image/jpeg"))))
    assert case["outcome"]["kind"] in ("DIFFERENTIAL", "ABSTENTION")
    objects = system.case(case["id"])
    prepared = cv2.imdecode(np.frombuffer(objects["images/1/prepared"], np.uint8), cv2.IMREAD_COLOR)
    assert prepared.shape[:2] == (512, 384)  # turned upright
    assert json.loads(objects["received.json"])["images"][0]["orientation"] == 6
    for key, stored in system.objects().items():
        assert b"Exif" not in stored, key
        assert PLANTED not in stored, key


def test_a_heic_is_read_and_leaves_no_metadata(system: System, client: httpx.Client) -> None:
    data = (Path(__file__).parents[1] / "support" / "generated.heic").read_bytes()
    assert b"SECRET" in data
    case = finish(client, client.post("/v1/cases", files=files(("photo.heic", data, "image/heic"))))
    assert case["outcome"]["kind"] in ("DIFFERENTIAL", "ABSTENTION")
    for key, stored in system.case(case["id"]).items():
        assert b"SECRET" not in stored, key
        assert b"Exif" not in stored, key


def png(width: int = 64, height: int = 64) -> bytes:
    ok, data = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))
    assert ok
    return data.tobytes()


def huge_png_header() -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + png()[33:]


GOOD = ("a.png", png(), "image/png")
BAD: dict[str, tuple[dict[str, Any], set[int]]] = {
    "no image": ({"data": {"self_report": "{}"}, "files": [("other", ("", b"", "text/plain"))]}, {400, 422}),
    "four images": ({"files": files(GOOD, GOOD, GOOD, GOOD)}, {422}),
    "40 MB": ({"files": files(("a.png", png() + bytes(40_000_000), "image/png"))}, {413}),
    "a PDF named .jpg": ({"files": files(("a.jpg", b"%PDF-1.7\n" + bytes(5000), "image/jpeg"))}, {415}),
    "a truncated PNG": ({"files": files(("a.png", png()[:-200], "image/png"))}, {422}),
    "a 60,000 x 60,000 PNG": ({"files": files(("a.png", huge_png_header(), "image/png"))}, {413, 422}),
    "an unknown answer": ({"files": files(GOOD), "data": {"self_report": '{"textures": ["FLAT", "SCALY"]}'}}, {422}),
    "malformed JSON": ({"files": files(GOOD), "data": {"self_report": '{"textures": '}}, {422}),
    "the wrong content type": ({"content": b"{}", "headers": {"content-type": "text/plain"}}, {415}),
    "a JSON object without images or answers": ({"json": {}}, {422}),
}


def kept(system: System) -> set[str]:
    """Return what is stored but the audit, whose records of earlier reads come up to a minute later."""
    return {key for key in system.objects() if not key.startswith("audit/")}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_clear_problem_and_nothing_is_stored(system: System, client: httpx.Client, name: str) -> None:
    request, statuses = BAD[name]
    before = kept(system)
    response = client.post("/v1/cases", **request)
    problem = response.json()
    print(name, response.status_code, problem["reason"], problem["detail"])
    assert response.status_code in statuses
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["reason"]
    assert problem["detail"]
    assert kept(system) - before == set()
