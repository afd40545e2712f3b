"""The cursor that goes through a list in pages."""

import base64
import binascii
from collections.abc import Sequence

from dermis.shared.ids import is_id


def cursor(case_id: str) -> str:
    """Return the opaque text that stands for "after this case"."""
    return base64.urlsafe_b64encode(case_id.encode()).decode().rstrip("=")


def next_cursor(ids: Sequence[str], limit: int) -> str | None:
    """Return the cursor of the page after the first `limit` of `ids`, None if there are no more."""
    return cursor(ids[limit - 1]) if len(ids) > limit else None


def after(text: str, *, kind: str = "case") -> str | None:
    """Return the case, or whatever `kind` its id is of, that a cursor stands for; None if it is none of ours."""
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeError, ValueError):
        return None
    return decoded if is_id(kind, decoded) and cursor(decoded) == text else None
