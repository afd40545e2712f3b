"""Webhooks as the HTTP API takes and shows them."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dermis.shared.case import Status
from dermis.shared.webhook_store import StoredEndpoint
from dermis.shared.webhooks import CASE_EVENTS, DeliveryState, EventType, StoredDelivery


class WebhookRequest(BaseModel):
    """Where events are to go, and which."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(description="https, to a public address; whoever runs the server may allow others")
    events: Annotated[list[EventType], Field(min_length=1, max_length=len(EventType))] = Field(
        list(CASE_EVENTS), description="events that are sent; all of cases if left out"
    )
    description: Annotated[str, Field(max_length=100)] = Field("", description="for you; no name of a person")


class Webhook(BaseModel):
    """An endpoint without its secret; `disabled_at` since when nothing is sent to it any more."""

    id: str
    url: str
    events: list[EventType]
    description: str
    created_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None
    livemode: bool = Field(True, description="false where it is told of a test key's cases")
    delivering: bool | None = Field(
        None,
        description="false where no worker that delivers webhooks shows itself: events wait in the store until one "
        "runs; null where that can't be told",
    )


class NewWebhook(Webhook):
    """An endpoint with its secret, which is shown this once: by it the receiver verifies what comes."""

    secret: str = Field(description="`whsec_` and base64, as the libraries of Standard Webhooks take it")


class WebhookList(BaseModel):
    """All endpoints of the key's owner, the oldest first."""

    webhooks: list[Webhook]


class WebhookSecretRotated(BaseModel):
    """The new secret, which is shown this once; that before signs beside it until `previous_until`."""

    secret: str
    previous_until: datetime


class WebhookDelivery(BaseModel):
    """An event on its way to an endpoint, by its `webhook-id`.

    `next_try_at` while it is PENDING; `last_fault` says why the last try failed: a status, or what became of it.
    """

    id: str
    state: DeliveryState
    type: EventType
    timestamp: datetime
    case_id: str | None
    status: Status | None
    tries: int
    next_try_at: datetime | None
    last_fault: str | None


class WebhookDeliveryList(BaseModel):
    """A page of deliveries in one state, the oldest first; `next_cursor` is null on the last page."""

    deliveries: list[WebhookDelivery]
    next_cursor: str | None


def webhook_of(standing: StoredEndpoint, *, delivering: bool | None) -> Webhook:
    return Webhook(**_fields(standing, delivering))


def new_webhook_of(standing: StoredEndpoint, *, delivering: bool | None) -> NewWebhook:
    return NewWebhook(**_fields(standing, delivering), secret=standing.secrets[-1].secret)


def _fields(standing: StoredEndpoint, delivering: bool | None) -> dict[str, object]:
    endpoint, disabled = standing.endpoint, standing.disabled
    return {
        "id": endpoint.endpoint_id,
        **endpoint.model_dump(include={"url", "events", "description", "created_at"}),
        "disabled_at": disabled.disabled_at if disabled else None,
        "disabled_reason": disabled.reason if disabled else None,
        "livemode": standing.livemode,
        "delivering": delivering,
    }


def webhook_delivery_of(stored: StoredDelivery) -> WebhookDelivery:
    delivery = stored.delivery
    return WebhookDelivery(
        id=delivery.event_id,
        state=stored.state,
        type=delivery.type,
        timestamp=delivery.at,
        case_id=delivery.case_id or None,
        status=delivery.status,
        tries=delivery.tries,
        next_try_at=stored.due,
        last_fault=delivery.last_fault or None,
    )
