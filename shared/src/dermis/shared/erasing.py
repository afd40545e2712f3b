"""How a case is erased, by whichever part: first the tombstone, then all else; and the marks by which its time ends."""

from contextlib import suppress
from datetime import datetime

from dermis.shared.case import Consent, Erased, Fact, OpenCase, case_key, fact_key, open_key
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore


class RetentionMark(Fact):
    """`retention/<consent>/<case id>`: put with the case, so that who ends its time lists what is oldest and nothing else."""

    owner: str


class IdempotencyLink(Fact):
    """`idempotency.json` of a case: the record that goes when the case is erased."""

    key: str


def retention_prefix(consent: Consent) -> str:
    return f"retention/{consent}/"


def retention_key(consent: Consent, case_id: str) -> str:
    return f"{retention_prefix(consent)}{case_id}"


def link_key(owner: str, case_id: str) -> str:
    return f"{case_key(owner, case_id)}/idempotency.json"


def erase(store: BlobStore, *, owner: str, case_id: str, at: datetime) -> None:
    """Leave nothing of a case but its tombstone, and the open marker, by which the sweep looks again for what a worker adds later."""
    marker = OpenCase(case_id=case_id, owner=owner, opened_at=at)
    for key, fact in ((open_key(case_id), marker), (fact_key(owner, case_id, "erased"), Erased(case_id=case_id, erased_at=at))):
        with suppress(BlobConflict):  # one stands there, which says the same but for the time
            store.put_once(key, fact.model_dump_json().encode())
    clear(store, owner=owner, case_id=case_id)


def clear(store: BlobStore, *, owner: str, case_id: str) -> None:
    """Delete all of a case but its tombstone and its open marker; what points to it first."""
    with suppress(BlobNotFound):
        store.delete(IdempotencyLink.model_validate_json(store.get(link_key(owner, case_id))).key)
    for key in list(store.list(f"{case_key(owner, case_id)}/")):
        if key != fact_key(owner, case_id, "erased"):
            store.delete(key)
    for consent in Consent:
        store.delete(retention_key(consent, case_id))
