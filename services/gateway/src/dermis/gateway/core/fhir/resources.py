"""FHIR R4's resources, as far as a report needs them (hl7.org/fhir/R4/resourcelist.html), in the standard's order."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from dermis.gateway.core.fhir.datatypes import (
    Annotation,
    Attachment,
    CodeableConcept,
    Coding,
    Element,
    Identifier,
    Meta,
    Narrative,
    Quantity,
    Reference,
)


class Resource(Element):
    resource_type: str
    id: str
    meta: Meta | None = None


class Patient(Resource):
    """Whom a case is about, by the client's reference alone."""

    resource_type: Literal["Patient"] = "Patient"
    identifier: tuple[Identifier, ...]


class PractitionerRole(Resource):
    """A reader, by a pseudonym alone."""

    resource_type: Literal["PractitionerRole"] = "PractitionerRole"
    identifier: tuple[Identifier, ...]
    code: tuple[CodeableConcept, ...]


class DeviceName(Element):
    name: str
    type: Literal["manufacturer-name", "model-name", "user-friendly-name"]


class DeviceVersion(Element):
    type: CodeableConcept
    value: str


class Device(Resource):
    resource_type: Literal["Device"] = "Device"
    status: Literal["active"] = "active"
    device_name: tuple[DeviceName, ...]
    type: CodeableConcept
    version: tuple[DeviceVersion, ...] = ()
    note: tuple[Annotation, ...] = ()
    safety: tuple[CodeableConcept, ...] = ()
    parent: Reference | None = None


class Component(Element):
    """A part of an observation; at most one of the values."""

    code: CodeableConcept
    value_quantity: Quantity | None = None
    value_codeable_concept: CodeableConcept | None = None
    value_integer: int | None = None
    value_boolean: bool | None = None


class Observation(Resource):
    """At most one of a value and the reason why there is none."""

    resource_type: Literal["Observation"] = "Observation"
    status: Literal["preliminary", "final"]
    code: CodeableConcept
    subject: Reference
    focus: tuple[Reference, ...] = ()
    effective_date_time: datetime
    issued: datetime
    performer: tuple[Reference, ...] = ()
    value_codeable_concept: CodeableConcept | None = None
    data_absent_reason: CodeableConcept | None = None
    note: tuple[Annotation, ...] = ()
    device: Reference | None = None
    derived_from: tuple[Reference, ...] = ()
    component: tuple[Component, ...] = ()


class Media(Resource):
    """A photo; `height` and `width` in pixels."""

    resource_type: Literal["Media"] = "Media"
    status: Literal["completed"] = "completed"
    type: CodeableConcept
    view: CodeableConcept | None = None
    subject: Reference
    issued: datetime
    height: int | None = None
    width: int | None = None
    content: Attachment


class AnswerOption(Element):
    value_coding: Coding


class Question(Element):
    link_id: str
    text: str
    type: Literal["choice", "boolean"]
    repeats: bool | None = None
    answer_option: tuple[AnswerOption, ...] = ()


class Questionnaire(Resource):
    resource_type: Literal["Questionnaire"] = "Questionnaire"
    title: str
    status: Literal["active"] = "active"
    item: tuple[Question, ...]


class QuestionAnswer(Element):
    value_coding: Coding | None = None
    value_boolean: bool | None = None


class AnsweredQuestion(Element):
    link_id: str
    text: str
    answer: tuple[QuestionAnswer, ...]


class QuestionnaireResponse(Resource):
    resource_type: Literal["QuestionnaireResponse"] = "QuestionnaireResponse"
    contained: tuple[Questionnaire, ...]
    questionnaire: str
    status: Literal["completed"] = "completed"
    subject: Reference
    authored: datetime
    item: tuple[AnsweredQuestion, ...] = ()


class Provision(Element):
    """`deny` is the rule at the top; what a provision in it permits is an exception."""

    type: Literal["deny", "permit"]
    purpose: tuple[Coding, ...] = ()
    code: tuple[CodeableConcept, ...] = ()
    provision: tuple["Provision", ...] = ()


class ConsentRecord(Resource):
    resource_type: Literal["Consent"] = "Consent"
    status: Literal["active"] = "active"
    scope: CodeableConcept
    category: tuple[CodeableConcept, ...]
    patient: Reference
    date_time: datetime
    policy_rule: CodeableConcept
    provision: Provision


class Agent(Element):
    type: CodeableConcept
    who: Reference


class Entity(Element):
    role: Literal["source"] = "source"
    what: Reference


class Provenance(Resource):
    resource_type: Literal["Provenance"] = "Provenance"
    target: tuple[Reference, ...]
    recorded: datetime
    agent: tuple[Agent, ...]
    entity: tuple[Entity, ...] = ()


class MediaLink(Element):
    link: Reference


ReportStatus = Literal["preliminary", "final", "cancelled"]


class DiagnosticReport(Resource):
    resource_type: Literal["DiagnosticReport"] = "DiagnosticReport"
    text: Narrative
    identifier: tuple[Identifier, ...]
    status: ReportStatus
    code: CodeableConcept
    subject: Reference
    effective_date_time: datetime
    issued: datetime
    performer: tuple[Reference, ...] = ()
    results_interpreter: tuple[Reference, ...] = ()
    result: tuple[Reference, ...] = ()
    media: tuple[MediaLink, ...] = ()
    conclusion: str
    conclusion_code: tuple[CodeableConcept, ...] = ()


class Attester(Element):
    mode: Literal["professional"] = "professional"
    time: datetime
    party: Reference


class Section(Element):
    title: str
    code: CodeableConcept
    text: Narrative
    entry: tuple[Reference, ...] = ()


class Composition(Resource):
    resource_type: Literal["Composition"] = "Composition"
    text: Narrative
    identifier: Identifier
    status: Literal["preliminary", "final"]
    type: CodeableConcept
    subject: Reference
    date: datetime
    author: tuple[Reference, ...]
    title: str
    attester: tuple[Attester, ...] = ()
    section: tuple[Section, ...]


AnyResource = (
    Composition
    | DiagnosticReport
    | Observation
    | Media
    | QuestionnaireResponse
    | Device
    | ConsentRecord
    | Provenance
    | Patient
    | PractitionerRole
)


class BundleEntry(Element):
    full_url: str
    resource: AnyResource = Field(discriminator="resource_type")


class DocumentBundle(Resource):
    resource_type: Literal["Bundle"] = "Bundle"
    identifier: Identifier
    type: Literal["document"] = "document"
    timestamp: datetime
    entry: tuple[BundleEntry, ...]
