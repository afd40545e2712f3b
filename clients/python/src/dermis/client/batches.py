"""What the gateway answers of batches."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from dermis.client.answers import Outcome, QualityReport, ResponseModel


class Batch(ResponseModel):
    """A batch.

    `status` RUNNING or FINISHED, `rows_done` grows in steps of `step`, `failed` names steps that can't be done and why.
    """

    id: str
    status: str
    created_at: datetime
    rows: int
    rows_done: int
    step: int
    failed: dict[int, str]
    results: str


class BatchSummary(ResponseModel):
    id: str
    created_at: datetime
    rows: int


class BatchList(ResponseModel):
    batches: list[BatchSummary]
    next_cursor: str | None


class AssessedImage(ResponseModel):
    """`phash`: 64 bits as 16 hex digits, None if the image could not be decoded."""

    n: int
    quality: QualityReport
    phash: str | None = None


class RowFault(ResponseModel):
    """Why a row has no outcome, and what to do about it."""

    reason: str
    detail: str


class BatchResult(ResponseModel):
    """What became of a row: `outcome`, or `fault` where its images could not be read from the source."""

    row: int
    name: str
    images: Annotated[list[AssessedImage], Field(default_factory=list)]
    outcome: Outcome | None = None
    fault: RowFault | None = None
