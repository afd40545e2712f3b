"""Webhooks: what the gateway answers of them, and their calls."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, Literal

from dermis.client.answers import ResponseModel
from dermis.client.calls import Calls, read

EventType = Literal["case.received", "case.assessed", "case.finished", "case.failed", "case.erased", "webhook.test"]
DeliveryState = Literal["PENDING", "DEAD", "DELIVERED"]


class Webhook(ResponseModel):
    """An endpoint without its secret; `disabled_at` since when nothing is sent to it any more.

    `livemode` false where it is told of a test key's cases; `delivering` false where no worker delivers webhooks, None
    where that can't be told.
    """

    id: str
    url: str
    events: list[str]
    description: str
    created_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None
    livemode: bool = True
    delivering: bool | None = None


class NewWebhook(Webhook):
    """An endpoint with its secret, which is shown this once: by it the receiver verifies what comes."""

    secret: str


class WebhookList(ResponseModel):
    webhooks: list[Webhook]


class WebhookSecretRotated(ResponseModel):
    """The new secret, which is shown this once; that before signs beside it until `previous_until`."""

    secret: str
    previous_until: datetime


class WebhookDelivery(ResponseModel):
    """An event on its way to an endpoint; `id` is its `webhook-id`, `state` PENDING, DEAD or DELIVERED.

    `next_try_at` while it is PENDING; `last_fault` says why the last try failed.
    """

    id: str
    state: str
    type: str
    timestamp: datetime
    case_id: str | None
    status: str | None
    tries: int
    next_try_at: datetime | None
    last_fault: str | None


class WebhookDeliveryList(ResponseModel):
    deliveries: list[WebhookDelivery]
    next_cursor: str | None


class WebhookCalls(Calls):
    """The calls of webhooks; what changes something is sent once, as it has no Idempotency-Key."""

    async def create_webhook(
        self, url: str, events: Sequence[EventType] | None = None, *, description: str = ""
    ) -> NewWebhook:
        """Have events sent to `url`, all of cases if left out; only this answer has the secret."""
        body: dict[str, Any] = {"url": url, "description": description}
        if events is not None:
            body["events"] = list(events)
        return read(await self._call("POST", "/v1/webhooks", json=body), NewWebhook)

    async def webhooks(self) -> list[Webhook]:
        """Return all webhooks of this key, the oldest first."""
        return (await self._get("/v1/webhooks", WebhookList)).webhooks

    async def delete_webhook(self, webhook_id: str) -> None:
        """Delete a webhook, and what waits for it."""
        await self._call("DELETE", f"/v1/webhooks/{webhook_id}")

    async def rotate_webhook_secret(self, webhook_id: str) -> WebhookSecretRotated:
        """Return a webhook's new secret, in this answer alone; the one before signs beside it for a while."""
        return read(await self._call("POST", f"/v1/webhooks/{webhook_id}/secret:rotate"), WebhookSecretRotated)

    async def webhook_deliveries(
        self, webhook_id: str, *, state: DeliveryState = "PENDING"
    ) -> AsyncGenerator[WebhookDelivery, None]:
        """Yield the deliveries of a webhook that are in `state`, the oldest first."""
        async for page in self._pages(f"/v1/webhooks/{webhook_id}/deliveries", WebhookDeliveryList, state=state):
            for each in page.deliveries:
                yield each

    async def replay_delivery(self, webhook_id: str, delivery_id: str) -> WebhookDelivery:
        """Have an event delivered again, by its `webhook-id`."""
        return read(
            await self._call("POST", f"/v1/webhooks/{webhook_id}/deliveries/{delivery_id}:replay"), WebhookDelivery
        )
