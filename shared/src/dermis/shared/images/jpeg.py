"""JPEG (ITU-T T.81) by its markers: what decoders only warn about is set right, scans are untouched."""

import re
from dataclasses import dataclass, field

from dermis.shared.images.exif import PREFIX, Exif, read_exif
from dermis.shared.images.formats import Format, ImageHeader, Walk, damaged, unsupported
from dermis.shared.images.icc import ColorTags, color_of

MAGIC = b"\xff\xd8\xff"
_SOI, _EOI, _SOS, _DNL, _COM, _TEM = 0xD8, 0xD9, 0xDA, 0xDC, 0xFE, 0x01
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_FRAMES = {0xC0: "baseline", 0xC1: "sequential", 0xC2: "progressive"}
_OTHER_FRAMES = {
    0xC3: "lossless",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xDE, 0xDF), "hierarchical"),
    **dict.fromkeys((0xC9, 0xCA, 0xCC), "arithmetically coded"),
    **dict.fromkeys((0xCB, 0xCD, 0xCE, 0xCF), "lossless or hierarchical and arithmetically coded"),
}
_TABLES = {0xC4, 0xDB, 0xDD}
_ALONE = {_TEM, *range(0xD0, 0xD8)}
_APPLICATION = range(0xE0, 0xF0)
_ICC = b"ICC_PROFILE\0"
# In a scan, FF is data if 00 follows, and a restart if D0-D7 does.
_END_OF_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_MARKER = re.compile(rb"\xff([\x01-\xfe])")
_MOST_SEGMENTS = 4096
_REMEDY = "save it as an ordinary (baseline) JPEG or as PNG"


@dataclass(slots=True)
class _State:
    """What the markers up to here have said."""

    pieces: list[bytes | memoryview] = field(default_factory=lambda: [b"\xff\xd8"])
    frame: str = ""
    frame_body: bytes = b""
    frame_piece: int = 0
    scans: int = 0
    exif: Exif = field(default_factory=Exif)
    icc: dict[int, bytes] = field(default_factory=dict)


def walk(data: bytes) -> Walk:
    """Walk a JPEG; tables, frame, scans, JFIF without thumbnail and Adobe's colour transform are kept.

    Set right on the way: spectral parameters of sequential scans (Samsung writes zeros), bytes between segments, a
    height that only DNL states (T.81, B.2.5), a missing end marker. Whether all rows are there is for the decoder to
    say.
    """
    state, at = _State(), 2
    for _ in range(_MOST_SEGMENTS):
        marker, body, start, end = _segment(data, at, state)
        if marker == _EOI:
            break
        at = _take(data, marker, body, start, end, state)
    else:
        raise damaged(f"the JPEG has more than {_MOST_SEGMENTS:,} segments")
    if not state.frame or not state.scans:
        raise damaged("the JPEG holds no picture")
    header = _header(state)
    state.pieces.append(b"\xff\xd9")
    return Walk(header=header, pieces=tuple(state.pieces))


def _segment(data: bytes, at: int, state: _State) -> tuple[int, bytes, int, int]:
    """Return the next marker, its segment's content, where the segment starts and where it ends.

    The end of the data counts as EOI.
    """
    marker_at = _MARKER.search(data, at)
    if marker_at is None:
        if not state.scans:
            raise damaged("the JPEG breaks off before its picture")
        return _EOI, b"", len(data), len(data)
    marker, at = marker_at[1][0], marker_at.end()
    if marker == _EOI or marker in _ALONE:
        return marker, b"", at, at
    length = int.from_bytes(data[at : at + 2], "big")
    end = at + length
    if length < 2 or end > len(data):
        raise damaged("the JPEG breaks off within a segment")
    return marker, data[at + 2 : end], at - 2, end


