"""What travels through the queue: ids, never images; under 1 KB."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

CASES_QUEUE = "cases"
ASSESS = "case.assess"
SCRATCH_QUEUE = "scratch"
ASSESS_IMAGE = "image.assess"
REPLY_SECONDS = 60


class AssessJob(BaseModel):
    """Payload of `case.assess`; the producer and the worker share only this model."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    case_id: str
    owner: str
    attempt: int = 1


class AssessImageJob(BaseModel):
    """Payload of `image.assess`: the image at `scratch_key(scratch_id)`, without metadata, is to be judged at once.

    The answer is a `QualityReport` as JSON, put with LPUSH to `reply_key(scratch_id)`, a list that expires after
    `REPLY_SECONDS`. Nobody waits for a job that came too late: a scratch object that is gone means nothing to do.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    scratch_id: str
    content_type: str
    orientation: Annotated[int, Field(ge=1, le=8)] = 1


def scratch_key(scratch_id: str) -> str:
    return f"scratch/{scratch_id}"


def reply_key(scratch_id: str) -> str:
    """Redis list that takes the one answer to a job."""
    return f"dermis:reply:{scratch_id}"


def wakeup_channel(case_id: str) -> str:
    """Redis channel on which a new fact of a case is announced by its name."""
    return f"dermis:case:{case_id}"
