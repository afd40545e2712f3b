"""Photos that carry a text in every place of their container that may hold one."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace

import piexif
from PIL import Image as Pillow

from dermis.shared.images.boxes import box, full_box
from tests.support import heif
from tests.support.colors import SPACES, profile_of, table_profile
from tests.support.heif import GENERATED, Layout, Part, coded, compose
from tests.support.images import Pixels, encode

Photo = tuple[str, bytes, str]
"""Name, content and type."""


def photos(text: str, image: Pixels) -> list[Photo]:
    """Return `image` as JPEG, PNG, WebP and AVIF and a generated HEIC, with `text` in each.

    The text (ASCII, at most 60 letters) stands in each corner of each.
    """
    kinds = {
        "jpg": jpeg(text, image),
        "png": png(text, image),
        "webp": webp(text, image),
        "heic": heic(text),
        "avif": avif(text, image),
    }
    types = {"jpg": "jpeg"}
    return [(f"{text}.{suffix}", data, f"image/{types.get(suffix, suffix)}") for suffix, data in kinds.items()]


def photos_with_tables(text: str, image: Pixels) -> list[Photo]:
    """Return a JPEG and a HEIC whose profile, with the text, has no numbers to be read down to."""
    tables = table_profile(SPACES["Adobe RGB"], text=text)
    return [
        (f"{text}.jpg", encode(image, "JPEG", icc_profile=tables), "image/jpeg"),
        (f"{text}.heic", compose(coded(GENERATED, heif.profile(tables))), "image/heic"),
    ]


def forms(text: str) -> list[bytes]:
    """Return the bytes that a text may stand as."""
    plain = text.encode()
    return [
        plain,
        text.encode("utf-16-be"),
        text.encode("utf-16-le"),
        zlib.compress(plain),
        zlib.compress(profile(text)),
    ]


def exif(text: str) -> bytes:
    """Return EXIF with the text as artist, comment, place and in a thumbnail."""
    plain = text.encode()
    thumbnail = io.BytesIO()
    Pillow.new("RGB", (16, 16)).save(thumbnail, "JPEG", comment=plain)
    return piexif.dump(
        {
            "0th": {piexif.ImageIFD.Artist: plain, piexif.ImageIFD.Orientation: 1},
            "Exif": {
                piexif.ExifIFD.UserComment: plain,
                piexif.ExifIFD.MakerNote: plain,
                piexif.ExifIFD.CameraOwnerName: plain,
            },
            "GPS": {piexif.GPSIFD.GPSAreaInformation: plain, piexif.GPSIFD.GPSLatitudeRef: b"N"},
            "1st": {piexif.ImageIFD.Compression: 6},
            "thumbnail": thumbnail.getvalue(),
        }
    )


def xmp(text: str) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        " "
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:rights>{text}</dc:rights></rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def profile(text: str) -> bytes:
    """Return Display P3's profile with the text as its description and copyright, in UTF-16."""
    return profile_of(SPACES["Display P3"], text=text)


def jpeg(text: str, image: Pixels) -> bytes:
    plain = text.encode()
    data = encode(image, "JPEG", exif=exif(text), comment=plain, icc_profile=profile(text), xmp=xmp(text))
    segments = [
        (0xE0, b"JFXX\0\x10" + plain),
        (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + plain),
        (0xE2, b"MPF\0" + plain),
    ]
    segments += [(0xE0 + n, plain) for n in range(3, 16)]
    segments += [(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(plain)) + plain), (0xFE, plain)]
    added = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    second = encode(image, "JPEG", comment=plain)
    return data[:2] + added + data[2:] + second + plain


