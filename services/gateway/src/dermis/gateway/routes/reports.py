"""The route of a case's report in the form that hospitals' systems read."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from dermis.gateway.core.fhir.media_type import CONTENT_TYPE, JSON, takes_fhir
from dermis.gateway.dependencies import Owner, PartsOf, StillValid
from dermis.gateway.middleware import CALLER_KEY
from dermis.gateway.openapi import FHIR_REPORT, problems
from dermis.shared.errors import DermisError, Kind

router = APIRouter(prefix="/v1/cases", tags=["cases"])


@router.get(
    "/{case_id}/report",
    summary="Show a case's report as a FHIR R4 document",
    response_class=Response,
    responses={**FHIR_REPORT, **problems(404, 406, 409, 422, 503)},
)
async def get_report(
    request: Request,
    case_id: str,
    parts: PartsOf,
    owner: Owner,
    still_valid: StillValid,
    chosen: Annotated[
        str | None, Query(alias="_format", max_length=100, description="FHIR's own way to choose, where Accept can't")
    ] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    if not takes_fhir(request.headers.get("accept"), chosen):
        detail = f"a report comes as {JSON} alone, in FHIR version 4.0; ask for it by Accept, or by ?_format=json"
        raise DermisError(Kind.NOT_ACCEPTABLE, "REPORT_FORMAT", detail)
    read_only = request.scope[CALLER_KEY].read_only
    body = await parts.pipeline.report(case_id, owner=owner, shows_reference=not read_only)
    await still_valid()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Vary": "Accept", "Cache-Control": "private, no-store"}
    if {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")} & {etag, "*"}:
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="{case_id}.fhir.json"'
    return Response(body, media_type=CONTENT_TYPE, headers=headers)
