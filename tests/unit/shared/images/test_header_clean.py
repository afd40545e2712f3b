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

from dermis.shared.errors import DermisError
from dermis.shared.images.exif import read_exif
from dermis.shared.images.header import CleanImage, clean

NOT_METADATA = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


@pytest.fixture(params=["jpeg", "png", "webp"])
def image(request: pytest.FixtureRequest) -> bytes:
    data: bytes = request.getfixturevalue(request.param)
    return data


def saved(form: str, mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((33, 21), 80).convert(mode).save(out, form, **options)
    return out.getvalue()


def refusal(data: bytes) -> DermisError:
    with pytest.raises(DermisError) as caught:
        clean(data)
    return caught.value


def outcome(data: bytes) -> tuple[str | None, CleanImage | None]:
    try:
        return None, clean(data)
    except DermisError as error:
        return error.reason, None


def test_metadata_is_gone_and_orientation_kept(image: bytes) -> None:
    assert b"SECRET" in image
    found = clean(image)
    assert b"SECRET" not in found.data
    assert b"Exif" not in found.data
    assert found.header.orientation == 6
    assert (found.header.width, found.header.height) == (60, 40)
    opened = Image.open(io.BytesIO(found.data))
    assert opened.info.keys() <= {
        "jfif",
        "jfif_version",
        "jfif_unit",
        "jfif_density",
        "loop",
        "background",
        "timestamp",
        "duration",
    }
    assert not opened.getexif()


def test_a_jpeg_has_no_exif_left_for_piexif(jpeg: bytes) -> None:
    assert piexif.load(jpeg)["GPS"]
    assert not any(piexif.load(clean(jpeg).data).values())


def test_a_png_keeps_only_what_decodes(png: bytes) -> None:
    data, at, kinds = clean(png).data, 8, []
    while at < len(data):
        kinds.append(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    assert set(kinds) <= NOT_METADATA


def test_a_webp_doesnt_state_what_it_no_longer_holds(webp: bytes) -> None:
    profile, exif, xmp, alpha = 0x20, 0x08, 0x04, 0x10
    assert (webp[12:16], webp[20]) == (b"VP8X", profile | exif | xmp)
    plain = clean(webp).data
    assert plain[12:16] == b"VP8 "
    assert int.from_bytes(plain[4:8], "little") == len(plain) - 8
    seen_through = Image.linear_gradient("L").convert("RGB")
    seen_through.putalpha(Image.linear_gradient("L"))
    out = io.BytesIO()
    seen_through.save(out, "WEBP", xmp=b"SECRET-XMP")
    plain = clean(out.getvalue()).data
    assert (plain[12:16], plain[20]) == (b"VP8X", alpha)
    assert Image.open(io.BytesIO(plain)).tobytes() == Image.open(out).tobytes()


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
def test_pixels_are_untouched_and_cleaning_again_changes_nothing(
    form: str, mode: str, options: dict[str, object]
) -> None:
    data = saved(form, mode, **options)
    found = clean(data)
    assert Image.open(io.BytesIO(found.data)).tobytes() == Image.open(io.BytesIO(data)).tobytes()
    assert clean(found.data).data == found.data
    assert found.header.format == f"image/{form.lower()}"
    assert (found.header.width, found.header.height) == (33, 21)


def test_pixels_of_real_images_are_untouched(real_data: Path) -> None:
    photos = sorted(p for p in (real_data / "photos").rglob("*") if p.suffix in {".jpg", ".jpeg", ".png"})[::8]
    assert len(photos) > 50
    for photo in photos:
        data = photo.read_bytes()
        found = clean(data)
        opened = Image.open(io.BytesIO(data))
        assert opened.size == (found.header.width, found.header.height)
        assert Image.open(io.BytesIO(found.data)).tobytes() == opened.tobytes(), photo.name


def test_every_cut_is_refused(image: bytes) -> None:
    whole = image.removesuffix(b"SECRET-TRAILER")
    ends = len(whole)
    if image.startswith(b"\xff\xd8"):
        ends = image.rindex(b"\xff\xda") + 2  # whether a scan is whole is for the decoder to see
    elif image.startswith(b"RIFF"):
        ends = image.rindex(b"EXIF")  # what follows the picture is not needed
    for end in [*range(64), *range(64, ends, 37), ends - 1]:
        assert refusal(whole[:end]).reason in {"IMAGE_DAMAGED", "IMAGE_FORMAT"}, end


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_changed_the_answer_is_an_image_or_a_refusal(image: bytes, data: st.DataObject) -> None:
    mutated = bytearray(image)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated)))
        mutated[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    reason, found = outcome(bytes(mutated))
    assert reason in {None, "IMAGE_DAMAGED", "IMAGE_FORMAT"}
    if found:
        assert 1 <= found.header.orientation <= 8
        assert clean(found.data).data == found.data


@settings(max_examples=300, deadline=None)
@given(
    head=st.sampled_from(
        [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\0\0\0WEBP", b"RIFF\xff\xff\xff\xffWEBPVP8X"]
    ),
    rest=st.binary(max_size=200),
)
def test_no_bytes_do_more_than_get_refused(head: bytes, rest: bytes) -> None:
    refusal(head + rest)


@given(
    tiff=st.one_of(
        st.binary(), st.binary().map(b"II*\0\x08\0\0\0".__add__), st.binary().map(b"MM\0*\0\0\0\x08".__add__)
    )
)
def test_any_exif_block_has_an_orientation(tiff: bytes) -> None:
    assert 1 <= (read_exif(tiff).orientation or 1) <= 8


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_each_orientation_is_read_in_both_byte_orders(value: int, order: str) -> None:
    head = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(f"{order}IHHHII", 8, 2, 0x0100, 3, 1, 0) + struct.pack(
        f"{order}HHIHH", 0x0112, 3, 1, value, 0
    )
    assert read_exif(head + entries).orientation == value


def huge_png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + header + struct.pack(">I", zlib.crc32(header))


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"%PDF-1.7 and so on", "PDF"),
        (b"GIF89a" + bytes(20), "GIF"),
        (b"\0\0\0\x18ftypqt  " + bytes(20), "film"),
        (b"<svg/>", "SVG"),
        (b"", "no image"),
    ],
)
def test_another_format_is_named(data: bytes, named: str) -> None:
    error = refusal(data)
    assert error.reason == "IMAGE_FORMAT"
    assert named in error.detail


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for form in ("WEBP", "PNG"):
        out = io.BytesIO()
        frames[0].save(out, form, save_all=True, append_images=frames[1:], lossless=True)
        still = Image.open(io.BytesIO(clean(out.getvalue()).data))
        assert (getattr(still, "n_frames", 1), still.convert("RGB").getpixel((0, 0))) == (1, (255, 0, 0))


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
