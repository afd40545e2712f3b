"""Adds to FastAPI's OpenAPI description the multipart form, and a problem for every error."""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from dermis.gateway import deprecations
from dermis.gateway.batch_schemas import BatchSource
from dermis.gateway.http import Feedback, LinkRequest
from dermis.gateway.operations import add_operations
from dermis.gateway.problems import MEDIA_TYPE, Problem, title
from dermis.gateway.webhook_schemas import WebhookRequest
from dermis.shared.case import MAX_IMAGES
from dermis.shared.references import REFERENCE_PATTERN
from dermis.shared.vocabulary import SelfReport

_REF = "#/components/schemas/{model}"
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
_RETRY_AFTER = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
_RATE = ("RateLimit", "RateLimit-Policy")
_ETAG = {"ETag": {"schema": {"type": "string"}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "RFC 6750", "schema": {"type": "string"}}}
_LOCATION = {
    "Location": {"description": "where the case is", "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "`true` where an earlier call with this `Idempotency-Key` made the case",
        "schema": {"type": "string"},
    },
}
_TOLD: dict[int, dict[str, Any]] = {
    401: {"headers": _CHALLENGE},
    403: {"headers": _CHALLENGE},
    429: {"headers": _RETRY_AFTER},
    503: {"headers": _RETRY_AFTER},
    504: {"headers": _RETRY_AFTER},
}
_CASE = {"application/json": {"schema": {"$ref": _REF.format(model="Case")}}}
TAKEN_IN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The case is finished already.", "content": _CASE, "headers": {**_LOCATION, **_ETAG}},
    202: {
        "description": "The case is stored and will be assessed; ask for it at `Location`.",
        "headers": {**_LOCATION, **_ETAG, **_RETRY_AFTER},
    },
}
SHOWN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The case as far as it has come", "headers": {**_ETAG, **_RETRY_AFTER}},
    304: {"description": "The case is as `If-None-Match` has it.", "headers": _ETAG},
}
_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"enum": ["received", "assessed", "failed", "outcome", "erased"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
_IMAGE_TYPES = "image/jpeg, image/png, image/webp, image/heic, image/avif"
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One event a fact: `received`, `assessed`, `outcome`, `failed` (data: the case as known with "
        "it) or `erased`; `id` is the fact's ordinal. Ends with the case.",
        "content": {"text/event-stream": {"schema": _EVENT}},
    },
    204: {"description": "There is nothing after `Last-Event-ID` and never will be."},
}
HEATMAP: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A PNG with transparency and the aspect of the image as it is shown, to be laid over it: the "
        "more opaque, the more that place spoke for the condition.",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    }
}
PREPARED_IMAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A JPEG, upright, at most 512 pixels a side, without any metadata.",
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
    }
}
FHIR_REPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A Bundle of type `document`, FHIR version 4.0.1: what was sent, what was made of it, by what "
        "and by whom. `preliminary` unless clinicians read the case and agree; `cancelled` where it failed.",
        "headers": _ETAG,
        "content": {"application/fhir+json": {"schema": {"type": "object"}}},
    },
    304: {"description": "The report is as `If-None-Match` has it.", "headers": _ETAG},
}
TEST_IMAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A PNG, generated, the same bytes everywhere.",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    }
}
METRICS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
}
IMAGE_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "additionalProperties": False,
                "properties": {
                    "image": {
                        "type": "string",
                        "format": "binary",
                        "description": "JPEG, PNG, WebP, HEIC or AVIF; kept only while it is judged",
                    }
                },
            },
            "encoding": {"image": {"contentType": _IMAGE_TYPES}},
        }
    },
}
UPLOAD_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        media_type: {"schema": {"type": "string", "format": "binary"}}
        for media_type in (*_IMAGE_TYPES.split(", "), "application/octet-stream")
    },
}
PART_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}
_TEXT = {"schema": {"type": "string"}}
_COUNT = {"schema": {"type": "integer"}}
_UPLOAD_HEADERS = {
    "Tus-Resumable": {"description": "1.0.0", **_TEXT},
    "Upload-Offset": {"description": "bytes that have come", **_COUNT},
    "Upload-Length": {"description": "bytes that are to come in all", **_COUNT},
    "Upload-Expires": {"description": "when the upload is deleted (RFC 9110 date)", **_TEXT},
}
UPLOAD_PLACE: dict[int | str, dict[str, Any]] = {
    201: {
        "description": "The image is kept; or, with `Tus-Resumable`, its bytes are to come by PATCH to `Location`.",
        "headers": {"Location": {"description": "where the upload is", **_TEXT}, **_UPLOAD_HEADERS},
    }
}
UPLOAD_STATE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The upload as far as it has come", "headers": _UPLOAD_HEADERS},
}
PART_TAKEN: dict[int | str, dict[str, Any]] = {
    204: {"description": "The bytes are kept.", "headers": _UPLOAD_HEADERS},
}
TUS_OPTIONS: dict[int | str, dict[str, Any]] = {
    204: {
        "description": "What of tus 1.0.0 (https://tus.io/protocols/resumable-upload) this server speaks",
        "headers": {"Tus-Version": _TEXT, "Tus-Extension": _TEXT, "Tus-Max-Size": {"description": "bytes", **_COUNT}},
    }
}
_SHOT_TYPES = ["CLOSE_UP", "AT_AN_ANGLE", "AT_DISTANCE"]
_CASE_FIELDS: dict[str, Any] = {
    "self_report": {"$ref": _REF.format(model="SelfReport")},
    "consent": {
        "type": "string",
        "enum": ["ASSESS_ONLY", "KEEP_FOR_IMPROVEMENT"],
        "default": "ASSESS_ONLY",
        "description": "what the case may be used for",
    },
    "second_read": {
        "type": "boolean",
        "default": False,
        "description": "whether clinicians who read for this server may look at the case's images and answers and give "
        "their own reading, which is erased with the case",
    },
    "client_reference": {
        "type": "string",
        "pattern": f"^{REFERENCE_PATTERN}$",
        "description": "what the client calls the case, to find it again; opaque, and nothing that names a person",
    },
}


