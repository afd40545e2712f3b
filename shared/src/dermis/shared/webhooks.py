"""Webhooks: endpoints that owners of cases name, and the events that are to be delivered to them.

`webhooks/<owner>/<endpoint id>/`: `endpoint.json`, `secrets/<k>.json`, `disabled.json`. An event that is to be sent is
an object of its own below `deliveries/pending/`, put before its case is closed, so that no crash loses it.
"""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dermis.shared.case import AnyFact, Assessed, Erased, Fact, Failed, Outcome, Received, Status
from dermis.shared.ids import id_at, is_id, made_at, new_id

WEBHOOKS_PREFIX = "webhooks/"
PENDING_PREFIX = "deliveries/pending/"
DEAD_PREFIX = "deliveries/dead/"
DELIVERED_PREFIX = "deliveries/delivered/"
SECRET_PREFIX = "whsec_"  # noqa: S105 - how one begins, by Standard Webhooks  # pragma: allowlist secret
OVERLAP = timedelta(hours=24)
"""For so long after a rotation the secret before signs beside the new one."""
DELIVERED_KEPT_FOR = timedelta(days=3)
"""Receipts of deliveries, by which an event is not sent again and can be replayed."""
DEAD_KEPT_FOR = timedelta(days=30)


class EventType(StrEnum):
    CASE_RECEIVED = "case.received"
    CASE_ASSESSED = "case.assessed"
    CASE_FINISHED = "case.finished"
    CASE_FAILED = "case.failed"
    CASE_ERASED = "case.erased"
    WEBHOOK_TEST = "webhook.test"


CASE_EVENTS = tuple(each for each in EventType if each is not EventType.WEBHOOK_TEST)


class WebhookEndpoint(Fact):
    """`endpoint.json`: where an owner's events go, and which of them."""

    endpoint_id: str
    owner: str
    url: str
    events: tuple[EventType, ...]
    created_at: datetime
    description: Annotated[str, Field(max_length=100)] = ""


class WebhookSecret(Fact):
    """`secrets/<k>.json`: the k-th secret of an endpoint; the store must hold it whole, as each delivery is signed."""

    secret: str
    created_at: datetime


class WebhookDisabled(Fact):
    """`disabled.json`: nothing is sent to the endpoint from then on."""

    disabled_at: datetime
    reason: str


class Delivery(Fact):
    """An event on its way to one endpoint; nothing personal.

    `at` is when it happened, `since` when its day of tries began: then, or at its last replay.
    """

    event_id: str
    endpoint_id: str
    owner: str
    type: EventType
    at: datetime
    since: datetime
    case_id: str = ""
    status: Status | None = None
    tries: int = 0
    last_fault: str = ""


class DeliverJob(Fact):
    """Payload of `webhook.deliver`: the pending delivery at this key is to be sent now."""

    key: str


class DrainJob(Fact):
    """Payload of `webhook.drain`: what is due at this endpoint is to be sent, the oldest first."""

    endpoint_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEvent:
    """What a fact of a case tells the endpoints of its owner."""

    type: EventType
    case_id: str
    at: datetime
    status: Status
    attempt: int = 1


def event_of(fact: AnyFact) -> CaseEvent:
    match fact:
        case Received():
            # By the id's time: of a request that broke off and came again each has a time of its own.
            at = made_at(fact.case_id) if is_id("case", fact.case_id) else fact.received_at
            return _event(EventType.CASE_RECEIVED, fact.case_id, at, Status.RECEIVED)
        case Assessed():
            return _event(EventType.CASE_ASSESSED, fact.case_id, fact.assessed_at, Status.ASSESSED)
        case Outcome():
            return _event(EventType.CASE_FINISHED, fact.case_id, fact.finished_at, Status.FINISHED)
        case Failed():
            return _event(EventType.CASE_FAILED, fact.case_id, fact.failed_at, Status.FAILED, fact.attempt)
        case Erased():
            return _event(EventType.CASE_ERASED, fact.case_id, fact.erased_at, Status.ERASED)


