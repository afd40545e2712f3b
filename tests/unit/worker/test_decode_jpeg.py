"""JPEGs of every sampling, damage and size through `decode`: right, or refused before a decoder can do harm."""

import io

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image as Pillow

from dermis.data.generated.skin import scene
from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.cost import WORKING_SIZE, decoded_size
from dermis.shared.images.header import read_header
from dermis.shared.vocabulary import MonkSkinTone
from dermis.worker.core.decode import decode
from tests.support import jpegs
from tests.support.images import Pixels, encode, quarters

SCENE = scene("Eczema", tone=MonkSkinTone.MST6, seed=3, size=(240, 320))
LARGE = cv2.resize(SCENE, (1331, 1003), interpolation=cv2.INTER_CUBIC)


def refusal(data: bytes) -> DermisError:
    with pytest.raises(DermisError) as caught:
        decode(data)
    return caught.value


def as_pillow_shows(data: bytes, like: Pixels) -> float:
    """Return the mean difference in levels from what Pillow decodes, at the size of `like`."""
    shown = np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))
    return float(np.abs(cv2.resize(shown, like.shape[1::-1], interpolation=cv2.INTER_AREA).astype(int) - like).mean())


def planes(pixels: Pixels, *sizes: tuple[int, int]) -> list[Pixels]:
    """Return luma, blue and red difference, each at its own size (columns, rows)."""
    channels = cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    return [
        cv2.resize(np.ascontiguousarray(channels[..., n]), size, interpolation=cv2.INTER_AREA)
        for n, size in enumerate(sizes)
    ]


@pytest.mark.parametrize("data", [jpegs.lossless(4096, 64), jpegs.lossless(400, 300)], ids=["scaled", "not scaled"])
def test_a_lossless_jpeg_never_reaches_a_decoder(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(*_: object, **__: object) -> None:
        raise AssertionError("a decoder saw the bytes")

    for module, name in ((simplejpeg, "decode_jpeg"), (simplejpeg, "decode_jpeg_header"), (cv2, "imdecode")):
        monkeypatch.setattr(module, name, seen)
    error = refusal(data)
    assert (error.kind, error.reason) == (Kind.UNSUPPORTED, "IMAGE_FORMAT")


@pytest.mark.parametrize("factors", ["444", "422", "420", "440", "411"])
@pytest.mark.parametrize(
    "size", [(1331, 1003), (4096, 17), (17, 4096), (513, 512), (4095, 33), (8, 8), (1, 1), (1, 700)]
)
def test_the_decoder_gives_the_size_that_is_due(factors: str, size: tuple[int, int]) -> None:
    data = jpegs.sampled(cv2.resize(SCENE, size), factors)
    header = read_header(data)
    at_least = {"min_width" if size[0] >= size[1] else "min_height": min(WORKING_SIZE, max(size))}
    width, height = decoded_size(header)
    assert simplejpeg.decode_jpeg(data, **at_least).shape == (height, width, 3)
    assert max(decode(data).image.shape[:2]) == min(WORKING_SIZE, max(size))


@pytest.mark.parametrize(
    ("factors", "sizes"),
    [
        ((0x31, 0x11, 0x11), ((1331, 1003), (444, 1003), (444, 1003))),
        ((0x13, 0x11, 0x11), ((1331, 1003), (1331, 335), (1331, 335))),
        ((0x22, 0x12, 0x11), ((1331, 1003), (666, 1003), (666, 502))),
        ((0x11, 0x11, 0x11), ((1331, 1003), (1331, 1003), (1331, 1003))),
        ((0x22, 0x22, 0x22), ((1331, 1003), (1331, 1003), (1331, 1003))),
        ((0x41, 0x21, 0x11), ((1331, 1003), (666, 1003), (333, 1003))),
    ],
    ids=["3x1", "1x3", "mixed", "1x1", "2x2 in all", "4-2-1"],
)
def test_rare_sampling_is_decoded_and_missing_rows_are_noticed(
    factors: tuple[int, ...], sizes: tuple[tuple[int, int], ...]
) -> None:
    data = jpegs.grey_channels(planes(LARGE, *sizes), factors)
    found = decode(data).image
    assert as_pillow_shows(data, found) < 1.5
    assert np.abs(cv2.resize(LARGE, found.shape[1::-1], interpolation=cv2.INTER_AREA).astype(int) - found).mean() < 4
    error = refusal(data[: -len(data) // 20])
    assert error.reason == "IMAGE_DAMAGED"
    assert "breaks off" in error.detail


@pytest.mark.parametrize("adobe", [True, False], ids=["Adobe", "plain"])
@pytest.mark.parametrize("large", [True, False])
def test_cmyk_shows_what_pillow_shows(adobe: bool, large: bool) -> None:
    data = encode(Pillow.fromarray(LARGE if large else SCENE).convert("CMYK"), "JPEG")
    if not adobe:
        data = jpegs.join([part for part in jpegs.segments(data) if part[0] != 0xEE])
    found = decode(data).image
    assert as_pillow_shows(data, found) < 1
    assert decode(data).mode == "RGB"


def test_ycck_shows_what_pillow_shows() -> None:
    cmyk = np.asarray(Pillow.fromarray(SCENE).convert("CMYK"))
    channels = cv2.cvtColor(np.ascontiguousarray(255 - cmyk[..., :3]), cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    data = jpegs.grey_channels([*_planes_of(channels), 255 - cmyk[..., 3]], (0x11,) * 4)
    adobe = jpegs.segment(0xEE, b"Adobe\0\x64\0\0\0\0\2")
    data = data[:2] + adobe + data[2:]
    assert as_pillow_shows(data, decode(data).image) < 1.5


def _planes_of(channels: Pixels) -> list[Pixels]:
    return [np.ascontiguousarray(channels[..., n]) for n in range(channels.shape[2])]


@pytest.mark.parametrize(
    "size", [(8160, 6120), (9248, 6936), (12_000, 9000), (16_320, 12_240)], ids=["50", "64", "108", "200 MP"]
)
def test_frames_of_every_phone_are_decoded(size: tuple[int, int]) -> None:
    found = decode(encode(Pillow.new("L", size, 130), "JPEG", quality=50))
    assert (found.width, found.height) == size
    assert max(found.image.shape) == WORKING_SIZE
    assert abs(int(found.image.mean()) - 130) <= 1


SAMSUNG = jpegs.join(
    [
        (marker, body[:-3] + bytes(3) if marker == 0xDA else body, coded)
        for marker, body, coded in jpegs.segments(encode(LARGE, "JPEG"))
    ]
)


@pytest.mark.parametrize(
    "data",
    [SAMSUNG, encode(LARGE, "JPEG")[:-2], encode(LARGE, "JPEG")[:-2] + b"web\xff\xd9", b"\r\n" + encode(LARGE, "JPEG")],
    ids=["samsung", "no end marker", "bytes before it", "newline"],
)
def test_what_libjpeg_only_warns_about_is_decoded(data: bytes) -> None:
    np.testing.assert_array_equal(decode(data).image, decode(encode(LARGE, "JPEG")).image)


def test_missing_rows_are_named_with_and_without_an_end_marker() -> None:
    cut = encode(LARGE, "JPEG")[:-400]
    for data in (cut, cut + b"\xff\xd9"):
        assert "breaks off" in refusal(data).detail


def test_a_damaged_restart_is_refused() -> None:
    data = encode(quarters(height=512, width=512), "JPEG", restart_marker_blocks=8)
    assert decode(data).width == 512
    assert refusal(data.replace(b"\xff\xd1", b"\xff\xd5")).reason == "IMAGE_DAMAGED"
