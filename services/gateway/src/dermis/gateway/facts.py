"""Facts as the gateway reads and puts them."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore
from dermis.shared.telemetry import log

M = TypeVar("M", bound=BaseModel)


def get_fact(store: BlobStore, key: str, kind: type[M]) -> M | None:
    """Return a fact, None if there is none; INTERNAL if it can't be read."""
    try:
        return kind.model_validate_json(store.get(key))
    except BlobNotFound:
        return None
    except ValidationError:
        log.error("fact is broken", key=key)
        detail = (
            "what the store holds of this case can't be read; whoever runs the server finds in its log what; "
            "it can still be erased"
        )
        raise DermisError(Kind.INTERNAL, "FACT_BROKEN", detail) from None


def put_fact(store: BlobStore, key: str, fact: BaseModel) -> bool:
    """Put a fact; False if one stands there, which says the same but for the time."""
    try:
        return store.put_once(key, as_json(fact))
    except BlobConflict:
        return False


def as_json(fact: BaseModel) -> bytes:
    return fact.model_dump_json().encode()


def erased_problem(case_id: str) -> DermisError:
    return DermisError(Kind.NOT_FOUND, "CASE_ERASED", f"case {case_id} was erased")
