"""A list of cases from the names of their objects alone, and the cursor that goes through it."""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from dermis.shared.case import Status
from dermis.shared.ids import is_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    case_id: str
    status: Status


def fold_keys(keys: Iterable[str], *, prefix: str, size: int) -> Sequence[Listed]:
    """Return the first `size` cases of sorted `keys` (`<prefix><case id>/<fact>`).

    Erased and half-stored ones are left out.
    """
    listed: list[Listed] = []
    names = (key.removeprefix(prefix).partition("/") for key in keys)
    for case_id, group in groupby(names, key=lambda parts: parts[0]):
        if len(listed) == size:
            break
        status = _status({name for _, _, name in group})
        if status and is_id("case", case_id):
            listed.append(Listed(case_id=case_id, status=status))
    return listed


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
