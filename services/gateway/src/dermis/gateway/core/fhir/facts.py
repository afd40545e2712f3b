"""What a report is built from: a closed case's facts, its photos, and what clinicians read in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dermis.gateway.core.fhir.datatypes import Annotation, Meta, Reference
from dermis.gateway.core.fhir.resources import ReportStatus
from dermis.gateway.core.fhir.terminology import TEST_DATA, urn
from dermis.gateway.core.second_read import disagree
from dermis.shared.case import Assessed, Failed, Outcome, Received, Urgency
from dermis.shared.reviews import Adjudication, CaseReading, Review

DEMO = "DEMO: the model learned from drawings or is a sample. Its answer has no clinical meaning."
TEST = "TEST DATA: sent with a test key. It is about no person."


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """When to have it looked at, None where nothing gives a reason, and what to do next."""

    urgency: Urgency | None
    because: tuple[str, ...] = ()
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """A case that has an outcome, or else a failure.

    `photos`: the prepared images by their number, JPEG. `manifest_sha256`: of the model that answered.
    `shows_reference`: whether the reader of the report may see how the client calls its case.
    """

    received: Received
    assessed: Assessed | None = None
    outcome: Outcome | None = None
    failed: Failed | None = None
    reviews: tuple[Review, ...] = ()
    adjudication: Adjudication | None = None
    photos: Mapping[int, bytes] = field(default_factory=dict)
    manifest_sha256: str | None = None
    advice: NextStep
    shows_reference: bool = True

    def urn(self, name: str) -> str:
        """Return the address of a resource of this case's report, always the same."""
        return urn(self.received.case_id, name)

    def id(self, name: str) -> str:
        return self.urn(name).removeprefix("urn:uuid:")

    def to(self, name: str) -> Reference:
        return Reference(reference=self.urn(name))

    @property
    def readings(self) -> tuple[CaseReading, ...]:
        """Every reading of a clinician, the adjudication last."""
        return (*self.reviews, *((self.adjudication,) if self.adjudication else ()))

    @property
    def verdict(self) -> tuple[CaseReading, ...]:
        """The readings that stand: the adjudication, else reviews that agree; none if there is neither."""
        if self.adjudication:
            return (self.adjudication,)
        return self.reviews if len(self.reviews) > 1 and not disagree(self.reviews) else ()

    @property
    def status(self) -> ReportStatus:
        if self.verdict:
            return "final"
        return "preliminary" if self.outcome else "cancelled"

    @property
    def finished_at(self) -> datetime:
        """When the software was done; of a case without an outcome or a failure, which has no report, its beginning."""
        if self.outcome:
            return self.outcome.finished_at
        return self.failed.failed_at if self.failed else self.received.received_at

    @property
    def issued(self) -> datetime:
        return max([self.finished_at, *(reading.read_at for reading in self.readings)])

    @property
    def is_demo(self) -> bool:
        model = self.outcome.model if self.outcome else None
        return model is not None and model.purpose == "demo"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What says that this is no answer about a person."""
        return (*((DEMO,) if self.is_demo else ()), *(() if self.received.livemode else (TEST,)))

    @property
    def notes(self) -> tuple[Annotation, ...]:
        return tuple(Annotation(text=text) for text in self.warnings)

    @property
    def meta(self) -> Meta | None:
        """The security label of test data, for each resource: a receiver may take a report apart."""
        return Meta(security=(TEST_DATA,)) if self.warnings else None


def shared_labels(readings: Sequence[CaseReading]) -> list[str]:
    """Return the conditions that every reading is most sure of, as the first lists them."""
    most = [max((each.confidence for each in reading.conditions), default=0) for reading in readings]
    leading = [
        [each.label for each in reading.conditions if each.confidence == confidence]
        for reading, confidence in zip(readings, most, strict=True)
    ]
    return [label for label in leading[0] if all(label in labels for labels in leading)] if leading else []
