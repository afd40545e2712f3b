"""Has a backup forget what its store forgot since, without copying the store."""

from collections.abc import Iterator
from contextlib import suppress

from dermis.shared.audit import AUDIT_PREFIX
from dermis.shared.case import CASES_PREFIX
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.standalone.backup.erased import erased_in
from dermis.standalone.backup.index import deployment_of
from dermis.standalone.backup.rules import Folder
from dermis.standalone.backup.save import clear_folder, put_over
from dermis.standalone.owners import find_owner


def forget(source: BlobStore, target: BlobStore) -> list[str]:
    """Erase in the backup `target` what the audit of `source` says was erased since it was copied; return the ids.

    The audit comes along, an object at a time and after what it names was erased: a run that is killed is gone on with.
    CONFLICT if `target` is no backup of `source`.
    """
    there = deployment_of(target)
    if there is None or there != deployment_of(source):
        detail = "the target holds no backup of this store; make one first, without --erasures"
        raise DermisError(Kind.CONFLICT, "BACKUP_TARGET", detail)
    erased = []
    for key in _new_audit(source, target):
        data = source.get(key)
        for thing_id in erased_in(data):
            folder = _folder(target, thing_id)
            with suppress(BlobNotFound):  # the store has no tombstone: it was not erased, whatever the record says
                if folder:
                    put_over(target, folder.tombstone, source.get(folder.tombstone))
                    clear_folder(target, folder)
                    erased.append(thing_id)
        put_over(target, key, data)
    return erased


def _new_audit(source: BlobStore, target: BlobStore) -> Iterator[str]:
    """Yield the audit's keys that the target lacks, from the last day on that it has."""
    start = max(_days(target), default="")
    standing = set(target.list(AUDIT_PREFIX, after=f"{AUDIT_PREFIX}{start}"))
    yield from (key for key in source.list(AUDIT_PREFIX, after=f"{AUDIT_PREFIX}{start}") if key not in standing)


def _days(store: BlobStore) -> Iterator[str]:
    """Yield the days of the audit, by a listing each."""
    after = ""
    while key := next(store.list(AUDIT_PREFIX, after=after), None):
        day = key.removeprefix(AUDIT_PREFIX).partition("/")[0]
        if day[:1].isdigit():
            yield day
        after = f"{AUDIT_PREFIX}{day}0"  # what follows all keys below DAY/


def _folder(store: BlobStore, thing_id: str) -> Folder | None:
    if is_id("batch", thing_id):
        return Folder(f"batches/{thing_id}/")
    try:
        return Folder(f"{CASES_PREFIX}{find_owner(store, thing_id)}/{thing_id}/")
    except DermisError:  # the backup never had it
        return None
