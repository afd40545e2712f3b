"""What the gateway answers about links to a case, and about images that are sent ahead of one."""

from datetime import datetime

from dermis.client.answers import QualityReport, ResponseModel


class NewCaseLink(ResponseModel):
    """A link with its secret, which is shown this once: `url` is below the gateway's address."""

    id: str
    url: str
    expires_at: datetime
    may_erase: bool


class CaseLink(ResponseModel):
    """A link without its secret; `revoked_at` once it is revoked."""

    id: str
    created_at: datetime
    expires_at: datetime
    may_erase: bool
    revoked_at: datetime | None


class CaseLinkList(ResponseModel):
    shares: list[CaseLink]


class UploadRefusal(ResponseModel):
    """Why an upload that came whole was refused."""

    reason: str
    detail: str


class ImageUpload(ResponseModel):
    """An image that is kept ahead of its case; `quality` None where no worker judged it in time: its case will have it."""  # noqa: E501

    id: str
    expires_at: datetime
    quality: QualityReport | None
    status: str = "COMPLETE"
    offset: int | None = None
    length: int | None = None
    refusal: UploadRefusal | None = None
