"""A case's report as a FHIR R4 document: a Bundle whose first entry, the Composition, orders the others."""

from collections.abc import Iterable, Sequence

from dermis.gateway.core.fhir.datatypes import Identifier, Reference
from dermis.gateway.core.fhir.facts import ReportFacts
from dermis.gateway.core.fhir.narrative import (
    answer_lines,
    conclusion_of,
    narrative,
    notice_of,
    reading_lines,
    urgency_lines,
)
from dermis.gateway.core.fhir.observations import answers_of, red_flags_of, urgency_of
from dermis.gateway.core.fhir.origin import devices_of, provenances_of
from dermis.gateway.core.fhir.people import consent_of, patient_of, reader_name, readers_of, subject_of
from dermis.gateway.core.fhir.photos import photos_of, qualities_of
from dermis.gateway.core.fhir.readings import leading, readings_of
from dermis.gateway.core.fhir.resources import (
    AnyResource,
    Attester,
    BundleEntry,
    Composition,
    DiagnosticReport,
    DocumentBundle,
    MediaLink,
    Section,
)
from dermis.gateway.core.fhir.self_report import lines_of, response_of
from dermis.gateway.core.fhir.terminology import CASES, URI, Concept, concept

MEDIA_TYPE = "application/fhir+json"
TITLE = "Skin-condition assessment by software from photos and answers; no diagnosis"
FINAL_TITLE = "Skin-condition assessment from photos, read by clinicians"


def document_of(facts: ReportFacts) -> DocumentBundle:
    """Return a closed case's report; the same facts make the same document, byte for byte."""
    photos, answers = photos_of(facts), response_of(facts)
    software = [*answers_of(facts), *red_flags_of(facts), urgency_of(facts), *qualities_of(facts)]
    observations = [*readings_of(facts), *software]
    report = _report(facts, _references([*readings_of(facts), *software]), _references(photos))
    patient = patient_of(facts)
    resources: list[AnyResource] = [
        _composition(facts),
        report,
        *observations,
        *photos,
        answers,
        *devices_of(facts),
        consent_of(facts),
        *provenances_of(facts, _references([report, *software])),
        *([patient] if patient else []),
        *readers_of(facts),
    ]
    return DocumentBundle(
        id=facts.id("document"),
        meta=facts.meta,
        identifier=Identifier(system=URI, value=facts.urn("document")),
        timestamp=facts.issued,
        entry=tuple(BundleEntry(full_url=f"urn:uuid:{each.id}", resource=each) for each in resources),
    )


def _report(facts: ReportFacts, results: Sequence[Reference], photos: Iterable[Reference]) -> DiagnosticReport:
    readers = tuple(facts.to(reader_name(reading.reader)) for reading in facts.verdict)
    conclusion = conclusion_of(facts)
    return DiagnosticReport(
        id=facts.id("report"),
        meta=facts.meta,
        text=narrative([conclusion]),
        identifier=(Identifier(system=CASES, value=facts.received.case_id),),
        status=facts.status,
        code=concept(Concept.REPORT, _title(facts)),
        subject=subject_of(facts),
        effective_date_time=facts.received.received_at,
        issued=facts.issued,
        performer=readers,
        results_interpreter=readers,
        result=tuple(results),
        media=tuple(MediaLink(link=photo) for photo in photos),
        conclusion=conclusion,
        conclusion_code=leading(facts),
    )


def _composition(facts: ReportFacts) -> Composition:
    return Composition(
        id=facts.id("composition"),
        meta=facts.meta,
        text=narrative([_title(facts), *notice_of(facts)]),
        identifier=Identifier(system=CASES, value=facts.received.case_id),
        status="final" if facts.status == "final" else "preliminary",
        type=concept(Concept.REPORT, _title(facts)),
        subject=subject_of(facts),
        date=facts.issued,
        author=(*(facts.to(reader_name(each.reader)) for each in facts.verdict), facts.to("software")),
        title=_title(facts),
        attester=tuple(Attester(time=each.read_at, party=facts.to(reader_name(each.reader))) for each in facts.verdict),
        section=tuple(_sections(facts)),
    )


def _sections(facts: ReportFacts) -> list[Section]:
    readings = readings_of(facts)
    read = [_section(Concept.READING, "Read by clinicians", reading_lines(facts), readings)] if readings else []
    images: list[AnyResource] = [*photos_of(facts), *qualities_of(facts)]
    photos = [_section(Concept.PHOTOS, "Photos", [f"{len(facts.received.images)} photos"], images)] if images else []
    signs = [*red_flags_of(facts), urgency_of(facts)]
    return [
        Section(
            title="Read this first",
            code=concept(Concept.NOTICE, "Notice"),
            text=narrative(notice_of(facts)),
            entry=(facts.to("report"),),
        ),
        *read,
        _section(Concept.ANSWER, "Answer of the software", answer_lines(facts), answers_of(facts)),
        _section(Concept.URGENCY, "Warning signs, and how soon to have it looked at", urgency_lines(facts), signs),
        *photos,
        _section(
            Concept.ANSWERS,
            "What the person reported",
            lines_of(facts.received.self_report) or ["No question was answered."],
            [response_of(facts)],
        ),
        _section(Concept.CONSENT, "What the person agreed to", _agreed(facts), [consent_of(facts)]),
    ]


def _section(code: Concept, title: str, lines: Iterable[str], entries: Sequence[AnyResource]) -> Section:
    return Section(title=title, code=concept(code, title), text=narrative(lines), entry=tuple(_references(entries)))


def _agreed(facts: ReportFacts) -> list[str]:
    return [each.code[0].text for each in consent_of(facts).provision.provision]


def _title(facts: ReportFacts) -> str:
    title = FINAL_TITLE if facts.verdict else TITLE
    return f"{title} (DEMO OR TEST DATA)" if facts.warnings else title


def _references(resources: Iterable[AnyResource]) -> list[Reference]:
    return [Reference(reference=f"urn:uuid:{each.id}") for each in resources]
