"""Decoding: every format and orientation to one upright working image, and nothing damaged taken for real."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageOps

from dermis.data.generated.skin import scene
from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.cost import MAX_PIXELS
from dermis.shared.images.header import Format
from dermis.shared.vocabulary import MonkSkinTone
from dermis.worker.core.decode import decode
from tests.support.images import Pixels, encode, quarters, stored

FORMS = ("JPEG", "PNG", "WEBP")
DATA = Path(__file__).parent / "data"
SCENE = scene("Eczema", tone=MonkSkinTone.MST5, seed=1, size=(90, 120))


def refused(data: bytes, **options: object) -> DermisError:
    with pytest.raises(DermisError) as caught:
        decode(data, **options)  # type: ignore[arg-type]
    return caught.value


def apart(one: Pixels, other: Pixels) -> float:
    """Return the mean difference of two images in levels."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


def kind_of(data: bytes) -> Kind | None:
    try:
        decode(data)
    except DermisError as error:
        return error.kind
    return None


def png(width: int, height: int, *, idat: bytes = b"", kind: int = 2) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(idat)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_equals_the_upright_image(form: str, orientation: int) -> None:
    upright = quarters()
    data = encode(stored(upright, orientation), form, orientation=orientation)
    with Pillow.open(io.BytesIO(data)) as picture:
        np.testing.assert_allclose(
            np.asarray(ImageOps.exif_transpose(picture)), upright, atol=4
        )  # as any viewer shows it
    np.testing.assert_allclose(decode(data).image, upright, atol=4)
    assert (decode(data).width, decode(data).height) == stored(upright, orientation).shape[1::-1]


@pytest.mark.parametrize("form", FORMS)
def test_a_recorded_orientation_counts_instead_of_the_one_in_the_bytes(form: str) -> None:
    lying = stored(quarters(), 6)
    np.testing.assert_allclose(decode(encode(lying, form), orientation=6).image, quarters(), atol=4)
    np.testing.assert_allclose(decode(encode(lying, form, orientation=6), orientation=6).image, quarters(), atol=4)
    np.testing.assert_allclose(decode(encode(lying, form, orientation=6), orientation=1).image, lying, atol=4)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0",
        b"nonsense",
    ],
)
def test_a_broken_exif_block_counts_as_none(block: bytes) -> None:
    data = encode(quarters(), "JPEG")
    body = b"Exif\0\0" + block
    np.testing.assert_array_equal(
        decode(data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]).image, decode(data).image
    )


def test_big_endian_exif_is_read() -> None:
    block = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = encode(stored(quarters(), 6), "PNG", exif=b"Exif\0\0" + block)
    np.testing.assert_array_equal(decode(data).image, quarters())


@pytest.mark.parametrize(("height", "width"), [(1200, 1600), (1600, 1200), (700, 100), (512, 512), (20, 30)])
@pytest.mark.parametrize("form", FORMS)
def test_the_working_image_is_shrunk_to_512_and_never_enlarged(form: str, height: int, width: int) -> None:
    found = decode(encode(quarters(height=height, width=width), form))
    longest = min(512, max(height, width))
    assert max(found.image.shape[:2]) == longest
    assert found.image.shape[0] / found.image.shape[1] == pytest.approx(height / width, rel=0.01)
    assert (found.image.dtype, found.width, found.height, found.format) == (
        np.uint8,
        width,
        height,
        Format(f"image/{form.lower()}"),
    )
    assert found.image.flags.c_contiguous


