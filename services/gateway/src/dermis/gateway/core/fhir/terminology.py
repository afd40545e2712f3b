"""The code systems of a report: the standard's own, and dermis' by addresses that are no one else's."""

import uuid
from collections.abc import Iterable
from enum import StrEnum

from dermis.gateway.core.fhir.datatypes import CodeableConcept, Coding, Extension
from dermis.shared.case import AnswerEntry, RankedCondition
from dermis.shared.codes import Code, codes_of

HL7 = "http://terminology.hl7.org/CodeSystem"
URI = "urn:ietf:rfc:3986"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "dermis")
"""Of the UUIDs by name (RFC 9562, version 5) that a report is made of."""
TEST_DATA = Coding(system=f"{HL7}/v3-ActReason", code="HTEST", display="test health data")


def urn(*names: str) -> str:
    """Return the address that these names always have: dermis has no domain of its own to make one under."""
    return f"urn:uuid:{uuid.uuid5(NAMESPACE, '/'.join(names))}"


class Concept(StrEnum):
    """What a report says, each a code of `DERMIS`."""

    REPORT = "report"
    ANSWER = "answer"
    PREDICTION_SET = "prediction-set"
    DIFFERENTIAL = "differential"
    GROUPED_ANSWER = "grouped-answer"
    RED_FLAG = "red-flag"
    URGENCY = "urgency"
    PHOTO_QUALITY = "photo-quality"
    READING = "reading"
    GRADABLE = "gradable"
    COVERAGE = "coverage"
    FITZPATRICK_SKIN_TYPE = "fitzpatrick-skin-type"
    MONK_SKIN_TONE = "monk-skin-tone"
    NOTICE = "notice"
    ANSWERS = "answers"
    PHOTOS = "photos"
    CONSENT = "consent"
    SOFTWARE = "software"
    MODEL = "model"
    BUNDLE_VERSION = "bundle-version"
    MANIFEST_DIGEST = "manifest-sha-256"
    READER = "reader"


DERMIS = urn("concepts")
CONDITIONS = urn("conditions")
REASONS = urn("reasons")
READERS = urn("readers")
CASES = urn("cases")


def concept(code: Concept, text: str) -> CodeableConcept:
    return CodeableConcept(coding=(Coding(system=DERMIS, code=code),), text=text)


def standard(system: str, code: str, display: str, *, text: str | None = None) -> CodeableConcept:
    """Return a concept of one of HL7's code systems, by the last part of its address."""
    return CodeableConcept(coding=(Coding(system=f"{HL7}/{system}", code=code, display=display),), text=text or display)


def answer(value: StrEnum, name: str) -> Coding:
    """Return the code of an answer to the question of this field."""
    return Coding(system=urn("self-report", name), code=value, display=words(value))


def words(value: str) -> str:
    """Return an UPPER_SNAKE word as one reads it."""
    return value.replace("_", " ").capitalize()


def condition_of(ranked: RankedCondition) -> CodeableConcept:
    """Return a condition of a differential with the codes that a list confirmed, its id, and its name."""
    own = Coding(system=CONDITIONS, code=ranked.condition, display=ranked.name)
    return CodeableConcept(coding=(*_codings(ranked.codes or codes_of(ranked.name)), own), text=ranked.name)


def group_of(entry: AnswerEntry) -> CodeableConcept:
    own = Coding(system=CONDITIONS, code=entry.id, display=entry.name)
    codes = codes_of(entry.name) if entry.level == "CONDITION" else ()
    return CodeableConcept(coding=(*_codings(codes), own), text=entry.name)


def condition_named(label: str) -> CodeableConcept:
    """Return a condition that a reader named by its SCIN label."""
    return CodeableConcept(coding=tuple(_codings(codes_of(label))), text=label)


def absent(code: str, text: str, *, reason: str | None = None) -> CodeableConcept:
    """Return why there is no value: one of the standard's codes, dermis' own reason, and a sentence."""
    own = (Coding(system=REASONS, code=reason),) if reason else ()
    return CodeableConcept(coding=(Coding(system=f"{HL7}/data-absent-reason", code=code), *own), text=text)


def no_value(code: str) -> tuple[Extension, ...]:
    """Return why an element has no value, where the standard has no element of its own for it."""
    return (Extension(url="http://hl7.org/fhir/StructureDefinition/data-absent-reason", value_code=code),)


def _codings(codes: Iterable[Code]) -> Iterable[Coding]:
    return (Coding(system=code.system, code=code.code, display=code.display or None) for code in codes)
