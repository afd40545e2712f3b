"""The cases of an owner, by the names of their objects alone."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from itertools import groupby, takewhile
from operator import gt

from dermis.shared.case import CASES_PREFIX, Status
from dermis.shared.ids import after_ids, first_id, is_id, made_at
from dermis.shared.ports import BlobStore
from dermis.shared.references import reference_prefix

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
    """Which cases of an owner are listed: of one of `statuses` (any if empty), received in [start, end).

    `reference`: what their client calls them, looked up in an index; None for any.
    """

    reference: str | None = None
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


def _window_starts(newest: datetime) -> Iterator[str]:
    """Yield ids at which windows begin, back in time from `newest` to the first case of all, which is "".

    Each window is ten times as wide as the one after it: a page of new cases reads few old ones, and a page of an owner
    who has only old ones needs few listings.
    """
    for minutes in _WINDOW_MINUTES:
        if (seconds := newest.timestamp() - minutes * 60) > 0:
            yield first_id("case", datetime.fromtimestamp(seconds, UTC))
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


def owners(store: BlobStore) -> Iterator[str]:
    """Yield all who have cases, in order, by a listing each."""
    after = ""
    while key := next(store.list(CASES_PREFIX, after=after), None):
        owner = key.removeprefix(CASES_PREFIX).partition("/")[0]
        yield owner
        after = f"{CASES_PREFIX}{owner}0"  # what follows all keys below OWNER/


def list_cases(
    store: BlobStore,
    owner: str,
    *,
    now: datetime,
    after: str = "",
    order: Order = Order.OLDEST,
    wanted: Filter = ANY_CASE,
) -> Iterator[Listed]:
    """Yield the cases of `owner` that `wanted` takes, in `order`, which follow the case `after` if one is given."""
    if wanted.reference is not None:
        return filter(wanted.takes, _of_reference(store, owner, wanted.reference, after, order))
    cases = _oldest(store, owner, after, wanted) if order == Order.OLDEST else _newest(store, owner, after, wanted, now)
    return filter(wanted.takes, cases)


def _of_reference(store: BlobStore, owner: str, reference: str, after: str, order: Order) -> Iterator[Listed]:
    index, prefix = reference_prefix(owner, reference), f"{CASES_PREFIX}{owner}/"
    ids = [key.removeprefix(index) for key in store.list(index)]
    if order == Order.NEWEST:
        ids = [each for each in reversed(ids) if not after or each < after]
    for case_id in ids:
        if order == Order.NEWEST or case_id > after:
            yield from fold_keys(store.list(f"{prefix}{case_id}/"), prefix=prefix)


def _oldest(store: BlobStore, owner: str, after: str, wanted: Filter) -> Iterator[Listed]:
    prefix = f"{CASES_PREFIX}{owner}/"
    start = max(f"{after}/~" if after else "", first_id("case", wanted.start) if wanted.start else "")
    cases = fold_keys(store.list(prefix, after=f"{prefix}{start}" if start else ""), prefix=prefix)
    return takewhile(wanted.ends_after, cases)


def _newest(store: BlobStore, owner: str, after: str, wanted: Filter, now: datetime) -> Iterator[Listed]:
    prefix = f"{CASES_PREFIX}{owner}/"
    end = f"{prefix}{after or (after_ids('case', wanted.end) if wanted.end else '~')}"
    for start in _window_starts(made_at(after) if after else wanted.end or now):
        keys = store.list(prefix, after=f"{prefix}{start}" if start else "")
        yield from reversed(list(fold_keys(takewhile(partial(gt, end), keys), prefix=prefix)))
        end = f"{prefix}{start}"
        if wanted.start and start < first_id("case", wanted.start):
            return
