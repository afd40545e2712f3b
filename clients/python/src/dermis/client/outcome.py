"""The result of a case, and what was seen of its images.

Fields that a newer gateway adds are ignored; a code is a plain string, so that a new one is no error.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

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


class RankedCondition(ResponseModel):
    condition: str
    name: str
    probability: float
    in_prediction_set: bool


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
