"""A case: the immutable facts that are put once into its folder, and its state, a pure fold over them.

Frozen: fields are added with a default, never removed, renamed or given another meaning.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from dermis.shared.codes import Code
from dermis.shared.images.color_profile import ColorProfile
from dermis.shared.report import QualityReport
from dermis.shared.vocabulary import SelfReport, ShotType

NOT_A_MEDICAL_DEVICE = (
    "dermis is not a medical device. It does not diagnose. See a doctor or a dermatologist about any skin concern "
    "that worries you."
)
PUBLIC_OWNER = "public"
MAX_IMAGES = 3


class Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Consent(StrEnum):
    ASSESS_ONLY = "ASSESS_ONLY"
    KEEP_FOR_IMPROVEMENT = "KEEP_FOR_IMPROVEMENT"


class ReceivedImage(Fact):
    """`width` and `height` in pixels as stored.

    `orientation` is EXIF's 1-8 and `color` the profile, kept when the metadata was dropped.

    `color` is None for sRGB. Where `keep_original` is false the profile could not be read down to numbers: it stands
    whole at `image_key(..., "profile")`, and goes together with the original once the image has been prepared.
    """

    n: Annotated[int, Field(ge=1, le=MAX_IMAGES)]
    content_type: str
    bytes: int
    sha256: str
    width: int
    height: int
    orientation: Annotated[int, Field(ge=1, le=8)] = 1
    shot_type: ShotType | None = None
    color: ColorProfile | None = None
    keep_original: bool = True


class Received(Fact):
    """`received.json`: the case as it came in. Without images it has answers, which may raise red flags."""

    case_id: str
    owner: str
    received_at: datetime
    images: Annotated[tuple[ReceivedImage, ...], Field(max_length=MAX_IMAGES)]
    self_report: SelfReport
    consent: Consent = Consent.ASSESS_ONLY
    client_reference: str | None = None
    livemode: bool = True
    """False of a case that came with a test key: it is no person's, and counts nowhere."""
    second_read: bool = False
    """Whether its owner agreed that clinicians look at it and give their own reading."""


class AssessedImage(Fact):
    """`phash` is 64 bits as 16 hex digits; None if the image could not be decoded."""

    n: int
    quality: QualityReport
    phash: str | None


class StageTime(Fact):
    """One stage of the work and its wall time in milliseconds."""

    name: str
    ms: float


class Assessed(Fact):
    """`assessed.json`: a quality report per image."""

    case_id: str
    assessed_at: datetime
    images: tuple[AssessedImage, ...]
    stages: tuple[StageTime, ...] = ()


class OutcomeKind(StrEnum):
    DIFFERENTIAL = "DIFFERENTIAL"
    ABSTENTION = "ABSTENTION"
    REJECTION = "REJECTION"


class RankedCondition(Fact):
    condition: str
    name: str
    probability: float
    in_prediction_set: bool
    codes: tuple[Code, ...] = ()


class AnswerEntry(Fact):
    """A condition or a condition group of an answer. `id`: of either; `conditions`: those that it holds."""

    level: Literal["CONDITION", "GROUP", "BROAD_GROUP"]
    id: str
    name: str
    probability: float
    conditions: tuple[str, ...] = ()


class GroupedAnswer(Fact):
    """The most specific answer that is sure enough: at most three conditions or groups, the most probable first.

    `level`: of its broadest entry. `coverage`: the share of the reference differential that such answers are made to hold.
    """  # noqa: E501 - a text of the OpenAPI file

    level: Literal["CONDITION", "GROUP", "BROAD_GROUP"]
    entries: tuple[AnswerEntry, ...]
    coverage: float


class ModelRef(Fact):
    """The bundle that answered; `purpose` "demo" means that the answer has no clinical meaning."""

    name: str
    version: int
    purpose: str


class Urgency(StrEnum):
    """When to have it looked at, most urgent first: now, today, within days, at an ordinary appointment, watch it."""

    EMERGENCY = "EMERGENCY"
    TODAY = "TODAY"
    SOON = "SOON"
    ROUTINE = "ROUTINE"
    WATCH = "WATCH"


class RedFlag(Fact):
    """A deterministic warning from the answers alone, shown whatever the model says."""

    flag: str
    text: str
    urgency: Urgency | None = None


class Notice(Fact):
    """What a person should know before reading the result, told from the answers alone."""

    notice: str
    text: str


class AnswerShare(Fact):
    """What one answer counted: `shares` maps a condition's id to how much its logit rose over not answering, exact."""

    field: str
    values: tuple[str, ...]
    shares: dict[str, float]


class Heatmap(Fact):
    """Where in image `n` the model saw what speaks for a condition; `place` is the condition's in the model's list."""

    n: int
    condition: str
    place: int


class Measured(Fact):
    """How well this version was measured on cases of this self-reported Fitzpatrick group, or on `ALL` where none is given.

    Shares of `n` cases with their 95 % intervals, None where the cases were too few for one; `floor_*` is the best constant
    list on the same cases (on all of them in reports that have none for the group), `data` what was measured on. `people`:
    how many independent people the cases are of, None where the report does not say. `scale`: who said which type the
    people tested are of; a person's own word and a clinician's estimate are not the same.
    """  # noqa: E501 - a text of the OpenAPI file

    group: str
    n: int
    top_1: float
    top_1_interval: tuple[float, float] | None = None
    top_3: float
    top_3_interval: tuple[float, float] | None = None
    set_coverage: float | None = None
    set_coverage_interval: tuple[float, float] | None = None
    floor_top_1: float
    floor_top_3: float
    data: str
    people: int | None = None
    scale: Literal["self_reported", "estimated"] = "self_reported"


