"""A list of cases from the names of their objects alone, and the cursor that goes through it."""

import base64
import binascii
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby

from dermis.shared.case import Status
from dermis.shared.ids import first_id, is_id, made_at

_WINDOW_MINUTES = tuple(10**k for k in range(6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    case_id: str
    status: Status


class Order(StrEnum):
    """By the time at which cases were received."""

    OLDEST = "oldest"
    NEWEST = "newest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which cases of an owner are listed: of one of `statuses` (any if empty), received in [start, end)."""

    statuses: Collection[Status] = ()
    start: datetime | None = None
    end: datetime | None = None

    def takes(self, listed: Listed) -> bool:
        """Return whether a case is among them."""
        at = made_at(listed.case_id)
        early = self.start is not None and at < self.start
        late = self.end is not None and at >= self.end
        return not early and not late and (not self.statuses or listed.status in self.statuses)

    def ends_after(self, listed: Listed) -> bool:
        """Return whether cases that were received later than this one may be among them."""
        return self.end is None or made_at(listed.case_id) < self.end


ANY_CASE = Filter()


def fold_keys(keys: Iterable[str], *, prefix: str) -> Iterator[Listed]:
    """Yield the cases of sorted `keys` (`<prefix><case id>/<fact>`); erased and half-stored ones are left out."""
    names = (key.removeprefix(prefix).partition("/") for key in keys)
    for case_id, group in groupby(names, key=lambda parts: parts[0]):
        status = _status({name for _, _, name in group})
        if status and is_id("case", case_id):
            yield Listed(case_id=case_id, status=status)


def window_starts(newest: datetime) -> Iterator[str]:
    """Yield ids at which windows begin, back in time from `newest` to the first case of all, which is "".

    Each window is ten times as wide as the one after it: a page of new cases reads few old ones, and a page of an owner
    who has only old ones needs few listings.
    """
    for minutes in _WINDOW_MINUTES:
        start = newest - timedelta(minutes=minutes)
        if start.timestamp() > 0:
            yield first_id("case", start)
    yield ""


def _status(names: set[str]) -> Status | None:
    """The same order as in `CaseState.status`."""
    if "received.json" not in names or "erased.json" in names:
        return None
    if "outcome.json" in names:
        return Status.FINISHED
    if any(name.startswith("failed/") for name in names):
        return Status.FAILED
    return Status.ASSESSED if "assessed.json" in names else Status.RECEIVED


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
