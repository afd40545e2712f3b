"""What the gateway answers of models: their versions, what they know, the conditions, promotions."""

from datetime import datetime

from pydantic import Field

from dermis.client.answers import ConditionGuidance, GuidanceEntry, Interval, ResponseModel, SelfCare


class Condition(ResponseModel):
    id: str
    name: str


class VersionKnowledge(ResponseModel):
    """What a version knows, beside its conditions, and for whom it was measured.

    `measured_on`: independent cases by Fitzpatrick group; people of a group that is `not_measured`, as fewer than
    `needed` were, get an abstention, or by a setting a warning. `scale`: self_reported, estimated or painted.
    """

    kind: str
    unknown: list[str]
    data: str
    licence: str
    scale: str
    measured_on: dict[str, int]
    needed: int
    not_measured: list[str]


class ModelSummary(ResponseModel):
    """A version of a model; cases are answered with the `current` one, `percent` of them with a canary.

    `role`: current, previous, canary, shadow, or None.

    `coverage`: share of cases whose set is made to hold the condition.
    """

    name: str
    version: int
    purpose: str
    current: bool
    role: str | None = None
    percent: int | None = None
    conditions: list[Condition]
    image_size: int
    coverage: float
    evaluation: str
    knowledge: VersionKnowledge | None = None
    malignant: list[str] = Field(default_factory=list)
    declines_unlike: bool = False


class ModelList(ResponseModel):
    models: list[ModelSummary]


class ConditionList(ResponseModel):
    """The conditions of the current model with their guidance; `model` is its name and version, None without one."""

    model: str | None
    conditions: list[ConditionGuidance]
    general: GuidanceEntry
    skin_care: list[str]
    self_care: list[SelfCare] = Field(default_factory=list)
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
    """A change of the current model, or of one on trial, and `reasons` why it was refused or ended."""

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
    percent: int | None = None
    by: str = "operator"


class PromotionList(ResponseModel):
    promotions: list[Promotion]
    next_cursor: str | None


class ForcedOutcome(ResponseModel):
    """How a case of a test key ends; `reason` of an abstention or a rejection."""

    kind: str
    reason: str | None


class PublishedTestImage(ResponseModel):
    """An image that forces an outcome where a test key sends it; `image` is its path below the gateway's address."""

    name: str
    forces: ForcedOutcome
    sha256: str
    image: str


class PublishedTestImages(ResponseModel):
    test_images: list[PublishedTestImage]