def png(text: str, image: Pixels) -> bytes:
    plain = text.encode()
    data = encode(image, "PNG")
    header, pixels, end = data[:33], data[33:-12], data[-12:]
    ancillary = [
        (b"tEXt", b"Author\0" + plain),
        (b"zTXt", b"Comment\0\0" + zlib.compress(plain)),
        (b"iTXt", b"Title\0\0\0en\0" + plain + b"\0" + plain),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(text)),
        (b"eXIf", exif(text).removeprefix(b"Exif\0\0")),
        (b"iCCP", plain + b"\0\0" + zlib.compress(profile(text))),
        (b"sPLT", plain + b"\0\x08" + bytes(6)),
        (b"sCAL", b"\1" + plain),
        (b"caBX", plain),
        (b"prVt", plain),
        (b"acTL", plain),
    ]
    before, after = (
        b"".join(_chunk(kind, body) for kind, body in chunks) for chunks in (ancillary, ancillary[-2:] + ancillary[:2])
    )
    # A palette in an image without one, which only suggests, and transparency of another length than it has: no
    # decoder reads them.
    unread = _chunk(b"PLTE", plain.ljust(768, b".")) + _chunk(b"tRNS", plain)
    return header + before + unread + pixels + after + end + plain


def webp(text: str, image: Pixels) -> bytes:
    plain = text.encode()
    data = encode(image, "WEBP", exif=exif(text), xmp=xmp(text), icc_profile=profile(text))
    unknown = b"what" + struct.pack("<I", len(plain)) + plain + b"\0" * (len(plain) % 2)
    body = data[12:] + unknown
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body + plain


def heic(text: str) -> bytes:
    image = coded(GENERATED, *_properties(text), name=text.encode(), links=((b"cdsc", (2,)),))
    unit = b"\x4e\x01\x05" + bytes([16 + len(text)]) + bytes(16) + text.encode() + b"\x80"
    message = struct.pack(">I", len(unit)) + unit
    image = replace(image, payload=message + image.payload + message)
    return compose(image, *_others(text, coded()), layout=_layout(text, (b"heic", b"mif1")))


def avif(text: str, image: Pixels) -> bytes:
    plain = text.encode()
    part = coded(heif.avif(image), *_properties(text), name=plain)
    unit = bytes([5 << 3 | 2, len(plain)]) + plain
    part = replace(part, payload=unit + part.payload + unit)
    return compose(part, *_others(text, coded(heif.avif(image))), layout=_layout(text, (b"avif", b"mif1")))


def _properties(text: str) -> Iterator[bytes]:
    plain = text.encode()
    yield heif.profile(profile(text))
    for kind in (b"rloc", b"udes", b"auxC"):
        yield full_box(kind, plain + b"\0")
    for kind in (b"clli", b"mdcv", b"camm", b"uuid", b"free"):
        yield box(kind, plain)


def _others(text: str, image: Part) -> list[Part]:
    plain = text.encode()
    named = replace(image, name=plain)
    return [
        Part(
            kind=b"Exif", payload=bytes(4) + exif(text).removeprefix(b"Exif\0\0"), name=plain, links=((b"cdsc", (1,)),)
        ),
        Part(kind=b"mime", payload=xmp(text), name=plain, links=((b"cdsc", (1,)),)),
        replace(named, links=((b"thmb", (1,)),)),
        replace(named, properties=(*named.properties, heif.aux(heif.DEPTH + plain)), links=((b"auxl", (1,)),)),
        replace(named, properties=(*named.properties, heif.aux(heif.GAIN_MAP + plain)), links=((b"auxl", (1,)),)),
        replace(named, payload=plain),
    ]


def _layout(text: str, brands: tuple[bytes, ...]) -> Layout:
    plain = text.encode()
    address = box(b"dinf", full_box(b"dref", struct.pack(">I", 1), full_box(b"url ", plain + b"\0")))
    return Layout(
        brands=(*brands, *(plain[at : at + 4].ljust(4) for at in range(0, len(plain), 4))),
        handler=plain,
        in_meta=(address, box(b"uuid", plain), box(b"grpl", full_box(b"altr", plain))),
        before=(box(b"free", plain),),
        after=(box(b"skip", plain), box(b"uuid", plain), box(b"mdat", plain), box(b"moov", box(b"udta", plain))),
        trailing=plain,
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
