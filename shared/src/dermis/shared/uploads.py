"""An image that was sent ahead of its case: stored as a case's is, for an hour, until a case takes it."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from dermis.shared.case import Fact
from dermis.shared.ids import made_at
from dermis.shared.images.color_profile import ColorProfile

UPLOADS_PREFIX = "uploads/"
UPLOADS_KEPT_FOR = timedelta(hours=1)
"""From the time in an upload's id."""


class UploadedImage(Fact):
    """`uploads/<owner>/<id>/uploaded.json`, put after the image: what `ReceivedImage` says of one in a case.

    `sent_sha256` is of the bytes as they were sent, by which a repeated case is told. It stays when a case has taken
    the image, until the hour is over.
    """

    upload_id: str
    content_type: str
    width: int
    height: int
    orientation: Annotated[int, Field(ge=1, le=8)] = 1
    color: ColorProfile | None = None
    has_profile: bool = False
    sent_sha256: str

    @property
    def expires_at(self) -> datetime:
        return made_at(self.upload_id) + UPLOADS_KEPT_FOR


UploadPart = Literal["uploaded.json", "original", "profile"]


def upload_key(owner: str, upload_id: str, part: UploadPart) -> str:
    return f"{UPLOADS_PREFIX}{owner}/{upload_id}/{part}"
