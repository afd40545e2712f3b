"""How a failed attempt closes its case, by whichever part."""

from contextlib import suppress

from pydantic import ValidationError

from dermis.shared.case import OpenCase, open_key
from dermis.shared.ports import BlobStore


def close_attempt(store: BlobStore, *, case_id: str, attempt: int) -> None:
    """Delete the open marker of this attempt or of an earlier one, or one that can't be read.

    That of a later one, which a replay may put at any moment, stays.
    """
    marker = store.get_versioned(open_key(case_id))
    with suppress(ValidationError):
        if marker.generation and OpenCase.model_validate_json(marker.data).attempt > attempt:
            return
    if marker.generation:
        store.delete(open_key(case_id), generation=marker.generation)
