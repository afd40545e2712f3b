"""FHIR R4's data types, as far as a report needs them (hl7.org/fhir/R4/datatypes.html)."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer
from pydantic.alias_generators import to_camel


class Element(BaseModel):
    """An element: its names are FHIR's in snake case, and what is empty is left out, as FHIR has no empty values."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, defer_build=True
    )

    @model_serializer(mode="wrap")
    def _without_what_is_empty(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value not in (None, (), [], {})}


class Coding(Element):
    system: str
    code: str
    display: str | None = None


class CodeableConcept(Element):
    """`text` always says it in words: a receiver may not know the codes."""

    coding: tuple[Coding, ...] = ()
    text: str


class Extension(Element):
    """Of the standard's own: `data-absent-reason` alone is used."""

    url: str
    value_code: str


class Identifier(Element):
    system: str
    value: str


class Reference(Element):
    reference: str | None = None
    type: str | None = None
    extension: tuple[Extension, ...] = ()


class Annotation(Element):
    text: str


class Quantity(Element):
    """A number of UCUM's unit 1."""

    value: float
    system: Literal["http://unitsofmeasure.org"] = "http://unitsofmeasure.org"
    code: Literal["1"] = "1"


class Attachment(Element):
    """`data` and `hash` (SHA-1) are base64; `size` in bytes."""

    content_type: str | None = None
    data: str | None = None
    size: int | None = None
    hash: str | None = None
    title: str


class Narrative(Element):
    status: Literal["generated"] = "generated"
    div: str


class Meta(Element):
    security: tuple[Coding, ...] = ()
