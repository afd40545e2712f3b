"""What and who a report comes from: the software, the model that answered, and the provenance of each part."""

from collections.abc import Iterator

from dermis.gateway.core.fhir.datatypes import Annotation, CodeableConcept, Reference
from dermis.gateway.core.fhir.facts import ReportFacts
from dermis.gateway.core.fhir.people import reader_name
from dermis.gateway.core.fhir.photos import photo_name
from dermis.gateway.core.fhir.readings import reading_name
from dermis.gateway.core.fhir.resources import Agent, Device, DeviceName, DeviceVersion, Entity, Provenance
from dermis.gateway.core.fhir.terminology import Concept, concept, standard
from dermis.shared.case import NOT_A_MEDICAL_DEVICE, ModelKnowledge, ModelRef


def devices_of(facts: ReportFacts) -> list[Device]:
    """Return the software, and the model if one was asked."""
    software = Device(
        id=facts.id("software"),
        meta=facts.meta,
        device_name=(DeviceName(name="dermis", type="user-friendly-name"),),
        type=concept(Concept.SOFTWARE, "Software that assesses skin conditions from photos and answers"),
        safety=(CodeableConcept(text=NOT_A_MEDICAL_DEVICE),),
    )
    model = facts.outcome.model if facts.outcome else None
    return [software, _model(facts, model)] if model else [software]


def provenances_of(facts: ReportFacts, parts: list[Reference]) -> Iterator[Provenance]:
    """Yield who made `parts` of the software from what, and who made each reading."""
    sources = ("answers", *(photo_name(image.n) for image in facts.received.images))
    yield Provenance(
        id=facts.id("provenance"),
        meta=facts.meta,
        target=tuple(parts),
        recorded=facts.finished_at,
        agent=(Agent(type=_role("author", "Author"), who=facts.to("software")),),
        entity=tuple(Entity(what=facts.to(name)) for name in sources),
    )
    for reading in facts.readings:
        stands = reading in facts.verdict
        yield Provenance(
            id=facts.id(f"provenance/{reading_name(reading)}"),
            meta=facts.meta,
            target=(facts.to(reading_name(reading)), *((facts.to("report"),) if stands else ())),
            recorded=reading.read_at,
            agent=(
                Agent(
                    type=_role("verifier", "Verifier") if stands else _role("author", "Author"),
                    who=facts.to(reader_name(reading.reader)),
                ),
            ),
            entity=tuple(Entity(what=facts.to(name)) for name in sources),
        )


def _model(facts: ReportFacts, model: ModelRef) -> Device:
    versions = [DeviceVersion(type=concept(Concept.BUNDLE_VERSION, "Version of the model"), value=str(model.version))]
    if facts.manifest_sha256:
        digest = concept(Concept.MANIFEST_DIGEST, "SHA-256 of the manifest, which holds that of every file")
        versions.append(DeviceVersion(type=digest, value=facts.manifest_sha256))
    return Device(
        id=facts.id("model"),
        meta=facts.meta,
        device_name=(DeviceName(name=model.name, type="model-name"),),
        type=concept(Concept.MODEL, f"Model for {model.purpose}"),
        version=tuple(versions),
        note=(
            *facts.notes,
            *(Annotation(text=text) for text in _limits(facts.outcome.knowledge if facts.outcome else None)),
        ),
        safety=(CodeableConcept(text=NOT_A_MEDICAL_DEVICE),),
        parent=facts.to("software"),
    )


def _limits(knowledge: ModelKnowledge | None) -> Iterator[str]:
    if knowledge is None:
        return
    if knowledge.data:
        yield f"Learned from: {knowledge.data}"
    if knowledge.unknown:
        yield f"Does not know: {', '.join(knowledge.unknown)}"
    if knowledge.painted:
        yield "Learned from drawings, and was never tested on people"


def _role(code: str, display: str) -> CodeableConcept:
    return standard("provenance-participant-type", code, display)
