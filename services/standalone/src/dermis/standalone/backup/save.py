"""Copies a store into another one while cases come in, so that what is there at the end is a store of its own."""

import hashlib
import heapq
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from pydantic import ValidationError

from dermis.shared.audit import last_checkpoint
from dermis.shared.batches import OPEN_BATCHES
from dermis.shared.case import OpenCase, open_key
from dermis.shared.erasing import RETENTION_PREFIX, clear, clear_batch, copy_of_mark
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import new_id
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore, has
from dermis.standalone.backup.index import (
    BACKUPS,
    DEPLOYMENT_KEY,
    Backup,
    Copied,
    Deployment,
    as_part,
    backup_key,
    copied,
    deployment_of,
    indexed_objects,
    name_deployment,
    part_key,
)
from dermis.standalone.backup.parallel import each
from dermis.standalone.backup.rules import (
    AUDIT,
    OPEN,
    POINTERS,
    Folder,
    folder_of,
    goes,
    in_order,
    is_copied,
    is_put_once,
    is_whole,
    next_attempt,
)

PART = 5_000
"""Objects that a part of the index names."""
Say = Callable[[int, int], None]
"""Takes how many objects and bytes the backup holds so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Objects that are copied one after the other: a case's, a batch's, or one alone."""

    keys: tuple[str, ...]
    standing: frozenset[str]
    """Those of the target."""
    folder: Folder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedGroup:
    """What became of a group. `names`: of the facts of a whole case or batch."""

    objects: list[Copied] = field(default_factory=list)
    folder: Folder | None = None
    names: frozenset[str] = frozenset()
    erased: bool = False


@dataclass(kw_only=True)
class Index:
    """The index of a backup under way, written in parts, so that a backup that is killed can be gone on with."""

    target: BlobStore
    id: str
    say: Say
    parts: dict[str, str] = field(default_factory=dict)
    count: int = 0
    bytes: int = 0
    _pending: list[Copied] = field(default_factory=list)

    def add(self, objects: Iterable[Copied]) -> None:
        for each_object in objects:
            self._pending.append(each_object)
            self.count += 1
            self.bytes += each_object.bytes
            if len(self._pending) == PART:
                self.flush()
        self.say(self.count, self.bytes)

    def flush(self) -> None:
        if self._pending:
            key, data = part_key(self.id, len(self.parts) + 1), as_part(self._pending)
            self.target.put_once(key, data)
            self.parts[key] = hashlib.sha256(data).hexdigest()
            self._pending = []


