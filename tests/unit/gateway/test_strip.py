"""Images are told apart, measured and freed of metadata without decoding: laws that hold for any bytes."""

import io
import struct
import time
import zlib
from pathlib import Path

import piexif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dermis.gateway.core import exif as exif_block
from dermis.gateway.core.image import CleanImage, Limits
from dermis.gateway.core.strip import clean_image
from dermis.shared.errors import DermisError

LIMITS = Limits(pixels=50_000_000, side=16_384)
NOT_METADATA = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


@pytest.fixture(params=["jpeg", "png", "webp"])
def image(request: pytest.FixtureRequest) -> bytes:
    data: bytes = request.getfixturevalue(request.param)
    return data


def saved(form: str, mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((33, 21), 80).convert(mode).save(out, form, **options)
    return out.getvalue()


def refusal(data: bytes, limits: Limits = LIMITS) -> DermisError:
    with pytest.raises(DermisError) as caught:
        clean_image(data, limits)
    return caught.value


def outcome(data: bytes) -> tuple[str | None, CleanImage | None]:
    try:
        return None, clean_image(data, LIMITS)
    except DermisError as error:
        return error.reason, None


def test_metadata_is_gone_and_orientation_kept(image: bytes) -> None:
    assert b"SECRET" in image
    clean = clean_image(image, LIMITS)
    assert b"SECRET" not in clean.data
    assert b"Exif" not in clean.data
    assert clean.orientation == 6
    assert (clean.width, clean.height) == (60, 40)
    opened = Image.open(io.BytesIO(clean.data))
    assert opened.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "loop", "background", "timestamp", "duration"}
    assert not opened.getexif()


def test_a_jpeg_has_no_exif_left_for_piexif(jpeg: bytes) -> None:
    assert piexif.load(jpeg)["GPS"]
    assert not any(piexif.load(clean_image(jpeg, LIMITS).data).values())


def test_a_png_keeps_only_what_decodes(png: bytes) -> None:
    data, at, kinds = clean_image(png, LIMITS).data, 8, []
    while at < len(data):
        kinds.append(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    assert set(kinds) <= NOT_METADATA


def test_a_webp_doesnt_state_what_it_no_longer_holds(webp: bytes) -> None:
    profile, exif, xmp, alpha = 0x20, 0x08, 0x04, 0x10
    assert (webp[12:16], webp[20]) == (b"VP8X", profile | exif | xmp)
    clean = clean_image(webp, LIMITS).data
    assert (clean[12:16], clean[20]) == (b"VP8X", 0)
    assert int.from_bytes(clean[4:8], "little") == len(clean) - 8
    seen_through = Image.linear_gradient("L").convert("RGB")
    seen_through.putalpha(Image.linear_gradient("L"))
    out = io.BytesIO()
    seen_through.save(out, "WEBP", xmp=b"SECRET-XMP")
    clean = clean_image(out.getvalue(), LIMITS).data
    assert (clean[12:16], clean[20]) == (b"VP8X", alpha)
    assert Image.open(io.BytesIO(clean)).tobytes() == Image.open(out).tobytes()


def test_one_wrong_bit_in_a_png_is_noticed(png: bytes) -> None:
    at = png.index(b"IDAT") + 9
    assert refusal(png[:at] + bytes([png[at] ^ 1]) + png[at + 1 :]).reason == "IMAGE_DAMAGED"


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("JPEG", "RGB", {"quality": 60}),
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "RGB", {"restart_marker_blocks": 1}),
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGB", {}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("PNG", "I;16", {}),
        ("PNG", "LA", {}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True}),
    ],
)
def test_pixels_are_untouched_and_cleaning_again_changes_nothing(form: str, mode: str, options: dict[str, object]) -> None:
    data = saved(form, mode, **options)
    clean = clean_image(data, LIMITS)
    assert Image.open(io.BytesIO(clean.data)).tobytes() == Image.open(io.BytesIO(data)).tobytes()
    assert clean_image(clean.data, LIMITS).data == clean.data
    assert clean.content_type == f"image/{form.lower()}"
    assert (clean.width, clean.height) == (33, 21)


def test_pixels_of_real_images_are_untouched(real_data: Path) -> None:
    photos = sorted(p for p in (real_data / "photos").rglob("*") if p.suffix in {".jpg", ".jpeg", ".png"})[::8]
    assert len(photos) > 50
    for photo in photos:
        data = photo.read_bytes()
        clean = clean_image(data, LIMITS)
        opened = Image.open(io.BytesIO(data))
        assert opened.size == (clean.width, clean.height)
        assert Image.open(io.BytesIO(clean.data)).tobytes() == opened.tobytes(), photo.name


