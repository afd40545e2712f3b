"""API keys: how one is kept, and how a client's token is compared with it."""

from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, ValidationError

from dermis.shared import secret
from dermis.shared.case import Fact
from dermis.shared.ids import is_id, new_id
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore

KEYS_PREFIX = "keys/"


class Scope(StrEnum):
    """What a key may do; ADMIN may do everything, with its own cases only, and CASES_WRITE holds CASES_CREATE.

    A key with CASES_CREATE alone may upload images and submit cases, and read none: it may lie in an app that anyone
    can take apart.
    """

    CASES_CREATE = "cases:create"
    CASES_WRITE = "cases:write"
    CASES_READ = "cases:read"
    MODELS_READ = "models:read"
    WEBHOOKS_WRITE = "webhooks:write"
    ADMIN = "admin"


class ApiKey(Fact):
    """`keys/<id>`: a key without its secret.

    `owner` is whose cases it sees: its own id, or that of the key that it replaces.
    """

    key_id: str
    owner: str
    name: Annotated[str, Field(max_length=100)]
    scopes: tuple[Scope, ...]
    created_at: datetime
    secret_sha256: str
    livemode: bool = True
    """False of a test key: its cases are no person's."""

    @property
    def rights(self) -> frozenset[str]:
        """The scopes that the key has, those that it stands for too."""
        if Scope.ADMIN in self.scopes:
            return frozenset(Scope)
        return frozenset(self.scopes) | ({Scope.CASES_CREATE} if Scope.CASES_WRITE in self.scopes else frozenset())


class Revoked(Fact):
    """`keys/<id>.revoked`: from then on the key is none."""

    key_id: str
    revoked_at: datetime


def make_key(
    *, name: str, scopes: tuple[Scope, ...], at: datetime, owner: str | None = None, livemode: bool = True
) -> tuple[ApiKey, str]:
    """Return a new key and its token, `<id>.<secret>`, which is shown once and kept nowhere."""
    key_id, text = new_id("key"), secret.new_secret()
    digest = secret.digest_of(text)
    key = ApiKey(
        key_id=key_id,
        owner=owner or key_id,
        name=name,
        scopes=scopes,
        created_at=at,
        secret_sha256=digest,
        livemode=livemode,
    )
    return key, f"{key_id}.{text}"


def id_of(token: str) -> str | None:
    """Return the id that a token names, or None if it is no token of ours."""
    key_id = token.partition(".")[0]
    return key_id if is_id("key", key_id) else None


def matches(key: ApiKey, token: str) -> bool:
    """Return whether the token holds the key's secret, in a time that tells nothing of it."""
    return secret.matches(token.partition(".")[2], key.secret_sha256)


def put_key(store: BlobStore, key: ApiKey) -> None:
    store.put_once(f"{KEYS_PREFIX}{key.key_id}", key.model_dump_json().encode())


def revoke(store: BlobStore, key_id: str, *, at: datetime) -> None:
    """Revoke a key for good; nothing happens if it is revoked already."""
    with suppress(BlobConflict):  # revoked already, at another time
        store.put_once(_revoked_key(key_id), Revoked(key_id=key_id, revoked_at=at).model_dump_json().encode())


def read_key(store: BlobStore, key_id: str) -> ApiKey | None:
    """Return a key, revoked or not, or None if there never was one.

    Pydantic's ValidationError if its object is broken.
    """
    try:
        return ApiKey.model_validate_json(store.get(f"{KEYS_PREFIX}{key_id}"))
    except BlobNotFound:
        return None


def livemode_of(store: BlobStore, owner: str) -> bool:
    """Return false where an owner's cases come with test keys; all keys of one owner are of one mode."""
    try:
        key = read_key(store, owner) if is_id("key", owner) else None
    except ValidationError:
        return True
    return key.livemode if key else True


def read_revoked(store: BlobStore, key_id: str) -> Revoked | None:
    """Return since when a key is revoked, or None if it is not.

    A broken object revokes too, since a time that can't be read.
    """
    try:
        return Revoked.model_validate_json(store.get(_revoked_key(key_id)))
    except BlobNotFound:
        return None
    except ValidationError:
        return Revoked(key_id=key_id, revoked_at=datetime.fromtimestamp(0, UTC))


def _revoked_key(key_id: str) -> str:
    return f"{KEYS_PREFIX}{key_id}.revoked"
