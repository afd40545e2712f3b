"""Erases what may not be kept any longer: cases and batches whose time is over, images to judge at once.

Everything is deleted by its retention mark, so a case without one would stay for ever: such cases are looked for and
given one.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, islice

from pydantic import ValidationError

from dermis.shared.audit import Act, Audit
from dermis.shared.case import Consent, OpenCase, Received, fact_key, failed_key, open_key
from dermis.shared.erasing import (
    RETAINED_BATCHES,
    IdempotencyRecord,
    RetentionMark,
    clear,
    erase,
    erase_batch,
    first_put,
    retention_key,
    retention_prefix,
)
from dermis.shared.ids import is_id, made_at
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore, has
from dermis.shared.reviews import second_read_key
from dermis.shared.telemetry import log
from dermis.shared.uploads import UPLOADS_KEPT_FOR, UPLOADS_PREFIX
from dermis.sweep import metrics
from dermis.sweep.core.decide import SweepPolicy, is_expired, is_over, over_by
from dermis.sweep.faults import Faults

_MOST_ENDED = 200
"""Cases that are erased in one look: the others wait for the next."""
_MOST_LOOKED_AT = 500
"""Cases whose mark is looked for in one look."""
_MOST_RECORDS = 100
"""Clients' records whose case is looked for in one look."""
_RECORDS_EVERY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A case or batch whose time is over, by the time in its id and by when its mark was put."""

    key: str
    thing_id: str
    consent: Consent | None
    """None for a batch."""


class RetentionSweep:
    """Erases what is due, by the ids' times, the store's and the policy."""

    def __init__(self, store: BlobStore, policy: SweepPolicy, audit: Audit, faults: Faults | None = None) -> None:
        self._store = store
        self._policy = policy
        self._audit = audit
        self._faults = faults or Faults()
        self._ended_in_doubt = 0
        self._place = ""
        self._pass_ended: datetime | None = None
        self._record_place = ""
        self._records_ended: datetime | None = None

    def clear_scratch(self, now: datetime) -> int:
        """Delete the images to judge at once that nobody took away in time; return how many."""
        cleared = 0
        for key in self._store.list("scratch/"):
            if is_expired(key.partition("/")[2], now=now, after=self._policy.scratch_for):
                with self._faults.survived(key):
                    self._store.delete(key)
                    cleared += 1
        return cleared

    def clear_uploads(self, now: datetime) -> int:
        """Delete the uploads whose hour is over, whether a case took them or not; return how many objects."""
        cleared = 0
        for key in self._store.list(UPLOADS_PREFIX):
            if is_expired("".join(key.split("/")[2:3]), now=now, after=UPLOADS_KEPT_FOR):
                with self._faults.survived(key):
                    self._store.delete(key)
                    cleared += 1
        return cleared

    def due(self, now: datetime) -> Iterator[Due]:
        """Yield what is over, the oldest of each kind first."""
        for consent in Consent:
            yield from self._due(retention_prefix(consent), "case", consent, now)
        yield from self._due(RETAINED_BATCHES, "batch", None, now)

    def _due(self, prefix: str, kind: str, consent: Consent | None, now: datetime) -> Iterator[Due]:
        for key in self._store.list(prefix):
            thing_id = key.removeprefix(prefix)
            if not is_id(kind, thing_id):
                continue  # not ours
            kept_as = consent or Consent.ASSESS_ONLY
            if not is_over(made_at(thing_id), kept_as, now=now, policy=self._policy):
                break
            with self._faults.survived(key), suppress(BlobNotFound):
                # An id of a gateway whose clock lags says too early a time; a mark that was put later says so.
                if is_over(first_put(self._store, key), kept_as, now=now, policy=self._policy):
                    yield Due(key=key, thing_id=thing_id, consent=consent)

    def overdue(self, now: datetime) -> timedelta:
        """Return how far the oldest case or batch is past its time, or zero."""
        late = timedelta(0)
        for consent in (*Consent, None):
            prefix, kind = (retention_prefix(consent), "case") if consent else (RETAINED_BATCHES, "batch")
            for due in islice(self._due(prefix, kind, consent, now), 1):
                kept_as = consent or Consent.ASSESS_ONLY
                late = max(late, over_by(made_at(due.thing_id), kept_as, now=now, policy=self._policy))
        return late

    def end_retention(self, now: datetime, *, in_doubt: bool = False) -> int:
        """Erase the cases and batches whose time is over, the oldest first, as many as a look should take.

        Return how many.

        While the clock is `in_doubt`, no more than the policy's cap until it is confirmed.
        """
        if not in_doubt:
            self._ended_in_doubt = 0
        most = max(0, self._policy.erased_in_doubt - self._ended_in_doubt) if in_doubt else _MOST_ENDED
        ended = 0
        for due in islice(self.due(now), most):
            with self._faults.survived(due.key):
                self._end(due, now)
                ended += 1
        self._ended_in_doubt += ended if in_doubt else 0
        return ended

    def _end(self, due: Due, now: datetime) -> None:
        if due.consent is None:
            erase_batch(self._store, due.thing_id, at=now)
            self._audit.note(Act.EXPIRE, by="sweep", batch_id=due.thing_id)
            return
        try:
            owner, case_id = RetentionMark.model_validate_json(self._store.get(due.key)).owner, due.thing_id
        except BlobNotFound:
            return  # erased meanwhile
        if has(self._store, fact_key(owner, case_id, "received")) or has(
            self._store, fact_key(owner, case_id, "erased")
        ):
            erase(self._store, owner=owner, case_id=case_id, at=now)
            self._audit.note(Act.EXPIRE, by="sweep", case_id=case_id)
        else:
            clear(self._store, owner=owner, case_id=case_id)  # it was never wholly submitted

    def mend_marks(self, now: datetime) -> int:
        """Give a mark to some of the cases that have none, or one that can't be read; return to how many.

        Goes on where it stopped.
        """
        if self._pass_ended and abs(now - self._pass_ended) < self._policy.incomplete_after:
            return 0
        mended = 0
        keys = (parts for key in self._store.list("cases/", after=self._place) if len(parts := key.split("/", 3)) > 2)
        for n, ((_, owner, case_id), objects) in enumerate(groupby(keys, key=lambda parts: parts[:3])):
            if n == _MOST_LOOKED_AT:
                return mended
            names = {parts[3] for parts in objects if len(parts) == 4}
            self._place = f"cases/{owner}/{case_id}/~"
            if is_id("case", case_id) and names - {"erased.json"}:
                with self._faults.survived(f"cases/{owner}/{case_id}"):
                    self._reopen_if_lost(owner, case_id, names, now)
                    mended += self._mend_mark(owner, case_id, names, now)
        self._place, self._pass_ended = "", now
        return mended

    def _reopen_if_lost(self, owner: str, case_id: str, names: set[str], now: datetime) -> None:
        """Put the marker of an accepted case that has neither one nor an end, so that the look sends it again."""
        ends = [fact_key(owner, case_id, "outcome"), fact_key(owner, case_id, "erased"), failed_key(owner, case_id, 1)]
        if "received.json" not in names or any(name.startswith(("outcome", "erased", "failed/")) for name in names):
            return
        if not is_expired(case_id, now=now, after=self._policy.incomplete_after) or has(self._store, open_key(case_id)):
            return
        if any(has(self._store, end) for end in ends):
            return  # it was closed since it was listed
        marker = OpenCase(case_id=case_id, owner=owner, opened_at=now)
        self._store.put_once(open_key(case_id), marker.model_dump_json().encode(), reserved=True)
        metrics.lost_cases.inc()
        log.error("an accepted case had neither an outcome nor a marker, and is opened again", case_id=case_id)

    def _mend_mark(self, owner: str, case_id: str, names: set[str], now: datetime) -> bool:
        marks = [retention_key(consent, case_id) for consent in Consent]
        if any(self._is_mark(key) for key in marks):
            return False
        consent, second_read = Consent.ASSESS_ONLY, False  # the shorter time, where nothing says more
        with suppress(ValidationError, BlobNotFound):
            received = Received.model_validate_json(self._store.get(fact_key(owner, case_id, "received")))
            consent, second_read = received.consent, received.second_read and received.livemode
        in_work = not is_expired(case_id, now=now, after=self._policy.incomplete_after) or has(
            self._store, open_key(case_id)
        )
        if "received.json" not in names and in_work:
            return False  # being stored, or taken back by the look
        for key in (*marks, second_read_key(case_id)):
            self._store.delete(key)
        mark = RetentionMark(owner=owner).model_dump_json().encode()
        for key in (retention_key(consent, case_id), *([second_read_key(case_id)] if second_read else ())):
            self._store.put_once(key, mark, reserved=True)
        log.warning("a case had no retention mark and was given one", consent=consent)
        return True

    def _is_mark(self, key: str) -> bool:
        try:
            RetentionMark.model_validate_json(self._store.get(key))
        except (BlobNotFound, ValidationError):
            return False
        return True

    def open_lost_records(self, now: datetime) -> int:
        """Put markers for clients' records whose cases were never stored, by which the look takes them back.

        Older versions left such records. Looks at some each time; begins anew a day after it came to the end.
        """
        if self._records_ended and abs(now - self._records_ended) < _RECORDS_EVERY:
            return 0
        opened = 0
        for n, key in enumerate(self._store.list("idempotency/", after=self._record_place)):
            if n == _MOST_RECORDS:
                return opened
            self._record_place = key
            with self._faults.survived(key), suppress(BlobNotFound, BlobConflict):  # gone, or opened meanwhile
                opened += self._open_if_lost(key, now)
        self._record_place, self._records_ended = "", now
        return opened

    def _open_if_lost(self, key: str, now: datetime) -> bool:
        record = IdempotencyRecord.model_validate_json(self._store.get(key))
        owner, case_id = key.split("/")[1], record.case_id
        signs = open_key(case_id), fact_key(owner, case_id, "received")
        if now - self._store.written_at(key) < self._policy.incomplete_after or not is_id("case", case_id):
            return False
        if any(has(self._store, sign) for sign in signs):
            return False
        marker = OpenCase(case_id=case_id, owner=owner, opened_at=now, record=key)
        return self._store.put_once(open_key(case_id), marker.model_dump_json().encode(), reserved=True)
