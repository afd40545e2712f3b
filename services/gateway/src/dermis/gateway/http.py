"""The bodies of the HTTP API, as the gateway sends and takes them.

`dermis.client` has its own words for them, tested to agree.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from dermis.shared.case import ConfirmedBy, Consent, Outcome, Status, Urgency
from dermis.shared.codes import Code
from dermis.shared.evaluation import EvaluationReport
from dermis.shared.manifest import Condition, VersionRole
from dermis.shared.promotions import PromotionAction
from dermis.shared.report import QualityReport
from dermis.shared.vocabulary import SelfReport, ShotType

OTHER_CONDITION = "OTHER"


class CaseImage(BaseModel):
    """One image of a case; `width` and `height` in pixels as it is shown, `quality` once it is assessed."""

    n: int
    content_type: str
    width: int
    height: int
    shot_type: ShotType | None
    quality: QualityReport | None


class UploadRefusal(BaseModel):
    """Why what was uploaded is no image that is taken: as the problem that its sender got."""

    reason: str
    detail: str


class ImageUpload(BaseModel):
    """An image that is kept ahead of its case; `quality` null where no worker judged it in time: its case will have it."""  # noqa: E501 - a text of the OpenAPI file

    id: str
    expires_at: datetime
    quality: QualityReport | None
    status: Literal["UPLOADING", "COMPLETE", "TAKEN", "REFUSED"] = Field(
        "COMPLETE", description="UPLOADING: bytes are missing; TAKEN: a case has taken it; REFUSED: see `refusal`"
    )
    offset: int | None = Field(None, description="bytes that have come")
    length: int | None = Field(None, description="bytes that are to come in all")
    refusal: UploadRefusal | None = None


class Failure(BaseModel):
    """Why a case could not be finished: our fault, not the images'."""

    attempt: int
    failed_at: datetime
    reason: str
    detail: str


class SourceLink(BaseModel):
    """A public text that guidance rests on, and its address."""

    name: str
    url: str


class SelfCare(BaseModel):
    """What people can do themselves for a group of conditions, and a routine of skin care; no treatment."""

    id: str
    name: str
    do: list[str]
    avoid: list[str]
    routine: list[str]
    links: list[SourceLink] = []
    language: str = Field("en", description="the language of its texts (BCP 47)")


class GuidanceEntry(BaseModel):
    """What may be said of a condition in plain words: neutral, without any treatment."""

    id: str
    urgency: Urgency
    next_step: str
    text: str
    on_lighter_skin: str
    on_darker_skin: str
    sources: list[str]
    links: list[SourceLink] = Field([], description="the sources with their addresses")
    self_care: str | None = Field(None, description="id of the self-care for it; null: there is none")
    language: str = Field("en", description="the language of its texts (BCP 47)")


class ConditionGuidance(BaseModel):
    """A condition of a model and its guidance; `is_general` if no entry names it and the general one stands in."""

    condition: str
    name: str
    is_general: bool
    guidance: GuidanceEntry
    codes: list[Code] = Field(default=[], description="confirmed codes of the condition, ICD-11 first")


class UrgencyReason(BaseModel):
    """Why a case is as urgent as it is.

    RED_FLAG: a warning from the answers; ANSWERS: a growth or mole is reported; MODEL: a condition is probable enough.
    """

    source: Literal["RED_FLAG", "ANSWERS", "MODEL"]
    urgency: Urgency
    text: str
    next_step: str
    flag: str | None = Field(None, description="the red flag's code, where one is the reason")
    condition: str | None = Field(None, description="the condition's id, where one is the reason")


