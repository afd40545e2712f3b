"""Parameters of the routes that answer in pages."""

import re
from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime, BeforeValidator

from dermis.gateway.core import listing
from dermis.gateway.problems import fault

Cursor = Annotated[str, Query(max_length=200, description="`next_cursor` of the page before")]
Limit = Annotated[int, Query(ge=1, le=100)]
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:]{8}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")


def _rfc_3339(text: str) -> str:
    if not _RFC_3339.fullmatch(text):  # pydantic alone takes a number for seconds, and a day for its midnight
        raise ValueError("write a time with its zone, such as 2026-01-31T09:00:00Z (RFC 3339)")
    return text


Time = Annotated[AwareDatetime, BeforeValidator(_rfc_3339)]


def place_of(cursor: str, *, kind: str) -> str:
    """Return the id of `kind` at which the page before ended, "" without a cursor; INVALID if no page gave it."""
    place = listing.after(cursor, kind=kind) if cursor else ""
    if place is None:
        raise fault("CURSOR", "cursor is none that a page gave; leave it out to begin anew", pointer="/query/cursor")
    return place
