"""Puts a backup into a store; nothing that was erased since comes back."""

import hashlib
import re
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from dermis.shared.batches import OPEN_BATCHES, BatchErased
from dermis.shared.case import CASES_PREFIX, Erased, OpenCase, open_key
from dermis.shared.erasing import RETENTION_PREFIX
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import CURRENT_KEY
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore, has
from dermis.standalone.backup.erased import erased_by_audit
from dermis.standalone.backup.index import (
    BACKUPS,
    DEPLOYMENT_KEY,
    Backup,
    Copied,
    copied,
    deployment_of,
    last_backup,
    objects_of,
)
from dermis.standalone.backup.parallel import each
from dermis.standalone.backup.rules import AUDIT, LEFT, OPEN, POINTERS, Folder, folder_of, goes, in_order, next_attempt
from dermis.standalone.backup.save import Say, clear_folder, put_over

RESTORING_KEY = f"{BACKUPS}restoring"
"""Stands in a store that was fresh, until it is restored: then the backup's pointers count, not the store's own."""
_ID = re.compile(r"(?:case|batch)_[0-7][0-9a-hjkmnp-tv-z]{25}")
_MOST_OF_A_RECORD = 4096
_USED = (CASES_PREFIX, "batches/", "keys/")
_OF_A_START = (*LEFT, AUDIT)
"""What parts put into a store that has no model yet."""


@dataclass(kw_only=True)
class Restored:
    """What a restore did. `damaged`: keys whose object the backup lacks, or has with another digest."""

    objects: int = 0
    bytes: int = 0
    new: int = 0
    cases: int = 0
    erased: set[str] = field(default_factory=set)
    damaged: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Keys of which the store has another content, which stands."""


class Restorer:
    """Copies groups of a backup's objects; safe to use from several threads."""

    def __init__(self, source: BlobStore, target: BlobStore, *, erased: Collection[str], fresh: bool) -> None:
        self._source = source
        self._target = target
        self._erased = erased
        self._fresh = fresh
        self._lock = threading.Lock()
        self._open: dict[str, str] = {}
        self._unchecked: set[str] = set(POINTERS)
        self.done = Restored()

    def restore(self, objects: list[Copied]) -> None:
        """Restore the objects of a case, of a batch, or one alone; of an erased one the tombstone."""
        folder = folder_of(objects[0].key)
        if folder and self._is_erased(folder, objects):
            self._bury(folder)
            return
        for wanted in objects:
            self._put(wanted, folder)
        if folder and folder.case:
            owner, case_id = folder.case
            with self._lock:
                self.done.cases += 1
                if next_attempt({wanted.key.removeprefix(folder.prefix) for wanted in objects}, 0):
                    self._open[case_id] = owner

    def open_cases(self, now: datetime) -> None:
        """Put a marker for each case that was accepted and is not closed, where the backup has none: it goes on."""
        for case_id, owner in self._open.items():
            if not has(self._target, open_key(case_id)):
                marker = OpenCase(case_id=case_id, owner=owner, opened_at=now)
                self._target.put_once(open_key(case_id), marker.model_dump_json().encode())

    def check(self, wanted: Copied) -> None:
        """Read a restored object back; what goes with time, or was changed since by a running system, is no damage."""
        if wanted.key.startswith((OPEN, OPEN_BATCHES)) or wanted.key in self._unchecked:
            return
        folder = folder_of(wanted.key)
        try:
            data = self._target.get(wanted.key)
        except BlobNotFound:
            if folder is None or not has(self._target, folder.tombstone):
                self._damage(wanted.key)
            return
        if hashlib.sha256(data).hexdigest() != wanted.sha256 and not wanted.key.endswith("/erased.json"):
            self._damage(wanted.key)

    def _is_erased(self, folder: Folder, objects: list[Copied]) -> bool:
        return (
            folder.thing_id in self._erased
            or any(wanted.key == folder.tombstone for wanted in objects)
            or has(self._source, folder.tombstone)
            or has(self._target, folder.tombstone)
        )

    def _bury(self, folder: Folder) -> None:
        with suppress(BlobConflict):  # of another time
            self._target.put_once(folder.tombstone, _tombstone(self._source, folder, self._target.clock()))
        clear_folder(self._target, folder)
        with self._lock:
            self.done.erased.add(folder.thing_id)

    def _put(self, wanted: Copied, folder: Folder | None) -> None:
        try:
            data = self._source.get(wanted.key)
        except BlobNotFound:
            if self.done.erased and goes(wanted.key):  # a mark or record that went with its case
                self._unchecked.add(wanted.key)
            else:
                self._damage(wanted.key)
            return
        if wanted.sha256 and copied(wanted.key, data) != wanted:
            self._damage(wanted.key)
            return
        if folder is None and self._names_erased(wanted.key, data):
            self._unchecked.add(wanted.key)
            return
        new = self._put_data(wanted.key, data, folder)
        with self._lock:
            self.done.objects += 1
            self.done.bytes += len(data)
            self.done.new += new

    def _names_erased(self, key: str, data: bytes) -> bool:
        """Return whether a marker, a mark or a client's record is of an erased case; the audit keeps its records."""
        if key.startswith(AUDIT) or len(data) > _MOST_OF_A_RECORD:
            return False
        named = set(_ID.findall(f"{key} {data.decode(errors='replace')}"))
        return not named.isdisjoint(self._erased) or not named.isdisjoint(self.done.erased)

    def _put_data(self, key: str, data: bytes, folder: Folder | None) -> bool:
        if self._fresh and folder is None:
            return put_over(self._target, key, data)
        try:
            return self._target.put_once(key, data)
        except BlobConflict:
            with self._lock:
                self._unchecked.add(key)
                if not key.startswith(RETENTION_PREFIX):  # a copy says when the mark was first put, the mark does not
                    self.done.kept.append(key)
            return False

    def _damage(self, key: str) -> None:
        with self._lock:
            self._unchecked.add(key)
            self.done.damaged.append(key)


