"""From a form to what a case is made of."""

import difflib
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dermis.gateway.core.field_codes import code_of
from dermis.gateway.form import CASE_FORM, Form, FormRules, image_count
from dermis.gateway.problems import FieldProblem, FieldsError, RequestFaults, fault, pointer_to
from dermis.shared.case import MAX_IMAGES, Consent
from dermis.shared.errors import DermisError
from dermis.shared.images import cost
from dermis.shared.images.header import CleanImage, clean, damaged
from dermis.shared.references import REFERENCE_PATTERN
from dermis.shared.uploads import UploadedImage
from dermis.shared.vocabulary import SelfReport, ShotType

E = TypeVar("E", bound=StrEnum)
_MOST_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCase:
    """A form that holds what a case needs; a shot type for each image."""

    images: tuple[CleanImage, ...]
    shot_types: tuple[ShotType | None, ...]
    self_report: SelfReport
    consent: Consent
    second_read: bool = False
    client_reference: str | None = None


def new_case_of(form: Form, uploaded: Sequence[CleanImage] = ()) -> NewCase:
    """Return the new case that `form` describes, with the images of the uploads that it names.

    All faults at once, each INVALID or UNSUPPORTED and pointing to its field. Answers may come without an image: red
    flags need none.
    """
    faults, count = RequestFaults(), len(form.images) or len(uploaded)
    self_report = faults.of(lambda: _self_report(_one(form, "self_report", default="{}")))
    if not count and self_report and self_report.is_empty:
        raise image_count("there is neither an image nor an answer in self_report", CASE_FORM)
    consent = faults.of(lambda: _value(Consent, _one(form, "consent", default=Consent.ASSESS_ONLY), pointer="/consent"))
    second_read = faults.of(lambda: _second_read(_one(form, "second_read", default="false")))
    shot_types = faults.of(lambda: _shot_types(form.texts.get("shot_types", []), count))
    reference = faults.of(lambda: _reference(form))
    images = [faults.of(partial(_image, form, index, CASE_FORM)) for index in range(len(form.images))] or uploaded
    reference = faults.of(lambda: _reference(form))
    faults.check()
    return NewCase(
        self_report=cast(SelfReport, self_report),
        consent=cast(Consent, consent),
        second_read=bool(second_read),
        shot_types=cast(tuple[ShotType | None, ...], shot_types),
        images=tuple(cast(Sequence[CleanImage], images)),
        client_reference=reference,
    )


def new_image_of(form: Form, rules: FormRules) -> CleanImage:
    """Return the one image in `form`; faults as those of a new case."""
    if not form.images:
        raise image_count("there is no image", rules)
    return _image(form, 0, rules)


def upload_ids_of(form: Form) -> tuple[str, ...]:
    """Return the uploads that `form` names in place of images; INVALID if it has both, or too many."""
    ids = form.texts.get("uploads", [])
    if ids and form.images:
        detail = "the form holds images and names uploads; send one or the other"
        raise fault("IMAGES_AND_UPLOADS", detail, pointer="/uploads")
    if len(ids) > MAX_IMAGES:
        detail = f"{len(ids)} uploads are named; name 1 to {MAX_IMAGES}"
        raise fault("IMAGE_COUNT", detail, pointer="/uploads")
    return tuple(_text("uploads", each).strip() for each in ids)


def digest_of(form: Form, uploads: Sequence[UploadedImage] = ()) -> str:
    """Return what tells two forms apart: the SHA-256 of all their parts.

    An upload counts as the image that was sent for it, so that the same case may be sent again either way.
    """
    digests = {
        name: [hashlib.sha256(part).digest() for part in parts]
        for name, parts in {**form.texts, CASE_FORM.images: form.images}.items()
        if name != "uploads"
    }
    if uploads:
        digests[CASE_FORM.images] = [bytes.fromhex(each.sent_sha256) for each in uploads]
    digest = hashlib.sha256()
    for name, parts in sorted(digests.items()):
        digest.update(f"{name} {len(parts)}".encode() + b"".join(parts))
    return digest.hexdigest()


def _one(form: Form, name: str, *, default: str) -> str:
    values = form.texts.get(name, [])
    if len(values) > 1:
        raise fault("FORM_FIELD", f"{name} is given {len(values)} times; send it once", pointer=f"/{name}")
    return _text(name, values[0]).strip() or default if values else default


