"""Images as a caller has them, and as the form takes them."""

import mimetypes
import os
from pathlib import Path
from typing import BinaryIO

from dermis.client.errors import ApiError

Image = str | os.PathLike[str] | bytes | BinaryIO
"""A path, the bytes of a file, or a file that is open for reading bytes: JPEG, PNG, WebP, HEIC or AVIF."""


def upload_of(image: Image) -> tuple[str, bytes, str | None]:
    """Return name, bytes and content type for a form; the bytes are read once, so that they can be sent again.

    IMAGE: not readable.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return "image", bytes(image), None
    if isinstance(image, str | os.PathLike):
        path = Path(image)
        try:
            return path.name, path.read_bytes(), mimetypes.guess_type(path.name)[0]
        except OSError as fault:
            raise ApiError("IMAGE", f"{path}: {fault.strerror}; name another file, or see who may read it") from fault
    data = image.read()
    if not isinstance(data, bytes):
        raise ApiError("IMAGE", f"{image!r} is open for text; open it with mode 'rb'")
    name = getattr(image, "name", None)
    name = Path(name).name if isinstance(name, str) else "image"
    return name, data, mimetypes.guess_type(name)[0]
