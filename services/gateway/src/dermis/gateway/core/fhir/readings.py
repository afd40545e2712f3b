"""What clinicians read in a case's photos."""

from collections.abc import Iterator

from dermis.gateway.core.fhir.datatypes import CodeableConcept, Coding
from dermis.gateway.core.fhir.facts import ReportFacts, shared_labels
from dermis.gateway.core.fhir.observations import observation
from dermis.gateway.core.fhir.people import reader_name
from dermis.gateway.core.fhir.photos import photo_name
from dermis.gateway.core.fhir.resources import Component, Observation
from dermis.gateway.core.fhir.terminology import Concept, absent, concept, condition_named, urn, words
from dermis.shared.reviews import Adjudication, CaseReading, ReviewedCondition
from dermis.shared.vocabulary import Gradable

_GRADABLE = {
    Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT: "The photos can be judged",
    Gradable.NO_IMAGE_QUALITY_INSUFFICIENT: "The photos are not good enough to be judged",
    Gradable.YES_IMAGE_QUALITY_SUFFICIENT_NO_DISCERNIBLE_PATHOLOGY: "The photos can be judged and show no condition",
}


def reading_name(reading: CaseReading) -> str:
    return "adjudication" if isinstance(reading, Adjudication) else f"reading/{reading.reader}"


def readings_of(facts: ReportFacts) -> list[Observation]:
    """Return every reading, `final` where it stands."""
    return [_reading(facts, reading) for reading in facts.readings]


def ranked(reading: CaseReading) -> list[ReviewedCondition]:
    """Return a reading's conditions, those that its reader is most sure of first."""
    return sorted(reading.conditions, key=lambda each: -each.confidence)


def words_of(reading: CaseReading) -> str:
    """Return a reading in words, confidence from 1 to 5."""
    conditions = ", ".join(f"{each.label} (confidence {each.confidence} of 5)" for each in ranked(reading))
    return conditions or _GRADABLE[reading.gradable]


def leading(facts: ReportFacts) -> tuple[CodeableConcept, ...]:
    """Return the conditions that every reading that stands is most sure of."""
    return tuple(map(condition_named, shared_labels(facts.verdict)))


def _reading(facts: ReportFacts, reading: CaseReading) -> Observation:
    adjudicated = isinstance(reading, Adjudication)
    text = "Reading that stands where readers disagreed" if adjudicated else "Reading by a clinician"
    components = tuple(_components(reading))
    return observation(
        facts,
        reading_name(reading),
        concept(Concept.READING, text),
        status="final" if reading in facts.verdict else "preliminary",
        issued=reading.read_at,
        performer=(facts.to(reader_name(reading.reader)),),
        data_absent_reason=None if reading.conditions else absent("unknown", _GRADABLE[reading.gradable]),
        derived_from=tuple(facts.to(photo_name(image.n)) for image in facts.received.images),
        component=components,
    )


def _components(reading: CaseReading) -> Iterator[Component]:
    coding = Coding(system=urn("gradable"), code=reading.gradable)
    yield Component(
        code=concept(Concept.GRADABLE, "Whether the photos can be judged"),
        value_codeable_concept=CodeableConcept(coding=(coding,), text=_GRADABLE[reading.gradable]),
    )
    for each in ranked(reading):
        yield Component(code=condition_named(each.label), value_integer=each.confidence)
    for code, text, value in (
        (Concept.FITZPATRICK_SKIN_TYPE, "Fitzpatrick skin type, estimated", reading.fitzpatrick_skin_type),
        (Concept.MONK_SKIN_TONE, "Monk skin tone, estimated", reading.monk_skin_tone),
    ):
        if value:
            estimate = CodeableConcept(coding=(Coding(system=urn(code), code=value),), text=words(value))
            yield Component(code=concept(code, text), value_codeable_concept=estimate)
