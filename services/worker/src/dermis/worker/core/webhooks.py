"""What is sent to a webhook and what its answer means (Standard Webhooks 1.0.0)."""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dermis.shared.backoff import delay
from dermis.shared.webhooks import SECRET_PREFIX, Delivery

FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 3600.0
TRIED_FOR = timedelta(hours=24)
"""A delivery that fails after this time is a dead letter."""


class Reaction(StrEnum):
    DELIVERED = "DELIVERED"
    LATER = "LATER"
    """Not this event: others may go."""
    BUSY = "BUSY"
    """Nothing to this endpoint for now."""
    GONE = "GONE"
    """Nothing to this endpoint any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverAnswer:
    """What became of a request: its status, 0 where there was none and `fault` says why; `retry_after` in seconds."""

    status: int = 0
    retry_after: float | None = None
    fault: str = ""


def payload(delivery: Delivery, client_reference: str | None, *, livemode: bool = True) -> bytes:
    """Return the body: type, time and what a client needs to ask for the rest; nothing personal."""
    data = {"case_id": delivery.case_id, "status": delivery.status, "client_reference": client_reference}
    data = {name: value for name, value in data.items() if value}
    content = {
        "type": delivery.type,
        "timestamp": delivery.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {**data, "livemode": livemode},
    }
    return json.dumps(content, separators=(",", ":")).encode()


def sign(secret: str, *, event_id: str, timestamp: int, body: bytes) -> str:
    """Return `v1,` and the base64 HMAC-SHA256 of id, Unix time and body, joined by full stops."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = b".".join((event_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def headers(event_id: str, secrets: Sequence[str], *, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers of one try; each of `secrets` signs."""
    timestamp = int(at.timestamp())
    signatures = (sign(each, event_id=event_id, timestamp=timestamp, body=body) for each in secrets)
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def verdict(answer: ReceiverAnswer) -> Reaction:
    if 200 <= answer.status < 300:
        return Reaction.DELIVERED
    if answer.status == 410:
        return Reaction.GONE
    if answer.status in (0, 408, 429) or answer.status >= 500:
        return Reaction.BUSY
    return Reaction.LATER


def fault_of(answer: ReceiverAnswer) -> str:
    return answer.fault or f"HTTP {answer.status}"


def wait_after(tries: int, event_id: str, retry_after: float | None = None) -> timedelta:
    """Return the wait after `tries` tries: 5 s, doubled each time up to an hour, each a quarter more or less by the id.

    An endpoint that names a longer wait gets it, up to an hour.
    """
    digest = hashlib.sha256(f"{event_id}/{tries}".encode()).digest()
    jitter = 0.75 + int.from_bytes(digest[:4]) / 2**32 / 2
    wait = delay(tries, first=FIRST_WAIT_S, longest=LONGEST_WAIT_S) * jitter
    return timedelta(seconds=max(wait, min(retry_after or 0.0, LONGEST_WAIT_S)))


def is_dead(delivery: Delivery, now: datetime) -> bool:
    return now - delivery.since >= TRIED_FOR
