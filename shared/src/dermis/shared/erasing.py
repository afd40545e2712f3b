"""Erases a case or a batch: first puts the tombstone, then deletes all else.

Every part that erases calls it. Retention marks say when a case's time ends.
"""

import json
from contextlib import suppress
from datetime import datetime

from pydantic import BaseModel, ValidationError

from dermis.shared.batches import BatchErased, batch_erased_key, batch_key, open_batch_key
from dermis.shared.case import Consent, Erased, Fact, OpenCase, Received, case_key, fact_key, open_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore
from dermis.shared.references import reference_key
from dermis.shared.reviews import second_read_key
from dermis.shared.webhook_store import Outbox
from dermis.shared.webhooks import DeliverJob

RETENTION_PREFIX = "retention/"
RETAINED_BATCHES = f"{RETENTION_PREFIX}batches/"
"""A mark for each batch, put with it, as for a case."""


class RetentionMark(Fact):
    """`retention/<consent>/<case id>`.

    It is put with the case, so that who ends its time lists what is oldest and nothing else. `first_put_at`: when that
    was, where the mark is a copy, as of a restored case, whose time goes on.
    """

    owner: str
    first_put_at: datetime | None = None


class IdempotencyRecord(BaseModel):
    """`idempotency/<owner>/<hash>`: the case that a client's key made, and the digest of what it was made of."""

    case_id: str
    digest: str


class IdempotencyLink(Fact):
    """`idempotency.json` of a case: the record that goes when the case is erased."""

    key: str


def retention_prefix(consent: Consent) -> str:
    return f"{RETENTION_PREFIX}{consent}/"


def retention_key(consent: Consent, case_id: str) -> str:
    return f"{retention_prefix(consent)}{case_id}"


def first_put(store: BlobStore, key: str) -> datetime:
    """Return when the mark of a case or batch was first put, whatever copies were made of it since."""
    written_at = store.written_at(key)
    try:
        mark = json.loads(store.get(key))
        return min(written_at, datetime.fromisoformat(mark["first_put_at"]))
    except (ValueError, KeyError, TypeError):  # no copy, or one that can't be read
        return written_at


def copy_of_mark(store: BlobStore, key: str) -> bytes:
    """Return a mark's content for another store, which would tell by its own clock when it was put."""
    data = store.get(key)
    try:
        mark = json.loads(data)
    except ValueError:
        return data
    if not isinstance(mark, dict):
        return data
    return json.dumps(mark | {"first_put_at": first_put(store, key).isoformat()}).encode()


def link_key(owner: str, case_id: str) -> str:
    return f"{case_key(owner, case_id)}/idempotency.json"


def erase(store: BlobStore, *, owner: str, case_id: str, at: datetime) -> list[DeliverJob]:
    """Leave nothing of a case but its tombstone and the open marker; return what its webhooks are to be told.

    By the marker the sweep looks again for what a worker adds later, and tells the webhooks where this is broken off.

    On a disk without space the two take what the store keeps back. Where that is used up as well, all else goes before
    the tombstone comes, as nothing else could make room for it.
    """
    try:
        _entomb(store, owner=owner, case_id=case_id, at=at)
    except DermisError as error:
        if error.kind is not Kind.FULL:
            raise
        clear(store, owner=owner, case_id=case_id)
        _entomb(store, owner=owner, case_id=case_id, at=at)
    jobs = _tell(store, owner=owner, case_id=case_id)
    clear(store, owner=owner, case_id=case_id)
    return jobs


def _tell(store: BlobStore, *, owner: str, case_id: str) -> list[DeliverJob]:
    """Put the event for the webhooks; what can't be put now, the sweep puts: no fault of it keeps a case."""
    try:
        tombstone = Erased.model_validate_json(store.get(fact_key(owner, case_id, "erased")))
        return Outbox(store).put(tombstone, owner=owner)
    except (DermisError, ValidationError):
        return []


def _entomb(store: BlobStore, *, owner: str, case_id: str, at: datetime) -> None:
    marker, tombstone = (
        (open_key(case_id), OpenCase(case_id=case_id, owner=owner, opened_at=at)),
        Erased(case_id=case_id, erased_at=at),
    )
    # The marker again, as a worker that has not seen the tombstone may have closed the case in between.
    for key, fact in (marker, (fact_key(owner, case_id, "erased"), tombstone), marker):
        with suppress(BlobConflict):  # one stands there, which says the same but for the time
            store.put_once(key, fact.model_dump_json().encode(), reserved=True)


def clear(store: BlobStore, *, owner: str, case_id: str) -> None:
    """Delete all of a case but its tombstone and its open marker; what points to it first."""
    with suppress(BlobNotFound, ValidationError):  # one that can't be read must not keep the rest
        link = IdempotencyLink.model_validate_json(store.get(link_key(owner, case_id)))
        delete_record(store, link.key, case_id=case_id)
    with suppress(BlobNotFound, ValidationError):
        received = Received.model_validate_json(store.get(fact_key(owner, case_id, "received")))
        if received.client_reference:
            store.delete(reference_key(owner, received.client_reference, case_id))
    for key in list(store.list(f"{case_key(owner, case_id)}/")):
        if key != fact_key(owner, case_id, "erased"):
            store.delete(key)
    store.delete(second_read_key(case_id))
    for consent in Consent:
        store.delete(retention_key(consent, case_id))


def delete_record(store: BlobStore, key: str, *, case_id: str) -> None:
    """Delete a client's record, unless it is another case's by now; one that can't be read is nobody's."""
    with suppress(BlobNotFound):
        data = store.get(key)
        with suppress(ValidationError):
            if IdempotencyRecord.model_validate_json(data).case_id != case_id:
                return
        store.delete(key)


def erase_batch(store: BlobStore, batch_id: str, *, at: datetime) -> None:
    """Leave nothing of a batch but its tombstone and the marker.

    By the marker the sweep looks again for what a worker adds later.

    Without space as a case is.
    """
    try:
        _entomb_batch(store, batch_id, at=at)
    except DermisError as error:
        if error.kind is not Kind.FULL:
            raise
        clear_batch(store, batch_id)
        _entomb_batch(store, batch_id, at=at)
    clear_batch(store, batch_id)


def _entomb_batch(store: BlobStore, batch_id: str, *, at: datetime) -> None:
    store.put_once(open_batch_key(batch_id), b"{}", reserved=True)
    with suppress(BlobConflict):  # one stands there, of another time
        store.put_once(
            batch_erased_key(batch_id),
            BatchErased(batch_id=batch_id, erased_at=at).model_dump_json().encode(),
            reserved=True,
        )


def clear_batch(store: BlobStore, batch_id: str) -> None:
    """Delete all of a batch but its tombstone and its marker.

    The retention mark last, so that what broke off is gone on with.
    """
    for key in list(store.list(f"{batch_key(batch_id)}/")):
        if key != batch_erased_key(batch_id):
            store.delete(key)
    store.delete(f"{RETAINED_BATCHES}{batch_id}")