def _uploads(*, least: int, description: str) -> dict[str, Any]:
    items = {"type": "string"}
    return {"type": "array", "minItems": least, "maxItems": MAX_IMAGES, "items": items, "description": description}


def _shot_types(unknown: str | None) -> dict[str, Any]:
    return {
        "type": "array",
        "maxItems": MAX_IMAGES,
        "items": {"enum": [unknown, *_SHOT_TYPES]},
        "description": f"one for each image, in the same order; {json.dumps(unknown)} where it is not known",
    }


CASE_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "uploads": _uploads(
                        least=1,
                        description="ids of images that were sent to `/v1/uploads`, in order, in place of `images`",
                    ),
                    "images": {
                        "type": "array",
                        "maxItems": MAX_IMAGES,
                        "items": {"type": "string", "format": "binary"},
                        "description": "JPEG, PNG, WebP, HEIC or AVIF, told by content; metadata is dropped before "
                        "anything is stored; none where self_report has an answer: red flags need no image",
                    },
                    "shot_types": _shot_types(""),
                    **_CASE_FIELDS,
                },
            },
            "encoding": {"self_report": {"contentType": "application/json"}, "images": {"contentType": _IMAGE_TYPES}},
        },
        "application/json": {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "uploads": _uploads(
                        least=0,
                        description="ids of images that were sent to `/v1/uploads`, in order; none where self_report "
                        "has an answer",
                    ),
                    "shot_types": _shot_types(None),
                    **_CASE_FIELDS,
                },
            }
        },
    },
}
FEEDBACK_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": _REF.format(model="Feedback")}}},
}
LINK_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": _REF.format(model="LinkRequest")}}},
}
WEBHOOK_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": _REF.format(model="WebhookRequest")}}},
}
BATCH_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": _REF.format(model="BatchSource")}},
        "text/csv": {
            "schema": {
                "type": "string",
                "description": "a header and a row for each case: `images` (keys in the store at `url`, separated by "
                ";), perhaps `name`, and answers by their field, several separated by ;",
            }
        },
    },
}
BATCH_TAKEN_IN: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The batch is stored and will be done.",
        "headers": {"Location": {"schema": {"type": "string"}}},
    }
}
BATCH_RESULTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A row's result a line, in order; rows that are not done yet are left out.",
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
        },
    }
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may answer these error codes, and any other as a problem too."""
    responses: dict[int | str, dict[str, Any]] = {
        status: {"description": title(status), "content": _PROBLEM, **_TOLD.get(status, {})} for status in statuses
    }
    return {**responses, "default": {"description": "Any other error", "content": _PROBLEM}}


def _add_refusals(schema: dict[str, Any]) -> None:
    """Say of each operation that needs a key how it is refused, and how often it may be called."""
    described = {"description": "draft-ietf-httpapi-ratelimit-headers-10", "schema": {"type": "string"}}
    schema["components"]["headers"] = dict.fromkeys(_RATE, described)
    for operations in schema["paths"].values():
        for operation in operations.values():
            if "security" in operation:
                refusals = {
                    str(status): response for status, response in problems(401, 403, 429).items() if status != "default"
                }
                operation["responses"] = dict(sorted({**refusals, **operation["responses"]}.items()))
                for response in operation["responses"].values():
                    response["headers"] = {
                        **response.get("headers", {}),
                        **{name: {"$ref": f"#/components/headers/{name}"} for name in _RATE},
                    }


def _please_linters(schema: Any) -> None:
    """Say what `items` of tuples are, and name scopes apart from `security`, as linters ask for."""
    schema["info"]["contact"] = {"name": "The dermis maintainers"}
    schema["servers"] = [{"url": "/", "description": "the server that this file is from"}]
    for operations in schema["paths"].values():
        for operation in operations.values():
            for requirement in operation.get("security", ()):
                for name, scopes in requirement.items():
                    operation["x-scopes"], requirement[name] = scopes, []
    _add_items(schema["components"]["schemas"])


def _add_items(part: Any) -> None:
    if isinstance(part, dict):
        if "prefixItems" in part:
            part.setdefault("items", part["prefixItems"][0])
        part = list(part.values())
    for each in part if isinstance(part, list) else ():
        _add_items(each)


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description of `app`, made once."""
    if app.openapi_schema is None:
        bodies = (Problem, SelfReport, Feedback, LinkRequest, BatchSource, WebhookRequest)
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, definitions = models_json_schema(
            [(model, "validation") for model in bodies],
            ref_template=_REF,
        )
        for field in (
            field for definition in definitions["$defs"].values() for field in definition.get("properties", {}).values()
        ):
            if not field.get("default", True):
                del field["default"]  # an empty one says no more than that the field may be left out
        _add_refusals(schema)
        schemas = schema["components"]["schemas"]
        schema["components"]["schemas"] = dict(sorted({**definitions["$defs"], **schemas}.items()))
        add_operations(schema)
        _please_linters(schema)
        deprecations.mark(schema, deprecations.DEPRECATIONS)
        app.openapi_schema = schema
    return app.openapi_schema