def test_every_cut_is_refused(image: bytes) -> None:
    whole = image.removesuffix(b"SECRET-TRAILER")
    for end in [*range(64), *range(64, len(whole), 37), len(whole) - 1]:
        assert refusal(whole[:end]).reason in {"IMAGE_DAMAGED", "IMAGE_FORMAT"}, end


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_changed_the_answer_is_an_image_or_a_refusal(image: bytes, data: st.DataObject) -> None:
    mutated = bytearray(image)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated)))
        mutated[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    reason, clean = outcome(bytes(mutated))
    assert reason in {None, "IMAGE_DAMAGED", "IMAGE_FORMAT", "IMAGE_DIMENSIONS"}
    if clean:
        assert 1 <= clean.orientation <= 8
        assert clean_image(clean.data, LIMITS).data == clean.data


@settings(max_examples=300, deadline=None)
@given(
    head=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\0\0\0WEBP", b"RIFF\xff\xff\xff\xffWEBPVP8X"]),
    rest=st.binary(max_size=200),
)
def test_no_bytes_do_more_than_get_refused(head: bytes, rest: bytes) -> None:
    refusal(head + rest)


@given(tiff=st.one_of(st.binary(), st.binary().map(b"II*\0\x08\0\0\0".__add__), st.binary().map(b"MM\0*\0\0\0\x08".__add__)))
def test_any_exif_block_has_an_orientation(tiff: bytes) -> None:
    assert 1 <= exif_block.orientation(tiff) <= 8


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_each_orientation_is_read_in_both_byte_orders(value: int, order: str) -> None:
    head = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(f"{order}IHHHII", 8, 2, 0x0100, 3, 1, 0) + struct.pack(f"{order}HHIHH", 0x0112, 3, 1, value, 0)
    assert exif_block.orientation(head + entries) == value


def huge_png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + header + struct.pack(">I", zlib.crc32(header))


def test_a_huge_header_is_refused_by_its_size_whatever_follows(jpeg: bytes) -> None:
    assert refusal(huge_png(60_000, 60_000)).reason == "IMAGE_DIMENSIONS"
    assert refusal(huge_png(60_000, 60_000)[:26]).reason == "IMAGE_DIMENSIONS"
    assert refusal(huge_png(16_385, 1)).reason == "IMAGE_DIMENSIONS"
    assert refusal(huge_png(0, 5)).reason == "IMAGE_DAMAGED"
    assert refusal(huge_png(16_384, 1)).reason == "IMAGE_DAMAGED"
    size = jpeg.rindex(b"\xff\xc0\x00\x11\x08") + 5  # the first one is the thumbnail's
    large = jpeg[:size] + b"\xea\x60\xea\x60" + jpeg[size + 4 :]
    assert refusal(large).reason == "IMAGE_DIMENSIONS"
    assert refusal(jpeg, Limits(pixels=2399, side=60)).reason == "IMAGE_DIMENSIONS"


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"%PDF-1.7 and so on", "PDF"),
        (b"GIF89a" + bytes(20), "GIF"),
        (b"\0\0\0\x18ftypavif" + bytes(20), "AVIF"),
        (b"<svg/>", "no image"),
        (b"", "no image"),
    ],
)
def test_another_format_is_named(data: bytes, named: str) -> None:
    error = refusal(data)
    assert error.reason == "IMAGE_FORMAT"
    assert named in error.detail


def test_an_animation_is_refused() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:])
    assert "animation" in refusal(out.getvalue()).detail


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xff\xd8" + b"\xff" * 20_000_000 + b"\0",
        b"\xff\xd8" + b"\xff\xfe\0\2" * 5_000_000,
        b"\xff\xd8\xff\xc0\0\x0b\x08\0\x10\0\x10\1\1\x11\0\xff\xda\0\2" + b"\xff" * 20_000_000,
        huge_png(8, 8) + (b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))) * 1_600_000,
    ],
    ids=["fill", "segments", "scan of fill", "chunks"],
)
def test_no_20_megabytes_take_long_to_refuse(hostile: bytes) -> None:
    start = time.process_time()
    refusal(hostile)
    assert time.process_time() - start < 2