class CaseGuidance(BaseModel):
    """What a person may do now: the most urgent of what the answers and the model give a reason for.

    `urgency` is null where nothing gives one: that is no word on how harmless it is. A demo model, an abstention and a
    rejection give none. `because`: every reason for this urgency. `conditions` are those of the prediction set; none if
    the model abstained, is a demo, or no image was usable.
    """

    urgency: Urgency | None
    because: list[UrgencyReason]
    next_step: str
    conditions: list[ConditionGuidance]
    general: GuidanceEntry
    skin_care: list[str] = Field(description="care that is good for any skin; empty where `self_care` must be")
    self_care: list[SelfCare] = Field(
        [],
        description="for the conditions of the prediction set; empty beside a growth, a red flag, an abstention, a "
        "rejection and a demo model",
    )
    clinical_review: str = Field(description="who reviewed these texts; `none`: no clinician has")
    urgency_text: str | None = Field(None, description="what people read for `urgency`; null where it is")


class Case(BaseModel):
    """A case as far as it has come; `outcome` once `status` is FINISHED, `failure` if it is FAILED.

    `guidance` comes with either. `self_report`: what the person answered.
    """

    id: str
    status: Status
    received_at: datetime
    assessed_at: datetime | None
    images: list[CaseImage]
    self_report: SelfReport
    outcome: Outcome | None
    guidance: CaseGuidance | None
    failure: Failure | None
    notice: str
    access: Literal["OWNER", "READ"] = Field(
        "OWNER", description="what the caller may do: `READ` for who came by a link that lets see the case alone"
    )
    client_reference: str | None = Field(None, description="what its client called it; null to who may only see it")
    client_secret: str | None = Field(
        None,
        description="to who submitted it with an API key, this once: as `Authorization: Bearer`, it reads, follows, "
        "shares and erases this case alone and gives feedback on it",
    )
    livemode: bool = Field(True, description="false for a test key's case, which is no person's")


class CaseSummary(BaseModel):
    """A case in a list; `received_at` to the millisecond, as its id has it."""

    id: str
    status: Status
    received_at: datetime
    livemode: bool = Field(True, description="false for a test key's cases")


class UploadedCase(BaseModel):
    """A new case as a JSON body: its images were uploaded before."""

    model_config = ConfigDict(extra="forbid")

    uploads: list[str] = []
    shot_types: list[ShotType | None] = []
    self_report: dict[str, Any] = {}
    """Checked as the form's is, whose faults say more (`convert.new_case_of`)."""
    consent: Consent = Consent.ASSESS_ONLY
    second_read: StrictBool = False
    client_reference: str | None = None


class CaseList(BaseModel):
    """One page; `next_cursor` is null on the last one."""

    cases: list[CaseSummary]
    next_cursor: str | None


class Feedback(BaseModel):
    """What became of an outcome: `helpful`, or `condition` and `confirmed_by`, or all. No free text: it could name a person."""  # noqa: E501 - a text of the OpenAPI file

    model_config = ConfigDict(extra="forbid")

    helpful: StrictBool | None = None
    condition: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        None, description="id of the condition that it was, of the model that answered; `OTHER` for none of them"
    )
    confirmed_by: ConfirmedBy | None = Field(None, description="who says so; needed with `condition`")

    @model_validator(mode="after")
    def _says_something(self) -> "Feedback":
        if self.helpful is None and self.condition is None:
            raise ValueError("nothing is said; give helpful, or condition and confirmed_by")
        if (self.condition is None) is not (self.confirmed_by is None):
            raise ValueError("condition and confirmed_by belong together; give both or none")
        return self


class FeedbackKept(Feedback):
    """Feedback as it is kept; `consent` is the case's: only KEEP_FOR_IMPROVEMENT lets it become part of a data set."""

    case_id: str
    given_at: datetime
    consent: Consent


class LinkRequest(BaseModel):
    """What a link to a case is to be."""

    model_config = ConfigDict(extra="forbid")

    expires_in_seconds: Annotated[int, Field(ge=60, le=400 * 24 * 3600)] = Field(
        7 * 24 * 3600, description="time after which the link ends; the case's own end comes first"
    )
    may_erase: StrictBool = Field(False, description="the owner's link for another device: may erase the case")


class NewCaseLink(BaseModel):
    """A link with its secret, which is shown this once: `url` is below the address that was asked."""

    id: str
    url: str
    expires_at: datetime
    may_erase: bool


