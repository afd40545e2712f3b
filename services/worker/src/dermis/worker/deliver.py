"""Delivers the events of webhooks from the store, each until it was taken or a day is over."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from itertools import islice, takewhile
from typing import Protocol

from pydantic import ValidationError

from dermis.shared.case import Received, fact_key
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore, has
from dermis.shared.telemetry import log
from dermis.shared.webhook_store import Endpoints, StoredEndpoint, disable_endpoint, put_pending
from dermis.shared.webhooks import (
    PENDING_PREFIX,
    Delivery,
    EventType,
    dead_key,
    delivered_key,
    due_of,
    endpoint_of,
    happened_before,
    signing_secrets,
)
from dermis.worker.core.webhooks import (
    LONGEST_WAIT_S,
    TRIED_FOR,
    Reaction,
    ReceiverAnswer,
    fault_of,
    headers,
    is_dead,
    payload,
    verdict,
    wait_after,
)

AT_ONCE = 8
"""Deliveries to one endpoint at a time."""
GRACE_S = 10.0
"""What is due for so short a time has a message of its own on the way."""
_DRAIN_S = 20.0
_LOOK = 200
_REST_S = 25.0
"""For so long nothing new is tried where something failed: what waits has the sweep's looks."""
_ACCEPTED_WITHIN = timedelta(minutes=10)
"""A case whose first fact is not there by then was never accepted."""


class Poster(Protocol):
    def post(self, url: str, headers: dict[str, str], body: bytes) -> ReceiverAnswer:
        """Post once; whatever goes wrong is in the answer."""
        ...


class TryResult(Enum):
    DONE = auto()
    """Delivered, or there is nothing to deliver any more."""
    LATER = auto()
    BUSY = auto()
    """The endpoint takes nothing now."""


@dataclass
class Rest:
    """Until when an endpoint is left alone, and whether it asked for that."""

    ends: float
    asked: bool


