"""An image that was sent ahead of its case, at once or in parts: kept for an hour, until a case takes it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from dermis.shared.case import Fact
from dermis.shared.errors import Kind
from dermis.shared.ids import made_at
from dermis.shared.images.color_profile import ColorProfile

UPLOADS_PREFIX = "uploads/"
UPLOADS_KEPT_FOR = timedelta(hours=1)
"""From the time in an upload's id."""


class StartedUpload(Fact):
    """`uploads/<owner>/<id>/upload.json`: an image comes in parts; `length` is its size as it is sent, in bytes."""

    upload_id: str
    length: Annotated[int, Field(ge=1)]
    created_at: datetime


class UploadedImage(Fact):
    """`uploads/<owner>/<id>/uploaded.json`, put after the image: what `ReceivedImage` says of one in a case.

    `sent_sha256` is of the bytes as they were sent, by which a repeated case is told. It stays when a case has taken
    the image, until the hour is over. `sent_bytes` is how many they were; None in facts from before it.
    """

    upload_id: str
    content_type: str
    width: int
    height: int
    orientation: Annotated[int, Field(ge=1, le=8)] = 1
    color: ColorProfile | None = None
    has_profile: bool = False
    sent_sha256: str
    sent_bytes: int | None = None


class RefusedUpload(Fact):
    """`uploads/<owner>/<id>/refused.json`: all of it came, and it is no image that is taken."""

    upload_id: str
    kind: Kind
    reason: str
    detail: str


UploadPart = Literal["upload.json", "uploaded.json", "refused.json", "quality.json", "original", "profile"]


def expires_at(upload_id: str) -> datetime:
    """Return when an upload's hour is over."""
    made, last = made_at(upload_id), datetime.max.replace(tzinfo=UTC)
    return made + UPLOADS_KEPT_FOR if made < last - UPLOADS_KEPT_FOR else last


def upload_folder(owner: str, upload_id: str) -> str:
    return f"{UPLOADS_PREFIX}{owner}/{upload_id}/"


def upload_key(owner: str, upload_id: str, part: UploadPart) -> str:
    return f"{upload_folder(owner, upload_id)}{part}"


def parts_prefix(owner: str, upload_id: str) -> str:
    return f"{upload_folder(owner, upload_id)}parts/"


def part_key(owner: str, upload_id: str, offset: int) -> str:
    """Return where the bytes from `offset` on are put once; such keys sort by it."""
    return f"{parts_prefix(owner, upload_id)}{offset:012d}"
