"""What an owner of webhooks does with them, over HTTP or by the `dermis` command."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from dermis.shared.addresses import Network, check_webhook_url
from dermis.shared.api_keys import livemode_of
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id, new_id
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore
from dermis.shared.webhook_store import (
    StoredEndpoint,
    delete_endpoint,
    enable_endpoint,
    put_endpoint,
    put_pending,
    read_endpoints,
    rotate_secret,
)
from dermis.shared.webhooks import (
    CASE_EVENTS,
    OVERLAP,
    PREFIXES,
    DeliverJob,
    Delivery,
    DeliveryState,
    EventType,
    StoredDelivery,
    WebhookEndpoint,
    WebhookSecret,
    dead_key,
    delivered_key,
    due_of,
    test_delivery,
)

MOST_ENDPOINTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """The endpoints of owners; NOT_FOUND for one that is another owner's."""

    store: BlobStore
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    networks: Sequence[Network] = ()
    """Private networks that endpoints may be in."""
    changed: Callable[[str, str], None] = lambda _done, _endpoint_id: None
    """Told of each change: create, delete, rotate, enable, test or replay, and of which endpoint."""

    def create(
        self, *, owner: str, url: str, events: Sequence[EventType] = CASE_EVENTS, description: str = ""
    ) -> StoredEndpoint:
        check_webhook_url(url, self.networks)
        if len(self.of(owner)) >= MOST_ENDPOINTS:
            detail = f"there are {MOST_ENDPOINTS} webhooks already; delete one first"
            raise DermisError(Kind.CONFLICT, "WEBHOOKS_FULL", detail)
        endpoint = WebhookEndpoint(
            endpoint_id=new_id("hook"),
            owner=owner,
            url=url,
            events=tuple(dict.fromkeys(events)),
            created_at=self.clock(),
            description=description,
        )
        secrets, livemode = (put_endpoint(self.store, endpoint),), livemode_of(self.store, owner)
        self.changed("create", endpoint.endpoint_id)
        return StoredEndpoint(endpoint=endpoint, secrets=secrets, livemode=livemode)

    def of(self, owner: str) -> list[StoredEndpoint]:
        return list(read_endpoints(self.store, owner))

    def one(self, owner: str, endpoint_id: str) -> StoredEndpoint:
        for each in self.of(owner):
            if each.endpoint.endpoint_id == endpoint_id:
                return each
        detail = f"there is no webhook {endpoint_id[:64]!r}; list yours"
        raise DermisError(Kind.NOT_FOUND, "WEBHOOK_NOT_FOUND", detail)

    def delete(self, owner: str, endpoint_id: str) -> None:
        """Delete an endpoint and what waits for it."""
        self.one(owner, endpoint_id)
        delete_endpoint(self.store, owner, endpoint_id)
        self.changed("delete", endpoint_id)

    def rotate(self, owner: str, endpoint_id: str) -> tuple[WebhookSecret, datetime]:
        """Return another secret, which signs from now on, and until when that before signs beside it."""
        try:
            secret = rotate_secret(self.store, self.one(owner, endpoint_id), at=self.clock())
        except BlobConflict:
            detail = "the secret is being rotated at this moment; do it again if you don't have the new one"
            raise DermisError(Kind.CONFLICT, "WEBHOOK_ROTATING", detail) from None
        self.changed("rotate", endpoint_id)
        return secret, secret.created_at + OVERLAP

    def enable(self, owner: str, endpoint_id: str) -> StoredEndpoint:
        """Send to an endpoint again that was disabled."""
        enable_endpoint(self.store, self.one(owner, endpoint_id).endpoint)
        self.changed("enable", endpoint_id)
        return self.one(owner, endpoint_id)

    def test(self, owner: str, endpoint_id: str) -> StoredDelivery:
        """Put an event that tells of no case."""
        endpoint = self._enabled(owner, endpoint_id).endpoint
        stored = self._pending(test_delivery(endpoint, self.clock()))
        self.changed("test", endpoint_id)
        return stored

    def deliveries(
        self, owner: str, endpoint_id: str, *, state: DeliveryState, after: str = ""
    ) -> Iterator[StoredDelivery]:
        """Yield the deliveries of an endpoint in one state, the oldest first; those after a key if one is named."""
        self.one(owner, endpoint_id)
        prefix = f"{PREFIXES[state]}{endpoint_id}/"
        for key in self.store.list(prefix, after=f"{prefix}{after}" if after else ""):
            with suppress(BlobNotFound, ValidationError):  # settled meanwhile, or of another version
                delivery = Delivery.model_validate_json(self.store.get(key))
                due = datetime.fromtimestamp(due_of(key), UTC) if state is DeliveryState.PENDING else None
                yield StoredDelivery(key=key, state=state, delivery=delivery, due=due)

    def replay(self, owner: str, endpoint_id: str, event_id: str) -> StoredDelivery:
        """Send an event again that was delivered or given up, for another day, with the same id.

        One that is pending is tried at once. NOT_FOUND if there is none, or its receipt is gone.
        """
        stored = self._replay(owner, endpoint_id, event_id)
        self.changed("replay", endpoint_id)
        return stored

    def _replay(self, owner: str, endpoint_id: str, event_id: str) -> StoredDelivery:
        self._enabled(owner, endpoint_id)
        if is_id("msg", event_id):
            for key in (dead_key(endpoint_id, event_id), delivered_key(endpoint_id, event_id)):
                with suppress(BlobNotFound, ValidationError):
                    delivery = Delivery.model_validate_json(self.store.get(key))
                    again = delivery.model_copy(update={"since": self.clock(), "tries": 0, "last_fault": ""})
                    stored = self._pending(again)
                    self.store.delete(key)
                    return stored
            for stored in self.deliveries(owner, endpoint_id, state=DeliveryState.PENDING):
                if stored.delivery.event_id == event_id:
                    return stored
        detail = f"there is no delivery {event_id[:64]!r} of this webhook; receipts are kept for three days"
        raise DermisError(Kind.NOT_FOUND, "DELIVERY_NOT_FOUND", detail)

    def _enabled(self, owner: str, endpoint_id: str) -> StoredEndpoint:
        standing = self.one(owner, endpoint_id)
        if standing.disabled:
            detail = f"webhook {endpoint_id} is disabled: {standing.disabled.reason}; enable it first"
            raise DermisError(Kind.CONFLICT, "WEBHOOK_DISABLED", detail)
        return standing

    def _pending(self, delivery: Delivery) -> StoredDelivery:
        key = put_pending(self.store, delivery).key
        return StoredDelivery(key=key, state=DeliveryState.PENDING, delivery=delivery, due=delivery.since)


def job_of(stored: StoredDelivery) -> DeliverJob:
    return DeliverJob(key=stored.key)
