"""The index of a backup: each object with its digest, and last `backup.json`, without which it is unfinished.

A backup is a store of the same layout. Beside the objects it has `backups/<id>/objects-<n>.ndjson` and
`backups/<id>/backup.json`, which is put into the store that was backed up as well: a receipt.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import new_id
from dermis.shared.ports import BlobNotFound, BlobStore

BACKUPS = "backups/"
DEPLOYMENT_KEY = "deployment.json"


class Copied(NamedTuple):
    """An object of a backup: SHA-256 in hexadecimal, size in bytes."""

    key: str
    sha256: str
    bytes: int


class Backup(BaseModel):
    """`backups/<id>/backup.json`: what a finished backup holds.

    `begun_at`: every case that was accepted before, by the clock of the store that was copied, is in it. `parts`:
    SHA-256 of each `objects-<n>.ndjson`. `audit_head`: that of the newest checkpoint of the audit, if there is one.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    deployment: str
    dermis: str
    begun_at: datetime
    finished_at: datetime
    objects: int
    bytes: int
    cases: int
    erased_cases: int
    parts: dict[str, str]
    audit_head: str | None = None


class Deployment(BaseModel):
    """`deployment.json`: by it a store and its backups know that they belong together."""

    id: str
    made_at: datetime


def copied(key: str, data: bytes) -> Copied:
    return Copied(key, hashlib.sha256(data).hexdigest(), len(data))


def part_key(backup_id: str, n: int) -> str:
    return f"{BACKUPS}{backup_id}/objects-{n:05}.ndjson"


def backup_key(backup_id: str) -> str:
    return f"{BACKUPS}{backup_id}/backup.json"


def as_part(objects: Iterable[Copied]) -> bytes:
    return "".join(f"{json.dumps(each)}\n" for each in objects).encode()


def read_part(data: bytes) -> Iterator[Copied]:
    """Yield the objects of a part; INVALID if a line is none."""
    for line in data.splitlines():
        try:
            key, sha256, size = json.loads(line)
        except ValueError:
            raise DermisError(Kind.INVALID, "BACKUP_INDEX", "a part of the backup's index can't be read") from None
        yield Copied(key, sha256, size)


def last_backup(store: BlobStore) -> Backup | None:
    """Return the newest finished backup that `store` holds or was the source of, None without one."""
    for key in reversed([key for key in store.list(BACKUPS) if key.endswith("/backup.json")]):
        with suppress(BlobNotFound, ValidationError):
            return Backup.model_validate_json(store.get(key))
    return None


def objects_of(store: BlobStore, backup: Backup) -> Iterator[Copied]:
    """Yield the objects of a finished backup in the order in which they were copied; INVALID if a part was changed."""
    for key, digest in backup.parts.items():
        data = store.get(key)
        if hashlib.sha256(data).hexdigest() != digest:
            raise DermisError(Kind.INVALID, "BACKUP_INDEX", f"{key} was changed since the backup; use another backup")
        yield from read_part(data)


def indexed_objects(store: BlobStore) -> dict[str, Copied]:
    """Return by key what all indexes of `store` name, those of unfinished backups too."""
    parts = [key for key in store.list(BACKUPS) if key.endswith(".ndjson")]
    return {each.key: each for key in parts for each in read_part(store.get(key))}


def deployment_of(store: BlobStore) -> Deployment | None:
    """Return what `deployment.json` says, None without one; INVALID if it can't be read."""
    try:
        return Deployment.model_validate_json(store.get(DEPLOYMENT_KEY))
    except BlobNotFound:
        return None
    except ValidationError as error:
        detail = f"{DEPLOYMENT_KEY} can't be read; look at it, or delete it if the store is the right one"
        raise DermisError(Kind.INVALID, "DEPLOYMENT", detail) from error


def name_deployment(store: BlobStore) -> Deployment:
    """Return a store's deployment, which is named now if it was not before."""
    if standing := deployment_of(store):
        return standing
    deployment = Deployment(id=new_id("deployment"), made_at=store.clock())
    store.put_once(DEPLOYMENT_KEY, deployment.model_dump_json().encode())
    return deployment
