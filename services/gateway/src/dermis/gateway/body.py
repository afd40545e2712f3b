"""A body that is no form, read while it streams and refused as soon as it is too large."""

from collections.abc import AsyncIterator, Mapping
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers

from dermis.gateway.form import Form, FormRules, image_too_large
from dermis.gateway.problems import FieldProblem, FieldsError, fault, pointer_to
from dermis.shared.errors import DermisError, Kind

M = TypeVar("M", bound=BaseModel)
MOST_JSON_BYTES = 64 * 1024
BODY_RULES = FormRules(images="body", most_images=1)
"""Of a body that is one image."""


async def read_image(headers: Headers, stream: AsyncIterator[bytes], *, rules: FormRules, max_image_bytes: int) -> Form:
    """Return a body that is one image, as a form with nothing else; its kind is told by its content.

    UNSUPPORTED for a content type of something else, TOO_LARGE beyond `max_image_bytes`.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
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


async def read_body(request: Request, *, most_of: Mapping[str, int]) -> tuple[str, bytes]:
    """Return the body's media type, one of `most_of`, and its bytes, at most as many as that says.

    UNSUPPORTED or TOO_LARGE otherwise.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in most_of:
        raise DermisError(
            Kind.UNSUPPORTED, "CONTENT_TYPE", f"Content-Type is {media_type[:100]!r}; send {' or '.join(most_of)}"
        )
    most = most_of[media_type]
    length = request.headers.get("content-length", "0")
    body = bytearray()
    if not length.isascii() or not length.isdigit() or int(length[:20]) > most:
        raise _too_large(most)
    async for chunk in request.stream():
        if len(body) + len(chunk) > most:
            raise _too_large(most)
        body += chunk
    return media_type, bytes(body)


async def read_json(request: Request, kind: type[M]) -> M:
    """Return the JSON body as `kind`; every fault is INVALID and points to its field."""
    _, body = await read_body(request, most_of={"application/json": MOST_JSON_BYTES})
    return parse_json(body, kind)


def parse_json(body: bytes, kind: type[M]) -> M:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        raise fault("JSON", f"the body is no JSON: {faults[0]['msg']}; send one JSON object")
    problems = [
        FieldProblem(pointer=pointer_to("", each["loc"]), detail=_detail(each["loc"], each["msg"])) for each in faults
    ]
    raise FieldsError("BODY", "; ".join(problem.detail for problem in problems[:3]), problems)


def _detail(place: tuple[int | str, ...], message: str) -> str:
    named = ".".join(map(str, place))[:200]
    return f"{named}: {message}" if named else message.removeprefix("Value error, ")


def _too_large(most: int) -> DermisError:
    return DermisError(Kind.TOO_LARGE, "BODY_TOO_LARGE", f"the body holds more than {most:,} bytes; send less")
