"""Cursor and limit of the routes that answer in pages."""

from typing import Annotated

from fastapi import Query

from dermis.gateway.core import listing
from dermis.gateway.problems import fault

Cursor = Annotated[str, Query(max_length=200, description="`next_cursor` of the page before")]
Limit = Annotated[int, Query(ge=1, le=100)]


def place_of(cursor: str, *, kind: str) -> str:
    """Return the id of `kind` at which the page before ended, "" without a cursor; INVALID if no page gave it."""
    place = listing.after(cursor, kind=kind) if cursor else ""
    if place is None:
        raise fault("CURSOR", "cursor is none that a page gave; leave it out to begin anew", pointer="/query/cursor")
    return place