class ModelKnowledge(Fact):
    """What the model that answered knows and what not, from its manifest: the same words as there.

    `painted`: its cases were drawings, and it was never tested on people.
    """

    kind: str
    unknown: tuple[str, ...] = ()
    data: str = ""
    painted: bool = False


class Outcome(Fact):
    """`outcome.json`: the one result of a case.

    A differential lists every condition of the model, most probable first; a rejection has neither differential nor
    model; an abstention keeps the differential and says in `reason` why it should not be relied on. Where `reason` is
    NO_IMAGE or UNDER_18 no model was asked, so that there is none.
    """

    case_id: str
    finished_at: datetime
    kind: OutcomeKind
    reason: str | None = None
    differential: tuple[RankedCondition, ...] = ()
    coverage: float | None = None
    advice: tuple[str, ...] = ()
    red_flags: tuple[RedFlag, ...] = ()
    model: ModelRef | None = None
    feature_schema: str | None = None
    images_used: tuple[int, ...] = ()
    stages: tuple[StageTime, ...] = ()
    notice: str = NOT_A_MEDICAL_DEVICE
    notices: tuple[Notice, ...] = ()
    answer_shares: tuple[AnswerShare, ...] = ()
    heatmaps: tuple[Heatmap, ...] = ()
    measured: Measured | None = None
    grouped_answer: GroupedAnswer | None = None
    knowledge: ModelKnowledge | None = None
    urgency_threshold: float | None = None
    """Probability from which a condition says how soon to have it looked at; None in outcomes from before it."""


class Failed(Fact):
    """`failed/<k>.json`: ends attempt k and closes the case; our fault, not the images'.

    The red flags of the answers stand all the same.
    """

    case_id: str
    attempt: int
    failed_at: datetime
    reason: str
    detail: str
    red_flags: tuple[RedFlag, ...] = ()


class Erased(Fact):
    """`erased.json`: a tombstone without anything personal."""

    case_id: str
    erased_at: datetime


class ConfirmedBy(StrEnum):
    SELF = "SELF"
    DOCTOR = "DOCTOR"
    DERMATOLOGIST = "DERMATOLOGIST"
    LABORATORY = "LABORATORY"


class GivenFeedback(Fact):
    """`feedback/<k>.json`: what became of an outcome; nothing may be learned from a test case's (`livemode` false).

    Part of the case: erased with it, and kept for improvement by its consent alone.
    """

    case_id: str
    given_at: datetime
    helpful: bool | None = None
    condition: str | None = None
    confirmed_by: ConfirmedBy | None = None
    model: ModelRef | None = None
    livemode: bool = True


class OpenCase(Fact):
    """`open/<id>`: the marker that the sweep lists."""

    case_id: str
    owner: str
    opened_at: datetime
    attempt: int = 1
    record: str | None = None
    """Key of a client's idempotency record, which goes with a case that is never wholly stored."""
    reference: str | None = None
    """Key of the index object by which the case is found by its client's reference, likewise."""
    line: str = ""
    """Whose turn the case takes, where that is not its owner's."""


class Status(StrEnum):
    RECEIVED = "RECEIVED"
    ASSESSED = "ASSESSED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    ERASED = "ERASED"


AnyFact = Received | Assessed | Outcome | Failed | Erased


class CaseState(BaseModel):
    """The state of a case; `status` follows from which facts are there."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    received: Received | None = None
    assessed: Assessed | None = None
    outcome: Outcome | None = None
    failed: Failed | None = None
    erased: Erased | None = None

    @property
    def status(self) -> Status | None:
        """The state that the facts imply, or None without any; an outcome outlives a failed attempt."""
        if self.erased:
            return Status.ERASED
        if self.outcome:
            return Status.FINISHED
        if self.failed:
            return Status.FAILED
        if self.assessed:
            return Status.ASSESSED
        return Status.RECEIVED if self.received else None

    @property
    def closed(self) -> bool:
        """Whether no worker has anything left to do."""
        return self.erased is not None or self.outcome is not None or self.failed is not None


def fold(facts: Iterable[AnyFact | None]) -> CaseState:
    """Fold facts, in any order and however often repeated, into the state of a case; the last attempt's failure counts.

    None, where a fact is not there, changes nothing.
    """
    state: dict[str, AnyFact] = {}
    for fact in facts:
        match fact:
            case Received():
                state["received"] = fact
            case Assessed():
                state["assessed"] = fact
            case Outcome():
                state["outcome"] = fact
            case Erased():
                state["erased"] = fact
            case Failed():
                failed = state.get("failed")
                if not isinstance(failed, Failed) or fact.attempt > failed.attempt:
                    state["failed"] = fact
    return CaseState.model_validate(state)


FactName = Literal["received", "assessed", "outcome", "erased"]
CASES_PREFIX = "cases/"


def case_key(owner: str, case_id: str) -> str:
    return f"{CASES_PREFIX}{owner}/{case_id}"


def fact_key(owner: str, case_id: str, name: FactName) -> str:
    return f"{case_key(owner, case_id)}/{name}.json"


def failed_key(owner: str, case_id: str, attempt: int) -> str:
    return f"{case_key(owner, case_id)}/failed/{attempt}.json"


def image_key(owner: str, case_id: str, n: int, form: Literal["original", "prepared", "profile"]) -> str:
    return f"{case_key(owner, case_id)}/images/{n}/{form}"


def heatmap_key(owner: str, case_id: str, heatmap: Heatmap, model: ModelRef) -> str:
    return f"{case_key(owner, case_id)}/images/{heatmap.n}/heatmaps/{model.name}-{model.version}-{heatmap.place}.png"


def feedback_key(owner: str, case_id: str, k: int) -> str:
    return f"{case_key(owner, case_id)}/feedback/{k}.json"


def open_key(case_id: str) -> str:
    return f"open/{case_id}"