def restore(
    source: BlobStore, target: BlobStore, *, erased: Collection[str] = (), partial: bool = False, say: Say
) -> Restored:
    """Put the backup `source` into `target`, then read everything back and compare the digests.

    Cases in `erased`, those that the target's tombstones name, and those that the audit of either store says were
    erased leave a tombstone alone. NOT_FOUND without a finished backup, unless `partial`; CONFLICT if `target` is
    another deployment's, or has cases or keys of its own.
    """
    backup = last_backup(source)
    if backup is None and not partial:
        detail = "there is no finished backup; let `dermis backup` end, or restore what is there with --partial"
        raise DermisError(Kind.NOT_FOUND, "BACKUP_UNFINISHED", detail)
    fresh = _prepare(source, target)
    gone = {*erased, *erased_by_audit(source), *erased_by_audit(target)}
    restorer = Restorer(source, target, erased=gone, fresh=fresh)
    for in_folders in (True, False):  # which cases are erased is known before what names them comes
        for _ in each(restorer.restore, _groups(source, backup, in_folders=in_folders)):
            say(restorer.done.objects, restorer.done.bytes)
    restorer.open_cases(target.clock())
    for _ in each(restorer.check, objects_of(source, backup) if backup else ()):
        pass
    target.delete(RESTORING_KEY)
    return restorer.done


def _prepare(source: BlobStore, target: BlobStore) -> bool:
    """Name the target's deployment as the backup's; return whether it was fresh, also before a restore broke off."""
    there, here = deployment_of(source), deployment_of(target)
    if there is None:
        raise DermisError(
            Kind.NOT_FOUND, "BACKUP", f"there is no {DEPLOYMENT_KEY} here, so it is no backup; mend the URL"
        )
    if here and here.id != there.id:
        detail = f"the store is deployment {here.id}, the backup of {there.id}; restore into an empty store"
        raise DermisError(Kind.CONFLICT, "RESTORE_TARGET", detail)
    if here is None:
        if key := _in_the_way(target):
            detail = f"the store holds {key!r} and was never backed up to here; restore into an empty store"
            raise DermisError(Kind.CONFLICT, "RESTORE_TARGET", detail)
        target.put_once(RESTORING_KEY, b"{}")
        target.put_once(DEPLOYMENT_KEY, source.get(DEPLOYMENT_KEY))
    return has(target, RESTORING_KEY)


def _in_the_way(target: BlobStore) -> str | None:
    """Return a key of a store that is in use, or of a folder that holds other things than a store."""
    if has(target, CURRENT_KEY):
        return next((key for prefix in _USED for key in target.list(prefix)), None)
    return next((key for key in target.list("") if not key.startswith(_OF_A_START)), None)


def _groups(source: BlobStore, backup: Backup | None, *, in_folders: bool) -> Iterator[list[Copied]]:
    """Yield the objects to restore, those of a case or batch together, or all others one by one, pointers last.

    The index names them with their digests; of an unfinished backup, and of the audit that came after one, the keys
    alone are known.
    """
    objects = objects_of(source, backup) if backup else _keys_alone(source, "")
    for folder, group in groupby(objects, key=lambda each_object: folder_of(each_object.key)):
        if folder is not None and in_folders:
            yield list(group)
        elif folder is None and not in_folders:
            yield from ([each_object] for each_object in group)
    if backup and not in_folders:
        yield from ([each_object] for each_object in _keys_alone(source, AUDIT))


def _keys_alone(source: BlobStore, prefix: str) -> Iterator[Copied]:
    keys = (key for key in source.list(prefix) if not key.startswith(LEFT) and key not in POINTERS)
    for folder, group in groupby(keys, key=folder_of):
        yield from (Copied(key, "", 0) for key in (in_order(group, folder) if folder else group))
    yield from (Copied(key, "", 0) for key in POINTERS if not prefix and has(source, key))


def _tombstone(store: BlobStore, folder: Folder, at: datetime) -> bytes:
    """Return the tombstone that a backup has of a case or batch, else a new one."""
    with suppress(BlobNotFound):
        return store.get(folder.tombstone)
    thing_id = folder.thing_id
    fact = Erased(case_id=thing_id, erased_at=at) if folder.case else BatchErased(batch_id=thing_id, erased_at=at)
    return fact.model_dump_json().encode()
