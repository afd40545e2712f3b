"""Photos of every format and coding, generated, and mutations of their bytes that a decoder may meet."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from tests.support import heif, jpegs
from tests.support.images import Pixels

HERE = Path(__file__).parent
NUMBERS = (
    b"\0",
    b"\1",
    b"\xff",
    b"\x7f",
    b"\0\0",
    b"\xff\xff",
    b"\x7f\xff",
    b"\x80\0",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
)
MARKERS = (*range(0xC0, 0xD0), *range(0xD0, 0xE0), 0xE1, 0xEE, 0xFE, 0x01)


@cache
def photos() -> dict[str, bytes]:
    """Return small photos by name; each format in every coding that its encoder here can write."""
    image = _scene()
    made = {f"jpeg {factors}": jpegs.sampled(image, factors) for factors in ("420", "422", "440", "411", "444")}
    for name, mode, options in (
        ("progressive", "RGB", {"progressive": True}),
        ("restarts", "RGB", {"restart_marker_blocks": 4}),
        ("grey", "L", {}),
        ("cmyk", "CMYK", {}),
        ("cmyk progressive", "CMYK", {"progressive": True}),
        ("optimized", "RGB", {"optimize": True, "quality": 30}),
    ):
        made[f"jpeg {name}"] = _saved(image, "JPEG", mode, **options)
    made["jpeg 3x1"] = jpegs.grey_channels(
        [_plane(image, 0), *(cv2.resize(_plane(image, n), (214, 480)) for n in (1, 2))], (0x31, 0x11, 0x11)
    )
    made["jpeg lossless"] = jpegs.lossless(1024, 64)
    made["jpeg many scans"] = jpegs.scan_bomb(30, 64)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        made[f"png {mode}"] = _saved(image[:200, :300], "PNG", mode)
    made["png 16 bits interlaced"] = interlaced(image[:120, :160].astype(np.uint16) * 257)
    made["png interlaced"] = interlaced(image[:120, :160])
    made["png animated"] = _animation(image, "PNG")
    for name, mode, options in (("lossy", "RGB", {}), ("alpha", "RGBA", {}), ("lossless", "RGB", {"lossless": True})):
        made[f"webp {name}"] = _saved(image, "WEBP", mode, **options)
    made["webp animated"] = _animation(image, "WEBP")
    made["heic"] = (HERE / "generated.heic").read_bytes()
    made["heic tile"] = (HERE / "tile.heic").read_bytes()
    made["avif"] = heif.avif(image)
    made["avif alpha"] = heif.avif(image, alpha=image[..., 0])
    made |= _composed(heif.coded((HERE / "tile.heic").read_bytes()), heif.coded(made["avif"]))
    return made


def _composed(hevc: heif.Part, av1: heif.Part) -> dict[str, bytes]:
    """Return photos made of several images, as phones and editors make them."""
    alpha = replace(hevc, properties=(*hevc.properties, heif.aux(heif.ALPHA)), links=((b"auxl", (1,)),))
    crop = replace(
        hevc, properties=(*hevc.properties, heif.clap(300, 1, 200, 1, 0, 1, 0, 1), heif.irot(1), heif.imir(0))
    )
    third, avif = heif.Layout(primary=3), (b"avif", b"avif", b"mif1")
    return {
        "heic crop": heif.compose(crop),
        "heic alpha": heif.compose(hevc, alpha),
        "heic grid": heif.compose(hevc, hevc, heif.grid(1, 2, 1000, 500, (1, 2)), layout=third),
        "heic overlay": heif.compose(hevc, hevc, heif.overlay(700, 600, [(0, 0), (90, 50)], (1, 2)), layout=third),
        "avif grid": heif.compose(
            av1, av1, heif.grid(1, 2, 1200, 450, (1, 2)), layout=heif.Layout(primary=3, brands=avif)
        ),
    }


def mutations(count: int, *, seed: int, seeds: dict[str, bytes] | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield names and bytes of mutated photos, the same for the same seed; each starts from another photo in turn."""
    names = list((seeds or photos()).items())
    for n in range(count):
        chance = random.Random(f"{seed}/{n}")  # noqa: S311
        name, data = names[n % len(names)]
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
            chance.choice(_CHANGES)(changed, chance, names)
        if changed.startswith(b"\x89PNG") and chance.random() < 0.8:
            changed = bytearray(with_right_sums(bytes(changed)))
        yield f"{n} {name}", bytes(changed)


