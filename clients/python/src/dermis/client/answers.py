"""What the gateway answers.

Fields that a newer gateway adds are ignored; a code is a plain string, so that a new one is no error.
"""

from datetime import datetime
from typing import Annotated

from pydantic import Field, SkipValidation

from dermis.client.outcome import Interval, Outcome, QualityReport, ResponseModel
from dermis.client.self_report import SelfReport


class CaseImage(ResponseModel):
    """One image of a case; `width` and `height` in pixels as it is shown, `quality` once it is assessed."""

    n: int
    content_type: str
    width: int
    height: int
    shot_type: str | None
    quality: QualityReport | None


class ImageUpload(ResponseModel):
    """An image that is kept ahead of its case; `quality` None where no worker judged it in time: its case will have it."""  # noqa: E501

    id: str
    expires_at: datetime
    quality: QualityReport | None


class Failure(ResponseModel):
    """Why a case could not be finished: a fault of the system, not of the images."""

    attempt: int
    failed_at: datetime
    reason: str
    detail: str


class GuidanceEntry(ResponseModel):
    """What may be said of a condition in plain words, without any treatment."""

    id: str
    urgency: str
    next_step: str
    text: str
    on_lighter_skin: str
    on_darker_skin: str
    sources: list[str]


class ConditionGuidance(ResponseModel):
    """A condition and its guidance; `is_general` if no entry names it and the general one is used."""

    condition: str
    name: str
    is_general: bool
    guidance: GuidanceEntry


class UrgencyReason(ResponseModel):
    """Why a case is as urgent as it is; `source` RED_FLAG, ANSWERS or MODEL."""

    source: str
    urgency: str
    text: str
    next_step: str
    flag: str | None = None
    condition: str | None = None


class CaseGuidance(ResponseModel):
    """What a person may do now.

    `urgency` is None where neither answers nor model give a reason for one, which does not mean that it is harmless;
    `because` are its reasons. `conditions` are those of the prediction set, `clinical_review` who reviewed the texts
    (`none`: nobody).
    """

    urgency: str | None
    because: list[UrgencyReason]
    next_step: str
    conditions: list[ConditionGuidance]
    general: GuidanceEntry
    skin_care: list[str]
    clinical_review: str


class Case(ResponseModel):
    """A case as far as it has come.

    `status` RECEIVED, ASSESSED, FINISHED (with `outcome`), FAILED (with `failure`); `guidance` comes with both.
    `self_report` holds what was answered, by question.
    """

    id: str
    status: str
    received_at: datetime
    assessed_at: datetime | None
    images: list[CaseImage]
    self_report: Annotated[SelfReport, SkipValidation]
    outcome: Outcome | None
    guidance: CaseGuidance | None
    failure: Failure | None
    notice: str

    @property
    def is_closed(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in ("FINISHED", "FAILED", "ERASED")


class CaseSummary(ResponseModel):
    id: str
    status: str
    received_at: datetime


class CaseList(ResponseModel):
    cases: list[CaseSummary]
    next_cursor: str | None


class FeedbackKept(ResponseModel):
    """Feedback as it is kept; `consent` is the case's: only KEEP_FOR_IMPROVEMENT lets it become part of a data set."""

    case_id: str
    given_at: datetime
    consent: str
    helpful: bool | None = None
    condition: str | None = None
    confirmed_by: str | None = None


class Condition(ResponseModel):
    id: str
    name: str


class ModelSummary(ResponseModel):
    """A version of a model; cases are answered with the `current` one.

    `coverage`: share of cases whose set is made to hold the condition.
    """

    name: str
    version: int
    purpose: str
    current: bool
    conditions: list[Condition]
    image_size: int
    coverage: float
    evaluation: str


class ModelList(ResponseModel):
    models: list[ModelSummary]


class ConditionList(ResponseModel):
    """The conditions of the current model with their guidance; `model` is its name and version, None without one."""

    model: str | None
    conditions: list[ConditionGuidance]
    general: GuidanceEntry
    skin_care: list[str]
    clinical_review: str
    notice: str


class ComparedGroup(ResponseModel):
    """How a version did beside another one, on the same `n` cases of a group (`overall`, or SCALE=GROUP)."""

    name: str
    n: int
    independent: int
    current: float | None
    candidate: float | None
    gain: float | None
    interval: Interval | None
    verdict: str


class Waived(ResponseModel):
    """A group with too few cases to judge that someone let pass, and why."""

    group: str
    reason: str


class Promotion(ResponseModel):
    """A change of the current model that was asked for; `action` PROMOTED, ROLLED_BACK or REFUSED (with `reasons`)."""

    id: str
    at: datetime
    action: str
    model: str
    over: str | None
    data: str | None
    compared_with: str | None
    measure: str
    overall: ComparedGroup | None
    tones: list[ComparedGroup]
    waivers: list[Waived]
    lower_purpose: bool
    reasons: list[str]


class PromotionList(ResponseModel):
    promotions: list[Promotion]
    next_cursor: str | None


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
    images: list[AssessedImage] = Field(default_factory=list)
    outcome: Outcome | None = None
    fault: RowFault | None = None
