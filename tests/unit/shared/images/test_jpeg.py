"""JPEGs as phones and broken programs write them: set right by the walker, or refused by name."""

import io
import struct

import pytest
from PIL import Image

from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.header import clean, read_header
from tests.support import jpegs
from tests.support.images import encode, quarters

PLAIN = encode(quarters(), "JPEG")
PARTS = jpegs.segments(PLAIN)
SCAN = next(index for index, part in enumerate(PARTS) if part[0] == 0xDA)


def refusal(data: bytes) -> DermisError:
    with pytest.raises(DermisError) as caught:
        read_header(data)
    return caught.value


def with_part(index: int, marker: int | None = None, body: bytes | None = None, coded: bytes | None = None) -> bytes:
    old = PARTS[index]
    new = (marker or old[0], old[1] if body is None else body, old[2] if coded is None else coded)
    return jpegs.join([*PARTS[:index], new, *PARTS[index + 1 :]])


def test_taking_apart_and_joining_changes_nothing() -> None:
    assert jpegs.join(PARTS) == PLAIN
    assert clean(PLAIN).data == PLAIN


def height_by_dnl() -> bytes:
    frame = next(index for index, part in enumerate(PARTS) if part[0] == 0xC0)
    body = PARTS[frame][1]
    without = [*PARTS[:frame], (0xC0, body[:1] + b"\0\0" + body[3:], b""), *PARTS[frame + 1 :], (0xDC, body[1:3], b"")]
    return jpegs.join(without)


@pytest.mark.parametrize(
    "data",
    [
        with_part(SCAN, body=PARTS[SCAN][1][:-3] + bytes(3)),
        PLAIN[:-2],
        b"\n" + PLAIN,
        PLAIN.replace(b"\xff\xdb", b"\x99\xff\xdb", 1),
        PLAIN.replace(b"\xff\xc0", b"\xff\xd3\xff\xff\xc0", 1),
        height_by_dnl(),
        PLAIN + b"\xff\xd8\xff the next image of a burst",
        PLAIN[:2] + jpegs.segment(0xE2, b"MPF\0" + bytes(40)) + jpegs.segment(0xFE, b"a comment") + PLAIN[2:],
    ],
    ids=["samsung", "no-end", "newline", "stray-byte", "restart-and-fill", "dnl", "trailer", "metadata"],
)
def test_what_decoders_only_warn_about_is_set_right(data: bytes) -> None:
    assert data != PLAIN
    assert clean(data).data == PLAIN


def test_bytes_before_the_end_marker_stay_for_the_decoder_to_skip() -> None:
    assert read_header(PLAIN[:-2] + b"abc\xff\xd9").width == 96


@pytest.mark.parametrize(
    ("blocks", "orientation"),
    [
        (jpegs.exif(1) + jpegs.exif(6), 1),
        (jpegs.exif(6) + jpegs.exif(1), 6),
        (jpegs.exif(6, kind=4), 6),
        (jpegs.exif(9) + jpegs.exif(3), 3),
        (jpegs.segment(0xE1, b"Exif\0\0II") + jpegs.exif(8), 8),
    ],
    ids=["1-then-6", "6-then-1", "long", "not-in-range", "broken-then-8"],
)
def test_the_first_block_that_states_an_orientation_counts(blocks: bytes, orientation: int) -> None:
    assert read_header(PLAIN[:2] + blocks + PLAIN[2:]).orientation == orientation
    scan = PLAIN.index(b"\xff\xda")
    assert read_header(PLAIN[:scan] + blocks + PLAIN[scan:]).orientation == orientation  # after the frame


@pytest.mark.parametrize(
    ("marker", "name"), [(0xC3, "lossless"), (0xC5, "hierarchical"), (0xC9, "arithmetic"), (0xCB, "lossless")]
)
def test_frames_that_decoders_can_not_scale_are_refused_by_name(marker: int, name: str) -> None:
    error = refusal(PLAIN.replace(b"\xff\xc0", bytes([0xFF, marker])))
    assert (error.kind, error.reason) == (Kind.UNSUPPORTED, "IMAGE_FORMAT")
    assert name in error.detail
    assert "save it as" in error.detail


@pytest.mark.parametrize("data", [jpegs.lossless(4096, 64), jpegs.lossless(40, 30)], ids=["scaled", "small"])
def test_a_lossless_jpeg_is_refused(data: bytes) -> None:
    assert "lossless" in refusal(data).detail


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">BHHB", 12, 64, 96, 1) + b"\1\x11\0",
        struct.pack(">BHHB", 8, 64, 96, 2) + b"\1\x11\0\2\x11\0",
        struct.pack(">BHHB", 8, 64, 96, 5) + b"".join(bytes([n, 0x11, 0]) for n in range(5)),
    ],
    ids=["12-bit", "2-channel", "5-channel"],
)
def test_bits_and_channels_that_decoders_do_not_take_are_refused(frame: bytes) -> None:
    index = next(index for index, part in enumerate(PARTS) if part[0] == 0xC0)
    assert refusal(with_part(index, body=frame)).reason == "IMAGE_FORMAT"


@pytest.mark.parametrize(
    "data",
    [
        jpegs.join([*PARTS[:SCAN], *(part for part in PARTS if part[0] == 0xC0), *PARTS[SCAN:]]),
        jpegs.join([PARTS[SCAN], *PARTS]),
        jpegs.with_factors(PLAIN, (0x51, 0x11, 0x11)),
        jpegs.with_factors(PLAIN, (0x10, 0x11, 0x11)),
        with_part(SCAN, body=b"\4\1\0\2\0\3\0\4\0\0\x3f\0"),
        with_part(SCAN, body=b"\3\1\0"),
        PLAIN[:2] + b"\xff\xd8" + PLAIN[2:],
        PLAIN[: PLAIN.index(b"\xff\xda")],
    ],
    ids=[
        "two-frames",
        "scan-first",
        "factor-5",
        "factor-0",
        "more-channels-than-the-frame",
        "short-scan",
        "two-starts",
        "no-scan",
    ],
)
def test_a_broken_structure_is_refused_before_a_decoder_sees_it(data: bytes) -> None:
    assert refusal(data).reason == "IMAGE_DAMAGED"


def test_the_header_says_what_the_frame_does() -> None:
    out = io.BytesIO()
    Image.new("CMYK", (33, 17)).save(out, "JPEG", progressive=True)
    found = read_header(out.getvalue())
    assert (found.width, found.height, found.channels, found.frame) == (33, 17, 4, "progressive")
    assert found.scans == out.getvalue().count(b"\xff\xda")
    assert found.samples == 4 * 40 * 24
    wide = read_header(jpegs.sampled(quarters(), "420"))
    assert wide.samples == 96 * 64 * 3 // 2