def with_right_sums(png: bytes) -> bytes:
    """Return a PNG whose check sums fit its chunks, so that a change of them gets as far as the decoder."""
    out, at = [png[:8]], 8
    while at + 12 <= len(png):
        end = min(at + 8 + int.from_bytes(png[at : at + 4], "big"), len(png) - 4)
        out.append(png[at:end] + struct.pack(">I", zlib.crc32(png[at + 4 : end])))
        at = end + 4
    return b"".join(out)


def interlaced(image: Pixels) -> bytes:
    """Return an interlaced PNG (Adam7), which OpenCV and Pillow don't write, of 8 or 16 bits."""
    height, width, channels = image.shape
    big_endian = image.astype(">u2") if image.dtype == np.uint16 else image
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = b"".join(
        b"\0" + row.tobytes()
        for x, y, across, down in passes
        if (part := big_endian[y::down, x::across]).size
        for row in part
    )
    header = struct.pack(
        ">IIBBBBB", width, height, 8 * image.dtype.itemsize, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 1
    )
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _scene() -> Pixels:
    grain = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    return cv2.resize(grain, (640, 480), interpolation=cv2.INTER_CUBIC)


def _plane(image: Pixels, n: int) -> Pixels:
    return np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., n])


def _saved(image: Pixels, form: str, mode: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture = Pillow.fromarray(image)
    if "A" in mode:
        picture.putalpha(picture.convert("L"))
    (picture.convert("L").convert(mode) if mode == "I;16" else picture.convert(mode)).save(out, form, **options)
    return out.getvalue()


def _animation(image: Pixels, form: str) -> bytes:
    frames = [
        Pillow.fromarray(np.ascontiguousarray(frame[:96, :128])) for frame in (image, image[::-1], image[:, ::-1])
    ]
    out = io.BytesIO()
    frames[0].save(out, form, save_all=True, append_images=frames[1:])
    return out.getvalue()


Seeds = list[tuple[str, bytes]]


def _flip(data: bytearray, chance: random.Random, _seeds: Seeds) -> None:
    for _ in range(chance.choice((1, 2, 8))):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _number(data: bytearray, chance: random.Random, _: Seeds) -> None:
    """Put a number at the edge of its range somewhere, most often among the headers."""
    at = chance.randrange(min(len(data), chance.choice((64, 700, 1 << 30))) or 1)
    number = chance.choice(NUMBERS)
    data[at : at + len(number)] = number


def _cut(data: bytearray, chance: random.Random, _: Seeds) -> None:
    del data[chance.randrange(len(data) or 1) :]


def _remove(data: bytearray, chance: random.Random, _: Seeds) -> None:
    at = chance.randrange(len(data) or 1)
    del data[at : at + chance.choice((1, 2, 4, 60, 4000))]


def _repeat(data: bytearray, chance: random.Random, _: Seeds) -> None:
    at = chance.randrange(len(data) or 1)
    part = bytes(data[at : at + chance.choice((1, 4, 60, 4000))])
    data[at:at] = part * chance.choice((1, 2, 50))


def _splice(data: bytearray, chance: random.Random, seeds: Seeds) -> None:
    """Put a part of another photo into this one."""
    other = chance.choice(seeds)[1]
    start, at = chance.randrange(len(other)), chance.randrange(len(data) or 1)
    data[at : at + chance.choice((0, 100))] = other[start : start + chance.choice((20, 300, 5000))]


def _marker(data: bytearray, chance: random.Random, _: Seeds) -> None:
    """Make a JPEG's marker another one, so that its frame becomes lossless, arithmetic or a table."""
    places = [at for at in range(min(len(data), 2000)) if data[at] == 0xFF]
    if places and (at := chance.choice(places)) + 1 < len(data):
        data[at + 1] = chance.choice(MARKERS)


def _frame(data: bytearray, chance: random.Random, _: Seeds) -> None:
    """Change size, bits, channels or sampling of a JPEG's frame."""
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    if at >= 0 and at + 20 < len(data):
        data[at + chance.choice((4, 5, 6, 7, 8, 9, 11, 14, 17))] = chance.choice(
            (0, 1, 2, 3, 4, 8, 12, 16, 0x11, 0x21, 0x12, 0x22, 0x41, 0x44, 255)
        )


_CHANGES: tuple[Callable[[bytearray, random.Random, Seeds], None], ...] = (
    _flip,
    _flip,
    _number,
    _number,
    _cut,
    _remove,
    _repeat,
    _splice,
    _marker,
    _frame,
    _frame,
)
