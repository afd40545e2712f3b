"""Routes of links to a case: make, list and revoke them."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from dermis.gateway.body import read_json
from dermis.gateway.dependencies import PartsOf, WritingOwner
from dermis.gateway.http import CaseLink, CaseLinkList, LinkRequest, NewCaseLink
from dermis.gateway.middleware import CALLER_KEY
from dermis.gateway.openapi import LINK_BODY, problems

router = APIRouter(prefix="/v1/cases/{case_id}/shares", tags=["links"])


@router.post(
    "",
    summary="Make a link to a case",
    status_code=201,
    responses=problems(404, 409, 413, 415, 422, 503, 507),
    openapi_extra={"requestBody": LINK_BODY},
)
async def make_link(case_id: str, request: Request, parts: PartsOf, owner: WritingOwner) -> NewCaseLink:
    asked = await read_json(request, LinkRequest)
    lasts = timedelta(seconds=asked.expires_in_seconds)
    if ends_at := request.scope[CALLER_KEY].ends_at:  # a link makes none that outlasts it
        lasts = min(lasts, ends_at - parts.pipeline.clock())
    link, token = await run_in_threadpool(
        parts.pipeline.shares.create,
        case_id,
        owner=owner,
        lasts=lasts,
        may_erase=asked.may_erase,
    )
    url = f"/shared/{token.text}"
    return NewCaseLink(id=link.share_id, url=url, expires_at=link.expires_at, may_erase=link.may_erase)


@router.get("", summary="List the links to a case", responses=problems(404, 503))
async def list_links(case_id: str, parts: PartsOf, owner: WritingOwner) -> CaseLinkList:
    await parts.pipeline.read(case_id, owner=owner)
    links = await run_in_threadpool(parts.pipeline.shares.of, case_id, owner=owner)
    return CaseLinkList(
        shares=[
            CaseLink(
                id=link.share_id,
                created_at=link.created_at,
                expires_at=link.expires_at,
                may_erase=link.may_erase,
                revoked_at=revoked.revoked_at if revoked else None,
            )
            for link, revoked in links
        ]
    )


@router.delete("/{share_id}", summary="Revoke a link to a case", status_code=204, responses=problems(404, 503))
async def revoke_link(case_id: str, share_id: str, parts: PartsOf, owner: WritingOwner) -> Response:
    await run_in_threadpool(parts.pipeline.shares.revoke, case_id, share_id, owner=owner)
    return Response(status_code=204)
