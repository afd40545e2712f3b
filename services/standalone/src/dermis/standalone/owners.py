"""Whose a case or a webhook is, so that whoever runs the system names the thing alone."""

import contextlib

from pydantic import ValidationError

from dermis.shared.api_keys import read_key
from dermis.shared.case import CASES_PREFIX, PUBLIC_OWNER, Consent, fact_key
from dermis.shared.erasing import RetentionMark, retention_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id
from dermis.shared.listing import owners
from dermis.shared.ports import BlobNotFound, BlobStore, has


def find_owner(store: BlobStore, case_id: str) -> str:
    """Return whose case it is; INVALID if it is no id, NOT_FOUND if the store has no such case."""
    if not is_id("case", case_id):
        detail = f"{case_id[:64]!r} is no id of a case; it looks like case_01k9x4q7e8f3rtw5m2c6b0dvza"
        raise DermisError(Kind.INVALID, "CASE_ID", detail)
    for consent in Consent:
        with contextlib.suppress(BlobNotFound, ValidationError):  # one that can't be read says nothing
            return RetentionMark.model_validate_json(store.get(retention_key(consent, case_id))).owner
    for owner in owners(store):  # an erased one has no mark
        if has(store, fact_key(owner, case_id, "received")) or has(store, fact_key(owner, case_id, "erased")):
            return owner
    raise DermisError(Kind.NOT_FOUND, "CASE", f"there is no case {case_id} in this store; look at --store")


def check_owner(store: BlobStore, owner: str) -> None:
    """NOT_FOUND for an owner who has neither a key nor a case in the store: nothing would ever be theirs."""
    if owner == PUBLIC_OWNER or (is_id("key", owner) and read_key(store, owner)):
        return
    if next(store.list(f"{CASES_PREFIX}{owner}/"), None) is None:
        detail = f"--owner {owner[:64]!r} has no key and no case in this store; `dermis keys list --json` shows owners"
        raise DermisError(Kind.NOT_FOUND, "OWNER", detail)
