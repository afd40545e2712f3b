"""Which cases were erased, as the audit tells it: the journal by which a backup forgets what its store forgot."""

from collections.abc import Iterator

from dermis.shared.audit import AUDIT_PREFIX, Act, records_of
from dermis.shared.ids import is_id
from dermis.shared.ports import BlobStore


def erased_in(data: bytes) -> Iterator[str]:
    """Yield the ids of cases and batches that an object of the audit says were erased."""
    for record in records_of(data):
        if record["act"] not in (Act.ERASE, Act.EXPIRE):
            continue
        for kind in ("case", "batch"):
            # A link of a case that is revoked has the case's id beside its own.
            of_it = "route" not in record or str(record["route"]).endswith(f"/{{{kind}_id}}")
            if of_it and is_id(kind, thing_id := str(record.get(f"{kind}_id"))):
                yield thing_id


def erased_by_audit(store: BlobStore) -> set[str]:
    """Return the ids of all cases and batches that the audit of a store says were erased."""
    return {thing_id for key in store.list(AUDIT_PREFIX) for thing_id in erased_in(store.get(key))}