@dataclass(kw_only=True)
class Deliveries:
    """Sends what is pending; a delivery may be sent more than once, always with the same id."""

    store: BlobStore
    poster: Poster
    endpoints: Endpoints
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    counted: Callable[[str], None] = lambda _: None
    """Told of each try by what became of it."""
    _rests: dict[str, Rest] = field(default_factory=dict)
    _running: Counter[str] = field(default_factory=Counter)
    _busy: set[str] = field(default_factory=set)
    _draining: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def deliver(self, key: str) -> None:
        """Try one delivery, unless its endpoint rests or has enough to do: then it waits for a look of the sweep's."""
        rest = self._rests.get(endpoint_of(key))
        if rest is not None and rest.ends > self.monotonic():
            return
        with self._place(endpoint_of(key)) as has_place:
            if has_place:
                self._try(key)

    def drain(self, endpoint_id: str) -> bool:
        """Deliver what is due at an endpoint, the oldest first, for 20 s at most; return whether more is due.

        It ends where the endpoint takes nothing: so one that is away is tried once at each look, however much waits.
        """
        rest = self._rests.get(endpoint_id)
        if rest and rest.asked and rest.ends > self.monotonic():
            return False
        with self._alone(endpoint_id) as alone, ThreadPoolExecutor(AT_ONCE) as threads:
            ends = self.monotonic() + _DRAIN_S
            while alone and self.monotonic() < ends:
                keys = self._due(endpoint_id)
                if not keys or not self._send(endpoint_id, keys, threads, ends):
                    return False
            return alone

    def _send(self, endpoint_id: str, keys: list[str], threads: ThreadPoolExecutor, ends: float) -> bool:
        """Try deliveries, the first alone; return whether the endpoint takes more."""
        waiting = iter(keys)
        size = 1
        while (some := list(islice(waiting, size))) and self.monotonic() < ends:
            results = list(threads.map(self._try, some))
            if TryResult.BUSY in results:
                self._bury_old(endpoint_id)
                return False
            size = AT_ONCE
        return True

    def _due(self, endpoint_id: str) -> list[str]:
        latest = self.now().timestamp() - GRACE_S
        keys = takewhile(lambda key: due_of(key) <= latest, self.store.list(f"{PENDING_PREFIX}{endpoint_id}/"))
        return list(islice((key for key in keys if key not in self._busy), _LOOK))

    def _try(self, key: str) -> TryResult:
        """Try a delivery that nobody else in this process tries; it survives whatever one object does."""
        with self._lock:
            if key in self._busy:
                return TryResult.LATER
            self._busy.add(key)
        try:
            return self._attempt(key)
        except ValidationError as error:
            log.error("delivery can't be read and is dropped", reason=f"no {error.title}")
            self.store.delete(key)
            return TryResult.DONE
        finally:
            with self._lock:
                self._busy.discard(key)

    def _attempt(self, key: str) -> TryResult:
        try:
            delivery = Delivery.model_validate_json(self.store.get(key))
        except BlobNotFound:
            return TryResult.DONE
        standing = self.endpoints.one(delivery.owner, delivery.endpoint_id)
        if standing is None or has(self.store, delivered_key(delivery.endpoint_id, delivery.event_id)):
            self.store.delete(key)
            return TryResult.DONE
        if standing.disabled:
            return self._bury(key, delivery, "the endpoint is disabled")
        if delivery.type is EventType.CASE_RECEIVED and not self._accepted(delivery):
            return self._wait_for_case(key, delivery)
        return self._settle(key, delivery, standing, self._post(delivery, standing))

    def _post(self, delivery: Delivery, standing: StoredEndpoint) -> ReceiverAnswer:
        body = payload(delivery, self._reference(delivery), livemode=standing.livemode)
        at = self.now()
        secrets = signing_secrets(standing.secrets, now=at)
        return self.poster.post(standing.endpoint.url, headers(delivery.event_id, secrets, at=at, body=body), body)

    def _settle(self, key: str, delivery: Delivery, standing: StoredEndpoint, answer: ReceiverAnswer) -> TryResult:
        """Write down what became of a try: the receipt or the next time first, then the pending one goes."""
        decided = verdict(answer)
        self.counted(decided)
        log.info(
            "webhook tried",
            event_id=delivery.event_id,
            endpoint_id=delivery.endpoint_id,
            verdict=decided,
            status=answer.status,
            fault=answer.fault,
            tries=delivery.tries + 1,
        )
        if decided is Reaction.DELIVERED:
            self._rests.pop(delivery.endpoint_id, None)
            self._put(delivered_key(delivery.endpoint_id, delivery.event_id), delivery)
            self.store.delete(key)
            return TryResult.DONE
        if decided is Reaction.GONE:
            disable_endpoint(self.store, standing.endpoint, reason="it answered 410", at=self.now())
            self.endpoints.forget(delivery.owner)
            self._bury(key, delivery, "HTTP 410")
            return TryResult.BUSY
        if decided is Reaction.BUSY:
            asked = answer.retry_after or 0.0
            ends = self.monotonic() + max(_REST_S, min(asked, LONGEST_WAIT_S))
            self._rests[delivery.endpoint_id] = Rest(ends=ends, asked=asked > 0)
        if is_dead(delivery, self.now()):
            self._bury(key, delivery, fault_of(answer))
        else:
            self._again(key, delivery, answer)
        return TryResult.BUSY if decided is Reaction.BUSY else TryResult.LATER

    def _again(self, key: str, delivery: Delivery, answer: ReceiverAnswer) -> None:
        tries = delivery.tries + 1
        later = delivery.model_copy(update={"tries": tries, "last_fault": fault_of(answer)})
        put_pending(self.store, later, self.now() + wait_after(tries, delivery.event_id, answer.retry_after))
        self.store.delete(key)

    def _bury(self, key: str, delivery: Delivery, fault: str) -> TryResult:
        dead = delivery.model_copy(update={"tries": delivery.tries + 1, "last_fault": fault})
        self._put(dead_key(delivery.endpoint_id, delivery.event_id), dead)
        self.store.delete(key)
        log.warning("webhook given up", event_id=delivery.event_id, endpoint_id=delivery.endpoint_id, fault=fault)
        return TryResult.DONE

    def _bury_old(self, endpoint_id: str) -> None:
        """Give up what has waited for a day while its endpoint was away, though its own turn never came."""
        day_ago = self.now() - TRIED_FOR
        for key in self.store.list(f"{PENDING_PREFIX}{endpoint_id}/"):
            if happened_before(key, day_ago):
                try:
                    delivery = Delivery.model_validate_json(self.store.get(key))
                except (BlobNotFound, ValidationError):
                    continue
                if is_dead(delivery, self.now()):
                    self._bury(key, delivery, delivery.last_fault or "the endpoint was away")

    def _put(self, key: str, delivery: Delivery) -> None:
        with suppress(BlobConflict):  # of another worker, which says the same but for the tries
            self.store.put_once(key, delivery.model_dump_json().encode(), reserved=True)

    def _accepted(self, delivery: Delivery) -> bool:
        """Return whether the case of an event was accepted: its event is put just before its first fact."""
        owner, case_id = delivery.owner, delivery.case_id
        return any(has(self.store, fact_key(owner, case_id, name)) for name in ("received", "erased"))

    def _wait_for_case(self, key: str, delivery: Delivery) -> TryResult:
        if self.now() - delivery.at < _ACCEPTED_WITHIN:
            put_pending(self.store, delivery, self.now() + timedelta(seconds=60))
        self.store.delete(key)
        return TryResult.DONE

    def _reference(self, delivery: Delivery) -> str | None:
        """Return how the client calls the case, from the case itself: with it the reference is erased."""
        if not delivery.case_id or delivery.type is EventType.CASE_ERASED:
            return None
        try:
            data = self.store.get(fact_key(delivery.owner, delivery.case_id, "received"))
            return Received.model_validate_json(data).client_reference
        except (BlobNotFound, ValidationError):
            return None

    @contextmanager
    def _place(self, endpoint_id: str) -> Iterator[bool]:
        """Give whether the endpoint has a place left: a slow one must not take every thread."""
        with self._lock:
            has_place = self._running[endpoint_id] < AT_ONCE
            self._running[endpoint_id] += has_place
        try:
            yield has_place
        finally:
            with self._lock:
                self._running[endpoint_id] -= has_place
                if not self._running[endpoint_id]:
                    del self._running[endpoint_id]

    @contextmanager
    def _alone(self, endpoint_id: str) -> Iterator[bool]:
        """Give whether nobody else in this process drains the endpoint."""
        with self._lock:
            alone = endpoint_id not in self._draining
            if alone:
                self._draining.add(endpoint_id)
        try:
            yield alone
        finally:
            if alone:
                with self._lock:
                    self._draining.discard(endpoint_id)