class Saver:
    """Copies groups of objects; safe to use from several threads. `new` and `new_bytes`: what was not there before."""

    def __init__(self, source: BlobStore, target: BlobStore, indexed: Mapping[str, Copied]) -> None:
        self._source = source
        self._target = target
        self._indexed = indexed
        last = last_checkpoint(source)
        self._checkpoint = last[0] if last else None
        self._lock = threading.Lock()
        self.new = self.new_bytes = self.removed = 0

    def copy(self, group: Group) -> CopiedGroup:
        """Copy a group; what the source no longer has goes from the target, where that may be."""
        if group.folder:
            return self._copy_folder(group.folder, group)
        (key,) = {*group.keys, *group.standing}
        if not group.keys:
            over = self._checkpoint and self._checkpoint.ends(key) if key.startswith(AUDIT) else goes(key)
            if over:
                self._remove(key)
            return CopiedGroup()
        return CopiedGroup(objects=[each for each in [self.copy_object(key, standing=bool(group.standing))] if each])

    def copy_object(self, key: str, *, standing: bool) -> Copied | None:
        """Copy an object, which is not read again if the target and its index have it; None if the source lost it."""
        if standing and is_put_once(key) and key in self._indexed:
            return self._indexed[key]
        try:
            data = copy_of_mark(self._source, key) if key.startswith(RETENTION_PREFIX) else self._source.get(key)
        except BlobNotFound:
            return None
        return self.put(key, data)

    def put(self, key: str, data: bytes) -> Copied:
        """Put an object into the target, in place of another content."""
        if put_over(self._target, key, data):
            with self._lock:
                self.new += 1
                self.new_bytes += len(data)
        return copied(key, data)

    def _copy_folder(self, folder: Folder, group: Group) -> CopiedGroup:
        names = frozenset(key.removeprefix(folder.prefix) for key in group.keys)
        if folder.tombstone in group.keys:
            return self._bury(folder, group)
        if not is_whole(names):  # being stored, or lost at the source
            return CopiedGroup()
        objects = []
        for key in in_order(group.keys, folder):
            if each_object := self.copy_object(key, standing=key in group.standing):
                objects.append(each_object)
            elif has(self._source, folder.tombstone):  # erased meanwhile
                return self._bury(folder, group)
        for key in group.standing.difference(group.keys):
            self._remove(key)
        return CopiedGroup(objects=objects, folder=folder, names=names)

    def _bury(self, folder: Folder, group: Group) -> CopiedGroup:
        """Leave nothing of an erased case or batch in the target but its tombstone."""
        tombstone = self.copy_object(folder.tombstone, standing=folder.tombstone in group.standing)
        if group.standing - {folder.tombstone} or tombstone is None or folder.tombstone not in group.standing:
            clear_folder(self._target, folder)
        return CopiedGroup(objects=[tombstone] if tombstone else [], folder=folder, erased=True)

    def _remove(self, key: str) -> None:
        self._target.delete(key)
        with self._lock:
            self.removed += 1


def save(source: BlobStore, target: BlobStore, *, dermis: str, say: Say) -> tuple[Backup, Saver]:
    """Copy `source` into `target`; what is there already is not copied again, so that a killed run is gone on with.

    CONFLICT if `target` holds anything but backups of the same deployment, NOT_FOUND if `source` is empty.
    """
    if next(source.list(""), None) is None:
        raise DermisError(Kind.NOT_FOUND, "STORE_EMPTY", "the store is empty; look at --store")
    begun_at = source.clock()
    deployment = _deployment(source, target)
    saver = Saver(source, target, indexed_objects(target))
    index = Index(target=target, id=new_id("backup"), say=say)
    pointers = {key: versioned.data for key in POINTERS if (versioned := source.get_versioned(key)).generation}
    markers = _read_markers(source)
    open_batches = list(source.list(OPEN_BATCHES))
    cases, erased, unfinished = _copy_all(saver, index, source, target, markers, begun_at)
    _put_markers(saver, index, target, unfinished)
    index.add(saver.put(key, b"{}") for key in open_batches)
    index.add(saver.put(key, data) for key, data in pointers.items())
    for result in each(saver.copy, _groups(source, target, prefix=AUDIT)):
        index.add(result.objects)
    index.flush()
    head = last_checkpoint(target)
    backup = Backup(
        id=index.id,
        deployment=deployment.id,
        dermis=dermis,
        begun_at=begun_at,
        finished_at=source.clock(),
        objects=index.count,
        bytes=index.bytes,
        cases=cases,
        erased_cases=erased,
        parts=index.parts,
        audit_head=head[1] if head else None,
    )
    _finish(source, target, backup)
    return backup, saver


def put_over(store: BlobStore, key: str, data: bytes) -> bool:
    """Put an object in place of whatever stands there; return whether that was anything else."""
    try:
        return store.put_once(key, data)
    except BlobConflict:
        store.replace(key, data, generation=store.get_versioned(key).generation)
        return True


def clear_folder(store: BlobStore, folder: Folder) -> None:
    """Delete all of a case or batch but its tombstone, and the marker of a case."""
    if folder.case:
        owner, case_id = folder.case
        clear(store, owner=owner, case_id=case_id)
        store.delete(open_key(case_id))
    else:
        clear_batch(store, folder.thing_id)


