"""Endpoints of webhooks and their pending deliveries, as the object store holds them."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from dermis.shared.api_keys import livemode_of
from dermis.shared.case import AnyFact
from dermis.shared.ids import is_id
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore
from dermis.shared.telemetry import log
from dermis.shared.webhooks import (
    WEBHOOKS_PREFIX,
    DeliverJob,
    Delivery,
    WebhookDisabled,
    WebhookEndpoint,
    WebhookSecret,
    delivery_of,
    endpoint_folder,
    event_of,
    new_webhook_secret,
    pending_key,
)

_MOST_CACHED = 10_000
CACHE_SECONDS = 2.0
"""For so long a part goes by what it has read of an owner's endpoints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEndpoint:
    """An endpoint with its secrets, the oldest first, and why nothing is sent to it any more.

    `livemode` false: its owner's cases come with test keys.
    """

    endpoint: WebhookEndpoint
    secrets: tuple[WebhookSecret, ...]
    disabled: WebhookDisabled | None = None
    livemode: bool = True


class Endpoints:
    """The endpoints of an owner; read again after `keep_seconds`, so that owners without any cost nothing."""

    def __init__(
        self, store: BlobStore, *, keep_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._read: OrderedDict[str, tuple[float, tuple[StoredEndpoint, ...]]] = OrderedDict()

    def of(self, owner: str) -> tuple[StoredEndpoint, ...]:
        read_at, standing = self._read.get(owner, (None, ()))
        if read_at is not None and self._clock() - read_at < self._keep_seconds:
            return standing
        standing = tuple(read_endpoints(self._store, owner))
        if self._keep_seconds:
            self._read[owner] = (self._clock(), standing)
            self._read.move_to_end(owner)
            while len(self._read) > _MOST_CACHED:
                self._read.popitem(last=False)
        return standing

    def one(self, owner: str, endpoint_id: str) -> StoredEndpoint | None:
        return next((each for each in self.of(owner) if each.endpoint.endpoint_id == endpoint_id), None)

    def forget(self, owner: str) -> None:
        """Read the endpoints of an owner anew the next time."""
        self._read.pop(owner, None)


class Outbox:
    """Puts what is to be delivered: before its case is closed, so that whoever closes it again puts the same."""

    def __init__(
        self, store: BlobStore, *, send: Callable[[DeliverJob], None] = lambda _: None, keep_seconds: float = 0.0
    ) -> None:
        self._store = store
        self._endpoints = Endpoints(store, keep_seconds=keep_seconds)
        self._send = send

    def put(self, fact: AnyFact | None, *, owner: str) -> list[DeliverJob]:
        """Put a delivery for each endpoint that wants this event, and send word of it; return what was put.

        A retryable `DermisError` if the store is away.
        """
        jobs = [put_pending(self._store, each) for each in self._deliveries(fact, owner)]
        for job in jobs:
            self._send(job)
        return jobs

    def jobs(self, fact: AnyFact, *, owner: str) -> list[DeliverJob]:
        """Return the jobs of what was put for this event, for who sends word of it later."""
        return [DeliverJob(key=pending_key(each, each.since)) for each in self._deliveries(fact, owner)]

    def _deliveries(self, fact: AnyFact | None, owner: str) -> list[Delivery]:
        if fact is None:
            return []
        event, endpoints = event_of(fact), self._endpoints.of(owner)
        wanting = (each for each in endpoints if event.type in each.endpoint.events and each.disabled is None)
        return [delivery_of(event, each.endpoint) for each in wanting]


def put_pending(store: BlobStore, delivery: Delivery, due: datetime | None = None) -> DeliverJob:
    """Put a delivery that is due at `due`, else when its tries begin."""
    key = pending_key(delivery, due or delivery.since)
    with suppress(BlobConflict):
        store.put_once(key, delivery.model_dump_json().encode(), reserved=True)
    return DeliverJob(key=key)


def read_endpoints(store: BlobStore, owner: str) -> Iterator[StoredEndpoint]:
    """Yield the endpoints of an owner, the oldest first; one that can't be read is logged and left out."""
    prefix = endpoint_folder(owner, "").rstrip("/") + "/"
    names: dict[str, list[str]] = {}
    for key in store.list(prefix):
        names.setdefault(key.removeprefix(prefix).partition("/")[0], []).append(key)
    livemode = livemode_of(store, owner) if names else True
    for endpoint_id, keys in names.items():
        if is_id("hook", endpoint_id):
            with suppress(BlobNotFound):  # deleted meanwhile
                try:
                    if standing := _read_endpoint(store, keys, livemode=livemode):
                        yield standing
                except ValidationError as error:
                    log.error("webhook can't be read", endpoint_id=endpoint_id, reason=f"no {error.title}")


def owners_of_webhooks(store: BlobStore) -> Iterator[tuple[str, str]]:
    """Yield owner and id of each endpoint, by owner."""
    seen = None
    for key in store.list(WEBHOOKS_PREFIX):
        owner, endpoint_id = key.removeprefix(WEBHOOKS_PREFIX).split("/")[:2]
        if (owner, endpoint_id) != seen:
            seen = (owner, endpoint_id)
            yield seen


def _read_endpoint(store: BlobStore, keys: Sequence[str], *, livemode: bool) -> StoredEndpoint | None:
    by_name = {key.rpartition("/")[2]: key for key in keys if "/secrets/" not in key}
    secrets = tuple(WebhookSecret.model_validate_json(store.get(key)) for key in keys if "/secrets/" in key)
    if "endpoint.json" not in by_name or not secrets:
        return None  # half made or half deleted
    endpoint = WebhookEndpoint.model_validate_json(store.get(by_name["endpoint.json"]))
    disabled = None
    if "disabled.json" in by_name:
        disabled = WebhookDisabled.model_validate_json(store.get(by_name["disabled.json"]))
    return StoredEndpoint(endpoint=endpoint, secrets=secrets, disabled=disabled, livemode=livemode)


def put_endpoint(store: BlobStore, endpoint: WebhookEndpoint) -> WebhookSecret:
    """Put an endpoint with its first secret, which is returned; the secret comes first, as without it there is none."""
    secret = _put_secret(store, endpoint.owner, endpoint.endpoint_id, 1, endpoint.created_at)
    folder = endpoint_folder(endpoint.owner, endpoint.endpoint_id)
    store.put_once(f"{folder}endpoint.json", endpoint.model_dump_json().encode())
    return secret


def rotate_secret(store: BlobStore, standing: StoredEndpoint, *, at: datetime) -> WebhookSecret:
    """Put another secret, which signs from now on; CONFLICT if somebody else rotates it at this moment."""
    endpoint = standing.endpoint
    return _put_secret(store, endpoint.owner, endpoint.endpoint_id, len(standing.secrets) + 1, at)


def _put_secret(store: BlobStore, owner: str, endpoint_id: str, number: int, at: datetime) -> WebhookSecret:
    secret = WebhookSecret(secret=new_webhook_secret(), created_at=at)
    key = f"{endpoint_folder(owner, endpoint_id)}secrets/{number:06d}.json"
    store.put_once(key, secret.model_dump_json().encode())
    return secret


def disable_endpoint(store: BlobStore, endpoint: WebhookEndpoint, *, reason: str, at: datetime) -> None:
    key = f"{endpoint_folder(endpoint.owner, endpoint.endpoint_id)}disabled.json"
    with suppress(BlobConflict):  # disabled already
        store.put_once(key, WebhookDisabled(disabled_at=at, reason=reason).model_dump_json().encode(), reserved=True)


def enable_endpoint(store: BlobStore, endpoint: WebhookEndpoint) -> None:
    store.delete(f"{endpoint_folder(endpoint.owner, endpoint.endpoint_id)}disabled.json")


def delete_endpoint(store: BlobStore, owner: str, endpoint_id: str) -> None:
    """Delete an endpoint, its secrets and what was to be delivered to it; `endpoint.json` first, as it is it."""
    folder = endpoint_folder(owner, endpoint_id)
    store.delete(f"{folder}endpoint.json")
    prefixes = (folder, *(f"deliveries/{kind}/{endpoint_id}/" for kind in ("pending", "dead", "delivered")))
    for prefix in prefixes:
        for key in list(store.list(prefix)):
            store.delete(key)
