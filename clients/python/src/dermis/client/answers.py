"""What the gateway answers.

Fields that a newer gateway adds are ignored; a code is a plain string, so that a new one is no error.
"""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, SkipValidation

from dermis.client.self_report import SelfReport

Interval = tuple[float, float]


class ResponseModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class QualityMeasures(ResponseModel):
    """Measures of one image at the working size."""

    blur: float
    brightness_mean: float
    brightness_std: float
    underexp: float
    overexp: float
    contrast: float
    shadow: float
    sharpness: float


class QualityReport(ResponseModel):
    """`verdict` USABLE, MARGINAL or UNUSABLE; `reasons` are stable codes, `advice` is what to do.

    `measures` None if not decoded.
    """

    verdict: str
    reasons: list[str]
    advice: list[str]
    measures: QualityMeasures | None
    policy: str


class CaseImage(ResponseModel):
    """One image of a case; `width` and `height` in pixels as it is shown, `quality` once it is assessed."""

    n: int
    content_type: str
    width: int
    height: int
    shot_type: str | None
    quality: QualityReport | None


class Failure(ResponseModel):
    """Why a case could not be finished: a fault of the system, not of the images."""

    attempt: int
    failed_at: datetime
    reason: str
    detail: str


class Code(ResponseModel):
    """A code of a condition; `system` is the classification's address in FHIR."""

    system: str
    code: str
    display: str = ""


class RankedCondition(ResponseModel):
    condition: str
    name: str
    probability: float
    in_prediction_set: bool
    codes: list[Code] = []


class AnswerEntry(ResponseModel):
    """A condition or a condition group; `level` CONDITION, GROUP or BROAD_GROUP, `conditions` what it holds."""

    level: str
    id: str
    name: str
    probability: float
    conditions: list[str] = []


class GroupedAnswer(ResponseModel):
    """The most specific answer that is sure enough: at most three conditions or groups; `level` of the broadest."""

    level: str
    entries: list[AnswerEntry]
    coverage: float


class ModelRef(ResponseModel):
    """The model that answered; `purpose` "demo" means that the answer has no clinical meaning."""

    name: str
    version: int
    purpose: str


class RedFlag(ResponseModel):
    """A warning from the answers alone; `urgency` EMERGENCY, TODAY, SOON, ROUTINE or WATCH."""

    flag: str
    text: str
    urgency: str | None = None


class Notice(ResponseModel):
    """What a person should know before reading the result."""

    notice: str
    text: str


class AnswerShare(ResponseModel):
    """What one answer counted: `shares` maps a condition's id to how much its logit rose over not answering."""

    field: str
    values: list[str]
    shares: dict[str, float]


class Heatmap(ResponseModel):
    """A heatmap that can be asked for: of image `n`, for a condition."""

    n: int
    condition: str
    place: int


class StageTime(ResponseModel):
    """One stage of the work and its wall time in milliseconds."""

    name: str
    ms: float


class Measured(ResponseModel):
    """How well the model was measured on `n` cases of this person's self-reported Fitzpatrick group, or on `ALL`.

    Intervals are 95 %.
    """

    group: str
    n: int
    top_1: float
    top_1_interval: Interval | None = None
    top_3: float
    top_3_interval: Interval | None = None
    set_coverage: float | None = None
    set_coverage_interval: Interval | None = None
    floor_top_1: float
    floor_top_3: float
    data: str
    people: int | None = None
    scale: str = "self_reported"


class ModelKnowledge(ResponseModel):
    """What the model knows and what not; `painted`: it was tested on drawings and never on people."""

    kind: str
    unknown: list[str] = []
    data: str = ""
    painted: bool = False


class Outcome(ResponseModel):
    """The one result of a case; `kind` DIFFERENTIAL, ABSTENTION or REJECTION.

    A differential lists every condition of the model, the most probable first. An abstention keeps it and says in
    `reason` why it should not be relied on. A rejection has neither differential nor model, and `advice` for better
    photos.
    """

    case_id: str
    finished_at: datetime
    kind: str
    reason: str | None = None
    differential: list[RankedCondition] = []
    coverage: float | None = None
    advice: list[str] = []
    red_flags: list[RedFlag] = []
    model: ModelRef | None = None
    feature_schema: str | None = None
    images_used: list[int] = []
    stages: list[StageTime] = []
    notice: str = (
        "dermis is not a medical device. It does not diagnose. See a doctor or a dermatologist about any skin "
        "concern that worries you."
    )
    notices: list[Notice] = []
    answer_shares: list[AnswerShare] = []
    heatmaps: list[Heatmap] = []
    measured: Measured | None = None
    grouped_answer: GroupedAnswer | None = None
    knowledge: ModelKnowledge | None = None
    urgency_threshold: float | None = None


class SourceLink(ResponseModel):
    name: str
    url: str


class SelfCare(ResponseModel):
    """What people can do themselves for a group of conditions, and a routine of skin care."""

    id: str
    name: str
    do: list[str]
    avoid: list[str]
    routine: list[str]
    links: list[SourceLink] = []
    language: str = "en"


class GuidanceEntry(ResponseModel):
    """What may be said of a condition in plain words, without any treatment."""

    id: str
    urgency: str
    next_step: str
    text: str
    on_lighter_skin: str
    on_darker_skin: str
    sources: list[str]
    links: list[SourceLink] = []
    self_care: str | None = None
    language: str = "en"


class ConditionGuidance(ResponseModel):
    """A condition and its guidance; `is_general` if no entry names it and the general one is used."""

    condition: str
    name: str
    is_general: bool
    guidance: GuidanceEntry
    codes: tuple[Code, ...] = ()


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
    `because` are its reasons, `urgency_text` is what people read for it. `conditions` are those of the prediction set,
    `clinical_review` who reviewed the texts (`none`: nobody).
    """

    urgency: str | None
    because: list[UrgencyReason]
    next_step: str
    conditions: list[ConditionGuidance]
    general: GuidanceEntry
    skin_care: list[str]
    self_care: list[SelfCare] = []
    clinical_review: str
    urgency_text: str | None = None


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
    access: str = "OWNER"
    client_reference: str | None = None
    client_secret: str | None = None
    livemode: bool = True

    @property
    def is_closed(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in ("FINISHED", "FAILED", "ERASED")


class CaseSummary(ResponseModel):
    id: str
    status: str
    received_at: datetime
    livemode: bool = True


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