def _deployment(source: BlobStore, target: BlobStore) -> Deployment:
    there = deployment_of(target)
    if there is None and (key := next(target.list(""), None)):
        detail = f"the target holds {key!r} and is no backup; name an empty folder or prefix"
        raise DermisError(Kind.CONFLICT, "BACKUP_TARGET", detail)
    here = deployment_of(source)
    if there and there != here:
        detail = (
            f"the target holds backups of deployment {there.id}, and this store is {here.id if here else 'another'}; "
            "name another target"
        )
        raise DermisError(Kind.CONFLICT, "BACKUP_TARGET", detail)
    deployment = name_deployment(source)
    target.put_once(DEPLOYMENT_KEY, source.get(DEPLOYMENT_KEY))
    return deployment


def _read_markers(source: BlobStore) -> dict[str, OpenCase]:
    """Return the open cases by id; a marker that can't be read, or is gone by now, is none."""

    def read(key: str) -> OpenCase | None:
        with suppress(BlobNotFound, ValidationError):
            return OpenCase.model_validate_json(source.get(key))
        return None

    return {marker.case_id: marker for marker in each(read, source.list(OPEN)) if marker}


def _groups(source: BlobStore, target: BlobStore, *, prefix: str = "") -> Iterator[Group]:
    """Yield what is to be copied of both stores' keys, which come in one order, by case and batch."""
    merged = heapq.merge(((key, False) for key in source.list(prefix)), ((key, True) for key in target.list(prefix)))
    wanted = (pair for pair in merged if prefix or is_copied(pair[0]))
    for _, pairs in groupby(wanted, key=lambda pair: folder_of(pair[0]) or pair[0]):
        together = list(pairs)
        yield Group(
            keys=tuple(key for key, standing in together if not standing),
            standing=frozenset(key for key, standing in together if standing),
            folder=folder_of(together[0][0]),
        )


def _copy_all(
    saver: Saver,
    index: Index,
    source: BlobStore,
    target: BlobStore,
    markers: Mapping[str, OpenCase],
    begun_at: datetime,
) -> tuple[int, int, list[OpenCase]]:
    """Copy all but pointers, markers and audit.

    Return how many cases there are, how many tombstones of cases, and the markers of those that are open.
    """
    cases = erased = 0
    unfinished = []
    for result in each(saver.copy, _groups(source, target)):
        index.add(result.objects)
        case = result.folder.case if result.folder else None
        if case is None:
            continue
        cases, erased = cases + (not result.erased), erased + result.erased
        owner, case_id = case
        marker = markers.get(case_id)
        if not result.erased and next_attempt(result.names, marker.attempt if marker else 0):
            unfinished.append(marker or OpenCase(case_id=case_id, owner=owner, opened_at=begun_at))
    return cases, erased, unfinished


def _put_markers(saver: Saver, index: Index, target: BlobStore, unfinished: list[OpenCase]) -> None:
    """Put the markers of open cases, and remove those of cases that are closed by now."""
    wanted = {open_key(marker.case_id): marker for marker in unfinished}
    for key in list(target.list(OPEN)):
        if key not in wanted:
            target.delete(key)
    index.add(each(lambda item: saver.put(item[0], item[1].model_dump_json().encode()), wanted.items()))


def _finish(source: BlobStore, target: BlobStore, backup: Backup) -> None:
    """Put the index's head last, the receipt into the source, and remove the indexes of earlier backups.

    CONFLICT if another backup to this target runs or ran at the same time and began later.
    """
    if any(key > f"{BACKUPS}{backup.id}0" for key in target.list(BACKUPS)):
        detail = "another backup to this target began meanwhile; let one run at a time, and run it again"
        raise DermisError(Kind.CONFLICT, "BACKUP_OVERTAKEN", detail)
    data = backup.model_dump_json().encode()
    for store in (target, source):
        store.put_once(backup_key(backup.id), data)
    for key in list(target.list(BACKUPS)):
        if key < f"{BACKUPS}{backup.id}/":
            target.delete(key)