def _take(data: bytes, marker: int, body: bytes, start: int, end: int, state: _State) -> int:
    """Note what a segment says, keep what is needed of it, and return where the next one starts."""
    if marker in _FRAMES:
        _take_frame(marker, body, state)
        state.frame_piece = len(state.pieces)
        state.pieces.append(data[start:end])
    elif marker in _OTHER_FRAMES:
        raise unsupported(f"the JPEG is {_OTHER_FRAMES[marker]}, which few programs can read", _REMEDY)
    elif marker == _SOS:
        end_of_scan = _END_OF_SCAN.search(data, end)
        stop = end_of_scan.start() if end_of_scan else len(data)
        state.pieces.append(_scan_header(body, state))
        state.pieces.append(memoryview(data)[end:stop])
        state.scans += 1
        return stop
    elif marker == _DNL:
        _take_height(body, state)
    elif marker in _TABLES:
        state.pieces.append(memoryview(data)[start:end])
    elif marker in _APPLICATION:
        _take_application(marker, body, state)
    elif marker not in _ALONE and marker != _COM:
        raise damaged(f"the JPEG has an unknown marker FF{marker:02X}")
    return end


def _take_frame(marker: int, body: bytes, state: _State) -> None:
    if state.frame:
        raise damaged("the JPEG has two frames")
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise damaged("the JPEG's frame header is broken")
    if body[0] != 8 or body[5] not in (1, 3, 4):
        raise unsupported(f"the JPEG has {body[0]} bits in {body[5]} channels", _REMEDY)
    if not all(1 <= across <= 4 and 1 <= down <= 4 for across, down in _sampling(body)):
        raise damaged("the JPEG states a sampling that can't be")
    state.frame, state.frame_body = _FRAMES[marker], body


def _sampling(frame: bytes) -> list[tuple[int, int]]:
    """Return the sampling factors of each channel, across and down."""
    return [(frame[at] >> 4, frame[at] & 15) for at in range(7, len(frame), 3)]


def _samples(frame: bytes, width: int, height: int) -> int:
    """Return how many samples all channels have, each filled up to whole blocks of 8 x 8 (T.81, A.1.1 and A.2.4)."""
    factors = _sampling(frame)
    most_across, most_down = max(across for across, _ in factors), max(down for _, down in factors)
    columns, rows = -(-width // (8 * most_across)), -(-height // (8 * most_down))
    return sum(64 * across * columns * down * rows for across, down in factors)


def _scan_header(body: bytes, state: _State) -> bytes:
    """Return the scan's header, its spectral parameters set right where only one value can stand (T.81, table B.3)."""
    if not state.frame:
        raise damaged("the JPEG has a scan before its frame")
    if not body or len(body) != 4 + 2 * body[0] or not 1 <= body[0] <= state.frame_body[5]:
        raise damaged("the JPEG's scan header is broken")
    if state.frame != "progressive":
        body = body[:-3] + b"\x00\x3f\x00"
    return b"\xff\xda" + (len(body) + 2).to_bytes(2, "big") + body


def _take_height(body: bytes, state: _State) -> None:
    """Put the number of lines that DNL states into a frame header that leaves it open."""
    if state.frame and len(body) == 2 and not any(state.frame_body[1:3]):
        state.frame_body = state.frame_body[:1] + body + state.frame_body[3:]
        old = state.pieces[state.frame_piece]
        state.pieces[state.frame_piece] = bytes(old[:4]) + state.frame_body


def _take_application(marker: int, body: bytes, state: _State) -> None:
    if marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 14:
        state.pieces.append(b"\xff\xe0\x00\x10" + body[:12] + b"\x00\x00")
    elif marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
        state.pieces.append(b"\xff\xee\x00\x0e" + body[:12])
    elif marker == _APP1 and body.startswith(PREFIX[:5]) and state.exif.orientation is None:
        state.exif = read_exif(b"Exif\0\0" + body[6:])
    elif marker == _APP2 and body.startswith(_ICC) and len(body) > len(_ICC) + 2:
        state.icc.setdefault(body[len(_ICC)], body[len(_ICC) + 2 :])


def _header(state: _State) -> ImageHeader:
    body, exif = state.frame_body, state.exif
    width, height = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
    return ImageHeader(
        format=Format.JPEG,
        width=width,
        height=height,
        samples=_samples(body, width, height),
        channels=body[5],
        frame=state.frame,
        scans=state.scans,
        orientation=exif.orientation or 1,
        color=color_of(
            ColorTags(
                icc=b"".join(part for _, part in sorted(state.icc.items())),
                srgb=exif.color_space == 1,
                adobe_rgb=exif.color_space == 0xFFFF and exif.interoperability == "R03",
            )
        ),
    )
