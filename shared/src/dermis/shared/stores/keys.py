"""Checks keys by the rules that hold on every kind of store."""

from dermis.shared.errors import DermisError, Kind

LONGEST_KEY = 512
"""Bytes of UTF-8. Google Cloud Storage takes 1,024, the store's own prefix included."""
LONGEST_SEGMENT = 255
"""Bytes of UTF-8: what file systems take as a name."""


def is_segment(text: str) -> bool:
    """Return whether `text` may stand between two slashes: printable, no backslash, not hidden, not too long."""
    return (
        text.isprintable()
        and "\\" not in text
        and not text.startswith(".")
        and 0 < len(text.encode()) <= LONGEST_SEGMENT
    )


def checked(key: str) -> str:
    """Return `key`, or raise INVALID.

    It is invalid if it is too long or one of its segments is empty, hidden, a step up or not printable.
    """
    if not _is_key(key):
        raise DermisError(
            Kind.INVALID,
            "BLOB_KEY",
            f"{key!r} is no key; use at most {LONGEST_KEY} bytes, and printable, non-empty segments that "
            "don't start with a dot",
        )
    return key


def check_range(prefix: str, after: str) -> None:
    """Raise INVALID if no key can start with `prefix`, or `after` is no text that keys can be compared with."""
    if not _is_key(f"{prefix}x"):
        raise DermisError(
            Kind.INVALID,
            "BLOB_KEY",
            f"prefix {prefix!r} is no beginning of a key; use whole segments, then a part of one",
        )
    if any("\ud800" <= character <= "\udfff" for character in after):
        raise DermisError(Kind.INVALID, "BLOB_KEY", f"after={after!r} is no UTF-8 text")


def _is_key(text: str) -> bool:
    return all(is_segment(segment) for segment in text.split("/")) and len(text.encode()) <= LONGEST_KEY