class CaseLink(BaseModel):
    """A link without its secret; `revoked_at` once it is revoked."""

    id: str
    created_at: datetime
    expires_at: datetime
    may_erase: bool
    revoked_at: datetime | None


class CaseLinkList(BaseModel):
    """All links of a case, the oldest first."""

    shares: list[CaseLink]


class VersionKnowledge(BaseModel):
    """What a version knows, beside its conditions, and for whom it was measured."""

    kind: str = Field(description="what a photo has to show for an answer to mean anything")
    unknown: list[str] = Field(description="what it can't tell")
    data: str
    licence: str
    scale: str = Field(description="who told the skin types: self_reported, estimated or painted")
    measured_on: dict[str, int] = Field(description="independent cases by Fitzpatrick group")
    needed: int = Field(description="cases under which a group counts as not measured")
    not_measured: list[str] = Field(description="groups whose people get an abstention, or by a setting a warning")


class ModelSummary(BaseModel):
    """A version of a model; cases are answered with the `current` one, a share of them with a canary."""

    name: str
    version: int
    purpose: str
    current: bool
    role: VersionRole | None = Field(
        default=None,
        description="what it does now: a canary answers a share of the cases, a shadow is asked and never shown",
    )
    percent: int | None = Field(default=None, description="share of the cases that a canary answers")
    conditions: list[Condition]
    image_size: int
    coverage: float = Field(description="share of cases whose prediction set is made to hold the condition")
    evaluation: str = Field(description="where its evaluation report is")
    knowledge: VersionKnowledge | None = Field(default=None, description="null where its bundle does not say")
    malignant: list[str] = Field(
        default_factory=list, description="ids of its malignant conditions; it can't rule out skin cancer in any case"
    )
    declines_unlike: bool = Field(
        default=False, description="whether photos unlike those that it learned from get an abstention"
    )


class ModelList(BaseModel):
    models: list[ModelSummary]


class ConditionList(BaseModel):
    """The conditions that the current model knows, with their guidance; without a current model those of the guidance alone."""  # noqa: E501 - a text of the OpenAPI file

    model: str | None = Field(description="name and version of the current model")
    conditions: list[ConditionGuidance]
    general: GuidanceEntry
    skin_care: list[str]
    self_care: list[SelfCare] = []
    clinical_review: str
    notice: str


class Evaluation(BaseModel):
    """A version's evaluation report as its bundle has it."""

    model: str
    report: EvaluationReport


class ComparedGroup(BaseModel):
    """How a version did beside the one that it was compared with, on the same `n` cases of a group."""

    name: str = Field(description="`overall`, or SCALE=GROUP")
    n: int
    independent: int = Field(description="cases of people that no other case is of")
    current: float | None
    candidate: float | None
    gain: float | None
    interval: tuple[float, float] | None = Field(description="of the gain, 95 %")
    verdict: str


class Waived(BaseModel):
    """Someone's word that a group with too few cases to judge may be passed over."""

    group: str
    reason: str


class Promotion(BaseModel):
    """What was asked of the pointer to the current model, whether it was done, and on which evaluation."""

    id: str
    at: datetime
    action: PromotionAction
    model: str = Field(description="name and version that was to become current, a shadow or a canary, or was one")
    over: str | None = Field(description="what was current")
    data: str | None = Field(description="digest of the data set of the evaluation")
    compared_with: str | None
    measure: str
    overall: ComparedGroup | None
    tones: list[ComparedGroup]
    waivers: list[Waived]
    lower_purpose: bool = Field(description="a model of a lower purpose, such as a demo, was let in on purpose")
    reasons: list[str] = Field(description="why it was refused or ended")
    percent: int | None = Field(default=None, description="share of the cases that a canary answered")
    by: str = Field(default="operator", description="the part of dermis that did so, where no person asked")


class PromotionList(BaseModel):
    """Records, the newest first; `next_cursor` is null on the last page."""

    promotions: list[Promotion]
    next_cursor: str | None