def _event(event: EventType, case_id: str, at: datetime, status: Status, attempt: int = 1) -> CaseEvent:
    return CaseEvent(type=event, case_id=case_id, at=at, status=status, attempt=attempt)


def delivery_of(event: CaseEvent, endpoint: WebhookEndpoint) -> Delivery:
    """Return the delivery of an event; its id follows from the case, the fact and the endpoint alone."""
    text = "/".join((event.type, event.case_id, str(event.attempt), endpoint.endpoint_id))
    return Delivery(
        event_id=id_at("msg", event.at, hashlib.sha256(text.encode()).digest()),
        endpoint_id=endpoint.endpoint_id,
        owner=endpoint.owner,
        type=event.type,
        at=event.at,
        since=event.at,
        case_id=event.case_id,
        status=event.status,
    )


def test_delivery(endpoint: WebhookEndpoint, at: datetime) -> Delivery:
    """Return an event that tells of no case, by which a receiver can be tried."""
    return Delivery(
        event_id=new_id("msg"),
        endpoint_id=endpoint.endpoint_id,
        owner=endpoint.owner,
        type=EventType.WEBHOOK_TEST,
        at=at,
        since=at,
    )


def new_webhook_secret() -> str:
    """Return a new secret as Standard Webhooks writes them: `whsec_` and the base64 of 32 random bytes."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signing_secrets(every: Sequence[WebhookSecret], *, now: datetime) -> tuple[str, ...]:
    """Return the secrets that sign at `now`, the newest first; `every` is in the order in which they were made."""
    newest = every[-1:]
    before = every[-2:-1] if newest and now - newest[0].created_at < OVERLAP else ()
    return tuple(each.secret for each in (*newest, *before))


def endpoint_folder(owner: str, endpoint_id: str) -> str:
    return f"{WEBHOOKS_PREFIX}{owner}/{endpoint_id}/"


def pending_key(delivery: Delivery, due: datetime) -> str:
    """Return where a delivery waits; keys of one endpoint sort by when they are due, in milliseconds."""
    milliseconds = max(0, int(due.timestamp() * 1000))
    return f"{PENDING_PREFIX}{delivery.endpoint_id}/{milliseconds:014d}.{delivery.event_id}"


def due_of(key: str) -> float:
    """Return when a pending delivery is due, as Unix time; 0 for a key that is none of ours."""
    text = key.rpartition("/")[2].partition(".")[0]
    return int(text) / 1000 if text.isascii() and text.isdigit() else 0.0


def endpoint_of(key: str) -> str:
    """Return the endpoint that a key below `deliveries/` is of."""
    return key.split("/")[2]


def event_id_of(key: str) -> str:
    return key.rpartition("/")[2].rpartition(".")[2]


def dead_key(endpoint_id: str, event_id: str) -> str:
    return f"{DEAD_PREFIX}{endpoint_id}/{event_id}"


def delivered_key(endpoint_id: str, event_id: str) -> str:
    return f"{DELIVERED_PREFIX}{endpoint_id}/{event_id}"


def happened_before(key: str, at: datetime) -> bool:
    """Return whether the event that a key names happened before `at`, by the time in its id."""
    event_id = event_id_of(key)
    return is_id("msg", event_id) and made_at(event_id) < at


class DeliveryState(StrEnum):
    PENDING = "PENDING"
    DEAD = "DEAD"
    """Given up after a day; it can be replayed."""
    DELIVERED = "DELIVERED"


PREFIXES = {
    DeliveryState.PENDING: PENDING_PREFIX,
    DeliveryState.DEAD: DEAD_PREFIX,
    DeliveryState.DELIVERED: DELIVERED_PREFIX,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDelivery:
    """A delivery at its key; `due` when it is tried next, None unless it is pending."""

    key: str
    state: DeliveryState
    delivery: Delivery
    due: datetime | None = None
