"""What a profile says is kept beside the orientation, as numbers.

A profile without few numbers stands whole for a moment.
"""

import contextlib
from typing import Any

import pytest
from PIL import Image as Pillow

from dermis.shared.case import Received, fact_key, image_key
from dermis.shared.images.color_profile import ADOBE_RGB, ColorProfile
from dermis.shared.images.icc import read_icc
from dermis.shared.jobs import scratch_key
from dermis.shared.ports import BlobConflict
from tests.support.colors import SPACES, profile_of, table_profile
from tests.support.images import encode, quarters

P3 = profile_of(SPACES["Display P3"], text="SECRET-PERSON")
TABLES = table_profile(SPACES["Display P3"])

RECEIVED = """{"case_id": "CASE", "owner": "public", "received_at": "2026-01-02T00:00:00Z", "self_report": {},
 "images": [
  {"n": 1, "content_type": "image/png", "bytes": 1, "sha256": "", "width": 1, "height": 1, "keep_original": false}]}"""


def received(gateway: Any, *images: bytes) -> Received:
    case_id = gateway.submit(*images).json()["id"]
    return Received.model_validate_json(gateway.store.get(fact_key("public", case_id, "received")))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_profile_is_kept_as_numbers_and_nothing_else_of_it(gateway: Any, form: str) -> None:
    (image,) = received(gateway, encode(quarters(), form, icc_profile=P3)).images
    assert image.color == read_icc(P3)
    assert image.keep_original
    assert not any(b"SECRET" in gateway.store.get(key) or b"mluc" in gateway.store.get(key) for key in gateway.keys)


def test_srgb_and_no_profile_are_the_same(gateway: Any) -> None:
    srgb = profile_of(SPACES["sRGB"])
    images = received(gateway, encode(quarters(), "JPEG"), encode(quarters(), "JPEG", icc_profile=srgb)).images
    assert [image.color for image in images] == [None, None]


def test_adobe_rgb_is_read_from_exif_where_a_camera_writes_no_profile(gateway: Any) -> None:
    exif = Pillow.Exif()
    exif.get_ifd(0x8769).update({0xA001: 65535, 0xA005: {1: "R03"}})
    (image,) = received(gateway, encode(quarters(), "JPEG", exif=exif.tobytes())).images
    assert image.color == ADOBE_RGB


def test_a_profile_by_tables_stands_beside_the_original(gateway: Any) -> None:
    case = received(gateway, encode(quarters(), "PNG", icc_profile=TABLES))
    (image,) = case.images
    assert (image.color, image.keep_original) == (None, False)
    assert gateway.store.get(image_key("public", case.case_id, 1, "profile")) == TABLES
    assert b"iCCP" not in gateway.store.get(image_key("public", case.case_id, 1, "original"))


def test_a_case_that_cannot_be_stored_leaves_no_profile_behind(gateway: Any) -> None:
    put_once = gateway.store.put_once

    def refuse(key: str, data: bytes) -> bool:
        if key.endswith("received.json"):
            raise BlobConflict(key)
        return put_once(key, data)

    gateway.store.put_once = refuse
    with contextlib.suppress(BlobConflict):
        gateway.submit(encode(quarters(), "PNG", icc_profile=TABLES))
    assert gateway.kept == []


def test_an_image_to_judge_at_once_takes_its_colours_along(gateway: Any) -> None:
    put_once, stored = gateway.store.put_once, {}
    gateway.store.put_once = lambda key, data: (stored.update({key: data}), put_once(key, data))[1]
    for profile in (P3, TABLES, None):
        gateway.call(
            "POST",
            "/v1/images:assess",
            files={"image": encode(quarters(), "PNG", **({"icc_profile": profile} if profile else {}))},  # type: ignore[arg-type]
        )
    numbers, tables, neither = gateway.broker.asked
    assert isinstance(numbers.color, ColorProfile)
    assert numbers.profile_id is None
    assert tables.color is None
    assert stored[scratch_key(tables.profile_id)] == TABLES
    assert (neither.color, neither.profile_id) == (None, None)
    assert len(numbers.model_dump_json()) < 1000
    assert gateway.keys == []


def test_an_original_that_a_worker_removed_is_not_put_again(gateway: Any) -> None:
    """The gateway was stopped before its last look; the sweep sent the case, and a worker prepared it."""
    put_once = gateway.store.put_once

    def stopped(key: str, data: bytes, **more: Any) -> bool:
        new = bool(put_once(key, data, **more))
        if key.endswith("/received.json"):
            gateway.store.put_once = put_once
            put_once(key.replace("received", "assessed"), b"{}")
            for form in ("original", "profile"):
                gateway.store.delete(key.replace("received.json", f"images/1/{form}"))
        return new

    gateway.store.put_once = stopped
    gateway.submit(encode(quarters(), "PNG", icc_profile=TABLES))
    assert not [key for key in gateway.keys if key.endswith(("/original", "/profile"))]


def test_an_equal_request_that_comes_late_leaves_no_original_behind(gateway: Any) -> None:
    """Of two equal requests the slower one stores its objects when a worker has done the case already."""
    put_once, headers = gateway.store.put_once, {"Idempotency-Key": "one"}
    faster: list[Any] = []

    def late(key: str, data: bytes, **more: Any) -> bool:
        if key.startswith("open/") and not faster:
            case_id = key.removeprefix("open/")
            fact = fact_key("public", case_id, "received")
            stored = Received.model_validate_json(RECEIVED.replace("CASE", case_id))
            faster.append(put_once(fact, stored.model_dump_json().encode()))
            put_once(fact_key("public", case_id, "assessed"), b"{}")
        return bool(put_once(key, data, **more))

    gateway.store.put_once = late
    with contextlib.suppress(Exception):
        gateway.submit(encode(quarters(), "PNG", icc_profile=TABLES), headers=headers)
    assert faster
    assert not [key for key in gateway.keys if key.endswith(("/original", "/profile"))]
