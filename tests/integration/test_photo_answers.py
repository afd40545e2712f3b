"""Photos of every kind get one answer on every route, and the right one.

They are as phones, scanners and broken programs write them.
"""

import base64
import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image as Pillow

from tests.support import jpegs
from tests.support.images import encode, quarters
from tests.support.mutations import photos
from tests.system.photo_answers import ROOT, Answer, agree, answers

JPEG = encode(quarters(height=300, width=400), "JPEG")
PNG = encode(quarters(height=300, width=400), "PNG")
WEBP = encode(quarters(height=300, width=400), "WEBP")
HEADER = 33
"""Bytes of a PNG up to the end of its first chunk."""


def saved(form: str) -> bytes:
    out = io.BytesIO()
    Pillow.fromarray(quarters()).save(out, form)
    return out.getvalue()


def chunk(kind: bytes, body: bytes, *, right: bool = True) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ (not right))


def riff_size(by: int) -> bytes:
    return WEBP[:4] + (int.from_bytes(WEBP[4:8], "little") + by).to_bytes(4, "little") + WEBP[8:]


def scans(body: bytes) -> bytes:
    parts = jpegs.segments(JPEG)
    return jpegs.join(
        [(marker, content[:-3] + body if marker == 0xDA else content, coded) for marker, content, coded in parts]
    )


TAKEN = {
    **{name: data for name, data in photos().items() if name not in ("jpeg lossless", "jpeg many scans")},
    "samsung's scan": scans(bytes(3)),
    "no end marker": JPEG[:-2],
    "bytes before the end marker": JPEG[:-2] + b"cam" + JPEG[-2:],
    "after a newline": b"\n" + JPEG,
    "stray byte": JPEG.replace(b"\xff\xdb", b"\0\xff\xdb", 1),
    "restart among the tables": JPEG.replace(b"\xff\xc0", b"\xff\xd0\xff\xc0"),
    "two EXIF blocks": JPEG[:2] + jpegs.exif(6) + jpegs.exif(1) + JPEG[2:],
    "orientation as LONG": JPEG[:2] + jpegs.exif(8, kind=4) + JPEG[2:],
    "text with a wrong sum": PNG[:HEADER] + chunk(b"tEXt", b"Comment\0x", right=False) + PNG[HEADER:],
    "webp with a trailer": WEBP + b"trailer",
    "webp, RIFF too short": riff_size(-10),
    "webp, RIFF too long": riff_size(10),
    "108 megapixels": encode(Pillow.new("L", (12_000, 9000), 120), "JPEG", quality=40),
}
REFUSED = {
    "rows missing": (JPEG[:-300], "breaks off"),
    "rows missing, with an end": (JPEG[:-300] + b"\xff\xd9", "breaks off"),
    "lossless": (jpegs.lossless(4096, 64), "lossless"),
    "arithmetic": (JPEG.replace(b"\xff\xc0", b"\xff\xc9"), "arithmetically coded"),
    "scan bomb": (jpegs.scan_bomb(200, 64), "scans; at most 100"),
    "PNG bomb": (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8000, 8000, 16, 6, 0, 0, 1))
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b""),
        "s to decode; at most",
    ),
    "CgBI": (PNG[:8] + chunk(b"CgBI", b"\x50\0\x20\6") + PNG[8:], "CgBI"),
    "GIF": (saved("GIF"), "a GIF"),
    "BMP": (saved("BMP"), "a BMP"),
    "TIFF": (saved("TIFF"), "a TIFF"),
    "PDF": (b"%PDF-1.7\n", "a PDF"),
    "data URL": (b"data:image/jpeg;base64," + base64.b64encode(JPEG), "a data URL"),
    "nothing": (b"", "empty"),
    "text": (b"no image", "no image"),
}
FILES = TAKEN | {name: data for name, (data, _) in REFUSED.items()}


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, Answer]]:
    python = ROOT / ".venv-trainer" / "bin" / "python"
    return answers(FILES, trainer_python=python if Path(python).exists() else None)


@pytest.mark.parametrize("name", FILES)
def test_every_route_gives_one_answer(table: dict[str, dict[str, Answer]], name: str) -> None:
    assert agree(table[name]), {route: str(answer) for route, answer in table[name].items()}


@pytest.mark.parametrize("name", TAKEN)
def test_what_phones_make_is_taken(table: dict[str, dict[str, Answer]], name: str) -> None:
    assert table[name]["API"].taken, table[name]["API"].words


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named_with_a_remedy(table: dict[str, dict[str, Answer]], name: str) -> None:
    words = table[name]["API"].words
    assert not table[name]["API"].taken
    assert REFUSED[name][1] in words
    assert any(remedy in words for remedy in ("send", "save it as", "let the phone")), words
