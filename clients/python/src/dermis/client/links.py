"""What the gateway answers about links to a case."""

from datetime import datetime

from dermis.client.answers import ResponseModel


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
