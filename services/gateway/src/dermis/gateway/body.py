"""A body that is no multipart form, read while it streams and refused as soon as it is too large."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers

from dermis.gateway.core.field_codes import code_of
from dermis.gateway.form import Form, FormRules, image_too_large, read_form
from dermis.gateway.http import UploadedCase
from dermis.gateway.problems import FieldProblem, FieldsError, fault, pointer_to
from dermis.shared.errors import DermisError, Kind

M = TypeVar("M", bound=BaseModel)
JSON = "application/json"
MOST_JSON_BYTES = 64 * 1024
BODY_RULES = FormRules(images="body", most_images=1)
"""Of a body that is one image."""


async def read_image(headers: Headers, stream: AsyncIterator[bytes], *, rules: FormRules, max_image_bytes: int) -> Form:
    """Return a body that is one image, as a form with nothing else; its kind is told by its content.

    UNSUPPORTED for a content type of something else, TOO_LARGE beyond `max_image_bytes`.
    """
    media_type = _media_type(headers)
    if not media_type.startswith("image/") and media_type != "application/octet-stream":
        detail = (
            f"Content-Type is {media_type[:100]!r}; send the image itself as the body, as image/jpeg, image/png, "
            "image/webp, image/heic, image/avif or application/octet-stream"
        )
        raise DermisError(Kind.UNSUPPORTED, "CONTENT_TYPE", detail)
    image = bytearray()
    async for chunk in stream:
        if len(image) + len(chunk) > max_image_bytes:
            raise image_too_large(rules.name(0), max_image_bytes, pointer=rules.pointer(0))
        image += chunk
    return Form(images=[image])


async def read_case(headers: Headers, stream: AsyncIterator[bytes], *, rules: FormRules, max_image_bytes: int) -> Form:
    """Return a case's form from a multipart form, or from a JSON object that names images which were uploaded before.

    Faults as those of `read_form` and `read_json`.
    """
    if _media_type(headers) != JSON:
        return await read_form(headers, stream, rules=rules, max_image_bytes=max_image_bytes)
    case = parse_json(await _read(stream, MOST_JSON_BYTES), UploadedCase)
    texts: dict[str, Sequence[str]] = {
        "uploads": case.uploads,
        "shot_types": [each or "" for each in case.shot_types],
        "self_report": [json.dumps(case.self_report, sort_keys=True)],
        "consent": [case.consent],
    }
    if case.second_read:
        texts["second_read"] = ["true"]
    if case.client_reference is not None:
        texts["client_reference"] = [case.client_reference]
    return Form(texts={name: [bytearray(value.encode()) for value in values] for name, values in texts.items()})


async def read_body(request: Request, *, most_of: Mapping[str, int]) -> tuple[str, bytes]:
    """Return the body's media type, one of `most_of`, and its bytes, at most as many as that says.

    UNSUPPORTED or TOO_LARGE otherwise.
    """
    media_type = _media_type(request.headers)
    if media_type not in most_of:
        raise DermisError(
            Kind.UNSUPPORTED, "CONTENT_TYPE", f"Content-Type is {media_type[:100]!r}; send {' or '.join(most_of)}"
        )
    most = most_of[media_type]
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or int(length[:20]) > most:
        raise _too_large(most)
    return media_type, await _read(request.stream(), most)


async def read_json(request: Request, kind: type[M]) -> M:
    """Return the JSON body as `kind`; every fault is INVALID and points to its field."""
    _, body = await read_body(request, most_of={JSON: MOST_JSON_BYTES})
    return parse_json(body, kind)


def parse_json(body: bytes, kind: type[M]) -> M:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        raise fault("JSON", f"the body is no JSON: {faults[0]['msg']}; send one JSON object")
    problems = [
        FieldProblem.at(pointer_to("", each["loc"]), code_of(each["type"]), _detail(each["loc"], each["msg"]))
        for each in faults
    ]
    raise FieldsError("BODY", problems)


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read(stream: AsyncIterator[bytes], most: int) -> bytes:
    body = bytearray()
    async for chunk in stream:
        if len(body) + len(chunk) > most:
            raise _too_large(most)
        body += chunk
    return bytes(body)


def _detail(place: tuple[int | str, ...], message: str) -> str:
    named = ".".join(map(str, place))[:200]
    return f"{named}: {message}" if named else message.removeprefix("Value error, ")


def _too_large(most: int) -> DermisError:
    return DermisError(Kind.TOO_LARGE, "BODY_TOO_LARGE", f"the body holds more than {most:,} bytes; send less")
