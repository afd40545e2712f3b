"""What may be a key."""

from dermis.shared.errors import DermisError, Kind


def checked(key: str) -> str:
    """Return `key`, or raise INVALID if a segment is empty, hidden or a step up."""
    if not key or any(not part or part.startswith(".") for part in key.split("/")) or "\0" in key or "\\" in key:
        raise DermisError(Kind.INVALID, "BLOB_KEY", f"{key!r} is no key; use non-empty segments that don't start with a dot")
    return key
