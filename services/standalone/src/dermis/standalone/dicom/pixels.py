"""Pixels of an instance: a JPEG as it is, or samples."""

import re
from functools import cache

from PIL import Image, ImageCms
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from dermis.shared.images.formats import Format, ImageHeader
from dermis.shared.images.header import read_header
from dermis.standalone.dicom.header import LOSSY

_YCBCR_CODED = "YBR_FULL_422"
"""Whatever the JPEG's own sampling is: the one word for YCbCr that the VL Image module has (PS3.3, C.8.12.1.1.1)."""
_YCBCR = 1
_ADOBE = re.compile(rb"\xff\xee\x00\x0eAdobe.{6}(.)", re.DOTALL)
"""Adobe's segment, which ends with the transform of colours (T.872, 6.5.3)."""
_RGB_CHANNELS = re.compile(rb"\xff\xc0\x00\x11\x08.{4}\x03R..G..B", re.DOTALL)


def is_encapsulable(data: bytes, *, orientation: int) -> bool:
    """Whether an image can stand in DICOM byte for byte: a baseline JPEG, upright, sRGB, grey or YCbCr."""
    if not data.startswith(b"\xff\xd8"):
        return False
    header = read_header(data)
    return (
        header.format is Format.JPEG
        and header.frame == "baseline"
        and header.channels in (1, 3)
        and header.color is None
        and orientation == header.orientation == 1
        and not (header.channels == 3 and _is_rgb(data))
    )


def _is_rgb(data: bytes) -> bool:
    adobe = _ADOBE.search(data)
    return adobe[1][0] != _YCBCR if adobe else _RGB_CHANNELS.search(data) is not None


def put_jpeg(dataset: Dataset, data: bytes) -> None:
    """Encapsulate a baseline JPEG as it is (PS3.5, A.4.1), and say so in the image's attributes."""
    header = read_header(data)
    _describe(dataset, header, photometric="MONOCHROME2" if header.channels == 1 else _YCBCR_CODED)
    dataset.LossyImageCompression = LOSSY
    dataset.LossyImageCompressionRatio = round(header.width * header.height * header.channels / len(data), 3)
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.PixelData = encapsulate([data])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit


def put_rgb(dataset: Dataset, image: Image.Image) -> None:
    """Put an RGB image's samples, uncompressed."""
    header = ImageHeader(format=Format.PNG, width=image.width, height=image.height)
    _describe(dataset, header, photometric="RGB")
    samples = image.tobytes()
    dataset.PixelData = samples + b"\0" * (len(samples) % 2)


def _describe(dataset: Dataset, header: ImageHeader, *, photometric: str) -> None:
    grey = photometric == "MONOCHROME2"
    dataset.SamplesPerPixel = 1 if grey else 3
    dataset.PhotometricInterpretation = photometric
    dataset.Rows, dataset.Columns = header.height, header.width
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    if not grey:
        dataset.PlanarConfiguration = 0
        dataset.ICCProfile = srgb_profile()


@cache
def srgb_profile() -> bytes:
    """Return sRGB as an ICC input profile, the class that PS3.3, C.11.15 asks for, without the time it was made."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[12:16] = b"scnr"
    profile[24:36] = bytes((0x07, 0xEA, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))
    return bytes(profile)
