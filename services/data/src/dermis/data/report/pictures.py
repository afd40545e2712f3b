"""Small pictures for a report."""

import numpy as np
import simplejpeg

from dermis.data.dataset import ImageSource
from dermis.data.report.table import Picture
from dermis.shared.errors import DermisError
from dermis.shared.ports import BlobNotFound
from dermis.worker.core import decode, prepare

THUMBNAIL = 160


def picture(source: ImageSource, key: str, caption: str) -> Picture | None:
    """Return an image as a thumbnail; None if it was taken away or replaced by what is no image since it was listed."""
    try:
        small = prepare.shrink(decode.decode(source.get(key)).image, THUMBNAIL)
    except (BlobNotFound, DermisError):
        return None
    return Picture(jpeg=simplejpeg.encode_jpeg(np.ascontiguousarray(small), quality=80), caption=caption)
