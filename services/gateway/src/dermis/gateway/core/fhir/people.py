"""Who is in a report: the person by the client's reference, readers by a pseudonym, and what the person agreed to."""

from dermis.gateway.core.fhir.datatypes import CodeableConcept, Coding, Identifier, Reference
from dermis.gateway.core.fhir.facts import ReportFacts
from dermis.gateway.core.fhir.resources import ConsentRecord, Patient, PractitionerRole, Provision
from dermis.gateway.core.fhir.terminology import HL7, READERS, Concept, concept, no_value, standard, urn
from dermis.shared.case import Consent

_PURPOSES = {
    "PATRQT": "patient requested",
    "HQUALIMP": "health quality improvement",
    "TREAT": "treatment",
}
"""Codes of v3-ActReason."""


def patient_of(facts: ReportFacts) -> Patient | None:
    """Return the person by the client's reference alone; None if there is none, or the reader may not see it.

    A reference is unique among the cases of one owner: so is the identifier's system.
    """
    received = facts.received
    if received.client_reference is None or not facts.shows_reference:
        return None
    reference = Identifier(system=urn("client-references", received.owner), value=received.client_reference)
    return Patient(id=facts.id("patient"), meta=facts.meta, identifier=(reference,))


def subject_of(facts: ReportFacts) -> Reference:
    """Return the reference to the patient, or why there is none."""
    if patient_of(facts):
        return facts.to("patient")
    return Reference(type="Patient", extension=no_value("masked" if facts.received.client_reference else "unknown"))


def reader_name(reader: str) -> str:
    return f"reader/{reader}"


def readers_of(facts: ReportFacts) -> list[PractitionerRole]:
    """Return each reader once, by the pseudonym of the reviews."""
    readers = dict.fromkeys(reading.reader for reading in facts.readings)
    return [
        PractitionerRole(
            id=facts.id(reader_name(reader)),
            meta=facts.meta,
            identifier=(Identifier(system=READERS, value=reader),),
            code=(concept(Concept.READER, "Clinician who read the photos"),),
        )
        for reader in readers
    ]


def consent_of(facts: ReportFacts) -> ConsentRecord:
    """Return what the person agreed to: everything else is denied."""
    received = facts.received
    permitted = [("PATRQT", "Assess the photos and answers")]
    if received.consent is Consent.KEEP_FOR_IMPROVEMENT:
        permitted.append(("HQUALIMP", "Keep them to improve the software"))
    if received.second_read:
        permitted.append(("TREAT", "Let clinicians look at them and give their own reading"))
    return ConsentRecord(
        id=facts.id("consent"),
        meta=facts.meta,
        scope=standard("consentscope", "patient-privacy", "Privacy Consent"),
        category=(concept(Concept.CONSENT, "Consent to the use of photos and answers"),),
        patient=subject_of(facts),
        date_time=received.received_at,
        policy_rule=CodeableConcept(
            coding=(Coding(system=urn("consents"), code=received.consent),),
            text="What is not permitted here is not agreed to",
        ),
        provision=Provision(type="deny", provision=tuple(_permit(code, text) for code, text in permitted)),
    )


def _permit(code: str, text: str) -> Provision:
    purpose = Coding(system=f"{HL7}/v3-ActReason", code=code, display=_PURPOSES[code])
    return Provision(type="permit", purpose=(purpose,), code=(CodeableConcept(text=text),))