def test_dct_scaling_shows_what_decoding_in_full_shows() -> None:
    large = cv2.resize(
        scene("Psoriasis", tone=MonkSkinTone.MST7, seed=2, size=(480, 640)), (4032, 3024), interpolation=cv2.INTER_CUBIC
    )
    data = encode(large, "JPEG")
    full = cv2.resize(np.asarray(Pillow.open(io.BytesIO(data))), (512, 384), interpolation=cv2.INTER_AREA)
    assert apart(decode(data).image, full) < 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_modes_show_what_a_viewer_shows(mode: str) -> None:
    picture = Pillow.fromarray(SCENE).convert(mode)
    if "A" in mode:
        picture.putalpha(
            Pillow.fromarray(np.tile(np.linspace(0, 255, SCENE.shape[1]).astype(np.uint8), (SCENE.shape[0], 1)))
        )
    shown = Pillow.alpha_composite(Pillow.new("RGBA", picture.size, "white"), picture.convert("RGBA")).convert("RGB")
    found = decode(encode(picture, "PNG"))
    np.testing.assert_allclose(found.image, np.asarray(shown), atol=1)
    assert found.mode == {"1": "GREY", "L": "GREY", "LA": "RGBA", "P": "RGB", "RGB": "RGB", "RGBA": "RGBA"}[mode]


def test_a_transparent_palette_entry_lies_over_white() -> None:
    picture = Pillow.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, 10, 20, 30])
    picture.paste(0, (0, 0, 4, 8))
    found = decode(encode(picture, "PNG", transparency=0)).image
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[0, 7].tolist() == [10, 20, 30]


def test_webp_with_transparency_lies_over_white() -> None:
    clear = np.dstack([quarters(), np.zeros(quarters().shape[:2], np.uint8)])
    clear[:, 48:, 3] = 255
    found = decode(encode(clear, "WEBP")).image
    assert (found[:, :48] == 255).all()
    np.testing.assert_array_equal(found[:, 48:], quarters()[:, 48:])


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_scaled_to_8(channels: int) -> None:
    eight = SCENE if channels == 3 else cv2.cvtColor(SCENE, cv2.COLOR_RGB2GRAY)
    wide = eight.astype(np.uint16) * 257
    found = decode(cv2.imencode(".png", wide[..., ::-1] if channels == 3 else wide)[1].tobytes())
    np.testing.assert_array_equal(found.image, eight if channels == 3 else np.dstack([eight] * 3))
    assert found.mode == ("RGB16" if channels == 3 else "GREY16")


def test_a_grey_jpeg_has_three_equal_channels() -> None:
    found = decode(encode(Pillow.fromarray(SCENE).convert("L"), "JPEG"))
    assert found.mode == "GREY"
    assert (found.image[..., 0] == found.image[..., 1]).all()
    assert (found.image[..., 0] == found.image[..., 2]).all()


def test_a_cmyk_jpeg_shows_what_pillow_shows() -> None:
    data = encode(Pillow.fromarray(SCENE).convert("CMYK"), "JPEG")
    shown = np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))
    assert apart(decode(data).image, shown) < 1


def test_heic_is_decoded_and_turned_once_by_its_container() -> None:
    upright, turned = ((DATA / name).read_bytes() for name in ("quarters.heic", "quarters-turned.heic"))
    assert apart(decode(upright).image, quarters()) < 2
    for recorded in (None, 6):  # EXIF says 6 too and does not count again
        found = decode(turned, orientation=recorded)
        assert apart(found.image, np.rot90(quarters(), -1)) < 2
        assert found.format is Format.HEIC


def test_heic_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    error = refused((DATA / "quarters.heic").read_bytes())
    assert (error.kind, error.reason) == (Kind.UNSUPPORTED, "HEIC_SUPPORT")
    assert "pi-heif" in error.detail


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("large", [False, True])
def test_a_cut_off_jpeg_is_never_taken_for_real(progressive: bool, large: bool) -> None:
    image = cv2.resize(SCENE, (2016, 1512)) if large else SCENE
    data = encode(image, "JPEG", progressive=progressive)
    for share in (0.05, 0.3, 0.5, 0.8, 0.95, 0.999):
        cut = data[: int(len(data) * share)]
        assert refused(cut).reason == "IMAGE_DAMAGED"
        assert refused(cut + b"\xff\xd9").reason == "IMAGE_DAMAGED"  # with an end mark set after the cut


