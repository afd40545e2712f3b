"""How a failed attempt closes its case, by whichever part."""

from dermis.shared.case import OpenCase, open_key
from dermis.shared.ports import BlobStore


def close_attempt(store: BlobStore, *, case_id: str, attempt: int) -> None:
    """Delete the open marker of this attempt or of an earlier one.

    That of a later one, which a replay may put at any moment, stays.
    """
    marker = store.get_versioned(open_key(case_id))
    if marker.generation and OpenCase.model_validate_json(marker.data).attempt <= attempt:
        store.delete(open_key(case_id), generation=marker.generation)
