"""Routes of webhooks: make, list, rotate and delete them; what is on its way to them, and once more."""

from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from dermis.gateway.auth import Caller
from dermis.gateway.body import read_json
from dermis.gateway.dependencies import Dependencies, PartsOf, WebhookOwner
from dermis.gateway.middleware import CALLER_KEY
from dermis.gateway.openapi import WEBHOOK_BODY, problems
from dermis.gateway.problems import fault
from dermis.gateway.routes.paging import Limit
from dermis.gateway.webhook_schemas import (
    NewWebhook,
    Webhook,
    WebhookDelivery,
    WebhookDeliveryList,
    WebhookList,
    WebhookRequest,
    WebhookSecretRotated,
    new_webhook_of,
    webhook_delivery_of,
    webhook_of,
)
from dermis.shared.audit import Act
from dermis.shared.webhook_admin import Webhooks, job_of
from dermis.shared.webhooks import DeliveryState, StoredDelivery

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


def _webhooks(parts: Dependencies, request: Request) -> Webhooks:
    """Return the webhooks of all owners; what the caller changes of them is audited."""
    caller: Caller = request.scope[CALLER_KEY]
    mode = {} if caller.livemode else {"mode": "test"}

    def changed(done: str, webhook_id: str) -> None:
        parts.audit.note(Act.WEBHOOK, by=caller.key_id, done=done, webhook_id=webhook_id, **mode)

    pipeline, networks = parts.pipeline, parts.settings.networks
    return Webhooks(store=pipeline.store, clock=pipeline.clock, networks=networks, changed=changed)


@router.post(
    "",
    summary="Make a webhook",
    status_code=201,
    responses=problems(409, 413, 415, 422, 503, 507),
    openapi_extra={"requestBody": WEBHOOK_BODY},
)
async def make_webhook(request: Request, response: Response, parts: PartsOf, owner: WebhookOwner) -> NewWebhook:
    asked = await read_json(request, WebhookRequest)
    standing = await run_in_threadpool(
        _webhooks(parts, request).create, owner=owner, url=asked.url, events=asked.events, description=asked.description
    )
    response.headers["Location"] = f"/v1/webhooks/{standing.endpoint.endpoint_id}"
    return new_webhook_of(standing, delivering=await parts.broker.delivers_webhooks())


@router.get("", summary="List webhooks", responses=problems(503))
async def list_webhooks(request: Request, parts: PartsOf, owner: WebhookOwner) -> WebhookList:
    standing = await run_in_threadpool(_webhooks(parts, request).of, owner)
    delivering = await parts.broker.delivers_webhooks()
    return WebhookList(webhooks=[webhook_of(each, delivering=delivering) for each in standing])


@router.post(
    "/{webhook_id}/secret:rotate",
    summary="Rotate a webhook's secret",
    responses=problems(404, 409, 503, 507),
)
async def rotate_webhook_secret(
    webhook_id: str, request: Request, parts: PartsOf, owner: WebhookOwner
) -> WebhookSecretRotated:
    secret, until = await run_in_threadpool(_webhooks(parts, request).rotate, owner, webhook_id)
    return WebhookSecretRotated(secret=secret.secret, previous_until=until)


@router.post("/{webhook_id}:enable", summary="Enable a webhook again", responses=problems(404, 503))
async def enable_webhook(webhook_id: str, request: Request, parts: PartsOf, owner: WebhookOwner) -> Webhook:
    standing = await run_in_threadpool(_webhooks(parts, request).enable, owner, webhook_id)
    return webhook_of(standing, delivering=await parts.broker.delivers_webhooks())


@router.post("/{webhook_id}:test", summary="Send a test event", status_code=202, responses=problems(404, 409, 503, 507))
async def test_webhook(webhook_id: str, request: Request, parts: PartsOf, owner: WebhookOwner) -> WebhookDelivery:
    return await _sent(parts, await run_in_threadpool(_webhooks(parts, request).test, owner, webhook_id))


@router.get("/{webhook_id}", summary="Show a webhook", responses=problems(404, 503))
async def get_webhook(webhook_id: str, request: Request, parts: PartsOf, owner: WebhookOwner) -> Webhook:
    standing = await run_in_threadpool(_webhooks(parts, request).one, owner, webhook_id)
    return webhook_of(standing, delivering=await parts.broker.delivers_webhooks())


@router.delete(
    "/{webhook_id}",
    summary="Delete a webhook, and what waits for it",
    status_code=204,
    responses=problems(404, 503),
)
async def delete_webhook(webhook_id: str, request: Request, parts: PartsOf, owner: WebhookOwner) -> Response:
    await run_in_threadpool(_webhooks(parts, request).delete, owner, webhook_id)
    return Response(status_code=204)


@router.get("/{webhook_id}/deliveries", summary="List deliveries", responses=problems(404, 422, 503))
async def list_deliveries(
    webhook_id: str,
    request: Request,
    parts: PartsOf,
    owner: WebhookOwner,
    state: Annotated[DeliveryState, Query(description="which ones")] = DeliveryState.PENDING,
    cursor: Annotated[str, Query(max_length=100, description="`next_cursor` of the page before")] = "",
    limit: Limit = 20,
) -> WebhookDeliveryList:
    if not all(each.isascii() and (each.isalnum() or each in "_.") for each in cursor):
        raise fault("CURSOR", "cursor is none of ours; take `next_cursor` of a page", pointer="/query/cursor")

    def page() -> list[StoredDelivery]:
        deliveries = _webhooks(parts, request).deliveries(owner, webhook_id, state=state, after=cursor)
        return list(islice(deliveries, limit + 1))

    stored = await run_in_threadpool(page)
    last = stored[limit - 1].key.rpartition("/")[2] if len(stored) > limit else None
    return WebhookDeliveryList(deliveries=[webhook_delivery_of(each) for each in stored[:limit]], next_cursor=last)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}:replay",
    summary="Deliver an event again",
    status_code=202,
    responses=problems(404, 409, 503, 507),
)
async def replay_delivery(
    webhook_id: str, delivery_id: str, request: Request, parts: PartsOf, owner: WebhookOwner
) -> WebhookDelivery:
    return await _sent(parts, await run_in_threadpool(_webhooks(parts, request).replay, owner, webhook_id, delivery_id))


async def _sent(parts: Dependencies, stored: StoredDelivery) -> WebhookDelivery:
    await parts.broker.send_deliveries([job_of(stored)])
    return webhook_delivery_of(stored)