@pytest.mark.parametrize(
    "data", [encode(SCENE, form) for form in FORMS] + [(DATA / "quarters.heic").read_bytes()], ids=[*FORMS, "HEIC"]
)
@given(share=st.floats(0, 0.999))
@settings(max_examples=60, deadline=None)
def test_a_cut_anywhere_is_refused(data: bytes, share: float) -> None:
    error = refused(data[: int(len(data) * share)])
    assert error.reason in ("IMAGE_DAMAGED", "IMAGE_FORMAT")


@pytest.mark.parametrize(
    "data", [encode(SCENE, form) for form in FORMS] + [(DATA / "quarters.heic").read_bytes()], ids=[*FORMS, "HEIC"]
)
@given(flips=st.lists(st.tuples(st.floats(0, 0.9999), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_altered_bytes_decode_or_are_refused(data: bytes, flips: list[tuple[float, int]]) -> None:
    altered = bytearray(data)
    for share, value in flips:
        altered[int(len(data) * share)] = value
    assert kind_of(bytes(altered)) in (None, Kind.INVALID, Kind.UNSUPPORTED)


def test_a_png_with_too_few_rows_is_refused() -> None:
    assert refused(png(100, 100, idat=bytes(301 * 20))).reason == "IMAGE_DAMAGED"


@pytest.mark.parametrize(
    "data",
    [
        png(60_000, 60_000),
        png(8193, 8192),
        b"RIFF\x12\0\0\0WEBPVP8L\x05\0\0\0\x2f\xfe\xbf\xff\x0f\0",
        encode(quarters(), "JPEG")
        .replace(struct.pack(">HH", 64, 96), struct.pack(">HH", 65_000, 65_000), 1)
        .replace(b"\xff\xc0", b"\xff\xc2"),
    ],
    ids=["png", "just-above", "webp", "jpeg"],
)
def test_a_bomb_is_refused_by_its_header(data: bytes) -> None:
    error = refused(data)
    assert (error.kind, error.reason) in ((Kind.INVALID, "IMAGE_DIMENSIONS"), (Kind.INVALID, "IMAGE_COST"))
    assert (f"{MAX_PIXELS:,}" if error.reason == "IMAGE_DIMENSIONS" else "at most 5 s") in error.detail


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7", b"GIF89a" + bytes(50), b"RIFF\0\0\0\0WAVE", bytes(100)])
def test_other_formats_are_refused(data: bytes) -> None:
    assert refused(data).reason == "IMAGE_FORMAT"


@pytest.mark.parametrize("size", [(0, 10), (10, 0)])
def test_an_empty_image_is_refused(size: tuple[int, int]) -> None:
    assert refused(png(*size)).reason == "IMAGE_DAMAGED"


def test_bytes_that_are_not_what_they_are_said_to_be_are_refused() -> None:
    error = refused(encode(SCENE, "PNG"), content_type="image/jpeg")
    assert error.reason == "IMAGE_FORMAT"
    assert "image/png" in error.detail
    decode(encode(SCENE, "PNG"), content_type="image/png")


HUNGRY = """
import resource, sys
from dermis.shared.errors import DermisError
from dermis.worker.core.decode import decode
big, small = (open(path, "rb").read() for path in sys.argv[1:3])
decode(small)
resource.setrlimit(resource.RLIMIT_DATA, (300 << 20, 300 << 20))
try:
    decode(big)
except DermisError as error:
    print(error.reason, decode(small).mode)
"""


def test_an_image_that_needs_more_memory_than_may_be_taken_is_refused_and_the_next_one_read(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("big.png", "small.png")]
    for path, side in zip(paths, (8000, 50), strict=True):
        path.write_bytes(
            cv2.imencode(".png", np.full((side, side, 4), 99, np.uint16 if side > 50 else np.uint8))[1].tobytes()
        )
    done = subprocess.run([sys.executable, "-c", HUNGRY, *map(str, paths)], check=True, capture_output=True, text=True)
    assert done.stdout == "IMAGE_COST RGBA\n"