def _text(name: str, value: bytearray) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise fault("FORM_FIELD", f"{name} is not UTF-8 text; send it as such", pointer=f"/{name}") from None


def _reference(form: Form) -> str | None:
    text = _one(form, "client_reference", default="")
    if text and not re.fullmatch(REFERENCE_PATTERN, text):
        detail = "client_reference: use 1 to 64 of A-Z, a-z, 0-9 and ._:- and nothing that names a person"
        raise fault("CLIENT_REFERENCE", detail, pointer="/client_reference")
    return text or None


def _second_read(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        detail = f"second_read: {_shortened(text)} is neither true nor false; send one of them, or leave it out"
        raise fault("SECOND_READ", detail, pointer="/second_read")
    return text.lower() == "true"


def _value(kind: type[E], value: str, *, pointer: str) -> E:
    try:
        return kind(value)
    except ValueError:
        detail = f"{pointer.split('/')[1]}: {_shortened(value)} is not known; use one of {', '.join(kind)}"
        raise fault(pointer.split("/")[1].upper(), detail, pointer=pointer) from None


def _shot_types(values: Sequence[bytearray], images: int) -> tuple[ShotType | None, ...]:
    if not values:
        return (None,) * images
    if len(values) != images:
        detail = (
            f"shot_types: {len(values)} are given for {images} images; send one for each image, empty where it is "
            "not known"
        )
        raise fault("SHOT_TYPES", detail, pointer="/shot_types")
    texts = [_text("shot_types", value).strip() for value in values]
    faults = RequestFaults()
    shot_types = tuple(
        faults.of(partial(_value, ShotType, text, pointer=f"/shot_types/{index}")) if text else None
        for index, text in enumerate(texts)
    )
    faults.check()
    return shot_types


def _image(form: Form, index: int, rules: FormRules) -> CleanImage:
    data, name, pointer = bytes(form.images[index]), rules.name(index), rules.pointer(index)
    try:
        if not data:
            raise damaged("it is empty")
        image = clean(data)
        cost.check(image.header)
    except DermisError as error:
        raise DermisError(error.kind, error.reason, f"{name}: {error.detail}", pointer=pointer) from None
    return image


def _self_report(text: str) -> SelfReport:
    try:
        return SelfReport.model_validate_json(text)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    if faults[0]["type"] == "json_invalid":
        raise fault(
            "SELF_REPORT_JSON",
            f"self_report is no JSON: {faults[0]['msg']}; send one JSON object",
            pointer="/self_report",
        )
    problems = [_answer_problem(each, "/self_report", "self_report") for each in faults]
    raise FieldsError("SELF_REPORT", problems)


def answer_problems(error: ValidationError, *, pointer: str, name: str) -> list[FieldProblem]:
    """Return what is wrong with a self-report that stands at `pointer` and is called `name`."""
    return [_answer_problem(each, pointer, name) for each in error.errors(include_url=False)]


def _answer_problem(fault_at: ErrorDetails, place: str, name: str) -> FieldProblem:
    path = [str(part) for part in fault_at["loc"]]
    return FieldProblem.at(
        pointer_to(place, path),
        code_of(fault_at["type"]),
        f"{'.'.join([name, *path])[:200]}: {_remedy(fault_at, path)}",
    )


def _remedy(fault_at: ErrorDetails, path: list[str]) -> str:
    value = _shortened(fault_at["input"])
    match fault_at["type"]:
        case "enum":
            return f"{value} is not known; use {fault_at['ctx']['expected']}, or leave it out"
        case "extra_forbidden":
            close = difflib.get_close_matches(path[-1], SelfReport.model_fields, n=1)
            return "no such question; " + (
                f"did you mean {close[0]}?" if close else f"use {', '.join(SelfReport.model_fields)}"
            )
        case "tuple_type":
            return f"{value} is no list; send a list of answers, or leave it out"
        case "bool_type":
            return f"{value} is neither true nor false; send one of them, or leave it out"
        case "model_type":
            return f"{value} is no JSON object; send one, {{}} without any answer"
        case _:
            return f"{value}: {fault_at['msg']}"


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
