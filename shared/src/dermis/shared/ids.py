"""Typed, time-ordered ids: `case_01k...` (TypeID over UUIDv7, RFC 9562)."""

import hashlib
import re
import secrets
import time
from datetime import UTC, datetime, timedelta

from typeid import TypeID
from uuid_utils import UUID

_RANDOM = 16
"""The last characters of an id, which hold no time."""
_LAST_MS = datetime.max.replace(tzinfo=UTC).timestamp() * 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID = re.compile(r"[a-z]{1,16}_[0-7][0-9a-hjkmnp-tv-z]{25}")
_CASE_ID = re.compile(r"case_[0-7][0-9a-hjkmnp-tv-z]{25}")


def new_id(kind: str) -> str:
    """Return a new id of `kind`, for example "case"; ids made later sort later."""
    return str(TypeID(prefix=kind))


def new_secret_id(kind: str) -> str:
    """Return a new id of `kind` that nobody can guess, for what its id alone opens: all 74 bits beside time are random.

    Ids of `new_id` that are made in one millisecond differ in 32 random bits and a counter (RFC 9562, 6.2). In order of
    time to the millisecond.
    """
    bits = secrets.randbits(74)
    variant, version = 0b10 << 62, 0x7 << 76
    number = time.time_ns() // 1_000_000 << 80 | version | bits >> 62 << 64 | variant | bits & (1 << 62) - 1
    return str(TypeID.from_uuid(UUID(int=number), prefix=kind))


def id_of_digest(kind: str, digest: bytes) -> str:
    """Return the id of `kind` that the first 16 bytes of a digest make; it tells no time."""
    return str(TypeID.from_uuid(UUID(bytes=digest[:16]), prefix=kind))


def first_id(kind: str, at: datetime) -> str:
    """Return the id of `kind` that sorts before all others made at `at` or later, to the millisecond; `at` is aware."""
    return str(TypeID.from_uuid(UUID(int=_milliseconds(at) << 80), prefix=kind))


def id_at(kind: str, at: datetime, digest: bytes) -> str:
    """Return the id of `kind` that a time and the first 10 bytes of a digest make; `at` is aware."""
    number = _milliseconds(at) << 80 | int.from_bytes(digest[:10])
    return str(TypeID.from_uuid(UUID(int=number), prefix=kind))


def after_ids(kind: str, at: datetime) -> str:
    """Return text that sorts after all ids of `kind` that were made in the millisecond of `at` or before."""
    return f"{first_id(kind, at)[:-_RANDOM]}~"


def made_at(text: str) -> datetime:
    """Return when a well-formed id was made, to the millisecond (UUIDv7's first 48 bits).

    The last day there is for one after it.
    """
    milliseconds = TypeID.from_string(text).uuid.int >> 80
    return (
        _EPOCH + timedelta(milliseconds=milliseconds) if milliseconds < _LAST_MS else datetime.max.replace(tzinfo=UTC)
    )


def is_id(kind: str, text: str) -> bool:
    """Return whether `text` is a well-formed id of `kind`; only such text may become part of a store key."""
    return text.startswith(f"{kind}_") and _ID.fullmatch(text) is not None


def without_case_ids(text: str) -> str:
    """Return `text` with each case's id as its digest, `case#` and 12 hex digits of SHA-256.

    Without a key, an id is a case's only secret.
    """
    return _CASE_ID.sub(lambda match: f"case#{hashlib.sha256(match[0].encode()).hexdigest()[:12]}", text)


def _milliseconds(at: datetime) -> int:
    """Return the milliseconds since 1970, counted whole: a float of a late year is off by one."""
    return max(0, (at - _EPOCH) // timedelta(milliseconds=1))
