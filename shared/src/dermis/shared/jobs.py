"""What travels through the queue: ids, never images; under 1 KB."""

from pydantic import BaseModel, ConfigDict

CASES_QUEUE = "cases"
ASSESS = "case.assess"


class AssessJob(BaseModel):
    """Payload of `case.assess`; the producer and the worker share only this model."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    case_id: str
    owner: str
    attempt: int = 1


def wakeup_channel(case_id: str) -> str:
    """Redis channel on which a new fact of a case is announced by its name."""
    return f"dermis:case:{case_id}"
