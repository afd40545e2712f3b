"""Walks a HEIC or AVIF from the first byte to the last: reads its header and writes the file of its primary image."""

from dermis.shared.images import isobmff, isobmff_file
from dermis.shared.images.formats import Format, ImageHeader, Walk
from dermis.shared.images.icc import ColorTags, color_of


def is_heif(data: bytes) -> bool:
    """Whether the brands, in any order, name a still image or a sequence with one."""
    return isobmff.is_still_image(data)


def walk(data: bytes) -> Walk:
    """Read a HEIC or AVIF; its crop, turn and mirror stay in the file as numbers, its colour profile does not.

    EXIF's orientation counts for neither. `width` and `height` are those of the part that is shown.
    """
    image = isobmff.read(data)
    nclx = image.nclx
    cicp = (nclx.primaries, nclx.transfer, nclx.matrix, int(nclx.full_range)) if nclx and not image.icc else None
    crop = image.view.crop
    header = ImageHeader(
        format=Format.AVIF if image.codec == b"av01" else Format.HEIC,
        width=crop.width,
        height=crop.height,
        bits=image.root.bits,
        channels=4 if image.root.alpha else 3,
        samples=image.root.samples,
        coded_bytes=image.root.coded_bytes,
        orientation=image.view.orientation,
        color=color_of(ColorTags(icc=image.icc or b"", cicp=cicp)),
    )
    return Walk(header=header, pieces=(isobmff_file.write(image),))
